"""Every customer's place in the social graph: layout, exact and sampled betweenness, structure, strength."""

from __future__ import annotations

from engage_spark.graph.betweenness import Betweenness, BetweennessReport, betweenness, betweenness_of
from engage_spark.graph.distributed.layout import Layout, laid_out

__all__ = ["Betweenness", "BetweennessReport", "Layout", "betweenness", "betweenness_of", "laid_out"]
