"""Executors whose Python does not fit the driver's: the package names what is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.lake import translate_spark_errors

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def _import_what_is_nowhere(batches: Iterator[Any]) -> Iterator[Any]:
    import engage_spark_of_nobody  # type: ignore[import-not-found]  # noqa: F401

    yield from batches


def _same(batches: Iterator[Any]) -> Iterator[Any]:
    yield from batches


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no python", "the executors cannot start .*/nowhere/python"),
        ("no module", "the executors' Python has no module engage_spark_of_nobody"),
    ],
)
def test_executors_that_do_not_fit_are_named(
    spark: SparkSession,
    spark_kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    words: str,
) -> None:
    if spark_kind == "connect":
        pytest.skip("a client of Spark Connect does not choose the Python of the workers")
    here = os.environ.get("PYSPARK_PYTHON", sys.executable)
    python = f"{tmp_path}/nowhere/python" if case == "no python" else here
    monkeypatch.setattr(spark.sparkContext, "pythonExec", python)
    function = _import_what_is_nowhere if case == "no module" else _same
    rows = spark.range(2).mapInArrow(function, "id bigint")
    with pytest.raises(ConfigurationError, match=f"it did not end: {words}") as caught:
        with translate_spark_errors("it did not end"):
            rows.collect()
    assert caught.value.hint
