"""Read the rows that models train on and score: valid customers of a day with features and graph measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import (
    SNAPSHOT_DATE,
    VALID,
    GraphRole,
    GraphSpec,
    Table,
    graph_spec_of,
    judged_table,
    tracked_table,
)
from engage_spark.contract.labels import (
    MOST_CLASSES,
    absent_positive_problem,
    classes_problem,
    needs_classes_counted,
)
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.features import with_graph_features
from engage_spark.ml.data.split_rows import TargetSnapshots
from engage_spark.ml.data.training_set import label, to_scoring_set, to_training_set
from engage_spark.ml.feature_spec import FeatureSpec, feature_tables
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.runner import require_same_runs
from engage_spark.pipelines.stages import features_stage, graph_stage, ingest_stage
from engage_spark.publication import Run
from engage_spark.spark.joins import join_required
from engage_spark.spark.schema import column_named


@dataclass(frozen=True)
class ModelInputs:
    """The published runs by day and table, of the days that have all that models need.

    `graph` is None where models do not use the graph, and `graph_ignored` says that it was measured on some
    days, not on all. `measured` is the setting `features.graph_values`. Of the other days `missing` names the
    tables that are not published, and `outdated` those that were made from inputs that have changed since.
    """

    days: dict[date, dict[str, Run]]
    graph: GraphSpec | None
    measured: bool
    graph_ignored: bool = False
    missing: Mapping[date, tuple[str, ...]] = field(default_factory=dict)
    outdated: Mapping[date, tuple[str, ...]] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a reader of the result must know of the inputs."""
        left_out = [
            *(
                Note("SnapshotLeftOut", {"snapshot_date": day, "tables": tables})
                for day, tables in self.missing.items()
            ),
            *(
                Note("SnapshotOutOfDate", {"snapshot_date": day, "tables": tables})
                for day, tables in self.outdated.items()
            ),
        ]
        return (*((Note("GraphNotUsed"),) if self.graph_ignored else ()), *left_out)

    def landed(self, entity: str) -> dict[date, date]:
        """Return the UTC day on which each snapshot's delivery landed; `entity` is the entity's table."""
        return {day: tables[entity].landed_at.astimezone(UTC).date() for day, tables in self.days.items()}

    def lacking(self) -> list[str]:
        """Say of every incomplete day which tables it lacks, for the details of an error."""
        return [
            *(f"{day}: {', '.join(tables)} not published" for day, tables in self.missing.items()),
            *(f"{day}: {', '.join(tables)} out of date" for day, tables in self.outdated.items()),
        ]

    def inputs(self, days: Sequence[date]) -> dict[str, str]:
        """Return what identifies the rows of some days, for a run_id."""
        return {f"{table}/{day}": run.run_id for day in days for table, run in self.days[day].items()}


def find_model_inputs(context: RunContext) -> ModelInputs:
    """Find the days whose every table is published, and made from the inputs that are published now.

    Where `features.graph_values` is measured and the contract has a graph, the graph of the day is among the
    tables. Where it is given, the graph is used for what it alone knows if it was measured on every day; a
    note says when not.

    Cost: the run log is read once.

    Errors: NotPublishedError where no day has everything, saying what each lacks.
    """
    contract, publication = context.contract, context.log.publication(context.spark)
    graph = graph_spec_of(contract) if contract.of_graph_role(GraphRole.VERTICES) else None
    measured = context.settings.features.graph_values == "measured"
    stages = {contract.entity.name: ingest_stage(contract.entity)}
    stages |= {t.name: features_stage(t) for t in feature_tables(contract) if t in contract.derived}

    of_entity = publication.published_days(stages[contract.entity.name])
    if graph is not None and not measured:
        of_graph = publication.published_days(graph_stage(graph))
        graph_ignored = not all(
            day in of_graph and not publication.outdated_inputs(of_graph[day]) for day in of_entity
        )
        graph = None if graph_ignored else graph
    else:
        graph_ignored = False
    if graph is not None:
        stages[graph.vertices.name] = graph_stage(graph)
    runs = {table: publication.published_days(stage) for table, stage in stages.items()}
    days: dict[date, dict[str, Run]] = {}
    missing: dict[date, tuple[str, ...]] = {}
    outdated: dict[date, tuple[str, ...]] = {}
    for day in of_entity:
        of_day = {table: published[day] for table, published in runs.items() if day in published}
        if absent := tuple(table for table in stages if table not in of_day):
            missing[day] = absent
        elif late := tuple(table for table, run in of_day.items() if publication.outdated_inputs(run)):
            outdated[day] = late
        else:
            days[day] = of_day
    inputs = ModelInputs(
        days, graph, measured, graph_ignored=graph_ignored, missing=missing, outdated=outdated
    )
    if not days:
        raise NotPublishedError(
            "no snapshot has all that models need",
            details=inputs.lacking() or [f"{contract.entity.name} has no published snapshot"],
            hint=(
                "run `engage-spark ingest`, `features` and `graph` first (or set "
                "features.graph_values=given and "
                "leave out the graph)"
            ),
        )
    return inputs


def rows_of(
    context: RunContext,
    inputs: ModelInputs,
    days: Sequence[date],
    *,
    specs: Sequence[FeatureSpec],
    labelled: bool = True,
) -> DataFrame:
    """Read the valid rows of some days with everything that the specs use, and the protected fields.

    With `labelled` the targets are among the columns. See `ml.data.training_set` for columns and cost.
    """
    contract, read_days = context.contract, list(days)
    publication = context.log.publication(context.spark)
    for table in {table for day in read_days for table in inputs.days[day]}:
        runs = {day: inputs.days[day][table] for day in read_days}
        (stage,) = {run.stage for run in runs.values()}
        require_same_runs(publication, stage, {d: r.run_id for d, r in runs.items()}, table=table)
    rows = valid_rows(context, read_days)
    sources = [t for t in feature_tables(contract) if t in contract.derived]
    derived = [_published(context, tracked_table(t), features_stage(t), read_days) for t in sources]
    spec = inputs.graph
    graph = (
        None
        if spec is None
        else _published(context, tracked_table(spec.vertices), graph_stage(spec), read_days)
    )
    with_graph = partial(
        with_graph_features, graph=graph, on=(*contract.entity.key, SNAPSHOT_DATE), measured=inputs.measured
    )
    build = to_training_set if labelled else to_scoring_set
    return build(rows, derived, contract=contract, specs=specs, with_graph=with_graph)


def valid_rows(context: RunContext, days: Sequence[date]) -> DataFrame:
    """Read the valid rows of the entity on these days, as delivered."""
    entity = context.contract.entity
    return _published(context, judged_table(entity), ingest_stage(entity), list(days)).where(
        F.col("_dq_status") == VALID
    )


def with_label(context: RunContext, rows: DataFrame, target: str, *, day: date) -> DataFrame:
    """Add the label of a target to valid rows of the entity of a day, under its name.

    Cost: none for a target of the entity; else one join with the table that derives it.
    """
    entity, table = context.contract.entity, context.contract.target_tables[target]
    if table.name != entity.name:
        rows = join_required(
            rows,
            _published(context, tracked_table(table), features_stage(table), [day]),
            on=[*entity.key, SNAPSHOT_DATE],
            columns=[target],
            what=f"labels ({table.name})",
            hint="run `engage-spark features` for that day",
        )
    return rows.withColumn(target, label(table[target]))


def require_two_classes(context: RunContext, snapshots: Mapping[str, TargetSnapshots]) -> None:
    """Check by the rows themselves the targets of two classes whose valid values the contract does not say.

    Cost: none where valid values are declared; else one narrow scan and a small shuffle for each such target.
    Errors: ConfigurationError where a target has more than two classes, or no row has its positive value.
    """
    contract = context.contract
    problems = []
    for name, of_target in snapshots.items():
        table = contract.target_tables[name]
        if not needs_classes_counted(table[name]):
            continue
        days = sorted(of_target.all)
        rows = (
            valid_rows(context, days)
            if table.name == contract.entity.name
            else _published(context, tracked_table(table), features_stage(table), days)
        )
        classes = rows.select(column_named(name)).where(column_named(name).isNotNull()).distinct()
        values = sorted(row[0] for row in classes.limit(MOST_CLASSES + 1).collect())
        if len(values) > 2:
            problems.append(f"{name}: {classes_problem(table[name], values)}")
        elif table[name].positive not in values:
            problems.append(f"{name}: {absent_positive_problem(table[name], values)}")
    if problems:
        raise ConfigurationError(
            "the rows do not have the two classes that targets need",
            details=problems,
            hint="declare the validValues of a target, and `engage-spark contract lint` says this at once",
        )


def _published(context: RunContext, table: Table, stage: str, days: list[date]) -> DataFrame:
    return context.log.read_published(context.spark, table, stage=stage, day=SNAPSHOT_DATE, days=days)
