"""Declare the commands of `engage-spark`.

Spark is imported inside them, so that `--help`, `contract` and `doctor` are quick and need no Java.

To add a command: write a function with its options that opens a `spark_job`, calls its pipeline and shows the
result.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from engage_spark import __version__
from engage_spark.cli import ask, console, contract, insight, models, pipeline, quality, report, sql, tables
from engage_spark.cli.common import (
    EPILOG,
    AsOf,
    CommandGroup,
    Day,
    Force,
    Global,
    Targets,
    named_targets,
    settings_of,
    show,
    spark_job,
)
from engage_spark.cli.ingest_stream import ingest_stream, seconds_of
from engage_spark.errors import EngageError, UsageError
from engage_spark.pipelines.results import StageResult

HOISTED = {
    "--env": True,
    "--conf-dir": True,
    "--set": True,
    "--contract": True,
    "--print-config": False,
    "--json-logs": False,
    "--json": False,
}
"""The global options, and whether a value follows. They may stand before or after the command."""


_USAGE_ERROR: type[BaseException] = typer.BadParameter.__mro__[1]
"""What typer raises for every wrong command line; the class that holds it is not the same in all versions."""


class _Group(CommandGroup):
    """Ctrl-C ends with 130, as shells expect; click on its own would make it 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.stderr("stopped. What was not finished is not published; run the command again.")
            raise SystemExit(130) from None


app = typer.Typer(
    name="engage-spark",
    cls=_Group,
    help="Trusted features, graph measures and models by a data contract: raw files in, Delta tables out.",
    epilog=(
        "Exit codes: 0 done, 1 unexpected failure, 2 configuration or input, 3 quality gate, "
        "4 worth a retry, 130 stopped."
    ),
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(contract.app, name="contract")
app.add_typer(quality.app, name="quality")
app.add_typer(models.app, name="models")
app.add_typer(tables.app, name="tables")
app.add_typer(insight.app, name="insight")
for _command in (pipeline.pipeline, sql.sql, ask.ask, report.report):
    app.command(epilog=EPILOG)(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line. Returns on success; otherwise SystemExit carries the exit code, and what is
    unexpected keeps its traceback.
    """
    words, as_json = _hoist(list(sys.argv[1:] if argv is None else argv))
    try:
        if code := app(args=words, prog_name="engage-spark", standalone_mode=False):
            raise SystemExit(code)
    except SystemExit as e:
        if e.code:  # success must return: Databricks counts any SystemExit as a failed job
            raise
    except typer.Abort:
        console.stderr("Aborted!")
        raise SystemExit(1) from None
    except _USAGE_ERROR as e:
        if as_json:
            console.json_error(_usage_error(e))
        console.usage_error(e)
        raise SystemExit(2) from None
    except EngageError as e:
        if as_json:
            console.json_error(e)
        elif isinstance(e.result, StageResult):
            console.show(e.result)
        console.error(e)
        raise SystemExit(e.exit_code) from None
    except Exception as e:
        e.add_note("engage-spark did not expect this. `engage-spark doctor` checks the environment.")
        sys.excepthook = console.unexpected
        raise


def _hoist(argv: list[str]) -> tuple[list[str], bool]:
    """Move the global options to the front, and return whether `--json` is one of them.

    A word that is the value of an option stays with it, whatever it looks like.
    """
    command: Any = typer.main.get_command(app)
    front: list[str] = []
    rest: list[str] = []
    as_json = False
    words = iter(argv)
    for word in words:
        name, equals, _ = word.partition("=")
        if word == "--":
            rest += [word, *words]
            continue
        is_global = name in HOISTED
        as_json |= word == "--json"
        place = front if is_global else rest
        place.append(word)
        takes_value = HOISTED[name] if is_global else name in _valued_options(command)
        if takes_value and not equals:
            value = next(words, None)
            if value is None:
                return front if is_global else front + rest, as_json  # no word is to pass for the value
            place.append(value)
        elif not is_global:
            command = getattr(command, "commands", {}).get(word, command)
    return front + rest, as_json


def _valued_options(command: Any) -> set[str]:
    """Return the options of a command that are followed by a value."""
    options = (p for p in command.params if p.param_type_name == "option" and not p.is_flag)
    return {name for option in options for name in option.opts}


def _usage_error(error: Any) -> UsageError:
    """Return typer's complaint about a command line as an error of the package."""
    command = "engage-spark" if error.ctx is None else error.ctx.command_path
    return UsageError(error.format_message(), hint=f"`{command} --help` lists what there is")


@app.callback(invoke_without_command=True)
def _globals(
    ctx: typer.Context,
    env: Annotated[
        str | None,
        typer.Option(help="overlay of the configuration: local (default), s3, cluster, databricks"),
    ] = None,
    conf_dir: Annotated[Path | None, typer.Option(help="directory of base.yaml and its overlays")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override a setting; may be repeated"),
    ] = None,
    contract: Annotated[
        Path | None, typer.Option(help="data contract to work by instead of the packaged one")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="show the merged settings without secrets, and stop")
    ] = False,
    json_logs: Annotated[
        bool, typer.Option("--json-logs", help="progress as JSON lines on standard error")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="the result as JSON on standard output, and nothing else there")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="show the version, and stop")] = False,
) -> None:
    overrides = [
        *(sets or []),
        *([f"contract={contract}"] if contract else []),
        *(["log.json_lines=true"] if json_logs else []),
    ]
    ctx.obj = Global(
        env=env, conf_dir=conf_dir, overrides=tuple(overrides), print_config=print_config, json=json
    )
    if version:
        console.line(f"engage-spark {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        if print_config:
            settings_of(ctx)
        console.document(ctx.get_help() + "\n")
        raise typer.Exit


@app.command(epilog=EPILOG)
def demo(
    ctx: typer.Context,
    customers: Annotated[int | None, typer.Option(help="how many customers to make (default 10000)")] = None,
) -> None:
    """Run the whole way on synthetic data: make them, ingest, derive features, measure the graph, train,
    score, analyze.
    """
    with spark_job(ctx, synth__customers=customers) as job:
        from engage_spark.pipelines.demo import run_demo

        def show_stage(result: StageResult) -> None:
            if not ctx.obj.json:
                console.show(result)

        result = run_demo(job.spark, job.settings, contract=job.contract, on_result=show_stage)
        if ctx.obj.json:
            show(ctx, result)
        else:
            console.next_steps()


@app.command(epilog=EPILOG)
def synth(
    ctx: typer.Context,
    customers: Annotated[int | None, typer.Option(help="how many customers (default 10000)")] = None,
    snapshots: Annotated[int | None, typer.Option(help="how many consecutive days (default 1)")] = None,
    seed: Annotated[int | None, typer.Option(help="same seed, same rows")] = None,
    out: Annotated[
        str | None, typer.Option(help="where to: PATH/customers/, PATH/connections/, PATH/interactions/")
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="plant bad rows, and list what was planted")
    ] = False,
) -> None:
    """Make data that follow the contract's figures."""
    with spark_job(
        ctx,
        synth__customers=customers,
        synth__snapshots=snapshots,
        synth__seed=seed,
        synth__out=out,
        synth__faults=True if faults else None,
    ) as job:
        from engage_spark.pipelines.synth import run_synth

        show(ctx, run_synth(job.spark, job.settings, contract=job.contract))


@app.command(epilog=EPILOG)
def ingest(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Option("--input", help="folder with one subfolder per input table, or its s3a: address"),
    ] = None,
    snapshot_date: Day = None,
    force: Force = False,
    tables: Annotated[
        list[str] | None,
        typer.Option(
            "--table", metavar="NAME", help="one input table, may be repeated (default: all of the contract)"
        ),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="logs only: take up new files, each batch of them as a run of its own"),
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(
            parser=seconds_of,
            metavar="INTERVAL",
            help="with --stream: look again and again, such as every 30s, 5min or 1h (default: once)",
        ),
    ] = None,
) -> None:
    """Read raw files, check every row, write the checked tables; exit code 3 when a gate rejects the
    snapshot.
    """
    if not stream and every is not None:
        raise typer.BadParameter("--every goes with --stream")
    if stream and (snapshot_date or force):
        raise typer.BadParameter("--stream takes up new files alone: leave out --snapshot-date and --force")
    with spark_job(ctx, reads_input=True, input__root=source) as job:
        if stream:
            ingest_stream(ctx, job, tables=tables, every=every)
            return
        from engage_spark.pipelines.ingest.run import run_ingest

        result = run_ingest(
            job.spark,
            job.settings,
            contract=job.contract,
            snapshot_date=snapshot_date,
            force=force,
            tables=tables or None,
        )
        show(ctx, result)


@app.command(epilog=EPILOG)
def features(ctx: typer.Context, snapshot_date: Day = None, force: Force = False) -> None:
    """Derive the contract's features for a published snapshot (default: every snapshot that lacks them)."""
    with spark_job(ctx, "features") as job:
        from engage_spark.pipelines.features import run_features

        result = run_features(
            job.spark, job.settings, contract=job.contract, snapshot_date=snapshot_date, force=force
        )
        show(ctx, result)


@app.command(epilog=EPILOG)
def graph(
    ctx: typer.Context,
    snapshot_date: Day = None,
    force: Force = False,
    method: Annotated[
        str | None, typer.Option(help="auto, exact or sampled (default auto: exact where it is affordable)")
    ] = None,
) -> None:
    """Measure each vertex's place in the graph (default: of every snapshot that lacks it)."""
    with spark_job(ctx, "graph", graph__method=method) as job:
        from engage_spark.pipelines.graph.run import run_graph

        result = run_graph(
            job.spark, job.settings, contract=job.contract, snapshot_date=snapshot_date, force=force
        )
        show(ctx, result)


@app.command(epilog=EPILOG)
def train(
    ctx: typer.Context,
    target: Targets = None,
    as_of: AsOf = None,
    policy: Annotated[
        str | None,
        typer.Option(help="strict or permissive: what happens to features that leak (default strict)"),
    ] = None,
    force: Force = False,
) -> None:
    """Train, evaluate and register a model per target on matured snapshots; exit code 3 when the leakage
    audit stops it.
    """
    with spark_job(
        ctx, None if target else "train", require=named_targets(target), models__policy=policy
    ) as job:
        from engage_spark.pipelines.train.run import run_train

        result = run_train(
            job.spark,
            job.settings,
            contract=job.contract,
            target=tuple(target or ()),
            as_of=as_of,
            force=force,
        )
        show(ctx, result)


@app.command(epilog=EPILOG)
def score(
    ctx: typer.Context,
    snapshot_date: Day = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="one target, may be repeated (default: all that have a champion)"),
    ] = None,
    force: Force = False,
) -> None:
    """Predict a snapshot with the champions (default: the newest, and older ones that lack predictions), with
    intervals and reasons, into `predictions`.
    """
    with spark_job(ctx, None if target else "score", require=named_targets(target)) as job:
        from engage_spark.pipelines.score import run_score

        result = run_score(
            job.spark,
            job.settings,
            contract=job.contract,
            snapshot_date=snapshot_date,
            target=tuple(target or ()),
            force=force,
        )
        show(ctx, result)


@app.command(epilog=EPILOG)
def monitor(
    ctx: typer.Context,
    snapshot_date: Day = None,
    target: Targets = None,
    as_of: AsOf = None,
    force: Force = False,
) -> None:
    """Judge predictions whose labels have become known (default: of every such day), into `model_monitoring`;
    exit code 3 when a measure is past the contract's bound.
    """
    with spark_job(ctx, None if target else "monitor", require=named_targets(target)) as job:
        from engage_spark.pipelines.monitor.run import run_monitor

        result = run_monitor(
            job.spark,
            job.settings,
            contract=job.contract,
            snapshot_date=snapshot_date,
            target=tuple(target or ()),
            as_of=as_of,
            force=force,
        )
        show(ctx, result)


@app.command(epilog=EPILOG)
def analyze(ctx: typer.Context, snapshot_date: Day = None, force: Force = False) -> None:
    """Describe the valid rows of a snapshot (default: of each snapshot that is not up to date): segments,
    weeks and months, cohorts, correlations, changes, and what the contract claims of them.
    """
    with spark_job(ctx) as job:
        from engage_spark.pipelines.analyze.run import run_analyze

        result = run_analyze(
            job.spark, job.settings, contract=job.contract, snapshot_date=snapshot_date, force=force
        )
        show(ctx, result)


@app.command(epilog=EPILOG)
def runs(ctx: typer.Context, snapshot_date: Day = None) -> None:
    """Show what became of every attempt: published or rejected, on which rows, why."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.runs import list_runs

        show(ctx, list_runs(job.spark, job.settings, snapshot_date=snapshot_date))


@app.command(epilog=EPILOG)
def doctor(
    ctx: typer.Context,
    fetch_jars: Annotated[
        bool,
        typer.Option(
            "--fetch-jars",
            help="download missing jars, and write an archive of Spark's classes (0.2 GB), from which "
            "sessions on this machine start sooner",
        ),
    ] = False,
) -> None:
    """Check Java, Python, Spark, jars, memory, storage and write access, and say how to fix each."""
    from engage_spark.doctor import examine

    settings = settings_of(ctx)
    checks = examine(settings, fetch_jars=fetch_jars)
    failed = any(c.state == "fail" for c in checks)
    if ctx.obj.json:
        console.json_object({"ok": not failed, "checks": checks})
    else:
        console.diagnoses(checks)
    if failed:
        raise SystemExit(2)
