"""The fault proxy fails as it says: each kind of fault, at the request that was named, and never unasked."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.support.fault_proxy import Fault, FaultPlan, FaultProxy

CONTENT = b"0123456789"


class Store(BaseHTTPRequestHandler):
    """Keeps what was put, and gives ten bytes for anything."""

    protocol_version = "HTTP/1.1"
    written: list[bytes]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def do_PUT(self) -> None:
        self.written.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def written() -> list[bytes]:
    return []


@pytest.fixture
def proxy(written: list[bytes]) -> Iterator[FaultProxy]:
    kind = type("StoreOfTest", (Store,), {"written": written})
    store = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    with FaultProxy(f"http://127.0.0.1:{store.server_address[1]}") as made:
        yield made
    store.shutdown()
    store.server_close()


def ask(proxy: FaultProxy, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(proxy.address).netloc, timeout=5)
    try:
        connection.request(method, "/bucket/key", body=body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_without_a_plan_everything_passes(proxy: FaultProxy, written: list[bytes]) -> None:
    assert ask(proxy) == (200, CONTENT)
    assert ask(proxy, "PUT", b"a") == (200, b"") and written == [b"a"]
    assert proxy.counts() == {"none": 2}


@pytest.mark.parametrize("fault", [Fault.DENIED, Fault.ABSENT, Fault.BROKEN, Fault.BUSY])
def test_an_error_is_answered_at_the_named_request_alone(proxy: FaultProxy, fault: Fault) -> None:
    proxy.use(FaultPlan(at={2: fault}))
    assert [ask(proxy)[0] for _ in range(3)] == [200, int(fault), 200]


def test_what_is_put_is_never_said_to_be_absent(proxy: FaultProxy) -> None:
    proxy.use(FaultPlan(at={1: Fault.ABSENT}))
    assert ask(proxy, "PUT", b"a")[0] == 200


def test_a_reset_reaches_no_server_and_a_lost_answer_does(proxy: FaultProxy, written: list[bytes]) -> None:
    proxy.use(FaultPlan(at={1: Fault.RESET, 2: Fault.LOST}))
    for expected in ([], [b"b"]):
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(proxy, "PUT", b"b")
        assert written == expected


def test_a_cut_body_is_shorter_than_announced(proxy: FaultProxy) -> None:
    proxy.use(FaultPlan(at={1: Fault.CUT}))
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        ask(proxy)


def test_a_stall_is_late_and_right(proxy: FaultProxy) -> None:
    proxy.use(FaultPlan(at={1: Fault.STALL}, stall=0.2))
    started = time.monotonic()
    assert ask(proxy) == (200, CONTENT) and time.monotonic() - started >= 0.2


def test_the_share_and_the_seed_decide_what_fails() -> None:
    plans = [FaultPlan(seed=seed, share=0.05) for seed in (1, 1, 2)]
    one, same, other = ([p.fault(n, "GET") for n in range(1, 4001)] for p in plans)
    assert one == same != other
    assert 150 < sum(f is not None for f in one) < 250
    spared = FaultPlan(seed=1, share=1.0, writes_only=True)
    assert spared.fault(1, "GET") is None and spared.fault(1, "PUT") is not None


def test_writes_are_counted_for_whoever_kills_at_one(proxy: FaultProxy) -> None:
    writes: list[int] = []
    proxy.use(FaultPlan(at_write=writes.append))
    for method in ("GET", "PUT", "GET", "PUT"):
        ask(proxy, method, b"" if method == "PUT" else None)
    assert writes == [1, 2]
