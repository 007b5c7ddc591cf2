from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.spark import class_archive
from engage_spark.spark.class_archive import OPTION, archive_path, make, with_archive


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """Two jars, a Java, and a Python environment of this test's own."""
    (java := tmp_path / "bin" / "java").parent.mkdir()
    java.touch(mode=0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "an environment"))
    files = (tmp_path / "a.jar", tmp_path / "b.jar")
    for file in files:
        file.write_bytes(b"of before")
    return files


def written(jars: tuple[Path, ...]) -> Path:
    path = archive_path(jars)
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"classes")
    path.with_suffix(".bytes").write_text("7")
    return path


def test_a_session_maps_the_archive_once_it_is_written(jars: tuple[Path, ...]) -> None:
    conf = {OPTION: "-Xss4m", "spark.app.name": "a"}
    assert with_archive(conf, jars) == conf
    path = written(jars)
    mapped = with_archive(conf, jars)
    assert mapped.pop(OPTION).startswith(f'-Xss4m -XX:SharedArchiveFile="{path}" ')
    assert mapped == {"spark.app.name": "a"}
    assert with_archive({}, jars)[OPTION].startswith("-XX:SharedArchiveFile=")


def test_an_archive_that_was_cut_off_is_left_aside_and_written_again(
    jars: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(jars)
    path.write_bytes(b"cla")
    assert with_archive({OPTION: "-Xss4m"}, jars) == {OPTION: "-Xss4m"}
    monkeypatch.setattr(class_archive, "_write", lambda archive, *_: archive.write_bytes(b"anew"))
    assert make(jars) == path and path.read_bytes() == b"anew"
    path.with_suffix(".bytes").unlink()
    assert with_archive({}, jars) == {}


@pytest.mark.parametrize("own", ["-Xshare:off", "-XX:SharedArchiveFile=/mine.jsa"])
def test_options_that_speak_of_archives_stay(jars: tuple[Path, ...], own: str) -> None:
    written(jars)
    assert with_archive({OPTION: own}, jars) == {OPTION: own}


def test_another_jar_or_java_is_another_archive(jars: tuple[Path, ...], tmp_path: Path) -> None:
    paths = [archive_path(jars), archive_path(jars[:1])]
    jars[1].write_bytes(b"of another release")
    paths.append(archive_path(jars))
    (tmp_path / "bin" / "java").write_bytes(b"another")
    paths.append(archive_path(jars))
    assert len(set(paths)) == 4 and None not in paths


def test_without_jars_or_java_there_is_none(
    jars: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert archive_path(()) is None
    jars[0].unlink()
    assert archive_path(jars) is None
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert archive_path(jars[1:]) is None
    assert make(jars[1:]) is None


def test_it_is_written_once_and_takes_the_place_of_the_older(
    jars: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    older, other = written(jars), written(jars[:1])
    jars[1].write_bytes(b"of another release")
    calls: list[Path] = []

    def write(archive: Path, *_: object) -> None:
        calls.append(archive)
        archive.write_bytes(b"new")

    monkeypatch.setattr(class_archive, "_write", write)
    made = make(jars)
    assert made == make(jars) and len(calls) == 1
    assert made is not None and made.read_bytes() == b"new"
    assert not older.exists() and other.exists()
    sizes = [p.with_suffix(".bytes") for p in (made, other)]
    assert sorted(made.parent.iterdir()) == sorted([made, other, *sizes])


def test_where_java_writes_none_the_reason_is_told_and_nothing_stays(
    jars: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **options: Mapping[str, str]) -> object:
        assert "SPARK_REMOTE" not in options["env"]
        return type("Ran", (), {"returncode": 1, "stderr": "no memory\n", "stdout": ""})()

    monkeypatch.setenv("SPARK_REMOTE", "sc://elsewhere")
    monkeypatch.setattr(class_archive.subprocess, "run", run)
    with pytest.raises(ConfigurationError, match="no memory") as caught:
        make(jars)
    assert "start some seconds later" in str(caught.value.hint)
    path = archive_path(jars)
    assert path is not None and list(path.parent.iterdir()) == []
