"""A year with a moving clock on a small lake: labels come late, models are trained, scored with and watched.

Every tenth day a snapshot is delivered without its labels, together with the snapshot of forty days before,
which has them now. Once a label window a model is trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engage_spark.contract import Contract, load_contract
from engage_spark.errors import ConfigurationError, GateError, NotPublishedError
from engage_spark.ml.measurement import BoundVerdict
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.monitor.run import run_monitor
from engage_spark.pipelines.score import read_predictions, run_score
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import Settings
from engage_spark.tracking import CHAMPION, Tracker
from tests.support.deliveries import deliver
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
BEDS, STEP, WINDOW, STEPS = 900, 10, 30, 37
FIRST = date(2025, 1, 1)
DRIFT, UNFAIR, CHEAT = 24, 29, 15
"""The steps from which on water is plenty, clay blooms where it is dry, and at which a model may cheat."""
BOUNDS = "{auc: 0.6, equal_opportunity_ratio: 0.8, input_psi: 0.25, score_psi: 0.25}"


def contract_in(home: Path) -> Contract:
    """The garden with a protected soil, blooms that are known thirty days later, and nectar, which tells."""
    text = (DATA / "garden.odcs.yaml").read_text(encoding="utf-8")
    end = ", mustBe: 0, dimension: conformity}\n        customProperties: [{property: role, value: "
    changes = {
        f"[clay, sand]}}{end}feature}}": ", {property: protected, value: true}",
        f"[0, 1]}}{end}target}}": (
            f", {{property: labelWindowDays, value: {WINDOW}}}, {{property: monitoring, value: {BOUNDS}}}"
        ),
    }
    for part, more in changes.items():
        assert part in text
        text = text.replace(part, part + more)
    nectar = (
        "      - name: nectar\n        description: Grams.\n        logicalType: number\n"
        "        physicalType: double\n        customProperties: [{property: role, value: feature}, "
        "{property: leaksInto, value: [blooms]}]\n"
    )
    place = "      - name: soil\n"
    assert text.count(place) == 1
    path = home / "garden.odcs.yaml"
    path.write_text(text.replace(place, nectar + place), encoding="utf-8")
    return load_contract(path)


def beds(step: int, *, labelled: bool) -> pd.DataFrame:
    """The beds of a step. Water decides what blooms, and settles it nowhere, which the leakage audit would
    take for a label that is told; nectar is what has bloomed, but for noise.
    """
    rng = np.random.default_rng(1000 + step)
    water = rng.uniform(25 if step >= DRIFT else 0, 50, BEDS)
    soil = np.where(np.arange(BEDS) % 3 == 0, "clay", "sand")
    chance = 1 / (1 + np.exp(-(water - 30) / 8))
    if step >= UNFAIR:
        chance = np.where(soil == "clay", 1 - chance, chance)
    blooms = (rng.uniform(size=BEDS) < chance).astype(int)
    rows = {
        "bed": np.arange(BEDS),
        "water": water,
        "seeds": rng.integers(0, 201, BEDS),
        "nectar": blooms * 5 + rng.normal(0, 1, BEDS),
        "soil": soil,
        "blooms": blooms if labelled else [None] * BEDS,
        "harvest": rng.uniform(0, 100, BEDS),
    }
    return pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in rows.items()})


def day_of(step: int) -> date:
    return FIRST + timedelta(days=STEP * step)


@dataclass
class Year:
    """The lake as the clock moves, and what came of every command."""

    spark: SparkSession
    session: Settings
    contract: Contract
    home: Path
    trained: list[int] = field(default_factory=list)
    champions: dict[int, tuple[int, str]] = field(default_factory=dict)
    past: dict[date, set[tuple[str, str | None]]] = field(default_factory=dict)

    def settings(self, step: int, **models: Any) -> Settings:
        landed = datetime.combine(day_of(step), datetime.min.time(), UTC) + timedelta(hours=6)
        small = {"folds": 2, "bootstrap": 30, "smallest_group": 50, "keep": 3}
        return Settings(
            input={"root": str(self.home / "raw")},  # type: ignore[arg-type]
            lake={"root": str(self.home / "lake")},  # type: ignore[arg-type]
            ingest={"landed_at": landed.isoformat()},  # type: ignore[arg-type]
            tracking={"folder": str(self.home / "mlflow")},  # type: ignore[arg-type]
            models={"candidates": ["linear", "gbt"], **small, **models},  # type: ignore[arg-type]
            spark=self.session.spark,
        )

    def move(self, step: int) -> None:
        """Do what a night does: ingest, watch, train once a window, score."""
        deliver(beds(step, labelled=False), self.contract, self.home, str(day_of(step)))
        if step >= 4:
            deliver(beds(step - 4, labelled=True), self.contract, self.home, str(day_of(step - 4)))
        settings, common = self.settings(step), {"contract": self.contract}
        run_ingest(self.spark, settings, **common)
        self.watch(step)
        if step % 3 == 0:
            self.train(step, settings)
        if self.champions:
            run_score(self.spark, settings, target=["blooms"], **common)

    def watch(self, step: int) -> None:
        try:
            run_monitor(
                self.spark,
                self.settings(step),
                contract=self.contract,
                target=["blooms"],
                as_of=day_of(step),
            )
        except NotPublishedError:
            assert step < 12, "from then on there is a scored day whose labels are known"
        except GateError as e:
            result: Any = e.result
            for day in result.days:
                found = {(m.measure, m.group) for m in day.measurements if m.verdict is BoundVerdict.PAST}
                self.past.setdefault(day.snapshot_date, set()).update(found)

    def train(self, step: int, settings: Settings) -> None:
        try:
            run_train(self.spark, settings, contract=self.contract, target=["blooms"], as_of=day_of(step))
        except ConfigurationError as e:
            assert "matured" in e.message, e
            assert step < 6, f"a training was refused at step {step}: {e}"
            return
        self.trained.append(step)
        self.note_champion(step)

    def note_champion(self, step: int) -> None:
        tracker = Tracker(self.settings(step).tracking, staging=str(self.home / "lake" / "_scratch"))
        holder = tracker.registry.holder("blooms", CHAMPION)
        if holder is not None:
            self.champions[step] = holder.version, holder.facts["policy"]


@pytest.fixture(scope="module")
def year(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Year:
    home = tmp_path_factory.mktemp("year")
    year = Year(spark, session_settings, contract_in(home), home)
    for step in range(STEPS):
        year.move(step)
        if step == CHEAT:
            cheat = year.settings(step, policy="permissive")
            run_train(spark, cheat, contract=year.contract, target=["blooms"], as_of=day_of(step))
            year.note_champion(step)
    return year


def test_no_training_is_refused_for_good(year: Year) -> None:
    assert len(year.trained) >= 11
    assert year.trained == [step for step in range(STEPS) if step % 3 == 0 and step >= year.trained[0]]


def test_the_champion_is_never_one_that_cheats(year: Year) -> None:
    assert {policy for _, policy in year.champions.values()} == {"strict"}


def test_every_prediction_says_on_which_side_its_customer_is(year: Year) -> None:
    context = RunContext(year.spark, year.settings(STEPS - 1), year.contract)
    rows = read_predictions(context)
    assert rows.count() > BEDS * 20
    assert rows.where("side IS NULL OR in_sample IS NULL").count() == 0
    newest = rows.where(f"snapshot_date = DATE'{day_of(STEPS - 1)}'")
    assert newest.where("in_sample").count() == 0, "nobody knows the labels of today"


def test_planted_drift_and_planted_unfairness_are_noticed_and_nothing_before(year: Year) -> None:
    quiet = {day for day in year.past if day < day_of(DRIFT)}
    assert not quiet, {day: year.past[day] for day in quiet}
    drifted = {day for day, past in year.past.items() if ("input_psi", "water") in past}
    assert day_of(DRIFT) in drifted
    unfair = {day for day, past in year.past.items() if ("equal_opportunity_ratio", "clay") in past}
    assert day_of(UNFAIR) in unfair
    assert min(unfair) >= day_of(UNFAIR)
