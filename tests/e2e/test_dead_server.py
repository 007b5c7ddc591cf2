"""A Spark Connect server that dies while a command runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import environment, overrides, small_session
from tests.support.deliveries import BIKES, deliver, stations
from tests.support.paths import DATA
from tests.support.watchdog import java_descendants


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_connect_server_that_dies_in_mid_run_is_told_once_within_15_seconds(tmp_path: Path) -> None:
    deliver(stations(300), BIKES, tmp_path, "2025-10-21")
    places = overrides(
        input__root=tmp_path / "raw",
        lake__root=tmp_path / "lake",
        contract=DATA / "bikes.odcs.yaml",
        spark__remote="local[2]",
    )
    command = [sys.executable, "-m", "engage_spark", "ingest", *places, *small_session(tmp_path)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not list((tmp_path / "lake").glob("*/_delta_log/*.json")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        for pid in java_descendants(process.pid):
            os.kill(pid, signal.SIGKILL)
        died = time.monotonic()
        out, err = process.communicate(timeout=120)
        seconds = time.monotonic() - died
    assert process.returncode == 4, f"{process.returncode}\n{out}\n{err}"
    assert seconds < 15, f"{seconds:.0f} s\n{err}"
    assert len(re.findall("the Spark Connect server does not answer any more", err)) == 1, err
    assert "Traceback" not in err
    assert "RETRIES_EXCEEDED" not in err
    assert "grpc" not in err.lower()
