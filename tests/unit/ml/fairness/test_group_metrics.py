"""Comparisons between groups: sizes, references, flags, bounds, rows. The rates themselves are tested against
fairlearn on Spark.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import InputError
from engage_spark.ml.fairness.audit import Attribute, attributes
from engage_spark.ml.fairness.group_metrics import Fairness, FairnessAnswer, compare
from engage_spark.ml.fairness.group_sums import GroupSums, sums_by_group
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64, I64
from tests.support.groups import single_rows


def sums(n: int, ones: int, selected: int, hits: int) -> GroupSums:
    return single_rows(n, ones=ones, selected=selected, hits=hits)


GROUPS = {
    ("all",): {"all": sums(1150, 560, 450, 330)},
    ("kind",): {"a": sums(600, 300, 300, 200), "b": sums(500, 250, 150, 130), "c": sums(50, 10, 0, 0)},
}


def test_a_rate_whose_ratio_is_surely_under_four_fifths_of_another_is_flagged() -> None:
    found = compare(GROUPS, task=Task.BINARY, smallest=100)
    spread = next(s for s in found.spreads if s.metric == "statistical_parity")
    assert (spread.lowest, spread.highest, spread.groups, spread.pairs) == ("b", "a", 2, 1)
    assert (spread.difference, spread.ratio) == (pytest.approx(0.2), pytest.approx(0.6))
    (pair,) = spread.flagged
    assert (pair.lower, pair.higher, pair.ratio) == ("b", "a", pytest.approx(0.6))
    assert pair.low < 0.6 < pair.high < 0.8
    assert (spread.answer, spread.left_out) == (FairnessAnswer.FLAGGED, ("c",))
    # How many leave is a fact about the customers, not about the model.
    base = next(s for s in found.spreads if s.metric == "base_rate")
    assert base.answer is None and base.flagged == ()


def test_the_same_ratio_in_few_rows_cannot_be_told() -> None:
    few = {("kind",): {"a": sums(120, 60, 60, 40), "b": sums(100, 50, 30, 26)}}
    (spread,) = (
        s for s in compare(few, task=Task.BINARY, smallest=100).spreads if s.metric == "statistical_parity"
    )
    assert spread.ratio == pytest.approx(0.6)
    assert (spread.answer, spread.flagged) == (FairnessAnswer.UNKNOWN, ())


def test_groups_are_fair_only_where_all_of_them_are_shown_to_be() -> None:
    large = {"a": sums(6000, 3000, 3000, 2000), "b": sums(5000, 2500, 2400, 1600)}

    def answer(groups: dict[str, GroupSums]) -> FairnessAnswer | None:
        spreads = compare({("kind",): groups}, task=Task.BINARY, smallest=100).spreads
        return next(s.answer for s in spreads if s.metric == "statistical_parity")

    assert answer(large) is FairnessAnswer.FAIR
    assert answer(large | {"c": sums(50, 25, 25, 20)}) is FairnessAnswer.UNKNOWN, "of c nothing is known"
    assert answer({"c": sums(50, 25, 25, 20), "d": sums(50, 25, 5, 2)}) is FairnessAnswer.UNKNOWN
    assert answer({"a": sums(500, 9, 0, 0), "b": sums(500, 9, 0, 0)}) is FairnessAnswer.UNKNOWN, "0 of 0"


def errors_of(rows: dict[str, int], size: dict[str, float]) -> Fairness:
    """Groups whose rows are off by an exponential error of a mean size."""
    draw = np.random.default_rng(5)
    groups = np.repeat(list(rows), list(rows.values()))
    off = draw.exponential(np.array([size[g] for g in groups]))
    labels = draw.uniform(0, 100, len(groups))
    sums_of = sums_by_group(
        groups, labels, labels + off, task=Task.REGRESSION, customers=np.arange(len(groups))
    )
    return compare({("kind",): sums_of}, task=Task.REGRESSION, smallest=100)


@pytest.mark.parametrize(
    ("rows", "worse", "answer"),
    [
        (2_000, 2.0, FairnessAnswer.FLAGGED),
        (40_000, 1.05, FairnessAnswer.FAIR),
        (120, 1.3, FairnessAnswer.UNKNOWN),
        (90, 3.0, FairnessAnswer.UNKNOWN),
    ],
)
def test_errors_of_a_number_are_held_against_four_fifths(
    rows: int, worse: float, answer: FairnessAnswer
) -> None:
    found = errors_of({"a": rows, "b": rows}, {"a": 1.0, "b": worse})
    spread = next(s for s in found.spreads if s.metric == "mae")
    assert spread.answer is answer
    assert [(p.lower, p.higher) for p in spread.flagged] == ([("a", "b")] if spread.flagged else [])
    assert {s.metric for s in found.spreads if s.answer} == {"mae"}


def test_the_smallest_number_is_of_the_denominator() -> None:
    found = compare(
        {("kind",): {"a": sums(600, 90, 300, 50), "b": sums(500, 250, 150, 130)}},
        task=Task.BINARY,
        smallest=100,
    )
    few = found.of("kind", "equal_opportunity")["a"]
    assert (few.n, few.customers, few.compared, few.value, few.low) == (600, 90, False, None, None)
    assert found.of("kind", "statistical_parity")["a"].compared
    spread = next(s for s in found.spreads if s.metric == "equal_opportunity")
    assert (spread.groups, spread.left_out, spread.answer) == (0, ("a", "b"), FairnessAnswer.UNKNOWN), (
        "that of b is all less that of a"
    )


def test_small_groups_are_listed_without_their_values() -> None:
    found = compare(GROUPS, task=Task.BINARY, smallest=100).of("kind", "statistical_parity")
    assert list(found) == ["a", "b", "c"]
    c = found["c"]
    assert (c.n, c.compared, c.value, c.low, c.reference, c.difference) == (50, False, None, None, None, None)
    assert (found["b"].reference, found["b"].difference, found["b"].ratio) == (
        "a",
        pytest.approx(-0.2),
        pytest.approx(0.6),
    )
    assert (found["a"].difference, found["a"].ratio) == (0.0, 1.0)


def test_a_rate_of_nobody_is_none() -> None:
    found = compare(GROUPS, task=Task.BINARY, smallest=10)
    assert found.of("kind", "predictive_parity")["c"].value is None
    spread = next(s for s in found.spreads if s.metric == "predictive_parity")
    assert (spread.groups, spread.left_out) == (2, ("c",))


def test_one_group_alone_is_compared_with_nothing() -> None:
    found = compare({("kind",): {"a": sums(600, 300, 300, 200)}}, task=Task.BINARY, smallest=100)
    assert found.spreads == () and found.of("kind", "accuracy")["a"].difference is None


def test_rows_have_one_line_a_group_and_metric_with_the_spread_beside_it() -> None:
    rows = compare(GROUPS, task=Task.BINARY, smallest=100).to_rows()
    keys = [(r["attribute"], r["group"], r["metric"]) for r in rows]
    assert len(keys) == len(set(keys)) == 4 * 9  # no coverage where it was not asked for
    parity = {r["group"]: r for r in rows if r["metric"] == "statistical_parity"}
    assert (parity["b"]["spread_difference"], parity["b"]["spread_ratio"], parity["b"]["answer"]) == (
        pytest.approx(0.2),
        pytest.approx(0.6),
        "flagged",
    )
    assert [parity[g]["flagged"] for g in "abc"] == [True, True, False]


def arrays(customers: int, snapshots: int) -> dict[str, F64 | I64]:
    draw = np.random.default_rng(7)
    label, decision = (draw.integers(0, 2, customers) for _ in range(2))
    again = np.tile(np.arange(customers), snapshots)
    return {"labels": label[again], "predictions": decision[again] * 0.5, "customers": again}


def compared(customers: int, snapshots: int, weights: F64 | None = None) -> Fairness:
    a = arrays(customers, snapshots)
    sums_of = sums_by_group(
        ["g"] * len(a["labels"]), **a, task=Task.BINARY, decisions=a["predictions"] > 0, weights=weights
    )
    return compare({("kind",): sums_of}, task=Task.BINARY, smallest=10)


def test_rows_of_one_customer_count_once_for_bounds() -> None:
    once, thrice = compared(400, 1), compared(400, 3)
    for metric in ("equal_opportunity", "accuracy", "calibration"):
        a, b = once.of("kind", metric)["g"], thrice.of("kind", metric)["g"]
        assert b.n == 3 * a.n and b.customers == a.customers
        assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high), rel=1e-12)


def test_customers_whose_rows_differ_are_worth_more_than_one_row_each() -> None:
    draw = np.random.default_rng(8)
    label, customers = draw.integers(0, 2, 1200), np.tile(np.arange(400), 3)
    sums_of = sums_by_group(
        ["g"] * 1200, label, label * 0.5, task=Task.BINARY, customers=customers, decisions=label
    )
    figure = compare({("kind",): sums_of}, task=Task.BINARY, smallest=10).of("kind", "base_rate")["g"]
    assert figure.low is not None and figure.high is not None
    as_rows = 2 * 1.96 * (0.25 / 1200) ** 0.5
    assert figure.customers == 400 and figure.high - figure.low == pytest.approx(as_rows, rel=0.1)


def test_weights_count_rows_and_not_what_is_known() -> None:
    plain, doubled = compared(400, 1), compared(400, 1, np.full(400, 2.0))
    assert doubled == plain
    weighted = compared(400, 1, np.where(np.arange(400) < 40, 9.0, 1.0)).of("kind", "accuracy")["g"]
    assert weighted.customers == (40 * 9 + 360) ** 2 // (40 * 81 + 360)


def test_the_order_of_rows_does_not_matter_to_a_bit() -> None:
    draw = np.random.default_rng(9)
    order, n = draw.permutation(300), 300
    columns = [draw.random(n), draw.random(n), draw.integers(0, 90, n)]
    a, b = (
        sums_by_group(
            np.array(["x", "y", "z"])[np.arange(n)[o] % 3],
            columns[0][o],
            columns[1][o],
            task=Task.REGRESSION,
            customers=columns[2][o],
            weights=(1 + np.arange(n) % 5)[o],
        )
        for o in (np.arange(n), order)
    )
    assert a == b


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"labels": [0.0, float("nan")]}, "must be numbers"),
        ({"customers": [1]}, "1 customers are given for 2 rows"),
        ({"decisions": None}, "compared by decisions"),
        ({"weights": [0.0, 0.0]}, "nor all 0"),
    ],
)
def test_arrays_that_cannot_be_compared_are_refused(broken: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {
        "labels": [0.0, 1.0],
        "predictions": [0.5, 0.5],
        "customers": [1, 2],
        "decisions": [0, 1],
    }
    with pytest.raises(InputError, match=message):
        sums_by_group(["a", "b"], **whole | broken, task=Task.BINARY)


def test_the_groups_of_two_attributes_are_told_apart_by_their_attributes() -> None:
    pairs = {
        ("kind", "age x height"): {"a, old": sums(600, 300, 300, 200), "b, old": sums(500, 250, 150, 130)}
    }
    figures = compare(GROUPS | pairs, task=Task.BINARY, smallest=100).figures
    assert {f.attributes: f.attribute for f in figures} == {
        ("all",): "all",
        ("kind",): "kind",
        ("kind", "age x height"): "kind x age x height",
    }
    assert "attributes" not in figures[-1].to_row(), "the stored figures keep their columns"


def test_calibration_bounds_hold_its_value_and_signed_metrics_have_no_ratio() -> None:
    found = compare(GROUPS, task=Task.BINARY, smallest=100).of("kind", "calibration")["b"]
    assert found.value == pytest.approx(0.0) and found.low is not None and found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.2 / 500) ** 0.5, rel=1e-3)
    assert found.ratio is None


def test_the_protected_fields_of_the_contract_come_with_their_bands() -> None:
    age, gender = attributes(load_contract())
    assert age.labels == ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
    assert gender == Attribute(name="gender")


@pytest.mark.parametrize(
    ("attribute", "labels"),
    [
        (Attribute(name="x", bands=(10.0, 20.0), whole=True), ("under 10", "10-19", "20+")),
        (Attribute(name="x", bands=(0.5, 2.0), minimum=0.0), ("0 to <0.5", "0.5 to <2", "2+")),
        (Attribute(name="x", bands=(1.0, 2.0), whole=True, minimum=0.0), ("0", "1", "2+")),
        (Attribute(name="x", bands=(18.0, 30.0), whole=True, minimum=18.0), ("under 18", "18-29", "30+")),
    ],
)
def test_bands_are_named_by_what_they_hold(attribute: Attribute, labels: tuple[str, ...]) -> None:
    assert attribute.labels == labels
    assert attribute.ordered({"(missing)", *labels}) == [*labels, "(missing)"]
