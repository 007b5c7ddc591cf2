"""When the views of a catalog are made anew, without Spark: the catalog and the run log are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import PermanentError
from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines import catalog_views, runner
from engage_spark.pipelines.catalog_views import show_published
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.pipelines.stored_tables import StoredTable
from engage_spark.pipelines.tables import optimize
from engage_spark.publication import REJECTED, RUN_ID, Publication, Run
from engage_spark.settings import Settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
SESSION = SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key]))
DAY = date(2025, 10, 21)


@dataclass
class Catalog:
    """Tables by the columns that they have, and the views that were made of them."""

    version: int | None = 0
    runs: list[Run] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    is_down: bool = False

    def replace_view(self, _: object, __: Lake, name: str, query: str, *, digest: str) -> None:
        if self.is_down:
            raise PermanentError("the catalog is down")
        self.steps.append(name)
        self.digests[name], self.queries[name] = digest, query

    def find(self, _: object, name: str) -> Any:
        return SimpleNamespace(columns=self.tables[name]) if name in self.tables else None

    def known_digest(self, _: object, __: Lake, name: str) -> str | None:
        self.steps.append("look")
        return self.digests.get(name)

    def append(self, _: object, run: Run, *__: object) -> Run:
        self.runs.append(run)
        self.version = (self.version or 0) + 1
        return run


@contextmanager
def _no_lock(*_: object, **__: object) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(require=lambda: None)


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    made = Catalog()
    monkeypatch.setattr(catalog_views, "_shown", {})
    monkeypatch.setattr(catalog_views, "table_lock", _no_lock)
    monkeypatch.setattr(runner, "table_lock", _no_lock)
    monkeypatch.setattr(catalog_views, "replace_view", made.replace_view)
    monkeypatch.setattr(catalog_views, "known_digest", made.known_digest)
    monkeypatch.setattr(Lake, "find", made.find)
    monkeypatch.setattr(Lake, "version", lambda *_: made.version)
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(made.runs)))
    monkeypatch.setattr(RunLog, "refresh", lambda *_: False)
    monkeypatch.setattr(RunLog, "append", made.append)
    return made


def context() -> RunContext:
    lake = {"catalog": "main", "schema": "kept", "views": "shown", "scratch": "/scratch"}
    return RunContext(cast(Any, SESSION), Settings(lake=lake), CONTRACT)  # type: ignore[arg-type]


def names() -> list[str]:
    return [view.name for view in show_published(context())]


def work() -> StageRun:
    return StageRun(
        stage=ingest_stage(CONTRACT.entity),
        snapshot_date=DAY,
        inputs={"file": "a"},
        contract=CONTRACT,
        settings_digest="",
        previous=None,
    )


def test_a_column_that_splits_has_got_is_shown_at_the_next_publication(catalog: Catalog) -> None:
    """Its rows belong to no run, so only its columns tell."""
    catalog.tables["splits"] = ["customer_id", "side"]
    assert names() == ["splits"]
    assert "AS `unit`" in catalog.queries["splits"]
    catalog.version, catalog.tables["splits"] = 1, ["customer_id", "side", "unit"]
    assert names() == ["splits"]
    assert "AS `unit`" not in catalog.queries["splits"]
    catalog.version = 2
    assert names() == []


def test_a_column_under_the_same_name_in_capitals_is_shown(catalog: Catalog) -> None:
    catalog.tables["customers_judged"] = [f.name.upper() for f in CONTRACT.entity.fields] + [RUN_ID]
    show_published(context())
    assert "`age`" in catalog.queries["customers"]
    assert "AS `age`" not in catalog.queries["customers"]


def test_what_this_process_has_shown_is_looked_at_again_only_when_runs_has_changed(catalog: Catalog) -> None:
    catalog.tables["splits"] = ["unit"]
    assert names() == ["splits"]
    catalog.steps.clear()
    assert names() == [] and catalog.steps == []
    assert [v.name for v in show_published(context(), force=True)] == ["splits"]
    catalog.steps.clear()
    catalog.version = 1
    assert names() == [] and set(catalog.steps) == {"look"}


def test_what_could_not_be_shown_is_tried_again(catalog: Catalog) -> None:
    catalog.tables["splits"] = ["unit"]
    catalog.is_down = True
    for _ in range(2):
        with pytest.raises(PermanentError):
            show_published(context())
    catalog.is_down = False
    assert names() == ["splits"]


@pytest.mark.parametrize("rejected", [None, "gates failed"])
def test_an_attempt_tells_its_end_before_it_shows_it_and_shows_no_rejected_one(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, rejected: str | None
) -> None:
    """A view that cannot be made leaves the attempt published, and so it is told."""
    told: list[Run] = []
    monkeypatch.setattr(runner, "tell_end", lambda _, __, run, ___: told.append(run))
    catalog.tables["splits"] = ["unit"]
    catalog.is_down = True
    attempt = runner.Attempt(
        context=context(), work=work(), started_at=datetime.now(UTC), job=cast(Any, object())
    )
    if rejected:
        run = attempt.publish(rows_in=1, valid=0, quarantined=1, rejected=rejected)
        assert run.status == REJECTED and catalog.steps == []
    else:
        with pytest.raises(PermanentError, match="the catalog is down"):
            attempt.publish(rows_in=1, valid=1)
    assert told == catalog.runs and len(told) == 1


def test_what_another_published_meanwhile_is_shown_before_its_rows_can_be_replaced(catalog: Catalog) -> None:
    """The other was killed between its row in `runs` and the views, while this one waited for the lock."""
    catalog.tables |= {"customers_judged": ["age"], "splits": ["unit"]}
    planned = runner.StageRunner(context=context())
    catalog.steps.clear()
    done = work().to_run(rows_in=1, valid=1, quarantined=0, outputs={}, started_at=datetime.now(UTC))
    catalog.append(None, replace(done, run_id="theirs"))
    with planned.attempt(work(), "ingest"):
        assert "customers" in catalog.steps
        assert "'theirs'" in catalog.queries["customers"]


def test_nothing_is_removed_that_a_view_shows_still(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever replaced the rows was killed between its row in `runs` and the views."""
    catalog.tables["customers_judged"] = ["age"]
    done = work().to_run(rows_in=1, valid=1, quarantined=0, outputs={}, started_at=datetime.now(UTC))
    catalog.append(None, replace(done, run_id="theirs"))
    steps: dict[str, str] = {}

    @contextmanager
    def locked(*_: object) -> Iterator[bool]:
        yield True

    def remove(_: RunContext, stored: StoredTable, **__: bool) -> Any:
        steps[stored.name] = catalog.queries.get("customers", "")
        return SimpleNamespace(table=stored.name)

    monkeypatch.setattr(optimize, "locked", locked)
    monkeypatch.setattr(optimize, "_optimize", remove)
    of = context()
    optimize.run_optimize(of.spark, of.settings, contract=CONTRACT, dry_run=True)
    assert set(steps.values()) == {""}, "a look changes nothing"
    optimize.run_optimize(of.spark, of.settings, contract=CONTRACT)
    assert all("'theirs'" in query for query in steps.values())
