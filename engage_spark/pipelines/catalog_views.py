"""Let the views of a catalog show what readers see, by the definitions that the reader has."""

from __future__ import annotations

from engage_spark.lake import COMMIT_WAIT, RunLog, table_lock
from engage_spark.lake.catalog_views import digest_of, known_digest, replace_view
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import CatalogView
from engage_spark.pipelines.views import View, views_of
from engage_spark.spark.sql_text import quoted_name

VIEWS = "views"
"""What is locked while they are made: who comes last has read all that is published."""


def show_published(context: RunContext, *, force: bool = False) -> tuple[CatalogView, ...]:
    """Let each view of the catalog show what is published now; return those that changed.

    A view names the runs whose rows readers see. So it shows nothing of an attempt that was killed or
    rejected, nor a derived day that is out of date. Between a publication and this, it shows the rows of
    before, whole: they are stored beside the new ones until the next attempt, which begins with this.
    `force`: make every view anew.
    Cost: none where there are no views; else a scan of `runs`, a look at each view, and one command for each
    that changes.
    Errors: ConfigurationError where a name is taken, or the views cannot be made.
    """
    lake, spark = context.lake, context.spark
    if lake.settings.views is None:
        return ()
    changed = []
    with table_lock(spark, lake, VIEWS, wait=COMMIT_WAIT):
        publication = RunLog(lake).publication(spark)
        for view in views_of(context.contract):
            runs = sorted(view.runs(publication))
            digest = digest_of(*runs, *map(repr, (view.columns, view.types, view.rows)))
            if known_digest(spark, lake, view.name) == digest and not force:
                continue
            rows = lake.find(spark, view.stored)
            if rows is not None:
                query = _query(context, view, runs, rows.columns)
                replace_view(spark, lake, view.name, query, digest=digest)
                changed.append(CatalogView(name=view.name, table=view.stored, runs=len(runs)))
    return tuple(changed)


def _query(context: RunContext, view: View, runs: list[str], stored: list[str]) -> str:
    """Return what a view selects; a column that the table was written without is null."""
    columns = ", ".join(
        quoted_name(name) if name in stored else f"CAST(NULL AS {view.types[name]}) AS {quoted_name(name)}"
        for name in view.columns
    )
    table = context.lake.sql_name(view.stored)
    return f"SELECT {columns} FROM {table} WHERE {view.condition(runs, stored, quoted_name)}"  # noqa: S608 (names of the contract, quoted, and ids of runs)
