"""When a delivery is whole, by marker, by manifest, and by two looks that see the same."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.lake import completeness
from engage_spark.lake.completeness import incomplete_deliveries, parse_manifest, unfinished_files
from engage_spark.lake.delta import Lake
from engage_spark.lake.file_listing import InputFile
from engage_spark.lake.input_files import InputManifest
from engage_spark.settings import IngestSettings, LakeSettings, csv_delimiter_problem

NOW = datetime(2025, 10, 21, 6, tzinfo=UTC)
DAY = "snapshot_date=2025-10-21"


def file(name: str, *, size: int = 10, modified: int = 100) -> InputFile:
    return InputFile(f"raw/t/{name}", size, modified, name)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Small files by their path, in place of those that Spark's session reads and writes."""
    files: dict[str, str] = {}
    monkeypatch.setattr(completeness, "read_small_file", lambda _, path: files.get(path))
    monkeypatch.setattr(
        completeness, "write_small_file", lambda _, path, text: files.__setitem__(path, text) is None
    )
    return files


def reason(
    rule: str,
    *names: str | InputFile,
    marks: tuple[InputFile, ...] | None = (),
    now: datetime = NOW,
    **more: Any,
) -> str | None:
    files = tuple(file(n) if isinstance(n, str) else n for n in names)
    manifest = InputManifest(
        table="t", day=date(2025, 10, 21), files=files, format="parquet", root="raw/t", marks=marks, **more
    )
    lake = Lake(LakeSettings(root="lake"))
    return incomplete_deliveries(None, lake, [manifest], rule=rule, now=now).get(0)  # type: ignore[arg-type]


def test_without_a_rule_and_for_a_delta_table_all_is_whole() -> None:
    assert reason("none", "a") is None
    assert reason("marker", marks=None, version=3) is None


@pytest.mark.parametrize("mark", ["_SUCCESS", f"{DAY}/_SUCCESS", f"{DAY}/x/_SUCCESS"])
def test_a_marker_beside_or_above_the_files_makes_them_whole(mark: str) -> None:
    assert reason("marker", f"{DAY}/x/a", marks=(file(mark),)) is None


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ((), "no _SUCCESS lies beside or above"),
        ((file(f"{DAY}/y/_SUCCESS"),), "no _SUCCESS lies beside or above"),
        ((file("snapshot_date=2025-10-20/_SUCCESS"),), "no _SUCCESS lies beside or above"),
        ((file("_SUCCESS", modified=99),), "is newer than _SUCCESS, which is to be written last"),
        ((file("_SUCCESS"), file(f"{DAY}/_SUCCESS", modified=9)), f"newer than {DAY}/_SUCCESS"),
    ],
)
def test_without_a_marker_or_with_an_older_one_they_are_not(
    marks: tuple[InputFile, ...], message: str
) -> None:
    assert message in (reason("marker", f"{DAY}/x/a", marks=marks) or "")


def test_names_that_cannot_be_seen_are_told() -> None:
    with pytest.raises(ConfigurationError, match="cannot be seen"):
        reason("marker", "a", marks=None)


@pytest.mark.parametrize(
    ("where", "content", "message"),
    [
        (DAY, ["a", "b"], None),
        (DAY, {"files": [{"name": "a", "size": 10}, {"name": "b"}]}, None),
        ("", [f"{DAY}/a", f"{DAY}/b", "snapshot_date=2025-10-20/a"], None),
        (DAY, ["a", "b", "c", "d"], "2 files of its manifest are not there yet, such as c"),
        (DAY, ["a"], "b is not in its manifest"),
        (DAY, {"files": [{"name": "a", "size": 9}, {"name": "b"}]}, "a has 10 bytes, not 9"),
        ("snapshot_date=2025-10-20", ["a"], "no _manifest.json lies beside or above"),
    ],
)
def test_a_manifest_lists_just_the_files(
    texts: dict[str, str], where: str, content: Any, message: str | None
) -> None:
    mark = file(f"{where}/_manifest.json".lstrip("/"))
    texts[mark.path] = json.dumps(content)
    found = reason("manifest", f"{DAY}/a", f"{DAY}/b", marks=(mark,))
    assert (found is None) if message is None else (message in (found or ""))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"files": 1}',
        '{"file": []}',
        '["a", "a"]',
        '[{"name": "a", "size": true}]',
        "[" * 9999,
    ],
)
def test_a_manifest_of_another_form_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the manifest m cannot be used"):
        parse_manifest(text, name="m")


def test_quiet_means_the_same_files_in_two_looks(texts: dict[str, str]) -> None:
    assert "first seen like this at 2025-10-21 06:00:00 UTC" in (reason("quiet:10", "a") or "")
    assert reason("quiet:10", "a", now=NOW + timedelta(minutes=9)) is not None
    assert reason("quiet:10", "a", now=NOW + timedelta(minutes=10)) is None
    grown = reason("quiet:10", file("a", size=11), now=NOW + timedelta(minutes=20))
    assert "06:20:00 UTC" in (grown or "")
    assert reason("quiet:10", file("a", size=11), now=NOW + timedelta(minutes=30)) is None
    assert len(texts) == 1


def waiting(
    rule: str, *files: InputFile, marks: tuple[InputFile, ...] = (), now: datetime = NOW
) -> list[str]:
    """Names of those of some files of a log that are not whole."""
    listed = InputManifest(table="t", day=None, files=files, format="parquet", root="raw/t", marks=marks)
    lake = Lake(LakeSettings(root="lake"))
    reasons = unfinished_files(None, lake, listed, files, rule=rule, now=now)  # type: ignore[arg-type]
    assert all(reasons.values())
    return [f.name for f in files if f.path in reasons]


def test_one_file_of_a_stream_that_is_not_whole_holds_up_no_other(texts: dict[str, str]) -> None:
    first, second = file("h=0/a"), file("h=1/b")
    assert waiting("none", first, second) == []
    assert waiting("marker", first, second, marks=(file("h=0/_SUCCESS"),)) == ["h=1/b"]
    mark = file("h=1/_manifest.json")
    texts[mark.path] = json.dumps(["b"])
    assert waiting("manifest", first, second, marks=(mark,)) == ["h=0/a"]
    texts[mark.path] = json.dumps(["b", "c"])
    assert waiting("manifest", first, second, marks=(mark,)) == ["h=0/a", "h=1/b"]


@pytest.mark.parametrize("text", ["", '["b"', '["b", 1]', "\ufeff"])
def test_a_manifest_that_is_still_written_is_waited_for(texts: dict[str, str], text: str) -> None:
    first, second = file("h=0/a"), file("h=1/b")
    marks = (file("h=0/_manifest.json"), file("h=1/_manifest.json"))
    texts[marks[0].path], texts[marks[1].path] = json.dumps(["a"]), text
    assert waiting("manifest", first, second, marks=marks) == ["h=1/b"]
    with pytest.raises(ConfigurationError, match=r"the manifest h=1/_manifest\.json cannot be used"):
        reason("manifest", first, second, marks=marks)


def test_a_manifest_that_is_cut_within_a_letter_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completeness, "read_small_file", lambda *_: '["ü'.encode()[:-1].decode())
    assert waiting("manifest", file("a"), marks=(file("_manifest.json"),)) == ["a"]


def test_marks_that_cannot_be_seen_are_not_waited_for() -> None:
    listed = InputManifest(
        table="t", day=None, files=(file("a"),), format="parquet", root="raw/t", marks=None
    )
    with pytest.raises(ConfigurationError, match="cannot be seen"):
        unfinished_files(
            None,  # type: ignore[arg-type]
            Lake(LakeSettings(root="lake")),
            listed,
            listed.files,
            rule="marker",
            now=NOW,
        )


class Counted(tuple[InputFile, ...]):
    """Marks that count how often they are gone through."""

    looks = 0

    def __iter__(self) -> Any:
        self.looks += 1
        return super().__iter__()


@pytest.mark.parametrize("rule", ["marker", "manifest"])
def test_marks_are_gone_through_once_for_all_files(texts: dict[str, str], rule: str) -> None:
    mark = "_SUCCESS" if rule == "marker" else "_manifest.json"
    marks = Counted(file(f"h={i}/{mark}") for i in range(9))
    texts.update({m.path: '["a"]' for m in marks})
    marks.looks = 0
    assert waiting(rule, *(file(f"h={i}/a") for i in range(10)), marks=marks) == ["h=9/a"]
    assert marks.looks == 1


def test_each_file_of_a_stream_rests_by_itself(texts: dict[str, str]) -> None:
    old, new = file("a"), file("b")
    assert waiting("quiet:10", old) == ["a"]
    assert waiting("quiet:10", old, new, now=NOW + timedelta(minutes=10)) == ["b"]
    assert waiting("quiet:10", file("b", size=11), now=NOW + timedelta(minutes=15)) == ["b"], "it grew"
    assert waiting("quiet:10", file("b", size=11), now=NOW + timedelta(minutes=25)) == []
    assert len(texts) == 1


@pytest.mark.parametrize("left", [0.0, 0.3, 0.7, 0.95])
def test_looks_that_a_kill_cut_off_begin_anew(texts: dict[str, str], left: float) -> None:
    assert reason("quiet:10", "a") is not None and waiting("quiet:10", file("a")) == ["a"]
    for path, text in texts.items():
        texts[path] = text[: int(left * len(text))]
    later = NOW + timedelta(minutes=30)
    assert "06:30:00 UTC" in (reason("quiet:10", "a", now=later) or "")
    assert waiting("quiet:10", file("a"), now=later) == ["a"]
    assert reason("quiet:10", "a", now=later + timedelta(minutes=10)) is None
    assert waiting("quiet:10", file("a"), now=later + timedelta(minutes=10)) == []


@pytest.mark.parametrize("rule", ["none", "marker", "manifest", "quiet:10", "quiet:0.5"])
def test_a_rule_of_the_settings_is_taken(rule: str) -> None:
    assert IngestSettings(complete=rule).complete == rule


@pytest.mark.parametrize(
    "rule", ["", "Marker", "quiet", "quiet:", "quiet:-1", "quiet:0", "quiet:1e9", "quiet:nan"]
)
def test_another_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValidationError, match=r"must be none, marker, manifest, or quiet:N"):
        IngestSettings(complete=rule)


@pytest.mark.parametrize("value", ["", "\\", '"', "\n", "\r", "\0", "\ufeff", "a", "7", ",,"])
def test_a_delimiter_that_cannot_be_is_refused(value: str) -> None:
    assert csv_delimiter_problem(value)
    with pytest.raises(ValidationError, match=r"must be one character|cannot be a"):
        IngestSettings(csv_delimiter=value)


@pytest.mark.parametrize("value", [",", ";", "\t", "|", "\x01", " ", "~"])
def test_other_delimiters_are_taken(value: str) -> None:
    assert IngestSettings(csv_delimiter=value).csv_delimiter == value


def test_the_looks_lie_in_the_lake(texts: dict[str, str]) -> None:
    reason("quiet:1", "a")
    assert all(Path(path).parent == Path("lake/_looks") for path in texts)


def test_a_manifest_with_a_byte_order_mark_is_read_and_one_without_end_is_not(texts: dict[str, str]) -> None:
    texts["raw/t/_manifest.json"] = '\ufeff{"files": ["a.parquet"]}'
    mark = file("_manifest.json")
    assert reason("manifest", "a.parquet", marks=(mark,)) is None
    with pytest.raises(InputError, match="has 68,719,476,736 bytes"):
        reason("manifest", "a.parquet", marks=(file("_manifest.json", size=2**36),))
