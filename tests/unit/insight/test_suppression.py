"""No answers together tell of fewer than 20 customers: what one tool hides, no other one gives away."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from engage_spark.analytics.states import ALL, CUSTOMERS, DayStates, MetricState
from engage_spark.contract import load_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.errors import EngageError
from engage_spark.insight import Answer, Insight, SuppressedError
from engage_spark.insight.small_groups import HiddenSegments, hidden_segments
from tests.support.counted_lake import counted_lake
from tests.support.gym import CONTRACT, DAYS, HOSTILE, NEWEST, gym_insight, members

METRICS = ("customers", "minutes")
DIMENSIONS = ("club", "minutes_quartile")


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    return [{c.name: answer.cell(row, c.name) for c in answer.columns} for row in answer.rows]


def call(gym: Insight, tool: str, **arguments: Any) -> list[dict[str, Any]]:
    try:
        return rows_of(gym.call(tool, arguments))
    except EngageError as e:
        assert e.code in ("Suppressed", "NotPublished", "BadArgument"), e
        return []


@pytest.fixture(scope="module")
def shown_by(gym: Insight) -> dict[tuple[str, str], dict[date, set[str]]]:
    return {(d, m): shown_segments(gym, d, m) for d, m in product(DIMENSIONS, METRICS)}


def shown_segments(gym: Insight, dimension: str, metric: str) -> dict[date, set[str]]:
    """Collect every segment that any tool shows a figure of, day by day."""
    shown: dict[date, set[str]] = defaultdict(set)
    for day in DAYS:
        as_of = str(day)
        for row in call(gym, "compare_segments", metric=metric, dimension=dimension, as_of=as_of):
            shown[day].add(row["segment"])
        for row in call(gym, "compare_segments", metric=metric, as_of=as_of):
            shown[day] |= {row["segment"]} if row["dimension"] == dimension else set()
        for row in call(gym, "distribution", metric=metric, dimension=dimension, as_of=as_of):
            shown[day].add(row["segment"])
        for grain in ("day", "week", "month"):
            rows = call(gym, "what_changed", metric=metric, dimension=dimension, grain=grain, as_of=as_of)
            for row in rows:
                shown[day].add(row["segment"])
                previous = [d for d in DAYS if d < day and _is_previous(d, day, grain)]
                shown[max(previous)].add(row["segment"])
        for segment in list(gym._reader.states(day).states.segments(dimension)):
            arguments = {"metric": metric, "dimension": dimension, "segment": segment, "as_of": as_of}
            try:
                gym.call("describe", arguments)
            except EngageError:
                continue
            shown[day].add(segment)
        if day in DAYS[2:]:
            for segment in list(gym._reader.states(day).states.segments(dimension)):
                for row in call(
                    gym, "trend", metric=metric, dimension=dimension, segment=segment, as_of=as_of
                ):
                    shown[date.fromisoformat(row["snapshot"])].add(segment)
    return shown


def _is_previous(d: date, day: date, grain: str) -> bool:
    if grain == "week":
        return d.isocalendar()[:2] < day.isocalendar()[:2]
    return grain == "day" or (d.year, d.month) < (day.year, day.month)


@pytest.mark.parametrize(("dimension", "metric"), list(product(DIMENSIONS, METRICS)))
def test_what_all_tools_together_leave_out_has_20_customers_or_none(
    gym: Insight, shown_by: Any, dimension: str, metric: str
) -> None:
    """The total less all that is shown is what a reader can work out: never 1 to 19 customers."""
    shown = shown_by[dimension, metric]
    for day in DAYS:
        states = gym._reader.states(day).states
        rest = sum(
            state.n
            for s in states.segments(dimension)
            if s not in shown[day] and (state := states.get(dimension, s, metric)) is not None
        )
        assert rest == 0 or rest >= 20, (day, rest)


def test_the_smallest_club_and_the_one_that_covers_it_are_hidden_everywhere(shown_by: Any) -> None:
    for metric in METRICS:
        shown = shown_by["club", metric]
        assert not {"Tiny", HOSTILE} & shown[NEWEST]
        assert "Müller & Söhne" in shown[NEWEST] and "Müller & Söhne" not in shown[DAYS[2]]


def test_a_week_does_not_give_a_hidden_day_away(gym: Insight) -> None:
    """Monday is hidden, Tuesday is shown: the week of both would be Monday's figure by subtraction."""
    arguments = {"metric": "yearly_spend", "dimension": "club", "segment": "Müller & Söhne"}
    days = call(gym, "trend", **arguments)
    assert [r["snapshot"] for r in days] == ["2025-09-30", "2025-10-19", "2025-10-21"]
    weeks = call(gym, "trend", grain="week", **arguments)
    assert [r["period_start"] for r in weeks] == ["2025-09-29", "2025-10-13"]
    months = call(gym, "trend", grain="month", **arguments)
    assert [r["period_start"] for r in months] == ["2025-09-01"]


def test_groups_of_rules_are_hidden_with_their_contrary(gym: Insight) -> None:
    today = members(NEWEST).infer_objects()
    hermits = int(((today.visits_last_30_days == 0) & (today.plan == "Gold")).sum())
    assert 0 < hermits < 20
    for target in ("cancelled", "yearly_spend"):
        for tool in ("churn_drivers", "recommend"):
            assert "hermit" not in {r["dimension"] for r in call(gym, tool, target=target, limit=50)}
    with pytest.raises(SuppressedError):
        gym.call("check_claim", {"claim": "hermits_cancel"})
    assert "hermits_cancel" not in {r["claim"] for r in call(gym, "check_claim")}


def test_small_cohorts_are_hidden_on_every_day(gym: Insight) -> None:
    for day in DAYS:
        rows = call(gym, "cohort", cohort_key="joined_month", metric="yearly_spend", as_of=str(day))
        assert all(r["n"] >= 20 for r in rows)
        n = len(members(day))
        rest = n - sum(r["n"] for r in rows)
        assert rest == 0 or rest >= 20
    with pytest.raises(SuppressedError):
        gym.call("cohort", {"cohort_key": "joined_month", "cohort": "2024-08"})


def test_means_of_neighbours_do_not_move_with_what_is_listed(gym: Insight) -> None:
    answers = [gym.call("similar_customers", {"customer": "M0003", "limit": n}) for n in (1, 20, 21, 50)]
    assert len({a.facts for a in answers}) == 1


def test_the_rest_of_a_small_lake_is_not_told_by_neighbours(tmp_path: Path) -> None:
    """The total less the 50 nearest would be the customer, and few others."""
    for n, is_shown in ((69, False), (70, True)):
        counted_lake(tmp_path / str(n), CONTRACT, {NEWEST: members(NEWEST).head(n)})
        answer = gym_insight(tmp_path / str(n)).call("similar_customers", {"customer": "M0003"})
        assert bool(answer.facts) is is_shown and answer.rows


def test_what_covers_a_group_depends_on_sizes_and_names_alone() -> None:
    sizes = {"b": 30, "a": 30, "tiny": 7, "c": 31}
    assert hidden_segments(sizes) == {"tiny", "a"} == hidden_segments(dict(reversed(sizes.items())))
    assert hidden_segments(sizes, {"a": 30, "b": 3, "c": 31, "tiny": 5}) == {"tiny", "a", "b"}
    assert hidden_segments({}) == frozenset()


def test_rules_of_one_field_do_not_tell_of_few_together() -> None:
    """Declared shares of a protected field, and thresholds of a number, are dimensions of their own."""
    spec = analytics_spec_of(load_contract())
    rules = {
        "gender_male": 505,
        "gender_female": 490,
        "gender_non_binary": 5,
        "churn_risk_login_over_14": 405,
        "churn_risk_login_over_30": 400,
    }
    states = {(ALL, ALL, CUSTOMERS): MetricState(1000)}
    for name, n in rules.items():
        states |= {(name, s, CUSTOMERS): MetricState(k) for s, k in (("true", n), ("false", 1000 - n))}
    hidden = HiddenSegments(DayStates(states), spec)
    assert [name for name in rules if not hidden.of(name)] == ["gender_male", "churn_risk_login_over_14"]
    assert hidden.of("churn_risk_login_over_30", "churn_30_day") == {"true", "false"}
