"""Progress lines: a stage is logged with its subject, inside the block that names it alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from engage_spark import log


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What is logged as JSON lines; afterwards nothing is logged any more."""
    log.configure(json_lines=True, level="info")
    yield capsys
    structlog.reset_defaults()


def test_a_stage_is_logged_with_the_subject_of_its_block(stderr: pytest.CaptureFixture[str]) -> None:
    with log.subject("churn"), log.stage("judging", rows=3):
        pass
    with log.stage("splitting"):
        pass
    lines = [json.loads(line) for line in stderr.readouterr().err.splitlines()]
    assert [(line["event"], line.get("rows")) for line in lines] == [
        ("churn: judging", 3),
        ("splitting", None),
    ]
