"""Validate the edges of a graph in one scan, and turn lengths into integers so that ties between paths are
exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.errors import InputError

MAX_LENGTH = 2**31 - 1
"""Largest length in length units, so that sums over any path fit 64 bits."""
_NO_ID_TYPES = (T.FloatType, T.DoubleType, T.ArrayType, T.MapType, T.StructType, T.NullType)
_HINT = "give edges(src, dst) and vertices(id) with ids of one type, none of them null"


@dataclass(frozen=True)
class GraphEdges:
    """Validated edges: `rows` has src, dst and, where lengths were given, `length` in length units (bigint,
    at least 1).
    """

    rows: DataFrame
    vertices: DataFrame | None
    id_type: T.DataType
    count: int
    self_loops: int
    length_unit: float | None


def validate_edges(
    edges: DataFrame,
    *,
    vertices: DataFrame | None = None,
    weight: str | None = None,
    length_unit: float | None = None,
) -> GraphEdges:
    """Check `edges` (src, dst) and turn their lengths into integers.

    Self-loops and parallel edges are allowed; loops are counted here, parallel edges when the graph is built.
    `weight` names a column of lengths: finite, above zero (a length of zero would leave the number of
    shortest paths undefined).

    Units: lengths become whole multiples of `length_unit`: 1 where all lengths are whole, else the largest
    power of ten that is at most a thousandth of the smallest length, so that decimals keep their ties
    and no length moves by more than 0.05%.
    Cost: one scan of the edges, no shuffle.
    Errors: one InputError that lists every fault: src and dst of unlike type, null ids, bad lengths.
    """
    id_type = _check_columns(edges, vertices, weight)
    length = None if weight is None else F.col(f"`{weight}`").cast("double")
    counts = edges.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_if(F.col("src").isNull()).alias("src"),
        F.count_if(F.col("dst").isNull()).alias("dst"),
        F.count_if(F.col("src") == F.col("dst")).alias("loops"),
        *([] if length is None else _length_counts(length)),
    ).collect()[0]
    n_rows = counts["rows"]
    problems = [
        f"{name} is null in {counts[name]} of {n_rows} edges" for name in ("src", "dst") if counts[name]
    ]
    if length is not None:
        for name in ("null", "NaN or infinite", "negative", "zero"):
            if counts[name]:
                problems.append(f"{weight} is {name} in {counts[name]} of {n_rows} edges")
    if problems:
        raise InputError(
            "these edges cannot be read as a graph",
            details=problems,
            hint=_HINT + "; a weight is a length above zero",
        )
    columns: list[Column] = [F.col("src"), F.col("dst")]
    unit = None
    if length is not None:
        unit = _length_unit(
            length_unit, counts["shortest"], counts["longest"], whole=not counts["fractional"]
        )
        columns.append(F.round(length / F.lit(unit)).cast("bigint").alias("length"))
    ids = None if vertices is None else vertices.select("id")
    return GraphEdges(edges.select(*columns), ids, id_type, int(n_rows), int(counts["loops"]), unit)


def _length_counts(length: Column) -> list[Column]:
    finite = ~F.isnan(length) & (F.abs(length) != math.inf)
    return [
        F.count_if(length.isNull()).alias("null"),
        F.count_if(~finite).alias("NaN or infinite"),
        F.count_if(finite & (length < 0)).alias("negative"),
        F.count_if(length == 0).alias("zero"),
        F.count_if(finite & (length != F.floor(length))).alias("fractional"),
        F.min(F.when(finite & (length > 0), length)).alias("shortest"),
        F.max(F.when(finite, length)).alias("longest"),
    ]


def _check_columns(edges: DataFrame, vertices: DataFrame | None, weight: str | None) -> T.DataType:
    """Return the one type of all ids. Raises InputError naming every column that is missing or of another
    type.
    """
    id_columns = [("edges", edges, "src"), ("edges", edges, "dst")]
    if vertices is not None:
        id_columns.append(("vertices", vertices, "id"))
    problems, types = [], {}
    for frame, rows, name in id_columns:
        same_name = [f.dataType for f in rows.schema.fields if f.name == name]
        if len(same_name) != 1:
            number = f"{len(same_name)} columns" if same_name else "no column"
            problems.append(f"{frame} has {number} {name}, but {', '.join(rows.columns)}")
        elif isinstance(same_name[0], _NO_ID_TYPES):
            problems.append(f"{frame}.{name} is {same_name[0].simpleString()}, which is not a type for an id")
        else:
            types[f"{frame}.{name}"] = same_name[0]
    if len({t.simpleString() for t in types.values()}) > 1:
        problems.append(
            "ids are of mixed type: "
            + ", ".join(f"{name} is {t.simpleString()}" for name, t in types.items())
        )
    if weight is not None:
        lengths = [f.dataType for f in edges.schema.fields if f.name == weight]
        if len(lengths) != 1 or not isinstance(lengths[0], T.NumericType):
            kind = lengths[0].simpleString() if lengths else "not there"
            problems.append(f"the weight column {weight} must be a number of edges, and is {kind}")
    if problems:
        raise InputError("these columns make no graph", details=problems, hint=_HINT)
    return next(iter(types.values()))


def _length_unit(
    stated_unit: float | None, shortest: float | None, longest: float | None, *, whole: bool
) -> float:
    if shortest is None or longest is None:  # no edges
        return stated_unit or 1.0
    unit = stated_unit
    if unit is None:
        unit = 1.0 if whole else 10.0 ** math.floor(math.log10(shortest) - 3)
    if not (math.isfinite(unit) and unit > 0):
        raise InputError(
            f"length_unit is {unit}, and must be a length above zero",
            hint="leave it out, or give the unit that lengths count in",
        )
    if round(shortest / unit) < 1 or longest / unit > MAX_LENGTH:
        raise InputError(
            f"lengths from {shortest} to {longest} do not fit whole multiples (1 to {MAX_LENGTH}) of {unit}",
            hint="give a `length_unit` no larger than the smallest length and no less than the largest over "
            f"{MAX_LENGTH}",
        )
    return unit
