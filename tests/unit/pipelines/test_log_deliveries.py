"""When a log is judged again, and what waits until it is whole, without Spark: the run log is a stand-in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.lake import InputFile, InputManifest, RunLog, code_version, fingerprint
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import deliveries, whole_deliveries
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.ingest.validate_table import TableDelivery
from engage_spark.pipelines.results import IngestResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import Publication, Run
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
LOG = CONTRACT.logs[0]
FIRST, SECOND, THIRD = (date(2025, 10, day) for day in (21, 22, 23))
AT = datetime(2025, 11, 1, tzinfo=UTC)
SESSION = cast(Any, SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key])))
SETTINGS = load_settings("local")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The attempts that the run log holds."""
    attempts: list[Run] = []
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(attempts)))
    monkeypatch.setattr(RunLog, "is_present", lambda *_: True)
    return attempts


def runner(*, due_only: bool = True) -> StageRunner:
    return StageRunner(context=RunContext(SESSION, SETTINGS, CONTRACT), due_only=due_only)


def manifest(table: str, day: date | None = None) -> InputManifest:
    return InputManifest(
        table=table, day=day, files=(InputFile("/raw/a.parquet", 1, 1, "a.parquet"),), format="parquet"
    )


def publish_day(runs: list[Run], day: date) -> None:
    work = runner().plan(ingest_stage(CONTRACT.entity), day, inputs={"files": str(day)})
    runs.append(work.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=AT))


def judged(runs: list[Run], *, quarantined: int, due_only: bool = True) -> bool:
    """Whether the same files of the log are judged now; if so, with so many events quarantined."""
    delivered = manifest(LOG.name)
    delivery = deliveries.log_delivery(
        runner(due_only=due_only), LOG, delivered, {fingerprint([delivered]): AT}
    )
    if isinstance(delivery, Note):
        assert delivery.code == "LogUpToDate"
        return False
    assert isinstance(delivery, TableDelivery)
    run = delivery.work.to_run(
        rows_in=9, valid=9 - quarantined, quarantined=quarantined, outputs={}, started_at=AT
    )
    runs.append(replace(run, code_version=code_version()))
    return True


def test_quarantined_events_are_judged_again_when_days_are_filled_one_by_one(runs: list[Run]) -> None:
    publish_day(runs, FIRST)
    assert judged(runs, quarantined=2)
    assert not judged(runs, quarantined=0), "by the same keys"
    publish_day(runs, SECOND)
    assert judged(runs, quarantined=0), "an event may be of a customer who is new on the second day"
    assert not judged(runs, quarantined=0)
    publish_day(runs, THIRD)
    assert judged(runs, quarantined=0), "one that is quarantined still may be of one who is new on the third"


def test_ingest_by_itself_judges_the_same_files_once(runs: list[Run]) -> None:
    publish_day(runs, FIRST)
    assert judged(runs, quarantined=2, due_only=False)
    publish_day(runs, SECOND)
    assert not judged(runs, quarantined=0, due_only=False), "docs/decisions/0011-publish-beside.md"


def test_a_log_without_quarantined_events_is_judged_once(runs: list[Run]) -> None:
    publish_day(runs, FIRST)
    assert judged(runs, quarantined=0)
    publish_day(runs, SECOND)
    assert not judged(runs, quarantined=0)


def test_a_day_that_is_not_whole_waits_where_what_is_due_is_done(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = manifest(CONTRACT.entity.name, FIRST)
    monkeypatch.setattr(ingest, "_list_snapshots", lambda *_: [snapshot])
    monkeypatch.setattr(ingest, "list_logs", lambda *_: [])
    monkeypatch.setattr(ingest, "landing_times", lambda *_: {})
    monkeypatch.setattr(whole_deliveries, "incomplete_deliveries", lambda *_, **__: {0: "no _SUCCESS"})

    def run(*, due_only: bool) -> IngestResult:
        return ingest.run_ingest(SESSION, SETTINGS, contract=CONTRACT, snapshot_date=FIRST, due_only=due_only)

    (note,) = run(due_only=True).notes
    assert (note.code, note.facts["reason"]) == ("DeliveryNotWhole", "no _SUCCESS")
    with pytest.raises(TransientError, match="not whole yet: no _SUCCESS"):
        run(due_only=False)


def test_a_table_that_the_contract_does_not_deliver_is_refused_and_the_others_are_named() -> None:
    names = [CONTRACT.entity.name, *(t.name for t in CONTRACT.logs)]
    assert deliveries.delivered_tables(CONTRACT, None) == names
    assert deliveries.delivered_tables(CONTRACT, [LOG.name, LOG.name]) == [LOG.name]
    with pytest.raises(ConfigurationError, match="custmers is not delivered") as refused:
        deliveries.delivered_tables(CONTRACT, [LOG.name, "custmers"])
    assert all(name in (refused.value.hint or "") for name in names)
