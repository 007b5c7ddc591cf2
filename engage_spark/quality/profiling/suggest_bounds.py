"""Suggest bounds for a draft: observed values, rounded outwards, and still true of every value that was
found.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from engage_spark.quality.profiling.facts import ColumnFacts

_BITS = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}
_DECIMAL_DIGITS = 15


def limits_of(c: ColumnFacts, *, personal: bool) -> tuple[dict[str, Any], float | None]:
    """Return the minimum and maximum, and the mean to six digits where it lies between them; nothing of a
    personal column or a key.
    """
    low, high = c.state.minimum, c.state.maximum
    if low is None or high is None or personal:
        return {}, None
    bounds = outward_limits(low, high, c.type)
    mean = None if c.state.mean is None else float(f"{float(c.state.mean):.6g}")
    inside = mean is not None and bounds.get("minimum", mean) <= mean <= bounds.get("maximum", mean)
    return bounds, mean if inside else None


def outward_limits(low: float | Fraction, high: float | Fraction, kind: str) -> dict[str, Any]:
    """Return a minimum and a maximum that hold for numbers of this type between `low` and `high`."""
    floor = (
        Fraction(0) if low >= 0 and 10 * Fraction(low) <= Fraction(high) else outward(Fraction(low), up=False)
    )
    candidates = {
        "minimum": _as_type(floor, Fraction(low), kind, up=False),
        "maximum": _as_type(outward(Fraction(high), up=True), Fraction(high), kind, up=True),
    }
    return {name: value for name, value in candidates.items() if value is not None}


def outward(x: Fraction, *, up: bool) -> Fraction:
    """Return the nearest number of two digits that is not below `x` (`up`), or not above it."""
    if x == 0:
        return x
    whole = abs(x.numerator) // x.denominator
    power = len(str(whole)) - 1 if whole else -len(str(x.denominator // abs(x.numerator)))
    step = Fraction(10) ** (power - 1)
    return (math.ceil if up else math.floor)(x / step) * step


def round_bands(quartiles: Sequence[float], *, whole: bool) -> tuple[float | int, ...]:
    """Return lower bounds near the quartiles, in rising order: multiples of 1, 2 or 5 times a power of ten
    that is at most a third of what lies between the outer two, and tells them apart. None where these are
    the same.
    """
    if len(quartiles) != 3 or not quartiles[0] < quartiles[2]:
        return ()
    width = Fraction(quartiles[2]) - Fraction(quartiles[0])
    power = Fraction(10) ** (math.floor(math.log10(width)) - 1)
    steps = [power * factor for factor in (20, 10, 5, 2, 1) if 3 * power * factor <= width]
    if whole:
        steps = [step for step in steps if step >= 1] or [Fraction(1)]
    each = [sorted({math.floor(Fraction(q) / s + Fraction(1, 2)) * s for q in quartiles}) for s in steps]
    rounded = next((bands for bands in each if len(bands) == len(set(quartiles))), each[-1])
    return tuple(int(x) if x.denominator == 1 else float(x) for x in rounded)


def nice_share(percent: Fraction) -> float:
    """Return a bound in percent above an observed share: twice as much, to two digits, and 100 at most."""
    return float(min(outward(2 * percent, up=True), Fraction(100)))


def _as_type(bound: Fraction, observed: Fraction, kind: str, *, up: bool) -> int | float | None:
    """Return the bound as YAML holds it: in the range of its type, and on the right side of what was found
    when Spark casts it to that type.
    """
    if kind in _BITS:
        limit = 2 ** _BITS[kind]
        return int(max(min(bound, limit - 1), -limit))
    if kind.startswith("decimal"):
        precision, scale = (int(x) for x in kind[8:-1].split(","))
        most = Fraction(10**precision - 1, 10**scale)
        representable = bound if abs(bound) <= most and (bound * 10**scale).denominator == 1 else observed
        exact = (
            len(str(abs(representable.numerator))) <= _DECIMAL_DIGITS
            and Fraction(str(float(representable))) == representable
        )
        return float(representable) if exact else None
    held = _rounded(bound, kind)
    if held is None or (held < observed if up else held > observed):
        held = observed
    return float(held)


def _rounded(bound: Fraction, kind: str) -> Fraction | None:
    """Return the bound as a double, or as a float made of that double; None beyond their range."""
    try:
        double = float(bound)
        return Fraction(struct.unpack("f", struct.pack("f", double))[0] if kind == "float" else double)
    except OverflowError:
        return None
