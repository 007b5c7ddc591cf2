"""What a run costs before it has data: `python bench/fixed_cost.py [--customers 1000] [--warm 3] [--s3]
[--stages ingest features] [--conf KEY=VALUE …]`.

One process with a cold JVM runs the stages once, each from an empty lake, and then `--warm` times more, each
time into a lake of its own; the median is told. With graph, train or score among the stages the logs are
delivered as well. Of each stage: wall clock; processor time of this Python (which builds plans and rows) and
of the JVM; Spark jobs and the time during which one ran; time in analyzer and optimizer rules, and in
compiling generated code; Delta commits, and jobs that replay a Delta log. With `--s3` raw files and lake lie
in a bucket of a server on loopback, and the requests are counted that reach it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from machine import described, event_log, run_measured

CACHE = Path(__file__).parent.parent / ".cache" / "bench"
STAGES = ("ingest", "features", "graph", "train", "score")
BUCKET = "engage-spark-bench"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENGAGEBENCHONLY1", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
COLUMNS = {
    "wall_s": "wall s",
    "python_cpu_s": "Python CPU s",
    "jvm_cpu_s": "JVM CPU s",
    "jobs": "jobs",
    "in_jobs_s": "in jobs s",
    "rules_s": "rules s",
    "codegen_s": "codegen s",
    "commits": "commits",
    "replays": "log replays",
    "requests": "S3 requests",
}
DELTA_LOG = ("Delta: Compute snapshot", "Delta: Filtering files", "Delta: Delta log replay")


def data(customers: int, *, logs: bool) -> Path:
    """The raw folder that `engage-spark synth` makes, made once; the logs are left out unless asked for."""
    root = CACHE / f"fixed-{customers}{'-logs' if logs else ''}"
    if not (root / "done").exists():
        shutil.rmtree(root, ignore_errors=True)
        run_measured(["-c", _SYNTH.format(customers=customers, out=root)])
        for folder in [p for p in root.iterdir() if p.is_dir() and p.name != "customers" and not logs]:
            shutil.rmtree(folder)
        (root / "done").touch()
    return root


_SYNTH = """
from engage_spark.contract import load_contract
from engage_spark.pipelines.synth import run_synth
from engage_spark.settings import Settings
from engage_spark.spark.session import open_session
settings = Settings(
    synth={{"customers": {customers}, "snapshots": 2 if {customers} > 1000 else 1, "out": "{out}"}},
    spark={{"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2}},
)
with open_session(settings) as spark:
    run_synth(spark, settings, contract=load_contract())
print("{{}}")
"""


@contextmanager
def bucket(raw: Path) -> Iterator[str]:
    """An S3 server on loopback whose bucket holds the raw files; `/requests` tells how many others came."""
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    answers, counted = DomainDispatcherApplication(create_backend_app), [0]

    def count(environ: Any, start: Any) -> Any:
        if environ["PATH_INFO"] == "/requests":
            start("200 OK", [("Content-Type", "text/plain")])
            return [str(counted[0]).encode()]
        counted[0] += 1
        return answers(environ, start)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, count, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    os.environ |= KEYS | {"AWS_DEFAULT_REGION": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=BUCKET)
    for path in raw.rglob("*.parquet"):
        client.upload_file(str(path), BUCKET, f"raw/{path.relative_to(raw)}")
    try:
        yield endpoint
    finally:
        server.shutdown()


def measure(plan: dict[str, Any]) -> None:
    """The measured process: print seconds of the session's start, and of each round what each stage took."""
    began, work = time.monotonic(), Path(plan["work"])
    from engage_spark.contract import load_contract
    from engage_spark.settings import Settings
    from engage_spark.spark.session import open_session

    events = work / "events"
    conf = event_log(events) | plan["conf"]
    spark_settings = {"master": "local[2]", "driver_memory": "3g", "shuffle_partitions": 4, "conf": conf}
    more: dict[str, Any] = {"spark": spark_settings}
    if plan["endpoint"]:
        more["s3"] = {"region": "us-east-1", "endpoint": plan["endpoint"], "path_style": True, "ssl": False}
        more["s3"] |= {
            "access_key": KEYS["AWS_ACCESS_KEY_ID"],
            "secret_key": KEYS["AWS_SECRET_ACCESS_KEY"],
        }
    rounds: list[dict[str, Any]] = []
    first = Settings(input={"root": plan["raw"]}, lake={"root": f"{plan['lakes']}/0"}, **more)
    with open_session(first) as spark:
        start_s = time.monotonic() - began
        contract = load_contract()
        for i in range(1 + plan["warm"]):
            lake = first.lake.model_copy(update={"root": f"{plan['lakes']}/{i}"})
            tracking = first.tracking.model_copy(update={"folder": str(work / f"mlflow-{i}")})
            settings = first.model_copy(update={"lake": lake, "tracking": tracking})
            rounds.append({name: _measured(spark, settings, contract, name, plan) for name in plan["stages"]})
    (log,) = events.iterdir()
    jobs = _jobs(log)
    for stages in rounds:
        for figures in stages.values():
            figures.update(_in_span(jobs, *figures.pop("span")))
    print(json.dumps({"start_s": start_s, "rounds": rounds}))


def _run(name: str) -> Any:
    """A stage's function; imported when it is first run, as the command does."""
    import importlib

    module = {"features": "features", "score": "score"}.get(name, f"{name}.run")
    return getattr(importlib.import_module(f"engage_spark.pipelines.{module}"), f"run_{name}")


def _measured(spark: Any, settings: Any, contract: Any, name: str, plan: dict[str, Any]) -> dict[str, Any]:
    catalyst = cast(Any, spark)._jvm.org.apache.spark.sql.catalyst
    generator, rules = catalyst.expressions.codegen.CodeGenerator, catalyst.rules.RuleExecutor
    rules.resetMetrics()
    pid, compiled = int(spark._jvm.ProcessHandle.current().pid()), generator.compileTime()
    before, requests, commits = _cpu(pid), _requests(plan["endpoint"]), _commits(settings.lake.root)
    python, began, wall = time.process_time(), time.time(), time.monotonic()
    _run(name)(spark, settings, contract=contract)
    seconds = time.monotonic() - wall
    total = re.search(r"Total time: ([\d.]+) seconds", rules.dumpTimeSpent())
    return {
        "wall_s": seconds,
        "span": (began, time.time()),
        "python_cpu_s": time.process_time() - python,
        "jvm_cpu_s": _cpu(pid) - before,
        "rules_s": float(total[1]) if total else 0.0,
        "codegen_s": (generator.compileTime() - compiled) / 1e9,
        "requests": _requests(plan["endpoint"]) - requests,
        "commits": _commits(settings.lake.root) - commits,
    }


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _requests(endpoint: str | None) -> int:
    if not endpoint:
        return 0
    with urllib.request.urlopen(f"{endpoint}/requests") as answer:
        return int(answer.read())


def _commits(lake: str) -> int:
    """Commits of a lake; of one in the bucket they are not looked for, which would be requests."""
    return 0 if "://" in lake else len(list(Path(lake).glob("*/_delta_log/*.json")))


def _jobs(log: Path) -> list[tuple[float, float, str]]:
    """Every job in Spark's event log: start, end, and its description."""
    started: dict[int, tuple[float, str]] = {}
    jobs = []
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerJobStart":
            properties = event.get("Properties") or {}
            about = properties.get("spark.job.description") or properties.get("callSite.short") or ""
            started[event["Job ID"]] = (event["Submission Time"] / 1000, about)
        elif event["Event"] == "SparkListenerJobEnd":
            began, about = started[event["Job ID"]]
            jobs.append((began, event["Completion Time"] / 1000, about))
    return sorted(jobs)


def _in_span(jobs: list[tuple[float, float, str]], since: float, until: float) -> dict[str, Any]:
    mine = [j for j in jobs if since <= j[0] <= until]
    covered, reached = 0.0, 0.0
    for began, ended, _ in mine:
        covered += max(0.0, ended - max(began, reached))
        reached = max(reached, ended)
    replays = sum(any(mark in about for mark in DELTA_LOG) for *_, about in mine)
    return {
        "jobs": len(mine),
        "in_jobs_s": covered,
        "replays": replays,
        "about": [" ".join(about.split())[:110] for *_, about in mine],
    }


def told(result: dict[str, Any], stages: list[str], *, show_jobs: bool) -> None:
    print(f"session start with imports: {result['start_s']:.1f} s; whole process {result['wall_s']:.1f} s\n")
    print(f"| stage | round | {' | '.join(COLUMNS.values())} |")
    print("|---|---|" + "--:|" * len(COLUMNS))
    cold, *warm = result["rounds"]
    for label, rounds in (("cold", [cold]), ("warm", warm)):
        sums = dict.fromkeys(COLUMNS, 0.0)
        for name in stages if rounds else ():
            line = {c: statistics.median(r[name][c] for r in rounds) for c in COLUMNS}
            sums = {c: sums[c] + line[c] for c in COLUMNS}
            print(f"| {name} | {label} | {_cells(line)} |")
        if rounds:
            print(f"| all | {label} | {_cells(sums)} |")
    if show_jobs:
        for name in stages:
            print(f"\njobs of {name}, last round")
            for about in result["rounds"][-1][name]["about"]:
                print(f"  {about}")


def _cells(line: dict[str, float]) -> str:
    return " | ".join(f"{line[c]:.2f}" if c.endswith("_s") else f"{line[c]:.0f}" for c in COLUMNS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=["ingest", "features"])
    parser.add_argument("--s3", action="store_true", help="count requests to a server on loopback")
    parser.add_argument("--jobs", action="store_true", help="list the jobs of the last round")
    parser.add_argument("--conf", action="append", default=[], help="an option of Spark, KEY=VALUE")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(json.loads(options.measure))
        return
    raw = data(options.customers, logs=bool({*options.stages} - {"ingest", "features"}))
    work = CACHE / "fixed-out"
    shutil.rmtree(work, ignore_errors=True)
    plan = {"raw": str(raw), "lakes": str(work / "lakes"), "work": str(work), "endpoint": None}
    plan |= {"warm": options.warm, "stages": options.stages}
    plan |= {"conf": dict(option.split("=", 1) for option in options.conf)}
    print(described())
    if options.s3:
        with bucket(raw) as endpoint:
            plan |= {"raw": f"s3a://{BUCKET}/raw", "lakes": f"s3a://{BUCKET}/lakes", "endpoint": endpoint}
            result = run_measured([__file__, "--measure", json.dumps(plan)])
    else:
        result = run_measured([__file__, "--measure", json.dumps(plan)])
    told(result, options.stages, show_jobs=options.jobs)
    shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
