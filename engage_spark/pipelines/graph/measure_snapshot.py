"""Measure the graph of one day: read, lay out, measure, write, compare, publish, draw."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import (
    SNAPSHOT_DATE,
    VALID,
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
from engage_spark.graph import BetweennessReport, measure_betweenness, open_ranked_layout
from engage_spark.graph.adaptive_sampling import StoppingRule
from engage_spark.graph.distributed.rank_ids import RankedIds, rank_ids
from engage_spark.graph.distributed.resources import parse_bytes
from engage_spark.graph.distributed.structure_tasks import to_follows, to_structure
from engage_spark.graph.kernels.pair_weeks import WEEKS
from engage_spark.graph.ranks import compare_given_with_measured
from engage_spark.graph.tables import select_edge_ends, to_edge_rows, to_vertex_rows
from engage_spark.graph.tie_strength import LEFT_OUT, to_pairs, to_strengths
from engage_spark.lake import Materialize, scratch, translate_spark_errors
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.graph.picture import DrawnPicture, draw_picture, graph_summary
from engage_spark.pipelines.results import MeasuredGraph, Note, TopVertex
from engage_spark.pipelines.runner import Attempt, StageRunner
from engage_spark.pipelines.stages import GRAPH_COMPARISON, graph_stage, ingest_stage
from engage_spark.publication import Run
from engage_spark.settings.model import GraphSettings
from engage_spark.spark.compat import from_rows
from engage_spark.spark.schema import column_named, spark_schema

Comparison = dict[str, dict[str, float | int | None]]
"""Figures of graph_comparison by field."""


def measure_snapshot(
    runner: StageRunner, spec: GraphSpec, work: StageRun
) -> tuple[MeasuredGraph, tuple[Note, ...]]:
    """Read, measure, write, compare, publish and draw the graph of one day.

    Cost, Errors: see `run_graph`.
    """
    context, day = runner.context, work.snapshot_date
    with (
        runner.attempt(work, f"measuring the graph of {day}", tables=graph_tables(spec)) as attempt,
        translate_spark_errors(f"the graph of {day} cannot be measured"),
        scratch(context.spark, context.lake) as materialize,
        ExitStack() as follows_scratch,
    ):
        customers = materialize(_customers(runner, spec, work), "customers")
        ids = rank_ids(customers.select("id"), materialize=materialize)
        with log.stage("pairing connections and interactions"):
            pairs = materialize(_pairs(context, spec, day, ids), "pairs")
        scores, structure, report = _measure_undirected(
            pairs, ids, settings=context.settings.graph, materialize=materialize
        )
        follows = None
        if spec.has_follows and spec.measures & OF_FOLLOWS:
            follows = _measure_follows(context, spec, day, ids, follows_scratch)
        with log.stage(f"writing {spec.edges.name} and {spec.vertices.name}"):
            _write(attempt, spec.edges, to_edge_rows(pairs, ids=ids.rows, spec=spec))
            if not report.m:
                attempt.drop_output(spec.edges.name)
            rows = to_vertex_rows(
                ids.rows,
                spec=spec,
                n=report.n,
                scores=scores,
                structure=structure,
                strengths=to_strengths(pairs),
                follows=follows,
            )
            _write(attempt, spec.vertices, rows)
        vertices = attempt.read(spec.vertices)
        compared = _compare(attempt, spec, customers, vertices, materialize)
        notes = _left_out(pairs, day)
        summary = graph_summary(context, spec, report)
        run = attempt.publish(rows_in=work.source_rows, valid=vertices.count(), message=summary)
        # After publication: a picture that cannot be drawn spoils no table, and no picture is ahead of its
        # tables.
        drawn = draw_picture(
            context,
            spec,
            day,
            run_id=run.run_id,
            subtitle=summary,
            vertices=vertices,
            edges=attempt.read(spec.edges),
            given=_given_centrality(customers, spec),
        )
    graph = MeasuredGraph(
        snapshot_date=day,
        run_id=run.run_id,
        vertices=run.rows_valid,
        edges=report.m,
        method=report.method,
        sources=report.sources,
        paths=report.samples,
        top_k=context.settings.graph.top_k,
        certain_members=report.certain_members,
        certain_places=report.certain_places,
        contenders=report.contenders,
        seconds=run.seconds,
        top=tuple(TopVertex(**vars(vertex)) for vertex in drawn.top),
        compared=compared,
        picture=drawn.path,
    )
    return graph, (*notes, *drawn.notes)


def redraw_picture(runner: StageRunner, spec: GraphSpec, run: Run) -> DrawnPicture:
    """Draw the picture of a published day that lost it, for example because its run was killed."""
    context, day, stage = runner.context, run.snapshot_date, graph_stage(spec)
    tables = {
        table.name: context.log.read_published(
            context.spark, tracked_table(table), stage=stage, day=SNAPSHOT_DATE, days=[day]
        )
        for table in (spec.vertices, spec.edges)
    }
    work = runner.plan(stage, day, inputs=run.inputs)
    return draw_picture(
        context,
        spec,
        day,
        run_id=run.run_id,
        subtitle=run.message,
        vertices=tables[spec.vertices.name],
        edges=tables[spec.edges.name],
        given=_given_centrality(_customers(runner, spec, work), spec),
    )


def graph_tables(spec: GraphSpec) -> list[str]:
    """Return the tables that the stage writes."""
    return [spec.vertices.name, spec.edges.name, GRAPH_COMPARISON]


def _customers(runner: StageRunner, spec: GraphSpec, work: StageRun) -> DataFrame:
    """Read id and the delivered values of the measured fields, of every valid row of the entity."""
    return runner.read_valid(spec.entity, work).select(
        column_named(spec.key).alias("id"),
        *(column_named(name).alias(f"given_{name}") for name in _compared_fields(spec)),
    )


def _compared_fields(spec: GraphSpec) -> list[str]:
    """List the fields that are delivered and measured, under one name, as numbers."""
    return [
        f.name for f in spec.vertices.fields if f.measure and f.is_floating and f.name in spec.entity.names
    ]


def _given_centrality(customers: DataFrame, spec: GraphSpec) -> DataFrame | None:
    name = spec.column(GraphMeasure.CENTRALITY)
    if name not in _compared_fields(spec):
        return None
    return customers.select(F.col(f"given_{name}").alias("given"))


def _log(context: RunContext, table: Table, day: date, *, since: date | None = None) -> DataFrame:
    """Read the valid events of the log up to a day.

    `since` avoids reading older files: the day of an event is a column of its own.
    """
    rows = context.log.read_published_log(context.spark, judged_table(table), stage=ingest_stage(table))
    event_day = F.col(day_column(table))
    rows = rows.where((F.col("_dq_status") == VALID) & (event_day <= F.lit(day)))
    return rows if since is None else rows.where(event_day >= F.lit(since))


def _edges(context: RunContext, spec: GraphSpec, day: date, direction: Direction) -> DataFrame:
    rows, kinds = _log(context, spec.connections, day), spec.kinds(direction)
    if kinds is not None:
        rows = rows.where(column_named(kinds[0]).isin(list(kinds[1])))
    return select_edge_ends(rows, spec=spec, table=spec.connections, at="connected_at")


def _pairs(context: RunContext, spec: GraphSpec, day: date, ids: RankedIds) -> DataFrame:
    """Build the undirected graph of the day with strengths, between its valid customers."""
    connections = _edges(context, spec, day, Direction.UNDIRECTED)
    interactions = None
    if spec.interactions is not None:
        recent = _log(context, spec.interactions, day, since=day - timedelta(weeks=WEEKS))
        interactions = select_edge_ends(recent, spec=spec, table=spec.interactions, at="occurred_at")
    return to_pairs(connections, interactions, ids=ids.rows, as_of=day)


def _measure_undirected(
    pairs: DataFrame, ids: RankedIds, *, settings: GraphSettings, materialize: Materialize
) -> tuple[DataFrame, DataFrame, BetweennessReport]:
    """Return scores of betweenness, structure, and how the scores were computed."""
    edges = pairs.where(F.col("u") != LEFT_OUT).select("u", "v")
    with ExitStack() as opened:
        with log.stage("laying out the graph"):
            layout = opened.enter_context(
                open_ranked_layout(edges, ids, materialize=materialize, **_limits(settings))
            )
        with log.stage("betweenness", customers=layout.n, connections=layout.m):
            rule = StoppingRule(
                epsilon=settings.epsilon, top_k=settings.top_k, relative_error=settings.relative_error
            )
            scores, report = measure_betweenness(
                layout,
                method=settings.method,
                rule=rule,
                sources=settings.sources,
                delta=settings.delta,
                seed=settings.seed,
                budget=settings.budget,
            )
        with log.stage("structure, communities, ego networks"):
            structure = materialize(to_structure(layout, seed=settings.seed), "structure")
    return scores, structure, report


def _limits(settings: GraphSettings) -> dict[str, Any]:
    """Return where a graph may be laid out, and how much of a host's memory it may take."""
    memory = None if settings.memory is None else parse_bytes(settings.memory)
    return {"directory": settings.directory, "memory": memory}


def _measure_follows(
    context: RunContext, spec: GraphSpec, day: date, ids: RankedIds, opened: ExitStack
) -> DataFrame:
    """Measure the directed edges; the result is stored until `opened` is closed."""
    materialize = opened.enter_context(scratch(context.spark, context.lake))
    edges = _edges(context, spec, day, Direction.DIRECTED).select("src", "dst")
    for end, rank in (("src", "u"), ("dst", "v")):
        ranks = ids.rows.select(F.col("id").alias(end), F.col("rank").alias(rank))
        edges = edges.join(ranks, on=end, how="inner")
    limits = _limits(context.settings.graph)
    with (
        log.stage("follows"),
        open_ranked_layout(edges, ids, directed=True, materialize=materialize, **limits) as layout,
    ):
        return materialize(to_follows(layout), "follows")


def _write(attempt: Attempt, table: Table, rows: DataFrame) -> None:
    day = F.lit(attempt.work.snapshot_date).alias(SNAPSHOT_DATE)
    attempt.replace(tracked_table(table), rows.select("*", day))


def _compare(
    attempt: Attempt, spec: GraphSpec, customers: DataFrame, vertices: DataFrame, materialize: Materialize
) -> Comparison:
    """Compare given with measured values, field by field, and write a row per field."""
    names = _compared_fields(spec)
    if not names:
        return {}
    measured = vertices.select(
        column_named(spec.key).alias("id"), *(column_named(name).alias(f"measured_{name}") for name in names)
    )
    delivered = customers.select(
        "id", *(F.col(f"given_{name}").cast("double").alias(f"given_{name}") for name in names)
    )
    with log.stage("comparing given with measured"):
        rows = materialize(delivered.join(measured, on="id", how="inner"), "given_and_measured")
        compared = compare_given_with_measured(rows, fields=names)
    _write_comparison(attempt, compared)
    return compared


def _write_comparison(attempt: Attempt, compared: Comparison) -> None:
    context, work = attempt.context, attempt.work
    table = system_contract().table(GRAPH_COMPARISON)
    schema = spark_schema(table)
    records: list[dict[str, Any]] = [
        {**values, SNAPSHOT_DATE: work.snapshot_date, "field_name": name, "run_id": work.run_id}
        for name, values in compared.items()
    ]
    rows = [tuple(record[column] for column in schema.names) for record in records]
    attempt.replace(
        table,
        from_rows(context.spark, rows, schema).coalesce(1),
        run_column="run_id",
        properties={},
    )


def _left_out(pairs: DataFrame, day: date) -> tuple[Note, ...]:
    counted = pairs.where(F.col("u") == LEFT_OUT).agg(F.sum("strength_units").alias("pairs")).collect()
    unknown = counted[0]["pairs"] or 0
    return (Note("ConnectionsLeftOut", {"snapshot_date": day, "n_connections": unknown}),) if unknown else ()
