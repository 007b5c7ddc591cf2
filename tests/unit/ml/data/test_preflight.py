"""What keeps rows from being trained on is reported before any fit, all of it at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.preflight import FoldCounts, require_trainable
from engage_spark.ml.feature_spec import Feature, Target, Task

AGE = Feature(name="age", table="people", categorical=False)
BINARY = Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline=None)
AMOUNT = Target(name="spend", task=Task.REGRESSION, minimum=0, maximum=None, label_days=0, baseline=None)


def counts(
    fold: int | None,
    *,
    ones: int = 5,
    zeros: int = 5,
    other: int = 0,
    unlabelled: int = 0,
    age: int = 10,
    infinite: int = 0,
    least: float | None = 0.0,
    most: float | None = 1.0,
) -> FoldCounts:
    return FoldCounts(
        fold=fold,
        rows=ones + zeros + other + unlabelled,
        unlabelled=unlabelled,
        ones=ones,
        zeros=zeros,
        minimum=least,
        maximum=most,
        present={"age": age},
        infinite={"age": infinite},
    )


def refusal(*fold_counts: FoldCounts, target: Target = BINARY) -> str:
    with pytest.raises(ConfigurationError) as e:
        require_trainable(fold_counts, target=target, features=[AGE])
    return str(e.value)


def refusals(*fold_counts: FoldCounts, target: Target) -> tuple[str, ...]:
    """What is in the way; nothing where the rows can be trained on."""
    try:
        require_trainable(fold_counts, target=target, features=[AGE])
    except ConfigurationError as e:
        return e.details
    return ()


def test_sound_folds_pass_and_the_same_without_one_class_do_not() -> None:
    assert [refusals(counts(0), counts(1), target=t) for t in (BINARY, AMOUNT)] == [(), ()]
    assert refusals(counts(None), target=BINARY) == ()
    assert len(refusals(counts(None, ones=0, zeros=10), target=BINARY)) == 1


def test_no_rows_at_all() -> None:
    assert "there are no rows" in refusal()


def test_training_rows_of_one_class_are_named_with_their_counts() -> None:
    text = refusal(counts(0), counts(1, ones=0, zeros=9))
    assert "0 of the rows outside fold 0 are of class 1 and 9 of class 0" in text


def test_one_class_only_without_folds() -> None:
    assert "10 of all rows are of class 1 and 0 of class 0" in refusal(counts(None, ones=10, zeros=0))


def test_a_constant_amount() -> None:
    assert "the label is 3 in all 10 of the rows outside fold 0" in refusal(
        counts(0, least=3, most=3), counts(1, least=3, most=3), target=AMOUNT
    )


def test_labels_that_differ_only_inside_one_fold_leave_a_constant_outside_it() -> None:
    text = refusal(counts(0, least=1, most=9), counts(1, least=3, most=3), target=AMOUNT)
    assert "outside fold 0" in text
    assert "outside fold 1" not in text


def test_rows_without_a_label() -> None:
    assert "2 of 22 rows have no left" in refusal(counts(0, unlabelled=2), counts(1))


def test_labels_beside_0_and_1() -> None:
    assert "3 of 23 rows have a left that is neither 0 nor 1" in refusal(counts(0, other=3), counts(1))


def test_a_number_that_is_no_label_of_a_class_is_fine_for_an_amount() -> None:
    folds = counts(0, other=3), counts(1)
    assert refusals(*folds, target=AMOUNT) == ()
    assert refusals(*folds, target=BINARY) == ("3 of 23 rows have a left that is neither 0 nor 1",)


def test_a_feature_without_a_value_outside_a_fold_is_named() -> None:
    text = refusal(counts(0), counts(1, age=0))
    assert "no row of the rows outside fold 0 has a value of age" in text
    assert "outside fold 1 has" not in text


def test_infinite_values_are_counted() -> None:
    assert "age is infinite in 4 of 20 rows" in refusal(counts(0, infinite=4), counts(1))


def test_a_fold_of_one_class_costs_nothing_but_itself() -> None:
    assert refusals(counts(0, ones=0, zeros=10), counts(1), counts(2), target=BINARY) == ()
    apart = refusals(counts(0, ones=0, zeros=10), counts(1, ones=10, zeros=0), target=BINARY)
    assert "no fold has rows of both classes, so nothing tells candidates apart" in apart


def test_two_classes_are_no_number() -> None:
    two = [replace(counts(k, least=1.0, most=2.0), values=2) for k in (0, 1)]
    (line,) = refusals(*two, target=AMOUNT)
    assert line.startswith("spend is 1 or 2 in all rows: these are two classes")
    assert refusals(two[0], replace(two[1], values=3), target=AMOUNT) == ()
    assert refusals(two[0], replace(two[1], maximum=3.0), target=AMOUNT) == ()
