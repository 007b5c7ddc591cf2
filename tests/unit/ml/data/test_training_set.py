"""Which snapshots a target can be trained on."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.training_set import matured_days
from engage_spark.ml.feature_spec import Target, Task

DAYS = (date(2025, 10, 21), date(2025, 9, 21), date(2025, 9, 20))


def target(name: str, days: int) -> Target:
    return Target(name=name, task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=days, baseline=None)


CHURN, VALUE = target("churned", 30), target("value", 0)


def test_a_window_closes_so_many_days_after_the_snapshot_and_not_a_day_before() -> None:
    assert matured_days(DAYS, [CHURN], as_of=date(2025, 10, 21)) == {
        "churned": (date(2025, 9, 20), date(2025, 9, 21))
    }
    assert matured_days(DAYS, [CHURN], as_of=date(2025, 10, 20)) == {"churned": (date(2025, 9, 20),)}


def test_targets_mature_each_in_its_own_time() -> None:
    assert matured_days(DAYS, [CHURN, VALUE], as_of=date(2025, 10, 1)) == {
        "churned": (),
        "value": (date(2025, 9, 20), date(2025, 9, 21)),
    }


def test_a_day_given_twice_counts_once() -> None:
    assert matured_days([DAYS[0], DAYS[0]], [VALUE], as_of=DAYS[0]) == {"value": (DAYS[0],)}


def test_where_nothing_has_matured_the_error_says_from_when() -> None:
    with pytest.raises(
        ConfigurationError, match=r"by 2025-10-19: the oldest is of 2025-09-20.*churned 30 days"
    ) as failed:
        matured_days(DAYS, [CHURN], as_of=date(2025, 10, 19))
    assert "train on 2025-10-20 or later" in str(failed.value.hint)
    assert matured_days(DAYS, [CHURN], as_of=date(2025, 10, 19) + timedelta(days=1))["churned"]


def test_without_snapshots_the_error_says_what_to_run() -> None:
    with pytest.raises(ConfigurationError, match="no snapshot to train on") as failed:
        matured_days([], [CHURN], as_of=DAYS[0])
    assert "engage-spark ingest" in str(failed.value.hint)
