"""Keep the run log: one row per attempt of a stage on a snapshot, and read by it what is published.

`engage_spark.publication` decides from these rows what readers see; this module reads the tables by it. The
row of an attempt is written last: what an attempt wrote that was rejected, or was killed before that, is seen
by nobody, and what was published before it stays.

The row also holds what was counted of the data: the rows of `quality_results` and `quality_states`. So an
attempt and its evidence are one commit, and neither is there without the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import engage_spark
from engage_spark.contract import Table, system_contract
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.lake.delta import Lake
from engage_spark.lake.locks import COMMIT_WAIT, table_lock
from engage_spark.publication import REPLACED_BY, RUN_ID, RUNS, Publication, Run
from engage_spark.spark.compat import from_rows
from engage_spark.spark.schema import spark_schema

QUALITY_RESULTS, QUALITY_STATES = "quality_results", "quality_states"
Evidence = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows of `quality_results` and `quality_states`, by these names; each row by column."""
_MOMENTS = ("started_at", "finished_at")
"""Read as numbers: a collected timestamp would be of this process's time zone."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_PROPERTIES = {"delta.dataSkippingNumIndexedCols": "0"}
"""No statistics: the table is read whole."""


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
    """Return the package version and a digest of its source files: any change of code changes it.

    It is the same from a checkout, an installed wheel and a zip archive.
    """
    digest = hashlib.sha256()
    for name, content in sorted(_sources(files("engage_spark"))):
        digest.update(name.encode() + b"\0" + content.replace(b"\r\n", b"\n"))
    return f"{engage_spark.__version__}+{digest.hexdigest()[:12]}"


def _sources(folder: Traversable, *, within: str = "") -> Iterator[tuple[str, bytes]]:
    """Read the modules and declarations; the packaged settings go into a run by their values."""
    for entry in folder.iterdir():
        name = f"{within}{entry.name}"
        if entry.is_dir():
            if entry.name not in ("__pycache__", "_conf"):
                yield from _sources(entry, within=f"{name}/")
        elif entry.name.endswith((".py", ".yaml")):
            yield name, entry.read_bytes()


@dataclass(frozen=True)
class RunLog:
    """The runs of one lake, read when they are first asked for. Building one does nothing.

    The table has a row per attempt, so it may come to the driver. It is read once: what this object appends,
    it adds. Build one per command.
    """

    lake: Lake
    _present: dict[str, set[str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _read: list[tuple[int | None, Publication]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def publication(self, spark: SparkSession) -> Publication:
        """Return what readers see of the lake.

        Cost: one scan of a small table, the first time.
        Errors: ConfigurationError where an older version of this package wrote the lake.
        """
        if not self._read:
            version = self.lake.version(spark, RUNS)
            rows = self._rows(spark)
            names = [F.unix_micros(n).alias(n) if n in _MOMENTS else n for n in Run.__dataclass_fields__]
            records = [] if rows is None else rows.select(*names).collect()
            runs = tuple(_run(row.asDict()) for row in records)
            self._read.append((version, Publication(runs, partial(self._is_present, spark))))
        return self._read[0][1]

    def refresh(self, spark: SparkSession) -> bool:
        """Read the runs again if another process has added some; return whether it did.

        Cost: as `Lake.version`, and of `publication` where there are others.
        """
        if self._read and self._read[0][0] != self.lake.version(spark, RUNS):
            self._read.clear()
            return True
        return False

    def attempts(self, spark: SparkSession, stage: str | None = None) -> list[Run]:
        """Return every attempt, or those of one stage, by snapshot, stage and number; none where nothing ran.

        Cost, Errors: as `publication`.
        """
        return sorted(
            (r for r in self.publication(spark).runs if stage in (None, r.stage)),
            key=lambda r: (r.snapshot_date, r.stage, r.order),
        )

    def append(
        self,
        spark: SparkSession,
        run: Run,
        evidence: Evidence | None = None,
        require: Callable[[], None] = lambda: None,
    ) -> Run:
        """Write the attempt's row, which publishes it, and return it with the code version.

        `evidence` is stored in the same row. `require` is called when nothing but the commit is left to do:
        what it raises leaves the attempt unpublished. The wait for the table may be long.
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
        row = from_rows(spark, [[record[name] for name in schema.names]], schema).coalesce(1)
        with table_lock(spark, self.lake, RUNS, wait=COMMIT_WAIT):
            require()
            self.lake.append(row, table, tag=run.run_id, properties=_PROPERTIES)
            if self._read:
                version, known = self._read.pop()
                # Where another process has added rows as well, the next `refresh` reads them.
                written = 0 if version is None else version + 1
                self._read.append((written, replace(known, runs=(*known.runs, run))))
        return run

    def read_evidence(
        self, spark: SparkSession, name: str, *, runs: Sequence[str] | None = None
    ) -> DataFrame:
        """Read `quality_results` or `quality_states`: of every table and snapshot, what its latest attempt
        counted, published or rejected; or what these `runs` did, by their ids.

        Grain: as the system contract declares it, with its columns.
        Cost: no job.
        Errors: NotPublishedError when nothing ran yet; as `attempts`.
        """
        rows = self._rows(spark)
        if rows is None:
            raise NotPublishedError.of(name, command="ingest")
        order = F.struct("attempt", "finished_at", "run_id")
        rows = rows if runs is None else rows.where(F.col("run_id").isin(list(runs)))
        latest = (
            rows.where(F.col(name).isNotNull())
            .groupBy("stage", "snapshot_date")
            .agg(F.max_by(name, order).alias(name))
        )
        return latest.select(F.inline(name))

    def _rows(self, spark: SparkSession) -> DataFrame | None:
        """Return the table, None where nothing ran yet."""
        rows = self.lake.find(spark, RUNS)
        # With a filter, Delta lists the files without first counting them all, which is three jobs.
        rows = None if rows is None else rows.where(F.col("run_id").isNotNull())
        columns = set(spark_schema(system_contract().table(RUNS)).names)
        if rows is not None and (missing := sorted(columns - set(rows.columns))):
            raise ConfigurationError(
                f"{self.lake.location(RUNS)} was written by an older version of this package: it has no "
                f"{', '.join(missing)}",
                hint="run `engage-spark tables migrate`, then with --apply; or give a new place in lake.root "
                "(or lake.schema), and run the stages again: the old "
                "tables stay readable as Delta tables",
            )
        return rows

    def is_present(self, spark: SparkSession, run: Run, table: str) -> bool:
        """Return whether a table holds what a run wrote to it.

        Cost: none where that was seen before, however many days are asked for; as `Lake.version` where the
        run was the last to write the table; else as `Lake.run_ids`.
        """
        known = self._present.setdefault(table, set())
        if run.run_id in known:
            return True
        version = self.lake.version(spark, table)
        if version is None or not run.rows_written:
            return version is not None
        if run.outputs.get(table) == version and self.lake.is_written_by(
            spark, table, version, tag=run.run_id
        ):
            known.add(run.run_id)
        else:
            known |= self.lake.run_ids(spark, table)
        return run.run_id in known

    def _is_present(self, spark: SparkSession, run: Run) -> bool:
        return all(self.is_present(spark, run, table) for table in run.outputs)

    def read_published(
        self, spark: SparkSession, table: Table, *, stage: str, day: str, days: list[date] | None = None
    ) -> DataFrame:
        """Read the rows of a snapshot table that readers may see: of `days`, or of every day.

        Rows are filtered by day and run, a few literals.
        Grain: as the table, with its columns.
        Cost: as `is_present` for each of `days`.
        Errors: NotPublishedError when one of `days` is not published or out of date, and when its rows are
        gone. Without `days`, a day that is not there is left out.
        """
        visible = self.publication(spark).visible(stage)
        if days is not None:
            self._require(spark, table, stage, days, visible)
            visible = {d: visible[d] for d in days}
        rows = self.lake.read(spark, table.name)
        # A run_id belongs to one stage and day, so two lists are enough; one condition per day would overflow
        # the optimizer within a year.
        return rows.where(
            F.col(day).isin(list(visible)) & F.col(RUN_ID).isin([run.run_id for run in visible.values()])
        )

    def _require(
        self,
        spark: SparkSession,
        table: Table,
        stage: str,
        days: Sequence[date],
        visible: Mapping[date, Run],
    ) -> None:
        """Refuse days whose rows readers cannot see whole."""
        publication, command = self.publication(spark), _command(stage)
        if missing := sorted(set(days) - set(visible)):
            published = {
                d: publication.published[stage, d] for d in missing if (stage, d) in publication.published
            }
            raise NotPublishedError.of(
                table.name,
                days=missing,
                command=command,
                details=[
                    f"{d} is out of date: {', '.join(publication.replaced_inputs(run))} changed since"
                    for d, run in published.items()
                ],
            )
        if gone := [d for d in sorted(days) if not self.is_present(spark, visible[d], table.name)]:
            raise NotPublishedError(
                f"{table.name} does not hold the published rows of {', '.join(map(str, gone))} any more",
                hint=f"run `engage-spark {command}` again; it makes them anew",
            )

    def read_published_log(self, spark: SparkSession, table: Table, *, stage: str) -> DataFrame:
        """Read the events that readers may see: each event of every published run once.

        Grain: as the table, with its columns.
        Cost: no job; as `Lake.run_ids`.
        Errors: NotPublishedError when no attempt was published yet, or events of a published one are gone.
        """
        runs = self.publication(spark).log_runs(stage)
        if not runs:
            raise NotPublishedError.of(table.name, command=_command(stage))
        if gone := [r for r in runs if not self.is_present(spark, r, table.name)]:
            raise NotPublishedError(
                f"{table.name}: the events of {len(gone)} published deliveries are not in the table any more",
                details=[
                    f"run {r.run_id} of {r.snapshot_date}, {r.rows_written:,} events" for r in gone[:10]
                ],
                hint=f"deliver them again and run `engage-spark {_command(stage)}`; with --force, what is "
                "not delivered again is given up",
            )
        return self.read_log(spark, table, runs)

    def read_log(self, spark: SparkSession, table: Table, runs: Sequence[Run]) -> DataFrame:
        """Read the events of these runs that none of them replaced. No job."""
        ids = sorted(r.run_id for r in runs)
        replaced = F.coalesce(F.col(REPLACED_BY).isin(ids), F.lit(False))
        return self.lake.read(spark, table.name).where(F.col(RUN_ID).isin(ids) & ~replaced)


def _command(stage: str) -> str:
    """Return the command that runs a stage: `ingest:customers` is a part of ingest."""
    return stage.partition(":")[0]


def _run(row: dict[str, object]) -> Run:
    values = row | {name: json.loads(str(row[name])) for name in ("inputs", "outputs")}
    values |= {name: _EPOCH + timedelta(microseconds=int(str(row[name]))) for name in _MOMENTS}
    return Run(**values)  # type: ignore[arg-type]
