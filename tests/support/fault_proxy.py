"""An HTTP proxy before an S3 server that fails on purpose: by a seeded share of requests, or at the n-th.

    with FaultProxy(moto_address, FaultPlan(seed=1, share=0.05)) as proxy:
        ...  # s3.endpoint=proxy.address

Requests are counted from 1 in the order in which they come. Which of them fails, and how, follows from the
seed and the number alone, so a run can be repeated by its seed as far as its requests come in one order.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Fault(StrEnum):
    """How a request fails."""

    DENIED = "403"
    ABSENT = "404"
    """Of an object that was listed: on GET and HEAD only."""
    BROKEN = "500"
    BUSY = "503"
    STALL = "stall"
    """The answer comes late."""
    RESET = "reset"
    """The connection ends before the server has seen the request."""
    CUT = "cut"
    """Half of the answer's body, then the connection ends."""
    LOST = "lost"
    """The server has done what was asked, and its answer is lost."""


ERRORS = {
    Fault.DENIED: (403, "AccessDenied", "Access Denied"),
    Fault.ABSENT: (404, "NoSuchKey", "The specified key does not exist."),
    Fault.BROKEN: (500, "InternalError", "We encountered an internal error. Please try again."),
    Fault.BUSY: (503, "SlowDown", "Please reduce your request rate."),
}
CONTROL = "/__plan__"
"""Path at which another process gives the proxy a plan."""
WRITES = frozenset({"PUT", "POST", "DELETE"})
PASSING = (Fault.BROKEN, Fault.BUSY, Fault.STALL, Fault.RESET, Fault.CUT, Fault.LOST)
"""Faults that a store has on a bad day; 403 and 404 say something untrue."""


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """Which requests fail: a `share` of all, drawn by `seed` from `kinds`, and those of `at` by their number.

    `writes_only` spares what only reads. `stall` is in seconds. `at_write` is called, with its number, before
    a request that writes is passed on; it may kill somebody.
    """

    seed: int = 0
    share: float = 0.0
    kinds: Sequence[Fault] = PASSING
    at: Mapping[int, Fault] = field(default_factory=dict)
    writes_only: bool = False
    stall: float = 2.0
    at_write: Callable[[int], None] | None = None

    def fault(self, number: int, method: str) -> Fault | None:
        """What becomes of a request."""
        drawn = self.at.get(number)
        if drawn is None and not (self.writes_only and method not in WRITES):
            digest = hashlib.sha256(f"{self.seed}/{number}".encode()).digest()
            if int.from_bytes(digest[:8]) < self.share * 2**64:
                drawn = self.kinds[int.from_bytes(digest[8:12]) % len(self.kinds)]
        return None if drawn is Fault.ABSENT and method not in ("GET", "HEAD") else drawn


class Seen(NamedTuple):
    """One request, and what became of it."""

    number: int
    method: str
    path: str
    fault: Fault | None


class FaultProxy:
    """A proxy for one server. `plan` may be exchanged while it runs; the count then starts anew."""

    def __init__(self, server: str, plan: FaultPlan | None = None) -> None:
        self.target = urlsplit(server).netloc
        self.plan = plan or FaultPlan()
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._writes = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def use(self, plan: FaultPlan) -> None:
        with self._lock:
            self.plan, self._writes = plan, 0
            self.seen.clear()

    def counts(self) -> Counter[str]:
        """How many requests had each fault; `none` for those that had none."""
        with self._lock:
            return Counter("none" if s.fault is None else s.fault.value for s in self.seen)

    def take(self, method: str, path: str) -> Fault | None:
        """Count a request, and say what becomes of it."""
        with self._lock:
            number, plan = len(self.seen) + 1, self.plan
            fault = plan.fault(number, method)
            self.seen.append(Seen(number, method, path, fault))
            self._writes += method in WRITES
            write = self._writes
        if method in WRITES and plan.at_write is not None:
            plan.at_write(write)
        return fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is what this proxy is about."""


class _Answer(NamedTuple):
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: Any) -> None:
        pass

    def handle_one(self) -> None:
        body = self._body()
        if self.path == CONTROL:
            return self._control(json.loads(body))
        fault = self.server.proxy.take(self.command, self.path)
        if fault is Fault.RESET:
            return self._hang_up()
        if fault in ERRORS:
            status, code, message = ERRORS[fault]
            text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
            return self._answer(_Answer(status, code, headers, text))
        if fault is Fault.STALL:
            time.sleep(self.server.proxy.plan.stall)
        answer = self._passed_on(body)
        if fault is Fault.LOST:
            return self._hang_up()
        if fault is Fault.CUT:
            self._answer(answer._replace(body=answer.body[: len(answer.body) // 2]))
            return self._hang_up()
        return self._answer(answer)

    def _control(self, plan: dict[str, Any]) -> None:
        """Exchange the plan for one in JSON, and answer with what became of the requests before."""
        counts = json.dumps(self.server.proxy.counts()).encode()
        kinds = tuple(Fault(kind) for kind in plan.pop("kinds", PASSING))
        self.server.proxy.use(FaultPlan(kinds=kinds, **plan))
        self._answer(_Answer(200, "OK", [("Content-Length", str(len(counts)))], counts))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _passed_on(self, body: bytes) -> _Answer:
        connection = http.client.HTTPConnection(self.server.proxy.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "content-length", "transfer-encoding", "expect"):
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
            headers = [
                (name, value)
                for name, value in response.getheaders()
                if name.lower() not in ("connection", "transfer-encoding", "date", "server")
            ]
            if not any(name.lower() == "content-length" for name, _ in headers):
                headers.append(("Content-Length", str(len(content))))
            return _Answer(response.status, response.reason, headers, content)
        finally:
            connection.close()

    def _answer(self, answer: _Answer) -> None:
        self.send_response(answer.status, answer.reason)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _hang_up(self) -> None:
        """End the connection at once, with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
