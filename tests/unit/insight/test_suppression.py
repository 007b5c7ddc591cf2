"""No answers together tell of fewer than 20 customers: what one tool hides, no other one gives away."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.analytics.changes import change_rows
from engage_spark.analytics.check_suppression import gates_of_few, rules_of_few
from engage_spark.analytics.plan import CountedDimension
from engage_spark.analytics.states import ALL, CUSTOMERS, DayStates, MetricState
from engage_spark.contract import Gate, load_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.errors import EngageError
from engage_spark.insight import Answer, Insight, SuppressedError
from engage_spark.insight.context_pack import context_pack
from engage_spark.insight.small_groups import HiddenSegments, hidden_segments
from engage_spark.insight.tools.common import FEW_MISSING_NOTE, HIDDEN_NOTE
from engage_spark.insight.tools.over_time import _changed_segments
from engage_spark.reader import open_lake
from engage_spark.report.elements import Grid
from engage_spark.report.sections.findings import claims
from engage_spark.report.source import Source
from tests.support.counted_lake import counted_lake
from tests.support.gym import CONTRACT, DAYS, HOSTILE, NEWEST, changed_contract, gym_insight, members
from tests.support.lake_without_spark import SmallLake

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


def test_a_correlation_does_not_tell_the_mean_over_the_few_of_a_class(tmp_path: Path) -> None:
    """Of a class of 3, mean = mean of all + correlation x deviation of both / share: the salary of three."""
    today = members(NEWEST)
    today["cancelled"] = [1 if i % 200 == 7 else 0 for i in range(len(today))]
    today["yearly_spend"] = [float(i % 97) + 500 * c for i, c in enumerate(today.cancelled)]
    counted_lake(tmp_path, CONTRACT, {NEWEST: today})
    few = gym_insight(tmp_path)
    with pytest.raises(SuppressedError):
        few.call("correlate", {"metric": "cancelled", "other": "yearly_spend"})
    assert "cancelled" not in {r["other"] for r in call(few, "correlate", metric="yearly_spend", limit=50)}
    for target in ("cancelled", "yearly_spend"):
        labels = {f.label for f in few.call("churn_drivers", {"target": target}).facts}
        assert not {x for x in labels if "correlation" in x and "cancelled" in x}


def test_gates_on_shares_do_not_tell_of_few() -> None:
    """The share of a rare value, the next one, and what is left of all; a mean of few rows."""
    shares = {"f": 55.0, "m": 43.0, "x": 0.5}
    gates = [Gate(name=f"sex_{v}", measure="share", column="sex", argument=v) for v in shares]
    gates += [Gate(name=n, measure=n, column="minutes") for n in ("mean", "completeness")]
    table = replace(CONTRACT.entity, gates=tuple(gates))
    results = [
        {"rule_name": f"sex_{v}", "rows_checked": 1000, "measured": share} for v, share in shares.items()
    ]
    assert gates_of_few(table, results) == {"sex_x"}, "it hides among 15 of other values"
    results[1]["measured"] = 43.5
    assert gates_of_few(table, results[:2]) == {"sex_m"}, "the rest of 15 would be told"
    few = [{"rule_name": n, "rows_checked": 19, "measured": 3.0} for n in ("mean", "completeness", "other")]
    assert gates_of_few(table, few) == {"mean"}


def test_what_a_comparison_puts_together_gives_no_segment_away() -> None:
    """A club that only one day names is among the others of both: these less those of the day are few."""
    clubs = {"A": 300, "B": 200, "C": 62, "D": 31, "(other)": 40}
    days = {DAYS[2]: clubs, NEWEST: {**clubs, "Tiny": 7}}
    states = {
        day: DayStates({("club", s, CUSTOMERS): MetricState(n) for s, n in sizes.items()})
        for day, sizes in days.items()
    }
    club = CountedDimension(name="club", kind=DimensionKind.CATEGORY, source="`club`", field="club")
    lines = list(change_rows("day", DAYS[2], states[DAYS[2]], states[NEWEST], [club]))
    assert {r["segment"]: r["n_after"] for r in lines if r["segment"] in ("(other)", "D")} == {
        "(other)": 47,
        "D": 31,
    }
    hidden = {day: HiddenSegments(of_day, analytics_spec_of(CONTRACT)) for day, of_day in states.items()}
    assert hidden[NEWEST].of("club") == {"Tiny", "D"}
    reader = SimpleNamespace(states=hidden.__getitem__)
    shown, n_hidden = _changed_segments(reader, tuple(days), lines, "club", CUSTOMERS)  # type: ignore[arg-type]
    assert ({r["segment"] for r in shown}, n_hidden) == ({"A", "B", "C"}, 2)


def test_a_claim_that_was_judged_on_few_is_hidden_whatever_the_contract_says_now(
    gym_tables: SmallLake, tmp_path: Path
) -> None:
    """The claim was of hermits when it was judged; by its name it is of others now."""
    old = "group: hermit, claimed: 2.0}"
    contract = changed_contract(tmp_path, {old: "group: \"plan = 'Gold'\", claimed: 2.0}"})
    insight = Insight(open_lake(gym_tables.root, contract=contract))
    with pytest.raises(SuppressedError):
        insight.call("check_claim", {"claim": "hermits_cancel"})
    answer = insight.call("check_claim")
    assert "hermits_cancel" not in {r["claim"] for r in rows_of(answer)}
    assert sum(int(f.value or 0) for f in answer.facts) == len(answer.rows)
    assert {f.filter for f in answer.facts} == {"the claims that are shown"}


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


def test_a_target_that_few_have_a_value_of_is_left_out_and_that_is_noted(tmp_path: Path) -> None:
    today = members(NEWEST)
    today["cancelled"] = [v if i < 15 else None for i, v in enumerate(today.cancelled)]
    counted_lake(tmp_path, CONTRACT, {NEWEST: today})
    answer = gym_insight(tmp_path).call("describe")
    assert [f.label for f in answer.facts] == ["customers", "yearly_spend: mean", "active: rate"]
    assert answer.notes == (HIDDEN_NOTE,)
    with pytest.raises(SuppressedError):
        gym_insight(tmp_path).call("describe", {"metric": "cancelled"})


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


def test_customers_without_a_value_cover_no_small_group(tmp_path: Path) -> None:
    """The total less what is shown and less those without a value, whom describe counts, is never few."""
    today = members(NEWEST)
    today.loc[today["club"] == HOSTILE, "club"] = None
    counted_lake(tmp_path, CONTRACT, {NEWEST: today})
    insight = gym_insight(tmp_path)
    rows = call(insight, "distribution", metric="customers", dimension="club")
    shown = {r["segment"]: r["n"] for r in rows}
    assert not {"Tiny", "Müller & Söhne"} & shown.keys(), "the next smallest club covers the one of 7"
    n_without = int(today["club"].isna().sum())
    assert len(today) - sum(n for s, n in shown.items() if s != "(null)") - n_without >= 20


@pytest.mark.parametrize("null", ["(null)", "(missing)"])
def test_who_has_no_value_is_hidden_when_few_and_covers_nobody(null: str) -> None:
    assert hidden_segments({"tiny": 7, null: 76, "a": 200, "b": 300}) == {"tiny", "a"}
    assert hidden_segments({null: 76, "a": 200, "b": 300}) == frozenset()
    assert hidden_segments({null: 7, "a": 200, "b": 300}) == {null, "a"}


def test_few_missing_values_are_not_told_beside_the_number_of_customers(tmp_path: Path) -> None:
    """Neither as a figure, nor as the customers less those with a value."""
    today = members(NEWEST)
    before = members(DAYS[2])
    today["minutes"] = [None if i < 7 else 10.0 + i % 50 for i in range(len(today))]
    today["cancelled"] = [None if i < 9 else v for i, v in enumerate(today.cancelled)]
    counted_lake(tmp_path, CONTRACT, {DAYS[2]: before, NEWEST: today})
    insight = gym_insight(tmp_path)
    minutes = insight.call("describe", {"metric": "minutes"})
    assert "minutes: mean" in {f.label for f in minutes.facts} and FEW_MISSING_NOTE in minutes.notes
    for arguments in ({"metric": "minutes"}, {}):
        answer = insight.call("describe", arguments)
        assert not {f.label for f in answer.facts if "missing" in f.label}
        numbers = {x for f in answer.facts for x in (f.value, f.n) if isinstance(x, int)}
        assert not {a - b for a in numbers for b in numbers} & set(range(1, 20)), arguments
    (rate,) = (f for f in insight.call("describe").facts if f.label == "cancelled: rate")
    assert (rate.n, rate.lower) == (None, None) and rate.value == round(rate.value, 2)
    changes = insight.call("what_changed", {})
    of_cancelled = next(r for r in rows_of(changes) if r["metric"] == "cancelled")
    assert (of_cancelled["n"], of_cancelled["before_n"]) == (None, None)
    figures = [of_cancelled[f] for f in ("before", "after", "change", "change_lower", "change_upper")]
    assert figures == [round(x, 2) for x in figures], "of 600, so that no figure is of one n alone"
    assert of_cancelled["change_lower"] <= of_cancelled["change"] <= of_cancelled["change_upper"]
    assert FEW_MISSING_NOTE in changes.notes


def test_no_claim_tells_how_few_lack_a_value(own_insight: Insight) -> None:
    """Neither by its n beside the number of customers, nor by its explanation; nor in the report."""
    n = 400
    lines = own_insight.lake.table("claims", as_of=NEWEST).to_arrow().to_pylist()
    few = {r["claim"]: r["n"] for r in lines if 0 < n - r["n"] < 20}
    answer = own_insight.call("check_claim")
    shown = {r["claim"]: r["n"] for r in rows_of(answer)}
    asked = sorted(few.keys() & shown.keys())
    assert len(asked) > 5 and {shown[name] for name in asked} == {None}
    assert n in shown.values() and FEW_MISSING_NOTE in answer.notes
    for name in asked[:3]:
        one = own_insight.call("check_claim", {"claim": name})
        assert str(few[name]) not in str([f.to_dict() for f in one.facts]) and FEW_MISSING_NOTE in one.notes
    table = next(p for p in claims(Source(own_insight.lake)).parts if p.title == "Every claim")
    assert isinstance(table, Grid)
    heads = [c.title for c in table.columns]
    of_few = [dict(zip(heads, row, strict=True)) for row in table.rows]
    of_few = [r for r in of_few if r["claim"].partition(",")[0] in asked]
    assert len(of_few) == len(asked) and {r["n"] for r in of_few} == {None}
    assert not [r for r in of_few if "customers;" in r["why"]]


def test_rules_that_few_customers_of_the_lake_broke_or_kept_do_not_tell_how_many() -> None:
    results = [
        {"rule_name": name, "severity": severity, "violations": n, "rows_checked": 600}
        for name, severity, n in (
            ("a", "warning", 7),
            ("b", "warning", 20),
            ("c", "critical", 7),
            ("d", "warning", 0),
            ("e", "warning", 593),
            ("f", "warning", 580),
            ("g", "info", 600),
        )
    ]
    assert rules_of_few(CONTRACT.entity, results) == {"a", "e"}


def test_a_page_of_statistics_does_not_tell_how_few_lack_a_value(tmp_path: Path) -> None:
    """It has the number of customers and the figures of every metric: here without their n."""
    today = members(NEWEST)
    today["minutes"] = [None if i < 7 else 10.0 + i % 50 for i in range(len(today))]
    counted_lake(tmp_path, CONTRACT, {NEWEST: today})
    pages = {page.name: page.text for page in context_pack(CONTRACT, gym_insight(tmp_path))}
    text = pages["statistics"]
    assert "customers: 600 customers, n = 600" in text
    assert "593" not in text and "minutes: mean: " in text
    figures = re.findall(r"minutes: (?:mean|standard deviation): (-?[\d.]+)", text)
    assert len(figures) == 2 and all(float(x) == round(float(x), 2) for x in figures), "of 600 customers"
