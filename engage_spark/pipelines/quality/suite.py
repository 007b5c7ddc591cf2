"""Export the contract as a Great Expectations suite."""

from __future__ import annotations

import time

from engage_spark.contract import Contract
from engage_spark.gx.export import suite_of
from engage_spark.pipelines.quality.history import input_table
from engage_spark.pipelines.results import SuiteResult


def export_suite(contract: Contract, *, table: str | None = None) -> SuiteResult:
    """Return the suite of a table (default: the entity's).

    Cost: starts no Spark, and needs no GX.
    """
    started = time.monotonic()
    source = input_table(contract, table)
    return SuiteResult(
        stage="quality suite",
        seconds=time.monotonic() - started,
        table=source.name,
        suite=suite_of(source, version=contract.version).as_json(),
    )
