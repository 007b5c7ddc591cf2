"""Read the rows that models train on and score: valid customers of a day with features and graph measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import GraphRole, GraphSpec, Table, graph_spec_of, judged_table, tracked_table
from engage_spark.errors import NotPublishedError
from engage_spark.features import with_graph_features
from engage_spark.lake import Run
from engage_spark.ml.data.training_set import to_scoring_set, to_training_set
from engage_spark.ml.feature_spec import FeatureSpec, feature_tables
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import SNAPSHOT_DATE, features_stage, graph_stage, ingest_stage
from engage_spark.quality import VALID


@dataclass(frozen=True)
class ModelInputs:
    """The published runs by day and table; `graph` is None where models do not use the graph."""

    days: dict[date, dict[str, Run]]
    graph: GraphSpec | None
    measured: bool
    notes: tuple[str, ...]

    def inputs(self, days: Sequence[date]) -> dict[str, str]:
        """Return what identifies the rows of some days, for a run_id."""
        return {f"{table}/{day}": run.run_id for day in days for table, run in self.days[day].items()}


def find_model_inputs(context: RunContext) -> ModelInputs:
    """Find the days whose every table is published.

    Where `features.graph_values` is measured and the contract has a graph, the graph of the day is among
    them; where it is given, the graph is used for what it alone knows if it was measured on every day, and a
    note says when not. Raises ConfigurationError when no day has everything, saying what each lacks.
    """
    contract, latest = context.contract, context.log.latest_of_all(context.spark)
    plan = graph_spec_of(contract) if contract.of_graph_role(GraphRole.VERTICES) else None
    measured = context.settings.features.graph_values == "measured"
    stages = {contract.entity.name: ingest_stage(contract.entity)}
    stages |= {t.name: features_stage(t) for t in feature_tables(contract) if t in contract.derived}
    published = sorted(
        d for (stage, d), run in latest.items() if stage == stages[contract.entity.name] and run.published
    )
    notes: tuple[str, ...] = ()
    if plan is not None:
        placed = [
            d for d in published if (run := latest.get((graph_stage(plan), d))) is not None and run.published
        ]
        if not measured and placed != published:
            plan, notes = (
                None,
                (
                    "the graph is not used: features.graph_values is given, and not every day has its graph measured",
                ),
            )
        else:
            stages[plan.vertices.name] = graph_stage(plan)
    days, lacking = {}, []
    for day in published:
        runs = {table: latest.get((stage, day)) for table, stage in stages.items()}
        absent = [table for table, run in runs.items() if run is None or not run.published]
        if absent:
            lacking.append(f"{day}: {', '.join(absent)} not published")
        else:
            days[day] = {table: run for table, run in runs.items() if run is not None}
    if not days:
        raise NotPublishedError(
            "no snapshot has all that models need",
            details=lacking or [f"{contract.entity.name} has no published snapshot"],
            hint="run `engage-spark ingest`, `features` and `graph` first (or set features.graph_values=given and leave out the graph)",
        )
    return ModelInputs(days, plan, measured, (*notes, *(f"left out: {what}" for what in lacking)))


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


def _published(context: RunContext, table: Table, stage: str, days: list[date]) -> DataFrame:
    return context.log.read_published(context.spark, table, stage=stage, day=SNAPSHOT_DATE, days=days)
