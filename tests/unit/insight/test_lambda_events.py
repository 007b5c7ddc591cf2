"""Events as Lambda gets them from agents of Bedrock and from gateways of AgentCore, and what goes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.errors import EngageError, NotPublishedError, TransientError
from engage_spark.insight import bedrock
from engage_spark.insight.agentcore import gateway_tool_name
from engage_spark.insight.bedrock import answer_event
from engage_spark.insight.evidence import Answer
from engage_spark.insight.failures import BadArgumentError, StaleLakeError, SuppressedError
from engage_spark.insight.replies import LakeSource
from tests.support.scripted_insight import ScriptedInsight, answer_of, source_of
from tests.support.service_shapes import problems

NO_CONTEXT = SimpleNamespace(aws_request_id="1", client_context=None)


def event_of(function: Any, **values: str) -> dict[str, Any]:
    """An event of an action group with a function schema, whose values are all texts."""
    return {
        "messageVersion": "1.0",
        "agent": {"name": "insight", "version": "DRAFT", "id": "ABCDEFGHIJ", "alias": "TSTALIASID"},
        "inputText": "How did churn go?",
        "sessionId": "123456789012345",
        "actionGroup": "descriptive",
        "function": function,
        "parameters": [{"name": k, "type": "string", "value": v} for k, v in values.items()],
        "sessionAttributes": {"region": "north"},
        "promptSessionAttributes": {},
    }


def gateway_context(name: Any) -> Any:
    custom = {
        "bedrockAgentCoreMessageVersion": "1.0",
        "bedrockAgentCoreAwsRequestId": "1",
        "bedrockAgentCoreMcpMessageId": "2",
        "bedrockAgentCoreGatewayId": "insight-abcdefghij",
        "bedrockAgentCoreTargetId": "ABCDEFGHIJ",
        "bedrockAgentCoreToolName": name,
    }
    return SimpleNamespace(aws_request_id="1", client_context=SimpleNamespace(custom=custom, env=None))


def simple(name: str, arguments: Mapping[str, Any]) -> Answer:
    return answer_of(name, arguments)


def body_of(response: dict[str, Any]) -> dict[str, Any]:
    """The body of a response to an agent, whose shape is that of results that a client returns itself."""
    inner = response["response"]
    result = {"actionGroup": inner["actionGroup"], "function": inner["function"]} | inner["functionResponse"]
    assert problems("bedrock-agent-runtime", "FunctionResult", result) == []
    assert response["messageVersion"] == "1.0"
    assert set(inner) == {"actionGroup", "function", "functionResponse"}
    body: dict[str, Any] = json.loads(inner["functionResponse"]["responseBody"]["TEXT"]["body"])
    return body


def state_of(response: dict[str, Any]) -> str | None:
    state: str | None = response["response"]["functionResponse"].get("responseState")
    return state


def test_an_agent_gets_an_answer_in_its_shape() -> None:
    insight = ScriptedInsight(simple)
    event = event_of("recommend", limit="5", effect="0.2", target="churn_30_day")
    response = answer_event(source_of(insight), event, NO_CONTEXT)
    assert insight.calls == [("recommend", {"limit": "5", "effect": "0.2", "target": "churn_30_day"})]
    assert body_of(response)["tool"] == "recommend"
    assert state_of(response) is None
    assert (response["response"]["actionGroup"], response["response"]["function"]) == (
        "descriptive",
        "recommend",
    )
    assert response["sessionAttributes"] == {"region": "north"}


@pytest.mark.parametrize("parameters", [None, []])
def test_an_event_without_parameters_is_a_call_without_arguments(parameters: Any) -> None:
    insight = ScriptedInsight(simple)
    event = event_of("describe") | {"parameters": parameters}
    assert body_of(answer_event(source_of(insight), event, NO_CONTEXT))["tool"] == "describe"
    del event["parameters"]
    answer_event(source_of(insight), event, NO_CONTEXT)
    assert insight.calls == [("describe", {})] * 2


@pytest.mark.parametrize(
    "parameters",
    [
        "metric=age",
        {"metric": "age"},
        ["metric"],
        [{"value": "age"}],
        [{"name": 3, "value": "age"}],
        [{"name": "metric", "value": "age"}, {"name": "metric", "value": "sex"}],
    ],
)
def test_parameters_of_another_shape_are_a_bad_argument(parameters: Any) -> None:
    event = event_of("describe") | {"parameters": parameters}
    response = answer_event(source_of(ScriptedInsight(simple)), event, NO_CONTEXT)
    assert body_of(response)["error"]["code"] == "BadArgument"
    assert state_of(response) == "REPROMPT"


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (BadArgumentError("metric", "there is none"), "REPROMPT"),
        (NotPublishedError("rollups has no published snapshot"), None),
        (StaleLakeError("out of date"), None),
        (SuppressedError("too few customers"), None),
        (TransientError("storage does not answer"), "FAILURE"),
        (ZeroDivisionError("of ours"), "FAILURE"),
    ],
    ids=lambda x: getattr(x, "code", str(x)),
)
def test_a_failure_has_its_code_and_state(failure: Exception, state: str | None) -> None:
    def fail(name: str, arguments: Mapping[str, Any]) -> Answer:
        raise failure

    response = answer_event(source_of(ScriptedInsight(fail)), event_of("describe"), NO_CONTEXT)
    code = failure.code if isinstance(failure, EngageError) else "Internal"
    assert body_of(response)["error"]["code"] == code
    assert state_of(response) == state
    assert "Traceback" not in json.dumps(response) and "of ours" not in json.dumps(response)


@pytest.mark.parametrize("name", ["drop_tables", "x" * 500, "'; --", "\x00", "\ud800", ""], ids=range(6))
def test_an_unknown_function_is_asked_for_again(name: str) -> None:
    response = answer_event(source_of(ScriptedInsight(simple)), event_of(name), NO_CONTEXT)
    inner = response["response"]
    body = json.loads(inner["functionResponse"]["responseBody"]["TEXT"]["body"])
    assert body["error"]["code"] == "UnknownTool"
    assert state_of(response) == "REPROMPT"
    json.dumps(response, ensure_ascii=False).encode()


@pytest.mark.parametrize("text", ["all", 'a "quoted" group', "São Paulo ☃ \U0001f600"])
def test_no_response_is_longer_than_an_agent_takes_in(text: str) -> None:
    def long(name: str, arguments: Mapping[str, Any]) -> Answer:
        return answer_of(name, arguments, facts=100, rows=1_500, text=text)

    source = source_of(ScriptedInsight(long))
    event = event_of("trend", metric="age") | {"sessionAttributes": {"a": "b" * 2_000}}
    rows, pages = 0, 0
    cursor: str | None = ""
    while cursor is not None:
        response = answer_event(source, event, NO_CONTEXT)
        assert len(json.dumps(response)) <= 24_000
        body = body_of(response)
        assert body["truncated"] is ("next" in body)
        rows, pages, cursor = rows + len(body["rows"]), pages + 1, body.get("next")
        event = event_of("next_page", cursor=cursor or "") | {"sessionAttributes": {"a": "b" * 2_000}}
    assert (rows, pages > 2) == (1_500, True)


def test_a_gateway_gets_the_answer_as_it_is() -> None:
    insight = ScriptedInsight(simple)
    event = {"metric": "age", "limit": 5}
    body = answer_event(source_of(insight), event, gateway_context("insight-target___correlate"))
    assert body["tool"] == "correlate"
    assert insight.calls == [("correlate", {"metric": "age", "limit": 5})]


@pytest.mark.parametrize("event", [{}, {"page": 3}, {"function": "describe", "messageVersion": "1.0"}])
def test_arguments_from_a_gateway_are_never_taken_for_an_event_of_an_agent(event: dict[str, Any]) -> None:
    insight = ScriptedInsight(simple)
    body = answer_event(source_of(insight), event, gateway_context("t___describe"))
    assert insight.calls == [("describe", event)]
    assert "response" not in body


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("target___describe", "describe"),
        ("my-target__next_page", "next_page"),
        ("a___b___compare_segments", "compare_segments"),
        ("describe", "describe"),
        ("target___", ""),
        (7, None),
        (None, None),
    ],
)
def test_the_name_of_the_target_is_taken_off(name: Any, tool: str | None) -> None:
    assert gateway_tool_name(gateway_context(name)) == tool


@pytest.mark.parametrize("name", ["t___drop_tables", "___", "x" * 9_000, "\ud800"], ids=range(4))
def test_an_unknown_tool_of_a_gateway_is_a_failure_with_a_code(name: str) -> None:
    body = answer_event(source_of(ScriptedInsight(simple)), {}, gateway_context(name))
    assert body["error"]["code"] == "UnknownTool"


@pytest.mark.parametrize("event", [None, [], "describe", {}, {"function": 3}, {"apiPath": "/describe"}])
def test_an_event_that_names_no_tool_is_a_failure_with_a_code(event: Any) -> None:
    for context in (None, NO_CONTEXT):
        body = answer_event(source_of(ScriptedInsight(simple)), event, context)
        assert body["error"]["code"] == "UnknownTool"


def test_a_gateway_that_sends_no_arguments_by_name_gets_a_failure() -> None:
    body = answer_event(source_of(ScriptedInsight(simple)), ["age"], gateway_context("t___describe"))
    assert body["error"]["code"] == "BadArgument"


def test_the_handler_keeps_its_lake_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[ScriptedInsight] = []

    def open_it() -> Any:
        opened.append(ScriptedInsight(simple))
        return opened[-1]

    monkeypatch.setattr(bedrock, "_source", LakeSource(open_it))
    for _ in range(3):
        response = bedrock.lambda_handler(event_of("describe"), NO_CONTEXT)
        assert body_of(response)["tool"] == "describe"
    assert len(opened) == 1


def test_the_handler_opens_the_lake_of_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENGAGE_SPARK__LAKE__ROOT", str(tmp_path / "lake"))
    monkeypatch.setattr(bedrock, "_source", LakeSource(bedrock._open))
    body = body_of(bedrock.lambda_handler(event_of("describe"), NO_CONTEXT))
    assert body["error"]["code"] == "NotPublished"
    assert str(tmp_path / "lake") in body["error"]["message"]
    monkeypatch.setenv("ENGAGE_SPARK__INSIGHT__WITHOUT", '["describe"]')
    monkeypatch.setattr(bedrock, "_source", LakeSource(bedrock._open))
    error = body_of(bedrock.lambda_handler(event_of("describe"), NO_CONTEXT))["error"]
    assert error["code"] == "UnknownTool"
    assert "describe" not in error["hint"]
    monkeypatch.setenv("ENGAGE_SPARK__LAKE__ROOT", "")
    monkeypatch.setattr(bedrock, "_source", LakeSource(bedrock._open))
    assert body_of(bedrock.lambda_handler(event_of("describe"), NO_CONTEXT))["error"]["code"] != "Internal"
