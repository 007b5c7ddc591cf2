"""Derive named checks of each row from a contract.

Importing this starts nothing; a check's columns are built when asked for.

Each check states how it treats a null, a NaN and an infinity (`SpecialValuePolicy`): nullness is a check of
its own, and every other check holds for a null. NaN breaks `finite` and `range`, whichever side is bounded;
an infinity breaks `finite`, and `range` where it is beyond a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pyspark.sql import Column
from pyspark.sql import functions as F

from engage_spark.contract import Dimension, Field, Severity, Table
from engage_spark.quality.checks.text_checks import text_checks
from engage_spark.spark.schema import column_named, spark_type

DUPLICATED = "__duplicated"
ALIKE = "__alike"
MALFORMED = "__malformed"
MASK = "***"
LONGEST_SHOWN = 200
"""Characters of a value that stand in a reason; the row beside it holds the whole."""


def orphan_flag_name(column: str) -> str:
    """Return the name of the temporary column that says whether `column` refers to a key that does not
    exist.
    """
    return f"__orphan_{column}"


class SpecialValueOutcome(StrEnum):
    """What a check makes of a value that no comparison decides."""

    HOLDS = "holds"
    VIOLATES = "violates"
    COMPARED = "compared"
    """As Spark compares: NaN equals itself and lies above every number, the infinities lie where they should.
    """


@dataclass(frozen=True, kw_only=True)
class SpecialValuePolicy:
    """What a check makes of null, NaN and the infinities; the last two matter for floating point columns
    only.
    """

    null: SpecialValueOutcome = SpecialValueOutcome.HOLDS
    nan: SpecialValueOutcome = SpecialValueOutcome.HOLDS
    infinity: SpecialValueOutcome = SpecialValueOutcome.COMPARED


COMPARED = SpecialValuePolicy(nan=SpecialValueOutcome.COMPARED)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One statement about a row.

    `violated()` is true where it is broken; null and false both mean that it holds.
    """

    name: str
    column: str | None
    severity: Severity
    dimension: Dimension
    description: str
    violated: Callable[[], Column]
    shown: tuple[str, ...]
    masked: frozenset[str] = frozenset()
    policy: SpecialValuePolicy = SpecialValuePolicy()

    def value(self) -> Column:
        """Return the value as text: the value's first characters, or `name=value, …` for several columns.

        Protected values are masked.
        """

        def text(name: str) -> Column:
            return (
                F.lit(MASK)
                if name in self.masked
                else F.substring(column_named(name).cast("string"), 1, LONGEST_SHOWN)
            )

        if len(self.shown) == 1:
            return text(self.shown[0])
        return F.concat_ws(
            ", ", *(F.concat(F.lit(f"{n}="), F.coalesce(text(n), F.lit("null"))) for n in self.shown)
        )


def row_checks(
    table: Table, *, parsed_text: bool = False, landed_at: datetime | None = None
) -> tuple[Check, ...]:
    """Return every check of an input table, in a fixed order: field by field, then keys, references, and the
    table's own rules.

    `parsed_text` adds the check that a line of a text format could be parsed at all, `landed_at` (UTC) the
    check that no event of a log lies after the moment at which it was delivered.
    """
    masked = frozenset(f.name for f in table.fields if f.protected)
    equal_to_a_key = {r.column for r in table.references if r.severity is Severity.CRITICAL}
    checks = [
        check
        for f in table.fields
        for check in _field_checks(f, masked, any_text=f.name not in equal_to_a_key)
    ]
    if table.key:
        key = table.key
        checks.append(
            Check(
                name=f"{'+'.join(key)}.unique",
                column=key[0],
                severity=Severity.CRITICAL,
                dimension=Dimension.UNIQUENESS,
                shown=key,
                masked=masked,
                description="no other row of the snapshot has this key",
                violated=lambda: F.col(DUPLICATED),
            )
        )
        if any(table[k].spark_type == "string" for k in key):
            checks.append(
                Check(
                    name=f"{'+'.join(key)}.distinguishable",
                    column=key[0],
                    severity=table[key[0]].severity_of("distinguishable"),
                    dimension=Dimension.UNIQUENESS,
                    shown=key,
                    masked=masked,
                    violated=lambda: F.col(ALIKE),
                    description="no other row of the snapshot has this key in letters of other case",
                )
            )
    for r in table.references:
        checks.append(
            Check(
                name=f"{r.column}.references",
                column=r.column,
                severity=r.severity,
                dimension=Dimension.INTEGRITY,
                shown=(r.column,),
                masked=masked,
                description=f"is a {r.to_column} of {r.table}",
                violated=lambda c=r.column: F.col(orphan_flag_name(c)),  # type: ignore[misc]
            )
        )
    for rule in table.rules:
        checks.append(
            Check(
                name=rule.name,
                column=None,
                severity=rule.severity,
                dimension=rule.dimension,
                shown=rule.columns,
                masked=masked,
                description=rule.description,
                violated=lambda e=rule.expression: ~F.expr(e),  # type: ignore[misc]
                policy=COMPARED,
            )
        )
    if table.event_time and landed_at is not None:
        checks.append(_not_future(table.event_time, landed_at, masked))
    if parsed_text:
        checks.append(
            Check(
                name="row.parsable",
                column=None,
                severity=Severity.CRITICAL,
                dimension=Dimension.VALIDITY,
                shown=(),
                masked=masked,
                description="every value of the line can be read as its declared type",
                violated=lambda: F.col(MALFORMED).isNotNull(),
            )
        )
    return tuple(checks)


def _not_future(column: str, landed_at: datetime, masked: frozenset[str]) -> Check:
    return Check(
        name=f"{column}.not_future",
        column=column,
        severity=Severity.CRITICAL,
        dimension=Dimension.TIMELINESS,
        shown=(column,),
        masked=masked,
        description="lies not after the landing of its delivery",
        violated=lambda: column_named(column) > F.lit(landed_at),
    )


def _field_checks(f: Field, masked: frozenset[str], *, any_text: bool) -> Iterator[Check]:
    def check(
        kind: str,
        description: str,
        violated: Callable[[], Column],
        *,
        dimension: Dimension = Dimension.VALIDITY,
        policy: SpecialValuePolicy = COMPARED,
    ) -> Check:
        return Check(
            name=f"{f.name}.{kind}",
            column=f.name,
            severity=f.severity_of(kind),
            dimension=dimension,
            description=description,
            violated=violated,
            shown=(f.name,),
            masked=masked,
            policy=policy,
        )

    def column() -> Column:
        return column_named(f.name)

    null = SpecialValuePolicy(null=SpecialValueOutcome.VIOLATES)
    yield check(
        "not_null", "is not null", lambda: column().isNull(), dimension=Dimension.COMPLETENESS, policy=null
    )
    if f.is_floating:
        finite = SpecialValuePolicy(nan=SpecialValueOutcome.VIOLATES, infinity=SpecialValueOutcome.VIOLATES)
        yield check(
            "finite",
            "is neither NaN nor infinite",
            lambda: F.isnan(column()) | (F.abs(column()) == float("inf")),
            policy=finite,
        )
    if f.minimum is not None or f.maximum is not None:
        yield check(
            "range",
            f"lies in {_bounds(f)}",
            lambda: _outside(f, column()),
            policy=SpecialValuePolicy(nan=SpecialValueOutcome.VIOLATES),
        )
    if f.allowed:
        values = ", ".join(str(v) for v in f.allowed)
        yield check("allowed", f"is one of {values}", lambda: ~column().isin(list(f.allowed)))
    if f.pattern is not None:
        pattern = f.pattern
        yield check("pattern", f"matches {pattern}", lambda: ~column().rlike(pattern))
    if any_text:
        yield from text_checks(f, check)


def _bounds(f: Field) -> str:
    low = f"[{f.minimum}" if f.minimum is not None else "(-∞"
    high = f"{f.maximum}]" if f.maximum is not None else "∞)"
    return f"{low}, {high}"


def _outside(f: Field, column: Column) -> Column:
    # Bounds in the column's own type: a literal of another type would make Spark cast every value.
    kind = spark_type(f.spark_type)
    sides = []
    if f.minimum is not None:
        sides.append(column < F.lit(f.minimum).cast(kind))
    if f.maximum is not None:
        # true of NaN, which Spark sorts above every number
        sides.append(column > F.lit(f.maximum).cast(kind))
    elif f.is_floating:
        sides.append(F.isnan(column))
    return sides[0] if len(sides) == 1 else sides[0] | sides[1]
