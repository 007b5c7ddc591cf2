"""Two workers that know nothing of the package: the packed environment brings it, and everything is in S3."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.pipelines.pipeline import run_pipeline
from engage_spark.pipelines.synth import run_synth
from engage_spark.settings import Settings
from engage_spark.spark import jars, versions
from tests.support.commands import LANDED, ROOT, overrides
from tests.support.delta_files import VOLATILE, digests, tables
from tests.support.packed import build, built_wheel
from tests.support.standalone_cluster import standalone_cluster, submit_with

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto.server")

pytestmark = [pytest.mark.s3, pytest.mark.long, pytest.mark.timeout(1200)]
BUCKET, CUSTOMERS = "engagement-prediction-packed", 120
KEYS = {"access_key": "AKIDENGAGETESTONLY01", "secret_key": "not-a-secret/but+must=stay+hidden-0123456789"}
STAGES = ("ingest", "features", "graph", "analyze")
RUN_IDS = {"_run_id", "run_id", "inputs"}
"""They follow from where the files are, and when they came."""
(LANDED_AT,) = LANDED.values()


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A client of a moto server with an empty bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    server.stop()


def upload(client: Any, folder: Path, prefix: str) -> None:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}")


def download(client: Any, prefix: str, folder: Path) -> None:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    for key in [item["Key"] for page in pages for item in page.get("Contents", ())]:
        path = folder / key.removeprefix(f"{prefix}/")
        if not key.endswith("/"):
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(BUCKET, key, str(path))


def test_a_packed_environment_gives_the_same_tables_in_a_bucket(
    spark: SparkSession, session_settings: Settings, bucket: Any, tmp_path: Path
) -> None:
    pair = versions.installed_pair()
    class_path = jars.resolved((pair.delta_package, pair.line.s3a_package), ivy=jars.ivy_home({}))
    if not class_path:
        pytest.skip("the S3 jars are not here: `make test` fetches them (0.7 GB)")
    raw, here = tmp_path / "raw", tmp_path / "here"
    settings = Settings(
        input={"root": str(raw)},
        lake={"root": str(here)},
        synth={"out": str(raw), "customers": CUSTOMERS, "snapshots": 2},
        ingest={"landed_at": datetime.fromisoformat(LANDED_AT).astimezone(UTC)},
        spark=session_settings.spark,
    )  # type: ignore[arg-type]
    contract = load_contract()
    run_synth(spark, settings, contract=contract)
    run_pipeline(spark, settings, contract=contract, stages=STAGES)
    upload(bucket, raw, "raw")

    archive = build.build_environment(built_wheel(tmp_path / "dist"), extras=["s3"], compress=False)
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "environment", filter="fully_trusted")
    joined = os.pathsep.join(map(str, class_path))
    conf = {
        "spark.archives": f"{archive}#environment",
        "spark.pyspark.python": "./environment/bin/python",
        "spark.pyspark.driver.python": str(tmp_path / "environment" / "bin" / "python"),
        "spark.driver.extraClassPath": joined,
        "spark.executor.extraClassPath": joined,
        "spark.executor.memory": "700m",
        "spark.databricks.delta.snapshotPartitions": "1",
    }
    bare = {"PYTHONPATH": "", "PYSPARK_PYTHON": "", "PYSPARK_DRIVER_PYTHON": ""}
    secrets = {f"ENGAGE_SPARK__S3__{name.upper()}": value for name, value in KEYS.items()}
    words = [
        *("--env", "cluster", "--stages", ",".join(STAGES)),
        *overrides(input__root=f"s3a://{BUCKET}/raw", lake__root=f"s3a://{BUCKET}/lake"),
        *overrides(synth__out=f"s3a://{BUCKET}/raw", spark__shuffle_partitions=3),
        *overrides(s3__endpoint=bucket.meta.endpoint_url, s3__region="us-east-1"),
        *overrides(s3__path_style="true", s3__ssl="false"),
    ]
    (tmp_path / "cluster").mkdir()
    with standalone_cluster(tmp_path / "cluster", {"one": 1, "other": 1}, more=bare) as address:
        ran = submit_with(
            address, ROOT / "jobs" / "pipeline.py", *words, cwd=tmp_path, conf=conf, more=bare | secrets
        )
    assert ran.code == 0, ran.transcript
    for worker in ("one", "other"):
        assert list((tmp_path / "cluster" / worker).glob("app-*/*/environment/bin/python")), worker
    assert not any(secret in ran.transcript for secret in KEYS.values())

    download(bucket, "lake", tmp_path / "there")
    names = [name for name in tables(here) if name != "runs"]
    there = digests(tmp_path / "there", without=VOLATILE | RUN_IDS)
    expected = digests(here, without=VOLATILE | RUN_IDS)
    assert {"customers_judged", "customer_features", "graph_features", "segments"} <= set(names)
    assert {name: there.get(name) for name in names} == {name: expected[name] for name in names}
