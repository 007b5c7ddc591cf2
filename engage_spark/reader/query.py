"""Answer one SQL query over named datasets in DuckDB, which reaches nothing else."""

from __future__ import annotations

import difflib
import json
import re
import secrets
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engage_spark.errors import EngageError, InputError, PermanentError, TransientError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

SHUT = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
"""Options from the first moment on: no file, no network, no extension, no variable of Python."""
_MEMORY = re.compile(r"\d+(\.\d+)?\s?([KMGT]i?)?B", re.IGNORECASE)
_NO_TABLE = re.compile(r"Table with name (\S+) does not exist")
_MAKING_ROWS = ("generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest")
"""Functions after FROM that make rows of their arguments alone. Others read what is not a table of the lake:
files, the settings and the catalog of DuckDB, or a query and names of tables that stand in a text.
"""
_OF_SETTINGS = ("current_setting", "getvariable")
_OWN_CATALOGS, _OWN_SCHEMAS = ("system", "temp"), ("information_schema", "pg_catalog")
_OWN_TABLES = re.compile(r"(duckdb|pg|pragma|sqlite)_")
"""What DuckDB tells of itself by: the views over the lake's tables, and what lies behind them."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What a name stands for: expressions over rows that meet a condition, all in SQL.

    `columns` are pairs of an expression and its name; an empty condition is met by all rows.
    """

    rows: pads.Dataset
    columns: tuple[tuple[str, str], ...]
    condition: str = ""


def quoted(name: str) -> str:
    """Return a name as SQL reads it."""
    return '"' + name.replace('"', '""') + '"'


def names_in(query: str, *, known: Iterable[str] = ()) -> frozenset[str]:
    """Return the names of tables that a query asks for. It is parsed, not run.

    `known` are the tables of the lake, some of which may be named like those of DuckDB itself.
    Errors: InputError where it is not one statement that only reads, or it reads settings, or what is no
    table of the lake.
    """
    with _connected() as connection:
        (text,) = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone() or ("{}",)
    parsed = json.loads(text)
    one_select = InputError(
        "a query is one SELECT statement",
        hint="write SELECT …; to write results, use --csv, --out or --json, or a method of the result",
    )
    if parsed.get("error"):
        message = str(parsed.get("error_message"))
        if "Only SELECT statements" in message:
            raise one_select
        raise InputError(f"the query cannot be read: {message}", hint="write it as DuckDB's SQL")
    if len(parsed["statements"]) != 1:
        raise one_select
    nodes, own = list(_nodes(parsed)), {name.lower() for name in known}
    for node in nodes:
        if (refused := _beside_the_tables(node, own)) is not None:
            raise InputError(
                refused,
                hint="name the tables after FROM; `engage-spark sql` lists them",
            )
    return frozenset(node["table_name"] for node in nodes if node.get("type") == "BASE_TABLE")


def _beside_the_tables(node: Mapping[str, Any], known: Container[str]) -> str | None:
    """Say what a part of a query reads that is no table of the lake; None where it reads nothing else."""
    kind = node.get("type")
    if kind == "SHOW_REF":
        return "DESCRIBE, SHOW and SUMMARIZE cannot be asked here"
    if kind == "TABLE_FUNCTION":
        name = str((node.get("function") or {}).get("function_name"))
        return None if name.lower() in _MAKING_ROWS else f"{name} cannot be asked here"
    if kind == "BASE_TABLE":
        catalog, schema, table = (
            str(node.get(part, "")).lower() for part in ("catalog_name", "schema_name", "table_name")
        )
        is_own = catalog in _OWN_CATALOGS or schema in (*_OWN_CATALOGS, *_OWN_SCHEMAS)
        is_own |= table not in known and _OWN_TABLES.match(table) is not None
        return f"there is no table {node['table_name']}" if is_own else None
    function = str(node.get("function_name", "")).lower()
    return f"{function} cannot be asked here" if function in _OF_SETTINGS else None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(part)


def answer(
    query: str,
    tables: Iterable[str],
    *,
    relation_of: Callable[[str], Relation],
    known: Iterable[str],
    parameters: Sequence[object] = (),
    memory: str | None = None,
    threads: int | None = None,
) -> pa.Table:
    """Run a query over the tables that it names, and return its rows.

    `parameters` are the values of its question marks.
    `relation_of` gives the rows of a name. `known` are the names for the message where one is not there.
    `memory` bounds what DuckDB holds (such as `512MB`), `threads` what it runs at once.
    Errors: InputError for what is wrong with the query or the bounds, PermanentError where it needs more than
    `memory`.
    """
    import duckdb

    # The rows behind a view hold more than it shows: a query cannot ask for a name that it cannot guess.
    hidden = f"rows_{secrets.token_hex(16)}_"
    with _connected(memory=memory, threads=threads) as connection:
        try:
            for name in tables:
                relation = relation_of(name)
                connection.register(f"{hidden}{name}", relation.rows)
                columns = ", ".join(
                    f"{expression} AS {quoted(alias)}" for expression, alias in relation.columns
                )
                where = f" WHERE {relation.condition}" if relation.condition else ""
                source = quoted(f"{hidden}{name}")
                connection.execute(f"CREATE VIEW {quoted(name)} AS SELECT {columns} FROM {source}{where}")  # noqa: S608 (names of the contract, quoted)
            connection.execute("SET lock_configuration = true")
            return _narrowed(connection.sql(query, params=list(parameters) or None).to_arrow_table())
        except EngageError:
            raise
        except duckdb.OutOfMemoryException as e:
            raise PermanentError(
                f"the query needs more memory than it may take: {_text(e)}",
                hint="ask for fewer rows or columns, or give it more memory",
            ) from None
        except duckdb.Error as e:
            if "stream" in str(e) and hidden in str(e):
                raise TransientError(
                    f"the files of a table could not be read to the end: {_text(e).replace(hidden, '')}",
                    hint="where they were rewritten meanwhile, ask again",
                ) from None
            there = ", ".join(sorted(known))
            if absent := _NO_TABLE.search(str(e)):
                raise InputError(
                    f"there is no table {absent[1]}{_close(absent[1], known)}", hint=f"tables are: {there}"
                ) from None
            raise InputError(f"the query cannot be answered: {_text(e)}") from None


@contextmanager
def _connected(
    *, memory: str | None = None, threads: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory, shut from the start.

    Errors: InputError where a bound is none.
    """
    import duckdb

    if memory is not None and not _MEMORY.fullmatch(memory.strip()):
        raise InputError(f"{memory!r} is no amount of memory", hint="write such as 512MB or 2GB")
    if threads is not None and threads < 1:
        raise InputError(f"{threads} threads run nothing", hint="give 1 or more")
    bounds = {"memory_limit": memory and memory.strip(), "threads": threads and str(threads)}
    config: dict[str, Any] = SHUT | {name: value for name, value in bounds.items() if value}
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def _narrowed(rows: pa.Table) -> pa.Table:
    """Return sums of whole numbers, which DuckDB gives 128 bits, as 64-bit numbers where they fit."""
    import pyarrow as pa

    for i, field in enumerate(rows.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0 and field.type.precision == 38:
            try:
                rows = rows.set_column(i, field.name, rows.column(i).cast(pa.int64()))
            except pa.ArrowInvalid:
                continue
    return rows


def _text(error: Exception) -> str:
    """Return the first paragraph of DuckDB's message: what follows points into the query."""
    return " ".join(str(error).split("\n\n")[0].split())


def _close(name: str, known: Iterable[str]) -> str:
    """Return which of the tables may be meant: DuckDB itself would name those of its own."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
