"""Name what an attempt at a stage reads and writes, for OpenLineage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from engage_spark.contract import DAY_COLUMNS, Table, judged_table
from engage_spark.openlineage import LineageDataset, LineageJob, RunningJob, dataset_name
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.stored_tables import stored_tables_of
from engage_spark.publication import Run

_ROWS_OF_ITS_TABLE = ("ingest:", "features:", "score:")
"""Stages that write one table, whose rows their row in `runs` counts."""


def lineage_job(
    context: RunContext, work: StageRun, *, started_at: datetime, tables: Iterable[str]
) -> LineageJob:
    """Describe an attempt at a stage as a job with its datasets; `tables` are those that it will write."""
    named = _Datasets(context)
    return LineageJob(
        name=work.stage,
        kind="STAGE",
        key=f"{work.run_id}/{started_at.isoformat()}",
        day=work.snapshot_date,
        inputs=tuple(named.inputs(work)),
        outputs=tuple(named.stored(name) for name in sorted(tables)),
        own={"runId": work.run_id, "attempt": work.previous.attempt + 1 if work.previous else 1},
    )


def tell_end(context: RunContext, job: RunningJob, run: Run, outputs: Mapping[str, int]) -> None:
    """Tell that an attempt was published, or that a gate rejected it."""
    if not run.published:
        job.fail(run.message)
        return
    named = _Datasets(context)
    counted = run.rows_written if run.stage.startswith(_ROWS_OF_ITS_TABLE) else None
    job.complete([named.stored(name, version=run.run_id, rows=counted) for name in sorted(outputs)])


@dataclass(frozen=True)
class _Datasets:
    """The tables and folders of a lake, as OpenLineage names them."""

    context: RunContext

    @cached_property
    def _tables(self) -> dict[str, Table]:
        return {stored.name: stored.table for stored in stored_tables_of(self.context.contract)}

    def inputs(self, work: StageRun) -> Iterator[LineageDataset]:
        """Yield the tables that the inputs of the work name, each once, and the delivered files."""
        declared = {table.name: table for table in self.context.contract.tables}
        states: dict[str, list[str]] = {}
        for name, state in work.inputs.items():
            states.setdefault(name.partition("/")[0], []).append(state)
        for name, of_days in states.items():
            version = of_days[0] if len(of_days) == 1 else None
            if name == "files":
                yield self._delivered(work.stage.partition(":")[2], version)
            elif (table := declared.get(name)) is not None:
                checked = table.kind in DAY_COLUMNS
                yield self.stored(judged_table(table).name if checked else name, version=version)

    def _delivered(self, table: str, version: str | None) -> LineageDataset:
        """Return the folder of a delivery; what it holds is for ingest to find out."""
        root = self.context.settings.input.root.rstrip("/")
        folder = self.context.contract.table(table).delivered_name
        namespace, name = dataset_name(f"{root}/{folder}", catalog=None)
        return LineageDataset(namespace=namespace, name=name, version=version)

    def stored(self, name: str, *, version: str | None = None, rows: int | None = None) -> LineageDataset:
        """Return a table of the lake with its declared columns."""
        settings, table = self.context.settings, self._tables.get(name)
        catalog = settings.lineage.namespace if settings.lake.catalog else None
        namespace, place = dataset_name(self.context.lake.location(name), catalog=catalog)
        fields = () if table is None else tuple((f.name, f.spark_type, f.description) for f in table.fields)
        return LineageDataset(namespace=namespace, name=place, version=version, rows=rows, fields=fields)
