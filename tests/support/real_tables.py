"""Published tables of real customers as deliveries: typed by their contracts in tests/data, and otherwise as
they are, faults included.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engage_spark.contract import Contract, load_contract
from engage_spark.settings import Settings
from tests.support.paths import DATA

CONTRACTS = DATA
TYPES: dict[str, tuple[pa.DataType, Callable[[str], object]]] = {
    "int": (pa.int32(), int),
    "bigint": (pa.int64(), int),
    "double": (pa.float64(), float),
    "string": (pa.string(), str),
}


@dataclass(frozen=True)
class RealTable:
    """A contract, and the published file below the folder of shared data."""

    contract: Contract
    file: str

    def rows(self, shared_data: Path) -> pa.Table:
        """The file's rows by the contract's names and types; an empty cell is null. A key that the file lacks
        counts its lines from 1.
        """
        with (shared_data / "tables" / self.file).open(encoding="utf-8", newline="") as lines:
            names, *cells = csv.reader(lines)
        texts = {
            snake_case(name): list(column)
            for name, column in zip(names, zip(*cells, strict=True), strict=True)
        }
        key = self.contract.entity.key[0]
        texts.setdefault(key, [str(i + 1) for i in range(len(cells))])
        if set(texts) != set(self.contract.entity.names):
            raise AssertionError(
                f"{self.file} has the columns {sorted(texts)}, declared are "
                f"{sorted(self.contract.entity.names)}"
            )
        columns = {}
        for f in self.contract.entity.fields:
            arrow, read = TYPES[f.spark_type]
            columns[f.name] = pa.array([read(text) if text else None for text in texts[f.name]], arrow)
        return pa.table(columns)

    def deliver(self, shared_data: Path, home: Path, day: str, *, files: int = 1) -> None:
        """Write the rows as the snapshot of a day below `home/raw`, as `files` Parquet files."""
        rows = self.rows(shared_data)
        folder = home / "raw" / self.contract.entity.name / f"snapshot_date={day}"
        folder.mkdir(parents=True)
        size = -(-len(rows) // files)
        for i in range(files):
            pq.write_table(rows.slice(i * size, size), folder / f"part-{i}.parquet")


IRANIAN = RealTable(load_contract(CONTRACTS / "iranian_churn.odcs.yaml"), "iranian_churn.csv")
BANK = RealTable(load_contract(CONTRACTS / "bank_churn.odcs.yaml"), "bank_dirty.csv")


def snake_case(name: str) -> str:
    """`Call  Failure` → call_failure, `NumOfProducts` → num_of_products, `Frequency of SMS` →
    frequency_of_sms.
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|\s+", "_", name.strip()).lower()


def settings_below(session_settings: Settings, home: Path) -> Settings:
    """Settings with input and lake below `home`."""
    return Settings(
        input={"root": str(home / "raw")}, lake={"root": str(home / "lake")}, spark=session_settings.spark
    )  # type: ignore[arg-type]
