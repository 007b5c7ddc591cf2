"""Define fixed bins: which bin a value falls into follows from the contract alone, so counts of any rows and
any days add up.

Categories and short integer ranges get a bin per value. A bounded number gets 32 bins: of equal width where
the declared mean lies in the middle, else narrower towards the minimum. An unbounded number gets a bin per
sign and power of two. Everything else is one bin: it is only counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from engage_spark.contract import Field
from engage_spark.quality.stats.column_stats import exact_bin_label
from engage_spark.quality.stats.count_kernel import HIGHEST, LOWEST, CountPlan

BINS = 32
SMALL = 64
"""An integer range of at most so many values gets a bin for each."""
_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "whole"),
    "double": "number",
    "float": "single",
    "string": "text",
    "boolean": "flag",
    "date": "day",
    "timestamp": "moment",
}


class BinScale(StrEnum):
    """How values are sorted."""

    CATEGORY = "category"
    WHOLE = "whole"
    SPREAD = "spread"
    MAGNITUDE = "magnitude"
    ONE = "one"


@dataclass(frozen=True, kw_only=True)
class Binning:
    """The bins of one column.

    `edges` are the borders of a SPREAD; a bin holds its lower border, the last one both.
    """

    column: str
    type: str
    scale: BinScale
    values: tuple[str | int, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the numbered bins, in order."""
        match self.scale:
            case BinScale.CATEGORY | BinScale.WHOLE:
                return tuple(exact_bin_label(v) for v in self.values)
            case BinScale.SPREAD:
                shown = next(
                    s
                    for d in (6, 9, 17)
                    if len(set(s := [f"{e:.{d}g}" for e in self.edges])) == len(s) or d == 17
                )
                closing = [*(")" * (len(shown) - 2)), "]"]
                return tuple(f"[{a}, {b}{c}" for a, b, c in zip(shown, shown[1:], closing, strict=False))
            case BinScale.MAGNITUDE:
                powers = range(LOWEST, HIGHEST + 1)
                negative = [f"(-2^{p + 1}, -2^{p}]" for p in reversed(powers)]
                return (*negative, "0", *(f"[2^{p}, 2^{p + 1})" for p in powers))
        return ("any",)

    @property
    def digest(self) -> str:
        """A hash of the definition: states with different ones do not add up."""
        definition = [self.type, self.scale, list(self.values), list(self.edges)]
        return hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:16]

    @property
    def kind(self) -> str:
        """What there is to sum: see `count_kernel.CountPlan`."""
        return "decimal" if self.type.startswith("decimal") else _KINDS.get(self.type, "other")

    @property
    def digits(self) -> int:
        """Digits behind the point of a decimal; it is summed in its smallest unit."""
        return int(self.type.rstrip(")").split(",")[1]) if self.kind == "decimal" else 0

    @property
    def is_exact(self) -> bool:
        """Whether the bins tell every allowed value apart."""
        return self.scale in (BinScale.CATEGORY, BinScale.WHOLE)

    def plan(
        self, code: int, cuts: Sequence[float | Fraction], *, distinct: bool = False, quantiles: bool = False
    ) -> CountPlan:
        """Return how the workers count it, and which sketches they make."""
        return CountPlan(
            code=code,
            column=self.column,
            kind=self.kind,
            scale=self.scale.value,
            values=self.values,
            edges=self.edges,
            cuts=tuple(cuts),
            digits=self.digits,
            distinct=distinct and self.kind != "text",
            quantiles=quantiles,
        )


def binning(f: Field) -> Binning:
    """Return the bins that a declared field gets."""
    if f.allowed:
        return Binning(column=f.name, type=f.spark_type, scale=BinScale.CATEGORY, values=f.allowed)
    if f.spark_type == "boolean":
        return Binning(column=f.name, type=f.spark_type, scale=BinScale.CATEGORY, values=(False, True))
    if f.logical_type not in ("integer", "number"):
        return Binning(column=f.name, type=f.spark_type, scale=BinScale.ONE)
    if f.minimum is None or f.maximum is None or not f.minimum < f.maximum:
        return Binning(column=f.name, type=f.spark_type, scale=BinScale.MAGNITUDE)
    low, high = f.minimum, f.maximum
    if f.logical_type == "integer" and high - low < SMALL:
        return Binning(
            column=f.name,
            type=f.spark_type,
            scale=BinScale.WHOLE,
            values=tuple(range(int(low), int(high) + 1)),
        )
    position = 0.5 if f.reference_mean is None else (f.reference_mean - low) / (high - low)
    bend = 1 if position >= 0.25 else 2 if position >= 0.0625 else 4
    edges = tuple(low + (high - low) * (k / BINS) ** bend for k in range(BINS + 1))
    return Binning(
        column=f.name,
        type=f.spark_type,
        scale=BinScale.SPREAD,
        edges=(_exact(low), *edges[1:-1], _exact(high)),
    )


def _exact(bound: float) -> float:
    """As a double, unless it is a whole number that no double is equal to."""
    return float(bound) if float(bound) == bound else bound
