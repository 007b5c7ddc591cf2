"""Send rows down flat trees and add up the leaves that they reach, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engage_spark.numerics.dtypes import F64, I32
from engage_spark.numerics.jit import kernel


@kernel
def add_leaves(
    x: F64,
    feature: I32,
    threshold: F64,
    right: I32,
    missing_left: NDArray[np.bool_],
    value: F64,
    roots: I32,
    bias: float,
    sums: F64,
) -> None:  # pragma: no cover - compiled
    """Set `sums` to each row's leaf values added up in the order of the trees, and the bias."""
    for row in range(len(x)):
        total = 0.0
        for root in roots:
            node = root
            while feature[node] >= 0:
                v = x[row, feature[node]]
                goes_left = v <= threshold[node] or (np.isnan(v) and missing_left[node])
                node = node + 1 if goes_left else right[node]
            total += value[node]
        sums[row] = total + bias
