"""Draft a contract from data that nobody has declared."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import SNAPSHOT_DATE, find_contradictions, parse_contract
from engage_spark.contract.model import RESERVED_TABLES
from engage_spark.errors import ConfigurationError, ContractError
from engage_spark.lake import Format, read_any_format, translate_spark_errors
from engage_spark.pipelines.results import Note, ProfileResult
from engage_spark.quality.profiling.choices import Choices, apply_choices, drafts_as_chosen
from engage_spark.quality.profiling.column_draft import ColumnDraft
from engage_spark.quality.profiling.draft_contract import (
    column_drafts,
    draft_comments,
    draft_contract,
    draft_document,
    draft_text,
)
from engage_spark.quality.profiling.facts import TableProfile
from engage_spark.quality.profiling.personal import is_personal
from engage_spark.quality.profiling.profile import profile

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUFFIXES = re.compile(r"(\.(csv|parquet|pq|gz|delta))+$", re.IGNORECASE)
_NO_FOLDER = re.compile(r"[/\\*?{}\[\]=\x00-\x1f]")
_NEW = "contract new"


def run_profile(
    spark: SparkSession,
    path: str,
    *,
    table: str | None = None,
    data_format: Format = "auto",
    delimiter: str = ",",
    null: str = "",
    key: Sequence[str] = (),
) -> ProfileResult:
    """Profile the rows at `path`, and draft a contract that lints and that these rows pass.

    Cost: see `quality.profiling.profile.profile`.
    Errors: InputError when there is nothing to read; ConfigurationError when the table's name cannot be used.
    """
    started = time.monotonic()
    name = _table_name(path, table)
    rows, unreadable = read_any_format(spark, path, format=data_format, delimiter=delimiter, null=null)
    profiled = _profiled(rows, path, key)
    folder = _folder_of(path, name, is_named=table is not None)
    text = draft_contract(profiled, table=name, origin=Path(path).name, folder=folder)
    return _result("quality profile", profiled, unreadable, text, key=key, started=started)


def run_new(
    spark: SparkSession,
    path: str,
    *,
    choose: Callable[[Sequence[ColumnDraft]], Choices],
    table: str | None = None,
    data_format: Format = "auto",
    delimiter: str = ",",
    null: str = "",
    key: Sequence[str] = (),
) -> ProfileResult:
    """Draft a contract from the rows at `path` with what `choose` says of the columns: one that ingest,
    features and train take.

    Cost: as `run_profile`.
    Errors: as `run_profile`; ConfigurationError with all that stands against the choices.
    """
    started = time.monotonic()
    name = _table_name(path, table)
    rows, unreadable = read_any_format(spark, path, format=data_format, delimiter=delimiter, null=null)
    profiled = _profiled(rows, path, key, all_quartiles=True)
    if not profiled.key:
        tried = [f"{' + '.join(k.columns)}: {k.shared:,} rows share theirs" for k in profiled.tried[:5]]
        raise ConfigurationError(
            "no column or pair of columns is unique and never null, and stages need a key",
            details=tried,
            hint="name the key with --key COLUMN (rows that share it are then quarantined)",
        )
    drafts = column_drafts(profiled)
    choices = choose(drafts)
    drafts = drafts_as_chosen(drafts, choices)
    folder = _folder_of(path, name, is_named=table is not None)
    document = draft_document(profiled, table=name, origin=Path(path).name, folder=folder, drafts=drafts)
    if problems := apply_choices(document, drafts, choices):
        raise ConfigurationError(
            "the contract cannot be written as chosen",
            details=problems,
            hint="correct the options that are named",
        )
    text = draft_text(document, draft_comments(profiled, drafts))
    return _result(_NEW, profiled, unreadable, text, key=key, started=started)


def _table_name(path: str, table: str | None) -> str:
    name = table or _free_name(_name_of(path))
    if table and _free_name(table) != table:
        raise ConfigurationError(
            f"the package writes a table of the name {table!r} itself", hint="give another --table NAME"
        )
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a name for a table",
            hint="give --table NAME, of letters, digits and underscores",
        )
    return name


def _profiled(rows: DataFrame, path: str, key: Sequence[str], *, all_quartiles: bool = False) -> TableProfile:
    """Profile rows; the day of a folder `snapshot_date=…`, which is text, is one by which keys are unique."""
    if dict(rows.dtypes).get(SNAPSHOT_DATE) == "string":
        rows = rows.withColumn(SNAPSHOT_DATE, F.expr(f"try_cast({SNAPSHOT_DATE} AS DATE)"))
    with (
        log.stage(f"profiling {path}", columns=len(rows.columns)),
        translate_spark_errors(f"{path} cannot be profiled"),
    ):
        return profile(rows, key=key, all_quartiles=all_quartiles)


def _result(
    stage: str,
    profiled: TableProfile,
    unreadable: Sequence[tuple[str, str]],
    text: str,
    *,
    key: Sequence[str],
    started: float,
) -> ProfileResult:
    """Check the draft, and say what there is to know of it."""
    contract, problems = parse_contract(text, origin="the draft")
    if problems := [*problems, *find_contradictions(contract)]:
        if stage == _NEW:
            raise ConfigurationError(
                "the contract that follows from the data and the options contradicts itself",
                details=problems,
                hint="give other options, or draft with `quality profile` and edit the draft",
            )
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
    stated = [k for k in profiled.tried if key]
    notes += [
        Note("SharedKey", {"n_rows": k.shared, "key": " + ".join(k.columns)}) for k in stated if k.shared
    ]
    notes += [Note("NoKey", {"n_rows": k.missing, "key": " + ".join(k.columns)}) for k in stated if k.missing]
    return ProfileResult(
        stage=stage,
        seconds=time.monotonic() - started,
        notes=tuple(notes),
        rows=profiled.rows,
        columns=len(profiled.columns),
        key=tuple(profiled.key),
        kind=str(kind),
        text=text,
    )


def _free_name(name: str) -> str:
    """Return a table's name, with an ending where the package writes a table of that name."""
    is_reserved = name.lower() in RESERVED_TABLES or name.lower().endswith("_judged")
    return f"{name}_data" if is_reserved else name


def _folder_of(path: str, table: str, *, is_named: bool) -> str | None:
    """Return the table's physical name: what is delivered, where ingest would look for the table's name.

    One file that people name a table for is none.
    """
    part = _last_part(path)
    stem = _SUFFIXES.sub("", part)
    is_other = stem != table and not (is_named and part != stem)
    return stem if is_other and stem.strip(".") and not _NO_FOLDER.search(stem) else None


def _last_part(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _name_of(path: str) -> str:
    cleaned = (
        re.sub(r"\W+", "_", _SUFFIXES.sub("", _last_part(path)), flags=re.ASCII).strip("_").lower() or "table"
    )
    return cleaned if not cleaned[0].isdigit() else f"t_{cleaned}"
