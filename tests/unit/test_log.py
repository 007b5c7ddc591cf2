"""Progress lines: a stage is logged with its subject, inside the block that names it alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from engage_spark import log


@pytest.fixture
def entries() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged; afterwards nothing is logged any more, as before an entry point ran."""
    log.configure(json_lines=True, level="info")
    with capture_logs() as captured:
        yield captured
    structlog.reset_defaults()


def test_a_stage_is_logged_with_the_subject_of_its_block(entries: list[MutableMapping[str, Any]]) -> None:
    with log.subject("churn"), log.stage("evaluating", rows=3):
        pass
    with log.stage("splitting"):
        pass
    assert [(e["event"], e.get("rows")) for e in entries] == [("churn: evaluating", 3), ("splitting", None)]


def test_json_lines_of_a_stage_carry_its_run_also_those_of_the_stages_inside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure(json_lines=True, level="info")
    with log.stage("deriving", run_id="f" * 32), log.stage("counting"):
        log.event("half way", rows=3)
    log.event("after it")
    structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    runs = {line["event"]: line.get("run_id") for line in lines}
    assert runs == {"half way": "f" * 32, "counting": "f" * 32, "deriving": "f" * 32, "after it": None}
