"""Build XGBoost as a stage of the same pipelines, where it is installed and the session is classic Spark.

The extra is `engage-spark[xgboost]`.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from engage_spark.errors import ConfigurationError
from engage_spark.ml.training.candidates import EXTRA, Candidate


def require_xgboost() -> None:
    """Refuse to fit where XGBoost cannot.

    Errors: ConfigurationError where xgboost is not installed, and on Spark Connect: xgboost 3.2 fits through
    RDDs and a SparkContext (`xgboost/spark/core.py`, `_fit`), which Connect does not have.
    """
    from engage_spark.spark.compat import is_remote

    if importlib.util.find_spec("xgboost") is None:
        raise ConfigurationError(
            "candidate 'xgboost' needs xgboost, which is not installed", hint=f"pip install '{EXTRA}'"
        )
    if is_remote():
        raise ConfigurationError(
            (
                "xgboost cannot be fitted through Spark Connect: its Spark estimator works on RDDs, which "
                "Connect has not"
            ),
            hint="take xgboost out of models.candidates, or train on a classic session",
        )


def boosted(candidate: Candidate, *, binary: bool, label: str, seed: int, columns: dict[str, str]) -> Any:
    """Build an unfitted `xgboost.spark` estimator.

    It uses histograms, one worker and one thread per task, so that runs agree.

    Errors: as `require_xgboost`.
    """
    require_xgboost()
    from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

    shared: dict[str, Any] = {
        "features_col": columns["featuresCol"],
        "label_col": label,
        "prediction_col": columns["predictionCol"],
        "num_workers": 1,
        "tree_method": "hist",
        "random_state": seed,
        "verbosity": 0,
        "verbose_eval": False,
        **({"weight_col": columns["weightCol"]} if "weightCol" in columns else {}),
        **candidate.params,
    }
    if not binary:
        return SparkXGBRegressor(**shared)
    return SparkXGBClassifier(
        **shared,
        raw_prediction_col=columns["rawPredictionCol"],
        probability_col=columns["probabilityCol"],
        eval_metric="logloss",
    )
