"""Follow fields along the formulas of a contract: what leaks into a target, what is computed from what."""

from __future__ import annotations

from collections.abc import Iterable

from engage_spark.contract.model import (
    Contract,
    Role,
    Table,
)
from engage_spark.errors import ContractError


def leaking_fields(contract: Contract, target: str, *, declared: bool = True) -> frozenset[str]:
    """List the names of the fields that no model of `target` may see.

    These are the target, what its own formula uses and, unless `declared` is False, the fields that are
    declared to leak into it (`leaksInto`); and, along the inputs of the formulas, everything that is computed
    from any of them.

    Errors: ContractError when `target` is not a target.
    """
    fields = [f for t in contract.tables for f in t.fields]
    targets = [f.name for f in fields if f.role is Role.TARGET]
    if target not in targets:
        raise ContractError(
            f"{target!r} is not a target of contract {contract.id!r}",
            hint=f"targets are: {', '.join(targets) or 'none'}",
        )
    stated = {f.name for f in fields if target in f.leaks_into} if declared else set()
    return computed_from(contract, {target} | stated | formula_inputs(contract, target))


def formula_inputs(contract: Contract, name: str) -> set[str]:
    """List the fields that the formula of a derived field uses, directly or through other formulas."""
    by_name = {f.name: f for t in contract.derived for f in t.fields if f.formula is not None}
    names, waiting = set[str](), [name]
    while waiting:
        field = by_name.get(waiting.pop())
        new = [] if field is None else [n for n in field.inputs if n not in names]
        names.update(new)
        waiting += new
    return names - {name}


def computed_from(contract: Contract, sources: Iterable[str]) -> frozenset[str]:
    """List `sources` and every derived field whose formula uses one of them, directly or through others."""
    names = set(sources)
    for table in contract.derived:
        for f in table.fields:  # one pass is enough: a formula only refers to fields before it
            if names.intersection(f.inputs):
                names.add(f.name)
    return frozenset(names)


def unclassified_fields(table: Table, source: Table) -> dict[str, list[str]]:
    """Return the fields of a derived table that hold personal ones of its source, or are computed from such,
    and have no classification of their own; with the names of those.
    """
    personal = {f.name for f in source.fields if f.is_personal}
    unclassified: dict[str, list[str]] = {}
    for f in table.fields:
        of = [n for n in dict.fromkeys((f.name, *f.inputs)) if n in personal]
        if of and not f.is_classified:
            unclassified[f.name] = of
        personal |= {f.name} if f.is_personal else set()
    return unclassified
