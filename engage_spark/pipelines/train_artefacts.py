"""The files that a training leaves in MLflow."""

from __future__ import annotations

from typing import Any

from engage_spark.ml.decision import Decision
from engage_spark.pipelines.stage import Bench, Work
from engage_spark.pipelines.train_target import Trained


def artefacts(bench: Bench, work: Work, trained: Trained, decision: Decision) -> dict[str, Any]:
    """By path: text, pictures as bytes, or what JSON can hold."""
    return {"gates.json": [g.name for g in trained.gates], "decision.json": decision.reason}
