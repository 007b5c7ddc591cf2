"""Declare `engage-spark report`: one HTML page of what is published. Needs no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engage_spark.cli import console
from engage_spark.cli.common import Day, settings_of
from engage_spark.text_files import write_text


def report(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="file to write")] = Path("report.html"),
    as_of: Day = None,
) -> None:
    """Write what is published as one HTML page that needs no network: what changed, quality, features, graph,
    models, segments, cohorts, correlations, indicators and claims.
    """
    settings = settings_of(ctx)
    from engage_spark.reader import open_lake
    from engage_spark.report import build_report
    from engage_spark.report.sections.changes import KEY as CHANGES

    built = build_report(open_lake(settings), as_of=as_of)
    write_text(out, built.html)
    size = len(built.html.encode())
    if ctx.obj.json:
        console.json_object(
            {
                "out": str(out),
                "bytes": size,
                "as_of": built.day,
                "snapshots": built.snapshots,
                "sections": built.sections,
                "absent": built.absent,
            }
        )
        return
    console.line(f"{out}: {size / 1e6:.1f} MB, as of {built.day or 'no day: no snapshot is published'}")
    absent = [name for name in built.absent if name != CHANGES or built.snapshots != 1]
    if built.snapshots == 1:
        console.line("one snapshot: there is nothing to compare it with, so no changes are shown")
    if absent:
        console.line(f"not published yet: {', '.join(absent)}; the page says what makes it")
