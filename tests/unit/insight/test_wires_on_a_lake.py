"""Agents and clients on real lakes: every tool of two businesses, and lakes that lack what is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp import Client

from engage_spark.cli import main
from engage_spark.contract import Contract, load_contract
from engage_spark.insight.bedrock import answer_event, converse_tools
from engage_spark.insight.check_text import check_text
from engage_spark.insight.context_pack import context_pack
from engage_spark.insight.mcp_server import build_server
from engage_spark.insight.replies import LakeSource, cost, wire_tools
from engage_spark.insight.session import Insight
from engage_spark.reader import open_lake
from tests.support.agent_loop import RuleModel, converse
from tests.support.counted_lake import (
    NEWEST,
    analyze,
    counted_lake,
    ingest,
    made_customers,
    measure_graph,
    predict,
)
from tests.support.lake_without_spark import SmallLake
from tests.support.paths import ROOT

GYM = ROOT / "tests" / "data" / "gym.odcs.yaml"


@dataclass(frozen=True)
class Lake:
    """Where a lake lies, and the contract that it was made by."""

    root: Path
    contract: Contract


@pytest.fixture(scope="module", params=["own", "gym"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Customers of the packaged contract on one day, or members of a gym on four."""
    if request.param == "gym":
        opened = request.getfixturevalue("gym").lake
        return Lake(Path(opened.settings.lake.root), opened.contract)
    contract = load_contract(None)
    customers = made_customers(contract, 200)
    made = counted_lake(tmp_path_factory.mktemp("own"), contract, {NEWEST: customers})
    predict(made, NEWEST, customers, target="churn_30_day")
    measure_graph(made, NEWEST, customers)
    return Lake(made.root, contract)


def source_of(lake: Lake) -> LakeSource:
    return LakeSource(lambda: Insight(open_lake(lake.root, contract=lake.contract)))


def arguments_of(contract: Contract, name: str) -> dict[str, Any]:
    """Arguments that a tool takes: of an enumeration the first choice, the key of a customer."""
    tool = next(t for t in Insight(open_lake(".", contract=contract)).tools if t.name == name)
    key = contract.entity.key[0]
    customer = {"member": "M0001"}.get(key, "CUST-000001")
    needed = [a for a in tool.arguments if a.required or (name == "distribution" and a.name == "metric")]
    return {a.name: a.choices[0] if a.choices else customer for a in needed}


ABSENT = {"fairness": {"NotPublished"}, "top_influencers": {"NotDeclared"}}
"""Tools that may have nothing to tell on these lakes, and what they say then: no graph, no monitoring."""


def assert_answers(contract: Contract, call: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
    answered = []
    for tool in Insight(open_lake(".", contract=contract)).tools:
        body = call(tool.name, arguments_of(contract, tool.name))
        assert "Traceback" not in json.dumps(body)
        assert cost(body) <= 24_000
        if "error" in body:
            assert body["error"]["code"] in ABSENT.get(tool.name, set()), (tool.name, body)
        else:
            assert body["facts"] or body["rows"] or tool.name == "what_changed", tool.name
            answered.append(tool.name)
    assert len(answered) >= 13


def test_a_client_calls_every_tool_of_a_business(lake: Lake) -> None:
    source = source_of(lake)
    insight = source.current()

    async def everything() -> dict[str, dict[str, Any]]:
        bodies = {}
        async with Client(build_server(source, insight.tools)) as client:
            listed = (await client.list_tools()).tools
            assert [t.name for t in listed] == [t.name for t in wire_tools(insight.tools)]
            for tool in insight.tools:
                result = await client.call_tool(tool.name, arguments_of(lake.contract, tool.name))
                bodies[tool.name] = json.loads(result.content[0].text)
        return bodies

    bodies = anyio.run(everything)
    assert_answers(lake.contract, lambda name, _: bodies[name])


def event_of(function: str, **values: Any) -> dict[str, Any]:
    parameters = [{"name": k, "type": "string", "value": str(v)} for k, v in values.items()]
    return {
        "messageVersion": "1.0",
        "actionGroup": "descriptive",
        "function": function,
        "parameters": parameters,
    }


def by_agent(source: LakeSource, name: str, **values: Any) -> dict[str, Any]:
    response = answer_event(source, event_of(name, **values), None)
    assert len(json.dumps(response)) <= 24_000
    body: dict[str, Any] = json.loads(
        response["response"]["functionResponse"]["responseBody"]["TEXT"]["body"]
    )
    return body


def test_an_agent_of_bedrock_calls_every_tool_of_a_business(lake: Lake) -> None:
    source = source_of(lake)
    assert_answers(lake.contract, lambda name, arguments: by_agent(source, name, **arguments))


def test_a_gateway_calls_every_tool_of_a_business(lake: Lake) -> None:
    source = source_of(lake)

    def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        custom = {"bedrockAgentCoreToolName": f"insight___{name}"}
        return answer_event(source, arguments, SimpleNamespace(client_context=SimpleNamespace(custom=custom)))

    assert_answers(lake.contract, call)


@pytest.mark.parametrize("lake", ["gym"], indirect=True)
def test_a_page_of_statistics_holds_every_metric(lake: Lake) -> None:
    insight = source_of(lake).current()
    pages = {p.name: p.text for p in context_pack(lake.contract, insight)}
    metrics = insight.vocabulary.metrics
    assert all(f"## {m}\n" in pages["statistics"] for m in metrics)
    assert pages["statistics"].count("95% interval") >= len(metrics) / 2
    assert "claims version" in pages["statements"]


HOSTILE = ["'; DROP TABLE runs; --", "\x00", "\ud800", "x" * 9_000, "NaN", "-1", "[]", "../..", "\u2067evil"]


@pytest.mark.parametrize("lake", ["gym"], indirect=True)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_in_any_argument_is_a_failure_with_a_code(lake: Lake, text: str) -> None:
    source = source_of(lake)
    for tool in source.current().tools:
        given = arguments_of(lake.contract, tool.name)
        for argument in tool.arguments:
            body = by_agent(source, tool.name, **{**given, argument.name: text})
            code = body.get("error", {}).get("code")
            assert code != "Internal", (tool.name, argument.name)
            if argument.choices:
                assert code == "BadArgument"


@pytest.mark.parametrize("lake", ["gym"], indirect=True)
def test_no_wire_shows_what_the_tools_hide(lake: Lake, tmp_path: Path) -> None:
    source = source_of(lake)
    insight = source.current()
    texts = [p.text for p in context_pack(lake.contract, insight)]
    for dimension in insight.vocabulary.dimensions:
        for name in ("distribution", "compare_segments"):
            given = arguments_of(lake.contract, name) | {"dimension": dimension}
            texts.append(json.dumps(by_agent(source, name, **given)))
    assert any("North" in text for text in texts)
    assert not any("SECRET-" in text or "Tiny" in text for text in texts)


def test_a_wrong_choice_is_answered_with_all_that_there_are(lake: Lake) -> None:
    source = source_of(lake)
    for tool in source.current().tools:
        for argument in (a for a in tool.arguments if a.choices):
            given = arguments_of(lake.contract, tool.name) | {argument.name: "no_such_name"}
            hint = by_agent(source, tool.name, **given)["error"]["hint"]
            assert all(choice in hint for choice in argument.choices[:100])


@pytest.mark.parametrize("lake", ["gym"], indirect=True)
def test_the_command_writes_a_pack_of_a_lake(lake: Lake, tmp_path: Path) -> None:
    options = ["--contract", str(GYM), "--set", f"lake.root={lake.root}"]
    main(["insight", "pack", "--out", str(tmp_path), *options])
    assert "## minutes" in (tmp_path / "statistics.md").read_text(encoding="utf-8")


def test_a_loop_of_an_agent_answers_with_figures_that_are_in_the_evidence(lake: Lake) -> None:
    source = source_of(lake)
    insight = source.current()

    async def call(name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        reply = source.reply(name, arguments)
        return reply.body, reply.code is not None

    metric = insight.vocabulary.metric_names[1]
    question = f"Describe {metric.replace('_', ' ')}"
    config = converse_tools(insight.tools)
    conversation = anyio.run(lambda: converse(question, config, call, RuleModel()))
    assert conversation.calls == (("describe", {"metric": metric}),)
    answer = insight.call("describe", {"metric": metric})
    assert check_text(conversation.text, [answer]) == ()
    assert check_text(conversation.text.replace("n = ", "n = 9"), [answer])


def test_a_lake_without_analytics_says_which_command_makes_them(tmp_path: Path) -> None:
    contract = load_contract(None)
    days = {NEWEST: made_customers(contract, 60)}
    lake = SmallLake(tmp_path, contract)
    ingest(lake, NEWEST, days[NEWEST])
    body = by_agent(source_of(lake), "describe", metric="age")
    assert body["error"]["code"] == "NotPublished"
    assert "analyze" in body["error"]["hint"]


def test_a_lake_whose_customers_came_anew_is_stale(tmp_path: Path) -> None:
    contract = load_contract(GYM)
    days = {NEWEST: made_customers(contract, 60)}
    lake = SmallLake(tmp_path, contract)
    ingest(lake, NEWEST, days[NEWEST])
    analyze(lake, NEWEST, days[NEWEST], {})
    now = [0.0]
    source = LakeSource(
        lambda: Insight(open_lake(lake.root, contract=contract)), fresh_seconds=60, clock=lambda: now[0]
    )
    assert by_agent(source, "describe", metric="minutes")["facts"]
    ingest(lake, NEWEST, days[NEWEST].iloc[5:], attempt=2)
    assert by_agent(source, "describe", metric="minutes")["facts"]
    now[0] = 61.0
    assert by_agent(source, "describe", metric="minutes")["error"]["code"] == "StaleLake"
    assert by_agent(source, "describe", metric="minutes", as_of=date(2025, 1, 1))["error"]["code"] in (
        "NotPublished",
        "StaleLake",
    )


def test_a_lake_that_is_not_there_is_a_failure_with_a_code(tmp_path: Path) -> None:
    source = LakeSource(lambda: Insight(open_lake(tmp_path / "nowhere")))
    for name in ("describe", "trend", "explain_customer"):
        arguments = {"metric": "age"} if name != "explain_customer" else {"customer": "CUST-1"}
        assert by_agent(source, name, **arguments)["error"]["code"] == "NotPublished"
