"""Run the long tests piece by piece, and note each result in docs/long_tests.md: `long_tests.py [PIECE]`."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "long_tests.md"
LIMIT = 2 * 60 * 60
"""Seconds for a piece."""
KILLS = [
    "tests/spark/pipelines/test_kills.py",
    "tests/spark/pipelines/train/test_kills.py",
    "tests/e2e/test_kills.py",
]
FAULTS = ["tests/e2e/test_storage_faults.py"]
STREAM = ["tests/e2e/test_stream.py"]
SPARKS = ["tests/e2e/test_spark_lines.py"]
AIRFLOW = ["tests/e2e/test_airflow_dag.py"]
LAKE = ["tests/spark/pipelines/test_lake_model.py", "tests/spark/pipelines/test_year.py"]
SERVERLESS = ["tests/spark/pipelines/test_serverless.py"]
OWN_DATA = ["tests/e2e/test_first_contract.py", "tests/e2e/test_own_data.py"]
PIECES = {
    "connect": ["tests/spark", "--spark", "connect-all", "-m", "not long"],
    "properties": ["tests", "-m", "hypothesis", "--hypothesis-profile", "long"],
    "kills": [*KILLS, "-m", "long"],
    "faults": [*FAULTS, "-m", "long"],
    "lake": [*LAKE, "-m", "long", "-s"],
    "stream": [*STREAM, "-m", "long", "-s"],
    "own_data": [*OWN_DATA, "-m", "long", "-s"],
    "sparks": [*SPARKS, "-m", "long", "-s"],
    "airflow": [*AIRFLOW, "-m", "long"],
    "serverless": [*SERVERLESS, "--spark", "connect", "-m", "long"],
    "marked": [
        *("tests", "-m", "long"),
        *(
            f"--ignore={path}"
            for path in (*KILLS, *FAULTS, *LAKE, *STREAM, *OWN_DATA, *SPARKS, *AIRFLOW, *SERVERLESS)
        ),
    ],
}
"""Arguments of pytest by name. A piece takes at most two hours; what would take longer becomes two."""


def git(*words: str) -> str:
    """What git prints about this checkout, the page of results left out."""
    return subprocess.run(
        ["git", *words, "--", ".", f":!{PAGE.relative_to(ROOT)}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def passed(page: str, commit: str) -> set[str]:
    """The pieces that have passed at a commit, by the page's table of results."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if "|" in line]
    return {row[2] for row in rows if len(row) == 5 and row[1] == commit and row[3].startswith("passed")}


def outcome(code: int, report: Path) -> str:
    """What a piece's line says: `passed` with how many tests ran, or `failed`, as a piece of skips has."""
    if code != 0:
        return f"failed, exit code {code}"
    suite = ElementTree.parse(report).getroot().find("testsuite")
    tests, skipped = (0, 0) if suite is None else (int(suite.attrib[k]) for k in ("tests", "skipped"))
    if tests == skipped:
        return f"failed, none of {tests} tests ran"
    return f"passed, {tests - skipped} of {tests} tests ran"


def run(piece: str, commit: str) -> bool:
    """Run one piece, and add its line to the page."""
    started = time.monotonic()
    limits = ["--timeout", "3600", "--session-timeout", str(LIMIT)]
    report = ROOT / "build" / f"long-{piece}.xml"
    words = [sys.executable, "-m", "pytest", *PIECES[piece], *limits, "--junitxml", str(report)]
    try:
        code = subprocess.run(words, cwd=ROOT, check=False, timeout=LIMIT * 1.1).returncode
        result = outcome(code, report)
    except subprocess.TimeoutExpired:
        result = "failed, took more than two hours"
    minutes = (time.monotonic() - started) / 60
    with PAGE.open("a", encoding="utf-8") as page:
        page.write(f"| {datetime.now(UTC).date()} | {commit} | {piece} | {result} | {minutes:.0f} |\n")
    print(f"{piece}: {result} after {minutes:.0f} minutes", flush=True)
    return result.startswith("passed")


def main(words: list[str]) -> int:
    if unknown := [w for w in words if w not in PIECES]:
        print(f"no piece is named {unknown[0]}; there are {', '.join(PIECES)}", file=sys.stderr)
        return 2
    if changed := git("status", "--porcelain"):
        print(f"commit first, since results belong to a commit:\n{changed}", file=sys.stderr)
        return 2
    commit = git("log", "-1", "--format=%h")
    before = passed(PAGE.read_text(encoding="utf-8"), commit)
    for piece in before & set(words or PIECES):
        print(f"{piece}: passed at {commit} before, left out", flush=True)
    results = [run(piece, commit) for piece in words or PIECES if piece not in before]
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
