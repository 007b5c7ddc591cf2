"""Follow fields along the formulas of a contract: what leaks into a target, what is computed from what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engage_spark.contract.model import Contract, Field, Role, Table
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


def with_inherited_classifications(contract: Contract) -> Contract:
    """Classify what tells of personal fields and says nothing of itself: a field that refers to a personal
    key, and in a table with a source one that holds a personal field, or is computed from such.

    It takes the classification of the first of them, `confidential` where that is protected without one. Who
    knows that nobody's value can be told from it declares it as public.
    """
    by_name = {t.name: t for t in contract.tables}
    if len(by_name) < len(contract.tables):  # which is refused
        return contract
    for table in contract.tables:  # what a source refers to comes before what is derived from it
        by_name[table.name] = _classified(table, _referred(table, by_name))
    for table in contract.tables:
        source = by_name.get(table.source or "")
        if source is not None and source.name != table.name:
            by_name[table.name] = _classified(by_name[table.name], {f.name: (f,) for f in source.fields})
    return replace(contract, tables=tuple(by_name[t.name] for t in contract.tables))


def _referred(table: Table, by_name: Mapping[str, Table]) -> dict[str, tuple[Field, ...]]:
    """Return the keys that the columns of a table refer to, by column."""
    keys: dict[str, tuple[Field, ...]] = {}
    for r in table.references:
        target = by_name.get(r.table)
        if target is not None and r.to_column in target.names:
            keys[r.column] = (target[r.to_column],)
    return keys


def _classified(table: Table, origins: Mapping[str, tuple[Field, ...]]) -> Table:
    """Return a table whose fields have the classification of the personal ones among their origins.

    `origins` are fields outside the table by the name that its own fields know them by.
    """
    known = dict(origins)
    fields = []
    for f in table.fields:
        of = [o for name in dict.fromkeys((f.name, *f.inputs)) for o in known.get(name, ())]
        first = next((o for o in of if o.is_personal), None)
        if first is not None and not f.is_classified:
            f = replace(f, classification=_given(first))  # noqa: PLW2901 (the field as it is from here on)
        known[f.name] = (f,)
        fields.append(f)
    return replace(table, fields=tuple(fields))


def _given(field: Field) -> str:
    """Return the classification of a personal field; one that is protected alone has none, or an open one."""
    own = field.classification
    return own if own is not None and replace(field, protected=False).is_personal else "confidential"
