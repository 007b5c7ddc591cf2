"""The command line and the jobs as people start them: processes of their own, on one machine and on a
cluster, and killed half way.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyspark
import pytest

from engage_spark.cli import main
from engage_spark.contract import judged_table, load_contract
from engage_spark.errors import TransientError
from engage_spark.lake import Lake, RunLog
from engage_spark.settings import LakeSettings
from engage_spark.spark import jars
from tests.support.commands import (
    DAY,
    JUDGED,
    ROOT,
    SHORT_LIVED,
    CommandResult,
    content_digests,
    environment,
    overrides,
    run,
    run_engage_spark,
    small_session,
    table,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CUSTOMERS = 240
SPARK_HOME = Path(pyspark.__file__).parent
GRAPH = ("graph_features", "edge_strengths", "graph_comparison")
CUSTOMERS_TABLE = judged_table(load_contract().entity)


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
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`engage-spark demo`, twice."""
    home = tmp_path_factory.mktemp("demo")
    places = overrides(synth__out=home / "raw", lake__root=home / "lake", log__spark=home / "spark.log")
    places += overrides(
        tracking__folder=home / "mlflow",
        models__folds=2,
        models__keep=8,
        models__bootstrap=20,
        models__smallest_group=20,
    )
    words = [
        "demo",
        "--customers",
        str(CUSTOMERS),
        *places,
        "--set",
        'models.candidates=["linear"]',
        *small_session(home),
    ]
    return Demo(home, *(run_engage_spark(*words, cwd=home) for _ in range(2)))


def test_demo_goes_all_the_way(demo: Demo) -> None:
    assert demo.first.code == 0, demo.first.transcript
    for title in ("synth", "ingest", "features", "graph", "train", "score"):
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


def test_the_summary_reads_at_80_columns(demo: Demo) -> None:
    wide = [line for line in demo.first.out.splitlines() if len(line) > 80 and str(demo.home) not in line]
    assert wide == []
    assert not re.search(r"\x1b\[", demo.first.transcript), "control codes in what is no terminal"


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


@contextlib.contextmanager
def process(words: list[str], *, cwd: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, ended with the block, its standard error in a file."""
    with log.open("wb") as log_file:
        env = environment({"SPARK_HOME": str(SPARK_HOME), "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED})
        started = subprocess.Popen(
            words, cwd=cwd, env=env, stdout=log_file, stderr=log_file, start_new_session=True
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM if started.poll() is None else signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def wait_for(log: Path, pattern: str, process: subprocess.Popen[bytes], seconds: int = 60) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        text = log.read_text(encoding="utf-8", errors="replace")
        if found := re.search(pattern, text):
            return found[found.lastindex or 0]
        assert process.poll() is None, text
        time.sleep(0.1)
    raise AssertionError(
        f"{pattern} did not come in {seconds} s:\n{log.read_text(encoding='utf-8', errors='replace')}"
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A standalone master with one worker of 2 cores, on loopback."""
    home = tmp_path_factory.mktemp("cluster")
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
    with process(master, cwd=home, log=home / "master.log") as m:
        address = wait_for(home / "master.log", r"Starting Spark master at (spark://\S+)", m)
        worker = [
            spark_class,
            "org.apache.spark.deploy.worker.Worker",
            "--host",
            "127.0.0.1",
            "--webui-port",
            "0",
            "--cores",
            "2",
        ]
        with process(
            [*worker, "--memory", "1g", "--work-dir", str(home / "work"), address],
            cwd=home,
            log=home / "worker.log",
        ) as w:
            wait_for(home / "worker.log", "Successfully registered with master", w)
            yield address


def submit(address: str, job: str, *words: str, cwd: Path) -> CommandResult:
    """A job by pyspark's own spark-submit. The jars are named as files, which spares Ivy's work; the README
    names packages.
    """
    delta = jars.fetch((jars.DELTA_PACKAGE,), ivy=jars.ivy_home({}))
    conf = {
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.executor.memory": "700m", "spark.driver.memory": "1g",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.driver.extraJavaOptions": SHORT_LIVED, "spark.executor.extraJavaOptions": SHORT_LIVED,
    }  # fmt: skip
    command = [
        str(SPARK_HOME / "bin" / "spark-submit"),
        "--master",
        address,
        "--jars",
        ",".join(map(str, delta)),
    ]
    command += [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    return run([*command, str(ROOT / "jobs" / job), *words], cwd=cwd, env={"SPARK_HOME": str(SPARK_HOME)})


def test_the_jobs_give_the_same_tables_on_a_cluster(
    spark: SparkSession, demo: Demo, cluster: str, tmp_path: Path
) -> None:
    words = [
        "--env",
        "cluster",
        "--conf-dir",
        str(ROOT / "conf"),
        *overrides(lake__root=tmp_path / "lake", synth__out=demo.raw),
    ]
    words += overrides(input__root=demo.raw, spark__shuffle_partitions=3)
    for job, stage in (
        ("ingest.py", "ingest"),
        ("build_features.py", "features"),
        ("build_graph.py", "graph"),
    ):
        ran = submit(cluster, job, *words, cwd=tmp_path)
        assert ran.code == 0, ran.transcript
        assert re.search(rf"^{stage}  \d+\.\d s$", ran.out, re.MULTILINE), ran.transcript
    names = (*JUDGED, "customer_features", "quality_results", *GRAPH)
    assert content_digests(spark, tmp_path / "lake", names) == content_digests(spark, demo.lake, names)


def test_a_failing_job_carries_its_exit_code_through_spark_submit(tmp_path: Path) -> None:
    ran = submit(
        "local[1]",
        "ingest.py",
        *overrides(input__root=tmp_path / "nothing", lake__root=tmp_path / "lake"),
        cwd=tmp_path,
    )
    assert ran.code == 2, ran.transcript
    # spark-submit makes one stream of a driver's two
    assert f"error: there is no {tmp_path / 'nothing'}" in ran.out, ran.transcript


def kill_when(appears: Path, words: list[str], *, home: Path) -> None:
    """Start `engage-spark WORDS…` and kill it, its JVM too, with SIGKILL at the moment a file appears."""
    log = home / "killed.log"
    with process(
        [sys.executable, "-m", "engage_spark", *words, *small_session(home)], cwd=home, log=log
    ) as victim:
        until = time.monotonic() + 150
        while not appears.exists():
            assert victim.poll() is None and time.monotonic() < until, log.read_text(
                encoding="utf-8", errors="replace"
            )
            time.sleep(0.01)
        os.killpg(victim.pid, signal.SIGKILL)
        assert victim.wait(20) == -signal.SIGKILL


def run_log(lake: Path) -> RunLog:
    return RunLog(Lake(LakeSettings(root=str(lake))))


def commit(lake: Path, name: str, version: int) -> Path:
    return lake / name / "_delta_log" / f"{version:020d}.json"


def test_killed_between_the_rows_and_their_publication(
    spark: SparkSession, demo: Demo, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    words = ["ingest", "--input", str(demo.raw), *overrides(lake__root=lake)]
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
    assert seen.count() == 0 and run_log(lake).latest(spark, "ingest:customers")[DAY].attempt == 1


def test_killed_while_a_published_snapshot_is_replaced(
    spark: SparkSession, demo: Demo, tmp_path: Path
) -> None:
    """The rows of the old run are gone, those of the new one are not published: readers get neither, and are
    told to run again.
    """
    lake, raw = tmp_path / "lake", tmp_path / "raw"
    shutil.copytree(demo.lake, lake)
    shutil.copytree(demo.raw, raw)  # other files with the same rows: a delivery that has changed
    words = ["ingest", "--input", str(raw), *overrides(lake__root=lake)]
    kill_when(commit(lake, "customers_judged", 1), words, home=tmp_path)

    read = {"table": CUSTOMERS_TABLE, "stage": "ingest:customers", "day": "snapshot_date"}
    assert run_log(lake).read_published(spark, **read).count() == 0
    with pytest.raises(TransientError, match="has replaced the published rows"):
        run_log(lake).read_published(spark, **read, days=[DAY])

    main(words)
    assert content_digests(spark, lake, JUDGED, without=("_run_id",)) == content_digests(
        spark, demo.lake, JUDGED, without=("_run_id",)
    )
    assert run_log(lake).read_published(spark, **read, days=[DAY]).count() == CUSTOMERS
