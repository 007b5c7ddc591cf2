"""Data as others deliver them: odd names, numbers and dates in text, a label of text, targets by formula."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from engage_spark import check as check_any
from engage_spark.errors import InputError
from engage_spark.gx.export import suite_of
from engage_spark.lake import Lake
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.quality.check_data import Rows
from engage_spark.pipelines.quality.suite_check import run_check
from engage_spark.quality import check
from tests.support.deliveries import content, reasons, settings_of
from tests.support.phone_shop import (
    BROKEN,
    FOLDER,
    LOG_FOLDER,
    SHOP,
    as_csv,
    as_parquet,
    subscribers,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.settings import Settings

DAY = date(2026, 3, 1)
ENTITY = SHOP.entity
REASONS = {
    "S0000": [["total_charges.not_null"]],
    "S0001": [["total_charges.not_null", "total_charges.readable"]],
    "S0002": [["joined_on.not_null", "joined_on.readable"]],
    "S0003": [["tickets.not_null", "tickets.readable"]],
}


def typed(spark: SparkSession) -> DataFrame:
    """The delivered rows as a frame: text, but for the number that has a type of its own."""
    return spark.createDataFrame(subscribers()).withColumn(
        "CALLS last 30", F.col("CALLS last 30").cast("int")
    )


def judged(spark: SparkSession, settings: Settings, name: str = "subscribers_judged") -> DataFrame:
    return Lake(settings.lake).read(spark, name)


@pytest.fixture(scope="module")
def from_csv(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """A lake of one day and two logged calls, delivered as CSV under the names of others."""
    home = tmp_path_factory.mktemp("shop")
    as_csv(subscribers(), home / "raw" / FOLDER / f"snapshot_date={DAY}")
    log = home / "raw" / LOG_FOLDER
    log.mkdir()
    calls = "From,Called At\nS0005,28.02.2026 13:45\nS0006,2026-02-28 13:45\nS9999,28.02.2026 13:45\n"
    (log / "calls.csv").write_text(calls, encoding="utf-8")
    settings = settings_of(session_settings, home)
    result = run_ingest(spark, settings, contract=SHOP)
    (note,) = (n for n in result.notes if n.code == "ColumnsLeftOut")
    assert tuple(note.facts["examples"]) == ("not declared",)
    return settings


@pytest.mark.connect
def test_names_and_texts_of_others_are_read_row_by_row(spark: SparkSession, from_csv: Settings) -> None:
    rows = judged(spark, from_csv)
    assert reasons(rows, "subscriber") == REASONS
    by_key = {r["subscriber"]: r for r in rows.collect()}
    given = subscribers().set_index("Customer ID")
    assert {k: r["_dq_status"] for k, r in by_key.items() if r["_dq_status"] != "valid"} == {
        "S0001": "quarantined",
        "S0002": "quarantined",
    }
    for key, (_, text) in BROKEN.items():
        (reason,) = (e for e in by_key[key]["_dq_errors"] if e["rule"].endswith(".readable"))
        assert reason["value"] == text
    assert by_key["S0000"]["total_charges"] is None
    sound = by_key["S0017"]
    assert sound["total_charges"] == float(given.loc["S0017", "Total Charges (USD)"].replace(",", ""))
    month, day, year = map(int, given.loc["S0017", "Joined.On"].split("/"))
    assert sound["joined_on"] == date(year, month, day)
    assert sound["calls"] == int(given.loc["S0017", "CALLS last 30"])
    assert sound["churn"] == given.loc["S0017", "Churn?"]
    assert reasons(judged(spark, from_csv, "call_log_judged"), "caller") == {
        "S0006": [["called_at.not_null", "called_at.readable"]],
        "S9999": [["caller.references"]],
    }


@pytest.mark.connect
@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_every_format_gives_the_same_rows(
    spark: SparkSession, session_settings: Settings, from_csv: Settings, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "raw" / FOLDER
    if kind == "parquet":
        as_parquet(subscribers(), folder / f"snapshot_date={DAY}")
    else:
        rows = typed(spark).withColumn("snapshot_date", F.lit(DAY))
        rows.write.format("delta").option("delta.columnMapping.mode", "name").save(str(folder))
    settings = settings_of(session_settings, tmp_path)
    run_ingest(spark, settings, contract=SHOP)
    assert content(judged(spark, settings), without=("_run_id",)) == content(
        judged(spark, from_csv), without=("_run_id",)
    )


@pytest.mark.connect
def test_a_frame_is_checked_as_it_is_delivered_and_again_as_it_is_stored(
    spark: SparkSession, from_csv: Settings
) -> None:
    result = check(typed(spark), SHOP, snapshot_date=DAY)
    assert reasons(result.rows, "subscriber") == REASONS
    assert result.extra == ("not declared",)
    assert "__unread_tickets" not in result.rows.columns
    again = check(judged(spark, from_csv).where("_dq_status = 'valid'"), SHOP, snapshot_date=DAY)
    assert (again.row_count, again.quarantined_count) == (38, 0)


def test_what_is_referred_to_has_the_delivered_names_or_those_of_the_contract(
    spark: SparkSession, tmp_path: Path
) -> None:
    calls = spark.sql(
        "SELECT * FROM VALUES ('S0005', '28.02.2026 13:45'), ('S9999', '28.02.2026 13:45') "
        "AS t(`From`, `Called At`)"
    )
    delivered, stored = subscribers(), subscribers().rename(columns={"Customer ID": "subscriber"})
    folder = tmp_path / "delta"
    typed(spark).write.format("delta").option("delta.columnMapping.mode", "name").save(str(folder))
    forms: tuple[Rows, ...] = (typed(spark), delivered, stored, stored.set_index("subscriber"), folder)
    results = [check_any(calls, SHOP, table="call_log", references={"subscribers": f}) for f in forms]
    results.append(check(calls, SHOP, table="call_log", references={"subscribers": typed(spark)}))
    for result in results:
        assert reasons(result.rows, "caller") == {"S9999": [["caller.references"]]}


def test_a_typed_column_needs_no_reading_and_one_under_the_fields_own_name_is_not_it(
    spark: SparkSession,
) -> None:
    row = "'S1' `Customer ID`, 1.5D `Total Charges (USD)`, DATE'2020-01-02' `Joined.On`, 'none' complaint, "
    row += "'Plus' `Plan ``Type```, 3 `CALLS last 30`, 4 `💬`, 'No' `Churn?`"
    result = check(spark.sql(f"SELECT {row}"), SHOP, snapshot_date=DAY)
    assert result.passed
    values = result.rows.select("total_charges", "joined_on", "tickets").collect()
    assert values == [(1.5, date(2020, 1, 2), 4)]
    with pytest.raises(InputError) as e:
        check(spark.sql(f"SELECT {row.replace('`💬`', 'tickets')}"), SHOP)
    assert "tickets (delivered as '💬'): missing, but there is 'tickets'" in e.value.details[0]


def test_a_suite_knows_the_delivered_names_and_refuses_texts_that_are_yet_to_be_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    as_parquet(subscribers(), tmp_path / "raw")
    suite = tmp_path / "suite.json"
    suite.write_text(json.dumps(suite_of(ENTITY).as_json()), encoding="utf-8")
    result = run_check(spark, str(tmp_path / "raw"), suite)
    refused = {f.columns: f.exception or "" for f in result.failed if f.exception}
    assert set(refused) == {("total_charges",), ("tickets",)}
    assert all("is string" in text for text in refused.values()), "every column of the suite is there"
