"""Decide which rules must not be shown, since with other figures of the same fields they would tell of fewer
than 20 customers. Pure: whoever shows rules to people asks here (the report, tools that answer questions).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping
from itertools import product

from engage_spark.contract.analytics_spec import AnalyticsSpec, DimensionSpec
from engage_spark.contract.statements import ClaimKind
from engage_spark.numerics.suppression import SMALLEST_GROUP, hidden_groups

Sides = tuple[int, int]
"""The numbers of those that a rule holds for, and does not hold for."""


def hidden_rules(
    spec: AnalyticsSpec,
    sizes: Mapping[str, Mapping[Hashable, Sides]],
    hidden_segments: Mapping[str, Collection[str]],
) -> frozenset[str]:
    """Return the rules of indicators and claims that must not be shown, in any column.

    `sizes` holds the sides of each rule by column, such as its customers, or those with a value of a metric.
    `hidden_segments` are those of the other dimensions, by dimension. A rule is hidden with
    - a side of 1 to 19;
    - a dimension of one of its fields that has hidden segments, since rules are unions of segments;
    - as the value of a field whose other values, and what is left of all, are as in `hidden_groups`;
    - a side that differs by 1 to 19 from a side of a rule of the same field that is shown: the one may lie
      within the other. Of two, the rule that is declared later is hidden.
    Cost: pairs of rules of the same field, times columns.
    """
    rules = [d for d in spec.dimensions if d.kind.is_rule and d.name in sizes]
    hidden = {r.name for r in rules if any(map(_is_small, _numbers(sizes[r.name])))}
    hidden |= {
        rule.name
        for rule, other in product(rules, spec.dimensions)
        if not other.kind.is_rule and hidden_segments.get(other.name) and rule.columns & other.columns
    }
    for partition in _values_of_fields(spec, rules).values():
        hidden |= _hidden_values({name: sizes[name] for name in partition}, hidden)
    shown: list[DimensionSpec] = []
    for rule in rules:
        if rule.name in hidden:
            continue
        related = [s for s in shown if rule.columns & s.columns and rule.source != s.source]
        if any(_differ_by_few(sizes[rule.name], sizes[s.name]) for s in related):
            hidden.add(rule.name)
        else:
            shown.append(rule)
    return frozenset(hidden)


def _values_of_fields(spec: AnalyticsSpec, rules: list[DimensionSpec]) -> dict[frozenset[str], list[str]]:
    """Return the rules that each stand for one value of a field, by the field."""
    of_shares = {c.dimension for c in spec.claims if c.kind is ClaimKind.REFERENCE_SHARE}
    by_field: dict[frozenset[str], list[str]] = defaultdict(list)
    for rule in rules:
        if rule.name in of_shares:
            by_field[rule.columns].append(rule.name)
    return by_field


def _hidden_values(sizes: Mapping[str, Mapping[Hashable, Sides]], hidden: Collection[str]) -> frozenset[str]:
    """Return what is hidden of the declared values of one field: with what is left, they are all of it."""
    columns = sorted({column for by_column in sizes.values() for column in by_column}, key=repr)
    table: dict[str | None, list[int]] = {
        name: [by_column.get(c, (0, 0))[0] for c in columns] for name, by_column in sizes.items()
    }
    wholes = [max(sum(by_column.get(c, (0, 0))) for by_column in sizes.values()) for c in columns]
    table[None] = [
        max(0, whole - sum(of_column)) for whole, *of_column in zip(wholes, *table.values(), strict=True)
    ]
    return frozenset(g for g in hidden_groups(table, hidden_elsewhere=hidden) if g is not None)


def _numbers(by_column: Mapping[Hashable, Sides]) -> list[int]:
    return [n for sides in by_column.values() for n in sides]


def _is_small(n: int) -> bool:
    return 0 < n < SMALLEST_GROUP


def _differ_by_few(first: Mapping[Hashable, Sides], second: Mapping[Hashable, Sides]) -> bool:
    """Return whether, in a column that both have, a side of the one is nearly a side of the other."""
    return any(
        _is_small(abs(a - b))
        for column in first.keys() & second.keys()
        for a, b in product(first[column], second[column])
    )
