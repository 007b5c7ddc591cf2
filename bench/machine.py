"""What every benchmark needs: the machine in one line, and the memory of a process and all its children while
it runs.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def described() -> str:
    """Cores, memory, processor, versions."""
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "",
    )
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}, "
        f"{platform.system()}"
    )


def event_log(directory: Path) -> dict[str, str]:
    """Make a directory, and return the options with which a session writes its event log there, as text."""
    directory.mkdir(parents=True)
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(directory),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }


def run_measured(arguments: Sequence[str], *, bound: float | None = None) -> dict[str, Any]:
    """Run this Python on `arguments`; its last line of output is a JSON object, to which `peak_gib` and
    `wall_s` are added.

    What is not done within `bound` seconds is ended with all its children, and TimeoutError is raised. The
    peak is the largest sum of resident memory over the process and all its descendants, sampled five times a
    second.
    """
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(child, peak), daemon=True)
    watcher.start()
    try:
        out, _ = child.communicate(timeout=bound)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise TimeoutError(f"{' '.join(arguments)} was not done within {bound} s") from None
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with exit code {child.returncode}")
    watcher.join()
    return json.loads(out.strip().splitlines()[-1]) | {
        "peak_gib": peak[0],
        "wall_s": time.monotonic() - started,
    }


def _watch(child: subprocess.Popen[str], peak: list[float]) -> None:
    while child.poll() is None:
        peak[0] = max(peak[0], resident_gib(child.pid))
        time.sleep(0.2)


def resident_gib(pid: int) -> float:
    """Resident memory of a process and its descendants, in GiB."""
    parents: dict[int, list[int]] = {}
    size: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.name))
        size[int(entry.name)] = int(fields[21])
    todo, total = [pid], 0
    while todo:
        one = todo.pop()
        total += size.get(one, 0)
        todo += parents.get(one, [])
    return total * os.sysconf("SC_PAGE_SIZE") / 2**30
