"""Schemas of the tools, held against the models of the services that take them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engage_spark.contract import load_contract
from engage_spark.insight import agentcore, bedrock
from engage_spark.insight.registry import Argument, ArgumentKind, Tool, ToolGroup, tools_of
from engage_spark.insight.replies import NEXT_PAGE, wire_tools
from engage_spark.insight.schemas import argument_text, cut_words, input_schema, output_schema
from tests.support.paths import ROOT
from tests.support.service_shapes import problems

ARN = "arn:aws:lambda:us-east-1:123456789012:function:insight"
CONTRACTS = [None, *sorted((ROOT / "tests" / "data").glob("*.odcs.yaml"))]


@cache
def tools_by(contract: Path | None) -> tuple[Tool, ...]:
    return tools_of(load_contract(contract))


@pytest.fixture(params=CONTRACTS, ids=lambda p: p.name.partition(".")[0] if p else "own")
def tools(request: pytest.FixtureRequest) -> tuple[Tool, ...]:
    return tools_by(request.param)


def action_group(tools: tuple[Tool, ...], i: int = 0) -> dict[str, Any]:
    around = {
        "agentId": "ABCDEFGHIJ",
        "agentVersion": "DRAFT",
        "actionGroupExecutor": {"lambda": ARN},
    }
    return bedrock.action_groups(tools)[i] | around


def test_action_groups_are_as_bedrock_takes_them(tools: tuple[Tool, ...]) -> None:
    for i in range(2):
        group = action_group(tools, i)
        assert problems("bedrock-agent", "CreateAgentActionGroupRequest", group) == []
        functions = group["functionSchema"]["functions"]
        assert 1 <= len(functions) <= 11
        assert all(len(f["parameters"]) <= 5 for f in functions)


def test_two_action_groups_hold_every_tool_once(tools: tuple[Tool, ...]) -> None:
    groups = bedrock.action_groups(tools)
    names = [f["name"] for g in groups for f in g["functionSchema"]["functions"]]
    assert len(groups) == 2
    assert sorted(names) == sorted(t.name for t in wire_tools(tools))


def test_the_page_of_the_stack_counts_the_functions_as_they_are() -> None:
    groups = bedrock.action_groups(tools_by(None))
    first, second = (len(g["functionSchema"]["functions"]) for g in groups)
    text = " ".join((ROOT / "deploy" / "bedrock" / "README.md").read_text(encoding="utf-8").split())
    assert f"functions per action group ({first} in the one and {second} in the other here)" in text


def test_a_group_without_a_tool_is_left_out() -> None:
    tools = tuple(t for t in tools_by(None) if t.group is ToolGroup.DESCRIPTIVE)
    assert [g["actionGroupName"] for g in bedrock.action_groups(tools)] == ["descriptive"]


def test_a_gateway_target_is_as_agentcore_takes_it(tools: tuple[Tool, ...]) -> None:
    request = {"gatewayIdentifier": "insight-abcdefghij"} | agentcore.gateway_target(
        tools, name="insight", lambda_arn=ARN
    )
    assert problems("bedrock-agentcore-control", "CreateGatewayTargetRequest", request) == []


def test_a_tool_configuration_is_as_converse_takes_it(tools: tuple[Tool, ...]) -> None:
    assert problems("bedrock-runtime", "ToolConfiguration", bedrock.converse_tools(tools)) == []


def test_the_instruction_is_as_bedrock_takes_it() -> None:
    request = {"agentName": "insight", "instruction": bedrock.instruction()}
    assert problems("bedrock-agent", "CreateAgentRequest", request) == []


def test_every_schema_is_one_of_json_schema(tools: tuple[Tool, ...]) -> None:
    for tool in wire_tools(tools):
        for schema in (input_schema(tool), input_schema(tool, with_choices=False), output_schema()):
            jsonschema.Draft202012Validator.check_schema(schema)
        assert all(a.choices == tuple(p.get("enum", ())) for a, p in _properties(tool))


def _properties(tool: Tool) -> list[tuple[Argument, dict[str, Any]]]:
    return [(a, input_schema(tool)["properties"][a.name]) for a in tool.arguments]


def test_choices_are_in_descriptions_where_a_schema_has_no_enumerations(tools: tuple[Tool, ...]) -> None:
    by_name = {t["name"]: t for t in agentcore.gateway_tools(tools)}
    for tool in tools:
        for argument in tool.arguments:
            shown = by_name[tool.name]["inputSchema"]["properties"][argument.name]["description"]
            assert all(choice in shown for choice in argument.choices)


def test_a_description_within_a_limit_names_the_first_of_many_choices() -> None:
    names = tuple(f"measure_{i:03d}" for i in range(200))
    argument = Argument(name="metric", kind=ArgumentKind.ENUM, description="The metric.", choices=names)
    text = argument_text(argument, limit=500)
    assert len(text) <= 500
    assert "One of 200, such as: measure_000, measure_001" in text
    assert not text.rstrip(".").endswith(",")


@pytest.mark.parametrize("limit", [20, 40, 60])
def test_no_text_is_longer_than_its_limit(limit: int) -> None:
    argument = Argument(
        name="a", kind=ArgumentKind.ENUM, description="words and words " * 9, choices=("x" * 99, "y")
    )
    assert len(argument_text(argument, limit=limit)) <= limit
    assert len(cut_words("unbroken" * 50, limit)) <= limit


WRONG: dict[str, tuple[str, Any, str]] = {
    "a name that breaks its pattern": ("functionSchema.functions.0.name", "describe a metric!", "match"),
    "a name of two underscores": ("functionSchema.functions.0.name", "next__page", "match"),
    "a type that there is not": ("functionSchema.functions.0.parameters.metric.type", "object", "none of"),
    "a description that is too long": ("functionSchema.functions.0.description", "x" * 1201, "above 1200"),
    "an empty description": ("functionSchema.functions.0.description", "", "below 1"),
    "a parameter's description that is too long": (
        "functionSchema.functions.0.parameters.metric.description",
        "x" * 501,
        "above 500",
    ),
    "a group's description that is too long": ("description", "x" * 201, "above 200"),
    "a member that there is not": ("functionSchema.functions.0.parameters.metric.enum", ["a"], "no enum"),
    "a truth value as a text": ("functionSchema.functions.0.parameters.metric.required", "true", "neither"),
    "two members of a union": ("actionGroupExecutor.customControl", "RETURN_CONTROL", "exactly one"),
    "an address that is none": ("actionGroupExecutor.lambda", "arn:aws:s3:::bucket", "match"),
    "a version that there is not": ("agentVersion", "1", "match"),
    "functions that are no list": ("functionSchema.functions", {}, "no list"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_validator_sees_what_the_service_would_refuse(name: str) -> None:
    path, value, seen = WRONG[name]
    request: Any = json.loads(json.dumps(action_group(tools_by(None))))
    *parents, last = path.split(".")
    at = request
    for parent in parents:
        at = at[int(parent)] if parent.isdigit() else at[parent]
    at[last] = value
    shown = problems("bedrock-agent", "CreateAgentActionGroupRequest", request)
    assert any(seen in problem for problem in shown), shown


def test_the_validator_sees_what_is_missing() -> None:
    request = action_group(tools_by(None))
    del request["agentId"]
    assert problems("bedrock-agent", "CreateAgentActionGroupRequest", request) == [
        "CreateAgentActionGroupRequest: agentId is missing"
    ]


def test_the_tool_that_turns_pages_is_of_the_wire_alone() -> None:
    tools = tools_by(None)
    assert NEXT_PAGE.name not in {t.name for t in tools}
    assert sum(t.group is ToolGroup.DESCRIPTIVE for t in wire_tools(tools)) <= 11


def test_the_schemas_of_another_business_name_nothing_of_ours() -> None:
    garden = tools_of(load_contract(ROOT / "tests" / "data" / "garden.odcs.yaml"))
    text = json.dumps([bedrock.action_groups(garden), agentcore.gateway_tools(garden)])
    assert not [f.name for f in load_contract(None).entity.fields if f'"{f.name}"' in text]
