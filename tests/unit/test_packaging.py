"""The wheel carries what a user outside the checkout needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


@pytest.mark.parametrize(
    "ending",
    [
        ".dist-info/licenses/LICENSE",
        "engage_spark/py.typed",
        "engage_spark/_conf/base.yaml",
        "engage_spark/contract/engagement.odcs.yaml",
        "engage_spark/synth/scenario.yaml",
        "engage_spark/report/assets/report.css",
        "engage_spark/report/assets/report.js",
    ],
)
def test_the_wheel_holds_what_is_not_code(wheel: zipfile.ZipFile, ending: str) -> None:
    assert [name for name in wheel.namelist() if name.endswith(ending)]


def test_the_wheel_holds_every_module_and_no_test(wheel: zipfile.ZipFile) -> None:
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "engage_spark").rglob("*.py")}
    assert modules <= set(wheel.namelist())
    assert not [name for name in wheel.namelist() if name.startswith(("tests/", "docs/"))]


def test_the_wheel_states_licence_and_extras(wheel: zipfile.ZipFile) -> None:
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = wheel.read(name).decode().splitlines()
    assert "License-Expression: Apache-2.0" in metadata
    extras = {line.removeprefix("Provides-Extra: ") for line in metadata if line.startswith("Provides-Extra")}
    sparks = {"spark", "spark35", "spark40", "spark41"}
    assert extras == sparks | {"s3", "sql", "report", "mcp", "ml", "xgboost", "gx", "dev"}


def test_the_version_is_stated_once_alike() -> None:
    import tomllib

    import engage_spark

    declared = tomllib.loads(Path(ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared["project"]["version"] == engage_spark.__version__
