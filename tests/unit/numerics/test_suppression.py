"""Small groups stay hidden, also from whoever subtracts what is shown from a total."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.numerics.suppression import (
    SMALLEST_GROUP,
    coarse,
    coarse_ends,
    count_beside,
    hidden_groups,
)
from tests.support.examples import examples

COUNT = st.integers(0, 30) | st.integers(0, 10_000)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[int]]:
    """Groups by day, with the days' sum as a last column, as weeks are merged from days."""
    days = draw(st.integers(1, 4))
    column = st.lists(COUNT, min_size=days, max_size=days)
    groups = draw(st.lists(column, min_size=1, max_size=9))
    return {f"group {i}": [*counts, sum(counts)] for i, counts in enumerate(groups)}


def exposed(counts: dict[str, list[int]], hidden: frozenset[str]) -> list[tuple[str, int]]:
    """The small cells that follow from the totals of all columns and the groups that are shown.

    Every hidden cell is an unknown, and every total an equation, as is each sum of days: a cell follows where
    all solutions agree on it.
    """
    names, width = sorted(hidden), len(next(iter(counts.values())))
    places = {(name, i): j for j, (name, i) in enumerate((n, i) for n in names for i in range(width))}
    unknown = {key for key in places if counts[key[0]][key[1]] > 0}  # the attacker knows who is absent
    equations = []
    for i in range(width):
        equations.append({(n, i) for n in names} & unknown)
    rows = [[1.0 if key in equation else 0.0 for key in places] for equation in equations]
    for name in names:
        sums = [0.0] * len(places)
        for i in range(width):
            sums[places[name, i]] = -1.0 if i == width - 1 else 1.0
        rows.append(sums)
    rows += [[float(key == absent) for key in places] for absent in places if absent not in unknown]
    matrix = np.array(rows)
    known = np.diag(np.linalg.pinv(matrix) @ matrix) > 1 - 1e-6
    small = {key for key in unknown if counts[key[0]][key[1]] < SMALLEST_GROUP}
    return sorted(key for key in small if known[places[key]])


@settings(max_examples=examples(60), deadline=None)
@given(tables())
def test_no_subtraction_gives_a_small_group_away(counts: dict[str, list[int]]) -> None:
    hidden = hidden_groups(counts)
    for name, column in counts.items():
        assert name in hidden or all(n == 0 or n >= SMALLEST_GROUP for n in column)
    for i in range(len(next(iter(counts.values())))):
        total, shown = (
            sum(c[i] for c in counts.values()),
            sum(c[i] for n, c in counts.items() if n not in hidden),
        )
        rest = total - shown
        assert rest == 0 or rest >= SMALLEST_GROUP or shown == 0
    if all(sum(c[i] for c in counts.values()) >= SMALLEST_GROUP for i in range(len(counts["group 0"]))):
        assert exposed(counts, hidden) == []


def test_the_attack_succeeds_where_only_the_small_group_is_hidden() -> None:
    counts = {"a": [5, 5], "b": [30, 30], "c": [40, 40]}
    assert exposed(counts, frozenset({"a"})) == [("a", 0), ("a", 1)]
    assert exposed(counts, hidden_groups(counts)) == []


def test_one_small_group_takes_the_next_smallest_along() -> None:
    assert hidden_groups({"a": [19], "b": [500], "c": [40], "d": [41]}) == {"a", "c"}
    assert hidden_groups({"a": [20], "b": [500]}) == frozenset()


def test_small_groups_that_are_few_together_take_another_along() -> None:
    """Two groups of 5: their sum would follow from the total, and is small itself."""
    assert hidden_groups({"a": [5], "b": [5], "c": [60], "d": [50]}) == {"a", "b", "d"}
    assert hidden_groups({"a": [5], "b": [15], "c": [60]}) == {"a", "b"}


def test_a_group_is_hidden_in_every_column_or_in_none() -> None:
    by_metric_and_week = {"a": [100, 3, 103], "b": [100, 100, 200], "c": [50, 80, 130]}
    assert hidden_groups(by_metric_and_week) == {"a", "c"}


def test_what_covers_has_members_in_the_column_that_lacks_them() -> None:
    assert hidden_groups({"a": [9, 0], "b": [0, 21], "c": [700, 700]}) == {"a", "c"}


def test_without_a_known_total_only_small_groups_are_hidden() -> None:
    assert hidden_groups({"a": [19], "b": [500]}, total_is_known=False) == {"a"}


def test_empty_and_missing_groups_hide_nobody_and_cover_nobody() -> None:
    assert hidden_groups({}) == frozenset()
    assert hidden_groups({"a": [0], "b": [None], "c": [30]}) == frozenset()
    assert hidden_groups({"a": [0], "b": [7], "c": [30], "d": [90]}) == {"b", "c"}


def test_of_groups_of_equal_size_the_first_is_hidden_first() -> None:
    assert hidden_groups({"a": [7], "b": [30], "c": [30], "d": [31]}) == {"a", "b"}
    assert hidden_groups({"a": [7], "c": [30], "b": [30], "d": [31]}) == {"a", "c"}


def test_what_is_hidden_elsewhere_is_hidden_here_and_covers() -> None:
    """Of a metric that lacks values, a group that all metrics hide covers the one that this one must hide."""
    assert hidden_groups({"a": [7], "b": [30], "c": [300]}, hidden_elsewhere=["c", "z"]) == {"a", "c"}
    assert hidden_groups({"a": [70], "b": [30]}, hidden_elsewhere=["a"]) == {"a"}


@pytest.mark.parametrize("counts", [{"a": [1], "b": [1, 2]}, {"a": [-1]}])
def test_counts_that_are_none_are_refused(counts: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match=r"columns|negative"):
        hidden_groups(counts)


def test_numbers_of_values_do_not_tell_how_few_lack_one() -> None:
    assert [count_beside(n, 400) for n in (400, 399, 381, 380, None)] == [400, None, None, 380, None]
    assert count_beside(380, None) is None


@pytest.mark.parametrize("whole", [40, 101, 400, 1000, 25_000])
def test_what_is_left_of_a_share_is_that_of_many_n(whole: int) -> None:
    """An attacker knows the whole, and that it is a share of fewer than 20 less, and tries them all."""
    rng = np.random.default_rng(whole)
    for n in rng.integers(whole - 19, whole, 20).tolist():
        hits = int(rng.integers(0, n + 1))
        share, near = hits / n, range(max(0, hits - 19), hits + 20)
        left, (low, high) = coarse(share, whole), coarse_ends(share, share, whole)
        assert low is not None and high is not None and low <= share <= high
        fits = [
            m for m in range(whole - 19, whole) if any(h <= m and coarse(h / m, whole) == left for h in near)
        ]
        assert n in fits and len(fits) >= 4, (n, share, fits)
