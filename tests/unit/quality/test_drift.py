"""Drift from counts, against numpy and scipy on the values themselves."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from engage_spark.numerics.population_stability import FLOOR, ks, noise, psi
from engage_spark.quality import ColumnStats, merge_stats, stats_from_row, stats_to_row
from engage_spark.quality.drift import Change, compare_days, drifted


def state(
    bins: dict[str, int],
    *,
    labels: tuple[str, ...] = ("a", "b", "c"),
    scale: str = "category",
    **more: object,
) -> ColumnStats:
    return ColumnStats(
        column="c", binning="x", labels=labels, scale=scale, rows=sum(bins.values()), bins=bins, **more
    )  # type: ignore[arg-type]


def whole(values: list[int], high: int = 60) -> ColumnStats:
    labels = tuple(map(str, range(high + 1)))
    return state(dict(Counter(map(str, values))), labels=labels, scale="whole")


@pytest.mark.parametrize("seed", range(5))
def test_psi_is_what_numpy_makes_of_the_shares(seed: int) -> None:
    before, after = np.random.default_rng(seed).integers(1, 1000, (2, 12))
    p, q = before / before.sum(), after / after.sum()
    names = [f"b{i}" for i in range(12)]
    found = psi(
        dict(zip(names, map(int, before), strict=True)), dict(zip(names, map(int, after), strict=True))
    )
    assert found == pytest.approx(float(((p - q) * np.log(p / q)).sum()), rel=1e-12)
    assert found == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), rel=1e-12), (
        "both divergences of Kullback and Leibler"
    )


@pytest.mark.parametrize(("seed", "shift"), [(1, 0), (2, 3), (3, 10)])
def test_ks_of_bins_that_hold_one_value_is_scipys(seed: int, shift: int) -> None:
    made = np.random.default_rng(seed)
    before, after = made.binomial(40, 0.4, 700), np.clip(made.binomial(40, 0.4, 450) + shift, 0, 60)
    found = drifted(whole(before.tolist()), whole(after.tolist()))
    assert found.ks == pytest.approx(stats.ks_2samp(before, after).statistic, rel=1e-12)


def test_ks_of_counts_that_no_double_can_hold_is_exact() -> None:
    n = 2**60 + 1
    assert ks({"0": n, "1": n}, {"0": n - 1, "1": n + 1}, ("0", "1")) == pytest.approx(1 / (2 * n), rel=1e-12)


def test_an_empty_bin_counts_half_a_row() -> None:
    expected = (0.5 - FLOOR / 10) * math.log(0.5 / (FLOOR / 10)) + (0.5 - 1.0) * math.log(0.5)
    assert psi({"a": 5, "b": 5}, {"b": 10}) == pytest.approx(expected, rel=1e-12)
    assert psi({"a": 5, "b": 5}, {"b": 10}) == pytest.approx(psi({"b": 10}, {"a": 5, "b": 5}), rel=1e-12)
    assert psi({}, {"a": 1}) == 0.0


@pytest.mark.parametrize("bins", [2, 3, 10, 33, 129])
def test_noise_is_the_quantile_of_chi_square(bins: int) -> None:
    assert noise(bins, 1000, 500) == pytest.approx(
        stats.chi2.ppf(0.95, bins - 1) * (1 / 1000 + 1 / 500), rel=0.03
    )


@pytest.mark.parametrize(
    ("after", "change"),
    [
        ({"a": 500, "b": 500}, Change.NONE),
        ({"a": 345, "b": 655}, Change.NONE),
        ({"a": 340, "b": 660}, Change.SOME),
        ({"a": 265, "b": 735}, Change.SOME),
        ({"a": 250, "b": 750}, Change.MUCH),
        ({"a": 500, "b": 500, "null": 12}, Change.SOME),
        ({"a": 500, "b": 500, "null": 60}, Change.MUCH),
        ({"a": 1, "b": 4}, Change.FEW),
    ],
)
def test_what_counts_as_change(after: dict[str, int], change: Change) -> None:
    assert drifted(state({"a": 500, "b": 500}), state(after)).change == change


def test_a_value_that_appears_or_vanishes_is_named() -> None:
    found = drifted(state({"a": 900, "b": 100}), state({"a": 900, "c": 60, "other": 40}))
    assert (found.appeared, found.vanished) == (("c", "other"), ("b",))
    assert found.moved[0] == ("b", 0.1, 0.0)
    assert found.ks is None, "categories have no order"


def test_an_empty_day_is_no_day_on_which_values_vanish() -> None:
    found = drifted(state({"a": 10}), state({}))
    assert (found.psi, found.vanished, found.change) == (0.0, (), Change.NONE)


def test_values_beyond_the_declared_range_are_at_the_ends_of_the_order() -> None:
    before = state({"[0, 1)": 50, "[1, 2]": 50}, labels=("[0, 1)", "[1, 2]"), scale="spread")
    after = replace(before, bins={"below": 50, "[1, 2]": 50})
    assert drifted(before, after).ks == 0.5
    assert drifted(before, replace(before, bins={"[0, 1)": 50, "above": 20, "+inf": 30})).ks == 0.5


def test_other_bins_are_told_and_not_compared() -> None:
    found = compare_days({"c": state({"a": 1})}, {"c": replace(state({"a": 1}), binning="y")})
    assert [(d.change, d.psi) for d in found] == [(Change.OTHER_BINS, None)]


def test_what_changed_most_comes_first() -> None:
    base = {"a": 500, "b": 500}
    before = {name: replace(state(base), column=name) for name in "wxyz"}
    after = {
        name: replace(state({"a": a, "b": 1000 - a}), column=name)
        for name, a in {"w": 500, "x": 250, "y": 340, "z": 100}.items()
    }
    assert [d.column for d in compare_days(before, after)] == ["z", "x", "y", "w"]


@pytest.mark.parametrize(
    "made",
    [
        state({"a": 2, "other": 1, "null": 3}, total=Fraction(0)),
        state(
            {"any": 3},
            labels=("any",),
            scale="one",
            total=Fraction(10**30, 7),
            minimum=-(2**63),
            maximum=2**63 - 1,
        ),
        state(
            {"any": 3}, labels=("any",), scale="one", total=Fraction(0.1) * 3, minimum=5e-324, maximum=1e308
        ),
        state(
            {"any": 1},
            labels=("any",),
            scale="one",
            total=Fraction(11, 10),
            minimum=Fraction(11, 10),
            maximum=Fraction(11, 10),
        ),
        state({"null": 4}),
        state({}),
    ],
)
def test_what_is_stored_is_restored_to_the_last_digit(made: ColumnStats) -> None:
    back = stats_from_row(stats_to_row(made))
    assert back == made
    assert (back.labels, back.scale) == (made.labels, made.scale)


def test_a_week_is_the_sum_of_its_days() -> None:
    days = [{"c": whole([d, d + 1, 3])} for d in range(7)]
    assert merge_stats(days)["c"] == whole([x for d in range(7) for x in (d, d + 1, 3)])
