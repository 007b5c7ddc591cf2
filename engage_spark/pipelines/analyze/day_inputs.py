"""Read what a day's analytics are made from: its customers, what is derived and measured of them, checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.analytics.claims import CheckOutcome
from engage_spark.contract import (
    SNAPSHOT_DATE,
    VALID,
    GraphRole,
    Table,
    graph_spec_of,
    judged_table,
    tracked_table,
)
from engage_spark.contract.analytics_spec import AnalyticsSpec
from engage_spark.lake.run_log import QUALITY_RESULTS
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.runner import require_same_runs
from engage_spark.pipelines.stages import features_stage, graph_stage, ingest_stage
from engage_spark.publication import CHECKS_OF, Run
from engage_spark.spark.joins import join_required
from engage_spark.spark.schema import column_named


@dataclass(frozen=True, kw_only=True)
class DayInputs:
    """The published runs of a day by table, and the tables that are not there or out of date.

    `checked` are the runs of the deliveries whose checks claims are about, by table.
    """

    day: date
    runs: Mapping[str, Run]
    missing: tuple[str, ...]
    checked: Mapping[str, Run]

    @property
    def identity(self) -> dict[str, str]:
        """What identifies the rows, for a run_id: the run of each table."""
        return {table: run.run_id for table, run in self.runs.items()}

    @property
    def checks(self) -> dict[str, str]:
        """What identifies the results of checks, for a run_id."""
        return {f"{CHECKS_OF}{table}": run.run_id for table, run in self.checked.items()}


def source_stages(context: RunContext, spec: AnalyticsSpec) -> dict[str, tuple[Table, str]]:
    """Return the tables that the contract's analytics read, the entity first, and the stage of each."""
    contract = context.contract
    stages = {contract.entity.name: (judged_table(contract.entity), ingest_stage(contract.entity))}
    stages |= {t.name: (tracked_table(t), features_stage(t)) for t in contract.derived}
    if contract.of_graph_role(GraphRole.VERTICES):
        graph = graph_spec_of(contract)
        stages[graph.vertices.name] = (tracked_table(graph.vertices), graph_stage(graph))
    read = {c.table for c in spec.columns} | {contract.entity.name}
    return {table: stage for table, stage in stages.items() if table in read}


def find_day_inputs(context: RunContext, spec: AnalyticsSpec) -> dict[date, DayInputs]:
    """Find what each published day of the entity has, oldest first.

    Cost: the run log is read once.
    """
    publication, entity = context.log.publication(context.spark), context.contract.entity.name
    published = {
        table: publication.published_days(stage) for table, (_, stage) in source_stages(context, spec).items()
    }
    deliveries = {t: publication.published_days(f"ingest:{t}") for t in sorted(spec.checked_tables)}
    by_day = {}
    for day in published[entity]:
        runs = {
            table: days[day]
            for table, days in published.items()
            if day in days and not publication.outdated_inputs(days[day])
        }
        missing = tuple(t for t in published if t not in runs)
        checked = {t: days[day] for t, days in deliveries.items() if day in days}
        by_day[day] = DayInputs(day=day, runs=runs, missing=missing, checked=checked)
    return by_day


def read_checks(context: RunContext, inputs: DayInputs) -> dict[tuple[str, str], CheckOutcome]:
    """Read what the checks of a day's deliveries gave, by table and rule.

    Cost: one scan of the run log, where claims are about checks.
    """
    if not inputs.checked:
        return {}
    runs = [run.run_id for run in inputs.checked.values()]
    rows = context.log.read_evidence(context.spark, QUALITY_RESULTS, runs=runs)
    names = ("table_name", "rule_name", *CheckOutcome._fields)
    return {(row[0], row[1]): CheckOutcome(*row[2:]) for row in rows.select(*names).collect()}


def rows_of_day(context: RunContext, spec: AnalyticsSpec, inputs: DayInputs) -> DataFrame:
    """Read the valid customers of a day with the columns of `spec`, from the tables that are there.

    Grain: one row per key of the entity; its columns, the key and snapshot_date.
    Cost: no job; one shuffle of the customers and of each other table, of the columns that are used.
    Errors: TransientError where the day was published again meanwhile; a customer whom another table lacks
    fails the job when it is read.
    """
    publication, entity = context.log.publication(context.spark), context.contract.entity
    keys = [*entity.key, SNAPSHOT_DATE]
    rows: DataFrame | None = None
    for table, (stored, stage) in source_stages(context, spec).items():
        if table not in inputs.runs:
            continue
        require_same_runs(publication, stage, {inputs.day: inputs.runs[table].run_id}, table=table)
        read = context.log.read_published(
            context.spark, stored, stage=stage, day=SNAPSHOT_DATE, days=[inputs.day]
        )
        names = {c.name: c.field for c in spec.columns if c.table == table and c.name not in keys}
        if rows is None:
            rows = read.where(F.col("_dq_status") == VALID)
        selected = (rows if table == entity.name else read).select(
            *map(column_named, keys), *(column_named(field).alias(name) for name, field in names.items())
        )
        rows = (
            selected
            if table == entity.name
            else join_required(
                rows,
                selected,
                on=keys,
                columns=list(names),
                what=table,
                hint=f"run `engage-spark {stage.partition(':')[0]}` for that day",
            )
        )
    assert rows is not None
    return rows
