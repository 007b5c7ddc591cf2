"""Hold what a look at undeclared columns tells: counts, values, forms and shapes. No Spark here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engage_spark.quality.profiling import value_scan

if TYPE_CHECKING:
    from engage_spark.quality.stats.column_stats import ColumnStats
    from engage_spark.spark.column_profile import ColumnProfile

FEW_PER_CENT = 1
"""The most percent of a column's visible texts that break a pattern which is drafted all the same."""


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """Texts of one make, and in how many rows: of each token its class or the sign it is, first and last
    text, least and most characters.
    """

    signs: str
    tokens: tuple[tuple[str, str, int, int], ...]
    rows: int


@dataclass(frozen=True, kw_only=True)
class NumberTexts:
    """The numbers that a text column holds: their ends, and whether all are whole."""

    minimum: float
    maximum: float
    whole: bool


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """What one column holds.

    `values` counts them where they are few, else it is None; `shapes` likewise. `off` counts the visible
    texts that do not have a form, by form; `form` is the first that all have. `numbers` are those that texts
    hold, by form, and `markers` the words for what is missing, with their rows. `quartiles` are known of
    numbers that are protected by their name.
    """

    name: str
    type: str
    state: ColumnStats
    values: dict[str, int] | None = None
    shapes: tuple[TextShape, ...] | None = None
    off: Mapping[str, int] | None = None
    numbers: Mapping[str, NumberTexts] = field(default_factory=dict)
    markers: Mapping[str, int] = field(default_factory=dict)
    quartiles: tuple[float, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        return self.type == "string"

    @property
    def visible(self) -> int:
        """Rows that hold more than blanks."""
        return self.state.filled - self.counts.get("blank", 0)

    @property
    def form(self) -> str | None:
        """The first form that all visible texts have."""
        return next((f for f in value_scan.FORMS if self.has_form(f, few=False)), None)

    def has_form(self, form: str, *, few: bool = True) -> bool:
        """Return whether the visible texts have a form, but for one percent of them where `few`."""
        if self.off is None or not self.visible:
            return False
        n_off = self.off.get(form, 0)
        return is_few(n_off, self.visible) if few else n_off == 0


@dataclass(frozen=True, kw_only=True)
class TriedKey:
    """A key that was counted: how many rows share theirs with another row, and how many have none."""

    columns: tuple[str, ...]
    shared: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class TableProfile:
    """A DataFrame's facts, its key (empty where there is none), the other keys that were tried, and the
    columns that a contract cannot declare, with the reason.
    """

    rows: int
    columns: tuple[ColumnFacts, ...]
    key: tuple[str, ...]
    tried: tuple[TriedKey, ...]
    left_out: tuple[tuple[str, str], ...]
    dated: bool = False


def is_few(n_rows: int, of_rows: int) -> bool:
    """Return whether rows are at most one percent of others."""
    return 100 * n_rows <= FEW_PER_CENT * of_rows


def facts_of(
    name: str,
    kind: str,
    state: ColumnStats,
    scan: ColumnProfile | None,
    quartiles: tuple[float, ...] = (),
) -> ColumnFacts:
    """Combine the statistics of a column with the scan of its values, which numbers with fractions, moments
    and nested columns lack.
    """
    if scan is None:
        return ColumnFacts(name=name, type=kind, state=state, quartiles=quartiles)
    details = scan.details
    n_by_shape = {r["text"]: int(r["rows"]) for r in details.get(value_scan.SHAPE, ())}
    shapes: tuple[TextShape, ...] | None = None
    if n_by_shape and value_scan.SHAPELESS not in details and len(n_by_shape) <= value_scan.SHAPES:
        tokens = {
            r["text"]: (r["first"], r["last"], int(r["least"]), int(r["most"]))
            for r in details[value_scan.TOKEN]
        }
        shapes = tuple(
            TextShape(signs=s, tokens=tuple(tokens[f"{i:02}{s}"] for i in range(len(s))), rows=n)
            for s, n in n_by_shape.items()
        )
    fractions = {r["text"] for r in details.get(value_scan.FRACTIONS, ())}
    return ColumnFacts(
        name=name,
        type=kind,
        state=state,
        values={str(v): n for v, n in scan.values.items()} if scan.complete else None,
        shapes=shapes,
        off={r["text"]: int(r["rows"]) for r in details.get(value_scan.OFF, ())}
        if kind == "string"
        else None,
        numbers={
            r["text"]: NumberTexts(minimum=r["least"], maximum=r["most"], whole=r["text"] not in fractions)
            for r in details.get(value_scan.NUMBERS, ())
        },
        markers={r["text"]: int(r["rows"]) for r in details.get(value_scan.MARKER, ())},
        quartiles=quartiles,
        counts={r["text"]: r["rows"] for r in details.get(value_scan.COUNT, ())},
    )
