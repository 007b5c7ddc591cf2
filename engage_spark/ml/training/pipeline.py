"""Build one MLlib pipeline per candidate, from raw feature columns to `prediction`.

Features are of any numeric type, booleans or text, nulls allowed. Columns in between begin with two
underscores and are numbered, not named, so that a source column may have any name. Two of them stay:
`__features`, the assembled vector that explanations need (see `slots`), and `__raw`, the margin of a binary
model.
"""

from __future__ import annotations

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
from engage_spark.ml.training.candidates import Candidate, Family
from engage_spark.ml.training.preparation import double, preparation_of, select
from engage_spark.ml.training.xgboost import require_xgboost

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame

RAW, PROBABILITY, PREDICTION = "__raw", "probability", "prediction"
_PREDICTED, _CLASS = "__predicted", "__class"
_CALIBRATED = f"* EXCEPT ({PREDICTION}), "
"""What the last stage of a calibrated model selects, before its prediction."""


@dataclass(frozen=True)
class VectorSlot:
    """One position of the assembled vector: a number, or one level of a category."""

    feature: str
    level: str | None = None


def require_buildable(candidate: Candidate, *, features: Sequence[Feature], label: str) -> None:
    """Refuse a candidate whose pipeline cannot be built, before anything is fitted.

    `label` is the name of a column of the rows to fit on; rows to score need none.

    Cost: none.

    Errors: ConfigurationError with all that is wrong: no feature, one twice, a name that the pipeline needs
    itself, a baseline whose feature is not among `features`, XGBoost where it cannot be fitted.
    """
    used_features = candidate_features(candidate, features)
    _require_names(used_features, label)
    if candidate.family is Family.XGBOOST:
        require_xgboost()


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


def estimation(
    candidate: Candidate, *, target: Target, label: str, seed: int, weight: str | None = None
) -> list[Any]:
    """Build the estimator of a candidate, and the stage that puts its prediction inside the target's bounds.

    `prediction` is a double inside the target's bounds, for a binary target the probability of class 1,
    beside which the vector `probability` stays. A NaN that the estimator arrives at (from an infinite value
    in a row) fails the job that meets it. `label` is a numeric column.

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
    return [unfitted, select(f"* EXCEPT ({drop}), {bounded_score(target, nan=nan)} AS {PREDICTION}")]


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
        inside = f"LEAST({double(target.maximum)}, {inside})"
    if target.minimum is not None:
        inside = f"GREATEST({double(target.minimum)}, {inside})"
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
    stage = select(f"{_CALIBRATED}{chart.sql(PREDICTION)} AS {PREDICTION}")
    return PipelineModel(stages=[*model.stages, stage]), chart


def calibration_stages(model: PipelineModel) -> tuple[Any, ...]:
    """Return the stages that `calibrated` put behind the model's own prediction; none where it did not."""
    stages: list[Any] = list(model.stages)
    own = [i for i, stage in enumerate(stages) if hasattr(stage, "getStatement")]
    first = next(i for i in own if stages[i].getStatement().endswith(f" AS {PREDICTION} FROM __THIS__"))
    return tuple(stages[first + 1 :])


def slots(model: PipelineModel) -> tuple[VectorSlot, ...]:
    """Return what each position of `__features` stands for.

    Scaled numbers come first, then the levels of each category, the most frequent first. Known from the model
    alone, also a reloaded one. Empty for a baseline without features.

    Errors: ConfigurationError for a model of an earlier release, as `preparation_of` raises it.
    """
    preparation = preparation_of(model)
    numbers = (VectorSlot(n.name) for n in preparation.numbers)
    levels = (VectorSlot(name, level) for name, known in preparation.levels.items() for level in known)
    return (*numbers, *levels)


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
    return unseen_of(preparation_of(model).levels)


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


def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
