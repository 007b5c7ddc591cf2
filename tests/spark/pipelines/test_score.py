"""Each target is scored and published for itself, on a tiny lake with champions that were fitted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engage_spark.contract import Contract, load_contract, predictions_table, splits_table
from engage_spark.contract.money import ContactMoney
from engage_spark.errors import ConfigurationError
from engage_spark.lake import Lake, RunLog
from engage_spark.ml.evaluation.conformal import Conformal, ConformalCell
from engage_spark.ml.explain.reasons import explainer_of
from engage_spark.ml.feature_meaning import field_meanings
from engage_spark.ml.feature_spec import Feature, Task, target_named
from engage_spark.ml.scoring import Scorer
from engage_spark.ml.training.candidates import Candidate, Family
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.model_inputs import valid_rows
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.score import read_predictions, run_score
from engage_spark.settings import Settings
from engage_spark.spark.schema import spark_schema
from engage_spark.tracking import ModelFacts, ModelVersion, Tracker
from tests.support.deliveries import content, deliver, run_log
from tests.support.made_rows import fit_one
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.pipelines.results import ScoreResult

GARDEN = load_contract(DATA / "garden.odcs.yaml")
DAYS, NEXT = [date(2025, 10, 20)], date(2025, 10, 21)
BEDS = 60
SOIL, WATER, SEEDS = (
    Feature(name=n, table="beds", categorical=n == "soil") for n in ("soil", "water", "seeds")
)


def beds(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    water, seeds, soil = (
        rng.uniform(0, 50, BEDS),
        rng.integers(0, 201, BEDS),
        rng.choice(["clay", "sand"], BEDS),
    )
    noise = rng.normal(0, 1, BEDS)
    rows = {
        "bed": np.arange(BEDS),
        "water": water,
        "seeds": seeds,
        "soil": soil,
        "blooms": (water / 10 + noise > 2.5).astype(int),
        "harvest": np.clip(seeds / 4 + 5 * (soil == "clay") + noise, 0, 100),
    }
    return pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in rows.items()})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("garden")


@pytest.fixture(scope="module")
def context(spark: SparkSession, session_settings: Settings, home: Path) -> RunContext:
    """A published day of beds, nothing derived from them, no graph."""
    deliver(beds(0), GARDEN, home, str(DAYS[0]))
    made = at(RunContext(spark, session_settings, GARDEN), home)
    ingest.run_ingest(spark, made.settings, contract=GARDEN)
    return made


def at(context: RunContext, home: Path, *, prefix: str = "", **sections: Any) -> RunContext:
    """The same lake and MLflow under other settings. `prefix`: models of their own."""
    models: dict[str, Any] = {
        "input": {"root": str(home / "raw")},
        "lake": {"root": str(home / "lake")},
        "spark": context.settings.spark,
        "tracking": {"folder": str(home / "mlflow"), "prefix": prefix},
        "models": {"reasons": 2},
    }
    return RunContext(context.spark, Settings(**(models | sections)), context.contract)


def with_money(money: ContactMoney | None) -> Contract:
    """The garden with other money of its flowers, under its own digest: nothing else is due again."""
    entity = GARDEN.entity
    fields = tuple(replace(f, money=money) if f.name == "blooms" else f for f in entity.fields)
    tables = tuple(replace(t, fields=fields) if t is entity else t for t in GARDEN.tables)
    return replace(GARDEN, tables=tables)


def tracker_of(context: RunContext) -> Tracker:
    return Tracker(context.settings.tracking, staging=context.settings.lake.scratch_root)


def crown(
    context: RunContext,
    target: str,
    *,
    training: str,
    penalty: float = 0.01,
    rows: DataFrame | None = None,
    features: tuple[Feature, ...] = (),
    extras: dict[str, Any] | None = None,
    splits: list[str] | None = None,
    days: tuple[str, ...] | None = None,
) -> ModelVersion:
    """Fit a linear model of all beds, register it, and make it champion. `extras` replaces what is stored
    beside it.
    """
    goal = target_named(context.contract, target)
    rows = valid_rows(context, DAYS) if rows is None else rows
    used = features or (WATER, SEEDS, SOIL)
    binary = goal.task is Task.BINARY
    candidate = Candidate(
        name="linear",
        family=Family.LINEAR,
        params={"regParam": penalty, "elasticNetParam": 0.0, "maxIter": 5},
    )
    model = fit_one(rows, candidate, target=goal, features=used)
    cells = tuple(ConformalCell(group=None, part=part, n=BEDS, radius=0.75) for part in range(1 + binary))
    scorer = Scorer(
        target=goal,
        features=used,
        masked=(),
        conformal=Conformal(
            task=goal.task,
            coverage=0.8,
            cells=cells,
            minimum=goal.minimum,
            maximum=goal.maximum,
            by_class=binary,
        ),
        explainer=explainer_of(model, target=goal, spark=context.spark, scratch="", background=rows),
        days=days,
    )
    stored = (
        {"scorer": json.loads(scorer.to_json()), "graph_values": "measured"} if extras is None else extras
    )
    stored |= {} if splits is None else {"split_runs": splits}
    facts = ModelFacts(
        run_id=training,
        contract_id=context.contract.id,
        contract_digest="",
        settings_digest="",
        code_version="",
        data={},
        candidate="linear",
        policy="strict",
        metric="",
        value=0.0,
        low=0.0,
        high=0.0,
        snapshots=(),
    )
    tracker, types = tracker_of(context), dict(rows.dtypes)
    with tracker.run(target, name=training) as run:
        run.model(
            context.spark,
            model,
            features=[(f.name, types[f.name]) for f in used],
            extras=stored,
            name=target,
            facts=facts,
        )
    return tracker.promote(tracker.register(run), reasons={}, force=True)


def scored(context: RunContext, **options: Any) -> ScoreResult:
    return run_score(context.spark, context.settings, contract=context.contract, **options)


def done(result: ScoreResult) -> list[tuple[date, str, int]]:
    """Snapshot, target and rows of what was scored."""
    return [(s.snapshot_date, s.target, s.rows) for s in result.snapshots]


def contents(context: RunContext) -> dict[str, str]:
    """What readers see, by target."""
    rows = read_predictions(context, DAYS)
    return {name: content(rows.where(f"target = '{name}'")) for name in ("blooms", "harvest")}


def attempts(context: RunContext, target: str) -> int:
    return len(run_log(context.settings).attempts(context.spark, f"score:{target}"))


@pytest.fixture(scope="module")
def both(context: RunContext) -> RunContext:
    """Both targets scored, the second when the first was there already."""
    with pytest.raises(ConfigurationError, match="no champion for any target") as caught:
        scored(context)
    assert [detail.partition(":")[0] for detail in caught.value.details] == ["blooms", "harvest"]
    crown(context, "blooms", training="blooms one")
    first = scored(context)
    assert done(first) == [(day, "blooms", 60) for day in DAYS]
    assert Note("TargetWithoutChampion", {"target": "harvest"}) in first.notes
    unknown = {"target": "blooms", "version": 1, "name": "blooms"}
    assert Note("MeaningUnknown", unknown) in first.notes, "a model of before says nothing of meanings"
    crown(context, "harvest", training="harvest one")
    assert done(scored(context)) == [(day, "harvest", 60) for day in DAYS]
    return context


@pytest.mark.connect
def test_all_targets_have_a_row_per_bed_and_day_in_the_declared_columns(both: RunContext) -> None:
    rows = read_predictions(both)
    table = predictions_table(both.contract)
    assert [(f.name, f.dataType) for f in rows.schema] == [(f.name, f.dataType) for f in spark_schema(table)]
    assert rows.columns == list(table.names)
    counted = {(r["snapshot_date"], r["target"]): (r["n"], r["different"]) for r in _counted(rows)}
    assert counted == {(day, target): (60, 60) for day in DAYS for target in ("blooms", "harvest")}
    assert {(r["target"], r["model_name"], r["model_version"]) for r in rows.collect()} == {
        ("blooms", "blooms", "1"),
        ("harvest", "harvest", "1"),
    }
    assert rows.where("target = 'blooms' AND prediction > 0.9").count() > 0
    base_and_contributions = (
        "base + aggregate(reasons, 0D, (sum, r) -> sum + r.contribution) + other_contributions"
    )
    assert rows.where(f"abs({base_and_contributions} - score_raw) > 1e-9 OR score_raw IS NULL").count() == 0
    decided = rows.where("target = 'blooms' AND decision = CAST(probability >= decision_threshold AS INT)")
    assert decided.count() == 60
    assert {(r["target"], r["unit"]) for r in rows.select("target", "unit").collect()} == {
        ("blooms", "log-odds"),
        ("harvest", "harvest"),
    }


def _counted(rows: DataFrame) -> list[Any]:
    from pyspark.sql import functions as F

    return (
        rows.groupBy("snapshot_date", "target")
        .agg(F.count("*").alias("n"), F.count_distinct("bed").alias("different"))
        .collect()
    )


def test_scoring_all_at_once_gives_the_rows_of_scoring_one_by_one(both: RunContext) -> None:
    before = contents(both)
    assert done(scored(both)) == []
    report = scored(both, force=True)
    assert done(report) == [(day, target, 60) for day in DAYS for target in ("blooms", "harvest")]
    assert contents(both) == before
    scratch = Path(str(both.settings.lake.scratch_root))
    assert not scratch.exists() or not list(scratch.iterdir()), "what was joined for both is deleted"


def test_scoring_one_target_leaves_the_others_rows(both: RunContext) -> None:
    before, stored = contents(both), content(Lake(both.settings.lake).read(both.spark, "predictions"))
    report = scored(both, target=["blooms"], snapshot_date=DAYS[0])
    assert done(report) == [(DAYS[0], "blooms", 60)]
    assert contents(both) == before
    assert content(Lake(both.settings.lake).read(both.spark, "predictions")) == stored


@pytest.mark.slow
def test_only_the_target_whose_champion_changed_is_scored_anew(
    both: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an attempt at it that dies takes nothing of the other along."""
    before, tried = contents(both), attempts(both, "harvest")
    crown(both, "blooms", training="blooms two", penalty=1.0)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(RunLog, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            scored(both)
    assert contents(both) == before, "an attempt that did not end is seen by nobody, and hides nothing"
    assert done(scored(both)) == [(day, "blooms", 60) for day in DAYS]
    after = contents(both)
    assert after["harvest"] == before["harvest"]
    assert after["blooms"] != before["blooms"]
    assert {r["model_version"] for r in read_predictions(both).where("target = 'blooms'").collect()} == {"2"}
    assert attempts(both, "harvest") == tried


@pytest.mark.slow
def test_the_money_in_force_decides_and_other_targets_stay(both: RunContext, home: Path) -> None:
    """No contact can pay at a value of 5, and without money none is decided on: no training is needed."""
    before = contents(both)
    (declared,) = [f.money for f in GARDEN.entity.fields if f.money]
    for money, decided in ((replace(declared, value=5.0), (None, 5.0, 5.0)), (None, (None, None, None))):
        other = replace(both, contract=with_money(money))
        assert done(scored(other)) == [(day, "blooms", 60) for day in DAYS]
        rows = read_predictions(other).where("target = 'blooms'").collect()
        columns = ("decision", "decision_threshold", "contact_value")
        assert {tuple(r[c] for c in columns) for r in rows} == {decided}
        assert contents(other)["harvest"] == before["harvest"]
    assert done(scored(both)) == [(day, "blooms", 60) for day in DAYS]
    assert contents(both) == before


@pytest.mark.slow
def test_every_customer_shows_the_side_that_the_model_knew_it_on(both: RunContext, home: Path) -> None:
    """Whoever came later is new, whatever a later training made of it; who was drawn anew is unknown."""
    from pyspark.sql import functions as F

    other = at(both, home, prefix="sided.", lake={"root": str(home / "sided")})
    ingest.run_ingest(other.spark, other.settings, contract=GARDEN)
    crown(other, "blooms", training="one", splits=["one"], days=("2025-10-20",))
    crown(other, "harvest", training="old")
    sides = F.element_at(F.array(F.lit("fit"), F.lit("test")), (1 + F.col("bed") % 2).cast("int"))
    splits = (
        valid_rows(other, DAYS)
        .where("bed < 50")
        .select(
            "bed",
            sides.alias("side"),
            F.lit(None).cast("int").alias("fold"),
            F.lit(None).cast("string").alias("stratum"),
            (F.col("bed") < 40).alias("drawn"),
            F.lit(None).cast("bigint").alias("unit"),
            F.lit(DAYS[0]).alias("drawn_on"),
            F.expr("CASE WHEN bed < 20 THEN 'one' WHEN bed < 40 THEN 'anew' ELSE 'later' END").alias(
                "_run_id"
            ),
        )
    )
    Lake(other.settings.lake).append(splits, splits_table(GARDEN), tag="splits")
    assert len(done(scored(other))) == 2
    rows = read_predictions(other, DAYS).collect()
    assert {(r["target"], r["side"], r["in_sample"]) for r in rows if r["target"] == "harvest"} == {
        ("harvest", None, None)
    }
    for r in rows:
        if r["target"] == "blooms":
            side = ("fit", "test")[r["bed"] % 2] if r["bed"] < 20 else None if r["bed"] < 40 else "new"
            assert (r["side"], r["in_sample"]) == (side, None if side is None else side == "fit")


@pytest.mark.slow
def test_a_table_of_an_older_version_gets_the_new_columns_with_the_next_scoring(both: RunContext) -> None:
    before, table = contents(both), Lake(both.settings.lake).location("predictions")
    added = ["score_raw", "base", "other_contributions", "unit", "unseen", "side", "in_sample"]
    added += ["decision_threshold", "contact_value", "contact_cost", "contact_success"]
    older = both.spark.read.format("delta").load(table).drop(*added).localCheckpoint()
    written = older.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    written.partitionBy("snapshot_date", "target", "_run_id").save(table)
    assert "unit" not in read_predictions(both, DAYS).columns
    scored(both, target=["blooms"], force=True)
    half = read_predictions(both, DAYS)
    assert {(r["target"], r["unit"]) for r in half.select("target", "unit").distinct().collect()} == {
        ("blooms", "log-odds"),
        ("harvest", None),
    }
    scored(both, target=["harvest"], force=True)
    names = list(predictions_table(GARDEN).names)
    rows = read_predictions(both, DAYS).select(*names)
    after = {name: content(rows.where(f"target = '{name}'")) for name in before}
    assert after == before


@pytest.mark.slow
def test_another_number_of_reasons_is_other_work(both: RunContext, home: Path) -> None:
    fewer = at(both, home, models={"reasons": 1})
    assert len(done(scored(fewer))) == 2
    assert {len(r["reasons"]) for r in read_predictions(fewer).collect()} == {1}
    assert done(scored(fewer)) == []


def test_a_day_without_predictions_is_named(both: RunContext) -> None:
    with pytest.raises(ConfigurationError, match=r"no published snapshot of 2025-10-19\n") as caught:
        read_predictions(both, [date(2025, 10, 19), *DAYS])
    assert "engage-spark score" in str(caught.value.hint)


def test_what_mlflow_refuses_is_not_taken_for_no_champion(
    both: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    known = MlflowClient.get_registered_model

    def refuses(client: MlflowClient, name: str) -> Any:
        if name == "harvest":
            raise MlflowException("not for you", error_code=PERMISSION_DENIED)
        return known(client, name)

    monkeypatch.setattr(MlflowClient, "get_registered_model", refuses)
    with pytest.raises(ConfigurationError, match="'harvest' cannot be listed.*not for you"):
        scored(both)


@pytest.mark.slow
def test_models_of_the_other_kind_of_graph_values_are_refused(both: RunContext, home: Path) -> None:
    other = at(both, home, prefix="graph.")
    crown(other, "blooms", training="given", extras={"scorer": {}, "graph_values": "given"})
    crown(other, "harvest", training="silent", extras={"scorer": {}})
    with pytest.raises(ConfigurationError, match="features.graph_values=measured") as caught:
        scored(other)
    assert caught.value.details == (
        "graph.blooms version 1 was trained with features.graph_values=given",
        "graph.harvest version 1 does not say on which values it was trained",
    )
    assert "features.graph_values=given" in str(caught.value.hint)
    assert "engage-spark train" in str(caught.value.hint)
    now_given = at(both, home, features={"graph_values": "given"})
    with pytest.raises(ConfigurationError, match="features.graph_values=given") as caught:
        scored(now_given, target=["blooms"])
    version = tracker_of(both).champion("blooms").version
    assert caught.value.details == (
        f"blooms version {version} was trained with features.graph_values=measured",
    )


def test_a_model_whose_features_mean_something_else_is_refused_by_name(both: RunContext, home: Path) -> None:
    other = at(both, home, prefix="meaning.")
    meanings = field_meanings(GARDEN, ("blooms", "water", "soil"), graph_values="measured")
    meanings["water"] |= {"unit": "buckets", "digest": "0" * 64}
    crown(other, "blooms", training="buckets", extras={"graph_values": "measured", "meaning": meanings})
    with pytest.raises(ConfigurationError, match="other definitions") as caught:
        scored(other)
    (line,) = caught.value.details
    assert line.startswith("meaning.blooms version 1: water: unit was buckets, is ")


def test_a_model_without_a_scorer_is_refused(both: RunContext, home: Path) -> None:
    bare = at(both, home, prefix="bare.")
    crown(bare, "blooms", training="bare", extras={"graph_values": "measured"})
    with pytest.raises(ConfigurationError, match=r"'bare\.blooms' version 1 has nothing stored beside it"):
        scored(bare)


@pytest.mark.slow
def test_a_model_of_other_features_is_refused_before_anything_is_written(
    both: RunContext, home: Path
) -> None:
    from pyspark.sql import functions as F

    other = at(both, home, prefix="deep.")
    crown(other, "blooms", training="fits")
    deeper = valid_rows(other, DAYS).withColumn("depth", F.col("water") + 1)
    crown(
        other,
        "harvest",
        training="deep",
        rows=deeper,
        features=(WATER, Feature(name="depth", table="beds", categorical=False)),
    )
    before, version = contents(both), Lake(both.settings.lake).version(both.spark, "predictions")
    with pytest.raises(ConfigurationError, match=r"deep\.harvest 1") as caught:
        scored(other)
    assert caught.value.details == ("depth (number) is missing",)
    assert Lake(both.settings.lake).version(both.spark, "predictions") == version
    assert contents(both) == before


@pytest.mark.slow
def test_a_new_day_leaves_the_day_before_as_it_was(both: RunContext, home: Path) -> None:
    scored(both)
    before = contents(both)
    deliver(beds(1), GARDEN, home, str(NEXT))
    ingest.run_ingest(both.spark, both.settings, contract=GARDEN)
    assert done(scored(both)) == [(NEXT, target, 60) for target in ("blooms", "harvest")]
    assert contents(both) == before
    assert read_predictions(both).count() == 240
    crown(both, "harvest", training="harvest of the next day", penalty=0.5)
    report = scored(both)
    assert done(report) == [(NEXT, "harvest", 60)], "the day before keeps what was predicted for it"
    assert Note("PredictionsAsMade", {"n_days": 1}) in report.notes
    assert contents(both) == before
    assert done(scored(both, snapshot_date=DAYS[0], target=["harvest"])) == [(DAYS[0], "harvest", 60)]
    assert contents(both)["harvest"] != before["harvest"]
