"""Share what tools do alike: segments that were asked for, figures of a state, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engage_spark.analytics.intervals import Estimate, mean_estimate, share_estimate
from engage_spark.analytics.states import CUSTOMERS, MetricState
from engage_spark.contract.analytics_spec import ACTIVE, RETENTION
from engage_spark.contract.statements import OverTime
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import EVERYONE, Column, ColumnRole, Evidence, Origin, Value
from engage_spark.insight.failures import BadArgumentError, SuppressedError, quote
from engage_spark.insight.small_groups import HiddenSegments
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.numerics.suppression import SMALLEST_GROUP, is_small

SHARE = "share"
"""The unit of fractions: shares, rates and probabilities."""
ASSOCIATION = "What goes together is an association: nothing here says that one causes the other."
HIDDEN_NOTE = (
    f"Groups with fewer than {SMALLEST_GROUP} customers are not shown, nor those that would give them away."
)
FEW_MISSING_NOTE = f"How many customers have no value is not told where they are fewer than {SMALLEST_GROUP}."
DAY_COLUMNS = (Column(name="snapshot", role=ColumnRole.TEXT), Column(name="run", role=ColumnRole.TEXT))
GROUP_COLUMNS = (
    Column(name="dimension", role=ColumnRole.LABEL),
    Column(name="segment", role=ColumnRole.GROUP),
)
INTERVAL_COLUMNS = (Column(name="lower"), Column(name="upper"))
N_COLUMN = Column(name="n", unit=CUSTOMERS)


def unit_of(words: Vocabulary, metric: str) -> str | None:
    """Return the unit of a metric: `share` of one that is 0 or 1."""
    if metric == CUSTOMERS:
        return CUSTOMERS
    if metric in (ACTIVE, RETENTION):
        return SHARE
    spec = words.metrics[metric]
    return SHARE if spec.is_share else spec.unit


def measure_of(words: Vocabulary, metric: str) -> str:
    """Return what the mean of a metric is called."""
    if metric == CUSTOMERS:
        return "customers"
    return "rate" if unit_of(words, metric) == SHARE else "mean"


def estimate_of(words: Vocabulary, metric: str, state: MetricState | None) -> Estimate:
    """Estimate a mean by Student's interval, a share by Wilson's."""
    if state is not None and metric in words.metrics and words.metrics[metric].is_share:
        return share_estimate(round(state.sum), state.n)
    return mean_estimate(state)


def rest_of(whole: MetricState | None, part: MetricState | None) -> MetricState | None:
    """Return the state of everybody else, exactly; None where there is nobody else.

    The extremes are those of the whole, which the rest lies within.
    """
    if whole is None or part is None or whole.n <= part.n:
        return None
    return replace(
        whole,
        n=whole.n - part.n,
        nulls=whole.nulls - part.nulls,
        sum_units=whole.sum_units - part.sum_units,
        square_units=whole.square_units - part.square_units,
        quantiles=None,
        customers=None,
    )


def fact(origin: Origin, label: str, value: Value, **parts: Any) -> Evidence:
    """Return a figure with where it was read."""
    at = {"table": origin.table, "version": origin.version, "run": origin.run, "as_of": origin.as_of}
    return Evidence(label=label, value=value, **{**at, **parts})


def estimate_fact(origin: Origin, label: str, estimate: Estimate, **parts: Any) -> Evidence:
    """Return an estimate as a figure with its interval."""
    return fact(origin, label, estimate.value, lower=estimate.lower, upper=estimate.upper, **parts)


def check_segment(
    dimension: str | None,
    segment: str | None,
    hidden: HiddenSegments,
    words: Vocabulary,
    *,
    argument: str = "segment",
) -> None:
    """See that a dimension was counted, and that a segment is one of its, by the contract or by the day.

    Errors: BadArgumentError where it is none, or one is given without the other. It does not name what is
    hidden, unless the contract does. NotPublishedError where the dimension was not counted: nobody in a
    segment is another thing.
    """
    require_counted(hidden, dimension)
    if segment is None:
        return
    if dimension is None:
        raise BadArgumentError("dimension", f"{argument} needs its dimension", allowed=words.dimensions)
    declared, there = words.segments(dimension), hidden.states.segments(dimension)
    if segment not in (*declared, *there):
        shown = [s for s in there if s not in hidden.of(dimension)]
        allowed = dict.fromkeys((*declared, *shown))
        raise BadArgumentError(argument, f"{quote(segment)} is no segment of {dimension}", allowed=allowed)


def require_counted(hidden: HiddenSegments, dimension: str | None, on: str = "this day") -> None:
    """See that customers were parted by a dimension.

    Errors: NotPublishedError where they were not.
    """
    if dimension is not None and hidden.states.customers() and not hidden.states.segments(dimension):
        raise not_counted(dimension, on)


def not_counted(name: str, on: str = "this day") -> NotPublishedError:
    """Return the error for a metric or dimension that a day has no states of."""
    return NotPublishedError(
        f"{name} was not counted on {on}: the tables of its fields were not there, or the contract did not "
        "have it yet",
        hint="publish them, then run `engage-spark analyze` again",
    )


def require_shown(hidden: HiddenSegments, dimension: str | None, segment: str | None, metric: str) -> None:
    """See that a figure may be shown.

    Errors: NotPublishedError where the metric was not counted; SuppressedError where the figure would tell of
    fewer than 20 customers, or with other answers it would.
    """
    if hidden.states.whole(metric) is None:
        raise not_counted(metric)
    if hidden.is_whole_hidden(metric) or hidden.is_whole_hidden():
        raise suppressed("all customers")
    if dimension is not None and segment is not None and segment in hidden.of(dimension, metric):
        raise suppressed(filter_of(dimension, segment))


def suppressed(whom: str) -> SuppressedError:
    """Return the error for a group that is not shown."""
    return SuppressedError(
        f"figures on {whom} would tell of fewer than {SMALLEST_GROUP} customers, alone or beside others",
        hint="ask of a larger group",
    )


def filter_of(dimension: str | None, segment: str | None) -> str:
    """Say of whom a figure is."""
    return EVERYONE if dimension is None or segment is None else f"{dimension} is {segment}"


def notes_on(words: Vocabulary, *metrics: str) -> tuple[str, ...]:
    """Say what a reader must know of metrics: counts over some days do not add up."""
    rolling = [m for m in metrics if m in words.metrics and words.metrics[m].over_time is OverTime.ROLLING]
    return tuple(
        f"{m} counts over the last {words.metrics[m].rolling_days} days: values of days do not add up."
        for m in rolling[:3]
    )


def lacks_for_few(state: MetricState | None) -> bool:
    """Return whether so few customers have no value that it must not be told how many."""
    return state is not None and is_small(state.nulls)


def given(arguments: Mapping[str, Any], name: str) -> Any:
    """Return an argument; None where it was left out, or the contract leaves it no choices."""
    return arguments.get(name)


def is_clear(lower: float | None, upper: float | None, *, against: float = 0.0) -> bool:
    """Return whether an interval leaves a value out: only then a difference from it is told."""
    return lower is not None and upper is not None and not lower <= against <= upper
