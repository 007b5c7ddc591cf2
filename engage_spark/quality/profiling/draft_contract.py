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
import unicodedata
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import yaml

from engage_spark.contract import EVENT_DATE, SNAPSHOT_DATE
from engage_spark.contract.json_schema import SCHEMA_FILE
from engage_spark.contract.stored_tables import is_added_name
from engage_spark.contract.validation import LOGICAL, unstorable_members
from engage_spark.quality.profiling.column_draft import (
    WHOLE,
    ColumnDraft,
    draft_column,
    oddities,
    percent,
    rows,
)
from engage_spark.quality.profiling.facts import TableProfile
from engage_spark.quality.profiling.personal import WORDS, is_protected
from engage_spark.quality.profiling.suggest_bounds import (
    limits_of,
    nice_share,
    outward_limits,
    round_bands,
)

_UNNAMED = re.compile(r"_c([0-9]+)")
_LEAST_ROOM, _QUARANTINE_ROOM = Fraction(1), Fraction(5)
"""Percent of cells that may be missing, and of rows that may be quarantined, where the data show less."""


def draft_contract(profile: TableProfile, *, table: str, origin: str, folder: str | None = None) -> str:
    """Write the YAML of a contract with one table.

    `origin` says where the data lie, `folder` what is delivered (`draft_document`). Deterministic;
    nothing in it is of the day it was made.
    """
    document = draft_document(profile, table=table, origin=origin, folder=folder)
    return draft_text(document, draft_comments(profile))


def draft_text(document: Mapping[str, Any], comments: Sequence[str]) -> str:
    """Write a contract as YAML, below comments."""
    lines = (f"yaml-language-server: $schema={SCHEMA_FILE}", *comments)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + text


def draft_document(
    profile: TableProfile,
    *,
    table: str,
    origin: str,
    folder: str | None = None,
    drafts: Sequence[ColumnDraft] | None = None,
) -> dict[str, Any]:
    """Draft a contract with one table, as plain data.

    `folder` is what is delivered, where that is not called as the table; `drafts` are those of the columns,
    where they are known.
    """
    drafts = column_drafts(profile) if drafts is None else drafts
    return {
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
        "schema": [_table(profile, table, _kind(profile), folder, drafts)],
    }


def draft_comments(profile: TableProfile, drafts: Sequence[ColumnDraft] | None = None) -> list[str]:
    """Say what a person has to look at in a draft."""
    lines = [
        "A draft: look at what is left to a person, then `engage-spark --contract THIS contract lint`.",
        f"`engage-spark contract schema --out {SCHEMA_FILE}` lets an editor complete and check it.",
    ]
    if _kind(profile) == "plain":
        lines += ["", *_why_plain(profile)]
    lines += [f"Left out: {name!r}, since {why}." for name, why in profile.left_out]
    for key in (k for k in profile.tried if k.columns == profile.key):
        name = " + ".join(key.columns)
        if key.shared:
            lines.append(f"Look at {name}: {rows(key.shared)} share theirs; they are quarantined.")
        if key.missing:
            lines.append(f"Look at {name}: {rows(key.missing)} have none; they are quarantined.")
    for draft in column_drafts(profile) if drafts is None else drafts:
        lines += [f"Look at {draft.name}: {text}" for text in oddities(draft)]
    return lines


def column_drafts(profile: TableProfile) -> tuple[ColumnDraft, ...]:
    """Draft every column of a profile, under names that are no two alike."""
    names = field_names([c.name for c in profile.columns], profile.key)
    return tuple(draft_column(c, name, profile) for c, name in zip(profile.columns, names, strict=True))


def field_names(columns: Sequence[str], key: Sequence[str] = ()) -> list[str]:
    """Name a field for each column: by its own name where that is a word, else by the words in it.

    `_c0` is a column of CSV without a name, by its place: `column_1`. A name of a column that the package
    adds becomes another: `unit`, a key, is `unit_2`, `_run_id` is `run_id`.
    """
    plain = [name if _is_usable(name, key) else "" for name in columns]
    taken = {SNAPSHOT_DATE, EVENT_DATE, *(name.lower() for name in plain if name)}
    names = []
    for column, name in zip(columns, plain, strict=True):
        free, n = name or renamed(column), 2
        while not name and (free.lower() in taken or is_added_name(free, is_key=column in key)):
            free, n = f"{renamed(column)}_{n}", n + 1
        taken.add(free.lower())
        names.append(free)
    return names


def _is_usable(name: str, key: Sequence[str]) -> bool:
    """Return whether a field can have the name of its column."""
    is_word = bool(re.fullmatch(r"\w+", name)) and not _UNNAMED.fullmatch(name)
    return is_word and not is_added_name(name, is_key=name in key)


def _kind(profile: TableProfile) -> str:
    storable = not any(unstorable_members(c.type) for c in profile.columns)
    return "entity" if profile.key and storable else "plain"


def _why_plain(profile: TableProfile) -> list[str]:
    lines = ["The table is of kind `plain`: `engage_spark.quality.check` works on it, `ingest` does not."]
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
    """Return the name in small letters of any script, digits and underscores."""
    if unnamed := _UNNAMED.fullmatch(name):
        return f"column_{int(unnamed[1]) + 1}"
    parts = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", name))
    words = (w for part in parts for w in (WORDS.findall(part) if part.isascii() else [part]))
    return "_".join(w.lower() for w in words) or "column"


def _table(
    profile: TableProfile, table: str, kind: str, folder: str | None, drafts: Sequence[ColumnDraft]
) -> dict[str, Any]:
    cells = profile.rows * len(profile.columns)
    custom = {"type": "custom", "engine": "engage_spark"}
    share_missing = nice_share(percent(sum(d.missing for d in drafts), cells))
    complete = 100 - max(share_missing, float(_LEAST_ROOM))
    n_quarantined = sum(d.quarantined for d in drafts) + sum(
        k.shared + k.missing for k in profile.tried if k.columns == profile.key
    )
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
            "mustBeLessThan": max(float(_QUARANTINE_ROOM), nice_share(percent(n_quarantined, profile.rows))),
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
    fields = [_field(draft, profile) for draft in drafts]
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
        **({"physicalName": folder} if folder else {}),
        "physicalType": "table",
        "logicalType": "object",
        "description": f"TODO: say what a row of {table} is.",
        "dataGranularityDescription": f"One row per "
        f"{' and '.join(d.name for d in drafts if d.is_key)}{' and day' if kind == 'entity' else ''}."
        if profile.key
        else "TODO: say what there is one row of.",
        "customProperties": [
            {"property": "kind", "value": kind},
            {"property": "extraColumns", "value": "warn"},
        ],
        **({"quality": quality} if quality else {}),
        "properties": fields,
    }


def _field(draft: ColumnDraft, profile: TableProfile) -> dict[str, Any]:
    c, key = draft.facts, draft.is_key
    base = re.split(r"[(<]", draft.type)[0]
    quality: list[dict[str, Any]] = []
    custom: list[dict[str, Any]] = [{"property": "role", "value": draft.role}]
    required = key or (bool(profile.rows) and not draft.missing and not draft.blank)
    if draft.missing and draft.missing < profile.rows:
        quality.append(
            {
                "type": "library",
                "metric": "nullValues",
                "mustBeLessThan": nice_share(percent(draft.missing, profile.rows)),
                "unit": "percent",
                "dimension": "completeness",
            }
        )
    if draft.reading:
        custom.append({"property": "reading", "value": draft.reading.expression})
    if draft.listed:
        quality.append(
            {
                "type": "library",
                "metric": "invalidValues",
                "arguments": {"validValues": list(draft.listed.allowed)},
                "mustBe": 0,
                "dimension": "conformity",
            }
        )
        custom.append({"property": "referenceShares", "value": _shares(draft.listed.allowed)})
    options, more = _limits(draft, base)
    custom += more
    custom += [{"property": "protected", "value": True}] if is_protected(c.name) else []
    bands = round_bands(c.quartiles, whole=base in WHOLE)
    if bands and not draft.listed and is_protected(c.name):
        custom.append({"property": "bands", "value": list(bands)})
    position = {"primaryKey": True, "primaryKeyPosition": profile.key.index(c.name) + 1} if key else {}
    return {
        "name": draft.name,
        **({"physicalName": c.name} if c.name != draft.name else {}),
        "description": f"TODO: say what it is. {_summary(draft, profile.rows)}",
        "logicalType": LOGICAL[base],
        "physicalType": draft.type,
        **({"required": True} if required else {}),
        **position,
        **({"classification": "confidential"} if draft.is_personal else {}),
        **({"logicalTypeOptions": options} if options else {}),
        **({"quality": quality} if quality else {}),
        "customProperties": custom,
    }


def _limits(draft: ColumnDraft, base: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the bounds or the pattern of a column, and the properties that go with them."""
    c, options, custom = draft.facts, dict[str, Any](), list[dict[str, Any]]()
    if draft.reading and not draft.listed and (numbers := c.numbers.get(draft.reading.form)):
        options = outward_limits(numbers.minimum, numbers.maximum, draft.type)
    elif not draft.listed and not draft.reading and base in (*WHOLE, "float", "double", "decimal"):
        options, mean = limits_of(c, personal=draft.is_personal or draft.is_key)
        custom += [{"property": "referenceMean", "value": mean}] if mean is not None else []
    if draft.pattern is not None:
        options = {"pattern": draft.pattern.text}
        custom += [{"property": "patternSeverity", "value": "warning"}] if draft.pattern.broken_rows else []
    if any(c.state.bins.get(x) for x in ("NaN", "+inf", "-inf")):
        custom += [
            {"property": f"{x}Severity", "value": "warning"}
            for x in ("finite", *(["range"] if options else []))
        ]
    return options, custom


def _shares(allowed: Mapping[Any, int]) -> dict[str, float]:
    """Shares of six digits that sum to one: what rounding leaves over goes to the largest."""
    total = sum(allowed.values())
    millionths = {str(v): round(Fraction(1_000_000 * n, total)) for v, n in allowed.items()}
    largest = next(iter(millionths))
    millionths[largest] += 1_000_000 - sum(millionths.values())
    return {v: n / 1_000_000 for v, n in millionths.items()}


def _summary(draft: ColumnDraft, n_rows: int) -> str:
    c = draft.facts
    missing = f"{draft.missing:,} of {n_rows:,} missing" if draft.missing else "none missing"
    values = "" if c.values is None or draft.is_personal else f", {len(c.values)} different values"
    odd = [
        f"{n:,} {what}"
        for n, what in (
            (draft.blank, "blank"),
            (c.counts.get("control", 0), "with control characters"),
            (c.counts.get("lost", 0), "with characters that could not be read"),
        )
        if n
    ]
    special = [f"{c.state.bins[x]:,} {x}" for x in ("NaN", "+inf", "-inf") if c.state.bins.get(x)]
    return f"Found: {', '.join([missing + values, *odd, *special])}."
