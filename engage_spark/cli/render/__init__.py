"""Put the typed results of pipelines into words, figures and tables for a terminal."""

from __future__ import annotations

from engage_spark.cli.render import analytics, models, monitoring, quality, stage_results, tables
from engage_spark.cli.render.summary import Summary
from engage_spark.pipelines.results import DemoResult, StageResult

__all__ = ["Summary", "summaries"]

_RENDERERS = (
    stage_results.RENDERERS
    | models.RENDERERS
    | monitoring.RENDERERS
    | analytics.RENDERERS
    | quality.RENDERERS
    | tables.RENDERERS
)


def summaries(result: StageResult) -> list[Summary]:
    """Return what a terminal shows of a result, one summary after the other.

    To show a new result, write a function from it to Summary and enter it in RENDERERS of the module of its
    subject.
    """
    if isinstance(result, DemoResult):
        return [summary for stage in result.stages for summary in summaries(stage)]
    rendered = _RENDERERS[type(result)](result)
    return rendered if isinstance(rendered, list) else [rendered]
