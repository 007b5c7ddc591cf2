"""No figure of few customers is shown, and none follows from those that are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from engage_spark.ml.fairness.group_metrics import ALL, GroupNote
from engage_spark.ml.fairness.group_sums import GroupSums
from engage_spark.ml.fairness.small_groups import ShownGroups, merge_small_groups
from engage_spark.numerics.dtypes import I64
from tests.support.groups import single_rows


def sums(n: int) -> GroupSums:
    return single_rows(n, ones=n // 3, selected=n // 2, hits=n // 4)


def one_way(counts: dict[str, int], *, bands: bool = False) -> ShownGroups:
    tables = {(): {(): sums(sum(counts.values()))}, ("kind",): {(g,): sums(n) for g, n in counts.items()}}
    return merge_small_groups(tables, smallest=100, bands=["kind"] if bands else [])


def sizes(shown: ShownGroups, *attributes: str) -> dict[str, int]:
    return {g: s.customers for g, s in shown.tables[attributes].items()}


def test_a_lone_customer_is_shown_with_the_smallest_other_group() -> None:
    shown = one_way({"f": 600, "m": 500, "x": 150, "(missing)": 1})
    assert sizes(shown, "kind") == {"f": 600, "m": 500, "x or (missing)": 151}
    assert shown.tables[("kind",)]["x or (missing)"].totals["label"] == 50
    assert shown.notes == (
        GroupNote(
            attribute="kind",
            group="x, (missing)",
            reason="shown as one, since fewer than 100 customers were in one of them",
        ),
    )
    assert sizes(shown, ALL) == {ALL: 1251}


def test_small_groups_together_are_shown_where_they_are_enough() -> None:
    assert sizes(one_way({"a": 600, "b": 70, "c": 60, "d": 500}), "kind") == {
        "a": 600,
        "b or c": 130,
        "d": 500,
    }
    rare = {f"r{i}": 30 for i in range(5)}
    shown = one_way({"a": 600, "b": 200} | rare)
    assert sizes(shown, "kind") == {"a": 600, "b": 200, "r0 or 4 others": 150}


def test_bands_are_joined_with_a_neighbour() -> None:
    shown = one_way({"18-24": 300, "25-34": 900, "35-44": 20, "45+": 150, "(missing)": 400}, bands=True)
    assert sizes(shown, "kind") == {"18-24": 300, "25-34": 900, "35-44 or 45+": 170, "(missing)": 400}


@pytest.mark.parametrize("counts", [{"f": 90, "m": 80}, {"f": 1000, "m": 99}, {"f": 1000}])
def test_one_group_alone_is_not_shown(counts: dict[str, int]) -> None:
    shown = one_way(counts)
    assert ("kind",) not in shown.tables
    assert [(n.attribute, n.group) for n in shown.notes] == [("kind", "all groups")]


def crossed(counts: I64) -> ShownGroups:
    rows, columns = ([f"{letter}{i}" for i in range(n)] for letter, n in zip("ab", counts.shape, strict=True))
    cells = {
        (r, c): sums(int(counts[i, j]))
        for (i, r), (j, c) in product(enumerate(rows), enumerate(columns))
        if counts[i, j]
    }
    tables = {
        (): {(): sums(int(counts.sum()))},
        ("a",): {(r,): sums(int(counts[i].sum())) for i, r in enumerate(rows) if counts[i].any()},
        ("b",): {(c,): sums(int(counts[:, j].sum())) for j, c in enumerate(columns) if counts[:, j].any()},
        ("a", "b"): cells,
    }
    return merge_small_groups(tables, smallest=100, bands=["a"])


def test_a_small_cell_joins_whole_rows_or_columns() -> None:
    shown = crossed(np.array([[300, 400], [500, 30], [700, 800]]))
    assert sizes(shown, "a") == {"a0": 700, "a1": 530, "a2": 1500}
    assert sizes(shown, "a", "b") == {"a0 or a1, b0": 800, "a0 or a1, b1": 430, "a2, b0": 700, "a2, b1": 800}
    assert [n.attribute for n in shown.notes] == ["a in a x b"]


def test_what_leaves_the_most_cells_is_joined() -> None:
    """A small gender in six age bands: joined with another gender, not all ages with each other."""
    shown = crossed(np.column_stack([np.full(6, 400), np.full(6, 300), np.full(6, 30)]))
    assert sizes(shown, "b") == {"b0": 2400, "b1": 1800, "b2": 180}
    assert sizes(shown, "a", "b") == {
        f"a{i}, {b}": n for i in range(6) for b, n in (("b0", 400), ("b1 or b2", 330))
    }


@pytest.mark.parametrize("seed", range(40))
def test_no_small_cell_follows_from_what_is_shown(seed: int) -> None:
    """Whatever can be added and subtracted of the counts shown: no cell of few customers is among it."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 400, (4, 3)) * (draw.random((4, 3)) < 0.8)
    counts[draw.random((4, 3)) < 0.25] //= 20
    shown = crossed(counts)
    equations = [np.ones(counts.size)]
    for attributes, groups in shown.tables.items():
        if attributes == (ALL,):
            continue
        for name, s in groups.items():
            assert s.customers >= 100
            entries = [set(part.split(" or ")) for part in name.split(", ")]
            row = np.zeros(counts.shape)
            for i, j in np.ndindex(*counts.shape):
                cell = {"a": f"a{i}", "b": f"b{j}"}
                row[i, j] = all(cell[a] in e for a, e in zip(attributes, entries, strict=True))
            assert row.ravel() @ counts.ravel() == s.customers
            equations.append(row.ravel())
    known = np.array(equations)
    for k in np.flatnonzero((counts.ravel() > 0) & (counts.ravel() < 100)):
        unit = np.eye(counts.size)[k]
        assert np.linalg.matrix_rank(np.vstack([known, unit])) > np.linalg.matrix_rank(known)
