"""Models of small tables beside scikit-learn's boosting: `python bench/small_tables.py --tables DIR
[--only iranian/churn …] [--seeds 5] [--candidates linear forest gbt]`.

`train` with its search of boosted trees on published tables of real customers, once per seed, each with
splits and folds of its own. Beside it HistGradientBoosting on the same columns, rows and folds, with the same
search: depths and rounds by the loss on the first two folds left out. Of each fold the metric of the
candidate that won there, and that of scikit-learn: the mean of the paired differences over all seeds and
folds, with a 95% interval whose variance allows for folds that share rows (C. Nadeau and Y. Bengio,
"Inference for the generalization error", Machine Learning 52, 2003). The seconds are those of each training.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import described, run_measured
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, mean_squared_error, r2_score, roc_auc_score

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the tables and their contracts are the tests'

CACHE = ROOT / ".cache" / "bench" / "small-tables"
DAY, KNOWN = date(2026, 1, 31), date(2026, 5, 2)
TARGETS = {"iranian/churn": "auc", "iranian/customer_value": "r2", "bank/exited": "auc"}
"""What is trained, and its metric."""


def settings_of(home: Path, seed: int, candidates: list[str]) -> Any:
    from engage_spark.settings import load_settings

    return load_settings(
        "local",
        overrides=[
            f"input.root={home}/raw",
            f"lake.root={home}/lake",
            f"tracking.folder={home}/mlflow",
            f"ingest.landed_at={KNOWN}T00:30:00Z",
            "models.policy=permissive",
            "models.search_rows=100000",
            f"models.seed={seed}",
            f"models.candidates={json.dumps(candidates)}",
        ],
    )


def measure(plan: dict[str, Any]) -> None:
    """The measured process: print per seed what won, its metric and scikit-learn's by fold, and seconds."""
    from engage_spark.pipelines.features import run_features
    from engage_spark.pipelines.ingest.run import run_ingest
    from engage_spark.pipelines.train.run import run_train
    from engage_spark.spark.session import open_session
    from engage_spark.tracking import Tracker
    from tests.support.real_tables import BANK, IRANIAN

    name, target = plan["what"].split("/")
    table, home = {"iranian": IRANIAN, "bank": BANK}[name], CACHE / name
    shutil.rmtree(home, ignore_errors=True)
    table.deliver(Path(plan["tables"]).resolve().parent, home, str(DAY))
    metric, runs = TARGETS[plan["what"]], []
    with open_session(settings_of(home, 0, plan["candidates"])) as spark:
        settings = settings_of(home, 0, plan["candidates"])
        run_ingest(spark, settings, contract=table.contract)
        run_features(spark, settings, contract=table.contract)
        for seed in range(plan["seeds"]):
            for made in ("mlflow", "lake/splits", "lake/training_runs"):
                shutil.rmtree(home / made, ignore_errors=True)
            settings = settings_of(home, seed, plan["candidates"])
            result = run_train(spark, settings, contract=table.contract, target=[target], as_of=KNOWN)
            tracker = Tracker(settings.tracking)
            (version,) = tracker.registry.versions(target)
            steps = tracker.place.client.get_metric_history(version.run_id, f"folds/{metric}")
            ours = [s.value for s in sorted(steps, key=lambda s: s.step)]
            rows, features, texts = fit_rows(spark, settings, table.contract, target)
            theirs = by_scikit_learn(rows, features, texts, target, binary=metric == "auc")
            runs.append(
                {
                    "won": result.targets[0].candidate,
                    "seconds": result.seconds,
                    "ours": ours,
                    "theirs": theirs,
                }
            )
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    print(json.dumps({"runs": runs, "rows": len(rows)}))


def fit_rows(
    spark: Any, settings: Any, contract: Any, target: str
) -> tuple[pd.DataFrame, list[str], set[str]]:
    """The rows of the fit split with every column that the policy allows, the target and the fold."""
    from engage_spark.ml.feature_spec import LeakPolicy, build_feature_spec, target_named
    from engage_spark.pipelines.context import RunContext
    from engage_spark.pipelines.model_inputs import find_model_inputs, rows_of

    context = RunContext(spark, settings, contract)
    spec = build_feature_spec(
        contract, target_named(contract, target), policy=LeakPolicy(settings.models.policy)
    )
    inputs = find_model_inputs(context)
    rows = rows_of(context, inputs, list(inputs.days), specs=[spec])
    splits = spark.read.format("delta").load(f"{settings.lake.root}/splits").where("side = 'fit'")
    joined = rows.join(splits, on=list(contract.entity.key), how="inner")
    frame = joined.select(*spec.names, target, "fold").toArrow().to_pandas()
    return frame[frame[target].notna()], list(spec.names), set(spec.categorical)


def by_scikit_learn(
    frame: pd.DataFrame, features: list[str], texts: set[str], target: str, *, binary: bool
) -> list[float]:
    """The metric of HistGradientBoosting by fold, with depth and rounds by the loss on the first folds."""
    from engage_spark.ml.training.boosting_search import DEPTHS, ROUNDS, SEARCHED_FOLDS, choose_boosting

    x = pd.DataFrame(
        {n: frame[n].astype("category") if n in texts else frame[n].astype(float) for n in features}
    )
    y, folds = frame[target].astype(float).to_numpy(), sorted(frame["fold"].unique())

    def fitted(fold: int, depth: int, rounds: int) -> tuple[Any, np.ndarray]:
        kind: Any = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
        model = kind(
            max_iter=rounds,
            max_depth=depth,
            early_stopping=False,
            random_state=0,
            categorical_features="from_dtype",
        )
        held = (frame["fold"] == fold).to_numpy()
        return model.fit(x[~held], y[~held]), held

    losses: dict[int, list[float]] = {}
    for depth in DEPTHS:
        by_fold = []
        for fold in folds[:SEARCHED_FOLDS]:
            model, held = fitted(fold, depth, ROUNDS)
            if binary:
                by_fold.append([log_loss(y[held], p[:, 1]) for p in model.staged_predict_proba(x[held])])
            else:
                by_fold.append([mean_squared_error(y[held], p) for p in model.staged_predict(x[held])])
        losses[depth] = np.mean(by_fold, axis=0).tolist()
    depth, rounds = choose_boosting(losses)
    metrics = []
    for fold in folds:
        model, held = fitted(fold, depth, rounds)
        if binary:
            metrics.append(float(roc_auc_score(y[held], model.predict_proba(x[held])[:, 1])))
        else:
            metrics.append(float(r2_score(y[held], model.predict(x[held]))))
    return metrics


def paired(ours: list[float], theirs: list[float], folds: int) -> tuple[float, float]:
    """Mean and half width of the interval of paired differences over repeated cross-validation."""
    from scipy import stats

    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    n = len(differences)
    variance = statistics.variance(differences) * (1 / n + 1 / (folds - 1))
    return statistics.mean(differences), float(stats.t.ppf(0.975, n - 1)) * math.sqrt(variance)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", help="folder of the tables, named `tables`")
    parser.add_argument("--only", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", nargs="+", default=["linear", "tweedie", "forest", "gbt"])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(json.loads(options.measure))
        return
    if not options.tables:
        parser.error("--tables is required")
    print(described())
    print("| target | rows | metric | ours | scikit-learn | difference (95%) | won | seconds |")
    print("|---|--:|---|--:|--:|--:|---|--:|")
    for what in options.only:
        plan = {"what": what, "tables": options.tables, "seeds": options.seeds}
        plan |= {"candidates": options.candidates}
        result = run_measured([__file__, "--measure", json.dumps(plan)])
        runs = result["runs"]
        ours, theirs = ([v for r in runs for v in r[side]] for side in ("ours", "theirs"))
        mean, half = paired(ours, theirs, len(runs[0]["ours"]))
        won = ", ".join(f"{w} {[r['won'] for r in runs].count(w)}" for w in sorted({r["won"] for r in runs}))
        seconds = statistics.median(r["seconds"] for r in runs)
        print(
            f"| {what} | {result['rows']:,} | {TARGETS[what]} | {statistics.mean(ours):.4f} "
            f"| {statistics.mean(theirs):.4f} | {mean:+.4f} ± {half:.4f} | {won} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
