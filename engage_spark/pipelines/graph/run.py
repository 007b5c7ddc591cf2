"""Measure the graph of every published snapshot that is due."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date

from pyspark.sql import SparkSession

from engage_spark.contract import Contract, GraphSpec, graph_spec_of
from engage_spark.lake.erased_keys import ERASED_KEYS, count_erased_keys
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.graph.measure_snapshot import measure_snapshot, redraw_picture
from engage_spark.pipelines.graph.picture import is_picture_missing
from engage_spark.pipelines.nothing_to_do import without_graph
from engage_spark.pipelines.results import GraphResult, Note
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import GRAPH_COMPARISON, graph_stage, ingest_stage
from engage_spark.settings import Settings


def run_graph(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
    due_only: bool = False,
) -> GraphResult:
    """Measure the graph of `snapshot_date`, or of every published snapshot whose graph is missing or out of
    date. With `due_only` the one of `snapshot_date` is left as it is where it is up to date.

    A graph is out of date when its customers were published again, when a run has since delivered events up
    to its day, or when contract, settings or code have changed. It is not when a key was erased since: what
    is published of the others stays. One that is measured again is another run then, because the figures of
    the others change.

    Cost: per snapshot one narrow scan of the customers, of the interactions, and of the connections for each
    direction, joined with the customers' ranks; a shuffle of the events by pair, two integers each; the
    layouts and betweenness (see `engage_spark.graph`); structure; one Delta commit each for vertices, edges
    and the comparison of given with measured values, then the row in `runs`; a picture. On the driver: 20
    customers and some histograms. A published day that has lost its picture gets it anew.
    A contract without a graph leaves nothing to measure, which a note says.
    Errors: NotPublishedError when nothing is published to measure; ConfigurationError when the graph will not
    fit.
    """
    if (nothing := without_graph(contract)) is not None:
        return nothing
    started = time.monotonic()
    context, spec = RunContext(spark, settings, contract), graph_spec_of(contract)
    runner = StageRunner(context=context, snapshot_date=snapshot_date, force=force, due_only=due_only)
    due = runner.due(
        graph_stage(spec),
        source=spec.entity,
        more_inputs=lambda day: {
            **_states_of_logs(context, spec, day),
            **_keys_erased_before(runner, spec, day),
        },
        settings=("graph",),
    )
    snapshots = []
    notes: list[Note] = []
    n_keys = 0
    for work in due:
        n_keys = count_erased_keys(spark, context.lake)
        erased = {ERASED_KEYS: str(n_keys)} if n_keys else {}
        graph, its_notes = measure_snapshot(runner, spec, replace(work, inputs={**work.inputs, **erased}))
        snapshots.append(graph)
        notes += its_notes
    for run in runner.publication.visible(graph_stage(spec)).values():
        if is_picture_missing(context, spec, run):
            notes += redraw_picture(runner, spec, run).notes
    if snapshots and n_keys:
        notes.append(Note("MadeWithoutErased", {"n_keys": n_keys}))
    return GraphResult(
        stage="graph",
        seconds=time.monotonic() - started,
        locations=runner.places(spec.vertices.name, spec.edges.name, GRAPH_COMPARISON),
        notes=tuple(notes) if snapshots else (Note("GraphUpToDate"),),
        snapshots=tuple(snapshots),
    )


def _keys_erased_before(runner: StageRunner, spec: GraphSpec, day: date) -> dict[str, str]:
    """Return how many keys had been erased when the published graph of a day was measured."""
    run = runner.publication.published.get((graph_stage(spec), day))
    n_keys = None if run is None else run.inputs.get(ERASED_KEYS)
    return {} if n_keys is None else {ERASED_KEYS: n_keys}


def _states_of_logs(context: RunContext, spec: GraphSpec, day: date) -> dict[str, str]:
    """Identify the events of each log up to a day by a hash of the runs that delivered them. No job."""
    publication = context.log.publication(context.spark)
    return {
        table.name: publication.log_state(ingest_stage(table), until=day)
        for table in (spec.connections, spec.interactions)
        if table is not None
    }
