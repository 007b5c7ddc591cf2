"""How many rows a fit takes, and how much each counts."""

from __future__ import annotations

import pytest

from engage_spark.ml.data.driver_sample import RowSample
from engage_spark.ml.data.fit_draw import FitDraw, FittedRows


def draw(limit: int | None, *, ones: int | None = 500, expected: int = 100_000) -> FitDraw:
    counted = RowSample(expected=expected, limit=expected, label="left", ones=ones)
    return FitDraw.of(counted, limit=limit, key=["id"], seed=3)


@pytest.mark.parametrize("limit", [None, 100_000, 1_000_000])
def test_all_rows_are_fitted_on_where_no_cap_is_in_the_way(limit: int | None) -> None:
    made = draw(limit)
    assert made.is_whole and made.n_rows == 100_000
    rows: object = object()
    assert made.drawn(rows) is rows and made.even(rows) is rows  # type: ignore[arg-type, comparison-overlap]
    assert made.counted(rows) == FittedRows(used=100_000, there=100_000)  # type: ignore[arg-type]


@pytest.mark.parametrize("ones", [500, 4_000, 96_000, 99_999])
def test_the_rarer_class_is_kept_and_weights_give_the_share_of_all_rows(ones: int) -> None:
    made = draw(10_000, ones=ones)
    kept = min(ones, 100_000 - ones)
    others = made.sample.share * (100_000 - kept)
    assert kept + others == pytest.approx(10_000)
    of_whole, of_others = made.weights
    assert kept * of_whole + others * of_others == pytest.approx(10_000), "their mean is 1"
    assert kept * of_whole / (kept * of_whole + others * of_others) == pytest.approx(kept / 100_000)


def test_where_classes_are_even_and_of_a_number_all_rows_count_alike() -> None:
    for ones in (None, 50_000):
        made = draw(10_000, ones=ones)
        assert made.sample.whole_class is None and made.weights == (pytest.approx(0.1), 1.0)


def test_the_rows_that_are_used_are_told_where_some_are_not() -> None:
    assert FittedRows(used=5, there=5).text == ""
    assert FittedRows(used=1_000, there=8_000).text == "1,000 of 8,000 rows (12.5%; models.fit_rows)"
