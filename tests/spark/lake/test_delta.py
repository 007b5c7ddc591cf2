"""Tables of a lake: their versions, and a lake that an older version of the package wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engage_spark.contract import system_contract
from engage_spark.errors import ConfigurationError
from engage_spark.lake import Lake, RunLog, record_arrivals
from engage_spark.spark import files, seen_paths, session
from engage_spark.spark.schema import spark_schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.settings import Settings

pytestmark = pytest.mark.connect

COMPARISON = system_contract().table("graph_comparison")


def comparisons(spark: SparkSession, day: str, n: int) -> DataFrame:
    """Rows of one day, null but for the day."""
    names = {f.name: f.dataType.simpleString() for f in spark_schema(COMPARISON)}
    nulls = {name: f"CAST(NULL AS {kind})" for name, kind in names.items()}
    given = nulls | {"snapshot_date": f"DATE'{day}'"}
    return spark.range(n).selectExpr(*(f"{value} AS {name}" for name, value in given.items()))


def test_a_write_tells_the_version_that_history_gives(spark: SparkSession, settings: Settings) -> None:
    lake = Lake(settings.lake)
    rows = comparisons(spark, "2025-10-21", 1)
    assert lake.version(spark, COMPARISON.name) is None
    assert lake.find(spark, COMPARISON.name) is None
    soon = {"delta.checkpointInterval": "2"}
    for expected in range(4):  # beyond the first checkpoint
        assert lake.replace(rows, COMPARISON, where=None, tag=str(expected), properties=soon) == expected
    assert list(Path(lake.location(COMPARISON.name)).glob("_delta_log/*.checkpoint.parquet"))
    path = f"delta.`{lake.location(COMPARISON.name)}`"
    history = [r["version"] for r in spark.sql(f"DESCRIBE HISTORY {path}").collect()]
    assert max(history) == lake.version(spark, COMPARISON.name) == 3


def test_a_commit_tells_how_many_rows_it_wrote(spark: SparkSession, settings: Settings) -> None:
    lake = Lake(settings.lake)
    for day, n in (("2025-10-20", 3), ("2025-10-21", 5), ("2025-10-20", 0), ("2025-10-20", 2)):
        version = lake.replace(
            comparisons(spark, day, n),
            COMPARISON,
            where=f"snapshot_date = DATE'{day}'",
            tag=f"{day} {n}",
            partition_by=("snapshot_date",),
        )
        assert lake.written_rows(spark, COMPARISON.name, version, tag=f"{day} {n}") == n
        assert lake.written_rows(spark, COMPARISON.name, version, tag="another") is None


def test_a_table_that_is_not_there_is_named(spark: SparkSession, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="there is no table .*/lake/graph_comparison yet"):
        Lake(settings.lake).read(spark, COMPARISON.name)


def test_a_lake_of_an_older_version_is_refused(spark: SparkSession, settings: Settings) -> None:
    runs = system_contract().table("runs")
    older = replace(runs, fields=tuple(f for f in runs.fields if not f.name.startswith("quality_")))
    lake = Lake(settings.lake)
    lake.append(spark.createDataFrame([], spark_schema(older)), older, tag="older")
    for ask in (RunLog.attempts, lambda log, spark: log.read_evidence(spark, "quality_results")):
        with pytest.raises(ConfigurationError, match="was written by an older version") as e:
            ask(RunLog(lake), spark)
        assert "lake.root" in (e.value.hint or "")


def hide_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process see no path, as where Spark's server is another machine."""
    for module in (files, seen_paths):
        monkeypatch.setattr(module, "local_path", lambda _: None)


def test_where_the_log_is_out_of_sight_connect_asks_spark(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server on another machine: classic Spark asks Hadoop, Connect runs a query."""
    hide_paths(monkeypatch)
    lake = Lake(settings.lake)
    assert lake.version(spark, COMPARISON.name) is None
    assert lake.replace(comparisons(spark, "2025-10-21", 2), COMPARISON, where=None, tag="a") == 0
    assert lake.replace(comparisons(spark, "2025-10-21", 3), COMPARISON, where=None, tag="b") == 1
    rows = lake.written_rows(spark, COMPARISON.name, 1, tag="b")
    assert rows == (None if session.is_connect(spark) else 3)
    assert lake.is_written_by(spark, COMPARISON.name, 1, tag="b") is not session.is_connect(spark)


@pytest.mark.parametrize("in_sight", [True, False])
def test_a_landing_is_that_of_the_first_look(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch, in_sight: bool
) -> None:
    if not in_sight:
        hide_paths(monkeypatch)
    lake, first = Lake(settings.lake), datetime(2025, 10, 21, 9, 30, 0, 123456, tzinfo=UTC)
    assert record_arrivals(spark, lake, ["a"], now=first) == {"a": first}
    later = first + timedelta(hours=2)
    assert record_arrivals(spark, lake, ["b", "a"], now=later) == {"a": first, "b": later}


@pytest.mark.parametrize("text", ["", "2025-10", "2025-10-21T09:30:00.1"])
def test_a_landing_that_a_kill_cut_off_is_recorded_anew(
    spark: SparkSession, settings: Settings, text: str
) -> None:
    lake, now = Lake(settings.lake), datetime(2025, 10, 21, tzinfo=UTC)
    assert files.write_small_file(spark, f"{settings.lake.root}/_landings/a", text)
    assert record_arrivals(spark, lake, ["a"], now=now) == {"a": now}


def test_a_table_made_again_is_not_taken_for_the_published_one(
    spark: SparkSession, settings: Settings
) -> None:
    lake = Lake(settings.lake)
    for tag in ("a", "b"):
        lake.replace(comparisons(spark, "2025-10-21", 2), COMPARISON, where=None, tag=tag)
    assert lake.is_written_by(spark, COMPARISON.name, 1, tag="b")
    assert not lake.is_written_by(spark, COMPARISON.name, 1, tag="a")
