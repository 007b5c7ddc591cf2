"""What a cluster costs and brings: `python bench/cluster.py [--customers 10000]
[--places local[1] local[2] cluster s3 cluster-s3] [--stages ingest,features,graph]`.

`jobs/pipeline.py` goes through spark-submit to each place, one after another, each time with a JVM that is
cold and into a lake of its own: one core of this machine, two, and a standalone cluster of a master and two
workers with a core each, all processes on loopback; `s3` is two cores with raw data and lake in a bucket of
a server on loopback (whose own work takes a part of the same cores), `cluster-s3` the cluster with it.

Of each: wall clock, and of it the time before the first job (interpreter, JVM, session, and on the cluster
its executors); jobs, tasks; the time that tasks ran, summed over cores, and the shares of it that shuffles
(waiting for blocks and writing them), Python workers and the garbage collector took. A Python worker's time
is from its first row to its last, so its waiting for rows is part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fixed_cost import BUCKET, CACHE, KEYS, bucket, data
from machine import described, event_log

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the cluster is the tests'

PLACES = ("local[1]", "local[2]", "cluster", "s3", "cluster-s3")
JVM = "-XX:-DontCompileHugeMethods -XX:+UseParallelGC"
PYTHON_TIMES = (
    "time to start Python workers",
    "time to initialize Python workers",
    "time to run Python workers",
)
COLUMNS = {
    "wall_s": "wall s",
    "start_s": "before the first job s",
    "jobs": "jobs",
    "tasks": "tasks",
    "run_s": "in tasks s",
    "shuffle": "shuffle %",
    "shuffled_mb": "shuffled MB",
    "python": "Python workers %",
    "gc": "collector %",
}


def class_path() -> str:
    """The jars of Delta and S3, which every place gets, so that all start alike."""
    from engage_spark.spark import jars, versions

    pair = versions.installed_pair()
    paths = jars.resolved((pair.delta_package, pair.line.s3a_package), ivy=jars.ivy_home({}))
    if not paths:
        raise SystemExit("the S3 jars are not here: `engage-spark doctor --env s3 --fetch-jars` fetches them")
    return os.pathsep.join(map(str, paths))


@contextmanager
def master_of(place: str, home: Path) -> Iterator[str]:
    """The address of a place's master."""
    from tests.support.standalone_cluster import standalone_cluster

    if place.startswith("local"):
        yield place
    elif place == "s3":
        yield "local[2]"
    else:
        with standalone_cluster(home, {"one": 1, "other": 1}) as address:
            yield address


def pipeline(place: str, raw: Path, stages: str) -> dict[str, Any]:
    """Run the stages in a place, and return its figures."""
    from tests.support.commands import overrides
    from tests.support.standalone_cluster import submit_with

    home = CACHE / "cluster-out"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    joined = class_path()
    conf = event_log(home / "events") | {
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": JVM,
        "spark.executor.extraJavaOptions": JVM,
        "spark.executor.memory": "700m",
        "spark.driver.extraClassPath": joined,
        "spark.executor.extraClassPath": joined,
    }
    words = ["--env", "cluster", "--conf-dir", str(ROOT / "conf"), "--stages", stages]
    words += overrides(spark__shuffle_partitions=4, tracking__folder=home / "mlflow")
    secrets = {}
    with ExitStack() as running:
        places = {"raw": str(raw), "lake": str(home / "lake")}
        if place.endswith("s3"):
            endpoint = running.enter_context(bucket(raw))
            words += overrides(
                s3__endpoint=endpoint, s3__region="us-east-1", s3__path_style="true", s3__ssl="false"
            )
            places = {"raw": f"s3a://{BUCKET}/raw", "lake": f"s3a://{BUCKET}/lake"}
            secrets = {
                "ENGAGE_SPARK__S3__ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
                "ENGAGE_SPARK__S3__SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
            }
        words += overrides(input__root=places["raw"], synth__out=places["raw"], lake__root=places["lake"])
        address = running.enter_context(master_of(place, home))
        began = time.time()
        ran = submit_with(
            address, ROOT / "jobs" / "pipeline.py", *words, cwd=home, conf=conf, more=secrets, timeout=3600
        )
    if ran.code:
        raise SystemExit(f"{place}: {ran.transcript}")
    (log,) = (home / "events").iterdir()
    seconds = {
        name: float(s) for name, s in re.findall(r"^(\w+)  ([\d,.]+) s$", ran.out.replace(",", ""), re.M)
    }
    return {"wall_s": ran.seconds, "stages": seconds} | figures(log, began)


def figures(log: Path, began: float) -> dict[str, float]:
    """What Spark's event log says of a whole application."""
    count: Counter[str] = Counter()
    first_job, python_ms = None, 0.0
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerJobStart":
            first_job = first_job or event["Submission Time"] / 1000
            count["jobs"] += 1
        elif event["Event"] == "SparkListenerTaskEnd" and (metrics := event.get("Task Metrics")):
            read, written = metrics["Shuffle Read Metrics"], metrics["Shuffle Write Metrics"]
            count["tasks"] += 1
            count["run_ms"] += metrics["Executor Run Time"]
            count["gc_ms"] += metrics["JVM GC Time"]
            count["shuffle_ms"] += read["Fetch Wait Time"] + written["Shuffle Write Time"] / 1e6
            count["shuffled"] += written["Shuffle Bytes Written"]
        elif event["Event"] == "SparkListenerStageCompleted":
            for metric in event["Stage Info"]["Accumulables"]:
                if metric.get("Name") in PYTHON_TIMES:
                    python_ms += float(metric["Value"])
    assert first_job is not None
    run_ms = count["run_ms"]
    return {
        "start_s": first_job - began,
        "jobs": count["jobs"],
        "tasks": count["tasks"],
        "run_s": run_ms / 1000,
        "shuffle": 100 * count["shuffle_ms"] / run_ms,
        "shuffled_mb": count["shuffled"] / 1e6,
        "python": 100 * python_ms / run_ms,
        "gc": 100 * count["gc_ms"] / run_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--places", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--stages", default="ingest,features,graph")
    options = parser.parse_args()
    print(described(), flush=True)
    raw = data(options.customers, logs=True)
    names = options.stages.split(",")
    print(f"| place | {' | '.join(COLUMNS.values())} | {' | '.join(f'{n} s' for n in names)} |")
    print("|---|" + "--:|" * (len(COLUMNS) + len(names)))
    for place in options.places:
        told = pipeline(place, raw, options.stages)
        cells = [f"{told[c]:.1f}" if c not in ("jobs", "tasks") else f"{told[c]:,.0f}" for c in COLUMNS]
        cells += [f"{told['stages'].get(n, float('nan')):.1f}" for n in names]
        print(f"| {place} | {' | '.join(cells)} |", flush=True)
    shutil.rmtree(CACHE / "cluster-out")


if __name__ == "__main__":
    main()
