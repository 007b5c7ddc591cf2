"""The declared facts: what every table holds, read from Open Data Contract Standard YAML. Imports no pyspark."""

from __future__ import annotations

from pathlib import Path

from engage_spark.contract.dictionary import field_rows, limits, render_dictionary
from engage_spark.contract.graph_spec import EdgeMeasure, GraphMeasure, GraphSpec, graph_spec_of
from engage_spark.contract.lineage import ERRORS_TYPE, day_column, judged_table, leaks, tracked_table
from engage_spark.contract.model import (
    Contract,
    Dimension,
    Direction,
    Extra,
    Field,
    Gate,
    GraphRole,
    Kind,
    Reference,
    Role,
    Rule,
    Severity,
    Table,
)
from engage_spark.contract.odcs import full_match, parse, read_text
from engage_spark.contract.stored_tables import REASONS_TYPE, Split, predictions_table, splits_table
from engage_spark.contract.validation import contradictions
from engage_spark.errors import ContractError

PACKAGED = Path(__file__).parent / "engagement.odcs.yaml"
SYSTEM = Path(__file__).parent / "system.odcs.yaml"


def load_contract(path: Path | str | None = None) -> Contract:
    """Read a contract; None is the packaged one. Raises ONE ContractError that lists everything wrong with
    it.
    """
    where = PACKAGED if path is None else Path(path)
    contract, problems = parse(read_text(where), origin=where.name)
    problems += contradictions(contract)
    if problems:
        raise ContractError(
            f"the contract {where.name} has {len(problems)} violation{'s' if len(problems) > 1 else ''}",
            details=problems,
            hint="mend them in the YAML, and see with `engage-spark contract lint`",
        )
    return contract


def system_contract() -> Contract:
    """The tables this package writes about its own work: quality_results, runs, training_runs and others."""
    return load_contract(SYSTEM)


def lint(path: Path | str | None = None) -> list[str]:
    """Everything wrong with a contract file, in words; an empty list means that it can be used."""
    try:
        load_contract(path)
    except ContractError as e:
        return list(e.details) or [e.message]
    return []


__all__ = [
    "ERRORS_TYPE",
    "REASONS_TYPE",
    "Contract",
    "Dimension",
    "Direction",
    "EdgeMeasure",
    "Extra",
    "Field",
    "Gate",
    "GraphMeasure",
    "GraphRole",
    "GraphSpec",
    "Kind",
    "Reference",
    "Role",
    "Rule",
    "Severity",
    "Split",
    "Table",
    "contradictions",
    "day_column",
    "field_rows",
    "full_match",
    "graph_spec_of",
    "judged_table",
    "leaks",
    "limits",
    "lint",
    "load_contract",
    "parse",
    "predictions_table",
    "render_dictionary",
    "splits_table",
    "system_contract",
    "tracked_table",
]  # fmt: skip
