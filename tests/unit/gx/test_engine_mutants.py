"""The mutants of the engine for suites: which there are, and that one without end is stopped."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from pyspark.sql import types as T

from engage_spark.gx import columns, evaluate
from tests.support.engine_mutants import LOADED, EndlessError, limited, loaded, mutants, rendered


def test_mutants_are_made_of_every_module_and_kind() -> None:
    named = {m.name: m for m in mutants()}
    assert len(named) > 180
    assert {m.module for m in named.values()} == set(LOADED)
    changes = [(m.before, m.after) for m in named.values()]
    signs = [
        ("<", "<="),
        ("<=", "<"),
        (">", ">="),
        (">=", ">"),
        ("==", "!="),
        ("is", "is not"),
        ("in", "not in"),
    ]
    for before, after in signs:
        assert any(f" {before} " in b and f" {after} " in a for b, a in changes), before
    assert any("isNotNull" in a and "isNull" in b for b, a in changes)
    assert any(".eqNullSafe(" in b and ".eqNullSafe(" not in a for b, a in changes)
    assert any("F.lit(False)" in b and "F.lit(True)" in a for b, a in changes)


def test_a_mutant_stands_in_the_place_of_the_engine_for_a_while() -> None:
    mutant = next(m for m in mutants() if m.name.startswith("columns.any_of: len(level) > 1"))
    with loaded(mutant) as engine:
        assert engine is not evaluate
        assert sys.modules["engage_spark.gx.columns"] is not columns
        with pytest.raises(EndlessError), limited(0.2):
            engine.any_of([True, False])
    assert sys.modules["engage_spark.gx.columns"] is columns
    assert sys.modules["engage_spark.gx.evaluate"] is evaluate
    assert evaluate.any_of([True, False]) is True


SMALL = columns.ColumnCells("m", None, T.DecimalType(9, 2))  # type: ignore[arg-type]
OF_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "columns._of_text: cells.digits is None → cells.digits is not None": (
        lambda module: module.number("0.10000000000000000001", SMALL),
        Fraction(10**19 + 1, 10**20),
    ),
    "columns.literal: cells.digits is None → cells.digits is not None": (
        lambda module: module.literal(SMALL, math.nan),
        None,
    ),
}
"""Mutants that no table shows: what the function gives instead."""


@pytest.mark.parametrize("name", OF_FUNCTIONS)
def test_what_no_table_shows_the_function_does(name: str) -> None:
    of, expected = OF_FUNCTIONS[name]
    assert of(columns) == expected
    with loaded(next(m for m in mutants() if m.name == name)):
        try:
            changed = of(sys.modules[columns.__name__])
        except Exception:  # noqa: BLE001 (whatever a broken engine raises is noticed)
            return
    assert changed != expected


def test_the_page_says_what_notices_each() -> None:
    names = ["a.f: x < y → x <= y", "a.g: x | y", "a.h: x is y"]
    noticed = {names[0]: ["corners", "expect_x"], names[1]: None}
    page = rendered(names, noticed, {names[1]: "same"}, "c")
    assert "| a.h: `x is y` | not run yet |" in page
    assert "| a.f: `x < y → x <= y` | corners: `expect_x` |" in page
    assert "| a.g: `x \\| y` | no table: same |" in page
    assert "3 mutants, 2 run, 1 noticed\n(1 on corners)" in page
