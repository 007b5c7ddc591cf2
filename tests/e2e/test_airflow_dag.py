"""The DAG in examples/airflow, read and run by Airflow's own classes in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage_spark.cli import main
from engage_spark.pipelines.nothing_to_do import STAGES
from tests.support.commands import environment
from tests.support.paths import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
AIRFLOW = "apache-airflow==3.2.2"
DAY, NEXT = "2025-10-21", "2025-10-22"
COMMAND = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in "$FAILS"*) exit "$CODE";; esac
"""
"""Stands in for `engage-spark`: notes its words, and fails where it shall."""


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of an environment with Airflow, which is made once per version."""
    home = ROOT / "build" / "airflow"
    python, done = home / "bin" / "python", home / ".installed"
    if not done.is_file() or done.read_text(encoding="utf-8") != AIRFLOW:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", AIRFLOW], check=True)
        done.write_text(AIRFLOW, encoding="utf-8")
    return python


def read(python: Path, home: Path, *, fails: str = "nothing", code: int = 0) -> tuple[Any, list[str]]:
    """What Airflow says of the folder, and the commands that its tasks ran; those that begin so end so."""
    (home / "engage-spark").write_text(COMMAND, encoding="utf-8")
    (home / "engage-spark").chmod(0o755)
    calls = home / "calls"
    calls.unlink(missing_ok=True)
    own = {"AIRFLOW_HOME": str(home / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "TZ": "UTC"}
    own |= {"CALLS": str(calls), "FAILS": fails, "CODE": str(code)}
    own |= {"PATH": f"{home}:{os.environ['PATH']}"}
    script = ROOT / "tests" / "support" / "run_dag.py"
    ended = subprocess.run(
        [str(python), str(script), str(ROOT / "examples" / "airflow"), DAY],
        cwd=home,
        env={k: v for k, v in environment(own).items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1]), calls.read_text(encoding="utf-8").splitlines()


def test_airflow_reads_a_task_per_stage_in_the_order_of_the_pipeline(
    python: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dag, calls = read(python, tmp_path)
    assert dag["errors"] == {} and dag["max_active_runs"] == 1
    assert dag["interval"] == [f"{DAY}T04:30:00+00:00", f"{NEXT}T04:30:00+00:00"]
    tasks = dag["tasks"]
    assert set(tasks) == {*STAGES, "report", "whole_day"}
    assert {t["outcome"] for t in tasks.values()} == {"done"}
    assert tasks["train"]["after"] == ["features", "graph"] and tasks["score"]["rule"] == "all_done"
    assert set(tasks["whole_day"]["after"]) == set(tasks) - {"whole_day"}, "no failure is lost"
    assert tasks["whole_day"]["rule"] == "all_success"
    stages = {call.split()[2]: call.split() for call in calls if call.startswith("pipeline")}
    assert set(stages) == set(STAGES) and len(calls) == len(STAGES) + 1
    for words in (*stages.values(), next(call.split() for call in calls if call.startswith("report"))):
        main([*words, "--print-config"])
        assert yaml.safe_load(capsys.readouterr().out)["env"]
    assert stages["train"][3:] == ["--from", DAY, "--to", DAY, "--as-of", NEXT, "--json-logs"]


@pytest.mark.parametrize(("code", "outcome"), [(1, "failed"), (2, "failed"), (3, "failed"), (4, "retry")])
def test_only_what_a_retry_can_mend_is_tried_again(
    python: Path, tmp_path: Path, code: int, outcome: str
) -> None:
    dag, _ = read(python, tmp_path, fails="pipeline --stages graph", code=code)
    ended = {name: task["outcome"] for name, task in dag["tasks"].items()}
    assert ended["graph"] == outcome and {v for k, v in ended.items() if k != "graph"} == {"done"}
