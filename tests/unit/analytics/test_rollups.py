"""Weeks and months merged from days equal a direct computation; changes part into mix and rate."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest

from engage_spark.analytics.changes import change_rows
from engage_spark.analytics.cohorts import cohort_rows
from engage_spark.analytics.plan import CountedDimension, CountedMetric, fixed_segments, whole
from engage_spark.analytics.rollups import Grain, days_of_period, last_day_before, rollup_rows
from engage_spark.analytics.state_rows import segment_rows, state_rows, to_day_states
from engage_spark.analytics.states import CUSTOMERS, DayStates, MetricState
from engage_spark.contract.analytics_spec import ACTIVE, CohortSpec, DimensionKind
from engage_spark.contract.statements import OverTime
from engage_spark.numerics import sketches
from engage_spark.numerics.sketches import RELATIVE_ERROR, DistinctCounter

FIRST, DAYS, CUSTOMERS_N = date(2024, 9, 3), 400, 200
METRICS = (
    CountedMetric(name="revenue", unit="USD", over_time=OverTime.ROLLING, rolling_days=30),
    CountedMetric(name="balance", unit="USD"),
)
PLAN = CountedDimension(name="plan", kind=DimensionKind.CATEGORY, values=("free", "paid"))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = DAYS * CUSTOMERS_N
    day = np.repeat(np.arange(DAYS), CUSTOMERS_N)
    frame = pd.DataFrame(
        {
            "day": [FIRST + timedelta(days=int(d)) for d in day],
            "customer": np.tile(np.arange(CUSTOMERS_N), DAYS) + day // 30 * 3,
            "plan": rng.choice(["free", "paid", None], n, p=[0.6, 0.35, 0.05]),
            "revenue": np.where(rng.random(n) < 0.05, np.nan, rng.gamma(2, 30, n)),
            "balance": rng.normal(0, 100, n).round(2),
        }
    )
    return frame[~((frame["day"] > date(2025, 2, 1)) & (frame["day"] < date(2025, 2, 9)))]


def states_of(rows: pd.DataFrame) -> DayStates:
    groups = [("all", "all", rows)]
    groups += [
        (
            "plan",
            "(null)" if plan is None else plan,
            rows[rows["plan"].isna() if plan is None else rows["plan"] == plan],
        )
        for plan in ("free", "paid", None)
    ]
    states = {}
    for dimension, segment, members in groups:
        if members.empty:
            continue
        who = DistinctCounter()
        who.add_numbers(members["customer"].to_numpy(np.int64))
        states[dimension, segment, CUSTOMERS] = MetricState(len(members), customers=who.to_bytes())
        for metric in METRICS:
            states[dimension, segment, metric.name] = MetricState.of(
                members[metric.name], with_quantiles=True
            )
    return DayStates(states)


@pytest.fixture(scope="module")
def by_day(rows: pd.DataFrame) -> dict[date, DayStates]:
    dimensions = [whole(), fixed_segments(PLAN)]
    stored = {day: list(state_rows(states_of(members), dimensions)) for day, members in rows.groupby("day")}
    return {day: to_day_states(reversed(lines)) for day, lines in stored.items()}


def test_stored_states_are_read_as_they_were(rows: pd.DataFrame, by_day: dict[date, DayStates]) -> None:
    assert dict(by_day[FIRST].states) == dict(states_of(rows[rows["day"] == FIRST]).states)


@pytest.mark.parametrize("day", [date(2024, 9, 3), date(2024, 12, 31), date(2025, 2, 9), date(2025, 3, 30)])
@pytest.mark.parametrize("grain", list(Grain))
def test_a_period_equals_its_rows_together(
    rows: pd.DataFrame, by_day: dict[date, DayStates], day: date, grain: Grain
) -> None:
    of_period = rows[(rows["day"] <= day) & (rows["day"] >= grain.start(day))]
    answers = duckdb.sql(
        """
        SELECT 'all' AS dimension, 'all' AS segment, metric, count(value) AS n,
               count(*) - count(value) AS nulls,
               avg(value) AS mean, stddev_samp(value) AS deviation, min(value) AS low, max(value) AS high,
               quantile_disc(value, 0.5) AS p50, quantile_disc(value, 0.95) AS p95,
               count(DISTINCT customer) AS customers, count(DISTINCT day) AS days
        FROM long GROUP BY metric
        UNION ALL
        SELECT 'plan', coalesce(plan, '(null)'), metric, count(value), count(*) - count(value), avg(value),
               stddev_samp(value), min(value), max(value), quantile_disc(value, 0.5),
               quantile_disc(value, 0.95), count(DISTINCT customer), NULL
        FROM long GROUP BY plan, metric
        """.replace(
            "FROM long",
            "FROM (SELECT day, customer, plan, unnest(['revenue', 'balance']) AS metric, "
            "unnest([nullif(revenue, 'nan'::DOUBLE), balance]) AS value FROM of_period)",
        )
    ).df()
    assert len(of_period)
    measured = {
        (r["dimension"], r["segment"], r["metric"]): r
        for r in rollup_rows(day, {d: s for d, s in by_day.items() if d <= day}, METRICS)
        if r["grain"] == grain.value and r["metric"] != CUSTOMERS
    }
    assert len(measured) == len(answers)
    for answer in answers.itertuples():
        row = measured[answer.dimension, answer.segment, answer.metric]
        assert (row["customer_days"], row["nulls"]) == (answer.n, answer.nulls)
        assert row["mean"] == pytest.approx(answer.mean, rel=1e-12)
        assert row["standard_deviation"] == pytest.approx(answer.deviation, rel=1e-9)
        assert (row["minimum"], row["maximum"]) == (answer.low, answer.high)
        for name in ("p50", "p95"):
            assert row[name] == pytest.approx(getattr(answer, name), rel=RELATIVE_ERROR)
        assert row["customers"] == pytest.approx(answer.customers, rel=0 if grain is Grain.DAY else 0.08)
        if answer.dimension == "all":
            assert row["period_days"] == answer.days
        assert row["period_start"] == grain.start(day)
        assert row["last_n"] == by_day[day].get(answer.dimension, answer.segment, answer.metric).n


def test_rolling_counters_and_stocks_are_means_and_never_sums(by_day: dict[date, DayStates]) -> None:
    day = date(2024, 9, 30)
    rows = {
        (r["grain"], r["metric"]): r for r in rollup_rows(day, by_day, METRICS) if r["dimension"] == "all"
    }
    month = rows["month", "revenue"]
    assert (month["over_time"], month["rolling_days"], month["unit"]) == ("rolling", 30, "USD")
    assert rows["month", "balance"]["rolling_days"] is None
    assert 50 < month["mean"] < 70 and month["period_days"] == 28
    assert rows["week", CUSTOMERS]["mean"] is None


def test_periods_begin_on_mondays_and_firsts() -> None:
    days = [date(2025, 1, 31), date(2025, 2, 1), date(2025, 2, 28), date(2025, 3, 2), date(2025, 3, 3)]
    assert days_of_period(Grain.WEEK, date(2025, 3, 2), days) == days[2:4]
    assert days_of_period(Grain.MONTH, date(2025, 3, 3), days) == days[3:]
    assert last_day_before(Grain.DAY, date(2025, 2, 28), days) == date(2025, 2, 1)
    assert last_day_before(Grain.WEEK, date(2025, 3, 3), days) == date(2025, 3, 2)
    assert last_day_before(Grain.WEEK, date(2025, 2, 28), days) is None
    assert last_day_before(Grain.MONTH, date(2025, 3, 3), days) == date(2025, 2, 28)


def test_mix_and_rate_add_up_to_the_change(by_day: dict[date, DayStates]) -> None:
    before, after = by_day[date(2024, 9, 30)], by_day[date(2025, 3, 30)]
    rows = list(change_rows("month", date(2024, 9, 30), before, after, [whole().dimension, PLAN]))
    for metric in ("revenue", "balance"):
        of_metric = [r for r in rows if r["metric"] == metric and r["dimension"] == "plan"]
        (total,) = (r for r in of_metric if r["segment"] == "all")
        parts = [r for r in of_metric if r["segment"] != "all"]
        assert total["change"] == total["mean_after"] - total["mean_before"]
        assert total["mix"] + total["rate"] == pytest.approx(total["change"], rel=1e-9)
        assert sum(p["change"] for p in parts) == pytest.approx(total["change"], rel=1e-9)
        assert total["change_lower"] < total["change"] < total["change_upper"]
    counts = {
        r["segment"]: r["change"] for r in rows if r["metric"] == CUSTOMERS and r["dimension"] == "plan"
    }
    assert counts.pop("all") == sum(counts.values())


def test_a_segment_that_appears_changes_the_mix_alone() -> None:
    whole_before, whole_after = MetricState.of([1.0, 3.0]), MetricState.of([1.0, 3.0, 11.0])
    before = DayStates({("all", "all", "x"): whole_before, ("plan", "free", "x"): MetricState.of([1.0, 3.0])})
    after = DayStates(
        {
            ("all", "all", "x"): whole_after,
            ("plan", "free", "x"): MetricState.of([1.0, 3.0]),
            ("plan", "paid", "x"): MetricState.of([11.0]),
        }
    )
    rows = {r["segment"]: r for r in change_rows("day", FIRST, before, after, [PLAN]) if r["metric"] == "x"}
    assert rows["paid"]["rate"] == 0 and rows["free"]["rate"] == 0
    assert rows["all"]["mix"] == pytest.approx(3.0) == rows["all"]["change"]


def test_values_that_only_one_day_has_a_segment_for_are_not_compared() -> None:
    city = CountedDimension(name="city", kind=DimensionKind.CATEGORY)
    parts = (
        {"a": [1.0, 2.0], "b": [4.0], "(other)": [9.0, 10.0]},
        {"a": [2.0], "c": [8.0], "(other)": [4.0]},
    )
    days = [
        DayStates(
            {
                ("all", "all", "x"): MetricState.of([x for v in p.values() for x in v]),
                ("all", "all", CUSTOMERS): MetricState(9),
            }
            | {("city", s, "x"): MetricState.of(v) for s, v in p.items()}
            | {("city", s, CUSTOMERS): MetricState(len(v)) for s, v in p.items()}
        )
        for p in parts
    ]
    rows = list(change_rows("day", FIRST, *days, [city]))
    of_x = {r["segment"]: r for r in rows if r["metric"] == "x"}
    assert of_x.keys() == {"all", "a", "(other)"}
    assert (of_x["(other)"]["n_before"], of_x["(other)"]["n_after"]) == (3, 2)
    assert of_x["(other)"]["mean_before"] == pytest.approx(23 / 3)
    total = of_x["all"]
    assert total["mix"] + total["rate"] == pytest.approx(total["change"])
    counts = {r["segment"]: (r["n_before"], r["n_after"]) for r in rows if r["metric"] == CUSTOMERS}
    assert counts == {"all": (9, 9), "a": (2, 1), "(other)": (3, 2)}
    # Without other values on either day, a value that is not there is a segment of nobody.
    days = [DayStates({k: v for k, v in d.states.items() if k[1] != "(other)"}) for d in days]
    assert {r["segment"] for r in change_rows("day", FIRST, *days, [city])} == {"all", "a", "b", "c"}


def test_segments_have_words_and_shares(by_day: dict[date, DayStates]) -> None:
    rows = list(segment_rows(by_day[FIRST], [whole(), fixed_segments(PLAN)]))
    assert [r["segment"] for r in rows] == ["all", "free", "paid", "(null)"]
    assert sum(r["share"] for r in rows[1:]) == pytest.approx(1)
    assert rows[1]["description"] == "plan is free"


def test_cohorts_have_ages_and_shares() -> None:
    key = CohortSpec(name="signup_month", is_month=True)
    states = DayStates(
        {
            ("signup_month", "2024-11", ACTIVE): MetricState.of([1, 0, 1, 1]),
            ("signup_month", "2024-11", "balance"): MetricState.of([5.0, 7.0]),
            ("signup_month", "(null)", ACTIVE): MetricState.of([1]),
        }
    )
    rows = list(cohort_rows(date(2025, 1, 5), states, [key], METRICS[1:]))
    assert [(r["metric"], r["age_months"], r["n"], r["value"]) for r in rows] == [
        ("retention", 2, 4, 0.75),
        ("balance", 2, 2, 6.0),
        ("retention", None, 1, 1.0),
    ]
    assert rows[0]["lower"] == pytest.approx(0.3006, abs=1e-4)


@pytest.mark.parametrize("estimate", [0, 5, 10**6])
def test_a_week_has_no_fewer_customers_than_a_day_and_no_more_than_its_days(
    estimate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "estimate_distinct", lambda _: estimate)
    who = DistinctCounter().to_bytes()
    days = {
        date(2024, 9, 2 + i): DayStates({("all", "all", CUSTOMERS): MetricState(n, customers=who)})
        for i, n in enumerate((100, 40))
    }
    customers = {r["grain"]: r["customers"] for r in rollup_rows(date(2024, 9, 3), days, METRICS)}
    assert customers["day"] == 40
    assert customers["week"] == customers["month"] == {0: 100, 5: 100, 10**6: 140}[estimate]


def test_a_week_says_on_how_many_of_its_days_a_segment_was_there() -> None:
    days = {
        date(2024, 9, 2 + i): DayStates({("city", s, CUSTOMERS): MetricState(5) for s in segments})
        for i, segments in enumerate((("a", "b"), ("a",), ("a", "c")))
    }
    rows = [r for r in rollup_rows(date(2024, 9, 4), days, METRICS) if r["grain"] == "week"]
    assert {r["segment"]: (r["segment_days"], r["period_days"]) for r in rows} == {
        "a": (3, 3),
        "b": (1, 3),
        "c": (1, 3),
    }
