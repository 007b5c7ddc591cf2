"""Rows that go wrong, in one delivery all the way: keys, free text, dates, and a log that refers to the
keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines.ingest import run as ingest
from tests.support.bad_input.declared import Case, assert_judged, each
from tests.support.bad_input.people import CONTRACT, DATES, KEYS, LOG, MEGABYTES_10, TEXT, links, people
from tests.support.deliveries import settings_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.settings import Settings

DAY = date(2025, 10, 21)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    home = tmp_path_factory.mktemp("rows")
    for name, table in (("people", people()[0]), ("links", links()[0])):
        (home / "raw" / name).mkdir(parents=True)
        pq.write_table(table, home / "raw" / name / "a.parquet")
    settings = settings_of(session_settings, home)
    ingest.run_ingest(spark, settings, contract=CONTRACT, snapshot_date=DAY)
    return Lake(settings.lake)


def verdicts(judged: DataFrame) -> list[Mapping[str, Any]]:
    """Verdicts only: Python has no dates beyond the year 9999, and nobody wants 10 MB twice."""
    return [
        r.asDict(recursive=True)
        for r in judged.select("row", "_dq_status", "_dq_errors").distinct().collect()
    ]


@pytest.fixture(scope="module")
def judged(spark: SparkSession, lake: Lake) -> dict[int, Mapping[str, Any]]:
    found = verdicts(lake.read(spark, "people_judged"))
    assert len(found) == people()[0].num_rows
    return {r["row"]: r for r in found}


def assert_rows(judged: Mapping[int, Mapping[str, Any]], group: str, case: Case) -> None:
    _, broken, of_case = people()
    rows = of_case[f"{group}/{case.name}"]
    assert_judged(case, [judged[i] for i in rows])
    for i in rows:
        assert [e["rule"] for e in judged[i]["_dq_errors"]] == list(broken[i])


@each(KEYS)
def test_a_key_is_taken_only_where_nobody_takes_it_for_another(
    judged: dict[int, Mapping[str, Any]], case: Case
) -> None:
    assert_rows(judged, KEYS.title, case)


@each(TEXT)
def test_free_text_is_text(judged: dict[int, Mapping[str, Any]], case: Case) -> None:
    assert_rows(judged, TEXT.title, case)


@each(DATES)
def test_dates_are_what_the_rules_of_the_contract_allow(
    judged: dict[int, Mapping[str, Any]], case: Case
) -> None:
    assert_rows(judged, DATES.title, case)


@each(LOG)
def test_an_event_is_held_against_the_keys(spark: SparkSession, lake: Lake, case: Case) -> None:
    rows = lake.read(spark, "links_judged").where(F.col("row") == links()[1][case.name])
    assert rows.count() == case.given[0]
    assert_judged(case, verdicts(rows))


def test_every_orphan_counts_also_where_all_share_one_key(spark: SparkSession, lake: Lake) -> None:
    expected = sum(c.given[0] for c in LOG.cases if "src.references" in c.evidence)
    found = (
        RunLog(lake)
        .read_evidence(spark, "quality_results")
        .where("table_name = 'links' AND rule_name = 'src.references'")
        .collect()
    )
    assert [r["violations"] for r in found] == [expected]
    assert expected > 10_000


def test_the_judged_table_can_be_read_by_all_and_a_reason_stays_short(
    spark: SparkSession, lake: Lake
) -> None:
    """Bytes that are no UTF-8 would fail every reader that checks them, pyarrow and Spark Connect among
    them.
    """
    (path,) = Path(lake.settings.root, "people_judged").rglob("*.parquet")
    stored = pq.read_table(path, columns=["id", "note", "_dq_errors"], partitioning=None)
    stored.validate(full=True)
    values = [
        e["value"] for errors in stored["_dq_errors"].to_pylist() for e in errors if e["value"] is not None
    ]
    assert max(map(len, values)) == 200
    assert MEGABYTES_10 in pc.unique(stored["note"]).to_pylist()
    assert "M\ufffdller" in stored["note"].to_pylist()
