"""Every customer's place in the social graph: layout, exact and sampled betweenness, structure, strength."""

from __future__ import annotations

from engage_spark.graph.betweenness import Betweenness, BetweennessReport, betweenness, measure_betweenness
from engage_spark.graph.distributed.layout import GraphLayout, open_layout

__all__ = [
    "Betweenness",
    "BetweennessReport",
    "GraphLayout",
    "betweenness",
    "measure_betweenness",
    "open_layout",
]
