"""Tell from a contract alone, before Spark starts, which stages there are and which have nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engage_spark.contract import Contract, GraphRole
from engage_spark.errors import ConfigurationError
from engage_spark.pipelines.results import (
    FeaturesResult,
    GraphResult,
    MonitorResult,
    Note,
    ScoreResult,
    StageResult,
    TrainResult,
)
from engage_spark.pipelines.stages import TRAIN

STAGES = ("ingest", "features", "graph", "monitor", "train", "score", "analyze")
"""The stages that can be asked for, in the order in which they run."""


def without_features(contract: Contract) -> FeaturesResult | None:
    """Return the result of `features` for a contract that derives nothing; None for another."""
    if contract.derived:
        return None
    return FeaturesResult(
        stage="features", seconds=0.0, notes=(Note("NothingToDerive"),), snapshots=(), rows=0
    )


def without_graph(contract: Contract) -> GraphResult | None:
    """Return the result of `graph` for a contract without a graph; None for another."""
    if contract.of_graph_role(GraphRole.VERTICES):
        return None
    return GraphResult(stage="graph", seconds=0.0, notes=(Note("NothingToMeasure"),), snapshots=())


def without_training(contract: Contract) -> TrainResult | None:
    """Return the result of `train` for a contract without targets; None for another."""
    if contract.targets:
        return None
    return TrainResult(stage=TRAIN, seconds=0.0, notes=(Note("NothingToTrain"),), run_id="", targets=())


def without_scores(contract: Contract) -> ScoreResult | None:
    """Return the result of `score` for a contract without targets; None for another."""
    if contract.targets:
        return None
    return ScoreResult(
        stage="score", seconds=0.0, notes=(Note("NothingToScore"),), champions=(), snapshots=()
    )


def without_monitoring(contract: Contract) -> MonitorResult | None:
    """Return the result of `monitor` for a contract without targets; None for another."""
    if contract.targets:
        return None
    return MonitorResult(stage="monitor", seconds=0.0, notes=(Note("NothingToMonitor"),), days=())


NOTHING_TO_DO: Mapping[str, Callable[[Contract], StageResult | None]] = {
    "features": without_features,
    "graph": without_graph,
    "train": without_training,
    "score": without_scores,
    "monitor": without_monitoring,
}
"""By stage, its result where the contract leaves it nothing to do. A scheduled sequence of stages goes on."""


def stages_to_run(contract: Contract, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the stages to run: those that were asked for, or those that the contract has something for.

    Errors: ConfigurationError where one that was asked for is not a stage.
    """
    if unknown := [name for name in asked if name not in STAGES]:
        raise ConfigurationError(
            f"there is no stage {', '.join(unknown)}", hint=f"the stages are {', '.join(STAGES)}"
        )
    if asked:
        return tuple(name for name in STAGES if name in asked)
    return tuple(n for n in STAGES if n not in NOTHING_TO_DO or NOTHING_TO_DO[n](contract) is None)
