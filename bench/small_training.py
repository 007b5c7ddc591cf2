"""What a training of few rows costs, step by step: `python bench/small_training.py [--rows 10000] [--warm 1]
[--candidates linear forest gbt] [--folds 5] [--search] [--targets churn] [--conf KEY=VALUE …]`.

Made-up subscribers of a phone shop are ingested by one process; another, with a cold JVM, trains on them,
and then `--warm` times more, each time from splits and MLflow of its own. Of each training: wall clock,
processor time of this Python and of the JVM, Spark jobs, time in analyzer and optimizer rules and in
compiling generated code, and every step with its seconds and jobs. The processor time of the JVM is shown by
kind of thread, since that of its compilers is paid by whoever starts it anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, cast

from machine import described, event_log, run_measured

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the subscribers and their contract are the tests'

HOME = ROOT / ".cache" / "bench" / "small-training"
DAY = date(2026, 3, 1)
THREADS = 8
"""Kinds of threads that are shown."""


def settings_of(home: Path, plan: dict[str, Any], conf: dict[str, str]) -> Any:
    from engage_spark.settings import load_settings

    overrides = [
        f"input.root={home}/raw",
        f"lake.root={home}/lake",
        f"tracking.folder={home}/mlflow",
        f"spark.conf={json.dumps(conf)}",
        f"models.candidates={json.dumps(plan['candidates'])}",
        f"models.folds={plan['folds']}",
        f"models.search_rows={10**9 if plan['search'] else 0}",
    ]
    return load_settings("local", overrides=overrides)


def publish(plan: dict[str, Any]) -> None:
    """Make the rows and publish them with their features."""
    from engage_spark.pipelines.features import run_features
    from engage_spark.pipelines.ingest.run import run_ingest
    from engage_spark.spark.session import open_session
    from tests.support.phone_shop import FOLDER, SHOP, as_csv, subscribers

    home = Path(plan["home"])
    shutil.rmtree(home, ignore_errors=True)
    as_csv(subscribers(plan["rows"]), home / "raw" / FOLDER / f"snapshot_date={DAY}")
    settings = settings_of(home, plan, {})
    with open_session(settings) as spark:
        run_ingest(spark, settings, contract=SHOP)
        run_features(spark, settings, contract=SHOP)
    print("{}")


def measure(plan: dict[str, Any]) -> None:
    """The measured process: print what each training took, and the steps of the last."""
    began, home = time.monotonic(), Path(plan["home"])
    from engage_spark.spark.session import LOCAL, open_session
    from tests.support.phone_shop import SHOP

    java = "spark.driver.extraJavaOptions"
    conf = event_log(home / "events") | {
        # Threads that end take their processor time with them.
        java: f"{LOCAL[java]} -XX:-UseDynamicNumberOfCompilerThreads"
    }
    for key, value in plan["conf"].items():
        conf[key] = f"{conf[key]} {value}" if key == java else value
    settings = settings_of(home, plan, conf)
    rounds: list[dict[str, Any]] = []
    with open_session(settings) as spark:
        start_s = time.monotonic() - began
        for _ in range(1 + plan["warm"]):
            for made in ("mlflow", "lake/splits", "lake/training_runs"):
                shutil.rmtree(home / made, ignore_errors=True)
            with recorded_steps() as steps:
                rounds.append(trained(spark, settings, SHOP, plan["targets"]) | {"steps": steps})
    (log,) = (p for p in (home / "events").iterdir() if not p.name.startswith("."))
    jobs = job_spans(log)
    for figures in rounds:
        in_span(figures, jobs)
    print(json.dumps({"start_s": start_s, "rounds": rounds}))


def trained(spark: Any, settings: Any, contract: Any, targets: list[str]) -> dict[str, Any]:
    """Train once, and return what it took and what came out."""
    from engage_spark.pipelines.train.run import run_train

    catalyst = cast(Any, spark)._jvm.org.apache.spark.sql.catalyst
    generator, rules = catalyst.expressions.codegen.CodeGenerator, catalyst.rules.RuleExecutor
    rules.resetMetrics()
    pid, compiled = int(spark._jvm.ProcessHandle.current().pid()), generator.compileTime()
    jvm, python, began, wall = by_thread(pid), time.process_time(), time.time(), time.monotonic()
    result = run_train(spark, settings, contract=contract, target=targets, force=True)
    seconds = time.monotonic() - wall
    spent = by_thread(pid) - jvm
    total = re.search(r"Total time: ([\d.]+) seconds", rules.dumpTimeSpent())
    return {
        "wall_s": seconds,
        "span": (began, time.time()),
        "python_cpu_s": time.process_time() - python,
        "jvm_cpu_s": sum(spent.values()),
        "rules_s": float(total[1]) if total else 0.0,
        "codegen_s": (generator.compileTime() - compiled) / 1e9,
        "threads": dict(spent.most_common(THREADS)),
        "models": {
            t.target: [t.candidate, *(m.headline.value for m in t.models if m.headline)]
            for t in result.targets
        },
    }


@contextmanager
def recorded_steps() -> Iterator[list[tuple[float, float, int, str]]]:
    """Note the start, end, depth and name of every stage that is logged in the block."""
    from engage_spark import log

    steps: list[tuple[float, float, int, str]] = []
    depth, before = threading.local(), log.stage

    @contextmanager
    def stage(name: str, **_: Any) -> Iterator[None]:
        at, began = getattr(depth, "at", 0), time.time()
        depth.at = at + 1
        try:
            yield
        finally:
            depth.at = at
            steps.append((began, time.time(), at, f"{log._subject.get()}{name}"))

    log.stage = stage  # type: ignore[assignment]
    try:
        yield steps
    finally:
        log.stage = before


def by_thread(pid: int) -> Counter[str]:
    """Processor seconds of a process by the names of its threads, without their numbers."""
    seconds: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "stat").read_text()
        except OSError:
            continue
        name, _, rest = text[text.index("(") + 1 :].rpartition(")")
        fields = rest.split()
        ticks = int(fields[11]) + int(fields[12])
        seconds[re.sub(r"[\d#-].*$", "", name).strip()] += ticks / os.sysconf("SC_CLK_TCK")
    return seconds


def job_spans(log: Path) -> list[tuple[float, float]]:
    """Start and end of every job in Spark's event log."""
    started: dict[int, float] = {}
    jobs = []
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerJobStart":
            started[event["Job ID"]] = event["Submission Time"] / 1000
        elif event["Event"] == "SparkListenerJobEnd":
            jobs.append((started[event["Job ID"]], event["Completion Time"] / 1000))
    return sorted(jobs)


def in_span(figures: dict[str, Any], jobs: list[tuple[float, float]]) -> None:
    """Count the jobs of a training, and of each of its steps those that no step inside it has."""
    since, until = figures.pop("span")
    own = [job for job in jobs if since <= job[0] <= until]
    steps, counts = sorted(figures["steps"]), Counter[int]()
    for began, _ in own:
        inside = [(depth, i) for i, (start, end, depth, _) in enumerate(steps) if start <= began <= end]
        counts[max(inside)[1] if inside else -1] += 1
    figures["jobs"] = len(own)
    figures["steps"] = [
        (start - since, end - start, counts[i], depth, name)
        for i, (start, end, depth, name) in enumerate(steps)
    ]


def show(result: dict[str, Any]) -> None:
    print(f"session start with imports: {result['start_s']:.1f} s; whole process {result['wall_s']:.1f} s\n")
    print("| training | wall s | Python CPU s | JVM CPU s | jobs | rules s | code generation s |")
    print("|---|" + "--:|" * 6)
    for i, r in enumerate(result["rounds"]):
        figures = [r["wall_s"], r["python_cpu_s"], r["jvm_cpu_s"]]
        cells = [
            *(f"{v:.1f}" for v in figures),
            str(r["jobs"]),
            f"{r['rules_s']:.1f}",
            f"{r['codegen_s']:.1f}",
        ]
        print(f"| {'warm' if i else 'cold'} | {' | '.join(cells)} |")
    last = result["rounds"][-1]
    for r in result["rounds"]:
        print(f"\nJVM CPU by thread: {', '.join(f'{n} {s:.1f}' for n, s in r['threads'].items())}")
    print(f"models: {last['models']}")
    for r in result["rounds"]:
        print("\n| at s | s | jobs | step |\n|--:|--:|--:|---|")
        for at, seconds, jobs, depth, name in r["steps"]:
            print(f"| {at:.1f} | {seconds:.1f} | {jobs} | {'· ' * depth}{name} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--warm", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--candidates", nargs="+", default=["linear", "forest", "gbt"])
    parser.add_argument("--targets", nargs="+", default=["churn"])
    parser.add_argument("--search", action="store_true", help="search depth and rounds of boosted trees")
    parser.add_argument(
        "--conf", nargs="+", default=[], help="further options of Spark; those of Java are added"
    )
    parser.add_argument("--publish", help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        publish(json.loads(options.publish))
        return
    if options.measure:
        measure(json.loads(options.measure))
        return
    names = ("rows", "warm", "folds", "candidates", "targets", "search")
    plan: dict[str, Any] = {name: getattr(options, name) for name in names}
    plan |= {"home": str(HOME / str(options.rows)), "conf": dict(c.split("=", 1) for c in options.conf)}
    if not (Path(plan["home"]) / "lake").exists():
        run_measured([__file__, "--publish", json.dumps(plan)])
    shutil.rmtree(Path(plan["home"]) / "events", ignore_errors=True)
    print(described())
    show(run_measured([__file__, "--measure", json.dumps(plan)]))


if __name__ == "__main__":
    sys.exit(main())
