"""Models through MLflow and back, on a real sqlite file, on classic Spark and on Connect."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from engage_spark.errors import TransientError
from engage_spark.settings import TrackingSettings
from engage_spark.tracking import ModelFacts, ModelVersion, Tracker

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

FEATURES = (("visits", "int"), ("spent", "double"), ("plan", "string"))
FACTS = ModelFacts(
    run_id="a" * 64,
    contract_id="shop",
    contract_digest="c" * 64,
    settings_digest="d" * 64,
    code_version="0.1.0",
    data={"shop_features": "3"},
    candidate="linear",
    policy="strict",
    metric="auc",
    value=0.9,
    low=0.88,
    high=0.92,
    snapshots=("2025-10-21",),
)
EXTRAS = {"threshold": 0.2, "quantiles": [0.1, 0.25], "unseen": {"plan": "Ünknown"}}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    values = [(i, (i * 37 % 11) / 7.0, "abc"[i % 3], float(i % 5 > 1)) for i in range(60)]
    return spark.createDataFrame(
        [*values, (None, 2.5, None, 1.0)], "visits int, spent double, plan string, label double"
    )


@pytest.fixture(scope="module")
def fitted(rows: DataFrame) -> PipelineModel:
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import GBTClassifier
    from pyspark.ml.feature import Imputer, OneHotEncoder, StringIndexer, VectorAssembler

    stages = [
        Imputer(inputCols=["visits", "spent"], outputCols=["__visits", "__spent"]),
        StringIndexer(inputCol="plan", outputCol="__plan", handleInvalid="keep"),
        OneHotEncoder(inputCol="__plan", outputCol="__hot"),
        VectorAssembler(inputCols=["__visits", "__spent", "__hot"], outputCol="__features"),
        GBTClassifier(featuresCol="__features", labelCol="label", maxIter=3, maxDepth=3, seed=1),
    ]
    return Pipeline(stages=stages).fit(rows)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> TrackingSettings:
    return TrackingSettings(folder=str(tmp_path_factory.mktemp("tracking") / "mlflow"))


@pytest.fixture(scope="module")
def tracker(tracking: TrackingSettings, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker(tracking, staging=str(tmp_path_factory.mktemp("staging")))


@pytest.fixture(scope="module")
def version(spark: SparkSession, tracker: Tracker, fitted: PipelineModel) -> ModelVersion:
    with tracker.run("churned", name="first") as run:
        run.metrics({"test/auc": 0.9})
        run.model(spark, fitted, features=FEATURES, extras=EXTRAS, name="churned", facts=FACTS)
    return tracker.promote(tracker.register(run), reasons={"promoted": "no champion before"})


def predicted(model: PipelineModel, rows: DataFrame) -> list[tuple[float, ...]]:
    from pyspark.ml.functions import vector_to_array

    scored = model.transform(rows).select("prediction", vector_to_array("probability").alias("p")).collect()
    return [(r.prediction, *r.p) for r in scored]


@pytest.mark.connect
def test_a_model_from_the_registry_predicts_the_same_bits(
    spark: SparkSession, tracker: Tracker, version: ModelVersion, fitted: PipelineModel, rows: DataFrame
) -> None:
    champion = tracker.champion("churned")
    assert (champion.version, champion.features, champion.extras, champion.metrics) == (
        1,
        FEATURES,
        EXTRAS,
        {"test/auc": 0.9},
    )
    loaded = tracker.load(spark, champion)
    assert predicted(loaded, rows) == predicted(fitted, rows)
    assert len(set(predicted(fitted, rows))) > 3


@pytest.mark.connect
def test_nothing_stays_where_models_pass_through(tracker: Tracker, version: ModelVersion) -> None:
    assert tracker.staging is not None
    assert list(Path(tracker.staging).iterdir()) == []


def test_without_a_staging_place_the_model_passes_beside_its_files(
    spark: SparkSession,
    tmp_path: Path,
    tracking: TrackingSettings,
    fitted: PipelineModel,
    rows: DataFrame,
    version: ModelVersion,
) -> None:
    loaded = Tracker(tracking).load(spark, version)
    assert predicted(loaded, rows) == predicted(fitted, rows)


def test_mlflow_itself_reads_the_model(
    spark: SparkSession,
    spark_kind: str,
    tracker: Tracker,
    version: ModelVersion,
    fitted: PipelineModel,
    rows: DataFrame,
    tmp_path: Path,
) -> None:
    if spark_kind == "connect":
        pytest.skip("mlflow.spark.load_model needs the JVM's file system, which Spark Connect does not give")
    mlflow = pytest.importorskip("mlflow")
    folder = tracker.registry.download(version, tmp_path)
    signature = mlflow.models.get_model_info(str(folder)).signature
    assert [(c.name, c.type.name, c.required) for c in signature.inputs] == [
        ("visits", "integer", False),
        ("spent", "double", False),
        ("plan", "string", False),
    ]
    assert [(c.name, c.type.name) for c in signature.outputs] == [("prediction", "double")]
    loaded = mlflow.spark.load_model(str(folder), dfs_tmpdir=str(tmp_path / "dfs"))
    assert predicted(loaded, rows) == predicted(fitted, rows)


def test_a_model_is_kept_when_the_server_is_away_and_sent_when_there_is_one(
    spark: SparkSession, tracker: Tracker, fitted: PipelineModel, rows: DataFrame, tmp_path: Path
) -> None:
    away = Tracker(
        TrackingSettings(uri="http://127.0.0.1:1", folder=str(tmp_path / "local")), staging=tracker.staging
    )
    with pytest.raises(TransientError) as caught:
        with away.run("kept", name="first") as run:
            run.model(spark, fitted, features=FEATURES, extras=EXTRAS, name="kept", facts=FACTS)
    (place,) = (
        Path(d.removeprefix("the trained model: "))
        for d in caught.value.details
        if d.startswith("the trained model: ")
    )
    assert place.is_relative_to(tmp_path / "local" / "kept")
    assert predicted(away.load(spark, place), rows) == predicted(fitted, rows)
    sent = tracker.send(away.unsent_runs()[0])
    assert sent is not None
    assert (sent.target, sent.version, away.unsent_runs()) == ("kept", 1, ())
    assert predicted(tracker.load(spark, sent), rows) == predicted(fitted, rows)


@contextmanager
def server(home: Path) -> Iterator[str]:
    """A real MLflow server on loopback, with a sqlite file and the files of its runs in `home`."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    words = [
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        f"sqlite:///{home}/server.db",
    ]
    words += ["--artifacts-destination", str(home / "files")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (home / "server.log").open("wb") as server_log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            stdout=server_log,
            stderr=server_log,
            env=os.environ | quiet,
            cwd=home,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail((home / "server.log").read_text())
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its own group: the server and its worker
        process.wait(timeout=30)


@pytest.mark.slow
def test_a_remote_server_takes_and_gives_the_same_model(
    spark: SparkSession,
    tracker: Tracker,
    fitted: PipelineModel,
    rows: DataFrame,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with server(tmp_path) as uri:
        remote = Tracker(TrackingSettings(uri=uri, folder=str(tmp_path / "local")), staging=tracker.staging)
        remote.check()
        with remote.run("churned", name="first", params={"folds": 5}) as run:
            run.artefact("plots/roc.svg", b"<svg/>")
            run.metrics({"test/auc": 0.9})
            run.model(spark, fitted, features=FEATURES, extras=EXTRAS, name="churned", facts=FACTS)
        remote.promote(remote.register(run), reasons={"promoted": "no champion before"})
        champion = remote.champion("churned")
        assert (champion.version, champion.extras, champion.metrics) == (1, EXTRAS, {"test/auc": 0.9})
        assert predicted(remote.load(spark, champion), rows) == predicted(fitted, rows)
    assert not (tmp_path / "local").exists(), "nothing of it is local"
    output = capfd.readouterr()
    assert "View run" not in output.out + output.err
