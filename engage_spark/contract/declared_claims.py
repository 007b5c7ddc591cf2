"""Make claims of what a contract declares of its fields and tables anyway: means, shares, checks of rows."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from engage_spark.contract.analytics_spec import ClaimSpec, DimensionKind, DimensionSpec, MetricSpec
from engage_spark.contract.model import Contract, Field, Table
from engage_spark.contract.sql_nodes import quoted, text_literal
from engage_spark.contract.statements import ClaimKind

MOST_SHARES = 50
"""Declared shares of one field that are claims: the greatest, since each has to be counted."""


def reference_metric(name: str, f: Field, source: str, table: str) -> MetricSpec:
    """Return the metric of a field that only the claim of its declared mean asks for."""
    return MetricSpec(
        name=name,
        source=source,
        tables=(table,),
        unit=f.unit,
        description=f.description,
        digits=0 if f.logical_type == "integer" else None,
        is_personal=f.is_personal,
        of_claim=True,
    )


def reference_claims(
    name: str, f: Field, table: str, metric: MetricSpec | None, category: DimensionSpec | None
) -> tuple[list[ClaimSpec], list[DimensionSpec]]:
    """Return the claims of a field's declared mean and shares, with the rules that they need.

    `metric` and `category` are what is counted of the field already; its mean needs the metric.
    """
    rules, claims = list[DimensionSpec](), list[ClaimSpec]()
    if f.reference_mean is not None and metric is not None:
        claims.append(
            ClaimSpec(
                name=f"{name}_mean",
                version=1,
                statement=f"The mean of {name} is {f.reference_mean:.10g}{f' {f.unit}' if f.unit else ''}.",
                source=f"{table}.{name}: referenceMean",
                kind=ClaimKind.REFERENCE_MEAN,
                unit=f.unit,
                metric=metric.name,
                claimed=f.reference_mean,
                tables=(table,),
            )
        )
    shares = _claimed_shares(f)
    if f.is_two_classes and metric is not None and {s.value for s in shares} == {0, 1}:
        return [*claims, *(_share(name, table, s, metric=metric.name) for s in shares if s.value == 1)], []
    for share in shares:
        value = share.value
        if category is not None:
            claims.append(_share(name, table, share, dimension=category.name, segment=str(value)))
            continue
        rule = DimensionSpec(
            name=f"{name}_{share.slug}",
            kind=DimensionKind.CLAIM,
            source=f"CAST({quoted(name)} AS STRING) = {text_literal(str(value))}",
            tables=(table,),
            description=f"{name} is {value}",
            is_personal=f.is_personal,
        )
        rules.append(rule)
        claims.append(_share(name, table, share, dimension=rule.name, segment="true"))
    return claims, rules


class _Share(NamedTuple):
    value: str | int
    share: float
    slug: str
    """The value as a part of a name; its place among the values where two would look alike."""


def _claimed_shares(f: Field) -> list[_Share]:
    """Return the greatest declared shares of a field, in the order of their declaration."""
    slugs = [re.sub(r"[^a-z0-9]+", "_", str(v).lower()).strip("_") for v, _ in f.reference_shares]
    times = Counter(slugs)
    shares = [
        _Share(value, share, slug if slug and times[slug] == 1 else str(place))
        for place, ((value, share), slug) in enumerate(zip(f.reference_shares, slugs, strict=True), 1)
    ]
    greatest = sorted(range(len(shares)), key=lambda at: -shares[at].share)[:MOST_SHARES]
    return [shares[at] for at in sorted(greatest)]


def _share(
    name: str,
    table: str,
    share: _Share,
    *,
    metric: str | None = None,
    dimension: str | None = None,
    segment: str | None = None,
) -> ClaimSpec:
    return ClaimSpec(
        name=f"{name}_{share.slug}_share",
        version=1,
        statement=f"{name} is {share.value} for {share.share * 100:.10g}% of the customers.",
        source=f"{table}.{name}: referenceShares",
        kind=ClaimKind.REFERENCE_SHARE,
        unit="share",
        metric=metric,
        dimension=dimension,
        segment=segment,
        claimed=share.share,
        tables=(table,),
    )


def claims_of_tables(contract: Contract) -> list[ClaimSpec]:
    """Return the claims that hold where no row of a table breaks a check: one per table and kind of check."""
    claims = []
    for table in contract.tables:
        if table.kind.value not in ("entity", "log"):
            continue
        ranges = [f.name for f in table.fields if f.minimum is not None or f.maximum is not None]
        valid = [f.name for f in table.fields if f.allowed]
        patterns = [f.name for f in table.fields if f.pattern is not None]
        key = "+".join(table.key)
        missing = [
            (f"{f.name}.not_null", f.max_missing_pct) for f in table.fields if f.max_missing_pct is not None
        ]
        parts = (
            ("ranges", "Every value lies within its declared range.", [f"{n}.range" for n in ranges]),
            (
                "valid_values",
                "Every category has one of its declared values.",
                [f"{n}.allowed" for n in valid],
            ),
            ("formats", "Every value has its declared format.", [f"{n}.pattern" for n in patterns]),
            ("unique_keys", f"No two rows have the same {key}.", [f"{key}.unique"] if key else []),
            ("rules", "Every row keeps the rules between fields.", [r.name for r in table.rules]),
            (
                "references",
                "Every reference is to a row that is there.",
                [f"{r.column}.references" for r in table.references],
            ),
        )
        claims += [
            _of_checks(table, name, statement, ClaimKind.RULES, [(rule, 0.0) for rule in rules])
            for name, statement, rules in parts
            if rules
        ]
        if missing:
            statement = "Of every field, fewer values are missing than declared."
            claims.append(_of_checks(table, "missing_values", statement, ClaimKind.MISSING, missing))
    return claims


def _of_checks(
    table: Table, name: str, statement: str, kind: ClaimKind, rules: list[tuple[str, float]]
) -> ClaimSpec:
    return ClaimSpec(
        name=f"{table.name}_{name}",
        version=1,
        statement=f"{table.name}: {statement[0].lower()}{statement[1:]}",
        source=f"{table.name}: declared checks",
        kind=kind,
        unit="percent",
        claimed=0.0 if kind is ClaimKind.RULES else max(limit for _, limit in rules),
        table=table.name,
        rules=tuple(rules),
    )
