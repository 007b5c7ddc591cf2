"""Share what commands need: global options, settings, a session, the printing of results."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from engage_spark import log
from engage_spark.cli import console
from engage_spark.contract import Contract, load_contract
from engage_spark.errors import NotDeliveredError
from engage_spark.ml.feature_spec import target_named
from engage_spark.pipelines.nothing_to_do import NOTHING_TO_DO
from engage_spark.pipelines.results import StageResult
from engage_spark.settings import FIRST_YEAR, LAST_YEAR, Settings, load_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EPILOG = "Global options (engage-spark --help) may stand before or after the command."


_CLAUSE_END = re.compile(r"[.;:](\s|$)|\s\(")


class CommandGroup(TyperGroup):
    """Lists its commands by the first clause of their help, and cuts none at 80 columns."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [
            (name, _first_clause(c.help or "")) for name, c in commands if c is not None and not c.hidden
        ]
        if shown:
            with formatter.section("Commands"):
                formatter.write_dl(shown)


def _first_clause(text: str) -> str:
    return _CLAUSE_END.split(" ".join(text.split()), maxsplit=1)[0]


@dataclass(frozen=True)
class Global:
    """The global options as given."""

    env: str | None
    conf_dir: Path | None
    overrides: tuple[str, ...]
    print_config: bool
    json: bool


def settings_of(ctx: typer.Context, **options: Any) -> Settings:
    """Return the merged settings.

    `options` are command options by the setting that they override, with a double underscore for the dot.
    """
    options_of_call: Global = ctx.obj
    settings = load_settings(
        options_of_call.env,
        conf=options_of_call.conf_dir,
        overrides=options_of_call.overrides,
        options=tuple(
            f"{key.replace('__', '.')}={value}" for key, value in options.items() if value is not None
        ),
    )
    if options_of_call.print_config:
        console.settings(settings, as_json=options_of_call.json)
        raise typer.Exit
    log.configure(json_lines=settings.log.json_lines, level=settings.log.level)
    return settings


@dataclass(frozen=True)
class SparkJob:
    """What a command that needs Spark works with."""

    spark: SparkSession
    settings: Settings
    contract: Contract


def require_path(settings: Settings, path: str, **hint: str) -> None:
    """Refuse a path at which nothing lies, before Spark starts; `hint` is that of the error.

    Only a path of this machine is looked at, where the session to come reads this machine's files.
    Errors: NotDeliveredError.
    """
    from engage_spark.spark.seen_paths import local_path
    from engage_spark.spark.session import active_session, is_local

    here = local_path(path)
    has_other_files = bool(
        os.environ.get("HADOOP_CONF_DIR") or "spark.hadoop.fs.defaultFS" in settings.spark.conf
    )
    if here is None or (has_other_files and here == path) or not is_local(settings):
        return
    if active_session() is None and not Path(here).exists():
        raise NotDeliveredError.at(path, **hint)


_INPUT_HINT = (
    "give the folder of the delivered files to --input, or set input.root; "
    "`engage-spark synth` makes data to try"
)


def named_targets(names: Sequence[str] | None) -> Callable[[Contract], object]:
    """Return a requirement for `spark_job`: that the contract has targets of these names."""
    return lambda contract: [target_named(contract, name) for name in names or ()]


@contextmanager
def spark_job(
    ctx: typer.Context,
    stage: str | None = None,
    *,
    reads_input: bool = False,
    require: Callable[[Contract], object] = lambda _: None,
    **options: Any,
) -> Iterator[SparkJob]:
    """Open a session for a with-block, with settings and contract; `options` are those of `settings_of`.

    Where the contract leaves `stage` nothing to do, that is shown, and the command ends before Spark starts.
    `reads_input` says that there must be something at `input.root`; `require` raises where the contract lacks
    what the command was asked for.

    Import the pipeline inside the block: a wrong setting is then reported at once, and a missing Spark in
    words.
    """
    settings = settings_of(ctx, **options)
    contract = load_contract(settings.contract)
    if reads_input:
        require_path(settings, settings.input.root, hint=_INPUT_HINT)
    require(contract)
    if stage is not None and (result := NOTHING_TO_DO[stage](contract)) is not None:
        show(ctx, result)
        raise typer.Exit
    with spark_of(settings) as spark:
        from engage_spark.lake import translate_spark_errors

        # What a pipeline does not translate itself is told in words as well, with the exit code of its cause.
        with translate_spark_errors("the command did not end"):
            yield SparkJob(spark, settings, contract)


@contextmanager
def spark_of(settings: Settings) -> Iterator[SparkSession]:
    """Open the session for a with-block, and log its start."""
    from engage_spark.spark.session import open_session

    with ExitStack() as opened:
        with log.stage("starting Spark"):
            spark = opened.enter_context(open_session(settings))
        yield spark


def show(ctx: typer.Context, result: StageResult) -> None:
    """Print a result to standard output: in words, or as JSON with `--json`."""
    if ctx.obj.json:
        console.json_object(result)
    else:
        console.show(result)


def day_of(text: str) -> date:
    """Return a day as given on a command line."""
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year < LAST_YEAR:
        raise typer.BadParameter(f"{text!r} is not a day; write it as 2025-10-21")
    return day


Day = Annotated[date | None, typer.Option(parser=day_of, metavar="YYYY-MM-DD", help="day of the snapshot")]
Force = Annotated[bool, typer.Option("--force", help="do it again even if nothing has changed since")]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help="one target, may be repeated (default: all that the contract declares)",
    ),
]
AsOf = Annotated[
    date | None,
    typer.Option(parser=day_of, metavar="YYYY-MM-DD", help="labels known by then (default today)"),
]
