"""Train and score from published tables to predictions, on a few hundred made-up customers.

All tests share one lake and one registry, and any of them may run alone or first: they compare with the
result of the training that their fixture made, not with what the registry holds at the end.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, NoChampionError, NotPublishedError, TransientError
from engage_spark.pipelines import features, models, synth
from engage_spark.pipelines.champions import scorer_of
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.results import Note, ScoreResult, TrainResult, to_plain
from engage_spark.pipelines.score import run_score
from engage_spark.pipelines.train.run import run_train
from engage_spark.settings import IngestSettings, Settings
from engage_spark.tracking import ModelVersion, Tracker

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CONTRACT = load_contract()
BEFORE, DAY, KNOWN = date(2025, 10, 20), date(2025, 10, 21), date(2025, 11, 21)
MODELS = {
    "candidates": ["linear"],
    "folds": 3,
    "keep": 10,
    "bootstrap": 40,
    "smallest_group": 40,
    "reasons": 2,
}
CUSTOMERS = 900
SECOND_TARGET = "lifetime_value_usd"
TARGETS = ("engagement_score", "churn_30_day", "lifetime_value_usd")
ON_CONNECT = TARGETS[1:]
"""One of two classes and one of amounts: the third is like the second, and each takes its time."""


def settings_at(home: Path, session_settings: Settings, **sections: Any) -> Settings:
    sections_here: dict[str, Any] = {
        "input": {"root": str(home / "raw")},
        "lake": {"root": str(home / "lake")},
        "tracking": {"folder": str(home / "mlflow")},
        "synth": {"out": str(home / "raw"), "customers": CUSTOMERS, "snapshots": 2},
        "models": MODELS,
        "spark": session_settings.spark,
        "features": {"graph_values": "given"},
    }
    return Settings(**(sections_here | sections))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def settings(home: Path, session_settings: Settings) -> Settings:  # type: ignore[override]
    return settings_at(home, session_settings)


@pytest.fixture(scope="module")
def targets(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What is trained; a run of the tests that can differ on Connect asks for fewer."""
    return ON_CONNECT if request.config.getoption("--spark") == "connect" else TARGETS


@pytest.fixture(scope="module")
def lake(spark: SparkSession, settings: Settings) -> Settings:
    """Published customers and features of two days: all that is known at once is trained on the first and
    tested on the second.

    Without the graph, which takes its time; the end-to-end test of the demo trains with it.
    """
    landed = settings.model_copy(
        update={"ingest": IngestSettings(landed_at=datetime(2025, 11, 21, 0, 30, tzinfo=UTC))}
    )
    synth.run_synth(spark, landed, contract=CONTRACT)
    ingest.run_ingest(spark, landed, contract=CONTRACT)
    features.run_features(spark, landed, contract=CONTRACT)
    return settings


@pytest.fixture(scope="module")
def trained(spark: SparkSession, lake: Settings, targets: tuple[str, ...]) -> TrainResult:
    """The first training of all; before it nothing can be scored."""
    with pytest.raises(NoChampionError, match="no champion for"):
        run_score(spark, lake, contract=CONTRACT)
    asked = () if targets == TARGETS else targets
    return run_train(spark, lake, contract=CONTRACT, target=asked, as_of=KNOWN)


@pytest.fixture(scope="module")
def champions(settings: Settings, trained: TrainResult, targets: tuple[str, ...]) -> Iterator[Tracker]:
    """Every target has a champion: where nine hundred customers are too few for a gate, it is promoted by
    hand.
    """
    tracker = Tracker(settings.tracking)
    for target in targets:
        newest = tracker.registry.versions(target)[-1]
        models.promote_model(settings, contract=CONTRACT, target=target, version=newest.version, force=True)
    yield tracker


@pytest.fixture(scope="module")
def scored(spark: SparkSession, settings: Settings, champions: Tracker) -> ScoreResult:
    return run_score(spark, settings, contract=CONTRACT)


def table(spark: SparkSession, settings: Settings, name: str) -> DataFrame:
    return spark.read.format("delta").load(f"{settings.lake.root}/{name}")


def digest(rows: DataFrame) -> list[str]:
    return sorted(repr(r) for r in rows.collect())


def rows_by_target(spark: SparkSession, settings: Settings, trained: TrainResult) -> dict[str, Row]:
    """The rows of `training_runs` that this training wrote."""
    rows = table(spark, settings, "training_runs").where(f"run_id = '{trained.run_id}'").collect()
    return {r["target"]: r for r in rows}


def version_of(settings: Settings, trained: TrainResult, target: str) -> ModelVersion:
    """The version that this training registered."""
    (model,) = (t for t in trained.targets if t.target == target)
    return Tracker(settings.tracking).registry.version(target, model.version)


@pytest.mark.connect
def test_every_target_gets_a_version_and_a_row_of_figures(
    spark: SparkSession, settings: Settings, trained: TrainResult, targets: tuple[str, ...]
) -> None:
    rows = rows_by_target(spark, settings, trained)
    assert set(rows) == {t.target for t in trained.targets} == set(targets)
    for name, row in rows.items():
        version = version_of(settings, trained, name)
        assert (row["model_version"], row["mlflow_run_id"]) == (str(version.version), version.run_id)
        assert row["held_out_lower"] <= row["held_out"] <= row["held_out_upper"]
        assert len(row["features"]) == MODELS["keep"]
        better = (
            row["held_out"] - row["baseline"]
            if row["higher_is_better"]
            else row["baseline"] - row["held_out"]
        )
        assert better > 0, f"{name} is no better than its baseline"
        has_out_of_time = name != "churn_30_day"
        assert row["snapshots"] == ([BEFORE, DAY] if has_out_of_time else [DAY]), "a label window apart"
        assert row["serving_snapshots"] == row["snapshots"]
        assert (row["out_of_time"] is not None) is has_out_of_time, "the label windows of two days overlap"


def test_the_model_that_serves_has_learnt_all_matured_days_and_the_card_says_so(
    settings: Settings, trained: TrainResult, champions: Tracker
) -> None:
    for name in TARGETS:
        version = version_of(settings, trained, name)
        client, scorer = champions.place.client, scorer_of(champions.registry.opened(version))
        metrics = client.get_run(version.run_id).data.metrics
        card = Path(client.download_artifacts(version.run_id, "card.md")).read_text()
        if name == "churn_30_day":
            assert scorer.days == (str(DAY),)
            assert f"The model that serves is the one that was judged, fitted on {DAY}." in card
            assert "serving/coverage" not in metrics
        else:
            assert scorer.days == (str(BEFORE), str(DAY))
            assert f"Judged was a model fitted on {BEFORE}." in card
            assert f"fitted again on the fit customers of {BEFORE}, {DAY}" in card
            assert f"Coverage on the test customers of {DAY}" in card
            assert metrics["serving/coverage_low"] <= metrics["serving/coverage"] <= 1
            serving = json.loads(Path(client.download_artifacts(version.run_id, "serving.json")).read_text())
            assert serving["conformal"] == json.loads(scorer.conformal.to_json())
            judged = json.loads(Path(client.download_artifacts(version.run_id, "conformal.json")).read_text())
            assert serving["conformal"] != judged, "measured anew, on more rows"


def test_the_result_of_a_training_agrees_with_its_stored_figures(
    spark: SparkSession, settings: Settings, trained: TrainResult
) -> None:
    rows = rows_by_target(spark, settings, trained)
    for t in trained.targets:
        row = rows[t.target]
        by_role = {m.role: m for m in t.models}
        assert (t.candidate, t.promoted, t.reason) == (row["candidate"], row["promoted"], row["reason"])
        assert by_role["model"].headline is not None
        assert by_role["baseline"].headline is not None
        assert by_role["model"].headline.value == row["held_out"]
        assert by_role["baseline"].headline.value == row["baseline"]
        assert by_role["model"].features == len(row["features"])
        assert (None if t.out_of_time is None else t.out_of_time.value) == row["out_of_time"]
        assert (t.calibration_error is not None) is (t.target == "churn_30_day")
        assert 0.5 < t.covered <= 1
    assert to_plain(trained)["targets"][0]["target"] == trained.targets[0].target


def test_protected_audits_and_leaks_are_no_features(
    spark: SparkSession, settings: Settings, trained: TrainResult
) -> None:
    rows = {name: set(r["features"]) for name, r in rows_by_target(spark, settings, trained).items()}
    assert all("gender" not in features for features in rows.values())
    assert Note("GraphNotUsed") in trained.notes
    assert not rows["engagement_score"] & {
        "sessions_last_7_days",
        "engagement_velocity",
        "avg_connection_strength",
    }
    assert not rows["lifetime_value_usd"] & {"transaction_revenue_30_day", "transaction_momentum"}


def test_every_customer_has_a_split_and_the_churners_are_spread_evenly(
    spark: SparkSession, settings: Settings, trained: TrainResult
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


def test_all_figures_are_stored_beside_the_model(settings: Settings, trained: TrainResult) -> None:
    client = Tracker(settings.tracking).place.client
    version = version_of(settings, trained, "churn_30_day")
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


@pytest.mark.connect
def test_predictions_have_a_row_per_customer_and_target_within_bounds(
    spark: SparkSession, settings: Settings, scored: ScoreResult, targets: tuple[str, ...]
) -> None:
    rows = table(spark, settings, "predictions")
    valid = table(spark, settings, "customers_judged").where("_dq_status = 'valid'").count()
    assert (
        rows.count()
        == rows.select("customer_id", "snapshot_date", "target").distinct().count()
        == len(targets) * valid
    )
    assert rows.where("target <> 'lifetime_value_usd' AND prediction NOT BETWEEN 0 AND 1").count() == 0
    assert rows.where("target = 'lifetime_value_usd' AND prediction NOT BETWEEN 0 AND 5000").count() == 0
    assert (
        rows.where("target <> 'churn_30_day' AND NOT (lower <= prediction AND prediction <= upper)").count()
        == 0
    )
    assert (
        rows.where(
            "target = 'churn_30_day' AND (probability IS NULL OR prediction_set IS NULL "
            "OR decision <> CAST(probability >= decision_threshold AS INT))"
        ).count()
        == 0
    )
    assert rows.where("size(reasons) > 2").count() == 0
    added = "base + aggregate(reasons, 0D, (sum, r) -> sum + r.contribution) + other_contributions"
    assert (
        rows.where(f"score_raw IS NULL OR abs({added} - score_raw) > 1e-9 * greatest(1, abs(base))").count()
        == 0
    )
    splits = table(spark, settings, "splits").selectExpr("customer_id", "side AS own_side")
    joined = rows.join(splits, on="customer_id", how="left")
    assert joined.where("side IS NULL OR side <> coalesce(own_side, 'new')").count() == 0
    learnt = f"side = 'fit' AND (target <> 'churn_30_day' OR snapshot_date = '{DAY}')"
    assert rows.where(f"out_of_fold IS NULL OR out_of_fold <> ({learnt})").count() == 0
    assert rows.where("in_sample IS NULL OR in_sample").count() == 0
    ages = rows.selectExpr("explode(reasons) AS r").where("r.feature = 'age' AND r.value IS NOT NULL")
    assert ages.count() == 0, "the value of a protected field is masked"


def test_scoring_again_gives_the_same_rows(
    spark: SparkSession, settings: Settings, champions: Tracker
) -> None:
    run_score(spark, settings, contract=CONTRACT)
    before = digest(table(spark, settings, "predictions"))
    again = run_score(spark, settings, contract=CONTRACT)
    assert again.snapshots == ()
    assert again.notes[-1] == Note("PredictionsUpToDate")
    forced = run_score(spark, settings, contract=CONTRACT, target=["churn_30_day"], force=True)
    assert len(forced.snapshots) == 2
    assert digest(table(spark, settings, "predictions")) == before


def test_one_target_of_one_day_may_be_scored(
    spark: SparkSession, settings: Settings, scored: ScoreResult
) -> None:
    others = "target <> 'churn_30_day'"
    before = digest(table(spark, settings, "predictions").where(others))
    result = run_score(
        spark, settings, contract=CONTRACT, target=["churn_30_day"], snapshot_date=DAY, force=True
    )
    (snapshot,) = result.snapshots
    assert (snapshot.target, snapshot.snapshot_date) == ("churn_30_day", DAY)
    rows = table(spark, settings, "predictions").where(f"_run_id = '{snapshot.run_id}'")
    assert rows.count() == snapshot.rows > 0
    assert digest(table(spark, settings, "predictions").where(others)) == before


def test_a_target_or_a_day_that_is_not_there_cannot_be_scored(
    spark: SparkSession, settings: Settings, lake: Settings
) -> None:
    with pytest.raises(ConfigurationError, match="'age' is not a target"):
        run_score(spark, settings, contract=CONTRACT, target=["age"])
    with pytest.raises(NotPublishedError, match="2025-10-22"):
        run_score(spark, settings, contract=CONTRACT, snapshot_date=date(2025, 10, 22))


def test_a_snapshot_whose_labels_are_not_known_yet_is_not_trained_on(
    spark: SparkSession, lake: Settings
) -> None:
    with pytest.raises(ConfigurationError, match="no snapshot has matured by 2025-11-18") as caught:
        run_train(spark, lake, contract=CONTRACT, target=["churn_30_day"], as_of=date(2025, 11, 18))
    assert "2025-11-20" in str(caught.value.hint)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    with pytest.raises(ConfigurationError, match=f"{tomorrow} lies in the future"):
        run_train(spark, lake, contract=CONTRACT, as_of=tomorrow)


def test_other_folds_than_the_customers_were_put_into_are_refused(
    spark: SparkSession, session_settings: Settings, home: Path, trained: TrainResult
) -> None:
    other = settings_at(home, session_settings, models=MODELS | {"folds": 4})
    with pytest.raises(ConfigurationError, match="they have 3"):
        run_train(spark, other, contract=CONTRACT, as_of=KNOWN)


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
        run_train(spark, away, contract=CONTRACT, as_of=KNOWN, force=True)


@dataclass(frozen=True, kw_only=True)
class SecondTraining:
    """A training of one target with fewer features, and what there was before it."""

    settings: Settings
    result: TrainResult
    champion: int
    versions: list[ModelVersion]
    splits: list[str]


@pytest.fixture(scope="module")
def second(spark: SparkSession, session_settings: Settings, home: Path, champions: Tracker) -> SecondTraining:
    fewer = settings_at(home, session_settings, models=MODELS | {"keep": 6})
    before: dict[str, Any] = {
        "champion": champions.champion(SECOND_TARGET).version,
        "versions": champions.registry.versions(SECOND_TARGET),
        "splits": digest(table(spark, fewer, "splits")),
    }
    result = run_train(spark, fewer, contract=CONTRACT, target=[SECOND_TARGET], as_of=KNOWN)
    return SecondTraining(settings=fewer, result=result, **before)


def test_a_second_training_is_held_against_the_champion(champions: Tracker, second: SecondTraining) -> None:
    versions = champions.registry.versions(SECOND_TARGET)
    assert len(versions) == len(second.versions) + 1
    assert sum("champion" in v.aliases for v in versions) == 1
    (model,) = second.result.targets
    assert model.version == versions[-1].version
    assert f"over version {second.champion}" in model.reason


def test_a_second_training_moves_no_customer_to_another_split(
    spark: SparkSession, second: SecondTraining
) -> None:
    assert digest(table(spark, second.settings, "splits")) == second.splits


def test_the_same_work_is_not_done_twice(
    spark: SparkSession, champions: Tracker, second: SecondTraining
) -> None:
    versions = champions.registry.versions(SECOND_TARGET)
    again = run_train(spark, second.settings, contract=CONTRACT, target=[SECOND_TARGET], as_of=KNOWN)
    assert again.targets == ()
    before = {"run_id": second.result.run_id, "targets": (SECOND_TARGET,)}
    assert again.notes[-1] == Note("TrainedBefore", before)
    assert champions.registry.versions(SECOND_TARGET) == versions


def test_a_target_that_was_trained_before_another_one_is_not_trained_again(
    spark: SparkSession, settings: Settings, trained: TrainResult, second: SecondTraining
) -> None:
    """The training of the fixture `second` came after that of all targets, and was of other settings."""
    again = run_train(spark, settings, contract=CONTRACT, target=[SECOND_TARGET], as_of=KNOWN)
    before = Note("TrainedBefore", {"run_id": trained.run_id, "targets": (SECOND_TARGET,)})
    assert (again.targets, again.run_id, again.notes[-1]) == ((), trained.run_id, before)
    everything = run_train(spark, settings, contract=CONTRACT, as_of=KNOWN)
    assert everything.targets == ()
    assert everything.notes[-1] == Note("TrainedBefore", {"run_id": trained.run_id, "targets": TARGETS})
