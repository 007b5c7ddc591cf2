"""What a notebook shows, without Spark: tables, session and run log are stand-ins."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, cast

import pytest

from engage_spark.cli.notebook import Notebook
from engage_spark.contract import load_contract
from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines.context import StageRun
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import Publication, Run

CONTRACT = load_contract()


class Rows:
    """A stored table that remembers what was asked of it."""

    def __init__(self, table: str, *columns: str) -> None:
        self.table, self.columns = table, list(columns)
        self.condition, self.selected = "", tuple[str, ...]()

    def where(self, condition: str) -> Rows:
        self.condition = condition
        return self

    def select(self, *names: str) -> Rows:
        self.selected = names
        return self


def ingested(*, valid: int, rejected: str | None = None) -> Run:
    work = StageRun(
        stage=ingest_stage(CONTRACT.entity),
        snapshot_date=date(2025, 10, 21),
        inputs={"file": str(valid)},
        contract=CONTRACT,
        settings_digest="",
        previous=None,
    )
    started = datetime.now(UTC)
    return work.to_run(
        rows_in=valid, valid=valid, quarantined=0, outputs={}, started_at=started, rejected=rejected
    )


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    for name in ("CATALOG", "SCHEMA", "VIEWS", "ROOT"):
        monkeypatch.delenv(f"ENGAGE_SPARK__LAKE__{name}", raising=False)
    monkeypatch.setattr(Notebook, "spark", None)
    monkeypatch.setattr(Lake, "read", lambda _, __, name: Rows(name, "AGE", "_dq_status", "_run_id", "stage"))
    return Notebook()


def test_a_table_shows_the_rows_of_published_runs_alone(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    published, rejected = ingested(valid=1), ingested(valid=2, rejected="gates failed")
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication((published, rejected)))
    rows = cast(Any, notebook.table("customers"))
    assert rows.table == "customers_judged"
    assert rows.condition == f"`_run_id` IN ('{published.run_id}') AND `_dq_status` = 'valid'"
    assert rows.selected == ("`age`",)
    assert rejected.run_id not in cast(Any, notebook.table("customers_judged")).condition


def test_nothing_is_shown_before_something_is_published(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(()))
    assert cast(Any, notebook.table("customers")).condition == "false"


def test_the_runs_themselves_are_shown_whole(notebook: Notebook) -> None:
    rows = cast(Any, notebook.table("runs"))
    assert (rows.table, rows.condition, rows.selected) == ("runs", "", ())


def test_questions_of_a_lake_in_a_catalog_are_declined_in_words(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = notebook.settings.lake.model_copy(update={"root": None, "catalog": "main", "schema_name": "kept"})
    notebook.settings = notebook.settings.model_copy(update={"lake": lake})
    assert notebook.ask("How many customers are there?") == []
    assert "this one is in a catalog" in capsys.readouterr().out
