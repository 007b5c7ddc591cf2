"""Build one MLlib pipeline per candidate, from raw feature columns to `prediction`.

Features are of any numeric type, booleans or text, nulls allowed. Columns in between begin with two
underscores and are numbered, not named, so that a source column may have any name. Two of them stay:
`__features`, the assembled vector that explanations need (see `slots`), and `__raw`, the margin of a binary
model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engage_spark.errors import ConfigurationError
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.training.calibration import (
    FOLDS,
    GRID,
    NEAREST,
    CalibrationMap,
    ScoreCounts,
    choose_calibration,
)
from engage_spark.ml.training.candidates import Candidate

if TYPE_CHECKING:
    from pyspark.ml import Pipeline, PipelineModel
    from pyspark.sql import Column, DataFrame

FEATURES, RAW, PROBABILITY, PREDICTION = "__features", "__raw", "probability", "prediction"
_PREDICTED, _CLASS = "__predicted", "__class"
_CALIBRATED = f"* EXCEPT ({PREDICTION}), "
"""What the last stage of a calibrated model selects, before its prediction."""


@dataclass(frozen=True)
class VectorSlot:
    """One position of the assembled vector: a number, or one level of a category."""

    feature: str
    level: str | None = None


def build_pipeline(
    candidate: Candidate, *, target: Target, features: Sequence[Feature], label: str, seed: int
) -> Pipeline:
    """Build the unfitted pipeline of a candidate.

    Numbers and booleans are cast to double, their nulls and NaN become the mean of the training rows, and
    they are scaled to mean 0 and variance 1; text is one-hot encoded, its nulls become the most frequent
    level, and a level that training has not seen is none of the known. `prediction` is a double inside the
    target's bounds, for a binary target the probability of class 1, beside which the vector `probability`
    stays. `label` is a numeric column of the rows to fit on; rows to score need none. A NaN that the
    estimator arrives at (from an infinite value in a row) fails the job that meets it.

    Cost: fitting takes a scan for the means, one each for levels and scaling, and what the estimator needs;
    `fit_all` shares the former among candidates.

    Errors: ConfigurationError with all that is wrong: no feature, one twice, a name that the pipeline needs
    itself, a baseline whose feature is not among `features`.
    """
    from pyspark.ml import Pipeline

    used_features = candidate_features(candidate, features)
    _require_names(used_features, label)
    return Pipeline(
        stages=[*preparation(used_features), *estimation(candidate, target=target, label=label, seed=seed)]
    )


def candidate_features(candidate: Candidate, features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Return the features that a candidate takes.

    Errors: ConfigurationError where it needs one that is not there, or there is none.
    """
    if candidate.only is None:
        if not features:
            raise ConfigurationError(
                f"candidate {candidate.name!r} has no feature",
                hint="the contract must leave the target at least one",
            )
        return tuple(features)
    if missing := [n for n in candidate.only if n not in {f.name for f in features}]:
        raise ConfigurationError(
            f"candidate {candidate.name!r} needs {', '.join(missing)}, which the features do not include",
            hint=(
                "name a feature that does not leak into the target as its baseline, and pass all "
                "features of the plan for a baseline"
            ),
        )
    return tuple(f for f in features if f.name in candidate.only)


def _require_names(features: Sequence[Feature], label: str) -> None:
    names = [f.name for f in features]
    problems = [f"{n!r} is there twice" for n in dict.fromkeys(names) if names.count(n) > 1]
    problems += [
        f"{n!r} is a name that the model gives its own columns"
        for n in {*names, label}
        if n in (PREDICTION, PROBABILITY)
    ]
    problems += [
        f"{n!r} begins with two underscores, as the model's own columns do"
        for n in {*names, label}
        if n.startswith("__")
    ]
    problems += [f"label {label!r} is a feature too"] if label in names else []
    if problems:
        raise ConfigurationError(
            "the columns of a model have names that clash",
            hint="rename them in the contract",
            details=sorted(problems),
        )


def preparation(features: Sequence[Feature]) -> list[Any]:
    """Build the stages from source columns to the assembled vector, the same for every candidate.

    See `build_pipeline`.
    """
    from pyspark.ml.feature import Imputer, OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler

    numbers = [f.name for f in features if not f.categorical]
    texts = [f.name for f in features if f.categorical]
    n, m, c, i, k, h = (
        [f"__{x}{j}" for j in range(len(of))]
        for x, of in zip("nmcikh", [numbers] * 2 + [texts] * 4, strict=True)
    )
    sources = [_cast(a, "DOUBLE", b) for a, b in zip(numbers, n, strict=True)]
    sources += [_cast(a, "STRING", b) for a, b in zip(texts, c, strict=True)]
    if not features:
        return [
            _select("*, 1.0D AS __one"),
            VectorAssembler(inputCols=["__one"], outputCol=FEATURES),
            _select("* EXCEPT (__one)"),
        ]
    stages: list[Any] = [_select(f"*, {', '.join(sources)}")]
    if numbers:
        stages += [
            Imputer(inputCols=n, outputCols=m, strategy="mean"),
            VectorAssembler(inputCols=m, outputCol="__numbers"),
            StandardScaler(inputCol="__numbers", outputCol="__scaled", withMean=True, withStd=True),
        ]
    if texts:
        # An index beyond the known ones (a level not seen in training) is not a level of the encoder
        # either, and all its slots are 0.
        filled = ", ".join(
            f"CASE WHEN {a} IS NULL THEN 0.0D ELSE {b} END AS {out}"
            for a, b, out in zip(c, i, k, strict=True)
        )
        stages += [
            StringIndexer(inputCols=c, outputCols=i, stringOrderType="frequencyDesc", handleInvalid="keep"),
            _select(f"*, {filled}"),
            OneHotEncoder(inputCols=k, outputCols=h, handleInvalid="keep", dropLast=True),
        ]
    scaled = ["__scaled"] if numbers else []
    dropped = [*n, *m, *(["__numbers"] if numbers else []), *scaled, *c, *i, *k, *h]
    return [
        *stages,
        VectorAssembler(inputCols=[*scaled, *h], outputCol=FEATURES),
        _select(f"* EXCEPT ({', '.join(dropped)})"),
    ]


def estimation(
    candidate: Candidate, *, target: Target, label: str, seed: int, weight: str | None = None
) -> list[Any]:
    """Build the estimator of a candidate, and the stage that puts its prediction inside the target's bounds.

    `weight` names the column that says how much a row counts; None: all count alike.

    The probability of class 1 is read from the text of the vector `probability`: Spark SQL has no expression
    that takes an element out of an MLlib vector, a UDF is not a stage of a saved pipeline, and a cast of a
    double to text and back keeps all its bits.
    """
    from engage_spark.ml.training.estimators import estimator

    unfitted = estimator(
        candidate,
        target=target,
        label=label,
        seed=seed,
        predicted=_PREDICTED,
        classed=_CLASS,
        weight=weight,
    )
    drop = _CLASS if target.task is Task.BINARY else _PREDICTED
    nan = (
        f"RAISE_ERROR('the model of {_text(target.name)} predicts NaN for a row: one of its "
        f"features is infinite')"
    )
    return [unfitted, _select(f"* EXCEPT ({drop}), {bounded_score(target, nan=nan)} AS {PREDICTION}")]


def bounded_score(target: Target, *, nan: str | None = None) -> str:
    """Write in SQL what a fitted estimator predicts, inside the target's bounds.

    `nan` is what stands for a NaN; None leaves it.
    """
    value = _PREDICTED
    if target.task is Task.BINARY:
        value = (
            f"CAST(SUBSTRING_INDEX(TRIM(BOTH '[]' FROM CAST({PROBABILITY} AS STRING)), ',', -1) AS DOUBLE)"
        )
    inside = value
    if target.maximum is not None:
        inside = f"LEAST({_double(target.maximum)}, {inside})"
    if target.minimum is not None:
        inside = f"GREATEST({_double(target.minimum)}, {inside})"
    return f"CASE WHEN ISNAN({value}) THEN {nan or value} ELSE {inside} END"


def calibrated(
    model: PipelineModel, rows: DataFrame, *, label: str, key: Sequence[str], days: int
) -> tuple[PipelineModel, CalibrationMap]:
    """Return the same binary model with its `prediction` calibrated on `rows`, which it was not fitted on.

    Rows are counted by their log-odds on a grid and by fold of their customer (`key`), and the driver fits
    and chooses the map (`calibration`). `days`: how many rows a customer may have. The result depends on
    the rows alone.

    Cost: one job over `rows`; what is collected does not grow with them.

    Errors: ConfigurationError for a model without probabilities, one that is calibrated already, or no row.
    """
    from pyspark.ml import PipelineModel
    from pyspark.sql import functions as F

    from engage_spark.spark.compat import to_arrow
    from engage_spark.spark.schema import column_named

    last: Any = model.stages[-1]
    if f"SELECT {_CALIBRATED}" in last.getStatement():
        raise ConfigurationError(
            "the model is calibrated already", hint="calibrate the model as it was fitted"
        )
    scored = model.transform(rows)
    if PROBABILITY not in scored.columns:
        raise ConfigurationError(
            "only a model of two classes can be calibrated", hint="leave regressions as they are"
        )
    p = F.least(F.lit(1 - NEAREST), F.greatest(F.lit(NEAREST), F.col(PREDICTION)))
    place = F.rint(F.ln(p / (F.lit(1.0) - p)) * F.lit(float(GRID))).cast("bigint")
    fold = F.pmod(F.xxhash64(F.lit("calibration"), *map(column_named, key)), F.lit(FOLDS))
    grouped = scored.groupBy(place.alias("place"), fold.alias("fold")).agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_if(column_named(label).cast("double") == F.lit(1.0)).alias("ones"),
    )
    table = to_arrow(grouped).sort_by([("place", "ascending"), ("fold", "ascending")])
    columns = {name: table.column(name).to_numpy() for name in ("place", "fold", "rows", "ones")}
    chart = choose_calibration(ScoreCounts(**columns, days=days))
    stage = _select(f"{_CALIBRATED}{chart.sql(PREDICTION)} AS {PREDICTION}")
    return PipelineModel(stages=[*model.stages, stage]), chart


def calibration_stages(model: PipelineModel) -> tuple[Any, ...]:
    """Return the stages that `calibrated` put behind the model's own prediction; none where it did not."""
    stages: list[Any] = list(model.stages)
    own = [i for i, stage in enumerate(stages) if hasattr(stage, "getStatement")]
    first = next(i for i in own if stages[i].getStatement().endswith(f" AS {PREDICTION} FROM __THIS__"))
    return tuple(stages[first + 1 :])


_SOURCE = re.compile(r"CAST\(`((?:[^`]|``)+)` AS (DOUBLE|STRING)\) AS (__[nc]\d+)")


def slots(model: PipelineModel) -> tuple[VectorSlot, ...]:
    """Return what each position of `__features` stands for.

    Scaled numbers come first, then the levels of each category, the most frequent first. Known from the model
    alone, also a reloaded one: a saved pipeline keeps the SQL of its first stage and nothing else of the
    source columns, so their names are read from that SQL, which `_cast` wrote. Empty for a baseline without
    features, whose vector is the constant 1.
    """
    from pyspark.ml.feature import StringIndexerModel

    first: Any = model.stages[0]
    sources = {alias: name.replace("``", "`") for name, _, alias in _SOURCE.findall(first.getStatement())}
    vector_slots = [VectorSlot(name) for alias, name in sources.items() if alias.startswith("__n")]
    for stage in model.stages:
        if isinstance(stage, StringIndexerModel):
            for alias, levels in zip(stage.getInputCols(), stage.labelsArray, strict=True):
                vector_slots += [VectorSlot(sources[alias], level) for level in levels]
    return tuple(vector_slots)


def imputed_fields(features: Sequence[Feature]) -> Column:
    """Return the features that a row lacks (null, or NaN of a number), in order, as an array of text."""
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    def lacks(f: Feature) -> Column:
        value = column_named(f.name)
        return value.isNull() if f.categorical else value.isNull() | F.isnan(value.cast("double"))

    named = F.array(*(F.when(lacks(f), F.lit(f.name)) for f in features)) if features else F.array()
    return F.array_compact(named.cast("array<string>"))


def unseen_levels(model: PipelineModel) -> Column:
    """Return `unseen_of` the levels that a model was fitted with."""
    levels: dict[str, list[str]] = {}
    for slot in slots(model):
        if slot.level is not None:
            levels.setdefault(slot.feature, []).append(slot.level)
    return unseen_of(levels)


def unseen_of(levels: Mapping[str, Sequence[str]]) -> Column:
    """Return the categories of a row whose level is not among the known ones, in order, as an array of text.

    Such a level counts as none of the known ones, so it moves no prediction. A null is not one.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    unseen = [
        F.when(~column_named(name).cast("string").isin(list(known)), F.lit(name))
        for name, known in levels.items()
    ]
    return F.array_compact(F.array(*unseen).cast("array<string>"))


def _select(what: str) -> Any:
    from pyspark.ml.feature import SQLTransformer

    return SQLTransformer(statement=f"SELECT {what} FROM __THIS__")  # noqa: S608 (source names are quoted, all else is written here)


def _cast(name: str, kind: str, alias: str) -> str:
    """Write what `_SOURCE` reads again."""
    return f"CAST(`{name.replace('`', '``')}` AS {kind}) AS {alias}"


def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _double(value: float) -> str:
    return f"{float(value)!r}D"
