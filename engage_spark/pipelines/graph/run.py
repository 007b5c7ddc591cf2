"""Graph: published customers and logs in, every customer's place in the graph of the day out."""

from __future__ import annotations

import time
from datetime import date

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract, GraphSpec, Table, graph_spec_of, judged_table
from engage_spark.errors import NotPublishedError
from engage_spark.graph.picture import shorten_id
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.graph.measure_snapshot import GraphDay, measure
from engage_spark.pipelines.results import Grid, Report
from engage_spark.pipelines.stages import GRAPH_COMPARISON, graph_stage, ingest_stage
from engage_spark.settings import Settings


def run_graph(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    snapshot_date: date | None = None,
    force: bool = False,
) -> Report:
    """Measure the graph of `snapshot_date`, or of every published snapshot whose graph is missing or out of
    date.

    A graph is out of date when its customers were published anew, when a run has delivered events up to its
    day since, or when contract, settings or code have changed. Per snapshot: one narrow scan of the customers
    and of each log, with a shuffle of the edges by pair; the layout and betweenness (see
    `engage_spark.graph`); structure; one Delta commit each for vertices, edges and the comparison of given
    with measured values, then the row in `runs`; a picture. On the driver: 20 customers and some histograms.

    Raises NotPublishedError when nothing is published to measure, ConfigurationError when the graph will not fit, ContractError
    when the contract has no graph.
    """
    started = time.monotonic()
    context, spec = RunContext(spark, settings, contract), graph_spec_of(contract)
    latest = context.log.latest_of_all(spark)
    published = {
        d: r for (stage, d), r in latest.items() if stage == ingest_stage(spec.entity) and r.published
    }
    if not published or (snapshot_date and snapshot_date not in published):
        raise NotPublishedError.of(spec.entity.name, days=[snapshot_date] if snapshot_date else ())
    days: list[GraphDay] = []
    for day in [snapshot_date] if snapshot_date else sorted(published):
        stage = graph_stage(spec)
        inputs = {spec.entity.name: published[day].run_id}
        inputs |= {
            table.name: _state(context, table, day)
            for table in (spec.connections, spec.interactions)
            if table is not None
        }
        work = StageRun(
            stage=stage,
            snapshot_date=day,
            inputs=inputs,
            contract=contract,
            settings_digest=settings.digest("graph"),
            previous=latest.get((stage, day)),
        )
        if work.is_up_to_date and not force and snapshot_date is None:
            continue
        log.event(f"the graph of {day}", run_id=work.run_id)
        days.append(measure(context, spec, work, expected=published[day].rows_valid))
    return _report(context, spec, days, time.monotonic() - started)


def _state(context: RunContext, table: Table, day: date) -> str:
    """What identifies the events of a log up to a day: a hash of the runs that delivered them."""
    return context.log.state_of_log(context.spark, judged_table(table), stage=ingest_stage(table), until=day)


def _report(context: RunContext, spec: GraphSpec, days: list[GraphDay], seconds: float) -> Report:
    names = (spec.vertices.name, spec.edges.name, GRAPH_COMPARISON)
    notes = [note for day in days for note in day.notes]
    if not days:
        notes.append("every published snapshot has its graph measured already; --force measures it again")
    return Report(
        stage="graph",
        seconds=seconds,
        lines=_lines(days[-1]) if days else (),
        table=_table(days) if days else None,
        locations={name: context.lake.location(name) for name in names}
        | {f"picture {d.run.snapshot_date}": d.picture for d in days if d.picture},
        notes=tuple(notes),
    )


def _table(days: list[GraphDay]) -> Grid:
    headers = ("snapshot", "customers", "connections", "method", "sources", "paths", "seconds")
    return headers, tuple(
        (
            str(d.run.snapshot_date),
            f"{d.run.rows_valid:,}",
            f"{d.facts.m:,}",
            d.facts.method,
            f"{d.facts.sources:,}",
            f"{d.facts.samples:,}",
            f"{d.run.seconds:.1f}",
        )
        for d in days
    )


def _lines(day: GraphDay) -> tuple[tuple[str, str], ...]:
    """What there is to say about the last snapshot, within 80 columns."""
    top = ", ".join(f"{shorten_id(v.id, 18)} {v.centrality:.3f}" for v in day.top[:2])
    compared = [(f"{name}", _compared(row)) for name, row in day.compared.items()]
    return (("most central", top), *compared) if top else tuple(compared)


def _compared(row: dict[str, float | int | None]) -> str:
    def shown(value: float | int | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return f"means {shown(row['mean_measured'])} measured, {shown(row['mean_given'])} given; Spearman {shown(row['spearman'])}"
