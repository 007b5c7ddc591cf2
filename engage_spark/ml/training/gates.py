"""Hold a final model against the gates, on the rows that it is judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engage_spark.ml.evaluation.bootstrap import Interval, share_interval
from engage_spark.ml.evaluation.conformal import Conformal
from engage_spark.ml.evaluation.metrics import HEADLINE
from engage_spark.ml.evaluation.promotion import (
    ModelGate,
    beats_baseline,
    covers,
    is_calibrated,
    is_free_of_leaks,
    undefined,
)
from engage_spark.ml.feature_spec import Task
from engage_spark.ml.training.final_models import BASELINE, WINNER, FinalModels
from engage_spark.numerics.dtypes import F64
from engage_spark.settings.model import ModelSettings

ALL_LABELS = "all"


def coverage_of(
    conformal: Conformal, finals: FinalModels, models: ModelSettings, *, scores: F64 | None = None
) -> dict[str, Interval]:
    """Return the share of rows whose label is covered, with its interval by customer: of all rows, and of
    each class where the promise is made to each. `scores` are the model's by default.

    Nulls: a class without a row is left out.
    """
    covered = conformal.covered(finals.labels, finals.by_role[WINNER].scores if scores is None else scores)
    parts = _parts(conformal, finals.labels)
    return {
        part: share_interval(
            covered[rows],
            weights=finals.weights[rows],
            clusters=finals.customers[rows],
            replicates=models.bootstrap,
            seed=models.seed,
        )
        for part, rows in parts.items()
    }


def _parts(conformal: Conformal, labels: np.ndarray) -> Mapping[str, np.ndarray]:
    parts = {ALL_LABELS: np.ones(len(labels), dtype=bool)}
    if conformal.task is Task.BINARY and conformal.by_class:
        parts |= {f"labelled {c}": labels == c for c in (0, 1)}
    return {part: rows for part, rows in parts.items() if rows.any()}


def serving_gate(conformal: Conformal, coverage: Mapping[str, Interval], labels: np.ndarray) -> ModelGate:
    """Return the gate of the coverage of a model that was fitted again, by what `coverage_of` gave."""
    rows = {part: int(of_part.sum()) for part, of_part in _parts(conformal, labels).items()}
    return covers(conformal.coverage, coverage, rows=rows, name="serving coverage")


def gates_of(
    judged: FinalModels,
    conformal: Conformal,
    *,
    stopping: Sequence[str],
    leaking: Sequence[str],
    stand_in: str = "",
    models: ModelSettings,
) -> tuple[ModelGate, ...]:
    """Return every gate with its answer on rows that no model has seen.

    `stopping` are findings of the leakage audit that stop a strict training, `leaking` the model's features
    that leak by the contract, `stand_in` says why the baseline is a constant and not the one that
    the contract names.
    """
    headline, n_rows = HEADLINE[judged.target.task].name, len(judged.labels)
    model, baseline = (judged.by_role[role].metrics[headline] for role in (WINNER, BASELINE))
    gain = judged.gain(WINNER, over=BASELINE, models=models)
    ece = judged.by_role[WINNER].metrics.get("ece")
    parts = _parts(conformal, judged.labels)
    gates = [
        undefined("baseline", "better than the baseline", f"no {headline} on these rows", rows=n_rows)
        if model is None or baseline is None or gain is None
        else beats_baseline(model, baseline, gain, rows=n_rows, stand_in=stand_in),
        covers(
            conformal.coverage,
            coverage_of(conformal, judged, models),
            rows={part: int(rows.sum()) for part, rows in parts.items()},
        ),
        is_free_of_leaks(stopping, leaking),
    ]
    return tuple(gates if ece is None else [*gates, is_calibrated(ece, rows=n_rows)])
