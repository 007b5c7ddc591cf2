"""When a log is judged again, and what waits until it is whole, without Spark: the run log is a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import Table, load_contract
from engage_spark.errors import ConfigurationError, InputError, TransientError
from engage_spark.lake import InputFile, InputManifest, RunLog, code_version, fingerprint
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import deliveries, whole_deliveries
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.ingest.validate_table import TableDelivery, TableOutcome
from engage_spark.pipelines.results import IngestResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import Publication, Run
from engage_spark.quality import GateResults
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


def ingested(
    runs: list[Run],
    monkeypatch: pytest.MonkeyPatch,
    *,
    days: Sequence[date] = (FIRST, SECOND, THIRD),
    unusable: Sequence[date] = (),
    unreadable: Sequence[date] = (),
) -> tuple[list[str], str]:
    """Ingest some days and all logs, the first of which cannot be listed; return what was checked, and the
    error. `unusable` days have a manifest that cannot be used, `unreadable` ones files that cannot be read.
    """
    checked: list[str] = []

    def lists(_: object, path: str, table: Table, **__: object) -> list[InputManifest]:
        if table.name == LOG.name:
            raise InputError(f"{path} is a Hudi table")
        return [manifest(table.name)]

    def whole(_: object, __: object, manifests: Sequence[InputManifest], **___: object) -> dict[int, str]:
        if any(m.day in unusable for m in manifests):
            raise InputError("the manifest cannot be used")
        return {}

    def check(_: object, delivery: TableDelivery) -> TableOutcome:
        if delivery.manifest.day in unreadable:
            raise InputError("a file cannot be read")
        checked.append(str(delivery.manifest.day or delivery.table.name))
        runs.append(delivery.work.to_run(rows_in=1, valid=1, quarantined=0, outputs={}, started_at=AT))
        return TableOutcome(table=delivery.table, run=runs[-1], gates=GateResults(counts=(), failed_gates=()))

    snapshots = [manifest(CONTRACT.entity.name, day) for day in days]
    monkeypatch.setattr(ingest, "_list_snapshots", lambda *_: snapshots)
    monkeypatch.setattr(deliveries, "list_inputs", lists)
    monkeypatch.setattr(whole_deliveries, "incomplete_deliveries", whole)
    landed = {fingerprint([m]): AT for m in (*snapshots, manifest(LOG.name))}
    monkeypatch.setattr(ingest, "landing_times", lambda *_: landed)
    monkeypatch.setattr(ingest, "validate_table", check)
    with pytest.raises(InputError) as failed:
        ingest.run_ingest(SESSION, SETTINGS, contract=CONTRACT)
    return checked, "\n".join((failed.value.message, *failed.value.details))


OTHER_LOGS = [t.name for t in CONTRACT.logs[1:]]


def test_a_log_that_cannot_be_listed_holds_up_nothing_else(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, error = ingested(runs, monkeypatch)
    assert checked == [str(FIRST), str(SECOND), str(THIRD), *OTHER_LOGS] and OTHER_LOGS
    assert "is a Hudi table" in error


def test_a_manifest_that_cannot_be_used_holds_up_no_other_day(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, error = ingested(runs, monkeypatch, unusable=[SECOND])
    assert checked == [str(FIRST), str(THIRD)], "logs wait: their events may name keys of that day"
    assert "the manifest cannot be used" in error


def test_logs_wait_for_the_newest_day_alone_when_it_cannot_be_read(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, _ = ingested(runs, monkeypatch, unreadable=[FIRST])
    assert checked == [str(SECOND), str(THIRD), *OTHER_LOGS]
    runs.clear()
    checked, _ = ingested(runs, monkeypatch, unreadable=[THIRD])
    assert checked == [str(FIRST), str(SECOND)], "events of its new keys would be quarantined"


def test_a_day_of_the_future_is_named_with_what_became_of_the_others(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, error = ingested(runs, monkeypatch, days=[FIRST, date(2205, 10, 22)])
    assert checked == [str(FIRST)]
    assert "2205-10-22" in error and f"{CONTRACT.entity.name} of {FIRST}: published" in error


def test_nobody_looks_again_at_a_delivery_that_was_read_as_it_is(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look is a small file, and there is a delivery for every day of the past."""
    looked: list[date | None] = []

    def look(_: object, __: object, manifests: Sequence[InputManifest], **___: object) -> dict[int, str]:
        looked.extend(m.day for m in manifests)
        return {}

    monkeypatch.setattr(whole_deliveries, "incomplete_deliveries", look)
    read = replace(manifest(CONTRACT.entity.name, FIRST), root="/raw")
    new = replace(read, day=SECOND, files=(InputFile("/raw/b.parquet", 1, 1, "b.parquet"),))
    work = runner().plan(ingest_stage(CONTRACT.entity), FIRST, inputs={"files": fingerprint([read])})
    runs.append(work.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=AT))
    for rule, expected in (("quiet:5", [SECOND]), ("marker", [FIRST, SECOND])):
        looked.clear()
        settings = load_settings("local", overrides=[f"ingest.complete={rule}"])
        context, unreadable = RunContext(SESSION, settings, CONTRACT), list[InputError]()
        whole, _ = whole_deliveries.whole_deliveries(
            context, [read, new], [], [], snapshot_date=None, unreadable=unreadable
        )
        assert (whole, looked, unreadable) == ([read, new], expected, [])
