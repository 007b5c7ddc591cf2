"""Which day a listed file is of, and which days are known when a delivery lands."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

import pytest

from engage_spark.errors import InputError, NotDeliveredError
from engage_spark.lake import input_files
from engage_spark.lake.file_listing import InputFile, Listing
from engage_spark.lake.input_files import (
    InputManifest,
    _by_day,
    fingerprint,
    list_days,
    require_known_day,
)
from tests.support.deliveries import BIKES

DAY = date(2025, 10, 21)


def listing(root: str, *names: str) -> Listing:
    return Listing(root=root, files=tuple(InputFile(f"{root}/{n}", 1, 1, n) for n in names))


def days(listed: Listing, asked: date | None = None) -> dict[str, int]:
    by_day, problems = _by_day(listed, asked, ())
    assert problems == []
    return {str(day): len(files) for day, files in by_day.items()}


def test_folders_below_the_table_name_the_days_and_folders_above_it_never_do() -> None:
    below = listing(
        "/snapshot_date=2020-01-01/raw/t", "snapshot_date=2025-10-21/x/a", "snapshot_date=2025-10-20/b"
    )
    assert days(below) == {"2025-10-21": 1, "2025-10-20": 1}
    assert days(below, DAY) == {"2025-10-21": 1}
    above = listing("/snapshot_date=2020-01-01/raw/t", "a")
    assert days(above, DAY) == {"2025-10-21": 1}
    assert "no snapshot_date= folder says which day it is" in _by_day(above, None, ())[1][0]


def test_the_folder_that_was_given_and_that_of_a_single_file_name_their_day() -> None:
    assert days(listing("/t/snapshot_date=2025-10-21", "a", "x/b")) == {"2025-10-21": 2}
    path = "/t/snapshot_date=2025-10-21/a.parquet"
    single = Listing(root=path, files=(InputFile(path, 1, 1, "a.parquet"),))
    assert days(single) == {"2025-10-21": 1}
    assert days(single, date(2025, 10, 20)) == {}, "another day was asked for"
    twice = listing("/t/snapshot_date=2025-10-21", "snapshot_date=2025-10-21/a")
    assert "two folders of its path name a day" in _by_day(twice, None, ())[1][0]


def test_a_fault_of_a_folder_is_told_whatever_day_is_asked_for() -> None:
    odd = listing("/t", "snapshot_date=20251020/a", "snapshot_date=2025-10-21/b")
    assert "'20251020' is not a date like 2025-10-21" in _by_day(odd, DAY, ())[1][0]
    other = listing("/t", "snapshot_date=2025-10-21/dt=2025-10-20/a")
    assert "dt=2025-10-20 is of another day than snapshot_date=2025-10-21" in _by_day(other, DAY, ())[1][0]
    assert _by_day(other, DAY, ("dt",))[1] == []


@pytest.mark.parametrize(
    ("landed", "known"),
    [
        ("2025-10-20T00:00:00+00:00", True),
        ("2025-10-19T23:59:59+00:00", False),
        ("2025-10-20T01:00:00+02:00", False),
        ("2025-10-19T23:30:00-01:00", True),
    ],
)
def test_a_day_after_the_landing_and_the_next_day_is_refused(landed: str, known: bool) -> None:
    manifest = InputManifest(table="things", day=DAY, files=(), format="parquet", root="raw/things")
    if known:
        require_known_day(manifest, datetime.fromisoformat(landed))
    else:
        with pytest.raises(InputError, match="snapshot of 2025-10-21 of things landed before its day"):
            require_known_day(manifest, datetime.fromisoformat(landed))


def test_a_delta_table_is_known_by_path_version_and_day() -> None:
    def of(version: int, day: date | None) -> str:
        return fingerprint(
            [InputManifest(table="t", day=day, files=(), format="delta", root="/t", version=version)]
        )

    assert len({of(1, DAY), of(2, DAY), of(1, None)}) == 3
    assert of(1, DAY) == of(1, DAY)


def listed_days(
    monkeypatch: pytest.MonkeyPatch, *names: str, asked: date | None = None, size: int = 1
) -> list[date]:
    files = tuple(InputFile(f"/t/{n}", size, 1, n) for n in names)
    monkeypatch.setattr(input_files, "list_files", lambda *_: Listing(root="/t", files=files))
    return list_days(cast(Any, None), "/t", BIKES.entity, snapshot_date=asked)


def test_a_fault_of_one_day_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("snapshot_date=2025-10-21/a.parquet", "snapshot_date=20251022/a.parquet", "readme.pdf")
    assert listed_days(monkeypatch, *names, size=0) == [DAY]
    mixed = ("snapshot_date=2025-10-22/dt=2025-10-20/a.csv", "snapshot_date=2025-10-21/a.parquet")
    assert listed_days(monkeypatch, *mixed) == [DAY, date(2025, 10, 22)]


def test_undated_files_are_of_the_one_day_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed_days(monkeypatch, "a.parquet", asked=DAY) == [DAY]
    with pytest.raises(InputError, match="no folder says which days the files of stations") as refused:
        listed_days(monkeypatch, "a.parquet", "snapshot_date=20251022/b.parquet")
    assert len(refused.value.details) == 2 and "--snapshot-date" not in str(refused.value)


def test_an_empty_folder_is_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotDeliveredError, match="holds no files for stations"):
        listed_days(monkeypatch)
