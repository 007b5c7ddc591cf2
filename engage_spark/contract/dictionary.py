"""Render a contract for people: the Markdown data dictionary, and plain rows for the command line."""

from __future__ import annotations

from engage_spark.contract.loading import system_contract
from engage_spark.contract.model import Contract, Field, Gate, OnFailure, Table, TableKind
from engage_spark.contract.money import ContactMoney
from engage_spark.contract.monitoring import monitored_measures
from engage_spark.contract.patterns import bare_pattern
from engage_spark.contract.statements import Claim
from engage_spark.contract.stored_tables import stored_tables
from engage_spark.wording import without_html

_KINDS = {
    TableKind.ENTITY: "full snapshots, replaced by snapshot_date",
    TableKind.LOG: "events, replaced by event_date",
    TableKind.DERIVED: "computed",
    TableKind.GRAPH: "measured on the graph",
    TableKind.SYSTEM: "bookkeeping",
    TableKind.PLAIN: "checked where it is",
}


def written_tables(contract: Contract) -> tuple[Table, ...]:
    """Return every table that the package writes under a contract, as it is stored.

    A table that a stage writes must be among them: the dictionary explains each of their columns.
    """
    has_entity = any(t.kind is TableKind.ENTITY for t in contract.tables)
    return (*(stored_tables(contract) if has_entity else ()), *system_contract().tables)


def documented_table(contract: Contract, name: str) -> Table:
    """Return a table of the contract, or one that the package writes.

    Errors: ContractError where there is none, with those of the contract.
    """
    if name in {t.name for t in contract.tables}:
        return contract.table(name)
    return next((t for t in written_tables(contract) if t.name == name), None) or contract.table(name)


def undeclared_fields(contract: Contract, table: Table) -> tuple[Field, ...]:
    """Return the columns of a written table that the contract does not declare: those of the package."""
    declared = {name for t in contract.tables if t.name in (table.name, table.source) for name in t.names}
    return tuple(f for f in table.fields if f.name not in declared or table.kind is TableKind.SYSTEM)


def field_rows(contract: Contract, table: str) -> list[dict[str, str]]:
    """Return one row of text per field of a table, in declared order; see `documented_table`."""
    return [
        {
            "field": f.name,
            "type": f.spark_type,
            "unit": f.unit or "",
            "role": f.role.value,
            "bounds": bounds(f),
            "expected": expected(f),
            "notes": notes(f),
            "description": f.description,
        }
        for f in documented_table(contract, table).fields
    ]


def statement_rows(contract: Contract, table: str) -> list[dict[str, str]]:
    """Return one row of text per indicator and claim that a table declares, in declared order."""
    declared = documented_table(contract, table)
    rows = [("indicator", i.name, i.version, i.description, i.expression) for i in declared.indicators]
    rows += [("claim", c.name, c.version, c.statement, _arguments(c)) for c in declared.claims]
    return [
        {"kind": kind, "name": name, "version": str(version), "statement": text, "rule": how}
        for kind, name, version, text, how in rows
    ]


def bounds(f: Field) -> str:
    """Return the range, valid values and pattern of a field in one line; empty when anything goes."""
    parts = []
    if f.minimum is not None or f.maximum is not None:
        low, high = number(f.minimum), number(f.maximum)
        parts.append(f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}")
    if f.allowed:
        parts.append(", ".join(map(str, f.allowed)))
    if f.pattern:
        parts.append("matches " + bare_pattern(f.pattern))
    return "; ".join(parts)


def number(value: float | None) -> str:
    """Format a bound as people write it: 10000, 0.5; empty for none."""
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else f"{value:.10g}"


def expected(f: Field) -> str:
    """Return the declared mean or shares: statistics of the whole table, never a rule on a row."""
    if f.reference_mean is not None:
        return f"mean {number(f.reference_mean)}"
    return ", ".join(f"{value} {share * 100:g}%" for value, share in f.reference_shares)


def notes(f: Field) -> str:
    """Return key, required, protected, share of missing values and leaks in one line."""
    parts = [f"key {f.key_position}"] if f.is_key else []
    parts += [f"delivered as `{f.physical_name}`"] if f.physical_name is not None else []
    parts += [f"read by `{f.reading}`"] if f.reading is not None else []
    parts += ["required"] if f.required else []
    parts += ["protected"] if f.protected else []
    parts += [f"compared in bands from {', '.join(map(number, f.bands))}"] if f.bands else []
    parts += [f"label 1 is {f.positive}"] if f.positive is not None else []
    parts += [f"known {f.label_days} days later"] if f.label_days else []
    parts += [f"baseline: {f.baseline}"] if f.baseline else []
    parts += [f"monitored: {_monitored(f)}"] if f.monitoring else []
    parts += [_money(f.money)] if f.money else []
    parts += [f"missing below {f.max_missing_pct:g}%"] if f.max_missing_pct is not None else []
    parts += [f"leaks into {', '.join(f.leaks_into)}"] if f.leaks_into else []
    parts += [f"analytics: {', '.join(f.analytics)}"] if f.analytics else []
    parts += [f"counts over {f.rolling_days} days"] if f.rolling_days else []
    parts += [f"cohorts: {f.cohort_name}"] if f.cohort_name else []
    parts += [f"also called: {', '.join(f.synonyms)}"] if f.synonyms else []
    parts += [f"{word} is {value}" for word, value in f.value_synonyms]
    return "; ".join(parts)


def render_dictionary(contract: Contract) -> str:
    """Render the data dictionary as Markdown, so that it cannot differ from what is checked and computed."""
    head = [
        f"# {contract.name}: data dictionary",
        "",
        f"Generated from contract `{contract.id}`, version {contract.version}, by "
        "`engage-spark contract docs`.",
        "",
        contract.description,
        "",
        "Bounds are inclusive, and a pattern matches the whole value. What breaks a bound, is null where "
        "required, or breaks a critical "
        "rule is quarantined; other nulls are warnings.",
        "",
    ]
    contents = [f"- [{t.name}](#{t.name}): {_KINDS[t.kind]}, {len(t.fields)} fields" for t in contract.tables]
    contents += ["- [What the stages write](#what-the-stages-write): these tables as stored, and others"]
    tables = [line for t in contract.tables for line in _table(t)]
    return without_html("\n".join([*head, *contents, "", *tables, *_written(contract)]).rstrip() + "\n")


def _written(contract: Contract) -> list[str]:
    lines = [
        "## What the stages write",
        "",
        "Every table in the lake, with the columns that are not declared above.",
        "",
    ]
    for t in written_tables(contract):
        lines += [f"### {t.name}, stored", "", t.description, "", t.grain, ""]
        lines += [
            f"- `{f.name}` ({f.spark_type}{', required' if f.required else ''}): {f.description}"
            for f in undeclared_fields(contract, t)
        ]
        lines += [""]
    return lines


def _monitored(f: Field) -> str:
    sides = monitored_measures(two_classes=f.is_two_classes)
    return ", ".join(f"{name} at {sides[name].value} {number(bound)}" for name, bound in f.monitoring)


def _money(m: ContactMoney) -> str:
    further = f" (also {', '.join(map(number, m.values))})" if m.values else ""
    return (
        f"money: a contact costs {number(m.cost)} {m.currency} and succeeds with {m.success:.0%} of class 1; "
        f"a success is worth {number(m.value)}{further}; source: {m.source}"
    )


def _table(t: Table) -> list[str]:
    lines = [f"## {t.name}", "", t.description, "", f"{t.grain} Kind: {t.kind.value} ({_KINDS[t.kind]})."]
    lines += [f"Computed from `{t.source}`."] if t.kind is TableKind.DERIVED else []
    lines += [f"Delivered as `{t.physical_name}`."] if t.physical_name is not None else []
    lines += [f"Event time: `{t.event_time}`."] if t.event_time else []
    lines += [f"In the graph: {t.graph_role.value}."] if t.graph_role else []
    lines += (
        [f"Columns that are not declared: {t.extra.value}."]
        if t.kind in (TableKind.ENTITY, TableKind.LOG)
        else []
    )
    lines += [
        "",
        "| field | type | unit | role | bounds | expected | notes |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{f.name}` | {f.spark_type} | {f.unit or ''} | {f.role.value} | {_cell(bounds(f))} | "
        f"{expected(f)} | {_escaped(notes(f))} |"
        for f in t.fields
    ]
    lines += ["", *(line for f in t.fields for line in _field(f)), ""]
    if t.rules:
        lines += ["**Rules on each row**", ""]
        lines += [
            f"- `{r.name}` ({r.severity.value}, {r.dimension}): `{r.expression}`. {r.description}"
            for r in t.rules
        ]
        lines += [""]
    if t.active:
        lines += ["**Active customers**, for retention", "", f"- `{t.active}`", ""]
    if t.indicators:
        lines += ["**Indicators**", ""]
        lines += [
            f"- `{i.name}`, version {i.version} (aims at {i.direction.value} {i.aim}): `{i.expression}`. "
            f"{i.description}"
            for i in t.indicators
        ]
        lines += [""]
    if t.claims:
        lines += ["**Claims**, beside those of means, shares and checks that follow from the above", ""]
        lines += [
            f"- `{c.name}`, version {c.version} ({c.kind.value}): {c.statement} {_arguments(c)}. {c.source}."
            for c in t.claims
        ]
        lines += [""]
    if t.gates:
        lines += ["**Gates on the whole snapshot**", ""]
        lines += [
            f"- `{g.name}` ({g.severity.value}, {g.dimension.value}): {describe_gate(g)}. {g.description}"
            for g in t.gates
        ]
        lines += [""]
    if t.references:
        lines += ["**References**", ""]
        lines += [f"- `{r.column}` is a `{r.table}.{r.to_column}` ({r.severity.value})" for r in t.references]
        lines += [""]
    return lines


def _arguments(c: Claim) -> str:
    return ", ".join(f"{name}: `{value}`" for name, value in c.arguments)


def _field(f: Field) -> list[str]:
    lines = [f"- `{f.name}`: {f.description}" + (f" Example: `{f.examples[0]}`." if f.examples else "")]
    if f.edges:
        lines[0] += f" In the graph: {', '.join(f'`{value}` {way}' for value, way in f.edges)}."
    if f.measure and f.null_policy:
        lines.append(f"  {f.null_policy}")
    if f.formula:
        stops = " Features are refused where it cannot be computed." if f.on_failure is OnFailure.STOP else ""
        lines.append(f"  `{f.formula}`. {f.null_policy or ''}".rstrip() + stops)
    return lines


def describe_gate(g: Gate) -> str:
    """Describe what a gate demands: `completeness at least 99.8 percent`."""
    what = f"{g.measure}({g.argument})" if g.argument is not None else g.measure
    what = f"{what} of {g.column}" if g.column else what
    low, high = (f"{number(g.minimum)}", f"{number(g.maximum)}")
    parts = [f"{'above' if g.above else 'at least'} {low}"] if low else []
    parts += [f"{'below' if g.below else 'at most'} {high}"] if high else []
    unit = {"value": "", "percent": "%"}.get(g.unit, f" {g.unit}")
    return f"{what} {' and '.join(parts)}{unit}"


def _cell(text: str) -> str:
    return _escaped(f"`{text}`" if text.startswith("matches") else text)


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
