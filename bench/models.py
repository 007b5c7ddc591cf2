"""Training and scoring: `python bench/models.py [--customers 100000] [--cache DIR] [--rows 1000000]`.

`train` for all targets of the contract on made-up data, from published tables to registered models, in a
process of its own with a cold JVM; then `score` with three reasons a row; then the passes of feature
selection (profile, Gram matrices, elimination) on as many rows as --rows says, made by repeating those of the
training. Beside it `models_sklearn.py`: the same protocol by scikit-learn on the same rows, sides and folds,
exported before, with as many threads as there are cores. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Any

from machine import described, run_measured

from engage_spark.contract import load_contract
from engage_spark.settings import load_settings
from engage_spark.spark.session import open_session

HERE, CACHE = Path(__file__).parent, Path(__file__).parents[1] / ".cache" / "bench"
AS_OF = date(2026, 1, 1)


def settings_of(home: Path, *overrides: str) -> Any:
    where = (
        f"synth.out={home}/raw",
        f"input.root={home}/raw",
        f"lake.root={home}/lake",
        f"tracking.folder={home}/mlflow",
    )
    return load_settings("local", overrides=[*where, *overrides])


def published(home: Path, customers: int) -> None:
    """Made-up customers with their features and graph, unless they are there."""
    from engage_spark.pipelines.demo import run_demo_inputs

    if (home / "done").exists():
        return
    settings = settings_of(home, f"synth.customers={customers}")
    with open_session(settings) as spark:
        for result in run_demo_inputs(spark, settings, contract=load_contract()):
            print(f"{result.stage}: {result.seconds:.1f} s", flush=True)
    (home / "done").touch()


def train(home: Path) -> dict[str, Any]:
    """One whole training; models and splits of an earlier one are removed first."""
    from engage_spark.pipelines.results import to_plain
    from engage_spark.pipelines.train.run import run_train

    for name in ("mlflow", "lake/splits", "lake/training_runs"):
        shutil.rmtree(home / name, ignore_errors=True)
    settings = settings_of(home)
    started = time.monotonic()
    with open_session(settings) as spark:
        opened = time.monotonic() - started
        result = run_train(spark, settings, contract=load_contract(), as_of=AS_OF, force=True)
    return {"session_s": opened, "train_s": result.seconds, "targets": to_plain(result)["targets"]}


def score(home: Path) -> dict[str, Any]:
    """All champions over the snapshot, cold and warm, with reasons and without."""
    from engage_spark.pipelines.score import run_score

    found = {}
    with open_session(settings_of(home)) as spark:
        for name, reasons in (("cold_s", 3), ("warm_s", 3), ("warm_without_reasons_s", 0)):
            settings = settings_of(home, f"models.reasons={reasons}")
            found[name] = run_score(spark, settings, contract=load_contract(), force=True).seconds
    return found


def export(home: Path) -> dict[str, Any]:
    """The rows of the training with their side and fold as one Parquet file, and what each target's models
    may look at, for the peer.
    """
    from engage_spark.ml.data.split_rows import choose_snapshots
    from engage_spark.ml.feature_spec import targets_of
    from engage_spark.pipelines.context import RunContext
    from engage_spark.pipelines.model_inputs import find_model_inputs, rows_of
    from engage_spark.pipelines.train.inputs import specs_of

    settings, contract = settings_of(home), load_contract()
    with open_session(settings) as spark:
        bench = RunContext(spark, settings, contract)
        found, goals = find_model_inputs(bench), targets_of(contract)
        landed = found.landed(contract.entity.name)
        days = choose_snapshots(landed, goals, as_of=AS_OF, limit=settings.models.snapshots)
        plans = specs_of(bench, goals, graph=True)
        rows = rows_of(
            bench,
            found,
            sorted({d for s in days.values() for d in s.all}),
            specs=[p for of in plans.values() for p in of.all],
        )
        splits = bench.lake.read(spark, "splits").select(*contract.entity.key, "side", "fold")
        rows.join(splits, on=list(contract.entity.key), how="inner").coalesce(1).write.mode(
            "overwrite"
        ).parquet(f"{home}/rows")
    told = {
        name: {
            "task": of.main.target.task.value,
            "minimum": of.main.target.minimum,
            "maximum": of.main.target.maximum,
            "baseline": of.main.target.baseline,
            "categorical": list(of.other.categorical),
            "plans": {"main": of.main.names, "other": of.other.names, "unprotected": of.unprotected.names},
        }
        for name, of in plans.items()
    }
    (home / "plans.json").write_text(json.dumps(told))
    return {"rows": str(home / "rows")}


def selection(home: Path, rows: int) -> dict[str, Any]:
    """Profile, Gram matrices and elimination of all targets and folds on `rows` rows."""
    from engage_spark.ml.feature_spec import targets_of
    from engage_spark.ml.selection.gram import to_grams
    from engage_spark.ml.selection.profile import to_profile
    from engage_spark.ml.selection.rfe import select
    from engage_spark.pipelines.context import RunContext
    from engage_spark.pipelines.train.inputs import specs_of

    settings, contract = settings_of(home), load_contract()
    with open_session(settings) as spark:
        bench = RunContext(spark, settings, contract)
        plans = [of.main for of in specs_of(bench, targets_of(contract), graph=True).values()]
        once = spark.read.parquet(f"{home}/rows")
        times = -(-rows // once.count())
        once.crossJoin(spark.range(times).select("id")).drop("id").write.mode("overwrite").parquet(
            f"{home}/many"
        )
        many = spark.read.parquet(f"{home}/many").limit(rows)
        found: dict[str, Any] = {"rows": many.count()}
        started = time.monotonic()
        profile = to_profile(many, plans)
        found["profile_s"] = time.monotonic() - started
        started = time.monotonic()
        grams = to_grams(many, specs=plans, fold="fold", scales=profile.scales)
        found["grams_s"] = time.monotonic() - started
        started = time.monotonic()
        for plan in plans:
            select(grams[plan.target.name].using(plan.names), settings.models.keep)
        found["elimination_s"] = time.monotonic() - started
    shutil.rmtree(home / "many", ignore_errors=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--only", nargs="*", default=["train", "score", "export", "sklearn", "selection"])
    parser.add_argument("--one", help="(what a process of its own runs)")
    chosen = parser.parse_args()
    home = (chosen.cache / f"models-{chosen.customers}").absolute()
    if chosen.one:
        made = {
            "train": train,
            "score": score,
            "export": export,
            "selection": lambda h: selection(h, chosen.rows),
        }[chosen.one](home)
        print(json.dumps(made))
        return
    home.mkdir(parents=True, exist_ok=True)
    print(described())
    published(home, chosen.customers)
    for what in chosen.only:
        if what == "sklearn":
            script = [str(HERE / "models_sklearn.py"), str(home), "--threads", str(os.cpu_count())]
        else:
            script = [
                __file__,
                "--one",
                what,
                "--customers",
                str(chosen.customers),
                "--rows",
                str(chosen.rows),
                "--cache",
                str(chosen.cache),
            ]
        print(what, json.dumps(run_measured(script), indent=1), flush=True)


if __name__ == "__main__":
    main()
