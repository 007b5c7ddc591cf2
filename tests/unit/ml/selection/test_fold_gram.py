"""Sums of products against matrices that pandas imputes and centres."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.ml.selection import gram_kernel as kernel
from engage_spark.numerics.limbs import join
from tests.support.gram_tables import SOURCES, TARGETS, imputed, sums, table


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("held_out", [None, 0, 2])
def test_the_matrix_is_that_of_the_imputed_rows(target: str, held_out: int | None) -> None:
    data = table()
    grams = sums(data)[target]
    gram = grams.everything() if held_out is None else grams.training(held_out)
    x, y = imputed(data, target, [f for f in range(3) if f != held_out])
    assert [s.source if s.level is None else f"{s.source}={s.level}" for s in gram.slots] == list(x.columns)
    assert gram.rows == len(x)
    centred = x - x.mean()
    size = np.sqrt((centred**2).sum())
    assert np.allclose(
        gram.products / np.outer(size, size), centred.T @ centred / np.outer(size, size), rtol=0, atol=2e-6
    )
    assert np.allclose(
        gram.with_target / size,
        centred.T @ (y - y.mean()) / size,
        rtol=0,
        atol=2e-6 * np.sqrt(((y - y.mean()) ** 2).sum()),
    )
    assert gram.of_target == pytest.approx(((y - y.mean()) ** 2).sum(), rel=1e-6)
    assert gram.target_mean == pytest.approx(y.mean(), rel=1e-6)
    assert np.allclose(gram.means, x.mean(), rtol=1e-6)


def test_means_are_of_the_training_folds_alone() -> None:
    data = table()
    data.loc[data.fold == 1, "age"] += 1000
    gram = sums(data)["left"].training(1)
    assert gram.means[0] == pytest.approx(data[data.fold != 1].age.mean(), abs=0.01)


def test_sums_are_the_same_bits_however_the_rows_lie() -> None:
    data = table()
    once = sums(data)
    for parts, seed in ((2, 5), (7, 6)):
        again = sums(data.sample(frac=1, random_state=seed), parts=parts)
        for t in TARGETS:
            a, b = once[t].training(1), again[t].training(1)
            assert (
                a.products.tobytes() == b.products.tobytes()
                and a.with_target.tobytes() == b.with_target.tobytes()
            )
            assert (a.of_target, a.target_mean, a.rows, a.slots) == (
                b.of_target,
                b.target_mean,
                b.rows,
                b.slots,
            )


def test_whole_numbers_and_categories_are_counted_exactly() -> None:
    data = pd.DataFrame(
        {
            "n": [-3.0, 0.0, 3.0, 1.0],
            "c": ["x", "y", "y", None],
            "y": [0.0, 1.0, 1.0, 1.0],
            "fold": [0, 0, 1, 1],
        }
    )
    gram = sums(data, sources=("n", "c"), targets=("y",))["y"].everything()
    assert [(s.source, s.level) for s in gram.slots] == [("n", None), ("c", "x")], (
        "y is the most frequent level, and what the null counts as"
    )
    assert gram.products.tolist() == [[9 + 0 + 9 + 1 - 4 * 0.25**2, -3 - 0.25], [-3 - 0.25, 0.75]]
    assert gram.with_target.tolist() == [3.0 + 1.0 - 0.75, 0.0 - 0.75]
    assert gram.of_target == 0.75


def test_columns_without_a_value_in_the_training_folds_do_not_vary() -> None:
    data = table()
    data.loc[data.fold != 2, ["spend", "plan"]] = np.nan
    gram = sums(data)["left"].training(2)
    at = [i for i, s in enumerate(gram.slots) if s.source in ("spend", "plan")]
    assert not gram.products[at].any() and not gram.with_target[at].any() and np.isfinite(gram.means).all()


def test_sums_of_many_batches_at_the_end_of_the_range_do_not_overflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3,000 batches of products of 2^40: lo alone would hold 2,047 of them. Whether numbers are carried shows
    at the first that is not.
    """
    group_sums = kernel.GramSums(1)
    chunk = np.full((kernel.BATCH, 1), kernel.LIMIT)
    for _ in range(3000):
        group_sums.add(chunk)
    group_sums.carry()
    assert join(group_sums.hi[0, 0], group_sums.lo[0, 0]) == 3000 * kernel.BATCH * 2**40


def test_rows_other_than_the_profiled_ones_are_refused() -> None:
    layout = kernel.GramLayout(
        (kernel.NumberColumn(0.0, 0, False), kernel.CategoryColumn(("a",))),
        (kernel.NumberColumn(0.0, 0, True),),
    )

    def batch(number: float | None, level: str) -> pa.RecordBatch:
        columns = [
            pa.array([number], pa.float64()),
            pa.array([level]),
            pa.array([1.0]),
            pa.array([0], pa.int32()),
        ]
        return pa.RecordBatch.from_arrays(columns, names=["c0", "c1", "c2", "fold"])

    assert next(kernel.sum_products(iter([batch(2.0**20, "a")]), layout)).num_rows
    for number, level, message in ((2.0**20 + 1, "a", "range"), (None, "a", "missing"), (1.0, "b", "level")):
        with pytest.raises(ValueError, match=message):
            list(kernel.sum_products(iter([batch(number, level)]), layout))


def test_folds_that_are_not_there_are_named() -> None:
    with pytest.raises(ConfigurationError, match="no fold 9"):
        sums(table())["left"].training(9)


def test_the_sums_serve_plans_of_fewer_sources() -> None:
    grams = sums(table())["worth"]
    assert grams.sources == SOURCES
    all_sources, fewer = grams.training(0), grams.using(("visits", "plan")).training(0)
    assert fewer.sources == ("visits", "plan")
    at = [i for i, s in enumerate(all_sources.slots) if s.source in ("visits", "plan")]
    assert fewer.products.tobytes() == all_sources.products[np.ix_(at, at)].tobytes()
    with pytest.raises(ConfigurationError, match="not summed: other"):
        grams.using(("visits", "other"))
