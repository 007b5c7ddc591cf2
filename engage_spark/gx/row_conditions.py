"""Translate `row_condition`: which rows an expectation is about, in all of GX's dialects, as one Spark
column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import and_, eq, ge, gt, le, lt, ne, or_
from typing import Any

from pyspark import errors as E
from pyspark.sql import Column
from pyspark.sql import functions as F

from engage_spark.contract.expressions import read_expression
from engage_spark.gx.columns import ColumnCells, Frame, any_of, compared, literal, literals, number
from engage_spark.gx.expectation_args import ExpectationArgs, RefusedError
from engage_spark.masking import cut

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_TERM = re.compile(
    r"""^\s*col\("(?P<column>[^"]+)"\)\s*
        (?:(?P<notnull>\.notnull\(\))
         | (?P<op>==|!=|<=|>=|<|>)\s*(?:(?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
                                      | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
                                      | date\(["'](?P<date>[^"']*)["']\)))\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
_GX_DIALECTS = ("great_expectations", "great_expectations__experimental__")
DEPTH = 20
"""How deep conditions may nest."""


@dataclass(frozen=True)
class Domain:
    """The rows that an expectation is about.

    `key` tells domains apart; `where` is null for all rows, and never null on a row. `failed` is true where
    the condition could not be computed; None where it always can.
    """

    key: str = ""
    where: Column | None = None
    failed: Column | None = None

    def within(self, condition: Column) -> Column:
        """Return the condition, on these rows only; unknown is false."""
        known = F.coalesce(condition, F.lit(False))
        return known if self.where is None else self.where & known

    def narrowed(self, key: str, condition: Column) -> Domain:
        """Return the rows of this domain that meet a further condition."""
        return Domain(f"{self.key}|{key}", self.within(condition))

    def value(self, column: Column) -> Column:
        """Return the column, null outside of the domain."""
        return column if self.where is None else F.when(self.where, column)


def domain_of(arguments: ExpectationArgs, frame: Frame) -> Domain:
    """Return the domain that `row_condition` and `condition_parser` name.

    Errors: RefusedError for what is not a condition on one row.
    """
    condition = arguments.take("row_condition")
    parser = arguments.take("condition_parser")
    if condition is None or condition == "":
        return Domain()
    failed: list[Column] = []
    if isinstance(condition, dict):
        where = _structured(condition, frame, DEPTH, failed)
    elif not isinstance(condition, str):
        raise RefusedError(f"row_condition must be a text or an object, found {condition!r}")
    elif parser in _GX_DIALECTS:
        where = _term(condition, frame)
    elif parser == "spark":
        where = _expression(condition, frame, failed)
    else:
        raise RefusedError(f"condition_parser must be great_expectations or spark, found {parser!r}")
    return Domain(
        json.dumps([condition, parser], sort_keys=True),
        F.coalesce(where, F.lit(False)),
        any_of(failed) if failed else None,
    )


def condition_or_failure(text: str, frame: Frame) -> Column:
    """Return a Spark SQL condition on one row, true where it could not be computed, too."""
    failed: list[Column] = []
    where = _expression(text, frame, failed)
    return any_of([F.coalesce(where, F.lit(False)), *failed])


def _expression(text: str, frame: Frame, failed: list[Column]) -> Column:
    """Return a Spark SQL condition on one row as a column, and note in `failed` where it is not computed.

    Nulls: null where it could not be computed, as by a division by zero.
    Errors: RefusedError for anything else: other names than columns, subqueries, what differs from run to
    run, and every function that `contract/sql_functions` does not list.
    """
    types = {f.name: f.dataType.simpleString() for f in frame.schema.fields}
    read = read_expression(text, types)
    if read.problems:
        raise RefusedError(f"the condition {text!r} is refused: {'; '.join(read.problems)}")
    try:
        # A filter takes no aggregate, window or generator. Its schema Connect takes for known, that of a
        # projection it asks for.
        _ = frame.rows.where(F.expr(read.sql)).select(F.lit(1)).schema
    except E.AnalysisException as e:
        reason = cut(str(e).strip().splitlines()[0], 300)
        raise RefusedError(f"the condition {text!r} is not a statement about one row: {reason}") from e
    if read.fault is not None:
        failed.append(F.coalesce(F.expr(read.fault), F.lit(False)))
    return F.expr(read.sql)


def _term(text: str, frame: Frame) -> Column:
    """One comparison in GX's own language: `col("x") > 3`, `col("x") == "a"`, `col("x").notnull()`."""
    match = _TERM.match(text)
    if match is None:
        raise RefusedError(f"row_condition is not a comparison in GX's language: {text}")
    cells = frame[match["column"]]
    if match["notnull"]:
        return cells.column.isNotNull()
    if match["number"] is not None:
        return _comparison(
            cells, match["op"], number(match["number"], cells) if cells.is_number else match["number"]
        )
    value = next(v for v in (match["double"], match["single"], match["date"]) if v is not None)
    return _comparison(cells, match["op"], value)


def _structured(condition: dict[str, Any], frame: Frame, depth: int, failed: list[Column]) -> Column:
    """Read a condition as GX has saved it since 1.9: comparison, nullity, and, or, pass_through."""
    if depth == 0:
        raise RefusedError(f"row_condition nests more than {DEPTH} levels deep")
    kind = condition.get("type")
    if kind in ("and", "or"):
        parts = condition.get("conditions")
        if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
            raise RefusedError(f"row_condition: {kind} needs a list of conditions")
        joined = _structured(parts[0], frame, depth - 1, failed)
        for part in parts[1:]:
            joined = (and_ if kind == "and" else or_)(joined, _structured(part, frame, depth - 1, failed))
        return joined
    if kind == "pass_through" and isinstance(condition.get("pass_through_filter"), str):
        return _expression(condition["pass_through_filter"], frame, failed)
    column = condition.get("column")
    if (
        not isinstance(column, dict)
        or not isinstance(column.get("name"), str)
        or kind not in ("comparison", "nullity")
    ):
        raise RefusedError(f"row_condition is none that GX saves: {condition}")
    cells = frame[column["name"]]
    if kind == "nullity":
        return cells.column.isNull() if condition.get("is_null") is True else cells.column.isNotNull()
    return _comparison(cells, str(condition.get("operator")), condition.get("parameter"))


def _comparison(cells: ColumnCells, operator: str, value: Any) -> Column:
    if operator in ("IN", "NOT_IN"):
        listed = literals(cells, value)
        inside = cells.column.isin(*listed) if listed else F.lit(False)
        return inside if operator == "IN" else ~inside
    if operator not in _OPERATORS:
        raise RefusedError(f"row_condition: unknown operator {operator!r}")
    if cells.is_number:
        value = number(value, cells)
    if operator in ("<", "<=", ">", ">=") and (cells.is_number or cells.is_time):
        return compared(cells, value, above=operator.startswith(">"), strict=len(operator) == 1)
    equal = literal(cells, value)
    if equal is None:  # no value of the type equals it, and a null is neither
        return F.when(cells.column.isNotNull(), F.lit(operator == "!="))
    return _OPERATORS[operator](cells.column, equal)  # type: ignore[no-any-return]
