"""The command line and the jobs as people start them: processes of their own, on one machine and on a
cluster, and killed half way.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from pyspark.sql import functions as F

from engage_spark import open_lake
from engage_spark.cli import main
from engage_spark.contract import judged_table, load_contract
from engage_spark.lake import Lake, RunLog
from engage_spark.settings import LakeSettings
from tests.support.commands import (
    DAY,
    JUDGED,
    LANDED,
    ROOT,
    CommandResult,
    content_digest,
    content_digests,
    overrides,
    run_engage_spark,
    run_here,
    small_session,
    table,
)
from tests.support.standalone_cluster import process, standalone_cluster, submit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(1200)
CUSTOMERS = 240
GRAPH = ("graph_features", "edge_strengths", "graph_comparison")
CUSTOMERS_TABLE = judged_table(load_contract().entity)
TABLE_JOBS = {"ingest.py": "ingest", "build_features.py": "features", "build_graph.py": "graph"}
PIPELINE_JOB = "pipeline.py"
MODEL_JOBS = {"train.py": "train", "score.py": "score", "monitor.py": "monitor", "analyze.py": "analyze"}
"""The stage of each job, in the order in which they run."""

VALID_ROWS = "_dq_status = 'valid'"
FEW = {"models__folds": 2, "models__keep": 8, "models__bootstrap": 20, "models__smallest_group": 20}
LINEAR = ["--set", 'models.candidates=["linear"]']
(LANDED_AT,) = LANDED.values()
"""For commands in this process, where no variable sets it. A killed attempt has recorded no landing: without
this the rerun would see the delivery land now, and its run_id and latency would be others.
"""


class Demo(NamedTuple):
    home: Path
    first: CommandResult
    second: CommandResult

    @property
    def raw(self) -> Path:
        return self.home / "raw"

    @property
    def lake(self) -> Path:
        return self.home / "lake"


@pytest.fixture(scope="module")
def demo(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`engage-spark demo` in a process of its own, and again in this one."""
    home = tmp_path_factory.mktemp("demo")
    places = overrides(synth__out=home / "raw", lake__root=home / "lake", log__spark=home / "spark.log")
    places += overrides(tracking__folder=home / "mlflow", **FEW)
    words = ["demo", "--customers", str(CUSTOMERS), *places, *LINEAR, *small_session(home)]
    return Demo(home, run_engage_spark(*words, cwd=home, timeout=900), run_here(*words))


@pytest.mark.slow
def test_demo_goes_all_the_way(demo: Demo) -> None:
    assert demo.first.code == 0, demo.first.transcript
    for title in ("synth", "ingest", "features", "graph", "train", "score", "analyze"):
        assert re.search(rf"^{title}  \d+\.\d s$", demo.first.out, re.MULTILINE), demo.first.transcript
    assert len(re.findall(r"published", demo.first.out)) == 3, demo.first.transcript
    for name in (
        "customer_features",
        "graph_features",
        "edge_strengths",
        "graph_comparison",
        "_pictures/graph-2025-10-21.svg",
        "splits",
        "training_runs",
    ):
        assert str(demo.lake / name) in demo.first.out and (demo.lake / name).exists(), name


@pytest.mark.slow
def test_every_table_of_the_demo_is_read_without_spark_as_spark_reads_it(
    spark: SparkSession, demo: Demo
) -> None:
    lake = open_lake(demo.lake)
    there = [name for name, view in lake.views.items() if not view.stages or lake.days(name)]
    asked = {name: len(lake.table(name)) for name in there}
    assert [name for name, rows in asked.items() if not rows] == ["changes"]  # of one snapshot
    assert asked["customers"] == table(spark, demo.lake, "customers_judged").where(VALID_ROWS).count()
    assert asked["connections"] == table(spark, demo.lake, "connections_judged").where(VALID_ROWS).count()
    for name in ("customer_features", "graph_features", "edge_strengths", "splits"):
        assert asked[name] == table(spark, demo.lake, name).count(), name
    mean = lake.sql("SELECT avg(engagement_velocity) FROM customer_features").to_arrow()[0][0].as_py()
    (by_spark,) = table(spark, demo.lake, "customer_features").agg(F.avg("engagement_velocity")).first()
    assert mean == pytest.approx(by_spark)


@pytest.mark.slow
def test_the_summary_reads_at_80_columns(demo: Demo) -> None:
    """But for paths and addresses, which nobody could copy out of two lines."""
    whole = (str(demo.home), "http://")
    wide = [x for x in demo.first.out.splitlines() if len(x) > 80 and not any(w in x for w in whole)]
    assert wide == []
    assert not re.search(r"\x1b\[", demo.first.transcript), "control codes in what is no terminal"


@pytest.mark.slow
def test_a_second_demo_leaves_everything_as_it_is_and_is_quick(demo: Demo) -> None:
    assert demo.second.code == 0, demo.second.transcript
    output = " ".join(demo.second.out.split())  # notes wrap at 80 columns
    assert "made before by the same plan, left as it is" in output
    assert output.count("published before from the same files, left as it is") == 3, demo.second.transcript
    assert "every published snapshot has its features already" in output
    assert "every published snapshot has its graph measured already" in output
    assert "trained before on the same data" in output
    assert demo.second.seconds < demo.first.seconds, demo.second.transcript
    for name in (*JUDGED, "customer_features", *GRAPH, "splits", "training_runs"):
        assert len(list((demo.lake / name / "_delta_log").glob("*.json"))) == 1, name


@pytest.mark.slow
def test_demo_writes_nothing_beside_its_places(demo: Demo) -> None:
    assert {p.name for p in demo.home.iterdir()} <= {"raw", "lake", "local", "spark.log", "mlflow"}
    assert not (demo.lake / "_scratch").exists() or list((demo.lake / "_scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--version"], 0, "engage-spark "),
        (["contract", "lint"], 0, "no violations"),
        (["ingest", "--set", "lake.rot=x"], 2, "did you mean root?"),
        (["ingest", "--env", "clutser"], 2, "did you mean 'cluster'?"),
        (["ingest", "--snapshot-date", "yesterday"], 2, "write it as 2025-10-21"),
        (["contract", "lint", "--contract", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["no-such-command"], 2, "no-such-command"),
    ],
)
def test_exit_codes_of_what_needs_no_spark(tmp_path: Path, words: list[str], code: int, message: str) -> None:
    ran = run_engage_spark(*words, cwd=tmp_path)
    assert ran.code == code, ran.transcript
    assert message in ran.out + ran.err, ran.transcript
    assert "Traceback" not in ran.err, ran.transcript


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A standalone master with one worker of 2 cores, on loopback."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster"), {"work": 2}) as address:
        yield address


def submit_job(address: str, job: str, *words: str, cwd: Path) -> CommandResult:
    conf = {"spark.executor.memory": "700m", "spark.databricks.delta.snapshotPartitions": "1"}
    return submit(address, ROOT / "jobs" / job, *words, cwd=cwd, conf=conf)


def on_the_cluster(demo: Demo, home: Path) -> list[str]:
    """Options of a job that reads the demo's delivery and writes below `home`."""
    return [
        *("--env", "cluster", "--conf-dir", str(ROOT / "conf")),
        *overrides(lake__root=home / "lake", tracking__folder=home / "mlflow", synth__out=demo.raw),
        *overrides(input__root=demo.raw, spark__shuffle_partitions=3),
    ]


def assert_done(ran: CommandResult, stage: str) -> None:
    assert ran.code == 0, ran.transcript
    assert re.search(rf"^{stage}  \d+\.\d s$", ran.out, re.MULTILINE), ran.transcript


def test_every_job_is_run_by_a_test() -> None:
    assert {p.name for p in (ROOT / "jobs").glob("*.py")} == {
        *TABLE_JOBS,
        *MODEL_JOBS,
        PIPELINE_JOB,
    }


@pytest.mark.slow
def test_the_jobs_give_the_same_tables_on_a_cluster(
    spark: SparkSession, demo: Demo, cluster: str, tmp_path: Path
) -> None:
    words = on_the_cluster(demo, tmp_path)
    for job, stage in TABLE_JOBS.items():
        assert_done(submit_job(cluster, job, *words, cwd=tmp_path), stage)
    names = (*JUDGED, "customer_features", "quality_results", *GRAPH)
    assert content_digests(spark, tmp_path / "lake", names) == content_digests(spark, demo.lake, names)


@pytest.mark.long
def test_the_model_jobs_train_and_score_on_a_cluster(
    spark: SparkSession, demo: Demo, cluster: str, tmp_path: Path
) -> None:
    shutil.copytree(demo.lake, tmp_path / "lake")
    words = [*on_the_cluster(demo, tmp_path), *overrides(**FEW), *LINEAR]
    target = "lifetime_value_usd"
    assert_done(submit_job(cluster, "train.py", *words, "--target", target, "--force", cwd=tmp_path), "train")
    promoted = run_engage_spark(*words, "models", "promote", target, "1", "--force", cwd=tmp_path)
    assert promoted.code == 0, promoted.transcript
    assert_done(submit_job(cluster, "score.py", *words, "--force", cwd=tmp_path), "score")
    predictions = table(spark, tmp_path / "lake", "predictions").where(f"target = '{target}'")
    valid = table(spark, tmp_path / "lake", "customers_judged").where("_dq_status = 'valid'")
    assert predictions.count() == valid.count()
    watched = submit_job(cluster, "monitor.py", *words, "--target", target, cwd=tmp_path)
    assert watched.code in (0, 3), watched.transcript
    assert table(spark, tmp_path / "lake", "model_monitoring").where("measure = 'rmse'").count() == 1


@pytest.mark.parametrize("job", MODEL_JOBS)
def test_a_model_job_without_a_published_table_says_so(
    spark: SparkSession,
    tmp_path: Path,
    job: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Like this through spark-submit: the next test."""
    places = overrides(lake__root=tmp_path / "lake", tracking__folder=tmp_path / "mlflow")
    monkeypatch.setattr(sys, "argv", [job, *places])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "jobs" / job), run_name="__main__")
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_failing_job_carries_its_exit_code_through_spark_submit(tmp_path: Path) -> None:
    nothing = overrides(input__root=tmp_path / "nothing", lake__root=tmp_path / "lake")
    ran = submit_job("local[1]", "ingest.py", *nothing, cwd=tmp_path)
    assert ran.code == 2, ran.transcript
    # spark-submit makes one stream of a driver's two
    assert f"error: there is no {tmp_path / 'nothing'}" in ran.out, ran.transcript


def kill_when(appears: Path, words: list[str], *, home: Path) -> None:
    """Start `engage-spark WORDS…` and kill it, its JVM too, with SIGKILL at the moment a file appears."""
    command = [sys.executable, "-m", "engage_spark", *words, *small_session(home)]
    with process(command, cwd=home, log=home / "killed.log") as victim:
        until = time.monotonic() + 150
        while not appears.exists():
            assert victim.process.poll() is None and time.monotonic() < until, victim.output
            time.sleep(0.01)
        os.killpg(victim.process.pid, signal.SIGKILL)
        assert victim.process.wait(20) == -signal.SIGKILL


def run_log(lake: Path) -> RunLog:
    return RunLog(Lake(LakeSettings(root=str(lake))))


def commit(lake: Path, name: str, version: int) -> Path:
    return lake / name / "_delta_log" / f"{version:020d}.json"


@pytest.mark.long
def test_killed_between_the_rows_and_their_publication(
    spark: SparkSession, demo: Demo, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    words = ["ingest", "--input", str(demo.raw)]
    words += overrides(lake__root=lake, ingest__landed_at=LANDED_AT)
    kill_when(commit(lake, "customers_judged", 0), words, home=tmp_path)

    assert table(spark, lake, "customers_judged").count() == CUSTOMERS  # they are there …
    seen = run_log(lake).read_published(spark, CUSTOMERS_TABLE, stage="ingest:customers", day="snapshot_date")
    assert seen.count() == 0  # … and nobody sees them
    with pytest.raises(SystemExit) as stopped:
        main(["features", *overrides(lake__root=lake)])
    assert stopped.value.code == 2

    main(words)
    names = (*JUDGED, "quality_results")
    assert content_digests(spark, lake, names) == content_digests(spark, demo.lake, names)
    assert seen.count() == 0
    assert run_log(lake).publication(spark).published["ingest:customers", DAY].attempt == 1


@pytest.mark.slow
def test_killed_while_a_published_snapshot_is_replaced(
    spark: SparkSession, demo: Demo, tmp_path: Path
) -> None:
    """Readers get the rows of the old run, whole, until those of the new one are published."""
    lake, raw = tmp_path / "lake", tmp_path / "raw"
    shutil.copytree(demo.lake, lake)
    shutil.copytree(demo.raw, raw)  # other files with the same rows: a delivery that has changed
    words = ["ingest", "--input", str(raw)]
    words += overrides(lake__root=lake, ingest__landed_at=LANDED_AT)
    kill_when(commit(lake, "customers_judged", 1), words, home=tmp_path)

    read = {"table": CUSTOMERS_TABLE, "stage": "ingest:customers", "day": "snapshot_date"}
    assert table(spark, lake, "customers_judged").count() == 2 * CUSTOMERS
    old = run_log(lake).read_published(spark, **read, days=[DAY])
    before = content_digest(old)
    assert before == content_digest(table(spark, demo.lake, "customers_judged"))

    main(words)
    new = run_log(lake).read_published(spark, **read, days=[DAY])
    assert content_digest(new) != before
    assert content_digest(new, without=("_run_id",)) == content_digest(old, without=("_run_id",))
    events = [name for name in JUDGED if name != "customers_judged"]
    assert content_digests(spark, lake, events) == content_digests(spark, demo.lake, events)
