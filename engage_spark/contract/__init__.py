"""Read data contracts (Open Data Contract Standard YAML): what every table holds. Needs no Spark."""

from __future__ import annotations

from pathlib import Path

from engage_spark.contract.dictionary import describe_gate, field_rows, render_dictionary
from engage_spark.contract.graph_spec import EdgeMeasure, GraphMeasure, GraphSpec, graph_spec_of
from engage_spark.contract.lineage import leaking_fields
from engage_spark.contract.model import (
    DAY_COLUMNS,
    EVENT_DATE,
    QUARANTINED,
    SNAPSHOT_DATE,
    VALID,
    Contract,
    Dimension,
    Direction,
    ExtraColumns,
    Field,
    Gate,
    GraphRole,
    OnFailure,
    Reference,
    Role,
    Rule,
    Severity,
    Table,
    TableKind,
)
from engage_spark.contract.odcs import parse_contract, read_contract_text
from engage_spark.contract.patterns import anchored_pattern, bare_pattern
from engage_spark.contract.stored_tables import (
    ERRORS_TYPE,
    REASONS_TYPE,
    Split,
    day_column,
    judged_table,
    predictions_table,
    splits_table,
    stored_tables,
    tracked_table,
)
from engage_spark.contract.validation import find_contradictions
from engage_spark.errors import ContractError

PACKAGED = Path(__file__).parent / "engagement.odcs.yaml"
SYSTEM = Path(__file__).parent / "system.odcs.yaml"


def load_contract(path: Path | str | None = None) -> Contract:
    """Read a contract; None is the packaged one.

    Errors: one ContractError that lists everything wrong with it.
    """
    where = PACKAGED if path is None else Path(path)
    contract, problems = parse_contract(read_contract_text(where), origin=where.name)
    problems += find_contradictions(contract, of_package=where == SYSTEM)
    if problems:
        raise ContractError(
            f"the contract {where.name} has {len(problems)} violation{'s' if len(problems) > 1 else ''}",
            details=problems,
            hint="correct them in the YAML, and check it with `engage-spark contract lint`",
        )
    return contract


def system_contract() -> Contract:
    """Read the contract of the tables that the package writes about its own work, such as runs."""
    return load_contract(SYSTEM)


def lint(path: Path | str | None = None) -> list[str]:
    """List everything wrong with a contract file; an empty list means that it can be used."""
    try:
        load_contract(path)
    except ContractError as e:
        return list(e.details) or [e.message]
    return []


__all__ = [
    "DAY_COLUMNS",
    "ERRORS_TYPE",
    "EVENT_DATE",
    "QUARANTINED",
    "REASONS_TYPE",
    "SNAPSHOT_DATE",
    "VALID",
    "Contract",
    "Dimension",
    "Direction",
    "EdgeMeasure",
    "ExtraColumns",
    "Field",
    "Gate",
    "GraphMeasure",
    "GraphRole",
    "GraphSpec",
    "OnFailure",
    "Reference",
    "Role",
    "Rule",
    "Severity",
    "Split",
    "Table",
    "TableKind",
    "anchored_pattern",
    "bare_pattern",
    "day_column",
    "describe_gate",
    "field_rows",
    "find_contradictions",
    "graph_spec_of",
    "judged_table",
    "leaking_fields",
    "lint",
    "load_contract",
    "parse_contract",
    "predictions_table",
    "render_dictionary",
    "splits_table",
    "stored_tables",
    "system_contract",
    "tracked_table",
]  # fmt: skip
