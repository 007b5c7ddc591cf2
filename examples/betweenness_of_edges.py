"""Measure the betweenness of every vertex of a table of edges. No lake and no contract is needed.

Run it with `python examples/betweenness_of_edges.py`.
"""

from engage_spark import load_settings, open_session
from engage_spark.graph import betweenness

# Two groups of friends, and Ana who knows both.
EDGES = [
    ("Ana", "Ben"), ("Ben", "Cem"), ("Cem", "Ana"),
    ("Ana", "Dia"), ("Dia", "Eli"), ("Eli", "Ana"),
]  # fmt: skip

with open_session(load_settings()) as spark:
    edges = spark.createDataFrame(EDGES, "src string, dst string")
    scores, report = betweenness(edges)
    scores.orderBy("betweenness", ascending=False).show()
    print(f"{report.method}, {report.n} vertices, {report.m} edges")
