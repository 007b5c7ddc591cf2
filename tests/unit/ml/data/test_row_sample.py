"""How many rows of which class come to the driver, and what each stands for."""

from __future__ import annotations

import numpy as np
import pytest

from engage_spark.ml.data.driver_sample import RowSample


def drawn(ones: int | None, *, expected: int = 20_000_000, limit: int = 1_000_000) -> RowSample:
    return RowSample(expected=expected, limit=limit, label="left", ones=ones)


def test_the_rarer_class_is_kept_whole_while_it_fills_at_most_half_of_the_limit() -> None:
    assert [drawn(n).whole_class for n in (20, 500_000, 500_001, 10_000_000)] == [1, 1, None, None]
    assert [drawn(20_000_000 - n).whole_class for n in (0, 20, 500_000, 500_001)] == [0, 0, 0, None]
    assert (
        drawn(None).whole_class is None
        and RowSample(expected=9, limit=9, label="left", ones=2).whole_class is None
    )


@pytest.mark.parametrize("ones", [20, 400_000, 500_000, 600_000, 19_999_990, None])
def test_about_as_many_rows_come_as_are_asked_for_and_stand_for_all(ones: int | None) -> None:
    plan = drawn(ones)
    kept = 0 if plan.whole_class is None else min(ones or 0, 20_000_000 - (ones or 0))
    others = (20_000_000 - kept) * plan.share
    assert kept + others == pytest.approx(1_000_000)
    if plan.whole_class is not None:
        weights = plan.weights(np.array([float(plan.whole_class), 1.0 - plan.whole_class]))
        assert weights[0] == 1.0 and kept + others * weights[1] == pytest.approx(20_000_000)
    else:
        assert (plan.weights(np.array([0.0, 1.0])) == 1.0).all()


def test_what_would_be_drawn_alike_follows_from_the_hash() -> None:
    hashes = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 100_000)
    assert drawn(20).is_even(hashes).mean() == pytest.approx(0.05, abs=0.003)
    assert drawn(20, limit=30_000_000).is_even(hashes).all()
