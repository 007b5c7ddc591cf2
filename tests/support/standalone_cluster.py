"""A standalone Spark cluster of processes on loopback, and spark-submit to it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyspark

from engage_spark.spark import jars, versions
from tests.support.commands import CommandResult, environment, run
from tests.support.short_sessions import SHORT_LIVED

SPARK_HOME = Path(pyspark.__file__).parent
CONF = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.executor.extraJavaOptions": SHORT_LIVED,
}


class Started(NamedTuple):
    """A running process and the file of its output."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def process(
    words: list[str], *, cwd: Path, log: Path, more: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """A process in a group of its own, ended with the block, its output in a file; `more` is added to its
    environment.
    """
    with log.open("wb") as log_file:
        env = environment(
            {"SPARK_HOME": str(SPARK_HOME), "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED, **(more or {})}
        )
        started = subprocess.Popen(
            words, cwd=cwd, env=env, stdout=log_file, stderr=log_file, start_new_session=True
        )
    try:
        yield Started(started, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM if started.poll() is None else signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def wait_for(started: Started, pattern: str, seconds: int = 60) -> str:
    """Wait until the log has a line of this pattern, and return its group."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := re.search(pattern, started.output):
            return found[found.lastindex or 0]
        assert started.process.poll() is None, started.output
        time.sleep(0.1)
    raise AssertionError(f"{pattern} did not come in {seconds} s:\n{started.output}")


@contextlib.contextmanager
def standalone_cluster(
    home: Path, workers: Mapping[str, int], *, more: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A master and its workers, by name with their cores; the address is given. A worker's folder in `home`
    has its name; `more` is added to the environment of all.
    """
    with contextlib.ExitStack() as running:

        def start(name: str, role: str, *words: str) -> Started:
            command = [
                str(SPARK_HOME / "bin" / "spark-class"),
                f"org.apache.spark.deploy.{role.lower()}.{role}",
                *("--host", "127.0.0.1", "--webui-port", "0", *words),
            ]
            return running.enter_context(process(command, cwd=home, log=home / f"{name}.log", more=more))

        master = start("master", "Master", "--port", "0")
        address = wait_for(master, r"Starting Spark master at (spark://\S+)")
        begun = [
            start(
                name,
                "Worker",
                *("--cores", str(cores), "--memory", "1g", "--work-dir", str(home / name), address),
            )
            for name, cores in workers.items()
        ]
        for worker in begun:
            wait_for(worker, "Successfully registered with master")
        yield address


def submit(address: str, script: Path, *words: str, cwd: Path, conf: Mapping[str, str]) -> CommandResult:
    """A script by pyspark's own spark-submit, with `conf` beside CONF. The jars are named as files, which
    spares Ivy's work; the README names packages.
    """
    delta = jars.fetch((versions.installed_pair().delta_package,), ivy=jars.ivy_home({}))
    return submit_with(
        address, script, *words, cwd=cwd, conf={"spark.jars": ",".join(map(str, delta)), **conf}
    )


def submit_with(
    address: str,
    script: Path,
    *words: str,
    cwd: Path,
    conf: Mapping[str, str],
    more: Mapping[str, str] | None = None,
    timeout: int = 400,
) -> CommandResult:
    """As `submit`, with the jars that `conf` names alone; `more` is added to the environment."""
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", address]
    command += [word for key, value in (CONF | dict(conf)).items() for word in ("--conf", f"{key}={value}")]
    env = {"SPARK_HOME": str(SPARK_HOME), **(more or {})}
    return run([*command, str(script), *words], cwd=cwd, env=env, timeout=timeout)
