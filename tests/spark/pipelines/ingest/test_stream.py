"""Logs that are taken up file by file: every event once, whatever befalls the process or its checkpoint."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engage_spark.contract import judged_table
from engage_spark.errors import ConfigurationError, GateError, InputError
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.ingest.stream import run_ingest_stream
from engage_spark.pipelines.results import StreamResult
from engage_spark.side_effects import listening
from engage_spark.spark.session import is_connect
from tests.support.deliveries import ARROW, BIKES, deliver, events, run_log, settings_of, stations
from tests.support.delta_files import rows
from tests.support.kill_harness import killed_at

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

pytestmark = pytest.mark.slow
DAY = "2025-10-21"
RIDES = BIKES.table("rides")
Pairs = list[tuple[str | None, str | None]]
WITHOUT_RUN = ("_run_id", "_replaced_by")


def hour(
    name: str, home: Path, pairs: list[tuple[str | None, str | None]], *, day: str = DAY, seed: int = 1
) -> Path:
    """Deliver one file of rides; an end that is no station is an orphan, which is quarantined."""
    frame = events(RIDES, pairs, [day], seed=seed)
    path = home / "raw" / "rides" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(f.name, ARROW[f.spark_type]) for f in RIDES.fields])
    columns = [pa.array(frame[n].tolist(), schema.field(n).type, from_pandas=False) for n in schema.names]
    pq.write_table(pa.table(columns, schema=schema), path)
    return path


def pairs(n: int, *, orphans: int = 0, start: int = 0) -> Pairs:
    known = [(f"ST{(start + i) % 20:04d}", f"ST{(start + i + 1) % 20:04d}") for i in range(n)]
    return [*known, *((f"NO{i:04d}", "ST0001") for i in range(orphans))]


def hours(home: Path, n: int = 4) -> None:
    """So many files of 12 rides, of which one is an orphan; no two rides are alike."""
    for i in range(n):
        hour(f"hour={i:02d}/part", home, pairs(11, orphans=1, start=i), seed=i + 1)


class Bench:
    """Lakes in which the stations are published, beside raw files of rides."""

    def __init__(self, spark: SparkSession, session_settings: Settings, base: Path) -> None:
        self.spark, self.session_settings, self.base = spark, session_settings, base

    def home(self, path: Path) -> Path:
        shutil.copytree(self.base, path, dirs_exist_ok=True)
        return path

    def settings(self, home: Path, **ingest: Any) -> Settings:
        return settings_of(self.session_settings, home, landed_at=f"{DAY}T23:00:00Z", **ingest)

    def stream(self, home: Path, *, contract: Any = BIKES, **how: Any) -> StreamResult:
        more = {k: how.pop(k) for k in ("stop", "every", "tables", "on_result") if k in how}
        settings = self.settings(home, **({"stream_files": 1} | how))
        return run_ingest_stream(self.spark, settings, contract=contract, **more)

    def batch(self, home: Path) -> None:
        run_ingest(self.spark, self.settings(home), contract=BIKES, tables=["rides"])

    def seen(self, home: Path) -> list[str]:
        """What readers see of the rides, each with its verdict, without the run that made it."""
        log = run_log(self.settings(home))
        runs = {r.run_id for r in log.publication(self.spark).log_runs("ingest:rides")}
        return sorted(
            repr(sorted((k, v) for k, v in without_run(row).items()))
            for row in rows(home / "lake" / "rides_judged")
            if row["_run_id"] in runs and row["_replaced_by"] not in runs
        )


def without_run(row: dict[str, Any]) -> dict[str, Any]:
    errors = [{k: v for k, v in e.items() if k != "run_id"} for e in row["_dq_errors"]]
    return {k: v for k, v in row.items() if k not in WITHOUT_RUN} | {"_dq_errors": errors}


@pytest.fixture(scope="module")
def bench(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    if is_connect(spark):
        pytest.skip("a stream is refused there, as its own test shows")
    base = tmp_path_factory.mktemp("streams")
    deliver(stations(20), BIKES, base, DAY)
    made = Bench(spark, session_settings, base)
    run_ingest(spark, made.settings(base), contract=BIKES)
    return made


def test_files_are_taken_up_once_and_end_as_one_delivery_of_all(bench: Bench, tmp_path: Path) -> None:
    home = bench.home(tmp_path / "streamed")
    hours(home, 3)
    first = bench.stream(home)
    assert [(b.batch, b.files, b.rows_in, b.quarantined, b.status) for b in first.snapshots] == [
        (n, 1, 12, 1, "published") for n in range(3)
    ]
    late = [b.latency for b in first.snapshots]
    assert all(x is not None and 0 < x.shortest <= x.p50 <= x.p95 for x in late)
    assert bench.stream(home).snapshots == ()
    hour("hour=03/part", home, pairs(5), day="2025-10-02", seed=9)  # late: of a day before all others
    (again,) = bench.stream(home).snapshots
    assert (again.batch, again.valid) == (3, 5)
    whole = bench.home(tmp_path / "whole")
    shutil.copytree(home / "raw", whole / "raw", dirs_exist_ok=True)
    bench.batch(whole)
    assert bench.seen(home) == bench.seen(whole)
    assert len(bench.seen(home)) == 3 * 12 + 5


def test_killed_three_times_and_run_again_every_event_is_there_once(bench: Bench, tmp_path: Path) -> None:
    home, whole = bench.home(tmp_path / "killed"), bench.home(tmp_path / "whole")
    hours(home, 3)
    shutil.copytree(home / "raw", whole / "raw", dirs_exist_ok=True)
    # published and not in the checkpoint; before the commit of the events; before that of the row in runs
    for effect in ("checkpoint of rides", "commit rides_judged", "commit runs"):
        assert killed_at(effect, lambda: bench.stream(home)), effect
    bench.stream(home)
    bench.batch(whole)
    assert bench.seen(home) == bench.seen(whole)
    assert len(bench.seen(home)) == 3 * 12
    assert bench.stream(home).snapshots == ()


def test_a_checkpoint_that_is_lost_ahead_or_of_another_contract_doubles_and_loses_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    home = bench.home(tmp_path)
    hours(home, 2)
    bench.stream(home)
    seen, streams = bench.seen(home), home / "lake" / "_streams"
    shutil.move(streams, tmp_path / "checkpoint")
    lost = bench.stream(home)
    assert lost.snapshots == ()
    assert [(n.code, n.facts) for n in lost.notes] == [("FilesStreamedBefore", {"n_files": 2})]
    other = bench.stream(home, contract=replace(BIKES, digest="0" * 64))
    assert [(b.rows_in, b.repeated) for b in other.snapshots] == [(12, 12), (12, 12)]
    assert bench.seen(home) == seen
    shutil.rmtree(home / "lake")  # restored from before the stream, whose checkpoint is newer
    shutil.copytree(bench.base / "lake", home / "lake")
    shutil.move(tmp_path / "checkpoint", streams)
    assert [b.batch for b in bench.stream(home, stream_files=2).snapshots] == [None]
    assert bench.seen(home) == seen


def test_files_whose_rows_are_gone_from_the_table_are_taken_up_again(bench: Bench, tmp_path: Path) -> None:
    home = bench.home(tmp_path)
    hours(home, 3)
    bench.stream(home, stream_files=2)
    seen = bench.seen(home)
    assert len(seen) == 36
    for size, batches in ((2, [2, 1]), (1, [1, 1, 1])):  # as the runs were, and otherwise
        shutil.rmtree(home / "lake" / "rides_judged")  # restored without `runs`
        again = bench.stream(home, stream_files=size)
        assert [(b.batch, b.files) for b in again.snapshots] == [(None, n) for n in batches]
        assert bench.seen(home) == seen
        log = run_log(bench.settings(home))
        judged = log.read_published_log(bench.spark, judged_table(RIDES), stage="ingest:rides")
        assert judged.count() == 36, "readers are not refused for runs that are lost"
    assert bench.stream(home).snapshots == ()


def test_a_rejected_batch_is_recorded_and_holds_up_none_until_it_is_corrected(
    bench: Bench, tmp_path: Path
) -> None:
    home = bench.home(tmp_path)
    hour("a", home, pairs(8), seed=1)
    bad = hour("b", home, pairs(4, orphans=4), seed=2)
    hour("c", home, pairs(8, start=3), seed=3)
    with pytest.raises(GateError, match=r"1 batch rejected by the contract's gates") as rejected:
        bench.stream(home)
    result = rejected.value.result
    assert isinstance(result, StreamResult)
    assert [(b.status, b.latency is None) for b in result.snapshots] == [
        ("published", False),
        ("rejected", True),
        ("published", False),
    ]
    assert len(bench.seen(home)) == 16
    assert bench.stream(home).snapshots == (), "as it is, it is not judged again"
    hour("b", home, pairs(6), seed=2)
    bad.touch()
    (corrected,) = bench.stream(home).snapshots
    assert (corrected.batch, corrected.valid, corrected.status) == (None, 6, "published")
    hour("a", home, pairs(9), seed=1)  # a published file, with a ride more
    (longer,) = bench.stream(home).snapshots
    assert longer.repeated + longer.valid == 9 and longer.valid >= 1
    assert longer.valid + 22 == len(bench.seen(home))


def test_what_is_not_whole_or_cannot_be_read_waits_alone(bench: Bench, tmp_path: Path) -> None:
    home = bench.home(tmp_path)
    hours(home, 2)
    (home / "raw" / "rides" / "hour=00" / "_SUCCESS").touch()
    first = bench.stream(home, complete="marker")
    assert [b.files for b in first.snapshots] == [1]
    (note,) = first.notes
    assert (note.code, note.facts["n_files"]) == ("FilesNotWhole", 1)
    assert "hour=01" in note.facts["path"] and "_SUCCESS" in note.facts["reason"]
    (home / "raw" / "rides" / "hour=01" / "_SUCCESS").touch()
    broken = home / "raw" / "rides" / "hour=01" / "cut.parquet"
    broken.write_bytes((home / "raw" / "rides" / "hour=01" / "part.parquet").read_bytes()[:200])
    (home / "raw" / "rides" / "hour=01" / "_SUCCESS").touch()
    for published in ([1], []):
        with pytest.raises(InputError, match="cut.parquet") as unreadable:
            bench.stream(home, complete="marker")
        result = unreadable.value.result
        assert isinstance(result, StreamResult)
        assert [b.files for b in result.snapshots] == published
    broken.unlink()
    assert bench.stream(home, complete="marker").snapshots == ()
    assert len(bench.seen(home)) == 24


def test_a_file_that_cannot_be_read_holds_up_none_of_its_batch(bench: Bench, tmp_path: Path) -> None:
    home, stop = bench.home(tmp_path), threading.Event()
    hours(home, 3)
    cut = home / "raw" / "rides" / "hour=01" / "part.parquet"
    cut.write_bytes(cut.read_bytes()[:200])
    for batches in ([1, 1], []):
        with pytest.raises(InputError, match=r"hour=01/part\.parquet") as unreadable:
            bench.stream(home, stream_files=3)
        result = unreadable.value.result
        assert isinstance(result, StreamResult)
        assert [b.files for b in result.snapshots] == batches
    assert len(bench.seen(home)) == 24
    rounds: list[StreamResult] = []

    def more(result: StreamResult) -> None:
        rounds.append(result)
        stop.set()

    hour("hour=03/part", home, pairs(5), seed=9)
    bench.stream(home, stream_files=3, every=0.1, stop=stop, on_result=more)
    assert [[b.files for b in r.snapshots] for r in rounds] == [[1]]
    assert len(bench.seen(home)) == 29


def test_a_request_to_stop_lets_the_batch_end_and_begins_no_other(bench: Bench, tmp_path: Path) -> None:
    home, stop = bench.home(tmp_path), threading.Event()
    hours(home, 3)

    def ask(effect: str) -> None:
        if effect == "commit rides_judged":
            stop.set()

    rounds: list[StreamResult] = []
    with listening(ask):
        bench.stream(home, stop=stop, every=3600.0, on_result=rounds.append)
    assert [[b.batch for b in r.snapshots] for r in rounds] == [[0]]
    assert len(bench.seen(home)) == 12
    assert len(bench.stream(home).snapshots) == 2
    assert len(bench.seen(home)) == 36


def test_what_cannot_be_streamed_is_refused_in_words(bench: Bench, tmp_path: Path) -> None:
    home = bench.home(tmp_path)
    with pytest.raises(
        ConfigurationError, match="stations cannot be streamed: a day of it is published whole"
    ):
        bench.stream(home, tables=["stations"])
    with pytest.raises(ConfigurationError, match="each batch would take the place"):
        bench.stream(home, logs="replace_days")
    with pytest.raises(ConfigurationError, match="walks is not delivered by the contract"):
        bench.stream(home, tables=["walks"])
    (note,) = bench.stream(home).notes
    assert note.code == "LogNotDelivered"
    bench.spark.range(2).write.format("delta").save(str(home / "raw" / "rides"))
    with pytest.raises(ConfigurationError, match="rides is delivered as a Delta table"):
        bench.stream(home)


@pytest.mark.connect
def test_a_session_of_spark_connect_is_refused_before_anything_starts(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    settings = settings_of(session_settings, tmp_path)
    hours(tmp_path, 1)
    if not is_connect(spark):
        pytest.skip("a classic session, which streams")
    with pytest.raises(ConfigurationError, match="a stream needs a classic session"):
        run_ingest_stream(spark, settings, contract=BIKES)
    assert not (tmp_path / "lake").exists()
