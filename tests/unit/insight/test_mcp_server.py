"""The server of the Model Context Protocol, called by the protocol's own client."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import jsonschema
import pytest
import uvicorn
from mcp import Client, MCPError, StdioServerParameters

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, NotPublishedError
from engage_spark.insight.context_pack import LivePack, context_pack
from engage_spark.insight.evidence import Answer
from engage_spark.insight.mcp_server import PAGES, PATH, build_server, serve_http
from engage_spark.insight.registry import tools_of
from engage_spark.insight.replies import wire_tools
from tests.support.paths import ROOT
from tests.support.scripted_insight import ScriptedInsight, answer_of, own_contract, source_of


def simple(name: str, arguments: Mapping[str, Any]) -> Answer:
    if name == "fairness":
        raise NotPublishedError("model_monitoring has no published snapshot")
    return answer_of(name, arguments, facts=2, rows=3)


def server_of(insight: ScriptedInsight) -> Any:
    return build_server(source_of(insight), insight.tools, LivePack(insight.contract, insight.tools))


def given(tool: Any) -> dict[str, Any]:
    """Arguments that a tool's schema takes: the first choice of each that is required."""
    schema = tool.input_schema
    return {name: schema["properties"][name].get("enum", ["CUST-000001"])[0] for name in schema["required"]}


async def exercise(server: Any, names: set[str], *, mode: str = "auto") -> dict[str, Any]:
    """List and call every tool; return the results by name."""
    results: dict[str, Any] = {}
    async with Client(server, mode=mode, read_timeout_seconds=60) as client:
        listed = (await client.list_tools()).tools
        assert {t.name for t in listed} == names
        for tool in listed:
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            assert tool.annotations is not None and tool.annotations.read_only_hint
            results[tool.name] = await client.call_tool(tool.name, given(tool))
        results["unknown"] = await client.call_tool("drop_tables", {})
        resources = (await client.list_resources()).resources
        results["page"] = await client.read_resource(resources[0].uri)
    return results


def assert_answers(results: dict[str, Any], failing: Mapping[str, str]) -> None:
    for name, result in results.items():
        if name == "page":
            assert "association" in result.contents[0].text
            continue
        body = json.loads(result.content[0].text)
        assert result.structured_content == body
        assert result.is_error is (name in failing)
        if name in failing:
            assert body["error"]["code"] == failing[name]
            assert "Traceback" not in result.content[0].text
        else:
            assert body["tool"] == name


def no_lake(names: set[str]) -> dict[str, str]:
    """What every tool says where there is no lake; distribution wants a metric or a dimension first."""
    failing = dict.fromkeys(names, "NotPublished")
    return failing | {"distribution": "BadArgument", "next_page": "BadArgument", "unknown": "UnknownTool"}


ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
FAILING = {"fairness": "NotPublished", "next_page": "BadArgument", "unknown": "UnknownTool"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_lists_and_calls_every_tool(mode: str) -> None:
    insight = ScriptedInsight(simple)
    names = {t.name for t in wire_tools(insight.tools)}
    results = anyio.run(lambda: exercise(server_of(insight), names, mode=mode))
    assert_answers(results, FAILING)


def test_a_client_lists_and_calls_every_tool_of_another_business() -> None:
    insight = ScriptedInsight(simple, load_contract(ROOT / "tests" / "data" / "garden.odcs.yaml"))
    results = anyio.run(lambda: exercise(server_of(insight), {t.name for t in wire_tools(insight.tools)}))
    assert_answers(results, FAILING)


async def read_pages(server: Any, uris: list[str]) -> list[Any]:
    """Read resources; return each one's text, or the protocol's error."""
    read: list[Any] = []
    async with Client(server, read_timeout_seconds=60) as client:
        for uri in uris:
            try:
                read.append((await client.read_resource(uri)).contents[0].text)
            except MCPError as e:
                read.append(e)
        listed = (await client.list_resources()).resources
    return [*read, {str(r.uri): r.name for r in listed}]


def test_a_page_that_is_not_there_is_an_error_and_no_page() -> None:
    server = server_of(ScriptedInsight(simple))
    uris = [
        f"{PAGES}nope",
        PAGES,
        "file:///etc/passwd",
        "nope",
        f"{PAGES}reading",
    ]
    *wrong, right, listed = anyio.run(lambda: read_pages(server, uris))
    assert len(wrong) == 4 and "association" in right
    for error in wrong:
        assert isinstance(error, MCPError) and error.code == -32602
        assert error.data == {"pages": list(listed)}


def test_every_page_of_a_pack_is_listed_and_of_what_is_published_now() -> None:
    insight = ScriptedInsight(simple)
    names = [page.name for page in context_pack(insight.contract, insight)]  # type: ignore[arg-type]
    addresses = [f"{PAGES}{name}" for name in names]
    *texts, listed = anyio.run(lambda: read_pages(server_of(insight), addresses))
    assert list(listed) == addresses and list(listed.values()) == names
    pages = context_pack(insight.contract, insight)  # type: ignore[arg-type]
    assert texts == [page.text for page in pages]
    assert "mean 0" in texts[names.index("statistics")]


def test_statistics_of_nothing_are_a_typed_error_and_statements_have_no_verdicts() -> None:
    def nothing(name: str, arguments: Mapping[str, Any]) -> Answer:
        raise NotPublishedError("analytics_states has no published snapshot")

    insight = ScriptedInsight(nothing)
    uris = [f"{PAGES}statistics", f"{PAGES}statements"]
    statistics, statements, _ = anyio.run(lambda: read_pages(server_of(insight), uris))
    assert isinstance(statistics, MCPError)
    assert statistics.data["error"]["code"] == "NotPublished"
    assert "Traceback" not in str(statistics.data)
    plain = {page.name: page.text for page in context_pack(insight.contract)}
    assert "Not known: analytics_states" in statements
    assert statements.startswith(plain["statements"].rstrip())


@pytest.fixture
def address() -> Iterator[str]:
    """A server over HTTP on loopback."""
    app = server_of(ScriptedInsight(simple)).streamable_http_app(
        streamable_http_path=PATH, json_response=True, stateless_http=True
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        for _ in range(500):
            if server.started:
                break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def test_a_client_over_http_lists_and_calls_every_tool(address: str) -> None:
    names = {t.name for t in wire_tools(tools_of(own_contract(None)))}
    for mode in ("auto", "legacy"):
        assert_answers(anyio.run(lambda m=mode: exercise(address, names, mode=m)), FAILING)


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Host", "evil.example", 421),
        ("Host", "evil.example:8642", 421),
        ("Host", "127.0.0.1.evil.example:8642", 421),
    ],
)
def test_a_page_of_another_site_cannot_call(address: str, header: str, value: str, code: int) -> None:
    """Nor one whose name leads to this machine by now."""
    import urllib.error
    import urllib.request

    headers = {header: value, "Content-Type": "application/json", "Accept": "*/*"}
    request = urllib.request.Request(address, data=b"{}", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    assert refused.value.code == code


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_no_address_that_others_reach_is_served(host: str) -> None:
    with pytest.raises(ConfigurationError, match="reached from outside"):
        serve_http(server_of(ScriptedInsight(simple)), host=host)


def test_the_command_serves_over_http_until_it_is_interrupted(tmp_path: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "engage_spark", "insight", "serve", "--http", "--port", str(port)]
    command += ["--set", f"lake.root={tmp_path}/lake"]
    names = {t.name for t in wire_tools(tools_of(own_contract(None)))}
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as served:
        try:
            for _ in range(1_000):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            assert_answers(
                anyio.run(lambda: exercise(f"http://127.0.0.1:{port}{PATH}", names)), no_lake(names)
            )
        finally:
            served.send_signal(signal.SIGINT)
            _, shown = served.communicate(timeout=60)
    assert served.returncode in (0, 130)
    assert "Traceback" not in shown


def test_a_client_over_standard_streams_lists_and_calls_every_tool(tmp_path: Any) -> None:
    """The command itself, on a lake that is not there: every tool says so."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "engage_spark", "insight", "serve", "--set", f"lake.root={tmp_path}/lake"],
        env=ENVIRONMENT,
        cwd=tmp_path,
    )
    names = {t.name for t in wire_tools(tools_of(own_contract(None)))}
    results = anyio.run(lambda: exercise(command, names))
    assert_answers(results, no_lake(names))
