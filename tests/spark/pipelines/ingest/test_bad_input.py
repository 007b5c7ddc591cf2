"""Deliveries that go wrong, all the way: one clear message, the right exit code, and no half-written
snapshot.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engage_spark.cli import main
from engage_spark.contract import ExtraColumns, Table, TableKind, judged_table
from engage_spark.errors import EngageError, GateError, InputError
from engage_spark.lake import Lake
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.results import Note
from tests.support.bad_input.declared import Case, Outcome, assert_judged, assert_told, each
from tests.support.bad_input.stations import DAY, DELIVERIES, FOLDER, NAMES, SHAPES, as_type
from tests.support.bad_input.things import field
from tests.support.deliveries import (
    BIKES,
    deliver,
    deliver_log,
    events,
    latest,
    reasons,
    run_log,
    settings_of,
    stations,
    sums,
    write,
)
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

STAGE = "ingest:stations"
CONTRACT = DATA / "bikes.odcs.yaml"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("good")
    deliver(stations(60), BIKES, home, DAY, files=3)
    return home


@each(DELIVERIES)
def test_a_bad_delivery_is_refused_before_anything_is_written(
    spark: SparkSession, session_settings: Settings, tmp_path: Path, case: Case
) -> None:
    deliver(stations(60), BIKES, tmp_path, DAY, files=40 if "forty" in case.name else 3)
    case.given(tmp_path)
    with pytest.raises(InputError) as e:
        ingest.run_ingest(spark, settings_of(session_settings, tmp_path), contract=BIKES)
    assert_told(case, e.value)
    lake = tmp_path / "lake"
    assert {p.name for p in lake.glob("*")} <= {"_scratch", "_landings", "_locks"}
    assert not any((lake / "_scratch").glob("*"))


@pytest.mark.slow
@each(SHAPES)
def test_a_snapshot_of_any_shape_is_judged(
    spark: SparkSession, session_settings: Settings, tmp_path: Path, case: Case
) -> None:
    n, changed = case.given
    deliver(
        stations(n).assign(**{name: pd.Series([value] * n, dtype=object) for name, value in changed.items()}),
        BIKES,
        tmp_path,
        DAY,
    )
    settings = settings_of(session_settings, tmp_path)
    if case.outcome is Outcome.REJECTED:
        with pytest.raises(GateError) as e:
            ingest.run_ingest(spark, settings, contract=BIKES)
        assert_told(case, e.value)
        assert sums(latest(spark, settings, STAGE)) == {DAY: (n, n, 0, "rejected")}
        assert (
            run_log(settings)
            .read_published(spark, judged_table(BIKES.entity), stage=STAGE, day="snapshot_date")
            .count()
            == 0
        )
    else:
        ingest.run_ingest(spark, settings, contract=BIKES)
        assert sums(latest(spark, settings, STAGE)) == {DAY: (n, n, 0, "published")}
        assert_judged(
            case,
            [r.asDict(recursive=True) for r in Lake(settings.lake).read(spark, "stations_judged").collect()],
        )


@pytest.mark.slow
@each(NAMES)
def test_columns_of_any_name_and_number_are_judged(
    spark: SparkSession, session_settings: Settings, tmp_path: Path, case: Case
) -> None:
    """One row breaks its last column, so that the name stands in a reason; the key has an odd name as
    well.
    """
    key = field("k.`e`y", "string", "string", required=True, key_position=1)
    fields = (key, *(field(n, "int", "integer", maximum=9) for n in case.given))
    table = Table(name="odd", kind=TableKind.ENTITY, description="Odd.", fields=fields)
    extra = {} if case.given else {f"x{i}": [1, 2, 3] for i in range(500)}
    held = {key.name: ["a", "b", "b"], **{n: pa.array([1, 2, 10], pa.int32()) for n in case.given}, **extra}
    folder = tmp_path / "raw" / "odd" / f"snapshot_date={DAY}"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(held), folder / "a.parquet")
    settings = settings_of(session_settings, tmp_path)
    result = ingest.run_ingest(spark, settings, contract=replace(BIKES, tables=(table,)))
    judged = Lake(settings.lake).read(spark, "odd_judged")
    assert tuple(judged.columns) == judged_table(table).names
    rows = sorted((r.asDict(recursive=True) for r in judged.collect()), key=lambda r: len(r["_dq_errors"]))
    unique = "k.`e`y.unique"
    assert [[e["rule"] for e in r["_dq_errors"]] for r in rows] == [
        [],
        [unique],
        [*(f"{n}.range" for n in case.given), unique],
    ]
    left_out = [n.facts["n_columns"] for n in result.notes if n.code == "ColumnsLeftOut"]
    assert left_out == ([len(extra)] if extra else [])


def test_a_log_that_cannot_be_read_takes_nothing_else_along(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    rides = BIKES.table("rides")
    deliver(stations(20), BIKES, tmp_path, DAY)
    deliver_log(events(rides, [("ST0001", "ST0002")] * 5, [DAY]), rides, tmp_path)
    path = tmp_path / "raw" / "rides" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(as_type(table, "left_at", pa.timestamp("us")), path)
    settings = settings_of(session_settings, tmp_path)
    with pytest.raises(InputError, match="left_at: found timestamp_ntz, declared is timestamp; .*time zone"):
        ingest.run_ingest(spark, settings, contract=BIKES)
    assert sums(latest(spark, settings, STAGE)) == {DAY: (20, 20, 0, "published")}
    assert latest(spark, settings, "ingest:rides") == {}
    assert not (tmp_path / "lake" / "rides_judged").exists()


def test_csv_goes_the_same_way_and_its_bad_lines_are_quarantined(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    """Undeclared columns are left out with a note, or refused; a row whose snapshot_date is another day than
    its folder's is quarantined.
    """
    text = stations(40).assign(note="x", snapshot_date=DAY).to_csv(index=False).splitlines()
    text[9] = text[9].replace(str(DAY), "1999-01-01")
    text[3] = text[3].replace(",", ";")
    text[5] = ",".join(["many" if i == 3 else v for i, v in enumerate(text[5].split(","))])
    text[7] += ",surplus"
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "a.csv").write_text("\n".join(text[:20]) + "\n")
    (tmp_path / FOLDER / "b.csv").write_text("\n".join([text[0], *text[20:]]) + "\n")
    settings = settings_of(session_settings, tmp_path)
    strict = replace(BIKES, tables=tuple(replace(t, extra=ExtraColumns.REFUSE) for t in BIKES.tables))
    with pytest.raises(InputError, match="note: not declared, and the contract refuses") as e:
        ingest.run_ingest(spark, settings, contract=strict)
    assert len(e.value.details) == 2
    result = ingest.run_ingest(spark, settings, contract=BIKES)
    assert (result.rows_in, result.valid, result.quarantined) == (40, 36, 4)
    about = {"table": "stations", "n_columns": 1, "examples": ("note",)}
    assert Note("ColumnsLeftOut", about) in result.notes
    assert "LogNotDelivered" in [n.code for n in result.notes]
    assert sums(latest(spark, settings, STAGE)) == {DAY: (40, 36, 4, "published")}
    rows = Lake(settings.lake).read(spark, "stations_judged")
    broken = [rule for found in reasons(rows, "station_code").values() for rules in found for rule in rules]
    assert broken.count("row.parsable") == 3
    assert broken.count("snapshot_date.folder") == 1
    assert tuple(rows.columns) == judged_table(BIKES.entity).names
    assert [str(r[0]) for r in rows.select("snapshot_date").distinct().collect()] == [DAY]


def test_a_target_that_cannot_be_written_is_named(
    spark: SparkSession, session_settings: Settings, tmp_path: Path, good: Path
) -> None:
    """Below a regular file, since root may write everywhere else."""
    (tmp_path / "file").write_text("I am in the way")
    settings = settings_of(session_settings, good)
    settings = settings.model_copy(update={"lake": type(settings.lake)(root=str(tmp_path / "file" / "x"))})
    with pytest.raises(EngageError, match=r"file/x.* cannot be (read|written)") as e:
        ingest.run_ingest(spark, settings, contract=BIKES)
    assert e.value.exit_code == 2
    assert "engage-spark doctor" in (e.value.hint or "")


def run_cli(home: Path, *argv: str) -> int:
    try:
        main(
            [
                *argv,
                "--contract",
                str(CONTRACT),
                "--set",
                f"lake.root={home / 'lake'}",
                "--set",
                f"input.root={home / 'raw'}",
            ]
        )
    except SystemExit as e:
        return int(e.code or 0)
    return 0


def test_the_command_line_ends_with_the_right_code(
    spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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
    stderr = capfd.readouterr().err
    assert (
        "quarantine_limit measured 30.0000%, bound 25.0%" in stderr
        or "quarantine_limit measured 30.0000%, bound 25%" in stderr
    )
    assert "Traceback" not in stderr
