"""Real customers, with a contract each and no other code: ingested, derived, put into a training set,
split.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from engage_spark.lake import Lake, RunLog
from engage_spark.ml.data.split import draw_splits
from engage_spark.ml.data.training_set import labelled, matured_days, to_training_set
from engage_spark.ml.feature_spec import LeakPolicy, Task, build_feature_spec, target_named, targets_of
from engage_spark.pipelines import features
from engage_spark.pipelines.ingest import run as ingest
from tests.support.real_tables import BANK, IRANIAN, RealTable, settings_below

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.publication import Run
    from engage_spark.settings import Settings

DAY = date(2025, 6, 1)

pytestmark = pytest.mark.slow


class Loaded:
    """A real table after ingest and features."""

    def __init__(self, spark: SparkSession, real: RealTable, settings: Settings) -> None:
        self.contract, self.entity = real.contract, real.contract.entity
        self.lake, self.spark = Lake(settings.lake), spark
        ingest.run_ingest(spark, settings, contract=self.contract)
        features.run_features(spark, settings, contract=self.contract)
        self.runs: dict[str, Run] = {
            stage: run for (stage, _), run in RunLog(self.lake).publication(spark).latest.items()
        }

    def table(self, name: str) -> DataFrame:
        return self.lake.read(self.spark, name)

    @property
    def judged(self) -> DataFrame:
        return self.table(f"{self.entity.name}_judged")

    @property
    def training_set(self) -> DataFrame:
        plans = [build_feature_spec(self.contract, target) for target in targets_of(self.contract)]
        derived = [self.table(t.name) for t in self.contract.derived]
        return to_training_set(
            self.judged.where("_dq_status = 'valid'"), derived, contract=self.contract, specs=plans
        )


def loaded(
    spark: SparkSession, real: RealTable, session_settings: Settings, shared_data: Path, home: Path
) -> Loaded:
    real.deliver(shared_data, home, str(DAY), files=2)
    return Loaded(spark, real, settings_below(session_settings, home))


@pytest.fixture(scope="module")
def bank(
    spark: SparkSession,
    session_settings: Settings,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Loaded:
    return loaded(spark, BANK, session_settings, shared_data, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def iranian(
    spark: SparkSession,
    session_settings: Settings,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Loaded:
    return loaded(spark, IRANIAN, session_settings, shared_data, tmp_path_factory.mktemp("iranian"))


def sums(run: Run) -> tuple[int, int, int, str]:
    return run.rows_in, run.rows_valid, run.rows_quarantined, run.status


def test_the_dirty_day_of_the_bank_is_published_without_its_bad_rows(bank: Loaded) -> None:
    assert sums(bank.runs["ingest:customers"]) == (10_002, 9_988, 14, "published")
    assert sums(bank.runs["features:customer_features"]) == (9_988, 9_988, 0, "published")


def test_every_planted_fault_is_quarantined_with_its_reason(bank: Loaded) -> None:
    quarantined = (
        bank.judged.where("_dq_status = 'quarantined'").select("customer_id", "_dq_errors").collect()
    )
    found = Counter(
        (r.customer_id, tuple(sorted(e["rule"] for e in r["_dq_errors"] if e["severity"] == "critical")))
        for r in quarantined
    )
    assert found == {
        (15634602, ("customer_id.unique",)): 2,
        (15643966, ("customer_id.unique",)): 1,
        (15643966, ("age.not_null", "customer_id.unique")): 1,
        (15647311, ("gender.not_null", "num_of_products.range")): 1,
        **{
            (customer, ("surname.not_null",)): 1
            for customer in (15737888, 15656148, 15691483, 15788218, 15725737)
        },
        **{(customer, ("age.not_null",)): 1 for customer in (15699309, 15736816, 15700772, 15732963)},
    }


def test_names_with_lost_letters_are_told_and_stay(bank: Loaded) -> None:
    warned_rows = bank.judged.where("exists(_dq_errors, e -> e.rule = 'surname.pattern')")
    assert [tuple(r) for r in warned_rows.groupBy("_dq_status").count().collect()] == [("valid", 92)]
    assert warned_rows.select("_dq_errors").first()["_dq_errors"][0]["severity"] == "warning"  # type: ignore[index]


def test_the_bank_s_models_look_at_neither_gender_nor_names_nor_numbers_of_rows(bank: Loaded) -> None:
    plan = build_feature_spec(bank.contract, target_named(bank.contract, "exited"))
    assert plan.names == (
        "credit_score",
        "geography",
        "age",
        "tenure",
        "balance",
        "num_of_products",
        "has_cr_card",
        "is_active_member",
        "estimated_salary",
        "balance_per_salary",
        "empty_account",
        "products_per_year",
    )
    assert plan.target.task is Task.BINARY
    assert [f.name for f in plan.features if f.protected] == ["geography", "age"]
    without = build_feature_spec(bank.contract, plan.target, protected=False)
    assert set(plan.names) - set(without.names) == {"geography", "age"}


def test_nothing_in_the_iranian_file_is_quarantined(iranian: Loaded) -> None:
    assert sums(iranian.runs["ingest:subscribers"]) == (3_150, 3_150, 0, "published")
    assert sums(iranian.runs["features:subscriber_features"]) == (3_150, 3_150, 0, "published")


def test_repeated_rows_hide_behind_their_row_ids(iranian: Loaded) -> None:
    names = [n for n in iranian.entity.names if n != "row_id"]
    assert iranian.judged.count() - iranian.judged.select(*names).distinct().count() == 300


def test_churn_is_known_a_quarter_later_and_value_at_once(iranian: Loaded) -> None:
    both = targets_of(iranian.contract)
    assert [(t.name, t.task) for t in both] == [("customer_value", Task.REGRESSION), ("churn", Task.BINARY)]
    landed = {DAY: date(2025, 8, 31)}
    assert matured_days(landed, both, as_of=date(2025, 8, 30)) == {"customer_value": (DAY,), "churn": ()}
    assert matured_days(landed, both, as_of=date(2025, 8, 31)) == {"customer_value": (DAY,), "churn": (DAY,)}


def test_what_the_value_is_computed_from_is_left_for_the_audit_to_find(iranian: Loaded) -> None:
    value = target_named(iranian.contract, "customer_value")
    strict, permissive = (build_feature_spec(iranian.contract, value, policy=policy) for policy in LeakPolicy)
    assert strict.names == permissive.names
    assert {"seconds_of_use", "frequency_of_sms", "age"} <= set(strict.names)
    assert "churn" not in strict.names


@pytest.mark.parametrize(("which", "rate"), [("bank", 2035 / 9988), ("iranian", 495 / 3150)])
def test_the_training_set_has_every_valid_row_once_and_every_side_its_rate(
    which: str, rate: float, request: pytest.FixtureRequest
) -> None:
    real: Loaded = request.getfixturevalue(which)
    made = real.training_set
    target = next(t for t in targets_of(real.contract) if t.task is Task.BINARY)
    key = real.entity.key
    assert (
        labelled(made, target=target, days=[DAY]).count()
        == real.runs[f"ingest:{real.entity.name}"].rows_valid
    )
    sides = draw_splits(made, key=key, stratum=target.name, folds=5, seed=1).toArrow()
    rates = duckdb.sql(
        "SELECT side, fold, avg(CAST(stratum AS INT)), count(*) FROM sides GROUP BY ALL"
    ).fetchall()
    assert len(rates) == 8
    assert sum(n for *_, n in rates) == len(sides)
    for _, _, found, n in rates:
        assert abs(found - rate) <= 1 / n


def test_derived_values_are_those_of_pandas(bank: Loaded, shared_data: Path) -> None:
    made = bank.training_set.toArrow().to_pandas().set_index("customer_id").sort_index()
    source = BANK.rows(shared_data).to_pandas().set_index("customer_id").loc[made.index]
    assert len(source) == len(made) == 9_988
    assert (made.balance_per_salary == source.balance / source.estimated_salary).all()
    assert (made.empty_account == (source.balance == 0)).all()
    assert (made.products_per_year == source.num_of_products / (source.tenure + 1)).all()
