"""A training and a scoring killed before their effects and run again: the same tables, and the same champion.

MLflow's files lie beside each lake. What a killed training left there is its own affair, but for who is
champion, and that no version serves twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engage_spark.contract import load_contract
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import Settings
from engage_spark.tracking import CHAMPION, Tracker
from tests.support.deliveries import deliver
from tests.support.delta_files import digests
from tests.support.kill_harness import kill_everywhere
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest.importorskip("mlflow", reason="the ml extra is not installed")
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
GARDEN = load_contract(DATA / "garden.odcs.yaml")
DAY, BEDS, TARGET = "2025-10-21", 600, "blooms"


class Garden:
    """A delivery of beds, and lakes beside it in which one target is trained by a linear model."""

    def __init__(self, spark: SparkSession, session: Settings, home: Path) -> None:
        self.spark, self.session, self.home = spark, session, home
        rng = np.random.default_rng(3)
        water = rng.uniform(0, 50, BEDS)
        rows = {
            "bed": np.arange(BEDS),
            "water": water,
            "seeds": rng.integers(0, 201, BEDS),
            "soil": rng.choice(["clay", "sand"], BEDS),
            "blooms": (rng.uniform(size=BEDS) < 1 / (1 + np.exp(-(water - 25) / 6))).astype(int),
            "harvest": rng.uniform(0, 100, BEDS),
        }
        frame = pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in rows.items()})
        deliver(frame, GARDEN, home, DAY)

    def settings(self, lake: Path, mlflow: Path) -> Settings:
        small = {"folds": 2, "bootstrap": 30, "smallest_group": 50, "candidates": ["linear"]}
        return Settings(
            input={"root": str(self.home / "raw")},  # type: ignore[arg-type]
            lake={"root": str(lake / "lake")},  # type: ignore[arg-type]
            ingest={"landed_at": "2025-10-22T12:00:00Z"},  # type: ignore[arg-type]
            tracking={"folder": str(mlflow)},  # type: ignore[arg-type]
            models=small,  # type: ignore[arg-type]
            spark=self.session.spark,
        )

    def stage(self, run: Callable[..., object], mlflow: Path | None = None, **more: Any) -> Any:
        return lambda lake: run(
            self.spark, self.settings(lake, mlflow or lake / "mlflow"), contract=GARDEN, **more
        )

    def view(self, lake: Path) -> dict[str, str]:
        """The tables, and who is champion: by what it was trained on, and how well it did."""
        tracker = Tracker(self.settings(lake, lake / "mlflow").tracking, staging=str(lake / "staging"))
        holder = tracker.registry.holder(TARGET, CHAMPION)
        champion = {} if holder is None else {n: holder.facts[n] for n in ("policy", "metric", "value")}
        return digests(lake / "lake") | {"champion": str(champion)}


@pytest.fixture(scope="module")
def garden(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Garden:
    return Garden(spark, session_settings, tmp_path_factory.mktemp("garden"))


@pytest.fixture(scope="module")
def published(garden: Garden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("published")
    garden.stage(run_ingest)(base)
    return base


def test_a_training_killed_at_each_kind_of_effect_and_run_again(
    garden: Garden, published: Path, tmp_path: Path
) -> None:
    """Before the first and the last effect of each name: a metric's call is like the next one's."""
    train = garden.stage(run_train, target=[TARGET])

    def first_and_last(effects: list[str]) -> list[int]:
        last = {e: i for i, e in enumerate(effects)}
        return sorted({i for e in last for i in (effects.index(e), last[e])})

    report = kill_everywhere(
        published, tmp_path / "kills", killed=train, then=train, view=garden.view, chosen=first_and_last
    )
    assert {"commit training_runs", "commit splits"} <= set(report.effects), report.effects
    assert any(e.startswith("MLflow") for e in report.effects)
    assert report.differences == [] and report.kills >= len(set(report.effects))


def test_a_scoring_killed_before_any_effect_and_run_again(
    garden: Garden, published: Path, tmp_path: Path
) -> None:
    mlflow = tmp_path / "mlflow"
    trained = Path(shutil.copytree(published, tmp_path / "trained"))
    garden.stage(run_train, mlflow, target=[TARGET])(trained)
    score = garden.stage(run_score, mlflow, target=[TARGET])
    report = kill_everywhere(trained, tmp_path / "kills", killed=score, then=score)
    assert report.differences == []
    assert {"commit predictions", "commit runs"} <= set(report.effects)
