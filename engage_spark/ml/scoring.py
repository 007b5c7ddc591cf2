"""Score rows with a loaded model, into the columns of the table `predictions`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from engage_spark.contract import Split
from engage_spark.contract.money import ContactMoney
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.evaluation.conformal import Conformal, with_interval, with_set
from engage_spark.ml.evaluation.profit_curve import ContactCounts
from engage_spark.ml.explain.explainer import Explainer
from engage_spark.ml.explain.reasons import OTHERS, REASONS, SCORE, with_reasons
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.fold_models import BASE, IMPUTED, UNSEEN, FoldModel, with_fold_scores
from engage_spark.ml.training.pipeline import (
    PREDICTION,
    PROBABILITY,
    imputed_fields,
    slots,
    unseen_levels,
)

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame

COLUMNS = (
    "target", "prediction", "probability", "lower", "upper", "prediction_set",
    "decision", "decision_threshold", "contact_value", "contact_cost", "contact_success",
    "score_raw", "base", "reasons", "other_contributions", "unit",
    "imputed", "unseen", "side", "in_sample", "out_of_fold", "model_name", "model_version",
)  # fmt: skip
"""The columns after the key and the day in the result of `to_predictions`."""
NEW = "new"
"""The side of a customer who was in no split when the model was trained."""
_LOWER, _UPPER, _SET, _OWN = "__lower", "__upper", "__set", "__own"


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """Everything that scoring needs beside the model, stored next to it as JSON.

    `features` are what the model was fitted on; `masked` the fields whose values reasons do not show.
    `contacts` (binary) tells what contacts earn; `days` are those that the model was fitted on, written as
    YYYY-MM-DD. Both are None for a model that an older version stored, of which that is not known. `folds`
    are the models that were fitted without one fold each. `conformal` was calibrated on `score`: the
    prediction, or a binary model's probability before calibration; `group` is its column of groups where it
    is by group. Name and version are the registry's.
    """

    target: Target
    features: tuple[Feature, ...]
    masked: tuple[str, ...]
    explainer: Explainer
    conformal: Conformal
    contacts: ContactCounts | None = None
    days: tuple[str, ...] | None = None
    folds: tuple[FoldModel, ...] = ()
    score: Literal["prediction", "probability"] = "prediction"
    group: str | None = None
    model_name: str = ""
    model_version: str = ""

    def __post_init__(self) -> None:
        binary = self.target.task is Task.BINARY
        wrong = [] if binary or self.contacts is None else ["only of two classes one decides whom to contact"]
        wrong += (
            ["the conformal calibration is of another task"]
            if self.conformal.task is not self.target.task
            else []
        )
        wrong += (
            ["a column of groups belongs to a calibration by group"]
            if self.conformal.by_group != (self.group is not None)
            else []
        )
        wrong += ["only binary models have a probability"] if self.score == PROBABILITY and not binary else []
        if unknown := set(self.explainer.features) - {f.name for f in self.features}:
            wrong.append(
                f"the explainer knows {', '.join(sorted(unknown))}, which the model's features do not include"
            )
        if wrong:
            raise ConfigurationError(
                f"the parts of the scorer of {self.target.name!r} do not fit together", details=wrong
            )

    def to_json(self) -> str:
        """Serialise to text that `from_json` reads, without the registry's name and version, which are only
        known later.
        """
        parts = {
            "target": asdict(self.target),
            "features": [asdict(f) for f in self.features],
            "masked": self.masked,
            "score": self.score,
            "explainer": json.loads(self.explainer.to_json()),
            "conformal": json.loads(self.conformal.to_json()),
            "group": self.group,
            "contacts": None if self.contacts is None else asdict(self.contacts),
            "days": self.days,
            "folds": [json.loads(f.to_json()) for f in self.folds],
        }
        return json.dumps(parts, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, model_name: str, model_version: str) -> Scorer:
        """Read what `to_json` wrote.

        Errors: InputError when the text is something else.
        """
        try:
            d = json.loads(text)
            return cls(
                target=Target(**(d["target"] | {"task": Task(d["target"]["task"])})),
                features=tuple(Feature(**f) for f in d["features"]),
                masked=tuple(d["masked"]),
                explainer=Explainer.from_json(json.dumps(d["explainer"])),
                conformal=Conformal.from_json(json.dumps(d["conformal"])),
                contacts=_contacts(d.get("contacts")),
                days=None if d.get("days") is None else tuple(map(str, d["days"])),
                folds=tuple(FoldModel.from_json(json.dumps(f)) for f in d.get("folds", ())),
                score=d["score"],
                group=d["group"],
                model_name=model_name,
                model_version=model_version,
            )
        except (ValueError, TypeError, KeyError) as e:
            raise InputError(
                f"this is not a stored scorer: {type(e).__name__}: {e}",
                hint="train the model again, or restore its artifact",
            ) from e


def _contacts(stored: Mapping[str, Any] | None) -> ContactCounts | None:
    if stored is None:
        return None
    counts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return ContactCounts(**counts)


def feature_kind(spark_type: str) -> str:
    """Classify a Spark type as number, text, or by its own name: a model's feature must be of the kind that
    it was trained on. Booleans are numbers, 0 and 1.
    """
    name = spark_type.split("(", maxsplit=1)[0]
    if name in ("tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "decimal"):
        return "number"
    return "text" if name in ("string", "char", "varchar") else name


def require_schema(types: Mapping[str, str], scorer: Scorer, *, needed: Sequence[str] = ()) -> None:
    """Check that the columns are those that the model was trained on. `types`: each column's Spark type, as
    `dict(frame.dtypes)` gives it.

    Columns that the model does not use are ignored.
    Cost: no job.
    Errors: one ConfigurationError with every feature that is missing (and what it may have been renamed to)
    or is of another kind, and each of the `needed` other columns that is not there.
    """
    wrong = []
    for f in scorer.features:
        expected = "text" if f.categorical else "number"
        if f.name not in types:
            near = difflib.get_close_matches(
                f.name, [t for t in types if t not in {g.name for g in scorer.features}], n=1, cutoff=0.8
            )
            wrong.append(f"{f.name} ({expected}) is missing" + (f"; is it {near[0]}?" if near else ""))
        elif (kind := feature_kind(types[f.name])) != expected:
            wrong.append(f"{f.name} is {types[f.name]}, {kind}, and was {expected} in training")
    others = [*needed, *([scorer.group] if scorer.group else [])]
    lacking = [name for name in dict.fromkeys(others) if name not in types]
    wrong += [f"{name} is missing" for name in lacking if name not in {f.name for f in scorer.features}]
    if wrong:
        model = f"{scorer.model_name or scorer.target.name} {scorer.model_version}".strip()
        raise ConfigurationError(
            f"the rows are not what model {model} was trained on",
            hint="give the features of the same contract, or train on the new ones",
            details=wrong,
        )


def to_predictions(
    rows: DataFrame,
    model: PipelineModel,
    scorer: Scorer,
    *,
    key: str | Sequence[str],
    day: str,
    top: int,
    money: ContactMoney | None,
    side: str | None = None,
    fold: str | None = None,
) -> DataFrame:
    """Score `rows`: the key, the day, then `COLUMNS`.

    Grain: that of `rows`, which have the features as the model knows them.

    `prediction` lies within the target's bounds; of two classes it is the calibrated probability of class 1,
    with `prediction_set`, and `decision` by the `money` in force (None: no decision); of numbers it stands
    between `lower` and `upper`. What does not apply is null. `base`, `reasons` and `other_contributions` add
    up to `score_raw`, see `with_reasons`. `side` names the column of `rows` that holds the customer's
    split, or `NEW`, and `fold` that of the fold: given both, rows that the model was fitted on are predicted
    and explained by the model of their fold (`out_of_fold`). A row's values depend on that row, the model and
    the money alone: the same bits beside any other rows, in any order and partitioning, and for a reloaded
    model.
    Cost: no job, one Arrow exchange of the vector; with `fold` two scans of `rows`, each of its own part.
    Errors: ConfigurationError as `require_schema` raises it, and for a model that is not the scorer's, or of
    an earlier release.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    keys = [key] if isinstance(key, str) else list(key)
    own = [*keys, day, *(c for c in (side, fold, scorer.group) if c)]
    held_out = scorer.folds if side and fold else ()
    features = [f.name for f in scorer.features] + [f.name for m in held_out for f in m.features]
    require_schema(dict(rows.dtypes), scorer, needed=[*own, *features])
    _require_model(model, scorer)
    used = rows.select(*map(column_named, dict.fromkeys([*own, *features])))
    learnt = _learnt(scorer, side=side, day=day)
    if not (side and fold and held_out):
        return _explained(used, model, scorer, top=top).select(
            *map(column_named, [*keys, day]), *_values(model, scorer, money, side=side, in_sample=learnt)
        )
    held = F.coalesce(learnt & column_named(fold).isin([m.fold for m in held_out]), F.lit(False))
    others = to_predictions(
        used.where(~held), model, scorer, key=key, day=day, top=top, money=money, side=side
    )
    scored = with_fold_scores(
        used.where(held),
        held_out,
        model,
        task=scorer.target.task,
        fold=fold,
        top=top,
        masked=scorer.masked,
    )
    values = _values(model, scorer, money, side=side, in_sample=F.lit(False), of_fold=True)
    return others.unionByName(_with_bounds(scored, scorer).select(*map(column_named, [*keys, day]), *values))


def _learnt(scorer: Scorer, *, side: str | None, day: str) -> Column:
    """Return whether the model was fitted on a row. Nulls: where that is not known."""
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    of_day = F.lit(None).cast("boolean")
    if scorer.days is not None:
        of_day = column_named(day).cast("string").isin(list(scorer.days))
    sided = F.lit(None).cast("string") if side is None else column_named(side)
    return (sided == Split.FIT.value) & of_day


def _explained(rows: DataFrame, model: PipelineModel, scorer: Scorer, *, top: int) -> DataFrame:
    scored = _with_bounds(model.transform(rows), scorer)
    return with_reasons(scored, scorer.explainer, top=top, masked=scorer.masked)


def _values(
    model: PipelineModel,
    scorer: Scorer,
    money: ContactMoney | None,
    *,
    side: str | None,
    in_sample: Column,
    of_fold: bool = False,
) -> list[Column]:
    """Return `COLUMNS` of scored and explained rows, by the model itself or by those of the folds."""
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    binary, target = scorer.target.task is Task.BINARY, scorer.target
    values: dict[str, Column] = {
        "target": F.lit(target.name),
        "prediction": F.col(PREDICTION),
        "probability": F.col(PREDICTION) if binary else F.lit(None).cast("double"),
        "lower": F.lit(None).cast("double") if binary else F.col(_LOWER),
        "upper": F.lit(None).cast("double") if binary else F.col(_UPPER),
        "prediction_set": F.col(_SET) if binary else F.lit(None).cast("array<int>"),
        **_decision(scorer, money),
        SCORE: F.col(SCORE),
        "base": F.col(BASE) if of_fold else F.lit(float(scorer.explainer.base)),
        REASONS: F.col(REASONS),
        OTHERS: F.col(OTHERS),
        "unit": F.lit(scorer.explainer.unit("" if binary else target.unit or target.name)),
        "imputed": F.col(IMPUTED) if of_fold else imputed_fields(scorer.features),
        "unseen": F.col(UNSEEN) if of_fold else unseen_levels(model),
        "side": F.lit(None).cast("string") if side is None else column_named(side),
        "in_sample": in_sample,
        "out_of_fold": F.lit(of_fold),
        "model_name": F.lit(scorer.model_name),
        "model_version": F.lit(scorer.model_version),
    }
    return [values[name].alias(name) for name in COLUMNS]


def _with_bounds(scored: DataFrame, scorer: Scorer) -> DataFrame:
    """Add the set of classes or the interval that each row's prediction is given with."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    if scorer.target.task is not Task.BINARY:
        return with_interval(scored, scorer.conformal, group=scorer.group, low=_LOWER, high=_UPPER)
    if scorer.score == PREDICTION:
        return with_set(scored, scorer.conformal, group=scorer.group, name=_SET)
    scored = scored.withColumn(_OWN, vector_to_array(F.col(PROBABILITY))[1])
    return with_set(scored, scorer.conformal, probability=_OWN, group=scorer.group, name=_SET)


def _decision(scorer: Scorer, money: ContactMoney | None) -> dict[str, Column]:
    """Return whether a contact pays, and what that was decided by."""
    from pyspark.sql import functions as F

    columns = ("decision_threshold", "contact_value", "contact_cost", "contact_success")
    if money is None or scorer.target.task is not Task.BINARY:
        nothing = {"decision": F.lit(None).cast("int")}
        return nothing | {name: F.lit(None).cast("double") for name in columns}
    earns = money.threshold <= 1 if scorer.contacts is None else scorer.contacts.earns(money)
    contact = F.col(PREDICTION) >= F.lit(float(money.threshold)) if earns else F.lit(None)
    amounts = (money.threshold, money.value, money.cost, money.success)
    return {"decision": contact.cast("int")} | {
        name: F.lit(float(amount)) for name, amount in zip(columns, amounts, strict=True)
    }


def _require_model(model: PipelineModel, scorer: Scorer) -> None:
    try:
        fitted, declared = {s.feature for s in slots(model)}, {f.name for f in scorer.features}
    except ConfigurationError as e:
        raise ConfigurationError(
            f"{scorer.model_name} version {scorer.model_version} cannot score: {e.message}",
            hint=e.hint,
        ) from e
    if fitted != declared:
        unmatched = (("model", fitted - declared), ("scorer", declared - fitted))
        raise ConfigurationError(
            f"the model of {scorer.target.name!r} and its scorer are not of one training",
            hint="load both from the same version in the registry",
            details=[f"only the {who} knows {name}" for who, names in unmatched for name in sorted(names)],
        )
