"""Make the states of a day from columns in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engage_spark.analytics.states import ALL, CUSTOMERS, NULL_SEGMENT, DayStates, Key, MetricState


def states_of(
    metrics: Mapping[str, Any], dimensions: Mapping[str, Sequence[str | None]], *, digits: int | None = None
) -> DayStates:
    """Count metrics over all customers and in the segments of dimensions; NaN and None are null."""
    columns = {name: np.asarray(values, np.float64) for name, values in metrics.items()}
    n = len(next(iter(columns.values())))
    states: dict[Key, MetricState] = {(ALL, ALL, CUSTOMERS): MetricState(n)}
    for name, values in columns.items():
        states[ALL, ALL, name] = MetricState.of(values.tolist(), with_quantiles=True, digits=digits)
    for dimension, segments in dimensions.items():
        texts = np.array([NULL_SEGMENT if s is None else s for s in segments])
        for segment in sorted(set(texts.tolist())):
            rows = texts == segment
            states[dimension, segment, CUSTOMERS] = MetricState(int(rows.sum()))
            for name, values in columns.items():
                states[dimension, segment, name] = MetricState.of(values[rows].tolist())
    return DayStates(states)


def rule(holds: Any) -> list[str]:
    """Return the segments of a rule."""
    return np.where(holds, "true", "false").tolist()
