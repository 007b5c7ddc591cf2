"""Profile a DataFrame that nobody has declared: a fixed number of passes, exact, and the same in any order of
rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import SNAPSHOT_DATE, VALID
from engage_spark.contract.model import is_reserved_column
from engage_spark.errors import ConfigurationError, ContractError, InputError
from engage_spark.numerics.sketches import estimate_quantiles
from engage_spark.quality.profiling import value_scan
from engage_spark.quality.profiling.facts import ColumnFacts, TableProfile, TriedKey, facts_of
from engage_spark.quality.profiling.personal import is_protected
from engage_spark.quality.stats.binning import Binning, BinScale
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


def profile(df: DataFrame, *, key: Sequence[str] = (), all_quartiles: bool = False) -> TableProfile:
    """Look at every column of `df`.

    `key` names the key where it is known; it is counted all the same. `all_quartiles` estimates those of all
    numbers, and not only of what is protected by its name.

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
        return _profile(df, key, all_quartiles)


def _profile(df: DataFrame, key: Sequence[str], all_quartiles: bool) -> TableProfile:
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
    columns = _columns(known, types, all_quartiles)
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
            left_out.append((f.name, _why_reserved(f.name)))
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


def _why_reserved(name: str) -> str:
    """Say why a column of a name of this package's own is left out, and the way out."""
    if name.lower() == SNAPSHOT_DATE:
        return (
            "the day of the rows is what the folder or --snapshot-date says, and this is no date of that name"
        )
    return "the name is this package's own; have it delivered under another"


def _columns(df: DataFrame, types: dict[str, str], all_quartiles: bool) -> tuple[ColumnFacts, ...]:
    if not types:
        raise InputError(
            "there is no column that a contract can declare", hint="look at the types of the columns"
        )
    banded = {c for c, t in types.items() if (all_quartiles or is_protected(c)) and _is_number(t)}
    binnings = [
        Binning(column=c, type=t, scale=BinScale.MAGNITUDE if c in banded else BinScale.ONE)
        for c, t in types.items()
    ]
    counted = count_columns(
        df.withColumn("_dq_status", F.lit(VALID)),
        rules=(),
        binnings=binnings,
        quantiles_of=banded,
    )
    quartiles = {c: _quartiles(counted.sketches[c].quantiles) for c in banded}
    profiles = _values(df, types)
    return tuple(
        facts_of(c, t, counted.columns[c], profiles.get(c), quartiles.get(c, ())) for c, t in types.items()
    )


def _is_number(kind: str) -> bool:
    return kind in ("tinyint", "smallint", "int", "bigint", "float", "double") or kind.startswith("decimal")


def _quartiles(summary: bytes | None) -> tuple[float, ...]:
    orders = estimate_quantiles(summary, (0.25, 0.5, 0.75)) if summary is not None else []
    return tuple(x for x in orders if x is not None)


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


def _key(
    df: DataFrame, columns: tuple[ColumnFacts, ...], rows: int, stated_key: tuple[str, ...], dated: bool
) -> tuple[tuple[str, ...], tuple[TriedKey, ...]]:
    """Find the key, and for others how many rows share theirs.

    A key is unique and never null; single columns come before pairs, and names that sound like a key before
    others, then the order of the columns decides.
    """
    usable = [c for c in columns if _may_be_key(c) and rows]
    if stated_key:
        return stated_key, (_shared(df, [stated_key], dated)[stated_key],)
    ranked = sorted(usable, key=lambda c: (not _ID.search(c.name), columns.index(c)))
    singles: list[tuple[str, ...]] = [
        (c,) for c in _nearly_unique(df, [c.name for c in ranked], rows, dated)[:CANDIDATES]
    ]
    shared = _shared(df, singles, dated)
    unique = [k for k in singles if not shared[k].shared]
    if not unique:
        pairs = _pairs(
            df, [c.name for c in ranked[:PAIRED] if c.values is None or len(c.values) > 1], rows, dated
        )
        shared |= _shared(df, pairs, dated)
        unique = [k for k in pairs if not shared[k].shared]
    tried = sorted((k for k in shared.values() if k.shared), key=lambda k: k.shared)
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


def _shared(df: DataFrame, keys: Sequence[tuple[str, ...]], dated: bool) -> dict[tuple[str, ...], TriedKey]:
    """Count how many rows share their key with another, for each of several keys: one scan, one shuffle of
    rows × keys, one action.

    Keys that differ in the case of letters alone count as one: nobody could tell them apart. A row in which
    a column of the key is null has none, and shares none.
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
    is_missing = reduce(or_, (F.col(f"k.p{p}").isNull() for p in range(widest)))
    shares = (F.col("n") > 1) & ~is_missing
    counted = (
        groups.groupBy(F.col("k.i").alias("i"))
        .agg(
            F.sum(F.when(shares, F.col("n")).otherwise(0)).alias("shared"),
            F.sum(F.when(is_missing, F.col("n")).otherwise(0)).alias("missing"),
        )
        .collect()
    )
    by_key = {r["i"]: (r["shared"], r["missing"]) for r in counted}
    return {
        k: TriedKey(columns=k, shared=by_key.get(i, (0, 0))[0], missing=by_key.get(i, (0, 0))[1])
        for i, k in enumerate(keys)
    }


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
