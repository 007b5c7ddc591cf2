"""What becomes of a trained model when MLflow is away, refuses, or the attempt before was killed; with models
that were really trained.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.contract.money import ContactMoney
from engage_spark.errors import TransientError
from engage_spark.lake.scratch import scratch
from engage_spark.ml.data.split_draw import SplitDraw
from engage_spark.ml.data.split_rows import TargetSnapshots, split_rows
from engage_spark.ml.evaluation.promotion import GateAnswer
from engage_spark.ml.fairness import audit
from engage_spark.ml.fairness.audit import attributes
from engage_spark.ml.fairness.model_audit import compare_groups
from engage_spark.ml.feature_spec import LeakPolicy, TargetSpecs, target_named
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import to_profile
from engage_spark.ml.train_target import train_target
from engage_spark.ml.trained_target import TrainedTarget
from engage_spark.pipelines.context import RunContext, StageRun, now
from engage_spark.pipelines.model_inputs import ModelInputs
from engage_spark.pipelines.train.inputs import specs_of
from engage_spark.pipelines.train.register import RegisteredTarget, register_target
from engage_spark.pipelines.train.run import scratch_path
from engage_spark.settings import Settings, TrackingSettings
from engage_spark.tracking import CHALLENGER, CHAMPION, Tracker
from tests.support.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

mlflow = pytest.importorskip("mlflow", reason="the ml extra is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONTRACT = load_contract(DATA / "iranian_churn.odcs.yaml")
DAY = date(2026, 1, 31)
TARGET = target_named(CONTRACT, "churn")
SNAPSHOTS = TargetSnapshots(train=(DAY,), out_of_time=None)


def subscribers(spark: SparkSession, specs: TargetSpecs) -> DataFrame:
    """3,000 made-up rows on their sides; who complains or calls little leaves more often, and the other
    columns are noise.
    """
    from pyspark.sql import functions as F

    def drawn(salt: int) -> Any:
        return F.pmod(F.xxhash64(F.lit(salt), "row_id"), F.lit(10_000)) / 10_000.0

    part = drawn(1)
    side = (
        F.when(part < 0.5, "fit")
        .when(part < 0.65, "calibration")
        .when(part < 0.8, "conformal")
        .otherwise("test")
    )
    types = {f.name: f.spark_type for table in CONTRACT.tables for f in table.fields}
    own = {
        "complains": drawn(2) < 0.4,
        "frequency_of_use": F.floor(100 * drawn(3)),
        "age_group": F.floor(1 + 5 * drawn(4)),
    }
    rows = (
        spark.range(1, 3001)
        .withColumnRenamed("id", "row_id")
        .withColumns({"snapshot_date": F.lit(DAY), "side": side})
    )
    rows = rows.withColumn("fold", F.when(F.col("side") == "fit", F.floor(3 * drawn(5)).cast("int")))
    names = dict.fromkeys([*(n for p in specs.all for n in p.names), "age", "age_group"])
    rows = rows.withColumns(
        {n: own.get(n, F.floor(20 * drawn(100 + i))).cast(types[n]) for i, n in enumerate(names)}
    )
    risk = 0.05 + 0.5 * F.col("complains") + 0.4 * (F.col("frequency_of_use") < 40).cast("int")
    return rows.withColumn(TARGET.name, (drawn(6) < risk).cast("int"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Shop:
    """Two trainings of one target on the same rows: a good model, and one of a single feature."""

    context: RunContext
    rows: DataFrame
    found: ModelInputs
    good: TrainedTarget
    poor: TrainedTarget

    def record(
        self, tracker: Tracker, work: StageRun, trained: TrainedTarget | None = None, **more: Any
    ) -> RegisteredTarget:
        return register_target(
            self.context, work, tracker, trained or self.good, self.found, self.rows, **more
        )


def work(*, of: str = "good", stage: str = "train") -> StageRun:
    return StageRun(
        stage=stage,
        snapshot_date=DAY,
        inputs={"made": of},
        contract=CONTRACT,
        settings_digest="d" * 64,
        previous=None,
    )


@pytest.fixture(scope="module")
def shop(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("record")
    chosen: dict[str, Any] = {
        "candidates": ["linear"],
        "folds": 3,
        "bootstrap": 40,
        "smallest_group": 40,
        "keep": 4,
    }
    trained = {}
    with scratch(
        spark, RunContext(spark, Settings(lake={"root": str(home / "lake")}), CONTRACT).lake
    ) as keep:  # type: ignore[arg-type]
        for name, models in {"good": chosen, "poor": chosen | {"keep": 1, "fit_rows": 1300}}.items():
            settings = Settings(
                lake={"root": str(home / "lake")}, spark=session_settings.spark, models=models
            )  # type: ignore[arg-type]
            context = RunContext(spark, settings, CONTRACT)
            specs = specs_of(context, [TARGET], graph=False)[TARGET.name]
            if name == "good":
                judged, rows = context, keep(subscribers(spark, specs), "training_set")
            profile = to_profile(rows, specs.all)
            grams = to_grams(rows, specs=specs.all, fold="fold", scales=profile.scales)
            trained[name] = train_target(
                specs,
                SNAPSHOTS,
                split_rows(rows, TARGET, SNAPSHOTS),
                grams=grams[TARGET.name],
                findings=(),
                models=settings.models,
                key=CONTRACT.entity.key,
                day="snapshot_date",
                protected=attributes(CONTRACT),
                money=ContactMoney(value=125.0, cost=5.0, success=0.2, currency="EUR", source="the desk"),
                scratch_path=partial(scratch_path, spark, settings.lake.scratch_root),
            )
        tables = {"subscribers": "subscribers_judged", "subscriber_features": "subscriber_features"}
        runs = {
            name: work(stage=name).to_run(
                rows_in=3000, valid=3000, quarantined=0, outputs={stored: i}, started_at=now()
            )
            for i, (name, stored) in enumerate(tables.items(), 3)
        }
        yield Shop(
            context=judged,
            rows=rows,
            found=ModelInputs(days={DAY: runs}, graph=None, measured=False),
            good=trained["good"],
            poor=trained["poor"],
        )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sqlite file for all tests, since setting one up takes five seconds; every test has a prefix of its
    own.
    """
    return tmp_path_factory.mktemp("tracking") / "mlflow"


@pytest.fixture
def tracker(shop: Shop, file: Path, request: pytest.FixtureRequest) -> Tracker:
    return Tracker(
        TrackingSettings(folder=str(file), prefix=f"{request.node.name.replace('[', '.').rstrip(']')}."),
        staging=shop.context.settings.lake.scratch_root,
    )


def aliases(tracker: Tracker) -> dict[int, tuple[str, ...]]:
    return {v.version: v.aliases for v in tracker.registry.versions(TARGET.name)}


def champion_of_one_feature(shop: Shop, tracker: Tracker) -> None:
    made = shop.record(tracker, work(of="poor"), shop.poor)
    tracker.promote(made.version, reasons={"promoted": "by hand"}, force=True)
    assert aliases(tracker) == {1: (CHAMPION,)}


def refuses(*_: Any, **__: Any) -> Any:
    raise mlflow.exceptions.MlflowException(
        "no right to read it", error_code=import_module("mlflow.protos.databricks_pb2").PERMISSION_DENIED
    )


def test_nothing_but_the_champion_is_in_the_way_of_the_good_model(shop: Shop) -> None:
    assert [g for g in shop.good.gates if g.answer is GateAnswer.FAILED] == []
    assert len(shop.good.folds) == 3
    assert shop.good.comparison.fitted == (), "models of folds do not outlive the training"


def test_protected_fields_that_cannot_be_audited_cost_the_audit_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "CELLS", 1)
    fairness = compare_groups(
        shop.good.final.model.transform(shop.good.splits.test),
        TARGET,
        shop.good.conformal,
        key=CONTRACT.entity.key,
        protected=attributes(CONTRACT),
        threshold=shop.good.threshold,
        models=shop.context.settings.models,
    )
    (reason,) = fairness.unaudited
    assert "more than 1 combinations" in reason
    assert fairness.spreads == ()
    assert fairness.of("all", "coverage") == shop.good.fairness.of("all", "coverage") != {}


def test_a_model_outlives_an_mlflow_that_went_away_during_its_training(shop: Shop, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    away = Tracker(
        TrackingSettings(uri=address, folder=str(tmp_path)), staging=shop.context.settings.lake.scratch_root
    )
    with pytest.raises(TransientError, match="was not brought to MLflow") as caught:
        shop.record(away, work())
    (folder,) = away.unsent_runs()
    assert folder.parent == tmp_path / "kept"
    assert f"all of the run: {folder}" in caught.value.details
    (place,) = (
        Path(d.removeprefix("the trained model: "))
        for d in caught.value.details
        if d.startswith("the trained model: ")
    )
    test = shop.good.splits.test
    theirs, ours = (
        model.transform(test).select("row_id", "prediction").collect()
        for model in (away.load(shop.context.spark, place), shop.good.final.model)
    )
    assert sorted(theirs) == sorted(ours)


def test_a_refused_question_for_the_champion_promotes_nobody(
    shop: Shop, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion_of_one_feature(shop, tracker)
    ask, asked = tracker.place.client.get_registered_model, []

    def at_first(name: str) -> Any:
        asked.append(name)
        return refuses() if len(asked) == 1 else ask(name)

    monkeypatch.setattr(tracker.place.client, "get_registered_model", at_first)
    made = shop.record(tracker, work())
    assert not made.decision.promoted
    assert made.decision.reason.startswith("the champion could not be asked: ")
    assert "no right to read it" in made.decision.reason
    assert aliases(tracker) == {1: (CHAMPION,), 2: ()}


def test_a_registry_that_refuses_everything_keeps_the_run_here(
    shop: Shop, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(tracker.place.client, "get_registered_model", refuses)
        with pytest.raises(TransientError, match="no right to read it"):
            shop.record(tracker, work())
    (folder,) = tracker.unsent_runs()
    assert tracker.send(folder) is not None
    assert aliases(tracker) == {1: ()}


def test_a_champion_whose_files_are_refused_stays_until_somebody_decides(
    shop: Shop, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion_of_one_feature(shop, tracker)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", refuses)
    made = shop.record(tracker, work())
    assert not made.decision.promoted
    assert "promote by hand" in made.decision.reason
    assert "no right to read it" in made.version.facts["champion"]
    assert aliases(tracker) == {1: (CHAMPION,), 2: (CHALLENGER,)}


@pytest.mark.parametrize("content", ["not JSON", '{"features": [], "extras": {}}'], ids=["text", "other"])
def test_a_champion_that_does_not_say_how_it_scores_is_no_rival(
    shop: Shop, tracker: Tracker, content: str
) -> None:
    champion_of_one_feature(shop, tracker)
    (held,) = tracker.registry.versions(TARGET.name)
    (Path(held.uri.removeprefix("file://")) / "engage.json").write_text(content)
    made = shop.record(tracker, work())
    assert (made.decision.code, made.decision.promoted) == ("ChampionNoRival", True)
    assert "version 1 has nothing stored" in made.decision.reason or "not what was" in made.decision.reason
    assert aliases(tracker) == {1: (), 2: (CHAMPION,)}


DRAW = SplitDraw(seed=0, folds=3, ranges=(("0", ((-9, -5), (-4, 3), (4, 9))),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"splits": replace(DRAW, seed=7).to_json()}, "parted by other splits"),
        ({"splits": None}, "does not say by which splits"),
        ({"meaning": {"churn": {"digest": "x", "type": "int"}}}, "churn: "),
        ({"meaning": None}, "does not say what its features meant"),
    ],
    ids=["other splits", "no splits", "other target", "no meaning"],
)
def test_a_champion_that_was_judged_otherwise_is_no_rival(
    shop: Shop, tracker: Tracker, change: dict[str, Any], words: str
) -> None:
    made = shop.record(tracker, work(of="poor"), shop.poor, draw=DRAW)
    held = tracker.promote(made.version, reasons={}, force=True)
    file = Path(held.uri.removeprefix("file://")) / "engage.json"
    content = json.loads(file.read_text())
    content["extras"] = {k: v for k, v in (content["extras"] | change).items() if v is not None}
    file.write_text(json.dumps(content))
    decided = shop.record(tracker, work(), draw=DRAW).decision
    assert (decided.promoted, decided.code, decided.gain) == (True, "ChampionNoRival", None)
    assert f"version 1 is no rival: {'it ' if words[0] == 'd' else ''}" in decided.reason
    assert words in decided.reason
    assert aliases(tracker) == {1: (), 2: (CHAMPION,)}


def test_a_permissive_model_takes_no_strict_place_and_a_strict_one_does_not_wait_for_it(
    shop: Shop, tracker: Tracker
) -> None:
    main = shop.good.specs.main
    leaky = replace(main, policy=LeakPolicy.PERMISSIVE)
    lax = replace(shop.good, specs=replace(shop.good.specs, main=leaky, other=main))
    champion_of_one_feature(shop, tracker)
    refused = shop.record(tracker, work(of="lax"), lax)
    assert (refused.decision.code, refused.decision.promoted) == ("ChampionOfStricterPolicy", False)
    assert aliases(tracker) == {1: (CHAMPION,), 2: (CHALLENGER,)}
    tracker.promote(refused.version, reasons={})
    decided = shop.record(tracker, work()).decision
    assert (decided.code, decided.promoted) == ("ChampionNoRival", True)
    assert "trained by policy permissive" in decided.reason


def test_a_champion_whose_library_is_missing_costs_the_comparison_alone(
    shop: Shop, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion_of_one_feature(shop, tracker)

    def missing(*_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'xgboost'")

    monkeypatch.setattr(tracker, "load", missing)
    made = shop.record(tracker, work())
    assert made.decision.code == "ChampionNotComparable"
    assert made.version.facts["champion"] == "ModuleNotFoundError: No module named 'xgboost'"
    assert aliases(tracker) == {1: (CHAMPION,), 2: (CHALLENGER,)}


def test_a_rerun_of_an_attempt_killed_after_its_promotion_decides_the_same(
    shop: Shop, tracker: Tracker
) -> None:
    champion_of_one_feature(shop, tracker)
    first = shop.record(tracker, work())
    assert first.decision.promoted
    assert "gain in auc over version 1 " in first.decision.reason
    # killed before this one was taken away
    tracker.place.client.set_registered_model_alias(first.version.name, CHALLENGER, "2")
    again = shop.record(tracker, work())
    assert again.decision == first.decision
    assert (again.version.version, again.version.facts["replaced"]) == (2, "1")
    assert aliases(tracker) == {1: (), 2: (CHAMPION,)}


def test_a_rerun_of_the_first_training_of_all_is_still_the_first(shop: Shop, tracker: Tracker) -> None:
    first, again = (shop.record(tracker, work()) for _ in range(2))
    assert first.decision == again.decision
    assert first.decision.promoted
    assert aliases(tracker) == {1: (CHAMPION,)}


def test_a_forced_training_is_a_new_version_and_must_beat_the_one_it_repeats(
    shop: Shop, tracker: Tracker
) -> None:
    shop.record(tracker, work())
    forced = [shop.record(tracker, work(), attempt=2) for _ in range(2)]
    assert [f.version.version for f in forced] == [2, 2], "the same attempt again is the same version"
    assert not forced[0].decision.promoted
    assert "over version 1 0 [0, 0]" in forced[0].decision.reason
    assert aliases(tracker) == {1: (CHAMPION,), 2: (CHALLENGER,)}
    facts = [v.facts for v in tracker.registry.versions(TARGET.name)]
    assert [f["attempt"] for f in facts] == ["1", "2"]
    assert facts[0]["run_id"] == facts[1]["run_id"]


def test_a_champion_of_meanwhile_is_compared_with_before_it_is_replaced(
    shop: Shop, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both decide against version 1; the better one was promoted first, and the other decides again."""
    champion_of_one_feature(shop, tracker)
    register, quicker = tracker.register, []

    def slowly(run: Any) -> Any:
        version = register(run)
        if not quicker:
            quicker.append(run)
            assert shop.record(tracker, work(of="quicker")).decision.promoted
        return version

    monkeypatch.setattr(tracker, "register", slowly)
    made = shop.record(tracker, work())
    assert made.decision.code == "NotBetterThanChampion"
    assert "over version 3 0 [0, 0]" in made.decision.reason
    assert aliases(tracker) == {1: (), 2: (CHALLENGER,), 3: (CHAMPION,)}
    card = mlflow.artifacts.load_text(
        f"{tracker.place.client.get_run(made.version.run_id).info.artifact_uri}/card.md"
    )
    assert "not champion, gain in auc over version 3" in card


def test_the_card_counts_how_often_the_test_side_was_looked_at(shop: Shop, tracker: Tracker) -> None:
    first = shop.record(tracker, work(), split_runs=("drawn",))
    again = shop.record(tracker, work(), split_runs=("drawn",))
    second = shop.record(tracker, work(of="other"), split_runs=("added", "drawn"))
    assert [m.version.facts["test_looks"] for m in (first, again, second)] == ["1", "1", "2"]
    card = mlflow.artifacts.load_text(
        f"{tracker.place.client.get_run(second.version.run_id).info.artifact_uri}/card.md"
    )
    assert f"judged on these test {CONTRACT.entity.title} in 2 trainings" in card


def test_a_look_that_must_not_be_tagged_costs_no_promotion(
    shop: Shop, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker.place.client, "set_registered_model_tag", refuses)
    made = shop.record(tracker, work(), split_runs=("drawn",))
    assert (made.decision.promoted, aliases(tracker)) == (True, {1: (CHAMPION,)})
    assert tracker.registry.test_looks(TARGET.name, ["drawn"]) == 0


def test_the_tracker_knows_which_trainings_left_a_version(shop: Shop, tracker: Tracker) -> None:
    assert not tracker.has_training(TARGET.name, work().run_id)
    shop.record(tracker, work(), attempt=3)
    assert tracker.has_training(TARGET.name, work().run_id)
    assert not tracker.has_training(TARGET.name, work(of="other").run_id)
    assert not tracker.has_training("customer_value", work().run_id)


def test_a_version_names_the_tables_that_it_was_made_of_and_how_its_graph_was_read(
    shop: Shop, tracker: Tracker
) -> None:
    shop.record(tracker, work(), splits_version=7)
    champion = tracker.champion(TARGET.name)
    assert champion.facts["data"] == f"splits@7, subscriber_features/{DAY}@4, subscribers/{DAY}@3"
    assert champion.extras["graph_values"] == shop.context.settings.features.graph_values
    assert set(champion.extras) == {"scorer", "graph_values", "meaning", "split_runs"}
    used = {f.name for m in (*shop.good.folds, shop.good.final) for f in m.features}
    assert set(champion.extras["meaning"]) == {TARGET.name, *used}
    assert used > {f.name for f in shop.good.final.features}, "a fold may have selected other features"
    assert champion.metrics["selection/jaccard"] == shop.good.comparison.selection.jaccard
