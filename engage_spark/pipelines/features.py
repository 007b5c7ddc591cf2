"""Features: valid rows of published snapshots in, the contract's derived tables out, one row per key and
snapshot.
"""

from __future__ import annotations

import time
from datetime import date

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import VALID, Contract, Table, TableKind, day_column, judged_table, tracked_table
from engage_spark.errors import ConfigurationError, ContractError, NotPublishedError
from engage_spark.features import to_features
from engage_spark.lake import Run, translate_spark_errors
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.results import Report
from engage_spark.pipelines.stages import features_stage, ingest_stage
from engage_spark.settings import Settings

PROPERTIES = {"delta.dataSkippingNumIndexedCols": "2"}
"""Statistics on the key columns only: nobody skips files by a feature's range, and gathering them costs a
tenth of the write.
"""


def run(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
) -> Report:
    """Derive the features of `snapshot_date`, or of every published snapshot whose features are missing or
    out of date.

    Per snapshot and derived table: one scan of the valid rows, no shuffle, one Delta commit, one row count
    over the new files' metadata, then the row in `runs`. Raises NotPublishedError when nothing is published
    to derive from.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    done: list[tuple[str, Run]] = []
    for table in contract.derived:
        done += [(table.name, run) for run in _derive_all(context, table, snapshot_date, force)]
    if not contract.derived:
        raise ConfigurationError(
            f"contract {contract.id} declares no derived table",
            hint="declare one (kind: derived) with formulas",
        )
    return Report(
        stage="features",
        seconds=time.monotonic() - started,
        lines=(("snapshots", f"{len(done):,}"), ("rows", f"{sum(r.rows_valid for _, r in done):,}")),
        table=(
            ("table", "snapshot", "rows", "features", "seconds"),
            tuple(
                (
                    name,
                    str(r.snapshot_date),
                    f"{r.rows_valid:,}",
                    f"{_formulas(contract.table(name)):,}",
                    f"{r.seconds:.1f}",
                )
                for name, r in done
            ),
        )
        if done
        else None,
        locations={t.name: context.lake.location(t.name) for t in contract.derived},
        notes=()
        if done
        else ("every published snapshot has its features already; --force derives them again",),
    )


def _derive_all(context: RunContext, table: Table, snapshot_date: date | None, force: bool) -> list[Run]:
    source = context.contract.table(table.source or "")
    if source.kind is not TableKind.ENTITY:
        raise ContractError(
            f"{table.name} is derived from {source.name}, which is no table of snapshots",
            hint="derive it from the table of kind entity",
        )
    latest = context.log.latest_of_all(context.spark)
    published = {d: r for (stage, d), r in latest.items() if stage == ingest_stage(source) and r.published}
    if not published or (snapshot_date and snapshot_date not in published):
        raise NotPublishedError.of(source.name, days=[snapshot_date] if snapshot_date else ())
    runs = []
    for day in [snapshot_date] if snapshot_date else sorted(published):
        work = StageRun(
            stage=features_stage(table),
            snapshot_date=day,
            inputs={source.name: published[day].run_id},
            contract=context.contract,
            settings_digest="",  # no setting changes what a formula gives
            previous=latest.get((features_stage(table), day)),
        )
        if work.is_up_to_date and not force and snapshot_date is None:
            continue
        with log.stage(f"deriving {table.name} of {day}", run_id=work.run_id):
            runs.append(_derive(context, table, source, work, expected=published[day].rows_valid))
    return runs


def _derive(context: RunContext, table: Table, source: Table, work: StageRun, *, expected: int) -> Run:
    started_at = now()
    day, judged = day_column(source), judged_table(source)
    published = context.log.read_published(
        context.spark, judged, stage=ingest_stage(source), day=day, days=[work.snapshot_date]
    )
    with translate_spark_errors(f"{table.name} cannot be derived"):
        derived = published.where(F.col("_dq_status") == VALID).transform(to_features, table=table)
        derived = derived.withColumn("_run_id", F.lit(work.run_id))
        _ = derived.schema  # asked for here, because Connect looks at no expression before
    where = f"{day} = DATE'{work.snapshot_date}'"
    version = context.lake.replace(
        derived,
        tracked_table(table),
        where=where,
        tag=work.run_id,
        partition_by=(day,),
        properties=PROPERTIES,
    )
    rows = context.lake.read(context.spark, table.name, version=version).where(where).count()
    run = work.to_run(
        rows_in=expected, valid=rows, quarantined=0, outputs={table.name: version}, started_at=started_at
    )
    return context.log.append(context.spark, run)


def _formulas(table: Table) -> int:
    return sum(f.formula is not None for f in table.fields)
