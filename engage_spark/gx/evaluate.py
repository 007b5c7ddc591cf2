"""Run a suite on the native engine: all that it asks of the rows is answered together.

One action counts every row-wise condition and every sum, minimum and maximum (`count_columns`); one more for
each set of columns whose different values or duplicates are asked for, which shuffles those columns alone;
one more for samples, where something is unexpected. Their number does not depend on the number of
expectations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from pyspark import errors as E
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import ERRORS_TYPE, VALID
from engage_spark.gx import aggregate_expectations, map_expectations
from engage_spark.gx.columns import ColumnCells, Frame, any_of
from engage_spark.gx.expectation_args import ExpectationArgs, RefusedError
from engage_spark.gx.metric_requests import (
    ColumnFigures,
    CountRequest,
    Cut,
    ExpectationOutcome,
    GroupedRequest,
    MetricRequests,
    MetricValues,
    OutcomeFunction,
)
from engage_spark.gx.row_conditions import Domain, domain_of
from engage_spark.gx.suite_io import Expectation, Suite
from engage_spark.quality.checks.apply import samples
from engage_spark.quality.stats import column_stats
from engage_spark.quality.stats.binning import Binning, BinScale
from engage_spark.quality.stats.column_stats import ColumnStats
from engage_spark.quality.stats.count import count_columns

HANDLERS: Mapping[str, map_expectations.Handler] = {
    **map_expectations.HANDLERS,
    **aggregate_expectations.HANDLERS,
}
"""Every expectation type that this engine runs."""

OWN_FAULTS = (
    E.AnalysisException, E.ArithmeticException, E.ArrayIndexOutOfBoundsException, E.DateTimeException,
    E.IllegalArgumentException,
    E.NumberFormatException, E.ParseException, E.SparkRuntimeException, E.UnsupportedOperationException,
)  # fmt: skip
"""Failures that lie in an expectation (a malformed pattern, an overflow), not in the storage or the cluster.
"""
MOST_SAMPLES = 20


@dataclass(frozen=True)
class EvaluatedExpectation:
    """An expectation with its outcome, or with the reason why it could not be run, which counts as failed."""

    expectation: Expectation
    outcome: ExpectationOutcome | None
    exception: str | None = None

    @property
    def success(self) -> bool:
        return self.outcome is not None and self.outcome.success


@dataclass(frozen=True)
class _PlannedExpectation:
    expectation: Expectation
    outcome_of: OutcomeFunction | None = None
    refused: str | None = None


def run_suite(
    rows: DataFrame, suite: Suite, *, masked: frozenset[str] = frozenset(), show: bool = True
) -> tuple[EvaluatedExpectation, ...]:
    """Evaluate `rows` by every expectation of a suite, in its order.

    None is skipped: what cannot be run has failed, and says why.

    Samples of unexpected values are bounded, those of `masked` columns shown as ***; without `show` there are
    none. Nulls, NaN and ties are as in GX on Spark (see `map_expectations`).
    Cost: see the module; what reaches the driver grows with the suite, not with the rows. When an expectation
    fails inside Spark, such as by a malformed pattern, each is run by itself, so that only that one has
    failed.
    Errors: what Spark raises when the rows cannot be read.
    """
    frame = Frame(rows)
    ask = MetricRequests()
    planned = [_plan(e, suite, frame, ask) for e in suite.expectations]
    try:
        answers = answer(rows, frame, ask, masked=masked, show=show)
    except OWN_FAULTS:
        return tuple(_alone(rows, e, suite, frame, masked=masked, show=show) for e in suite.expectations)
    return tuple(_evaluated(p, answers) for p in planned)


def _plan(e: Expectation, suite: Suite, frame: Frame, ask: MetricRequests) -> _PlannedExpectation:
    handler = HANDLERS.get(e.type)
    if handler is None:
        return _PlannedExpectation(
            e,
            refused=f"{e.type} is not supported by this engine; run the suite with --engine gx, "
            f"or take it out",
        )
    try:
        arguments = ExpectationArgs(e.kwargs, suite.parameters)
        outcome_of = _decided(handler(arguments, frame, ask), arguments, frame, ask)
        arguments.finish()
    except RefusedError as refused:
        return _PlannedExpectation(e, refused=str(refused))
    except OWN_FAULTS as fault:  # a condition that does not parse
        return _PlannedExpectation(e, refused=_first_line(fault))
    # a kwarg of a shape that nobody thought of
    except (TypeError, ValueError, AttributeError, OverflowError) as fault:
        return _PlannedExpectation(e, refused=f"{e.type} cannot be understood: {fault}")
    return _PlannedExpectation(e, outcome_of=outcome_of)


def _decided(
    outcome_of: OutcomeFunction, arguments: ExpectationArgs, frame: Frame, ask: MetricRequests
) -> OutcomeFunction:
    """Let nothing be decided where the rows that an expectation is about are not known."""
    if (
        arguments.values.get("row_condition") is None
        or (domain := domain_of(arguments, frame)).failed is None
    ):
        return outcome_of
    failures = ask.count(f"failed {domain.key}", domain.failed)

    def outcome(a: MetricValues) -> ExpectationOutcome:
        if n := failures(a):
            raise RefusedError(f"row_condition could not be computed on {n} rows")
        return outcome_of(a)

    return outcome


def _evaluated(p: _PlannedExpectation, answers: MetricValues) -> EvaluatedExpectation:
    if p.outcome_of is None:
        return EvaluatedExpectation(p.expectation, None, p.refused)
    try:
        return EvaluatedExpectation(p.expectation, p.outcome_of(answers))
    except RefusedError as refused:
        return EvaluatedExpectation(p.expectation, None, str(refused))
    except (TypeError, OverflowError) as fault:  # a date of the year 10000 against one that Python knows
        return EvaluatedExpectation(p.expectation, None, f"{p.expectation.type} cannot be decided: {fault}")


def _alone(
    rows: DataFrame, e: Expectation, suite: Suite, frame: Frame, *, masked: frozenset[str], show: bool
) -> EvaluatedExpectation:
    ask = MetricRequests()
    planned = _plan(e, suite, frame, ask)
    try:
        return _evaluated(
            planned,
            answer(rows, frame, ask, masked=masked, show=show) if planned.outcome_of else MetricValues(),
        )
    except OWN_FAULTS as fault:
        return EvaluatedExpectation(e, None, _first_line(fault))


def _first_line(fault: BaseException) -> str:
    return next((line.strip() for line in str(fault).splitlines() if line.strip()), type(fault).__name__)[
        :500
    ]


def answer(
    rows: DataFrame, frame: Frame, ask: MetricRequests, *, masked: frozenset[str], show: bool
) -> MetricValues:
    """Answer all requests together.

    See the module for the cost; nothing is read when nothing is asked of the rows.
    """
    answers = MetricValues(
        groups={keys: _groups(rows, frame, keys, asked) for keys, asked in ask.groups.items()}
    )
    if not (ask.total or ask.counts or ask.numbers):
        return answers
    codes = {f"q{i}": name for i, name in enumerate(ask.counts)}
    values = {f"v{i}": name for i, name in enumerate(ask.numbers)}
    shapes = {v: _number(*ask.numbers[name]) for v, name in values.items()}
    counted = rows.select(
        F.lit(VALID).alias("_dq_status"),
        _codes({code: ask.counts[name] for code, name in codes.items()}).alias("_dq_errors"),
        *(shape.column.alias(v) for v, shape in shapes.items()),
    )
    binnings = [Binning(column=v, type=shape.type, scale=BinScale.ONE) for v, shape in shapes.items()]
    cuts = {v: sorted(ask.cuts[name]) for v, name in values.items() if ask.cuts[name]}
    column_counts = count_columns(counted, rules=list(codes), binnings=binnings, cuts=cuts)
    below = {v: {cut: column_counts.below[v, cut] for cut in cuts.get(v, ())} for v in values}
    answers.rows = column_counts.rows
    answers.counts = {codes[code]: n for code, n in column_counts.broken.items()}
    answers.numbers = {
        values[v]: _numbers(column_counts.columns[v], shape, below[v]) for v, shape in shapes.items()
    }
    wrong = {
        c: ask.counts[n]
        for c, n in codes.items()
        if ask.counts[n].shown and n.startswith("unexpected") and column_counts.broken.get(c)
    }
    if wrong and show:
        broken = rows.select(_codes(wrong).alias("_dq_errors"))
        hidden = {
            code for code, count in wrong.items() if count.shown and _is_masked(count.shown.name, masked)
        }
        listed: dict[str, list[str]] = {}
        for row in broken.transform(samples, key=(), hidden=hidden, most=MOST_SAMPLES).collect():
            listed.setdefault(codes[row["rule"]], []).append(row["sample"])
        answers.samples = {name: sorted(set(values)) for name, values in listed.items()}
    return answers


def _is_masked(name: str, masked: frozenset[str]) -> bool:
    """Whether it is a masked column, or a part of one."""
    return name in masked or any(name.startswith(f"{m}.") for m in masked)


def _codes(counts: Mapping[str, CountRequest]) -> Column:
    """Which of the conditions a row meets, as the array of reasons that checked rows have.

    Built only where it meets any: few rows do.
    """
    empty = F.array().cast(ERRORS_TYPE)
    if not counts:
        return empty
    met = {code: F.coalesce(count.where, F.lit(False)) for code, count in counts.items()}
    codes = F.array_compact(
        F.array(*(F.when(is_met, _code(code, counts[code])) for code, is_met in met.items()))
    )
    return F.when(any_of(met.values()), codes).otherwise(empty).cast(ERRORS_TYPE)


def _code(code: str, count: CountRequest) -> Column:
    shown = count.shown
    value = (
        shown.column.cast("string")
        if shown is not None and isinstance(shown.type, T.AtomicType)
        else F.lit(None).cast("string")
    )
    column = F.lit(None if shown is None else shown.name).cast("string")
    return F.struct(
        F.lit(code).alias("rule"), column.alias("column"), F.lit("").alias("severity"), value.alias("value")
    )


@dataclass(frozen=True)
class _NumericColumn:
    """A column as it is summed: a double, whole number or decimal, a number of days or of microseconds."""

    column: Column
    type: str
    of: T.DataType


def _number(domain: Domain, cells: ColumnCells) -> _NumericColumn:
    column, kind = domain.value(cells.column), cells.type
    if cells.is_floating:
        return _NumericColumn(column.cast("double"), "double", kind)
    if cells.is_whole:
        return _NumericColumn(column.cast("bigint"), "bigint", kind)
    if isinstance(kind, T.DecimalType):
        return _NumericColumn(column, kind.simpleString(), kind)
    if isinstance(kind, T.DateType):
        return _NumericColumn(column, "date", kind)
    return _NumericColumn(column.cast("timestamp"), "timestamp", kind)


def _numbers(state: ColumnStats, shape: _NumericColumn, cut: Mapping[Cut, tuple[int, int]]) -> ColumnFigures:
    """Return the figures as Spark's own aggregates would give them: NaN above every number and in every sum,
    infinities as they are.
    """
    nan, above, below = (
        state.bins.get(name, 0)
        for name in (column_stats.NAN, column_stats.PLUS_INFINITY, column_stats.MINUS_INFINITY)
    )
    if state.filled == 0:
        return ColumnFigures(None, None, None, None)
    low, high = _value(state.minimum, shape), _value(state.maximum, shape)
    minimum = -math.inf if below else low if low is not None else math.inf if above else math.nan
    maximum = math.nan if nan else math.inf if above else high if high is not None else -math.inf
    total: Fraction | float = state.total
    if nan or (above and below):
        total = math.nan
    elif above or below:
        total = math.inf if above else -math.inf
    return ColumnFigures(minimum, maximum, total, total / state.filled, state.filled - nan, cut)


def _value(
    number: float | int | Fraction | None, shape: _NumericColumn
) -> int | float | Fraction | date | datetime | None:
    if number is None or shape.type == "double":
        return number
    try:
        if shape.type == "date":
            return date(1970, 1, 1) + timedelta(days=int(number))
        if shape.type == "timestamp":
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(number))
    except OverflowError:  # Python has no date beyond the year 9999: days or microseconds since 1970 tell it
        return int(number)
    return number


def _groups(
    rows: DataFrame, frame: Frame, keys: tuple[str, ...], asked: Mapping[str, GroupedRequest]
) -> dict[str, int]:
    """Answer what is asked of the groups of equal keys.

    Cost: one action, one shuffle of the keys.
    """
    domains: dict[str, Any] = {}
    for g in asked.values():
        domains.setdefault(g.domain.key, F.lit(True) if g.domain.where is None else g.domain.where)
    number = {key: f"__n{i}" for i, key in enumerate(domains)}
    named = [f"__k{i}" for i in range(len(keys))]
    flagged = rows.select(
        *(frame[key].column.alias(name) for key, name in zip(keys, named, strict=True)),
        *(where.alias(number[key]) for key, where in domains.items()),
    )
    groups = flagged.groupBy(*named).agg(*(F.count_if(n).alias(n) for n in number.values()))
    columns = [F.col(name) for name in named]
    counts_row = groups.agg(
        *(g.of(F.col(number[g.domain.key]), columns).alias(f"__a{i}") for i, g in enumerate(asked.values()))
    ).collect()[0]
    return {name: int(counts_row[i] or 0) for i, name in enumerate(asked)}
