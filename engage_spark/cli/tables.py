"""Define `engage-spark tables …`: look after the tables of the lake, and erase a key from it."""

from __future__ import annotations

from typing import Annotated

import typer

from engage_spark.cli.common import EPILOG, CommandGroup, show, spark_job

app = typer.Typer(
    cls=CommandGroup,
    help="Look after the tables of the lake: compaction, old files, views, history, layout, erasure.",
    no_args_is_help=True,
    epilog=EPILOG,
)
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, and change nothing")]


@app.command("optimize", epilog=EPILOG)
def optimize(
    ctx: typer.Context,
    dry_run: DryRun = False,
    by_key: Annotated[
        bool, typer.Option("--by-key", help="give each file a range of keys; writes every such table anew")
    ] = False,
) -> None:
    """Remove rows that no reader can see, and write small files as few large ones."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.tables.optimize import run_optimize

        result = run_optimize(job.spark, job.settings, contract=job.contract, dry_run=dry_run, by_key=by_key)
        show(ctx, result)


@app.command("vacuum", epilog=EPILOG)
def vacuum(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Delete files that no reader needs any more and that are older than lake.retention_days, and what killed
    runs left.
    """
    with spark_job(ctx) as job:
        from engage_spark.pipelines.tables.vacuum import run_vacuum

        show(ctx, run_vacuum(job.spark, job.settings, contract=job.contract, dry_run=dry_run))


@app.command("history", epilog=EPILOG)
def history(
    ctx: typer.Context,
    table: Annotated[str | None, typer.Argument(help="one table (default: all)")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many versions of each table (default 5)")] = 5,
) -> None:
    """Show files and sizes of the tables, and which runs made their newest versions."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.tables.history import list_table_history

        result = list_table_history(job.spark, job.settings, contract=job.contract, table=table, limit=limit)
        show(ctx, result)


@app.command("views", epilog=EPILOG)
def views(ctx: typer.Context) -> None:
    """Make the views of a catalog anew, in the schema lake.views: what is published, under plain names."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.tables.views import run_views

        show(ctx, run_views(job.spark, job.settings, contract=job.contract))


@app.command("migrate", epilog=EPILOG)
def migrate(
    ctx: typer.Context,
    apply: Annotated[
        bool, typer.Option("--apply", help="change the tables (default: only list what they need)")
    ] = False,
) -> None:
    """Bring the tables to what the contract and this version declare: new columns, wider types, layout."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.tables.migrate import run_migrate

        show(ctx, run_migrate(job.spark, job.settings, contract=job.contract, apply=apply))


@app.command("forget", epilog=EPILOG)
def forget(
    ctx: typer.Context,
    key: Annotated[list[str], typer.Argument(help="the key to erase; of several columns one value each")],
    dry_run: DryRun = False,
) -> None:
    """Erase one key, such as a customer, from all that is stored, and show where it was looked for."""
    with spark_job(ctx) as job:
        from engage_spark.pipelines.tables.forget import run_forget

        result = run_forget(job.spark, job.settings, contract=job.contract, key=tuple(key), dry_run=dry_run)
        show(ctx, result)
