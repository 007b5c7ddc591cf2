"""Serve the tools to clients of the Model Context Protocol: over standard streams, or HTTP on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engage_spark import __version__
from engage_spark.errors import ConfigurationError, EngageError
from engage_spark.insight.context_pack import LivePack, Page
from engage_spark.insight.failures import quote
from engage_spark.insight.registry import Tool
from engage_spark.insight.replies import LakeSource, error_body, text_of, wire_tools
from engage_spark.insight.schemas import READING, input_schema, output_schema, tool_text

try:
    import anyio
    from mcp import MCPError, types
    from mcp.server import Server
    from mcp.server.stdio import stdio_server
except ModuleNotFoundError as e:
    raise ConfigurationError(
        f"{e.name} is not installed", hint="install the extra: pip install 'engage-spark[mcp]'"
    ) from None

NAME = "engage-spark"
PATH = "/mcp"
PAGES = "engage-spark://pack/"
"""Begins the address of a page."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ANNOTATIONS = types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def build_server(source: LakeSource, tools: tuple[Tool, ...], pack: LivePack | None = None) -> Server[Any]:
    """Return the server of these tools, with the pages of a context pack as resources by their address.

    Whatever a tool cannot answer is a result with `isError` and the failure's code, never a protocol error.
    Resources have no such results: a page that is not there, or that the lake has nothing for, is an error of
    the protocol, which names the pages, or has the failure as its data.
    """
    listed = listed_tools(tools)
    titles = {} if pack is None else {f"{PAGES}{name}": title for name, title in pack.titles.items()}

    def page_at(uri: str) -> Page:
        name = uri.removeprefix(PAGES)
        try:
            page = source.use(lambda opened: pack.page(name, opened)) if pack and uri in titles else None
        except EngageError as e:
            raise MCPError(types.INTERNAL_ERROR, e.message, error_body(e)) from None
        if page is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no page {quote(uri)}", {"pages": list(titles)})
        return page

    async def list_tools(_ctx: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        reply = await anyio.to_thread.run_sync(source.reply, params.name, params.arguments)
        content = types.TextContent(type="text", text=text_of(reply.body))
        return types.CallToolResult(
            content=[content], structured_content=reply.body, is_error=reply.code is not None
        )

    async def list_resources(_ctx: Any, _params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(
            resources=[
                types.Resource(uri=uri, name=uri.removeprefix(PAGES), title=title, mime_type="text/markdown")
                for uri, title in titles.items()
            ]
        )

    async def read_resource(_ctx: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        page = await anyio.to_thread.run_sync(page_at, params.uri)
        contents = types.TextResourceContents(uri=params.uri, mime_type="text/markdown", text=page.text)
        return types.ReadResourceResult(contents=[contents])

    return Server(
        NAME,
        version=__version__,
        instructions=READING,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
    )


def listed_tools(tools: Sequence[Tool]) -> list[types.Tool]:
    """Return the tools as the protocol lists them."""
    return [_tool(tool) for tool in wire_tools(tools)]


def _tool(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=tool_text(tool),
        input_schema=input_schema(tool),
        output_schema=output_schema(),
        annotations=_ANNOTATIONS,
    )


def serve_stdio(server: Server[Any]) -> None:
    """Serve one client over standard input and output, until it goes."""

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(serve)


def serve_http(server: Server[Any], *, host: str = LOOPBACK[0], port: int = 8642) -> None:
    """Serve clients over streamable HTTP on this machine alone, until interrupted.

    Errors: ConfigurationError for an address that others reach: there is no log-in.
    """
    import uvicorn

    if host not in LOOPBACK:
        raise ConfigurationError(
            f"{host} can be reached from outside, and the server asks nobody who they are",
            hint=f"serve on {LOOPBACK[0]}, behind whatever checks who may ask",
        )
    app = server.streamable_http_app(
        streamable_http_path=PATH, json_response=True, stateless_http=True, host=host
    )
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
