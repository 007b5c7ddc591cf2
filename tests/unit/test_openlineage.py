"""Events of OpenLineage: their form, their transports, and what they never hold."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engage_spark import log, openlineage
from engage_spark.errors import GateError
from engage_spark.masking import remember
from engage_spark.openlineage import LineageDataset, LineageJob, dataset_name, run_event, running
from engage_spark.settings import LineageSettings
from tests.support.lineage_schema import EVENT, require_event

JOB = LineageJob(
    name="features:customer_features",
    kind="STAGE",
    key="0123/2025-11-01T00:00:00+00:00",
    day=date(2025, 10, 21),
    inputs=[LineageDataset(namespace="file", name="/lake/customers_judged", version="a" * 32, rows=7)],
    outputs=[
        LineageDataset(
            namespace="s3://bucket",
            name="lake/customer_features",
            fields=[("velocity", "double", "How fast.")],
        )
    ],
    own={"runId": "b" * 32, "attempt": 2},
)


def told(path: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for event in events:
        require_event(event)
    return events


def test_an_event_is_as_the_schema_has_it() -> None:
    event = run_event(LineageSettings(), JOB, "START")
    require_event(event)
    assert event["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2025-10-21T00:00:00Z"
    assert event["run"]["facets"]["engageSpark_run"]["runId"] == "b" * 32
    (read,), (written,) = event["inputs"], event["outputs"]
    assert read["facets"]["version"]["datasetVersion"] == "a" * 32
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 7
    assert written["facets"]["schema"]["fields"] == [
        {"name": "velocity", "type": "double", "description": "How fast."}
    ]
    assert "outputStatistics" not in written["outputFacets"], "not counted yet"


@pytest.mark.parametrize("part", ["run", "job", "producer", "schemaURL", "eventTime"])
def test_the_schema_refuses_an_event_that_lacks_a_part(part: str) -> None:
    event = run_event(LineageSettings(), JOB, "START")
    del event[part]
    with pytest.raises(jsonschema.ValidationError):
        require_event(event)


def test_the_schema_refuses_an_unnamed_facet_and_a_run_that_is_no_uuid() -> None:
    event = run_event(LineageSettings(), JOB, "START")
    event["run"]["facets"]["parent"] = {"run": {}}
    with pytest.raises(jsonschema.ValidationError):
        require_event(event)
    assert EVENT["properties"]["eventType"]["enum"]
    event = run_event(LineageSettings(), JOB, "START")
    event["run"]["runId"] = "b" * 32
    with pytest.raises(jsonschema.ValidationError):
        require_event(event)


def test_start_and_end_are_told_of_the_same_run_and_children_name_their_parent(tmp_path: Path) -> None:
    settings = LineageSettings(file=str(tmp_path / "events.jsonl"))
    pipeline = LineageJob(name="pipeline", kind="PIPELINE", key="1")
    with running(settings, lambda: pipeline) as outer:
        assert outer is not None
        with running(settings, lambda: JOB) as inner:
            assert inner is not None
            inner.complete([LineageDataset(namespace="file", name="/t", version="b" * 32, rows=3)])
        outer.complete(())
    events = told(tmp_path / "events.jsonl")
    assert [(e["eventType"], e["job"]["name"]) for e in events] == [
        ("START", "pipeline"),
        ("START", JOB.name),
        ("COMPLETE", JOB.name),
        ("COMPLETE", "pipeline"),
    ]
    assert {e["run"]["runId"] for e in events[1:3]} == {JOB.run_uuid}
    for event in events[1:3]:
        parent = event["run"]["facets"]["parent"]
        assert (parent["run"]["runId"], parent["job"]["name"]) == (pipeline.run_uuid, "pipeline")
    assert "parent" not in events[0]["run"]["facets"]
    assert events[2]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 3


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (GateError("rejected by a gate", hint="look"), "FAIL", "rejected by a gate"),
        (ValueError("no such column"), "FAIL", "no such column"),
        (RuntimeError(), "FAIL", "RuntimeError"),
        (KeyboardInterrupt(), "ABORT", "stopped"),
    ],
    ids=["gate", "other", "without words", "stopped"],
)
def test_a_failure_is_told_once_and_goes_on(
    tmp_path: Path, failure: BaseException, kind: str, message: str
) -> None:
    settings = LineageSettings(file=str(tmp_path / "events.jsonl"))
    with pytest.raises(type(failure)), running(settings, lambda: JOB):
        raise failure
    _, end = told(tmp_path / "events.jsonl")
    assert (end["eventType"], end["run"]["facets"]["errorMessage"]["message"]) == (kind, message)
    assert end["outputs"][0]["name"] == "lake/customer_features", "what it would have written"


def test_nobody_is_told_where_nothing_is_set() -> None:
    def describe() -> LineageJob:
        raise AssertionError("nothing is described")

    with running(LineageSettings(), describe) as handle:
        assert handle is None


class Endpoint(BaseHTTPRequestHandler):
    """An endpoint that keeps what it is sent."""

    requests: list[tuple[str, str | None, dict[str, Any]]]
    status = 201
    location = ""

    def do_GET(self) -> None:
        self.requests.append((self.path, self.headers["Authorization"], {}))
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[type[Endpoint]]:
    handler = type("Handler", (Endpoint,), {"requests": [], "status": 201})
    server = HTTPServer(("127.0.0.1", 0), handler)
    handler.address = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler
    server.shutdown()
    server.server_close()


def test_an_endpoint_is_told_with_its_key(endpoint: Any) -> None:
    settings = LineageSettings(url=endpoint.address + "/", api_key="k-123456789")  # type: ignore[arg-type]
    with running(settings, lambda: JOB) as handle:
        assert handle is not None
        handle.complete(())
    paths, keys, events = zip(*endpoint.requests, strict=True)
    assert set(paths) == {"/api/v1/lineage"} and set(keys) == {"Bearer k-123456789"}
    assert [e["eventType"] for e in events] == ["START", "COMPLETE"]
    for event in events:
        require_event(event)


def test_an_endpoint_that_refuses_is_a_warning_and_fails_nothing(
    endpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.status = 500
    log.configure(json_lines=True, level="info")
    remember(["k-123456789"])
    settings = LineageSettings(
        url=endpoint.address,
        api_key="k-123456789",
        file=str(tmp_path / "no" / "events.jsonl"),  # type: ignore[arg-type]
    )
    with running(settings, lambda: JOB):
        pass
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 2 and {line["level"] for line in lines} == {"warning"}
    assert "No such file" in lines[0]["event"] and "500" in lines[1]["event"]
    assert "k-123456789" not in json.dumps(lines)


def warnings_of(url: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The warnings of a job that runs and ends while its endpoint is this one."""
    log.configure(json_lines=True, level="info")
    settings = LineageSettings(url=url, api_key="k-123456789")  # type: ignore[arg-type]
    with running(settings, lambda: JOB) as handle:
        assert handle is not None
        handle.complete(())
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {line["level"] for line in lines} <= {"warning"}
    return [line["event"] for line in lines]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_endpoint_that_speaks_something_else_is_a_warning(
    listener: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    threading.Thread(target=answer, daemon=True).start()
    warnings = warnings_of(address(listener), capsys)
    assert len(warnings) == 2 and "SSH-2.0" in warnings[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_goes_to_no_other_endpoint(
    endpoint: Any, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.status, endpoint.location = status, f"{endpoint.address}/elsewhere"
    warnings = warnings_of(endpoint.address, capsys)
    assert [path for path, _, _ in endpoint.requests] == ["/api/v1/lineage"] * 2
    assert len(warnings) == 2 and all(str(status) in w for w in warnings), "what was not sent is said"


def test_an_endpoint_that_does_not_answer_is_waited_for_once(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(openlineage, "SECONDS", 0.2)
    warnings = warnings_of(address(listener), capsys)
    assert len(warnings) == 2 and "tried again after 60 seconds" in warnings[1]
    monkeypatch.setattr(openlineage, "PAUSE_SECONDS", 0.0)
    openlineage._paused_until.clear()
    assert all("timed out" in w for w in warnings_of(address(listener), capsys)), "no pause, no rest"
    listener.setblocking(False)
    for _ in range(3):
        listener.accept()[0].close()
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_no_event_holds_a_secret(tmp_path: Path) -> None:
    remember(["a-planted-secret-value"])
    job = LineageJob(
        name="score:churn",
        kind="STAGE",
        key="1",
        inputs=[
            LineageDataset(namespace="https://user:pass-word-123@host", name="raw/a-planted-secret-value")
        ],
    )
    settings = LineageSettings(file=str(tmp_path / "events.jsonl"))
    with pytest.raises(ValueError, match="planted"), running(settings, lambda: job):
        raise ValueError("could not open a-planted-secret-value")
    text = (tmp_path / "events.jsonl").read_text(encoding="utf-8")
    assert "a-planted-secret-value" not in text and "pass-word-123" not in text
    assert len(told(tmp_path / "events.jsonl")) == 2


@pytest.mark.parametrize(
    ("location", "catalog", "expected"),
    [
        ("/lake/runs", None, ("file", "/lake/runs")),
        ("s3a://bucket/lake/runs", None, ("s3://bucket", "lake/runs")),
        ("gs://bucket/lake/runs", None, ("gs://bucket", "lake/runs")),
        ("s3://bucket", None, ("s3://bucket", "/")),
        ("dbfs:///lake/runs", None, ("dbfs", "/lake/runs")),
        ("main.engage.runs", "engage", ("engage", "main.engage.runs")),
    ],
)
def test_datasets_are_named_as_others_name_them(
    location: str, catalog: str | None, expected: tuple[str, str]
) -> None:
    assert dataset_name(location, catalog=catalog) == expected
