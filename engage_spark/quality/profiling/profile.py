"""Profile a DataFrame that nobody has declared: a fixed number of passes, exact, and the same in any order of
rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import SNAPSHOT_DATE, VALID
from engage_spark.contract.model import is_reserved_column
from engage_spark.errors import ConfigurationError, ContractError, InputError
from engage_spark.quality.profiling import value_scan
from engage_spark.quality.stats.binning import Binning, BinScale
from engage_spark.quality.stats.column_stats import ColumnStats
from engage_spark.quality.stats.count import count_columns
from engage_spark.spark.by_value import send_by_value
from engage_spark.spark.column_profile import ColumnProfile, CountedColumn, profile_columns
from engage_spark.spark.guarantees import guarantees
from engage_spark.spark.schema import column_named, spark_type

send_by_value(value_scan)

CANDIDATES, PAIRED, SAMPLE = 8, 10, 20_000
"""The most keys that are counted exactly, the most columns that are paired, and about how many rows sort out
pairs beforehand.
"""
MOST_DIFFERENT = 0.75
_FEW = ("tinyint", "smallint", "int", "bigint", "boolean")
_ID = re.compile(r"(^|_)(id|uuid|guid|key|code|number|no|nr|num)$|id$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """Texts of one make: of each token its class or the sign it is, first and last text, least and most
    characters.
    """

    signs: str
    tokens: tuple[tuple[str, str, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """What one column holds.

    `values` counts them where they are few, else it is None; `shapes` likewise.
    """

    name: str
    type: str
    state: ColumnStats
    values: dict[str, int] | None = None
    shapes: tuple[TextShape, ...] | None = None
    form: str | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        return self.type == "string"


@dataclass(frozen=True, kw_only=True)
class TableProfile:
    """A DataFrame's facts, its key (empty where there is none), how many rows share theirs under other keys
    that were tried, and the columns that a contract cannot declare, with the reason.
    """

    rows: int
    columns: tuple[ColumnFacts, ...]
    key: tuple[str, ...]
    tried: tuple[tuple[tuple[str, ...], int], ...]
    left_out: tuple[tuple[str, str], ...]
    dated: bool = False


def profile(df: DataFrame, *, key: Sequence[str] = ()) -> TableProfile:
    """Look at every column of `df`.

    `key` names the key where it is known; it is counted all the same.

    What it finds does not depend on the session's time zone and ANSI mode.

    Cost: whatever the number of rows and columns: three scans (counts and sums; values and shapes; about how
    many differ), one of the columns that may be keys with a shuffle of their values, and two of up to ten
    columns where no single one is unique. Some hundred rows a column reach the driver.
    Errors: InputError for columns that Spark cannot tell apart, ConfigurationError for a key that is none of
    them.
    """
    same = [c for c in df.columns if sum(c.lower() == d.lower() for d in df.columns) > 1]
    if same or "" in df.columns:
        raise InputError(
            "columns cannot be told apart by name",
            details=[repr(c) for c in same] or ["a column has no name"],
            hint="rename them, then profile",
        )
    if unknown := [k for k in key if k not in df.columns]:
        raise ConfigurationError(
            f"there is no column {', '.join(map(repr, unknown))}",
            hint=f"columns are: {', '.join(df.columns)}",
        )
    with guarantees(df.sparkSession):
        return _profile(df, key)


def _profile(df: DataFrame, key: Sequence[str]) -> TableProfile:
    dated = isinstance(
        next((f.dataType for f in df.schema.fields if f.name == SNAPSHOT_DATE), None), T.DateType
    )
    types, left_out = _types(df, dated)
    known = df.select(
        *(
            column_named(c).cast("string").alias(c) if t == "void" else column_named(c)
            for c, t in types.items()
        ),
        *([F.col(SNAPSHOT_DATE)] if dated else []),
    )
    types = {c: "string" if t == "void" else t for c, t in types.items()}
    columns = _columns(known, types)
    rows = columns[0].state.rows if columns else 0
    unique_key, tried = _key(known, columns, rows, tuple(key), dated)
    return TableProfile(
        rows=rows, columns=columns, key=unique_key, tried=tried, left_out=left_out, dated=dated
    )


def _types(df: DataFrame, dated: bool) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    types: dict[str, str] = {}
    left_out: list[tuple[str, str]] = []
    for f in df.schema.fields:
        kind = f.dataType.simpleString()
        if f.name == SNAPSHOT_DATE and dated:
            continue
        if is_reserved_column(f.name) or f.name.lower() == SNAPSHOT_DATE:
            left_out.append((f.name, "the name is this package's own; rename it"))
            continue
        try:
            if kind != "void" and spark_type(kind).simpleString() != kind:
                raise ContractError(kind)
        except ContractError:
            zone = "; cast it to timestamp, in UTC" if kind == "timestamp_ntz" else ""
            left_out.append((f.name, f"a contract cannot declare the type {kind}{zone}"))
            continue
        types[f.name] = kind
    return types, tuple(left_out)


def _columns(df: DataFrame, types: dict[str, str]) -> tuple[ColumnFacts, ...]:
    if not types:
        raise InputError(
            "there is no column that a contract can declare", hint="look at the types of the columns"
        )
    plain = [Binning(column=c, type=t, scale=BinScale.ONE) for c, t in types.items()]
    states = count_columns(df.withColumn("_dq_status", F.lit(VALID)), rules=(), binnings=plain).columns
    profiles = _values(df, types)
    return tuple(facts_of(c, t, states[c], profiles.get(c)) for c, t in types.items())


def _values(df: DataFrame, types: dict[str, str]) -> dict[str, ColumnProfile]:
    """Scan the values of text, whole numbers and flags, by column."""
    scanned = {
        c: CountedColumn(
            column_named(c), True, value_scan.TextScan if t == "string" else value_scan.value_counter
        )
        for c, t in types.items()
        if t == "string" or t in _FEW
    }
    return profile_columns(df, scanned, limit=value_scan.VALUES)[1] if scanned else {}


def facts_of(name: str, kind: str, state: ColumnStats, scan: ColumnProfile | None) -> ColumnFacts:
    """Combine the statistics of a column with the scan of its values, which numbers with fractions, moments
    and nested columns lack.
    """
    if scan is None:
        return ColumnFacts(name=name, type=kind, state=state)
    details = scan.details
    counts = {r["text"]: r["rows"] for r in details.get(value_scan.COUNT, ())}
    visible = state.filled - counts.get("blank", 0)
    off = {r["text"] for r in details.get(value_scan.OFF, ())}
    form = next((f for f in value_scan.FORMS if f not in off), None) if kind == "string" and visible else None
    signs = [r["text"] for r in details.get(value_scan.SHAPE, ())]
    shapes: tuple[TextShape, ...] | None = None
    if signs and value_scan.SHAPELESS not in details and len(signs) <= value_scan.SHAPES:
        tokens = {
            r["text"]: (r["first"], r["last"], int(r["least"]), int(r["most"]))
            for r in details[value_scan.TOKEN]
        }
        shapes = tuple(
            TextShape(signs=s, tokens=tuple(tokens[f"{i:02}{s}"] for i in range(len(s)))) for s in signs
        )
    return ColumnFacts(
        name=name,
        type=kind,
        state=state,
        values={str(v): n for v, n in scan.values.items()} if scan.complete else None,
        shapes=shapes,
        form=form,
        counts=counts,
    )


def _key(
    df: DataFrame, columns: tuple[ColumnFacts, ...], rows: int, stated_key: tuple[str, ...], dated: bool
) -> tuple[tuple[str, ...], tuple[tuple[tuple[str, ...], int], ...]]:
    """Find the key, and for others how many rows share theirs.

    A key is unique and never null; single columns come before pairs, and names that sound like a key before
    others, then the order of the columns decides.
    """
    usable = [c for c in columns if _may_be_key(c) and rows]
    if stated_key:
        return stated_key, ((stated_key, _shared(df, [stated_key], dated)[stated_key]),)
    ranked = sorted(usable, key=lambda c: (not _ID.search(c.name), columns.index(c)))
    singles: list[tuple[str, ...]] = [
        (c,) for c in _nearly_unique(df, [c.name for c in ranked], rows, dated)[:CANDIDATES]
    ]
    shared = _shared(df, singles, dated)
    unique = [k for k in singles if not shared[k]]
    if not unique:
        pairs = _pairs(
            df, [c.name for c in ranked[:PAIRED] if c.values is None or len(c.values) > 1], rows, dated
        )
        shared |= _shared(df, pairs, dated)
        unique = [k for k in pairs if not shared[k]]
    tried = sorted(((k, n) for k, n in shared.items() if n), key=lambda x: x[1])
    return unique[0] if unique else (), tuple(tried)


def _may_be_key(c: ColumnFacts) -> bool:
    scalar = "<" not in c.type and c.type not in ("float", "double", "boolean", "binary")
    odd = any(c.counts.get(x) for x in ("blank", "control", "lost", "long", "unfit"))
    return scalar and not c.state.nulls and bool(c.state.rows) and not odd


def _nearly_unique(df: DataFrame, names: list[str], rows: int, dated: bool) -> list[str]:
    """Find the columns with about as many different values as rows.

    HyperLogLog++ with an error of 5%, so that none that is unique is missed; its estimate does not depend on
    the order of rows, as that of a sketch would. One scan.
    """
    if not names:
        return []
    wanted = [F.struct(F.col(SNAPSHOT_DATE), column_named(n)) if dated else column_named(n) for n in names]
    n_different = df.agg(
        *(F.approx_count_distinct(c, 0.05).alias(f"d{i}") for i, c in enumerate(wanted))
    ).collect()[0]
    return [n for i, n in enumerate(names) if n_different[i] >= MOST_DIFFERENT * rows]


def _shared(df: DataFrame, keys: Sequence[tuple[str, ...]], dated: bool) -> dict[tuple[str, ...], int]:
    """How many rows share their key with another, for each of several keys: one scan, one shuffle of rows ×
    keys, one action.

    Keys that differ in the case of letters alone count as one: nobody could tell them apart.
    """
    if not keys:
        return {}
    widest = max(map(len, keys))

    def part(k: tuple[str, ...], p: int) -> Column:
        return (F.lower(column_named(k[p]).cast("string")) if p < len(k) else F.lit("")).alias(f"p{p}")

    parts = [F.struct(F.lit(i).alias("i"), *(part(k, p) for p in range(widest))) for i, k in enumerate(keys)]
    day = F.col(SNAPSHOT_DATE) if dated else F.lit(None).cast("date")
    each = df.select(F.explode(F.array(*parts)).alias("k"), day.alias("day"))
    groups = each.groupBy("k", "day").agg(F.count(F.lit(1)).alias("n"))
    count_rows = (
        groups.groupBy(F.col("k.i").alias("i"))
        .agg(F.sum(F.when(F.col("n") > 1, F.col("n")).otherwise(0)).alias("n"))
        .collect()
    )
    counted = {r["i"]: r["n"] for r in count_rows}
    return {k: counted.get(i, 0) for i, k in enumerate(keys)}


def _pairs(df: DataFrame, names: list[str], rows: int, dated: bool) -> list[tuple[str, ...]]:
    """Pairs that a sample does not rule out: two of its rows with the same pair are two of all rows.

    The sample is by a hash of the row.
    """
    if len(names) < 2:
        return []
    hashes = [F.xxhash64(column_named(n)).alias(f"h{i}") for i, n in enumerate(names)]
    every = F.pmod(F.xxhash64(*map(column_named, names)), F.lit(max(1, rows // SAMPLE))) == 0
    drawn = (
        df.where(every)
        .select(*hashes, *([F.col(SNAPSHOT_DATE)] if dated else []))
        .limit(2 * SAMPLE)
        .collect()
    )
    left: list[tuple[str, ...]] = []
    for a, b in combinations(range(len(names)), 2):
        seen = {(r[a], r[b], r[-1] if dated else None) for r in drawn}
        if len(seen) == len(drawn):
            left.append((names[a], names[b]))
    return left[:CANDIDATES]
