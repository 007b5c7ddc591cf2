"""The tables of the models, made from any contract's key."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from engage_spark.contract import (
    Contract,
    Role,
    Split,
    TableKind,
    find_contradictions,
    load_contract,
    predictions_table,
    splits_table,
    stored_tables,
    system_contract,
)
from engage_spark.contract.model import DAY_COLUMNS
from engage_spark.contract.stored_tables import MODEL_COLUMNS, is_added_name, name_clashes
from engage_spark.ml.data.split import COLUMNS, FOLD, SIDE, UNIT
from engage_spark.ml.explain.reasons import OTHERS, REASONS, SCORE
from engage_spark.ml.training.pipeline import PREDICTION, PROBABILITY
from tests.support.paths import DATA

CONTRACT = load_contract()
BIKES = load_contract(DATA / "bikes.odcs.yaml")


def renamed(key: str) -> Contract:
    """The bikes contract with another name for its key."""
    fields = tuple(replace(f, name=key) if f.is_key else f for f in BIKES.entity.fields)
    return replace(BIKES, tables=(replace(BIKES.entity, fields=fields), *BIKES.tables[1:]))


def test_the_list_of_stored_tables_has_each_table_once() -> None:
    names = [t.name for t in (*stored_tables(CONTRACT), *system_contract().tables)]
    assert len(names) == len(set(names))
    assert {"customers_judged", "connections_judged", "customer_features", "graph_features"} <= set(names)
    module = inspect.getmodule(stored_tables)
    declaring = [
        function(CONTRACT).name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.endswith("_table") and list(inspect.signature(function).parameters) == ["contract"]
    ]
    assert {"splits", "predictions"} <= set(declaring) <= set(names), "a table that the list leaves out"


def test_splits_are_keyed_as_the_entity_and_hold_what_a_draw_says() -> None:
    table = splits_table(CONTRACT)
    assert table.key == ("customer_id",)
    assert table.names == ("customer_id", *COLUMNS, UNIT, "drawn_on", "_run_id")
    assert table["side"].allowed == tuple(Split)
    assert splits_table(BIKES).key == ("station_code",)


def test_predictions_are_keyed_by_entity_day_and_target() -> None:
    table = predictions_table(CONTRACT)
    assert table.key == ("customer_id", "snapshot_date", "target")
    assert table["target"].allowed == ("engagement_score", "churn_30_day", "lifetime_value_usd")
    assert predictions_table(BIKES).key == ("station_code", "snapshot_date", "target")
    assert predictions_table(BIKES)["target"].allowed == ("runs_empty",)


def test_predictions_hold_what_a_business_acts_on() -> None:
    assert {f.name: f.spark_type for f in predictions_table(CONTRACT).fields[3:]} == {
        "prediction": "double",
        "probability": "double",
        "lower": "double",
        "upper": "double",
        "prediction_set": "array<int>",
        "decision": "int",
        "decision_threshold": "double",
        "contact_value": "double",
        "contact_cost": "double",
        "contact_success": "double",
        "score_raw": "double",
        "base": "double",
        "reasons": "array<struct<feature:string,value:string,contribution:double>>",
        "other_contributions": "double",
        "unit": "string",
        "imputed": "array<string>",
        "unseen": "array<string>",
        "side": "string",
        "in_sample": "boolean",
        "out_of_fold": "boolean",
        "model_name": "string",
        "model_version": "string",
        "_run_id": "string",
    }


def test_no_column_of_these_tables_may_become_a_feature() -> None:
    tables = (splits_table(CONTRACT), predictions_table(CONTRACT), system_contract().table("training_runs"))
    assert not [f.name for t in tables for f in t.fields if f.role in (Role.FEATURE, Role.TARGET)]


def test_training_runs_have_a_row_per_run_and_target() -> None:
    assert system_contract().table("training_runs").key == ("run_id", "target")


def added_columns() -> list[str]:
    """Every column that the package stores beside an entity's key and is not declared by a contract."""
    declared = {f.name for t in CONTRACT.tables for f in t.fields}
    names = {f.name for t in stored_tables(CONTRACT) if t.kind is not TableKind.LOG for f in t.fields}
    return sorted(names - declared)


@pytest.mark.parametrize("name", [*added_columns(), "Target", "UNIT"])
def test_a_key_named_as_a_column_of_any_stored_table_is_refused(name: str) -> None:
    assert any(repr(name) in p or f".{name} " in p for p in find_contradictions(renamed(name)))
    assert is_added_name(name, is_key=True) or name in DAY_COLUMNS.values()


def test_what_is_refused_is_what_a_stored_table_would_have_twice() -> None:
    assert {"side", "unit", "in_sample", "decision", "base"} <= set(added_columns())
    free = renamed("station")
    assert list(name_clashes(free)) == []
    for table in stored_tables(free):
        assert len({n.lower() for n in table.names}) == len(table.names)


@pytest.mark.parametrize("name", [*sorted(MODEL_COLUMNS), "Fold"])
def test_a_feature_named_as_a_column_that_models_add_is_refused(name: str) -> None:
    feature = next(f for f in BIKES.entity.fields if f.role is Role.FEATURE)
    fields = tuple(replace(f, name=name) if f is feature else f for f in BIKES.entity.fields)
    contract = replace(BIKES, tables=(replace(BIKES.entity, fields=fields), *BIKES.tables[1:]))
    assert any(
        f".{name} has the name of a column that models add" in p for p in find_contradictions(contract)
    )


def test_models_add_no_column_that_is_not_refused() -> None:
    """Columns without two underscores, which no field may begin with."""
    own = {SIDE, FOLD, PREDICTION, PROBABILITY, REASONS, OTHERS, SCORE}
    assert own == MODEL_COLUMNS


@pytest.mark.parametrize("name", ["quality_results", "quality_states"])
def test_runs_holds_whole_rows_of_the_quality_tables(name: str) -> None:
    columns = ",".join(f"{f.name}:{f.spark_type}" for f in system_contract().table(name).fields)
    assert system_contract().table("runs")[name].spark_type == f"array<struct<{columns}>>"
