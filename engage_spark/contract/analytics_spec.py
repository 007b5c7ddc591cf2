"""Hold what analytics counts and judges of a contract's customers: plain data, computed in `analytics`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from engage_spark.contract.statements import Aim, ClaimKind, OverTime, Shape

ALL, CUSTOMERS, ACTIVE, RETENTION = "all", "customers", "active", "retention"
"""Names that no metric and no dimension of a contract may have."""
_QUOTED = re.compile(r"`((?:[^`]|``)+)`")


class DimensionKind(StrEnum):
    """How customers are parted: not, by the values of a category, by a number's bands or quartiles, by a rule
    of an indicator or of a claim, or by the key of a cohort.
    """

    ALL = "all"
    CATEGORY = "category"
    BAND = "band"
    QUARTILE = "quartile"
    INDICATOR = "indicator"
    CLAIM = "claim"
    COHORT = "cohort"

    @property
    def is_summarised(self) -> bool:
        """Whether every metric is counted in its segments, with quantiles."""
        return not self.is_rule and self is not DimensionKind.COHORT

    @property
    def is_rule(self) -> bool:
        """Whether its segments are true and false."""
        return self in (DimensionKind.INDICATOR, DimensionKind.CLAIM)

    @property
    def is_numeric(self) -> bool:
        """Whether its segments are ranges of a number."""
        return self in (DimensionKind.BAND, DimensionKind.QUARTILE)


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """A column that the rows of analytics have: `name` there, `field` in `table`."""

    name: str
    table: str
    field: str


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A number of each customer: `source` is SQL over the columns, which gives a number or a boolean.

    `tables` are those that the columns are of. `digits` behind the point, where values are multiples of
    10^-digits. `of_claim`: only a claim asks for it. `probes` are the patterns and formats in `source`.
    """

    name: str
    source: str
    tables: tuple[str, ...]
    unit: str | None = None
    description: str = ""
    over_time: OverTime = OverTime.STOCK
    rolling_days: int | None = None
    digits: int | None = None
    is_target: bool = False
    is_share: bool = False
    is_personal: bool = False
    of_claim: bool = False
    probes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DimensionSpec:
    """A way to part customers.

    `source` is SQL over the columns: a text for categories and cohorts, a number for bands and quartiles, a
    boolean for rules. `values` are the declared segments of a category, in order (none: those of the data),
    `bounds` the lower bounds of all bands but the first.
    """

    name: str
    kind: DimensionKind
    source: str
    tables: tuple[str, ...]
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    unit: str | None = None
    description: str = ""
    is_personal: bool = False
    probes: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that its source names."""
        return frozenset(_QUOTED.findall(self.source))


@dataclass(frozen=True, kw_only=True)
class CohortSpec:
    """A key of cohorts: the dimension of its name holds them; of months they are texts such as 2025-10."""

    name: str
    is_month: bool


@dataclass(frozen=True, kw_only=True)
class IndicatorSpec:
    """A rule that points to a target; the dimension of its name parts customers by it."""

    name: str
    version: int
    description: str
    expression: str
    aim: str
    direction: Aim
    tables: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimSpec:
    """A statement, and where its measurement lies in the states of a day or in the results of checks.

    `metric` in the segment `segment` of `dimension`, against the other segments; `complement` takes 1 less
    the metric. `rules` are names of checks of `table`, with the percent of rows (`limit`, exclusive) that may
    break one. `tables` are those that the columns are of.
    """

    name: str
    version: int
    statement: str
    source: str
    kind: ClaimKind
    unit: str | None = None
    metric: str | None = None
    complement: bool = False
    dimension: str | None = None
    segment: str | None = None
    claimed: float | None = None
    low: float | None = None
    high: float | None = None
    maximum: float | None = None
    shape: Shape | None = None
    table: str | None = None
    rules: tuple[tuple[str, float], ...] = ()
    reason: str | None = None
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AnalyticsSpec:
    """What analytics counts of the rows of a day, and the statements that it judges.

    Every source is SQL over `columns` and snapshot_date. `values` are the metrics that cohorts show beside
    retention, which is the mean of the metric `active`; without `active` there is none.
    """

    entity: str
    columns: tuple[ColumnSpec, ...]
    targets: tuple[str, ...]
    metrics: tuple[MetricSpec, ...]
    dimensions: tuple[DimensionSpec, ...]
    cohorts: tuple[CohortSpec, ...] = ()
    values: tuple[str, ...] = ()
    indicators: tuple[IndicatorSpec, ...] = ()
    claims: tuple[ClaimSpec, ...] = ()

    @property
    def rule_metrics(self) -> frozenset[str]:
        """The metrics that are looked at by rules and cohorts: targets, values, and what claims compare."""
        compared = {c.metric for c in self.claims if c.metric is not None and c.dimension is not None}
        return frozenset({*self.targets, *self.values, *compared, ACTIVE} & {m.name for m in self.metrics})

    @property
    def has_retention(self) -> bool:
        """Whether the contract says who is active."""
        return any(m.name == ACTIVE for m in self.metrics)

    @property
    def checked_tables(self) -> frozenset[str]:
        """The tables of whose checks claims tell."""
        return frozenset(c.table for c in self.claims if c.table is not None)

    def metric(self, name: str) -> MetricSpec:
        """Return a metric by its name."""
        return next(m for m in self.metrics if m.name == name)

    def within(self, tables: Collection[str]) -> AnalyticsSpec:
        """Return what can be counted where only these tables are there; all statements stay."""
        there = set(tables)
        metrics = tuple(m for m in self.metrics if there.issuperset(m.tables))
        dimensions = tuple(d for d in self.dimensions if there.issuperset(d.tables))
        names = {d.name for d in dimensions}
        measured = {m.name for m in metrics}
        return replace(
            self,
            columns=tuple(c for c in self.columns if c.table in there),
            metrics=metrics,
            dimensions=dimensions,
            cohorts=tuple(c for c in self.cohorts if c.name in names),
            values=tuple(v for v in self.values if v in measured),
        )
