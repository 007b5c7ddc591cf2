"""Measure a stream of files: from the time of events to the commit that shows them, while files come.

`python bench/stream.py [FILES] [ROWS] [SECONDS] [EVERY]`: so many files of so many rides, one every SECONDS,
each with events of the SECONDS before it, looked for EVERY so many seconds. It prints a line per batch, and
the p50 and p95 of all events at most.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.ingest.stream import run_ingest_stream
from engage_spark.pipelines.results import StreamResult
from engage_spark.settings import Settings
from engage_spark.spark.session import open_session
from tests.support.deliveries import BIKES, deliver, events, stations, write

RIDES = BIKES.table("rides")


def produce(home: Path, files: int, rides: int, seconds: float, stop: threading.Event) -> None:
    """Write the files, and ask to stop once the last of them has had time to be taken up."""
    pairs: list[tuple[str | None, str | None]] = [
        (f"ST{i % 20:04d}", f"ST{(i + 1) % 20:04d}") for i in range(rides)
    ]
    for number in range(files):
        time.sleep(seconds)
        frame = events(RIDES, pairs, ["2026-01-01"], seed=number)
        now = pd.Timestamp.now(tz="UTC")
        frame["left_at"] = pd.Series(
            [now - pd.Timedelta(seconds=seconds * i / rides) for i in range(rides)], dtype=object
        )
        staged = home / "staged" / str(number)
        write(frame, RIDES, staged)
        (home / "raw" / "rides").mkdir(parents=True, exist_ok=True)
        (staged / "part-0.parquet").rename(home / "raw" / "rides" / f"{number:05d}.parquet")
    time.sleep(3 * seconds + 30)
    stop.set()


def main(files: int = 10, rides: int = 1000, seconds: float = 15.0, every: float = 10.0) -> None:
    """Stream, and print."""
    stop, batches = threading.Event(), []

    def show(result: StreamResult) -> None:
        for b in result.snapshots:
            batches.append(b)
            assert b.latency is not None
            line = f"batch {b.batch}: {b.files} files, {b.valid} events, stage {b.seconds:.1f} s, "
            print(line + f"p50 {b.latency.p50:.1f} s, p95 {b.latency.p95:.1f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings(
            input={"root": str(home / "raw")},
            lake={"root": str(home / "lake")},
            spark={"master": "local[2]", "driver_memory": "1g", "shuffle_partitions": 2},
        )  # type: ignore[arg-type]
        deliver(stations(20), BIKES, home, datetime.now(UTC).date().isoformat())
        with open_session(settings) as spark:
            run_ingest(spark, settings, contract=BIKES, tables=["stations"])
            producer = threading.Thread(target=produce, args=(home, files, rides, seconds, stop))
            producer.start()
            run_ingest_stream(spark, settings, contract=BIKES, every=every, stop=stop, on_result=show)
            producer.join()
    latencies = [b.latency for b in batches if b.latency is not None]
    print(
        f"{len(batches)} batches, {sum(b.valid for b in batches)} events; p50 at most "
        f"{max(x.p50 for x in latencies):.1f} s, p95 at most {max(x.p95 for x in latencies):.1f} s; "
        f"stage {sum(b.seconds for b in batches) / len(batches):.1f} s a batch"
    )


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, int, float, float), sys.argv[1:], strict=False)))
