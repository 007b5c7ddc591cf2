"""Make the synthetic tables as DataFrames: `mapInArrow` turns counters into rows. Nothing is read or written
here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark.contract import SNAPSHOT_DATE
from engage_spark.contract.model import Contract, Field, Table
from engage_spark.errors import ConfigurationError
from engage_spark.numerics.dtypes import I64
from engage_spark.synth import earlier_days, graph
from engage_spark.synth.calibrate import calibrate_model
from engage_spark.synth.hashing import Permutation
from engage_spark.synth.rows import Columns, SynthModel, outside_followers, reference
from engage_spark.synth.scenario import Scenario, load_scenario

BATCH_ROWS = 1 << 16
_DENSE_COUNTS = 1 << 22
_ARROW = {
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "float": pa.float32(),
    "string": pa.string(),
}


@dataclass(frozen=True, kw_only=True)
class SynthPlan:
    """What to make. The same plan gives the same rows on any partitioning.

    `partitions` only says into how many pieces work is cut. `snapshots` consecutive days end at `end_date`;
    the calibrated one is the last. Below about 5,000 customers the degrees are capped by the number of
    customers, and the means of connections, follows and followers are not promised.
    """

    customers: int
    contract: Contract
    snapshots: int = 1
    seed: int = 42
    end_date: dt.date = dt.date(2025, 10, 21)
    scenario: Scenario = field(default_factory=load_scenario)
    partitions: int | None = None

    @cached_property
    def model(self) -> SynthModel:
        """Solve the model on first use, on the driver: about a second at 100,000 customers."""
        if not 1 <= self.snapshots <= earlier_days.MOST_SNAPSHOTS:
            raise ConfigurationError(
                f"cannot make {self.snapshots} snapshots", hint=f"ask for 1 to {earlier_days.MOST_SNAPSHOTS}"
            )
        return calibrate_model(
            customers=self.customers, seed=self.seed, scenario=self.scenario, table=self.contract.entity
        )

    @property
    def end_second(self) -> int:
        """The first second after the last snapshot's day, UTC, since 1970."""
        return (self.end_date - dt.date(1970, 1, 1)).days * graph.DAY + graph.DAY

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """The snapshot days, the last first."""
        return tuple(self.end_date - dt.timedelta(days=k) for k in range(self.snapshots))


def id_column(plan: SynthPlan, number: Column) -> Column:
    """Return the customer id of an index: the prefix and at least the scenario's digits."""
    digits = max(plan.scenario.digits, len(str(plan.customers - 1)))
    return F.concat(F.lit(plan.scenario.prefix), F.lpad(number.cast("string"), digits, "0"))


def customer_id(plan: SynthPlan, index: int) -> str:
    """Apply `id_column` on the driver."""
    digits = max(plan.scenario.digits, len(str(plan.customers - 1)))
    return f"{plan.scenario.prefix}{index:0{digits}d}"


def _ids(batch: pa.RecordBatch) -> I64:
    return np.asarray(batch.column("id")).astype(np.int64)


def _cut(columns: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    rows = len(next(iter(columns.values())))
    for start in range(0, rows, BATCH_ROWS):
        yield pa.RecordBatch.from_pydict(
            {name: pa.array(values[start : start + BATCH_ROWS]) for name, values in columns.items()}
        )


def _edge_batches(model: SynthModel, kind: str, ids: I64) -> Iterator[tuple[I64, I64]]:
    """Draw the edges that start in these units or customers, a few ten thousand at a time."""
    pending: list[tuple[I64, I64]] = []
    rows = 0
    for src, dst in graph.connections(model, ids) if kind == "connection" else graph.follows(model, ids):
        pending.append((src, dst))
        rows += len(src)
        if rows >= BATCH_ROWS // 2:
            yield np.concatenate([s for s, _ in pending]), np.concatenate([d for _, d in pending])
            pending, rows = [], 0
    if pending:
        yield np.concatenate([s for s, _ in pending]), np.concatenate([d for _, d in pending])


def _edges(spark: SparkSession, plan: SynthPlan, kind: str) -> DataFrame:
    model = plan.model
    units = graph.connection_units(model) if kind == "connection" else plan.customers

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ages = graph.age_lookup(model)
        for batch in batches:
            for src, dst in _edge_batches(model, kind, _ids(batch)):
                yield from _cut(
                    {
                        "src": src,
                        "dst": dst,
                        "back": graph.seconds_back(model, src, dst, ages, f"when/{kind}"),
                    }
                )

    rows = spark.range(0, units, numPartitions=plan.partitions).mapInArrow(
        run, "src bigint, dst bigint, back bigint"
    )
    return rows.withColumn("kind", F.lit(kind))


def _log_columns(plan: SynthPlan, table: Table) -> list[Column]:
    """Select the declared columns of a log, in the contract's order: two customers, a kind, a time."""
    src, dst, kind, at = table.names
    return [
        id_column(plan, F.col("src")).alias(src),
        id_column(plan, F.col("dst")).alias(dst),
        F.col("kind").alias(kind),
        F.timestamp_seconds(F.lit(plan.end_second) - F.col("back")).alias(at),
    ]


def connections(spark: SparkSession, plan: SynthPlan) -> DataFrame:
    """Make the social graph.

    Grain: one row per edge, connections once per pair with the smaller id first, follows from follower to
    followed; no repeats, no loops. The graph of day D is every edge made on or before D (UTC).
    Nulls: none.
    Cost: about 300 hashes per customer pair block and 290 rows per customer; no shuffle.
    """
    table = plan.contract.logs[0]
    edges = _edges(spark, plan, "connection").unionByName(_edges(spark, plan, "follow"))
    return edges.select(*_log_columns(plan, table))


def interactions(spark: SparkSession, plan: SynthPlan) -> DataFrame:
    """Make events along the connections in the last weeks before the end date, by a power law per connection.

    They do not reproduce the customers' 30-day counters.
    Grain: one row per event.
    Nulls: none.
    Cost: the connections are made once more; no shuffle.
    """
    model = plan.model
    kinds = np.array([name for name, _ in plan.scenario.graph.kinds])

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ages = graph.age_lookup(model)
        for batch in batches:
            for src, dst in _edge_batches(model, "connection", _ids(batch)):
                connected = graph.seconds_back(model, src, dst, ages, "when/connection")
                who, whom, kind, back = graph.interactions(model, src, dst, connected)
                if len(who):
                    yield from _cut({"src": who, "dst": whom, "kind": kinds[kind], "back": back})

    units = graph.connection_units(model)
    events = spark.range(0, units, numPartitions=plan.partitions).mapInArrow(
        run, "src bigint, dst bigint, kind string, back bigint"
    )
    return events.select(*_log_columns(plan, plan.contract.logs[1]))


def _counted(
    model: SynthModel, kind: str, snapshots: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Count edges per customer (connections, out, in) and by the number of snapshots that show them.

    Only the counts leave Python.
    """
    width = model.customers * snapshots

    def flush(keys: list[I64], dense: I64 | None) -> Iterator[pa.RecordBatch]:
        if dense is not None:
            present = np.flatnonzero(dense)
            counts = dense[present]
        else:
            present, counts = np.unique(np.concatenate(keys), return_counts=True)
        side, rest = present // width, present % width
        yield from _cut({"id": rest // snapshots, "side": side, "age": rest % snapshots, "n": counts})

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        ages = graph.age_lookup(model)
        dense = np.zeros(3 * width, dtype=np.int64) if 3 * width <= _DENSE_COUNTS * 8 else None
        keys: list[I64] = []
        n_keys = 0
        for batch in batches:
            for src, dst in _edge_batches(model, kind, _ids(batch)):
                age = np.zeros(len(src), dtype=np.int64)
                if snapshots > 1:
                    back = graph.seconds_back(model, src, dst, ages, f"when/{kind}") - 1
                    age = np.minimum(back // graph.DAY, snapshots - 1)
                sides = (0, 0) if kind == "connection" else (1, 2)
                new = [
                    side * width + end * snapshots + age for side, end in zip(sides, (src, dst), strict=True)
                ]
                if dense is not None:
                    for key in new:
                        np.add.at(dense, key, 1)
                    continue
                keys += new
                n_keys += 2 * len(src)
                if n_keys > _DENSE_COUNTS:
                    yield from flush(keys, None)
                    keys, n_keys = [], 0
        if dense is not None or keys:
            yield from flush(keys, dense)

    return run


def degrees(spark: SparkSession, plan: SynthPlan) -> DataFrame:
    """Count degrees as of each snapshot: `c0, o0, i0` (connections, out, in) of the last day, `c1`...

    Grain: one row per customer index with an edge.
    Cost: the edges are made again and counted inside the workers, which is several times cheaper than
    aggregating the written ones.
    """
    parts = []
    for kind, units in (("connection", graph.connection_units(plan.model)), ("follow", plan.customers)):
        parts.append(
            spark.range(0, units, numPartitions=plan.partitions).mapInArrow(
                _counted(plan.model, kind, plan.snapshots), "id bigint, side bigint, age bigint, n bigint"
            )
        )
    sums = [
        F.sum(F.when((F.col("side") == side) & (F.col("age") >= k), F.col("n")).otherwise(0)).alias(
            f"{letter}{k}"
        )
        for k in range(plan.snapshots)
        for side, letter in enumerate("coi")
    ]
    return parts[0].unionByName(parts[1]).groupBy("id").agg(*sums)


def is_missing(model: SynthModel, positions: I64, k: int) -> Any:
    """Mark the customers that lack a field on day k: exactly floor(share * customers), others each day."""
    count = int(model.scenario.missing_share * model.customers)
    return (positions + k * max(count, 1)) % model.customers < count


def missing_order(model: SynthModel, name: str, ids: I64) -> I64:
    """Return where each customer stands in the order in which a field goes missing."""
    return Permutation(model.seed, f"missing/{name}", model.customers).forward(ids)


def _array(f: Field, values: Any, null: Any) -> pa.Array:
    if f.spark_type == "string":
        names = np.array([name for name, _ in f.reference_shares], dtype=object)
        return pa.array(names[np.asarray(values)], type=pa.string(), mask=null)
    if f.spark_type in ("int", "bigint"):
        codes = [int(code) for code, _ in f.reference_shares]
        values = np.asarray(codes)[np.asarray(values)] if codes else np.rint(values)
        return pa.array(np.asarray(values).astype(np.int64), type=pa.int64(), mask=null).cast(
            _ARROW[f.spark_type]
        )
    return pa.array(np.asarray(values, dtype=np.float64), type=_ARROW[f.spark_type], mask=null)


def with_degrees(model: SynthModel, ids: I64, columns: Columns, links: I64, out: I64, inward: I64) -> None:
    """Put the degrees of the drawn graph into the columns.

    Followers are those in the graph and those outside, up to the contract's maximum.
    """
    roles = model.scenario.roles
    columns[roles["connections"]], columns[roles["following"]] = links, out
    most = model.table[roles["followers"]].maximum
    columns[roles["followers"]] = np.minimum(
        inward + outside_followers(model, ids), most if most is not None else np.iinfo(np.int64).max
    )


def _rows(plan: SynthPlan) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    model, snapshots, dates = plan.model, plan.snapshots, plan.dates
    fields = [f for f in plan.contract.entity.fields if not f.is_key and f.name != SNAPSHOT_DATE]

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            everyone = _ids(batch)
            ref = reference(model, everyone)
            sessions = earlier_days.daily_sessions(model, everyone, ref) if snapshots > 1 else None
            order = {f.name: missing_order(model, f.name, everyone) for f in fields if not f.required}
            for k in range(snapshots):
                now = earlier_days.snapshot(model, everyone, ref, sessions, k)
                links, out, inward = (np.asarray(batch.column(f"{c}{k}")).astype(np.int64) for c in "coi")
                with_degrees(model, everyone, now, links, out, inward)
                here = ref["_age_days"] >= k
                arrays = {"id": pa.array(everyone[here])}
                for f in fields:
                    null = is_missing(model, order[f.name], k)[here] if f.name in order else None
                    arrays[f.name] = _array(f, np.asarray(now[f.name])[here], null)
                arrays[SNAPSHOT_DATE] = pa.array([dates[k]] * int(here.sum()), type=pa.date32())
                yield pa.RecordBatch.from_pydict(arrays)

    return run


def customers(spark: SparkSession, plan: SynthPlan) -> DataFrame:
    """Make the customers, one row per customer and snapshot day: the contract's columns in its order, then
    snapshot_date.

    Every field but the key is null for exactly floor(0.001 * customers) customers a day. Who signed up after
    a snapshot's day is not in it (nobody, up to 28 snapshots).
    Cost: the edges are made once more to count degrees; one shuffle of customer counts.
    """
    counted = degrees(spark, plan)
    names = [f"{letter}{k}" for k in range(plan.snapshots) for letter in "coi"]
    everyone = (
        spark.range(0, plan.customers, numPartitions=plan.partitions)
        .join(counted, on="id", how="left")
        .fillna(0, subset=names)
    )
    table = plan.contract.entity
    fields = [f for f in table.fields if not f.is_key and f.name != SNAPSHOT_DATE]
    ddl = ", ".join(["id bigint", *(f"`{f.name}` {f.spark_type}" for f in fields), f"{SNAPSHOT_DATE} date"])
    rows = everyone.mapInArrow(_rows(plan), ddl)
    (key,) = table.key
    columns = [
        id_column(plan, F.col("id")).alias(key) if f.name == key else F.col(f.name)
        for f in table.fields
        if f.name != SNAPSHOT_DATE
    ]
    return rows.select(*columns, SNAPSHOT_DATE)
