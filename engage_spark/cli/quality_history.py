"""Define `engage-spark quality …`: contracts drafted from any data, and what was recorded about
checked days.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from engage_spark.cli import console
from engage_spark.cli.common import EPILOG, Day, day_of, require_path, settings_of, show, spark_job, spark_of
from engage_spark.cli.render.notes import note_text
from engage_spark.text_files import write_text

TableName = Annotated[str | None, typer.Option(help="an input table of the contract")]


def profile(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(help="Parquet, CSV or Delta: a file, a folder, or its s3a: address")],
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
    table: Annotated[str | None, typer.Option(help="what to call the table (default: by the path)")] = None,
    data_format: Annotated[
        Literal["auto", "parquet", "csv", "delta"],
        typer.Option("--data-format", "--format", help="how to read PATH"),
    ] = "auto",
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="a column of the key; may be repeated (default: found)"),
    ] = None,
) -> None:
    """Draft a contract from data that nobody has declared: types, bounds, values, keys, patterns.

    The draft lints, and the data pass it.
    """
    from engage_spark.pipelines.quality.draft_contract import run_profile

    settings = settings_of(ctx)
    require_path(settings, path)
    with spark_of(settings) as spark:
        result = run_profile(
            spark,
            path,
            table=table,
            data_format=data_format,
            delimiter=settings.ingest.csv_delimiter,
            null=settings.ingest.csv_null,
            key=key or (),
        )
    if out is not None:
        write_text(out, result.text)
    if out is not None or ctx.obj.json:
        show(ctx, result)
        return
    console.document(result.text)
    for note in result.notes:
        console.stderr(f"note: {note_text(note)}")


def show_results(ctx: typer.Context, snapshot_date: Day = None, table: TableName = None) -> None:
    """Show what was broken on a checked day (default: the newest): rule, severity, rows, measure, samples."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.quality.show import run_show

        result = run_show(
            job.spark, job.settings, contract=job.contract, snapshot_date=snapshot_date, table=table
        )
        show(ctx, result)


def drift(
    ctx: typer.Context,
    snapshot_date: Day = None,
    against: Annotated[
        str | None, typer.Option(metavar="DAY|previous", help="default: quality.reference, or previous")
    ] = None,
    table: TableName = None,
) -> None:
    """Show which columns changed since another day, from what was counted then: PSI, KS, shares, new
    values.
    """
    reference: date | str | None = against
    if against not in (None, "previous"):
        try:
            reference = date.fromisoformat(str(against))
        except ValueError:
            raise typer.BadParameter(
                f"{against!r} is not a day; write it as 2025-10-21, or previous", param_hint="--against"
            ) from None
    with spark_job(ctx) as job:
        from engage_spark.pipelines.quality.drift import run_drift

        result = run_drift(
            job.spark,
            job.settings,
            contract=job.contract,
            snapshot_date=snapshot_date,
            against=reference,
            table=table,
        )
        show(ctx, result)


def states(
    ctx: typer.Context,
    first: Annotated[
        date | None,
        typer.Option("--from", parser=day_of, metavar="DAY", help="default: six days before the last"),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option("--to", parser=day_of, metavar="DAY", help="default: the newest published day"),
    ] = None,
    table: TableName = None,
) -> None:
    """Show what several days hold together, such as a week, without reading them again."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.quality.period_summary import run_states

        result = run_states(
            job.spark, job.settings, contract=job.contract, first=first, last=last, table=table
        )
        show(ctx, result)


def register(app: typer.Typer) -> None:
    """Add the commands to `engage-spark quality`."""
    app.command("profile", epilog=EPILOG)(profile)
    app.command("show", epilog=EPILOG)(show_results)
    app.command("drift", epilog=EPILOG)(drift)
    app.command("states", epilog=EPILOG)(states)
