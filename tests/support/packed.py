"""The package as it is sent to a cluster, built once for a test."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from tests.support.paths import ROOT


def _build_module() -> ModuleType:
    """`deploy/spark_submit/build.py`, which is a script and no part of the package."""
    path = ROOT / "deploy" / "spark_submit" / "build.py"
    spec = importlib.util.spec_from_file_location("spark_submit_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = _build_module()


def built_wheel(out: Path) -> Path:
    """The wheel of this checkout, in a new folder."""
    wheel: Path = build.build_wheel(out)
    return wheel
