"""Clusters, ports and buckets that cannot do the work: one clear message in 30 seconds, and its exit code."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engage_spark.spark import jars, versions
from tests.support.commands import CommandResult, overrides, run_engage_spark, small_session
from tests.support.deliveries import BIKES, deliver, stations
from tests.support.paths import DATA, ROOT
from tests.support.standalone_cluster import standalone_cluster, submit

pytestmark = pytest.mark.slow
DAY = "2025-10-21"
OLDER = """
import collections, sys
kind = collections.namedtuple("version_info", "major minor micro releaselevel serial")
sys.version_info = kind(3, 10, 1, "final", 0)
"""


def require_one_error(ran: CommandResult, code: int, words: str, *, seconds: float = 30) -> None:
    """It ended soon with this exit code and one error that has these words, and says how to mend it."""
    # Of a job in spark-submit Spark's own log has the other stream.
    said = ran.out if "error: " in ran.out else ran.err
    assert ran.code == code, ran.transcript
    assert len(re.findall(r"^error: ", said, re.MULTILINE)) == 1, ran.transcript
    assert re.search(words, " ".join(said.split())), ran.transcript
    assert "Hint: " in said and "Traceback" not in said, ran.transcript
    assert ran.seconds < seconds, ran.transcript


def delivered(home: Path) -> list[str]:
    """Settings of places with a delivery, and no lake yet."""
    deliver(stations(5), BIKES, home, DAY)
    return overrides(contract=DATA / "bikes.odcs.yaml", input__root=home / "raw", lake__root=home / "lake")


def python_with(folder: Path, customized: str) -> Path:
    """A Python of the executors that is another in one thing."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(customized, encoding="utf-8")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return script


def test_another_python_on_the_executors_is_named_before_any_work(tmp_path: Path) -> None:
    """`tests/spark/spark/test_unfit_workers.py` has executors without a Python, and without a module."""
    conf = {"spark.pyspark.python": str(python_with(tmp_path / "other", OLDER))}
    conf |= {"spark.pyspark.driver.python": sys.executable, "spark.executor.memory": "700m"}
    (tmp_path / "cluster").mkdir()
    with standalone_cluster(tmp_path / "cluster", {"one": 1}) as address:
        words = delivered(tmp_path)
        ran = submit(address, ROOT / "jobs" / "ingest.py", *words, cwd=tmp_path, conf=conf)
    # Beside other suites on two cores a cluster's session alone takes half a minute.
    words_of_error = r"the executors run Python 3\.10, the driver 3\.\d+.* spark.archives"
    require_one_error(ran, 2, words_of_error, seconds=90)
    assert not (tmp_path / "lake").exists()


def test_a_spark_that_is_not_known_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "pyspark").mkdir()
    (tmp_path / "pyspark" / "__init__.py").touch()
    (tmp_path / "pyspark" / "version.py").write_text('__version__ = "4.3.0"\n')
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    ran = run_engage_spark("ingest", *delivered(tmp_path), cwd=tmp_path, env=env)
    require_one_error(ran, 2, r"Spark 4\.3\.0 is not known here: .* runs on Spark 3\.5, 4\.0, 4\.1, 4\.2")


@contextlib.contextmanager
def occupied(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port at which somebody listens, and says nothing."""
    with socket.create_server((host, port), backlog=16) as server:
        yield server.getsockname()[1]


def test_a_master_that_listens_and_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    with occupied() as port:
        master = overrides(spark__master=f"spark://127.0.0.1:{port}")
        ran = run_engage_spark(
            "ingest", *delivered(tmp_path), *small_session(tmp_path), *master, cwd=tmp_path
        )
    require_one_error(ran, 4, "did not take the application within 20 s")


def test_a_master_that_nobody_runs_is_named_at_once(tmp_path: Path) -> None:
    with occupied() as port:
        pass
    master = overrides(spark__master=f"spark://127.0.0.1:{port}")
    ran = run_engage_spark("ingest", *delivered(tmp_path), *small_session(tmp_path), *master, cwd=tmp_path)
    require_one_error(ran, 4, f"nobody answers at 127.0.0.1:{port}")


def test_an_occupied_port_of_the_driver_is_named(tmp_path: Path) -> None:
    with occupied() as port:
        own = ["--set", f"spark.conf.spark.driver.port={port}", "--set", "spark.conf.spark.port.maxRetries=0"]
        ran = run_engage_spark("ingest", *delivered(tmp_path), *small_session(tmp_path), *own, cwd=tmp_path)
    require_one_error(ran, 2, "a port is occupied: Address already in use")


class _Denying(BaseHTTPRequestHandler):
    """A store in which every bucket is another account's."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def denying() -> Iterator[Mapping[str, object]]:
    """Settings of a store that lets nobody in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Denying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "s3__endpoint": f"http://127.0.0.1:{server.server_port}",
        "s3__region": "us-east-1",
        "s3__path_style": "true",
        "s3__ssl": "false",
    }
    server.shutdown()


@pytest.mark.parametrize("which", ["input__root", "lake__root"])
def test_a_bucket_of_another_account_is_named(
    tmp_path: Path, denying: Mapping[str, object], which: str
) -> None:
    pair = versions.installed_pair()
    if not jars.resolved((pair.delta_package, pair.line.s3a_package), ivy=jars.ivy_home({})):
        pytest.skip("the S3 jars are not here: `make test` fetches them (0.7 GB)")
    there = overrides(**{which: "s3a://bucket-of-others/place", **denying})
    secrets = {"ENGAGE_SPARK__S3__ACCESS_KEY": "AKIDOFNOBODY", "ENGAGE_SPARK__S3__SECRET_KEY": "none-at-all"}
    words = [*delivered(tmp_path), *small_session(tmp_path), *there]
    ran = run_engage_spark("ingest", *words, cwd=tmp_path, env=secrets)
    require_one_error(ran, 2, "s3a://bucket-of-others/place.*(Access ?Denied|Forbidden|access is refused)")


def test_a_bucket_of_another_account_is_named_without_spark(
    tmp_path: Path, denying: Mapping[str, object]
) -> None:
    there = overrides(lake__root="s3a://bucket-of-others/place", **denying)
    secrets = {"ENGAGE_SPARK__S3__ACCESS_KEY": "AKIDOFNOBODY", "ENGAGE_SPARK__S3__SECRET_KEY": "none-at-all"}
    ran = run_engage_spark("sql", "SELECT * FROM customers", *there, cwd=tmp_path, env=secrets)
    require_one_error(ran, 2, "s3a://bucket-of-others/place.*access is refused")
