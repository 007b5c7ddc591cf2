"""Render the tools for a Gateway of Bedrock AgentCore, whose target is a Lambda function.

The gateway sends a tool's arguments as the event, and its name in the client context. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engage_spark.insight.registry import Tool
from engage_spark.insight.replies import wire_tools
from engage_spark.insight.schemas import input_schema, output_schema, tool_text

TOOL_NAME = "bedrockAgentCoreToolName"
"""Key of the client context that holds `target___tool`."""


def gateway_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Return the tool schema of a Lambda target: `toolSchema.inlinePayload`, or the file in S3.

    Its schemas know no enumerations, so that choices are in the descriptions.
    """
    return [
        {
            "name": tool.name,
            "description": tool_text(tool),
            "inputSchema": input_schema(tool, with_choices=False),
            "outputSchema": output_schema(),
        }
        for tool in wire_tools(tools)
    ]


def gateway_target(tools: Sequence[Tool], *, name: str, lambda_arn: str) -> dict[str, Any]:
    """Return the request that adds the function to a gateway, but for `gatewayIdentifier`."""
    target = {"lambdaArn": lambda_arn, "toolSchema": {"inlinePayload": gateway_tools(tools)}}
    return {
        "name": name,
        "description": "Answers with evidence about customers",
        "targetConfiguration": {"mcp": {"lambda": target}},
        "credentialProviderConfigurations": [{"credentialProviderType": "GATEWAY_IAM_ROLE"}],
    }


def gateway_tool_name(context: object) -> str | None:
    """Return the tool that a gateway calls, without its target's name; None where no gateway calls."""
    custom = getattr(getattr(context, "client_context", None), "custom", None)
    name = custom.get(TOOL_NAME) if isinstance(custom, Mapping) else None
    return re.split("_{2,}", name)[-1] if isinstance(name, str) else None
