"""Killed before any effect of training and scoring, calls of MLflow among them, and run again: the same.

Half a run may stay in MLflow; of versions, aliases and tables there is what an undisturbed training leaves.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from engage_spark.contract import load_contract
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import Settings
from engage_spark.tracking import CHALLENGER, CHAMPION, Tracker
from tests.support.deliveries import deliver, settings_of
from tests.support.delta_files import digests
from tests.support.kill_harness import Stage, effects_of, kill_everywhere
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
GARDEN = load_contract(DATA / "garden.odcs.yaml")
TARGET, BEDS = "blooms", 400
DAYS, LANDED, KNOWN = ("2025-10-20", "2025-10-21"), "2025-10-22T12:00:00Z", date(2026, 1, 1)
KILLS = int(os.environ.get("MODEL_KILLS", "1000"))
"""At most so many kills of a stage, drawn by the seed 1; by default all."""


def beds(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    water, noise = rng.uniform(0, 50, BEDS), rng.normal(0, 1, BEDS)
    rows = {
        "bed": np.arange(BEDS),
        "water": water,
        "seeds": rng.integers(0, 201, BEDS),
        "soil": rng.choice(["clay", "sand"], BEDS),
        "blooms": (water / 10 + noise > 2.5).astype(int),
        "harvest": np.clip(water + 5 * noise, 0, 100),
    }
    return pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in rows.items()})


class Garden:
    """A published lake of beds, and the stages of models on copies of it."""

    def __init__(self, spark: SparkSession, session_settings: Settings, home: Path) -> None:
        self.spark, self.session_settings, self.home = spark, session_settings, home

    def settings(self, home: Path, *, tracking: Path | None = None) -> Settings:
        made = settings_of(self.session_settings, self.home, landed_at=LANDED).model_dump()
        made |= {
            "lake": {"root": str(home / "lake")},
            "tracking": {"folder": str(tracking or home / "mlflow")},
            "models": {"candidates": ["linear"], "folds": 2, "keep": 3, "bootstrap": 20, "reasons": 1},
            "spark": self.session_settings.spark,
        }
        return Settings(**made)

    def train(self, home: Path) -> None:
        run_train(self.spark, self.settings(home), contract=GARDEN, target=[TARGET], as_of=KNOWN)

    def score(self, home: Path) -> None:
        """Score by the champion of the first lake: what is in MLflow names its files by their paths."""
        settings = self.settings(home, tracking=self.home / "mlflow")
        run_score(self.spark, settings, contract=GARDEN)

    def view(self, home: Path) -> dict[str, str]:
        """The tables, and of each version of the model its training, its figures and its alias."""
        tracker = Tracker(self.settings(home).tracking)
        versions = [
            (v.version, v.facts["run_id"], v.facts["value"], v.facts["candidate"], sorted(v.aliases))
            for v in tracker.registry.versions(TARGET)
        ]
        return digests(home / "lake") | {"versions": repr(versions)}


@pytest.fixture(scope="module")
def garden(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Garden:
    home = tmp_path_factory.mktemp("garden")
    made = Garden(spark, session_settings, home)
    for seed, day in enumerate(DAYS):
        deliver(beds(seed), GARDEN, home, day)
    run_ingest(spark, made.settings(home), contract=GARDEN)
    Tracker(made.settings(home).tracking).check()  # makes the tables of MLflow's file, which takes seconds
    return made


@pytest.fixture(scope="module")
def base(garden: Garden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the published lake, before anything is trained."""
    base = tmp_path_factory.mktemp("base") / "home"
    shutil.copytree(garden.home, base, ignore=shutil.ignore_patterns("raw"))
    return base


def some(action: Callable[[], object]) -> list[int]:
    """Return the numbers of the effects at which it is to be killed."""
    numbers = range(1, len(effects_of(action)) + 1)
    return sorted(random.Random(1).sample(numbers, min(KILLS, len(numbers))))


def kill(garden: Garden, base: Path, workspace: Path, stage: Stage) -> list[str]:
    counted = Path(shutil.copytree(base, workspace / "numbers"))
    numbers = some(lambda: stage(counted))
    view = garden.view if stage == garden.train else lambda home: digests(home / "lake")
    report = kill_everywhere(
        base, workspace / "kills", killed=stage, then=stage, view=view, numbers=iter(numbers)
    )
    assert report.differences == []
    return report.effects


def test_every_kill_of_a_training(garden: Garden, base: Path, tmp_path: Path) -> None:
    effects = kill(garden, base, tmp_path, garden.train)
    assert {"MLflow create_run", "MLflow create_model_version", "commit splits", "commit runs"} <= set(
        effects
    )


def test_every_kill_of_a_scoring(garden: Garden, tmp_path: Path) -> None:
    garden.train(garden.home)
    tracker = Tracker(garden.settings(garden.home).tracking)
    if tracker.registry.holder(TARGET, CHAMPION) is None:
        version = tracker.registry.holder(TARGET, CHALLENGER)
        assert version is not None
        tracker.promote(version, reasons={}, force=True)
    base = Path(
        shutil.copytree(garden.home, tmp_path / "base", ignore=shutil.ignore_patterns("raw", "mlflow"))
    )
    assert "commit predictions" in kill(garden, base, tmp_path, garden.score)
