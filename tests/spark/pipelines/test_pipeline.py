"""The pipeline on real tables: the same as its stages by hand, also after a kill, and day by day."""

from __future__ import annotations

import json
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.errors import GateError, NotDeliveredError
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.pipeline import run_pipeline
from engage_spark.pipelines.results import PipelineResult, StepOutcome
from engage_spark.settings import LineageSettings
from tests.support.deliveries import BIKES, deliver, deliver_log, events, run_log, settings_of, stations
from tests.support.delta_files import digests
from tests.support.kill_harness import killed_at
from tests.support.lineage_schema import require_event
from tests.support.serverless import serverless

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

D1, D2, D3 = "2025-10-21", "2025-10-22", "2025-10-23"
STAGES = ("ingest", "features")
"""The graph and analytics are run by `tests/e2e/test_packed_cluster.py`."""
DONE, ALREADY, NOT_RUN = StepOutcome.DONE, StepOutcome.ALREADY_DONE, StepOutcome.NOT_RUN


def outcomes(result: PipelineResult) -> dict[str, list[StepOutcome]]:
    names = dict.fromkeys(s.stage for s in result.steps)
    return {name: [s.outcome for s in result.steps if s.stage == name] for name in names}


def told(path: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for event in events:
        require_event(event)
    return events


def require_told(path: Path, home: Path) -> None:
    """What OpenLineage was told of a pipeline that was killed, and of the one after it."""
    events = told(path)
    (end,) = (e for e in events if e["job"]["name"] == "pipeline" and e["eventType"] == "COMPLETE")
    pipeline = end["run"]["runId"]
    ended = [
        e for e in events if e["eventType"] == "COMPLETE" and e["run"]["facets"].get("parent", {}).get("run")
        == {"runId": pipeline}
    ]  # fmt: skip
    assert [e["job"]["name"] for e in ended] == ["features:station_features"] * 2
    started = {e["run"]["runId"] for e in events if e["eventType"] == "START"}
    assert {e["run"]["runId"] for e in ended} <= started and len(started) == len(ended) + 6
    (read,), (written,) = ended[1]["inputs"], ended[1]["outputs"]
    assert (read["namespace"], read["name"]) == ("file", str(home / "lake" / "stations_judged"))
    assert (written["namespace"], written["name"]) == ("file", str(home / "lake" / "station_features"))
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 21
    columns = {f["name"]: f["type"] for f in written["facets"]["schema"]["fields"]}
    assert columns["station_code"] == "string" and "_run_id" in columns


@pytest.mark.slow
def test_a_range_of_days_is_as_its_stages_by_hand_and_goes_on_where_it_was_killed(
    spark: SparkSession, session_settings: Settings, tmp_path: Path
) -> None:
    # the second day has a station more, and rides to it lie in the one delivery of rides
    deliver(stations(20), BIKES, tmp_path, D1)
    deliver(stations(21), BIKES, tmp_path, D2)
    rides = BIKES.table("rides")
    pairs = [(f"ST{i % 21:04d}", f"ST{(i + 1) % 21:04d}") for i in range(42)]
    deliver_log(events(rides, pairs, [D2]), rides, tmp_path)
    settings = settings_of(session_settings, tmp_path, landed_at=f"{D3}T12:00:00Z")
    by_hand = settings.model_copy(
        update={"lake": settings.lake.model_copy(update={"root": str(tmp_path / "by_hand")})}
    )
    lineage = tmp_path / "events.jsonl"
    settings = settings.model_copy(update={"lineage": LineageSettings(file=str(lineage))})
    for run in (run_ingest, run_features):
        run(spark, by_hand, contract=BIKES)

    run = partial(run_pipeline, spark, settings, contract=BIKES, stages=STAGES, last=date(2025, 10, 24))
    assert killed_at("commit station_features", run)
    with serverless(spark) as refusing:
        result = run()
    assert refusing.refused >= {"spark.sql.files.ignoreCorruptFiles"}, "it was asked, and nobody minds"
    assert digests(tmp_path / "lake") == digests(tmp_path / "by_hand")
    assert outcomes(result) == {
        "ingest": [ALREADY] * 2, "logs": [ALREADY], "features": [DONE] * 2,
    }  # fmt: skip
    assert [n.facts["days"] for n in result.notes] == [("2025-10-23 to 2025-10-24",)]

    require_told(lineage, tmp_path)

    # a day that is rejected ends the range, and is not judged again
    before = len(run_log(settings).attempts(spark))
    broken = stations(20, seed=3)
    broken["operator_owner"] = "somebody"
    deliver(broken, BIKES, tmp_path, D3)
    for attempts in (1, 1):
        with pytest.raises(GateError) as rejected:
            run()
        result = rejected.value.result
        assert isinstance(result, PipelineResult)
        assert outcomes(result) == {
            "ingest": [ALREADY, ALREADY, StepOutcome.REJECTED],
            "logs": [ALREADY],
            "features": [ALREADY, ALREADY, NOT_RUN],
        }
        assert len(run_log(settings).attempts(spark)) == before + attempts
    failed = [e for e in told(lineage) if e["eventType"] == "FAIL"]
    assert [e["job"]["name"] for e in failed] == ["ingest:stations", "pipeline", "pipeline"]
    with pytest.raises(NotDeliveredError, match="no day from 2026-01-01") as nothing:
        run_pipeline(spark, settings, contract=BIKES, first=date(2026, 1, 1))
    assert nothing.value.details == ("there are 2025-10-21 to 2025-10-23",)
