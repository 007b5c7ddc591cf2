"""Draft a contract from data that nobody has declared."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import find_contradictions, parse_contract
from engage_spark.errors import ConfigurationError, ContractError
from engage_spark.lake import Format, read_any_format, translate_spark_errors
from engage_spark.pipelines.results import Note, ProfileResult
from engage_spark.quality.profiling.draft_contract import draft_contract
from engage_spark.quality.profiling.personal import is_personal
from engage_spark.quality.profiling.profile import profile

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def run_profile(
    spark: SparkSession,
    path: str,
    *,
    table: str | None = None,
    data_format: Format = "auto",
    delimiter: str = ",",
    key: Sequence[str] = (),
) -> ProfileResult:
    """Profile the rows at `path`, and draft a contract that lints and that these rows pass.

    Cost: see `quality.profiling.profile.profile`.
    Errors: InputError when there is nothing to read; ConfigurationError when the table's name cannot be used.
    """
    started = time.monotonic()
    name = table or _name_of(path)
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a name for a table",
            hint="give --table NAME, of letters, digits and underscores",
        )
    rows, unreadable = read_any_format(spark, path, format=data_format, delimiter=delimiter)
    with (
        log.stage(f"profiling {path}", columns=len(rows.columns)),
        translate_spark_errors(f"{path} cannot be profiled"),
    ):
        profiled = profile(rows, key=key)
    text = draft_contract(profiled, table=name, origin=Path(path).name)
    contract, problems = parse_contract(text, origin=name)
    if problems := [*problems, *find_contradictions(contract)]:
        raise ContractError(
            "the draft contradicts itself, which is a fault of this package",
            details=problems,
            hint="report it, please",
        )
    kind = contract.tables[0].kind
    personal = tuple(c.name for c in profiled.columns if is_personal(c))
    notes = [
        Note("ColumnLeftOut", {"column": n, "reason": why}) for n, why in (*profiled.left_out, *unreadable)
    ]
    if personal:
        notes.append(Note("ConfidentialColumns", {"columns": personal}))
    if kind == "plain":
        notes.append(Note("KindPlain"))
    if key:
        notes += [
            Note("SharedKey", {"n_rows": k.shared, "key": " + ".join(k.columns)})
            for k in profiled.tried
            if k.shared
        ]
        notes += [
            Note("NoKey", {"n_rows": k.missing, "key": " + ".join(k.columns)})
            for k in profiled.tried
            if k.missing
        ]
    return ProfileResult(
        stage="quality profile",
        seconds=time.monotonic() - started,
        notes=tuple(notes),
        rows=profiled.rows,
        columns=len(profiled.columns),
        key=tuple(profiled.key),
        kind=str(kind),
        text=text,
    )


def _name_of(path: str) -> str:
    stem = re.sub(
        r"(\.(csv|parquet|pq|gz|delta))+$", "", path.rstrip("/").rsplit("/", 1)[-1], flags=re.IGNORECASE
    )
    cleaned = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower() or "table"
    return cleaned if not cleaned[0].isdigit() else f"t_{cleaned}"
