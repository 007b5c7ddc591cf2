"""Declare `engage-spark contract ddl`: the SQL of feature tables. Needs no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engage_spark.cli import console
from engage_spark.cli.common import settings_of
from engage_spark.contract import load_contract
from engage_spark.contract.feature_ddl import render_feature_ddl
from engage_spark.errors import UsageError
from engage_spark.text_files import write_text


def ddl(
    ctx: typer.Context,
    published: Annotated[
        str | None,
        typer.Option(metavar="CATALOG.SCHEMA", help="views of what is published (default: lake.views)"),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="CATALOG.SCHEMA", help="where feature tables are made (default: of lake: SCHEMA_features)"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="file to write (default: standard output)")] = None,
) -> None:
    """Write the SQL that makes features known to Databricks' feature engineering: materialized views of what
    is published, with a primary key, and the day as its time series.
    """
    settings = settings_of(ctx)
    lake = settings.lake
    published = published or (f"{lake.catalog}.{lake.views}" if lake.views else None)
    schema = schema or (f"{lake.catalog}.{lake.schema_name}_features" if lake.catalog else None)
    if published is None or schema is None:
        raise UsageError(
            "the lake has no views of what is published in a catalog, so the schemas are not known",
            hint="give --published and --schema, or set lake.views, as --env databricks does",
        )
    text = render_feature_ddl(load_contract(settings.contract), published=published, schema=schema)
    if out is not None:
        write_text(out, text)
    if ctx.obj.json:
        console.json_object({"sql": text} if out is None else {"out": str(out)})
    elif out is None:
        console.document(text)
