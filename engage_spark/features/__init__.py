"""Compute derived fields by running the contract's formulas.

Whatever SQL can express is in the contract, so there is little code here.
"""

from __future__ import annotations

from engage_spark.features.graph_join import with_graph_features
from engage_spark.features.run_formulas import FormulaFailures, to_features

__all__ = ["FormulaFailures", "to_features", "with_graph_features"]
