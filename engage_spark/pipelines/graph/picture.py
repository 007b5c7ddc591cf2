"""Draw the picture of a day's graph from 20 rows and two histograms, and write it as one SVG file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import EdgeMeasure, GraphMeasure, GraphSpec
from engage_spark.graph import BetweennessReport
from engage_spark.graph.picture import CentralVertex, Picture
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import Note
from engage_spark.publication import Run
from engage_spark.side_effects import announce
from engage_spark.spark.schema import column_named
from engage_spark.text_files import write_text

TOP = 20
"""Customers in the picture."""
BINS = 50
REQUIRED = (
    GraphMeasure.CENTRALITY,
    GraphMeasure.BETWEENNESS,
    GraphMeasure.BETWEENNESS_LOWER,
    GraphMeasure.BETWEENNESS_UPPER,
    GraphMeasure.DEGREE,
    GraphMeasure.COMMUNITY,
)


@dataclass(frozen=True)
class DrawnPicture:
    """The most central customers, the path of the picture (None: there is none), and why there is none."""

    top: tuple[CentralVertex, ...]
    path: str | None
    notes: tuple[Note, ...] = ()


def draw_picture(
    context: RunContext,
    spec: GraphSpec,
    day: date,
    *,
    run_id: str,
    subtitle: str,
    vertices: DataFrame,
    edges: DataFrame,
    given: DataFrame | None,
) -> DrawnPicture:
    """Draw the graph of a day from its tables as written; `given` has the delivered centrality in a column of
    that name.

    The picture shows ids and measures, and nothing else of a customer.
    Cost: a top-20 and one aggregation over the vertices, one narrow scan of the edges.
    """
    if missing := tuple(m.value for m in REQUIRED if spec.column(m) is None):
        return DrawnPicture((), None, (Note("NoPictureFields", {"measures": missing}),))
    measure = str(spec.column(GraphMeasure.CENTRALITY))
    top = _top(spec, vertices)
    picture = Picture(
        title=f"The graph of {day}",
        subtitle=subtitle,
        measure=measure,
        top=top,
        links=_links(spec, edges, top),
        measured=_histogram(vertices.select(column_named(measure).alias("value"))),
        given=None if given is None else _histogram(given.select(column_named("given").alias("value"))),
    )
    path = picture_path(context, day)
    if path is None:
        return DrawnPicture(top, None, (Note("NoPictureFolder"),))
    announce(f"picture of {day}")
    write_text(path, f"{picture.svg()}<!-- run {run_id} -->\n")
    return DrawnPicture(top, path)


def _top(spec: GraphSpec, vertices: DataFrame) -> tuple[CentralVertex, ...]:
    names = [spec.key, *(str(spec.column(m)) for m in REQUIRED)]
    key, centrality = column_named(spec.key), column_named(names[1])
    rows = (
        vertices.where(centrality > 0)
        .orderBy(centrality.desc(), key)
        .limit(TOP)
        .select(*map(column_named, names))
        .collect()
    )
    return tuple(CentralVertex(str(r[0]), r[1], r[2], r[3], r[4], int(r[5]), int(r[6])) for r in rows)


def _links(spec: GraphSpec, edges: DataFrame, top: tuple[CentralVertex, ...]) -> list[tuple[int, int, float]]:
    """Read the edges among the most central."""
    ends = [
        column_named(str(spec.column(end))).cast("string")
        for end in (EdgeMeasure.FIRST_END, EdgeMeasure.SECOND_END)
    ]
    strength = spec.column(EdgeMeasure.STRENGTH)
    weight = F.lit(0.5) if strength is None else column_named(strength)
    number = {v.id: i for i, v in enumerate(top)}
    among = edges.where(ends[0].isin(list(number)) & ends[1].isin(list(number)))
    return [(number[a], number[b], float(s)) for a, b, s in among.select(*ends, weight).collect()]


def _histogram(values: DataFrame) -> list[int]:
    """Count values from 0 to 1 in equal bins; nulls are left out."""
    number = F.least(F.floor(F.col("value") * BINS), F.lit(BINS - 1)).cast("int")
    rows = values.where(F.col("value").between(0, 1)).groupBy(number.alias("bin")).count().collect()
    counts = {int(r["bin"]): int(r["count"]) for r in rows}
    return [counts.get(i, 0) for i in range(BINS)]


def graph_summary(context: RunContext, spec: GraphSpec, report: BetweennessReport) -> str:
    """Say in a line how large a graph is and how its betweenness was measured."""
    size = f"{report.n:,} {spec.entity.name}, {report.m:,} {spec.connections.name}"
    if report.method == "exact":
        return f"{size}. Betweenness is exact."
    certainty = f"{(1 - context.settings.graph.delta) * 100:g}%"
    return (
        f"{size}. Betweenness from {report.sources:,} sources; with {certainty} certainty all whiskers hold "
        f"at once ({report.samples:,} paths)."
    )


def is_picture_missing(context: RunContext, spec: GraphSpec, run: Run) -> bool:
    """Return whether there is no picture of a published run although there could be one."""
    path = picture_path(context, run.snapshot_date)
    if path is None or any(spec.column(m) is None for m in REQUIRED):
        return False
    return not Path(path).exists() or run.run_id not in Path(path).read_text(encoding="utf-8")


def picture_path(context: RunContext, day: date) -> str | None:
    """Return where the picture of a day is; None where the lake is not a path of this machine."""
    folder, root = context.settings.graph.pictures, context.settings.lake.root
    if folder is None:
        if root is None or ":" in root:
            return None
        folder = f"{context.lake.location('_pictures')}"
    return f"{folder.rstrip('/')}/graph-{day}.svg"
