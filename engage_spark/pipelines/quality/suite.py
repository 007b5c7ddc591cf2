"""The contract as a Great Expectations suite."""

from __future__ import annotations

import json
from pathlib import Path

from engage_spark.contract import Contract
from engage_spark.gx.export import suite_of
from engage_spark.text_files import write_text


def run_suite(contract: Contract, *, table: str | None = None, out: Path | None = None) -> str:
    """The JSON of a table's suite (default: the entity's); written to `out` where it is given. Starts no
    Spark, needs no GX.
    """
    chosen = contract.entity if table is None else contract.table(table)
    text = (
        json.dumps(suite_of(chosen, version=contract.version).as_json(), indent=2, ensure_ascii=False) + "\n"
    )
    if out is not None:
        write_text(out, text)
    return text
