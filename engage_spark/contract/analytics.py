"""Compute from a contract what analytics counts and which statements it judges, or say why it cannot.

A contract that says nothing of analytics gets all numeric features and targets as metrics, its categories and
bands as dimensions, no cohorts and no indicators, and the claims that follow from its fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engage_spark.contract.analytics_spec import (
    ACTIVE,
    ALL,
    CUSTOMERS,
    RETENTION,
    AnalyticsSpec,
    ClaimSpec,
    CohortSpec,
    ColumnSpec,
    DimensionKind,
    DimensionSpec,
    IndicatorSpec,
    MetricSpec,
)
from engage_spark.contract.analytics_uses import (
    NUMERIC,
    dimension_of,
    free_name,
    unit_of,
    use_problems,
)
from engage_spark.contract.declared_claims import claims_of_tables, reference_claims, reference_metric
from engage_spark.contract.expressions import Expression, read_expression
from engage_spark.contract.labels import label_sql
from engage_spark.contract.model import (
    SNAPSHOT_DATE,
    Contract,
    Field,
    Gate,
    GraphRole,
    Role,
    Table,
    TableKind,
)
from engage_spark.contract.sql_nodes import NUMBERS, UNKNOWN, KnownColumns, quoted
from engage_spark.contract.statements import AnalyticsUse, Claim, ClaimKind, OverTime, Shape
from engage_spark.errors import ContractError

MOST_VALUES = 50
"""Allowed values of a category that is a dimension where the contract says nothing of analytics."""
MOST_INDICATORS, MOST_CLAIMS = 200, 400
MOST_MONTHS = 12_000
"""Months that a cohort may lie back; more, or fewer than none, are of no known month."""
MEASURED = "_measured"
"""Ends the name of a column of the graph's table that the entity or a derived table has too."""
RESERVED = frozenset({ALL, CUSTOMERS, ACTIVE, RETENTION})
"""Names that analytics needs itself: refused where declared; by default the table's name comes before."""


def analytics_spec_of(contract: Contract) -> AnalyticsSpec:
    """Return what analytics counts of a contract's customers.

    Errors: ContractError where the contract has no entity, or with everything that `lint` refuses.
    """
    entity = contract.entity
    builder = _Builder(contract, entity)
    spec = builder.build()
    if builder.problems:
        raise ContractError(
            f"contract {contract.id!r} cannot be analyzed",
            details=builder.problems,
            hint="check it with `engage-spark contract lint`",
        )
    return spec


def analytics_problems(contract: Contract) -> list[str]:
    """Say what is wrong with what a contract says of analytics."""
    sources = _sources(contract)
    problems = [
        f"field {t.name}.{f.name}: analytics, overTime, rollingDays and cohortName are for fields of the "
        "entity, of tables derived from it, and of the graph's customers"
        for t in contract.tables
        if t.name not in {s.name for s in sources}
        for f in t.fields
        if f.analytics or f.over_time or f.rolling_days or f.cohort_name
    ]
    problems += [
        f"table {t.name!r}: active, indicators and claims are for the entity"
        for t in contract.tables
        if t.kind is not TableKind.ENTITY and (t.active or t.indicators or t.claims)
    ]
    entities = [t for t in contract.tables if t.kind is TableKind.ENTITY]
    if len(entities) != 1:
        return problems
    builder = _Builder(contract, entities[0])
    builder.build()
    return problems + builder.problems


def _sources(contract: Contract) -> tuple[Table, ...]:
    """Return the tables with a row per customer: the entity, what is derived from it, and the graph's."""
    entities = [t for t in contract.tables if t.kind is TableKind.ENTITY]
    names = {t.name for t in entities}
    derived = [t for t in contract.derived if t.source in names]
    return (*entities, *derived, *contract.of_graph_role(GraphRole.VERTICES))


@dataclass
class _Builder:
    """Builds the parts of the spec one after the other; what is wrong goes to `problems`."""

    contract: Contract
    entity: Table
    problems: list[str] = field(default_factory=list)
    columns: dict[str, tuple[ColumnSpec, Field]] = field(default_factory=dict)
    metric_names: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, MetricSpec] = field(default_factory=dict)
    dimensions: dict[str, DimensionSpec] = field(default_factory=dict)
    cohorts: list[CohortSpec] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def build(self) -> AnalyticsSpec:
        self._add_columns()
        types = {name: f.spark_type for name, (_, f) in self.columns.items()}
        self.known = KnownColumns.of({SNAPSHOT_DATE: "date"} | types)
        fields = [f for _, f in self.columns.values()]
        self.is_silent = not any(f.analytics for f in fields)
        for name, (column, f) in self.columns.items():
            at = f"field {column.table}.{column.field}"
            wrong = use_problems(f, self._uses(column, f))
            self.problems += [f"{at}: {x}" for x in wrong]
            if not wrong:
                self._add_uses(name, column, f)
        if self.entity.active is not None:
            self._add_active(self.entity.active)
        targets = tuple(
            self.metric_names.get(name, name)
            for name, (column, f) in self.columns.items()
            if self._is_target(column, f)
        )
        indicators = self._indicators(targets)
        claims = self._claims()
        self._check_names()
        values = [
            self.metric_names[name]
            for name, (column, f) in self.columns.items()
            if AnalyticsUse.VALUE in self._uses(column, f) and name in self.metric_names
        ]
        return AnalyticsSpec(
            entity=self.entity.name,
            columns=tuple(column for name, (column, _) in self.columns.items() if name in self.used),
            targets=tuple(t for t in targets if t in self.metrics),
            metrics=tuple(self.metrics.values()),
            dimensions=tuple(self.dimensions.values()),
            cohorts=tuple(self.cohorts),
            values=tuple(values),
            indicators=indicators,
            claims=claims,
        )

    def _add_columns(self) -> None:
        lower: set[str] = {SNAPSHOT_DATE}
        fields = {f.name for table in _sources(self.contract) for f in table.fields}
        for table in _sources(self.contract):
            for f in table.fields:
                is_carried = table is not self.entity and (f.is_key or f.name.lower() in self.entity.key)
                if table.kind is TableKind.DERIVED and not f.formula:
                    is_carried = True
                if is_carried or f.name == SNAPSHOT_DATE:
                    continue
                name = f.name
                if name.lower() in lower and table.kind is TableKind.GRAPH:
                    name += MEASURED
                if name.lower() in lower:
                    name = free_name(f"{table.name}_{f.name}", (*lower, *fields))
                lower.add(name.lower())
                self.columns[name] = (ColumnSpec(name=name, table=table.name, field=f.name), f)

    def _is_target(self, column: ColumnSpec, f: Field) -> bool:
        table = self.contract.target_tables.get(f.name)
        return f.role is Role.TARGET and table is not None and table.name == column.table

    def _uses(self, column: ColumnSpec, f: Field) -> frozenset[AnalyticsUse]:
        """Return what analytics does with a column: as declared, or by default."""
        is_metric = self._is_target(column, f) and (f.logical_type in NUMERIC or f.positive is not None)
        uses = set(f.analytics) | ({AnalyticsUse.METRIC} if is_metric else set())
        if self.is_silent and f.role is Role.FEATURE:
            if f.logical_type in NUMERIC:
                uses.add(AnalyticsUse.METRIC)
            is_category = 0 < len(f.allowed) <= MOST_VALUES or f.logical_type == "boolean"
            if (is_category or f.bands) and not f.is_personal:
                uses.add(AnalyticsUse.DIMENSION)
        return frozenset(uses)

    def _add_uses(self, name: str, column: ColumnSpec, f: Field) -> None:
        uses, sql, tables = self._uses(column, f), quoted(name), (column.table,)
        self.used |= {name} if uses else set()
        about: dict[str, Any] = {"unit": f.unit, "description": f.description, "is_personal": f.is_personal}
        if AnalyticsUse.METRIC in uses:
            is_whole = f.logical_type in ("integer", "boolean") or f.positive is not None
            metric = self._own_name(name, column, is_declared=AnalyticsUse.METRIC in f.analytics)
            self.metric_names[name] = metric
            self.metrics[metric] = MetricSpec(
                name=metric,
                source=label_sql(f, sql) if f.role is Role.TARGET else sql,
                tables=tables,
                over_time=f.over_time or OverTime.STOCK,
                rolling_days=f.rolling_days,
                digits=0 if is_whole else None,
                is_target=f.role is Role.TARGET,
                is_share=f.is_two_classes,
                **about,
            )
        if AnalyticsUse.DIMENSION in uses:
            own = self._own_name(name, column, is_declared=AnalyticsUse.DIMENSION in f.analytics)
            self._add_dimension(own, dimension_of(own, f, sql, tables, about))
        if AnalyticsUse.QUARTILES in uses:
            quartile = free_name(f"{name}_quartile", self._names)
            self._add_dimension(
                quartile,
                DimensionSpec(name=quartile, kind=DimensionKind.QUARTILE, source=sql, tables=tables, **about),
            )
        if AnalyticsUse.COHORT in uses:
            self._add_cohort(name, f, sql, tables, about)

    @property
    def _names(self) -> frozenset[str]:
        """Names that nothing gets by itself: those of fields, rules, cohorts and what is counted already."""
        declared = (f.cohort_name or "" for _, f in self.columns.values())
        rules = (i.name for i in self.entity.indicators)
        return frozenset({*RESERVED, *self.columns, *self.metrics, *self.dimensions, *declared, *rules})

    def _own_name(self, name: str, column: ColumnSpec, *, is_declared: bool) -> str:
        """Return the name that a field's metric or dimension has: the field's, or with its table's before it
        where analytics needs that name itself. What is declared keeps its name, and is refused.
        """
        if is_declared or name.lower() not in RESERVED:
            return name
        return free_name(f"{column.table}_{name}", (*RESERVED, *self.columns))

    def _add_cohort(
        self, name: str, f: Field, sql: str, tables: tuple[str, ...], about: Mapping[str, object]
    ) -> None:
        key = f.cohort_name or name
        is_month = f.logical_type in ("date", "timestamp", "integer") and not f.allowed
        if f.cohort_name is None and is_month and name in self.dimensions:
            key = free_name(f"{name}_month", self._names)
        self.cohorts.append(CohortSpec(name=key, is_month=is_month))
        if key == name and name in self.dimensions and not is_month:
            return
        if f.logical_type == "integer" and is_month:
            months = f"CASE WHEN {sql} BETWEEN 0 AND {MOST_MONTHS} THEN try_cast({sql} AS INT) END"
            sql = f"add_months(trunc({quoted(SNAPSHOT_DATE)}, 'MM'), -{months})"
        source = f"date_format({sql}, 'yyyy-MM')" if is_month else f"CAST({sql} AS STRING)"
        self._add_dimension(
            key,
            DimensionSpec(
                name=key,
                kind=DimensionKind.COHORT,
                source=source,
                tables=tables,
                values=() if is_month else tuple(map(str, f.allowed)),
                description=str(about["description"]),
                is_personal=f.is_personal,
            ),
        )

    def _add_dimension(self, name: str, dimension: DimensionSpec) -> None:
        if name.lower() in {n.lower() for n in self.dimensions}:
            self.problems.append(f"analytics has two dimensions {name!r} (names differ at most in case)")
        self.dimensions.setdefault(name, dimension)

    def _add_active(self, text: str) -> None:
        read = self._boolean(text, f"table {self.entity.name!r}: active")
        if read is not None:
            self.metrics[ACTIVE] = MetricSpec(
                name=ACTIVE,
                source=read.sql,
                tables=self._tables(read),
                description=f"Whether the customer is active: {text}.",
                probes=read.probes,
                digits=0,
                is_share=True,
            )

    def _check_names(self) -> None:
        self.problems += [
            f"analytics cannot have a {what} {name!r}; the name is reserved"
            for what, names in (("metric", self.metrics), ("dimension", self.dimensions))
            for name in names
            if name.lower() in RESERVED
            and not (names is self.metrics and name == ACTIVE and ACTIVE not in self.metric_names.values())
        ]

    def _boolean(self, text: str, at: str) -> Expression | None:
        return self._read(text, at, ("boolean",), "true or false")

    def _read(self, text: str, at: str, kinds: tuple[str, ...], what: str) -> Expression | None:
        """Parse an expression over the columns; None where it is refused, and the reason in `problems`."""
        read = read_expression(text, self.known)
        wrong = [*read.problems, *([] if read.columns else ["names no column"])]
        if read.kind and read.kind not in (*kinds, *UNKNOWN):
            wrong.append(f"gives {read.kind}, where {what} is needed of each row")
        self.problems += [f"{at}: {x}" for x in wrong]
        self.used |= set() if wrong else set(read.columns)
        return None if wrong else read

    def _tables(self, read: Expression) -> tuple[str, ...]:
        of_columns = (self.columns[c][0].table for c in read.columns if c in self.columns)
        return tuple(dict.fromkeys(of_columns)) or (self.entity.name,)

    def _indicators(self, targets: tuple[str, ...]) -> tuple[IndicatorSpec, ...]:
        at, specs = f"table {self.entity.name!r}", []
        if len(self.entity.indicators) > MOST_INDICATORS:
            self.problems.append(f"{at}: indicators are more than {MOST_INDICATORS}")
            return ()
        for i in self.entity.indicators:
            here = f"{at}, indicators {i.name!r}"
            if i.aim not in targets:
                self.problems.append(f"{here}: aim {i.aim!r} is not a target of the entity")
            read = self._boolean(i.expression, f"{here}: expression")
            if read is None:
                continue
            self._add_rule(i.name, DimensionKind.INDICATOR, read, i.description)
            specs.append(
                IndicatorSpec(
                    name=i.name,
                    version=i.version,
                    description=i.description,
                    expression=i.expression,
                    aim=i.aim,
                    direction=i.direction,
                    tables=self._tables(read),
                )
            )
        return tuple(specs)

    def _add_rule(self, name: str, kind: DimensionKind, read: Expression, description: str) -> None:
        self._add_dimension(
            name,
            DimensionSpec(
                name=name,
                kind=kind,
                source=read.sql,
                tables=self._tables(read),
                description=description,
                probes=read.probes,
            ),
        )

    def _claims(self) -> tuple[ClaimSpec, ...]:
        at = f"table {self.entity.name!r}"
        if len(self.entity.claims) > MOST_CLAIMS:
            self.problems.append(f"{at}: claims are more than {MOST_CLAIMS}")
            return ()
        declared = [self._claim(c, f"{at}, claims {c.name!r}") for c in self.entity.claims]
        automatic = list[ClaimSpec]()
        for name, (column, f) in self.columns.items():
            if column.table == self.entity.name:
                automatic += self._reference_claims(name, f)
        counts = Counter(c.name.lower() for c in self.entity.claims)
        self.problems += [f"{at}: two claims are named {n!r}" for n, times in counts.items() if times > 1]
        taken, named = set(counts), list[ClaimSpec]()
        for claim in (*automatic, *claims_of_tables(self.contract)):
            named.append(replace(claim, name=free_name(claim.name, taken)))
            taken.add(named[-1].name.lower())
        return (*named, *(c for c in declared if c is not None))

    def _reference_claims(self, name: str, f: Field) -> list[ClaimSpec]:
        """Return the claims of a field's declared mean and shares; what they need is counted as well."""
        metric = self.metric_names.get(name)
        column = self.columns[name][0]
        if metric is None and f.reference_mean is not None:
            metric = self._own_name(name, column, is_declared=False)
            self.metrics[metric] = reference_metric(metric, f, quoted(name), column.table)
            self.metric_names[name] = metric
        dimension = next(
            (
                d
                for d in self.dimensions.values()
                if d.kind is DimensionKind.CATEGORY and d.source == f"CAST({quoted(name)} AS STRING)"
            ),
            None,
        )
        claims, rules = reference_claims(name, f, column.table, self.metrics.get(metric or ""), dimension)
        self.used |= {name} if claims else set()
        new = {rule.name: free_name(rule.name, self._names) for rule in rules}
        for rule in rules:
            self._add_dimension(new[rule.name], replace(rule, name=new[rule.name]))
        return [replace(c, dimension=new.get(c.dimension or "", c.dimension)) for c in claims]

    def _claim(self, c: Claim, at: str) -> ClaimSpec | None:
        """Return what is measured for a declared claim; None where it is refused."""
        before = len(self.problems)
        metric = c.argument("metric")
        if metric is not None and metric not in self.metrics:
            self.problems.append(f"{at}: metric {metric!r} is no metric of analytics")
        if c.argument("complement") and metric in self.metrics and not self.metrics[metric].is_share:
            self.problems.append(f"{at}: complement is of a metric of 0 and 1, and {metric} is none")
        dimension, segment, tables = self._group(c, at)
        if c.kind is ClaimKind.MEAN_ABOVE:
            metric, tables = self._claim_metric(c, at)
        gate = self._gate(c, at) if c.kind is ClaimKind.GATE else None
        if c.kind is ClaimKind.SHAPE and metric in self.metrics and self.metrics[metric].is_share:
            self.problems.append(f"{at}: a shape is of numbers, and {metric} is 0 or 1")
        if len(self.problems) > before:
            return None
        counted = self.metrics[metric] if metric is not None else None
        shape, claimed = c.argument("shape"), c.argument("claimed")
        sizes = (claimed, c.argument("above"), *((gate.minimum, gate.maximum) if gate else ()))
        return ClaimSpec(
            name=c.name,
            version=c.version,
            statement=c.statement,
            source=c.source,
            kind=c.kind,
            unit=gate.unit if gate else unit_of(c, counted),
            metric=metric,
            complement=bool(c.argument("complement")),
            dimension=dimension,
            segment=segment,
            claimed=next((size for size in sizes if size is not None), None),
            maximum=next(
                (self.columns[x][1].maximum for x, name in self.metric_names.items() if name == metric), None
            ),
            low=c.argument("low"),
            high=c.argument("high"),
            shape=None if shape is None else Shape(shape),
            table=c.argument("table"),
            rules=((c.argument("gate"), 0.0),) if c.kind is ClaimKind.GATE else (),
            reason=c.argument("reason"),
            tables=tuple(dict.fromkeys((*tables, *(counted.tables if counted else ())))),
        )

    def _group(self, c: Claim, at: str) -> tuple[str | None, str | None, tuple[str, ...]]:
        """Return the dimension and the segment that a claim is about, and the tables of their columns.

        A group that is an indicator by its name, with everybody else as the rest, is the indicator's.
        """
        if c.kind is ClaimKind.HIGHEST:
            name, segment = c.argument("dimension"), c.argument("segment")
            dimension = self.dimensions.get(name)
            if dimension is None or segment not in dimension.values:
                self.problems.append(
                    f"{at}: {name!r} with segment {segment!r} is no dimension of analytics with such a value"
                )
                return None, None, ()
            return name, segment, dimension.tables
        text = c.argument("group") or (c.argument("expression") if c.kind is ClaimKind.SHARE else None)
        if text is None:
            return None, None, ()
        rest = c.argument("rest")
        named = self.dimensions.get(text)
        if named is not None and named.kind is DimensionKind.INDICATOR and rest is None:
            return text, "true", named.tables
        if rest is not None:
            text = f"CASE WHEN {text} THEN TRUE WHEN {rest} THEN FALSE END"
        read = self._boolean(text, f"{at}: group" if c.kind is not ClaimKind.SHARE else f"{at}: expression")
        if read is None:
            return None, None, ()
        name = free_name(f"{c.name}_group", self._names)
        self._add_rule(name, DimensionKind.CLAIM, read, c.statement)
        return name, "true", self._tables(read)

    def _claim_metric(self, c: Claim, at: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the metric that a claim is about: one that is counted anyway, or a new one."""
        if (named := self.metrics.get(c.argument("expression"))) is not None:
            return named.name, named.tables
        kinds = ("boolean", *NUMBERS)
        read = self._read(c.argument("expression"), f"{at}: expression", kinds, "a number or true or false")
        if read is None:
            return None, ()
        name = free_name(f"{c.name}_value", self._names)
        units = {self.columns[x][1].unit for x in read.columns if x in self.columns}
        self.metrics[name] = MetricSpec(
            name=name,
            source=read.sql,
            tables=self._tables(read),
            description=c.statement,
            of_claim=True,
            is_share=read.kind == "boolean",
            digits=0 if read.kind == "boolean" else None,
            probes=read.probes,
            unit=units.pop() if len(units) == 1 else None,
        )
        return name, self._tables(read)

    def _gate(self, c: Claim, at: str) -> Gate | None:
        tables = {t.name: t for t in self.contract.tables}
        table, name = tables.get(c.argument("table")), c.argument("gate")
        gate = next((g for g in table.gates if g.name == name), None) if table else None
        if gate is None:
            self.problems.append(f"{at}: table {c.argument('table')!r} declares no gate {name!r}")
        return gate
