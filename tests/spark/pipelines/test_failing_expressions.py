"""A rule and a formula that divide by zero on one row of a day: the day goes all the way."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from engage_spark.contract import Contract, parse_contract
from engage_spark.errors import ContractError
from engage_spark.lake import Lake
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.results import Note
from engage_spark.quality import check
from tests.support.deliveries import BIKES, deliver, run_log, settings_of, stations
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

DAY = "2025-10-21"
FIRST_RULE = "      - name: bikes_fit_docks\n"
RULE = """      - name: few_rides_out
        description: "Not fifty times as many rides begin as end."
        type: custom
        engine: engage_spark
        implementation: "rides_started / rides_ended < 50"
        severity: warning
        dimension: consistency
"""
FORMULA = "          rides_started - rides_ended\n"
TEXT = (
    (DATA / "bikes.odcs.yaml")
    .read_text(encoding="utf-8")
    .replace(FIRST_RULE, RULE + FIRST_RULE)
    .replace(FORMULA, "          CAST(rides_started / rides_ended AS INT)\n")
)
UNIT = "          - {property: unit, value: rides}\n      - name: fill_share"
STRICT = TEXT.replace(UNIT, "          - {property: onFailure, value: stop}\n" + UNIT)
UNCOMPUTED = "could not be computed: rides_started=5, rides_ended=0"


def read(text: str) -> Contract:
    contract, problems = parse_contract(text, origin="bikes")
    assert problems == []
    return contract


@pytest.fixture(scope="module")
def settings(session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("failing")
    rows = stations(30)
    rows.loc[3, ["rides_started", "rides_ended"]] = [5, 0]
    deliver(rows, BIKES, home, DAY)
    return settings_of(session_settings, home)


@pytest.mark.connect
def test_the_row_breaks_the_rule_and_its_formula_is_null_and_counted(
    spark: SparkSession, settings: Settings
) -> None:
    assert STRICT != TEXT
    contract = read(TEXT)
    run_ingest(spark, settings, contract=contract)
    judged = Lake(settings.lake).read(spark, "stations_judged")
    (row,) = judged.where("station_code = 'ST0003'").collect()
    assert [(e["rule"], e["value"]) for e in row["_dq_errors"]] == [("few_rides_out", UNCOMPUTED)]
    assert row["_dq_status"] == "valid", "as severe as the rule: a warning"

    result = run_features(spark, settings, contract=contract)
    (derived,) = result.snapshots
    assert (derived.rows, dict(derived.failures)) == (30, {"net_outflow": 1})
    facts = {
        "table": "station_features",
        "snapshot_date": date(2025, 10, 21),
        "field": "net_outflow",
        "n_rows": 1,
    }
    assert result.notes == (Note("FormulaFailed", facts),)
    features = Lake(settings.lake).read(spark, "station_features")
    assert [r["station_code"] for r in features.where("net_outflow IS NULL").collect()] == ["ST0003"]
    evidence = run_log(settings).read_evidence(spark, "quality_results")
    (counted,) = evidence.where("rule_name = 'net_outflow.computed'").collect()
    assert (counted["violations"], counted["rows_checked"], counted["passed"]) == (1, 30, False)

    checked = check(judged.select(*contract.entity.names), contract.entity)
    assert [r["_dq_errors"][0]["value"] for r in checked.failures("few_rides_out").collect()] == [UNCOMPUTED]


def test_a_formula_that_may_not_fail_stops_the_stage_by_name(spark: SparkSession, settings: Settings) -> None:
    contract = read(STRICT)
    run_ingest(spark, settings, contract=contract)
    with pytest.raises(ContractError) as stopped:
        run_features(spark, settings, contract=contract)
    assert "station_features.net_outflow: its formula cannot be computed on a row" in str(stopped.value)
    assert "rides_started / rides_ended" in str(stopped.value)
