"""Check before the first fit that every target can be trained, and part its rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.fit_draw import FitDraw
from engage_spark.ml.data.preflight import fold_counts, require_trainable, valueless_features
from engage_spark.ml.data.split import FOLD, SIDE
from engage_spark.ml.data.split_rows import SplitRows, TargetSnapshots, split_rows
from engage_spark.ml.data.training_set import labelled
from engage_spark.ml.feature_spec import FeatureSpec, Target, TargetSpecs, all_features
from engage_spark.ml.training.candidates import baseline_for, candidates_for
from engage_spark.ml.training.pipeline import candidate_features
from engage_spark.settings.model import ModelSettings
from engage_spark.wording import counted


@dataclass(frozen=True, kw_only=True)
class TrainableTarget:
    """The rows of a target by split, and its specs without features that the rows of a fit leave empty."""

    specs: TargetSpecs
    splits: SplitRows


def trainable_targets(
    rows: DataFrame,
    specs: Mapping[str, TargetSpecs],
    snapshots: Mapping[str, TargetSnapshots],
    *,
    key: Sequence[str],
    models: ModelSettings,
) -> dict[str, TrainableTarget]:
    """Part the rows of every target by split, and check before the first fit that all targets can be trained.

    Where a fit may not take all rows, the rows that are drawn for it are counted, too: a feature that has a
    value in others alone is left out, and that is said.

    Cost: two jobs per target, three where a fit may not take all rows.

    Errors: one ConfigurationError with all that is in the way, target by target.
    """
    trainable: dict[str, TrainableTarget] = {}
    errors: list[ConfigurationError] = []
    for name, of_target in specs.items():
        try:
            trainable[name] = _trainable(rows, of_target, snapshots[name], key=key, models=models)
        except ConfigurationError as e:
            errors.append(e)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConfigurationError(
            f"{counted(len(errors), 'target')} cannot be trained",
            details=[line for e in errors for line in (e.message, *(f"  {d}" for d in e.details))],
            hint="; ".join(dict.fromkeys(e.hint for e in errors if e.hint)),
        )
    return trainable


def fit_draw(splits: SplitRows, target: Target, *, models: ModelSettings, key: Sequence[str]) -> FitDraw:
    """Return how rows of the fit split are drawn, where a fit may not take all."""
    counted = splits.sample("fit", label=target.name, limit=splits.counts["fit"])
    return FitDraw.of(counted, limit=models.fit_rows, key=key, seed=models.seed)


def _trainable(
    rows: DataFrame,
    specs: TargetSpecs,
    snapshots: TargetSnapshots,
    *,
    key: Sequence[str],
    models: ModelSettings,
) -> TrainableTarget:
    target, features = specs.main.target, all_features(specs.all)
    candidates_for(target, models.candidates)
    candidate_features(baseline_for(target), specs.main.features)
    fit_rows = labelled(rows, target=target, days=snapshots.train).where(F.col(SIDE) == "fit")
    counts = fold_counts(fit_rows, label=target.name, features=features, fold=FOLD)
    require_trainable(counts, target=target, features=features)
    splits = split_rows(rows, target, snapshots)
    draw = fit_draw(splits, target, models=models, key=key)
    if draw.is_whole:
        return TrainableTarget(specs=specs, splits=splits)
    drawn = fold_counts(draw.drawn(splits.fit), label=target.name, features=features, fold=FOLD)
    empty = valueless_features(drawn, features)
    require_trainable(drawn, target=target, features=[f for f in features if f.name not in empty] or features)
    if empty:
        log.event(
            f"{target.name} is trained without {', '.join(sorted(empty))}: {_WHY} ({draw.n_rows:,} of "
            f"{draw.sample.expected:,} rows)",
            level="warning",
        )
    return TrainableTarget(specs=_without(specs, empty), splits=splits)


_WHY = "no value in the rows of a fit that models.fit_rows leaves"


def _without(specs: TargetSpecs, empty: Collection[str]) -> TargetSpecs:
    """Leave features out of the specs, and keep why."""

    def without(spec: FeatureSpec) -> FeatureSpec:
        left_out = tuple((f.name, _WHY) for f in spec.features if f.name in empty)
        features = tuple(f for f in spec.features if f.name not in empty)
        return replace(spec, features=features, excluded=(*spec.excluded, *left_out))

    return TargetSpecs(
        main=without(specs.main), other=without(specs.other), unprotected=without(specs.unprotected)
    )
