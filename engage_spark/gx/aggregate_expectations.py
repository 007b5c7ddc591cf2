"""Evaluate expectations about a whole column or table: minimum, maximum, mean, values, rows, types."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from fractions import Fraction
from itertools import zip_longest
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.gx.columns import ColumnCells, Frame, comparable, exact, literals, moment, number
from engage_spark.gx.expectation_args import ExpectationArgs, RefusedError
from engage_spark.gx.map_expectations import Handler
from engage_spark.gx.metric_requests import (
    ColumnFigures,
    ExpectationOutcome,
    GroupedRequest,
    MetricRequests,
    MetricValues,
    OutcomeFunction,
)
from engage_spark.gx.row_conditions import condition_or_failure, domain_of

Within = Callable[[Any], bool]
_ROWS_FORM = "`SELECT * FROM {batch} WHERE` and a condition on one row"
_ROWS_QUERY = re.compile(
    r"^\s*SELECT\s+\*\s+FROM\s+\{batch\}\s+WHERE\s+(?P<condition>.+?)[;\s]*$", re.IGNORECASE | re.DOTALL
)


def _within(
    arguments: ExpectationArgs, of: Callable[[Any], Any] = lambda bound: bound, *, strict: bool = True
) -> Within:
    """Whether a value lies within min_value and max_value, each made comparable by `of`.

    NaN and nothing lie nowhere.
    """
    low, high = arguments.take("min_value"), arguments.take("max_value")
    above, below = (arguments.flag("strict_min"), arguments.flag("strict_max")) if strict else (False, False)
    low, high = None if low is None else of(low), None if high is None else of(high)

    def holds(value: Any) -> bool:
        if value is None or _is_nan(value):
            return False
        over = low is None or (value > low if above else value >= low)
        return bool(over and (high is None or (value < high if below else value <= high)))

    return holds


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _figure(bound: Any) -> int | float:
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        raise RefusedError(f"a bound must be a number, found {bound!r}")
    return bound


def _share(bound: Any) -> Fraction:
    return exact(_figure(bound))


def _of_numbers(pick: Callable[[ColumnFigures], Any], *, times: bool, rounded: bool) -> Handler:
    """Hold an aggregate of a column against its bound.

    Exact numbers, decimals among them, are compared exactly. `rounded`: a value between those that the column
    can hold, such as the mean 1/3, is compared as the double next to it.
    """

    def handler(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
        cells, domain = frame[arguments.text("column")], domain_of(arguments, frame)
        if not (cells.is_number or (times and cells.is_time)):
            raise RefusedError(f"column {cells.name!r} is {cells.called}, of which there is no such figure")
        holds = _within(arguments, lambda bound: comparable(cells, bound))
        holds_rounded = _within(arguments, lambda bound: float(number(bound, cells))) if rounded else holds
        figure = ask.number(domain, cells)

        def outcome_of(a: MetricValues) -> ExpectationOutcome:
            value = pick(figure(a))
            if isinstance(value, Fraction) and (cells.digits is None or _is_between(value, cells.digits)):
                value = float(value)
                return ExpectationOutcome(holds_rounded(value), {"observed_value": _shown(value)})
            at = moment(value) if isinstance(value, date) else value
            return ExpectationOutcome(holds(at), {"observed_value": _shown(value)})

        return outcome_of

    return handler


def _is_between(value: Fraction, digits: int) -> bool:
    return bool((value * 10**digits).denominator != 1)


def _shown(value: Any) -> Any:
    if _is_nan(value):
        return None
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    return value.isoformat() if isinstance(value, date | datetime) else value


def _quantiles(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    """Decided by counting: the q-quantile, the ⌈q·n⌉th of n values in order, is at most u exactly when ⌈q·n⌉
    of them are at most u.

    NaN is left out, as Spark's approxQuantile does. The quantile's own value is not known by it, and not
    told.
    """
    cells, domain, ranges = (
        frame[arguments.text("column")],
        domain_of(arguments, frame),
        arguments.take("quantile_ranges"),
    )
    if arguments.take("allow_relative_error", False) is not False:
        raise RefusedError("allow_relative_error must be false: quantiles are exact here")
    orders, limits = _orders(ranges)
    if not cells.is_number:
        raise RefusedError(f"column {cells.name!r} is {cells.called}, of which there are no quantiles here")
    cuts = [[None if bound is None else _cut(cells, bound) for bound in pair] for pair in limits]
    figures = ask.number(domain, cells, [cut for pair in cuts for cut in pair if cut is not None])

    def outcome_of(a: MetricValues) -> ExpectationOutcome:
        n, below = figures(a).ranked, figures(a).below
        held = [n > 0] * len(orders)  # of no values no quantile lies anywhere
        for i, (order, (low, high)) in enumerate(zip(orders, cuts, strict=True) if n else ()):
            rank = max(1, math.ceil(order * n))
            held[i] = (low is None or below[low][0] < rank) and (high is None or below[high][1] >= rank)
        shown = {"quantiles": [float(o) for o in orders], "values": [None] * len(orders)}
        return ExpectationOutcome(all(held), {"observed_value": shown, "details": {"success_details": held}})

    return outcome_of


def _cut(cells: ColumnCells, bound: int | float) -> float | Fraction:
    """Return a bound as values are counted below it."""
    return float(bound) if cells.digits is None else exact(bound)


def _orders(ranges: Any) -> tuple[list[Fraction], list[list[Any]]]:
    """Read the orders of the quantiles, and the bounds of each."""
    if not isinstance(ranges, dict) or set(ranges) != {"quantiles", "value_ranges"}:
        raise RefusedError(f"quantile_ranges must hold quantiles and value_ranges, found {ranges!r}")
    orders, limits = ranges["quantiles"], ranges["value_ranges"]
    if (
        not isinstance(orders, list)
        or not isinstance(limits, list)
        or len(orders) != len(limits)
        or not orders
    ):
        raise RefusedError("quantile_ranges: quantiles and value_ranges must be lists of the same length")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in limits):
        raise RefusedError("quantile_ranges: each of value_ranges must be a pair, null for no bound")
    _ = [_figure(bound) for pair in limits for bound in pair if bound is not None]
    exact = [_share(order) for order in orders]
    if not all(0 <= order <= 1 for order in exact):
        raise RefusedError("quantile_ranges: quantiles must lie from 0 to 1")
    return exact, limits


def _distinct_count(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    cells, domain = frame[arguments.text("column")], domain_of(arguments, frame)
    holds, distinct = _within(arguments, _figure), ask.distinct(domain, cells)
    return lambda a: ExpectationOutcome(holds(distinct(a)), {"observed_value": distinct(a)})


def _distinct_share(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    cells, domain = frame[arguments.text("column")], domain_of(arguments, frame)
    holds, distinct = _within(arguments, _share), ask.distinct(domain, cells)
    rows, missing = ask.rows(domain), ask.missing(domain, cells)

    def outcome_of(a: MetricValues) -> ExpectationOutcome:
        filled = rows(a) - missing(a)
        share = Fraction(distinct(a), filled) if filled else Fraction(0)
        return ExpectationOutcome(holds(share), {"observed_value": float(share)})

    return outcome_of


def _filled_share(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    cells, domain = frame[arguments.text("column")], domain_of(arguments, frame)
    holds, rows, missing = _within(arguments, _share), ask.rows(domain), ask.missing(domain, cells)

    def outcome_of(a: MetricValues) -> ExpectationOutcome:
        share = Fraction(rows(a) - missing(a), rows(a)) if rows(a) else Fraction(0)
        return ExpectationOutcome(holds(share), {"observed_value": float(share)})

    return outcome_of


def _of_values(*, unexpected: bool, missing: bool) -> Handler:
    """Compare the set of a column's values: none outside of the given one, none of the given ones absent,
    or both.
    """

    def handler(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
        cells, domain = frame[arguments.text("column")], domain_of(arguments, frame)
        value_set = arguments.take("value_set")
        known = literals(cells, value_set)
        if not known:
            raise RefusedError("value_set must hold a value")
        listed = len({str(v) for v in value_set if v is not None})

        def outside(n: Column, keys: list[Column]) -> Column:
            return F.count_if((n > 0) & keys[0].isNotNull() & ~keys[0].isin(*known))

        def inside(n: Column, keys: list[Column]) -> Column:
            return F.count_if((n > 0) & keys[0].isin(*known))

        more = (
            ask.grouped((cells.name,), f"outside {value_set}", GroupedRequest(domain, outside))
            if unexpected
            else None
        )
        here = (
            ask.grouped((cells.name,), f"inside {value_set}", GroupedRequest(domain, inside))
            if missing
            else None
        )

        def outcome_of(a: MetricValues) -> ExpectationOutcome:
            unexpected_values = {"unexpected_count": more(a)} if more else {}
            absent = {"missing_count": listed - here(a)} if here else {}
            return ExpectationOutcome(
                not any((*unexpected_values.values(), *absent.values())),
                {"observed_value": None, **unexpected_values, **absent},
            )

        return outcome_of

    return handler


def _row_count(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    holds, rows = _within(arguments, _figure), ask.rows(domain_of(arguments, frame))
    return lambda a: ExpectationOutcome(holds(rows(a)), {"observed_value": rows(a)})


def _row_count_equals(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    value, rows = arguments.whole("value"), ask.rows(domain_of(arguments, frame))
    return lambda a: ExpectationOutcome(rows(a) == value, {"observed_value": rows(a)})


def _unexpected_rows(arguments: ExpectationArgs, frame: Frame, ask: MetricRequests) -> OutcomeFunction:
    """Evaluate a query for rows that must not be there, where it is `SELECT * FROM {batch} WHERE` and one
    condition on a row. A row on which the condition cannot be computed is one of them.
    """
    query = arguments.text("unexpected_rows_query")
    match = _ROWS_QUERY.match(query)
    if match is None or re.search(r"(?<!\{)\{(?!\{)", match["condition"]):
        raise RefusedError(f"this is not {_ROWS_FORM}, the only form that can be run: {query}")
    text = match["condition"].replace("{{", "{").replace("}}", "}")
    domain = domain_of(arguments, frame)
    bad = ask.count(f"rows where {text} {domain.key}", domain.within(condition_or_failure(text, frame)))
    return lambda a: ExpectationOutcome(bad(a) == 0, {"observed_value": bad(a)})


def _settled(success: bool, **result: Any) -> OutcomeFunction:
    outcome = ExpectationOutcome(success, result)
    return lambda _: outcome


def _column_exists(arguments: ExpectationArgs, frame: Frame, _: MetricRequests) -> OutcomeFunction:
    name, index = arguments.text("column"), arguments.whole("column_index")
    if index is None:
        return _settled(name in frame.names)
    return _settled(-len(frame.names) <= index < len(frame.names) and frame.names[index] == name)


def _column_count(arguments: ExpectationArgs, frame: Frame, _: MetricRequests) -> OutcomeFunction:
    return _settled(
        _within(arguments, _figure, strict=False)(len(frame.names)), observed_value=len(frame.names)
    )


def _column_count_equals(arguments: ExpectationArgs, frame: Frame, _: MetricRequests) -> OutcomeFunction:
    return _settled(len(frame.names) == arguments.whole("value"), observed_value=len(frame.names))


def _columns_in_order(arguments: ExpectationArgs, frame: Frame, _: MetricRequests) -> OutcomeFunction:
    expected = arguments.texts("column_list", least=0)
    if expected == frame.names:
        return _settled(True, observed_value=frame.names)
    pairs = enumerate(zip_longest(expected, frame.names))
    wrong = [{"Expected Column Position": i, "Expected": e, "Found": f} for i, (e, f) in pairs if e != f]
    return _settled(False, observed_value=frame.names, details={"mismatched": wrong})


def _columns_as_set(arguments: ExpectationArgs, frame: Frame, _: MetricRequests) -> OutcomeFunction:
    expected, exact = set(arguments.texts("column_set", least=0)), arguments.flag("exact_match", default=True)
    differences = {
        "unexpected": sorted(set(frame.names) - expected),
        "missing": sorted(expected - set(frame.names)),
    }
    wrong = {name: columns for name, columns in differences.items() if columns}
    details = {"details": {"mismatched": wrong}} if wrong else {}
    return _settled(
        not differences["missing"] and not (exact and differences["unexpected"]),
        observed_value=sorted(frame.names),
        **details,
    )


def _typed(names: list[str], cells: ColumnCells) -> OutcomeFunction:
    kinds = [
        kind
        for name in names
        if isinstance(kind := getattr(T, name, None), type) and issubclass(kind, T.DataType)
    ]
    if not kinds:
        raise RefusedError(
            f"{', '.join(names)}: no type of Spark, which are named as IntegerType, StringType, …"
        )
    return _settled(isinstance(cells.type, tuple(kinds)), observed_value=type(cells.type).__name__)


def _of_type(arguments: ExpectationArgs, frame: Frame, _: MetricRequests) -> OutcomeFunction:
    arguments.mostly()  # a column has one type, so a share of rows changes nothing
    return _typed([arguments.text("type_")], frame[arguments.text("column")])


def _in_types(arguments: ExpectationArgs, frame: Frame, _: MetricRequests) -> OutcomeFunction:
    arguments.mostly()
    return _typed(arguments.texts("type_list"), frame[arguments.text("column")])


HANDLERS: Mapping[str, Handler] = {
    "expect_column_min_to_be_between": _of_numbers(lambda n: n.minimum, times=True, rounded=False),
    "expect_column_max_to_be_between": _of_numbers(lambda n: n.maximum, times=True, rounded=False),
    "expect_column_sum_to_be_between": _of_numbers(lambda n: n.total, times=False, rounded=False),
    "expect_column_mean_to_be_between": _of_numbers(lambda n: n.mean, times=False, rounded=True),
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_unique_value_count_to_be_between": _distinct_count,
    "expect_column_proportion_of_unique_values_to_be_between": _distinct_share,
    "expect_column_proportion_of_non_null_values_to_be_between": _filled_share,
    "expect_column_distinct_values_to_be_in_set": _of_values(unexpected=True, missing=False),
    "expect_column_distinct_values_to_contain_set": _of_values(unexpected=False, missing=True),
    "expect_column_distinct_values_to_equal_set": _of_values(unexpected=True, missing=True),
    "expect_column_values_to_be_of_type": _of_type,
    "expect_column_values_to_be_in_type_list": _in_types,
    "expect_column_type_to_be": _of_type,
    "expect_column_to_exist": _column_exists,
    "expect_table_row_count_to_be_between": _row_count,
    "expect_table_row_count_to_equal": _row_count_equals,
    "expect_table_column_count_to_be_between": _column_count,
    "expect_table_column_count_to_equal": _column_count_equals,
    "expect_table_columns_to_match_ordered_list": _columns_in_order,
    "expect_table_columns_to_match_set": _columns_as_set,
    "unexpected_rows_expectation": _unexpected_rows,
}
