"""A small contract whose key is any text, and rows of it: keys, free text, dates, and a log that refers to
the keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from engage_spark.contract import Contract, Reference, Rule, Severity, Table, TableKind
from tests.support.bad_input.declared import Case, Group, Outcome, accepted, quarantined, warned
from tests.support.bad_input.things import field

MEGABYTES_10 = "x" * 10_000_000

PEOPLE = Table(
    name="people",
    kind=TableKind.ENTITY,
    description="People.",
    fields=(
        field("id", "string", "string", required=True, key_position=1),
        field("row", "int", "integer"),
        field("name", "string", "string", required=True),
        field("note", "string", "string"),
        field("born", "date", "date"),
    ),
    rules=(
        Rule(
            name="born_lately",
            expression="born BETWEEN DATE'1900-01-01' AND DATE'2025-10-21'",
            description="",
            columns=("born",),
        ),
    ),
)
LINKS = Table(
    name="links",
    kind=TableKind.LOG,
    description="Links.",
    event_time="at",
    fields=(
        field("src", "string", "string", required=True),
        field("dst", "string", "string", required=True),
        field("row", "int", "integer"),
        field("weight", "double", "number", minimum=0),
        field("at", "timestamp", "timestamp", required=True),
    ),
    references=tuple(Reference(column=c, table="people", to_column="id") for c in ("src", "dst")),
    rules=(
        Rule(
            name="no_loop",
            expression="src <> dst",
            description="",
            severity=Severity.WARNING,
            columns=("src", "dst"),
        ),
        Rule(
            name="since_2000",
            expression="at >= TIMESTAMP'2000-01-01T00:00:00Z'",
            description="",
            columns=("at",),
        ),
    ),
)
CONTRACT = Contract(
    id="people", version="1.0.0", name="People", description="", tables=(PEOPLE, LINKS), digest="0" * 64
)


def keys(name: str, *rows: tuple[str | bytes | None, Sequence[str]], note: str = "") -> Case:
    """Rows by their key, each with the rules it breaks."""
    evidence = tuple(dict.fromkeys(rule for _, broken in rows for rule in broken))
    outcome = Outcome.QUARANTINED if evidence else Outcome.ACCEPTED
    return Case(name=name, outcome=outcome, evidence=evidence, given=rows, note=note)


KEYS = Group(
    title="Keys that are text",
    about="A key without a pattern, so that anything goes but what these rules forbid. Rows of a case "
    "arrive together.",
    cases=(
        keys("the same key twice", ("dup-1", ["id.unique"]), ("dup-1", ["id.unique"]), note="all rows of it"),
        keys(
            "keys that differ in case",
            ("Ann-1", ["id.distinguishable"]),
            ("ann-1", ["id.distinguishable"]),
            note="nobody can tell which is meant, so all rows of them",
        ),
        keys(
            "the same key twice, and in other case",
            *[(k, ["id.unique", "id.distinguishable"]) for k in ("Bob-1", "Bob-1")],
            ("BOB-1", ["id.distinguishable"]),
        ),
        keys(
            "keys that differ in case beyond ASCII",
            ("Ärger-1", ["id.distinguishable"]),
            ("ärger-1", ["id.distinguishable"]),
        ),
        keys("a trailing blank", ("cid-1", []), ("cid-1 ", ["id.trimmed"])),
        keys("a leading blank", (" cid-2", ["id.trimmed"])),
        keys("a trailing no-break space", ("cid-3", []), ("cid-3\u00a0", ["id.trimmed"])),
        keys("a trailing tab", ("cid-4\t", ["id.printable", "id.trimmed"])),
        keys("a line end inside", ("cid\n5", ["id.printable"])),
        keys(
            "a letter and its accent apart (NFD)",
            ("caf\u00e9-1", []),
            ("cafe\u0301-1", ["id.normal_form"]),
            note="NFC is taken",
        ),
        keys("Hangul in parts", ("\ud55c-1", []), ("\u1112\u1161\u11ab-1", ["id.normal_form"])),
        keys(
            "a sign that has another for normal form",
            ("\u212b-1", ["id.normal_form"]),
            note="the sign for ångström",
        ),
        keys("a zero-width space", ("zero-1", []), ("ze\u200bro-1", ["id.printable"])),
        keys("a soft hyphen", ("soft-1", []), ("so\u00adft-1", ["id.printable"])),
        keys("a mark for writing from right to left", ("\u202ertl-1", ["id.printable"])),
        keys("a byte order mark", ("\ufeffbom-1", ["id.printable"])),
        keys("a NUL byte", ("nul\x00-1", ["id.printable"])),
        keys(
            "no key",
            (None, ["id.not_null"]),
            (None, ["id.not_null"]),
            note="nulls are not duplicates of each other",
        ),
        keys("an empty key", ("", ["id.not_blank"])),
        keys("a key of blanks", ("   ", ["id.trimmed", "id.not_blank"])),
        keys("a key of no-break spaces", ("\u00a0\u00a0", ["id.trimmed", "id.not_blank"])),
        keys("a key of zero-width spaces", ("\u200b\u200b", ["id.printable", "id.not_blank"])),
        keys(
            "invalid UTF-8",
            (b"\xc3(-1", ["id.valid_utf8"]),
            note="stored with U+FFFD instead: readers fail on the bytes",
        ),
        keys(
            "invalid UTF-8 twice",
            (b"\xffz", ["id.valid_utf8", "id.unique"]),
            (b"\xfez", ["id.valid_utf8", "id.unique"]),
            note="the same once the bytes are replaced",
        ),
        keys("256 characters", ("k" * 256, [])),
        keys("257 characters", ("k" * 257, ["id.short"])),
        keys(
            "a key of 10 MB, twice",
            (MEGABYTES_10, ["id.short"]),
            (MEGABYTES_10, ["id.short"]),
            note="is not looked for among the duplicates, which come to the driver",
        ),
        keys(
            "homoglyphs", ("\u0430da-1", []), ("ada-1", []), note="two keys; a pattern excludes other scripts"
        ),
        keys("emoji and other scripts", ("\U0001f600-1", []), ("客户-1", []), ("ग्राहक-1", [])),
    ),
)

TEXT = Group(
    title="Free text",
    about="`name` is required, `note` is not.",
    cases=(  # given: what differs from a sound row
        quarantined("invalid UTF-8", "note.valid_utf8", given={"note": b"M\xfcller"}),
        quarantined("a character lost before", "note.valid_utf8", given={"note": "M\ufffdller"}),
        quarantined("a NUL byte", "note.no_control", given={"note": "a\x00b"}),
        quarantined("an escape sequence", "note.no_control", given={"note": "\x1b[31mred"}),
        quarantined("a C1 control character", "note.no_control", given={"note": "a\u0085b"}),
        quarantined("blank where required", "name.not_blank", given={"name": " \t"}),
        quarantined("empty where required", "name.not_blank", given={"name": ""}),
        quarantined("null where required", "name.not_null", given={"name": None}),
        warned(
            "blank where not required",
            "note.not_blank",
            given={"note": "\u00a0"},
            note="looks filled, and is not counted as missing",
        ),
        warned("null where not required", "note.not_null", given={"note": None}),
        accepted("tabs and line ends", given={"note": "a\tb\r\nc"}),
        accepted(
            "joined emoji, right to left, accents apart",
            given={"note": "\U0001f468\u200d\U0001f469 \u200fשלום\u200e cafe\u0301"},
        ),
        accepted("10 MB", given={"note": MEGABYTES_10}),
    ),
)

DATES = Group(
    title="Dates far off",
    about="Bounds of dates are rules of the contract; here one wants 1900 to the day of the snapshot.",
    cases=(
        accepted(
            "the epoch",
            given={"born": date(1970, 1, 1)},
            note="a date like any other, unless a rule says otherwise",
        ),
        quarantined("the first day of all", "born_lately", given={"born": date(1, 1, 1)}),
        quarantined("before 1582", "born_lately", given={"born": date(1582, 10, 4)}),
        quarantined("the day after the snapshot", "born_lately", given={"born": date(2025, 10, 22)}),
        quarantined("the last day Python knows", "born_lately", given={"born": date(9999, 12, 31)}),
        quarantined(
            "after the year 9999", "born_lately", given={"born": 2932897}, note="given as days since 1970"
        ),
    ),
)

MOMENT = datetime(2025, 10, 20, 12, tzinfo=UTC)
LOG = Group(
    title="Events that refer to keys",
    about="A log of weighted links between people, checked against the keys above, those of quarantined "
    "rows included.",
    cases=(  # given: (how many such rows, what differs from a sound one)
        quarantined(
            "10,000 orphans that share one key",
            "src.references",
            given=(10_000, {"src": "nobody"}),
            note="count as 10,000",
        ),
        quarantined("no key to refer to", "dst.not_null", given=(1, {"dst": None})),
        quarantined("a key in other case", "src.references", given=(1, {"src": "CID-1"})),
        quarantined("a key and a zero-width space", "src.references", given=(1, {"src": "cid-1\u200b"})),
        quarantined(
            "an accent apart where the key has none apart",
            "src.references",
            given=(1, {"src": "cafe\u0301-2"}),
        ),
        quarantined("a negative weight", "weight.range", given=(1, {"weight": -0.5})),
        quarantined(
            "a weight that is not a number",
            "weight.finite",
            "weight.range",
            given=(1, {"weight": float("nan")}),
        ),
        quarantined(
            "an event at the epoch",
            "since_2000",
            given=(1, {"at": datetime(1970, 1, 1, tzinfo=UTC)}),
            note="by a rule",
        ),
        quarantined(
            "an event after the landing of its delivery",
            "at.not_future",
            given=(1, {"at": datetime(2999, 1, 1, tzinfo=UTC)}),
        ),
        warned("a self-loop", "no_loop", given=(1, {"dst": "cid-1"}), note="by a rule"),
        warned("no weight", "weight.not_null", given=(1, {"weight": None})),
        accepted("the same event twice", given=(2, {"weight": 2.0}), note="a log has no key"),
        accepted("20,000 events of one customer", given=(20_000, {"weight": 3.0})),
        accepted("a key whose row is quarantined", given=(1, {"dst": "dup-1"})),
        accepted("a weight of negative zero", given=(1, {"weight": -0.0})),
    ),
)


def people() -> tuple[pa.Table, dict[int, Sequence[str]], dict[str, list[int]]]:
    """One delivery of all cases about rows of PEOPLE: the table, the rules each row breaks, and the rows of
    each case.
    """
    rows: list[dict[str, Any]] = []
    broken: dict[int, Sequence[str]] = {}
    of_case: dict[str, list[int]] = {}
    sound = {"name": "Ada", "note": "a note", "born": date(1990, 2, 28)}
    for group in (KEYS, TEXT, DATES):
        for c in group.cases:
            given = c.given if group is KEYS else [(None, c.evidence)]
            for key, rules in given:
                i = len(rows)
                changed = {"id": key} if group is KEYS else {"id": f"row-{i}"} | c.given
                rows.append(sound | changed | {"row": i})
                broken[i] = rules
                of_case.setdefault(f"{group.title}/{c.name}", []).append(i)
    return (
        pa.table(
            {
                "id": raw_text([r["id"] for r in rows]),
                "row": pa.array([r["row"] for r in rows], pa.int32()),
                "name": raw_text([r["name"] for r in rows]),
                "note": raw_text([r["note"] for r in rows]),
                "born": pa.array(
                    [
                        d if isinstance(d, int) else (d - date(1970, 1, 1)).days
                        for d in (r["born"] for r in rows)
                    ],
                    pa.date32(),
                ),
            }
        ),
        broken,
        of_case,
    )


def links() -> tuple[pa.Table, dict[str, int]]:
    """One delivery of all cases about events, and the `row` of each case."""
    sound = {"src": "cid-1", "dst": "cid-3", "weight": 1.0, "at": MOMENT}
    rows = [
        sound | changed | {"row": i}
        for i, c in enumerate(LOG.cases)
        for n, changed in [c.given]
        for _ in range(n)
    ]
    types = {
        "src": pa.string(),
        "dst": pa.string(),
        "row": pa.int32(),
        "weight": pa.float64(),
        "at": pa.timestamp("us", "UTC"),
    }
    table = pa.table(
        {name: pa.array([r[name] for r in rows], kind, from_pandas=False) for name, kind in types.items()}
    )
    return table, {c.name: i for i, c in enumerate(LOG.cases)}


def raw_text(values: Sequence[str | bytes | None]) -> pa.Array:
    """A Parquet string column whose bytes need not be UTF-8, which Parquet demands and writers do not
    check.
    """
    held = pa.array([v.encode() if isinstance(v, str) else v for v in values], pa.binary())
    return pa.Array.from_buffers(pa.string(), len(held), held.buffers())
