"""Keep the run log: one row per attempt of a stage on a snapshot, which decides what readers see.

A row of a data table carries the `_run_id` of the run that made it. Readers take a snapshot only when the
latest attempt on it was published, and only rows of that run. The row here is written last: rows of an
attempt that was rejected, or was killed before that, are seen by nobody, and a rerun replaces them.

The row also holds what was counted of the data: the rows of `quality_results` and `quality_states`. So an
attempt and its evidence are one commit, and neither is there without the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import engage_spark
from engage_spark.contract import Table, day_column, system_contract
from engage_spark.errors import ConfigurationError, NotPublishedError, TransientError
from engage_spark.lake.delta import Lake
from engage_spark.spark.schema import spark_schema

RUNS = "runs"
QUALITY_RESULTS, QUALITY_STATES = "quality_results", "quality_states"
PUBLISHED, REJECTED = "published", "rejected"
Evidence = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of `quality_results` and `quality_states`, by these names; each row by column."""
_PROPERTIES = {"delta.dataSkippingNumIndexedCols": "0"}
"""No statistics: the table is read whole."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt of a stage on a snapshot.

    Everything but the attempt, the times and `message` follows from the inputs, so equal work has an equal
    run_id.
    """

    run_id: str
    stage: str
    snapshot_date: date
    status: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, int]
    contract_id: str
    contract_version: str
    contract_digest: str
    settings_digest: str
    rows_in: int
    rows_valid: int
    rows_quarantined: int
    message: str
    started_at: datetime
    finished_at: datetime
    attempt: int
    code_version: str = ""

    @property
    def published(self) -> bool:
        """Whether readers may see the attempt's rows."""
        return self.status == PUBLISHED

    @property
    def seconds(self) -> float:
        """Duration of the attempt."""
        return (self.finished_at - self.started_at).total_seconds()


Latest = dict[tuple[str, date], Run]
"""The latest attempt by stage and snapshot."""


def run_id(
    *, stage: str, snapshot_date: date, inputs: Mapping[str, str], contract_digest: str, settings_digest: str
) -> str:
    """Return the identity of a piece of work: 32 hex digits of SHA-256.

    They follow from the stage, the snapshot, the inputs, the contract, the settings and the code.
    """
    parts = [
        stage,
        snapshot_date.isoformat(),
        dict(sorted(inputs.items())),
        contract_digest,
        settings_digest,
        code_version(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@cache
def code_version() -> str:
    """Return the package version and a digest of its source files: any change of code changes it."""
    home = Path(engage_spark.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(
        p for p in home.rglob("*") if p.suffix in (".py", ".yaml") and "__pycache__" not in p.parts
    ):
        digest.update(
            path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n")
        )
    return f"{engage_spark.__version__}+{digest.hexdigest()[:12]}"


@dataclass(frozen=True)
class RunLog:
    """The runs of one lake, read when they are first asked for. Building one does nothing.

    The table has a row per attempt, so it may come to the driver. It is read once: what this object appends,
    it adds. Build one per command.
    """

    lake: Lake
    _read: list[list[Run]] = field(default_factory=list, init=False, repr=False, compare=False)

    def attempts(self, spark: SparkSession, stage: str | None = None) -> list[Run]:
        """Return every attempt, or those of one stage, by snapshot, stage and number; none where nothing ran.

        Cost: one scan of a small table, the first time.
        Errors: ConfigurationError where an older version of this package wrote the lake.
        """
        if not self._read:
            rows = self._rows(spark)
            # Moments as numbers, since `collect` hands them over in the time zone of this process.
            columns = (F.unix_micros(n).alias(n) if n in _MOMENTS else F.col(n) for n in _COLUMNS)
            records = [] if rows is None else rows.select(*columns).collect()
            self._read.append([_run(row.asDict()) for row in records])
        return sorted(
            (r for r in self._read[0] if stage in (None, r.stage)),
            key=lambda r: (r.snapshot_date, r.stage, r.attempt),
        )

    def latest(self, spark: SparkSession, stage: str) -> dict[date, Run]:
        """Return the latest attempt of a stage on each snapshot. Cost: as `attempts`."""
        return {run.snapshot_date: run for run in self.attempts(spark, stage)}

    def latest_of_all(self, spark: SparkSession) -> Latest:
        """Return the latest attempt of every stage on each snapshot. Cost: as `attempts`."""
        return {(run.stage, run.snapshot_date): run for run in self.attempts(spark)}

    def append(self, spark: SparkSession, run: Run, evidence: Evidence | None = None) -> Run:
        """Write the attempt's row, which publishes it, and return it with the code version.

        `evidence` is stored in the same row.
        Cost: one Delta commit.
        """
        run = replace(run, code_version=code_version())
        system = system_contract()
        table = system.table(RUNS)
        record = asdict(run) | {
            "inputs": json.dumps(dict(run.inputs), sort_keys=True),
            "outputs": json.dumps(dict(run.outputs), sort_keys=True),
            "seconds": run.seconds,
        }
        for name in (QUALITY_RESULTS, QUALITY_STATES):
            columns = system.table(name).names
            lines = (evidence or {}).get(name)
            record[name] = lines and [tuple(line[c] for c in columns) for line in lines]
        schema = spark_schema(table)
        row = spark.createDataFrame([tuple(record[name] for name in schema.names)], schema).coalesce(1)
        self.lake.append(row, table, tag=run.run_id, properties=_PROPERTIES)
        if self._read:
            self._read[0].append(run)
        return run

    def read_evidence(self, spark: SparkSession, name: str) -> DataFrame:
        """Read `quality_results` or `quality_states`: of every table and snapshot, what its latest attempt
        counted, published or rejected.

        Grain: as the system contract declares it, with its columns.
        Cost: no job.
        Errors: NotPublishedError when nothing ran yet; as `attempts`.
        """
        rows = self._rows(spark)
        if rows is None:
            raise NotPublishedError.of(name, command="ingest")
        latest = (
            rows.where(F.col(name).isNotNull())
            .groupBy("stage", "snapshot_date")
            .agg(F.max_by(name, "attempt").alias(name))
        )
        return latest.select(F.inline(name))

    def _rows(self, spark: SparkSession) -> DataFrame | None:
        """Return the table, None where nothing ran yet."""
        rows = self.lake.find(spark, RUNS)
        # With a filter, Delta lists the files without first counting them all, which is three jobs.
        rows = None if rows is None else rows.where(F.col("run_id").isNotNull())
        if rows is not None and not {QUALITY_RESULTS, QUALITY_STATES} <= set(rows.columns):
            raise ConfigurationError(
                f"{self.lake.location(RUNS)} was written by an older version of this package, which kept "
                f"{QUALITY_RESULTS} and {QUALITY_STATES} in tables of their own",
                hint="give a new place in lake.root (or lake.schema), and run the stages again; the old "
                "tables stay readable as Delta tables",
            )
        return rows

    def read_published(
        self, spark: SparkSession, table: Table, *, stage: str, day: str, days: list[date] | None = None
    ) -> DataFrame:
        """Read the rows of a snapshot table that readers may see.

        They are those of `days`, or of every day whose latest attempt was published. Rows are filtered by day
        and run, a few literals.
        Grain: as the table, with its columns.
        Cost: looks for one row of each of `days` whose run was not the last to write the table.
        Errors: NotPublishedError when one of `days` is not published, and TransientError when its rows were
        replaced by an attempt that did not end. Without `days`, such a day is left out.
        """
        published = {d: run for d, run in self.latest(spark, stage).items() if run.published}
        version = self.lake.version(spark, table.name) if days is not None else None
        if days is not None:
            if missing := sorted(set(days) - set(published)):
                raise NotPublishedError.of(table.name, days=missing, command=_command(stage))
            published = {d: published[d] for d in days}
        rows = self.lake.read(spark, table.name)
        of_run = {
            d: (F.col(day) == F.lit(d)) & (F.col("_run_id") == run.run_id)
            for d, run in sorted(published.items())
        }
        # Where the table is still as the run left it, its rows are there.
        doubted = [
            d
            for d, run in published.items()
            if run.rows_in
            and (
                version is None
                or run.outputs.get(table.name) != version
                or not self.lake.is_written_by(spark, table.name, version, tag=run.run_id)
            )
        ]
        if days is not None and (gone := [d for d in doubted if rows.where(of_run[d]).isEmpty()]):
            raise TransientError(
                f"{table.name}: an attempt that did not end has replaced the published rows of "
                f"{', '.join(map(str, gone))}",
                hint=f"run `engage-spark {_command(stage)}` again; it starts over",
            )
        # A run_id belongs to one stage and day, so two lists are enough; one condition per day would overflow
        # the optimizer within a year.
        return rows.where(
            F.col(day).isin(list(published))
            & F.col("_run_id").isin([run.run_id for run in published.values()])
        )

    def read_published_log(self, spark: SparkSession, table: Table, *, stage: str) -> DataFrame:
        """Read the events that readers may see: rows of published attempts, after the latest of them.

        An attempt that was rejected has replaced some days, but not in the version that this reads.
        Errors: NotPublishedError when no attempt was published yet.
        """
        published = [run for run in self.attempts(spark, stage) if run.published]
        if not published:
            raise NotPublishedError.of(table.name, command=_command(stage))
        version = max(run.outputs[table.name] for run in published)
        ids = sorted({run.run_id for run in published})
        return self.lake.read(spark, table.name, version=version).where(F.col("_run_id").isin(ids))

    def state_of_log(self, spark: SparkSession, table: Table, *, stage: str, until: date) -> str:
        """Return what identifies the events up to a day that readers may see.

        It is 32 hex digits of SHA-256 over the runs that delivered them; a delivery of later days does not
        change it.
        Cost: one scan of two narrow columns.
        Errors: as `read_published_log`.
        """
        visible = self.read_published_log(spark, table, stage=stage).where(
            F.col(day_column(table)) <= F.lit(until)
        )
        ids = sorted(str(row[0]) for row in visible.select("_run_id").distinct().collect())
        return hashlib.sha256(",".join(ids).encode()).hexdigest()[:32]


def _command(stage: str) -> str:
    """Return the command that runs a stage: `ingest:customers` is a part of ingest."""
    return stage.partition(":")[0]


_COLUMNS = tuple(Run.__dataclass_fields__)
_MOMENTS = ("started_at", "finished_at")
_EPOCH = datetime.fromtimestamp(0, UTC)


def _run(row: dict[str, object]) -> Run:
    values = row | {name: json.loads(str(row[name])) for name in ("inputs", "outputs")}
    values |= {name: _EPOCH + timedelta(microseconds=int(str(row[name]))) for name in _MOMENTS}
    return Run(**values)  # type: ignore[arg-type]
