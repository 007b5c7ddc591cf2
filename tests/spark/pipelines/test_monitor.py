"""Predictions are judged as they were made, once their labels are known: against scikit-learn and pandas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from engage_spark.cli.render import summaries
from engage_spark.contract import SNAPSHOT_DATE, load_contract, predictions_table, system_contract
from engage_spark.errors import GateError, NotPublishedError
from engage_spark.ml.measurement import BoundVerdict
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.monitor.monitoring_table import read_monitoring
from engage_spark.pipelines.monitor.run import run_monitor
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.score import PARTITIONS
from engage_spark.pipelines.stages import TRAINING_RUNS, score_stage
from engage_spark.settings import Settings
from engage_spark.spark.schema import spark_schema
from tests.support.deliveries import deliver
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.pipelines.results import MonitorResult

BEDS = 1200
LEARNT, QUIET, LOUD, OPEN = (date(2025, 10, day) for day in (6, 13, 20, 27))
"""The day that the model learnt; one like it; one with planted faults; one whose labels are not known."""
AS_OF = date(2025, 10, 30)
BOUNDS = "{auc: 0.6, coverage: 0.4, equal_opportunity_ratio: 0.8, score_psi: 0.25, input_psi: 0.25}"


def contract_in(home: Path) -> Path:
    """The garden with a protected kind of soil, and blooms that are known five days later and monitored."""
    text = (DATA / "garden.odcs.yaml").read_text(encoding="utf-8")
    end = ", mustBe: 0, dimension: conformity}\n        customProperties: [{property: role, value: "
    soil, blooms = f"[clay, sand]}}{end}feature}}", f"[0, 1]}}{end}target}}"
    for part, more in (
        (soil, ", {property: protected, value: true}"),
        (blooms, f", {{property: labelWindowDays, value: 5}}, {{property: monitoring, value: {BOUNDS}}}"),
    ):
        assert part in text
        text = text.replace(part, part + more)
    path = home / "garden.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def beds(day: date) -> pd.DataFrame:
    """Beds of a day; on the loud day they have more water."""
    rng = np.random.default_rng(day.toordinal())
    water = rng.uniform(20 if day == LOUD else 0, 50, BEDS)
    rows = {
        "bed": np.arange(BEDS),
        "water": water,
        "seeds": rng.integers(0, 201, BEDS),
        "soil": rng.choice(["clay", "sand"], BEDS),
        "blooms": (rng.uniform(0, 50, BEDS) < water).astype(int),
        "harvest": rng.uniform(0, 100, BEDS),
    }
    return pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in rows.items()})


def predicted(day: date) -> pd.DataFrame:
    """The beds with what a model would say: on the loud day it overlooks every second bed of clay."""
    rows = beds(day)
    rows["prediction"] = rows["water"].astype(float) / 50
    if day == LOUD:
        rows.loc[(rows["soil"] == "clay") & (rows["bed"] % 2 == 0), "prediction"] *= 0.3
    rows["decision"] = (rows["prediction"] >= 0.5).astype(int)
    rows["side"] = np.where(rows["bed"] % 5 == 0, "test", "fit")
    rows["in_sample"] = (rows["side"] == "fit") & (day == LEARNT)
    return rows


def plain(value: Any) -> Any:
    """A number of numpy as Python has it, which Spark asks for."""
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True)
class Garden:
    """A lake with four scored days."""

    context: RunContext
    home: Path

    def ingest(self, day: date) -> None:
        deliver(beds(day), self.context.contract, self.home, str(day))
        ingest.run_ingest(self.context.spark, self.context.settings, contract=self.context.contract)

    def score(self, day: date) -> None:
        """Publish predictions as `score` does, without a model."""
        context, table = self.context, predictions_table(self.context.contract)
        work = StageRunner(context=context).plan(
            score_stage("blooms"), day, inputs={"model": "by hand"}, source_rows=BEDS
        )
        given = predicted(day).assign(
            **{
                SNAPSHOT_DATE: day,
                "target": "blooms",
                "model_name": "blooms",
                "model_version": "1",
                "prediction_set": [[0], [1]] * (BEDS // 2),
            }
        )
        schema = spark_schema(table)
        columns = [
            [plain(v) for v in given[f.name]] if f.name in given else [None if f.nullable else []] * BEDS
            for f in schema
            if f.name != "_run_id"
        ]
        kept = type(schema)([f for f in schema if f.name != "_run_id"])
        rows = context.spark.createDataFrame(list(zip(*columns, strict=True)), kept)
        runner = StageRunner(context=context)
        with runner.attempt(work, "scoring by hand", tables=[table.name]) as attempt:
            where = f"{SNAPSHOT_DATE} = DATE'{day}' AND target = 'blooms'"
            attempt.replace(table, rows, where=where, partition_by=PARTITIONS)
            attempt.publish(rows_in=BEDS, valid=BEDS)

    def train(self) -> None:
        """Write what `training_runs` says of the model."""
        table = system_contract().table(TRAINING_RUNS)
        schema = spark_schema(table)
        values: dict[str, Any] = {
            "run_id": "0" * 32,
            "target": "blooms",
            "snapshot_date": LEARNT,
            "snapshots": [LEARNT],
            "serving_snapshots": [LEARNT],
            "features": ["water", "seeds", "soil"],
            "model_name": "blooms",
            "model_version": "1",
        }
        empty = {"string": "", "double": 0.0, "bigint": 0, "int": 0, "boolean": False}
        row = tuple(
            values.get(f.name, None if f.nullable else empty.get(f.dataType.simpleString())) for f in schema
        )
        frame = self.context.spark.createDataFrame([row], schema)
        self.context.lake.replace(frame, table, where=None, tag="by hand")

    def monitor(self, **options: Any) -> MonitorResult:
        asked = {"target": ["blooms"], "as_of": AS_OF} | options
        return run_monitor(self.context.spark, self.context.settings, contract=self.context.contract, **asked)

    def rows(self, day: date) -> pd.DataFrame:
        context = RunContext(self.context.spark, self.context.settings, self.context.contract)
        return pd.DataFrame([r.asDict() for r in read_monitoring(context, "blooms", [day]).collect()])


@pytest.fixture(scope="module")
def garden(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Garden:
    home = tmp_path_factory.mktemp("monitored")
    contract = load_contract(contract_in(home))
    settings = Settings(
        input={"root": str(home / "raw")},  # type: ignore[arg-type]
        lake={"root": str(home / "lake")},  # type: ignore[arg-type]
        spark=session_settings.spark,
        models={"bootstrap": 50, "smallest_group": 100},  # type: ignore[arg-type]
    )
    garden = Garden(RunContext(spark, settings, contract), home)
    for day in (LEARNT, QUIET, LOUD, OPEN):
        deliver(beds(day), contract, home, str(day))
    ingest.run_ingest(spark, settings, contract=contract)
    garden.train()
    return garden


@pytest.mark.connect
def test_a_model_in_use_is_judged_day_by_day(garden: Garden) -> None:
    with pytest.raises(NotPublishedError, match="no predictions whose labels are known"):
        garden.monitor()
    for day in (LEARNT, QUIET, LOUD, OPEN):
        garden.score(day)
    with pytest.raises(NotPublishedError) as early:
        garden.monitor(as_of=date(2025, 10, 11))
    assert f"blooms of {LEARNT}" in early.value.details[0]
    assert "not known by 2025-10-11" in early.value.details[0]

    with pytest.raises(GateError) as loud:
        garden.monitor()
    result: Any = loud.value.result
    assert [d.snapshot_date for d in result.days] == [LEARNT, QUIET, LOUD]
    past = {
        (d.snapshot_date, m.measure, m.group)
        for d in result.days
        for m in d.measurements
        if m.verdict is BoundVerdict.PAST
    }
    assert {day for day, _, _ in past} == {LOUD}
    assert {(LOUD, "equal_opportunity_ratio", "clay"), (LOUD, "input_psi", "water")} <= past
    assert any("equal_opportunity_ratio of soil: clay" in line for line in loud.value.details)
    (shown,) = summaries(result)
    assert shown.failed is not None
    assert any("clay" in " ".join(row) for row in shown.failed[1])

    with pytest.raises(GateError) as again:
        garden.monitor()
    kept: Any = again.value.result
    assert [(d.snapshot_date, d.fresh) for d in kept.days] == [(LOUD, False)]
    assert set(again.value.details) == {line for line in loud.value.details if str(LOUD) in line}


@pytest.mark.connect
def test_the_measures_are_those_of_other_libraries(garden: Garden) -> None:
    rows, truth = garden.rows(QUIET), predicted(QUIET)
    labels, scores = truth["blooms"].astype(int), truth["prediction"].astype(float)
    values = rows[rows["attribute"].isna() & rows["member"].isna()].set_index("measure")["value"]
    assert values["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert values["brier"] == pytest.approx(brier_score_loss(labels, scores))
    covered = (truth["bed"] % 2) == labels
    assert values["coverage"] == pytest.approx(covered.mean())
    hits = truth[labels == 1].groupby("soil")["decision"].mean()
    ratio = rows[rows["measure"] == "equal_opportunity_ratio"].iloc[0]
    assert ratio["value"] == pytest.approx(hits.min() / hits.max())
    assert (ratio["member"], ratio["against"]) == (hits.idxmin(), hits.idxmax())
    psi = rows[rows["measure"] == "input_psi"].set_index("member")["value"]
    assert set(psi.index) == {"water", "seeds", "soil"}
    assert psi.max() < 0.1
    assert set(rows["n_rows"]) >= {BEDS}


def test_of_a_day_that_the_model_learnt_only_test_rows_are_judged(garden: Garden) -> None:
    rows = garden.rows(LEARNT)
    assert rows.set_index("measure")["n_rows"]["auc"] == BEDS / 5
    truth = predicted(LEARNT).query("side == 'test'")
    auc = roc_auc_score(truth["blooms"].astype(int), truth["prediction"].astype(float))
    assert rows.set_index("measure")["value"]["auc"] == pytest.approx(auc)
    assert "score_psi" not in set(rows["measure"]), "there is no day before to compare with"


def test_predictions_are_judged_as_made_also_after_a_delivery_with_labels(garden: Garden) -> None:
    """The delivery puts the predictions out of date for readers; monitoring asks how they fared."""
    before = garden.rows(QUIET)
    changed = beds(QUIET)
    changed["blooms"] = [1 - value for value in changed["blooms"]]
    deliver(changed, garden.context.contract, garden.home, str(QUIET))
    ingest.run_ingest(garden.context.spark, garden.context.settings, contract=garden.context.contract)
    with pytest.raises(GateError, match="past the contract's bounds"):
        garden.monitor(snapshot_date=QUIET)
    after = garden.rows(QUIET)
    auc = [r[r["measure"] == "auc"]["value"].iloc[0] for r in (before, after)]
    assert sum(auc) == pytest.approx(1.0)
    assert not after["made_ahead"].any(), "here they were made when the labels were known already"
    assert isinstance(after["snapshot_date"].iloc[0], date | datetime)
