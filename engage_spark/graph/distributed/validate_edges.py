"""Validate the edges of a graph from counts that one scan brings, and choose the unit of their lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from engage_spark.errors import InputError

MAX_LENGTH = 2**31 - 1
"""Largest length in length units, so that sums over any path fit 64 bits."""
_NO_ID_TYPES = (T.FloatType, T.DoubleType, T.ArrayType, T.MapType, T.StructType, T.NullType)
_HINT = "give edges(src, dst) and vertices(id) with ids of one type, none of them null"
_FAULTS = ("null", "NaN or infinite", "negative", "zero")


def count_lengths(lengths: Any, counts: dict[str, float]) -> None:
    """Add the counts of some lengths (Arrow doubles) to `counts`."""
    values = lengths.drop_null().to_numpy()
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    faults = (lengths.null_count, len(values) - len(finite), (finite < 0).sum(), (finite == 0).sum())
    for name, count in zip(_FAULTS, faults, strict=True):
        counts[name] = counts.get(name, 0) + float(count)
    counts["fractional"] = counts.get("fractional", 0) + float((finite != np.floor(finite)).sum())
    counts["shortest"] = min(counts.get("shortest", math.inf), float(positive.min(initial=math.inf)))
    counts["longest"] = max(counts.get("longest", -math.inf), float(finite.max(initial=-math.inf)))


def check_counts(
    counts: Sequence[dict[str, float]], *, weight: str | None, length_unit: float | None
) -> float | None:
    """Check the counts of all pieces of the edges, and return the unit of their lengths (None without).

    Self-loops and parallel edges are allowed. Lengths are finite and above zero: a length of zero would leave
    the number of shortest paths undefined.

    Units: lengths become whole multiples of `length_unit`: 1 where all lengths are whole, else the largest
    power of ten that is at most a thousandth of the smallest length, so that decimals keep their ties
    and no length moves by more than 0.05%.
    Errors: one InputError that lists every fault: null ids, bad lengths; another for an unfit unit.
    """

    def total(name: str) -> int:
        return int(sum(c.get(name, 0) for c in counts))

    n_rows = total("rows")
    problems = [
        f"{name} is null in {total(name)} of {n_rows} edges" for name in ("src", "dst") if total(name)
    ]
    problems += [f"{weight} is {name} in {total(name)} of {n_rows} edges" for name in _FAULTS if total(name)]
    if problems:
        raise InputError(
            "these edges cannot be read as a graph",
            details=problems,
            hint=_HINT + "; a weight is a length above zero",
        )
    if weight is None:
        return None
    bounds = (min(c["shortest"] for c in counts), max(c["longest"] for c in counts)) if n_rows else None
    return _length_unit(length_unit, bounds, whole=not total("fractional"))


def check_columns(edges: DataFrame, *, vertices: DataFrame | None, weight: str | None) -> None:
    """Check that there are src, dst and ids of one type, and that the weight is a number.

    Errors: InputError naming every column that is missing or of another type.
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


def _length_unit(stated_unit: float | None, bounds: tuple[float, float] | None, *, whole: bool) -> float:
    if bounds is None:  # no edges
        return stated_unit or 1.0
    shortest, longest = bounds
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
