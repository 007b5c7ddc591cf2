"""Which Spark goes with which Delta, and what else is refused before anything starts."""

from __future__ import annotations

import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.settings import Settings
from engage_spark.spark import session, versions
from engage_spark.spark.versions import DEFAULT, LINES, installed_pair, installed_spark, line_of
from tests.support.paths import ROOT


def environment(monkeypatch: pytest.MonkeyPatch, spark: str | None, delta: str | None) -> None:
    """Lets it look as if these were installed."""
    monkeypatch.setattr(versions, "installed_spark", lambda: spark)
    monkeypatch.setattr(versions, "installed_delta", lambda: delta)


@pytest.mark.parametrize(
    ("spark", "delta", "package"),
    [
        ("3.5.9", "3.3.2", "io.delta:delta-spark_2.12:3.3.2"),
        ("3.5.0", "3.2.1", "io.delta:delta-spark_2.12:3.2.1"),
        ("4.0.5", "4.0.1", "io.delta:delta-spark_2.13:4.0.1"),
        ("4.0.1", "4.4.0", "io.delta:delta-spark_4.0_2.13:4.4.0"),
        ("4.1.1", "4.3.1", "io.delta:delta-spark_4.1_2.13:4.3.1"),
        ("4.1.4", "4.4.1", "io.delta:delta-spark_4.1_2.13:4.4.1"),
        ("4.2.0", "4.4.0", "io.delta:delta-spark_4.2_2.13:4.4.0"),
        ("4.2.1.dev0", "4.4.0", "io.delta:delta-spark_4.2_2.13:4.4.0"),
        ("3.5.2", None, "io.delta:delta-spark_2.12:3.3.2"),
        ("4.1.0", None, "io.delta:delta-spark_4.1_2.13:4.3.1"),
    ],
)
def test_the_jar_of_delta_is_that_of_the_installed_pair(
    monkeypatch: pytest.MonkeyPatch, spark: str, delta: str | None, package: str
) -> None:
    environment(monkeypatch, spark, delta)
    assert session.packages(Settings())[0] == package


@pytest.mark.parametrize(
    ("spark", "hadoop"), [("3.5.9", "3.3.4"), ("4.0.5", "3.4.1"), ("4.1.1", "3.4.2"), ("4.2.0", "3.5.0")]
)
def test_the_s3_client_is_that_of_sparks_own_hadoop(
    monkeypatch: pytest.MonkeyPatch, spark: str, hadoop: str
) -> None:
    environment(monkeypatch, spark, None)
    there = session.packages(Settings(lake={"root": "s3a://lake"}))
    assert there[1:] == (f"org.apache.hadoop:hadoop-aws:{hadoop}",)


@pytest.mark.parametrize(
    ("spark", "delta", "words"),
    [
        ("4.3.0", "4.4.1", r"Spark 4\.3\.0 is not known here: .* runs on Spark 3\.5, 4\.0, 4\.1, 4\.2"),
        ("5.0.0", None, r"Spark 5\.0\.0 is not known"),
        ("3.4.4", "2.4.0", r"Spark 3\.4\.4 is not known"),
        ("nightly", None, "Spark nightly is not known"),
        ("4.2.0", "4.3.1", r"delta-spark 4\.3\.1 does not go with Spark 4\.2\.0: Delta publishes 4\.4 for"),
        (
            "4.1.1",
            "4.0.1",
            r"delta-spark 4\.0\.1 does not go with .* publishes 4\.1, 4\.2, 4\.3 and 4\.4 for",
        ),
        ("4.0.5", "3.3.2", "does not go with"),
        ("3.5.9", "4.4.0", "does not go with"),
        ("4.2.0", "5.0.0", "does not go with"),
        (None, None, "pyspark is not installed"),
    ],
)
def test_an_unknown_pair_is_refused_before_java_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, spark: str | None, delta: str | None, words: str
) -> None:
    environment(monkeypatch, spark, delta)
    monkeypatch.setattr(session, "active_session", lambda: None)
    monkeypatch.setattr(session, "require_java", lambda: pytest.fail("too late"))
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    with pytest.raises(ConfigurationError, match=words) as caught:
        session.get_session(Settings(spark={"master": "local[1]"}))
    assert "pip install 'engage-spark[spark" in str(caught.value.hint)


class _Session:
    """Stands in for a session of another's."""

    def __init__(self, version: str) -> None:
        self.version = version


class _ConnectSession(_Session):
    """The module of its class tells a Connect session."""


_ConnectSession.__module__ = "pyspark.sql.connect.session"


@pytest.mark.parametrize(
    ("spark", "words"),
    [
        (_Session("4.3.0"), r"Spark 4\.3\.0 is not known"),
        (_Session("3.4.1"), r"Spark 3\.4\.1 is not known"),
        (_ConnectSession("3.4.1"), r"Spark 3\.4\.1 is not known"),
        (_ConnectSession("of its own"), r"Spark of its own is not known"),
        (_ConnectSession("3.5.9"), r"Spark Connect of Spark 3\.5 can neither train models nor count"),
    ],
)
def test_an_existing_session_of_an_unknown_spark_is_refused(
    monkeypatch: pytest.MonkeyPatch, spark: _Session, words: str
) -> None:
    monkeypatch.setattr(session, "active_session", lambda: spark)
    with pytest.raises(ConfigurationError, match=words):
        session.get_session(Settings())


def test_a_known_spark_is_taken_from_anybody_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(session.log, "event", lambda text, **_: events.append(text))
    for line in LINES:
        session.require_known(_Session(f"{line}.7"))  # type: ignore[arg-type]
    session.require_known(_ConnectSession("4.0.0"))  # type: ignore[arg-type]
    assert events == []


def test_a_newer_connect_server_is_taken_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A managed server is renewed by others."""
    warnings: list[str] = []
    monkeypatch.setattr(session.log, "event", lambda text, *, level: warnings.append(f"{level}: {text}"))
    session._warn_of_newer.cache_clear()
    for version in ("4.3.1", "4.3.1", "10.0.0"):
        session.require_known(_ConnectSession(version))  # type: ignore[arg-type]
    assert [w.partition(";")[0] for w in warnings] == [
        f"warning: this Spark Connect server has Spark {v}" for v in ("4.3.1", "10.0.0")
    ]


def test_connect_of_spark_3_5_is_refused_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, "3.5.9", "3.3.2")
    monkeypatch.setattr(session, "active_session", lambda: None)
    monkeypatch.setattr(session, "require_listener", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(ConfigurationError, match=r"Spark Connect of Spark 3\.5") as caught:
        session.get_session(Settings(spark={"remote": "sc://localhost:15002"}))
    assert "spark.master" in str(caught.value.hint)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_pyspark_without_metadata_tells_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    """As a cluster has it: on the path, not installed."""
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    for text, said in (('__version__: str = "3.5.2"', "3.5.2"), ("", "of unknown version")):
        place = tmp_path / said.replace(" ", "") / ("pyspark.zip" if packed else "")
        place.parent.mkdir(exist_ok=True)
        files = {"pyspark/__init__.py": "", "pyspark/version.py": text}
        if packed:
            with zipfile.ZipFile(place, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            (place / "pyspark").mkdir(parents=True)
            for name, content in files.items():
                (place / name).write_text(content)
        monkeypatch.syspath_prepend(str(place))
        assert installed_spark() == said


def test_the_extras_install_what_the_table_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for line in LINES.values():
        pins = [pin.replace("[connect]", "") for pin in extras[line.extra]]
        assert pins[:2] == [f"pyspark=={line.spark}", f"delta-spark=={line.delta}"], line.extra
        assert line_of(line.spark) is line
        assert line.connect == any("[connect]" in pin for pin in extras[line.extra]), line.extra


def test_this_environment_has_the_pair_of_its_line() -> None:
    pair = installed_pair()
    assert pair.tried
    assert (pair.line is DEFAULT) == (pair.spark == "4.2.0")


def test_the_docs_list_every_line() -> None:
    quickstart = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in LINES.values():
        assert f"| {line.line} | {line.spark} | {line.delta} |" in text, line.line
        assert f"`{line.extra}`" in text
        assert f"| {line.line} | `{line.delta_package()},{line.s3a_package}` |" in quickstart
