"""What `make package` builds: the package runs from the zip, and the environment holds what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from engage_spark.contract import load_contract
from engage_spark.lake.run_log import code_version
from tests.support.packed import build, built_wheel
from tests.support.paths import ROOT

FROM_ZIP = """
import sys, engage_spark
from engage_spark import load_settings
from engage_spark.cli import main
from engage_spark.contract import load_contract, system_contract
from engage_spark.lake.run_log import code_version
from engage_spark.numerics.jit import cache_directory
from engage_spark.synth.scenario import load_scenario
assert ".zip/" in engage_spark.__file__, engage_spark.__file__
assert {t.name for t in system_contract().tables} >= {"runs", "training_runs"}
assert load_settings("databricks").lake.catalog == "engagement_dev"
load_scenario(), cache_directory()
print(load_contract().digest, code_version())
main(["--env", "nowhere", "ingest"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("dist"))


def test_the_package_runs_from_the_zip_as_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    archive = build.build_zip(wheel)
    environment = {"PYTHONPATH": str(archive), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.main()\nimport sys\n{_FIRST}{FROM_ZIP}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"{load_contract().digest} {code_version()}\n", done.stderr
    assert done.returncode == 2
    assert "choose one of cluster, databricks, local, s3" in done.stderr


_FIRST = "sys.path.sort(key=lambda p: not p.endswith('.zip'))\n"
"""An editable install puts the checkout on the path, too."""


def test_the_environment_needs_nothing_that_the_cluster_brings() -> None:
    needed = set(build.needed_distributions(["s3", "ml"]))
    assert {"numba", "numpy", "pandas", "pyarrow", "pydantic", "typer", "boto3", "mlflow"} <= needed
    assert not needed & {"engage-spark", "pyspark", "delta-spark", "py4j", "moto", "pytest"}
    assert "boto3" not in build.needed_distributions([])
    with pytest.raises(SystemExit, match="no extra s4; there are dev, gx"):
        build.needed_distributions(["s4"])


def test_unless_said_otherwise_the_environment_has_what_every_stage_needs() -> None:
    assert {"boto3", "mlflow"} <= set(build.needed_distributions(build.EXTRAS))
    ran = subprocess.run(
        ["make", "-n", "package"],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "build.py" in ran.stdout and "--extras" not in ran.stdout, "one place says the default"


def test_the_environment_runs_where_it_is_unpacked(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("pyyaml", "pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection")
    monkeypatch.setattr(build, "needed_distributions", lambda _: few)
    with tarfile.open(build.build_environment(wheel)) as archive:
        archive.extractall(tmp_path / "environment", filter="fully_trusted")
    python = str(tmp_path / "environment" / "bin" / "python")
    words = "import sys, engage_spark, pydantic; print(sys.prefix, engage_spark.__file__, pydantic.__file__)"
    ran = subprocess.run(
        [python, "-c", words],
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(path.startswith(str(tmp_path / "environment")) for path in ran.stdout.split())
    missing = subprocess.run(
        [python, "-c", "import pytest"],
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ModuleNotFoundError" in missing.stderr, "nothing of this environment is seen"
