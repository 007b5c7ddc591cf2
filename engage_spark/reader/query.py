"""Answer one SQL query over named datasets in DuckDB, which reaches nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engage_spark.errors import InputError, PermanentError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads

SHUT = (
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET TimeZone = 'UTC'",
    "SET lock_configuration = true",
)
"""After these a query reaches no file, no network, no extension, no variable of Python and no setting."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What a name stands for: columns of rows that meet a condition in SQL; an empty one is met by all."""

    rows: pads.Dataset
    columns: tuple[str, ...]
    condition: str = ""


def quoted(name: str) -> str:
    """Return a name as SQL reads it."""
    return '"' + name.replace('"', '""') + '"'


def names_in(query: str) -> frozenset[str]:
    """Return the names of tables that a query asks for, without running it.

    Errors: InputError where it is not one statement that only reads.
    """
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type not in _reading():
            raise InputError(
                "a query is one SELECT statement",
                hint="write SELECT …; to write results, use --csv or --json, or a method of the result",
            )
        return frozenset(connection.get_table_names(query))
    except duckdb.Error as e:
        raise InputError(f"the query cannot be read: {_text(e)}", hint="write it as DuckDB's SQL") from None
    finally:
        connection.close()


def _reading() -> tuple[Any, ...]:
    import duckdb

    return (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def answer(
    query: str,
    tables: Iterable[str],
    *,
    relation_of: Callable[[str], Relation],
    known: Iterable[str],
    memory: str | None = None,
    threads: int | None = None,
) -> pa.Table:
    """Run a query over the tables that it names, and return its rows.

    `relation_of` gives the rows of a name. `known` are the names for the message where one is not there.
    `memory` bounds what DuckDB holds (such as `512MB`), `threads` what it runs at once.
    Errors: InputError for what is wrong with the query, PermanentError where it needs more than `memory`.
    """
    import duckdb

    # The rows behind a view hold more than it shows: a query cannot ask for a name that it cannot guess.
    hidden = f"rows_{secrets.token_hex(16)}_"
    connection = duckdb.connect(":memory:")
    try:
        for name in tables:
            relation = relation_of(name)
            connection.register(f"{hidden}{name}", relation.rows)
            columns = ", ".join(map(quoted, relation.columns))
            where = f" WHERE {relation.condition}" if relation.condition else ""
            source = quoted(f"{hidden}{name}")
            connection.execute(f"CREATE VIEW {quoted(name)} AS SELECT {columns} FROM {source}{where}")  # noqa: S608 (names of the contract, quoted)
        for setting, value in (("memory_limit", memory), ("threads", threads)):
            if value is not None:
                connection.execute(f"SET {setting} = '{value}'")
        connection.execute("SET temp_directory = ''")
        for statement in SHUT:
            connection.execute(statement)
        return connection.sql(query).to_arrow_table()
    except duckdb.OutOfMemoryException as e:
        raise PermanentError(
            f"the query needs more memory than it may take: {_text(e)}",
            hint="ask for fewer rows or columns, or give it more memory",
        ) from None
    except duckdb.Error as e:
        there = ", ".join(sorted(known))
        missing = isinstance(e, duckdb.CatalogException) and "Table with name" in str(e)
        raise InputError(
            f"the query cannot be answered: {_text(e)}", hint=f"tables are: {there}" if missing else None
        ) from None
    finally:
        connection.close()


def _text(error: Exception) -> str:
    """Return the first paragraph of DuckDB's message: what follows points into the query."""
    return " ".join(str(error).split("\n\n")[0].split())
