"""Comparisons between groups: sizes, references, flags, bounds, rows. The rates themselves are tested against
fairlearn on Spark.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from engage_spark.contract import load_contract
from engage_spark.ml.fairness.audit import Attribute, attributes
from engage_spark.ml.fairness.group_metrics import GroupSums, compare
from engage_spark.ml.feature_spec import Task


def sums(n: int, ones: int, selected: int, hits: int) -> GroupSums:
    return GroupSums(
        n=n, selected=selected, hits=hits, label=Fraction(ones), score=Fraction(n, 2), squares=Fraction(n, 5)
    )


GROUPS = {
    ("all",): {"all": sums(1150, 560, 450, 330)},
    ("kind",): {"a": sums(600, 300, 300, 200), "b": sums(500, 250, 150, 130), "c": sums(50, 10, 0, 0)},
}


def test_a_rate_under_four_fifths_of_another_is_flagged() -> None:
    found = compare(GROUPS, task=Task.BINARY, smallest=100)
    spread = next(s for s in found.spreads if s.metric == "statistical_parity")
    assert (spread.lowest, spread.highest, spread.groups) == ("b", "a", 2)
    assert (spread.difference, spread.ratio, spread.flagged) == (pytest.approx(0.2), pytest.approx(0.6), True)
    assert "predictive_parity" not in {
        s.metric for s in compare(GROUPS, task=Task.BINARY, smallest=1000).flagged
    }
    # How many leave is a fact about the customers, not about the model.
    assert "base_rate" not in {s.metric for s in compare(GROUPS, task=Task.BINARY, smallest=1).flagged}


def test_small_groups_are_listed_and_not_compared() -> None:
    found = compare(GROUPS, task=Task.BINARY, smallest=100).of("kind", "statistical_parity")
    assert list(found) == ["a", "b", "c"]
    assert (found["c"].compared, found["c"].value, found["c"].reference, found["c"].difference) == (
        False,
        0.0,
        None,
        None,
    )
    assert (found["b"].reference, found["b"].difference, found["b"].ratio) == (
        "a",
        pytest.approx(-0.2),
        pytest.approx(0.6),
    )
    assert (found["a"].difference, found["a"].ratio) == (0.0, 1.0)


def test_a_rate_of_nobody_is_none() -> None:
    found = compare(GROUPS, task=Task.BINARY, smallest=10).of("kind", "predictive_parity")
    assert found["c"].value is None and found["c"].compared
    assert (
        next(
            s
            for s in compare(GROUPS, task=Task.BINARY, smallest=10).spreads
            if s.metric == "predictive_parity"
        ).groups
        == 2
    )


def test_one_group_alone_is_compared_with_nothing() -> None:
    found = compare({("kind",): {"a": sums(600, 300, 300, 200)}}, task=Task.BINARY, smallest=100)
    assert found.spreads == () and found.of("kind", "accuracy")["a"].difference is None


def test_rows_have_one_line_a_group_and_metric_with_the_spread_beside_it() -> None:
    rows = compare(GROUPS, task=Task.BINARY, smallest=100).to_rows()
    keys = [(r["attribute"], r["group"], r["metric"]) for r in rows]
    assert len(keys) == len(set(keys)) == 4 * 9  # no coverage where it was not asked for
    b = next(r for r in rows if (r["group"], r["metric"]) == ("b", "statistical_parity"))
    assert (b["spread_difference"], b["spread_ratio"], b["flagged"]) == (
        pytest.approx(0.2),
        pytest.approx(0.6),
        True,
    )


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
