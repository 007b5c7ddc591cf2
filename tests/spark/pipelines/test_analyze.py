"""The analytics of days on a small lake: figures by DuckDB, what makes a day due again, what readers see."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pytest
import yaml

from engage_spark.contract import Contract
from engage_spark.contract.odcs import parse_contract
from engage_spark.errors import EngageError, GateError, NotPublishedError
from engage_spark.insight import Insight
from engage_spark.lake import Lake
from engage_spark.pipelines.analyze.run import run_analyze
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.results import AnalyzeResult, Note
from engage_spark.pipelines.stages import ANALYTICS, ANALYZE
from engage_spark.reader import open_lake
from engage_spark.settings import Settings
from tests.support.deliveries import (
    BIKES,
    ENGAGEMENT,
    content,
    customers,
    deliver,
    deliver_log,
    events,
    run_log,
    settings_of,
    stations,
)
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(600)

DAYS = ("2025-10-30", "2025-10-31")
N = 60


def rows_of(day: int) -> pd.DataFrame:
    rows = customers(N + 10 * day, seed=day)
    rows.loc[rows.index[:2], "avg_gig_rating"] = None
    return rows


class SmallAnalytics:
    """A lake of two days, analyzed; a later correction is the tests' own."""

    def __init__(self, spark: SparkSession, settings: Settings, home: Path) -> None:
        self.spark, self.settings, self.home = spark, settings, home
        self.delivered = {day: rows_of(i) for i, day in enumerate(DAYS)}
        with pytest.raises(NotPublishedError):
            self.analyze()
        for day, rows in self.delivered.items():
            deliver(rows, ENGAGEMENT, home, day)
        run_ingest(spark, settings, contract=ENGAGEMENT)
        run_features(spark, settings, contract=ENGAGEMENT)
        self.first = self.analyze()

    def analyze(self, **arguments: Any) -> AnalyzeResult:
        return run_analyze(self.spark, self.settings, contract=ENGAGEMENT, **arguments)

    def table(self, name: str, day: str = DAYS[-1]) -> list[dict[str, Any]]:
        rows = Lake(self.settings.lake).read(self.spark, name)
        runs = run_log(self.settings).publication(self.spark).visible(ANALYZE)
        run = runs[date.fromisoformat(day)].run_id
        return [r.asDict() for r in rows.where(rows.run_id == run).collect()]

    def digest(self) -> dict[str, str]:
        lake = Lake(self.settings.lake)
        made = [t for t in ANALYTICS if lake.find(self.spark, t) is not None]
        return {t: content(lake.read(self.spark, t)) for t in made}


@pytest.fixture(scope="module")
def analytics(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> SmallAnalytics:
    home = tmp_path_factory.mktemp("analytics")
    return SmallAnalytics(spark, settings_of(session_settings, home, landed_at=f"{DAYS[-1]}T12:00:00Z"), home)


@pytest.mark.connect
def test_a_day_agrees_with_duckdb(analytics: SmallAnalytics) -> None:
    states = {
        (r["segment"], r["metric"]): r
        for r in analytics.table("analytics_states")
        if r["dimension"] == "account_type"
    }
    delivered = analytics.delivered[DAYS[-1]].infer_objects()
    answers = duckdb.sql(
        "SELECT account_type, count(avg_gig_rating) AS n, count(*) - count(avg_gig_rating) AS nulls, "
        "sum(avg_gig_rating) AS total, min(avg_gig_rating) AS low, max(avg_gig_rating) AS high, "
        "count(*) AS customers FROM delivered GROUP BY ALL"
    ).fetchall()
    assert len(delivered) == sum(a[-1] for a in answers)
    for segment, n, nulls, total, low, high, of_segment in answers:
        state = states[segment, "avg_gig_rating"]
        assert (state["n"], state["nulls"]) == (n, nulls)
        assert (state["minimum"], state["maximum"]) == (low, high)
        assert state["total"] == pytest.approx(total, rel=1e-14)
        assert states[segment, "customers"]["n"] == of_segment


@pytest.mark.connect
def test_periods_merge_their_days_and_changes_compare_snapshots(analytics: SmallAnalytics) -> None:
    rollups = {
        r["grain"]: r
        for r in analytics.table("rollups")
        if (r["dimension"], r["metric"]) == ("all", "session_duration_avg_minutes")
    }
    last, all_days = analytics.delivered[DAYS[-1]], pd.concat(analytics.delivered.values())
    for grain, rows, period, start in (
        ("day", last, 1, "2025-10-31"),
        ("week", all_days, 2, "2025-10-27"),
        ("month", all_days, 2, "2025-10-01"),
    ):
        values = rows["session_duration_avg_minutes"].astype(float)
        rollup = rollups[grain]
        assert (rollup["period_days"], str(rollup["period_start"])) == (period, start)
        assert rollup["customer_days"] == values.count()
        assert rollup["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert rollup["standard_deviation"] == pytest.approx(values.std(), rel=1e-9)
        assert rollup["last_mean"] == pytest.approx(last["session_duration_avg_minutes"].astype(float).mean())
        assert rollup["customers"] == pytest.approx(N + 10, abs=2)
    changes = {
        r["grain"]: r
        for r in analytics.table("changes")
        if (r["dimension"], r["segment"], r["metric"]) == ("account_type", "all", "sessions_last_7_days")
    }
    before = analytics.delivered[DAYS[0]]["sessions_last_7_days"].astype(float).mean()
    assert set(changes) == {"day"}
    for change in changes.values():
        assert (str(change["previous_date"]), change["mean_before"]) == (DAYS[0], pytest.approx(before))
        assert change["mix"] + change["rate"] == pytest.approx(change["change"])


def test_correlations_agree_with_pandas(analytics: SmallAnalytics) -> None:
    rows = analytics.delivered[DAYS[-1]]
    pair = ["session_duration_avg_minutes", "tenure_months"]
    measured = next(
        r for r in analytics.table("correlations") if {r["first_metric"], r["second_metric"]} == set(pair)
    )
    expected = rows[pair].astype(float).corr(method="spearman").iloc[0, 1]
    assert measured["spearman"] == pytest.approx(expected)
    assert (measured["n"], measured["n_population"]) == (N + 10, N + 10)
    assert measured["pairs_tested"] > 100 and measured["p_adjusted"] >= measured["p_value"]


def test_the_result_says_what_was_made_and_what_is_missing(analytics: SmallAnalytics) -> None:
    result = analytics.first
    assert [str(d.snapshot_date) for d in result.days] == list(DAYS)
    assert result.days[0].previous is None and result.days[1].previous == date(2025, 10, 30)
    assert result.days[1].merged == {"day": 1, "week": 2, "month": 2}
    assert len(result.days[1].changes) == 5 and result.days[1].customers == N + 10
    assert sum(result.days[1].verdicts.values()) > 50
    codes = [(n.code, str(n.facts["snapshot_date"])) for n in result.notes]
    assert ("OneSnapshot", DAYS[0]) in codes and ("OneSnapshot", DAYS[1]) not in codes
    assert all(n.facts["tables"] == ("graph_features",) for n in result.notes if n.code == "AnalyzedWithout")


def test_tools_answer_from_what_the_stage_made(analytics: SmallAnalytics) -> None:
    """The lakes of the tools' own tests are made without Spark: here is one that is not."""
    insight = Insight(open_lake(analytics.settings, contract=ENGAGEMENT))
    delivered = analytics.delivered[DAYS[-1]].infer_objects()
    answer = insight.call("describe", {"metric": "session_duration_avg_minutes"})
    facts = {fact.label: fact for fact in answer.facts}
    mean = facts["session_duration_avg_minutes: mean"]
    assert mean.value == pytest.approx(delivered["session_duration_avg_minutes"].astype(float).mean())
    assert (str(mean.as_of), facts["customers"].value) == (DAYS[-1], len(delivered))
    trend = insight.call("trend", {"metric": "session_duration_avg_minutes"})
    assert [row[0] for row in trend.rows] == list(DAYS)
    unanswered = {}
    for tool in insight.tools:
        required = {a.name: (a.choices or ("CUST-000001",))[0] for a in tool.arguments if a.required}
        asked = required | ({"metric": "age"} if tool.name == "distribution" else {})
        try:
            insight.call(tool.name, asked)
        except EngageError as e:
            unanswered[tool.name] = e.code
    assert not unanswered.keys() & {"cohort", "what_changed", "check_claim", "correlate", "churn_drivers"}
    assert set(unanswered.values()) <= {"NotPublished", "Suppressed", "BadArgument"}, unanswered


def test_a_second_run_does_nothing_and_a_corrected_day_makes_later_ones_due(
    analytics: SmallAnalytics,
) -> None:
    before = analytics.digest()
    again = analytics.analyze()
    assert (again.days, again.notes) == ((), (Note("AnalyticsUpToDate"),))
    analytics.analyze(snapshot_date=date.fromisoformat(DAYS[1]), force=True)
    assert analytics.digest() == before

    deliver(rows_of(0).iloc[5:], ENGAGEMENT, analytics.home, DAYS[0])
    run_ingest(analytics.spark, analytics.settings, contract=ENGAGEMENT)
    visible = run_log(analytics.settings).publication(analytics.spark).visible(ANALYZE)
    assert visible == {}  # each of the days was made from the one that has changed
    corrected = analytics.analyze(snapshot_date=date.fromisoformat(DAYS[1]))
    (note,) = (n for n in corrected.notes if n.code == "DaysNotMerged")
    assert note.facts["days"] == (date.fromisoformat(DAYS[0]),)
    assert corrected.days[0].merged == {"day": 1, "week": 1, "month": 1}
    everything = analytics.analyze()
    assert [str(d.snapshot_date) for d in everything.days] == list(DAYS)
    assert everything.days[1].merged["month"] == 2
    assert everything.days[0].customers == N - 5


def test_another_business_goes_through_without_code(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    settings = settings_of(session_settings, tmp_path, landed_at=f"{DAYS[0]}T12:00:00Z")
    rows = stations(40)
    deliver(rows, BIKES, tmp_path, DAYS[0])
    run_ingest(spark, settings, contract=BIKES)
    result = run_analyze(spark, settings, contract=BIKES)
    (day,) = result.days
    assert day.customers == 40 and day.metrics > 2
    table = Lake(settings.lake).read(spark, "rollups")
    whole = {
        r["metric"]: r
        for r in table.where("dimension = 'all' AND grain = 'month'").collect()
        if r["metric"] != "customers"
    }
    assert whole["rides_started"]["mean"] == pytest.approx(rows["rides_started"].astype(float).mean())
    assert all(math.isfinite(r["mean"]) for r in whole.values() if r["customer_days"])


def test_a_log_that_is_delivered_again_leaves_its_claims_behind_until_the_next_analysis(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    settings = settings_of(session_settings, tmp_path, landed_at=f"{DAYS[0]}T12:00:00Z")
    rides, day = BIKES.logs[0], date.fromisoformat(DAYS[0])
    pairs: list[tuple[str | None, str | None]] = [(f"ST{i:04d}", f"ST{i + 1:04d}") for i in range(8)]
    deliver(stations(12), BIKES, tmp_path, DAYS[0])
    deliver_log(events(rides, pairs, [DAYS[0]]), rides, tmp_path)
    run_ingest(spark, settings, contract=BIKES)
    (first,) = run_analyze(spark, settings, contract=BIKES).days

    def verdict() -> tuple[str, int]:
        query = f"SELECT verdict, n FROM claims WHERE claim = '{rides.name}_references'"
        (row,) = open_lake(settings, contract=BIKES).sql(query).to_arrow().to_pylist()
        return row["verdict"], row["n"]

    assert verdict() == ("holds", 8)
    assert open_lake(settings, contract=BIKES).claims_of_earlier_checks(day) == {}
    deliver_log(events(rides, [*pairs, ("ST4444", "ST0001")], [DAYS[0]]), rides, tmp_path)
    run_ingest(spark, settings, contract=BIKES)
    with pytest.warns(UserWarning, match="on the checks of rides tell of an earlier delivery"):
        assert verdict() == ("holds", 8)
    (second,) = run_analyze(spark, settings, contract=BIKES).days
    assert second.run_id != first.run_id and verdict() == ("contradicted", 9)
    assert open_lake(settings, contract=BIKES).claims_of_earlier_checks(day) == {}


def wide_contract(*, has_area: bool = True) -> Contract:
    """The bikes contract with a dimension of any number of values and one that nobody fills in."""
    declared = yaml.safe_load((DATA / "bikes.odcs.yaml").read_text(encoding="utf-8"))
    (entity,) = (t for t in declared["schema"] if t["name"] == "stations")
    for f in entity["properties"]:
        if f["name"] in ("rides_started", "district"):
            use = "metric" if f["name"] == "rides_started" else "dimension"
            f.setdefault("customProperties", []).append({"property": "analytics", "value": [use]})
    for name in ("street", "area") if has_area else ("street",):
        uses = [{"property": "role", "value": "feature"}, {"property": "analytics", "value": ["dimension"]}]
        entity["properties"].append(
            {
                "name": name,
                "description": "Where.",
                "logicalType": "string",
                "physicalType": "string",
                "customProperties": uses,
            }
        )
    contract, problems = parse_contract(yaml.safe_dump(declared), origin="wide")
    assert problems == []
    return contract


def test_ten_thousand_categories_an_empty_dimension_and_an_older_contract(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    n = 9_999
    older, newer = wide_contract(has_area=False), wide_contract()
    settings = settings_of(session_settings, tmp_path, landed_at=f"{DAYS[1]}T12:00:00Z")
    rows = stations(n).assign(street=[f"street {i}" for i in range(n)])
    rows.loc[:999, "street"] = "Main Street"
    deliver(rows, older, tmp_path, DAYS[0])
    run_ingest(spark, settings, contract=older)
    first = run_analyze(spark, settings, contract=older)
    (merged,) = (note for note in first.notes if note.code == "SegmentsMerged")
    assert (merged.facts["dimension"], merged.facts["n_segments"]) == ("street", 200)
    assert merged.facts["n_customers"] == n - 1000 - 199

    deliver(rows.iloc[:300].assign(area=None), newer, tmp_path, DAYS[1])
    run_ingest(spark, settings, contract=newer, snapshot_date=date.fromisoformat(DAYS[1]))
    second = run_analyze(spark, settings, contract=newer, snapshot_date=date.fromisoformat(DAYS[1]))
    (day,) = second.days
    assert day.customers == 300
    runs = run_log(settings).publication(spark).visible(ANALYZE)
    of_day = Lake(settings.lake).read(spark, "segments").where(f"run_id = '{runs[day.snapshot_date].run_id}'")
    areas = {r["segment"]: r["customers"] for r in of_day.where("dimension = 'area'").collect()}
    assert set(areas.values()) == {300} and len(areas) == 1
    assert {"district", "street", "area"} <= {r["dimension"] for r in of_day.collect()}


def test_a_rejected_day_is_not_seen(spark: SparkSession, session_settings: Settings, tmp_path: Path) -> None:
    settings = settings_of(session_settings, tmp_path, landed_at=f"{DAYS[1]}T12:00:00Z")
    deliver(stations(40), BIKES, tmp_path, DAYS[0])
    bad = stations(40)
    bad["station_code"] = "ST0001"
    deliver(bad, BIKES, tmp_path, DAYS[1])
    with pytest.raises(GateError):
        run_ingest(spark, settings, contract=BIKES)
    assert [str(d.snapshot_date) for d in run_analyze(spark, settings, contract=BIKES).days] == [DAYS[0]]
    with pytest.raises(NotPublishedError):
        run_analyze(spark, settings, contract=BIKES, snapshot_date=date.fromisoformat(DAYS[1]))
