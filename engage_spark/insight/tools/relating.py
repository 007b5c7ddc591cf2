"""Answer what goes with what: correlations, and what goes with a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from engage_spark.analytics.intervals import Estimate, is_share, ratio_estimate
from engage_spark.analytics.states import (
    FALSE_SEGMENT,
    NULL_SEGMENT,
    OTHER_SEGMENT,
    TRUE_SEGMENT,
    DayStates,
    MetricState,
)
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import Answer, Column, ColumnRole, Evidence, Value
from engage_spark.insight.failures import BadArgumentError, NotDeclaredError
from engage_spark.insight.lake_reader import LakeReader, Row
from engage_spark.insight.small_groups import HiddenSegments
from engage_spark.insight.tools.common import (
    ASSOCIATION,
    GROUP_COLUMNS,
    HIDDEN_NOTE,
    N_COLUMN,
    estimate_fact,
    estimate_of,
    fact,
    given,
    is_clear,
    measure_of,
    notes_on,
    require_shown,
    rest_of,
    suppressed,
    unit_of,
)
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.numerics.suppression import SMALLEST_GROUP, has_small_class, is_small

_PARTS = ("spearman", "spearman_lower", "spearman_upper", "pearson", "pearson_lower", "pearson_upper")
_FEW_OF_A_CLASS = (
    f"Correlations are not shown where fewer than {SMALLEST_GROUP} customers have values, or are 1 or 0 of a "
    "metric of two classes: with the means of all they would tell the mean over these."
)


def correlate(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Show how two metrics go together, or which ones go with a metric most."""
    metric, other = arguments["metric"], given(arguments, "other")
    if metric == other:
        raise BadArgumentError("other", "must be another metric", allowed=_others(reader.words, metric))
    day = reader.day("correlations", given(arguments, "as_of"))
    lines = _pairs_of(reader, metric, day)
    pairs = [r for r in lines if other in (None, r["other"])]
    if not pairs:
        raise NotPublishedError(
            f"correlations of {metric} were not measured on {day}",
            hint="the tables of its fields were not there; publish them, then run `engage-spark analyze`",
        )
    shown = [r for r in pairs if not _tells_of_few(reader, r, day)]
    if not shown:
        raise suppressed(f"customers with values of {metric}" + (f" and {other}" if other else ""))
    shown.sort(key=lambda r: (-abs(r["spearman"] or 0.0), r["other"]))
    limit = arguments["limit"]
    unsure = sum((r["p_adjusted"] or 0.0) >= 0.05 for r in shown[:limit])
    notes = [
        "p_adjusted is corrected for all pairs of the day (Holm).",
        ASSOCIATION,
    ]
    if any(_is_drawn(reader.states(day).states, r) for r in shown):
        notes.append("Measured on a part of the customers, which a hash chooses.")
    notes += [f"{unsure} of these could be chance (p_adjusted is 0.05 or more)."] if unsure else []
    notes += [_FEW_OF_A_CLASS] if len(shown) < len(pairs) else []
    return Answer(
        tool="correlate",
        arguments=arguments,
        columns=(
            Column(name="metric", role=ColumnRole.LABEL),
            Column(name="other", role=ColumnRole.LABEL),
            *(Column(name=p, unit="correlation") for p in _PARTS),
            Column(name="p_adjusted", unit="probability"),
            N_COLUMN,
        ),
        rows=tuple(
            (metric, r["other"], *(r[p] for p in _PARTS), r["p_adjusted"], r["n"]) for r in shown[:limit]
        ),
        origin=reader.origin("correlations", day),
        notes=tuple(notes),
        truncated=len(shown) > limit,
    )


def _others(words: Vocabulary, metric: str) -> list[str]:
    return [m for m in words.metrics if m != metric]


def _pairs_of(reader: LakeReader, metric: str, day: date) -> list[Row]:
    """Return the pairs that a metric is in, each with its `other` metric."""
    pairs = []
    for own, other in (("first_metric", "second_metric"), ("second_metric", "first_metric")):
        pairs += [r | {"other": r[other]} for r in reader.of_day("correlations", day, {own: metric})]
    return [r for r in pairs if r["other"] in reader.words.metrics]


def _is_drawn(states: DayStates, r: Row) -> bool:
    """Return whether fewer customers were measured than have both values, however these overlap."""
    wholes = [states.whole(r[metric]) for metric in ("first_metric", "second_metric")]
    return bool(r["n"] < sum(w.n for w in wholes if w is not None) - r["n_population"])


def _tells_of_few(reader: LakeReader, r: Row, day: date) -> bool:
    """Return whether a correlation is of few customers, or tells, with the means and deviations of both
    metrics, the mean of one of them over few: those who are 1, or 0, of a metric of two classes.
    """
    if is_small(r["n"]):
        return True
    for metric in (r["first_metric"], r["second_metric"]):
        state = reader.states(day).states.whole(metric)
        if state is not None and is_share(state) and has_small_class(int(state.sum), state.n, drawn=r["n"]):
            return True
    return False


class Contrast(NamedTuple):
    """A group of customers, and how a target differs between it and the others."""

    dimension: str
    segment: str
    is_rule: bool
    description: str
    inside: MetricState
    outside: MetricState
    lift: Estimate


def contrasts(reader: LakeReader, hidden: HiddenSegments, target: str) -> Iterator[Contrast]:
    """Yield the groups that a target can be compared in: those of indicators, and the segments of dimensions.

    Segments without a value, and what is hidden, are left out.
    """
    states, words = hidden.states, reader.words
    for indicator in words.spec.indicators:
        inside, outside = (states.get(indicator.name, s, target) for s in (TRUE_SEGMENT, FALSE_SEGMENT))
        if not inside or not outside or not inside.n or not outside.n or hidden.of(indicator.name, target):
            continue
        lift = ratio_estimate(inside, outside)
        yield Contrast(indicator.name, TRUE_SEGMENT, True, indicator.description, inside, outside, lift)
    for name, spec in words.dimensions.items():
        small = hidden.of(name, target)
        for segment in states.segments(name):
            inside = states.get(name, segment, target)
            others = rest_of(states.whole(target), inside)
            if segment in (*small, NULL_SEGMENT, OTHER_SEGMENT) or not inside or not inside.n or not others:
                continue
            yield Contrast(
                name, segment, False, spec.description, inside, others, ratio_estimate(inside, others)
            )


def target_of(words: Vocabulary, arguments: Mapping[str, Any]) -> str:
    """Return the target that is asked for, or meant.

    Errors: NotDeclaredError where the contract has none.
    """
    target = given(arguments, "target") or words.main_target
    if target is None:
        raise NotDeclaredError("this contract declares no target that can be counted")
    return str(target)


def churn_drivers(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """List the groups in which a target differs most from the others, and the metrics that go with it."""
    words, target = reader.words, target_of(reader.words, arguments)
    arguments = {**arguments, "target": target}
    origin, hidden, states = reader.day_states(given(arguments, "as_of"))
    require_shown(hidden, None, None, target)
    whole = states.whole(target)
    if whole is None or not whole.n:
        raise NotPublishedError(
            f"{target} has no values on {origin.as_of}", hint="its labels are not known yet"
        )
    groups = list(contrasts(reader, hidden, target))
    sure = [c for c in groups if is_clear(c.lift.lower, c.lift.upper, against=1.0)]
    sure.sort(key=lambda c: (-_strength(c.lift), c.dimension, c.segment))
    limit, measure = arguments["limit"], measure_of(words, target)
    unit = unit_of(words, target)
    facts: list[Evidence] = [
        estimate_fact(
            origin, f"{target}: {measure}", estimate_of(words, target, whole), unit=unit, n=whole.n
        ),
        fact(origin, "groups compared", len(groups), unit="groups", n=whole.n),
        fact(origin, "groups that differ", len(sure), unit="groups", n=whole.n),
        *_correlated(reader, target, origin.as_of),
    ]
    notes = [
        *notes_on(words, target),
        f"lift is the {measure} in the group divided by that of the others; groups whose 95% interval "
        "holds 1 are left out. Intervals are not corrected for the number of groups.",
        ASSOCIATION,
        *_not_measured(reader, origin.as_of, target),
    ]
    if any(hidden.of(d, target) for d in (*words.dimensions, *words.indicators)):
        notes.append(HIDDEN_NOTE)
    return Answer(
        tool="churn_drivers",
        arguments=arguments,
        facts=tuple(facts),
        columns=contrast_columns(measure, unit),
        rows=tuple(contrast_row(c) for c in sure[:limit]),
        origin=origin,
        notes=tuple(notes),
        truncated=len(sure) > limit,
    )


def _strength(lift: Estimate) -> float:
    """Return the end of the interval that is nearer to 1, as a factor above 1."""
    lower, upper = lift.lower or 0.0, lift.upper or 0.0
    return lower if lower > 1 else 1 / upper if upper > 0 else float("inf")


def contrast_columns(measure: str, unit: str | None) -> tuple[Column, ...]:
    """Return the columns that tell a group from everybody else, for the rows of `contrast_row`."""
    return (
        *GROUP_COLUMNS,
        Column(name="description", role=ColumnRole.TEXT),
        Column(name=f"{measure}_in_group", unit=unit),
        Column(name=f"{measure}_of_others", unit=unit, of_others=True),
        Column(name=f"{measure}_of_others_n", unit="customers"),
        Column(name="lift", unit="ratio"),
        Column(name="lift_lower", unit="ratio"),
        Column(name="lift_upper", unit="ratio"),
        N_COLUMN,
    )


def contrast_row(c: Contrast) -> tuple[Value, ...]:
    """Return what tells a group from everybody else, in the order of `contrast_columns`."""
    return (
        c.dimension,
        c.segment,
        c.description,
        c.inside.mean,
        c.outside.mean,
        c.outside.n,
        *c.lift,
        c.inside.n,
    )


def _correlated(reader: LakeReader, target: str, day: date) -> Iterator[Evidence]:
    """Yield the five strongest correlations of a target that chance does not explain; none unmeasured."""
    if not reader.is_written("correlations", day):
        return
    origin = reader.origin("correlations", day)
    pairs = [r for r in _pairs_of(reader, target, day) if r["spearman"] is not None]
    pairs = [r for r in pairs if not _tells_of_few(reader, r, day)]
    sure = [r for r in pairs if r["p_adjusted"] is not None and r["p_adjusted"] < 0.05]
    for r in sorted(sure, key=lambda r: (-abs(r["spearman"]), r["other"]))[:5]:
        estimate = Estimate(r["spearman"], r["spearman_lower"], r["spearman_upper"])
        label = f"{target} with {r['other']}: Spearman correlation"
        yield estimate_fact(origin, label, estimate, unit="correlation", n=r["n"])


def _not_measured(reader: LakeReader, day: date, target: str) -> list[str]:
    columns = {"target": target, "measured": False}
    names: dict[str, list[str]] = {}
    for row in reader.of_day("indicators", day, columns):
        names.setdefault(str(row["reason"]).rstrip("."), []).append(row["indicator"])
    return [f"Not measured on {day}: {', '.join(of)}: {reason}." for reason, of in names.items()]
