"""Share what notebooks need: parameters as widgets, settings, the session, one method for each stage."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from engage_spark import log
from engage_spark.cli import console
from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, GateError
from engage_spark.pipelines.results import (
    FeaturesResult,
    GraphResult,
    IngestResult,
    ModelsResult,
    ScoreResult,
    StageResult,
    TrainResult,
)
from engage_spark.settings import load_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

R = TypeVar("R", bound=StageResult)
WIDGETS = {"env": "databricks", "set": "", "snapshot_date": ""}
"""Parameters of every notebook: the overlay of the configuration, `key=value` settings between blanks, a day
(default: all that is new).
"""


class Notebook:
    """One notebook.

    `dbutils` is Databricks' own, or None elsewhere: then the settings come from files and environment.

    On Databricks the session is given; elsewhere one is built on the first run, and stopped when the process
    ends.
    """

    def __init__(self, dbutils: Any = None) -> None:
        given = dict.fromkeys(WIDGETS, "")
        if dbutils is not None:
            for key, default in WIDGETS.items():
                dbutils.widgets.text(key, default)
                given[key] = str(dbutils.widgets.get(key)).strip()
        self.settings = load_settings(given["env"] or None, overrides=given["set"].split())
        self.contract = load_contract(self.settings.contract)
        self.snapshot_date = _day(given["snapshot_date"])
        self._open = ExitStack()
        atexit.register(self._open.close)

    @property
    def spark(self) -> Any:
        """The session."""
        from engage_spark.spark.session import active_session, open_session

        return active_session() or self._open.enter_context(open_session(self.settings))

    def ingest(self, **options: Any) -> IngestResult:
        """Run ingest for the notebook's day and show its result; `options` are those of `run_ingest`."""
        from engage_spark.pipelines.ingest.run import run_ingest

        return self._run(run_ingest, **self._day(options))

    def features(self, **options: Any) -> FeaturesResult:
        """Derive features for the notebook's day, show the result; `options` are those of `run_features`."""
        from engage_spark.pipelines.features import run_features

        return self._run(run_features, **self._day(options))

    def graph(self, **options: Any) -> GraphResult:
        """Measure the graph of the notebook's day and show the result; `options` are those of `run_graph`."""
        from engage_spark.pipelines.graph.run import run_graph

        return self._run(run_graph, **self._day(options))

    def train(self, **options: Any) -> TrainResult:
        """Train every target and show the result; `options` are those of `run_train`."""
        from engage_spark.pipelines.train.run import run_train

        return self._run(run_train, **options)

    def score(self, **options: Any) -> ScoreResult:
        """Score the notebook's day and show the result; `options` are those of `run_score`."""
        from engage_spark.pipelines.score import run_score

        return self._run(run_score, **self._day(options))

    def models(self) -> ModelsResult:
        """List champions and challengers as `engage-spark models` does."""
        from engage_spark.pipelines.models import list_models

        result = list_models(self.settings, contract=self.contract)
        console.show(result)
        return result

    def _day(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"snapshot_date": self.snapshot_date} | options

    def _run(self, pipeline: Callable[..., R], **options: Any) -> R:
        """Run a pipeline and show its result, also when a gate rejects the data."""
        log.configure(json_lines=self.settings.log.json_lines, level=self.settings.log.level)
        try:
            result = pipeline(self.spark, self.settings, contract=self.contract, **options)
        except GateError as e:
            if isinstance(e.result, StageResult):
                console.show(e.result)
            raise
        console.show(result)
        return result

    def table(self, name: str) -> DataFrame:
        """Return a table of the lake, for display."""
        from engage_spark.lake import Lake

        rows: DataFrame = Lake(self.settings.lake).read(self.spark, name)
        return rows


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(
            f"snapshot_date is {text!r}, which is no day", hint="write it as 2025-10-21, or leave it empty"
        ) from None
