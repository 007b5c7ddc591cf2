"""Answer of single customers: what models say of one, who is like one, who is central in the graph.

These alone look at customers. Personal values are masked; keys that are personal are, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from engage_spark.analytics.states import DayStates
from engage_spark.contract import SNAPSHOT_DATE, Field, Role
from engage_spark.contract.labels import label_of
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import Answer, Column, ColumnRole, Evidence, Origin, Value
from engage_spark.insight.failures import BadArgumentError, NotDeclaredError, StaleLakeError, quote
from engage_spark.insight.lake_reader import LakeReader, Row
from engage_spark.insight.tools.common import DAY_COLUMNS, SHARE, fact, given, unit_of
from engage_spark.insight.vocabulary import Vocabulary, is_number
from engage_spark.masking import MASK
from engage_spark.numerics.dtypes import F64
from engage_spark.numerics.suppression import SMALLEST_GROUP, is_small
from engage_spark.pipelines.stages import ANALYTICS_STATES, score_stage
from engage_spark.reader.query import quoted

NEIGHBOURS = 50
"""Customers that the means of similar ones are taken over, whatever is listed: so two questions about one
customer do not tell of a single other one."""
DISTANCE = "__distance"
MASKED_KEYS = "The contract classifies the key as personal, so it is masked here."
_PREDICTED = (
    "prediction", "probability", "lower", "upper", "decision", "decision_threshold", "reasons", "unit",
    "imputed", "in_sample", "model_name", "model_version",
)  # fmt: skip


def explain_customer(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Return what the models say of a customer, and the features that moved each prediction most."""
    words = reader.words
    targets = tuple(words.target_fields)
    if not targets:
        raise NotDeclaredError("this contract declares no target that models predict")
    asked = given(arguments, "target")
    where = _key_of(words, arguments["customer"])
    facts, rows, notes = list[Evidence](), list[tuple[Value, ...]](), list[str]()
    origin: Origin | None = None
    missing: NotPublishedError | StaleLakeError | None = None
    is_read = False
    for target in (words.field_name(asked),) if asked else targets:
        try:
            day = reader.day("predictions", given(arguments, "as_of"), stage=score_stage(target))
            of_target = reader.origin("predictions", day, stage=score_stage(target))
        except (NotPublishedError, StaleLakeError) as e:
            missing = missing or e
            notes.append(f"What the model says of {target} is not known: {e.message}.")
            continue
        lines = reader.find("predictions", day, _PREDICTED, where, stage=score_stage(target))
        lines, is_read = [line | {"target": target} for line in lines], True
        if lines:
            origin = origin or of_target
            facts += _prediction(words, of_target, lines[0])
            notes += _notes_on_prediction(lines[0])
            rows += [
                _reason(words, of_target, target, lines[0]["unit"], r) for r in lines[0]["reasons"] or ()
            ]
    if origin is None:
        raise missing if missing is not None and not is_read else _unknown_customer(arguments["customer"])
    notes.append("Contributions say what moved the model's score, not what would change the customer.")
    return Answer(
        tool="explain_customer",
        arguments=arguments,
        facts=tuple(facts),
        columns=(
            *DAY_COLUMNS,
            Column(name="target", role=ColumnRole.LABEL),
            Column(name="feature", role=ColumnRole.LABEL),
            Column(name="value", role=ColumnRole.TEXT),
            Column(name="contribution"),
            Column(name="unit", role=ColumnRole.UNIT),
        ),
        rows=tuple(rows),
        origin=origin,
        filter="the customer",
        notes=tuple(dict.fromkeys(notes)),
    )


def _key_of(words: Vocabulary, text: str) -> dict[str, object]:
    """Return the key columns with their values.

    Errors: BadArgumentError where the text is no key.
    """
    entity = words.contract.entity
    parts = [p.strip() for p in text.split(",")] if len(entity.key) > 1 else [text.strip()]
    if len(parts) != len(entity.key):
        raise BadArgumentError("customer", f"the key has {len(entity.key)} parts: {', '.join(entity.key)}")
    return {name: _key_value(entity[name], part) for name, part in zip(entity.key, parts, strict=True)}


def _key_value(field: Field, text: str) -> object:
    kind = field.spark_type
    try:
        if kind in ("tinyint", "smallint", "int", "bigint"):
            number = int(text)
            if not -(2**63) <= number < 2**63:
                raise ValueError
            return number
        if kind in ("float", "double") or kind.startswith("decimal"):
            return float(text)
        return date.fromisoformat(text) if kind == "date" else text
    except ValueError:
        raise BadArgumentError("customer", f"{quote(text)} is no {field.name}, which is {kind}") from None


def _unknown_customer(customer: str) -> BadArgumentError:
    return BadArgumentError(
        "customer",
        f"there is no customer {quote(customer)} in the snapshot",
        hint="write the key as it was delivered, with its capitals and zeros",
    )


def _prediction(words: Vocabulary, origin: Origin, r: Row) -> list[Evidence]:
    target, field = r["target"], words.target_fields[r["target"]]
    is_classes = r["probability"] is not None
    unit = SHARE if is_classes else field.unit
    whom: dict[str, Any] = {"n": 1, "filter": "the customer"}
    label = f"{target}: {'probability' if is_classes else 'prediction'}"
    facts = [fact(origin, label, r["prediction"], unit=unit, lower=r["lower"], upper=r["upper"], **whom)]
    if r["decision"] is not None:
        facts.append(fact(origin, f"{target}: a contact pays", "yes" if r["decision"] else "no", **whom))
        threshold = r["decision_threshold"]
        facts.append(
            fact(origin, f"{target}: probability from which a contact pays", threshold, unit=SHARE, **whom)
        )
    model = f"{r['model_name']} version {r['model_version']}"
    return [*facts, fact(origin, f"{target}: model", model, **whom)]


def _notes_on_prediction(r: Row) -> list[str]:
    notes = []
    if r["lower"] is not None:
        notes.append(
            "The interval of a prediction covers the customer's own value with the coverage that the model "
            "promises (models.coverage), not with 95%."
        )
    if r["in_sample"]:
        notes.append(f"The model of {r['target']} was fitted on this customer's row: it knows it too well.")
    if r["imputed"]:
        notes.append(f"Filled in for {r['target']}: {', '.join(r['imputed'])}.")
    return notes


def _reason(
    words: Vocabulary, origin: Origin, target: str, unit: str | None, reason: Mapping[str, Any]
) -> tuple[Value, ...]:
    """Return a reason, with the day and the run of its target's predictions.

    Scoring masks personal values; what an older contract let through is masked here.
    """
    value = MASK if reason["feature"] in words.personal_fields else reason["value"]
    at = (origin.as_of.isoformat(), origin.run)
    return (*at, target, reason["feature"], value, reason["contribution"], unit)


def similar_customers(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Find the customers nearest to one in the entity's numbers, each in units of its standard deviation.

    A missing value counts as the mean. Cost: one scan of the day's customers.
    """
    words, limit = reader.words, arguments["limit"]
    entity = words.contract.entity
    analyzed = reader.day(ANALYTICS_STATES, given(arguments, "as_of"))
    day = reader.day(entity.name, analyzed)
    scales = _scales(words, reader.states(day).states)
    if not scales:
        raise NotDeclaredError("this contract has no numbers that customers can be likened by")
    where = _key_of(words, arguments["customer"])
    own = reader.find(entity.name, day, [*entity.key, *scales], where)
    if not own:
        raise _unknown_customer(arguments["customer"])
    near = _nearest(reader, day, scales, own[0], max(limit, NEIGHBOURS))
    origin = reader.origin(entity.name, day)
    notes = [
        f"Distance over {len(scales)} numbers, each in standard deviations; targets and personal fields are "
        "left out, a missing value counts as the mean."
    ]
    others = reader.states(day).states.customers() - NEIGHBOURS
    facts, more = _means_of(words, origin, near[:NEIGHBOURS] if others >= SMALLEST_GROUP else [])
    rows = [(*(r[k] for k in entity.key), r[DISTANCE]) for r in near[:limit]]
    if reader.masks_keys:
        rows = [(*(MASK for _ in entity.key), row[-1]) for row in rows]
        notes.append(MASKED_KEYS)
    return Answer(
        tool="similar_customers",
        arguments=arguments,
        facts=tuple(facts),
        columns=(
            *(Column(name=k, role=ColumnRole.LABEL) for k in entity.key),
            Column(name="distance", unit="standard deviations"),
        ),
        rows=tuple(tuple(_shown(v) for v in row) for row in rows),
        origin=origin,
        filter="single customers",
        notes=(*notes, *more),
        truncated=len(near) > limit,
    )


def _scales(words: Vocabulary, states: DayStates) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of the entity's numbers that differ between customers."""
    scales = {}
    for f in words.contract.entity.fields:
        state = states.whole(f.name)
        if f.role is not Role.FEATURE or f.is_personal or not is_number(f) or state is None:
            continue
        mean, deviation = state.mean, state.standard_deviation
        if mean is not None and deviation and math.isfinite(mean) and math.isfinite(deviation):
            scales[f.name] = (mean, deviation)
    return scales


def _nearest(
    reader: LakeReader,
    day: date,
    scales: Mapping[str, tuple[float, float]],
    own: Row,
    limit: int,
) -> list[Row]:
    """Return the nearest other customers with their targets, ties by key. Memory is that of a batch."""
    entity = reader.words.contract.entity
    targets = [name for t in reader.words.targets if (name := reader.words.field_name(t)) in entity.names]
    shown, nearest = [*entity.key, *targets], list[Row]()
    columns = list(dict.fromkeys((*shown, *scales)))
    for batch in reader.lake.batches(entity.name, as_of=day, columns=columns):
        distances = _distances(batch, scales, own)
        bound = nearest[-1][DISTANCE] if len(nearest) == limit else math.inf
        if len(distances) > limit:
            bound = min(
                bound, float(np.partition(distances, limit)[limit])
            )  # one of them may be the customer
        near = batch.take(np.flatnonzero(distances <= bound)).select(shown).to_pylist()
        rows = (
            row | {t: label_of(entity[t], row[t]) for t in targets} | {DISTANCE: float(d)}
            for row, d in zip(near, distances[distances <= bound], strict=True)
            if any(row[name] != own[name] for name in entity.key)
        )
        nearest = sorted([*nearest, *rows], key=lambda r: (r[DISTANCE], *(r[k] for k in entity.key)))[:limit]
    return nearest


def _distances(batch: Any, scales: Mapping[str, tuple[float, float]], own: Row) -> F64:
    """Return the distance of each row, added column by column: the same bits however rows are batched."""
    total = np.zeros(batch.num_rows)
    for name, (mean, deviation) in scales.items():
        values = batch.column(name).cast("double").fill_null(mean).to_numpy(zero_copy_only=False)
        at = mean if own[name] is None or not math.isfinite(own[name]) else float(own[name])
        total += ((np.where(np.isfinite(values), values, mean) - at) / deviation) ** 2
    return np.sqrt(total)


def _means_of(words: Vocabulary, origin: Origin, near: list[Row]) -> tuple[list[Evidence], list[str]]:
    """Return the mean of each target over the neighbours; none where they are too few."""
    if len(near) < SMALLEST_GROUP:
        return [], ["There are too few customers to tell what the targets of the most similar ones are."]
    facts = []
    for target in words.targets:
        of_target = [r.get(words.field_name(target)) for r in near]
        values = [float(v) for v in of_target if v is not None and math.isfinite(v)]
        if not values or is_small(len(values)):
            continue
        label = f"{target}: mean of the {len(near)} most similar customers"
        unit, n = unit_of(words, target), len(values)
        facts.append(
            fact(origin, label, math.fsum(values) / n, unit=unit, n=n, filter="the most similar customers")
        )
    return facts, ["Means of similar customers are no prediction for the customer."]


def _shown(value: Any) -> Value:
    return value if isinstance(value, int | float | str) or value is None else str(value)


def top_influencers(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """List the customers with the highest value of a measure of the graph. Cost: one scan of two columns."""
    words = reader.words
    table = words.graph_table
    measure = given(arguments, "measure") or next(iter(words.influence_measures), None)
    if table is None or measure is None:
        raise NotDeclaredError("this contract declares no graph, so nobody's influence is measured")
    arguments = {**arguments, "measure": measure}
    day, limit = reader.day(table.name, given(arguments, "as_of")), arguments["limit"]
    keys = [name for name in table.key if name != SNAPSHOT_DATE]
    columns = [*(quoted(k) for k in keys), quoted(measure)]
    order = f"{quoted(measure)} DESC NULLS LAST, {', '.join(quoted(k) for k in keys)}"
    lines = reader.rows(table.name, day, columns, order=order, limit=limit + 1)
    unit = table[measure].unit
    notes = ["Figures are of single customers, as measured on the graph of the day."]
    if reader.masks_keys:
        notes.append(MASKED_KEYS)
    rows = [
        (rank, *(MASK if reader.masks_keys else _shown(r[k]) for k in keys), r[measure])
        for rank, r in enumerate(lines[:limit], 1)
    ]
    return Answer(
        tool="top_influencers",
        arguments=arguments,
        columns=(
            Column(name="rank", role=ColumnRole.LABEL),
            *(Column(name=k, role=ColumnRole.LABEL) for k in keys),
            Column(name=measure, unit=unit),
        ),
        rows=tuple(rows),
        origin=reader.origin(table.name, day),
        filter="single customers",
        notes=tuple(notes),
        truncated=len(lines) > limit,
    )
