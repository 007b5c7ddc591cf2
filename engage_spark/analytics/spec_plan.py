"""Plan from what a contract says what is counted of a day."""

from __future__ import annotations

from engage_spark.analytics.plan import CountedDimension, CountedMetric
from engage_spark.contract.analytics_spec import ACTIVE, AnalyticsSpec


def metrics_of(spec: AnalyticsSpec) -> tuple[CountedMetric, ...]:
    """Return the metrics to count. By rules and cohorts are counted the targets, who is active, and what
    cohorts and claims show.
    """
    by_rules = {ACTIVE, *spec.targets, *spec.values}
    by_rules |= {c.metric for c in spec.claims if c.metric is not None and c.dimension is not None}
    return tuple(
        CountedMetric(
            name=m.name,
            source=m.source,
            by_rules=m.name in by_rules,
            unit=m.unit,
            over_time=m.over_time,
            rolling_days=m.rolling_days,
            digits=m.digits,
        )
        for m in spec.metrics
    )


def dimensions_of(spec: AnalyticsSpec) -> tuple[CountedDimension, ...]:
    """Return the ways to part customers, without that of all."""
    fields = {m.source: m for m in spec.metrics}
    dimensions = []
    for d in spec.dimensions:
        field = fields.get(d.source) if d.kind.is_numeric else None
        dimensions.append(
            CountedDimension(
                name=d.name,
                kind=d.kind,
                source=d.source,
                field=None if field is None else field.name,
                digits=None if field is None else field.digits,
                values=d.values,
                bounds=d.bounds,
                description=d.description,
            )
        )
    return tuple(dimensions)
