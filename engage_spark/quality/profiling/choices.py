"""Put what only people know into a drafted contract: targets, protected fields, windows, money. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engage_spark.quality.profiling.column_draft import WHOLE, ColumnDraft, as_target
from engage_spark.quality.profiling.suggest_bounds import round_bands

_POSITIVE = ("yes", "true", "y", "t", "1", "churned", "lost", "left", "bad", "default", "fraud")
"""Values of two that are more likely the one that is predicted."""
_MOST_VALUES = 20
_KEY_PARTS = (
    "name",
    "description",
    "logicalType",
    "physicalType",
    "required",
    "primaryKey",
    "primaryKeyPosition",
)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What people say of a drafted table, each by a column's name, as it is delivered or as it is drafted.

    `positive` is the value that a target of classes stands for, `money` the property of that name, and
    `label_days` the days until the targets' values are known.
    """

    targets: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    positive: Mapping[str, str] = field(default_factory=dict)
    money: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    label_days: int = 0


def drafts_as_chosen(drafts: Sequence[ColumnDraft], choices: Choices) -> tuple[ColumnDraft, ...]:
    """Return the drafts of columns with those of targets as targets are drafted."""
    targets = [find_column(drafts, name) for name in choices.targets]
    return tuple(as_target(d) if d in targets else d for d in drafts)


def apply_choices(document: dict[str, Any], drafts: Sequence[ColumnDraft], choices: Choices) -> list[str]:
    """Change a draft as people chose, and return what stands against it, in words.

    `drafts` are those of the document (`drafts_as_chosen`).
    """
    table = document["schema"][0]
    problems: list[str] = []

    def drafts_named(names: Sequence[str]) -> list[ColumnDraft]:
        named = []
        for name in names:
            draft = find_column(drafts, name)
            named += [draft] if draft else []
            if draft is None:
                columns = ", ".join(d.facts.name for d in drafts)
                problems.append(f"there is no column {name!r}; columns are: {columns}")
        return named

    fields = {f["name"]: f for f in table["properties"]}
    targets = drafts_named(choices.targets)
    positive = {d.name: choices.positive[n] for n in choices.positive for d in drafts_named([n])}
    money = {d.name: choices.money[n] for n in choices.money for d in drafts_named([n])}
    unaimed = [n for n in (*positive, *money) if n not in {d.name for d in targets}]
    problems += [f"{name} is given a value or money, and is no target (--target {name})" for name in unaimed]
    for draft in drafts_named(choices.protected):
        _protect(fields[draft.name], draft)
    for draft in targets:
        f = fields[draft.name]
        if wrong := _why_no_target(draft, positive.get(draft.name)):
            problems.append(f"{draft.facts.name} cannot be a target: {wrong}")
            continue
        if draft.name in money and not _is_of_classes(draft, positive.get(draft.name)):
            problems.append(f"{draft.facts.name} is a number, and money is for targets of two classes")
            continue
        target = _target(document, f, draft, positive.get(draft.name))
        _put(target, "role", "target")
        if choices.label_days:
            _put(target, "labelWindowDays", choices.label_days)
            _let_be_unknown(table, f)
        if draft.name in money:
            _put(target, "money", dict(money[draft.name]))
    return problems


def find_column(drafts: Sequence[ColumnDraft], name: str) -> ColumnDraft | None:
    """Return the column of this name: as delivered or drafted, else whatever the case of its letters."""
    exact = [d for d in drafts if name in (d.facts.name, d.name)]
    alike = [d for d in drafts if name.casefold() in (d.facts.name.casefold(), d.name.casefold())]
    return next(iter(exact or alike), None)


def target_values(draft: ColumnDraft) -> tuple[str, ...]:
    """Return the values of a column that may be classes, commonest first; none of a number or an amount.

    What is missing in words or blanks is none of them.
    """
    listed = as_target(draft).listed
    return ("true", "false") if draft.type == "boolean" else tuple(map(str, listed.allowed if listed else ()))


def is_asked_for_positive(draft: ColumnDraft) -> bool:
    """Return whether a target has classes of which only people know which one is predicted."""
    values = target_values(draft)
    if draft.type == "boolean" or set(values) == {"0", "1"} or len(values) < 2:
        return False
    return draft.type == "string" or len(values) == 2


def has_two_classes(draft: ColumnDraft) -> bool:
    """Return whether a column is a target of two classes as it is."""
    return len(target_values(draft)) == 2


def likely_positive(values: Sequence[str]) -> str | None:
    """Return which of two values is more likely the one that is predicted; None where nothing tells."""
    likely = [v for v in values if v.strip().lower() in _POSITIVE]
    return likely[0] if len(likely) == 1 else None


def _protect(f: dict[str, Any], draft: ColumnDraft) -> None:
    _put(f, "protected", True)
    if _get(f, "role") == "feature":
        _put(f, "role", "audit")
    bands = round_bands(_quarters(draft), whole=draft.type in WHOLE)
    if bands and not draft.listed and _get(f, "bands") is None:
        _put(f, "bands", list(bands))


def _let_be_unknown(table: dict[str, Any], f: dict[str, Any]) -> None:
    """Let a whole day lack a label: who has a window of days does not know it of the newest ones."""
    f.pop("required", None)
    others = [q for q in f.pop("quality", ()) if q["metric"] != "nullValues"]
    f.update({"quality": others} if others else {})
    f["customProperties"] = [p for p in f["customProperties"] if p["property"] != "referenceShares"]
    share = 100 / len(table["properties"])
    for gate in [q for q in table.get("quality", ()) if q.get("implementation") == "completeness"]:
        bound = math.floor(gate["mustBeGreaterOrEqualTo"] - share)
        gate["mustBeGreaterOrEqualTo"] = bound
        if bound <= 0:
            table["quality"].remove(gate)


def _quarters(draft: ColumnDraft) -> Sequence[float]:
    """Return a column's quartiles; of numbers that are delivered as text, quarters between their ends."""
    numbers = draft.facts.numbers.get(draft.reading.form) if draft.reading else None
    if draft.facts.quartiles or numbers is None:
        return draft.facts.quartiles
    step = (numbers.maximum - numbers.minimum) / 4
    return [numbers.minimum + i * step for i in (1, 2, 3)]


def _why_no_target(draft: ColumnDraft, positive: str | None) -> str | None:
    """Return why a column cannot be a target, in words; None where it can."""
    kind = re.split(r"[(<]", draft.type)[0]
    if draft.is_key:
        return "it is the key"
    if kind not in ("string", *WHOLE, "float", "double", "decimal", "boolean"):
        return f"it is of type {draft.type}; a target is a number, or one of two values"
    return _why_no_classes(draft, positive)


def _why_no_classes(draft: ColumnDraft, positive: str | None) -> str | None:
    values, name = target_values(draft), draft.facts.name
    shown = ", ".join(map(repr, values[:_MOST_VALUES]))
    if positive is not None and _as_value(draft, positive) not in values:
        return f"{positive!r} is none of its values {shown}" if values else "it has no classes"
    if len(values) == 1 and (draft.type == "string" or positive is not None):
        return f"it holds one class ({shown}); what is missing is unknown, and no class"
    if positive is not None:
        return None
    if draft.type == "string" and len(values) != 2:
        known = f"it holds {len(values)} classes ({shown})" if values else "it holds many texts"
        return f"{known}; --positive '{name}=VALUE' derives the target of one of them"
    is_open = is_asked_for_positive(draft) and (draft.type != "string" or likely_positive(values) is None)
    return f"say which of {shown} is predicted: --positive '{name}=VALUE'" if is_open else None


def _target(
    document: dict[str, Any], f: dict[str, Any], draft: ColumnDraft, positive: str | None
) -> dict[str, Any]:
    """Make a target of a field, or derive one from it, and return the target's field."""
    values = target_values(draft)
    if len(values) == 2:
        f.pop("classification", None)
        _put_positive(f, draft, positive or likely_positive(values))
        return f
    if positive is not None:
        return _derived_target(document, f, draft, positive)
    if values:
        _as_number(f, values)
    return f


def _put_positive(f: dict[str, Any], draft: ColumnDraft, positive: str | None) -> None:
    """Say which of two values is predicted, where it is not 1 of 0 and 1, or true."""
    if draft.type == "string":
        _put(f, "positive", positive)
    elif draft.type == "boolean":
        if positive and _as_value(draft, positive) == "false":
            _put(f, "positive", False)
    elif positive is not None and (positive == "0" or set(target_values(draft)) != {"0", "1"}):
        _put(f, "positive", int(positive))


def _as_value(draft: ColumnDraft, text: str) -> str:
    """Return what people write as the value that it is."""
    return text.lower() if draft.type == "boolean" else text


def _is_of_classes(draft: ColumnDraft, positive: str | None) -> bool:
    return positive is not None or has_two_classes(draft)


def _derived_target(
    document: dict[str, Any], f: dict[str, Any], draft: ColumnDraft, positive: str
) -> dict[str, Any]:
    """Derive a target of 0 and 1 from one of several classes, which the classes themselves leak into."""
    entity = document["schema"][0]
    plain = re.sub(r"\W+", "_", f"{draft.name}_is_{positive}".lower()).strip("_")
    taken = {p["name"].lower() for t in document["schema"] for p in t["properties"]}
    name = next(n for n in (plain, *(f"{plain}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)
    carried = [p for p in entity["properties"] if p.get("primaryKey")]
    day = {
        "name": "snapshot_date",
        "description": "The day.",
        "logicalType": "date",
        "physicalType": "date",
        "required": True,
        "primaryKey": True,
        "primaryKeyPosition": len(carried) + 1,
        "customProperties": [{"property": "role", "value": "identifier"}],
    }
    keys = [
        {part: p[part] for part in _KEY_PARTS}
        | {"description": f"As in {entity['name']}."}
        | {"customProperties": [{"property": "role", "value": "identifier"}]}
        for p in carried
    ]
    literal = positive if draft.type != "string" else "'" + positive.replace("'", "''") + "'"
    target: dict[str, Any] = {
        "name": name,
        "description": f"1 where {draft.facts.name} is {positive}.",
        "logicalType": "integer",
        "physicalType": "int",
        "quality": [
            {
                "type": "library",
                "metric": "invalidValues",
                "arguments": {"validValues": [0, 1]},
                "mustBe": 0,
                "dimension": "conformity",
            }
        ],
        "transformLogic": f"CAST(`{draft.name}` = {literal} AS INT)",
        "transformSourceObjects": [draft.name],
        "transformDescription": "Null where it is unknown.",
        "customProperties": [{"property": "role", "value": "target"}],
    }
    _put(f, "role", "audit")
    _put(f, "leaksInto", [name])
    name_of_table = f"{entity['name']}_targets"
    derived = next((t for t in document["schema"] if t["name"] == name_of_table), None)
    if derived is not None:
        derived["properties"].append(target)
        return target
    document["schema"].append(
        {
            "name": name_of_table,
            "physicalType": "table",
            "logicalType": "object",
            "description": "What is predicted, derived from what is delivered.",
            "dataGranularityDescription": entity["dataGranularityDescription"],
            "customProperties": [
                {"property": "kind", "value": "derived"},
                {"property": "source", "value": entity["name"]},
            ],
            "properties": [*keys, day, target],
        }
    )
    return target


def _as_number(f: dict[str, Any], values: Sequence[str]) -> None:
    """Bound a count by its extremes, where it was drafted as a list of values."""
    f["quality"] = [q for q in f.get("quality", []) if q.get("metric") != "invalidValues"]
    if not f["quality"]:
        del f["quality"]
    numbers = sorted(map(int, values))
    f["logicalTypeOptions"] = {"minimum": min(0, numbers[0]), "maximum": numbers[-1]}
    f["customProperties"] = [p for p in f["customProperties"] if p["property"] != "referenceShares"]


def _get(f: Mapping[str, Any], name: str) -> Any:
    return next((p["value"] for p in f["customProperties"] if p["property"] == name), None)


def _put(f: dict[str, Any], name: str, value: Any) -> None:
    given = [p for p in f["customProperties"] if p["property"] != name]
    f["customProperties"] = [*given, {"property": name, "value": value}]
