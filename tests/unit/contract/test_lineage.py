from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage_spark.contract import (
    Contract,
    ExtraColumns,
    Role,
    field_rows,
    judged_table,
    leaking_fields,
    load_contract,
    system_contract,
)
from engage_spark.contract.lineage import computed_from
from engage_spark.errors import ContractError
from tests.support.paths import DATA

CONTRACT = load_contract()
BIKES = load_contract(DATA / "bikes.odcs.yaml")


def test_engagement_hides_what_it_is_made_of_and_what_is_derived_from_that() -> None:
    hidden = leaking_fields(CONTRACT, "engagement_score")
    stated = {
        "sessions_last_7_days", "sessions_last_30_days", "session_duration_avg_minutes",
        "posts_last_30_days", "comments_last_30_days", "shares_last_30_days", "likes_received_last_30_days",
        "avg_connection_strength", "content_virality_score",
        "churn_30_day", "lifetime_value_usd", "engagement_score",
    }  # fmt: skip
    assert hidden & set(CONTRACT.entity.names) == stated
    assert {
        "engagement_velocity",
        "social_influence_score",
        "sessions_7_share",
        "content_virality_raw",
    } <= hidden
    assert (
        not {
            "activity_recency_score",
            "profile_quality_score",
            "transaction_momentum",
            "follower_following_ratio",
        }
        & hidden
    )


def test_churn_hides_the_other_targets_only() -> None:
    assert leaking_fields(CONTRACT, "churn_30_day") == {
        "churn_30_day",
        "engagement_score",
        "lifetime_value_usd",
    }


def test_lifetime_value_hides_revenue_and_all_that_is_made_of_it() -> None:
    hidden = leaking_fields(CONTRACT, "lifetime_value_usd")
    assert {
        "transaction_revenue_30_day",
        "transaction_revenue_last_90_days",
        "transaction_count_last_30_days",
        "avg_transaction_value",
    } <= hidden
    assert {
        "transaction_momentum",
        "has_transactions_30_day",
        "revenue_per_transaction_30_day",
        "churn_risk_revenue_declining_v1",
    } <= hidden
    assert "engagement_velocity" not in hidden


@pytest.mark.parametrize("contract", [CONTRACT, BIKES], ids=["engagement", "bikes"])
def test_undeclared_leaks_are_the_closure_over_the_formulas_inputs(contract: Contract) -> None:
    inputs = {f.name: set(f.inputs) for t in contract.derived for f in t.fields if f.inputs}
    for target in (f.name for f in contract.entity.fields if f.role is Role.TARGET):
        closure, size = {target}, 0
        while size < len(closure):
            size = len(closure)
            closure |= {name for name, used in inputs.items() if used & closure}
        assert leaking_fields(contract, target, declared=False) == closure
        stated = {f.name for t in contract.tables for f in t.fields if target in f.leaks_into}
        assert leaking_fields(contract, target) == computed_from(contract, {target} | stated)


def test_what_is_computed_from_a_field_follows_through_other_formulas() -> None:
    assert computed_from(BIKES, ["bikes_parked"]) == {"bikes_parked", "fill_share", "drains_fast"}
    assert leaking_fields(BIKES, "runs_empty", declared=False) == {"runs_empty"}


def test_a_leak_passes_through_two_formulas() -> None:
    assert leaking_fields(BIKES, "runs_empty") == {"runs_empty", "bikes_parked", "fill_share", "drains_fast"}


def test_what_is_no_target_has_no_leaks() -> None:
    with pytest.raises(ContractError, match="not a target"):
        leaking_fields(CONTRACT, "age")


def test_judged_customers_carry_day_verdict_and_run() -> None:
    judged = judged_table(CONTRACT.entity)
    assert judged.name == "customers_judged"
    assert judged.names == (*CONTRACT.entity.names, "snapshot_date", "_dq_status", "_dq_errors", "_run_id")
    assert judged.key == ("customer_id", "snapshot_date")
    assert not judged["customer_id"].required
    assert judged.extra is ExtraColumns.REFUSE
    assert judged.rules == judged.gates == ()


def test_judged_logs_carry_the_event_date_and_no_snapshot_date() -> None:
    judged = judged_table(CONTRACT.table("connections"))
    assert "event_date" in judged.names
    assert "snapshot_date" not in judged.names
    assert judged.key == ()


def test_a_derived_table_is_not_judged() -> None:
    with pytest.raises(ContractError, match="not an input"):
        judged_table(CONTRACT.table("customer_features"))


def test_features_never_come_from_audited_fields() -> None:
    audited = {f.name for t in CONTRACT.tables for f in t.fields if f.role is Role.AUDIT}
    for f in CONTRACT.table("customer_features").fields:
        assert f.role is not Role.FEATURE or not audited & set(f.inputs), f.name


def test_show_gives_one_row_of_text_per_field() -> None:
    rows = field_rows(CONTRACT, "customers")
    assert len(rows) == 42
    assert rows[1] == {
        "field": "age",
        "type": "int",
        "unit": "years",
        "role": "feature",
        "bounds": "18 to 75",
        "expected": "mean 38.9",
        "notes": "protected; compared in bands from 25, 35, 45, 55, 65; missing below 0.2%; "
        "analytics: metric, dimension",
        "description": CONTRACT.table("customers")["age"].description,
    }
    assert field_rows(system_contract(), "runs")[1]["bounds"] == "at least 1"


def test_asking_for_an_unknown_table_names_the_known_ones() -> None:
    with pytest.raises(ContractError, match="customers, connections"):
        field_rows(CONTRACT, "clients")


def bikes_with(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Contract:
    declared = yaml.safe_load((DATA / "bikes.odcs.yaml").read_text(encoding="utf-8"))
    change(declared)
    path = tmp_path / "bikes.odcs.yaml"
    path.write_text(yaml.safe_dump(declared, sort_keys=False), encoding="utf-8")
    return load_contract(path)


def property_of(declared: dict[str, Any], table: str, name: str) -> dict[str, Any]:
    properties = next(t for t in declared["schema"] if t["name"] == table)["properties"]
    declaration: dict[str, Any] = next(p for p in properties if p["name"] == name)
    return declaration


def test_what_tells_of_a_personal_key_is_personal(tmp_path: Path) -> None:
    def change(declared: dict[str, Any]) -> None:
        property_of(declared, "stations", "station_code")["classification"] = "secret"
        property_of(declared, "rides", "from_station")["classification"] = "public"

    contract = bikes_with(tmp_path, change)
    assert contract.table("rides")["to_station"].classification == "secret"
    assert not contract.table("rides")["from_station"].is_personal, "the contract says so"
    assert contract.table("station_features")["station_code"].classification == "secret"
    plain = bikes_with(tmp_path, lambda _: None)
    assert [f.name for t in plain.tables for f in t.fields if f.is_personal] == [
        f.name for t in contract.tables for f in t.fields if f.is_personal and f.classification != "secret"
    ]


def test_what_is_computed_from_a_personal_field_is_personal(tmp_path: Path) -> None:
    def change(declared: dict[str, Any]) -> None:
        computed = property_of(declared, "station_features", "drains_fast")
        computed["transformLogic"] = "CAST(length(operator_owner) > 4 AS INT)"
        computed["transformSourceObjects"] = ["operator_owner"]
        computed["customProperties"] = [{"property": "role", "value": "audit"}]

    contract = bikes_with(tmp_path, change)
    source = contract.entity["operator_owner"]
    assert source.is_personal
    assert contract.table("station_features")["drains_fast"].is_personal
