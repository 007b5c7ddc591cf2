"""Run the package on another line of Spark: `spark_lines.py LINE…`, such as `spark_lines.py 3.5`; with
`install` before them, only set up their environments.

Each line has an environment of its own below build/spark_lines, with its Spark, Delta and what else its extra
pins; all other packages are those of this environment. There the Spark tests of `TESTS` run, and the demo,
whose tables must be those that this environment's Spark makes, row by row and bit by bit.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from deltalake import DeltaTable

from engage_spark.spark.versions import DEFAULT, LINES, SparkLine
from tests.support.commands import CommandResult, overrides, run, small_session
from tests.support.paths import ROOT

HOME = ROOT / "build" / "spark_lines"
CUSTOMERS = 1000
FEW = {"models__folds": 2, "models__keep": 8, "models__bootstrap": 20, "models__smallest_group": 20}
TESTS = ("tests/spark/spark",)
"""The tests that run on every line. Beside them the demo goes through all stages."""
OF_A_RUN = frozenset(
    {
        *("_run_id", "run_id", "inputs", "outputs", "contract_digest", "code_version", "table_versions"),
        *("started_at", "finished_at", "landed_at", "fingerprint", "message", "seconds"),
        *("mlflow_run_id", "mlflow_run", "model_version", "version"),
    }
)
"""Columns that name a run, a clock, a version of code or MLflow's ids."""


class LakeDifference(NamedTuple):
    """A table that is another in a second lake, and its columns that differ; none where rows or names do."""

    table: str
    columns: tuple[str, ...]


def environment_of(line: SparkLine) -> Path:
    """Make the environment of a line once, and return its Python."""
    if line is DEFAULT:
        return Path(sys.executable)
    home = HOME / line.line
    python, done = home / "bin" / "python", home / ".installed"
    pins = _pins(line)
    if done.is_file() and done.read_text(encoding="utf-8") == "\n".join(pins):
        return python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, *pins], check=True)
    own = next(home.glob("lib/python*/site-packages"))
    shared = next(p for p in sys.path if p.endswith("site-packages"))
    (own / "zz_shared.pth").write_text(f"{shared}\n", encoding="utf-8")  # after its own packages
    subprocess.run([str(python), "-m", "engage_spark.spark.jars"], check=True, cwd=ROOT)
    done.write_text("\n".join(pins), encoding="utf-8")
    return python


def _pins(line: SparkLine) -> list[str]:
    """What the extra of a line pins, without the extras of those; a bound stays a bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.sub(r"\[.*?\]", "", pin) for pin in project["optional-dependencies"][line.extra]]


def run_tests(line: SparkLine, *words: str) -> CommandResult:
    """The tests of every line, on this one."""
    command = [str(environment_of(line)), "-m", "pytest", "-q", "-p", "no:cacheprovider", *(words or TESTS)]
    return run([*command, "-m", "not long", "--spark", "classic"], cwd=ROOT, env=_env(line), timeout=1200)


def run_demo(line: SparkLine, home: Path, *, customers: int = CUSTOMERS) -> CommandResult:
    """The demo on a line, with its lake in `home`."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    places = overrides(
        synth__out=home / "raw", lake__root=home / "lake", tracking__folder=home / "mlflow", **FEW
    )
    words = [*places, "--set", 'models.candidates=["linear"]', *small_session(home)]
    command = [str(environment_of(line)), "-m", "engage_spark", "demo", "--customers", str(customers), *words]
    return run(command, cwd=home, env=_env(line), timeout=1200)


def _env(line: SparkLine) -> Mapping[str, str]:
    return {"PYSPARK_PYTHON": str(environment_of(line))}


def differences(one: Path, other: Path) -> list[LakeDifference]:
    """What two lakes do not have in common. Columns that name a run or a clock are left out."""
    names = {p.parent.name for lake in (one, other) for p in lake.glob("*/_delta_log")}
    return [d for name in sorted(names) if (d := _difference(name, _rows(one / name), _rows(other / name)))]


def _difference(
    name: str, one: Sequence[Mapping[str, Any]] | None, other: Sequence[Mapping[str, Any]] | None
) -> LakeDifference | None:
    if one is None or other is None or len(one) != len(other):
        return LakeDifference(name, ())
    if _digest(one) == _digest(other):
        return None
    columns = sorted({c for row in (*one, *other) for c in row})
    return LakeDifference(
        name,
        tuple(
            c
            for c in columns
            if _digest([{c: r.get(c)} for r in one]) != _digest([{c: r.get(c)} for r in other])
        ),
    )


def _rows(path: Path) -> list[dict[str, Any]] | None:
    if not (path / "_delta_log").is_dir():
        return None
    rows: list[dict[str, Any]] = DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    return [_without_run(row) for row in rows]


def _without_run(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_run(v) for k, v in value.items() if k not in OF_A_RUN}
    if isinstance(value, list | tuple):
        return [_without_run(v) for v in value]
    return value.hex() if isinstance(value, float | bytes) else value


def _digest(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check(names: Sequence[str]) -> bool:
    """Run tests and demo on some lines, and say what came of it."""
    good = True
    lines = [LINES[name] for name in names]
    reference = HOME / "lakes" / DEFAULT.line / "lake"
    with ThreadPoolExecutor(2) as pool:
        demos = {
            line: pool.submit(run_demo, line, HOME / "lakes" / line.line)
            for line in dict.fromkeys([DEFAULT, *lines])
        }
        tests = {line: pool.submit(run_tests, line) for line in lines}
    for line, running in demos.items():
        demo = running.result()
        _say(
            f"Spark {line.line}: demo of {CUSTOMERS:,} customers, {demo.seconds:.0f} s, exit code {demo.code}"
        )
        if demo.code != 0:
            print(demo.transcript, flush=True)
            good = False
    for line in lines:
        ran = tests[line].result()
        _say(f"Spark {line.line}: {ran.out.strip().splitlines()[-1:]} {ran.seconds:.0f} s")
        if ran.code != 0:
            print(ran.transcript, flush=True)
            good = False
        if demos[line].result().code == 0 and line is not DEFAULT:
            other = differences(reference, HOME / "lakes" / line.line / "lake")
            for d in other:
                _say(f"Spark {line.line}: {d.table} differs: {', '.join(d.columns) or 'rows'}")
            _say(f"Spark {line.line}: {len(other)} tables differ from those of Spark {DEFAULT.line}")
            good = good and not other
    return good


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["install"]:
        for name in sys.argv[2:]:
            environment_of(LINES[name])
        sys.exit()
    started = time.monotonic()
    passed = check(sys.argv[1:] or [name for name in LINES if name != DEFAULT.line])
    _say(f"{'passed' if passed else 'failed'} after {time.monotonic() - started:.0f} s")
    sys.exit(not passed)
