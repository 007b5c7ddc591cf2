"""The stages on a Spark Connect server that refuses what serverless compute refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.errors import PySparkException

from engage_spark.pipelines.analyze.run import run_analyze
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.graph.run import run_graph
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.tables.optimize import run_optimize
from engage_spark.pipelines.tables.vacuum import run_vacuum
from tests.support.deliveries import ENGAGEMENT, customers, deliver, deliver_log, events, settings_of
from tests.support.delta_files import rows, tables
from tests.support.serverless_proxy import refusing_server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

pytestmark = [pytest.mark.connect, pytest.mark.slow, pytest.mark.long]
DAY, NEXT = "2025-10-21", "2025-10-22"
N = 60
PORT = 15002
"""Where the session of these tests has its server."""


def delivered(home: Path) -> None:
    """A day of customers, and who is connected and interacts with whom."""
    deliver(customers(N), ENGAGEMENT, home, DAY)
    ids = customers(N)["customer_id"].tolist()
    pairs = [(ids[i], ids[(i * 7 + 1) % N]) for i in range(N) if i != (i * 7 + 1) % N]
    for table in ENGAGEMENT.logs:
        deliver_log(events(table, pairs, [DAY]), table, home)


@pytest.mark.timeout(1_800)
def test_stages_and_maintenance_run_where_serverless_options_are_refused(
    spark: SparkSession, spark_kind: str, session_settings: Settings, tmp_path: Path
) -> None:
    if spark_kind != "connect":
        pytest.skip("what is refused is refused on the wire of Spark Connect")
    delivered(tmp_path)
    settings = settings_of(session_settings, tmp_path, landed_at=f"{NEXT}T12:00:00Z")
    with refusing_server(PORT) as (address, server):
        other = type(spark).builder.remote(address).create()
        try:
            with pytest.raises(PySparkException, match="CONFIG_NOT_AVAILABLE"):
                other.conf.get("spark.sql.files.ignoreCorruptFiles")
            with pytest.raises(PySparkException, match="NOT_SUPPORTED_WITH_SERVERLESS"):
                other.range(1).persist()
            with pytest.raises(PySparkException, match="NOT_SUPPORTED_WITH_SERVERLESS"):
                other.sql("SET spark.sql.ansi.enabled=false")
            server.refused.clear()
            for stage in (run_ingest, run_features, run_graph, run_analyze):
                stage(other, settings, contract=ENGAGEMENT)
            run_optimize(other, settings, contract=ENGAGEMENT)
            run_vacuum(other, settings, contract=ENGAGEMENT)
        finally:
            other.client.close()
    asked = {key for key in server.refused if key.startswith("spark.")}
    assert "spark.sql.files.ignoreCorruptFiles" in asked, "it was asked, and nobody minds"
    assert set(server.refused) == asked, "no cache, no checkpoint, no command"
    made = {name: len(rows(tmp_path / "lake" / name)) for name in tables(tmp_path / "lake")}
    assert made["customers_judged"] == made["customer_features"] == made["graph_features"] == N
    assert made["segments"] and made["rollups"] and made["edge_strengths"]
