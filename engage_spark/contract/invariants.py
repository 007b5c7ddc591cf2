"""Say what every row of a stored table meets, quarantined ones and nulls too, as constraints of Delta.

Only what this package itself sees to: its own columns, and keys of tables that it makes of valid rows. No
rule of a contract is here, since a delivery may break it, and one row that breaks a constraint fails the
write. Lists of words are not here either, except the verdict: the next version may know one more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engage_spark.contract.model import QUARANTINED, SNAPSHOT_DATE, VALID, Field, Table, TableKind
from engage_spark.publication import RUN_ID

PREFIX = "engage_"
"""Before the names of all constraints of this package: a table may have others of its owner."""
_WHOLE = frozenset({"tinyint", "smallint", "int", "bigint"})
_VERDICT = "_dq_status"


def invariants(table: Table) -> Mapping[str, str]:
    """Return the conditions that every row of a stored table meets, as SQL by the names of the constraints.

    `table` is the stored form (`stored_tables`, the system contract).
    Nulls: a condition is never null on a row that meets it, since Delta counts null as broken.
    """
    named = _of_inputs(table) if _VERDICT in table.names else _of_made(table)
    return {f"{PREFIX}{name}": sql for name, sql in named}


def _of_inputs(table: Table) -> Iterator[tuple[str, str]]:
    yield "run_not_null", f"{RUN_ID} IS NOT NULL"
    quarantined = f"({_VERDICT} = '{QUARANTINED}' AND size(_dq_errors) > 0)"
    yield "verdict_has_reasons", f"{_VERDICT} = '{VALID}' OR {quarantined}"
    if table.kind is TableKind.ENTITY:
        yield "day_not_null", f"{SNAPSHOT_DATE} IS NOT NULL"
        key = [f for f in table.fields if f.is_key and f.name != SNAPSHOT_DATE]
        yield "valid_key_not_null", f"{_VERDICT} = '{QUARANTINED}' OR ({_not_null(key)})"


def _of_made(table: Table) -> Iterator[tuple[str, str]]:
    run = RUN_ID if RUN_ID in table.names else "run_id"
    if run in table.names:
        yield "run_not_null", f"{run} IS NOT NULL"
    if key := [f for f in table.fields if f.is_key and f.required]:
        yield "key_not_null", _not_null(key)
    if table.kind is TableKind.SYSTEM:
        for field in table.fields:
            if condition := _bounds(field):
                yield f"{field.name}_in_bounds", condition


def _not_null(fields: list[Field]) -> str:
    return " AND ".join(f"{_quoted(f.name)} IS NOT NULL" for f in fields)


def _bounds(field: Field) -> str | None:
    """Return the bounds of a count or a share; None for other columns, such as seconds by a clock."""
    whole = field.spark_type in _WHOLE
    share = field.spark_type == "double" and (field.minimum, field.maximum) == (0, 1)
    if not (whole or share):
        return None
    name = _quoted(field.name)
    low = [] if field.minimum is None else [f"{name} >= {field.minimum:g}"]
    high = [] if field.maximum is None else [f"{name} <= {field.maximum:g}"]
    return f"{name} IS NULL OR ({' AND '.join([*low, *high])})" if low or high else None


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
