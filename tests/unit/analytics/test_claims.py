"""Verdicts on claims: literal states with known answers, and how often a true claim is denied."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from engage_spark.analytics.claims import CheckOutcome, Judgement, Verdict, claim_rows, judge
from engage_spark.analytics.plan import segment_of
from engage_spark.contract import system_contract
from engage_spark.contract.analytics_spec import AnalyticsSpec, ClaimSpec
from engage_spark.contract.statements import ClaimKind, Shape
from tests.unit.analytics.day_states import rule, states_of


def claim(kind: ClaimKind, **arguments: Any) -> ClaimSpec:
    return ClaimSpec(name="c", version=1, statement="s", source="here", kind=kind, **arguments)


def of_groups(group: Any, rest: Any, kind: ClaimKind = ClaimKind.RATIO, **arguments: Any) -> Judgement:
    values = np.concatenate([np.asarray(group, float), np.asarray(rest, float)])
    states = states_of({"score": values}, {"g": rule(np.arange(len(values)) < len(group))})
    return judge(claim(kind, metric="score", dimension="g", segment="true", **arguments), states, {})


def around(mean: float, n: int, spread: float = 0.1) -> list[float]:
    """n values that alternate around a mean."""
    return [mean + spread * (1 if i % 2 else -1) for i in range(n)]


@pytest.mark.parametrize(
    ("group", "rest", "verdict"),
    [
        (3.0, 1.0, Verdict.HOLDS),
        (3.5, 1.0, Verdict.HOLDS),  # at least the size
        (1.8, 1.0, Verdict.WEAKER),
        (1.0, 1.0, Verdict.ABSENT),
        (0.5, 1.0, Verdict.CONTRADICTED),
        (2.8, 1.0, Verdict.CANNOT_BE_TOLD),  # the very bound: an effect of 2 less 10%
    ],
)
def test_a_ratio_of_two_groups(group: float, rest: float, verdict: Verdict) -> None:
    judged = of_groups(around(group, 200), around(rest, 200), claimed=3.0)
    assert judged.verdict is verdict, judged.explanation
    assert judged.estimate.value == pytest.approx(group / rest)
    assert judged.n == 400


@pytest.mark.parametrize(
    ("group", "rest", "verdict"),
    [
        (0.95, 0.6, Verdict.HOLDS),
        (0.75, 0.6, Verdict.WEAKER),
        (0.6, 0.6, Verdict.ABSENT),
        (0.5, 0.6, Verdict.CONTRADICTED),
        (0.88, 0.6, Verdict.CANNOT_BE_TOLD),
        (0.893, 0.95, Verdict.CANNOT_BE_TOLD),  # the rest says nothing of the group's size
        (0.95, 0.99, Verdict.HOLDS),
    ],
)
def test_the_retention_of_a_group_is_one_less_its_churn(group: float, rest: float, verdict: Verdict) -> None:
    def churned(retained: float) -> list[float]:
        return [0.0 if i < retained * 1000 else 1.0 for i in range(1000)]

    judged = of_groups(
        churned(group),
        churned(rest),
        ClaimKind.GROUP_MEAN,
        complement=True,
        claimed=0.9,
        unit="share",
    )
    assert judged.verdict is verdict, judged.explanation
    assert judged.estimate.value == pytest.approx(group)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (100, Verdict.HOLDS),
        (20, Verdict.WEAKER),
        (0, Verdict.ABSENT),
        (-30, Verdict.CONTRADICTED),
        (400, Verdict.CONTRADICTED),
        (50, Verdict.CANNOT_BE_TOLD),
    ],
)
def test_a_difference_within_a_range(difference: float, verdict: Verdict) -> None:
    judged = of_groups(
        around(500 + difference, 300), around(500, 300), ClaimKind.DIFFERENCE, low=50.0, high=200.0
    )
    assert judged.verdict is verdict, judged.explanation


@pytest.mark.parametrize(
    ("mean", "spread", "verdict"),
    [
        (10.5, 0.1, Verdict.HOLDS),
        (13.0, 0.1, Verdict.CONTRADICTED),
        (7.0, 0.1, Verdict.CONTRADICTED),
        (10.5, 30.0, Verdict.CANNOT_BE_TOLD),
    ],
)
def test_a_declared_mean_within_a_margin_of_10_percent(mean: float, spread: float, verdict: Verdict) -> None:
    states = states_of({"score": around(mean, 400, spread)}, {})
    judged = judge(claim(ClaimKind.REFERENCE_MEAN, metric="score", claimed=10.0), states, {})
    assert judged.verdict is verdict, judged.explanation
    if verdict is Verdict.CANNOT_BE_TOLD:
        assert "customers would decide" in judged.explanation


def test_a_mean_of_a_skewed_metric_needs_more_rows_and_says_how_many() -> None:
    values = [1.0] * 399 + [1000.0]  # skewness 19.9, so 25 times its square is about 9,900
    judged = judge(
        claim(ClaimKind.REFERENCE_MEAN, metric="score", claimed=3.5),
        states_of({"score": values}, {}),
        {},
    )
    assert judged.verdict is Verdict.CANNOT_BE_TOLD
    assert "9,8" in judged.explanation or "9,9" in judged.explanation, judged.explanation


@pytest.mark.parametrize(
    ("hits", "verdict"),
    [(700, Verdict.HOLDS), (500, Verdict.CONTRADICTED), (735, Verdict.CANNOT_BE_TOLD)],
)
def test_a_share_is_of_the_customers_whose_value_is_known(hits: int, verdict: Verdict) -> None:
    n = 1000 if verdict is not Verdict.HOLDS else 10_000
    free = hits * n // 1000
    kinds = ["Free"] * free + ["Paid"] * (n - free) + [None] * 500
    states = states_of({"score": np.ones(len(kinds))}, {"kind": kinds})
    judged = judge(
        claim(ClaimKind.REFERENCE_SHARE, dimension="kind", segment="Free", claimed=0.7), states, {}
    )
    assert judged.verdict is verdict, judged.explanation
    assert (judged.n, judged.estimate.value) == (n, hits / 1000)


@pytest.mark.parametrize("claimed", [1.1, 1.0001])
@pytest.mark.parametrize(("group", "verdict"), [(1.0, Verdict.ABSENT), (0.995, Verdict.CONTRADICTED)])
def test_a_small_ratio_does_not_hold_without_an_effect(
    claimed: float, group: float, verdict: Verdict
) -> None:
    judged = of_groups(around(group, 4000, 1e-5), around(1.0, 4000, 1e-5), claimed=claimed)
    assert judged.verdict is verdict, judged.explanation


@pytest.mark.parametrize("claimed", [0.0, 1.0])
@pytest.mark.parametrize(
    ("exceptions", "n", "verdict", "text"),
    [
        (0, 5000, Verdict.HOLDS, "5,000"),
        (1, 5000, Verdict.CONTRADICTED, "fewer than 20 of 5,000"),
        (1, 25, Verdict.CONTRADICTED, "fewer than 20 of 25"),
        (3000, 5000, Verdict.CONTRADICTED, "3,000 of 5,000"),
        (0, 10, Verdict.CANNOT_BE_TOLD, "fewer than 20 customers are too few"),
    ],
)
def test_what_is_said_of_all_or_none_has_no_counterexample(
    claimed: float, exceptions: int, n: int, verdict: Verdict, text: str
) -> None:
    holds = (np.arange(n) >= exceptions) == (claimed == 1.0)
    states = states_of({"score": holds}, {"g": rule(holds)})
    for measured in ({"dimension": "g", "segment": "true"}, {"metric": "score"}):
        judged = judge(claim(ClaimKind.SHARE, claimed=claimed, **measured), states, {})
        assert judged.verdict is verdict, judged.explanation
        assert text in judged.explanation
        assert (judged.n_group, judged.n_rest) == (holds.sum(), n - holds.sum())


@pytest.mark.parametrize("value", ["all", "(null)", "(other)", "true", "plain"])
def test_a_value_that_is_named_like_a_segment_is_judged_like_any_other(value: str) -> None:
    kinds = [segment_of(value).name] * 300 + ["else"] * 700
    states = states_of({"score": np.arange(1000.0) < 300}, {"kind": kinds})
    about = claim(ClaimKind.REFERENCE_SHARE, dimension="kind", segment=value, claimed=0.3)
    assert judge(about, states, {}).estimate.value == 0.3
    highest = claim(ClaimKind.HIGHEST, metric="score", dimension="kind", segment=value)
    assert judge(highest, states, {}).verdict is Verdict.HOLDS


def test_the_share_of_a_value_among_others_cannot_be_told() -> None:
    states = states_of({"score": np.ones(1000)}, {"kind": ["a"] * 500 + ["(other)"] * 500})
    judged = judge(claim(ClaimKind.REFERENCE_SHARE, dimension="kind", segment="b", claimed=0.3), states, {})
    assert judged.verdict is Verdict.CANNOT_BE_TOLD, judged.explanation
    assert "no segment of its own" in judged.explanation


@pytest.mark.parametrize("n", [1, 7, 19])
def test_no_explanation_tells_how_many_few_are(n: int) -> None:
    values = np.concatenate([np.arange(n) % 2, np.arange(500) % 3])
    bands = ["few"] * n + ["many"] * 500
    states = states_of({"score": values}, {"band": bands, "g": rule(np.array(bands) == "few")})
    group = {"metric": "score", "dimension": "g", "segment": "true"}
    for about in (
        claim(ClaimKind.RATIO, claimed=2.0, **group),
        claim(ClaimKind.GROUP_MEAN, claimed=2.0, **group),
        claim(ClaimKind.DIFFERENCE, low=1.0, high=2.0, **group),
        claim(ClaimKind.HIGHEST, metric="score", dimension="band", segment="many"),
    ):
        judged = judge(about, states, {})
        assert judged.verdict is Verdict.CANNOT_BE_TOLD
        assert "fewer than 20" in judged.explanation
        assert not re.search(rf"\b{n}\b", judged.explanation), judged.explanation
        assert {judged.n_group, judged.n_rest} == {n, 500}


def test_the_lead_that_decided_is_the_one_reported() -> None:
    """A rival of few customers has the largest mean, and one of many customers surely leads."""
    random = np.random.default_rng(3)
    parts = {"own": random.normal(10, 1, 4000), "sure": random.normal(10.5, 1, 4000)}
    parts["vague"] = 11 + 40 * random.permutation(np.linspace(-1, 1, 40))
    bands = [band for band, values in parts.items() for _ in values]
    states = states_of({"score": np.concatenate([*parts.values()])}, {"band": bands})
    about = claim(ClaimKind.HIGHEST, metric="score", dimension="band", segment="own")
    judged = judge(about, states, {})
    assert judged.verdict is Verdict.CONTRADICTED
    assert judged.estimate.upper is not None and judged.estimate.upper < 0
    assert "more than sure" in judged.explanation
    about = claim(ClaimKind.HIGHEST, metric="score", dimension="band", segment="sure")
    judged = judge(about, states, {})
    assert judged.verdict is Verdict.CANNOT_BE_TOLD
    assert judged.estimate.lower is not None and judged.estimate.lower < 0
    assert "more than vague" in judged.explanation


@pytest.mark.parametrize(
    ("churn", "verdict"),
    [
        ({"00-05": 0.6, "06-11": 0.4, "12+": 0.3}, Verdict.HOLDS),
        ({"00-05": 0.3, "06-11": 0.6, "12+": 0.2}, Verdict.CONTRADICTED),
        ({"00-05": 0.5, "06-11": 0.5, "12+": 0.1}, Verdict.CANNOT_BE_TOLD),
    ],
)
def test_the_highest_of_bands(churn: dict[str, float], verdict: Verdict) -> None:
    bands = [band for band in churn for _ in range(1000)]
    values = [float(i < rate * 1000) for rate in churn.values() for i in range(1000)]
    states = states_of({"churn": values}, {"band": bands})
    judged = judge(claim(ClaimKind.HIGHEST, metric="churn", dimension="band", segment="00-05"), states, {})
    assert judged.verdict is verdict, judged.explanation


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [(5.0, Verdict.HOLDS), (-5.0, Verdict.CONTRADICTED), (0.0, Verdict.CANNOT_BE_TOLD)],
)
def test_a_mean_above_a_number(mean: float, verdict: Verdict) -> None:
    states = states_of({"score": around(mean, 100)}, {})
    judged = judge(claim(ClaimKind.MEAN_ABOVE, metric="score", claimed=0.0), states, {})
    assert judged.verdict is verdict


def test_what_was_not_counted_cannot_be_told_and_names_its_table() -> None:
    states = states_of({"score": around(1, 100)}, {})
    for missing in ({"metric": "degree"}, {"metric": "score", "dimension": "by_degree", "segment": "true"}):
        judged = judge(claim(ClaimKind.RATIO, claimed=2.0, tables=("graph_features",), **missing), states, {})
        assert judged.verdict is Verdict.CANNOT_BE_TOLD
        assert "graph_features" in judged.explanation
    judged = judge(claim(ClaimKind.UNMEASURABLE, reason="no field holds it"), states, {})
    assert (judged.verdict, judged.n) == (Verdict.CANNOT_BE_TOLD, 0)
    assert "no field holds it" in judged.explanation


@pytest.mark.parametrize("n", [0, 1, 2, 29])
def test_a_group_of_few_cannot_be_told(n: int) -> None:
    judged = of_groups(around(3.0, n), around(1.0, 100), claimed=3.0)
    assert judged.verdict is Verdict.CANNOT_BE_TOLD
    assert "the group" in judged.explanation


def test_a_group_of_whom_all_are_retained_has_an_interval_all_the_same() -> None:
    judged = of_groups(np.ones(30), np.arange(1000) % 2, claimed=2.0)
    assert judged.estimate.lower is not None
    assert judged.estimate.lower < 1.85
    assert judged.estimate.value == 2.0


def test_the_customers_are_counted_exactly() -> None:
    states = states_of({"score": np.ones(40)}, {})
    assert judge(claim(ClaimKind.CUSTOMERS, claimed=40), states, {}).verdict is Verdict.HOLDS
    assert judge(claim(ClaimKind.CUSTOMERS, claimed=41), states, {}).verdict is Verdict.CONTRADICTED


def test_checks_of_a_delivery_decide_about_its_rows() -> None:
    states = states_of({"score": np.ones(40)}, {})
    rules = (("age.range", 0.0), ("fee.range", 0.0))
    about = claim(ClaimKind.RULES, table="customers", rules=rules)
    fine = {("customers", r): CheckOutcome(1000, 0, 0.0, True) for r, _ in rules}
    assert judge(about, states, fine).verdict is Verdict.HOLDS
    judged = judge(about, states, fine | {("customers", "fee.range"): CheckOutcome(1000, 7, 0.7, False)})
    assert judged.verdict is Verdict.CONTRADICTED
    assert "fee.range by fewer than 20" in judged.explanation
    assert judged.estimate.value == pytest.approx(0.7)
    assert judge(about, states, {}).verdict is Verdict.CANNOT_BE_TOLD
    many = judge(about, states, fine | {("customers", "fee.range"): CheckOutcome(1000, 70, 7.0, False)})
    assert "fee.range by 70" in many.explanation
    del fine["customers", "age.range"]
    assert judge(about, states, fine).verdict is Verdict.CANNOT_BE_TOLD


@pytest.mark.parametrize(("missing", "verdict"), [(1, Verdict.HOLDS), (2, Verdict.CONTRADICTED)])
def test_missing_values_stay_below_their_bound(missing: int, verdict: Verdict) -> None:
    about = claim(ClaimKind.MISSING, table="customers", rules=(("age.not_null", 0.2),))
    outcome = CheckOutcome(1000, missing, missing / 10, missing == 1)
    judged = judge(about, states_of({"score": np.ones(40)}, {}), {("customers", "age.not_null"): outcome})
    assert judged.verdict is verdict


def test_a_gate_is_as_it_was_measured() -> None:
    about = claim(ClaimKind.GATE, table="customers", rules=(("daily", 0.0),))
    states = states_of({"score": np.ones(40)}, {})
    held = {("customers", "daily"): CheckOutcome(100, 0, 5.0, True, "hours")}
    assert judge(about, states, held).verdict is Verdict.HOLDS
    broken = {("customers", "daily"): CheckOutcome(100, 1, 50.0, False, "hours")}
    assert judge(about, states, broken).verdict is Verdict.CONTRADICTED
    unknown = {("customers", "daily"): CheckOutcome(100, 0, None, False, "hours")}
    assert judge(about, states, unknown).verdict is Verdict.CANNOT_BE_TOLD


RANDOM = np.random.default_rng(11)
SHAPES = {
    "normal": RANDOM.normal(40, 10, 20_000),
    "gamma": RANDOM.gamma(1.5, 10, 20_000),
    "mirrored": 200 - RANDOM.gamma(1.5, 10, 20_000),
    "uniform": RANDOM.uniform(0, 1, 20_000),
    "pareto": np.minimum(1 / RANDOM.uniform(0, 1, 20_000) ** (1 / 1.2), 10_000),
    "whole pareto": np.floor(3 / RANDOM.uniform(0, 1, 20_000) ** (1 / 1.1)),
    "log-normal": np.exp(RANDOM.normal(0, 1, 20_000)),
    "afternoon": RANDOM.binomial(23, 0.65, 20_000),
    "night": RANDOM.binomial(23, 0.1, 20_000),
    "constant": np.full(20_000, 3.0),
    "thousand": RANDOM.uniform(0, 1000, 20_000),
    "whole thousand": np.floor(RANDOM.uniform(0, 1000, 20_000)),
    "around 700": RANDOM.normal(700, 200, 20_000),
    "around 100": np.abs(RANDOM.normal(0, 400, 20_000)),
}
BETWEEN = dict.fromkeys(("thousand", "whole thousand", "around 700", "around 100"), (512.0, 1000.0))


@pytest.mark.parametrize(
    ("values", "shape", "verdict"),
    [
        ("normal", Shape.NORMAL, Verdict.HOLDS),
        ("gamma", Shape.NORMAL, Verdict.CONTRADICTED),
        ("uniform", Shape.NORMAL, Verdict.CONTRADICTED),
        ("gamma", Shape.RIGHT_SKEWED, Verdict.HOLDS),
        ("mirrored", Shape.RIGHT_SKEWED, Verdict.CONTRADICTED),
        ("normal", Shape.RIGHT_SKEWED, Verdict.ABSENT),
        ("gamma", Shape.LONG_TAILED, Verdict.HOLDS),
        ("uniform", Shape.LONG_TAILED, Verdict.CONTRADICTED),
        ("pareto", Shape.POWER_LAW, Verdict.HOLDS),
        ("whole pareto", Shape.POWER_LAW, Verdict.HOLDS),
        ("log-normal", Shape.POWER_LAW, Verdict.CONTRADICTED),
        ("normal", Shape.POWER_LAW, Verdict.CONTRADICTED),
        ("afternoon", Shape.PEAKS_BETWEEN, Verdict.HOLDS),
        ("night", Shape.PEAKS_BETWEEN, Verdict.CONTRADICTED),
        ("constant", Shape.NORMAL, Verdict.CONTRADICTED),
        ("constant", Shape.PEAKS_BETWEEN, Verdict.CONTRADICTED),
        ("thousand", Shape.PEAKS_BETWEEN, Verdict.CANNOT_BE_TOLD),
        ("whole thousand", Shape.PEAKS_BETWEEN, Verdict.CANNOT_BE_TOLD),
        ("around 700", Shape.PEAKS_BETWEEN, Verdict.HOLDS),
        ("around 100", Shape.PEAKS_BETWEEN, Verdict.CONTRADICTED),
    ],
)
def test_the_form_of_a_distribution(values: str, shape: Shape, verdict: Verdict) -> None:
    low, high = BETWEEN.get(values, (12.0, 18.0))
    ends = {"low": low, "high": high} if shape is Shape.PEAKS_BETWEEN else {}
    digits = 0 if values.startswith("whole") else None
    maximum = 10_000.0 if values == "pareto" else None
    about = claim(ClaimKind.SHAPE, metric="score", shape=shape, maximum=maximum, **ends)
    judged = judge(about, states_of({"score": SHAPES[values]}, {}, digits=digits), {})
    assert judged.verdict is verdict, judged.explanation
    few = judge(about, states_of({"score": SHAPES[values][:50]}, {}), {})
    assert few.verdict is Verdict.CANNOT_BE_TOLD


@pytest.mark.parametrize("n", [60, 1000])
@pytest.mark.parametrize("kind", ["ratio", "share", "mean", "skewed mean", "ratio of shares"])
def test_a_claim_that_is_true_is_seldom_denied(kind: str, n: int) -> None:
    """At most 5% of the claims that are exactly true are contradicted, weaker or absent."""
    random, times = np.random.default_rng(n), 200
    denied = 0
    for _ in range(times):
        if kind == "ratio":
            judged = of_groups(random.gamma(4, 3, n), random.gamma(4, 1, n), claimed=3.0)
        elif kind == "ratio of shares":
            judged = of_groups(random.random(n) < 0.6, random.random(n) < 0.3, claimed=2.0)
        elif kind == "share":
            states = states_of({"score": random.random(n) < 0.25}, {})
            judged = judge(claim(ClaimKind.REFERENCE_SHARE, metric="score", claimed=0.25), states, {})
        else:
            values = random.gamma(4, 1, n) if kind == "mean" else np.exp(random.normal(0, 1.2, n))
            claimed = 4.0 if kind == "mean" else float(np.exp(0.72))
            states = states_of({"score": values}, {})
            judged = judge(claim(ClaimKind.REFERENCE_MEAN, metric="score", claimed=claimed), states, {})
        denied += judged.verdict not in (Verdict.HOLDS, Verdict.CANNOT_BE_TOLD)
    assert denied <= 0.05 * times


HOSTILE = {
    "nobody": np.array([]),
    "one": np.array([1.0]),
    "nulls": np.full(200, np.nan),
    "constant": np.full(200, 2.0),
    "zeros": np.zeros(200),
    "largest": np.where(np.arange(200) % 2, 6e153, -6e153),
    "smallest": np.where(np.arange(200) % 2, 5e-324, 1e-300),
    "tiny": np.where(np.arange(200) % 2, 1e-200, 3e-200),
    "infinite": np.where(np.arange(200) % 2, np.inf, 1.0),
    "negative": -np.arange(1.0, 201.0),
    "two values": np.arange(200.0) % 2,
}


@pytest.mark.parametrize("values", HOSTILE)
def test_no_values_make_a_claim_fail(values: str) -> None:
    """Whatever a day holds, every kind of claim has a verdict, and finite numbers or none."""
    data = HOSTILE[values]
    group = {"metric": "score", "dimension": "g", "segment": "true"}
    claims = [
        claim(ClaimKind.RATIO, claimed=3.0, **group),
        claim(ClaimKind.GROUP_MEAN, claimed=0.9, **group),
        claim(ClaimKind.HIGHEST, **group),
        claim(ClaimKind.DIFFERENCE, low=-1.0, high=1.0, **group),
        claim(ClaimKind.MEAN_ABOVE, metric="score", claimed=0.0),
        claim(ClaimKind.MEAN_BETWEEN, metric="score", low=0.0, high=1.0),
        claim(ClaimKind.REFERENCE_MEAN, metric="score", claimed=0.0),
        claim(ClaimKind.REFERENCE_SHARE, metric="score", claimed=0.5),
        claim(ClaimKind.SHARE, dimension="g", segment="true", claimed=1.0),
        claim(ClaimKind.CUSTOMERS, claimed=10),
        *(claim(ClaimKind.SHAPE, metric="score", shape=s, low=0.0, high=1.0, maximum=1.0) for s in Shape),
    ]
    for holds in (np.arange(len(data)) % 3 == 0, np.ones(len(data), bool), np.zeros(len(data), bool)):
        states = states_of({"score": data}, {"g": rule(holds)} if len(data) else {})
        for about in claims:
            judged = judge(about, states, {})
            assert judged.explanation
            if judged.verdict is not Verdict.CANNOT_BE_TOLD:
                assert judged.estimate.value is None or np.isfinite(judged.estimate.value), about.kind
                assert judged.n > 0


def test_rows_have_the_columns_of_the_table() -> None:
    spec = AnalyticsSpec(
        entity="customers",
        columns=(),
        targets=(),
        metrics=(),
        dimensions=(),
        claims=(
            claim(ClaimKind.CUSTOMERS, claimed=40),
            claim(ClaimKind.UNMEASURABLE, reason="nobody knows"),
        ),
    )
    rows = list(claim_rows(spec, states_of({"score": np.ones(40)}, {}), {}))
    columns = set(system_contract().table("claims").names) - {"snapshot_date", "run_id"}
    assert [set(r) for r in rows] == [columns, columns]
    assert [r["verdict"] for r in rows] == ["holds", "cannot_be_told"]
