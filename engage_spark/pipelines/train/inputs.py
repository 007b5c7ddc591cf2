"""What a training works on: matured snapshots, each customer on its side, every target with the rows that it
may use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import splits_table
from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.lake import Materialize
from engage_spark.ml.data.split import COLUMNS, check_splits, draw_splits, to_newcomers, with_newcomers
from engage_spark.ml.data.split_rows import TargetSnapshots
from engage_spark.ml.feature_spec import FeatureSpec, LeakPolicy, Target, Task, build_feature_spec, targets_of
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.model_inputs import DAY, ModelInputs, rows_of, valid_rows
from engage_spark.pipelines.train.cross_validation import FOLD
from engage_spark.spark.schema import column_named

SPLITS = "splits"


@dataclass(frozen=True, kw_only=True)
class TargetSpecs:
    """What models of a target may look at: by the settings, under the other policy, and without protected
    fields.
    """

    main: FeatureSpec
    other: FeatureSpec
    unprotected: FeatureSpec

    @property
    def all(self) -> tuple[FeatureSpec, ...]:
        return (self.main, self.other, self.unprotected)


def plans_of(context: RunContext, target: Target, *, graph: bool) -> TargetSpecs:
    """The three plans of a target."""
    chosen, contract = context.settings.models, context.contract
    policy = LeakPolicy(chosen.policy)
    other = LeakPolicy.PERMISSIVE if policy is LeakPolicy.STRICT else LeakPolicy.STRICT
    return TargetSpecs(
        main=build_feature_spec(contract, target, policy=policy, protected=chosen.protected, graph=graph),
        other=build_feature_spec(contract, target, policy=other, protected=chosen.protected, graph=graph),
        unprotected=build_feature_spec(contract, target, policy=policy, protected=False, graph=graph),
    )


def require_names(context: RunContext, plans: Iterable[TargetSpecs]) -> None:
    """Raise ConfigurationError where a feature has a name that the training set or the models give their own
    columns.
    """
    own = {"side", FOLD, "prediction", "probability"}
    if taken := sorted(
        {n for of in plans for p in of.all for n in p.names if n.lower() in own or n.startswith("__")}
    ):
        raise ConfigurationError(
            f"features cannot be named {', '.join(taken)}: models have columns of that name",
            hint=f"rename them in contract {context.contract.id!r}, or give them another role",
        )


def training_set(
    context: RunContext,
    work: StageRun,
    found: ModelInputs,
    plans: Mapping[str, TargetSpecs],
    snapshots: Mapping[str, TargetSnapshots],
    keep: Materialize,
    *,
    as_of: date,
) -> tuple[DataFrame, int, tuple[str, ...]]:
    """All rows of all targets with their side and fold, written to scratch once; the version of `splits`;
    what is to be said about them.

    Cost: the splits look at keys alone; then one shuffle each of the entity, its features and its graph by
    key and day, and one join with the splits, written as one table. Raises TransientError where a row got
    lost on the way.
    """
    days = sorted({d for s in snapshots.values() for d in s.all})
    reference, stratum, notes = _reference(context, found, days, as_of)
    with log.stage("splitting"):
        keys = valid_rows(context, sorted({*days, reference}))
        splits, version = _split(context, work, keys, (reference, stratum), keep)
    sides = splits.select(*_keys(context), "side", "fold")
    rows = rows_of(context, found, days, plans=[p for of in plans.values() for p in of.all])
    with log.stage("joining customers, features and graph", snapshots=len(days)):
        rows = keep(rows.join(sides, on=list(context.contract.entity.key), how="inner"), "training_set")
    expected = sum(found.days[d][context.contract.entity.name].rows_valid for d in days)
    if (arrived := rows.count()) != expected:
        why = f"a key is there twice in {SPLITS}" if arrived > expected else "a table was replaced meanwhile"
        raise TransientError(
            f"{expected:,} valid rows were published, and {arrived:,} came together with their features and side",
            hint=f"{why}; let no other training or stage write at the same time, and run `engage-spark train` again",
        )
    return rows, version, notes


def _reference(
    context: RunContext, found: ModelInputs, days: Sequence[date], as_of: date
) -> tuple[date, str | None, tuple[str, ...]]:
    """The snapshot that the draw is made on, and the target that it is stratified by: the contract's first of
    two classes, whatever is trained now, on its newest snapshot that has matured.
    """
    binary = next((t for t in targets_of(context.contract) if t.task is Task.BINARY), None)
    if binary is None:
        return max(days), None, ()
    ripe = [d for d in found.days if d + timedelta(days=binary.label_days) <= as_of]
    note = f"the sides are drawn by what {binary.name} says now: none of its snapshots has matured yet"
    return (
        max(ripe or days),
        binary.name,
        () if ripe or context.lake.version(context.spark, SPLITS) is not None else (note,),
    )


def _split(
    context: RunContext,
    work: StageRun,
    rows: DataFrame,
    reference: tuple[date, str | None],
    keep: Materialize,
) -> tuple[DataFrame, int]:
    """The side of every key in `rows`: drawn on the reference snapshot where there are no splits yet, and
    kept for ever after.
    """
    chosen, table, key = (
        context.settings.models,
        splits_table(context.contract),
        list(context.contract.entity.key),
    )
    day, stratum = reference
    before = context.lake.version(context.spark, SPLITS)
    if before is None:
        drawn = draw_splits(
            rows.where(F.col(DAY) == F.lit(day)),
            stratum=stratum,
            key=key,
            folds=chosen.folds,
            seed=chosen.seed,
        )
        new = with_newcomers(drawn, rows, key=key, folds=chosen.folds, seed=chosen.seed)
        known = None
    else:
        known = context.lake.read(context.spark, SPLITS, version=before).select(*_keys(context), *COLUMNS)
        check_splits(known, key=key, folds=chosen.folds, seed=chosen.seed)
        new = to_newcomers(known, rows, key=key, folds=chosen.folds, seed=chosen.seed)
    new = keep(new, "new_splits")
    if before is not None and new.isEmpty():
        return known if known is not None else new, before
    stored = new.select("*", F.lit(day).alias("drawn_on"), F.lit(work.run_id).alias("_run_id"))
    context.lake.append(stored, table, tag=work.run_id)
    return new if known is None else known.unionByName(new), context.lake.written_version(
        context.spark, SPLITS
    )


def _keys(context: RunContext) -> list[Column]:
    return [column_named(k) for k in context.contract.entity.key]
