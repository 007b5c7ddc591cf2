"""Events against the classes of OpenLineage's own client, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from engage_spark.openlineage import LineageDataset, LineageJob, run_event, running
from engage_spark.settings import LineageSettings
from tests.support.paths import ROOT

CLIENT = "openlineage-python==1.54.0"


@pytest.mark.long
def test_openlineages_own_classes_take_every_kind_of_event(tmp_path: Path) -> None:
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", CLIENT], check=True)
    settings = LineageSettings(file=str(tmp_path / "events.jsonl"))
    table = LineageDataset(
        namespace="file", name="/lake/t", version="a" * 32, rows=3, fields=[("a", "int", "A field.")]
    )
    job = LineageJob(
        name="features:t", kind="STAGE", key="1", day=date(2025, 10, 21), inputs=[table], outputs=[table],
        own={"runId": "b" * 32, "attempt": 1},
    )  # fmt: skip
    with running(settings, lambda: LineageJob(name="pipeline", kind="PIPELINE", key="1")) as pipeline:
        with running(settings, lambda: job) as stage:
            assert stage is not None and pipeline is not None
            stage.complete([table])
        pipeline.fail("a stage failed")
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8")
    script = [python, str(ROOT / "tests" / "support" / "openlineage_classes.py")]
    done = subprocess.run(script, input=lines, capture_output=True, text=True, check=False)
    assert done.stdout == "4 events\n", done.stderr
    broken = json.dumps(run_event(settings, job, "START") | {"eventTime": "yesterday"})
    refused = subprocess.run(script, input=broken, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
