"""What `engage-spark tables …` shows of its results."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from engage_spark.cli import main
from engage_spark.cli.render import summaries
from engage_spark.cli.render.tables import size_text
from engage_spark.pipelines.results import (
    CatalogView,
    ErasedPlace,
    ForgetResult,
    MigrateResult,
    MigrationStep,
    OptimizedTable,
    OptimizeResult,
    StoredTableVersions,
    TablesHistoryResult,
    TableVersionLine,
    VacuumedTable,
    VacuumResult,
    ViewsResult,
)
from engage_spark.pipelines.tables.forget import ErasedKey, lock_order
from engage_spark.pipelines.tables.traces import mask_pattern
from engage_spark.spark import session
from tests.support.deliveries import BIKES

STEP = MigrationStep(table="a", kind="widen", change="n: int becomes bigint")
RESULT = MigrateResult(stage="tables", seconds=1.0, steps=(STEP,), applied=False)
COMMANDS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("optimize", "--dry-run"), "optimize.run_optimize", {"dry_run": True, "by_key": False}),
    (("vacuum",), "vacuum.run_vacuum", {"dry_run": False}),
    (("history", "runs", "--limit", "2"), "history.list_table_history", {"table": "runs", "limit": 2}),
    (("migrate", "--apply"), "migrate.run_migrate", {"apply": True}),
    (("forget", "a", "b"), "forget.run_forget", {"key": ("a", "b"), "dry_run": False}),
]


@pytest.mark.parametrize(
    ("argv", "function", "expected"), COMMANDS, ids=lambda v: v[0] if type(v) is tuple else ""
)
def test_commands_reach_their_pipelines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: tuple[str, ...],
    function: str,
    expected: dict[str, Any],
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(session, "open_session", lambda _: nullcontext("a session"))

    def run(*_: Any, **arguments: Any) -> MigrateResult:
        seen.update(arguments)
        return RESULT

    monkeypatch.setattr(f"engage_spark.pipelines.tables.{function}", run)
    main(["tables", *argv, "--json"])
    assert {name: seen[name] for name in expected} == expected
    assert json.loads(capsys.readouterr().out)["steps"] == [asdict(STEP)]


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 B"), (9_999, "9,999 B"), (12_345, "12 kB"), (12_345_678, "12 MB")]
)
def test_a_size_is_shown_in_whole_units(n_bytes: int, text: str) -> None:
    assert size_text(n_bytes) == text


def test_optimize_and_vacuum_show_a_row_a_table() -> None:
    done = OptimizedTable(
        table="a", rows_removed=1200, files_before=9, files_after=1, bytes_before=99, bytes_after=9
    )
    (shown,) = summaries(OptimizeResult(stage="tables optimize", seconds=1.0, tables=(done,)))
    assert shown.table is not None and shown.table[1] == (("a", "1,200", "9", "1", "9 B"),)
    vacuumed = VacuumedTable(table="a", files_removed=None, files=1, bytes=9)
    result = VacuumResult(
        stage="tables vacuum",
        seconds=1.0,
        retention_days=7,
        tables=(vacuumed,),
        scratch_folders=2,
        landings=3,
        checkpoints=4,
    )
    (shown,) = summaries(result)
    assert shown.table is not None and shown.table[1] == (("a", "unknown", "1", "9 B"),)
    assert ("files older than", "7 days") in shown.lines


def test_views_show_what_they_select_from() -> None:
    view = CatalogView(name="customers", table="customers_judged", runs=3)
    (shown,) = summaries(ViewsResult(stage="tables views", seconds=1.0, views=(view,)))
    assert shown.table is not None and shown.table[1] == (("customers", "customers_judged", "3"),)


def test_history_shows_a_summary_a_table() -> None:
    line = TableVersionLine(
        version=3,
        committed_at=datetime(2025, 10, 21, 1, 2, 3, tzinfo=UTC),
        operation="WRITE",
        run_id="0123456789abcdef",
        stage="ingest:a",
        status="published",
        rows=4,
        files_added=1,
        files_removed=None,
    )
    versions = StoredTableVersions(table="a_judged", files=1, bytes=9, n_versions=4, versions=(line,))
    result = TablesHistoryResult(stage="tables history", seconds=1.0, tables=(versions,))
    (shown,) = summaries(result)
    assert shown.stage == "tables history: a_judged" and shown.table is not None
    expected = ("3", "2025-10-21 01:02:03", "write", "01234567", "ingest:a", "published", "4")
    assert shown.table[1] == (expected,)


def test_migrate_and_forget_show_what_was_and_what_is_left() -> None:
    (shown,) = summaries(RESULT)
    assert ("applied", "no") in shown.lines and shown.table is not None
    places = (
        ErasedPlace(place="a", occurrences=3, remaining=0),
        ErasedPlace(place="pictures", occurrences=None, remaining=None, remark="not on this machine"),
    )
    result = ForgetResult(stage="tables forget", seconds=1.0, places=places, applied=True, was_known=False)
    (shown,) = summaries(result)
    assert shown.table is not None
    rows = (("a", "3", "0", ""), ("pictures", "not looked", "not looked", "not on this machine"))
    assert shown.table[1] == rows and ("occurrences", "3") in shown.lines


def test_runs_is_locked_last_so_that_a_stage_can_end_that_is_waited_for() -> None:
    assert lock_order({"splits", "runs", "a_judged"}) == ["a_judged", "splits", "runs"]


def test_a_key_of_text_is_compared_in_its_plain_form() -> None:
    key = ErasedKey(((BIKES.entity["station_code"], " ST'0003 "),))
    condition = key.is_in(("from.station",))
    assert condition.startswith("(lower(trim(`from.station`)) = lower(trim(CAST(CAST(X'")
    assert key.texts == ("ST'0003",)
    assert "ST'0003" in mask_pattern(key.texts).replace("\\", "")
