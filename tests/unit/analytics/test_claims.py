"""Verdicts on claims: literal states with known answers, and how often a true claim is denied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engage_spark.analytics.claims import CheckOutcome, Judgement, Verdict, claim_rows, judge
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
        (2.7, 1.0, Verdict.CANNOT_BE_TOLD),  # the very bound: 3 less 10%
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


@pytest.mark.parametrize(("broken", "verdict"), [(0, Verdict.HOLDS), (3000, Verdict.CONTRADICTED)])
def test_a_formula_holds_where_it_gives_nearly_every_row(broken: int, verdict: Verdict) -> None:
    states = states_of({"score": np.ones(5000)}, {"g": rule(np.arange(5000) >= broken)})
    judged = judge(claim(ClaimKind.SHARE, dimension="g", segment="true", claimed=1.0), states, {})
    assert judged.verdict is verdict


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
    assert "fee.range by 7" in judged.explanation
    assert judged.estimate.value == pytest.approx(0.7)
    assert judge(about, states, {}).verdict is Verdict.CANNOT_BE_TOLD
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
}


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
    ],
)
def test_the_form_of_a_distribution(values: str, shape: Shape, verdict: Verdict) -> None:
    ends = {"low": 12.0, "high": 18.0} if shape is Shape.PEAKS_BETWEEN else {}
    digits = 0 if values == "whole pareto" else None
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
