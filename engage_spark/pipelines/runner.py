"""Run a stage day by day: skip what is done, write each table once, count it, publish it.

docs/how_to/add_stage.md shows how to build a stage with it, and pipelines/features.py is a complete one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import SNAPSHOT_DATE, VALID, Table, judged_table
from engage_spark.errors import NotPublishedError, TransientError
from engage_spark.lake import Evidence, Lock, table_lock, translate_spark_errors
from engage_spark.openlineage import RunningJob, running
from engage_spark.pipelines.catalog_views import show_published
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.stage_lineage import lineage_job, tell_end
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import RUN_ID, Kind, Publication, Run, kept_run
from engage_spark.side_effects import announce

KEY_STATISTICS = {"delta.dataSkippingNumIndexedCols": "2"}
"""Statistics on the key columns only: nobody skips files by a feature's range, and gathering them costs a
tenth of the write.
"""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a stage and day: writes tables, notes their versions, and publishes them together."""

    context: RunContext
    work: StageRun
    started_at: datetime
    locks: tuple[Lock, ...] = ()
    job: RunningJob | None = None
    """Where OpenLineage is told how the attempt ends."""
    outputs: dict[str, int] = field(default_factory=dict)

    def replace(
        self,
        table: Table,
        rows: DataFrame,
        *,
        where: str | None = None,
        run_column: str = RUN_ID,
        partition_by: tuple[str, ...] = (SNAPSHOT_DATE,),
        properties: Mapping[str, str] = KEY_STATISTICS,
    ) -> int:
        """Write the day's rows of a table, marked with the run_id, and return the version made.

        What the day has of attempts that nobody reads is replaced; the rows that are published stay beside
        the new ones until the next attempt, so that readers lose nothing should this one end here or be
        rejected. `where` says which rows of the table are the day's, by partition columns.
        Cost: one Delta commit.
        """
        self._require_locks()
        version = self.context.lake.replace(
            rows.withColumn(run_column, F.lit(self.work.run_id)),
            table,
            where=self._replaceable(where or self._of_the_day(), run_column),
            tag=self.work.run_id,
            partition_by=(*partition_by, run_column),
            properties=properties,
        )
        self.note_output(table.name, version)
        return version

    def append(self, table: Table, rows: DataFrame, *, properties: Mapping[str, str]) -> int:
        """Add rows to a log, marked with the run_id, and return the version made.

        What an earlier attempt of the same run wrote is replaced.
        Cost: one Delta commit.
        """
        self._require_locks()
        version = self.context.lake.replace(
            rows.withColumn(RUN_ID, F.lit(self.work.run_id)),
            table,
            where=f"{RUN_ID} = '{self.work.run_id}'",
            tag=self.work.run_id,
            partition_by=(RUN_ID,),
            properties=properties,
        )
        self.note_output(table.name, version)
        return version

    def drop_output(self, table: str) -> None:
        """Expect no rows of this attempt in a table: it had none to write."""
        self.outputs.pop(table, None)

    def note_output(self, table: str, version: int) -> None:
        """Note a table that was written without `replace`: its version is published with the others."""
        self.outputs[table] = version

    def read(self, table: Table, *, where: str | None = None) -> DataFrame:
        """Return the rows of a table that this attempt wrote: those of `where`, or of the day."""
        rows = self.context.lake.read(self.context.spark, table.name)
        return rows.where(where or self._of_the_day()).where(F.col("_run_id") == self.work.run_id)

    def count(self, table: Table, *, where: str | None = None) -> int:
        """Count the rows that this attempt wrote. Cost: a scan of the new files' metadata."""
        return self.read(table, where=where).count()

    def count_day(self, table: Table) -> int:
        """Count the rows of a table whose partition of the day this attempt replaced.

        Cost: the commit tells, without a job; else as `count`.
        """
        rows = self.context.lake.written_rows(
            self.context.spark, table.name, self.outputs[table.name], tag=self.work.run_id
        )
        return self.count(table) if rows is None else rows

    def publish(
        self,
        *,
        rows_in: int,
        valid: int,
        quarantined: int = 0,
        repeated: int = 0,
        erased: int = 0,
        first_event: date | None = None,
        message: str = "",
        rejected: str | None = None,
        evidence: Evidence | None = None,
    ) -> Run:
        """Append the attempt to `runs`, which publishes what it wrote, or records why it is rejected.

        `message` is kept with a published attempt.

        Cost: one Delta commit; where there are views of a catalog, `show_published`. A failure there leaves
        the attempt published, and the next one shows it.
        Errors: TransientError unless every row that came in is accounted for, and where another process has
        taken over the tables.
        """
        run = self.work.to_run(
            rows_in=rows_in,
            valid=valid,
            quarantined=quarantined,
            repeated=repeated,
            erased=erased,
            first_event=first_event,
            message=message,
            outputs=self.outputs,
            started_at=self.started_at,
            rejected=rejected,
        )
        announce(f"row in runs of {self.work.stage}")
        published = self.context.log.append(self.context.spark, run, evidence, self._require_locks)
        if self.job is not None:
            tell_end(self.context, self.job, published, dict(sorted(self.outputs.items())))
        if published.published:
            show_published(self.context)
        return published

    def _require_locks(self) -> None:
        for lock in self.locks:
            lock.require()

    def _of_the_day(self) -> str:
        return f"{SNAPSHOT_DATE} = DATE'{self.work.snapshot_date}'"

    def _replaceable(self, where: str, run_column: str) -> str:
        """Return which rows of the day nobody reads: all but those of another published run."""
        run_id = kept_run(self.work.run_id, self.work.published)
        return where if run_id is None else f"{where} AND {run_column} <> '{run_id}'"


def require_same_runs(publication: Publication, stage: str, runs: Mapping[date, str], *, table: str) -> None:
    """Refuse to read days that were published again since `runs`, their runs by day, were looked up.

    Errors: TransientError.
    """
    visible = publication.visible(stage)
    changed = [d for d, run_id in runs.items() if d in visible and visible[d].run_id != run_id]
    if changed:
        raise TransientError(
            f"{table} of {', '.join(map(str, sorted(changed)))} was published again meanwhile",
            hint="run the stage again; it takes what is published now",
        )


def require_same_rows(planned: Publication, now: Publication, work: StageRun) -> None:
    """Refuse work some of whose inputs have lost rows since it was planned: a key was erased meanwhile, and
    what was read of it before must not be written.

    Errors: TransientError.
    """
    inputs = frozenset(work.inputs.values())
    before, after = ({r.run_id: r.rows_valid for r in p.runs if r.run_id in inputs} for p in (planned, now))
    if any(after.get(run_id) != n_rows for run_id, n_rows in before.items()):
        raise TransientError(
            f"rows that {work.stage} of {work.snapshot_date} is made from were erased meanwhile",
            hint="run the stage again; it is made without them",
        )


@dataclass(frozen=True, kw_only=True)
class StageRunner:
    """What a stage is asked to do: one day or all, again or only what is new.

    Building one does nothing below a path. In a catalog it lets the views show what is published, which a
    kill may have left undone (`show_published`).

    A day that is asked for is done again, with `due_only` unless it is done.
    """

    context: RunContext
    snapshot_date: date | None = None
    force: bool = False
    due_only: bool = False

    def __post_init__(self) -> None:
        show_published(self.context)

    @property
    def publication(self) -> Publication:
        """What readers see of the lake now, read once."""
        return self.context.log.publication(self.context.spark)

    def published(self, source: Table) -> dict[date, Run]:
        """Return the published runs of an input table by day, in order: of the day that was asked for, or of
        all.

        Errors: NotPublishedError where there is none.
        """
        runs, asked = self.publication.visible(ingest_stage(source)), self.snapshot_date
        if not runs or (asked and asked not in runs):
            raise NotPublishedError.of(source.name, days=[asked] if asked else ())
        return {asked: runs[asked]} if asked else runs

    def plan(
        self,
        stage: str,
        snapshot_date: date,
        *,
        inputs: Mapping[str, str],
        settings: Sequence[str] = (),
        source_rows: int = 0,
        kind: Kind = Kind.SNAPSHOT,
    ) -> StageRun:
        """Describe a stage on a day: its run_id follows from `inputs`, contract, code and the named settings
        sections.
        """
        return StageRun(
            stage=stage,
            snapshot_date=snapshot_date,
            inputs=inputs,
            contract=self.context.contract,
            settings_digest=self.context.settings.digest(*settings) if settings else "",
            previous=self.publication.latest.get((stage, snapshot_date)),
            published=self.publication.published.get((stage, snapshot_date)),
            source_rows=source_rows,
            kind=kind,
        )

    @property
    def does_again(self) -> bool:
        """Whether work is done again that is done: because of `force`, or for a day that was asked for."""
        return self.force or (self.snapshot_date is not None and not self.due_only)

    def is_due(self, work: StageRun) -> bool:
        """Return whether the work is to be done: it was asked for, or its rows are not published from these
        inputs, and no gate has rejected it as it is.
        """
        return self.does_again or not (work.was_rejected or self.is_done(work))

    def is_done(self, work: StageRun) -> bool:
        """Return whether the rows of this very work are published, and are in their tables.

        Cost: see `RunLog.is_present`.
        """
        run, log = work.published, self.context.log
        return (
            run is not None
            and work.is_published
            and (
                work.kind is Kind.TRAINING
                or all(log.is_present(self.context.spark, run, table) for table in run.outputs)
            )
        )

    def due(
        self,
        stage: str,
        *,
        source: Table,
        more_inputs: Callable[[date], Mapping[str, str]] = lambda _: {},
        settings: Sequence[str] = (),
    ) -> Iterator[StageRun]:
        """Yield the work of every published day of `source` that is due, oldest first.

        `more_inputs` gives what else decides the result of a day.
        Errors: NotPublishedError where no day is published.
        """
        for day, run in self.published(source).items():
            inputs = {source.name: run.run_id, **more_inputs(day)}
            work = self.plan(stage, day, inputs=inputs, settings=settings, source_rows=run.rows_valid)
            if self.is_due(work):
                yield work

    def read_valid(self, source: Table, work: StageRun) -> DataFrame:
        """Return the valid rows of an input table on the day of `work`, as they were published.

        Errors: TransientError where the day was published again since the work was planned.
        """
        stage = ingest_stage(source)
        require_same_runs(
            self.publication, stage, {work.snapshot_date: work.inputs[source.name]}, table=source.name
        )
        rows = self.context.log.read_published(
            self.context.spark,
            judged_table(source),
            stage=stage,
            day=SNAPSHOT_DATE,
            days=[work.snapshot_date],
        )
        return rows.where(F.col("_dq_status") == VALID)

    @contextmanager
    def attempt(self, work: StageRun, what: str, *, tables: Sequence[str] = ()) -> Iterator[Attempt]:
        """Open an attempt at the work, logged as `what` with its run_id and duration.

        The locks of `tables` are held until it ends. Runs that others have published meanwhile are read, and
        the views of a catalog show them: what a view showed before may be replaced from now on.
        Where `lineage` is set, OpenLineage is told of its start and its end.
        Errors: TransientError where another process is writing one of the tables, and where rows of the
        inputs were erased since the work was planned.
        """
        spark, lake = self.context.spark, self.context.lake
        with log.stage(what, run_id=work.run_id), ExitStack() as held:
            locks = tuple(held.enter_context(table_lock(spark, lake, name)) for name in sorted(tables))
            planned = self.publication
            if self.context.log.refresh(spark):
                require_same_rows(planned, self.publication, work)
                key = (work.stage, work.snapshot_date)
                work = replace(
                    work,
                    previous=self.publication.latest.get(key),
                    published=self.publication.published.get(key),
                )
            show_published(self.context)
            started_at = now()
            describe = partial(lineage_job, self.context, work, started_at=started_at, tables=tables)
            with (
                running(self.context.settings.lineage, describe) as job,
                translate_spark_errors(f"{work.stage} of {work.snapshot_date} did not end"),
            ):
                yield Attempt(context=self.context, work=work, started_at=started_at, locks=locks, job=job)

    def places(self, *tables: str) -> dict[str, str]:
        """Return where tables are, by name: a path or a catalog name."""
        return {name: self.context.lake.location(name) for name in tables}
