"""Let the views of a catalog show what readers see, by the definitions that the reader has."""

from __future__ import annotations

from engage_spark.lake import COMMIT_WAIT, RunLog, table_lock
from engage_spark.lake.catalog_views import digest_of, known_digest, replace_view
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import CatalogView
from engage_spark.pipelines.views import Rows, View, views_of
from engage_spark.publication import RUNS
from engage_spark.spark.sql_text import quoted_name

VIEWS = "views"
"""What is locked while they are made: who comes last has read all that is published."""
_shown: dict[tuple[str, str], int | None] = {}
"""The version of `runs` that this process has shown last, by the settings of a lake and the contract."""


def show_published(context: RunContext, *, force: bool = False) -> tuple[CatalogView, ...]:
    """Let each view of the catalog show what is published now; return those that changed.

    A view names the runs whose rows readers see. So it shows nothing of an attempt that was killed or
    rejected, nor a derived day that is out of date. Between a publication and this, it shows the rows of
    before, whole: they are stored beside the new ones until the next attempt, which begins with this.
    `force`: make every view anew. Else nothing is done where `runs` is as this process has shown it last.
    Cost: none where there are no views; else a look at the version of `runs`, and where that is another one,
    a scan of it, a look at each view, and one command for each that changes.
    Errors: ConfigurationError where a name is taken, or the views cannot be made.
    """
    lake, spark = context.lake, context.spark
    if lake.settings.views is None:
        return ()
    # Asked for before the runs are read, so that what comes between is shown the next time.
    version, key = lake.version(spark, RUNS), (repr(lake.settings), context.contract.digest)
    if not force and key in _shown and _shown[key] == version:
        return ()
    _shown.pop(key, None)
    changed = []
    with table_lock(spark, lake, VIEWS, wait=COMMIT_WAIT):
        publication = RunLog(lake).publication(spark)
        for view in views_of(context.contract):
            runs = sorted(view.runs(publication))
            parts = [*runs, *map(repr, (view.columns, view.types, view.rows))]
            rows = None
            if view.rows is Rows.ALL:  # no run tells that the table has got another column
                rows = lake.find(spark, view.stored)
                parts += rows.columns if rows is not None else ()
            digest = digest_of(*parts)
            if known_digest(spark, lake, view.name) == digest and not force:
                continue
            rows = rows if rows is not None else lake.find(spark, view.stored)
            if rows is not None:
                query = _query(context, view, runs, rows.columns)
                replace_view(spark, lake, view.name, query, digest=digest)
                changed.append(CatalogView(name=view.name, table=view.stored, runs=len(runs)))
    _shown[key] = version
    return tuple(changed)


def _query(context: RunContext, view: View, runs: list[str], stored: list[str]) -> str:
    """Return what a view selects; a column that the table was written without is null.

    As for Spark, a name is the same in capitals.
    """
    present = {name.lower() for name in stored}
    columns = ", ".join(
        quoted_name(name)
        if name.lower() in present
        else f"CAST(NULL AS {view.types[name]}) AS {quoted_name(name)}"
        for name in view.columns
    )
    table = context.lake.sql_name(view.stored)
    return f"SELECT {columns} FROM {table} WHERE {view.condition(runs, stored, quoted_name)}"  # noqa: S608 (names of the contract, quoted, and ids of runs)
