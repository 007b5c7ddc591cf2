"""Derive the contract's feature tables from the valid rows of published snapshots."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date

from pyspark.sql import SparkSession

from engage_spark.contract import (
    SNAPSHOT_DATE,
    Contract,
    Dimension,
    Severity,
    Table,
    TableKind,
    tracked_table,
)
from engage_spark.errors import ContractError
from engage_spark.features import FormulaFailures, to_features
from engage_spark.lake import Evidence, translate_spark_errors
from engage_spark.lake.run_log import QUALITY_RESULTS
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.nothing_to_do import without_features
from engage_spark.pipelines.results import DerivedSnapshot, FeaturesResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import features_stage
from engage_spark.quality.checks.expressions import refuse_what_spark_refuses
from engage_spark.quality.gates import RuleCount, percent
from engage_spark.settings import Settings


def run_features(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
    due_only: bool = False,
) -> FeaturesResult:
    """Derive the features of `snapshot_date`, or of every published snapshot where they are not up to date.
    With `due_only` the snapshot of `snapshot_date` is left as it is where it is up to date.

    Grain: one row per key and snapshot.
    A formula that cannot be computed on a row gives null there, which is counted: a note and a row of
    quality_results say so; with `onFailure: stop` nothing is published instead.
    Cost: per snapshot and derived table one scan of the valid rows, no shuffle, and two Delta commits: the
    table, and the row in `runs`. The commit of the table tells how many rows it holds; where formulas failed
    is counted while it is written; in a catalog, whose writes tell less, each of the two takes a scan.
    A contract without derived tables leaves nothing to derive, which a note says.
    Errors: NotPublishedError when nothing is published to derive from.
    """
    if (nothing := without_features(contract)) is not None:
        return nothing
    started = time.monotonic()
    runner = StageRunner(
        context=RunContext(spark, settings, contract),
        snapshot_date=snapshot_date,
        force=force,
        due_only=due_only,
    )
    snapshots = tuple(s for table in contract.derived for s in _derive(runner, table))
    return FeaturesResult(
        stage="features",
        seconds=time.monotonic() - started,
        locations=runner.places(*(t.name for t in contract.derived)),
        notes=tuple(_notes(snapshots)),
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
        refuse_what_spark_refuses(runner.context.spark, table, source, analysed=False)
        what, stored = f"deriving {table.name} of {work.snapshot_date}", tracked_table(table)
        with runner.attempt(work, what, tables=[stored.name]) as attempt:
            with translate_spark_errors(f"{table.name} cannot be derived"):
                failed = FormulaFailures(
                    runner.context.spark, by_job=bool(runner.context.settings.lake.catalog)
                )
                rows = runner.read_valid(source, work).transform(to_features, table=table, failed=failed)
                _ = rows.schema  # asked for here, because Connect looks at no expression before
            stored = tracked_table(table)
            attempt.replace(stored, rows)
            failures = failed.counts() if work.source_rows else {}
            run = attempt.publish(
                rows_in=work.source_rows,
                valid=attempt.count_day(stored),
                evidence=_evidence(table, work, failures),
            )
        yield DerivedSnapshot(
            table=table.name,
            snapshot_date=run.snapshot_date,
            run_id=run.run_id,
            rows=run.rows_valid,
            features=sum(f.formula is not None for f in table.fields),
            seconds=run.seconds,
            failures=failures,
        )


def _evidence(table: Table, work: StageRun, failures: Mapping[str, int]) -> Evidence | None:
    """Return a quality result for each formula that could not be computed on some row."""
    about = {"run_id": work.run_id, "table_name": table.name, SNAPSHOT_DATE: work.snapshot_date}
    results = [
        RuleCount(
            rule_name=f"{name}.computed",
            column_name=name,
            severity=Severity.WARNING.value,
            dimension=Dimension.VALIDITY.value,
            description="its formula can be computed on the row",
            rows_checked=work.source_rows,
            violations=n,
            measured=percent(n, work.source_rows),
            minimum=None,
            maximum=0.0,
            unit="percent",
            passed=False,
        )
        for name, n in failures.items()
    ]
    return {QUALITY_RESULTS: [asdict(r) | {"samples": []} | about for r in results]} if results else None


def _notes(snapshots: Sequence[DerivedSnapshot]) -> Iterator[Note]:
    if not snapshots:
        yield Note("FeaturesUpToDate")
    for s in snapshots:
        for name, n in s.failures.items():
            facts = {"table": s.table, "snapshot_date": s.snapshot_date, "field": name, "n_rows": n}
            yield Note("FormulaFailed", facts)
