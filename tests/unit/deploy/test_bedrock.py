"""What stands up the tools on AWS says nothing that its readers would refuse."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import pytest

from engage_spark.settings import load_settings
from tests.support.paths import ROOT
from tests.support.service_shapes import problems

FOLDER = ROOT / "deploy" / "bedrock"
TEMPLATE = (FOLDER / "template.yaml").read_text(encoding="utf-8")


def findings(template: str) -> list[str]:
    """What cfn-lint finds in a template, hints apart."""
    from cfnlint.api import lint

    return [f"{m.rule.id} {m.message}" for m in lint(template) if not m.rule.id.startswith("I")]


def loaded() -> dict[str, Any]:
    from cfnlint.decode.cfn_yaml import loads

    template: dict[str, Any] = json.loads(json.dumps(loads(TEMPLATE)))
    return template


def test_the_template_has_no_finding() -> None:
    assert findings(TEMPLATE) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("AuthorizerType: AWS_IAM", "AuthorizerType: NOBODY"),
        ("Role: !GetAtt FunctionRole.Arn", "Role: !GetAtt FonctionRole.Arn"),
        ("MemorySize: 2048", "MemorySize: 64"),
    ],
)
def test_the_linter_sees_what_is_wrong(right: str, wrong: str) -> None:
    assert right in TEMPLATE
    assert findings(TEMPLATE.replace(right, wrong))


ARN = "arn:aws:lambda:eu-west-1:123456789012:function:insight"
VALUES = {
    "LakeBucket": "a-bucket",
    "LakePrefix": "tables",
    "AWS::Region": "eu-west-1",
    "SchemaKey": "tools.json",
}
ATTRIBUTES = {"Function.Arn": ARN, "Gateway.GatewayIdentifier": "insight-abcdefghij"}


def resolved(value: Any) -> Any:
    """A value of the template with its references as texts; an unknown one is a KeyError."""
    if isinstance(value, list):
        return [resolved(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return VALUES[value["Ref"]]
    if "Fn::GetAtt" in value:
        return ATTRIBUTES[".".join(value["Fn::GetAtt"])]
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^}]+)\}", lambda m: VALUES[m[1]], value["Fn::Sub"])
    return {k: resolved(v) for k, v in value.items()}


def as_request(value: Any) -> Any:
    """Properties of a resource as its service names them."""
    if isinstance(value, list):
        return [as_request(v) for v in value]
    if isinstance(value, dict):
        return {k[0].lower() + k[1:]: as_request(v) for k, v in value.items()}
    return value


def test_gateway_and_target_are_as_the_service_takes_them() -> None:
    """The linter looks into no union, such as the configuration of a target."""
    resources = loaded()["Resources"]
    target = as_request(resolved(resources["GatewayTarget"]["Properties"]))
    assert problems("bedrock-agentcore-control", "CreateGatewayTargetRequest", target) == []
    assert target["targetConfiguration"]["mcp"]["lambda"]["lambdaArn"] == ARN
    gateway = as_request(resources["Gateway"]["Properties"]) | {
        "roleArn": "arn:aws:iam::123456789012:role/gateway"
    }
    assert problems("bedrock-agentcore-control", "CreateGatewayRequest", gateway) == []


def test_the_functions_environment_gives_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = loaded()["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    for name, value in resolved(variables).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.lake.root == "s3a://a-bucket/tables"
    assert settings.s3.region == "eu-west-1"


def test_roles_name_no_action_that_writes_but_the_functions_own_log() -> None:
    actions = set()
    for resource in loaded()["Resources"].values():
        for policy in resource["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                action = statement["Action"]
                actions |= {action} if isinstance(action, str) else set(action)
                assert statement["Resource"] != "*"
    assert actions == {
        "s3:GetObject",
        "s3:ListBucket",
        "lambda:InvokeFunction",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_the_image_starts_the_handler() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    module, _, name = json.loads(command)[0].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
