"""The gates of the packaged contract, all the way: a day for each boundary, judged in one run."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from engage_spark.errors import GateError
from engage_spark.pipelines.ingest import run as ingest
from tests.support.bad_input.declared import Case, Outcome, assert_told, each
from tests.support.bad_input.gates import BOUNDARIES, ROWS
from tests.support.deliveries import ENGAGEMENT, customers, deliver, latest, settings_of, sums

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

Judged = tuple[dict[str, tuple[int, int, int, str]], GateError]


def day_of(case: Case) -> str:
    return str(date(2025, 10, 1) + timedelta(days=BOUNDARIES.cases.index(case)))


@pytest.fixture(scope="module")
def judged(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Judged:
    home = tmp_path_factory.mktemp("boundaries")
    for case in BOUNDARIES.cases:
        empty, out_of_range = case.given
        rows = customers(ROWS)
        names = [n for n in rows.columns if n != "customer_id"]
        for i in range(empty):
            rows.loc[i, names[i % len(names)]] = None
        rows.loc[rows.index[:out_of_range], "age"] = 17
        deliver(rows, ENGAGEMENT, home, day_of(case))
    settings = settings_of(session_settings, home)
    with pytest.raises(GateError) as e:
        ingest.run_ingest(spark, settings, contract=ENGAGEMENT)
    return sums(latest(spark, settings, "ingest:customers")), e.value


@pytest.mark.slow
@each(BOUNDARIES)
def test_a_snapshot_on_the_boundary_is_published_and_one_more_fault_is_too_many(
    judged: Judged, case: Case
) -> None:
    runs, error = judged
    _, out_of_range = case.given
    status = "rejected" if case.outcome is Outcome.REJECTED else "published"
    assert runs[day_of(case)] == (ROWS, ROWS - out_of_range, out_of_range, status)
    if case.outcome is Outcome.REJECTED:
        assert_told(case, error)
        assert any(
            d.startswith(f"customers of {day_of(case)}: {case.evidence[0].split(',')[0]}")
            for d in error.details
        )
    else:
        assert not any(day_of(case) in d for d in error.details)
