"""Betweenness on a standalone cluster of two workers: the same bits as in one process group, by shared
directory and by artifact.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import pytest

from engage_spark.spark import jars
from tests.e2e.test_commands import SPARK_HOME, process, wait_for
from tests.support.commands import ROOT, SHORT_LIVED, run
from tests.support.graph_values import values

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[str]:
    """A standalone master with two workers of one core each, on loopback."""
    spark_class = str(SPARK_HOME / "bin" / "spark-class")
    master = [
        spark_class,
        "org.apache.spark.deploy.master.Master",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--webui-port",
        "0",
    ]
    with contextlib.ExitStack() as running:
        m = running.enter_context(process(master, cwd=tmp_path, log=tmp_path / "master.log"))
        address = wait_for(tmp_path / "master.log", r"Starting Spark master at (spark://\S+)", m)
        for name in ("one", "other"):
            worker = [
                spark_class,
                "org.apache.spark.deploy.worker.Worker",
                "--host",
                "127.0.0.1",
                "--webui-port",
                "0",
                "--cores",
                "1",
            ]
            log = tmp_path / f"{name}.log"
            w = running.enter_context(
                process(
                    [*worker, "--memory", "1g", "--work-dir", str(tmp_path / name), address],
                    cwd=tmp_path,
                    log=log,
                )
            )
            wait_for(log, "Successfully registered with master", w)
        yield address


def test_two_workers_give_the_bits_of_one_machine(
    spark: SparkSession, two_workers: str, tmp_path: Path
) -> None:
    graph = nx.gnm_random_graph(200, 500, seed=11)
    rows = [(f"c{u:03d}", f"c{v:03d}") for u, v in graph.edges]
    edges, place, results = tmp_path / "edges", tmp_path / "place", tmp_path / "results.json"
    spark.createDataFrame(rows, "src string, dst string").repartition(3).write.parquet(str(edges))
    delta = jars.fetch((jars.DELTA_PACKAGE,), ivy=jars.ivy_home({}))
    conf = {
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.executor.memory": "600m", "spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "3",
        "spark.driver.extraJavaOptions": SHORT_LIVED, "spark.executor.extraJavaOptions": SHORT_LIVED,
    }  # fmt: skip
    command = [
        str(SPARK_HOME / "bin" / "spark-submit"),
        "--master",
        two_workers,
        "--jars",
        ",".join(map(str, delta)),
    ]
    command += [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    script = str(ROOT / "tests" / "support" / "graph_values.py")
    ran = run(
        [*command, script, str(edges), str(place), str(results)],
        cwd=tmp_path,
        env={"SPARK_HOME": str(SPARK_HOME)},
    )
    assert ran.code == 0, ran.transcript
    on_the_cluster = json.loads(results.read_text(encoding="utf-8"))
    assert on_the_cluster["artifact"] == on_the_cluster["sampled"]
    del on_the_cluster["artifact"]
    assert on_the_cluster == values(spark, str(edges), tmp_path / "here", artifact=False)
    assert {w.name for w in (tmp_path / "one").glob("app-*/*")} and {
        w.name for w in (tmp_path / "other").glob("app-*/*")
    }, "both took part"
