"""Derive what follows from a contract: leaks, and the stored forms of its tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engage_spark.contract.model import (
    DAY_COLUMNS,
    QUARANTINED,
    SNAPSHOT_DATE,
    VALID,
    Contract,
    ExtraColumns,
    Field,
    Role,
    Table,
    TableKind,
)
from engage_spark.errors import ContractError

ERRORS_TYPE = "array<struct<rule:string,column:string,severity:string,value:string>>"


def leaking_fields(contract: Contract, target: str, *, declared: bool = True) -> frozenset[str]:
    """List the names of the fields that no model of `target` may see.

    These are the target, the fields that are declared to leak into it (`leaksInto`; not with `declared`
    False), and, along the inputs of the formulas, everything that is computed from either.

    Errors: ContractError when `target` is no target.
    """
    fields = [f for t in contract.tables for f in t.fields]
    targets = [f.name for f in fields if f.role is Role.TARGET]
    if target not in targets:
        raise ContractError(
            f"{target!r} is no target of contract {contract.id!r}",
            hint=f"targets are: {', '.join(targets) or 'none'}",
        )
    stated = {f.name for f in fields if target in f.leaks_into} if declared else set()
    return computed_from(contract, {target} | stated)


def computed_from(contract: Contract, sources: Iterable[str]) -> frozenset[str]:
    """List `sources` and every derived field whose formula uses one of them, directly or through others."""
    names = set(sources)
    for table in contract.derived:
        for f in table.fields:  # one pass is enough: a formula only refers to fields before it
            if names.intersection(f.inputs):
                names.add(f.name)
    return frozenset(names)


def day_column(table: Table) -> str:
    """Return the date column by which a table is replaced: snapshot_date, or event_date for a log."""
    return DAY_COLUMNS.get(table.kind, SNAPSHOT_DATE)


def judged_table(table: Table) -> Table:
    """Return the declared form of a judged input: its fields, its day, and its check results.

    No field is required, because quarantined rows are kept as they came.
    Grain: as the input; the key is unique among valid rows.
    """
    if table.kind not in DAY_COLUMNS:
        raise ContractError(
            f"table {table.name!r} is no input, so it is not judged",
            hint="give a table of kind entity or log",
        )
    day = Field(
        name=day_column(table),
        logical_type="date",
        spark_type="date",
        role=Role.IDENTIFIER,
        required=True,
        key_position=len(table.key) + 1 if table.key else None,
        description="The day the row describes."
        if table.kind is TableKind.ENTITY
        else f"The UTC day of {table.event_time}.",
    )
    results = (
        Field(
            name="_dq_status",
            logical_type="string",
            spark_type="string",
            role=Role.AUDIT,
            required=True,
            allowed=(VALID, QUARANTINED),
            description="quarantined when any critical rule was broken, else valid.",
        ),
        Field(
            name="_dq_errors",
            logical_type="array",
            spark_type=ERRORS_TYPE,
            role=Role.AUDIT,
            required=True,
            description="Every rule the row broke, of any severity, with the value found; "
            "protected values are masked.",
        ),
        run_field("The run that judged the row; see runs."),
    )
    return replace(
        table,
        name=f"{table.name}_judged",
        description=f"{table.description} Every row as it came, with its verdict.",
        fields=(*(replace(f, required=False) for f in table.fields), day, *results),
        rules=(),
        gates=(),
        references=(),
        source=table.name,
        extra=ExtraColumns.REFUSE,
    )


def tracked_table(table: Table) -> Table:
    """Return the stored form of a derived table: its fields, and the run that made each row.

    Readers see by the run what is published.
    """
    run = run_field("The run that derived the row; see runs.")
    return replace(table, fields=(*table.fields, run))


def run_field(description: str) -> Field:
    """Return the column `_run_id`."""
    return Field(
        name="_run_id",
        logical_type="string",
        spark_type="string",
        role=Role.AUDIT,
        required=True,
        description=description,
    )
