"""Draft a contract from data that nobody has declared."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import find_contradictions, parse_contract
from engage_spark.errors import ConfigurationError, ContractError
from engage_spark.lake import Format, read_any_format, translate_spark_errors
from engage_spark.pipelines.results import Report
from engage_spark.quality.profiling.draft_contract import draft_contract, is_personal
from engage_spark.quality.profiling.profile import profile

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Draft:
    """The YAML of the drafted contract, and what was found, for people."""

    text: str
    report: Report


def run_profile(
    spark: SparkSession,
    path: str,
    *,
    table: str | None = None,
    data_format: Format = "auto",
    delimiter: str = ",",
    key: Sequence[str] = (),
) -> Draft:
    """Profile the rows at `path` (see `profile` for the cost) and draft a contract that lints, and that they
    pass.

    Raises InputError when there is nothing to read, ConfigurationError when the table's name cannot be one.
    """
    started = time.monotonic()
    name = table or _name_of(path)
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for a table", hint="give --table NAME, of letters, digits and underscores"
        )
    rows = read_any_format(spark, path, format=data_format, delimiter=delimiter)
    with (
        log.stage(f"profiling {path}", columns=len(rows.columns)),
        translate_spark_errors(f"{path} cannot be profiled"),
    ):
        found = profile(rows, key=key)
    text = draft_contract(found, table=name, origin=Path(path).name)
    contract, problems = parse_contract(text, origin=name)
    if problems := [*problems, *find_contradictions(contract)]:
        raise ContractError(
            "the draft contradicts itself, which is a fault of this package",
            details=problems,
            hint="report it, please",
        )
    kind = contract.tables[0].kind
    personal = [c.name for c in found.columns if is_personal(c)]
    notes = [f"{n}: left out, since {why}" for n, why in found.left_out]
    notes += [f"confidential by name or form: {', '.join(personal)}"] if personal else []
    if kind == "plain":
        notes.append(
            "kind plain: it can be checked, not ingested; the draft's first lines say what is lacking"
        )
    if len(key) and found.tried:
        notes += [
            f"{n:,} rows share their {' + '.join(k)}; they will be quarantined" for k, n in found.tried if n
        ]
    report = Report(
        stage="quality profile",
        seconds=time.monotonic() - started,
        lines=(
            ("rows", f"{found.rows:,}"),
            ("columns", f"{len(found.columns):,}"),
            ("key", " + ".join(found.key) or "none"),
            ("kind", str(kind)),
        ),
        notes=tuple(notes),
    )
    return Draft(text, report)


def _name_of(path: str) -> str:
    stem = re.sub(
        r"(\.(csv|parquet|pq|gz|delta))+$", "", path.rstrip("/").rsplit("/", 1)[-1], flags=re.IGNORECASE
    )
    cleaned = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower() or "table"
    return cleaned if not cleaned[0].isdigit() else f"t_{cleaned}"
