"""Every contract goes through every tool without code: an answer with evidence, or a typed reason why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from engage_spark.contract import Role, TableKind, load_contract, system_contract
from engage_spark.errors import EngageError
from engage_spark.insight import Insight
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.publication import PUBLISHED, REJECTED
from engage_spark.reader import open_lake
from tests.support.counted_lake import NEWEST, counted_lake, measure_graph, predict, two_days
from tests.support.gym import CONTRACT, changed_contract, gym_insight, members
from tests.support.lake_without_spark import SmallLake
from tests.support.paths import ROOT

DATA = ROOT / "tests" / "data"
UNANSWERED = {
    "bank_churn": {"cohort", "top_influencers", "fairness"},
    "bikes": {"cohort", "top_influencers", "fairness"},
    "chess": {"cohort", "correlate", "churn_drivers", "explain_customer", "recommend", "fairness"},
    "garden": {"cohort", "top_influencers", "fairness"},
    "iranian_churn": {"cohort", "top_influencers", "fairness"},
    "engagement": set[str](),
}
"""What a contract declares nothing for, or needs a model that is monitored."""


@pytest.mark.parametrize("name", UNANSWERED)
def test_every_tool_answers_on_every_contract(tmp_path: Path, name: str) -> None:
    contract = load_contract(None if name == "engagement" else DATA / f"{name}.odcs.yaml")
    days = two_days(contract, 120)
    lake = counted_lake(tmp_path, contract, days)
    for f in contract.entity.fields:
        if f.role is Role.TARGET:
            predict(lake, NEWEST, days[NEWEST], target=f.name)
    if name in ("chess", "engagement"):
        measure_graph(lake, NEWEST, days[NEWEST])
    insight = Insight(open_lake(tmp_path, contract=contract))
    customer = ",".join(str(days[NEWEST][k].iloc[5]) for k in contract.entity.key)
    unanswered = {}
    for tool in insight.tools:
        arguments: dict[str, Any] = {
            a.name: customer if a.name == "customer" else a.choices[0] for a in tool.arguments if a.required
        }
        if tool.name == "distribution":
            arguments["metric"] = insight.vocabulary.metric_names[0]
        try:
            answer = insight.call(tool.name, arguments)
        except EngageError as e:
            unanswered[tool.name] = e.code
        else:
            assert all(e.run and e.as_of <= NEWEST for e in answer.evidence())
            assert answer.facts or answer.rows
    assert set(unanswered) == UNANSWERED[name], unanswered
    assert set(unanswered.values()) <= {"NotDeclared", "NotPublished", "BadArgument"}


def test_nobody_is_recommended_by_a_rule_on_a_protected_or_personal_field(tmp_path: Path) -> None:
    """A rule is no field: what it looks at is. What drives a target may be told of, and not acted upon."""
    rules = "".join(
        f"          - {{name: {name}, version: 1, aim: cancelled, direction: high, expression: {rule!r}, "
        f'description: "A rule."}}\n'
        for name, rule in {
            "women": "sex = 'f'",
            "women_of_few_visits": "sex = 'f' AND visits_last_30_days < 4",
            "well_paid": "salary > 22026",
        }.items()
    )
    at = "          - {name: gold_plan"
    contract = changed_contract(tmp_path, {at: rules + at})
    today = members(NEWEST)
    today["sex"] = ["f" if c or i % 5 == 0 else "m" for i, c in enumerate(today.cancelled)]
    today["sex"] = ["m" if i % 7 == 0 else sex for i, sex in enumerate(today.sex)]
    today["salary"] = [30_000.0 if sex == "f" else 10_000.0 for sex in today.sex]
    counted_lake(tmp_path, contract, {NEWEST: today})
    insight = Insight(open_lake(tmp_path, contract=contract))
    told, advised = (
        {row[0] for row in insight.call(tool, {"limit": 50}).rows} for tool in ("churn_drivers", "recommend")
    )
    assert {"women", "women_of_few_visits", "well_paid", "rare_visits"} <= told
    assert advised & told == advised == {"rare_visits"} | (advised & {"plan", "club", "minutes_quartile"})


def test_a_dimension_tells_of_a_protected_field_through_what_is_derived_from_it() -> None:
    contract = load_contract(None)
    words = Vocabulary(contract)
    by_field = {d.name: words.tells_of_personal(d.name) for d in words.spec.dimensions}
    assert by_field["age"] and by_field["gender_male"]
    assert not by_field["account_type"] and not by_field["churn_risk_login_over_14"]
    table = next(t for t in contract.tables if t.kind is TableKind.DERIVED)
    column = next(c for c in words.spec.columns if c.table == table.name)
    field = replace(table[column.field], inputs=("age",))
    fields = tuple(field if f.name == field.name else f for f in table.fields)
    tables = tuple(replace(t, fields=fields) if t is table else t for t in contract.tables)
    rule = replace(words.spec.dimensions[0], name="of_derived", source=f"`{column.name}` > 0")
    derived = Vocabulary(replace(contract, tables=tables))
    derived.__dict__["spec"] = replace(words.spec, dimensions=(rule,))
    assert derived.tells_of_personal("of_derived")


def test_the_model_in_use_is_compared_by_group_without_small_ones(tmp_path: Path) -> None:
    """A small group is left out of every measure, with the one that covers it; ratios to it, too."""
    lake = counted_lake(tmp_path, CONTRACT, {NEWEST: members(NEWEST)})
    table, day = system_contract().table("model_monitoring"), date(2025, 9, 20)
    rows = [
        {
            "snapshot_date": day,
            "target": "cancelled",
            "measure": measure,
            "attribute": "sex x plan" if "," in member else "sex",
            "member": member,
            "against": against,
            "value": 0.3,
            "low": 0.2,
            "high": 0.4,
            "n_rows": n,
            "bound": 0.8,
            "verdict": "within",
            "model_name": "m",
            "model_version": "1",
            "made_ahead": True,
            "predictions_run": "s",
            "run_id": "m1",
        }
        for measure, member, against, n in (
            ("selection_rate", "f", None, 300),
            ("selection_rate", "m", None, 200),
            ("selection_rate", "x", None, 30),
            ("selection_rate", "y", None, 7),
            ("selection_rate_ratio", "f", "y", 300),
            ("selection_rate_ratio", "m", "f", 200),
            ("selection_rate", "f, Gold", None, 293),
            ("selection_rate", "f, Basic", None, 7),
            ("selection_rate", "m, Gold", None, 180),
            ("selection_rate", "m, Basic", None, 57),
        )
    ]
    lake.write(table, rows, partition_by=["snapshot_date", "target", "run_id"])
    lake.publish("monitor:cancelled", day, "m1", rows=len(rows), outputs={"model_monitoring": 0})
    answer = gym_insight(tmp_path).call("fairness", {"attribute": "sex"})
    assert gym_insight(tmp_path).call("fairness").rows == answer.rows, "of pairs, all or none"
    measured = {(answer.cell(r, "measure"), answer.cell(r, "segment")) for r in answer.rows}
    assert measured == {
        ("selection_rate", "f"),
        ("selection_rate", "m"),
        ("selection_rate_ratio", "m"),
    }
    assert {e.as_of for e in answer.evidence() if e.table == "model_monitoring"} == {day}
    assert {f.as_of for f in answer.facts} == {NEWEST}


def test_the_quality_of_a_delivery_is_told_and_a_later_rejection_is_noted(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path, CONTRACT)
    result = {
        "table_name": "members",
        "snapshot_date": NEWEST,
        "column_name": "plan",
        "dimension": "conformity",
        "rows_checked": 100,
        "unit": "percent",
        "minimum": None,
        "maximum": 0.0,
        "samples": ["somebody"],
        "description": "The plan is one of four.",
    }
    for attempt, status in enumerate((PUBLISHED, REJECTED), 1):
        run_id = f"i{attempt}"
        results = [
            result
            | {"run_id": run_id, "rule_name": rule, "severity": severity}
            | {"violations": n, "measured": n, "passed": n == 0}
            for rule, severity, n in (("plan_allowed", "critical", 3), ("seen", "info", 0))
        ]
        lake.ingest(CONTRACT.entity, NEWEST, [{"member": "M1"}], run_id, killed=True)
        lake.publish(
            "ingest:members",
            NEWEST,
            run_id,
            rows=100,
            quarantined=3,
            outputs={"members_judged": 0},
            status=status,
            quality_results=results,
        )
    answer = gym_insight(tmp_path).call("data_quality", {})
    facts = {f.label: f.value for f in answer.facts}
    assert (facts["rows read"], facts["valid rows"], facts["quarantined rows"]) == (100, 97, 3)
    assert facts["rules that did not hold"] == 1
    assert [(r[0], answer.cell(r, "violations")) for r in answer.rows] == [("plan_allowed", 3), ("seen", 0)]
    assert any("rejected" in note for note in answer.notes)
    assert "somebody" not in str(answer)
    only = gym_insight(tmp_path).call("data_quality", {"severity": "info"})
    assert [r[0] for r in only.rows] == ["seen"]
