"""Hold exact counts of a column, which form a monoid.

States of two sets of rows add up to the state of both. No Spark here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from engage_spark.numerics import sketches

NULL, NAN, PLUS_INFINITY, MINUS_INFINITY, BELOW, ABOVE, OTHER = (
    "null",
    "NaN",
    "+inf",
    "-inf",
    "below",
    "above",
    "other",
)
SPECIAL = frozenset((NULL, NAN, PLUS_INFINITY, MINUS_INFINITY, BELOW, ABOVE, OTHER))


def exact_bin_label(value: object) -> str:
    """Return the label of a value's own bin.

    A value that reads like one of the special bins is quoted: 'other' is not what is other.
    """
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}'" if text.strip("'") in SPECIAL else text


@dataclass(frozen=True, kw_only=True)
class ColumnStats:
    """Counts of one column.

    `total`, `minimum` and `maximum` are exact, over the finite values: numbers as they are, text by its
    length in characters, dates and timestamps as days and microseconds since 1970, booleans as 0 and 1.

    `bins` counts every value by the label of its bin, and holds `below`, `above`, `other`, `NaN`, `+inf`,
    `-inf` and `null` as well. `labels` are those of the numbered bins, in order; `scale` is how they follow
    from the contract, see `bins.Scale`.
    """

    column: str
    binning: str
    labels: tuple[str, ...] = field(compare=False)
    scale: str = field(compare=False, default="one")
    rows: int = 0
    total: Fraction = Fraction(0)
    minimum: float | int | Fraction | None = None
    maximum: float | int | Fraction | None = None
    bins: Mapping[str, int] = field(default_factory=dict)

    @property
    def nulls(self) -> int:
        return self.bins.get(NULL, 0)

    @property
    def is_exact(self) -> bool:
        """Whether the bins tell every declared value apart."""
        return self.scale in ("category", "whole")

    @property
    def filled(self) -> int:
        """Rows in which the column is not null."""
        return self.rows - self.nulls

    @property
    def finite(self) -> int:
        """Rows whose value is a number that can be summed."""
        return self.filled - sum(self.bins.get(name, 0) for name in (NAN, PLUS_INFINITY, MINUS_INFINITY))

    @property
    def mean(self) -> Fraction | None:
        return self.total / self.finite if self.finite else None

    def share(self, label: str) -> Fraction | None:
        """Return the share of a bin among what is not null; None of nothing."""
        return Fraction(self.bins.get(label, 0), self.filled) if self.filled else None

    def __add__(self, other: ColumnStats) -> ColumnStats:
        """Return the state of both sets of rows.

        Errors: ValueError for another column or other bins: those counts do not add up.
        """
        if (self.column, self.binning) != (other.column, other.binning):
            raise ValueError(
                f"states of {self.column} ({self.binning}) and {other.column} ({other.binning}) do not add up"
            )
        return ColumnStats(
            column=self.column,
            binning=self.binning,
            labels=self.labels,
            scale=self.scale,
            rows=self.rows + other.rows,
            total=self.total + other.total,
            minimum=min((x for x in (self.minimum, other.minimum) if x is not None), default=None),
            maximum=max((x for x in (self.maximum, other.maximum) if x is not None), default=None),
            bins={k: n for k, n in (Counter(self.bins) + Counter(other.bins)).items() if n},
        )


class Sketch(NamedTuple):
    """Sketches of a column as bytes (`numerics/sketches`).

    None where the bins are exact, and for types that have none.
    """

    distinct: bytes | None
    quantiles: bytes | None


def merge_sketches(parts: Iterable[Sketch]) -> Sketch:
    """Merge the sketches of one column over several sets of rows: the bytes are those of all rows together.

    Pure; the order does not matter. A sketch that one of the parts lacks is None, since it would be partial.
    Errors: ValueError for no parts, and for bytes of another kind or version.
    """
    distinct, quantiles = zip(*parts, strict=True)
    return Sketch(*(None if None in listed else sketches.merge(listed) for listed in (distinct, quantiles)))


def merge_stats(states: Iterable[Mapping[str, ColumnStats]]) -> dict[str, ColumnStats]:
    """Add up the states of several sets of rows, column by column; a column that some of them lack is left
    out, since its counts are partial.
    """
    all_states = list(states)
    if not all_states:
        return {}
    common = [c for c in all_states[0] if all(c in other for other in all_states[1:])]
    result = {c: all_states[0][c] for c in common}
    for other in all_states[1:]:
        result = {c: result[c] + other[c] for c in common}
    return result


def stats_to_row(state: ColumnStats) -> dict[str, Any]:
    """Return a state as columns of quality_states; `stats_from_row` is the way back, and loses nothing."""
    beside = sorted(set(state.bins) - set(state.labels))
    return {
        "column_name": state.column,
        "binning": state.binning,
        "scale": state.scale,
        "row_count": state.rows,
        "null_count": state.nulls,
        "exact_sum": str(state.total) if state.finite else None,
        "exact_minimum": _fraction(state.minimum),
        "exact_maximum": _fraction(state.maximum),
        "mean": None if state.mean is None else float(state.mean),
        "minimum": None if state.minimum is None else float(state.minimum),
        "maximum": None if state.maximum is None else float(state.maximum),
        "bins": [(b, state.bins.get(b, 0)) for b in (*state.labels, *beside)],
    }


def stats_from_row(row: Mapping[str, Any]) -> ColumnStats:
    """Return the state that a row of quality_states was made from.

    `row` may be a Row's `asDict()`, bins as pairs or as rows.
    """
    bins = {b[0]: int(b[1]) for b in row["bins"]}
    low, high = row["exact_minimum"], row["exact_maximum"]
    return ColumnStats(
        column=row["column_name"],
        binning=row["binning"],
        scale=row["scale"],
        labels=tuple(b for b in bins if b not in SPECIAL),
        rows=row["row_count"],
        total=Fraction(row["exact_sum"] or 0),
        minimum=None if low is None else Fraction(low),
        maximum=None if high is None else Fraction(high),
        bins={b: n for b, n in bins.items() if n},
    )


def _fraction(x: float | Fraction | None) -> str | None:
    return None if x is None else str(Fraction(x))
