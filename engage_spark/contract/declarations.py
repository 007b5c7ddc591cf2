"""Declare every property of a contract file that this package reads: where it stands, its value, its meaning.

From here come the names that the reader knows, the JSON schema for editors, and the reference page. A
property that is not here is a violation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engage_spark.contract.graph_spec import EdgeMeasure, GraphMeasure
from engage_spark.contract.model import (
    Direction,
    ExtraColumns,
    GraphRole,
    OnFailure,
    Role,
    Severity,
    TableKind,
)
from engage_spark.contract.statements import AnalyticsUse, OverTime


class Part(StrEnum):
    """Where in a contract file a property stands."""

    CONTRACT = "the contract"
    TABLE = "a table"
    FIELD = "a field"
    OPTIONS = "logicalTypeOptions of a field"
    RELATIONSHIP = "a relationship of a field"


class ValueKind(StrEnum):
    """What the value of a property is."""

    TEXT = "text"
    NUMBER = "number"
    SCALAR = "text, number, or true or false"
    DAYS = "whole number of days"
    POSITION = "whole number from 1 on"
    FLAG = "true or false"
    NAMES = "list of names"
    TEXTS = "list of texts"
    NUMBERS = "list of numbers"
    NUMBER_BY_NAME = "numbers by value or name"
    TEXT_BY_VALUE = "names by value"
    ONE_OF = "one of the values below"
    SOME_OF = "list of the values below"
    ENTRIES = "list of mappings"
    QUALITY = "list of quality entries"
    MAPPING = "mapping"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """One property. `custom` properties stand in `customProperties`, others are keys of the standard itself.

    `values` are the values that are allowed, where they are a closed list; `stages` are those that use it.
    """

    name: str
    part: Part
    value: ValueKind
    meaning: str
    example: str
    stages: tuple[str, ...]
    custom: bool = True
    values: tuple[str, ...] = ()
    required: bool = False


_CLOSED = (ValueKind.ONE_OF, ValueKind.SOME_OF, ValueKind.TEXT_BY_VALUE)


def _of(
    part: Part, *rows: tuple[str, ValueKind, str, str, str], custom: bool, required: Sequence[str] = ()
) -> tuple[Declaration, ...]:
    return tuple(
        Declaration(
            name=name,
            part=part,
            value=value,
            example=example,
            stages=tuple(stages.split()),
            meaning=meaning,
            custom=custom,
            values=tuple(map(str, VALUES.get(name, ()))) if value in _CLOSED else (),
            required=name in required,
        )
        for name, value, example, stages, meaning in rows
    )


LOGICAL_TYPES = ("integer", "number", "string", "boolean", "date", "timestamp", "array", "object")
SEVERITIES = ("range", "pattern", "finite", "distinguishable", "readable")
"""The checks whose severity a field may state by a property of its own."""
VALUES: Mapping[str, tuple[str, ...]] = {
    "kind": tuple(TableKind),
    "graphRole": tuple(GraphRole),
    "extraColumns": tuple(ExtraColumns),
    "role": tuple(Role),
    "onFailure": tuple(OnFailure),
    "analytics": tuple(AnalyticsUse),
    "overTime": tuple(OverTime),
    "measure": (*GraphMeasure, *EdgeMeasure),
    "graphEdges": tuple(Direction),
    "logicalType": LOGICAL_TYPES,
    **dict.fromkeys(("severity", *(f"{check}Severity" for check in SEVERITIES)), tuple(Severity)),
}
K = ValueKind
ALL = "check ingest"
_Rows = tuple[tuple[str, ValueKind, str, str, str], ...]
_CONTRACT_KEYS: _Rows = (
    ("apiVersion", K.TEXT, "v3.1.0", ALL, "Version of the Open Data Contract Standard, 3.x."),
    ("kind", K.TEXT, "DataContract", ALL, "Always DataContract."),
    ("id", K.TEXT, "shop", ALL, "Short name; messages and results name the contract by it."),
    ("name", K.TEXT, "Shop", "report", "Title."),
    ("version", K.TEXT, "1.0.0", ALL, "Version of this contract."),
    ("status", K.TEXT, "active", "", "draft, active, …; for people."),
    ("description", K.MAPPING, "{purpose: …, usage: …, limitations: …}", "report",
     "What the data are for; three texts."),
    ("schema", K.ENTRIES, "[{name: members, …}]", ALL, "The tables."),
)  # fmt: skip
_TABLE_KEYS: _Rows = (
    ("name", K.TEXT, "members", ALL,
     "Letters, digits and underscores. Names of tables that the package writes are taken."),
    ("description", K.TEXT, "Every member at the end of a day.", "report", "What the rows are."),
    ("dataGranularityDescription", K.TEXT, "One row per member and day.", "report",
     "What there is one row of."),
    ("physicalName", K.TEXT, "Member Export", "ingest",
     "The delivered folder, where it has another name than the table."),
    ("quality", K.QUALITY, "[{name: rows, metric: rowCount, mustBeGreaterThan: 0, description: …}]", ALL,
     "Rules on rows, and gates on a whole snapshot."),
    ("properties", K.ENTRIES, "[{name: member_id, …}]", ALL, "The fields."),
)  # fmt: skip
_TABLE_PROPERTIES: _Rows = (
    ("kind", K.ONE_OF, "entity", ALL,
     "How the table arrives or is made. entity: a full snapshot a day, one row per key; exactly one. "
     "log: events, added as they come. derived: computed by the formulas of its fields. graph: "
     "measured on the graph. plain: checked where it is, never stored; it needs no key. system: the "
     "package's own."),
    ("source", K.TEXT, "members", "features graph",
     "The table that a derived or graph table is made of."),
    ("eventTime", K.TEXT, "invited_at", "ingest graph",
     "The timestamp field of a log that says when an event was."),
    ("graphRole", K.ONE_OF, "connections", "graph",
     "connections: the log of edges. interactions: the log by which their strength is measured. "
     "vertices, edges: the graph tables of what is measured."),
    ("extraColumns", K.ONE_OF, "warn", ALL,
     "What happens to a delivered column that is not declared: named and left out (warn), refused, or "
     "left out in silence (ignore)."),
    ("active", K.TEXT, "visits > 0", "analyze", "Of an entity: who is active, as SQL on a row."),
    ("indicators", K.ENTRIES,
     "[{name: lost, version: 1, expression: visits = 0, description: …, aim: left, direction: high}]",
     "analyze", "Named rules on a row that are meant to point to a target."),
    ("claims", K.ENTRIES,
     "[{name: often, version: 1, statement: …, source: …, kind: mean_above, expression: visits, "
     "above: 2}]", "analyze", "Statements about the data that are measured."),
)  # fmt: skip
_FIELD_KEYS: _Rows = (
    ("name", K.TEXT, "visits", ALL, "The column's name, from the tables to the models."),
    ("description", K.TEXT, "Visits of the last 30 days.", "report", "What the values are."),
    ("logicalType", K.ONE_OF, "integer", ALL, "The standard's type, which must fit physicalType."),
    ("physicalType", K.TEXT, "int", ALL,
     "Spark type: tinyint, smallint, int, bigint, float, double, decimal(p,s), string, binary, boolean, "
     "date, timestamp, array<…>, map<…,…>, struct<…>."),
    ("physicalName", K.TEXT, '"Visits (30 d)"', ALL,
     "The column's name in what is delivered, where it is another one: with blanks, dots, any signs."),
    ("required", K.FLAG, "true", ALL, "A row without a value, or with a blank text, is quarantined."),
    ("primaryKey", K.FLAG, "true", ALL, "The field is part of the key."),
    ("primaryKeyPosition", K.POSITION, "1", ALL, "Its place in the key."),
    ("classification", K.TEXT, "confidential", "check ingest score report",
     "Anything but public and internal hides the values in samples, pages, logs and reasons. "
     "A field that refers to a personal key, or in a derived table holds or is computed from a personal "
     "field, takes that one's unless it gives its own."),
    ("logicalTypeOptions", K.MAPPING, "{minimum: 0, maximum: 400}", ALL, "Bounds or a pattern."),
    ("quality", K.QUALITY,
     "[{type: library, metric: invalidValues, arguments: {validValues: [basic, gold]}, mustBe: 0}]", ALL,
     "Allowed values, the share of missing ones, and gates on mean, share and quantile."),
    ("relationships", K.ENTRIES, "[{type: foreignKey, to: members.member_id}]", "ingest graph",
     "The field refers to the key of another table; other rows are quarantined."),
    ("transformLogic", K.TEXT, "score / nullif(visits, 0)", "features",
     "Formula of a derived field, in the contract's part of Spark SQL."),
    ("transformSourceObjects", K.TEXTS, "[score, visits]", "features train",
     "The fields that the formula uses; what leaks into a target leaks along them."),
    ("transformDescription", K.TEXT, "Null without visits.", "features", "When the result is null."),
    ("examples", K.ENTRIES, "[ST0042]", "report", "Values, for people."),
)  # fmt: skip
_FIELD_PROPERTIES: _Rows = (
    ("role", K.ONE_OF, "feature", "train score analyze",
     "identifier: names the row. feature: models may use it. target: is predicted. audit: is checked and "
     "kept, and never enters a model."),
    ("reading", K.TEXT, "\"to_date(TRIM(joined_on), 'M/d/yyyy')\"", ALL,
     "Makes the value of the delivered text: an expression over that text, which it calls by the field's "
     "name. A text on which it fails breaks the check `readable`."),
    ("unit", K.TEXT, "years", "train analyze report", "Unit of the values."),
    ("referenceMean", K.NUMBER, "12", "ingest analyze synth",
     "The mean that is expected; the gate reference_means holds the data against it."),
    ("referenceShares", K.NUMBER_BY_NAME, "{basic: 0.75, gold: 0.25}", "ingest analyze synth",
     "The shares that are expected of the valid values, with sum 1."),
    ("protected", K.FLAG, "true", "check ingest train monitor analyze",
     "Nobody may be treated unlike others by it: values are hidden, models are audited by its groups."),
    ("bands", K.NUMBERS, "[30, 50]", "train monitor analyze",
     "Lower bounds, rising, that cut a number into groups for comparing them."),
    ("leaksInto", K.NAMES, "[left]", "train",
     "The targets of which the field knows the answer; their models never see it."),
    ("positive", K.SCALAR, '"Yes"', "train monitor analyze",
     "Of a target of two classes: the value that is predicted, label 1. A text needs it, in quotes."),
    ("labelWindowDays", K.DAYS, "30", "train monitor",
     "Of a target: days after the snapshot until its value is known. Only such snapshots are trained "
     "on."),
    ("baseline", K.TEXT, "visits", "train",
     "Of a target: the feature of the simplest model worth beating (default: the mean)."),
    ("monitoring", K.NUMBER_BY_NAME, "{auc: 0.6, input_psi: 0.25}", "monitor",
     "Of a target: bounds of what is measured of its model in use."),
    ("money", K.MAPPING,
     "{value: 125, cost: 5, success: 0.2, currency: EUR, source: the retention team}",
     "train score insight",
     "Of a target of two classes: what a success of a contact is worth, what a contact costs, how often "
     "it succeeds with a row of class 1, in which currency, who says so; `values`: further values."),
    ("measure", K.ONE_OF, "degree", "graph", "What a field of a graph table holds."),
    ("graphEdges", K.TEXT_BY_VALUE, "{friend: undirected, follow: directed}", "graph",
     "Of the connections: which values of the field are which kind of edge."),
    ("onFailure", K.ONE_OF, "null", "features",
     "What becomes of a formula that cannot be computed on a row: null and counted, or the stage stops."),
    ("analytics", K.SOME_OF, "[metric, quartiles]", "analyze", "What analytics does with the field."),
    ("overTime", K.ONE_OF, "rolling", "analyze",
     "stock: a level. rolling: a count over the days before. Neither is added up over days."),
    ("rollingDays", K.DAYS, "30", "analyze", "The days that a rolling number counts over."),
    ("cohortName", K.TEXT, "tier_of", "analyze", "How the key of cohorts by the field is called."),
    ("synonyms", K.NAMES, "[turnover, takings]", "insight",
     "What people call the field in questions to `ask`."),
    ("valueSynonyms", K.TEXT_BY_VALUE, "{downtown: Urban, inner city: Urban}", "insight",
     "What people call values of the field in questions, each with the value that it stands for."),
)  # fmt: skip
_OPTIONS_KEYS: _Rows = (
    ("minimum", K.NUMBER, "0", ALL, "The least value, inclusive."),
    ("maximum", K.NUMBER, "400", ALL, "The greatest value, inclusive."),
    ("pattern", K.TEXT, '"M[0-9]{4}"', ALL, "Java regular expression that the whole text matches."),
)  # fmt: skip
_RELATIONSHIP_KEYS: _Rows = (
    ("type", K.TEXT, "foreignKey", "ingest", "foreignKey, or nothing."),
    ("to", K.TEXT, "members.member_id", "ingest graph", "Table and key field that the field refers to."),
)  # fmt: skip
_RELATIONSHIP_PROPERTIES: _Rows = (
    ("severity", K.ONE_OF, "warning", "ingest",
     "How bad it is to refer to a key that is not there: critical quarantines the row (default)."),
)  # fmt: skip
DECLARATIONS: tuple[Declaration, ...] = (
    *_of(
        Part.CONTRACT,
        *_CONTRACT_KEYS,
        custom=False,
        required=("apiVersion", "kind", "id", "name", "version", "schema"),
    ),
    *_of(
        Part.TABLE,
        *_TABLE_KEYS,
        custom=False,
        required=("name", "description", "properties"),
    ),
    *_of(
        Part.TABLE,
        *_TABLE_PROPERTIES,
        custom=True,
        required=("kind",),
    ),
    *_of(
        Part.FIELD,
        *_FIELD_KEYS,
        custom=False,
        required=("name", "description", "logicalType", "physicalType"),
    ),
    *_of(
        Part.FIELD,
        *_FIELD_PROPERTIES,
        *(
            (
                f"{check}Severity",
                K.ONE_OF,
                "warning",
                ALL,
                f"How bad it is to break the check `{check}`: critical quarantines the row (default).",
            )
            for check in SEVERITIES
        ),
        custom=True,
        required=("role",),
    ),
    *_of(
        Part.OPTIONS,
        *_OPTIONS_KEYS,
        custom=False,
    ),
    *_of(
        Part.RELATIONSHIP,
        *_RELATIONSHIP_KEYS,
        custom=False,
        required=("to",),
    ),
    *_of(
        Part.RELATIONSHIP,
        *_RELATIONSHIP_PROPERTIES,
        custom=True,
    ),
)
"""Every property, in the order of the reference."""


def custom_names(part: Part) -> tuple[str, ...]:
    """Return the names of the customProperties that a part of a contract may have."""
    return tuple(d.name for d in DECLARATIONS if d.part is part and d.custom)
