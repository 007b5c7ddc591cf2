"""Betweenness on a standalone cluster of two workers: the same bits as in one process group, by shared
directory and by artifact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import pytest

from tests.support.commands import ROOT
from tests.support.graph_values import values
from tests.support.standalone_cluster import standalone_cluster, submit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[str]:
    """A standalone master with two workers of one core each, on loopback."""
    with standalone_cluster(tmp_path, {"one": 1, "other": 1}) as address:
        yield address


def test_two_workers_give_the_bits_of_one_machine(
    spark: SparkSession, two_workers: str, tmp_path: Path
) -> None:
    graph = nx.gnm_random_graph(200, 500, seed=11)
    rows = [(f"c{u:03d}", f"c{v:03d}") for u, v in graph.edges]
    edges, place, results = tmp_path / "edges", tmp_path / "place", tmp_path / "results.json"
    spark.createDataFrame(rows, "src string, dst string").repartition(3).write.parquet(str(edges))
    script = ROOT / "tests" / "support" / "graph_values.py"
    conf = {"spark.executor.memory": "600m", "spark.sql.shuffle.partitions": "3"}
    ran = submit(two_workers, script, str(edges), str(place), str(results), cwd=tmp_path, conf=conf)
    assert ran.code == 0, ran.transcript
    on_the_cluster = json.loads(results.read_text(encoding="utf-8"))
    assert on_the_cluster["artifact"] == on_the_cluster["sampled"]
    del on_the_cluster["artifact"]
    assert on_the_cluster == values(spark, str(edges), tmp_path / "here", artifact=False)
    assert {w.name for w in (tmp_path / "one").glob("app-*/*")} and {
        w.name for w in (tmp_path / "other").glob("app-*/*")
    }, "both took part"
