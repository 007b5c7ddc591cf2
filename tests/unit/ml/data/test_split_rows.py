"""Which matured snapshots are trained on, and which one is kept for the out-of-time test."""

from __future__ import annotations

from datetime import date, timedelta

from engage_spark.ml.data.split_rows import choose_snapshots
from engage_spark.ml.feature_spec import Target, Task

FIRST = date(2026, 1, 1)


def target(days: int) -> Target:
    return Target(name="left", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=days, baseline=None)


def snapshots(days: int, *offsets: int, as_of: int = 365, limit: int = 3) -> tuple[list[int], int | None]:
    """The chosen snapshots, in days since the first, of a target that is known after so many days."""
    left = choose_snapshots(
        dict.fromkeys((FIRST + timedelta(days=n) for n in offsets), FIRST + timedelta(days=1000)),
        [target(days)],
        as_of=FIRST + timedelta(days=as_of),
        limit=limit,
    )["left"]
    newest = left.out_of_time
    return [(d - FIRST).days for d in left.train], None if newest is None else (newest - FIRST).days


def test_one_snapshot_is_trained_on() -> None:
    assert snapshots(30, 0) == ([0], None)


def test_the_newest_tests_models_of_snapshots_whose_labels_were_known_by_then() -> None:
    assert snapshots(30, 0, 29, 30, 60) == ([0, 30], 60)
    assert snapshots(30, 0, 31, 60) == ([0], 60)


def test_snapshots_to_train_on_are_a_label_window_apart() -> None:
    """Neighbours say nothing new: of daily snapshots, the newest and those of a window before."""
    assert snapshots(30, *range(100), as_of=100) == ([9, 39], 69)
    assert snapshots(30, *range(0, 100, 7)) == ([28, 63], 98)


def test_overlapping_label_windows_leave_no_out_of_time_test() -> None:
    assert snapshots(30, 0, 1, 2) == ([2], None)


def test_a_target_that_is_known_at_once_is_tested_a_day_later() -> None:
    assert snapshots(0, 0, 1, 2) == ([0, 1], 2)


def test_the_number_of_snapshots_is_limited_and_immature_ones_wait() -> None:
    assert snapshots(0, *range(10), limit=2) == ([7, 8], 9)
    assert snapshots(30, 0, 40, 80, as_of=100) == ([0], 40)
