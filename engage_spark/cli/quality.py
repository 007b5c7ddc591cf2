"""`engage-spark quality …`: Great Expectations, both ways; `recorded` adds the commands about days that were
judged.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engage_spark.cli import console, quality_history
from engage_spark.cli.common import EPILOG, Day, settings_of, show, spark_job, spark_of
from engage_spark.contract import load_contract

app = typer.Typer(
    help="Any data: drafted contracts, what was found on judged days, drift, and Great Expectations both ways.",
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
    from engage_spark.pipelines.quality import suite

    text = suite.run_suite(load_contract(settings_of(ctx).contract), table=table, out=out)
    if out is None:
        sys.stdout.write(text)


@app.command("check", epilog=EPILOG)
def check(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(help="Parquet, CSV or Delta: a file, a folder, or its s3a: address")],
    suite: Annotated[Path, typer.Option(help="the suite, as Great Expectations 1.x saves it")],
    engine: Annotated[
        Literal["ours", "gx"], typer.Option(help="who judges: this package, or Great Expectations itself")
    ] = "ours",
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
    """Judge any data by any Great Expectations suite; exit code 3 when an expectation does not hold, or
    cannot be run.
    """
    from engage_spark.pipelines.quality import check

    parameters = dict(map(_parameter, parameter or []))
    settings = settings_of(ctx)
    with spark_of(settings) as spark:
        checked = check.run_check(
            spark,
            path,
            suite,
            engine=engine,
            data_format=data_format,
            delimiter=settings.ingest.csv_delimiter,
            parameters=parameters,
            masked=mask or (),
            samples=samples,
        )
    if form == "json":
        sys.stdout.write(json.dumps(checked.result, indent=2, ensure_ascii=False) + "\n")
    if not checked.success:
        raise check.gate_error(checked, report=form == "text")
    if form == "text":
        console.reports(checked.report)


@app.command("docs", epilog=EPILOG)
def docs(
    ctx: typer.Context,
    snapshot_date: Day = None,
    out: Annotated[Path, typer.Option(help="folder of the site, replaced by it")] = Path(
        "engage-data/data_docs"
    ),
) -> None:
    """Build Great Expectations' Data Docs of a judged day (default: the newest), readable without a network."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.quality.docs import run_docs

        show(
            ctx,
            run_docs(job.spark, job.settings, contract=job.contract, snapshot_date=snapshot_date, out=out),
        )


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(
            f"{text!r} is no parameter; write it as NAME=VALUE", param_hint="--parameter"
        )
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
