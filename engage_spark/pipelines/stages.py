"""Name the stages in `runs` and the tables that stages write.

Whoever reads what another stage published imports the name from here, not the other pipeline.
"""

from __future__ import annotations

from datetime import date

from engage_spark.contract import SNAPSHOT_DATE, GraphSpec, Table

GRAPH_COMPARISON = "graph_comparison"
SPLITS = "splits"
TRAINING_RUNS = "training_runs"
MODEL_MONITORING = "model_monitoring"
ANALYTICS_STATES = "analytics_states"
CLAIMS = "claims"
ANALYTICS = (
    ANALYTICS_STATES,
    "segments",
    "rollups",
    "cohorts",
    "correlations",
    "changes",
    "indicators",
    CLAIMS,
)
"""The tables of a stage `analyze`, in the order in which they are made."""

TRAIN = "train"
"""Stage of a training, which covers several targets and snapshots at once."""
ANALYZE = "analyze"
"""Stage of the analytics of a day, which are published together."""


def ingest_stage(table: Table) -> str:
    """Return the stage that publishes an input table: each is published by itself."""
    return f"ingest:{table.name}"


def features_stage(table: Table) -> str:
    """Return the stage that publishes a derived table."""
    return f"features:{table.name}"


def graph_stage(spec: GraphSpec) -> str:
    """Return the stage that publishes the vertices and edges of a graph together."""
    return f"graph:{spec.vertices.name}"


def score_stage(target: str) -> str:
    """Return the stage that publishes the predictions of one target."""
    return f"score:{target}"


def monitor_stage(target: str) -> str:
    """Return the stage that publishes how the predictions of one target fared."""
    return f"monitor:{target}"


def rows_of_target(day: date, target: str) -> str:
    """Return which rows of a table partitioned by day and target are those of one, as SQL."""
    quoted = target.replace("\\", "\\\\").replace("'", "\\'")
    return f"{SNAPSHOT_DATE} = DATE'{day}' AND target = '{quoted}'"
