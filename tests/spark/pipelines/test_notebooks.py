"""Every notebook runs: as a plain script, and with Databricks' widgets and display; on a lake of 200
customers.
"""

from __future__ import annotations

import runpy
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.pipelines import models, synth
from engage_spark.settings import Settings
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.timeout(600)
NOTEBOOKS = ROOT / "notebooks"


class Widgets:
    """Databricks' dbutils, as far as notebooks use it."""

    def __init__(self, **chosen: str) -> None:
        self.chosen, self.declared = chosen, dict[str, str]()
        self.widgets = self

    def text(self, name: str, default: str) -> None:
        self.declared[name] = default

    def get(self, name: str) -> str:
        return self.chosen.get(name, self.declared[name])


@pytest.fixture(scope="module")
def home(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the raw data; the lake comes to be beside it, notebook by notebook."""
    home = tmp_path_factory.mktemp("notebooks")
    # Two days, of which the labels of one are known.
    made = {"out": str(home / "raw"), "customers": 200, "end_date": date(2025, 10, 21)}
    synth.run_synth(
        spark,
        session_settings.model_copy(update={"synth": session_settings.synth.model_copy(update=made)}),
        contract=load_contract(None),
    )
    return home


@pytest.fixture
def places(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    places = {"input.root": home / "raw", "lake.root": home / "lake", "tracking.folder": home / "mlflow"}
    return {key: str(place) for key, place in places.items()} | {"ingest.landed_at": "2025-11-21T00:30:00Z"}


def run(name: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    for key, place in places.items():
        monkeypatch.setenv(f"ENGAGE_SPARK__{key.replace('.', '__').upper()}", place)
    return runpy.run_path(str(NOTEBOOKS / name), init_globals=more)


@pytest.mark.slow
def test_raw_files_become_features_and_a_graph(
    spark: SparkSession,
    home: Path,
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = run("01_ingest_features_graph.py", places, monkeypatch)
    out = capsys.readouterr().out
    for fragment in ("ingest", "features", "graph", "published", "snapshot_date"):
        assert fragment in out
    assert shown["notebook"].table("customer_features").count() == 200
    assert shown["notebook"].table("graph_features").count() == 200
    run("04_quality.py", places, monkeypatch)
    out = capsys.readouterr().out
    assert "quality show" in out and "2025-10-21" in out
    answers = run("05_answers.py", places, monkeypatch)["answers"]
    assert [a.is_answered for a in answers] == [True, True]
    out = capsys.readouterr().out
    assert "analyze" in out and "200" in answers[0].text and answers[0].text in out


@pytest.mark.slow
def test_widgets_say_where_and_which_day_and_display_is_databricks_own(
    spark: SparkSession, home: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    widgets = Widgets(
        env="local",
        set=" ".join(f"{key}={place}" for key, place in places.items()),
        snapshot_date="2025-10-21",
    )
    displayed: list[DataFrame] = []
    shown = run("01_ingest_features_graph.py", {}, monkeypatch, dbutils=widgets, display=displayed.append)
    assert widgets.declared == {"env": "databricks", "set": "", "snapshot_date": ""}
    assert shown["notebook"].settings.lake.root == places["lake.root"]
    assert {row.status for row in displayed[0].collect()} == {"published"}
    assert displayed[1].count() == 10


@pytest.mark.slow
def test_models_are_trained_and_score(
    spark: SparkSession,
    home: Path,
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("01_ingest_features_graph.py", places, monkeypatch)
    small = {"candidates": '["linear"]', "folds": "2", "keep": "8", "bootstrap": "20", "smallest_group": "20"}
    settings = places | {f"models.{key}": value for key, value in small.items()}
    trained = run("02_train.py", settings, monkeypatch)["notebook"]
    assert trained.table("training_runs").count() == 3
    # so few customers may fail a gate
    for target in ("engagement_score", "churn_30_day", "lifetime_value_usd"):
        models.promote_model(
            trained.settings, contract=trained.contract, target=target, version=1, force=True
        )
    scored = run("03_score.py", settings, monkeypatch)["notebook"]
    assert scored.table("predictions").count() == 3 * 200
    assert "champion" in capsys.readouterr().out


def test_a_day_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="'yesterday', which is not a day"):
        run("03_score.py", {}, monkeypatch, dbutils=Widgets(env="local", snapshot_date="yesterday"))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.py")), ids=lambda p: p.stem)
def test_a_notebook_is_of_databricks_source_format_and_has_no_logic(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# Databricks notebook source\n")
    assert "\n# COMMAND ----------\n" in text
    assert not [
        word for word in ("\ndef ", "\nclass ", "\nif ", "\nfor ", "\nwhile ", "pyspark") if word in text
    ]
