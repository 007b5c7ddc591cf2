"""Ingest of the packaged contract: three days and a log judged in one run, looked at from all sides."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import pytest

from engage_spark.contract import judged_table
from engage_spark.errors import ConfigurationError, GateError
from engage_spark.lake import Lake
from engage_spark.pipelines import features
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.ingest.deliveries import landing_times
from engage_spark.pipelines.ingest.run import _list_snapshots
from engage_spark.pipelines.results import Note
from tests.support.deliveries import (
    ENGAGEMENT,
    content,
    customers,
    deliver,
    deliver_log,
    events,
    latest,
    reasons,
    run_log,
    settings_of,
    sums,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.settings import Settings

D0, D1 = "2025-10-20", "2025-10-21"
JUDGED = judged_table(ENGAGEMENT.entity)
STAGE = "ingest:customers"


class World(NamedTuple):
    """One lake after one ingest and one features run."""

    settings: Settings
    error: GateError
    snapshots: dict[str, pd.DataFrame]


def _with_faults() -> pd.DataFrame:
    """606 rows of which 6 are critical, which is just under the gate's 1%, and one only warns."""
    rows = customers(606)
    rows.loc[1, "customer_id"] = rows.loc[0, "customer_id"]
    rows.loc[2, "customer_id"] = None
    rows.loc[3, "age"] = 17
    rows.loc[4, "customer_id"] = "CUST-000004\n"
    rows.loc[5, "avg_gig_rating"] = math.nan
    rows.loc[6, "gender"] = None
    return rows


@pytest.fixture(scope="module")
def world(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("ingest")
    settings = settings_of(session_settings, home, landed_at=f"{D1}T12:59:59Z")
    snapshots = {D0: customers(60, seed=2), D1: _with_faults()}
    snapshots[D0].loc[[4, 5], "location"] = "Moon"
    for day, rows in snapshots.items():
        deliver(rows, ENGAGEMENT, home, day, files=2)
    known = snapshots[D1]["customer_id"][10:130].tolist()
    pairs = [(known[i % 120], known[(i * 7 + 1) % 120]) for i in range(400)]
    edges = events(
        ENGAGEMENT.table("connections"),
        [*pairs, *[("CUST-999999", known[5])] * 9, (known[3], known[3])],
        [D0, D1],
    )
    edges.loc[7, "connected_at"] = pd.Timestamp(f"{D1}T13:00:00", tz="UTC")
    deliver_log(edges, ENGAGEMENT.table("connections"), home)
    with pytest.raises(GateError) as e:
        ingest.run_ingest(spark, settings, contract=ENGAGEMENT)
    return World(settings, e.value, snapshots)


def judged(spark: SparkSession, world: World, name: str = JUDGED.name) -> DataFrame:
    return Lake(world.settings.lake).read(spark, name)


def published(spark: SparkSession, world: World, *days: str) -> DataFrame:
    dates = [date.fromisoformat(d) for d in days] or None
    return run_log(world.settings).read_published(spark, JUDGED, stage=STAGE, day="snapshot_date", days=dates)


@pytest.mark.connect
def test_rows_in_are_valid_plus_quarantined(spark: SparkSession, world: World) -> None:
    assert sums(latest(spark, world.settings, STAGE)) == {
        D0: (60, 58, 2, "rejected"),
        D1: (606, 600, 6, "published"),
    }
    counted = {
        (str(r[0]), r[1]): r[2]
        for r in judged(spark, world).groupBy("snapshot_date", "_dq_status").count().collect()
    }
    assert counted == {(D0, "valid"): 58, (D0, "quarantined"): 2, (D1, "valid"): 600, (D1, "quarantined"): 6}


@pytest.mark.connect
def test_exactly_the_planted_faults_are_caught(spark: SparkSession, world: World) -> None:
    assert reasons(judged(spark, world).where(f"snapshot_date = '{D1}'"), "customer_id") == {
        "CUST-000000": [["customer_id.unique"], ["customer_id.unique"]],
        None: [["customer_id.not_null"]],
        "CUST-000003": [["age.range"]],
        "CUST-000004\n": [["customer_id.pattern"]],
        "CUST-000005": [["avg_gig_rating.finite", "avg_gig_rating.range"]],
        "CUST-000006": [["gender.not_null"]],
    }
    masked = (
        judged(spark, world)
        .where(f"snapshot_date = '{D1}' AND customer_id IN ('CUST-000003', 'CUST-000006')")
        .collect()
    )
    assert [e["value"] for r in masked for e in r["_dq_errors"]] == ["***", "***"]


def test_rows_are_kept_as_they_came(spark: SparkSession, world: World) -> None:
    names = ENGAGEMENT.entity.names
    for day, rows in world.snapshots.items():
        written = judged(spark, world).where(f"snapshot_date = '{day}'").select(*names).collect()
        assert sorted(map(repr, (tuple(r) for r in written))) == sorted(
            map(repr, rows[list(names)].itertuples(index=False, name=None))
        )


def test_the_error_tells_what_was_rejected_and_by_which_gate(world: World) -> None:
    assert world.error.exit_code == 3
    text = str(world.error)
    assert f"customers of {D0}: quarantine_limit measured 3.3333%, bound 1%" in text
    assert "location.allowed broken by 2 rows (critical)" in text
    assert "customers_judged" in text
    assert D1 not in text


def test_a_rejected_day_is_seen_by_no_reader_and_stays_readable_for_people(
    spark: SparkSession, world: World
) -> None:
    """Also after the day that follows it was published."""
    seen = {str(r[0]): r[1] for r in published(spark, world).groupBy("snapshot_date").count().collect()}
    assert seen == {D1: 606}
    with pytest.raises(ConfigurationError, match=f"no published snapshot of {D0}"):
        published(spark, world, D0)
    assert judged(spark, world).where(f"snapshot_date = '{D0}'").count() == 60


def test_every_orphan_is_counted_also_when_many_share_one_key(spark: SparkSession, world: World) -> None:
    edges = judged(spark, world, "connections_judged")
    assert edges.where("_dq_status = 'quarantined'").count() == 10
    found = reasons(edges, "src_customer_id")
    assert found["CUST-999999"] == [["src_customer_id.references"]] * 9
    assert (
        sum(len(v) for v in found.values()) == 10 + edges.where("src_customer_id = dst_customer_id").count()
    )
    assert sums(latest(spark, world.settings, "ingest:connections")) == {D1: (410, 400, 10, "published")}
    assert {str(r[0]) for r in edges.select("event_date").distinct().collect()} == {D0, D1}


def test_quality_results_hold_one_line_per_rule_and_gate(spark: SparkSession, world: World) -> None:
    lines = (
        run_log(world.settings)
        .read_evidence(spark, "quality_results")
        .where("table_name = 'customers'")
        .toPandas()
    )
    assert not lines.duplicated(["snapshot_date", "rule_name"]).any()
    of = {(str(r.snapshot_date), r.rule_name): r for r in lines.itertuples()}
    assert (of[D1, "customer_id.unique"].violations, of[D1, "customer_id.unique"].passed) == (2, False)
    assert (
        of[D1, "gender.not_null"].violations,
        of[D1, "gender.not_null"].maximum,
        of[D1, "gender.not_null"].passed,
    ) == (1, 0.2, True)
    assert (of[D1, "completeness_overall"].violations, of[D1, "completeness_overall"].passed) == (2, True)
    assert (of[D0, "quarantine_limit"].violations, of[D0, "quarantine_limit"].passed) == (2, False)
    assert set(lines.run_id) == {r.run_id for r in latest(spark, world.settings, STAGE).values()}


def test_an_event_after_the_landing_is_quarantined_and_the_newest_before_it_gives_the_latency(
    spark: SparkSession, world: World
) -> None:
    edges = judged(spark, world, "connections_judged")
    (future,) = edges.where("array_contains(_dq_errors.rule, 'connected_at.not_future')").collect()
    assert future["connected_at"].hour == 13
    lines = {
        r["rule_name"]: r
        for r in run_log(world.settings)
        .read_evidence(spark, "quality_results")
        .where("table_name = 'connections'")
        .collect()
    }
    latency = lines["under_an_hour"]
    assert (round(latency["measured"] * 60), latency["unit"], latency["passed"]) == (
        59 * 60 + 59,
        "minutes",
        True,
    )
    assert lines["connected_at.not_future"]["violations"] == 1


def test_a_landing_is_recorded_with_the_attempt_and_later_runs_find_it(
    spark: SparkSession, world: World
) -> None:
    landed = {r.stage: r.inputs["landed"] for r in run_log(world.settings).attempts(spark)}
    assert landed == dict.fromkeys((STAGE, "ingest:connections"), f"{D1}T12:59:59+00:00")
    ingest_settings = world.settings.ingest.model_copy(update={"landed_at": datetime(2030, 1, 1, tzinfo=UTC)})
    later = world.settings.model_copy(update={"ingest": ingest_settings})
    context, notes = RunContext(spark, later, ENGAGEMENT), []
    landings = landing_times(context, _list_snapshots(context, None), notes)
    assert [str(moment) for moment in landings.values()] == [f"{D1} 12:59:59+00:00"] * 2
    assert notes == [Note("LandingNotUsed", {"tables": ("customers",)})]


@pytest.mark.connect
def test_states_hold_what_pandas_counts_of_the_valid_rows(spark: SparkSession, world: World) -> None:
    states = {
        r["column_name"]: r
        for r in run_log(world.settings)
        .read_evidence(spark, "quality_states")
        .where(f"table_name = 'customers' AND snapshot_date = '{D1}'")
        .collect()
    }
    valid = judged(spark, world).where(f"snapshot_date = '{D1}' AND _dq_status = 'valid'").toPandas()
    assert set(states) == set(ENGAGEMENT.entity.names)
    for f in ENGAGEMENT.entity.fields:
        state, values = states[f.name], valid[f.name]
        bins = {b["label"]: b["values"] for b in state["bins"]}
        assert (state["row_count"], state["null_count"], sum(bins.values())) == (
            600,
            values.isna().sum(),
            600,
        ), f.name
        if f.logical_type in ("integer", "number"):
            assert Fraction(state["exact_sum"]) == sum(map(Fraction, values.dropna().tolist())), f.name
            assert (state["minimum"], state["maximum"]) == (values.min(), values.max()), f.name
        if f.allowed:
            assert {k: n for k, n in bins.items() if n and k != "null"} == values.dropna().astype(
                str
            ).value_counts().to_dict(), f.name
    assert {r["column_name"] for r in states.values() if r["quantile_sketch"]} >= {
        "lifetime_value_usd",
        "followers_count",
    }


def test_samples_are_bounded_and_personal_values_masked(spark: SparkSession, world: World) -> None:
    rows = run_log(world.settings).read_evidence(spark, "quality_results")
    results = rows.where("size(samples) > 0").collect()
    shown = {(r["table_name"], str(r["snapshot_date"]), r["rule_name"]): r["samples"] for r in results}
    assert shown["customers", D0, "location.allowed"] == ["Moon"]
    assert shown["customers", D1, "customer_id.pattern"] == ["***"]
    assert shown["customers", D1, "age.range"] == ["***"]
    assert shown["connections", D1, "src_customer_id.references"] == ["***"]
    assert shown["connections", D1, "no_self_connection"] == ["***"], (
        "a rule across fields shows no personal field either"
    )
    assert all(len(s) <= 8 for s in shown.values())


@pytest.mark.connect
def test_no_temporary_data_is_left(world: World) -> None:
    left = Path(world.settings.lake.scratch_root or "")
    assert not left.exists() or not any(left.iterdir())


@pytest.mark.connect
def test_features_follow_published_days_only_and_a_second_call_does_nothing(
    spark: SparkSession, world: World
) -> None:
    features.run_features(spark, world.settings, contract=ENGAGEMENT)
    table = Lake(world.settings.lake).read(spark, "customer_features")
    counted = {str(r[0]): r[1] for r in table.groupBy("snapshot_date").count().collect()}
    assert counted == {D1: 600}
    assert (
        table.join(
            published(spark, world).where("_dq_status <> 'valid'"),
            ["customer_id", "snapshot_date"],
            "left_semi",
        ).count()
        == 0
    )
    again = features.run_features(spark, world.settings, contract=ENGAGEMENT)
    assert (again.snapshots, again.notes) == ((), (Note("FeaturesUpToDate"),))
    with pytest.raises(ConfigurationError, match=f"no published snapshot of {D0}"):
        features.run_features(
            spark, world.settings, contract=ENGAGEMENT, snapshot_date=date.fromisoformat(D0)
        )


def test_a_rerun_of_one_day_replaces_that_day_alone_with_the_same_rows(
    spark: SparkSession, world: World
) -> None:
    before, mended = content(judged(spark, world)), latest(spark, world.settings, STAGE)
    ingest.run_ingest(spark, world.settings, contract=ENGAGEMENT, snapshot_date=date.fromisoformat(D1))
    assert content(judged(spark, world)) == before
    after = latest(spark, world.settings, STAGE)
    assert after[D1].run_id == mended[D1].run_id
    assert (after[D1].attempt, after[D0].attempt) == (2, 1)
