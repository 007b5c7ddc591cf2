"""The contracts pass `datacontract lint`. The tool brings many dependencies, so it lives in an environment of
its own in .cache/.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.paths import ROOT

VERSION = "1.2.8"
CONTRACTS = sorted(
    [
        *(ROOT / "engage_spark" / "contract").glob("*.odcs.yaml"),
        *(ROOT / "tests" / "data").glob("*.odcs.yaml"),
    ]
)


@pytest.fixture(scope="module")
def datacontract() -> Path:
    """The command, installed once per version and kept for the next run."""
    home = ROOT / ".cache" / f"datacontract-cli-{VERSION}"
    command, done = home / "bin" / "datacontract", home / "installed"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True)
        install = [
            str(home / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            f"datacontract-cli=={VERSION}",
        ]
        result = subprocess.run(install, capture_output=True, text=True, check=False, timeout=540)
        if result.returncode:
            pytest.skip(
                f"pip could not install datacontract-cli {VERSION} (no package index?): "
                f"{result.stderr.strip().splitlines()[-1:]}"
            )
        done.touch()
    return command


def lint(command: Path, contract: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(command), "lint", "--all-errors", str(contract)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda p: p.name)
def test_datacontract_lint_passes(datacontract: Path, contract: Path) -> None:
    result = lint(datacontract, contract)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_datacontract_lint_refuses_a_broken_contract(datacontract: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.odcs.yaml"
    broken.write_text(
        CONTRACTS[0].read_text(encoding="utf-8").replace("logicalType: integer", "logicalType: whole", 1),
        encoding="utf-8",
    )
    result = lint(datacontract, broken)
    assert result.returncode != 0, f"{sys.executable}: {result.stdout}"


def test_there_are_contracts_to_lint() -> None:
    assert {"engagement.odcs.yaml", "system.odcs.yaml", "bikes.odcs.yaml"} <= {p.name for p in CONTRACTS}
