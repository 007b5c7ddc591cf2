"""Load a contract from its file: the packaged one, anybody's, or that of the package's own tables."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from engage_spark.contract.lineage import with_inherited_classifications
from engage_spark.contract.model import Contract
from engage_spark.contract.odcs import parse_contract, read_contract_text
from engage_spark.contract.validation import find_contradictions
from engage_spark.errors import ContractError
from engage_spark.wording import counted

PACKAGED: Traversable = files(__package__) / "engagement.odcs.yaml"
SYSTEM: Traversable = files(__package__) / "system.odcs.yaml"


def load_contract(path: Traversable | str | None = None) -> Contract:
    """Read a contract from a path or a packaged file; None is the packaged one of customers.

    Errors: one ContractError that lists everything wrong with it.
    """
    where = PACKAGED if path is None else Path(path) if isinstance(path, str) else path
    contract, problems = parse_contract(read_contract_text(where), origin=where.name)
    contract = with_inherited_classifications(contract)
    problems += find_contradictions(contract, of_package=where == SYSTEM)
    if problems:
        raise ContractError(
            f"the contract {where.name} has {counted(len(problems), 'violation')}",
            details=problems,
            hint="correct them in the YAML, and check it with `engage-spark contract lint`",
        )
    return contract


def count_todos(path: Path | str | None = None) -> int:
    """Count what a person still has to do in a contract file: each TODO, as drafts write them."""
    text = read_contract_text(PACKAGED if path is None else Path(path))
    return len(re.findall(r"\bTODO\b", text))


@cache
def system_contract() -> Contract:
    """Read the contract of the tables that the package writes about its own work, such as runs: once."""
    return load_contract(SYSTEM)


def lint(path: Traversable | str | None = None) -> list[str]:
    """List everything wrong with a contract file; an empty list means that it can be used."""
    try:
        load_contract(path)
    except ContractError as e:
        return list(e.details) or [e.message]
    return []
