"""Make small lakes by deltalake alone, without a JVM: tables as the stages store them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from engage_spark.contract import Contract, Table, day_column, judged_table, system_contract
from engage_spark.contract.stored_tables import REASONS_TYPE
from engage_spark.publication import PUBLISHED, REPLACED_BY, RUN_ID, Kind, Run

_TYPES: Mapping[str, pa.DataType] = {
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "binary": pa.binary(),
    "array<string>": pa.list_(pa.string()),
    "array<int>": pa.list_(pa.int32()),
    "array<date>": pa.list_(pa.date32()),
}
_ERRORS = pa.list_(pa.struct([(name, pa.string()) for name in ("rule", "column", "severity", "value")]))
_REASONS = pa.list_(
    pa.struct([("feature", pa.string()), ("value", pa.string()), ("contribution", pa.float64())])
)
_RESULTS = pa.list_(
    pa.struct([(f.name, _TYPES[f.spark_type]) for f in system_contract().table("quality_results").fields])
)


def type_of(spark_type: str) -> pa.DataType:
    """The Arrow type of a column; of an array of structs that of `reasons` or `_dq_errors`."""
    if spark_type == REASONS_TYPE:
        return _REASONS
    return _ERRORS if spark_type.startswith("array<struct") else _TYPES[spark_type]


@dataclass
class SmallLake:
    """A lake in a folder, whose runs are counted on."""

    root: Path
    contract: Contract
    runs: list[Run] = field(default_factory=list)

    def write(self, table: Table, rows: list[dict[str, Any]], *, partition_by: list[str]) -> None:
        """Append rows; a column that a row does not name is null, or an empty list."""
        schema = pa.schema([(f.name, type_of(f.spark_type)) for f in table.fields])
        filled = [
            {
                f.name: row.get(f.name, [] if f.required and f.spark_type.startswith("array") else None)
                for f in table.fields
            }
            for row in rows
        ]
        frame = pa.Table.from_pylist(filled, schema=schema)
        write_deltalake(str(self.root / table.name), frame, mode="append", partition_by=partition_by)

    def publish(
        self,
        stage: str,
        day: date,
        run_id: str,
        *,
        rows: int,
        outputs: Mapping[str, int],
        status: str = PUBLISHED,
        inputs: Mapping[str, str] | None = None,
        kind: Kind = Kind.SNAPSHOT,
        quarantined: int = 0,
        quality_results: list[dict[str, Any]] | None = None,
    ) -> None:
        """Add the row in `runs` that ends an attempt; without results the column is not written."""
        at = datetime(2025, 11, 1, tzinfo=UTC) + timedelta(minutes=len(self.runs))
        run = Run(
            run_id=run_id,
            stage=stage,
            kind=kind,
            snapshot_date=day,
            status=status,
            inputs=inputs or {},
            outputs=outputs,
            contract_id=self.contract.id,
            contract_version=self.contract.version,
            contract_digest=self.contract.digest,
            settings_digest="",
            rows_in=rows,
            rows_valid=rows - quarantined,
            rows_quarantined=quarantined,
            message="",
            started_at=at,
            finished_at=at,
            attempt=1 + sum(r.stage == stage and r.snapshot_date == day for r in self.runs),
        )
        self.runs.append(run)
        table = system_contract().table("runs")
        absent = ("quality_states",) if quality_results is not None else ("quality_results", "quality_states")
        known = [f for f in table.fields if f.name not in absent]
        record = asdict(run) | {
            "inputs": json.dumps(dict(run.inputs)),
            "outputs": json.dumps(dict(run.outputs)),
            "seconds": 0.0,
            "quality_results": quality_results,
        }
        schema = pa.schema(
            [(f.name, _RESULTS if f.name == "quality_results" else type_of(f.spark_type)) for f in known]
        )
        frame = pa.Table.from_pylist([{f.name: record[f.name] for f in known}], schema=schema)
        write_deltalake(str(self.root / "runs"), frame, mode="append", schema_mode="merge")

    def ingest(
        self,
        table: Table,
        day: date,
        rows: list[dict[str, Any]],
        run_id: str,
        *,
        status: str = PUBLISHED,
        killed: bool = False,
        is_log: bool = False,
    ) -> None:
        """Write judged rows of a day; unless the attempt was killed, end it in `runs`."""
        stored, column = judged_table(table), day_column(table)
        marked = [
            {
                "_dq_status": "valid",
                "_dq_errors": [],
                column: day,
                **row,
                RUN_ID: run_id,
                REPLACED_BY: row.get(REPLACED_BY),
            }
            for row in rows
        ]
        self.write(stored, marked, partition_by=[RUN_ID] if is_log else [column, RUN_ID])
        if not killed:
            kind = Kind.LOG if is_log else Kind.SNAPSHOT
            self.publish(
                f"ingest:{table.name}",
                day,
                run_id,
                rows=len(rows),
                outputs={stored.name: 0},
                status=status,
                kind=kind,
            )
