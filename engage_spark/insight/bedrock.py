"""Render the tools for agents of Bedrock, and answer the Lambda events that agents and gateways send.

`lambda_handler` is the entry point of the function: settings come from its environment, as everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engage_spark import log
from engage_spark.insight.agentcore import gateway_tool_name
from engage_spark.insight.failures import BadArgumentError, UnknownToolError
from engage_spark.insight.registry import Argument, Tool, ToolGroup
from engage_spark.insight.replies import (
    BUDGET,
    INTERNAL,
    LakeSource,
    error_body,
    text_of,
    wire_tools,
)
from engage_spark.insight.schemas import (
    JSON_TYPES,
    READING,
    argument_text,
    cut_words,
    input_schema,
    tool_text,
)
from engage_spark.insight.session import Insight, open_insight
from engage_spark.settings import load_settings

FUNCTION_TEXT, PARAMETER_TEXT, GROUP_TEXT = 1_200, 500, 200
"""Characters that Bedrock takes as description of a function, a parameter and an action group."""
_GROUPS = {
    ToolGroup.DESCRIPTIVE: "What there is: figures, distributions, segments, trends, cohorts, data quality.",
    ToolGroup.DIAGNOSTIC: "What goes with what: correlations, drivers, customers, recommendations, fairness.",
}
_ASK_AGAIN = frozenset({UnknownToolError.code, BadArgumentError.code})
"""Failures after which the model may ask better."""
_TRY_LATER = frozenset({INTERNAL, "Transient"})


def instruction() -> str:
    """Return the instruction of an agent that speaks for these tools."""
    return (
        "You answer questions about customers with the given tools, and with nothing else. "
        f"{READING} Where a tool returns an error, say what it says. Where an answer is truncated, either "
        "continue it with next_page or say that there is more. Never compute figures of your own, and never "
        "name a person."
    )


def action_groups(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Return action groups of a Bedrock agent with their function schemas.

    Each is a request of CreateAgentActionGroup but for agentId, agentVersion and actionGroupExecutor.
    """
    groups = {group: [_function(t) for t in wire_tools(tools) if t.group is group] for group in ToolGroup}
    return [
        {
            "actionGroupName": group.value,
            "description": cut_words(_GROUPS[group], GROUP_TEXT),
            "functionSchema": {"functions": functions},
        }
        for group, functions in groups.items()
        if functions
    ]


def _function(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool_text(tool, limit=FUNCTION_TEXT),
        "parameters": {a.name: _parameter(a) for a in tool.arguments},
        "requireConfirmation": "DISABLED",
    }


def _parameter(argument: Argument) -> dict[str, Any]:
    return {
        "type": JSON_TYPES[argument.kind],
        "description": argument_text(argument, limit=PARAMETER_TEXT),
        "required": argument.required,
    }


def converse_tools(tools: Sequence[Tool]) -> dict[str, Any]:
    """Return the `toolConfig` of Bedrock's Converse, for whoever runs the loop of an agent."""
    return {
        "tools": [
            {
                "toolSpec": {
                    "name": tool.name,
                    "description": tool_text(tool),
                    "inputSchema": {"json": input_schema(tool)},
                }
            }
            for tool in wire_tools(tools)
        ]
    }


def answer_event(source: LakeSource, event: object, context: object) -> dict[str, Any]:
    """Answer the event of a Lambda function: of an agent's action group, or of a gateway.

    An agent gets its own shape of response; REPROMPT lets the model ask again after a wrong argument, FAILURE
    says that nothing could be answered, and both are left out otherwise. A gateway gets the answer as it is.
    """
    tool = gateway_tool_name(context)
    if tool is not None:
        return source.reply(tool, event).body
    if not isinstance(event, dict) or not isinstance(event.get("function"), str):
        return error_body(UnknownToolError("", ["those of a function schema, or of a gateway's target"]))
    room = BUDGET - len(json.dumps(_response(event, {}, None)))
    try:
        arguments = _arguments(event.get("parameters"))
    except BadArgumentError as e:
        return _response(event, error_body(e), e.code)
    reply = source.reply(event["function"], arguments, budget=room)
    return _response(event, reply.body, reply.code)


def _arguments(parameters: object) -> dict[str, Any]:
    """Return the parameters of an event, which are a list of name, type and value."""
    if parameters is None:
        return {}
    wrong = BadArgumentError("parameters", "they are a list of name, type and value, with each name once")
    if not isinstance(parameters, list):
        raise wrong
    arguments: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if not isinstance(name, str) or name in arguments:
            raise wrong
        arguments[name] = parameter.get("value")
    return arguments


def _response(event: dict[str, Any], body: dict[str, Any], code: str | None) -> dict[str, Any]:
    outcome: dict[str, Any] = {"responseBody": {"TEXT": {"body": text_of(body)}}}
    if code in _ASK_AGAIN:
        outcome["responseState"] = "REPROMPT"
    elif code in _TRY_LATER:
        outcome["responseState"] = "FAILURE"
    response: dict[str, Any] = {
        "messageVersion": "1.0",
        "response": {
            "actionGroup": _name(event.get("actionGroup")),
            "function": _name(event["function"]),
            "functionResponse": outcome,
        },
    }
    for attributes in ("sessionAttributes", "promptSessionAttributes"):
        if isinstance(event.get(attributes), dict):
            response[attributes] = event[attributes]
    return response


def _name(value: object) -> str:
    """Return a name of an event as it can be sent back; names of Bedrock have at most 100 characters."""
    return str(value)[:100].encode("utf-8", "replace").decode()


def _open() -> Insight:
    settings = load_settings()
    log.configure(json_lines=True, level=settings.log.level)
    return open_insight(settings)


_source = LakeSource(_open)


def lambda_handler(event: object, context: object) -> dict[str, Any]:
    """Answer an event of AWS Lambda; the lake is opened with the first one and kept open.

    Errors: none; what fails is in the response, with its code.
    """
    return answer_event(_source, event, context)
