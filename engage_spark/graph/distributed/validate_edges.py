"""Edges as they are given: judged once, all faults in one error, lengths turned into integers so that ties
between paths are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.errors import InputError

LONGEST = 2**31 - 1
"""A length is at most so many quanta, so that sums over any path fit 64 bits."""
_NO_IDS = (T.FloatType, T.DoubleType, T.ArrayType, T.MapType, T.StructType, T.NullType)
_MEND = "give edges(src, dst) and vertices(id) with ids of one type, none of them null"


@dataclass(frozen=True)
class Edges:
    """`rows` has src, dst and, where lengths were given, `length` in quanta (bigint ≥ 1)."""

    rows: DataFrame
    vertices: DataFrame | None
    id_type: T.DataType
    count: int
    self_loops: int
    quantum: float | None


def judged_edges(
    edges: DataFrame,
    *,
    vertices: DataFrame | None = None,
    weight: str | None = None,
    quantum: float | None = None,
) -> Edges:
    """`edges` with what is wrong with them refused: src and dst of unlike type, null ids, lengths that are no
    lengths.

    Self-loops and parallel edges are no fault; loops are counted here, parallels when the graph is built.
    `weight` names a column of lengths: finite, above zero (a length of zero would leave the number of
    shortest paths undefined). They are kept as whole multiples of `quantum`: 1 where all lengths are whole,
    else the largest power of ten that is no more than a thousandth of the smallest length, so that decimals
    keep their ties and no length moves by more than 0.05%. Cost: one scan of the edges, no shuffle. Raises
    InputError.
    """
    id_type = _id_type(edges, vertices, weight)
    length = None if weight is None else F.col(f"`{weight}`").cast("double")
    found = edges.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_if(F.col("src").isNull()).alias("src"),
        F.count_if(F.col("dst").isNull()).alias("dst"),
        F.count_if(F.col("src") == F.col("dst")).alias("loops"),
        *([] if length is None else _length_counts(length)),
    ).collect()[0]
    wrong = [
        f"{name} is null in {found[name]} of {found['rows']} edges" for name in ("src", "dst") if found[name]
    ]
    if length is not None:
        for name in ("null", "NaN or infinite", "negative", "zero"):
            if found[name]:
                wrong.append(f"{weight} is {name} in {found[name]} of {found['rows']} edges")
    if wrong:
        raise InputError(
            "these edges cannot be read as a graph",
            details=wrong,
            hint=_MEND + "; a weight is a length above zero",
        )
    columns: list[Column] = [F.col("src"), F.col("dst")]
    if length is not None:
        quantum = _quantum(quantum, found["least"], found["most"], whole=not found["broken"])
        columns.append(F.round(length / F.lit(quantum)).cast("bigint").alias("length"))
    rows = edges.select(*columns)
    own = None if vertices is None else vertices.select("id")
    return Edges(
        rows, own, id_type, int(found["rows"]), int(found["loops"]), quantum if weight is not None else None
    )


def _length_counts(length: Column) -> list[Column]:
    sound = ~F.isnan(length) & (F.abs(length) != math.inf)
    return [
        F.count_if(length.isNull()).alias("null"),
        F.count_if(~sound).alias("NaN or infinite"),
        F.count_if(sound & (length < 0)).alias("negative"),
        F.count_if(length == 0).alias("zero"),
        F.count_if(sound & (length != F.floor(length))).alias("broken"),
        F.min(F.when(sound & (length > 0), length)).alias("least"),
        F.max(F.when(sound, length)).alias("most"),
    ]


def _id_type(edges: DataFrame, vertices: DataFrame | None, weight: str | None) -> T.DataType:
    """The one type of all ids. Raises InputError naming every column that is missing or of another type."""
    wanted = [
        ("edges", edges, "src"),
        ("edges", edges, "dst"),
        *([("vertices", vertices, "id")] if vertices is not None else []),
    ]
    wrong, types = [], {}
    for frame, rows, name in wanted:
        having = [f.dataType for f in rows.schema.fields if f.name == name]
        if len(having) != 1:
            wrong.append(
                f"{frame} has {len(having) or 'no'} column{'s' if len(having) > 1 else ''} {name}, but {', '.join(rows.columns)}"
            )
        elif isinstance(having[0], _NO_IDS):
            wrong.append(f"{frame}.{name} is {having[0].simpleString()}, which is no type for an id")
        else:
            types[f"{frame}.{name}"] = having[0]
    if len({t.simpleString() for t in types.values()}) > 1:
        wrong.append(
            "ids are of mixed type: "
            + ", ".join(f"{name} is {t.simpleString()}" for name, t in types.items())
        )
    if weight is not None:
        lengths = [f.dataType for f in edges.schema.fields if f.name == weight]
        if len(lengths) != 1 or not isinstance(lengths[0], T.NumericType):
            kind = lengths[0].simpleString() if lengths else "not there"
            wrong.append(f"the weight column {weight} must be a number of edges, and is {kind}")
    if wrong:
        raise InputError("these columns make no graph", details=wrong, hint=_MEND)
    return next(iter(types.values()))


def _quantum(given: float | None, least: float | None, most: float | None, *, whole: bool) -> float:
    if least is None or most is None:  # no edges
        return given or 1.0
    quantum = given
    if quantum is None:
        quantum = 1.0 if whole else 10.0 ** math.floor(math.log10(least) - 3)
    if not (math.isfinite(quantum) and quantum > 0):
        raise InputError(
            f"quantum is {quantum}, and must be a length above zero",
            hint="leave it out, or give the unit that lengths count in",
        )
    if round(least / quantum) < 1 or most / quantum > LONGEST:
        raise InputError(
            f"lengths from {least} to {most} do not fit whole multiples (1 to {LONGEST}) of {quantum}",
            hint="give a `quantum` no larger than the smallest length and no less than the largest over 2147483647",
        )
    return quantum
