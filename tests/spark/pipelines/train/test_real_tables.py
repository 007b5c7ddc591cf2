"""The same pipeline on two published tables of real customers, beside scikit-learn on the same columns, rows
and folds.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from engage_spark.errors import GateError
from engage_spark.ml.feature_spec import LeakPolicy, build_feature_spec, target_named
from engage_spark.pipelines import features
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.model_inputs import find_model_inputs, rows_of
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import Settings
from engage_spark.tracking import Tracker
from tests.support.real_tables import BANK, IRANIAN, RealTable, settings_below

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DAY = date(2026, 1, 31)
KNOWN = date(2026, 5, 2)
"""When a quarter after the snapshot is over."""


def settings_of(session_settings: Settings, home: Path, **models: Any) -> Settings:
    model_settings = {"smallest_group": 50, "bootstrap": 100} | models
    below = settings_below(session_settings, home)
    return Settings(
        input=below.input,
        lake=below.lake,
        spark=below.spark,
        tracking={"folder": str(home / "mlflow")},
        models=model_settings,  # type: ignore[arg-type]
        ingest={"landed_at": f"{KNOWN}T00:30:00Z"},
    )


def published(
    spark: SparkSession, session_settings: Settings, shared_data: Path, home: Path, table: RealTable
) -> None:
    table.deliver(shared_data, home, str(DAY))
    settings = settings_of(session_settings, home)
    ingest.run_ingest(spark, settings, contract=table.contract)
    features.run_features(spark, settings, contract=table.contract)


@pytest.fixture(scope="module")
def iranian(
    spark: SparkSession,
    session_settings: Settings,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    home = tmp_path_factory.mktemp("iranian")
    published(spark, session_settings, shared_data, home, IRANIAN)
    return home


@pytest.fixture(scope="module")
def bank(
    spark: SparkSession,
    session_settings: Settings,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    home = tmp_path_factory.mktemp("bank")
    published(spark, session_settings, shared_data, home, BANK)
    return home


def by_scikit_learn(spark: SparkSession, settings: Settings, table: RealTable, target: str) -> float:
    """AUC of histogram boosting, mean over the folds of `splits`, on every column that the plan allows."""
    context = RunContext(spark, settings, table.contract)
    spec = build_feature_spec(
        table.contract, target_named(table.contract, target), policy=LeakPolicy(settings.models.policy)
    )
    inputs = find_model_inputs(context)
    rows = rows_of(context, inputs, list(inputs.days), specs=[spec])
    splits = spark.read.format("delta").load(f"{settings.lake.root}/splits").where("side = 'fit'")
    columns = [*spec.names, target, "fold"]
    frame = (
        rows.join(splits, on=list(table.contract.entity.key), how="inner")
        .select(*columns)
        .toArrow()
        .to_pandas()
    )
    frame = frame[frame[target].notna()]
    text = set(spec.categorical)
    x = pd.DataFrame(
        {n: frame[n].astype("category") if n in text else frame[n].astype(float) for n in spec.names}
    )
    y, found_auc = frame[target].astype(int), []
    for fold in sorted(frame["fold"].unique()):
        held = frame["fold"] == fold
        model = HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype").fit(
            x[~held], y[~held]
        )
        found_auc.append(roc_auc_score(y[held], model.predict_proba(x[held])[:, 1]))
    return float(np.mean(found_auc))


def cross_validated(settings: Settings, target: str) -> float:
    tracker = Tracker(settings.tracking)
    (version,) = tracker.registry.versions(target)
    return float(tracker.place.client.get_run(version.run_id).data.metrics["cv/auc"])


@pytest.mark.parametrize(
    ("name", "table", "target"),
    [("iranian", IRANIAN, "churn"), pytest.param("bank", BANK, "exited", marks=pytest.mark.long)],
)
def test_auc_is_within_a_hundredth_of_histogram_boosting(
    request: pytest.FixtureRequest,
    spark: SparkSession,
    session_settings: Settings,
    name: str,
    table: RealTable,
    target: str,
) -> None:
    home = request.getfixturevalue(name)
    settings = settings_of(session_settings, home, candidates=["forest", "gbt"], policy="permissive")
    result = run_train(spark, settings, contract=table.contract, target=[target], as_of=KNOWN)
    ours, theirs = cross_validated(settings, target), by_scikit_learn(spark, settings, table, target)
    print(f"{name}: AUC ours {ours:.4f}, scikit-learn {theirs:.4f}; {result.seconds:.0f} s")
    assert ours >= theirs - 0.01


def test_a_target_that_is_a_formula_of_other_columns_stops_a_strict_training(
    spark: SparkSession, session_settings: Settings, iranian: Path
) -> None:
    settings = settings_of(session_settings, iranian, candidates=["linear"])
    with pytest.raises(GateError, match="leakage audit") as caught:
        run_train(spark, settings, contract=IRANIAN.contract, target=["customer_value"], as_of=KNOWN)
    details = "\n".join(caught.value.details)
    assert "customer_value" in details
    assert caught.value.exit_code == 3
