"""Contracts that are made to cost time: much of one thing, within the limits of YAML."""

from __future__ import annotations

import json

from tests.support.bad_input.declared import Group, refused

_HEAD = """apiVersion: v3.1.0
kind: DataContract
id: heavy
name: Heavy
version: 1.0.0
schema:
"""
_VALUES = "{type: library, metric: invalidValues, mustBe: 0, arguments: {validValues: [%s]}}"


def entity(fields: str, quality: str = "") -> str:
    """A contract of one entity."""
    listed = f"    quality:\n{quality}" if quality else ""
    kind = "    customProperties: [{property: kind, value: entity}]\n"
    return f"{_HEAD}  - name: e\n{kind}{listed}    properties:\n{fields}"


def fields(n: int, more: str = "") -> str:
    """Fields `f0`, `f1`, …; an `@` in what else they say becomes their number."""
    return "".join(f"      - {{name: f{i}{more.replace('@', str(i))}}}\n" for i in range(n))


def derived(formulas: str) -> str:
    """An entity of a column `k`, and a table that is computed from it."""
    kind = "    customProperties: [{property: kind, value: derived}, {property: source, value: e}]\n"
    key = "      - {name: k, physicalType: bigint, logicalType: integer}\n"
    return f"{entity(key)}  - name: d\n{kind}    properties:\n{formulas}"


def quality(n: int, implementation: str, more: str = "") -> str:
    """Entries of a table's quality list; an `@` becomes their number."""
    one = f"type: custom, engine: engage_spark, implementation: {json.dumps(implementation)}{more}"
    return "".join(f"      - {{name: r{i}, {one.replace('@', str(i))}}}\n" for i in range(n))


def ruled(n: int, expression: str) -> str:
    """An entity of two columns, with so many rules."""
    columns = "      - {name: n, physicalType: bigint, logicalType: integer}\n"
    text = "      - {name: t, physicalType: string, logicalType: string}\n"
    return entity(columns + text, quality(n, expression))


def of_type(n: int, kind: str, logical: str) -> str:
    """An entity of fields of one type."""
    return entity(fields(n, f", physicalType: {json.dumps(kind)}, logicalType: {logical}"))


_STRUCT = "struct<" + ",".join(f"a{i}:int" for i in range(1100)) + ">"
_NUMBERS = ",".join(map(str, range(12_000)))
_MIXED = ",".join(f"v{i},{i}" for i in range(18_000))
_MEMBERS = quality(600, "s.a1099 > 1 AND s.a0 > 1 AND s.a600 > 1 AND s = s")
_WIDE = f"      - {{name: s, logicalType: object, physicalType: {json.dumps(_STRUCT)}}}\n"
HEAVY = Group(
    title="Contracts that are made to cost time",
    about="Each within the limits of YAML; refused in less than a second of processor time, with 200 "
    "violations at most.",
    cases=(
        refused("8,000 fields", "and 23,502 more", given=entity(fields(7_900))),
        refused("7,000 formulas", "violations", given=derived(fields(7_000, ", transformLogic: '1'"))),
        refused(
            "5,000 formulas, each of the one before",
            "violations",
            given=derived(fields(5_000, ", transformLogic: 'f@ + 1'")),
        ),
        refused(
            "4,000 references", "role must be", given=entity(fields(4_000, ", relationships: [{to: e.f@}]"))
        ),
        refused("4,500 tables", "kind must be", given=_HEAD + "".join(
            f"  - {{name: t{i}, properties: [{{name: a}}]}}\n" for i in range(4_500)
        )),
        refused(
            "2,400 baselines",
            "no description",
            given=entity(
                fields(2_400, ", customProperties: [{property: role, value: target}, "
                "{property: baseline, value: f@}]")
            ),
        ),
        refused("36,000 valid values, every other wrong", "is not of type integer", given=entity(
            f"      - {{name: a, logicalType: integer, physicalType: int, quality: [{_VALUES % _MIXED}]}}\n"
        )),
        refused("12,000 shares of 12,000 values", "sum to", given=entity(
            f"      - {{name: a, logicalType: integer, physicalType: int, quality: [{_VALUES % _NUMBERS}], "
            "customProperties: [{property: role, value: feature}, {property: referenceShares, value: {"
            + ",".join(f"'{i}': 0.1" for i in range(12_000)) + "}}]}\n"
        )),
        refused("2,500 gates about one of 12,000 values", "is not among the valid values", given=entity(
            f"      - {{name: a, logicalType: string, physicalType: string, quality: [{_VALUES % _NUMBERS}"
            + ", {type: custom, engine: engage_spark, implementation: share(zz)}" * 2_500 + "]}\n"
        )),
        refused(
            "1,200 gates about the means of 1,200 fields",
            "no description",
            given=entity(
                fields(1_200, ", customProperties: [{property: referenceMean, value: 1}]"),
                quality(1_200, "reference_means", ", mustBeLessThan: 1"),
            ),
        ),
        refused(
            "a million characters of rules", "characters together", given=ruled(240, "n>1 AND " * 499 + "n>1")
        ),
        refused(
            "rules as long as they may be",
            "role must be",
            given=ruled(24, "(n*n/n)%n > 1 AND " * 110 + "n>1"),
        ),
        refused("rules about members of a wide struct", "violations", given=entity(_WIDE, _MEMBERS)),
        refused("100 types of 10,000 characters", "violations", given=of_type(100, _STRUCT, "object")),
        refused(
            "a type of 90,000 characters, deep and wide",
            "is not supported",
            given=of_type(10, "array<" * 19 + "struct<" + "a:int," * 14_000 + "b:int>" + ">" * 19, "array"),
        ),
        refused("480 patterns of 2,000 characters", "violations", given=entity(fields(
            480, ", physicalType: string, logicalType: string, logicalTypeOptions: {pattern: "
            f"{'(a)' * 660}}}"
        ))),
        refused("names of 100,000 characters", "violations", given=entity(
            "".join(f"      - {{name: {'z' * 100_000}{i}}}\n" for i in range(9))
        )),
        refused("unknown keys", "unknown key", given=entity(fields(3_000, ", a: 1, b: 2, c: 3, d: 4"))),
        refused(
            "5,000 lists as names", "valid string", given=_HEAD + "  - {name: [1], quality: x}\n" * 5_000
        ),
    ),
)  # fmt: skip
