"""Make the views of a catalog anew."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.errors import ConfigurationError
from engage_spark.lake.catalog_views import view_location
from engage_spark.pipelines.catalog_views import show_published
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.results import ViewsResult
from engage_spark.settings import Settings


def run_views(spark: SparkSession, settings: Settings, *, contract: Contract) -> ViewsResult:
    """Make every view of the catalog anew that shows what is published under the contract.

    The stages do it with each publication; this is for a lake that was made before there were views.
    Cost: a scan of `runs`, and one command per view.
    Errors: ConfigurationError where `lake.views` names no schema, or a name there is taken.
    """
    started = time.monotonic()
    if settings.lake.views is None:
        raise ConfigurationError(
            "lake.views names no schema for views",
            hint="set it beside lake.catalog; below a path, `engage-spark sql` shows what is published",
        )
    context = RunContext(spark, settings, contract)
    views = show_published(context, force=True)
    return ViewsResult(
        stage="tables views",
        seconds=time.monotonic() - started,
        locations={view.name: view_location(context.lake, view.name) for view in views},
        views=views,
    )
