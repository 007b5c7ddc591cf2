"""The run log: one row per attempt of a stage on a snapshot, written last, and what readers may see because
of it.

A row of a data table carries the `_run_id` that made it. Readers take a snapshot only when the latest attempt
on it was published, and only rows of that very run. So rows of an attempt that was rejected, or was killed
before its row was written here, are seen by nobody; a rerun replaces them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from functools import cache
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import engage_spark
from engage_spark.contract import Table, day_column, system_contract
from engage_spark.errors import NotPublishedError, TransientError
from engage_spark.lake.delta import Lake
from engage_spark.spark.schema import spark_schema

RUNS = "runs"
PUBLISHED, REJECTED = "published", "rejected"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt. Everything but attempt, the times and `message` follows from the inputs, so equal work has
    an equal run_id.
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
        return self.status == PUBLISHED

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


Latest = dict[tuple[str, date], Run]
"""The latest attempt by stage and snapshot."""


def run_id(
    *, stage: str, snapshot_date: date, inputs: Mapping[str, str], contract_digest: str, settings_digest: str
) -> str:
    """The identity of a piece of work: what it is, on which inputs, by which contract, settings and code. 32
    hex digits of SHA-256.
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
    """The package version, and a digest over its source files, so that any change of code is a change of
    version.
    """
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
    """The runs of one lake. Building one does nothing; its size is a row per attempt, so it may come to the
    driver.
    """

    lake: Lake

    def attempts(self, spark: SparkSession, stage: str | None = None) -> list[Run]:
        """Every attempt, or those of one stage, by snapshot, stage and number. One scan of a small table;
        empty where nothing ran yet.
        """
        version = self.lake.version(spark, RUNS)
        if version is None:
            return []
        runs = [_run(row.asDict()) for row in self.lake.read(spark, RUNS, version=version).collect()]
        return sorted(
            (r for r in runs if stage in (None, r.stage)), key=lambda r: (r.snapshot_date, r.stage, r.attempt)
        )

    def latest(self, spark: SparkSession, stage: str) -> dict[date, Run]:
        """The latest attempt of a stage on each snapshot. Costs as `attempts`."""
        return {run.snapshot_date: run for run in self.attempts(spark, stage)}

    def latest_of_all(self, spark: SparkSession) -> Latest:
        """The latest attempt of every stage on each snapshot. Costs as `attempts`."""
        return {(run.stage, run.snapshot_date): run for run in self.attempts(spark)}

    def append(self, spark: SparkSession, run: Run) -> Run:
        """Write the attempt's row. This is the moment of publication."""
        run = replace(run, code_version=code_version())
        table = system_contract().table(RUNS)
        record = asdict(run) | {
            "inputs": json.dumps(dict(run.inputs), sort_keys=True),
            "outputs": json.dumps(dict(run.outputs), sort_keys=True),
            "seconds": run.seconds,
        }
        schema = spark_schema(table)
        row = spark.createDataFrame([tuple(record[name] for name in schema.names)], schema)
        self.lake.append(row, table, tag=run.run_id)
        return run

    def read_published(
        self, spark: SparkSession, table: Table, *, stage: str, day: str, days: list[date] | None = None
    ) -> DataFrame:
        """The rows of a snapshot table that readers may see: of `days`, or of every day whose latest attempt
        was published.

        Grain and columns of the table. Rows are filtered by day and run, a few literals. Raises
        NotPublishedError when a day that was asked for is not published, and TransientError when its rows
        were replaced by an attempt that did not end (one row is looked for per day that is asked for; without
        `days`, such a day is left out).
        """
        published = {d: run for d, run in self.latest(spark, stage).items() if run.published}
        if days is not None:
            if missing := sorted(set(days) - set(published)):
                raise NotPublishedError.of(table.name, days=missing, command=_command(stage))
            published = {d: published[d] for d in days}
        rows = self.lake.read(spark, table.name)
        made = {
            d: (F.col(day) == F.lit(d)) & (F.col("_run_id") == run.run_id)
            for d, run in sorted(published.items())
        }
        if days is not None and (
            gone := [d for d in made if published[d].rows_in and rows.where(made[d]).isEmpty()]
        ):
            raise TransientError(
                f"{table.name}: an attempt that did not end has replaced the published rows of {', '.join(map(str, gone))}",
                hint=f"run `engage-spark {_command(stage)}` again; it starts over",
            )
        # A run_id belongs to one stage and day, so two lists say it; one condition a day would overflow the
        # optimizer within a year.
        return rows.where(
            F.col(day).isin(list(published))
            & F.col("_run_id").isin([run.run_id for run in published.values()])
        )

    def read_published_log(self, spark: SparkSession, table: Table, *, stage: str) -> DataFrame:
        """The events that readers may see: the log as it stood after its latest published attempt, rows of
        published attempts only.

        An attempt that was rejected has replaced some days, but not in the version that this reads. Raises
        NotPublishedError when no attempt was published yet.
        """
        published = [run for run in self.attempts(spark, stage) if run.published]
        if not published:
            raise NotPublishedError.of(table.name, command=_command(stage))
        version = max(run.outputs[table.name] for run in published)
        ids = sorted({run.run_id for run in published})
        return self.lake.read(spark, table.name, version=version).where(F.col("_run_id").isin(ids))

    def state_of_log(self, spark: SparkSession, table: Table, *, stage: str, until: date) -> str:
        """What identifies the events up to a day that readers may see: 32 hex digits of SHA-256 over the runs
        that delivered them.

        A delivery of later days leaves it as it is. One scan of two narrow columns. Raises as
        `read_published_log`.
        """
        seen = self.read_published_log(spark, table, stage=stage).where(
            F.col(day_column(table)) <= F.lit(until)
        )
        ids = sorted(str(row[0]) for row in seen.select("_run_id").distinct().collect())
        return hashlib.sha256(",".join(ids).encode()).hexdigest()[:32]


def _command(stage: str) -> str:
    """The command that runs a stage: `ingest:customers` is a part of ingest."""
    return stage.partition(":")[0]


def _run(row: dict[str, object]) -> Run:
    values = {k: v for k, v in row.items() if k in Run.__dataclass_fields__}
    values["inputs"], values["outputs"] = json.loads(str(row["inputs"])), json.loads(str(row["outputs"]))
    return Run(**values)  # type: ignore[arg-type]
