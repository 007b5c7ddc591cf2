"""Define `engage-spark contract …`: look at, check and document the data contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engage_spark.cli import console, contract_ddl
from engage_spark.cli.common import EPILOG, CommandGroup, settings_of, spark_of
from engage_spark.cli.new_contract import contract_new
from engage_spark.contract import Contract, count_todos, field_rows, load_contract, statement_rows
from engage_spark.errors import ContractError
from engage_spark.settings import Settings
from engage_spark.text_files import write_text
from engage_spark.wording import counted

app = typer.Typer(
    cls=CommandGroup,
    help="Draft, look at, check and document the data contract.",
    no_args_is_help=True,
    epilog=EPILOG,
)
app.command(epilog=EPILOG)(contract_ddl.ddl)
app.command("new", epilog=EPILOG)(contract_new)


@app.command("show", epilog=EPILOG)
def contract_show(
    ctx: typer.Context,
    table: Annotated[str | None, typer.Argument(help="one table (default: list all)")] = None,
) -> None:
    """List the tables of the contract, or the fields, indicators and claims of one."""
    loaded = load_contract(settings_of(ctx).contract)
    if not ctx.obj.json:
        console.contract(loaded, table)
    elif table is None:
        tables = [
            {
                "name": t.name,
                "kind": t.kind,
                "fields": len(t.fields),
                "source": t.source,
                "key": t.key,
            }
            for t in loaded.tables
        ]
        console.json_object({"id": loaded.id, "version": loaded.version, "tables": tables})
    else:
        fields, statements = field_rows(loaded, table), statement_rows(loaded, table)
        console.json_object({"table": table, "fields": fields, "statements": statements})


@app.command("lint", epilog=EPILOG)
def contract_lint(
    ctx: typer.Context,
    engine: Annotated[
        bool, typer.Option("--engine", help="let Spark compile rules, formulas and patterns, too; no job")
    ] = False,
) -> None:
    """Check the contract for contradictions, and count the TODO in it; exit code 2 if there are any
    contradictions.
    """
    settings = settings_of(ctx)
    loaded = load_contract(settings.contract)
    if engine:
        _compile(settings, loaded)
    n_tables, n_fields = len(loaded.tables), sum(len(t.fields) for t in loaded.tables)
    n_todos = count_todos(settings.contract)
    if ctx.obj.json:
        console.json_object(
            {
                "id": loaded.id,
                "version": loaded.version,
                "tables": n_tables,
                "fields": n_fields,
                "todos": n_todos,
            }
        )
        return
    todos = f"; {n_todos:,} TODO left to a person" if n_todos else ""
    size = f"{counted(n_tables, 'table')}, {counted(n_fields, 'field')}"
    console.line(f"{loaded.id} {loaded.version}: {size}, no violations{todos}")


def _compile(settings: Settings, loaded: Contract) -> None:
    with spark_of(settings) as spark:
        from engage_spark.quality.checks.expressions import compile_contract

        problems = compile_contract(spark, loaded)
    if problems:
        raise ContractError(
            f"Spark refuses {len(problems)} of the contract's expressions and patterns",
            details=problems,
            hint="write rules and formulas as Spark SQL about one row, patterns as Java regular expressions",
        )


@app.command("docs", epilog=EPILOG)
def contract_docs(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
) -> None:
    """Write the data dictionary that follows from the contract, as Markdown."""
    from engage_spark.contract import render_dictionary

    text = render_dictionary(load_contract(settings_of(ctx).contract))
    if out is not None:
        write_text(out, text)
    if ctx.obj.json:
        console.json_object({"markdown": text} if out is None else {"out": str(out)})
    elif out is None:
        console.document(text)


@app.command("schema", epilog=EPILOG)
def contract_schema(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
) -> None:
    """Write the JSON schema of contract files, by which editors complete and check them: put
    `# yaml-language-server: $schema=FILE` on the first line of a contract.
    """
    from engage_spark.contract.json_schema import contract_json_schema

    schema = contract_json_schema()
    if out is None:
        console.json_object(schema)
        return
    write_text(out, json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    if ctx.obj.json:
        console.json_object({"out": str(out)})
