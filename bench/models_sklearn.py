"""The protocol of `engage-spark train` by scikit-learn, on the rows, sides and folds that `models.py`
exported.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shap
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import RFE
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, TweedieRegressor
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

KEEP, BOOTSTRAP, COVERAGE, EXPLAINED = 25, 200, 0.9, 20_000


def prepared(columns: list[str], categorical: set[str]) -> ColumnTransformer:
    texts = [c for c in columns if c in categorical]
    encode = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    scale = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer(
        [("numbers", scale, [c for c in columns if c not in texts]), ("texts", encode, texts)]
    )


def candidates(binary: bool, amounts: bool, threads: int) -> dict[str, Any]:
    """The kinds and settings that the product has by default; its boosting in scikit-learn's quicker form, by
    histograms.
    """
    forest = {
        "n_estimators": 40,
        "max_depth": 8,
        "min_samples_leaf": 10,
        "n_jobs": threads,
        "random_state": 0,
    }
    boosting = {
        "max_iter": 20,
        "max_depth": 4,
        "learning_rate": 0.3,
        "early_stopping": False,
        "random_state": 0,
    }
    if binary:
        return {
            "linear": LogisticRegression(C=1.0, max_iter=200),
            "forest": RandomForestClassifier(**forest),
            "gbt": HistGradientBoostingClassifier(**boosting),
        }
    found = {
        "linear": ElasticNet(alpha=1e-4),
        "forest": RandomForestRegressor(**forest),
        "gbt": HistGradientBoostingRegressor(**boosting),
    }
    return found | (
        {"tweedie": TweedieRegressor(power=1.5, link="log", alpha=1e-3, max_iter=200)} if amounts else {}
    )


def select(rows: pd.DataFrame, label: pd.Series, columns: list[str], categorical: set[str]) -> list[str]:
    """Recursive elimination, one column a step, by the size of standardised coefficients; categories go by
    their first column left.
    """
    prepare = prepared(columns, categorical)
    x = prepare.fit_transform(rows[columns])
    names = [n.split("__", 1)[1] for n in prepare.get_feature_names_out()]
    source = [n if n in columns else n.rsplit("_", 1)[0] for n in names]
    ranks = RFE(LinearRegression(), n_features_to_select=1, step=1).fit(x, label).ranking_
    best = pd.Series(ranks, index=source).groupby(level=0).min().sort_values(kind="stable")
    return [c for c in columns if c in set(best.index[:KEEP])]


def predict(model: Any, rows: pd.DataFrame, binary: bool) -> np.ndarray:
    return model.predict_proba(rows)[:, 1] if binary else model.predict(rows)


def metrics(binary: bool) -> dict[str, Any]:
    if binary:
        return {
            "auc": roc_auc_score,
            "pr_auc": average_precision_score,
            "log_loss": log_loss,
            "brier": brier_score_loss,
        }
    return {"rmse": root_mean_squared_error, "mae": mean_absolute_error, "r2": r2_score}


def judged(y: np.ndarray, p: np.ndarray, binary: bool) -> dict[str, tuple[float, float, float]]:
    draw = np.random.default_rng(0)
    drawn = [draw.integers(0, len(y), len(y)) for _ in range(BOOTSTRAP)]
    found = {}
    for name, of in metrics(binary).items():
        low, high = np.quantile([of(y[i], p[i]) for i in drawn], [0.025, 0.975])
        found[name] = (float(of(y, p)), float(low), float(high))
    return found


def train(rows: pd.DataFrame, target: str, told: dict[str, Any], threads: int) -> dict[str, Any]:
    binary, categorical = told["task"] == "binary", set(told["categorical"])
    rows = rows[rows[target].notna()]
    y = rows[target].astype(float)
    side = {s: rows["side"] == s for s in ("fit", "calibration", "conformal", "test")}
    fit = rows[side["fit"]]
    columns = list(told["plans"]["main"])
    kinds = candidates(binary, not binary and told["minimum"] == 0 and told["maximum"] > 1, threads)
    headline = "auc" if binary else "rmse"
    folds: dict[str, list[float]] = {name: [] for name in kinds}
    for k in sorted(fit["fold"].unique()):
        inside, outside = fit[fit["fold"] != k], fit[fit["fold"] == k]
        kept = select(inside, y[inside.index], columns, categorical)
        for name, kind in kinds.items():
            model = make_pipeline(prepared(kept, categorical), kind).fit(inside[kept], y[inside.index])
            p = predict(model, outside[kept], binary)
            folds[name].append(float(metrics(binary)[headline](y[outside.index], p)))
    best = (max if binary else min)(folds, key=lambda n: float(np.mean(folds[n])))
    offered = {"model": select(fit, y[fit.index], columns, categorical), "all features": columns}
    offered |= {
        p: select(fit, y[fit.index], list(told["plans"][p]), categorical)
        for p in ("other", "unprotected")
        if told["plans"][p] != told["plans"]["main"]
    }
    finals: dict[str, Any] = {}
    test_y = y[side["test"]].to_numpy()
    for what, names in [
        *offered.items(),
        ("baseline", [told["baseline"]] if told["baseline"] else columns[:1]),
    ]:
        simple = LogisticRegression() if binary else DummyRegressor()
        model = make_pipeline(
            prepared(names, categorical), simple if what == "baseline" else kinds[best]
        ).fit(fit[names], y[fit.index])
        p = predict(model, rows[side["test"]][names], binary)
        if binary:
            curve = IsotonicRegression(out_of_bounds="clip", y_min=1e-6, y_max=1 - 1e-6)
            curve.fit(predict(model, rows[side["calibration"]][names], binary), y[side["calibration"]])
            p = curve.predict(p)
        finals[what] = judged(test_y, p, binary)
        if what == "model":
            errors = np.abs(y[side["conformal"]] - predict(model, rows[side["conformal"]][names], binary))
            np.quantile(errors, COVERAGE)
            explain(model, rows[side["test"]][names].head(EXPLAINED), best)
            if binary:
                groups = rows[side["test"]][["gender", "age"]].assign(
                    age=lambda d: pd.cut(d["age"], [0, 25, 35, 45, 55, 65, 200]).astype(str)
                )
                shown = {"rate": selection_rate, "tpr": true_positive_rate}
                compared = MetricFrame(
                    metrics=shown, y_true=test_y, y_pred=p > 0.2, sensitive_features=groups.fillna("none")
                )
                assert len(compared.by_group)
    return {"best": best, "folds": {n: float(np.mean(v)) for n, v in folds.items()}, "test": finals}


def explain(model: Any, rows: pd.DataFrame, best: str) -> None:
    x = model[:-1].transform(rows)
    if best in ("forest", "gbt"):
        shap.TreeExplainer(model[-1]).shap_values(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    started = time.monotonic()
    rows = pd.read_parquet(chosen.home / "rows")
    told = json.loads((chosen.home / "plans.json").read_text())
    found = {}
    for target, of in told.items():
        begun = time.monotonic()
        found[target] = train(rows, target, of, chosen.threads) | {"seconds": time.monotonic() - begun}
    print(json.dumps({"seconds": time.monotonic() - started, "targets": found}))


if __name__ == "__main__":
    main()
