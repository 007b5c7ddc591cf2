"""Compare the groups of protected fields: their outcomes, and how the model in use treats them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engage_spark.analytics.segment_suppression import shown_groups
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import Answer, Column, ColumnRole, Evidence, Origin, Value
from engage_spark.insight.failures import NotDeclaredError, StaleLakeError
from engage_spark.insight.lake_reader import LakeReader, Row
from engage_spark.insight.small_groups import HiddenSegments
from engage_spark.insight.tools.common import (
    ASSOCIATION,
    GROUP_COLUMNS,
    HIDDEN_NOTE,
    INTERVAL_COLUMNS,
    N_COLUMN,
    estimate_fact,
    estimate_of,
    filter_of,
    given,
    measure_of,
    unit_of,
)
from engage_spark.insight.tools.relating import target_of
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.pipelines.stages import ANALYTICS_STATES, MODEL_MONITORING, monitor_stage

_COLUMNS = ("measure", "attribute", "member", "against", "value", "low", "high", "n_rows", "bound", "verdict")

_NO_OUTCOMES = (
    "Outcomes by group are not shown: the contract makes no dimension of the field, it was not counted, or "
    "its groups are too small."
)


def fairness(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Compare the groups of protected fields for a target.

    Outcomes by group are of the newest analyzed snapshot. The model's figures are of the newest snapshot
    whose labels are known, which is an older one.
    """
    words = reader.words
    if not words.protected:
        raise NotDeclaredError("this contract declares no protected field")
    target = target_of(words, arguments)
    attribute, as_of = given(arguments, "attribute"), given(arguments, "as_of")
    arguments = {**arguments, "target": target}
    not_counted: NotPublishedError | StaleLakeError | None = None
    not_monitored: NotPublishedError | StaleLakeError | None = None
    facts, notes = list[Evidence](), [ASSOCIATION]
    lines, origin = list[Row](), None
    try:
        day = reader.day(ANALYTICS_STATES, as_of)
        at, hidden = reader.origin(ANALYTICS_STATES, day), reader.states(day)
        facts = list(_outcomes(reader, at, hidden, target, attribute))
        notes += [] if facts else [_NO_OUTCOMES]
    except (NotPublishedError, StaleLakeError) as e:
        not_counted = e
        notes.append(f"Outcomes by group are not known: {e.message}.")
    try:
        field = words.field_name(target)
        stage = monitor_stage(field)
        monitored = reader.day(MODEL_MONITORING, as_of, stage=stage)
        origin = reader.origin(MODEL_MONITORING, monitored, stage=stage)
        read = reader.rows(MODEL_MONITORING, monitored, _COLUMNS, {"target": field})
        of_groups = [r for r in read if r["attribute"] and attribute in (None, r["attribute"])]
        lines = shown_groups(of_groups, words.protected)
        notes += [HIDDEN_NOTE] if len(lines) < len(of_groups) else []
        notes.append(f"The model's figures are of the predictions of {monitored}, whose labels are known.")
    except (NotPublishedError, StaleLakeError) as e:
        not_monitored = e
        notes.append(f"How the model treats the groups is not known: {e.message}.")
    if not facts and not lines:
        is_stale = isinstance(not_monitored, StaleLakeError)
        known = not_counted or (not_monitored if is_stale else None)
        raise known or _not_known(words, target, attribute)
    lines.sort(key=lambda r: (r["attribute"], r["measure"], r["member"] or ""))
    return Answer(
        tool="fairness",
        arguments=arguments,
        facts=tuple(facts),
        columns=(
            Column(name="measure", role=ColumnRole.LABEL),
            *GROUP_COLUMNS,
            Column(name="value"),
            *INTERVAL_COLUMNS,
            N_COLUMN,
            Column(name="bound"),
            Column(name="against", role=ColumnRole.TEXT),
            Column(name="verdict", role=ColumnRole.TEXT),
        ),
        rows=tuple(_row(r) for r in lines),
        origin=origin,
        notes=tuple(notes),
    )


def _not_known(words: Vocabulary, target: str, attribute: str | None) -> NotPublishedError:
    """Return why groups cannot be compared: they are no dimension, and no monitoring is published."""
    fields = (attribute,) if attribute else words.protected
    undeclared = [f for f in fields if f not in words.dimensions]
    lacks, hint = "its groups are too small", ""
    if undeclared:
        names = " and ".join(undeclared)
        lacks = f"the contract makes no dimension of {names}"
        hint = f"declare `analytics: [dimension]` for {names} and run `engage-spark analyze`, or "
    return NotPublishedError(
        f"how {target} differs by {' and '.join(fields)} is not known: {lacks}, and figures of a model by "
        "group are not published",
        hint=f"{hint}run `engage-spark monitor`, which compares the groups of the model in use",
    )


def _outcomes(
    reader: LakeReader, origin: Origin, hidden: HiddenSegments, target: str, attribute: str | None
) -> Iterator[Evidence]:
    """Yield the target's rate or mean in each group of the protected fields that are dimensions."""
    words, unit = reader.words, unit_of(reader.words, target)
    for name in words.dimensions:
        field = words.field_of(name)
        if field is None or not field.protected or attribute not in (None, field.name):
            continue
        for segment in hidden.states.segments(name):
            state = hidden.states.get(name, segment, target)
            if state is None or not state.n or segment in hidden.of(name, target):
                continue
            label = f"{target}: {measure_of(words, target)}"
            estimate, whom = estimate_of(words, target, state), filter_of(name, segment)
            yield estimate_fact(origin, label, estimate, unit=unit, n=state.n, filter=whom)


def _row(r: Row) -> tuple[Value, ...]:
    ends = (r["value"], r["low"], r["high"], r["n_rows"], r["bound"], r["against"], r["verdict"])
    return (r["measure"], r["attribute"], r["member"], *ends)
