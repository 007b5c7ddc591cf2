"""Declare `engage-spark insight …`: tools that answer questions, for agents and clients. Needs no Spark."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engage_spark.cli import console
from engage_spark.cli.common import EPILOG, CommandGroup, settings_of
from engage_spark.contract import load_contract
from engage_spark.errors import UsageError
from engage_spark.reachability import require_free_port
from engage_spark.text_files import write_text

if TYPE_CHECKING:
    from engage_spark.insight.registry import Tool

app = typer.Typer(
    cls=CommandGroup,
    help="The tools that answer questions with evidence: their schemas for agents, a context pack, a server. "
    "Needs no Spark.",
    no_args_is_help=True,
    epilog=EPILOG,
)


class Schema(StrEnum):
    """Who reads the schemas of the tools."""

    ACTION_GROUPS = "action-groups"
    AGENTCORE = "agentcore"
    CONVERSE = "converse"
    MCP = "mcp"


@app.command("tools", epilog=EPILOG)
def show_tools(
    ctx: typer.Context,
    schema: Annotated[
        Schema | None,
        typer.Option(
            help="the schemas as JSON: action-groups (agents of Bedrock), agentcore (its Gateway), "
            "converse (Bedrock's toolConfig), mcp (default: a list of the tools)"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file to write the schemas to")] = None,
) -> None:
    """List the tools, or write their schemas for those who call them."""
    from engage_spark.insight.session import offered_tools

    settings = settings_of(ctx)
    tools = offered_tools(load_contract(settings.contract), settings.insight.without)
    if schema is None:
        if out is not None:
            raise UsageError("--out goes with --schema", hint="say whose schemas are to be written")
        _list(tools, as_json=ctx.obj.json)
        return
    text = json.dumps(_schemas(tools, schema), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        console.data(text)
        return
    write_text(out, text)
    if ctx.obj.json:
        console.json_object({"out": str(out)})
    else:
        console.line(f"the schemas of {len(tools)} tools are in {out}")


def _schemas(tools: tuple[Tool, ...], schema: Schema) -> Any:
    from engage_spark.insight import agentcore, bedrock

    if schema is Schema.ACTION_GROUPS:
        return bedrock.action_groups(tools)
    if schema is Schema.AGENTCORE:
        return agentcore.gateway_tools(tools)
    if schema is Schema.CONVERSE:
        return bedrock.converse_tools(tools)
    from engage_spark.insight.mcp_server import listed_tools

    return {
        "tools": [t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in listed_tools(tools)]
    }


def _list(tools: tuple[Tool, ...], *, as_json: bool) -> None:
    if as_json:
        console.json_object({"tools": tools})
        return
    rows = [
        (t.name, t.group.value, ", ".join(a.name + ("" if a.required else "?") for a in t.arguments))
        for t in tools
    ]
    console.rows(("tool", "group", "arguments (? may be left out)"), rows)


@app.command("pack", epilog=EPILOG)
def write_pages(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="folder to write the pages to")],
    statistics: Annotated[
        bool, typer.Option(help="with the figures of the lake, or of the contract alone")
    ] = True,
) -> None:
    """Write what an agent should know, as Markdown with metadata for a knowledge base."""
    from engage_spark.insight.context_pack import context_pack, write_pack
    from engage_spark.insight.session import offered_tools, open_insight

    settings = settings_of(ctx)
    contract = load_contract(settings.contract)
    tools = offered_tools(contract, settings.insight.without)
    insight = open_insight(settings) if statistics else None
    files = write_pack(context_pack(contract, insight, tools=tools), out)
    if ctx.obj.json:
        console.json_object({"files": [str(f) for f in files]})
    else:
        console.line(f"{len(files) // 2} pages, each with its metadata, are in {out}")


@app.command("serve", epilog=EPILOG)
def serve(
    ctx: typer.Context,
    http: Annotated[
        bool, typer.Option("--http", help="over HTTP on this machine alone (default: standard streams)")
    ] = False,
    port: Annotated[int, typer.Option(help="port of --http", min=1, max=65535)] = 8642,
) -> None:
    """Serve the tools to clients of the Model Context Protocol, until they go or Ctrl-C."""
    from engage_spark.insight import mcp_server
    from engage_spark.insight.context_pack import LivePack
    from engage_spark.insight.replies import LakeSource
    from engage_spark.insight.session import offered_tools, open_insight

    settings = settings_of(ctx)
    contract = load_contract(settings.contract)
    tools = offered_tools(contract, settings.insight.without)
    source = LakeSource(lambda: open_insight(settings))
    server = mcp_server.build_server(source, tools, LivePack(contract, tools))
    if http:
        require_free_port(mcp_server.LOOPBACK[0], port, setting="--port")
        console.stderr(f"serving on http://{mcp_server.LOOPBACK[0]}:{port}{mcp_server.PATH}")
        mcp_server.serve_http(server, port=port)
    else:
        mcp_server.serve_stdio(server)
