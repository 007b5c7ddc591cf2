"""Draft an ODCS contract from a profile: what was measured becomes rules that a person then corrects.

Pure, no Spark job.

What follows from what:
- required: nothing is missing, and no text is blank. Else the missing share is bounded by twice what was
  found. Gates leave room: a percent of the cells may be missing, and 5% of the rows quarantined, or twice
  what these data show.
- bounds of numbers: the extremes, rounded outwards to two digits; from 0 where the smallest is at most a
  tenth of the largest.
- allowed values: text with at most 50 different ones that each occur ten times on average, whole numbers with
  at most 5. What looks like a rare misspelling of another is not allowed.
- pattern: where the values have one form (UUID, e-mail, date, …), or at most three shapes with digits or
  signs, such as CUST-[0-9]{6}. Where one percent or less have not, it is a warning.
- a key is what is unique and never null. Without one the table is `plain`: it can be checked, and not
  ingested.
- a field whose form, or name where its values do not speak against it, tells of a person is confidential:
  samples mask it, and nothing of its values is written down.
- a protected number is cut into bands near its quartiles.

What a person has to look at stands as comments at the top.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import yaml

from engage_spark.contract.validation import LOGICAL, UNSTORABLE, unstorable_members
from engage_spark.quality.profiling.closed_lists import closed_list_of
from engage_spark.quality.profiling.facts import ColumnFacts, TableProfile
from engage_spark.quality.profiling.personal import (
    NEVER_INPUT,
    WORDS,
    is_personal,
    is_protected,
    words,
)
from engage_spark.quality.profiling.suggest_bounds import limits_of, nice_share, round_bands
from engage_spark.quality.profiling.suggest_pattern import suggest_pattern

_WHOLE = ("tinyint", "smallint", "int", "bigint")
_LEAST_ROOM, _QUARANTINE_ROOM = Fraction(1), Fraction(5)
"""Percent of cells that may be missing, and of rows that may be quarantined, where the data show less."""


def draft_contract(profile: TableProfile, *, table: str, origin: str) -> str:
    """Write the YAML of a contract with one table.

    `origin` says where the data lie. Deterministic; nothing in it is of the day it was made.
    """
    storable = not any(UNSTORABLE.search(c.name) or unstorable_members(c.type) for c in profile.columns)
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
    lines += [f"Look at {c.name}: {text}" for c in profile.columns for text in _oddities(c, profile)]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _why_plain(profile: TableProfile) -> list[str]:
    lines = ["The table is of kind `plain`: `engage_spark.quality.check` works on it, `ingest` does not."]
    if odd := [c.name for c in profile.columns if UNSTORABLE.search(c.name)]:
        lines.append("TODO, to ingest it: rename these columns, since Delta refuses their names:")
        lines += [f"  {name!r} -> {renamed(name)}" for name in odd]
    if nested := [c.name for c in profile.columns if unstorable_members(c.type)]:
        lines.append(
            f"TODO, to ingest it: {', '.join(nested)}: Delta refuses the names of members; leave the columns "
            "out, or have them delivered under other names."
        )
    if not profile.key:
        lines.append(
            "TODO, to ingest it: it needs a key, and no column or pair of columns is unique and never null."
        )
        lines += [
            f"  {' + '.join(k.columns)}: {k.shared:,} of {profile.rows:,} rows share theirs"
            for k in profile.tried[:3]
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
    return "_".join(w.lower() for w in WORDS.findall(name)) or "column"


def _table(profile: TableProfile, table: str, kind: str) -> dict[str, Any]:
    cells = profile.rows * len(profile.columns)
    missing = sum(c.state.nulls for c in profile.columns)
    custom = {"type": "custom", "engine": "engage_spark"}
    share_missing = Fraction(100 * missing, cells) if cells else Fraction(0)
    complete = 100 - max(nice_share(share_missing), float(_LEAST_ROOM))
    quality: list[dict[str, Any]] = [
        {
            "name": "rows_there",
            "description": "There are rows.",
            "metric": "rowCount",
            "mustBeGreaterThan": 0,
            "dimension": "coverage",
        }
    ] * bool(profile.rows)
    quality.append(
        {
            "name": "quarantine",
            "description": "Share of rows that break a critical rule.",
            **custom,
            "implementation": "quarantine_share",
            "mustBeLessThan": _quarantine_bound(profile),
            "unit": "percent",
            "dimension": "conformity",
        }
    )
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


def _quarantine_bound(profile: TableProfile) -> float:
    """Return the percent below which the share of quarantined rows must lie."""
    n_rows = sum(k.shared + k.missing for k in profile.tried if k.columns == profile.key)
    for c in profile.columns:
        listed = None if c.name in profile.key or is_personal(c) else closed_list_of(c)
        n_rows += listed.n_misspelt if listed else 0
    return max(
        float(_QUARANTINE_ROOM), nice_share(Fraction(100 * n_rows, profile.rows)) if profile.rows else 0.0
    )


def _oddities(c: ColumnFacts, profile: TableProfile) -> list[str]:
    """Say what few rows hold that the draft does not allow, or does not make a rule of."""
    personal = is_personal(c)
    texts = []
    for key in (k for k in profile.tried if k.columns == profile.key and c.name == k.columns[0]):
        name = " + ".join(key.columns)
        texts += [f"{key.shared:,} rows share their {name}; they are quarantined."] if key.shared else []
        texts += [f"{key.missing:,} rows have no {name}; they are quarantined."] if key.missing else []
    listed = None if c.name in profile.key or personal else closed_list_of(c)
    for rare, common in (listed.misspelt if listed else {}).items():
        texts.append(
            f"{rare!r} in {(c.values or {})[rare]:,} rows looks like a misspelling of {common!r}, and is not "
            "allowed; add it to validValues if it is a value."
        )
    pattern = suggest_pattern(c) if c.is_text and listed is None else None
    if pattern is not None and pattern.broken_rows:
        of_shape = f" ({pattern.odd})" if pattern.odd and not personal else ""
        texts.append(
            f"{pattern.broken_rows:,} of {c.visible:,} texts do not match the pattern{of_shape}: a warning."
        )
    return texts


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
    listed = None if key or personal else closed_list_of(c)
    allowed = None if listed is None else listed.allowed
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
    if allowed is None and base in (*_WHOLE, "float", "double", "decimal"):
        options, mean = limits_of(c, personal=personal or key)
        custom += [{"property": "referenceMean", "value": mean}] if mean is not None else []
    if allowed is None and c.is_text and (pattern := suggest_pattern(c)) is not None:
        options = {"pattern": pattern.text}
        custom += [{"property": "patternSeverity", "value": "warning"}] if pattern.broken_rows else []
    if any(c.state.bins.get(x) for x in ("NaN", "+inf", "-inf")):
        custom += [
            {"property": f"{x}Severity", "value": "warning"}
            for x in ("finite", *(["range"] if options else []))
        ]
    custom += [{"property": "protected", "value": True}] if is_protected(c.name) else []
    if allowed is None and (bands := round_bands(c.quartiles, whole=base in _WHOLE)):
        custom.append({"property": "bands", "value": list(bands)})
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
    if personal or words(c.name) & NEVER_INPUT or not c.state.filled:
        return "audit"
    counted = c.type in (*_WHOLE, "float", "double", "boolean") or c.type.startswith("decimal")
    return "feature" if counted or (c.is_text and closed_list_of(c) is not None) else "audit"


def _shares(allowed: Mapping[Any, int]) -> dict[str, float]:
    """Shares of six digits that sum to one: what rounding leaves over goes to the largest."""
    total = sum(allowed.values())
    millionths = {str(v): round(Fraction(1_000_000 * n, total)) for v, n in allowed.items()}
    largest = next(iter(millionths))
    millionths[largest] += 1_000_000 - sum(millionths.values())
    return {v: n / 1_000_000 for v, n in millionths.items()}


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
