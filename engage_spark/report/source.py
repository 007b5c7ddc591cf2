"""Read what a page needs of an open lake, as of a day, without the groups that are too small to be shown."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from engage_spark.analytics.rule_suppression import Sides, hidden_rules
from engage_spark.analytics.segment_suppression import hidden_segments
from engage_spark.analytics.states import FALSE_SEGMENT, TRUE_SEGMENT
from engage_spark.contract import Contract, Field, Role, Table, TableKind
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import AnalyticsSpec, DimensionKind
from engage_spark.errors import NotPublishedError
from engage_spark.pipelines.stages import ANALYTICS, GRAPH_COMPARISON, MODEL_MONITORING
from engage_spark.reader import OpenLake

WHOLE = "all"
"""The dimension of all customers, and its only segment."""
CUSTOMERS = "customers"
"""The metric that counts customers."""

Row = dict[str, Any]
_STATES = "analytics_states"
_OF_DAYS = frozenset((*ANALYTICS, MODEL_MONITORING, GRAPH_COMPARISON)) - {_STATES}


@dataclass(frozen=True)
class Source:
    """A lake as of a day: of each table the newest published snapshot that is not after it.

    `as_of` None is the newest day that the entity has.
    """

    lake: OpenLake
    limit: date | None = None

    @property
    def contract(self) -> Contract:
        """The contract that the lake is read by."""
        return self.lake.contract

    @cached_property
    def snapshots(self) -> tuple[date, ...]:
        """Published snapshots of the entity up to the day, oldest first; none where nothing is there."""
        return self.days(self.contract.entity.name)

    def days(self, table: str) -> tuple[date, ...]:
        """Return the published days of a table up to the day; none where there is no lake."""
        try:
            publication = self.lake.publication
        except NotPublishedError:
            return ()
        view = self.lake.views.get(table)
        runs = view.runs(publication).values() if view is not None else ()
        # A run that had no rows for a table has not written it.
        days = {r.snapshot_date for r in runs if table not in _OF_DAYS or table in r.outputs}
        return tuple(sorted(day for day in days if self.limit is None or day <= self.limit))

    def day(self, table: str) -> date:
        """Return the newest day of a table.

        Errors: NotPublishedError where there is none.
        """
        days = self.days(table)
        if not days:
            view = self.lake.views.get(table)
            raise NotPublishedError.of(table, command=view.command if view else "analyze")
        return days[-1]

    @cached_property
    def spec(self) -> AnalyticsSpec:
        """What analytics counts by the contract."""
        return analytics_spec_of(self.contract)

    @cached_property
    def left_out(self) -> frozenset[str]:
        """The dimensions and keys of cohorts that are not shown at all: what only claims are measured by, and
        fields that are classified, whose values are personal; protected ones are compared.
        """
        columns = {c.name: self.contract.table(c.table)[c.field] for c in self.spec.columns}
        classified = {name for name, f in columns.items() if f.is_personal and not f.protected}
        return frozenset(
            d.name
            for d in self.spec.dimensions
            if d.kind is DimensionKind.CLAIM or (not d.kind.is_rule and d.columns & classified)
        )

    @property
    def is_analysed(self) -> bool:
        """Whether analytics are published up to the day, whatever they had to say."""
        return bool(self.days(_STATES))

    def of_day(self, table: str, *, columns: str = "*", where: str = "", order: str = "") -> list[Row]:
        """Return the rows of a table's newest day; `columns`, `where` and `order` are SQL.

        Errors: as `OpenLake.sql`, and `day`.
        """
        day = self.day(table)
        condition = f" AND ({where})" if where else ""
        tail = f" ORDER BY {order}" if order else ""
        return self.ask(f"SELECT {columns} FROM {table} WHERE snapshot_date = DATE '{day}'{condition}{tail}")  # noqa: S608 (names of the system contract)

    def ask(self, query: str) -> list[Row]:
        """Answer a query.

        Errors: as `OpenLake.sql`.
        """
        with warnings.catch_warnings():
            # Days whose rows are gone are missing from the days that a section names.
            warnings.simplefilter("ignore", UserWarning)
            rows: list[Row] = self.lake.sql(query).to_arrow().to_pylist()
        return rows

    def customers(self, day: date) -> int:
        """Return how many customers a day has by its analytics; 0 where it was not analyzed."""
        days = [d for d in self.days("rollups") if d == day]
        where = f"grain = 'day' AND dimension = '{WHOLE}' AND metric = '{CUSTOMERS}'"
        query = f"SELECT customers AS n FROM rollups WHERE snapshot_date = DATE '{day}' AND {where}"  # noqa: S608 (a day)
        return sum(int(r["n"]) for r in (self.ask(query) if days else ()))

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The fields that metrics and dimensions are named after, by name: of entity, derived and graph
        tables.
        """
        kinds = (TableKind.GRAPH, TableKind.DERIVED, TableKind.ENTITY)
        tables = sorted(
            (t for t in self.contract.tables if t.kind in kinds), key=lambda t: kinds.index(t.kind)
        )
        return {f.name: f for table in tables for f in table.fields}

    @cached_property
    def metric_order(self) -> dict[str, int]:
        """Position of each field: targets first, then as the contract lists them."""
        entity = [*self.contract.entity.fields]
        names = [f.name for f in self.contract.targets] + [CUSTOMERS]
        names += [f.name for f in entity if f.role is not Role.TARGET]
        names += [name for name in self.fields if name not in names]
        return {name: i for i, name in enumerate(dict.fromkeys(names))}

    def rank(self, metric: str) -> tuple[int, str]:
        """Return the place of a metric in lists."""
        return self.metric_order.get(metric, len(self.metric_order)), metric

    @property
    def people(self) -> str:
        """What the contract calls the rows of its entity, in the plural: customers, members."""
        return self.contract.entity.title

    def label(self, metric: str) -> str:
        """Return the name of a metric for readers: the number of rows has that of the entity."""
        return self.people if metric == CUSTOMERS else metric

    def unit(self, metric: str, stated: str | None = None) -> str:
        """Return the unit of a metric: as stated in its row, else as the contract has it."""
        if metric == CUSTOMERS:
            return self.people
        declared = self.fields.get(metric)
        return stated or (declared.unit if declared is not None else None) or "no unit"

    @cached_property
    def hidden(self) -> Mapping[str, frozenset[str]]:
        """The segments of each dimension that are not shown, whatever the table: too small on the day, in a
        merged period, or in the period that changes compare with; or next to such a one.

        Cost: the rows of the metric customers in segments, rollups and changes of a day, and cohorts' sizes.
        """
        counts: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        for dimension, segment, column, n in self._sizes():
            counts[dimension][segment][column] = n
        hidden = {}
        for dimension, segments in counts.items():
            columns = sorted({c for by_column in segments.values() for c in by_column})
            table = {s: [by_column.get(c) for c in columns] for s, by_column in sorted(segments.items())}
            hidden[dimension] = hidden_segments(table)
        for rule in hidden_rules(self.spec, self._rule_sizes(counts), hidden):
            hidden[rule] = frozenset(counts[rule]) | {TRUE_SEGMENT, FALSE_SEGMENT}
        return hidden

    def _rule_sizes(
        self, counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    ) -> dict[str, dict[Hashable, Sides]]:
        """Return the two sides of each rule: of its customers, and of those with a value of each metric."""
        rules = {d.name for d in self.spec.dimensions if d.kind.is_rule}
        sides: dict[str, dict[Hashable, Sides]] = defaultdict(dict)
        for rule in sorted(rules & counts.keys()):
            holds, fails = (counts[rule].get(s, {}) for s in (TRUE_SEGMENT, FALSE_SEGMENT))
            for column in sorted({*holds, *fails}):
                sides[rule][column] = holds.get(column, 0), fails.get(column, 0)
        if self.days("rollups") and rules:
            values: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
            for row in self.of_day(
                "rollups",
                columns="dimension, metric, segment, customer_days AS n",
                where=f"grain = 'day' AND dimension IN ({texts(rules)}) AND metric <> '{CUSTOMERS}'",
            ):
                values[row["dimension"], row["metric"]][row["segment"]] = int(row["n"] or 0)
            for (rule, metric), of in values.items():
                sides[rule][metric, "values"] = of.get(TRUE_SEGMENT, 0), of.get(FALSE_SEGMENT, 0)
        if self.days("indicators"):
            for row in self.of_day("indicators", where="measured"):
                holds_for, rest = int(row["n"] or 0), max(0, int(row["customers"] or 0) - int(row["n"] or 0))
                own = sides[row["indicator"]]
                own["customers"] = holds_for, rest
                own[row["target"], "values"] = int(row["n_with"] or 0), int(row["n_without"] or 0)
        return sides

    def _sizes(self) -> Iterable[tuple[str, str, str, int]]:
        counted = f"dimension <> '{WHOLE}' AND segment <> '{WHOLE}' AND metric = '{CUSTOMERS}'"
        for table, period, column, where in (
            ("segments", "'day'", "customers", f"dimension <> '{WHOLE}'"),
            ("rollups", "grain", "customers", counted),
            ("changes", "grain || ' before'", "n_before", counted),
        ):
            if self.days(table):
                for row in self.of_day(
                    table, columns=f"dimension, segment, {period} AS period, {column} AS n", where=where
                ):
                    yield row["dimension"], row["segment"], row["period"], row["n"] or 0
        if days := self.days("cohorts"):
            for row in self.ask(
                "SELECT cohort_key, cohort, snapshot_date, max(n) AS n FROM cohorts "  # noqa: S608 (a day)
                f"WHERE snapshot_date <= DATE '{days[-1]}' AND metric = 'retention' GROUP BY ALL"
            ):
                yield row["cohort_key"], row["cohort"], f"{row['snapshot_date']}", row["n"] or 0

    def hidden_of_metric(self, rows: Iterable[Row], *counts: str) -> frozenset[tuple[str, str, str]]:
        """Return dimension, segment and metric of the rows that are not shown: those of hidden segments, and
        where values lack, those with too few of them. `counts` names the columns that hold their numbers.
        """
        table: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
        for row in rows:
            numbers = table[row["dimension"], row["metric"]].setdefault(row["segment"], [])
            numbers.extend(int(row[c] or 0) for c in counts)
        hidden = set()
        for (dimension, metric), segments in table.items():
            width = max(map(len, segments.values()))
            padded = {s: [*n, *[0] * (width - len(n))] for s, n in segments.items()}
            elsewhere = self.hidden.get(dimension, frozenset())
            for segment in hidden_segments(padded, hidden_elsewhere=elsewhere):
                hidden.add((dimension, segment, metric))
        return frozenset(hidden)


def texts(values: Iterable[str]) -> str:
    """Return values as SQL lists texts."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(values))


def numeric_fields(table: Table) -> list[Field]:
    """Return the numbers of a table that may be described: no keys, and nothing personal."""
    kinds = ("int", "bigint", "smallint", "tinyint", "float", "double", "decimal")
    numbers = [f for f in table.fields if f.spark_type.partition("(")[0] in kinds]
    return [f for f in numbers if not f.is_key and not f.is_personal]
