"""Turn raw features into the vector that estimators take: nulls filled, numbers scaled, text one-hot encoded.

What that needs of the rows (means, deviations, levels) is counted in one pass for all features, and becomes
constants of a projection and a vocabulary. MLlib's own Imputer, StandardScaler, StringIndexer and
OneHotEncoder do the same in four passes, and each of them is planned, saved and loaded as a stage.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from engage_spark.errors import ConfigurationError, FitError
from engage_spark.ml.feature_spec import Feature
from engage_spark.spark.sql_text import quoted_name

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

FEATURES = "__features"
"""The assembled vector."""
_TEXTS, _LEVELS = "__texts", "__levels"


@dataclass(frozen=True, kw_only=True)
class NumberSlot:
    """A number of the vector: what stands for null, what is taken off, and what it is multiplied by."""

    name: str
    filled: float
    centre: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How features become the vector: numbers first, then a 0 or 1 for each level of each category.

    `levels`: by category, the most frequent first, ties by name.
    """

    numbers: tuple[NumberSlot, ...]
    levels: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class FeatureCounts:
    """What was counted of the features of some rows: a number's slot, and a category's levels, by name.

    A feature without any value is in neither.
    """

    numbers: Mapping[str, NumberSlot]
    levels: Mapping[str, tuple[str, ...]]

    def of(self, features: Sequence[Feature]) -> Preparation:
        """Return the preparation of some of the features.

        Errors: FitError that names those without a value, or without a finite mean.
        """
        texts = [f.name for f in features if f.categorical]
        numbers = [f.name for f in features if not f.categorical]
        if empty := [n for n in numbers if n not in self.numbers] + [
            n for n in texts if n not in self.levels
        ]:
            raise FitError(
                f"{', '.join(empty)} has no value in the rows of the fit",
                hint="leave it out of the features in the contract, or train on more rows",
            )
        slots = tuple(self.numbers[n] for n in numbers)
        if infinite := [s.name for s in slots if not math.isfinite(s.filled)]:
            raise FitError(
                f"{', '.join(infinite)} has infinite values in the rows of the fit",
                hint="bound it in the contract, or make such values null",
            )
        return Preparation(numbers=slots, levels={n: self.levels[n] for n in texts})


def count_feature_values(rows: DataFrame, features: Sequence[Feature]) -> FeatureCounts:
    """Count what the preparation of features needs.

    Nulls and NaN of a number are as its mean, nulls of a category as its most frequent level. The deviation
    is that of a sample (n - 1). Rows that are partitioned and sorted alike give the same bits, whatever the
    size of Arrow's batches and the order in which partitions end.

    Cost: one job, one scan that crosses to Python in Arrow batches, no shuffle; none without features. A row
    per number and per level of a category comes back from each partition.
    """
    from engage_spark.ml.training import preparation_kernel as kernel
    from engage_spark.spark.by_value import send_by_value
    from engage_spark.spark.compat import to_arrow
    from engage_spark.spark.schema import column_named

    if not features:
        return FeatureCounts(numbers={}, levels={})
    send_by_value(kernel)
    texts = tuple(f.categorical for f in features)

    def partition(batches: Iterator[Any]) -> Iterator[Any]:
        return kernel.count_features(batches, texts)

    read = rows.select(
        *(
            column_named(f.name).cast("string" if f.categorical else "double").alias(f"c{i}")
            for i, f in enumerate(features)
        )
    )
    return added_counts(to_arrow(read.mapInArrow(partition, kernel.DDL)).to_pylist(), features)


def added_counts(rows: Sequence[Mapping[str, Any]], features: Sequence[Feature]) -> FeatureCounts:
    """Add up what partitions counted: rows of `preparation_kernel.SCHEMA`, in any order."""
    counted: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        counted.setdefault(row["code"], []).append(row)
    numbers: dict[str, NumberSlot] = {}
    levels: dict[str, tuple[str, ...]] = {}
    for i, f in enumerate(features):
        if f.categorical:
            if of_feature := _levels(counted.get(i, ())):
                levels[f.name] = of_feature
        elif (slot := _number(f.name, counted.get(i, ()))) is not None:
            numbers[f.name] = slot
    return FeatureCounts(numbers=numbers, levels=levels)


def _levels(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["level"]] = counts.get(row["level"], 0) + row["rows"]
    return tuple(sorted(counts, key=lambda level: (-counts[level], level)))


def _number(name: str, rows: Sequence[Mapping[str, Any]]) -> NumberSlot | None:
    """Return a number's slot from the moments of each partition, added up in an order of their own."""
    from engage_spark.ml.training.preparation_kernel import NOTHING, Moments, add_moments

    parts = sorted(Moments(r["present"], r["mean"], r["squares"]) for r in rows)
    n_rows, whole = sum(r["rows"] for r in rows), reduce(add_moments, parts, NOTHING)
    if not whole.present:
        return None
    # What is missing lies at the mean, so it adds rows and no distance.
    variance = whole.squares / (n_rows - 1) if n_rows > 1 else 0.0
    scale = 1.0 / math.sqrt(variance) if variance > 0 else 0.0
    return NumberSlot(name=name, filled=whole.mean, centre=whole.mean, scale=scale)


def preparation_model(preparation: Preparation) -> PipelineModel:
    """Build the stages from source columns to the assembled vector, with no job.

    Numbers and booleans are cast to double, their nulls and NaN become the mean of the counted rows,
    and they are scaled to mean 0 and variance 1 (a constant to 0). Text is one-hot encoded; its nulls become
    the most frequent level. A level that was not counted is none of the known: all slots of its category are
    0.

    To MLlib's trees a slot of a level is a number like any other, with thresholds from a sample of the rows
    (`maxBins` squared of them, at least 10,000). So a level of very few among very many rows may have no
    threshold, and no tree splits by it. Of the slots of a OneHotEncoder trees know that they hold 0 or 1, and
    need no sample. Source: `RandomForest.findSplits` of Spark MLlib.
    """
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import CountVectorizerModel, VectorAssembler

    first = select(_first_columns(preparation))
    if not preparation.numbers and not preparation.levels:
        assembler = VectorAssembler(inputCols=["__one"], outputCol=FEATURES)
        return PipelineModel(stages=[first, assembler, select("* EXCEPT (__one)")])
    names = [f"__n{i}" for i in range(len(preparation.numbers))]
    stages: list[Any] = []
    dropped = list(names)
    if preparation.levels:
        vocabulary = [
            f"{i}={level}" for i, levels in enumerate(preparation.levels.values()) for level in levels
        ]
        stages = [CountVectorizerModel.from_vocabulary(vocabulary, inputCol=_TEXTS, outputCol=_LEVELS)]
        names.append(_LEVELS)
        dropped += [_TEXTS, _LEVELS]
    return PipelineModel(
        stages=[
            first,
            *stages,
            # An infinite value of a constant feature is NaN here; what the model makes of it is its own.
            VectorAssembler(inputCols=names, outputCol=FEATURES, handleInvalid="keep"),
            select(f"* EXCEPT ({', '.join(dropped)})"),
        ]
    )


def _first_columns(preparation: Preparation) -> str:
    """Write what the first stage selects, which is all that a saved model keeps of the source columns."""
    if not preparation.numbers and not preparation.levels:
        return "*, 1.0D AS __one"
    columns = [_scaled(n, f"__n{i}") for i, n in enumerate(preparation.numbers)]
    if preparation.levels:
        texts = (_level(i, name, levels[0]) for i, (name, levels) in enumerate(preparation.levels.items()))
        columns.append(f"ARRAY({', '.join(texts)}) AS {_TEXTS}")
    return f"*, {', '.join(columns)}"


_DOUBLE = r"(\S+)D"
_NAME = r"`((?:[^`]|``)+)`"
_NUMBER = re.compile(
    rf"\(COALESCE\(NANVL\(CAST\({_NAME} AS DOUBLE\), {_DOUBLE}\), \S+D\) - {_DOUBLE}\) \* {_DOUBLE} AS __n\d+"
)
_LEVEL = re.compile(
    rf"CONCAT\('\d+=', COALESCE\(CAST\({_NAME} AS STRING\), CAST\(X'[0-9a-f]*' AS STRING\)\)\)"
)


def preparation_of(model: PipelineModel) -> Preparation:
    """Read back what a model's vector is made of, also of a reloaded model.

    A saved pipeline keeps the SQL of its first stage and nothing else of the source columns, so names and
    constants are read from that SQL, which `preparation_model` wrote. Nothing for a baseline without
    features, whose vector is the constant 1.

    Errors: ConfigurationError where `preparation_model` did not write the first stage: that of an earlier
    release is of another form, and so is a pipeline of somebody else.
    """
    from pyspark.ml.feature import CountVectorizerModel

    statement = str(model.stages[0].getStatement()) if hasattr(model.stages[0], "getStatement") else ""
    numbers = tuple(
        NumberSlot(
            name=name.replace("``", "`"), filled=float(filled), centre=float(centre), scale=float(scale)
        )
        for name, filled, centre, scale in _NUMBER.findall(statement)
    )
    names = [name.replace("``", "`") for name in _LEVEL.findall(statement)]
    levels: dict[str, list[str]] = {name: [] for name in names}
    for stage in model.stages if names else ():
        if isinstance(stage, CountVectorizerModel):
            for entry in stage.vocabulary:
                number, _, level = entry.partition("=")
                levels[names[int(number)]].append(level)
    known = {name: tuple(of_name) for name, of_name in levels.items()}
    preparation = Preparation(numbers=numbers, levels=known)
    if not all(known.values()) or statement != _selecting(_first_columns(preparation)):
        raise ConfigurationError(
            "the model was trained by an earlier release, and this one cannot read how it prepares features",
            hint="train the target again: `engage-spark train`",
        )
    return preparation


def select(what: str) -> Any:
    """Return the stage that selects `what` in SQL from its rows."""
    from pyspark.ml.feature import SQLTransformer

    return SQLTransformer(statement=_selecting(what))


def _selecting(what: str) -> str:
    return f"SELECT {what} FROM __THIS__"  # noqa: S608 (source names are quoted, all else is written here)


def _scaled(n: NumberSlot, alias: str) -> str:
    """Write what `_NUMBER` reads again."""
    value = f"CAST({quoted_name(n.name)} AS DOUBLE)"
    known = f"COALESCE(NANVL({value}, {double(n.filled)}), {double(n.filled)})"
    return f"({known} - {double(n.centre)}) * {double(n.scale)} AS {alias}"


def _level(number: int, name: str, most_frequent: str) -> str:
    """Write what `_LEVEL` reads again: the number of a category and its level, as the vocabulary has it.

    The level is written by its bytes: it may hold any sign.
    """
    filled = f"CAST(X'{most_frequent.encode('utf-8').hex()}' AS STRING)"
    return f"CONCAT('{number}=', COALESCE(CAST({quoted_name(name)} AS STRING), {filled}))"


def double(value: float) -> str:
    """Write a double in SQL with all its bits."""
    return f"{float(value)!r}D"
