"""Plant bad rows of every kind that the contract can detect, and list them.

All of them are appended: newcomers who copy an existing customer under a new id and have no edges. So
quarantining a newcomer removes no edge, every fault is independent of the others, and the rows of the sound
customers do not change.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import SNAPSHOT_DATE
from engage_spark.contract.expressions import read_statement
from engage_spark.contract.model import Field, Table
from engage_spark.errors import ConfigurationError
from engage_spark.spark.compat import from_rows
from engage_spark.synth.frames import SynthPlan, customer_id, with_degrees
from engage_spark.synth.hashing import Permutation
from engage_spark.synth.rows import reference

MANIFEST = "table string, snapshot_date date, fault string, rule string, column string, key string, n bigint"
_NUMBER = "__number"
_SHARED = 10


class FaultyTables(NamedTuple):
    """The tables with their planted rows, and the manifest.

    Grain of the manifest: one row per planted row (or shared key) and rule that it breaks.
    """

    customers: DataFrame
    connections: DataFrame
    interactions: DataFrame
    manifest: DataFrame


@dataclass
class PlantedRow:
    """One bad row and its bad column.

    `broken` names the rules it breaks, `n` counts the rows that share its key.
    """

    fault: str
    column: str | None
    row: dict[str, Any]
    broken: tuple[str, ...] = ()
    n: int = 1
    extra: list[dict[str, Any]] = field(default_factory=list)


def _outside(f: Field, sign: int) -> float | int | None:
    bound = f.minimum if sign < 0 else f.maximum
    if bound is None:
        return None
    return float(bound) + 0.5 * sign if f.is_floating else int(bound) + sign


def _unknown(f: Field) -> str | int:
    return "no such value" if f.spark_type == "string" else max(int(a) for a in f.allowed) + 7


def field_faults(f: Field) -> Iterator[tuple[str, Any]]:
    """List the bad values that the facts about one field define, each with the fault's name."""
    if not f.is_key:
        yield f"{f.name} null", None
    for side, sign in (("below", -1), ("above", 1)):
        value = _outside(f, sign)
        if value is not None:
            yield f"{f.name} {side} range", value
    if f.allowed:
        yield f"{f.name} not allowed", _unknown(f)
    if f.is_floating:
        yield from (
            (f"{f.name} is {name}", value)
            for name, value in (("NaN", math.nan), ("Inf", math.inf), ("-Inf", -math.inf))
        )


def broken_fields(table: Table, row: Mapping[str, Any]) -> list[str]:
    """List the field rules that a row breaks, checked here in plain Python, apart from the quality engine."""
    rules = []
    for f in table.fields:
        value = row.get(f.name)
        if value is None:
            rules.append(f"{f.name}.not_null")
            continue
        if f.is_floating and not math.isfinite(value):
            rules.append(f"{f.name}.finite")
        # Spark sorts NaN above every number, so it breaks an upper bound.
        above = f.maximum is not None and (value > f.maximum or (f.is_floating and math.isnan(value)))
        if above or (f.minimum is not None and value < f.minimum):
            rules.append(f"{f.name}.range")
        if f.allowed and value not in f.allowed:
            rules.append(f"{f.name}.allowed")
        # The contract ends its patterns the Java way.
        if f.pattern is not None and not re.fullmatch(f.pattern.replace(r"\z", r"\Z"), value):
            rules.append(f"{f.name}.pattern")
    return rules


def _rows(plan: SynthPlan, count: int) -> list[dict[str, Any]]:
    """Make sound newcomers: copies of `count` customers under new ids, without edges."""
    model, table = plan.model, plan.contract.entity
    ids = Permutation(plan.seed, "faults", plan.customers).inverse(
        np.arange(count, dtype=np.int64) % plan.customers
    )
    columns = reference(model, ids)
    none = np.zeros(count, dtype=np.int64)
    with_degrees(model, ids, columns, none, none, none)
    out = []
    for i in range(count):
        row: dict[str, Any] = {table.key[0]: customer_id(plan, plan.customers + i)}
        for f in table.fields:
            if f.is_key or f.name == SNAPSHOT_DATE:
                continue
            raw = columns[f.name][i]
            if f.reference_shares:
                code = f.reference_shares[int(raw)][0]
                row[f.name] = code if f.spark_type == "string" else int(code)
            else:
                row[f.name] = float(raw) if f.is_floating else round(float(raw))
        out.append(row | {SNAPSHOT_DATE: plan.end_date})
    return out


def _wanted(plan: SynthPlan, table: Table) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """List each fault's name, column and changed values, without those of the key."""
    for f in table.fields:
        for name, value in field_faults(f):
            yield name, f.name, {f.name: value}
    for rule in table.rules:
        if rule.name not in plan.scenario.breaks:
            raise ConfigurationError(
                f"the scenario does not say how to break the rule {rule.name}",
                hint="add it under `breaks` in scenario.yaml",
            )
        yield f"breaks {rule.name}", None, dict(plan.scenario.breaks[rule.name])


def _entity_faults(plan: SynthPlan, each: int) -> list[PlantedRow]:
    table = plan.contract.entity
    (key,) = table.key
    wanted = [w for w in _wanted(plan, table) for _ in range(each)]
    rows = _rows(plan, len(wanted) + 3 * each)
    planted = [
        PlantedRow(name, column, row | changed)
        for (name, column, changed), row in zip(wanted, rows, strict=False)
    ]
    spare = rows[len(wanted) :]
    for i in range(each):
        planted.append(PlantedRow(f"{key} null", key, spare[3 * i] | {key: None}))
        if table[key].pattern is not None:
            planted.append(
                PlantedRow(
                    f"{key} off the pattern", key, spare[3 * i + 1] | {key: f"{plan.scenario.prefix}x{i}"}
                )
            )
        twin = spare[3 * i + 2]
        planted.append(PlantedRow(f"{key} duplicated", key, twin, n=2, extra=[dict(twin)]))
    return planted


def _log_faults(plan: SynthPlan, table: Table, each: int) -> list[PlantedRow]:
    """Make orphans (some alone, some that share one absent key), nulls, unknown kinds and broken rules, one
    fault per row.
    """
    src, dst, kind, at = table.names
    noon = dt.datetime.combine(plan.end_date, dt.time(12), tzinfo=dt.UTC)

    def sound(i: int) -> dict[str, Any]:
        ends = [customer_id(plan, (2 * i + side) % plan.customers) for side in (0, 1)]
        return {src: ends[0], dst: ends[1], kind: table[kind].allowed[0], at: noon}

    planted = []
    for i in range(each):
        for name, column, changed in _wanted(plan, table):
            row = sound(i) | changed
            planted.append(
                PlantedRow(
                    name,
                    column,
                    {
                        k: row[v[1:]] if isinstance(v, str) and v.startswith("=") else v
                        for k, v in row.items()
                    },
                )
            )
        for number, end in enumerate((src, dst)):
            absent = customer_id(plan, 2 * plan.customers + 1000 + 2 * i + number)
            planted.append(PlantedRow("orphan", end, sound(i) | {end: absent}, broken=(f"{end}.references",)))
    absent_key = {dst: customer_id(plan, 2 * plan.customers + 999)}
    shared = [sound(i) | absent_key for i in range(_SHARED * each)]
    planted.append(
        PlantedRow(
            "orphans with one key",
            dst,
            shared[0],
            broken=(f"{dst}.references",),
            n=len(shared),
            extra=shared[1:],
        )
    )
    return planted


def _open(schema: T.StructType) -> T.StructType:
    """Make every column nullable: planted rows have nulls where the frame has none."""
    return T.StructType([T.StructField(f.name, f.dataType) for f in schema.fields])


def _frame(spark: SparkSession, like: DataFrame, rows: list[dict[str, Any]]) -> DataFrame:
    return from_rows(spark, ([r[c] for c in like.columns] for r in rows), _open(like.schema))


def _check(spark: SparkSession, table: Table, like: DataFrame, planted: list[PlantedRow]) -> None:
    """Fill in the rules that each planted row breaks.

    Field rules are checked in Python, table rules by evaluating them on these few rows.
    """
    rows = [p.row | {_NUMBER: i} for i, p in enumerate(planted)]
    schema = _open(like.schema).add(_NUMBER, T.IntegerType())
    frame = from_rows(spark, ([r[c] for c in [*like.columns, _NUMBER]] for r in rows), schema)
    read = [read_statement(rule.expression, table.column_types, rule.name) for rule in table.rules]
    checks = [F.when(~F.expr(r.sql), F.lit(rule.name)) for r, rule in zip(read, table.rules, strict=True)]
    violated = F.array_compact(F.array(*checks)) if checks else F.array().cast("array<string>")
    by_rule = {r[_NUMBER]: r["names"] for r in frame.select(_NUMBER, violated.alias("names")).collect()}
    for i, p in enumerate(planted):
        twice = [f"{'+'.join(table.key)}.unique"] if table.key and p.n > 1 else []
        p.broken = (*broken_fields(table, p.row), *p.broken, *twice, *by_rule[i])


def _lines(plan: SynthPlan, table: Table, planted: list[PlantedRow]) -> Iterator[tuple[Any, ...]]:
    key = table.key[0] if table.key else None
    for p in planted:
        shown = p.row[key] if key else (p.row[p.column] if p.column else p.row[table.names[0]])
        for rule in p.broken:
            yield (
                table.name,
                plan.end_date,
                p.fault,
                rule,
                p.column,
                None if shown is None else str(shown),
                p.n,
            )


def with_faults(
    spark: SparkSession,
    plan: SynthPlan,
    *,
    customers: DataFrame,
    connections: DataFrame,
    interactions: DataFrame,
    each: int = 1,
) -> FaultyTables:
    """Append `each` bad rows of every kind on the last snapshot's day, and list the rules that they break.

    The manifest counts the rows in `n` (both rows of a duplicated key, all orphans of a shared key), and
    lists as fault `missing` how many sound customers lack each field, which is by design and not a fault.
    Cost: a few hundred rows made on the driver and one small job.
    Errors: ConfigurationError when the scenario does not say how to break one of the contract's rules.
    """
    tables = (plan.contract.entity, *plan.contract.logs[:2])
    lines: list[tuple[Any, ...]] = []
    out = []
    for table, frame in zip(tables, (customers, connections, interactions), strict=True):
        planted = _entity_faults(plan, each) if table.key else _log_faults(plan, table, each)
        _check(spark, table, frame, planted)
        out.append(
            frame.unionByName(_frame(spark, frame, [row for p in planted for row in (p.row, *p.extra)]))
        )
        lines += _lines(plan, table, planted)
    n_missing = int(plan.scenario.missing_share * plan.customers)
    entity = plan.contract.entity
    natural = [f for f in entity.fields if not f.required and not f.is_key and f.name != SNAPSHOT_DATE]
    if plan.snapshots <= 28:  # later on, some of those who lack a field had not signed up yet
        lines += [
            (entity.name, day, "missing", f"{f.name}.not_null", f.name, None, n_missing)
            for day in plan.dates
            for f in natural
            if n_missing
        ]
    return FaultyTables(out[0], out[1], out[2], from_rows(spark, lines, MANIFEST))
