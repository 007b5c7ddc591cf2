"""The commands. Spark is imported inside them, so that `--help`, `contract` and `doctor` are quick and need
no Java.

To add a command: a function with its options, whose body is `_run(ctx, "its_pipeline_module", option=value,
…)`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from engage_spark import __version__
from engage_spark.cli import console, models, quality
from engage_spark.cli.common import EPILOG, Day, Force, Global, day_of
from engage_spark.cli.common import run_pipeline as _run
from engage_spark.cli.common import settings_of as _settings
from engage_spark.contract import load_contract
from engage_spark.errors import EngageError, GateError
from engage_spark.pipelines.results import Report
from engage_spark.text_files import write_text

HOISTED = {
    "--env": True,
    "--conf-dir": True,
    "--set": True,
    "--contract": True,
    "--print-config": False,
    "--json-logs": False,
}
"""The global options, and whether a value follows. They may stand before or after the command."""


class _Group(TyperGroup):
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
    help="Trusted features, graph measures and models about customers: raw Parquet in, Delta tables out.",
    epilog="Exit codes: 0 done, 1 unexpected failure, 2 configuration or input, 3 quality gate, 4 worth a retry, 130 stopped.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
contract_app = typer.Typer(
    help="Look at, check and document the data contract. Needs no Spark.", no_args_is_help=True, epilog=EPILOG
)
app.add_typer(contract_app, name="contract")
app.add_typer(quality.app, name="quality")
app.add_typer(models.app, name="models")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line. Returns on success; otherwise SystemExit carries the exit code, and what is
    unexpected keeps its traceback.
    """
    try:
        app(args=_hoist(list(sys.argv[1:] if argv is None else argv)), prog_name="engage-spark")
    except SystemExit as e:
        if e.code:  # success must return: Databricks counts any SystemExit as a failed job
            raise
    except EngageError as e:
        if isinstance(e, GateError) and isinstance(e.result, Report):
            console.reports(e.result)
        console.error(e)
        raise SystemExit(e.exit_code) from None
    except Exception as e:
        e.add_note("engage-spark did not expect this. `engage-spark doctor` checks the environment.")
        raise


def _hoist(argv: list[str]) -> list[str]:
    """Move the global options to the front."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, _ = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif name not in HOISTED:
            rest.append(word)
        else:
            front.append(word)
            if HOISTED[name] and not equals and (value := next(words, None)) is not None:
                front.append(value)
    return front + rest


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
    version: Annotated[bool, typer.Option("--version", help="show the version, and stop")] = False,
) -> None:
    overrides = [
        *(sets or []),
        *([f"contract={contract}"] if contract else []),
        *(["log.json_lines=true"] if json_logs else []),
    ]
    ctx.obj = Global(env=env, conf_dir=conf_dir, overrides=tuple(overrides), print_config=print_config)
    if version:
        print(f"engage-spark {__version__}")  # noqa: T201
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        if print_config:
            _settings(ctx)
        print(ctx.get_help())  # noqa: T201
        raise typer.Exit


@app.command(epilog=EPILOG)
def demo(
    ctx: typer.Context,
    customers: Annotated[int | None, typer.Option(help="how many customers to make (default 10000)")] = None,
) -> None:
    """The whole way on made-up data: make it, ingest it, derive the features, measure the graph."""
    _run(ctx, "demo", overrides={"synth__customers": customers})


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
    """Make data that follows the contract's figures."""
    chosen = {
        "customers": customers,
        "snapshots": snapshots,
        "seed": seed,
        "out": out,
        "faults": True if faults else None,
    }
    _run(ctx, "synth", overrides={f"synth__{key}": value for key, value in chosen.items()})


@app.command(epilog=EPILOG)
def ingest(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Option("--input", help="folder with one subfolder per input table, or its s3a: address"),
    ] = None,
    snapshot_date: Day = None,
    force: Force = False,
) -> None:
    """Read raw files, judge every row, write the judged tables; exit code 3 when a gate rejects the snapshot."""
    _run(ctx, "ingest.run", overrides={"input__root": source}, snapshot_date=snapshot_date, force=force)


@app.command(epilog=EPILOG)
def features(ctx: typer.Context, snapshot_date: Day = None, force: Force = False) -> None:
    """Derive the contract's features for a published snapshot (default: every snapshot that lacks them)."""
    _run(ctx, "features", snapshot_date=snapshot_date, force=force)


@app.command(epilog=EPILOG)
def graph(
    ctx: typer.Context,
    snapshot_date: Day = None,
    force: Force = False,
    method: Annotated[
        str | None, typer.Option(help="auto, exact or sampled (default auto: exact where it is affordable)")
    ] = None,
) -> None:
    """Measure every customer's place in the graph (default: of every snapshot that lacks it)."""
    _run(ctx, "graph.run", overrides={"graph__method": method}, snapshot_date=snapshot_date, force=force)


@app.command(epilog=EPILOG)
def train(
    ctx: typer.Context,
    target: Annotated[
        list[str] | None,
        typer.Option(help="one target, may be repeated (default: all that the contract declares)"),
    ] = None,
    as_of: Annotated[
        date | None,
        typer.Option(parser=day_of, metavar="YYYY-MM-DD", help="labels known by then (default today)"),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="strict or permissive: what happens to features that leak (default strict)"),
    ] = None,
    force: Force = False,
) -> None:
    """Train, judge and register a model per target on matured snapshots; exit code 3 when the leakage audit
    stops it.
    """
    _run(
        ctx,
        "train.run",
        overrides={"models__policy": policy},
        target=tuple(target or ()),
        as_of=as_of,
        force=force,
    )


@app.command(epilog=EPILOG)
def score(
    ctx: typer.Context,
    snapshot_date: Day = None,
    target: Annotated[
        list[str] | None, typer.Option(help="one target, may be repeated (default: all that have a champion)")
    ] = None,
    force: Force = False,
) -> None:
    """Let the champions predict for a snapshot (default: every one that lacks it), with intervals and
    reasons, into `predictions`.
    """
    _run(ctx, "score", snapshot_date=snapshot_date, target=tuple(target or ()), force=force)


@app.command(epilog=EPILOG)
def runs(ctx: typer.Context, snapshot_date: Day = None) -> None:
    """Show what became of every attempt: published or rejected, on which rows, why."""
    _run(ctx, "runs", snapshot_date=snapshot_date)


@app.command(epilog=EPILOG)
def doctor(
    ctx: typer.Context,
    fetch_jars: Annotated[
        bool, typer.Option("--fetch-jars", help="download missing jars instead of only looking for them")
    ] = False,
) -> None:
    """Check Java, Python, Spark, jars, memory, storage and write access, and say how to mend each."""
    from engage_spark.doctor import examine

    settings = _settings(ctx)
    findings = examine(settings, fetch_jars=fetch_jars)
    console.findings(findings)
    if any(f.state == "fail" for f in findings):
        raise SystemExit(2)


@contract_app.command("show", epilog=EPILOG)
def contract_show(
    ctx: typer.Context,
    table: Annotated[str | None, typer.Argument(help="one table (default: list all)")] = None,
) -> None:
    """List the tables of the contract, or the fields of one."""
    console.contract(load_contract(_settings(ctx).contract), table)


@contract_app.command("lint", epilog=EPILOG)
def contract_lint(ctx: typer.Context) -> None:
    """Check the contract for contradictions; exit code 2 if there are any."""
    loaded = load_contract(_settings(ctx).contract)
    print(  # noqa: T201
        f"{loaded.id} {loaded.version}: {len(loaded.tables)} tables, {sum(len(t.fields) for t in loaded.tables)} fields, no violations"
    )


@contract_app.command("docs", epilog=EPILOG)
def contract_docs(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
) -> None:
    """Write the data dictionary that follows from the contract, as Markdown."""

    from engage_spark.contract import render_dictionary

    text = render_dictionary(load_contract(_settings(ctx).contract))
    if out is None:
        print(text, end="")  # noqa: T201
    else:
        write_text(out, text)
