"""Every result has its words, and every note its wording."""

from __future__ import annotations

import ast
from datetime import date
from pathlib import Path

import pytest

import engage_spark
from engage_spark.cli.render import _RENDERERS, summaries
from engage_spark.cli.render.notes import WORDING, note_text
from engage_spark.pipelines import results
from engage_spark.pipelines.results import (
    DemoResult,
    FeaturesResult,
    IngestedSnapshot,
    IngestResult,
    Note,
    RuleOutcome,
    StageResult,
    to_plain,
)


def note_codes() -> set[str]:
    """Return every code that the package gives a Note."""
    codes = set()
    for path in Path(engage_spark.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Note":
                first = node.args[0] if node.args else None
                assert isinstance(first, ast.Constant), f"{path}: the code of a note is a literal"
                codes.add(str(first.value))
    return codes


def test_every_result_can_be_rendered() -> None:
    declared = {
        c
        for c in vars(results).values()
        if isinstance(c, type) and issubclass(c, StageResult) and c not in (StageResult, DemoResult)
    }
    assert set(_RENDERERS) == declared


def test_every_note_has_a_wording() -> None:
    assert note_codes() <= set(WORDING)


def test_facts_of_a_note_are_worded() -> None:
    note = Note("ColumnsLeftOut", {"table": "visits", "n_columns": 2, "examples": ("a", "b")})
    assert note_text(note) == "visits: left out 2 undeclared columns: a, b"
    day = Note("ConnectionsLeftOut", {"snapshot_date": date(2025, 10, 21), "n_connections": 1234})
    assert note_text(day).startswith("2025-10-21: 1,234 connections left out")


def rule(name: str, violations: int, **changes: object) -> RuleOutcome:
    facts = {
        "table": "customers",
        "rule_name": name,
        "column_name": None,
        "severity": "critical",
        "rows_checked": 1000,
        "violations": violations,
        "measured": violations / 10,
        "minimum": None,
        "maximum": 0.0,
        "unit": "percent",
        "passed": False,
    }
    return RuleOutcome(**(facts | changes))  # type: ignore[arg-type]


@pytest.fixture
def rejected() -> IngestResult:
    gate = rule("completeness", 90, measured=91.0, minimum=99.8, maximum=None)
    snapshot = IngestedSnapshot(
        table="customers",
        snapshot_date=date(2025, 10, 21),
        run_id="f" * 32,
        status="rejected",
        rows_in=1000,
        valid=910,
        quarantined=90,
        seconds=1.5,
        failed_gates=(gate,),
        broken_rules=(rule("age.range", 7), rule("age.not_null", 83)),
    )
    return IngestResult(
        stage="ingest", seconds=2.0, snapshots=(snapshot,), rows_in=1000, valid=910, quarantined=90
    )


def test_a_rejected_snapshot_shows_its_gates_and_broken_rules(rejected: IngestResult) -> None:
    (summary,) = summaries(rejected)
    assert summary.lines == (("rows in", "1,000"), ("valid", "910"), ("quarantined", "90"))
    assert summary.failed == (
        ("table", "snapshot", "gate", "rows", "measured", "bound"),
        (("customers", "2025-10-21", "completeness", "90", "91.0000%", "99.8%"),),
    )
    assert summary.notes == (
        "customers of 2025-10-21: 2 rules broken beyond tolerance: age.not_null 83, age.range 7",
    )


def test_a_demo_shows_its_stages_in_turn(rejected: IngestResult) -> None:
    features = FeaturesResult(stage="features", seconds=1.0, snapshots=(), rows=0)
    demo = DemoResult(stage="demo", seconds=3.0, stages=(rejected, features))
    assert [s.stage for s in summaries(demo)] == ["ingest", "features"]


def test_a_result_is_plain_json(rejected: IngestResult) -> None:
    plain = to_plain(rejected)
    assert plain["snapshots"][0]["snapshot_date"] == "2025-10-21"
    assert plain["snapshots"][0]["failed_gates"][0]["minimum"] == 99.8
    assert to_plain(float("nan")) is None
    with pytest.raises(TypeError, match="no object"):
        to_plain(object())
