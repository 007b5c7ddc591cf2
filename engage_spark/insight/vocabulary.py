"""List the names that questions about a contract's data may use. Pure: nothing is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from engage_spark.analytics.plan import bands, segment_of
from engage_spark.contract import Contract, Field, GraphMeasure, GraphRole, Table, TableKind
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import (
    CUSTOMERS,
    RETENTION,
    AnalyticsSpec,
    DimensionKind,
    DimensionSpec,
    MetricSpec,
)
from engage_spark.contract.labels import label_sql
from engage_spark.contract.sql_nodes import quoted

_COMPARED = (DimensionKind.CATEGORY, DimensionKind.BAND, DimensionKind.QUARTILE)
QUARTILES = ("Q1", "Q2", "Q3", "Q4")
_NO_INFLUENCE = frozenset({
    GraphMeasure.BETWEENNESS_LOWER, GraphMeasure.BETWEENNESS_UPPER, GraphMeasure.BETWEENNESS_STDERR,
    GraphMeasure.COMPONENT, GraphMeasure.COMMUNITY,
})  # fmt: skip
"""Bounds, and numbers that only name a part of the graph."""
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")


@dataclass(frozen=True)
class Vocabulary:
    """The closed lists that arguments are taken from, by a contract.

    What only a claim asks for is left out. Dimensions of fields that are classified (their values are
    personal) are, too; protected ones can be compared, and are what `fairness` looks at.
    """

    contract: Contract

    @cached_property
    def spec(self) -> AnalyticsSpec:
        """What analytics counts."""
        return analytics_spec_of(self.contract)

    @cached_property
    def metrics(self) -> dict[str, MetricSpec]:
        """The numbers that can be asked for, by name; beside them there is `customers`, their number."""
        return {m.name: m for m in self.spec.metrics if not m.of_claim}

    @cached_property
    def metric_names(self) -> tuple[str, ...]:
        """The names of metrics, targets first, and `customers`."""
        targets = self.targets
        return (*targets, *(name for name in self.metrics if name not in targets), CUSTOMERS)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The targets that are counted."""
        return self.spec.targets

    @property
    def main_target(self) -> str | None:
        """The target that is meant where none is named: the first of two classes, else the first."""
        of_classes = [t for t in self.targets if self.metrics[t].is_share]
        return next(iter((*of_classes, *self.targets)), None)

    @cached_property
    def dimensions(self) -> dict[str, DimensionSpec]:
        """The ways to part customers that can be asked for: categories, bands and quartiles."""
        return {
            d.name: d for d in self.spec.dimensions if d.kind in _COMPARED and not self.is_classified(d.name)
        }

    @cached_property
    def protected(self) -> tuple[str, ...]:
        """The protected fields that `fairness` may be asked for."""
        return tuple(f.name for f in self.contract.entity.fields if f.protected and not f.is_key)

    @cached_property
    def cohort_keys(self) -> tuple[str, ...]:
        """What customers are put into cohorts by."""
        return tuple(c.name for c in self.spec.cohorts if not self.is_classified(c.name))

    @cached_property
    def cohort_metrics(self) -> tuple[str, ...]:
        """What is known of cohorts: retention, where the contract says who is active, and values."""
        return (*((RETENTION,) if self.spec.has_retention else ()), *self.spec.values)

    @cached_property
    def indicators(self) -> tuple[str, ...]:
        """The rules that point to targets."""
        return tuple(i.name for i in self.spec.indicators)

    @cached_property
    def claims(self) -> tuple[str, ...]:
        """The statements that are held against the data."""
        return tuple(c.name for c in self.spec.claims)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The tables that deliveries are checked for."""
        return tuple(t.name for t in self.contract.tables if t.kind in (TableKind.ENTITY, TableKind.LOG))

    @cached_property
    def graph_table(self) -> Table | None:
        """The table of what the graph measures of customers; None where the contract has no graph."""
        return next(iter(self.contract.of_graph_role(GraphRole.VERTICES)), None)

    @cached_property
    def influence_measures(self) -> tuple[str, ...]:
        """What the graph measures of a customer that there can be more or less of, the centrality first."""
        table = self.graph_table
        if table is None:
            return ()
        ranked = [
            f
            for f in table.fields
            if f.measure is not None and f.measure not in _NO_INFLUENCE and is_number(f) and not f.is_personal
        ]
        return tuple(f.name for f in sorted(ranked, key=lambda f: f.measure != GraphMeasure.CENTRALITY))

    @cached_property
    def is_key_personal(self) -> bool:
        """Whether the key of a customer is a personal value, by its classification."""
        return self.contract.entity.is_key_personal

    def segments(self, dimension: str) -> tuple[str, ...]:
        """Return the segments of a dimension that the contract declares; none where they follow from data."""
        declared = self.dimensions.get(dimension)
        if declared is None:
            return ()
        if declared.kind is DimensionKind.QUARTILE:
            return QUARTILES
        if declared.kind is DimensionKind.BAND:
            return tuple(s.name for s in bands(declared.bounds))
        return tuple(segment_of(value).name for value in declared.values)

    def field_of(self, name: str) -> Field | None:
        """Return the field behind a metric or a dimension; None where a rule or a formula makes it."""
        key = self._columns.get(name)
        return None if key is None else self.contract.table(key[0])[key[1]]

    def field_name(self, target: str) -> str:
        """Return the name of the field behind a target, which is another where analytics needs that name."""
        field = self.field_of(target)
        return target if field is None else field.name

    @cached_property
    def _columns(self) -> dict[str, tuple[str, str] | None]:
        named: dict[str, tuple[str, str] | None] = {c.name: (c.table, c.field) for c in self.spec.columns}
        of_source = {
            source: (c.table, c.field)
            for c in self.spec.columns
            for source in (
                quoted(c.name),
                f"CAST({quoted(c.name)} AS STRING)",
                label_sql(self.contract.table(c.table)[c.field], quoted(c.name)),
            )
        }
        named |= {m.name: of_source.get(m.source) for m in self.spec.metrics}
        named |= {d.name: of_source[d.source] for d in self.spec.dimensions if d.source in of_source}
        cohorts = {
            f.cohort_name: (t.name, f.name) for t in self.contract.tables for f in t.fields if f.cohort_name
        }
        return cohorts | named

    def is_classified(self, name: str) -> bool:
        """Return whether the values of a metric or dimension are personal by their classification."""
        field = self.field_of(name)
        fields = self._fields_behind(name) if field is None else [field]
        return any(f.is_personal and not f.protected for f in fields)

    def tells_of_personal(self, dimension: str) -> bool:
        """Return whether a way to part customers, such as a rule, looks at a protected or personal field,
        itself or by what is derived from it.
        """
        fields = self._fields_behind(dimension)
        named = {n.lower() for f in fields for n in f.inputs}
        sources = [f for f in self.contract.entity.fields if f.name.lower() in named]
        return any(f.is_personal for f in (*fields, *sources))

    def _fields_behind(self, dimension: str) -> list[Field]:
        """Return the fields whose columns a dimension's source names; none where it is no dimension."""
        columns = {c.name: self.contract.table(c.table)[c.field] for c in self.spec.columns}
        spec = next((d for d in self.spec.dimensions if d.name == dimension), None)
        return [columns[name] for name in (spec.columns if spec else ()) if name in columns]

    @cached_property
    def personal_fields(self) -> frozenset[str]:
        """The names of fields, in any table, whose values are personal."""
        return frozenset(f.name for t in self.contract.tables for f in t.fields if f.is_personal)

    @cached_property
    def target_fields(self) -> dict[str, Field]:
        """The fields of the targets by name."""
        return {f.name: f for f in self.contract.targets}


def is_number(field: Field) -> bool:
    """Return whether a field's values are numbers."""
    return field.spark_type.partition("(")[0] in _NUMBERS
