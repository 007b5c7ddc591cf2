"""Every figure of the tools against a recount with pandas and scipy on the literal members."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from engage_spark.analytics.intervals import Estimate
from engage_spark.analytics.states import ALL, DayStates, MetricState
from engage_spark.contract.money import ContactMoney
from engage_spark.insight import Answer, Evidence, Insight
from engage_spark.insight.evidence import plain
from engage_spark.insight.tools import over_time
from engage_spark.insight.tools.comparing import _rank, _Segment
from engage_spark.insight.tools.customers import DISTANCE, _nearest
from engage_spark.insight.tools.relating import _is_drawn, _not_measured
from tests.support.gym import CONTRACT, DAYS, NEWEST, members

TODAY = members(NEWEST).infer_objects()
SEGMENTS = {"Basic", "Plus", "Gold"}


def value_of(answer: Answer, label: str) -> Evidence:
    (fact,) = [f for f in answer.facts if f.label == label]
    return fact


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    return [{c.name: answer.cell(row, c.name) for c in answer.columns} for row in answer.rows]


def test_without_a_metric_customers_targets_and_activity_are_described(gym: Insight) -> None:
    answer = gym.call("describe")
    assert value_of(answer, "customers").value == 600
    rate = value_of(answer, "cancelled: rate")
    assert rate.value == pytest.approx(TODAY.cancelled.mean())
    interval = stats.binomtest(int(TODAY.cancelled.sum()), 600).proportion_ci(method="wilson")
    assert (rate.lower, rate.upper) == pytest.approx((interval.low, interval.high))
    assert value_of(answer, "active: rate").value == pytest.approx((TODAY.visits_last_30_days > 0).mean())
    assert (rate.table, rate.run, rate.as_of, rate.n) == ("analytics_states", "a1021", NEWEST, 600)
    assert rate.version == gym.lake.versions(["analytics_states"])["analytics_states"]


def test_a_metric_of_a_segment_is_described(gym: Insight) -> None:
    answer = gym.call("describe", {"metric": "minutes", "dimension": "plan", "segment": "Plus"})
    values = pd.to_numeric(TODAY[TODAY.plan == "Plus"].minutes).dropna()
    mean = value_of(answer, "minutes: mean")
    assert (mean.value, mean.n, mean.unit) == (pytest.approx(values.mean()), len(values), "minutes")
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
    assert (mean.lower, mean.upper) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-4)
    assert (TODAY.plan == "Plus").sum() - len(values) < 20
    assert not {"customers", "minutes: missing values"} & {f.label for f in answer.facts}
    missing = value_of(gym.call("describe", {"metric": "minutes"}), "minutes: missing values")
    assert (missing.value, missing.n) == (TODAY.minutes.isna().sum(), len(TODAY))
    assert value_of(answer, "minutes: standard deviation").value == pytest.approx(values.std())
    assert value_of(answer, "minutes: p50 quantile").value == pytest.approx(values.median(), rel=0.02)
    assert mean.filter == "plan is Plus"


def test_quantiles_that_single_customers_make_are_not_shown(gym: Insight) -> None:
    labels = {f.label for f in gym.call("describe", {"metric": "minutes"}).facts}
    assert "minutes: p05 quantile" in labels
    few = gym.call("describe", {"metric": "minutes", "dimension": "plan", "segment": "Plus"})
    n = value_of(few, "minutes: mean").n
    assert n is not None and 80 <= n < 200
    assert {f.label for f in few.facts if "quantile" in f.label} == {
        "minutes: p25 quantile",
        "minutes: p50 quantile",
        "minutes: p75 quantile",
    }
    assert not any("minimum" in label or "maximum" in label for label in labels)


def test_an_empty_declared_segment_is_shown_as_empty(gym: Insight) -> None:
    answer = gym.call("describe", {"dimension": "plan", "segment": "Trial"})
    assert value_of(answer, "customers").value == 0


def test_customers_are_distributed_over_segments(gym: Insight) -> None:
    rows = rows_of(gym.call("distribution", {"dimension": "plan"}))
    shares = TODAY.plan.value_counts(normalize=True)
    assert {r["segment"]: r["share"] for r in rows} == {
        "Trial": 0,
        **{k: pytest.approx(v) for k, v in shares.items()},
    }
    quartiles = rows_of(gym.call("distribution", {"dimension": "minutes_quartile"}))
    ends = {r["segment"]: (r["from"], r["below"]) for r in quartiles}
    assert ends["Q1"][0] is None and ends["Q4"][1] is None
    assert (
        ends["Q1"][1]
        == ends["Q2"][0]
        == pytest.approx(np.nanquantile(TODAY.minutes.astype(float), 0.25), rel=0.02)
    )


def test_percentiles_are_shown_by_segment(gym: Insight) -> None:
    rows = rows_of(gym.call("distribution", {"metric": "minutes", "dimension": "plan"}))
    medians = TODAY.assign(minutes=pd.to_numeric(TODAY.minutes)).groupby("plan").minutes.median()
    assert {r["segment"]: r["p50"] for r in rows} == {
        k: pytest.approx(v, rel=0.02) for k, v in medians.items()
    }
    assert {r["segment"]: r["p05"] for r in rows}["Plus"] is None


def test_segments_are_compared_highest_first_with_all_others(gym: Insight) -> None:
    rows = rows_of(gym.call("compare_segments", {"metric": "yearly_spend", "dimension": "plan"}))
    assert [r["segment"] for r in rows] == sorted(
        SEGMENTS, key=lambda p: -TODAY[TODAY.plan == p].yearly_spend.mean()
    )
    gold, others = (TODAY[TODAY.plan.eq("Gold") == is_gold].yearly_spend for is_gold in (True, False))
    interval = stats.ttest_ind(gold, others, equal_var=False).confidence_interval()
    assert rows[0]["difference_from_others"] == pytest.approx(gold.mean() - others.mean())
    ends = (rows[0]["difference_from_others_lower"], rows[0]["difference_from_others_upper"])
    assert ends == pytest.approx((interval.low, interval.high), rel=1e-4)


def test_two_segments_are_compared_with_each_other(gym: Insight) -> None:
    arguments = {"metric": "yearly_spend", "dimension": "plan", "first": "Gold", "second": "Basic"}
    answer = gym.call("compare_segments", arguments)
    gold, basic = (TODAY[TODAY.plan == p].yearly_spend for p in ("Gold", "Basic"))
    difference = value_of(answer, "yearly_spend: Gold against Basic: difference")
    interval = stats.ttest_ind(gold, basic, equal_var=False).confidence_interval()
    assert (difference.lower, difference.upper) == pytest.approx((interval.low, interval.high), rel=1e-4)
    ratio = value_of(answer, "yearly_spend: Gold against Basic: ratio")
    assert ratio.value == pytest.approx(gold.mean() / basic.mean())
    assert difference.n == len(gold) + len(basic)
    counts = gym.call("compare_segments", arguments | {"metric": "customers"})
    assert value_of(counts, "customers: Gold against Basic: difference").value == len(gold) - len(basic)


def test_without_a_dimension_the_segments_of_all_are_compared(gym: Insight) -> None:
    rows = rows_of(gym.call("compare_segments", {"metric": "cancelled"}))
    assert {r["dimension"] for r in rows} == {"plan", "club", "sex", "minutes_quartile"}
    assert [r["rate"] for r in rows] == sorted((r["rate"] for r in rows), reverse=True)


def test_a_trend_goes_from_day_to_day(gym: Insight) -> None:
    answer = gym.call("trend", {"metric": "yearly_spend"})
    means = [members(day).yearly_spend.astype(float).mean() for day in DAYS]
    rows = rows_of(answer)
    assert [r["mean"] for r in rows] == pytest.approx(means)
    assert (rows[0]["snapshot"], rows[0]["run"]) == ("2025-09-30", "a0930")
    (change,) = answer.facts
    assert change.value == pytest.approx(means[-1] - means[0])
    assert change.lower is not None and change.lower < means[-1] - means[0]
    first = next(iter(answer.evidence_of(answer.rows[0])))
    assert (first.as_of, first.run) == (DAYS[0], "a0930")


def test_a_trend_of_weeks_and_months_merges_days(gym: Insight) -> None:
    weeks = rows_of(gym.call("trend", {"metric": "yearly_spend", "grain": "week"}))
    assert [(r["period_start"], r["snapshots"]) for r in weeks] == [
        ("2025-09-29", 1),
        ("2025-10-13", 1),
        ("2025-10-20", 2),
    ]
    both = pd.concat([members(day) for day in DAYS[2:]]).yearly_spend.astype(float)
    assert (weeks[-1]["mean"], weeks[-1]["n"]) == (pytest.approx(both.mean()), len(both))
    months = rows_of(gym.call("trend", {"metric": "customers", "grain": "month", "as_of": "2025-10-20"}))
    assert [r["snapshots"] for r in months] == [1, 2]


def test_cohorts_show_retention_and_values(gym: Insight) -> None:
    rows = rows_of(gym.call("cohort", {"cohort_key": "joined_month"}))
    of_month = TODAY[TODAY.months == 1]
    september = next(r for r in rows if r["cohort"] == "2025-09")
    assert (september["retention"], september["n"], september["age_months"]) == (
        pytest.approx((of_month.visits_last_30_days > 0).mean()),
        len(of_month),
        1,
    )
    spend = rows_of(gym.call("cohort", {"cohort_key": "plan", "metric": "yearly_spend"}))
    assert {r["cohort"]: r["yearly_spend"] for r in spend} == {
        p: pytest.approx(TODAY[TODAY.plan == p].yearly_spend.mean()) for p in SEGMENTS
    }
    one = rows_of(gym.call("cohort", {"cohort_key": "plan", "cohort": "Gold"}))
    assert [r["snapshot"] for r in one] == [str(day) for day in DAYS]


def test_a_cohort_of_more_days_than_are_shown_is_truncated(
    gym: Insight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_time, "MOST_ROWS", 3)
    answer = gym.call("cohort", {"cohort_key": "plan", "cohort": "Gold"})
    assert [r["snapshot"] for r in rows_of(answer)] == [str(day) for day in DAYS[1:]]
    assert answer.truncated


def test_changes_are_those_since_the_snapshot_before(gym: Insight) -> None:
    answer = gym.call("what_changed", {"metric": "yearly_spend"})
    before, after = (members(day).yearly_spend.astype(float) for day in DAYS[2:])
    change = value_of(answer, f"yearly_spend: change since {DAYS[2]}")
    assert change.value == pytest.approx(after.mean() - before.mean())
    interval = stats.ttest_ind(after, before, equal_var=False).confidence_interval()
    assert (change.lower, change.upper) == pytest.approx((interval.low, interval.high), rel=1e-4)
    (row,) = rows_of(answer)
    assert (row["before"], row["after"]) == pytest.approx((before.mean(), after.mean()))
    assert value_of(gym.call("what_changed"), f"customers: change since {DAYS[2]}").value == 50


def test_the_parts_of_a_change_sum_to_it(gym: Insight) -> None:
    answer = gym.call("what_changed", {"metric": "yearly_spend", "dimension": "plan", "grain": "month"})
    whole = value_of(answer, f"yearly_spend: change since {DAYS[0]}")
    assert sum(r["mix"] + r["rate"] for r in rows_of(answer)) == pytest.approx(whole.value)
    assert {r["verdict"] for r in rows_of(answer)} == {None}


def test_the_first_snapshot_has_nothing_to_compare_with(gym: Insight) -> None:
    answer = gym.call("what_changed", {"as_of": str(DAYS[0])})
    assert not answer.rows and "no snapshot of the day before" in answer.notes[0]


def test_correlations_are_those_of_the_day(gym: Insight) -> None:
    answer = gym.call("correlate", {"metric": "cancelled", "other": "visits_last_30_days"})
    (row,) = rows_of(answer)
    expected = stats.spearmanr(TODAY.cancelled, TODAY.visits_last_30_days)
    assert row["spearman"] == pytest.approx(expected.statistic)
    assert row["pearson"] == pytest.approx(np.corrcoef(TODAY.cancelled, TODAY.visits_last_30_days)[0, 1])
    ranked = rows_of(gym.call("correlate", {"metric": "cancelled", "limit": 2}))
    assert len(ranked) == 2 and ranked[0]["other"] in ("visits_last_30_days", "active")
    assert any("association" in note for note in answer.notes)


@pytest.mark.parametrize(("n", "is_drawn"), [(500, False), (499, True)])
def test_correlations_of_a_part_of_the_customers_are_noted(n: int, is_drawn: bool) -> None:
    """Of 600 with 580 and 520 values, at least 500 have both."""
    states = DayStates({(ALL, ALL, "a"): MetricState(580), (ALL, ALL, "b"): MetricState(520)})
    row = {"first_metric": "a", "second_metric": "b", "n": n, "n_population": 600}
    assert _is_drawn(states, row) is is_drawn


def test_what_goes_with_a_target_comes_by_lift(gym: Insight) -> None:
    answer = gym.call("churn_drivers")
    assert answer.arguments["target"] == "cancelled"
    first = rows_of(answer)[0]
    rare = TODAY.visits_last_30_days < 4
    with_rule, without = TODAY[rare].cancelled.mean(), TODAY[~rare].cancelled.mean()
    assert (first["dimension"], first["segment"]) == ("rare_visits", "true")
    assert (first["lift"], first["rate_in_group"]) == pytest.approx((with_rule / without, with_rule))
    assert first["lift_lower"] > 1
    assert not any("caus" in n.replace("causes the other", "") for n in answer.notes)
    spend = rows_of(gym.call("churn_drivers", {"target": "yearly_spend"}))
    assert {("gold_plan", "true"), ("plan", "Gold")} <= {(r["dimension"], r["segment"]) for r in spend}


def test_a_claim_has_its_verdict_and_measure(gym: Insight) -> None:
    answer = gym.call("check_claim", {"claim": "gold_spends_double"})
    ratio = TODAY[TODAY.plan == "Gold"].yearly_spend.mean() / TODAY[TODAY.plan == "Basic"].yearly_spend.mean()
    assert value_of(answer, "measured").value == pytest.approx(ratio)
    assert value_of(answer, "verdict").value == "holds"
    every = gym.call("check_claim")
    assert {r["claim"] for r in rows_of(every)} >= {"gold_spends_double", "happiness"}
    untold = rows_of(gym.call("check_claim", {"verdict": "cannot_be_told"}))
    assert {r["verdict"] for r in untold} == {"cannot_be_told"}


def test_a_customer_is_explained_by_the_predictions(gym: Insight) -> None:
    answer = gym.call("explain_customer", {"customer": "M0005"})
    assert value_of(answer, "cancelled: probability").value == pytest.approx(0.5)
    spend = value_of(answer, "yearly_spend: prediction")
    assert (spend.value, spend.lower, spend.upper, spend.unit) == (15.0, 10.0, 20.0, "USD")
    reasons = {(r["target"], r["feature"]): r["value"] for r in rows_of(answer)}
    assert reasons["cancelled", "a_personal_field"] == "***"
    assert {
        r["target"]
        for r in rows_of(gym.call("explain_customer", {"customer": "M0005", "target": "cancelled"}))
    } == {"cancelled"}


def test_the_evidence_of_a_figure_is_its_own(gym: Insight) -> None:
    """Of whom, on how many and by which run: also where figures of a row or a table differ in that."""
    drivers = gym.call("churn_drivers", {"limit": 50})
    for row in drivers.rows:
        inside, outside, lift, *_ = drivers.evidence_of(row)
        assert outside.filter == f"others than {inside.filter}"
        if row[0] in ("plan", "club"):
            of = TODAY[TODAY[str(row[0])] == row[1]]
            assert (inside.n, outside.n) == (len(of), len(TODAY) - len(of))
        assert lift.filter == inside.filter
    reasons = gym.call("explain_customer", {"customer": "M0005"})
    runs = {(e.label.partition(":")[0], e.run) for e in reasons.evidence()}
    assert runs == {("cancelled", "scancelled"), ("yearly_spend", "syearly_spend")}
    claim = gym.call("check_claim", {"claim": "gold_spends_double"})
    whom = "customers with plan = 'Gold', against customers with plan = 'Basic'"
    assert value_of(claim, "measured").filter == whom
    every = gym.call("check_claim")
    measured = {e.label: e.filter for e in every.evidence() if e.label.endswith(": measured")}
    assert measured["gold_spends_double: measured"] == whom


def test_what_has_no_value_is_not_the_highest() -> None:
    nobody, below = Estimate(None), Estimate(-3.0)
    segments = [_Segment("plan", "Trial", 0, nobody, nobody), _Segment("plan", "Gold", 30, below, below)]
    assert [s.segment for s in sorted(segments, key=_rank)] == ["Gold", "Trial"]


def test_a_customer_is_not_similar_to_themselves_whatever_their_key_is() -> None:
    keys = pa.array([Decimal(f"{i}.50") for i in range(5)], pa.decimal128(9, 2))
    batch = pa.record_batch({"id": keys, "x": pa.array([0.0, 1.0, 2.0, 3.0, 4.0])})
    entity = SimpleNamespace(name="people", key=("id",))
    reader = SimpleNamespace(
        words=SimpleNamespace(contract=SimpleNamespace(entity=entity), targets=()),
        lake=SimpleNamespace(batches=lambda *_, **__: [batch]),
    )
    own = {"id": Decimal("1.5"), "x": 1.0}
    near = _nearest(reader, NEWEST, {"x": (2.0, 1.0)}, own, 2)  # type: ignore[arg-type]
    assert [(r["id"], r[DISTANCE]) for r in near] == [(Decimal("0.50"), 1.0), (Decimal("2.50"), 1.0)]


def test_numbers_of_any_kind_are_plain_json() -> None:
    values = (Decimal("1.5"), Decimal("NaN"), float("inf"), NEWEST, None)
    assert [plain(v) for v in values] == [1.5, None, None, "2025-10-21", None]


def test_similar_customers_are_the_nearest_in_public_numbers(gym: Insight) -> None:
    answer = gym.call("similar_customers", {"customer": "M0005", "limit": 5})
    numbers = TODAY[["visits_last_30_days", "minutes", "months"]].astype(float)
    # months is no metric here, so it has no scale
    scaled = ((numbers - numbers.mean()) / numbers.std()).fillna(0.0)[["visits_last_30_days", "minutes"]]
    distance = np.sqrt(((scaled - scaled.iloc[5]) ** 2).sum(axis=1)).drop(5)
    nearest = distance.sort_values(kind="stable").index[:5]
    assert [r["distance"] for r in rows_of(answer)] == pytest.approx(distance[nearest].tolist())
    fifty = TODAY.loc[distance.sort_values(kind="stable").index[:50]]
    mean = value_of(answer, "cancelled: mean of the 50 most similar customers")
    assert mean.value == pytest.approx(fifty.cancelled.mean(), abs=0.041)  # ties at the end
    assert answer.truncated


def test_recommendations_say_whom_for_what_and_how_to_test(gym: Insight) -> None:
    answer = gym.call("recommend", {"effect": 0.5})
    rows = rows_of(answer)
    rare = TODAY[TODAY.visits_last_30_days < 4]
    first = next(r for r in rows if r["dimension"] == "rare_visits")
    rate = rare.cancelled.mean()
    assert first["n"] == len(rare)
    assert first["cost"] == 5 * len(rare)
    assert first["gain"] == pytest.approx(len(rare) * (rate * 0.2 * 125 - 5))
    interval = stats.binomtest(int(rare.cancelled.sum()), len(rare)).proportion_ci(method="wilson")
    ends = [len(rare) * (r * 0.2 * 125 - 5) for r in (interval.low, interval.high)]
    assert [first["gain_lower"], first["gain_upper"]] == pytest.approx(ends)
    p, q = rate, rate / 2
    m = (p + q) / 2
    size = (
        (1.959964 * np.sqrt(2 * m * (1 - m)) + 0.841621 * np.sqrt(p * (1 - p) + q * (1 - q))) / (p - q)
    ) ** 2
    assert first["test_customers_per_half"] == np.ceil(size)
    assert not {"sex"} & {r["dimension"] for r in rows}
    assert {c.unit for c in answer.columns if c.name in ("cost", "gain")} == {"USD"}
    assert any("not measured here; source: the desk" in n for n in answer.notes)


def test_notes_on_recommendations_state_small_shares_as_they_are(gym: Insight) -> None:
    declared = gym.lake.contract.entity["cancelled"].money
    assert declared is not None
    answer = with_money(gym.lake, replace(declared, success=0.004)).call("recommend", {"effect": "0.015"})
    text = " ".join(answer.notes)
    assert "succeeds with 0.4% of those" in text and "change of the rate by 1.5% with" in text
    assert "A higher rate of cancelled is taken for worse." in answer.notes


def test_of_a_number_groups_below_are_recommended_without_money(gym: Insight) -> None:
    answer = gym.call("recommend", {"target": "yearly_spend"})
    rows = rows_of(answer)
    assert {("plan", "Basic"), ("plan", "Plus")} <= {(r["dimension"], r["segment"]) for r in rows}
    assert not {"cost", "gain"} & {c.name for c in answer.columns}
    basic, others = (TODAY[TODAY.plan.eq("Basic") == is_basic].yearly_spend for is_basic in (True, False))
    row = next(r for r in rows if r["segment"] == "Basic")
    assert row["shortfall"] == pytest.approx(len(basic) * (others.mean() - basic.mean()))


def test_contacts_that_cost_more_than_they_keep_are_not_advised(gym: Insight) -> None:
    lake = gym.lake
    declared = lake.contract.entity["cancelled"].money
    assert declared is not None
    answer = with_money(lake, replace(declared, cost=40.0)).call("recommend")
    assert {row[-1].split(":")[1] for row in answer.rows} == {" do not contact the whole group."}
    assert all(r["gain_upper"] < 0 for r in rows_of(answer))


def test_without_money_groups_are_ordered_by_what_they_have_too_many_of(gym: Insight) -> None:
    answer = with_money(gym.lake, None).call("recommend", {})
    rows = rows_of(answer)
    assert not {"cost", "gain"} & {c.name for c in answer.columns}
    row = next(r for r in rows if r["dimension"] == "rare_visits")
    rare = TODAY.visits_last_30_days < 4
    others = TODAY[~rare].cancelled.mean()
    assert row["excess"] == pytest.approx(rare.sum() * (TODAY[rare].cancelled.mean() - others))
    assert [r["excess"] for r in rows] == sorted((r["excess"] for r in rows), reverse=True)
    assert any("declares no money of cancelled" in n for n in answer.notes)


def with_money(lake: Any, money: ContactMoney | None) -> Insight:
    """The tools on the same lake, whose contract declares other money of the first target."""
    entity = lake.contract.entity
    fields = tuple(replace(f, money=money) if f.name == "cancelled" else f for f in entity.fields)
    tables = tuple(replace(t, fields=fields) if t is entity else t for t in lake.contract.tables)
    return Insight(replace(lake, contract=replace(lake.contract, tables=tables)))


def test_groups_of_protected_fields_are_compared(gym: Insight) -> None:
    answer = gym.call("fairness", {"attribute": "sex"})
    rates = TODAY.groupby("sex").cancelled.mean()
    assert {f.filter: f.value for f in answer.facts} == {
        f"sex is {s}": pytest.approx(rate) for s, rate in rates.items()
    }
    assert any("model_monitoring has no published snapshot" in n for n in answer.notes)


EVERY = [
    ("describe", {}),
    ("describe", {"metric": "minutes", "dimension": "club", "segment": "North"}),
    ("distribution", {"metric": "minutes"}),
    ("distribution", {"dimension": "club"}),
    ("compare_segments", {"metric": "cancelled", "dimension": "club"}),
    ("trend", {"metric": "customers"}),
    ("cohort", {}),
    ("what_changed", {}),
    ("what_changed", {"dimension": "club"}),
    ("data_quality", {}),
    ("check_claim", {}),
    ("correlate", {"metric": "minutes"}),
    ("churn_drivers", {}),
    ("explain_customer", {"customer": "M0005"}),
    ("similar_customers", {"customer": "M0005"}),
    ("recommend", {}),
    ("fairness", {}),
]


@pytest.mark.parametrize(("tool", "arguments"), EVERY)
def test_every_answer_is_plain_json_with_evidence_for_each_figure(
    gym: Insight, tool: str, arguments: dict[str, Any]
) -> None:
    answer = gym.call(tool, arguments)
    assert json.loads(json.dumps(answer.to_dict(), allow_nan=False)) == answer.to_dict()
    evidence = list(answer.evidence())
    assert evidence
    for e in evidence:
        assert e.table in (*gym.lake.views, "runs") and e.run and e.version >= 0 and e.as_of <= NEWEST
        assert e.lower is None or e.upper is None or e.lower <= e.upper
    cells = [
        value
        for row in answer.rows
        for column, value in zip(answer.columns, row, strict=True)
        if column.role == "value" and value is not None
    ]
    told = {v for e in evidence for v in (e.value, e.lower, e.upper, e.n)}
    assert set(cells) <= told


def test_answers_are_the_same_from_another_session(gym: Insight) -> None:
    other = Insight(gym.lake)
    for tool, arguments in EVERY:
        assert other.call(tool, arguments) == gym.call(tool, arguments)


def test_the_contract_names_what_may_be_asked() -> None:
    from engage_spark.insight import tools_of

    tools = {t.name: t for t in tools_of(CONTRACT)}
    assert len(tools) == 15
    metric = tools["describe"].argument("metric")
    assert metric is not None and metric.choices[:2] == ("cancelled", "yearly_spend")
    assert all(len(t.arguments) <= 5 for t in tools.values())
    dimension = tools["describe"].argument("dimension")
    assert dimension is not None and "postcode" not in dimension.choices


def test_what_was_not_measured_is_named_with_its_own_reason() -> None:
    rows = [
        {"indicator": "a", "reason": "no rows"},
        {"indicator": "b", "reason": "it needs the graph."},
        {"indicator": "c", "reason": "no rows"},
    ]
    reader = SimpleNamespace(of_day=lambda *_: rows)
    assert _not_measured(reader, NEWEST, "cancelled") == [  # type: ignore[arg-type]
        f"Not measured on {NEWEST}: a, c: no rows.",
        f"Not measured on {NEWEST}: b: it needs the graph.",
    ]
