"""Deliveries that go wrong, all the way: one clear message, the right exit code, and no half-written snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import BIKES, deliver, deliver_log, events, latest, reasons, run_log, settings_of, stations, sums, write

from engage_spark.cli import main
from engage_spark.contract import Extra, Gate, Rule, judged_table
from engage_spark.errors import EngageError, GateError, InputError
from engage_spark.lake import Lake
from engage_spark.pipelines import ingest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

DAY = "2025-10-21"
FOLDER = Path("raw") / "stations" / f"snapshot_date={DAY}"
STAGE = "ingest:stations"
CONTRACT = Path(__file__).parents[2] / "data" / "bikes.odcs.yaml"


def columns(home: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = home / FOLDER / "part-0.parquet"
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)


def alone(home: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """One file, changed, instead of three."""
    for i in (1, 2):
        (home / FOLDER / f"part-{i}.parquet").unlink()
    columns(home, change)


def renamed(table: pa.Table, old: str, new: str) -> pa.Table:
    return table.rename_columns([new if n == old else n for n in table.column_names])


def as_type(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, table[name].cast(kind))


def cut(path: Path, keep: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def garbled(path: Path) -> None:
    """Page bytes that cannot be decoded under a footer that can: the fault shows only when rows are read."""
    whole = bytearray(path.read_bytes())
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    whole[4:footer] = b"\xff" * (footer - 4)
    path.write_bytes(bytes(whole))


def gone(home: Path) -> None:
    for path in (home / FOLDER).iterdir():
        path.unlink()


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    # case: (what is done to a good delivery of three files, what the message must name)
    "no such path": (lambda h: (h / "raw").rename(h / "elsewhere"), r"there is no .*raw/stations"),
    "empty folder": (gone, "holds no files for stations"),
    "0-byte file": (lambda h: (h / FOLDER / "part-1.parquet").write_bytes(b""), r"part-1\.parquet is empty \(0 bytes\)"),
    "truncated file": (lambda h: cut(h / FOLDER / "part-1.parquet", 0.6), r"(?s)cannot be read.*part-1\.parquet"),
    "garbled page": (lambda h: garbled(h / FOLDER / "part-1.parquet"), r"(?s)cannot be read.*part-1\.parquet"),
    "missing column": (lambda h: alone(h, lambda t: t.drop(["electric"])), "electric: missing; add it as boolean"),
    "renamed column": (lambda h: alone(h, lambda t: renamed(t, "rides_ended", "rides_end")), "but there is 'rides_end'; if that is it"),
    "another case": (lambda h: alone(h, lambda t: renamed(t, "district", "District")), "there is 'District', which differs only"),
    "wrong type in one file": (lambda h: columns(h, lambda t: as_type(t, "docks_total", pa.string())),
                               r"(?s)CANNOT_MERGE_SCHEMAS|docks_total"),
    "formats mixed": (lambda h: (h / FOLDER / "more.csv").write_text("station_code\nST0001\n"), "several formats.*csv, parquet"),
    "two faults": (lambda h: alone(h, lambda t: as_type(t.drop(["electric"]), "docks_total", pa.float64())),
                   r"(?s)docks_total: found double, declared is int.*electric: missing"),
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("good")
    deliver(stations(60), BIKES, home, DAY, files=3)
    return home


@pytest.mark.parametrize("case", CASES)
def test_a_bad_delivery_is_refused_before_anything_is_written(
    spark: SparkSession, session_settings: Settings, tmp_path: Path, case: str
) -> None:
    spoil, said = CASES[case]
    deliver(stations(60), BIKES, tmp_path, DAY, files=3)
    spoil(tmp_path)
    with pytest.raises(EngageError, match=said) as e:
        ingest.run(spark, settings_of(session_settings, tmp_path), contract=BIKES)
    assert (type(e.value), e.value.exit_code) == (InputError, 2)
    assert e.value.mend
    assert "Traceback" not in str(e.value)
    assert "\tat " not in str(e.value)
    lake = tmp_path / "lake"
    assert not [p.name for p in lake.iterdir() if p.name != "_scratch"] if lake.exists() else True
    assert not any((lake / "_scratch").glob("*"))


def test_an_empty_snapshot_is_rejected_and_recorded(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> None:
    deliver(stations(0), BIKES, tmp_path, DAY)
    settings = settings_of(session_settings, tmp_path)
    with pytest.raises(GateError, match="completeness_overall measured 0") as e:
        ingest.run(spark, settings, contract=BIKES)
    assert e.value.exit_code == 3
    assert sums(latest(spark, settings, STAGE)) == {DAY: (0, 0, 0, "rejected")}
    assert run_log(settings).read_published(spark, judged_table(BIKES.entity), stage=STAGE, day="snapshot_date").count() == 0


def test_a_log_that_cannot_be_read_takes_nothing_else_along(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> None:
    rides = BIKES.table("rides")
    deliver(stations(20), BIKES, tmp_path, DAY)
    deliver_log(events(rides, [("ST0001", "ST0002")] * 5, [DAY]), rides, tmp_path)
    path = tmp_path / "raw" / "rides" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(as_type(table, "left_at", pa.timestamp("us")), path)
    settings = settings_of(session_settings, tmp_path)
    with pytest.raises(InputError, match="left_at: found timestamp_ntz, declared is timestamp; .*time zone"):
        ingest.run(spark, settings, contract=BIKES)
    assert sums(latest(spark, settings, STAGE)) == {DAY: (20, 20, 0, "published")}
    assert latest(spark, settings, "ingest:rides") == {}
    assert not (tmp_path / "lake" / "rides_judged").exists()


def test_csv_goes_the_same_way_and_its_bad_lines_are_quarantined(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> None:
    """Undeclared columns are left out with a note, or refused; a snapshot_date inside the files is one: the folder says which day it is."""
    text = stations(40).assign(note="x", snapshot_date="1999-01-01").to_csv(index=False).splitlines()
    text[3] = text[3].replace(",", ";")
    text[5] = ",".join(["many" if i == 3 else v for i, v in enumerate(text[5].split(","))])
    text[7] += ",surplus"
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "a.csv").write_text("\n".join(text[:20]) + "\n")
    (tmp_path / FOLDER / "b.csv").write_text("\n".join([text[0], *text[20:]]) + "\n")
    settings = settings_of(session_settings, tmp_path)
    strict = replace(BIKES, tables=tuple(replace(t, extra=Extra.REFUSE) for t in BIKES.tables))
    with pytest.raises(InputError, match="note: not declared, and the contract refuses") as e:
        ingest.run(spark, settings, contract=strict)
    assert len(e.value.details) == 2
    report = ingest.run(spark, settings, contract=BIKES)
    assert "stations: left out 2 undeclared columns: note, snapshot_date" in report.notes
    assert any("rides: not delivered" in n for n in report.notes)
    assert sums(latest(spark, settings, STAGE)) == {DAY: (40, 37, 3, "published")}
    rows = Lake(settings.lake).read(spark, "stations_judged")
    broken = [rule for found in reasons(rows, "station_code").values() for rules in found for rule in rules]
    assert broken.count("row.parsable") == 3
    assert tuple(rows.columns) == judged_table(BIKES.entity).names
    assert [str(r[0]) for r in rows.select("snapshot_date").distinct().collect()] == [DAY]


def test_a_rule_that_fails_on_a_row_blames_the_contract(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> None:
    rule = Rule(name="per_ride", expression="docks_total / rides_ended > 0", description="", columns=("docks_total", "rides_ended"))
    entity = replace(BIKES.entity, rules=(rule,), gates=(Gate(name="any", measure="completeness", minimum=0.0),))
    rows = stations(20)
    rows.loc[0, "rides_ended"] = 0
    deliver(rows, BIKES, tmp_path, DAY)
    with pytest.raises(EngageError, match="an expression of the contract .*fails on some row") as e:
        ingest.run(spark, settings_of(session_settings, tmp_path), contract=replace(BIKES, tables=(entity,)))
    assert e.value.exit_code == 2
    assert "DIVIDE_BY_ZERO" in str(e.value)
    assert not (tmp_path / "lake" / "runs").exists()


def test_a_target_that_cannot_be_written_is_named(spark: SparkSession, session_settings: Settings, tmp_path: Path, good: Path) -> None:
    """Below a regular file, since root may write everywhere else."""
    (tmp_path / "file").write_text("I am in the way")
    settings = settings_of(session_settings, good)
    settings = settings.model_copy(update={"lake": type(settings.lake)(root=str(tmp_path / "file" / "x"))})
    with pytest.raises(EngageError, match=r"file/x.* cannot be (read|written)") as e:
        ingest.run(spark, settings, contract=BIKES)
    assert e.value.exit_code == 2
    assert "engage-spark doctor" in (e.value.mend or "")


def run_cli(home: Path, *argv: str) -> int:
    try:
        main([*argv, "--contract", str(CONTRACT), "--set", f"lake.root={home / 'lake'}", "--set", f"input.root={home / 'raw'}"])
    except SystemExit as e:
        return int(e.code or 0)
    return 0


def test_the_command_line_ends_with_the_right_code(spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_cli(tmp_path, "ingest") == 2
    assert "there is no" in capfd.readouterr().err
    assert run_cli(tmp_path, "features") == 2
    assert "no published snapshot" in capfd.readouterr().err
    rows = stations(10)
    rows.loc[:2, "district"] = "Moon"
    write(rows, BIKES.entity, tmp_path / "raw" / "stations")
    assert run_cli(tmp_path, "ingest") == 2
    assert "--snapshot-date" in capfd.readouterr().err
    assert run_cli(tmp_path, "ingest", "--snapshot-date", DAY) == 3
    said = capfd.readouterr().err
    assert "quarantine_limit measured 30.0000%, bound 25.0%" in said or "quarantine_limit measured 30.0000%, bound 25%" in said
    assert "Traceback" not in said
