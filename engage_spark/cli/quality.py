"""Define `engage-spark quality …`: Great Expectations both ways, and the commands of `quality_history`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engage_spark.cli import console, quality_history
from engage_spark.cli.common import (
    EPILOG,
    CommandGroup,
    Day,
    require_path,
    settings_of,
    show,
    spark_job,
    spark_of,
)
from engage_spark.contract import load_contract
from engage_spark.text_files import write_text

if TYPE_CHECKING:
    from engage_spark.pipelines.quality.suite_check import Engine

app = typer.Typer(
    cls=CommandGroup,
    help="Draft contracts, look at checked days, measure drift, and use Great Expectations suites.",
    no_args_is_help=True,
    epilog=EPILOG,
)
quality_history.register(app)


@app.command("suite", epilog=EPILOG)
def suite(
    ctx: typer.Context,
    table: Annotated[
        str | None, typer.Option(help="an input table of the contract (default: the entity's)")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
) -> None:
    """Write the contract's rules about a table as a Great Expectations suite. Needs no Spark."""
    from engage_spark.pipelines.quality.suite import export_suite

    result = export_suite(load_contract(settings_of(ctx).contract), table=table)
    if out is not None:
        write_text(out, json.dumps(result.suite, indent=2, ensure_ascii=False) + "\n")
    if ctx.obj.json:
        show(ctx, result)
    elif out is None:
        console.json_object(result.suite)


def _engine(text: str) -> Engine:
    """Return the engine that was asked for; `ours` is the former name of `native`."""
    engines: dict[str, Engine] = {"native": "native", "gx": "gx", "ours": "native"}
    if text not in engines:
        raise typer.BadParameter(f"{text!r} is not an engine; write native or gx")
    return engines[text]


@app.command("check", epilog=EPILOG)
def check(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(help="Parquet, CSV or Delta: a file, a folder, or its s3a: address")],
    suite: Annotated[Path, typer.Option(help="the suite, as Great Expectations 1.x saves it")],
    engine: Annotated[
        str,
        typer.Option(
            parser=_engine,
            metavar="native|gx",
            help="what evaluates the suite: this package, or Great Expectations itself",
        ),
    ] = "native",
    form: Annotated[
        Literal["text", "json"],
        typer.Option("--format", help="json is a Great Expectations validation result"),
    ] = "text",
    data_format: Annotated[
        Literal["auto", "parquet", "csv", "delta"], typer.Option(help="how to read PATH")
    ] = "auto",
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=JSON", help="value of a suite parameter; may be repeated"),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="show none of its values, also no extremes; may be repeated"),
    ] = None,
    samples: Annotated[bool, typer.Option(help="show some of the unexpected values")] = True,
) -> None:
    """Check any data by any Great Expectations suite.

    The exit code is 3 when an expectation does not hold, or cannot be run.
    """
    from engage_spark.pipelines.quality.suite_check import read_suite, run_check, suite_gate_error

    parameters = dict(map(_parameter, parameter or []))
    settings = settings_of(ctx)
    require_path(settings, path)
    read_suite(suite)
    with spark_of(settings) as spark:
        result = run_check(
            spark,
            path,
            suite,
            engine=_engine(engine),
            data_format=data_format,
            delimiter=settings.ingest.csv_delimiter,
            parameters=parameters,
            masked=mask or (),
            samples=samples,
        )
    form = "text" if ctx.obj.json else form
    if form == "json":
        console.json_object(result.validation)
    if not result.success:
        raise suite_gate_error(result, with_result=form == "text")
    if form == "text":
        show(ctx, result)


@app.command("docs", epilog=EPILOG)
def docs(
    ctx: typer.Context,
    snapshot_date: Day = None,
    out: Annotated[Path, typer.Option(help="folder of the site, replaced by it")] = Path(
        "engage-data/data_docs"
    ),
) -> None:
    """Build Great Expectations' Data Docs of a checked day (default: the newest), readable without a
    network.
    """
    with spark_job(ctx) as job:
        from engage_spark.pipelines.quality.docs import run_docs

        result = run_docs(
            job.spark, job.settings, contract=job.contract, snapshot_date=snapshot_date, out=out
        )
        show(ctx, result)


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(
            f"{text!r} is not a parameter; write it as NAME=VALUE", param_hint="--parameter"
        )
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
