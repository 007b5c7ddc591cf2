"""List the tables that the stages store under a contract: who writes them, and which columns hold keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engage_spark.contract import (
    SNAPSHOT_DATE,
    Contract,
    EdgeMeasure,
    GraphRole,
    Table,
    graph_spec_of,
    judged_table,
    predictions_table,
    splits_table,
    system_contract,
    tracked_table,
)
from engage_spark.pipelines.stages import (
    ANALYTICS,
    ANALYZE,
    GRAPH_COMPARISON,
    MODEL_MONITORING,
    TRAINING_RUNS,
    features_stage,
    graph_stage,
    ingest_stage,
    monitor_stage,
    score_stage,
)
from engage_spark.publication import RUN_ID, RUNS


@dataclass(frozen=True, kw_only=True)
class StoredTable:
    """One table of the lake as the contract declares it.

    `stages` write it by days; there are none where rows stay for good. `keys` are the sets of columns of
    which each names a row of the entity, such as the two ends of an event. `run_column` names the run.
    """

    table: Table
    stages: tuple[str, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    is_log: bool = False
    run_column: str = RUN_ID
    partition_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in the lake."""
        return self.table.name

    @property
    def is_checked(self) -> bool:
        """Whether its rows have a verdict."""
        return "_dq_status" in self.table.names


def stored_tables_of(contract: Contract) -> tuple[StoredTable, ...]:
    """Return every table that the stages store under a contract, in the order in which they are made."""
    return (*_inputs(contract), *_derived(contract), *_of_models(contract), *_of_analytics(), *_system())


def _inputs(contract: Contract) -> Iterator[StoredTable]:
    entity = contract.entity
    yield StoredTable(
        table=judged_table(entity),
        stages=(ingest_stage(entity),),
        keys=(entity.key,),
        partition_by=(SNAPSHOT_DATE, RUN_ID),
    )
    for log in contract.logs:
        ends = tuple((r.column,) for r in log.references if r.table == entity.name)
        yield StoredTable(
            table=judged_table(log),
            stages=(ingest_stage(log),),
            keys=ends,
            is_log=True,
            partition_by=(RUN_ID,),
        )


def _derived(contract: Contract) -> Iterator[StoredTable]:
    for table in contract.derived:
        yield StoredTable(
            table=tracked_table(table),
            stages=(features_stage(table),),
            keys=(contract.entity.key,) if set(contract.entity.key) <= set(table.names) else (),
            partition_by=(SNAPSHOT_DATE, RUN_ID),
        )
    if not contract.of_graph_role(GraphRole.VERTICES):
        return
    spec = graph_spec_of(contract)
    ends = (spec.column(EdgeMeasure.FIRST_END), spec.column(EdgeMeasure.SECOND_END))
    stage = (graph_stage(spec),)
    for table, keys in (
        (spec.vertices, ((spec.key,),)),
        (spec.edges, tuple((end,) for end in ends if end is not None)),
    ):
        yield StoredTable(
            table=tracked_table(table), stages=stage, keys=keys, partition_by=(SNAPSHOT_DATE, RUN_ID)
        )
    yield StoredTable(
        table=system_contract().table(GRAPH_COMPARISON),
        stages=stage,
        run_column="run_id",
        partition_by=(SNAPSHOT_DATE, "run_id"),
    )


def _of_models(contract: Contract) -> Iterator[StoredTable]:
    yield StoredTable(table=splits_table(contract), keys=(contract.entity.key,))
    if targets := [f.name for f in contract.targets]:
        yield StoredTable(
            table=predictions_table(contract),
            stages=tuple(map(score_stage, targets)),
            keys=(contract.entity.key,),
            partition_by=(SNAPSHOT_DATE, "target", RUN_ID),
        )
        yield StoredTable(
            table=system_contract().table(MODEL_MONITORING),
            stages=tuple(map(monitor_stage, targets)),
            run_column="run_id",
            partition_by=(SNAPSHOT_DATE, "target", "run_id"),
        )


def _of_analytics() -> Iterator[StoredTable]:
    system = system_contract()
    for name in ANALYTICS:
        yield StoredTable(
            table=system.table(name),
            stages=(ANALYZE,),
            run_column="run_id",
            partition_by=(SNAPSHOT_DATE, "run_id"),
        )


def _system() -> Iterator[StoredTable]:
    system = system_contract()
    yield StoredTable(table=system.table(TRAINING_RUNS), run_column="run_id")
    yield StoredTable(table=system.table(RUNS), run_column="run_id")
