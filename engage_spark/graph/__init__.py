"""Measure every customer's position in the social graph: betweenness, structure, strength of ties.

`kernels` are compiled algorithms on arrays in one process and know no Spark. `distributed` runs them as Spark
tasks. `betweenness` and `tables` stand above both.
"""

from __future__ import annotations

from engage_spark.graph.betweenness import Betweenness, BetweennessReport, betweenness, measure_betweenness
from engage_spark.graph.distributed.layout import GraphLayout, open_layout, open_ranked_layout

__all__ = [
    "Betweenness",
    "BetweennessReport",
    "GraphLayout",
    "betweenness",
    "measure_betweenness",
    "open_layout",
    "open_ranked_layout",
]
