"""Train and score from published tables to predictions, on a few hundred made-up customers; what cannot be
trained is refused in words.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.pipelines import features, models, score, synth
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.results import Report
from engage_spark.pipelines.train import run as train
from engage_spark.settings import IngestSettings, Settings
from engage_spark.tracking import Tracker

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CONTRACT = load_contract()
BEFORE, DAY, KNOWN = date(2025, 10, 20), date(2025, 10, 21), date(2025, 11, 20)
MODELS = {
    "candidates": ["linear"],
    "folds": 3,
    "keep": 10,
    "bootstrap": 40,
    "smallest_group": 40,
    "reasons": 2,
}
CUSTOMERS = 900


def settings_at(home: Path, session_settings: Settings, **sections: Any) -> Settings:
    chosen: dict[str, Any] = {
        "input": {"root": str(home / "raw")},
        "lake": {"root": str(home / "lake")},
        "tracking": {"folder": str(home / "mlflow")},
        "synth": {"out": str(home / "raw"), "customers": CUSTOMERS, "snapshots": 2},
        "models": MODELS,
        "spark": session_settings.spark,
        "features": {"graph_values": "given"},
    }
    return Settings(**(chosen | sections))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def settings(home: Path, session_settings: Settings) -> Settings:  # type: ignore[override]
    return settings_at(home, session_settings)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, settings: Settings) -> Settings:
    """Published customers and features of two days: all that is known at once is trained on the first and
    tested on the second.

    Without the graph, which takes its time; the end-to-end test of the demo trains with it.
    """
    landed = settings.model_copy(
        update={"ingest": IngestSettings(landed_at=datetime(2025, 10, 22, 0, 30, tzinfo=UTC))}
    )
    synth.run(spark, landed, contract=CONTRACT)
    ingest.run(spark, landed, contract=CONTRACT)
    features.run(spark, landed, contract=CONTRACT)
    return settings


@pytest.fixture(scope="module")
def trained(spark: SparkSession, lake: Settings) -> Report:
    with pytest.raises(ConfigurationError, match="no champion for"):
        score.run(spark, lake, contract=CONTRACT)
    return train.run(spark, lake, contract=CONTRACT, as_of=KNOWN)


@pytest.fixture(scope="module")
def champions(settings: Settings, trained: Report) -> Iterator[Tracker]:
    """Every target has a champion: where nine hundred customers are too few for a gate, it is promoted by
    hand.
    """
    tracker = Tracker(settings.tracking)
    for target in TARGETS:
        newest = tracker.registry.versions(target)[-1]
        models.promote(settings, contract=CONTRACT, target=target, version=newest.version, force=True)
    yield tracker


@pytest.fixture(scope="module")
def scored(spark: SparkSession, settings: Settings, champions: Tracker) -> Report:
    return score.run(spark, settings, contract=CONTRACT)


TARGETS = ("engagement_score", "churn_30_day", "lifetime_value_usd")


def table(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    return spark.read.format("delta").load(f"{settings.lake.root}/{name}")


def digest(rows: DataFrame) -> list[str]:
    return sorted(repr(r) for r in rows.collect())


def test_every_target_gets_a_version_and_a_row_of_figures(
    spark: SparkSession, settings: Settings, trained: Report
) -> None:
    rows = {r["target"]: r for r in table(spark, settings, "training_runs").collect()}
    assert set(rows) == set(TARGETS)
    assert trained.table is not None
    for name, row in rows.items():
        (version,) = Tracker(settings.tracking).registry.versions(name)
        assert row["model_version"] == str(version.version)
        assert row["held_out_lower"] <= row["held_out"] <= row["held_out_upper"]
        assert len(row["features"]) == MODELS["keep"]
        better = (
            row["held_out"] - row["baseline"]
            if row["higher_is_better"]
            else row["baseline"] - row["held_out"]
        )
        assert better > 0, f"{name} is no better than its baseline"
        late = name != "churn_30_day"
        assert row["snapshots"] == [BEFORE, DAY]
        assert (row["out_of_time"] is not None) is late, "the label windows of two days in a row overlap"


def test_protected_audits_and_leaks_are_no_features(
    spark: SparkSession, settings: Settings, trained: Report
) -> None:
    rows = {r["target"]: set(r["features"]) for r in table(spark, settings, "training_runs").collect()}
    assert all("gender" not in features for features in rows.values())
    assert any("graph" in note for note in trained.notes), "that the graph is not used is told"
    assert not rows["engagement_score"] & {
        "sessions_last_7_days",
        "engagement_velocity",
        "avg_connection_strength",
    }
    assert not rows["lifetime_value_usd"] & {"transaction_revenue_30_day", "transaction_momentum"}


def test_every_customer_has_a_side_and_the_churners_are_spread_evenly(
    spark: SparkSession, settings: Settings, trained: Report
) -> None:
    splits = table(spark, settings, "splits")
    judged = table(spark, settings, "customers_judged").where(
        f"_dq_status = 'valid' AND snapshot_date = '{DAY}'"
    )
    judged = judged.select("customer_id", "churn_30_day")
    joined = judged.join(splits, on="customer_id", how="inner")
    assert joined.count() == judged.count()
    assert splits.count() == splits.select("customer_id").distinct().count() >= judged.count()
    known = joined.where("churn_30_day IS NOT NULL").groupBy("side").avg("churn_30_day").collect()
    rates = [r[1] for r in known]
    assert len(rates) == 4
    assert max(rates) - min(rates) < 2 / 60, "each side's share of churners is exact to one row"


def test_everything_that_was_found_lies_beside_the_model(settings: Settings, trained: Report) -> None:
    client = Tracker(settings.tracking).place.client
    (version,) = Tracker(settings.tracking).registry.versions("churn_30_day")
    names = {f.path for f in client.list_artifacts(version.run_id)}
    assert {
        "features.json",
        "fairness.json",
        "profit.json",
        "conformal.json",
        "importance.json",
        "gates.json",
        "plots",
        "card.md",
    } <= names
    metrics = client.get_run(version.run_id).data.metrics
    assert {
        "test/auc",
        "test/ece",
        "cv/auc",
        "baseline/auc",
        "all_features/auc",
        "without_protected/auc",
        "coverage",
    } <= set(metrics)


def test_the_same_work_is_not_done_twice(spark: SparkSession, settings: Settings, trained: Report) -> None:
    again = train.run(spark, settings, contract=CONTRACT, as_of=KNOWN)
    assert any("trained before" in note for note in again.notes)
    assert [len(Tracker(settings.tracking).registry.versions(t)) for t in TARGETS] == [1, 1, 1]


def test_predictions_have_a_row_per_customer_and_target_within_bounds(
    spark: SparkSession, settings: Settings, scored: Report
) -> None:
    rows = table(spark, settings, "predictions")
    valid = table(spark, settings, "customers_judged").where("_dq_status = 'valid'").count()
    assert (
        rows.count() == rows.select("customer_id", "snapshot_date", "target").distinct().count() == 3 * valid
    )
    assert rows.where("target <> 'lifetime_value_usd' AND prediction NOT BETWEEN 0 AND 1").count() == 0
    assert rows.where("target = 'lifetime_value_usd' AND prediction NOT BETWEEN 0 AND 5000").count() == 0
    assert (
        rows.where("target <> 'churn_30_day' AND NOT (lower <= prediction AND prediction <= upper)").count()
        == 0
    )
    assert (
        rows.where(
            "target = 'churn_30_day' AND (probability IS NULL OR decision IS NULL OR prediction_set IS NULL)"
        ).count()
        == 0
    )
    assert rows.where("size(reasons) > 2").count() == 0
    ages = rows.selectExpr("explode(reasons) AS r").where("r.feature = 'age' AND r.value IS NOT NULL")
    assert ages.count() == 0, "the value of a protected field is masked"


def test_scoring_again_gives_the_same_rows(spark: SparkSession, settings: Settings, scored: Report) -> None:
    before = digest(table(spark, settings, "predictions"))
    assert any("already" in note for note in score.run(spark, settings, contract=CONTRACT).notes)
    score.run(spark, settings, contract=CONTRACT, force=True)
    assert digest(table(spark, settings, "predictions")) == before


def test_one_target_may_be_scored(spark: SparkSession, settings: Settings, scored: Report) -> None:
    with pytest.raises(ConfigurationError, match="no target"):
        score.run(spark, settings, contract=CONTRACT, target=["age"])
    with pytest.raises(ConfigurationError, match="2025-10-22"):
        score.run(spark, settings, contract=CONTRACT, snapshot_date=date(2025, 10, 22))


def test_a_snapshot_whose_labels_are_not_known_yet_is_not_trained_on(
    spark: SparkSession, lake: Settings
) -> None:
    with pytest.raises(ConfigurationError, match="no snapshot has matured by 2025-11-18") as caught:
        train.run(spark, lake, contract=CONTRACT, target=["churn_30_day"], as_of=date(2025, 11, 18))
    assert "2025-11-19" in str(caught.value.hint)


def test_other_folds_than_the_customers_were_put_into_are_refused(
    spark: SparkSession, session_settings: Settings, home: Path, trained: Report
) -> None:
    other = settings_at(home, session_settings, models=MODELS | {"folds": 4})
    with pytest.raises(ConfigurationError, match="they have 3"):
        train.run(spark, other, contract=CONTRACT, as_of=KNOWN)


def test_a_tracking_server_that_is_away_is_found_out_before_anything_is_trained(
    spark: SparkSession, session_settings: Settings, home: Path, lake: Settings
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    away = settings_at(
        home, session_settings, tracking={"uri": f"http://127.0.0.1:{port}", "folder": str(home / "away")}
    )
    with pytest.raises(TransientError):
        train.run(spark, away, contract=CONTRACT, as_of=KNOWN, force=True)


def test_a_second_training_is_held_against_the_champion_and_moves_nobody(
    spark: SparkSession, session_settings: Settings, home: Path, champions: Tracker
) -> None:
    before = digest(
        table(
            spark,
            champions_settings := settings_at(home, session_settings, models=MODELS | {"keep": 6}),
            "splits",
        )
    )
    report = train.run(
        spark, champions_settings, contract=CONTRACT, target=["lifetime_value_usd"], as_of=KNOWN
    )
    assert digest(table(spark, champions_settings, "splits")) == before
    versions = champions.registry.versions("lifetime_value_usd")
    assert len(versions) == 2
    assert sum("champion" in v.aliases for v in versions) == 1
    told = " ".join(text for _, text in report.lines)
    assert "over version 1" in told, "the gain over the champion is told"
