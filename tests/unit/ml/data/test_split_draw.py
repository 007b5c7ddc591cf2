"""When two draws of the splits put every customer on the same side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engage_spark.ml.data.split_draw import SplitDraw


def draw(hashes: np.ndarray, cuts: tuple[int, ...], *, seed: int = 0, stratum: str | None = "1") -> SplitDraw:
    slots = [hashes[np.searchsorted(cuts, hashes, side="right") == i] for i in range(len(cuts) + 1)]
    ranges = tuple((int(s.min()), int(s.max())) if len(s) else None for s in slots)
    return SplitDraw(seed=seed, folds=2, ranges=((stratum, ranges),))


HASHES = np.sort(np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 500))
CUTS = (int(HASHES[200]), int(HASHES[300]), int(HASHES[400]))
DRAW = draw(HASHES, CUTS)


def test_a_draw_is_itself_also_when_it_was_stored() -> None:
    assert DRAW.is_same(DRAW) and SplitDraw.from_json(DRAW.to_json()) == DRAW
    assert str(DRAW).startswith("seed 0, 2 folds, cuts ")


@pytest.mark.parametrize("erased", [[200], [199, 200, 201], [0, 499], range(190, 210), range(100, 500, 2)])
def test_erasing_customers_leaves_a_draw_the_same(erased: list[int]) -> None:
    left = draw(np.delete(HASHES, list(erased)), CUTS)
    assert left.is_same(DRAW) and DRAW.is_same(left)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_one_customer_on_another_side_makes_another_draw(cut: int) -> None:
    for step in (-1, 1):
        moved = list(CUTS)
        moved[cut] = int(HASHES[[200, 300, 400][cut] + step])
        other = draw(HASHES, tuple(moved))
        assert not other.is_same(DRAW) and not DRAW.is_same(other)


def test_seed_folds_and_strata_belong_to_a_draw() -> None:
    assert not DRAW.is_same(replace(DRAW, seed=1))
    assert not DRAW.is_same(replace(DRAW, folds=3))
    assert not DRAW.is_same(draw(HASHES, CUTS, stratum=None))


def test_a_slot_may_be_empty() -> None:
    few = draw(HASHES[:350], CUTS)
    assert few.ranges[0][1][-1] is None and few.is_same(DRAW) and DRAW.is_same(few)


def test_a_stratum_that_nobody_is_in_any_more_changes_nothing() -> None:
    both = replace(DRAW, ranges=(*DRAW.ranges, (None, DRAW.ranges[0][1])))
    assert both.is_same(DRAW) and SplitDraw.from_json(both.to_json()) == both
