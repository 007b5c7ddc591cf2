"""What the notebooks share: parameters as widgets, settings, the session that is there, reports and tables to
look at.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engage_spark import log
from engage_spark.cli import console
from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, GateError
from engage_spark.pipelines.results import Report
from engage_spark.settings import load_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

WIDGETS = {"env": "databricks", "set": "", "snapshot_date": ""}
"""Parameters of every notebook: the overlay of the configuration, `key=value` settings between blanks, a day
(default: all that is new).
"""


class Notebook:
    """One notebook. `dbutils` is Databricks' own, or None elsewhere: then the settings come from files and
    environment alone.

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

    def run(self, pipeline: str, **arguments: Any) -> None:
        """One pipeline, for the notebook's day where it takes one; its report is shown, also when a gate
        rejects the data.
        """
        log.configure(json_lines=self.settings.log.json_lines, level=self.settings.log.level)
        folder = pipeline in ("ingest", "graph", "train")
        module = import_module(f"engage_spark.pipelines.{pipeline}{'.run' if folder else ''}")
        function = getattr(module, f"run_{pipeline}", None) or module.run
        try:
            console.reports(function(self.spark, self.settings, contract=self.contract, **arguments))
        except GateError as e:
            if isinstance(e.result, Report):
                console.reports(e.result)
            raise

    def models(self) -> None:
        """Champions and challengers, as `engage-spark models` shows them."""
        from engage_spark.pipelines import models

        console.reports(models.run(self.settings, contract=self.contract))

    def table(self, name: str) -> DataFrame:
        """A table of the lake, for display."""
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
