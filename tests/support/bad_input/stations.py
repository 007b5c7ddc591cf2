"""Deliveries of the bikes contract that go wrong, and what single rows of it may hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.bad_input.declared import Case, Group, Outcome, accepted, refused, rejected, warned
from tests.support.bad_input.things import cut, garbled, magic

DAY = "2025-10-21"
FOLDER = Path("raw") / "stations" / f"snapshot_date={DAY}"


def columns(home: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = home / FOLDER / "part-0.parquet"
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)


def alone(home: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """One file, changed, instead of many."""
    for path in (home / FOLDER).glob("part-*.parquet"):
        if path.name != "part-0.parquet":
            path.unlink()
    columns(home, change)


def renamed(table: pa.Table, old: str, new: str) -> pa.Table:
    return table.rename_columns([new if n == old else n for n in table.column_names])


def as_type(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, table[name].cast(kind))


def gone(home: Path) -> None:
    for path in (home / FOLDER).iterdir():
        path.unlink()


def one(home: Path) -> Path:
    """The file that is spoilt, among good ones."""
    return home / FOLDER / "part-1.parquet"


DELIVERIES = Group(
    title="A delivery, all the way",
    about="Ingest of three good files (forty where one is bad among many), spoilt. Before the error "
    "nothing is written but when it landed.",
    cases=(  # given: what is done to the delivery
        refused(
            "no such path",
            "there is no ",
            "raw/stations",
            given=lambda h: (h / "raw").rename(h / "elsewhere"),
        ),
        refused("an empty folder", "holds no files for stations", given=gone),
        refused(
            "a 0-byte file", "part-1.parquet is empty (0 bytes)", given=lambda h: one(h).write_bytes(b"")
        ),
        refused(
            "a truncated file", "a file cannot be read", "part-1.parquet", given=lambda h: cut(one(h), 0.6)
        ),
        refused(
            "wrong magic bytes", "a file cannot be read", "part-1.parquet", given=lambda h: magic(one(h))
        ),
        refused(
            "a good footer over a corrupt page",
            "a file cannot be read",
            "part-1.parquet",
            given=lambda h: garbled(one(h)),
        ),
        refused(
            "one corrupt page among forty files",
            "a file cannot be read",
            "part-1.parquet",
            given=lambda h: garbled(one(h)),
            note="no row of the others is taken: ignoreCorruptFiles is off, and that is asserted",
        ),
        refused(
            "a missing column",
            "electric: missing; add it as boolean",
            given=lambda h: alone(h, lambda t: t.drop(["electric"])),
        ),
        refused(
            "a column under a similar name",
            "rides_ended: missing, but there is 'rides_end'; if that is it, rename it",
            given=lambda h: alone(h, lambda t: renamed(t, "rides_ended", "rides_end")),
        ),
        refused(
            "a column in other case",
            "there is 'District', which differs only in case or blanks; rename it",
            given=lambda h: alone(h, lambda t: renamed(t, "district", "District")),
        ),
        refused(
            "another type in one file",
            "docks_total: found string, declared is int",
            "part-0.parquet",
            given=lambda h: columns(h, lambda t: as_type(t, "docks_total", pa.string())),
        ),
        refused(
            "Parquet and CSV together",
            "there are files of several formats: csv, parquet",
            given=lambda h: (h / FOLDER / "more.csv").write_text("station_code\nST0001\n"),
        ),
        refused(
            "two faults at once",
            "docks_total: found double, declared is int",
            "electric: missing",
            given=lambda h: alone(h, lambda t: as_type(t.drop(["electric"]), "docks_total", pa.float64())),
        ),
    ),
)

SOUND: dict[str, Any] = {
    "station_code": "ST0001",
    "district": "North",
    "operator_owner": "city",
    "docks_total": 20,
    "bikes_parked": 9,
    "rides_started": 80,
    "rides_ended": 70,
    "mean_ride_km": 2.5,
    "electric": True,
    "opened_on": date(2020, 2, 29),
    "runs_empty": 0,
}
NAN, INF = math.nan, math.inf


def breaks(
    name: str, changed: dict[str, Any], broken: dict[str, str | None], *, severe: bool = True, note: str = ""
) -> Case:
    """A row with what differs from a sound one, the rules it breaks and the value that each shows."""
    outcome = (Outcome.QUARANTINED if severe else Outcome.WARNED) if broken else Outcome.ACCEPTED
    return Case(name=name, outcome=outcome, evidence=tuple(broken), given=(changed, broken), note=note)


VALUES = Group(
    title="Values of a row",
    about="Rows of the bikes contract, each with what differs from a sound one.",
    cases=(
        breaks("sound", {}, {}),
        breaks(
            "on the lower bounds",
            {"docks_total": 4, "bikes_parked": 0, "rides_started": 0, "mean_ride_km": 0.0},
            {},
        ),
        breaks(
            "on the upper bounds",
            {"docks_total": 80, "bikes_parked": 80, "rides_started": 2000, "mean_ride_km": 60.0},
            {},
        ),
        breaks(
            "negative zero",
            {"rides_started": 0, "mean_ride_km": -0.0},
            {},
            note="is zero, also at a lower bound of zero",
        ),
        breaks("a denormal number", {"mean_ride_km": 5e-324}, {}),
        breaks("a null key", {"station_code": None}, {"station_code.not_null": None}),
        breaks("a null feature", {"rides_ended": None}, {"rides_ended.not_null": None}, severe=False),
        breaks(
            "a null in a range and a rule",
            {"bikes_parked": None},
            {"bikes_parked.not_null": None},
            severe=False,
        ),
        breaks("a null category", {"district": None}, {"district.not_null": None}, severe=False),
        breaks(
            "nulls of odd types",
            {"electric": None, "opened_on": None},
            {"electric.not_null": None, "opened_on.not_null": None},
            severe=False,
        ),
        breaks("below", {"rides_ended": -1}, {"rides_ended.range": "-1"}),
        breaks("above", {"rides_ended": 2001}, {"rides_ended.range": "2001"}),
        breaks("the largest integer", {"rides_ended": 2**31 - 1}, {"rides_ended.range": "2147483647"}),
        breaks(
            "just above",
            {"mean_ride_km": math.nextafter(60.0, 61.0)},
            {"mean_ride_km.range": "60.00000000000001"},
        ),
        breaks("a negative denormal number", {"mean_ride_km": -5e-324}, {"mean_ride_km.range": "-4.9E-324"}),
        breaks("NaN", {"mean_ride_km": NAN}, {"mean_ride_km.finite": "NaN", "mean_ride_km.range": "NaN"}),
        breaks(
            "infinity",
            {"mean_ride_km": INF},
            {"mean_ride_km.finite": "Infinity", "mean_ride_km.range": "Infinity"},
        ),
        breaks(
            "minus infinity",
            {"mean_ride_km": -INF},
            {"mean_ride_km.finite": "-Infinity", "mean_ride_km.range": "-Infinity"},
        ),
        breaks("a value that is not allowed", {"district": "South"}, {"district.allowed": "South"}),
        breaks("an allowed value in other case", {"district": "north"}, {"district.allowed": "north"}),
        breaks("an allowed value and a blank", {"district": "North "}, {"district.allowed": "North "}),
        breaks(
            "an allowed value with a homoglyph",
            {"district": "N\u043erth"},
            {"district.allowed": "N\u043erth"},
            note="Cyrillic о",
        ),
        breaks(
            "an allowed value with a zero-width space",
            {"district": "No\u200brth"},
            {"district.allowed": "No\u200brth"},
        ),
        breaks(
            "an empty text for an allowed value",
            {"district": ""},
            {"district.allowed": ""},
            note="is not null",
        ),
        breaks("a number that is not allowed", {"runs_empty": 2}, {"runs_empty.allowed": "2"}),
        breaks(
            "a protected value",
            {"operator_owner": "Mr Private"},
            {"operator_owner.allowed": "***"},
            note="is masked in the reason",
        ),
        breaks("off the pattern", {"station_code": "XX0001"}, {"station_code.pattern": "XX0001"}),
        breaks(
            "a line end after the pattern", {"station_code": "ST0002\n"}, {"station_code.pattern": "ST0002\n"}
        ),
        breaks(
            "a line before the pattern", {"station_code": "x\nST0003"}, {"station_code.pattern": "x\nST0003"}
        ),
        breaks("digits of another script", {"station_code": "ST٠٠٠١"}, {"station_code.pattern": "ST٠٠٠١"}),
        breaks(
            "a rule across fields",
            {"bikes_parked": 21},
            {"bikes_fit_docks": "bikes_parked=21, docks_total=20"},
        ),
        breaks(
            "a rule across fields that warns",
            {"rides_started": 0},
            {"rides_have_length": "rides_started=0, mean_ride_km=2.5"},
            severe=False,
        ),
        breaks(
            "several at once",
            {"rides_ended": -5, "district": "?", "rides_started": None},
            {"rides_ended.range": "-5", "district.allowed": "?", "rides_started.not_null": None},
        ),
    ),
)

SHAPES = Group(
    title="Shapes of a table",
    about="Whole snapshots of the bikes contract, which wants 90% of all cells filled.",
    cases=(  # given: (rows of stations, what is done to them)
        rejected("an empty snapshot", "completeness_overall measured 0", given=(0, {})),
        accepted("one row", given=(1, {})),
        accepted("a constant column", given=(20, {"rides_ended": 7})),
        warned(
            "a column of nulls only",
            "rides_ended.not_null",
            given=(20, {"rides_ended": None}),
            note="90.9% are filled",
        ),
        rejected(
            "two columns of nulls only",
            "completeness_overall measured 81.8",
            given=(20, {"rides_ended": None, "opened_on": None}),
        ),
    ),
)

ODD = ("key.with.dots", "back`tick", "📈", "größe", "select", "a" * 120)
NAMES = Group(
    title="Names of columns",
    about="All the way into the Delta table of checked rows.",
    cases=(  # given: the declared fields besides the key
        accepted("dots, backticks, emoji, keywords, 120 letters", given=ODD),
        accepted("500 columns", given=tuple(f"c{i:03d}" for i in range(499))),
        accepted("500 undeclared columns", given=(), note="left out with a note"),
    ),
)
