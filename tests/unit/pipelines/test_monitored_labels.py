"""What is told of predictions is out of date once their labels are derived anew, without Spark."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.lake import RunLog
from engage_spark.ml.feature_spec import target_named
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.monitor.run import _stage_run
from engage_spark.pipelines.monitor.scored_days import ScoredDay
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import features_stage, ingest_stage, monitor_stage, score_stage
from engage_spark.publication import Publication, Run
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES
from tests.support.paths import DATA

CONTRACT = load_contract(DATA / "phone_shop.odcs.yaml")
TARGET = target_named(CONTRACT, "is_severe")
SESSION = cast(Any, SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key])))
DAY, AT = date(2025, 10, 21), datetime(2025, 11, 1, tzinfo=UTC)


def test_predictions_are_judged_again_by_labels_that_are_derived_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[Run] = []
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(runs)))
    runner = StageRunner(context=RunContext(SESSION, load_settings("local"), CONTRACT))

    def publish(stage: str, inputs: dict[str, str]) -> Run:
        work = runner.plan(stage, DAY, inputs=inputs)
        runs.append(work.to_run(rows_in=1, valid=1, quarantined=0, outputs={}, started_at=AT))
        return runs[-1]

    entity = publish(ingest_stage(CONTRACT.entity), {"files": "a"})
    of_entity = {CONTRACT.entity.name: entity.run_id}
    labels = publish(features_stage(CONTRACT.target_tables[TARGET.name]), of_entity)
    predictions = publish(score_stage(TARGET.name), {})
    scored = ScoredDay(target=TARGET, day=DAY, predictions=predictions, entity=entity, derived=labels)
    judged = _stage_run(runner, scored).to_run(rows_in=1, valid=1, quarantined=0, outputs={}, started_at=AT)
    runs.append(judged)
    stage = monitor_stage(TARGET.name)
    assert runner.publication.visible(stage) == {DAY: judged}
    runs.append(replace(labels, run_id="by another formula", attempt=2))
    assert runner.publication.visible(stage) == {}
    assert runner.publication.replaced_inputs(judged) == (CONTRACT.target_tables[TARGET.name].name,)
