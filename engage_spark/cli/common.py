"""What the commands share: the global options, the settings that follow from them, and a pipeline's whole way
from settings to report.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engage_spark import log
from engage_spark.cli import console
from engage_spark.contract import load_contract
from engage_spark.settings import Settings, load_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EPILOG = "Global options (engage-spark --help) may stand before or after the command."


@dataclass(frozen=True)
class Global:
    """The global options as typed."""

    env: str | None
    conf_dir: Path | None
    overrides: tuple[str, ...]
    print_config: bool


def settings_of(ctx: typer.Context, **options: Any) -> Settings:
    """The merged settings; `options` are command options by the setting they override (a double underscore
    for the dot).
    """
    chosen: Global = ctx.obj
    own = tuple(f"{key.replace('__', '.')}={value}" for key, value in options.items() if value is not None)
    settings = load_settings(chosen.env, conf=chosen.conf_dir, overrides=chosen.overrides + own)
    if chosen.print_config:
        console.settings(settings)
        raise typer.Exit
    log.configure(json_lines=settings.log.json_lines, level=settings.log.level)
    return settings


def run_pipeline(
    ctx: typer.Context, pipeline: str, *, overrides: dict[str, Any] | None = None, **arguments: Any
) -> None:
    """Settings, contract, session, pipeline, report: the whole of every Spark command."""
    settings = settings_of(ctx, **(overrides or {}))
    contract = load_contract(settings.contract)
    with spark_of(settings) as spark:
        # A pipeline of several stages yields each report when the stage is done, so they are shown while the
        # session lives.
        module = import_module(f"engage_spark.pipelines.{pipeline}")
        function = getattr(module, f"run_{pipeline.partition('.')[0]}", None) or module.run
        console.reports(function(spark, settings, contract=contract, **arguments))


@contextmanager
def spark_of(settings: Settings) -> Iterator[SparkSession]:
    """The session for a with-block, its start told."""
    from engage_spark.spark.session import open_session

    with ExitStack() as opened:
        with log.stage("starting Spark"):
            spark = opened.enter_context(open_session(settings))
        yield spark


def day_of(text: str) -> date:
    """A day as typed on a command line."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; write it as 2025-10-21") from None


Day = Annotated[date | None, typer.Option(parser=day_of, metavar="YYYY-MM-DD")]
Force = Annotated[bool, typer.Option("--force", help="do it again even if the snapshot is there already")]
