"""What a stage is due to do, without Spark: the run log is a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import NotPublishedError, TransientError
from engage_spark.lake import Lake, RunLog, run_log
from engage_spark.pipelines import runner as stage_runner
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.runner import Attempt, StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import REJECTED, Publication, Run
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
ENTITY = CONTRACT.entity
FIRST, SECOND = date(2025, 10, 21), date(2025, 10, 22)
STARTED = datetime(2025, 11, 1, tzinfo=UTC)
STAGE = "visits"


SESSION = SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key]))
lost: set[str] = set()
"""Runs whose rows are in no table any more."""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The attempts that the run log holds."""
    attempts: list[Run] = []
    lost.clear()
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(attempts)))
    monkeypatch.setattr(RunLog, "is_present", lambda _, __, run, ___: run.run_id not in lost)
    return attempts


def runner(**options: Any) -> StageRunner:
    return StageRunner(context=RunContext(cast(Any, SESSION), load_settings("local"), CONTRACT), **options)


def planned(stage: str = STAGE, day: date = FIRST, **changes: Any) -> StageRun:
    return runner().plan(stage, day, **({"inputs": {"customers": "a"}} | changes))


def published(stage: str, day: date, *, rows: int = 7) -> Run:
    work = planned(stage, day)
    return work.to_run(rows_in=rows, valid=rows, quarantined=0, outputs={}, started_at=STARTED)


def due(of: StageRunner) -> list[date]:
    return [work.snapshot_date for work in of.due(STAGE, source=ENTITY)]


def test_every_published_day_is_due_until_it_is_done(runs: list[Run]) -> None:
    runs += [published(ingest_stage(ENTITY), day) for day in (SECOND, FIRST)]
    assert due(runner()) == [FIRST, SECOND]
    (work, _) = runner().due(STAGE, source=ENTITY)
    assert work.source_rows == 7
    runs.append(work.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=STARTED))
    assert due(runner()) == [SECOND]


def test_force_and_a_day_that_is_asked_for_are_due_again(runs: list[Run]) -> None:
    runs.append(published(ingest_stage(ENTITY), FIRST))
    (work,) = runner().due(STAGE, source=ENTITY)
    runs.append(work.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=STARTED))
    assert due(runner()) == []
    assert due(runner(force=True)) == [FIRST]
    assert due(runner(snapshot_date=FIRST)) == [FIRST]


def test_a_source_that_was_published_again_makes_its_day_due(runs: list[Run]) -> None:
    runs.append(published(ingest_stage(ENTITY), FIRST))
    (work,) = runner().due(STAGE, source=ENTITY)
    runs.append(work.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=STARTED))
    runs[0] = replace(runs[0], run_id="another")
    assert due(runner()) == [FIRST]


def test_a_day_whose_rows_are_lost_is_due_again(runs: list[Run]) -> None:
    runs.append(published(ingest_stage(ENTITY), FIRST))
    (work,) = runner().due(STAGE, source=ENTITY)
    runs.append(work.to_run(rows_in=7, valid=7, quarantined=0, outputs={"visits": 3}, started_at=STARTED))
    assert due(runner()) == []
    lost.add(work.run_id)
    assert due(runner()) == [FIRST]


def test_going_back_to_what_was_published_is_due_only_after_another_was(runs: list[Run]) -> None:
    """A killed attempt leaves no row in `runs`, so what it was to replace is what is published."""
    runs.append(published(ingest_stage(ENTITY), FIRST))
    (work,) = runner().due(STAGE, source=ENTITY)
    runs.append(work.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=STARTED))
    other = replace(runs[-1], run_id="other", attempt=2)
    runs.append(replace(other, status=REJECTED))
    assert due(runner()) == []
    runs.append(replace(other, attempt=3))
    assert due(runner()) == [FIRST]


def test_what_a_gate_rejected_is_not_done_again_until_something_changed(runs: list[Run]) -> None:
    runs.append(published(ingest_stage(ENTITY), FIRST))
    (work,) = runner().due(STAGE, source=ENTITY)
    rejected = work.to_run(
        rows_in=7, valid=0, quarantined=7, outputs={}, started_at=STARTED, rejected="gates failed"
    )
    assert rejected.status == REJECTED
    runs.append(rejected)
    assert due(runner()) == []
    (again,) = runner(force=True).due(STAGE, source=ENTITY)
    assert again.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=STARTED).attempt == 2


def test_a_day_that_is_not_published_is_refused(runs: list[Run]) -> None:
    with pytest.raises(NotPublishedError, match="customers has no published snapshot\n"):
        due(runner())
    runs.append(published(ingest_stage(ENTITY), FIRST))
    with pytest.raises(NotPublishedError, match=f"customers has no published snapshot of {SECOND}"):
        due(runner(snapshot_date=SECOND))


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"customers": "b"}},
        {"settings": ("graph",)},
        {"stage": "others"},
        {"day": SECOND},
    ],
    ids=["inputs", "settings", "stage", "day"],
)
def test_the_identity_of_work_follows_from_all_that_goes_in(runs: list[Run], changes: dict[str, Any]) -> None:
    assert planned().run_id == planned().run_id
    assert planned(**changes).run_id != planned().run_id


def test_rows_that_are_not_accounted_for_are_an_error(runs: list[Run]) -> None:
    with pytest.raises(TransientError, match="read 7 rows, and accounted for 6") as error:
        planned().to_run(rows_in=7, valid=5, quarantined=1, outputs={}, started_at=STARTED)
    assert "files changed" in (error.value.hint or "")
    assert "does not count the rows of its source" in (error.value.hint or "")
    assert "`engage-spark tables forget` was killed, run that again" in (error.value.hint or "")


def test_who_is_overtaken_while_it_waits_for_runs_publishes_nothing(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken, rows = [], list[object]()

    @contextmanager
    def waits(*_: object, **__: object) -> Iterator[None]:
        overtaken.append("customers_judged")
        yield

    def require() -> None:
        if overtaken:
            raise TransientError("another process took over")

    monkeypatch.setattr(run_log, "table_lock", waits)
    monkeypatch.setattr(run_log, "from_rows", lambda *_: SimpleNamespace(coalesce=lambda _: "row"))
    monkeypatch.setattr(Lake, "append", lambda _, row, *__, **___: rows.append(row))
    held = cast(Any, SimpleNamespace(require=require))
    attempt = Attempt(context=runner().context, work=planned(), started_at=STARTED, locks=(held,))
    attempt._require_locks()
    with pytest.raises(TransientError, match="took over"):
        attempt.publish(rows_in=7, valid=7)
    assert overtaken and not rows


def test_rows_that_were_erased_since_the_work_was_planned_are_not_written(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have been read before, such as the rows that several targets are scored from."""

    @contextmanager
    def lock(*_: object, **__: object) -> Iterator[None]:
        yield

    def forget(*_: object) -> bool:
        runs[0] = replace(runs[0], rows_valid=6, rows_erased=1)
        return True

    monkeypatch.setattr(stage_runner, "table_lock", lock)
    runs.append(published(ingest_stage(ENTITY), FIRST))
    of = runner()
    (work,) = of.due(STAGE, source=ENTITY)
    other = replace(runs[0], run_id="b")
    monkeypatch.setattr(RunLog, "refresh", lambda *_: runs.append(other) is None)
    with of.attempt(work, "visiting", tables=["visits"]) as attempt:
        assert attempt.work.run_id == work.run_id, "runs of others change nothing"
    monkeypatch.setattr(RunLog, "refresh", forget)
    with pytest.raises(TransientError, match="visits of 2025-10-21 is made from were erased meanwhile"):
        with of.attempt(work, "visiting", tables=["visits"]):
            pytest.fail("it goes on")
