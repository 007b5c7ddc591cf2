"""Which matured snapshots are trained on, and which one is kept for the test out of time."""

from __future__ import annotations

from datetime import date, timedelta

from engage_spark.ml.feature_spec import Target, Task
from engage_spark.pipelines.model_inputs import ModelInputs
from engage_spark.pipelines.train.inputs import snapshots_of

FIRST = date(2026, 1, 1)


def target(days: int) -> Target:
    return Target(name="left", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=days, baseline=None)


def sources(*offsets: int) -> ModelInputs:
    return ModelInputs({FIRST + timedelta(days=n): {} for n in offsets}, None, True, ())


def chosen(days: int, *offsets: int, as_of: int = 365, most: int = 3) -> tuple[list[int], int | None]:
    found = snapshots_of(sources(*offsets), [target(days)], as_of=FIRST + timedelta(days=as_of), most=most)[
        "left"
    ]
    late = found.out_of_time
    return [(d - FIRST).days for d in found.train], None if late is None else (late - FIRST).days


def test_one_snapshot_is_trained_on() -> None:
    assert chosen(30, 0) == ([0], None)


def test_the_newest_tests_models_of_snapshots_whose_labels_were_known_by_then() -> None:
    assert chosen(30, 0, 29, 30, 60) == ([0, 29, 30], 60)
    assert chosen(30, 0, 31, 60) == ([0], 60)


def test_days_in_a_row_overlap_in_their_windows_so_all_are_trained_on() -> None:
    assert chosen(30, 0, 1, 2) == ([0, 1, 2], None)


def test_what_is_known_at_once_is_tested_a_day_later() -> None:
    assert chosen(0, 0, 1, 2) == ([0, 1], 2)


def test_no_more_than_so_many_are_trained_on_and_the_unripe_wait() -> None:
    assert chosen(0, *range(10), most=2) == ([7, 8], 9)
    assert chosen(30, 0, 40, 80, as_of=100) == ([0], 40)
