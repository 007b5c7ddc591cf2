"""Derive named checks of each row from a contract.

A check is text in Spark SQL. All checks of a table are put together as text and parsed once (`apply`): built
as columns, call by call, the 109 of the packaged contract took the driver two seconds.

Each check states how it treats a null, a NaN and an infinity (`SpecialValuePolicy`): nullness is a check of
its own, and every other check holds for a null. NaN breaks `finite` and `range`, whichever side is bounded;
an infinity breaks `finite`, and `range` where it is beyond a bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction

from engage_spark.contract import Dimension, Field, Severity, Table
from engage_spark.contract.expressions import Expression, read_statement
from engage_spark.quality.checks.text_checks import text_checks
from engage_spark.spark.schema import folder_flag_name, unread_flag_name
from engage_spark.spark.sql_text import quoted_name, sql_literal

DUPLICATED = "__duplicated"
ALIKE = "__alike"
MALFORMED = "__malformed"
MASK = "***"
_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
UNCOMPUTED = "could not be computed"
"""What a reason begins with where a rule failed on the row: a division by zero, an overflow, a bad cast."""
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

    `violated` is a boolean SQL expression, true where the statement is broken; null and false both mean that
    it holds. `failed` is true on the rows, all of them violations, on which it could not be computed; None
    where it always can.
    """

    name: str
    column: str | None
    severity: Severity
    dimension: Dimension
    description: str
    violated: str
    shown: tuple[str, ...]
    masked: frozenset[str] = frozenset()
    policy: SpecialValuePolicy = SpecialValuePolicy()
    failed: str | None = None

    def value(self) -> str:
        """Return the value as text, an SQL expression: the value's first characters, or `name=value, …` for
        several columns; after UNCOMPUTED where the check failed.

        Protected values are masked.
        """
        shown = self._shown()
        if self.failed is None:
            return shown
        uncomputed = f"concat_ws(': ', {sql_literal(UNCOMPUTED)}, {shown})"
        return f"CASE WHEN {self.failed} THEN {uncomputed} ELSE {shown} END"

    def _shown(self) -> str:

        def text(name: str) -> str:
            if name in self.masked:
                return sql_literal(MASK)
            return f"substring(CAST({quoted_name(name)} AS STRING), 1, {LONGEST_SHOWN})"

        if len(self.shown) == 1:
            return text(self.shown[0])
        parts = (f"concat({sql_literal(f'{n}=')}, coalesce({text(n)}, 'null'))" for n in self.shown)
        return f"concat_ws({', '.join((sql_literal(', '), *parts))})"


def row_checks(
    table: Table,
    *,
    parsed_text: bool = False,
    landed_at: datetime | None = None,
    in_folders: Sequence[str] = (),
) -> tuple[Check, ...]:
    """Return every check of an input table, in a fixed order: field by field, then keys, references, and the
    table's own rules.

    `parsed_text` adds the check that a line of a text format could be parsed at all, `landed_at` (UTC) the
    check that no event of a log lies after the moment at which it was delivered. `in_folders` names columns
    whose value the names of folders say too: a row that says another one is quarantined.
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
                violated=DUPLICATED,
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
                    violated=ALIKE,
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
                violated=quoted_name(orphan_flag_name(r.column)),
            )
        )
    for rule in table.rules:
        read = read_statement(rule.expression, table.column_types, f"{table.name}, rule {rule.name!r}")
        checks.append(
            Check(
                name=rule.name,
                column=None,
                severity=rule.severity,
                dimension=rule.dimension,
                shown=rule.columns,
                masked=masked,
                description=rule.description,
                violated=_broken(read),
                failed=read.fault,
                policy=COMPARED,
            )
        )
    if table.event_time and landed_at is not None:
        checks.append(_not_future(table.event_time, landed_at, masked))
    checks += [_as_in_folder(column, masked) for column in in_folders]
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
                violated=f"{MALFORMED} IS NOT NULL",
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
        violated=f"{quoted_name(column)} > {sql_literal(landed_at)}",
    )


def _as_in_folder(column: str, masked: frozenset[str]) -> Check:
    flag = folder_flag_name(column)
    return Check(
        name=f"{column}.folder",
        column=column,
        severity=Severity.CRITICAL,
        dimension=Dimension.CONSISTENCY,
        shown=(flag,),
        masked=frozenset({flag}) if column in masked else frozenset(),
        description="is what the name of the row's folder says",
        violated=f"{quoted_name(flag)} IS NOT NULL",
    )


def _field_checks(f: Field, masked: frozenset[str], *, any_text: bool) -> Iterator[Check]:
    def check(
        kind: str,
        description: str,
        violated: str,
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

    column = quoted_name(f.name)
    null = SpecialValuePolicy(null=SpecialValueOutcome.VIOLATES)
    yield check("not_null", "is not null", f"{column} IS NULL", dimension=Dimension.COMPLETENESS, policy=null)
    if f.reading is not None:
        flag = unread_flag_name(f.name)
        yield replace(
            check(
                "readable",
                f"the delivered text can be read as {f.spark_type}",
                f"{quoted_name(flag)} IS NOT NULL",
            ),
            shown=(flag,),
            masked=frozenset({flag}) if f.name in masked else frozenset(),
        )
    if f.is_floating:
        finite = SpecialValuePolicy(nan=SpecialValueOutcome.VIOLATES, infinity=SpecialValueOutcome.VIOLATES)
        yield check(
            "finite",
            "is neither NaN nor infinite",
            f"(isnan({column}) OR abs({column}) = {sql_literal(math.inf)})",
            policy=finite,
        )
    if f.minimum is not None or f.maximum is not None:
        yield check(
            "range",
            f"lies in {_bounds(f)}",
            _outside(f, column),
            policy=SpecialValuePolicy(nan=SpecialValueOutcome.VIOLATES),
        )
    if f.allowed:
        values = ", ".join(str(v) for v in f.allowed)
        yield check(
            "allowed", f"is one of {values}", f"NOT {column} IN ({', '.join(map(sql_literal, f.allowed))})"
        )
    if f.pattern is not None:
        yield check("pattern", f"matches {f.pattern}", f"NOT {column} RLIKE {sql_literal(f.pattern)}")
    if any_text:
        yield from text_checks(f, check)


def _bounds(f: Field) -> str:
    low = f"[{f.minimum}" if f.minimum is not None else "(-∞"
    high = f"{f.maximum}]" if f.maximum is not None else "∞)"
    return f"{low}, {high}"


def _outside(f: Field, column: str) -> str:
    # Bounds in the column's own type: a literal of another type would make Spark cast every value.
    if (digits := exact_digits(f.spark_type)) is not None:
        return _outside_exactly(f, column, digits)
    sides = []
    if f.minimum is not None:
        sides.append(f"{column} < CAST({sql_literal(f.minimum)} AS {f.spark_type})")
    if f.maximum is not None:
        # true of NaN, which Spark sorts above every number
        sides.append(f"{column} > CAST({sql_literal(f.maximum)} AS {f.spark_type})")
    elif f.is_floating:
        sides.append(f"isnan({column})")
    return f"({' OR '.join(sides)})"


def _outside_exactly(f: Field, column: str, digits: int) -> str:
    """Compare with bounds as the type holds them: one between two of its values is the next one inside."""
    least, most = _limits(f.spark_type)
    sides = []
    for sign, bound, rounded in (("<", f.minimum, math.ceil), (">", f.maximum, math.floor)):
        if bound is None:
            continue
        units = rounded(Fraction(str(bound)) * 10**digits)
        if not least <= units <= most:
            is_all_outside = (units > 0) == (sign == "<")
            sides.append(f"{column} IS NOT NULL" if is_all_outside else "false")
        else:
            written = format(Decimal(units).scaleb(-digits, Context(prec=80)), "f")
            sides.append(f"{column} {sign} CAST('{written}' AS {f.spark_type})")
    return f"({' OR '.join(sides)})"


def exact_digits(spark_type: str) -> int | None:
    """Return the digits behind the point of an exact number's type; None of another type."""
    if spark_type.startswith("decimal"):
        return int(spark_type.rstrip(")").split(",")[1])
    return 0 if spark_type in _BITS else None


def _limits(spark_type: str) -> tuple[int, int]:
    """Return the least and the most that an exact type holds, in units of its last digit."""
    if spark_type in _BITS:
        half: int = 2 ** (_BITS[spark_type] - 1)
        return -half, half - 1
    most = 10 ** int(spark_type.removeprefix("decimal(").split(",")[0]) - 1
    return -most, most


def _broken(rule: Expression) -> str:
    """Return the SQL that is true where a rule is false, and where something in it fails."""
    return f"NOT {rule.sql}" if rule.fault is None else f"(NOT {rule.sql} OR {rule.fault})"
