"""Rows that get lost between a training's joins stop it, at whichever join."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import TransientError
from engage_spark.lake import Lake, RunLog
from engage_spark.ml.leakage.findings import DuplicateCounts
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.pipelines.train import inputs
from engage_spark.publication import Publication, Run
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
SESSION = cast(Any, SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key])))
AT = datetime(2025, 11, 1, tzinfo=UTC)
DAY = date(2025, 10, 21)
ALIKE = DuplicateCounts(keys=100, groups=1, repeated=1, across=1, twice=0, split_keys=0)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The attempts that the run log holds."""
    attempts: list[Run] = []
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(attempts)))
    return attempts


@pytest.mark.parametrize(("joined", "message"), [([99], "100 .* and 99 "), ([100, 98], "100 .* and 98 ")])
def test_rows_lost_in_either_join_are_missed(
    joined: list[int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter(joined)
    plan = SimpleNamespace(all=None, new=object(), version=1)
    replaced: dict[str, Any] = {
        "_reference": SimpleNamespace(day=DAY, matured=True, stratum=None),
        "rows_of": None,
        "valid_rows": None,
        "_planned_splits": plan,
        "_together": plan,
        "_stored": None,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(inputs, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(inputs, "_joined", lambda *_: (None, next(counts)))
    monkeypatch.setattr(inputs._Audited, "duplicates", lambda *_: ALIKE)
    context: Any = SimpleNamespace(contract=SimpleNamespace(entity=SimpleNamespace(name="members")))
    published: Any = SimpleNamespace(
        landed=lambda _: {}, days={DAY: {"members": SimpleNamespace(rows_valid=100)}}
    )
    snapshots: Any = {"left": SimpleNamespace(all=(DAY,))}
    stage_run: Any = SimpleNamespace(run_id="r")
    unused: Any = None
    with pytest.raises(TransientError, match=message):
        inputs.build_training_set(context, stage_run, published, {}, snapshots, unused, as_of=DAY)
    assert list(counts) == []


def test_no_key_is_put_on_a_side_that_was_erased_since_it_was_read(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = StageRunner(context=RunContext(SESSION, load_settings("local"), CONTRACT))
    entity = runner.plan(ingest_stage(CONTRACT.entity), DAY, inputs={"files": "a"})
    runs.append(entity.to_run(rows_in=7, valid=7, quarantined=0, outputs={}, started_at=AT))
    training = runner.plan("train", DAY, inputs={f"{CONTRACT.entity.name}/{DAY}": runs[0].run_id})
    written: list[object] = []

    def forget(*_: object) -> bool:
        runs[0] = replace(runs[0], rows_valid=6, rows_erased=1)
        return True

    monkeypatch.setattr(RunLog, "refresh", forget)
    monkeypatch.setattr(inputs, "table_lock", lambda *_, **__: nullcontext())
    monkeypatch.setattr(Lake, "version", lambda *_: None)
    monkeypatch.setattr(Lake, "insert", lambda *_, **__: written.append(1))
    monkeypatch.setattr(inputs, "F", SimpleNamespace(lit=lambda _: SimpleNamespace(alias=lambda _: None)))
    new: Any = SimpleNamespace(select=lambda *_: None)
    plan = inputs._PlannedSplits(version=None, stored=None, draw=None, new=new)
    with pytest.raises(TransientError, match="were erased meanwhile"):
        inputs._stored(runner.context, training, plan, DAY)
    assert not written
