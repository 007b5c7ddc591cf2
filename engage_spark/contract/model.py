"""Declare the parts of a data contract as frozen dataclasses, without Spark and without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from engage_spark.contract.money import ContactMoney
from engage_spark.contract.statements import AnalyticsUse, Claim, Indicator, OverTime
from engage_spark.errors import ContractError


class Role(StrEnum):
    """What a field is for. Only FEATURE fields may become model inputs."""

    IDENTIFIER = "identifier"
    FEATURE = "feature"
    TARGET = "target"
    AUDIT = "audit"


class Severity(StrEnum):
    """How bad a violation is: CRITICAL quarantines the row, WARNING and INFO are recorded."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Dimension(StrEnum):
    """What a rule is about. ODCS calls validity `conformity`, and has no word for integrity, the dimension of
    references.
    """

    COMPLETENESS = "completeness"
    VALIDITY = "validity"
    UNIQUENESS = "uniqueness"
    CONSISTENCY = "consistency"
    INTEGRITY = "integrity"
    TIMELINESS = "timeliness"
    ACCURACY = "accuracy"


class TableKind(StrEnum):
    """How a table arrives or is made.

    ENTITY: full snapshots, one row per key and day. LOG: events with a timestamp, added as they come.
    DERIVED: computed from one input table by the formulas of its fields. GRAPH: measured on the graph between
    the entity's rows; each field says which measure it holds. SYSTEM: written by this package about its runs.
    PLAIN: checked where it is (`engage_spark.check`) and never stored, so it needs no key, and its columns
    may have any names.
    """

    ENTITY = "entity"
    LOG = "log"
    DERIVED = "derived"
    GRAPH = "graph"
    SYSTEM = "system"
    PLAIN = "plain"


SNAPSHOT_DATE = "snapshot_date"
EVENT_DATE = "event_date"
DAY_COLUMNS = {TableKind.ENTITY: SNAPSHOT_DATE, TableKind.LOG: EVENT_DATE}
"""The column by which a table is replaced; the package adds it, the input does not carry it."""
VALID, QUARANTINED = "valid", "quarantined"
"""The values of `_dq_status`, the column of checked tables that says what became of a row."""


_OPEN = frozenset({"", "public", "internal"})
"""Classifications whose values anybody may see that may see the table's name."""
RESERVED_TABLES = frozenset(
    {"runs", "splits", "predictions", "landings", "quality_results", "quality_states", "training_runs",
     "graph_comparison", "erased_keys", "model_monitoring", "analytics_states", "segments", "rollups",
     "cohorts", "correlations", "changes", "indicators", "claims"}
)  # fmt: skip
"""Names of tables that the package writes about its own work, beside `<table>_judged`."""


def is_reserved_column(name: str) -> bool:
    """Return whether the package uses a column of this name itself: for checks, for runs, or for a while."""
    return name.lower().startswith(("__", "_dq_")) or name.lower() in ("_run_id", "_replaced_by")


class GraphRole(StrEnum):
    """What a table is to the graph: a log of edges, a log of interactions, or a table of measures."""

    CONNECTIONS = "connections"
    INTERACTIONS = "interactions"
    VERTICES = "vertices"
    EDGES = "edges"


class OnFailure(StrEnum):
    """What becomes of a formula that cannot be computed on a row: null, and counted; or the stage stops."""

    NULL = "null"
    STOP = "stop"


class Direction(StrEnum):
    """Whether an edge joins two equal ends, or leads from the first to the second."""

    UNDIRECTED = "undirected"
    DIRECTED = "directed"


class ExtraColumns(StrEnum):
    """What to do with a column that the contract does not declare."""

    WARN = "warn"
    REFUSE = "refuse"
    IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One declared column. Bounds are inclusive; None means not declared.

    `physical_name` is the column's name where it is delivered under another one, `reading` the expression
    that makes the field's value of the delivered text, over a column of the field's name.
    `measure` names what a field of a GRAPH table holds; `edges` maps the values of a field of the connections
    to a Direction. `bands` are the lower bounds that cut a number into groups, for comparing them. Of a
    target, `positive` is the value that label 1 stands for (see `contract.labels`), `label_days` is how long
    after its snapshot its value is known, `baseline` the feature that the simplest model worth beating uses
    (None: it predicts the mean), `monitoring` the bounds of what is measured of its model in use (see
    `contract.monitoring`), and `money` what a contact costs and brings. `analytics` says what analytics does
    with it,
    `over_time` and `rolling_days` what it is over days, `cohort_name` how the key of cohorts by it is called.
    `synonyms` are what people call it in questions, `value_synonyms` such words with the values that they
    stand for.
    """

    name: str
    logical_type: str
    spark_type: str
    description: str
    role: Role
    physical_name: str | None = None
    reading: str | None = None
    unit: str | None = None
    required: bool = False
    key_position: int | None = None
    minimum: float | int | None = None
    maximum: float | int | None = None
    pattern: str | None = None
    allowed: tuple[str | int, ...] = ()
    reference_mean: float | None = None
    reference_shares: tuple[tuple[str | int, float], ...] = ()
    max_missing_pct: float | None = None
    protected: bool = False
    bands: tuple[float, ...] = ()
    classification: str | None = None
    severities: tuple[tuple[str, Severity], ...] = ()
    leaks_into: tuple[str, ...] = ()
    positive: str | int | float | None = None
    label_days: int = 0
    baseline: str | None = None
    monitoring: tuple[tuple[str, float], ...] = ()
    money: ContactMoney | None = None
    formula: str | None = None
    inputs: tuple[str, ...] = ()
    null_policy: str | None = None
    on_failure: OnFailure = OnFailure.NULL
    measure: str | None = None
    edges: tuple[tuple[str | int, str], ...] = ()
    examples: tuple[str, ...] = ()
    analytics: tuple[AnalyticsUse, ...] = ()
    over_time: OverTime | None = None
    rolling_days: int | None = None
    cohort_name: str | None = None
    synonyms: tuple[str, ...] = ()
    value_synonyms: tuple[tuple[str, str], ...] = ()

    @property
    def delivered_name(self) -> str:
        """The name of the column in what is delivered."""
        return self.name if self.physical_name is None else self.physical_name

    @property
    def is_key(self) -> bool:
        """Whether the field is part of the key."""
        return self.key_position is not None

    @property
    def is_floating(self) -> bool:
        """Whether the field is a floating point number."""
        return self.spark_type in ("double", "float")

    @property
    def is_two_classes(self) -> bool:
        """Whether the values are two classes: with a positive value, a boolean, 0 and 1 allowed, or a whole
        number between these.
        """
        if self.positive is not None:
            return True
        is_whole = self.spark_type in ("tinyint", "smallint", "int", "bigint")
        between = is_whole and not self.allowed and (self.minimum, self.maximum) == (0, 1)
        return self.spark_type == "boolean" or set(map(repr, self.allowed)) == {"0", "1"} or between

    @property
    def is_personal(self) -> bool:
        """Whether the field is protected, or classified as anything but public or internal.

        Samples, drift, pages, logs and models' reasons show none of its values: all of them ask here. A word
        that is not known (PII, secret) counts, since whoever wrote it meant that not everybody may see it.
        """
        return self.protected or (self.classification or "public").strip().lower() not in _OPEN

    @property
    def is_classified(self) -> bool:
        """Whether the contract says of the field itself if it is personal."""
        return self.protected or self.classification is not None

    def severity_of(self, check: str) -> Severity:
        """Return the severity of breaking a check of this field.

        It is as declared, else critical, except that a null or blank is a warning where no value is required.
        """
        usual = (
            Severity.WARNING
            if check in ("not_null", "not_blank") and not (self.required or self.is_key)
            else Severity.CRITICAL
        )
        return dict(self.severities).get(check, usual)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A statement about one row that must hold, as a Spark SQL boolean expression; null counts as holding."""

    name: str
    expression: str
    description: str
    severity: Severity = Severity.CRITICAL
    dimension: Dimension = Dimension.CONSISTENCY
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A bound on a measure of a whole snapshot, such as its completeness or the mean of a column (`gates`).

    Breaking a critical one rejects the snapshot, breaking another is recorded. Bounds are inclusive unless
    `above` or `below` says that the measure must be above the minimum or below the maximum. `argument` is the
    value of a share, or the order of a quantile.
    """

    name: str
    measure: str
    column: str | None = None
    argument: str | float | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    below: bool = False
    severity: Severity = Severity.CRITICAL
    dimension: Dimension = Dimension.COMPLETENESS
    description: str = ""
    unit: str = "percent"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Referential integrity: every non-null value of `column` is a key of `table`.`to_column`."""

    column: str
    table: str
    to_column: str
    severity: Severity = Severity.CRITICAL


def columns_of(kind: TableKind, fields: Sequence[Field]) -> dict[str, str]:
    """Return the Spark type of each field, and of the day column that the package adds, by name."""
    day = {DAY_COLUMNS[kind]: "date"} if kind in DAY_COLUMNS else {}
    return {f.name: f.spark_type for f in fields} | day


@dataclass(frozen=True, kw_only=True)
class Table:
    """One declared table. `source` names the input table of a DERIVED one; `event_time` the timestamp of a
    LOG. Of an ENTITY, `active` says in SQL who is active, for retention. `physical_name` is the folder that
    is delivered, where it has another name than the table.
    """

    name: str
    kind: TableKind
    description: str
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    gates: tuple[Gate, ...] = ()
    references: tuple[Reference, ...] = ()
    physical_name: str | None = None
    source: str | None = None
    event_time: str | None = None
    graph_role: GraphRole | None = None
    extra: ExtraColumns = ExtraColumns.WARN
    grain: str = ""
    active: str | None = None
    indicators: tuple[Indicator, ...] = ()
    claims: tuple[Claim, ...] = ()

    def __getitem__(self, name: str) -> Field:
        if name not in self._by_name:
            raise ContractError(
                f"table {self.name!r} declares no field {name!r}",
                hint=f"declared are: {', '.join(self.names)}",
            )
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {f.name: f for f in reversed(self.fields)}

    @property
    def title(self) -> str:
        """What texts call the rows: the table's name, with blanks for underscores."""
        return self.name.replace("_", " ")

    @property
    def delivered_name(self) -> str:
        """The name of the folder in what is delivered."""
        return self.name if self.physical_name is None else self.physical_name

    @cached_property
    def delivered_fields(self) -> dict[str, Field]:
        """The fields by the names that their columns have in what is delivered."""
        first = {f.delivered_name: f for f in reversed(self.fields)}
        return dict(reversed(first.items()))

    @cached_property
    def readings(self) -> tuple[Field, ...]:
        """The fields whose values are made of a delivered text."""
        return tuple(f for f in self.fields if f.reading is not None)

    def as_stored(self) -> Table:
        """Return the table for rows that have its own names and types already, such as those of the lake."""
        if self.physical_name is None and all(
            f.delivered_name == f.name and not f.reading for f in self.fields
        ):
            return self
        fields = tuple(replace(f, physical_name=None, reading=None) for f in self.fields)
        return replace(self, physical_name=None, fields=fields)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in declared order."""
        return tuple(f.name for f in self.fields)

    @property
    def column_types(self) -> dict[str, str]:
        """Spark types by name of what a rule may name (`columns_of`)."""
        return columns_of(self.kind, self.fields)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Names of the key columns, in key order."""
        keyed = [f for f in self.fields if f.key_position is not None]
        return tuple(f.name for f in sorted(keyed, key=lambda f: f.key_position or 0))

    @property
    def is_key_personal(self) -> bool:
        """Whether the key is a personal value, so that no message, page or picture shows it."""
        return any(f.is_personal for f in self.fields if f.is_key)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """All tables of one contract file. `digest` is the SHA-256 of the file's text; it enters every run_id."""

    id: str
    version: str
    name: str
    description: str
    tables: tuple[Table, ...]
    digest: str = field(compare=False)

    def table(self, name: str) -> Table:
        """Return the table of this name.

        Errors: ContractError where the contract declares none.
        """
        for t in self.tables:
            if t.name == name:
                return t
        raise ContractError(
            f"contract {self.id!r} declares no table {name!r}",
            hint=f"declared are: {', '.join(t.name for t in self.tables)}",
        )

    @property
    def entity(self) -> Table:
        """The one table of full snapshots.

        Errors: ContractError where there is none; a contract of plain and system tables alone has none.
        """
        for t in self.tables:
            if t.kind is TableKind.ENTITY:
                return t
        raise ContractError(
            f"contract {self.id!r} declares no table of kind entity",
            hint="its tables can be checked (`engage_spark.check`) one by one; ingest needs an "
            "entity, which has a key",
        )

    @cached_property
    def target_tables(self) -> dict[str, Table]:
        """The table of each target by its name: of the entity, then of what is derived from it."""
        entities = [t for t in self.tables if t.kind is TableKind.ENTITY]
        of_entity = [t for t in self.derived if t.source in {e.name for e in entities}]
        pairs = ((f.name, t) for t in (*entities, *of_entity) for f in t.fields if f.role is Role.TARGET)
        return dict(pairs)

    @property
    def targets(self) -> tuple[Field, ...]:
        """What models predict: the entity's targets, then those of tables derived from it."""
        return tuple(table[name] for name, table in self.target_tables.items())

    @property
    def logs(self) -> tuple[Table, ...]:
        """The tables of events."""
        return tuple(t for t in self.tables if t.kind is TableKind.LOG)

    @property
    def derived(self) -> tuple[Table, ...]:
        """The tables that are computed by formulas."""
        return tuple(t for t in self.tables if t.kind is TableKind.DERIVED)

    def of_graph_role(self, role: GraphRole) -> tuple[Table, ...]:
        """Return the tables with this role in the graph."""
        return tuple(t for t in self.tables if t.graph_role is role)
