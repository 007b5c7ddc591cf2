"""Draft an ODCS contract from a profile: what was measured becomes rules that a person then corrects.

Pure, no Spark job.

What follows from what:
- required: nothing is missing, and no text is blank. Else the missing share is bounded by twice what was
  found.
- bounds of numbers: the extremes, rounded outwards to two digits; from 0 where the smallest is at most a
  tenth of the largest.
- allowed values: text with at most 50 different ones that each occur ten times on average, whole numbers with
  at most 5.
- pattern: where all values have one form (UUID, e-mail, date, …), or at most three shapes with digits or
  signs, such as CUST-[0-9]{6}.
- a key is what is unique and never null. Without one the table is `plain`: it can be checked, and not
  ingested.
- a field whose name or form tells of a person is confidential: samples mask it, and nothing of its values is
  written down.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import yaml

from engage_spark.contract.validation import LOGICAL, UNSTORABLE
from engage_spark.quality.profiling.profile import ColumnFacts, TableProfile, TextShape
from engage_spark.quality.profiling.suggest_bounds import limits_of, nice_share
from engage_spark.quality.profiling.value_scan import CLASSES, FORMS

FEW_TEXTS, FEW_NUMBERS, TIMES = 50, 5, 10
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PERSONAL = frozenset(
    re.findall(
        r"\w+",
        """email mail phone mobile telephone tel fax surname firstname lastname fullname forename
        address street postcode zip zipcode postal iban ssn passport birthdate birthday dob birth
        ip username login password token latitude longitude""",
    )
)
_NAMES = (
    {"first", "name"},
    {"last", "name"},
    {"full", "name"},
    {"family", "name"},
    {"given", "name"},
    {"user", "name"},
    {"middle", "name"},
)
_PROTECTED = frozenset(
    (
        "gender",
        "sex",
        "race",
        "ethnicity",
        "ethnic",
        "religion",
        "nationality",
        "disability",
        "marital",
        "age",
    )
)
_NEVER_INPUT = _PROTECTED - {"age"}


def draft_contract(profile: TableProfile, *, table: str, origin: str) -> str:
    """Write the YAML of a contract with one table.

    `origin` says where the data lie. Deterministic; nothing in it is of the day it was made.
    """
    storable = not [c.name for c in profile.columns if UNSTORABLE.search(c.name)]
    kind = "entity" if profile.key and storable else "plain"
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": table,
        "name": table.replace("_", " "),
        "version": "0.1.0",
        "status": "draft",
        "description": {
            "purpose": f"TODO: say what {table} is for. Drafted from {profile.rows:,} rows of {origin}.",
            "usage": "TODO: say who may use it, and for what.",
            "limitations": "Says what these rows hold, not what they should hold: correct every "
            "bound before relying on it.",
        },
        "schema": [_table(profile, table, kind)],
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    return _comments(profile, kind) + text


def _comments(profile: TableProfile, kind: str) -> str:
    lines = ["A draft: look at each TODO, then `engage-spark --contract THIS contract lint`."]
    if kind == "plain":
        lines += ["", *_why_plain(profile)]
    lines += [f"Left out: {name!r}, since {why}." for name, why in profile.left_out]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _why_plain(profile: TableProfile) -> list[str]:
    lines = ["The table is of kind `plain`: `engage_spark.quality.check` works on it, `ingest` does not."]
    if odd := [c.name for c in profile.columns if UNSTORABLE.search(c.name)]:
        lines.append("TODO, to ingest it: rename these columns, since Delta refuses their names:")
        lines += [f"  {name!r} -> {renamed(name)}" for name in odd]
    if not profile.key:
        lines.append(
            "TODO, to ingest it: it needs a key, and no column or pair of columns is unique and never null."
        )
        lines += [
            f"  {' + '.join(k)}: {n:,} of {profile.rows:,} rows share theirs" for k, n in profile.tried[:3]
        ]
        lines.append(
            "Take out what is doubled, or name the key (--key COLUMN): rows that share it are "
            "then quarantined."
        )
        if moments := [c.name for c in profile.columns if c.type == "timestamp" and not c.state.nulls]:
            lines.append(
                f"Or, if these are events: kind log, eventTime {moments[0]}, in the contract of "
                f"the entity that they are about."
            )
    return lines


def renamed(name: str) -> str:
    """Return the name in small letters, digits and underscores."""
    return "_".join(w.lower() for w in _WORDS.findall(name)) or "column"


def _table(profile: TableProfile, table: str, kind: str) -> dict[str, Any]:
    cells = profile.rows * len(profile.columns)
    missing = sum(c.state.nulls for c in profile.columns)
    custom = {"type": "custom", "engine": "engage_spark"}
    complete = 100 - nice_share(Fraction(100 * missing, cells)) if missing else 100
    quality: list[dict[str, Any]] = [
        {
            "name": "rows_there",
            "description": "There are rows.",
            "metric": "rowCount",
            "mustBeGreaterThan": 0,
            "dimension": "coverage",
        }
    ] * bool(profile.rows)
    if complete > 0 and cells:
        quality.append(
            {
                "name": "completeness_overall",
                "description": "Share of filled cells.",
                **custom,
                "implementation": "completeness",
                "mustBeGreaterOrEqualTo": complete,
                "unit": "percent",
                "dimension": "completeness",
            }
        )
    fields = [_field(c, profile) for c in profile.columns]
    if any(p["property"] == "referenceShares" for f in fields for p in f["customProperties"]):
        quality.append(
            {
                "name": "shares_near_found",
                "description": "The mix stays what it was.",
                **custom,
                "implementation": "reference_shares",
                "mustBeLessThan": 10,
                "unit": "percent",
                "severity": "warning",
                "dimension": "accuracy",
            }
        )
    return {
        "name": table,
        "physicalType": "table",
        "logicalType": "object",
        "description": f"TODO: say what a row of {table} is.",
        "dataGranularityDescription": f"One row per "
        f"{' and '.join(profile.key)}{' and day' if kind == 'entity' else ''}."
        if profile.key
        else "TODO: say what there is one row of.",
        "customProperties": [
            {"property": "kind", "value": kind},
            {"property": "extraColumns", "value": "warn"},
        ],
        **({"quality": quality} if quality else {}),
        "properties": fields,
    }


def words(name: str) -> set[str]:
    """Return the words of a name, in small letters: customerId, customer_id and Customer ID are the same
    two.
    """
    return {w.lower() for w in _WORDS.findall(name)}


def is_personal(c: ColumnFacts) -> bool:
    """Return whether a column is personal: by its name, or because all of its text are e-mail addresses,
    phone numbers or network addresses.
    """
    name_words = words(c.name)
    by_form = c.form in ("email", "phone", "address") and c.form is not None
    return (
        bool(name_words & _PERSONAL)
        or any(n <= name_words for n in _NAMES)
        or name_words == {"name"}
        or by_form
    )


def _field(c: ColumnFacts, profile: TableProfile) -> dict[str, Any]:
    key = c.name in profile.key
    personal = is_personal(c)
    base = re.split(r"[(<]", c.type)[0]
    quality: list[dict[str, Any]] = []
    custom: list[dict[str, Any]] = [{"property": "role", "value": _role(c, key=key, personal=personal)}]
    nulls, blanks = c.state.nulls, c.counts.get("blank", 0)
    required = key or (bool(profile.rows) and not nulls and not blanks)
    if nulls and nulls < profile.rows:
        quality.append(
            {
                "type": "library",
                "metric": "nullValues",
                "mustBeLessThan": nice_share(Fraction(100 * nulls, profile.rows)),
                "unit": "percent",
                "dimension": "completeness",
            }
        )
    allowed = None if key or personal else _allowed(c)
    if allowed is not None:
        quality.append(
            {
                "type": "library",
                "metric": "invalidValues",
                "arguments": {"validValues": list(allowed)},
                "mustBe": 0,
                "dimension": "conformity",
            }
        )
        custom.append({"property": "referenceShares", "value": _shares(allowed)})
    options: dict[str, Any] = {}
    if allowed is None and base in ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal"):
        options, mean = limits_of(c, personal=personal or key)
        custom += [{"property": "referenceMean", "value": mean}] if mean is not None else []
    if allowed is None and c.is_text and (pattern := pattern_of(c)) is not None:
        options = {"pattern": pattern}
    if any(c.state.bins.get(x) for x in ("NaN", "+inf", "-inf")):
        custom += [
            {"property": f"{x}Severity", "value": "warning"}
            for x in ("finite", *(["range"] if options else []))
        ]
    custom += [{"property": "protected", "value": True}] if words(c.name) & _PROTECTED else []
    return {
        "name": c.name,
        "description": f"TODO: say what it is. {_summary(c, profile.rows)}",
        "logicalType": LOGICAL[base],
        "physicalType": c.type,
        **({"required": True} if required else {}),
        **({"primaryKey": True, "primaryKeyPosition": profile.key.index(c.name) + 1} if key else {}),
        **({"classification": "confidential"} if personal else {}),
        **({"logicalTypeOptions": options} if options else {}),
        **({"quality": quality} if quality else {}),
        "customProperties": custom,
    }


def _role(c: ColumnFacts, *, key: bool, personal: bool) -> str:
    if key:
        return "identifier"
    if personal or words(c.name) & _NEVER_INPUT or not c.state.filled:
        return "audit"
    counted = c.type in (
        "tinyint",
        "smallint",
        "int",
        "bigint",
        "float",
        "double",
        "boolean",
    ) or c.type.startswith("decimal")
    return "feature" if counted or (c.is_text and _allowed(c) is not None) else "audit"


def _allowed(c: ColumnFacts) -> dict[Any, int] | None:
    """Return the values and how often each occurs, commonest first, where they look like a closed list."""
    if not c.values or c.type == "boolean" or not c.state.filled or c.state.filled < TIMES * len(c.values):
        return None
    if (
        len(c.values) > (FEW_TEXTS if c.is_text else FEW_NUMBERS)
        or c.counts.get("lost")
        or c.counts.get("control")
    ):
        return None
    ranked = sorted(c.values.items(), key=lambda x: (-x[1], x[0]))
    return {v if c.is_text else int(v): n for v, n in ranked}


def _shares(allowed: dict[Any, int]) -> dict[str, float]:
    """Shares of six digits that sum to one: what rounding leaves over goes to the largest."""
    total = sum(allowed.values())
    millionths = {str(v): round(Fraction(1_000_000 * n, total)) for v, n in allowed.items()}
    largest = next(iter(millionths))
    millionths[largest] += 1_000_000 - sum(millionths.values())
    return {v: n / 1_000_000 for v, n in millionths.items()}


def pattern_of(c: ColumnFacts) -> str | None:
    """Return a regular expression that every value matches, blanks included; None where the values have no
    form in common.
    """
    if c.form is not None:
        pattern = FORMS[c.form]
    elif c.shapes and all(re.search(r"[^Aa]", s.signs) for s in c.shapes):
        pattern = "|".join(map(_of_shape, c.shapes))
    else:
        return None
    return rf"(?:{pattern})|\s*" if c.counts.get("blank") else pattern


def _of_shape(shape: TextShape) -> str:
    parts = []
    for sign, (low, high, least, most) in zip(shape.signs, shape.tokens, strict=True):
        if low == high and (sign not in CLASSES or sign != "9"):
            parts.append(re.sub(r"([][\\^$.|?*+(){}/])", r"\\\1", low))
        else:
            parts.append(
                CLASSES[sign]
                + (f"{{{least}}}" if least == most else f"{{{least},{most}}}") * (most > 1 or least != most)
            )
    return "".join(parts)


def _summary(c: ColumnFacts, rows: int) -> str:
    missing = f"{c.state.nulls:,} of {rows:,} missing" if c.state.nulls else "none missing"
    values = "" if c.values is None or is_personal(c) else f", {len(c.values)} different values"
    odd = [
        f"{c.counts[x]:,} {what}"
        for x, what in (
            ("blank", "blank"),
            ("control", "with control characters"),
            ("lost", "with characters that could not be read"),
        )
        if c.counts.get(x)
    ]
    special = [f"{c.state.bins[x]:,} {x}" for x in ("NaN", "+inf", "-inf") if c.state.bins.get(x)]
    return f"Found: {', '.join([missing + values, *odd, *special])}."


__all__ = ["draft_contract", "is_personal", "pattern_of", "renamed", "words"]
