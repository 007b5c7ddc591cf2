"""Write the SQL that makes a contract's features known to Databricks' feature engineering."""

from __future__ import annotations

from collections.abc import Iterator

from engage_spark.contract.model import SNAPSHOT_DATE, Contract, Field, Table, TableKind
from engage_spark.errors import ConfigurationError


def render_feature_ddl(contract: Contract, *, published: str, schema: str) -> str:
    """Return the statements that make the schema and a view of each table with features of the entity.

    `published` is the schema (`catalog.schema`) of the views that show what is published, `schema` the one
    that the statements write to. A stored table may hold several runs of a day side by side, so a primary
    key on it would be false: the key is declared on a materialized view of what is published, where the day
    is the time that features are joined by. Each view carries the contract's id and version as tags, and each
    column with a classification, or that is protected, says so by tags of its own.

    Errors: ConfigurationError where the contract has no such table.
    """
    tables = list(_feature_tables(contract))
    if not tables:
        raise ConfigurationError(
            f"contract {contract.id} has no table of features by {', '.join(contract.entity.key)} and day",
            hint="declare one (kind: derived) with formulas",
        )
    lines = [
        f"-- Feature tables of the contract {_line(contract.id)} {_line(contract.version)}.",
        "-- Written by `engage-spark contract ddl`; run it again when the contract changes.",
        "-- They show what was published when they were last refreshed: REFRESH MATERIALIZED VIEW <name>.",
        "",
        f"CREATE SCHEMA IF NOT EXISTS {_path(schema)};",
    ]
    for table in tables:
        lines += ["", *_statement(table, published=published, schema=schema)]
        lines += ["", *_tags(contract, table, schema=schema)]
    return "\n".join(lines) + "\n"


def _feature_tables(contract: Contract) -> Iterator[Table]:
    wanted = {*contract.entity.key, SNAPSHOT_DATE}
    for table in contract.tables:
        if table.kind in (TableKind.DERIVED, TableKind.GRAPH) and set(table.key) == wanted:
            yield table


def _statement(table: Table, *, published: str, schema: str) -> Iterator[str]:
    name = _quoted(table.name)
    key = [c for c in table.key if c != SNAPSHOT_DATE]
    columns = ", ".join([*map(_quoted, key), f"{_quoted(SNAPSHOT_DATE)} TIMESERIES"])
    yield f"CREATE OR REPLACE MATERIALIZED VIEW {_path(schema)}.{name} ("
    for field in table.fields:
        yield f"  {_column(field, is_key=field.name in table.key)},"
    yield f"  CONSTRAINT {_quoted(f'{table.name}_key')} PRIMARY KEY ({columns})"
    yield f") COMMENT {_text(table.description)}"
    selected = ", ".join(_quoted(f.name) for f in table.fields)
    yield f"AS SELECT {selected} FROM {_path(published)}.{name};"  # noqa: S608 (names are quoted)


def _tags(contract: Contract, table: Table, *, schema: str) -> Iterator[str]:
    view = f"ALTER MATERIALIZED VIEW {_path(schema)}.{_quoted(table.name)}"
    yield f"{view} SET TAGS ({_pairs(data_contract=contract.id, data_contract_version=contract.version)});"
    for field in table.fields:
        of_field = {
            "classification": field.classification or "",
            "protected": "true" if field.protected else "",
        }
        if given := {name: value for name, value in of_field.items() if value}:
            yield f"{view} ALTER COLUMN {_quoted(field.name)} SET TAGS ({_pairs(**given)});"


def _pairs(**tags: str) -> str:
    return ", ".join(f"{_text(name)} = {_text(value)}" for name, value in tags.items())


def _column(field: Field, *, is_key: bool) -> str:
    null = " NOT NULL" if is_key else ""
    return f"{_quoted(field.name)} {field.spark_type.upper()}{null} COMMENT {_text(field.description)}"


def _path(name: str) -> str:
    return ".".join(map(_quoted, name.split(".")))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _text(text: str) -> str:
    """Write a text; `$` by its number, since `${…}` is replaced before a statement is parsed."""
    return "'" + _line(text).replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024") + "'"


def _line(text: str) -> str:
    return " ".join(text.split())
