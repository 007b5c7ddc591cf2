"""Which snapshots a target can be trained on."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.training_set import known_days, matured_days
from engage_spark.ml.feature_spec import Target, Task

DAYS = (date(2025, 10, 21), date(2025, 9, 21), date(2025, 9, 20))


def target(name: str, days: int) -> Target:
    return Target(name=name, task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=days, baseline=None)


CHURN, VALUE = target("churned", 30), target("value", 0)


LATE = date(2026, 1, 1)
LANDED = dict.fromkeys(DAYS, LATE)


def test_labels_are_known_when_the_last_day_of_their_window_is_over() -> None:
    """The window of a snapshot holds the 30 days after it, and the last of them still runs on day 30."""
    assert matured_days(LANDED, [CHURN], as_of=date(2025, 10, 22)) == {
        "churned": (date(2025, 9, 20), date(2025, 9, 21))
    }
    assert matured_days(LANDED, [CHURN], as_of=date(2025, 10, 21)) == {"churned": (date(2025, 9, 20),)}
    assert known_days(LANDED, CHURN, as_of=date(2025, 10, 20)) == ()


def test_a_delivery_that_landed_before_the_window_was_over_does_not_say_labels() -> None:
    day, as_of = DAYS[2], date(2025, 12, 1)
    for landed, known in (("2025-09-20", ()), ("2025-10-20", ()), ("2025-10-21", (day,))):
        assert known_days({day: date.fromisoformat(landed)}, CHURN, as_of=as_of) == known, landed
    with pytest.raises(ConfigurationError, match=r"no snapshot has labels that were known") as failed:
        matured_days({day: date(2025, 10, 20)}, [CHURN], as_of=as_of)
    assert failed.value.details == ("2025-09-20 landed on 2025-10-20, before its windows were over",)
    assert "deliver the snapshots again" in str(failed.value.hint)


def test_a_target_without_a_window_is_known_when_it_is_delivered() -> None:
    day = DAYS[0]
    assert known_days({day: day}, VALUE, as_of=day) == (day,)
    assert known_days({day: day}, VALUE, as_of=day - timedelta(days=1)) == ()


def test_targets_mature_each_in_its_own_time() -> None:
    assert matured_days(LANDED, [CHURN, VALUE], as_of=date(2025, 10, 1)) == {
        "churned": (),
        "value": (date(2025, 9, 20), date(2025, 9, 21)),
    }


def test_where_nothing_has_matured_the_error_says_from_when() -> None:
    with pytest.raises(
        ConfigurationError, match=r"by 2025-10-20: the oldest is of 2025-09-20.*churned 30 days"
    ) as failed:
        matured_days(LANDED, [CHURN], as_of=date(2025, 10, 20))
    assert "train on 2025-10-21 or later" in str(failed.value.hint)
    assert matured_days(LANDED, [CHURN], as_of=date(2025, 10, 21))["churned"]


def test_without_snapshots_the_error_says_what_to_run() -> None:
    with pytest.raises(ConfigurationError, match="no snapshot to train on") as failed:
        matured_days({}, [CHURN], as_of=DAYS[0])
    assert "engage-spark ingest" in str(failed.value.hint)
