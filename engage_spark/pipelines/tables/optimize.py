"""Remove what no reader can see from the tables, and write their small files as few large ones."""

from __future__ import annotations

import time
from collections.abc import Iterable

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract
from engage_spark.lake.maintenance import compact, count_rows, delete_rows, describe_table
from engage_spark.pipelines.catalog_views import show_published
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import Note, OptimizedTable, OptimizeResult
from engage_spark.pipelines.stored_tables import StoredTable, stored_tables_of
from engage_spark.pipelines.tables.busy_tables import locked
from engage_spark.publication import Publication
from engage_spark.settings import Settings


def run_optimize(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    dry_run: bool = False,
    by_key: bool = False,
) -> OptimizeResult:
    """Compact each table of the contract, and remove rows that no reader can see.

    Those are rows of runs that later ones replaced, and of attempts that were killed. The latest rejected
    attempt of a day stays for people who look into it, and so does an event that was replaced. With
    `dry_run`, count them only. With `by_key`, each file of a partition gets a range of keys, for those who
    ask for one customer in days of many files; Delta's own clustering is no choice, since it takes no table
    that is partitioned, and readers find what is published by the partition of a run. A table that a stage
    writes at the moment is left out with a note.
    Views of a catalog show what is published before anything is removed.
    Cost: per table a listing of its runs; where something is to be removed one commit, of whole partitions;
    one commit where small files lie in one partition; `by_key` writes each table with keys anew.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    busy: list[str] = []
    done: list[OptimizedTable] = []
    for stored in stored_tables_of(contract):
        if context.lake.version(spark, stored.name) is None:
            continue
        with locked(spark, context.lake, stored.name, busy) as is_held:
            if is_held:
                with log.stage(f"optimizing {stored.name}"):
                    fresh = RunContext(spark, settings, contract)
                    if not dry_run:  # a view may show rows still that a killed run had replaced
                        show_published(fresh)
                    done.append(_optimize(fresh, stored, dry_run=dry_run, by_key=by_key))
    return OptimizeResult(
        stage="tables optimize",
        seconds=time.monotonic() - started,
        locations={t.table: context.lake.location(t.table) for t in done},
        notes=(*((Note("TablesBusy", {"tables": tuple(busy)}),) if busy else ()), *_dry(dry_run)),
        tables=tuple(done),
    )


def _dry(dry_run: bool) -> tuple[Note, ...]:
    return (Note("NothingChanged"),) if dry_run else ()


def _optimize(context: RunContext, stored: StoredTable, *, dry_run: bool, by_key: bool) -> OptimizedTable:
    """Look after one table. The run log of `context` is read under the lock, so no stage is half done."""
    spark, lake = context.spark, context.lake
    before = describe_table(spark, lake, stored.name)
    assert before is not None
    where = _unseen(context, stored)
    removed = 0 if where is None else count_rows(spark, lake, stored.name, where)
    if not dry_run:
        if where is not None:
            delete_rows(spark, lake, stored.name, where)
        compact(spark, lake, stored.name, by=_key_columns(stored) if by_key else ())
    after = before if dry_run else describe_table(spark, lake, stored.name)
    assert after is not None
    return OptimizedTable(
        table=stored.name,
        rows_removed=removed,
        files_before=before.files,
        files_after=after.files,
        bytes_before=before.bytes,
        bytes_after=after.bytes,
    )


def _key_columns(stored: StoredTable) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for key in stored.keys for column in key))


def _unseen(context: RunContext, stored: StoredTable) -> str | None:
    """Return the condition of the rows that no reader can see, as SQL; None where there are none."""
    if not stored.stages:
        return None
    publication = context.log.publication(context.spark)
    present = context.lake.run_ids(context.spark, stored.name)
    unseen = sorted(present - runs_to_keep(publication, stored))
    return f"{stored.run_column} IN ({_quoted(unseen)})" if unseen else None


def runs_to_keep(publication: Publication, stored: StoredTable) -> set[str]:
    """Return the runs whose rows stay: what is published, whether or not it is out of date, and the latest
    attempt of each day, which may be a rejected one that people look into. Those of every stage: another
    contract may write to the same table.
    """
    keep = {run.run_id for run in (*publication.published.values(), *publication.latest.values())}
    if stored.is_log:
        keep |= {run.run_id for stage in stored.stages for run in publication.log_runs(stage)}
    return keep


def _quoted(run_ids: Iterable[str]) -> str:
    """Return ids of runs, which are hexadecimal digits, as SQL literals."""
    return ", ".join(f"'{run_id}'" for run_id in run_ids)
