"""Days, whole deliveries and the row count from one delivery to the next, in one small lake."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from engage_spark.contract import Gate
from engage_spark.errors import GateError, InputError, TransientError
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.results import IngestResult
from tests.support.deliveries import BIKES, deliver, latest, settings_of, stations, sums

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

LANDED = datetime(2025, 10, 22, 6, tzinfo=UTC)
CONTRACT = replace(
    BIKES,
    tables=tuple(
        replace(
            t,
            gates=(
                Gate(
                    name="rows_as_before",
                    measure="row_count_change",
                    minimum=-50.0,
                    maximum=50.0,
                    unit="percent",
                ),
            ),
        )
        if t.name == "stations"
        else t
        for t in BIKES.tables
    ),
)


def ingested(spark: SparkSession, settings: Settings, home: Path, **how: Any) -> IngestResult:
    made = settings_of(settings, home)
    asked = {k: how.pop(k) for k in ("snapshot_date",) if k in how}
    ingest = made.ingest.model_copy(update={"landed_at": LANDED, **how})
    return run_ingest(spark, made.model_copy(update={"ingest": ingest}), contract=CONTRACT, **asked)


def folder(home: Path, day: str) -> Path:
    return home / "raw" / "stations" / f"snapshot_date={day}"


def notes(result: IngestResult) -> list[str]:
    return [n.code for n in result.notes if n.code != "LogNotDelivered"]


def test_a_delivery_is_taken_whole_by_its_day_whatever_the_time_zone(
    spark: SparkSession, session_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(stations(20), CONTRACT, tmp_path, "2025-10-20")
    waiting = ingested(spark, session_settings, tmp_path, complete="marker")
    assert (waiting.rows_in, notes(waiting)) == (0, ["DeliveryNotWhole"])
    with pytest.raises(
        TransientError, match=r"stations of 2025-10-20 is not whole yet: no _SUCCESS lies"
    ) as e:
        ingested(
            spark,
            session_settings,
            tmp_path,
            complete="marker",
            snapshot_date=datetime(2025, 10, 20).date(),
        )
    assert e.value.exit_code == 4
    (folder(tmp_path, "2025-10-20") / "_SUCCESS").touch()
    taken = ingested(spark, session_settings, tmp_path, complete="marker")
    assert (taken.rows_in, taken.valid) == (20, 20), "the first day holds, whatever its number of rows"
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        again = ingested(spark, session_settings, tmp_path)
        seen = latest(spark, settings_of(session_settings, tmp_path), "ingest:stations")
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
    assert (again.rows_in, notes(again)) == (0, ["SnapshotUpToDate"])
    (run,) = seen.values()
    assert run.started_at.utcoffset() is not None
    assert abs(run.started_at - datetime.now(UTC)).total_seconds() < 900

    # Half a delivery breaks the gate, and a manifest says which half is missing.
    deliver(stations(20).head(9), CONTRACT, tmp_path, "2025-10-21")
    day = folder(tmp_path, "2025-10-21")
    names = sorted(p.name for p in day.iterdir())
    (day / "_manifest.json").write_text(json.dumps([*names, "part-9.parquet"]))
    half = ingested(spark, session_settings, tmp_path, complete="manifest")
    assert half.rows_in == 0
    assert "part-9.parquet" in str([n.facts for n in half.notes if n.code == "DeliveryNotWhole"])
    with pytest.raises(GateError, match=r"rows_as_before measured -55.*, bound .*50"):
        ingested(spark, session_settings, tmp_path)
    found = sums(latest(spark, settings_of(session_settings, tmp_path), "ingest:stations"))
    assert [v[3] for v in found.values()] == ["published", "rejected"]

    # A day of the future is refused, and nothing of it is written.
    shutil.copytree(folder(tmp_path, "2025-10-20"), folder(tmp_path, "2205-10-21"))
    shutil.rmtree(day)
    with pytest.raises(InputError, match="snapshot of 2205-10-21 of stations landed before its day"):
        ingested(spark, session_settings, tmp_path)
    assert len(latest(spark, settings_of(session_settings, tmp_path), "ingest:stations")) == 2


def test_a_delta_table_is_ingested_as_one_and_its_version_is_recorded(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    """Rows that were appended and deleted again do not come back."""
    deliver(stations(40), CONTRACT, tmp_path / "plain", "2025-10-21")
    rows = spark.read.parquet(str(folder(tmp_path / "plain", "2025-10-21")))
    path = str(tmp_path / "raw" / "stations")
    dated = rows.withColumn("snapshot_date", F.lit("2025-10-21").cast("date"))
    dated.coalesce(1).write.format("delta").partitionBy("snapshot_date").save(path)
    spark.sql(f"DELETE FROM delta.`{path}` WHERE station_code >= 'ST0030'")
    left = spark.read.format("delta").load(path).count()
    assert left < 40
    result = ingested(spark, session_settings, tmp_path)
    assert (result.rows_in, result.valid, notes(result)) == (left, left, [])
    again = ingested(spark, session_settings, tmp_path)
    assert notes(again) == ["SnapshotUpToDate"]
    spark.sql(f"DELETE FROM delta.`{path}` WHERE station_code >= 'ST0020'")
    assert notes(ingested(spark, session_settings, tmp_path)) == ["RunReplaced"]
