"""Print a digest of each table of a lake, so that two lakes can be compared: `python bench/lake_digest.py
LAKE [OTHER]`.

A digest is the SHA-256 of the sorted rows as JSON. Columns that name a run, a clock, a code version or
MLflow's ids are left out. With OTHER, tables that differ are named column by column, and the exit code is 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from engage_spark.lake import Lake, RunLog
from engage_spark.settings import LakeSettings, SparkSettings, load_settings
from engage_spark.spark.session import open_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LEFT_OUT = {
    "_run_id", "run_id", "inputs", "outputs", "contract_digest", "code_version", "started_at", "finished_at",
    "landed_at", "fingerprint", "message", "mlflow_run_id", "mlflow_run", "model_version", "version",
    "seconds",
    "table_versions",
    "quality_results", "quality_states",
}  # fmt: skip
EVIDENCE = ("quality_results", "quality_states")
"""Rows that are stored in `runs`; compared as if they were tables."""


def digest(rows: DataFrame, columns: Iterable[str]) -> str:
    """Hash the sorted rows of some columns, bit by bit."""
    struct = F.struct(*(F.col(f"`{c}`") for c in columns))
    line = F.sha2(F.to_json(struct, {"ignoreNullFields": "false"}), 256)
    return str(rows.agg(F.sha2(F.concat_ws("\n", F.array_sort(F.collect_list(line))), 256)).collect()[0][0])


def tables(lake: Path) -> list[str]:
    return sorted({*(p.parent.name for p in lake.glob("*/_delta_log")), *EVIDENCE})


def read(spark: SparkSession, lake: Path, name: str) -> DataFrame:
    if name in EVIDENCE and not (lake / name).exists():  # a lake of an older version has it as a table
        return RunLog(Lake(LakeSettings(root=str(lake)))).read_evidence(spark, name)
    return spark.read.format("delta").load(str(lake / name))


def compare(spark: SparkSession, one: Path, other: Path | None) -> int:
    differing = 0
    names = set(tables(one)) & set(tables(other)) if other else tables(one)
    if other is not None and (alone := set(tables(one)) ^ set(tables(other))):
        print(f"in one lake only: {', '.join(sorted(alone))}")
        differing += 1
    for name in sorted(names):
        rows = read(spark, one, name)
        columns = sorted(set(rows.columns) - LEFT_OUT)
        value = digest(rows, columns)
        line = f"{name:22} {rows.count():>9,} rows  {value[:16]}"
        if other is not None:
            second = read(spark, other, name)
            same = sorted(rows.columns) == sorted(second.columns) and value == digest(second, columns)
            line += "  same" if same else "  DIFFERS"
            if not same:
                differing += 1
                line += f": columns {sorted(set(rows.columns) ^ set(second.columns)) or ''} " + ", ".join(
                    c for c in columns if c in second.columns and digest(rows, [c]) != digest(second, [c])
                )
        print(line, flush=True)
    return differing


if __name__ == "__main__":
    lakes = [Path(word).resolve() for word in sys.argv[1:]]
    settings = load_settings().model_copy(
        update={"spark": SparkSettings(master="local[1]", driver_memory="2g", shuffle_partitions=1)}
    )
    with open_session(settings) as session:
        sys.exit(min(1, compare(session, lakes[0], lakes[1] if len(lakes) > 1 else None)))
