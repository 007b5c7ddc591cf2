"""The import layers of pyproject.toml hold, and the check is able to fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=directory, capture_output=True, text=True, check=False
    )


def test_imports_point_down() -> None:
    ran = lint(ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_an_import_that_points_up_is_caught(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "engage_spark", tmp_path / "engage_spark", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    upward = tmp_path / "engage_spark" / "contract" / "model.py"
    upward.write_text(upward.read_text() + "\nfrom engage_spark.pipelines import report\n")
    ran = lint(tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "engage_spark.contract is not allowed to import engage_spark.pipelines" in ran.stdout
