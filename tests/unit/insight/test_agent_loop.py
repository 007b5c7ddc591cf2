"""An agent with a model of rules finds the tools, uses them, and mends its calls by what errors say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp import Client

from engage_spark.errors import NotPublishedError
from engage_spark.insight.bedrock import answer_event, converse_tools
from engage_spark.insight.evidence import Answer
from engage_spark.insight.failures import BadArgumentError
from engage_spark.insight.mcp_server import build_server
from tests.support.agent_loop import Conversation, RuleModel, converse
from tests.support.scripted_insight import ScriptedInsight, answer_of, source_of

QUESTIONS = {
    "What did trend over days look like for churn 30 day?": ("trend", {"metric": "churn_30_day"}),
    "Compare segments of age by account type": (
        "compare_segments",
        {"metric": "age", "dimension": "account_type"},
    ),
    "Which metrics correlate most with lifetime value usd?": ("correlate", {"metric": "lifetime_value_usd"}),
    "Explain what the models say of customer CUST-000042": ("explain_customer", {"customer": "CUST-000042"}),
    "Who are the top influencers of the social graph?": ("top_influencers", {}),
    "Recommend what to try against churn 30 day": ("recommend", {"target": "churn_30_day"}),
    "How is data quality of the customers table, which rules failed?": (
        "data_quality",
        {"table": "customers"},
    ),
    "What are drivers of engagement score?": ("churn_drivers", {"target": "engagement_score"}),
}


def script(name: str, arguments: Mapping[str, Any]) -> Answer:
    if name == "fairness":
        raise NotPublishedError("model_monitoring has no published snapshot")
    if name == "trend":
        return answer_of(name, arguments, facts=0, rows=900)
    if arguments.get("metric") == "no_such_metric":
        raise BadArgumentError("metric", "'no_such_metric' is none of its values", allowed=["age", "tenure"])
    return answer_of(name, arguments, facts=2)


def run(
    question: str, insight: ScriptedInsight, *, over: str, guesses: Mapping[str, Any] | None = None
) -> Conversation:
    """Ask over MCP, where the tools are those that the client lists, or over the Lambda function."""
    source, model = source_of(insight), RuleModel(guesses or {})

    async def by_lambda(name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        custom = {"bedrockAgentCoreToolName": f"insight___{name}"}
        context = SimpleNamespace(client_context=SimpleNamespace(custom=custom))
        body = answer_event(source, json.loads(json.dumps(arguments)), context)
        return body, "error" in body

    async def by_client() -> Conversation:
        async with Client(build_server(source, insight.tools)) as client:

            async def call(name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
                result = await client.call_tool(name, arguments)
                return json.loads(result.content[0].text), result.is_error

            listed = (await client.list_tools()).tools
            specs = [
                {"name": t.name, "description": t.description, "inputSchema": {"json": t.input_schema}}
                for t in listed
            ]
            return await converse(question, {"tools": [{"toolSpec": s} for s in specs]}, call, model)

    if over == "mcp":
        return anyio.run(by_client)
    return anyio.run(lambda: converse(question, converse_tools(insight.tools), by_lambda, model))


@pytest.fixture(params=["mcp", "lambda"])
def over(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_agent_finds_the_tool_and_its_arguments(question: str, over: str) -> None:
    tool, arguments = QUESTIONS[question]
    insight = ScriptedInsight(script)
    conversation = run(question, insight, over=over)
    assert conversation.calls[0] == (tool, arguments)
    assert insight.calls[0] == (tool, arguments)
    assert not any("error" in body for body in conversation.bodies)


def test_an_agent_reads_a_long_answer_to_its_end(over: str) -> None:
    conversation = run("Trend of age over days", ScriptedInsight(script), over=over)
    names = [name for name, _ in conversation.calls]
    assert names[0] == "trend" and set(names[1:]) == {"next_page"}
    assert [r for b in conversation.bodies for r in b["rows"]] == script("trend", {}).to_dict()["rows"]


def test_an_agent_mends_a_wrong_argument_by_what_the_error_allows(over: str) -> None:
    conversation = run(
        "Describe age", ScriptedInsight(script), over=over, guesses={"metric": "no_such_metric"}
    )
    assert [arguments["metric"] for _, arguments in conversation.calls] == ["no_such_metric", "age"]
    assert conversation.text.startswith("mean 0")


def test_an_agent_says_what_is_not_there(over: str) -> None:
    conversation = run(
        "Is the model in use fair between groups of protected fields: fairness?",
        ScriptedInsight(script),
        over=over,
    )
    assert conversation.text == "I cannot tell: model_monitoring has no published snapshot."
