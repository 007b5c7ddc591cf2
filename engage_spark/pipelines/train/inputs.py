"""Prepare what a training works on: matured snapshots, and each customer in its split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import SNAPSHOT_DATE, splits_table
from engage_spark.errors import TransientError
from engage_spark.lake import COMMIT_WAIT, Materialize, table_lock
from engage_spark.ml.data.split import (
    COLUMNS,
    FOLD,
    SIDE,
    check_splits,
    draw_newcomer_splits,
    draw_splits,
    with_newcomers,
)
from engage_spark.ml.data.split_draw import SplitDraw
from engage_spark.ml.data.split_rows import TargetSnapshots
from engage_spark.ml.data.training_set import known_days
from engage_spark.ml.feature_spec import (
    LeakPolicy,
    Target,
    TargetSpecs,
    Task,
    build_target_specs,
    targets_of,
)
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.model_inputs import ModelInputs, rows_of, valid_rows
from engage_spark.pipelines.stages import SPLITS
from engage_spark.pipelines.train.split_repair import repair_splits
from engage_spark.publication import RUN_ID
from engage_spark.spark.schema import column_named


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSet:
    """The rows of all targets with their split and fold, and the version of `splits` that parted them.

    `draw` identifies the draw of those splits, `split_runs` are the trainings that put the customers on their
    sides. `undrawn_stratum` names the target whose labels were not known yet when the splits were drawn by
    them; None otherwise.
    """

    rows: DataFrame
    splits_version: int
    draw: SplitDraw
    undrawn_stratum: str | None
    repaired_keys: int
    split_runs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SplitReference:
    """The snapshot that splits are drawn on, and the target that they are stratified by.

    `matured` is False where no snapshot's labels of that target are known yet.
    """

    day: date
    stratum: str | None
    matured: bool


def specs_of(context: RunContext, targets: Iterable[Target], *, graph: bool) -> dict[str, TargetSpecs]:
    """Build the three specs of every target by the settings, by the target's name."""
    models = context.settings.models
    return {
        target.name: build_target_specs(
            context.contract,
            target,
            policy=LeakPolicy(models.policy),
            protected=models.protected,
            graph=graph,
        )
        for target in targets
    }


def build_training_set(
    context: RunContext,
    stage_run: StageRun,
    inputs: ModelInputs,
    specs: Mapping[str, TargetSpecs],
    snapshots: Mapping[str, TargetSnapshots],
    materialize: Materialize,
    *,
    as_of: date,
) -> TrainingSet:
    """Join all rows of all targets with their split and fold, and write them to scratch once.

    Cost: the splits look at keys alone; then one shuffle each of the entity, its features and its graph by
    key and day, and one join with the splits, written as one table.

    Errors: TransientError where a row got lost on the way; ConfigurationError where a key is on two sides.
    """
    days = sorted({d for s in snapshots.values() for d in s.all})
    reference = _reference(context, inputs.landed(context.contract.entity.name), days, as_of=as_of)
    with log.stage("splitting"):
        keys = valid_rows(context, sorted({*days, reference.day}))
        # Held from the look at the stored splits to what is added, so that no other training adds the same
        # keys.
        with table_lock(context.spark, context.lake, SPLITS, wait=COMMIT_WAIT):
            splits, version, draw = _splits(context, stage_run, keys, reference, materialize)
    rows = rows_of(context, inputs, days, specs=[s for of_target in specs.values() for s in of_target.all])
    expected = sum(inputs.days[d][context.contract.entity.name].rows_valid for d in days)
    joined, n_rows = _joined(context, rows, splits, materialize, "training_set")
    repaired = 0
    if n_rows > expected and (repaired := repair_splits(context, tag=stage_run.run_id)):
        version = context.lake.written_version(context.spark, SPLITS)
        splits = context.lake.read(context.spark, SPLITS, version=version)
        joined, n_rows = _joined(context, rows, splits, materialize, "training_set_repaired")
    if n_rows != expected:
        raise TransientError(
            f"{expected:,} valid rows were published, and {n_rows:,} joined with their features and split",
            hint=(
                "a table was replaced meanwhile; let no other stage write at the same time, and run "
                "`engage-spark train` again"
            ),
        )
    rows = joined
    return TrainingSet(
        rows=rows,
        splits_version=version,
        draw=draw,
        undrawn_stratum=None if reference.matured else reference.stratum,
        repaired_keys=repaired,
        split_runs=_split_runs(context, version),
    )


def _joined(
    context: RunContext, rows: DataFrame, splits: DataFrame, materialize: Materialize, name: str
) -> tuple[DataFrame, int]:
    """Join rows with their splits, and count them."""
    with log.stage("joining rows with their splits"):
        key = list(context.contract.entity.key)
        joined = materialize(rows.join(splits.select(*_keys(context), SIDE, FOLD), on=key, how="inner"), name)
        return joined, joined.count()


def _reference(
    context: RunContext, landed: Mapping[date, date], days: Sequence[date], *, as_of: date
) -> SplitReference:
    """Choose the snapshot and the target that splits are drawn by.

    The target is the contract's first of two classes, whatever is trained now, on its newest snapshot that
    has matured. Splits that are stored already count as matured: they are not drawn again.
    """
    binary = next((t for t in targets_of(context.contract) if t.task is Task.BINARY), None)
    if binary is None:
        return SplitReference(day=max(days), stratum=None, matured=True)
    matured = known_days(landed, binary, as_of=as_of)
    return SplitReference(
        day=max(matured or days),
        stratum=binary.name,
        matured=bool(matured) or context.lake.version(context.spark, SPLITS) is not None,
    )


def _splits(
    context: RunContext,
    stage_run: StageRun,
    rows: DataFrame,
    reference: SplitReference,
    materialize: Materialize,
) -> tuple[DataFrame, int, SplitDraw]:
    """Return the split of every key in `rows`, the version of the stored table, and what identifies its draw.

    Splits are drawn on the reference snapshot where there are none yet, and stay the same from then on.
    """
    key, models = list(context.contract.entity.key), context.settings.models
    previous = context.lake.version(context.spark, SPLITS)
    if previous is None:
        drawn = draw_splits(
            rows.where(F.col(SNAPSHOT_DATE) == F.lit(reference.day)),
            stratum=reference.stratum,
            key=key,
            folds=models.folds,
            seed=models.seed,
        )
        new = with_newcomers(drawn, rows, key=key, folds=models.folds, seed=models.seed)
        stored = None
    else:
        stored = context.lake.read(context.spark, SPLITS, version=previous).select(*_keys(context), *COLUMNS)
        draw = check_splits(stored, key=key, folds=models.folds, seed=models.seed)
        new = draw_newcomer_splits(stored, rows, key=key, folds=models.folds, seed=models.seed)
    new = materialize(new, "new_splits")
    if stored is not None and previous is not None and new.isEmpty():
        return stored, previous, draw
    run_id = stage_run.run_id
    added = new.select("*", F.lit(reference.day).alias("drawn_on"), F.lit(run_id).alias("_run_id"))
    version = context.lake.insert(added, splits_table(context.contract), tag=run_id)
    # What another training has put there first counts, so the table is read and not what was to be added.
    splits = context.lake.read(context.spark, SPLITS, version=version).select(*_keys(context), *COLUMNS)
    if stored is None:
        draw = check_splits(splits, key=key, folds=models.folds, seed=models.seed)
    return splits, version, draw


def _split_runs(context: RunContext, version: int) -> tuple[str, ...]:
    """Return the trainings that put the customers of a version of `splits` on their sides. One small job."""
    rows = context.lake.read(context.spark, SPLITS, version=version).select(RUN_ID).distinct().collect()
    return tuple(sorted(r[0] for r in rows))


def _keys(context: RunContext) -> list[Column]:
    return [column_named(k) for k in context.contract.entity.key]
