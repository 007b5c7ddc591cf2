"""Declare the command that runs all stages of a range of days."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from engage_spark.cli import console
from engage_spark.cli.common import AsOf, day_of, show, spark_job
from engage_spark.pipelines.nothing_to_do import stages_to_run
from engage_spark.pipelines.results import StageResult


def pipeline(
    ctx: typer.Context,
    first: Annotated[
        date | None,
        typer.Option("--from", parser=day_of, metavar="YYYY-MM-DD", help="first day (default: of all)"),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option("--to", parser=day_of, metavar="YYYY-MM-DD", help="last day (default: of all)"),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(help="stages between commas: ingest,features,graph,monitor,train,score,analyze"),
    ] = None,
    as_of: AsOf = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going", help="finish the other days where one is rejected, cannot be read, or fails"
        ),
    ] = False,
) -> None:
    """Bring days through all stages in one session: what is done already is left as it is, what was killed
    or failed goes on where it ended. The exit code is the worst of all stages'.
    """
    names = tuple(name.strip() for name in stages.split(",")) if stages else ()
    with spark_job(ctx, require=lambda contract: stages_to_run(contract, names)) as job:
        from engage_spark.pipelines.pipeline import run_pipeline

        def show_stage(result: StageResult) -> None:
            if not ctx.obj.json:
                console.show(result)

        result = run_pipeline(
            job.spark,
            job.settings,
            contract=job.contract,
            first=first,
            last=last,
            stages=names,
            as_of=as_of,
            keep_going=keep_going,
            on_result=show_stage,
        )
        show(ctx, result)
