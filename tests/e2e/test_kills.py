"""Processes that are killed: SIGKILL to the group of a command before each effect, then the same again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import (
    ROOT,
    CommandResult,
    environment,
    overrides,
    run,
    run_engage_spark,
    small_session,
)
from tests.support.deliveries import BIKES, deliver, stations
from tests.support.delta_files import digests, rows
from tests.support.paths import DATA

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
DAY = "2025-10-21"
KILLED = str(ROOT / "tests" / "support" / "killed_command.py")


def words(home: Path, delivery: Path, stage: str) -> list[str]:
    return [
        *("--contract", str(DATA / "bikes.odcs.yaml")),
        *overrides(lake__root=home / "lake", input__root=delivery / "raw"),
        *small_session(home),
        stage,
    ]


def killed(number: int, home: Path, delivery: Path, stage: str) -> CommandResult:
    """Run a stage in a process group of its own, to be killed before its n-th effect (0: never)."""
    done = subprocess.run(
        [sys.executable, KILLED, str(number), *words(home, delivery, stage)],
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        start_new_session=True,
    )
    return CommandResult(done.returncode, done.stdout, done.stderr, 0.0)


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("delivery")
    deliver(stations(20), BIKES, home, DAY)
    return home


@pytest.mark.parametrize("stage", ["ingest", "features"])
def test_a_command_killed_before_each_effect_and_run_again(
    delivery: Path, tmp_path: Path, stage: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    if stage == "features":
        assert run_engage_spark(*words(base, delivery, "ingest"), cwd=base).code == 0
    whole = shutil.copytree(base, tmp_path / "whole")
    undisturbed = killed(0, whole, delivery, stage)
    assert undisturbed.code == 0, undisturbed.transcript
    effects = [line for line in undisturbed.out.splitlines() if line.startswith("effect ")]
    expected = digests(whole / "lake")
    for number in range(1, len(effects) + 1):
        home = shutil.copytree(base, tmp_path / f"killed-{number}")
        assert killed(number, home, delivery, stage).code == -9, effects[number - 1]
        again = run_engage_spark(*words(home, delivery, stage), cwd=home)
        assert again.code == 0, (effects[number - 1], again.transcript)
        assert digests(home / "lake") == expected, effects[number - 1]
        shutil.rmtree(home)


def test_two_deliveries_of_a_day_at_once_end_in_one_of_them(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        deliver(stations(20 + seed, seed=seed), BIKES, tmp_path / name, DAY)
    for trial in range(3):
        home = tmp_path / f"home-{trial}"
        home.mkdir()
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "engage_spark", *words(home, tmp_path / name, "ingest")],
                cwd=home,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for name in "ab"
        ]
        ended = [(p.communicate(timeout=300)[0], p.returncode) for p in both]
        assert {code for _, code in ended} <= {0, 4} and 0 in {code for _, code in ended}, ended
        for name, (_, code) in zip("ab", ended, strict=True):
            if code == 4:  # as a scheduler does
                assert (
                    run(
                        [sys.executable, "-m", "engage_spark", *words(home, tmp_path / name, "ingest")],
                        cwd=home,
                    ).code
                    == 0
                )
        runs = [r for r in rows(home / "lake" / "runs") if r["status"] == "published"]
        newest = max(runs, key=lambda r: (r["attempt"], r["finished_at"]))
        seen = [r for r in rows(home / "lake" / "stations_judged") if r["_run_id"] == newest["run_id"]]
        assert len(seen) == newest["rows_in"] > 0
