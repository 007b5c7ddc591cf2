"""Prepare what a training works on: matured snapshots, and each customer in its split."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

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
    UNIT,
    check_splits,
    draw_newcomer_splits,
    draw_splits,
    with_newcomers,
    with_unit,
)
from engage_spark.ml.data.split_draw import SplitDraw
from engage_spark.ml.data.split_rows import TargetSnapshots, with_masked_targets
from engage_spark.ml.data.training_set import known_days
from engage_spark.ml.feature_spec import (
    FeatureSpec,
    LeakPolicy,
    Target,
    TargetSpecs,
    Task,
    build_target_specs,
    targets_of,
)
from engage_spark.ml.leakage.audit import to_duplicate_counts
from engage_spark.ml.leakage.duplicates import with_duplicates_together
from engage_spark.ml.leakage.findings import DuplicateCounts
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.model_inputs import ModelInputs, rows_of, valid_rows, with_label
from engage_spark.pipelines.runner import require_same_rows
from engage_spark.pipelines.stages import SPLITS
from engage_spark.pipelines.train.split_repair import repair_splits
from engage_spark.publication import RUN_ID
from engage_spark.spark.schema import column_named

MOST_ATTEMPTS = 4
"""Times that splits are planned, where other trainings store some meanwhile or the table was repaired."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSet:
    """The rows of all targets with their split and fold, and the version of `splits` that parted them.

    `draw` identifies the draw of those splits, `split_runs` are the trainings that put the customers on their
    sides. `undrawn_stratum` names the target whose labels were not known yet when the splits were drawn by
    them; None otherwise. `duplicates` counts what is equal in these rows, for the leakage audit.
    """

    rows: DataFrame
    splits_version: int
    draw: SplitDraw
    undrawn_stratum: str | None
    repaired_keys: int
    split_runs: tuple[str, ...]
    duplicates: DuplicateCounts


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

    Customers who are equal in all features are on one side and in one fold, unless an earlier training put
    them apart, or more than a few are equal (`with_duplicates_together`).

    Cost: the splits look at keys alone; then one shuffle each of the entity, its features and its graph by
    key and day, and one join with the splits, written as one table; one pass over it that shuffles two
    records of hashes a row, which counts duplicates. Where new customers have duplicates on other sides, that
    join and that pass again, and what `with_duplicates_together` takes.

    Errors: TransientError where a row got lost on the way, or other trainings keep adding splits;
    ConfigurationError where a key is on two sides.
    """
    days = sorted({d for s in snapshots.values() for d in s.all})
    reference = _reference(context, inputs.landed(context.contract.entity.name), days, as_of=as_of)
    expected = sum(inputs.days[d][context.contract.entity.name].rows_valid for d in days)
    every_spec = [spec for of_target in specs.values() for spec in of_target.all]
    audited = _Audited(
        rows=rows_of(context, inputs, days, specs=every_spec),
        specs=every_spec,
        targets=[of_target.main.target for of_target in specs.values()],
        snapshots=snapshots,
    )
    key_days = {*days, reference.day}
    keys = valid_rows(context, sorted(key_days))
    repaired = 0
    for attempt in range(MOST_ATTEMPTS):
        numbered = partial(_numbered, materialize, attempt)
        with log.stage("splitting"):
            plan = _planned_splits(context, keys, key_days, reference, numbered)
        joined, n_rows = _joined(context, audited.rows, plan.all, numbered, "training_set")
        if n_rows > expected and not repaired and (repaired := repair_splits(context, tag=stage_run.run_id)):
            continue
        if n_rows != expected:
            raise _lost_rows(expected, n_rows)
        duplicates = audited.duplicates(context, joined)
        if duplicates.across and plan.new is not None:
            plan = _together(context, audited, joined, plan, numbered)
            joined, n_rows = _joined(context, audited.rows, plan.all, numbered, "training_set_together")
            if n_rows != expected:
                raise _lost_rows(expected, n_rows)
            duplicates = audited.duplicates(context, joined)
        stored = _stored(context, stage_run, plan, reference.day)
        if stored is not None:
            return TrainingSet(
                rows=joined,
                splits_version=stored[0],
                draw=stored[1],
                undrawn_stratum=None if reference.matured else reference.stratum,
                repaired_keys=repaired,
                split_runs=(stage_run.run_id,) if plan.stored is None else _split_runs(context, stored[0]),
                duplicates=duplicates,
            )
    raise TransientError(
        "other trainings added splits whenever this one was about to",
        hint="run `engage-spark train` again when they are over",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Audited:
    """The rows of a training before they are split, and what makes two of them equal."""

    rows: DataFrame
    specs: Sequence[FeatureSpec]
    targets: Sequence[Target]
    snapshots: Mapping[str, TargetSnapshots]

    def content(self, rows: DataFrame) -> DataFrame:
        """Return rows with the labels that the audit sees: those of days that are trained on."""
        return with_masked_targets(rows, self.targets, self.snapshots)

    def duplicates(self, context: RunContext, joined: DataFrame) -> DuplicateCounts:
        """Count what is equal in rows with their splits."""
        with log.stage("looking for duplicates"):
            return to_duplicate_counts(
                self.content(joined),
                specs=self.specs,
                key=context.contract.entity.key,
                day=SNAPSHOT_DATE,
                split=SIDE,
                fold=FOLD,
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class _PlannedSplits:
    """The stored splits at a version, with what identifies their draw, and those that are to be added.

    None where there are none, and for `new` where all keys are stored.
    """

    version: int | None
    stored: DataFrame | None
    draw: SplitDraw | None
    new: DataFrame | None

    @property
    def all(self) -> DataFrame:
        """The splits of every key."""
        frames = [s for s in (self.stored, self.new) if s is not None]
        return frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])


def _numbered(materialize: Materialize, attempt: int, rows: DataFrame, name: str) -> DataFrame:
    return materialize(rows, name if attempt == 0 else f"{name}_{attempt}")


def _lost_rows(expected: int, n_rows: int) -> TransientError:
    return TransientError(
        f"{expected:,} valid rows were published, and {n_rows:,} joined with their features and split",
        hint=(
            "a table was replaced meanwhile; let no other stage write at the same time, and run "
            "`engage-spark train` again"
        ),
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


def _planned_splits(
    context: RunContext,
    rows: DataFrame,
    days: Collection[date],
    reference: SplitReference,
    materialize: Materialize,
) -> _PlannedSplits:
    """Return the stored splits, and those of the keys in `rows` that are not among them.

    `days` are all that the rows are of. Splits are drawn on the reference snapshot where there are none yet,
    and stay the same from then on.
    """
    key, models = list(context.contract.entity.key), context.settings.models
    folds, seed = models.folds, models.seed
    version = context.lake.version(context.spark, SPLITS)
    if version is None:
        of_day = rows.where(F.col(SNAPSHOT_DATE) == F.lit(reference.day))
        if reference.stratum is not None:
            of_day = with_label(context, of_day, reference.stratum, day=reference.day)
        drawn = draw_splits(of_day, stratum=reference.stratum, key=key, folds=folds, seed=seed)
        if days != {reference.day}:  # else all keys are drawn
            drawn = with_newcomers(drawn, rows, key=key, folds=folds, seed=seed)
        new = materialize(drawn, "new_splits")
        return _PlannedSplits(version=None, stored=None, draw=None, new=new)
    stored = _stored_splits(context, version)
    draw = check_splits(stored, key=key, folds=folds, seed=seed)
    new = materialize(draw_newcomer_splits(stored, rows, key=key, folds=folds, seed=seed), "new_splits")
    return _PlannedSplits(version=version, stored=stored, draw=draw, new=None if new.isEmpty() else new)


def _together(
    context: RunContext,
    audited: _Audited,
    joined: DataFrame,
    plan: _PlannedSplits,
    materialize: Materialize,
) -> _PlannedSplits:
    """Put the new keys on the sides of those that they are equal to."""
    assert plan.new is not None
    with log.stage("putting duplicates on one side"):
        together = with_duplicates_together(
            plan.new,
            plan.stored,
            audited.content(joined),
            specs=audited.specs,
            key=context.contract.entity.key,
            day=SNAPSHOT_DATE,
            seed=context.settings.models.seed,
            folds=context.settings.models.folds,
            materialize=materialize,
        )
        return replace(plan, new=materialize(together, "new_splits_together"))


def _stored(
    context: RunContext, stage_run: StageRun, plan: _PlannedSplits, day: date
) -> tuple[int, SplitDraw] | None:
    """Store the new splits, and return the version of the table and what identifies its draw.

    None where another training has stored some since they were planned: nothing is written then.
    Errors: TransientError where a key was erased since: it may be among those that are new.
    """
    if plan.new is None and plan.version is not None and plan.draw is not None:
        return plan.version, plan.draw
    assert plan.new is not None
    models, table, tag = context.settings.models, splits_table(context.contract), stage_run.run_id
    added = plan.new.select("*", F.lit(day).alias("drawn_on"), F.lit(tag).alias("_run_id"))
    # Held from the look at the version to what is added, so that no other training adds the same keys.
    with table_lock(context.spark, context.lake, SPLITS, wait=COMMIT_WAIT):
        planned = context.log.publication(context.spark)
        if context.log.refresh(context.spark):
            require_same_rows(planned, context.log.publication(context.spark), stage_run)
        if context.lake.version(context.spark, SPLITS) != plan.version:
            return None
        if plan.stored is not None:
            context.lake.add_columns(context.spark, table)
        version = context.lake.insert(added, table, tag=tag)
    splits = _stored_splits(context, version)
    key = list(context.contract.entity.key)
    return version, plan.draw or check_splits(splits, key=key, folds=models.folds, seed=models.seed)


def _stored_splits(context: RunContext, version: int) -> DataFrame:
    """Read the splits as they are stored; those of an earlier release lack a column, which is null then."""
    rows = with_unit(context.lake.read(context.spark, SPLITS, version=version))
    return rows.select(*_keys(context), *COLUMNS, UNIT)


def _split_runs(context: RunContext, version: int) -> tuple[str, ...]:
    """Return the trainings that put the customers of a version of `splits` on their sides. One small job."""
    rows = context.lake.read(context.spark, SPLITS, version=version).select(RUN_ID).distinct().collect()
    return tuple(sorted(r[0] for r in rows))


def _keys(context: RunContext) -> list[Column]:
    return [column_named(k) for k in context.contract.entity.key]
