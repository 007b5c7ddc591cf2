"""Derive the contract's feature tables from the valid rows of published snapshots."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date

from pyspark.sql import SparkSession

from engage_spark.contract import Contract, Table, TableKind, tracked_table
from engage_spark.errors import ConfigurationError, ContractError
from engage_spark.features import to_features
from engage_spark.lake import translate_spark_errors
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import DerivedSnapshot, FeaturesResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import features_stage
from engage_spark.quality.checks.expressions import refuse_what_spark_refuses
from engage_spark.settings import Settings


def run_features(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
) -> FeaturesResult:
    """Derive the features of `snapshot_date`, or of every published snapshot where they are not up to date.

    Grain: one row per key and snapshot.
    Cost: per snapshot and derived table one scan of the valid rows, no shuffle, and two Delta commits: the
    table, and the row in `runs`. The commit of the table tells how many rows it holds.
    Errors: NotPublishedError when nothing is published to derive from, ConfigurationError when the contract
    derives nothing.
    """
    started = time.monotonic()
    runner = StageRunner(
        context=RunContext(spark, settings, contract), snapshot_date=snapshot_date, force=force
    )
    if not contract.derived:
        raise ConfigurationError(
            f"contract {contract.id} declares no derived table",
            hint="declare one (kind: derived) with formulas",
        )
    snapshots = tuple(s for table in contract.derived for s in _derive(runner, table))
    return FeaturesResult(
        stage="features",
        seconds=time.monotonic() - started,
        locations=runner.places(*(t.name for t in contract.derived)),
        notes=() if snapshots else (Note("FeaturesUpToDate"),),
        snapshots=snapshots,
        rows=sum(s.rows for s in snapshots),
    )


def _derive(runner: StageRunner, table: Table) -> Iterator[DerivedSnapshot]:
    source = runner.context.contract.table(table.source or "")
    if source.kind is not TableKind.ENTITY:
        raise ContractError(
            f"{table.name} is derived from {source.name}, which is not a table of snapshots",
            hint="derive it from the table of kind entity",
        )
    # No setting changes what a formula gives, so none is an input.
    for work in runner.due(features_stage(table), source=source):
        refuse_what_spark_refuses(runner.context.spark, table, source)
        what, stored = f"deriving {table.name} of {work.snapshot_date}", tracked_table(table)
        with runner.attempt(work, what, tables=[stored.name]) as attempt:
            with translate_spark_errors(f"{table.name} cannot be derived"):
                rows = runner.read_valid(source, work).transform(to_features, table=table)
                _ = rows.schema  # asked for here, because Connect looks at no expression before
            stored = tracked_table(table)
            attempt.replace(stored, rows)
            run = attempt.publish(rows_in=work.source_rows, valid=attempt.count_day(stored))
        yield DerivedSnapshot(
            table=table.name,
            snapshot_date=run.snapshot_date,
            run_id=run.run_id,
            rows=run.rows_valid,
            features=sum(f.formula is not None for f in table.fields),
            seconds=run.seconds,
        )
