"""Two models are compared where both have learnt the judged days, or neither has."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from engage_spark.ml.evaluation.footing import Footing, LearntDays, common_footing


def day(number: int) -> date:
    return date(2025, 1, 1) + timedelta(days=number)


def days(*numbers: int) -> set[date]:
    return set(map(day, numbers))


def footing(
    judged_on: set[date], judged: set[date], champion: set[date], *, refit: bool = True, window: int = 30
) -> tuple[Footing, str]:
    own = LearntDays(
        judged_on=judged_on, judged_model=judged, serving=judged | judged_on if refit else judged
    )
    return common_footing(own, champion, label_end=lambda d: d + timedelta(days=window))


@pytest.mark.parametrize(
    ("champion", "expected"),
    [
        (days(0), Footing.JUDGED),
        (days(0, 30), Footing.JUDGED),
        (days(0, 31), Footing.NONE),
        (days(0, 59), Footing.NONE),
        (days(0, 30, 60), Footing.SERVING),
        (days(0, 61), Footing.NONE),
        (days(0, 30, 60, 75), Footing.NONE),
        (days(45, 60), Footing.NONE),
        (set(), Footing.NONE),
    ],
)
def test_of_a_day_that_was_kept_apart_both_know_as_much(champion: set[date], expected: Footing) -> None:
    assert footing(days(60), days(0, 30), champion)[0] is expected


def test_a_model_that_was_not_fitted_again_waits_for_a_champion_that_was() -> None:
    kind, why = footing(days(60), days(0, 30), days(30, 60), refit=False)
    assert kind is Footing.NONE
    assert f"has learnt {day(60)}," in why and f"snapshot of {day(90)} or later" in why


@pytest.mark.parametrize(
    ("champion", "expected"),
    [
        (days(40), Footing.JUDGED),
        (days(10, 40), Footing.JUDGED),
        (days(39), Footing.NONE),
        (days(0), Footing.NONE),
        (days(20, 40), Footing.NONE),
        (days(40, 70), Footing.NONE),
    ],
)
def test_a_model_that_was_judged_on_its_own_day_is_compared_with_one_that_knows_it(
    champion: set[date], expected: Footing
) -> None:
    kind, why = footing(days(40), days(40), champion)
    assert kind is expected
    says = f"this one has learnt {day(40)}, which it is judged on"
    assert (says in why) is (day(40) not in champion)
    newest = max(day(40), *champion)
    assert (f"snapshot of {newest + timedelta(days=30)} or later will tell" in why) is bool(why)
    assert bool(why) is (expected is Footing.NONE)


def test_without_a_label_window_the_day_itself_is_learnt() -> None:
    assert footing(days(2), days(0, 1), days(0, 1), window=0)[0] is Footing.JUDGED
    assert footing(days(2), days(0, 1), days(1, 2), window=0)[0] is Footing.SERVING
    kind, why = footing(days(2), days(0, 1), days(1, 2), refit=False, window=0)
    assert kind is Footing.NONE and f"snapshot of {day(3)} or later" in why


def test_a_champion_that_knows_more_of_the_judged_day_waits() -> None:
    own = LearntDays(judged_on=days(60), judged_model=days(30), serving=days(30, 60))

    def found(champion: set[date], own: LearntDays = own) -> tuple[Footing, str]:
        return common_footing(own, champion, label_end=lambda d: d + timedelta(days=30))

    assert found(days(60))[0] is Footing.SERVING
    kind, why = found(days(60, 75))
    assert kind is Footing.NONE
    assert f"champion has learnt {day(75)}," in why and f"snapshot of {day(105)} or later" in why
    more = LearntDays(judged_on=days(60), judged_model=days(30), serving=days(45, 60))
    kind, why = found(days(60), more)
    assert kind is Footing.NONE and f"this one has learnt {day(45)}," in why


def test_a_champion_whose_days_are_unknown_is_promoted_over_by_hand() -> None:
    for judged, champion in ((days(60), set()), (days(0), set())):
        kind, why = footing(days(60), judged, champion)
        assert kind is Footing.NONE
        assert "not known which days" in why and "promote by hand" in why and "will tell" not in why
