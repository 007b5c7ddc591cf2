"""What Spark 3.5 lacks is used through one module."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from enum import IntEnum, StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyspark
import pytest
from pyspark import sql
from pyspark.sql import functions as F

from engage_spark.spark import compat

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PACKAGE = Path(__file__).parents[3] / "engage_spark"
COMPAT = PACKAGE / "spark" / "compat.py"
NEW = (4, 0)
CLASSES = (
    sql.Column,
    sql.DataFrame,
    sql.DataFrameReader,
    sql.DataFrameWriter,
    sql.DataFrameWriterV2,
    sql.GroupedData,
    sql.SparkSession,
    sql.catalog.Catalog,
)
OF_OTHERS = frozenset({"changes", "exists", "outer", "plot", "profile", "scalar", "transform"})
"""Methods that are new in one class of Spark's, and whose names older classes of Spark's or other libraries
have as well."""


def added_in(thing: Any) -> tuple[int, int]:
    """The Spark version in which something came, by its own documentation."""
    m = re.search(r"versionadded:: *(\d+)\.(\d+)", inspect.getdoc(thing) or "")
    return (int(m[1]), int(m[2])) if m else (0, 0)


@cache
def new_methods() -> frozenset[str]:
    names = {(c, n) for c in CLASSES for n in vars(c) if not n.startswith("_")}
    return frozenset(n for c, n in names if added_in(inspect.getattr_static(c, n)) >= NEW) - OF_OTHERS


def new_names(source: str) -> Iterator[str]:
    """Names of functions, classes and methods of Spark's in a module that Spark 3.5 lacks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyspark"):
            module = importlib.import_module(node.module or "")
            yield from (a.name for a in node.names if added_in(getattr(module, a.name, None)) >= NEW)
        elif isinstance(node, ast.Attribute):
            is_function = isinstance(node.value, ast.Name) and node.value.id == "F"
            if (is_function and added_in(getattr(F, node.attr)) >= NEW) or (
                not is_function and node.attr in new_methods()
            ):
                yield node.attr


def test_what_spark_3_5_lacks_is_used_in_compat_alone() -> None:
    used = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path != COMPAT
        for name in new_names(path.read_text(encoding="utf-8"))
    }
    assert not used


def test_the_names_that_spark_3_5_lacks_are_seen() -> None:
    assert set(new_names(COMPAT.read_text(encoding="utf-8"))) == {
        "PySparkLogger",
        "arrow_udf",
        "is_remote",
        "make_valid_utf8",
        "toArrow",
    }
    assert list(new_names("a = rows.mergeInto(b)")) == ["mergeInto"]
    assert not list(new_names("a = F.hll_sketch_agg(b); rows.transform(c).mapInArrow(d)"))


def test_rows_of_python_go_to_spark_by_from_rows() -> None:
    """Spark 3.5 takes exact types alone. Whole numbers and Spark's own rows are."""
    makers = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != COMPAT
        for line in path.read_text(encoding="utf-8").splitlines()
        if ".createDataFrame(" in line
    ]
    assert [m.split(": ")[0] for m in makers] == [
        "pipelines/ingest/repeated_events.py",
        "quality/checks/duplicate_keys.py",
        "quality/checks/duplicate_keys.py",
    ], makers


class _Colour(StrEnum):
    RED = "red"


class _Number(IntEnum):
    ONE = 1


def test_values_of_subclasses_become_plain() -> None:
    made = compat._plain(
        (
            _Colour.RED,
            [_Number.ONE, np.int64(2), np.float64(0.5), np.bool_(True)],
            {_Colour.RED: (None, b"x")},
            True,
        )
    )
    assert made == ("red", [1, 2, 0.5, True], {"red": (None, b"x")}, True)
    leaves = [made[0], *made[1], *made[2], made[2]["red"][1], made[3]]
    assert [type(v) for v in leaves] == [str, int, int, float, bool, str, bytes, bool]


def _of_spark_3_5(f: Callable[..., Any]) -> Callable[..., Any]:
    assert callable(f), "it would be called with a session, and fail in another thread"
    return f


def _of_spark_4(f: Callable[..., Any] | SparkSession) -> Callable[..., Any]:
    assert f == "session"
    return lambda function: function


@pytest.mark.parametrize("helper", [_of_spark_3_5, _of_spark_4])
def test_a_thread_inherits_by_the_helper_of_each_spark(
    helper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyspark, "inheritable_thread_target", helper)
    decorate = compat.inherits_properties(cast("SparkSession", "session"))
    assert decorate(len)("abc") == 3
