"""What a look at logs says of its batches when something fails on the way, without Spark."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import Table, load_contract
from engage_spark.errors import (
    ConfigurationError,
    EngageError,
    GateError,
    InputError,
    PermanentError,
    TransientError,
)
from engage_spark.lake import InputFile, InputManifest, RunLog, code_version, fingerprint
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import stream
from engage_spark.pipelines.ingest.stream import run_ingest_stream
from engage_spark.pipelines.ingest.validate_table import TableDelivery, TableOutcome
from engage_spark.pipelines.results import EventLatency, Note, StreamResult
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import Kind, Publication, Run
from engage_spark.quality import GateResults
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
LOG = CONTRACT.logs[0]
SESSION = cast(Any, SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key])))
SETTINGS = load_settings("local", overrides=["ingest.stream_files=4"])
AT = datetime(2025, 10, 21, tzinfo=UTC)
LATE = EventLatency(shortest=1.0, p50=2.0, p95=3.0, promised=2.0)


@dataclass
class Folder:
    """A folder of a log of which Spark's stream hands out nothing, and what happens with its files."""

    names: str
    runs: list[Run] = field(default_factory=list)
    unreadable: str = ""
    fails: dict[str, EngageError] = field(default_factory=dict)
    """What the check of a file raises, beside a file that cannot be read."""
    checked: list[str] = field(default_factory=list)
    """Names of the files of each check, in order."""
    latency: Callable[[], EventLatency | None] = lambda: None
    notes: tuple[Note, ...] = ()

    @property
    def files(self) -> tuple[InputFile, ...]:
        return tuple(InputFile(f"file:/raw/{name}", 1, i, name) for i, name in enumerate(self.names))

    def listed(self, *_: object) -> list[tuple[Table, InputManifest]]:
        manifest = InputManifest(
            table=LOG.name, day=None, files=self.files, format="parquet", root="file:/raw"
        )
        return [(LOG, manifest)]

    def delivery(
        self, runner: StageRunner, table: Table, manifest: InputManifest, _: object, **how: Any
    ) -> TableDelivery:
        inputs = {"files": fingerprint([manifest]), **how["more_inputs"]}
        work = runner.plan(
            ingest_stage(table), date(2025, 10, 21), inputs=inputs, settings=("ingest",), kind=Kind.LOG
        )
        return TableDelivery(table=table, manifest=manifest, work=work, landed_at=AT)

    def check(self, _: object, delivery: TableDelivery) -> TableOutcome:
        names = "".join(f.name for f in delivery.manifest.files)
        self.checked.append(names)
        if bad := sorted(set(names) & set(self.unreadable)):
            raise InputError(f"{bad} cannot be read")
        for name in sorted(set(names) & set(self.fails)):
            raise self.fails[name]
        run = delivery.work.to_run(
            rows_in=len(names), valid=len(names), quarantined=0, outputs={}, started_at=AT
        )
        self.runs.append(replace(run, code_version=code_version()))
        gates = GateResults(counts=(), failed_gates=())
        return TableOutcome(table=LOG, run=self.runs[-1], gates=gates, notes=self.notes)

    def look(self, **how: Any) -> StreamResult:
        return run_ingest_stream(SESSION, SETTINGS, contract=CONTRACT, tables=[LOG.name], **how)

    def failed_look(self, error: type[EngageError], **how: Any) -> Sequence[int]:
        """Files of the batches that the result of a failed look names."""
        with pytest.raises(error) as failed:
            self.look(**how)
        assert isinstance(failed.value.result, StreamResult)
        return [b.files for b in failed.value.result.snapshots]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Folder:
    made = Folder("abcdefgh")
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(made.runs)))
    monkeypatch.setattr(RunLog, "refresh", lambda *_: False)
    monkeypatch.setattr(RunLog, "is_present", lambda *_: True)
    monkeypatch.setattr(stream, "list_logs", made.listed)
    monkeypatch.setattr(stream, "stream_files", lambda *_, **__: None)
    monkeypatch.setattr(stream, "table_lock", lambda *_: nullcontext())
    monkeypatch.setattr(stream, "landing_times", lambda *_: {})
    monkeypatch.setattr(stream, "log_delivery", made.delivery)
    monkeypatch.setattr(stream, "validate_table", made.check)
    monkeypatch.setattr(stream, "event_latency", lambda *_, **__: made.latency())
    return made


def test_sound_files_are_published_whatever_lies_in_their_batch(folder: Folder) -> None:
    folder.unreadable = "c"
    assert folder.failed_look(InputError) == [2, 1, 4]
    assert folder.checked == ["abcd", "ab", "cd", "c", "d", "efgh"]
    folder.checked.clear()
    assert folder.failed_look(InputError) == [] and folder.checked == ["c"]


def test_a_file_that_failed_alone_stays_out_of_later_batches(folder: Folder) -> None:
    folder.unreadable, stop = "a", threading.Event()
    rounds: list[StreamResult] = []

    def after(result: StreamResult) -> None:
        rounds.append(result)
        folder.names = "abcdefghij"
        if len(rounds) == 2:
            stop.set()

    folder.look(every=0.01, stop=stop, on_result=after)
    assert [[b.files for b in r.snapshots] for r in rounds] == [[1, 2, 4], [2]]
    assert folder.checked[-2:] == ["ij", "a"]


@pytest.mark.parametrize(
    "error", [PermanentError("p"), ConfigurationError("c"), TransientError("t"), GateError("g")]
)
def test_batches_before_a_failure_are_in_its_result(folder: Folder, error: EngageError) -> None:
    folder.fails = {"e": error}
    assert folder.failed_look(type(error)) == [4]


def test_a_batch_is_in_the_result_though_its_latency_cannot_be_measured(folder: Folder) -> None:
    def fail() -> EventLatency:
        raise InputError("a file of the table cannot be read")

    folder.latency = fail
    assert folder.failed_look(InputError) == [4]
    assert folder.checked == ["abcd"], "it is published, and not taken up by halves"


@pytest.mark.parametrize("every", [None, 0.01])
def test_an_input_of_one_file_is_refused_once(folder: Folder, every: float | None) -> None:
    one = load_settings("local", overrides=["input.root=/raw/customers.parquet"])
    with pytest.raises(ConfigurationError, match=r"customers\.parquet is one file") as refused:
        run_ingest_stream(SESSION, one, contract=CONTRACT, every=every)
    assert not isinstance(refused.value, InputError), "no other look would cure it"


def test_notes_of_many_batches_stand_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def landings(_: object, __: object, notes: list[Note]) -> dict[str, datetime]:
        notes.append(Note("LandingNotUsed", {"tables": (LOG.name,)}))
        return {}

    monkeypatch.setattr(stream, "landing_times", landings)
    latencies = [replace(LATE, p95=p95) for p95 in (1.9, 9.0, 3.0)]
    folder.names, folder.latency = "abcdefghijkl", lambda: latencies.pop(0)
    folder.notes = (
        Note("EventsRepeated", {"table": LOG.name, "n_events": 2}),
        Note("ColumnsLeftOut", {"table": LOG.name, "n_columns": 1, "examples": ("x",)}),
    )
    result = folder.look()
    notes = {note.code: note.facts for note in result.notes}
    assert len(notes) == len(result.notes) == 4
    assert notes["EventsRepeated"]["n_events"] == 6
    late = notes["EventsLate"]
    assert (late["n_runs"], late["p95"], late["run_id"]) == (2, 9.0, result.snapshots[1].run_id)


def test_runs_are_read_once_for_all_batches_of_a_log(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[RunContext] = []
    refreshed: list[RunLog] = []

    def check(runner: StageRunner, delivery: TableDelivery) -> TableOutcome:
        contexts.append(runner.context)
        return folder.check(runner, delivery)

    monkeypatch.setattr(stream, "validate_table", check)
    monkeypatch.setattr(RunLog, "refresh", lambda log, _: refreshed.append(log) is not None)
    folder.names = "abcdefghijkl"
    assert len(folder.look().snapshots) == 3
    assert len({id(c.log) for c in contexts}) == 1
    assert refreshed == [contexts[0].log] * 3, "what others publish between two batches is seen"
