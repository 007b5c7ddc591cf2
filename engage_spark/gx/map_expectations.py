"""Evaluate map expectations: statements about each row, held by at least `mostly` of those that are looked
at.

Three shapes, as in GX. About a cell: rows where it is null are not looked at. About a pair or a list of
columns: `ignore_row_if` says which rows are not. Every condition is the one that GX hands to Spark, so null,
NaN, −0.0 and the order of values mean the same; where GX itself strays from that, see `differences`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import reduce
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from engage_spark.gx.columns import (
    ColumnCells,
    Frame,
    alike,
    any_of,
    bounded,
    decimal_text,
    exact,
    literal,
    literals,
)
from engage_spark.gx.expectation_args import ExpectationArgs, RefusedError
from engage_spark.gx.metric_requests import (
    ExpectationOutcome,
    GroupedRequest,
    MetricRequests,
    OutcomeFunction,
)
from engage_spark.gx.row_conditions import domain_of

Handler = Callable[[ExpectationArgs, Frame, MetricRequests], OutcomeFunction]
Cell = Callable[[ColumnCells, ExpectationArgs], Column]

PAIR = ("both_values_are_missing", "either_value_is_missing", "neither")
LIST = ("all_values_are_missing", "any_value_is_missing", "never")


def map_result(
    elements: int, missing: int | None, unexpected: int, mostly: Fraction, sample: list[str] | None
) -> ExpectationOutcome:
    """Return the outcome of a map expectation, in GX's words.

    Exact: `mostly` of the rows looked at, in whole numbers. Holds of nothing.
    """
    looked_at = elements - (missing or 0)
    success = looked_at == 0 or Fraction(looked_at - unexpected, looked_at) >= mostly
    share = unexpected / looked_at * 100 if looked_at else None
    result: dict[str, Any] = {
        "element_count": elements,
        "unexpected_count": unexpected,
        "unexpected_percent": share,
    }
    if sample is not None:
        result["partial_unexpected_list"] = sample
    if missing is not None:
        result |= {
            "missing_count": missing,
            "missing_percent": missing / elements * 100 if elements else None,
            "unexpected_percent_total": unexpected / elements * 100 if elements else None,
            "unexpected_percent_nonmissing": share,
        }
    return ExpectationOutcome(success, result)


def _of_cells(expected: Cell) -> Handler:
    """Make a statement about a cell from the condition that a sound one meets."""

    def handler(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
        cells, domain, mostly = (
            frame[arguments.text("column")],
            domain_of(arguments, frame),
            arguments.mostly(),
        )
        unexpected = domain.within(cells.column.isNotNull() & ~expected(cells, arguments))
        name = f"unexpected {expected.__qualname__} {arguments.key}"
        bad, rows, missing = ask.count(name, unexpected, cells), ask.rows(domain), ask.missing(domain, cells)
        return lambda a: map_result(rows(a), missing(a), bad(a), mostly, a.samples.get(name, []))

    return handler


def _not_null(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    cells, domain, mostly = frame[arguments.text("column")], domain_of(arguments, frame), arguments.mostly()
    rows, missing = ask.rows(domain), ask.missing(domain, cells)
    return lambda a: map_result(rows(a), None, missing(a), mostly, [])


def _null(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    cells, domain, mostly = frame[arguments.text("column")], domain_of(arguments, frame), arguments.mostly()
    rows, missing = ask.rows(domain), ask.missing(domain, cells)
    return lambda a: map_result(rows(a), None, rows(a) - missing(a), mostly, None)


def _unique(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    """Every row whose value another row of the domain has as well is unexpected."""
    cells, domain, mostly = frame[arguments.text("column")], domain_of(arguments, frame), arguments.mostly()
    rows, missing = ask.rows(domain), ask.missing(domain, cells)
    filled = domain.narrowed(f"filled {cells.name}", cells.column.isNotNull())
    repeated = ask.grouped((cells.name,), "repeated", GroupedRequest(filled, _repeated))
    return lambda a: map_result(rows(a), missing(a), repeated(a), mostly, None)


def _repeated(n: Column, _: list[Column]) -> Column:
    return F.sum(F.when(n > 1, n).otherwise(0))


def _looked_at(cells: list[ColumnCells], ignored: str) -> Column:
    """Select the rows that `ignore_row_if` leaves."""
    filled = [c.column.isNotNull() for c in cells]
    if ignored in ("both_values_are_missing", "all_values_are_missing"):
        return any_of(filled)
    if ignored in ("either_value_is_missing", "any_value_is_missing"):
        return reduce(Column.__and__, filled)
    return F.lit(True)


def _of_several(
    choices: tuple[str, ...],
    columns: Callable[[ExpectationArgs, Frame], list[ColumnCells]],
    expected: Callable[..., Column],
) -> Handler:
    def handler(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
        cells, domain, mostly = columns(arguments, frame), domain_of(arguments, frame), arguments.mostly()
        ignored = arguments.one_of("ignore_row_if", choices)
        looked_at = domain.narrowed(f"{ignored} {[c.name for c in cells]}", _looked_at(cells, ignored))
        name = f"unexpected {expected.__qualname__} {arguments.key}"
        rows, evaluated_rows = ask.rows(domain), ask.rows(looked_at)
        bad = ask.count(name, looked_at.within(~expected(cells, arguments)))
        return lambda a: map_result(rows(a), rows(a) - evaluated_rows(a), bad(a), mostly, None)

    return handler


def _pair(arguments: ExpectationArgs, frame: Frame) -> list[ColumnCells]:
    return [frame[arguments.text("column_A")], frame[arguments.text("column_B")]]


def _list(arguments: ExpectationArgs, frame: Frame) -> list[ColumnCells]:
    return [frame[name] for name in arguments.texts("column_list", least=2)]


def _compound_unique(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    """Rows whose values in all the columns another row has as well; null counts as a value here."""
    cells, domain, mostly = _list(arguments, frame), domain_of(arguments, frame), arguments.mostly()
    ignored = arguments.one_of("ignore_row_if", LIST)
    looked_at = domain.narrowed(f"{ignored} {[c.name for c in cells]}", _looked_at(cells, ignored))
    rows, evaluated_rows = ask.rows(domain), ask.rows(looked_at)
    repeated = ask.grouped(
        tuple(sorted({c.name for c in cells})), "repeated", GroupedRequest(looked_at, _repeated)
    )
    return lambda a: map_result(rows(a), rows(a) - evaluated_rows(a), repeated(a), mostly, None)


def _between(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    low, high = arguments.take("min_value"), arguments.take("max_value")
    return bounded(
        cells, low, high, strict_low=arguments.flag("strict_min"), strict_high=arguments.flag("strict_max")
    )


def _in_set(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    listed = literals(cells, arguments.take("value_set"))
    return cells.column.isin(*listed) if listed else F.lit(False)


def _not_in_set(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    return ~_in_set(cells, arguments)


def _matches(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    return cells.as_text().rlike(arguments.text("regex") if arguments.take("regex") is not None else "(?s).*")


def _matches_not(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    return ~cells.as_text().rlike(arguments.text("regex"))


def _matches_list(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    matches = [cells.as_text().rlike(r) for r in arguments.texts("regex_list")]
    return (
        any_of(matches)
        if arguments.one_of("match_on", ("any", "all")) == "any"
        else reduce(Column.__and__, matches)
    )


def _matches_none(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    return ~any_of(cells.as_text().rlike(r) for r in arguments.texts("regex_list"))


def _length(cells: ColumnCells) -> ColumnCells:
    from pyspark.sql.types import IntegerType

    return ColumnCells(f"length of {cells.name}", F.char_length(cells.as_text()), IntegerType())


def _lengths_between(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    low, high = arguments.whole("min_value"), arguments.whole("max_value")
    return bounded(
        _length(cells),
        low,
        high,
        strict_low=arguments.flag("strict_min"),
        strict_high=arguments.flag("strict_max"),
    )


def _length_equals(cells: ColumnCells, arguments: ExpectationArgs) -> Column:
    value = arguments.whole("value")
    if value is None:
        raise RefusedError("value must be a whole number, found nothing")
    return _length(cells).column == F.lit(value)


def _greater(cells: list[ColumnCells], arguments: ExpectationArgs) -> Column:
    one, other = cells
    alike(one, other)
    if not arguments.flag("or_equal"):
        return one.column > other.column
    return (one.column >= other.column) | one.column.eqNullSafe(other.column)


def _equal(cells: list[ColumnCells], _: ExpectationArgs) -> Column:
    for other in cells[1:]:
        alike(cells[0], other)
    return reduce(Column.__and__, (cells[0].column.eqNullSafe(c.column) for c in cells[1:]))


def _pair_in_set(cells: list[ColumnCells], arguments: ExpectationArgs) -> Column:
    pairs = arguments.take("value_pairs_set")
    if (
        not isinstance(pairs, list)
        or not pairs
        or not all(isinstance(p, list) and len(p) == 2 for p in pairs)
    ):
        raise RefusedError(f"value_pairs_set must be a list of pairs, found {pairs!r}")
    return any_of(reduce(Column.__and__, (_is(c, v) for c, v in zip(cells, p, strict=True))) for p in pairs)


def _is(cells: ColumnCells, value: Any) -> Column:
    if value is None:
        return cells.column.isNull()
    equal = literal(cells, value)
    return F.lit(False) if equal is None else cells.column.eqNullSafe(equal)


def _different(cells: list[ColumnCells], _: ExpectationArgs) -> Column:
    pairs = [(one, other) for i, one in enumerate(cells) for other in cells[i + 1 :]]
    for one, other in pairs:
        alike(one, other)
    return ~any_of(one.column.eqNullSafe(other.column) for one, other in pairs)


def _sum_equals(cells: list[ColumnCells], arguments: ExpectationArgs) -> Column:
    """Compare the sum of the cells with a total; a null adds nothing.

    Whole numbers and decimals are added exactly, beyond 64 bits too; as soon as a float is among them, all
    are floats.
    """
    total = arguments.take("sum_total")
    if isinstance(total, bool) or not isinstance(total, int | float):
        raise RefusedError(f"sum_total must be a number, found {total!r}")
    for c in cells:
        if not c.is_number:
            raise RefusedError(f"column {c.name!r} is {c.called}, which cannot be added")
    kind = "double" if any(c.is_floating for c in cells) else None
    added = reduce(
        Column.__add__,
        (F.coalesce(c.column.cast(kind or _wide(c)), F.lit(0).cast(kind or _wide(c))) for c in cells),
    )
    if kind:
        return added == F.lit(float(total))
    digits = max(c.digits or 0 for c in cells)
    units = exact(total) * 10**digits
    if units.denominator != 1 or abs(units) >= 10**38:
        return F.when(added.isNotNull(), F.lit(False))
    return added == F.lit(decimal_text(int(units), digits)).cast(f"decimal(38,{digits})")


def _wide(cells: ColumnCells) -> str:
    return "decimal(38,0)" if cells.is_whole else cells.called


HANDLERS: Mapping[str, Handler] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_between": _of_cells(_between),
    "expect_column_values_to_be_in_set": _of_cells(_in_set),
    "expect_column_values_to_not_be_in_set": _of_cells(_not_in_set),
    "expect_column_values_to_match_regex": _of_cells(_matches),
    "expect_column_values_to_not_match_regex": _of_cells(_matches_not),
    "expect_column_values_to_match_regex_list": _of_cells(_matches_list),
    "expect_column_values_to_not_match_regex_list": _of_cells(_matches_none),
    "expect_column_value_lengths_to_be_between": _of_cells(_lengths_between),
    "expect_column_value_lengths_to_equal": _of_cells(_length_equals),
    "expect_column_values_to_be_unique": _unique,
    "expect_compound_columns_to_be_unique": _compound_unique,
    "expect_column_pair_values_a_to_be_greater_than_b": _of_several(PAIR, _pair, _greater),
    "expect_column_pair_values_to_be_equal": _of_several(PAIR, _pair, _equal),
    "expect_column_pair_values_to_be_in_set": _of_several(PAIR, _pair, _pair_in_set),
    "expect_select_column_values_to_be_unique_within_record": _of_several(LIST, _list, _different),
    "expect_multicolumn_values_to_be_equal": _of_several(LIST, _list, _equal),
    "expect_multicolumn_sum_to_equal": _of_several(LIST, _list, _sum_equals),
}
