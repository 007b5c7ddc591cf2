"""The public API: few names, typed, imported when they are asked for."""

from __future__ import annotations

import ast
import inspect

import pytest

import engage_spark
from tests.support.paths import ROOT


def test_every_public_name_is_there_and_typed() -> None:
    stub = ast.parse((ROOT / "engage_spark" / "__init__.pyi").read_text(encoding="utf-8"))
    typed = {a.asname: n.module for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert {*typed, "__version__"} == set(engage_spark.__all__)
    assert set(engage_spark.__all__) <= set(dir(engage_spark))
    for name, module in typed.items():
        value = getattr(engage_spark, str(name))
        assert callable(value)
        assert value.__name__ == name
        assert (inspect.getdoc(value) or "").strip(), f"{name} of {module} has no docstring"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'chek'"):
        _ = engage_spark.chek
