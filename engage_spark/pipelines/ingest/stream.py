"""Take up new files of logs as they come: each batch of files is a delivery, checked and published by itself.

What is done is known by `runs` and the table: the row that publishes a batch holds what identifies each of
its files, in the same commit, and counts while the table has its events. Spark's stream (`lake.file_stream`)
hands out new files in batches; whatever of the folder no run has after it is taken up as a batch of its own,
which covers what the stream does not see: a file that was corrected in place, one that was not whole when it
came, a checkpoint that is ahead of the lake. What a lost checkpoint hands out again is left out. Events are
told from known ones as in every delivery (`repeated_events`), so a file that comes again under another name
adds nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract, Table, TableKind
from engage_spark.errors import (
    ConfigurationError,
    EngageError,
    GateError,
    InputError,
    TransientError,
)
from engage_spark.lake import (
    InputFile,
    InputManifest,
    checkpoint_folder,
    refuse_connect,
    stream_files,
    stream_lock,
    table_lock,
    unfinished_files,
)
from engage_spark.pipelines.context import RunContext, now
from engage_spark.pipelines.ingest.deliveries import (
    delivered_tables,
    is_one_file,
    landing_times,
    list_logs,
    log_delivery,
)
from engage_spark.pipelines.ingest.event_latency import event_latency, late_events
from engage_spark.pipelines.ingest.outcomes import gate_error, input_error, merged_notes, to_snapshot
from engage_spark.pipelines.ingest.streamed_files import (
    KnownFiles,
    file_state,
    in_batches,
    known_files,
    stream_key,
)
from engage_spark.pipelines.ingest.validate_table import TableOutcome, validate_table
from engage_spark.pipelines.results import Note, StreamedBatch, StreamResult
from engage_spark.pipelines.runner import StageRunner
from engage_spark.publication import RUNS
from engage_spark.settings import Settings
from engage_spark.side_effects import announce


def run_ingest_stream(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    tables: Collection[str] | None = None,
    every: float | None = None,
    stop: threading.Event | None = None,
    on_result: Callable[[StreamResult], None] = lambda _: None,
) -> StreamResult:
    """Take up the files of logs that no run has yet, in batches, each checked and published as a run.

    Once, or with `every` again and again, so many seconds from one beginning to the next. Batches have at
    most `ingest.stream_files` files. Gates judge each of them as a delivery: one that is rejected is recorded
    and read by nobody, and the next ones are taken up. One that cannot be read is taken up by halves, so that
    its sound files are published; the others are tried again each time, each alone. After `stop` the batch
    that runs is finished, and no other is begun. `tables` names logs, by default all of the contract.
    `on_result` is called with each round of `every` that did something; what failed there is logged, unless
    no other round would do better.

    Cost: two listings a round and log, and per batch that of `run_ingest` for its files, and one narrow scan
    of the event times that it wrote.
    Errors: as `run_ingest`; ConfigurationError on Spark Connect, for a table that is no log, for an input
    of one file, and where `ingest.logs` replaces days. With `every` only what the next round cannot cure.
    """
    refuse_connect(spark)
    _refuse_one_file(RunContext(spark, settings, contract))
    logs = _logs(settings, contract, tables)
    stop = stop or threading.Event()
    unreadable_files: set[str] = set()
    while True:
        began = time.monotonic()
        failure: EngageError | None = None
        try:
            result = _Round(spark, settings, contract, logs, stop, unreadable_files).run()
        except (GateError, InputError, TransientError) as e:
            if every is None:
                raise
            failure, result = e, e.result if isinstance(e.result, StreamResult) else _empty()
        if every is None:
            return result
        if failure is not None:
            log.event(failure.message, level="error", hint=failure.hint)
        if result.is_worth_showing:
            on_result(result)
        if stop.wait(max(0.0, every - (time.monotonic() - began))):
            return result


def _refuse_one_file(context: RunContext) -> None:
    """Refuse an input of one file, which no later look would cure.

    Errors: ConfigurationError.
    """
    if is_one_file(context):
        raise ConfigurationError(
            f"{context.settings.input.root} is one file, and a stream takes up the files of a folder",
            hint="give the folder that holds one folder for each table",
        )


def _logs(settings: Settings, contract: Contract, tables: Collection[str] | None) -> list[Table]:
    """Return the logs that are asked for.

    Errors: ConfigurationError for what cannot be taken up in batches.
    """
    known = {t.name: t for t in (contract.entity, *contract.logs)}
    names = delivered_tables(contract, [t.name for t in contract.logs] if tables is None else tables)
    if snapshots := [name for name in names if known[name].kind is not TableKind.LOG]:
        raise ConfigurationError(
            f"{', '.join(snapshots)} cannot be streamed: a day of it is published whole, not file by file",
            hint="run `engage-spark ingest` for it without --stream",
        )
    if not names:
        raise ConfigurationError(
            "there is nothing to stream: the contract declares no log",
            hint="run `engage-spark ingest` without --stream",
        )
    if settings.ingest.logs != "append":
        raise ConfigurationError(
            f"a stream appends events, and ingest.logs is {settings.ingest.logs}: each batch would take the "
            "place of all other events of its days",
            hint="set ingest.logs=append",
        )
    return [known[name] for name in names]


def _empty() -> StreamResult:
    return StreamResult(stage="ingest", seconds=0.0, snapshots=(), rows_in=0, valid=0, quarantined=0)


@dataclass
class _Round:
    """One look at all logs: what came of their new files."""

    spark: SparkSession
    settings: Settings
    contract: Contract
    logs: Sequence[Table]
    stop: threading.Event
    unreadable_files: set[str]
    """States of files that could not be read alone, of this round and those before."""
    notes: list[Note] = field(default_factory=list)
    batches: list[StreamedBatch] = field(default_factory=list)
    outcomes: list[TableOutcome] = field(default_factory=list)
    unreadable: list[InputError] = field(default_factory=list)
    n_known: int = 0
    """Files that the stream handed out and a run had already."""

    def run(self) -> StreamResult:
        """Take up the logs one after the other.

        Errors: InputError and GateError, after all of them; others at once. Each has what was done as its
        `result`.
        """
        started = time.monotonic()
        context = self.context()
        try:
            for table in self.logs:
                self._take_up(table)
        except EngageError as e:
            e.result = self._result(context, time.monotonic() - started)
            raise
        result = self._result(context, time.monotonic() - started)
        if self.unreadable:
            error = input_error(self.unreadable, self.outcomes)
            error.result = result
            raise error
        if rejected := [o for o in self.outcomes if not o.run.published]:
            raise gate_error(context, rejected, result, noun="batch", plural="batches")
        return result

    def context(self) -> RunContext:
        """Return a context that reads `runs` anew."""
        return RunContext(self.spark, self.settings, self.contract)

    def _take_up(self, table: Table) -> None:
        context = self.context()
        try:
            listed = list_logs(context, [table.name], self.notes)
        except InputError as e:
            self.unreadable.append(e)
            log.event(f"{table.name}: {e.message}", level="error")
            return
        for _, manifest in listed:
            if manifest.version is not None:
                raise ConfigurationError(
                    f"{table.name} is delivered as a Delta table, and a stream takes up files",
                    hint="run `engage-spark ingest` without --stream",
                )
            # Two streams must not share a checkpoint; the lock of the table is taken per batch.
            with table_lock(self.spark, context.lake, stream_lock(table.name)):
                _LogRound(self, table, manifest, self.context()).run()

    def _result(self, context: RunContext, seconds: float) -> StreamResult:
        names = [f"{t.name}_judged" for t in self.logs]
        if self.n_known:
            self.notes.append(Note("FilesStreamedBefore", {"n_files": self.n_known}))
        return StreamResult(
            stage="ingest",
            seconds=seconds,
            locations={n: context.lake.location(n) for n in (*names, RUNS)},
            notes=merged_notes(
                (*self.notes, *(note for o in self.outcomes for note in o.notes), *late_events(self.batches))
            ),
            snapshots=tuple(self.batches),
            rows_in=sum(b.rows_in for b in self.batches),
            valid=sum(b.valid for b in self.batches),
            quarantined=sum(b.quarantined for b in self.batches),
        )


@dataclass
class _LogRound:
    """One look at one log. `looked_at` holds the states of the files that it has dealt with, `known` what
    runs have: no other stream of the log adds to it meanwhile. `runs` is read once by `context`, and again
    where others have published between two batches.
    """

    round: _Round
    table: Table
    listed: InputManifest
    context: RunContext
    known: KnownFiles = field(default_factory=KnownFiles)
    looked_at: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Take up what the stream hands out, then what it does not see."""
        r, context = self.round, self.context
        settings = context.settings.ingest
        self.known = known_files(context, self.table)
        unknown = [f for f in self.listed.files if f not in self.known]
        self.waiting = unfinished_files(
            r.spark, context.lake, self.listed, unknown, rule=settings.complete, now=now()
        )
        if self.waiting:
            path, reason = next(iter(sorted(self.waiting.items())))
            about = {"table": self.table.name, "n_files": len(self.waiting), "path": path, "reason": reason}
            r.notes.append(Note("FilesNotWhole", about))
        stream_files(
            r.spark,
            self.listed.root,
            checkpoint=checkpoint_folder(context.lake, self.table.name, stream_key(context, self.listed)),
            files_per_batch=settings.stream_files,
            on_batch=self._batch,
            stop=r.stop,
        )
        left = [f for f in unknown if file_state(f) not in self.looked_at and f.path not in self.waiting]
        for files in in_batches(left, settings.stream_files, alone=r.unreadable_files):
            if r.stop.is_set():
                return
            self._publish(files, number=None)

    def _batch(self, number: int, names: Sequence[str]) -> None:
        """Deal with what the stream hands out; a file that came after the listing waits for the next look."""
        wanted = set(names)
        files = [f for f in self.listed.files if f.name in wanted and f.path not in self.waiting]
        self._publish(files, number=number)
        announce(f"checkpoint of {self.table.name}")

    def _publish(self, files: Sequence[InputFile], *, number: int | None) -> None:
        """Check and publish files as a delivery of their own, unless a run has them.

        Where a file cannot be read, both halves of the files are taken up by themselves, and so on, until it
        is alone. After a request to stop the rest is left to the next round.
        """
        r = self.round
        self.looked_at |= {file_state(f) for f in files}
        new = [f for f in files if f not in self.known]
        r.n_known += len(files) - len(new)
        waiting = [new] if new else []
        while waiting:
            part = waiting.pop()
            try:
                outcome = self._checked(part)
            except InputError as e:
                if len(part) > 1:
                    half = len(part) // 2
                    waiting += [part[half:], part[:half]]
                else:
                    r.unreadable_files.add(file_state(part[0]))
                    r.unreadable.append(e)
                    log.event(f"{self.table.name}: {e.message}", level="error")
            else:
                if outcome is not None:
                    self._report(outcome, n_files=len(part), number=number)
            if r.stop.is_set():
                return

    def _checked(self, files: Sequence[InputFile]) -> TableOutcome | None:
        """Check and publish files that no run has; None where there is nothing to do.

        Errors: InputError where one of them cannot be read; nothing is recorded then.
        """
        r, context = self.round, self.context
        context.log.refresh(r.spark)
        manifest = replace(self.listed, files=tuple(sorted(files, key=lambda f: f.path)))
        runner = StageRunner(context=context)
        delivery = log_delivery(
            runner,
            self.table,
            manifest,
            landing_times(context, [manifest], r.notes),
            more_inputs=self.known.inputs(manifest),
        )
        if isinstance(delivery, Note):  # without keys, or the same as a delivery that a batch run had
            if delivery.code != "LogUpToDate":
                r.notes.append(delivery)
            return None
        return validate_table(runner, delivery)

    def _report(self, outcome: TableOutcome, *, n_files: int, number: int | None) -> None:
        """Add a batch that was recorded to the result, then its latency, which may fail."""
        r, committed_at = self.round, now()
        self.known.add(outcome.run)
        r.outcomes.append(outcome)
        batch = StreamedBatch(
            **{k: getattr(shown, k) for shown in [to_snapshot(outcome)] for k in shown.__dataclass_fields__},
            batch=number,
            files=n_files,
            repeated=outcome.run.rows_repeated,
        )
        r.batches.append(batch)
        latency = event_latency(self.context, self.table, outcome.run, committed_at=committed_at)
        r.batches[-1] = replace(batch, latency=latency)
