"""Every result has its words, and every note its wording."""

from __future__ import annotations

import ast
import re
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest

import engage_spark
from engage_spark.cli.render import _RENDERERS, summaries
from engage_spark.cli.render.notes import WORDING, note_text
from engage_spark.pipelines import results
from engage_spark.pipelines.results import (
    AnalyzedDay,
    AnalyzeResult,
    ColumnSummary,
    DemoResult,
    EventLatency,
    FeaturesResult,
    GraphResult,
    IngestedSnapshot,
    IngestResult,
    MeasuredGraph,
    MetricChange,
    Note,
    RuleOutcome,
    RunsResult,
    StageResult,
    StatesResult,
    StreamedBatch,
    StreamResult,
    TablesHistoryResult,
    TopVertex,
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


@pytest.mark.parametrize(
    ("code", "facts", "text"),
    [
        ("EventsRepeated", {"table": "rides", "n_events": 1}, "rides: 1 event left out"),
        ("DaysShrunk", {"table": "rides", "n_days": 1, "days": "x"}, "fewer events than before on 1 day:"),
        ("KeysLeftOut", {"table": "rides", "n_rows": 1}, "left out 1 row of"),
        ("SharedKey", {"n_rows": 1, "key": "id"}, "id is not unique: 1 row"),
        ("MadeWithoutErased", {"n_keys": 1200}, "without 1,200 erased keys"),
    ],
)
def test_a_note_counts_one_as_one(code: str, facts: dict[str, object], text: str) -> None:
    assert text in note_text(Note(code, facts))


def test_no_wording_has_a_number_before_a_plural() -> None:
    """Whatever follows a count in words is formatted with it: `{n_rows:row}`."""
    bare = {code: text for code, text in WORDING.items() if re.search(r"\{n_\w+(:,)?\} [a-z]+s\b", text)}
    assert set(bare) <= {"SegmentsMerged"}, "of more values than a bound there are always several"


def test_one_broken_rule_is_one(rejected: IngestResult) -> None:
    (snapshot,) = rejected.snapshots
    one = replace(rejected, snapshots=(replace(snapshot, broken_rules=snapshot.broken_rules[:1]),))
    assert "1 rule broken beyond" in summaries(one)[0].notes[0]


def test_a_broken_rule_of_the_whole_says_what_was_measured_and_the_bound(rejected: IngestResult) -> None:
    late = rule("daily", 0, measured=744.0, maximum=24.0, unit="hours")
    (snapshot,) = rejected.snapshots
    result = replace(rejected, snapshots=(replace(snapshot, broken_rules=(late,)),))
    assert summaries(result)[0].notes[0].endswith("daily (measured 744 hours, bound 24 hours)")


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
        "customers of 2025-10-21: 2 rules broken beyond tolerance: age.not_null (83 rows), "
        "age.range (7 rows)",
    )


@pytest.mark.parametrize("contenders", [0, 17])
def test_a_sampled_graph_says_how_sure_its_top_is(contenders: int) -> None:
    vertex = TopVertex(
        id="C-1", centrality=0.5, betweenness=0.1, lower=0.09, upper=0.11, degree=3, community=0
    )
    graph = MeasuredGraph(
        snapshot_date=date(2025, 10, 21),
        run_id="f" * 32,
        vertices=100,
        edges=300,
        method="sampled" if contenders else "exact",
        sources=64,
        paths=5000,
        top_k=10,
        certain_members=7,
        certain_places=3,
        contenders=contenders,
        seconds=1.0,
        top=(vertex,),
    )
    (summary,) = summaries(GraphResult(stage="graph", seconds=1.0, snapshots=(graph,)))
    text = "of the top 10, 7 are certain (17 may be among them), and the order of the first 3"
    assert dict(summary.lines).get("how sure") == (text if contenders else None)


def test_batches_of_a_stream_show_their_latencies(rejected: IngestResult) -> None:
    checked = {f.name: getattr(rejected.snapshots[0], f.name) for f in fields(IngestedSnapshot)}
    late = EventLatency(shortest=4.0, p50=90.0, p95=7200.0, promised=3600.0)
    batch = StreamedBatch(**checked | {"failed_gates": (), "status": "published"}, batch=3, files=2)
    result = StreamResult(
        stage="ingest",
        seconds=2.0,
        snapshots=(replace(batch, latency=late), StreamedBatch(**checked, batch=None, files=1)),
        rows_in=2000,
        valid=1820,
        quarantined=180,
        notes=(
            Note(
                "EventsLate",
                {"table": "rides", "n_runs": 2, "run_id": "f" * 32, "p95": 7200.0, "promised": 3600.0},
            ),
        ),
    )
    (summary,) = summaries(result)
    assert summary.table is not None
    assert [row[-4:] for row in summary.table[1]] == [
        ("0", "1.5 min", "2.0 h", "published"),
        ("0", "–", "–", "rejected"),
    ]
    assert summary.failed is not None
    assert "in 2 runs" in summary.notes[0] and "at worst 7,200 s (run ffffffff)" in summary.notes[0]
    plain = to_plain(result)["snapshots"][0]
    assert (plain["batch"], plain["latency"]["p50"]) == (3, 90.0)


def test_a_demo_shows_its_stages_in_turn(rejected: IngestResult) -> None:
    features = FeaturesResult(stage="features", seconds=1.0, snapshots=(), rows=0)
    demo = DemoResult(stage="demo", seconds=3.0, stages=(rejected, features))
    assert [s.stage for s in summaries(demo)] == ["ingest", "features"]


def test_a_result_is_plain_json(rejected: IngestResult) -> None:
    plain = to_plain(rejected)
    assert plain["snapshots"][0]["snapshot_date"] == "2025-10-21"
    assert plain["snapshots"][0]["failed_gates"][0]["minimum"] == 99.8
    assert plain["snapshots"][0]["published"] is False, "properties are among the values"
    assert to_plain(float("nan")) is None
    with pytest.raises(TypeError, match="no object"):
        to_plain(object())


def test_the_statistics_of_columns_are_values_and_shown_in_their_terms() -> None:
    about = {"personal": False, "rows": 1000, "missing": 0}
    columns = (
        ColumnSummary(column="a", type="int", mean=1234.5678, minimum=7, maximum=12_345, **about),
        ColumnSummary(column="b", type="date", minimum=date(2025, 1, 2), maximum=date(2025, 1, 2), **about),
        ColumnSummary(column="c", type="string", minimum=1, maximum=3, median=2.0, **about),
        ColumnSummary(column="d", type="date", minimum=-1e9, maximum=1e9, distinct=9, **about),
        ColumnSummary(
            column="e", type="string", commonest=(("x", 899), ("y", 99), ("z", 1), ("w", 1)), **about
        ),
        ColumnSummary(column="f", type="int", personal=True, rows=1000, missing=10),
    )
    result = StatesResult(
        stage="quality states",
        seconds=1.0,
        table="visits",
        days=(date(2025, 10, 21),),
        rows=1000,
        columns=columns,
    )
    (summary,) = summaries(result)
    assert summary.table is not None
    assert [row[2:] for row in summary.table[1]] == [
        ("1,234.57", "7 to 12,345"),
        ("–", "2025-01-02"),
        ("–", "1 chars to 3 chars; median 2"),
        ("–", "-1e+09 days after 1970 to 1e+09 days after 1970; 9 different"),
        ("–", "x 89.9%, y 9.9%, z 0.1%, 1 more"),
        ("***", "***"),
    ]
    assert to_plain(columns[0])["mean"] == 1234.5678
    assert to_plain(columns[1])["minimum"] == "2025-01-02"


def test_the_changes_of_a_day_fit_into_80_columns() -> None:
    change = MetricChange(
        metric="transaction_revenue_last_90_days",
        unit="USD",
        before=687.41,
        after=705.1,
        change=17.69,
        lower=17.2,
        upper=18.2,
        n=98_234,
    )
    day = AnalyzedDay(
        snapshot_date=date(2025, 10, 21),
        run_id="0" * 32,
        customers=98_234,
        metrics=71,
        dimensions=58,
        segments=412,
        merged={"day": 1, "week": 2, "month": 21},
        previous=date(2025, 10, 20),
        changes=(change,),
        verdicts={"holds": 31, "cannot_be_told": 9},
        seconds=1.0,
    )
    (summary,) = summaries(AnalyzeResult(stage="analyze", seconds=1, days=(day,)))
    assert dict(summary.lines)["claims"] == "40 judged: 31 holds, 9 cannot be told"
    assert "week of 2 days, month of 21 days" in dict(summary.lines)["2025-10-21"]
    assert summary.table is not None
    ((metric, step, shown),) = summary.table[1]
    assert (step, shown) == ("687 → 705 USD", "+18 [17, 18]")
    assert len(metric) + len(step) + len(shown) + 8 <= 80


def test_where_nothing_is_yet_the_first_command_is_named() -> None:
    (history,) = summaries(TablesHistoryResult(stage="tables history", seconds=1.0, tables=()))
    (runs,) = summaries(RunsResult(stage="runs", seconds=1.0, attempts=(), published=0))
    for shown in (history, runs):
        assert "`engage-spark ingest`" in shown.notes[0]
