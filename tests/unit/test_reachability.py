"""Whether anybody listens is told within seconds, as what it is."""

from __future__ import annotations

import socket
import time

import pytest

from engage_spark.cli import main
from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.reachability import require_free_port, require_listener, stays_unreachable
from engage_spark.settings import Settings, TrackingSettings
from engage_spark.spark.session import get_session
from engage_spark.tracking import Tracker


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "GRPC_PROXY", "grpc_proxy", "SPARK_REMOTE"):
        monkeypatch.delenv(name, raising=False)


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_who_listens_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        port = server.getsockname()[1]
        for address in (f"http://u:p@127.0.0.1:{port}/x", f"127.0.0.1:{port}"):
            require_listener(address, "it", setting="x")
            connection, (host, _) = server.accept()
            connection.close()
            assert host == "127.0.0.1"


def test_an_address_without_a_host_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *to, **_: asked.append(to))
    require_listener("sqlite:///x", "it", setting="x")
    assert asked == []


@pytest.mark.parametrize(
    "address", ["sc://127.0.0.1:{}/;token=hushhush", "http://u:hushhush@127.0.0.1:{}", "127.0.0.1:{}"]
)
def test_nobody_there_is_worth_a_retry(address: str) -> None:
    with pytest.raises(TransientError, match=r"nobody answers at 127\.0\.0\.1") as error:
        require_listener(address.format(closed_port()), "Spark Connect", setting="spark.remote")
    assert "hushhush" not in str(error.value)
    assert "spark.remote" in str(error.value.hint)


@pytest.mark.parametrize("address", ["http://no-such-host.invalid", "http://h:notaport", "http://[x"])
def test_what_is_no_address_is_not(address: str) -> None:
    with pytest.raises(ConfigurationError):
        require_listener(address, "it", setting="x")


def test_a_dead_server_of_any_kind_is_told_within_seconds() -> None:
    started = time.monotonic()
    port = closed_port()
    with pytest.raises(TransientError, match="Spark Connect: nobody answers"):
        get_session(Settings(spark={"remote": f"sc://127.0.0.1:{port}"}))
    with pytest.raises(TransientError, match="S3: nobody answers"):
        get_session(
            Settings(
                spark={"master": "local[1]"},
                input={"root": "s3a://bucket/raw"},
                s3={"endpoint": f"http://127.0.0.1:{port}"},
            )
        )
    with pytest.raises(TransientError, match="nobody answers"):
        _ = Tracker(TrackingSettings(uri=f"http://127.0.0.1:{port}")).place.client
    assert time.monotonic() - started < 15


def test_a_server_that_takes_calls_and_never_answers_is_told_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        started = time.monotonic()
        with pytest.raises(TransientError):
            Tracker(TrackingSettings(uri=f"http://127.0.0.1:{server.getsockname()[1]}")).check(seconds=1)
        assert time.monotonic() - started < 15


def test_an_occupied_port_is_told_before_anything_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            main(["insight", "serve", "--http", "--port", str(port)])
    err = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2
    assert f"port {port} of 127.0.0.1 cannot be listened at: Address already in use" in err
    assert "another port by --port" in err
    assert "serving on" not in err
    require_free_port("127.0.0.1", port, setting="--port")


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("PKIX path building failed: unable to find valid certification path to requested target", True),
        (
            "SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            True,
        ),
        ("Certificate for <h.example.org> doesn't match any of the subject alternative names: [x]", True),
        ("Unsupported or unrecognized SSL message", True),
        ("error sending request for url (https://h/): invalid peer certificate: UnknownIssuer", True),
        ("Failed to resolve 'h' ([Errno -2] Name or service not known)", True),
        ("[Errno -3] Temporary failure in name resolution", False),
        ("Remote host terminated the handshake", False),
        ("Connection refused", False),
    ],
)
def test_what_no_waiting_mends_is_known(text: str, stays: bool) -> None:
    assert stays_unreachable(text) is stays
