"""Personal values stay in the lake, whatever is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import EngageError
from engage_spark.insight import Insight, SuppressedError, tools_of
from engage_spark.reader import open_lake
from tests.support.counted_lake import NEWEST, counted_lake, made_customers, measure_graph, predict
from tests.support.gym import members
from tests.support.paths import ROOT

BANK = load_contract(ROOT / "tests" / "data" / "bank_churn.odcs.yaml")


def everything(insight: Insight, *customers: str) -> str:
    """Ask all tools with every choice, and return all that they say."""
    said_of_all = []
    for tool in insight.tools:
        questions: list[dict[str, Any]] = [{}]
        for a in tool.arguments:
            values = a.choices or (customers if a.name == "customer" else ())
            questions += [{a.name: v} for v in values]
        required = {a.name: (a.choices or customers)[0] for a in tool.arguments if a.required}
        for question in questions:
            try:
                said_of_all.append(json.dumps(insight.call(tool.name, required | question).to_dict()))
            except EngageError as e:
                said_of_all.append(str(e))
    return "\n".join(said_of_all)


def test_values_of_classified_fields_are_nowhere(gym: Insight) -> None:
    text = everything(gym, "M0001", "M0002")
    assert "SECRET" not in text
    for salary in members(NEWEST).salary:
        assert f"{salary}" not in text
    assert "salary: mean" in text and "salary: p50" not in text


def test_percentiles_of_a_classified_field_are_refused(gym: Insight) -> None:
    with pytest.raises(SuppressedError, match="classified"):
        gym.call("distribution", {"metric": "salary"})
    dimension = next(t for t in tools_of(gym.lake.contract) if t.name == "describe").argument("dimension")
    assert dimension is not None
    assert not {"postcode", "salary_quartile"} & set(dimension.choices)


def test_personal_keys_are_masked_unless_they_shall_be_shown(tmp_path: Path) -> None:
    customers = made_customers(BANK, 60)
    customers["customer_id"] = [15_600_000 + i for i in range(60)]
    lake = counted_lake(tmp_path, BANK, {NEWEST: customers})
    predict(lake, NEWEST, customers, target="exited")
    masked = Insight(open_lake(tmp_path, contract=BANK))
    answer = masked.call("similar_customers", {"customer": "15600007"})
    assert {row[0] for row in answer.rows} == {"***"}
    assert "1560000" not in json.dumps(answer.to_dict()["rows"])
    shown = Insight(open_lake(tmp_path, contract=BANK), show_keys=True)
    assert all(
        str(row[0]).startswith("156")
        for row in shown.call("similar_customers", {"customer": "15600007"}).rows
    )
    with pytest.raises(EngageError, match="customer_id"):
        masked.call("explain_customer", {"customer": "M1"})


def test_reasons_of_personal_fields_are_masked_even_where_scoring_let_them_through(tmp_path: Path) -> None:
    lake = counted_lake(tmp_path, BANK, {NEWEST: made_customers(BANK, 60)})
    predict(lake, NEWEST, made_customers(BANK, 60), target="exited", feature="age")
    insight = Insight(open_lake(tmp_path, contract=BANK))
    answer = insight.call("explain_customer", {"customer": "7"})
    shown = [(answer.cell(row, "feature"), answer.cell(row, "value")) for row in answer.rows]
    assert shown == [("age", "***"), ("a_personal_field", "***")]


def test_influencers_are_listed_by_the_measure_of_the_graph(tmp_path: Path) -> None:
    chess = load_contract(ROOT / "tests" / "data" / "chess.odcs.yaml")
    players = made_customers(chess, 60)
    lake = counted_lake(tmp_path, chess, {NEWEST: players})
    measure_graph(lake, NEWEST, players)
    insight = Insight(open_lake(tmp_path, contract=chess))
    answer = insight.call("top_influencers", {"limit": 3})
    assert [row[:2] for row in answer.rows] == [(1, 60), (2, 59), (3, 58)]
    assert answer.arguments["measure"] == "influence"
    assert insight.call("top_influencers", {"measure": "knows", "limit": 1}).rows[0][-1] == 59
