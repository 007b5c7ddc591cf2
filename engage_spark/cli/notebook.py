"""Share what notebooks need: parameters as widgets, settings, the session, one method for each stage."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from engage_spark import log
from engage_spark.cli import console
from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, GateError
from engage_spark.pipelines.results import (
    AnalyzeResult,
    FeaturesResult,
    GraphResult,
    IngestResult,
    ModelsResult,
    ScoreResult,
    ShowResult,
    StageResult,
    TrainResult,
)
from engage_spark.settings import load_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from engage_spark.insight.ask import Conversation
    from engage_spark.insight.ask.conversation import SpokenReply

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
        parameters = dict.fromkeys(WIDGETS, "")
        if dbutils is not None:
            for key, default in WIDGETS.items():
                dbutils.widgets.text(key, default)
                parameters[key] = str(dbutils.widgets.get(key)).strip()
        self.settings = load_settings(parameters["env"] or None, overrides=parameters["set"].split())
        self.contract = load_contract(self.settings.contract)
        self.snapshot_date = _day(parameters["snapshot_date"])
        self._conversation: Conversation | None = None
        self._open = ExitStack()
        atexit.register(self._open.close)

    @property
    def spark(self) -> Any:
        """The session, with the options that results rest on, whoever has built it."""
        from engage_spark.spark.session import active_session, get_session, open_session

        if active_session() is not None:
            return get_session(self.settings)
        return self._open.enter_context(open_session(self.settings))

    def ingest(self, *, snapshot_date: date | None = None, force: bool = False) -> IngestResult:
        """Run ingest for a day (default: the notebook's) and show its result."""
        from engage_spark.pipelines.ingest.run import run_ingest

        day = snapshot_date or self.snapshot_date
        return self._run(
            lambda: run_ingest(
                self.spark, self.settings, contract=self.contract, snapshot_date=day, force=force
            )
        )

    def features(self, *, snapshot_date: date | None = None, force: bool = False) -> FeaturesResult:
        """Derive features for a day (default: the notebook's) and show the result."""
        from engage_spark.pipelines.features import run_features

        day = snapshot_date or self.snapshot_date
        return self._run(
            lambda: run_features(
                self.spark, self.settings, contract=self.contract, snapshot_date=day, force=force
            )
        )

    def graph(self, *, snapshot_date: date | None = None, force: bool = False) -> GraphResult:
        """Measure the graph of a day (default: the notebook's) and show the result."""
        from engage_spark.pipelines.graph.run import run_graph

        day = snapshot_date or self.snapshot_date
        return self._run(
            lambda: run_graph(
                self.spark, self.settings, contract=self.contract, snapshot_date=day, force=force
            )
        )

    def train(
        self, *, target: Sequence[str] = (), as_of: date | None = None, force: bool = False
    ) -> TrainResult:
        """Train targets (default: all of them) on what has matured by a day, and show the result."""
        from engage_spark.pipelines.train.run import run_train

        return self._run(
            lambda: run_train(
                self.spark, self.settings, contract=self.contract, target=target, as_of=as_of, force=force
            )
        )

    def score(
        self, *, snapshot_date: date | None = None, target: Sequence[str] = (), force: bool = False
    ) -> ScoreResult:
        """Score a day (default: the notebook's) and show the result."""
        from engage_spark.pipelines.score import run_score

        day = snapshot_date or self.snapshot_date
        return self._run(
            lambda: run_score(
                self.spark,
                self.settings,
                contract=self.contract,
                snapshot_date=day,
                target=target,
                force=force,
            )
        )

    def analyze(self, *, snapshot_date: date | None = None, force: bool = False) -> AnalyzeResult:
        """Describe the customers of a day (default: the notebook's) and show the result."""
        from engage_spark.pipelines.analyze.run import run_analyze

        day = snapshot_date or self.snapshot_date
        return self._run(
            lambda: run_analyze(
                self.spark, self.settings, contract=self.contract, snapshot_date=day, force=force
            )
        )

    def quality(self, *, snapshot_date: date | None = None, table: str | None = None) -> ShowResult:
        """Show what was broken on a day that was checked (default: the notebook's, or the newest)."""
        from engage_spark.pipelines.quality.show import run_show

        day = snapshot_date or self.snapshot_date
        return self._run(
            lambda: run_show(
                self.spark, self.settings, contract=self.contract, snapshot_date=day, table=table
            )
        )

    def ask(self, *questions: str) -> list[SpokenReply]:
        """Answer questions as `engage-spark ask` does, as one conversation, and show the answers.

        Of a lake in a catalog none is answered, and that is said: questions read the lake by path.
        """
        if self.settings.lake.catalog:
            console.document("Questions are answered of a lake below a path; this one is in a catalog.\n")
            return []
        from engage_spark.insight.ask import Conversation
        from engage_spark.insight.session import open_insight

        if self._conversation is None:
            self._conversation = Conversation(open_insight(self.settings))
        replies = [self._conversation.ask(question) for question in questions]
        for reply in replies:
            console.document(f"{reply.text}\n")
        return replies

    def models(self) -> ModelsResult:
        """List champions and challengers as `engage-spark models` does."""
        from engage_spark.pipelines.models import list_models

        result = list_models(self.settings, contract=self.contract)
        console.show(result)
        return result

    def _run(self, stage: Callable[[], R]) -> R:
        """Run a stage and show its result, also when a gate rejects the data."""
        log.configure(json_lines=self.settings.log.json_lines, level=self.settings.log.level)
        try:
            result = stage()
        except GateError as e:
            if isinstance(e.result, StageResult):
                console.show(e.result)
            raise
        console.show(result)
        return result

    def table(self, name: str) -> DataFrame:
        """Return what readers see of a table of the lake, for display; `runs` and its like are shown whole.

        The names are those of `engage-spark sql`. Nothing of a rejected or replaced run is shown.
        Cost: a scan of `runs`; none of the table.
        Errors: ConfigurationError where there is no such table.
        """
        from engage_spark.lake import Lake, RunLog
        from engage_spark.pipelines.views import views_of
        from engage_spark.spark.sql_text import quoted_name

        lake = Lake(self.settings.lake)
        view = {v.name: v for v in views_of(self.contract)}.get(name)
        rows: DataFrame = lake.read(self.spark, view.stored if view else name)
        if view is None:
            return rows
        runs = view.runs(RunLog(lake).publication(self.spark))
        present = {column.lower() for column in rows.columns}
        shown = rows.where(view.condition(runs, rows.columns, quoted_name))
        return shown.select(*(quoted_name(c) for c in view.columns if c.lower() in present))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(
            f"snapshot_date is {text!r}, which is not a day", hint="write it as 2025-10-21, or leave it empty"
        ) from None
