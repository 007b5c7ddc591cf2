"""A test that hangs fails by name and stops its suite, also where no signal reaches it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.watchdog import java_descendants


def pytest_run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_hanging.py").write_text(
        f"def test_first():\n    {body}\n\ndef test_second():\n    pass\n"
    )
    words = ["-p", "tests.support.watchdog", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--timeout", "2", str(folder / "test_hanging.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_waiting_test_fails_with_its_stack_and_stops_the_suite(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, "import time; time.sleep(50)")
    assert done.returncode != 0
    assert "time.sleep(50)" in done.stdout
    assert "test_first hung" in done.stdout
    assert "1 failed" in done.stdout, "the second test did not run"


def test_a_test_that_holds_the_interpreter_ends_the_process_with_its_stack(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, "sum(range(10**12))")
    assert done.returncode != 0
    assert "test_hanging.py" in done.stderr
    assert "test_first" in done.stderr
    assert "passed" not in done.stdout


def test_a_test_within_its_time_passes(tmp_path: Path) -> None:
    assert "2 passed" in pytest_run(tmp_path, "pass").stdout


def test_jvms_are_found_below_a_process_only(tmp_path: Path) -> None:
    java = tmp_path / "java"  # a process is known by the name that it was started by
    java.symlink_to(sys.executable)
    code = f"import subprocess; subprocess.run([{str(java)!r}, '-c', 'input()'])"
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent,
    ):
        until = time.monotonic() + 20
        while not (found := java_descendants(parent.pid)) and time.monotonic() < until:
            time.sleep(0.05)
        assert len(found) == 1
        assert set(found) <= set(java_descendants(os.getpid()))
        assert java_descendants(other.pid) == []
        for process in (other, parent):
            process.communicate(b"\n")
