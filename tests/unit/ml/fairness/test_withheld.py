"""No rate of few customers follows from what is shown, whatever is added, subtracted and multiplied."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from engage_spark.ml.fairness.group_metrics import Fairness, compare
from engage_spark.ml.fairness.group_sums import GroupSums
from engage_spark.ml.fairness.small_groups import merge_small_groups
from engage_spark.ml.fairness.withheld import JOINT, withheld_groups
from engage_spark.ml.feature_spec import Task
from tests.support.groups import single_rows

SMALLEST = 50
Cells = dict[tuple[str, str], tuple[int, int, int, int]]
"""By the groups of two attributes: customers, those labelled 1, selected, and both."""


def drawn_cells(seed: int) -> Cells:
    draw = np.random.default_rng(seed)
    cells: Cells = {}
    for a, b in product("xyzw", "klm"):
        n = int(draw.integers(20, 900))
        ones = int(draw.binomial(n, draw.choice([0.02, 0.1, 0.4])))
        selected = int(draw.binomial(n, draw.choice([0.05, 0.3, 0.97])))
        low, high = max(0, ones + selected - n), min(ones, selected)
        cells[a, b] = (n, ones, selected, int(draw.integers(low, high + 1)))
    return cells


def added(cells: Cells, a: str | None = None, b: str | None = None) -> GroupSums:
    rows = [v for (i, j), v in cells.items() if a in (None, i) and b in (None, j)]
    n, ones, selected, hits = (sum(column) for column in zip(*rows, strict=True))
    return single_rows(n, ones=ones, selected=selected, hits=hits)


def audited(cells: Cells) -> Fairness:
    firsts, seconds = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    tables = {
        (): {(): added(cells)},
        ("a",): {(a,): added(cells, a) for a in firsts},
        ("b",): {(b,): added(cells, b=b) for b in seconds},
        ("a", "b"): {(a, b): added(cells, a, b) for a, b in cells},
    }
    shown = merge_small_groups(tables, smallest=SMALLEST)
    return compare(shown.tables, task=Task.BINARY, smallest=SMALLEST, notes=shown.notes)


def members(figure_attributes: tuple[str, ...], group: str, cells: Cells) -> frozenset[tuple[str, str]]:
    """The cells that a group shown is made of."""
    if figure_attributes == ("all",):
        return frozenset(cells)
    entries = [part.split(" or ") for part in group.split(", ")]
    place = {"a": 0, "b": 1}
    return frozenset(
        c for c in cells if all(c[place[x]] in e for x, e in zip(figure_attributes, entries, strict=True))
    )


def derived_hits(fairness: Fairness, cells: Cells) -> dict[frozenset[tuple[str, str]], Fraction]:
    """What an attacker knows of hits: of every group of which any joint rate is shown, by arithmetic from
    its size, its base rate and its rate of selection, which are all shown.
    """
    known: dict[frozenset[tuple[str, str]], Fraction] = {}
    for f in fairness.figures:
        if f.metric in JOINT and f.value is not None:
            of = members(f.attributes, f.group, cells)
            known[of] = Fraction(sum(cells[c][3] for c in of))
    return known


def is_short(of: frozenset[tuple[str, str]], cells: Cells) -> bool:
    return is_told_of_few(*(sum(cells[c][i] for c in of) for i in range(4)), smallest=SMALLEST)


def is_told_of_few(n: int, ones: int, selected: int, hits: int, *, smallest: int) -> bool:
    """Whether somebody who knows the label of all customers, or the decision on all, and the four counts, is
    told of fewer than `smallest` of them what the other one is: who they are is written down one by one.
    """
    table = {(1, 1): hits, (1, 0): ones - hits, (0, 1): selected - hits}
    table[0, 0] = n - sum(table.values())
    people = np.array([row for row, count in table.items() for _ in range(count)]).reshape(n, 2)
    return any(
        len(alike) < smallest
        for known in (0, 1)
        for alike in (people[people[:, known] == value] for value in np.unique(people[:, known]))
    )


def tables_that_fit(fairness: Fairness, group: str, n: int) -> list[tuple[int, int, int, int]]:
    """All counts of a group that give every share which is shown of it: what an attacker finds by trying."""
    shown = {m: fairness.of("kind", m)[group].value for m in (*JOINT, "base_rate", "statistical_parity")}

    def fits(name: str, part: int, whole: int) -> bool:
        value = shown[name]
        return value is None or (whole > 0 and abs(part / whole - value) < 1e-9)

    base, selection = shown["base_rate"], shown["statistical_parity"]
    assert base is not None and selection is not None
    ones, selected = round(base * n), round(selection * n)
    return [
        (n, ones, selected, hits)
        for hits in range(max(0, ones + selected - n), min(ones, selected) + 1)
        if fits("equal_opportunity", hits, ones)
        and fits("predictive_equality", selected - hits, n - ones)
        and fits("predictive_parity", hits, selected)
        and fits("accuracy", n - ones - selected + 2 * hits, n)
    ]


@pytest.mark.parametrize(
    ("ones", "selected", "hits"),
    [
        (300, 998, 298),  # both who were not selected are labelled 1
        (300, 920, 270),
        (300, 80, 40),
        (80, 300, 40),
        (920, 300, 280),
    ],
)
def test_whoever_tries_all_tables_learns_nothing_of_few(ones: int, selected: int, hits: int) -> None:
    sums = {
        "a": single_rows(1000, ones=ones, selected=selected, hits=hits),
        "b": single_rows(3000, ones=900, selected=1000, hits=500),
        "c": single_rows(4000, ones=900, selected=1000, hits=500),
    }
    found = compare({("kind",): sums}, task=Task.BINARY, smallest=100)
    fitting = tables_that_fit(found, "a", 1000)
    assert (1000, ones, selected, hits) in fitting and len(fitting) > 1, "the one table that fits is known"
    assert all(found.of("kind", m)["c"].value is not None for m in JOINT)
    (known,) = tables_that_fit(found, "c", 4000)
    assert not is_told_of_few(*known, smallest=100)


@pytest.mark.parametrize("seed", range(80))
def test_no_hits_of_few_follow_from_what_is_shown(seed: int) -> None:
    cells = drawn_cells(seed)
    fairness = audited(cells)
    known = derived_hits(fairness, cells)
    assert not [of for of in known if is_short(of, cells)], "shown by itself"
    order = list(cells)
    rows = np.array([[c in of for c in order] for of in known], dtype=float).reshape(len(known), len(order))
    rows = np.vstack([rows, np.ones(len(order))])  # what all rows have is known from elsewhere
    rank = np.linalg.matrix_rank(rows)
    for of in targets(cells):
        unit = np.array([c in of for c in order], dtype=float)
        if is_short(of, cells):
            assert np.linalg.matrix_rank(np.vstack([rows, unit])) > rank, f"{sorted(of)} follows"


def targets(cells: Cells) -> list[frozenset[tuple[str, str]]]:
    """Every cell, every group, and every sum of groups of one attribute."""
    found = [frozenset([c]) for c in cells]
    for place, names in ((0, "xyzw"), (1, "klm")):
        for chosen in range(1, 2 ** len(names) - 1):
            group = [g for i, g in enumerate(names) if chosen >> i & 1]
            found.append(frozenset(c for c in cells if c[place] in group))
    return found


def test_a_rate_that_is_not_shown_does_not_follow_from_the_accuracy() -> None:
    """The true positives of 30 of b labelled 1 were (accuracy x n - n + selected + ones) / 2."""
    sums = {
        "a": single_rows(2000, ones=800, selected=900, hits=500),
        "b": single_rows(600, ones=30, selected=120, hits=11),
        "c": single_rows(1500, ones=600, selected=700, hits=400),
    }
    total = single_rows(4100, ones=1430, selected=1720, hits=911)
    found = compare({("all",): {"all": total}, ("kind",): sums}, task=Task.BINARY, smallest=100)
    for metric in JOINT:
        figures = found.of("kind", metric)
        assert figures["b"].value is None
        assert figures["c"].value is None, "all rows less a and c would be b"
        assert figures["a"].value is not None and found.of("all", metric)["all"].value is not None
    for metric in ("base_rate", "statistical_parity", "calibration"):
        assert found.of("kind", metric)["b"].value is not None
    (note,) = found.notes
    assert (note.attribute, note.group) == ("kind", "b, c") and "fewer than 100 customers" in note.reason


def test_nothing_is_withheld_where_all_denominators_are_large() -> None:
    sums = {g: single_rows(2000, ones=800, selected=900, hits=500) for g in "ab"}
    found = compare({("kind",): sums}, task=Task.BINARY, smallest=100)
    assert found.notes == () and all(f.value is not None for f in found.figures)
    nobody = {g: single_rows(2000, ones=800, selected=0, hits=0) for g in "ab"}
    found = compare({("kind",): nobody}, task=Task.BINARY, smallest=100)
    assert found.notes == () and found.of("kind", "accuracy")["a"].value is not None


def test_a_table_of_pairs_is_withheld_with_a_group_of_either_attribute() -> None:
    """In pairs x and y may be one entry, so that w follows from it, and x from w and what all rows have."""
    sizes = {"x": 5, "y": 300, "z": 200, "w": 20}
    tables = {
        ("a",): {g: single_rows(n, ones=0, selected=0, hits=0) for g, n in sizes.items()},
        ("b",): {g: single_rows(300, ones=0, selected=0, hits=0) for g in "kl"},
        ("a", "b"): {g: single_rows(100, ones=0, selected=0, hits=0) for g in ("x or y, k", "z, k")},
        ("b", "c"): {g: single_rows(100, ones=0, selected=0, hits=0) for g in ("k, u", "l, u")},
    }
    found = withheld_groups(tables, is_short=lambda s: s.rows < 10)
    assert {a: set(groups) for a, groups in found.items() if groups} == {
        ("a",): {"x", "w"},
        ("a", "b"): {"x or y, k", "z, k"},
    }
