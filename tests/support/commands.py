"""What the end-to-end tests share: the command line in processes of its own, and a table's contents as a
hash.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pyspark.sql import functions as F

from engage_spark.cli import main
from engage_spark.lake import Lake, RunLog
from engage_spark.settings import LakeSettings
from tests.support.paths import ROOT
from tests.support.short_sessions import SHORT_LIVED, WITHOUT_CODE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY = date(2025, 10, 21)
"""The last day of what synth makes by default."""
LANDED = {"ENGAGE_SPARK__INGEST__LANDED_AT": "2025-11-21T00:30:00Z"}
"""As the demo has it: the same delivery is as late in every lake, whenever a test runs."""
JUDGED = ("customers_judged", "connections_judged", "interactions_judged")


class CommandResult(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def transcript(self) -> str:
        return (
            f"exit code {self.code} after {self.seconds:.0f} s\n--- standard "
            f"output\n{self.out}\n--- standard error\n{self.err}"
        )


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would decide a command's settings, at 80 columns."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("ENGAGE_SPARK", "SPARK_", "PYSPARK_", "AWS_"))
    }
    return (
        kept
        | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYSPARK_PYTHON": sys.executable, **LANDED}
        | dict(more or {})
    )


def overrides(**values: object) -> list[str]:
    """`--set` options; a double underscore stands for the dot."""
    return [word for key, value in values.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


def small_session(home: Path, memory: str = "1g") -> list[str]:
    """Options of a session as tiny as the data."""
    return [
        *overrides(spark__master="local[2]", spark__driver_memory=memory, spark__shuffle_partitions=2),
        *(
            "--set",
            f"spark.conf.spark.local.dir={home / 'local'}",
            "--set",
            "spark.conf.spark.default.parallelism=2",
        ),
        *("--set", f"spark.conf.spark.driver.extraJavaOptions={SHORT_LIVED}"),
        *(w for key, value in WITHOUT_CODE.items() for w in ("--set", f"spark.conf.{key}={value}")),
    ]


def run(
    command: Iterable[str], *, cwd: Path, env: Mapping[str, str] | None = None, timeout: int = 400
) -> CommandResult:
    started = time.monotonic()
    done = subprocess.run(
        list(command),
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    return CommandResult(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def run_engage_spark(
    *words: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: int = 400
) -> CommandResult:
    """`engage-spark WORDS…` as a process."""
    return run([sys.executable, "-m", "engage_spark", *words], cwd=cwd, env=env, timeout=timeout)


def in_one_session(steps: list[dict[str, Any]], home: Path, *, timeout: int = 500) -> list[Any]:
    """Run steps in one session of a process of its own in `home`, and return what came of each."""
    plan = {
        "env": None,
        "conf_dir": None,
        "secrets": {},
        "steps": steps,
        "overrides": [w for w in small_session(home) if w != "--set"] + [f"log.spark={home / 'spark.log'}"],
    }
    (home / "steps.json").write_text(json.dumps(plan), encoding="utf-8")
    script = str(ROOT / "tests" / "support" / "one_session.py")
    process = run([sys.executable, script, "steps.json", "results.json"], cwd=home, timeout=timeout)
    assert process.code == 0, process.transcript[-4000:]
    done: list[Any] = json.loads((home / "results.json").read_text(encoding="utf-8"))["steps"]
    return done


def run_here(*words: str) -> CommandResult:
    """`engage-spark WORDS…` in this process and its session, with the environment of `run`."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in ({"COLUMNS": "80"} | LANDED).items():
            patch.setenv(name, value)
        try:
            main(words)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return CommandResult(code, out.getvalue(), err.getvalue(), time.monotonic() - started)


def content_digest(rows: DataFrame, *, without: tuple[str, ...] = ()) -> str:
    """SHA-256 over the sorted rows, every column bit by bit (as JSON that keeps nulls), the order of rows and
    files left out.
    """
    columns = sorted(c for c in rows.columns if c not in without)
    line = F.sha2(
        F.to_json(F.struct(*(F.col(f"`{c}`") for c in columns)), {"ignoreNullFields": "false"}), 256
    )
    digest: str = rows.agg(F.sha2(F.concat_ws("\n", F.array_sort(F.collect_list(line))), 256)).collect()[0][0]
    return digest


def table(spark: SparkSession, lake: Path | str, name: str) -> DataFrame:
    if name in ("quality_results", "quality_states"):
        return RunLog(Lake(LakeSettings(root=str(lake)))).read_evidence(spark, name)
    return spark.read.format("delta").load(f"{lake}/{name}")


def content_digests(
    spark: SparkSession, lake: Path | str, names: Iterable[str], *, without: tuple[str, ...] = ()
) -> dict[str, str]:
    return {name: content_digest(table(spark, lake, name), without=without) for name in names}
