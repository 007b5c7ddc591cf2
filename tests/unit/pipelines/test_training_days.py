"""Which days a training is given, before any Spark job."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import targets_of
from engage_spark.pipelines.model_inputs import ModelInputs
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.train.run import early_landings, run_train
from engage_spark.publication import PUBLISHED, Kind, Run
from engage_spark.settings import Settings

CONTRACT = load_contract()
DAY = date(2025, 10, 1)


def ingested(**inputs: str) -> Run:
    at = datetime(2025, 10, 2, 1, tzinfo=UTC)
    return Run(
        run_id="r",
        stage="ingest:customers",
        kind=Kind.SNAPSHOT,
        snapshot_date=DAY,
        status=PUBLISHED,
        inputs=inputs,
        outputs={},
        contract_id="",
        contract_version="",
        contract_digest="",
        settings_digest="",
        rows_in=1,
        rows_valid=1,
        rows_quarantined=0,
        message="",
        started_at=at,
        finished_at=at + timedelta(days=40),
        attempt=1,
    )


def test_labels_of_a_day_to_come_are_known_to_nobody() -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    with pytest.raises(ConfigurationError, match=f"{tomorrow} lies in the future"):
        run_train(cast(Any, None), Settings(), contract=CONTRACT, as_of=tomorrow)


def test_the_day_of_landing_is_that_of_the_delivery_in_utc() -> None:
    inputs = ModelInputs(
        days={
            DAY: {"customers": ingested(landed="2025-11-01T23:30:00-02:00")},
            DAY + timedelta(days=1): {"customers": ingested()},
        },
        graph=None,
        measured=False,
    )
    assert inputs.landed("customers") == {
        DAY: date(2025, 11, 2),
        DAY + timedelta(days=1): date(2025, 10, 2),
    }, "what says no landing had landed when its ingest began"


def test_snapshots_that_landed_before_their_labels_were_known_are_counted() -> None:
    days = [DAY + timedelta(days=n) for n in range(3)]
    landed = {days[0]: days[0], days[1]: date(2025, 11, 30), days[2]: date(2025, 10, 20)}
    notes = list(early_landings(landed, targets_of(CONTRACT), as_of=date(2025, 12, 31)))
    assert notes == [Note("LabelsNotDelivered", {"target": "churn_30_day", "days": 2, "newest": days[2]})], (
        "targets without a window are known when they are delivered"
    )
    assert not list(early_landings(landed, targets_of(CONTRACT), as_of=date(2025, 10, 30)))
