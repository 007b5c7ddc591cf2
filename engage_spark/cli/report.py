"""Declare `engage-spark report`: one HTML page of what is published. Needs no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engage_spark.cli import console
from engage_spark.cli.common import Day, settings_of
from engage_spark.text_files import write_text
from engage_spark.wording import counted


def report(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="file to write")] = Path("report.html"),
    tables: Annotated[
        Path | None, typer.Option(help="folder for the page's tables as CSV, small groups left out as there")
    ] = None,
    as_of: Day = None,
) -> None:
    """Write what is published as one HTML page that needs no network: what changed, quality, features, graph,
    models, segments, cohorts, correlations, indicators and claims.
    """
    settings = settings_of(ctx)
    from engage_spark.reader import open_lake
    from engage_spark.report import build_report, write_table_files
    from engage_spark.report.sections.changes import KEY as CHANGES
    from engage_spark.report.table_files import INDEX

    built = build_report(open_lake(settings), as_of=as_of)
    if tables:
        write_table_files(tables, built.tables)
    write_text(out, built.html)
    size = len(built.html.encode())
    if ctx.obj.json:
        console.json_object(
            {
                "out": str(out),
                "tables": str(tables) if tables else None,
                "bytes": size,
                "as_of": built.day,
                "snapshots": built.snapshots,
                "sections": built.sections,
                "absent": built.absent,
            }
        )
        return
    console.line(f"{out}: {size / 1e6:.1f} MB, as of {built.day or 'no day: no snapshot is published'}")
    if tables:
        console.line(f"{tables}: {counted(len(built.tables) - 1, 'table')}, listed in {INDEX}")
    absent = [name for name in built.absent if name != CHANGES or built.snapshots != 1]
    if built.snapshots == 1:
        console.line("one snapshot: there is nothing to compare it with, so no changes are shown")
    if absent:
        console.line(f"not published yet: {', '.join(absent)}; the page says what makes it")
