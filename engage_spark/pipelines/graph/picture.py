"""The picture of a day's graph: a few rows and two histograms to the driver, one SVG file out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import EdgeMeasure, GraphMeasure, GraphSpec
from engage_spark.graph import BetweennessReport
from engage_spark.graph.picture import CentralVertex, Picture
from engage_spark.pipelines.context import RunContext
from engage_spark.spark.schema import column_named
from engage_spark.text_files import write_text

TOP = 20
"""Customers in the picture."""
BINS = 50
NEEDED = (
    GraphMeasure.CENTRALITY, GraphMeasure.BETWEENNESS, GraphMeasure.BETWEENNESS_LOWER, GraphMeasure.BETWEENNESS_UPPER, GraphMeasure.DEGREE, GraphMeasure.COMMUNITY,
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """The most central customers, where the picture lies (None: there is none), and why not."""

    top: tuple[CentralVertex, ...]
    place: str | None
    notes: tuple[str, ...] = ()


def draw(
    context: RunContext,
    spec: GraphSpec,
    facts: BetweennessReport,
    day: date,
    *,
    vertices: DataFrame,
    edges: DataFrame,
    given: DataFrame | None,
) -> Drawn:
    """Draw the graph of a day from its tables as written; `given` has the delivered centrality in a column of
    that name.

    Cost: a top-20 and one aggregation over the vertices, one narrow scan of the edges. The picture shows ids
    and measures, and nothing else of a customer.
    """
    if missing := [m.value for m in NEEDED if spec.column(m) is None]:
        return Drawn(
            (), None, (f"no picture: the contract declares no field that measures {', '.join(missing)}",)
        )
    what = str(spec.column(GraphMeasure.CENTRALITY))
    top = _top(spec, vertices)
    picture = Picture(
        title=f"The graph of {day}",
        subtitle=_subtitle(context, spec, facts),
        measure=what,
        top=top,
        links=_links(spec, edges, top),
        measured=_histogram(vertices.select(column_named(what).alias("value"))),
        given=None if given is None else _histogram(given.select(column_named("given").alias("value"))),
    )
    place = _place(context, day)
    if place is None:
        return Drawn(
            top, None, ("no picture: the lake is no path of this machine; set graph.pictures to a folder",)
        )
    write_text(place, picture.svg())
    return Drawn(top, place)


def _top(spec: GraphSpec, vertices: DataFrame) -> tuple[CentralVertex, ...]:
    names = [spec.key, *(str(spec.column(m)) for m in NEEDED)]
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
    """The edges among the most central."""
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
    """Counts of values from 0 to 1 in equal bins; nulls are left out."""
    number = F.least(F.floor(F.col("value") * BINS), F.lit(BINS - 1)).cast("int")
    rows = values.where(F.col("value").between(0, 1)).groupBy(number.alias("bin")).count().collect()
    counts = {int(r["bin"]): int(r["count"]) for r in rows}
    return [counts.get(i, 0) for i in range(BINS)]


def _subtitle(context: RunContext, spec: GraphSpec, facts: BetweennessReport) -> str:
    if facts.method == "exact":
        how = "Betweenness is exact"
    else:
        sure = f"{(1 - context.settings.graph.delta) * 100:g}%"
        how = f"Betweenness from {facts.sources:,} sources; with {sure} certainty all whiskers hold at once ({facts.samples:,} paths)"
    return f"{facts.n:,} {spec.entity.name}, {facts.m:,} {spec.connections.name}. {how}."


def _place(context: RunContext, day: date) -> str | None:
    folder, root = context.settings.graph.pictures, context.settings.lake.root
    if folder is None:
        if root is None or ":" in root:
            return None
        folder = f"{context.lake.location('_pictures')}"
    return f"{folder.rstrip('/')}/graph-{day}.svg"
