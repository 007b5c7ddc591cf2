"""A stream of files in processes of its own: ended by a signal, and killed at random moments."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import (
    ROOT,
    environment,
    overrides,
    run,
    run_engage_spark,
    run_here,
    small_session,
)
from tests.support.deliveries import BIKES, deliver, events, stations, write
from tests.support.delta_files import rows
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DAY = "2025-10-21"
RIDES = BIKES.table("rides")
BATCHES, KILLS = 50, int(os.environ.get("RANDOM_KILLS", "20"))


def words(home: Path, *command: str) -> list[str]:
    return [
        *("--contract", str(DATA / "bikes.odcs.yaml")),
        *overrides(lake__root=home / "lake", input__root=home / "raw", ingest__stream_files=1),
        *small_session(home),
        *command,
    ]


def hour(home: Path, number: int, *, rides: int = 12) -> None:
    """Deliver a file of rides of which one names no station."""
    known = [(f"ST{(number + i) % 20:04d}", f"ST{(number + i + 1) % 20:04d}") for i in range(rides - 1)]
    frame = events(RIDES, [*known, ("NOWHERE", "ST0001")], [DAY], seed=number)
    write(frame, RIDES, home / "raw" / "rides" / f"hour={number:03d}")


def seen(home: Path) -> list[str]:
    """What readers see of the rides, with its verdict."""
    runs = {
        r["run_id"]
        for r in rows(home / "lake" / "runs")
        if r["stage"] == "ingest:rides" and r["status"] == "published"
    }
    return sorted(
        repr([v for k, v in sorted(r.items()) if k not in ("_run_id", "_dq_errors", "_replaced_by")])
        + repr([e["rule"] for e in r["_dq_errors"]])
        for r in rows(home / "lake" / "rides_judged")
        if r["_run_id"] in runs and r["_replaced_by"] not in runs
    )


def test_sigterm_ends_a_stream_after_its_batch_with_143(spark: SparkSession, tmp_path: Path) -> None:
    deliver(stations(20), BIKES, tmp_path, DAY)
    hour(tmp_path, 0)
    assert run_here(*words(tmp_path, "ingest", "--table", "stations")).code == 0
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "engage_spark"),
            *words(tmp_path, "ingest", "--stream", "--every", "1s", "--json"),
        ],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    runs, until = tmp_path / "lake" / "runs", time.monotonic() + 200
    while time.monotonic() < until and len(rows(runs)) < 2 and process.poll() is None:
        time.sleep(0.5)
    hour(tmp_path, 1)
    while time.monotonic() < until and len(rows(runs)) < 3 and process.poll() is None:
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 143, err
    assert "stopping after the batch that runs" in err
    first, second = (json.loads(text) for text in out.strip().split("\n") if '"batch"' in text)
    assert [b["valid"] for r in (first, second) for b in r["snapshots"]] == [11, 11]
    assert len(seen(tmp_path)) == 24


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_batches_and_a_process_that_is_killed_at_random(tmp_path: Path) -> None:
    """Each process is killed by SIGKILL before a random effect of its first batches; then one ends."""
    home, whole = tmp_path / "killed", tmp_path / "whole"
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for place in (home, whole):
        deliver(stations(20), BIKES, place, DAY)
        for number in range(BATCHES):
            hour(place, number)
        assert run_engage_spark(*words(place, "ingest", "--table", "stations"), cwd=place).code == 0
    assert run_engage_spark(*words(whole, "ingest"), cwd=whole).code == 0
    killed = str(ROOT / "tests" / "support" / "killed_command.py")
    for kill in range(KILLS):
        effect = draw.randint(1, 30)
        done = subprocess.run(
            [sys.executable, killed, str(effect), *words(home, "ingest", "--stream")],
            cwd=home,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        last = (done.stdout.strip().splitlines() or ["nothing"])[-1]
        print(f"kill {kill + 1}: {last}, {len(rows(home / 'lake' / 'runs')) - 1} batches so far", flush=True)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    last_one = run(
        [sys.executable, "-m", "engage_spark", *words(home, "ingest", "--stream", "--json")], cwd=home
    )
    assert last_one.code == 0, last_one.transcript
    assert seen(home) == seen(whole)
    assert len(seen(home)) == BATCHES * 12
    latencies = sorted(b["latency"]["p95"] for b in json.loads(last_one.out)["snapshots"])
    print(f"{len(latencies)} batches in the last process; p95 from event to table: {latencies[:3]}")
