"""Measure the graph of one day: the heart of the stage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import (
    Direction,
    GraphMeasure,
    GraphSpec,
    Table,
    day_column,
    judged_table,
    system_contract,
    tracked_table,
)
from engage_spark.contract.graph_spec import OF_FOLLOWS
from engage_spark.graph import BetweennessReport, measure_betweenness, open_layout
from engage_spark.graph.adaptive_sampling import StoppingRule
from engage_spark.graph.distributed.resources import parse_bytes
from engage_spark.graph.distributed.structure_tasks import to_follows, to_structure
from engage_spark.graph.picture import CentralVertex
from engage_spark.graph.ranks import compare_given_with_measured
from engage_spark.graph.tables import to_edge_rows, to_ends, to_vertex_rows
from engage_spark.graph.tie_strength import WEEKS, to_pairs, to_strengths
from engage_spark.lake import Materialize, Run, scratch, translate_spark_errors
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.graph.picture import draw
from engage_spark.pipelines.stages import GRAPH_COMPARISON, SNAPSHOT_DATE, ingest_stage
from engage_spark.quality import VALID
from engage_spark.spark.schema import column_named, spark_schema

PROPERTIES = {"delta.dataSkippingNumIndexedCols": "2"}


@dataclass(frozen=True)
class GraphDay:
    """What became of one day."""

    run: Run
    facts: BetweennessReport
    top: tuple[CentralVertex, ...]
    compared: Mapping[str, dict[str, float | int | None]]
    picture: str | None
    notes: tuple[str, ...]


def measure(context: RunContext, spec: GraphSpec, work: StageRun, *, expected: int) -> GraphDay:
    """Read, measure, write, compare, draw and record the graph of one day. See `graph.run` for its cost and
    errors.
    """
    started_at, day = now(), work.snapshot_date
    with ExitStack() as opened, translate_spark_errors(f"the graph of {day} cannot be measured"):
        keep = opened.enter_context(scratch(context.spark, context.lake))
        customers = keep(_customers(context, spec, day), "customers")
        ids = customers.select("id")
        with log.stage("pairing connections and interactions"):
            pairs = keep(_pairs(context, spec, day, ids), "pairs")
        known = pairs.where("known").drop("known")
        scores, structure, facts = _undirected(context, known, ids, keep)
        follows = (
            _follows(context, spec, day, ids, opened)
            if spec.has_follows and spec.measures & OF_FOLLOWS
            else None
        )
        with log.stage(f"writing {spec.edges.name} and {spec.vertices.name}"):
            edges = _write(context, spec.edges, work, to_edge_rows(known, spec=spec))
            rows = to_vertex_rows(
                ids,
                spec=spec,
                n=facts.n,
                scores=scores,
                structure=structure,
                strengths=to_strengths(known),
                follows=follows,
            )
            vertices = _write(context, spec.vertices, work, rows)
        written = _read(context, spec.vertices, work, vertices)
        compared, comparison = _compare(context, spec, work, customers, written, keep)
        shown = spec.column(GraphMeasure.CENTRALITY)
        given = customers.select(F.col(f"given_{shown}").alias("given")) if shown in _both(spec) else None
        notes = _left_out(pairs, day)
        outputs = {spec.vertices.name: vertices, spec.edges.name: edges} | (
            {} if comparison is None else {GRAPH_COMPARISON: comparison}
        )
        run = work.to_run(
            rows_in=expected, valid=written.count(), quarantined=0, outputs=outputs, started_at=started_at
        )
        run = context.log.append(context.spark, run)
        # After publication: a picture that cannot be drawn takes nothing along, and none is ahead of its
        # tables.
        drawn = draw(
            context,
            spec,
            facts,
            day,
            vertices=written,
            edges=_read(context, spec.edges, work, edges),
            given=given,
        )
    return GraphDay(run, facts, drawn.top, compared, drawn.place, (*notes, *drawn.notes))


def _customers(context: RunContext, spec: GraphSpec, day: date) -> DataFrame:
    """id, and the delivered values of what is measured as well, of every valid row of the entity."""
    judged = judged_table(spec.entity)
    rows = context.log.read_published(
        context.spark, judged, stage=ingest_stage(spec.entity), day=SNAPSHOT_DATE, days=[day]
    )
    valid = rows.where(F.col("_dq_status") == VALID)
    return valid.select(
        column_named(spec.key).alias("id"),
        *(column_named(name).alias(f"given_{name}") for name in _both(spec)),
    )


def _both(spec: GraphSpec) -> list[str]:
    """Fields that are delivered and measured, under one name, as numbers."""
    return [
        f.name for f in spec.vertices.fields if f.measure and f.is_floating and f.name in spec.entity.names
    ]


def _log(context: RunContext, table: Table, day: date, *, since: date | None = None) -> DataFrame:
    """Valid events of the log up to a day. `since` spares reading older files; the day of an event is its own
    column for that.
    """
    rows = context.log.read_published_log(context.spark, judged_table(table), stage=ingest_stage(table))
    when = F.col(day_column(table))
    rows = rows.where((F.col("_dq_status") == VALID) & (when <= F.lit(day)))
    return rows if since is None else rows.where(when >= F.lit(since))


def _edges(context: RunContext, spec: GraphSpec, day: date, direction: Direction) -> DataFrame:
    rows, kinds = _log(context, spec.connections, day), spec.kinds(direction)
    return rows if kinds is None else rows.where(column_named(kinds[0]).isin(list(kinds[1])))


def _pairs(context: RunContext, spec: GraphSpec, day: date, ids: DataFrame) -> DataFrame:
    """The undirected graph of the day with strengths, and whether both ends of a pair are valid customers of
    the day.
    """
    connections = to_ends(
        _edges(context, spec, day, Direction.UNDIRECTED), spec=spec, table=spec.connections, at="connected_at"
    )
    events = spec.interactions
    interactions = None
    if events is not None:
        recent = _log(context, events, day, since=day - timedelta(weeks=WEEKS))
        interactions = to_ends(recent, spec=spec, table=events, at="occurred_at")
    rows = to_pairs(connections, interactions, as_of=day)
    for end in ("first", "second"):
        there = ids.select(F.col("id").alias(end), F.lit(True).alias(f"__{end}"))
        rows = rows.join(there, on=end, how="left")
    return rows.withColumn("known", F.col("__first").isNotNull() & F.col("__second").isNotNull()).drop(
        "__first", "__second"
    )


def _undirected(
    context: RunContext, pairs: DataFrame, ids: DataFrame, keep: Materialize
) -> tuple[DataFrame, DataFrame, BetweennessReport]:
    """Scores of betweenness, structure, and what is to be said about them."""
    chosen = context.settings.graph
    with ExitStack() as opened:
        with log.stage("laying out the graph"):
            layout = opened.enter_context(
                open_layout(
                    pairs.select(F.col("first").alias("src"), F.col("second").alias("dst")),
                    vertices=ids,
                    materialize=keep,
                    **_room(context),
                )
            )
        with log.stage("betweenness", customers=layout.n, connections=layout.m):
            rule = StoppingRule(
                epsilon=chosen.epsilon, top_k=chosen.top_k, relative_error=chosen.relative_error
            )
            scores, facts = measure_betweenness(
                layout,
                method=chosen.method,
                rule=rule,
                sources=chosen.sources,
                delta=chosen.delta,
                seed=chosen.seed,
                budget=chosen.budget,
            )
        with log.stage("structure, communities, circles"):
            structure = keep(to_structure(layout, seed=chosen.seed), "structure")
    return scores, structure, facts


def _room(context: RunContext) -> dict[str, Any]:
    """Where a graph may be laid out, and how much of a host's memory it may take."""
    chosen = context.settings.graph
    return {
        "directory": chosen.directory,
        "memory": None if chosen.memory is None else parse_bytes(chosen.memory),
    }


def _follows(context: RunContext, spec: GraphSpec, day: date, ids: DataFrame, opened: ExitStack) -> DataFrame:
    """What is measured on the directed edges."""
    keep = opened.enter_context(scratch(context.spark, context.lake))
    edges = to_ends(
        _edges(context, spec, day, Direction.DIRECTED), spec=spec, table=spec.connections, at="connected_at"
    ).select("src", "dst")
    for end in ("src", "dst"):
        edges = edges.join(ids.select(F.col("id").alias(end)), on=end, how="left_semi")
    with (
        log.stage("follows"),
        open_layout(edges, vertices=ids, directed=True, materialize=keep, **_room(context)) as layout,
    ):
        return keep(to_follows(layout), "follows")


def _write(context: RunContext, table: Table, work: StageRun, rows: DataFrame) -> int:
    """Replace the day's rows in one commit; the version that this made."""
    day = F.lit(work.snapshot_date).alias(SNAPSHOT_DATE)
    rows = rows.select("*", day, F.lit(work.run_id).alias("_run_id"))
    where = f"{SNAPSHOT_DATE} = DATE'{work.snapshot_date}'"
    return context.lake.replace(
        rows,
        tracked_table(table),
        where=where,
        tag=work.run_id,
        partition_by=(SNAPSHOT_DATE,),
        properties=PROPERTIES,
    )


def _read(context: RunContext, table: Table, work: StageRun, version: int) -> DataFrame:
    return context.lake.read(context.spark, table.name, version=version).where(
        F.col(SNAPSHOT_DATE) == F.lit(work.snapshot_date)
    )


def _compare(
    context: RunContext,
    spec: GraphSpec,
    work: StageRun,
    customers: DataFrame,
    written: DataFrame,
    keep: Materialize,
) -> tuple[dict[str, dict[str, float | int | None]], int | None]:
    """Given against measured, field by field, into a table with a row per field; its version, None where
    nothing is both.
    """
    names = _both(spec)
    if not names:
        return {}, None
    measured = written.select(
        column_named(spec.key).alias("id"), *(column_named(name).alias(f"measured_{name}") for name in names)
    )
    rows = customers.select(
        "id", *(F.col(f"given_{name}").cast("double").alias(f"given_{name}") for name in names)
    )
    with log.stage("comparing given with measured"):
        found = compare_given_with_measured(
            keep(rows.join(measured, on="id", how="inner"), "given_and_measured"), fields=names
        )
    table = system_contract().table(GRAPH_COMPARISON)
    schema = spark_schema(table)
    records: list[dict[str, Any]] = [
        {**values, SNAPSHOT_DATE: work.snapshot_date, "field_name": name, "run_id": work.run_id}
        for name, values in found.items()
    ]
    frame = context.spark.createDataFrame(
        [tuple(r[c] for c in schema.names) for r in records], schema
    ).coalesce(1)
    version = context.lake.replace(
        frame,
        table,
        where=f"{SNAPSHOT_DATE} = DATE'{work.snapshot_date}'",
        tag=work.run_id,
        partition_by=(SNAPSHOT_DATE,),
    )
    return found, version


def _left_out(pairs: DataFrame, day: date) -> tuple[str, ...]:
    unknown = pairs.where("NOT known").count()
    return (
        (f"{day}: {unknown:,} connections left out, an end of which is no valid customer of the day",)
        if unknown
        else ()
    )
