"""What is counted of features before a fit, against pandas, and which candidates are refused."""

from __future__ import annotations

import math
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark import ml
from pyspark.ml import feature
from pyspark.ml.feature import CountVectorizerModel

from engage_spark.errors import ConfigurationError, FitError
from engage_spark.ml.feature_spec import Feature
from engage_spark.ml.training import preparation_kernel as kernel
from engage_spark.ml.training.candidates import baseline_for
from engage_spark.ml.training.pipeline import require_buildable
from engage_spark.ml.training.preparation import (
    FeatureCounts,
    NumberSlot,
    Preparation,
    added_counts,
    preparation_model,
    preparation_of,
)
from tests.support.made_rows import FEATURES, LEFT, QUICK

AGE, PLAN = (Feature(name=n, table="people", categorical=n == "plan") for n in ("age", "plan"))


def counts_of(
    ages: list[Any], plans: list[Any], *, partitions: int = 1, batch: int = 3, shuffled: int | None = None
) -> FeatureCounts:
    """Count rows as Spark's workers do, in batches of so many rows; `shuffled`: by which draw the counts of
    partitions arrive in another order.
    """
    rows: list[dict[str, Any]] = []
    for part in np.array_split(np.arange(len(ages)), partitions):
        batches = [
            pa.RecordBatch.from_arrays(
                [
                    pa.array([ages[i] for i in at], pa.float64()),
                    pa.array([plans[i] for i in at], pa.string()),
                ],
                names=["c0", "c1"],
            )
            for at in (part[k : k + batch] for k in range(0, len(part), batch))
        ]
        for counted in kernel.count_features(iter(batches), (False, True)):
            rows += counted.to_pylist()
    if shuffled is not None:
        Random(shuffled).shuffle(rows)
    return added_counts(rows, [AGE, PLAN])


NUMBERS = st.none() | st.just(math.nan) | st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, st.sampled_from([None, "a", "b", "ä=1", ""])), min_size=2, max_size=30))
def test_counts_are_those_of_pandas_on_any_partitioning(rows: list[tuple[Any, Any]]) -> None:
    ages, plans = [a for a, _ in rows], [p for _, p in rows]
    present = pd.Series(ages, dtype=float).dropna()
    filled = pd.Series(ages, dtype=float).fillna(present.mean())
    levels = pd.Series([p for p in plans if p is not None], dtype=object).value_counts()
    for partitions in (1, 3):
        counts = counts_of(ages, plans, partitions=partitions)
        again = counts_of(ages, plans, partitions=partitions, batch=8, shuffled=1)
        assert counts == again, "the same bits in any order of partitions and any batches"
        if len(present):
            slot, size = counts.numbers["age"], max(1.0, float(present.abs().max()))
            assert slot.filled == slot.centre == pytest.approx(present.mean(), abs=1e-12 * size)
            deviation = 1 / slot.scale if slot.scale else 0.0
            assert deviation == pytest.approx(filled.std(ddof=1), rel=1e-9, abs=1e-9 * size)
        else:
            assert "age" not in counts.numbers
        expected = sorted(levels.index, key=lambda v: (-levels[v], v))
        assert list(counts.levels.get("plan", ())) == expected


def test_the_size_of_batches_changes_no_bit() -> None:
    draw = np.random.default_rng(5)
    ages = [*draw.lognormal(10, 3, 2 * kernel.BLOCK + 1234).tolist(), None, math.nan]
    plans = ["x"] * len(ages)
    counts = counts_of(ages, plans, batch=kernel.BLOCK)
    assert counts.numbers["age"].centre == pytest.approx(np.mean(ages[:-2]), rel=1e-12)
    assert 1 / counts.numbers["age"].scale == pytest.approx(pd.Series(ages).fillna(np.mean(ages[:-2])).std())
    for batch in (997, 4096, kernel.BLOCK + 1, len(ages)):
        assert counts_of(ages, plans, batch=batch) == counts


def test_partitions_that_end_in_another_order_change_no_bit() -> None:
    ages = np.random.default_rng(6).lognormal(10, 3, 700).tolist()
    plans = [f"p{i % 9}" for i in range(700)]
    counts = counts_of(ages, plans, partitions=13, batch=64)
    for draw in range(20):
        assert counts_of(ages, plans, partitions=13, batch=64, shuffled=draw) == counts


def test_a_constant_has_no_scale_and_one_row_neither() -> None:
    assert counts_of([0.1] * 7, ["x"] * 7, partitions=2).numbers["age"].scale == 0.0
    assert counts_of([5.0], ["x"]).numbers["age"].scale == 0.0


def test_features_without_a_value_or_a_finite_mean_are_named() -> None:
    counts = counts_of([math.nan, None], [None, None])
    with pytest.raises(FitError, match="age, plan has no value"):
        counts.of([AGE, PLAN])
    with pytest.raises(FitError, match="age has infinite values"):
        counts_of([1.0, math.inf], ["x", "x"]).of([AGE])
    slot = NumberSlot(name="age", filled=1.0, centre=1.0, scale=1.0)
    assert FeatureCounts(numbers={"age": slot}, levels={}).of([AGE]).numbers == (slot,)


class Vocabulary(CountVectorizerModel):
    """A vocabulary without a JVM."""

    def __init__(self, vocabulary: list[str], **_: Any) -> None:
        self.own = vocabulary

    @property
    def vocabulary(self) -> list[str]:
        """The entries, as they were given."""
        return self.own

    def __del__(self) -> None: ...


def pipeline(*stages: Any) -> Any:
    return SimpleNamespace(stages=[*stages])


def statement_stage(statement: str) -> Any:
    return SimpleNamespace(getStatement=lambda: statement)


def built(of: Preparation, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Build the stages of a preparation, with stand-ins for what needs a JVM."""
    monkeypatch.setattr(ml, "PipelineModel", lambda stages: pipeline(*stages))
    monkeypatch.setattr(feature, "SQLTransformer", statement_stage)
    monkeypatch.setattr(feature, "VectorAssembler", lambda **_: None)
    monkeypatch.setattr(Vocabulary, "from_vocabulary", Vocabulary)
    monkeypatch.setattr(feature, "CountVectorizerModel", Vocabulary)
    return preparation_model(of)


DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
SLOTS = st.builds(
    NumberSlot, name=st.text("aä`., '", min_size=1), filled=DOUBLES, centre=DOUBLES, scale=DOUBLES
)
LEVELS = st.lists(st.text("ab=,' `\\\n"), min_size=1, max_size=3, unique=True).map(tuple)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(SLOTS, max_size=3, unique_by=lambda s: s.name).map(tuple),
    levels=st.dictionaries(st.text("bö`) ", min_size=1), LEVELS, max_size=3),
)
def test_what_a_model_is_made_of_is_read_back_from_it(
    numbers: Any, levels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparation = Preparation(numbers=numbers, levels=levels)
    again = preparation_of(built(preparation, monkeypatch))
    assert again == preparation and [*again.levels] == [*levels]


@pytest.mark.parametrize(
    "first",
    [
        statement_stage(
            "SELECT *, CAST(`age` AS DOUBLE) AS __n0, CAST(`plan` AS STRING) AS __c0 FROM __THIS__"
        ),
        statement_stage(
            "SELECT *, (COALESCE(NANVL(CAST(`age` AS DOUBLE), 1.0D), 1.0D) - 1.0D) * 2.0D AS __n0, 1 AS x"
        ),
        SimpleNamespace(uid="Imputer_1"),
    ],
    ids=["an earlier release", "more than is read", "no SQL"],
)
def test_a_first_stage_of_another_form_is_refused_in_words(first: Any) -> None:
    with pytest.raises(ConfigurationError, match="trained by an earlier release") as e:
        preparation_of(pipeline(first))
    assert "train the target again" in str(e.value.hint)


def test_names_that_the_model_needs_are_refused_all_at_once() -> None:
    features = [
        Feature(name=n, table="people", categorical=False)
        for n in ("prediction", "__x", "age", "age", "left")
    ]
    with pytest.raises(ConfigurationError) as e:
        require_buildable(QUICK["linear"], features=features, label="left")
    assert [d.split("'")[1] for d in e.value.details] == ["__x", "age", "prediction", "left"]


def test_a_baseline_whose_feature_is_missing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs visits, which the features do not include"):
        require_buildable(baseline_for(LEFT), features=FEATURES[1:], label="left")


def test_no_feature_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no feature"):
        require_buildable(QUICK["gbt"], features=(), label="left")
