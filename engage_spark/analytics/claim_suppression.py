"""Decide which claims' figures must not be shown, since they would tell of fewer than 20 customers.

Pure: whoever shows claims to people asks here (the report, tools that answer questions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engage_spark.contract.analytics_spec import AnalyticsSpec
from engage_spark.contract.statements import ClaimKind
from engage_spark.numerics.suppression import (
    SMALLEST_GROUP,
    coarse,
    coarse_ends,
    count_beside,
    hidden_groups,
    is_small,
)

_OF_GROUPS = (ClaimKind.RATIO, ClaimKind.DIFFERENCE, ClaimKind.GROUP_MEAN, ClaimKind.HIGHEST)
_OF_DELIVERIES = (ClaimKind.RULES, ClaimKind.MISSING, ClaimKind.GATE, ClaimKind.UNMEASURABLE)
FEW_LACK = (
    f"Fewer than {SMALLEST_GROUP} lack a value: n and how it was decided are not shown, and figures have "
    "fewer digits."
)
Row = Mapping[str, Any]
"""A row of `claims`."""


def small_claims(rows: Sequence[Row]) -> frozenset[str]:
    """Return the claims whose measurement is not shown: of too few customers in all, in its group or in the
    rest; shares that stand for too few; and shares that give such a one of the same source away.

    Where a row does not say how many its group and the rest are, a comparison of groups is not shown.
    """
    hidden = {r["claim"] for r in rows if is_small(r["n"]) or _has_small_group(r)}
    by_source: dict[str, dict[str | None, list[int]]] = {}
    wholes: dict[str, int] = {}
    for r in rows:
        if r["unit"] == "share" and r["measured"] is not None and 0 <= r["measured"] <= 1:
            hits = round(r["measured"] * r["n"])
            if hidden_groups({"yes": [hits], "no": [r["n"] - hits]}):
                hidden.add(r["claim"])
            by_source.setdefault(r["source"], {})[r["claim"]] = [hits]
            if r.get("kind") == ClaimKind.REFERENCE_SHARE:
                wholes[r["source"]] = max(r["n"], wholes.get(r["source"], 0))
    for source, shares in by_source.items():
        # What no declared share stands for follows from those that are shown.
        rest = wholes.get(source, 0) - sum(hits for (hits,) in shares.values())
        hidden |= hidden_groups(shares | {None: [max(0, rest)]}, hidden_elsewhere=hidden) - {None}
    return frozenset(hidden)


def without_few_broken(rows: Iterable[Row], spec: AnalyticsSpec) -> list[dict[str, Any]]:
    """Return rows of claims without the share of customers who break a check, where they are fewer than 20,
    or those who pass it are; the explanation has no count so small.
    """
    kinds = (ClaimKind.RULES, ClaimKind.MISSING)
    of_customers = {c.name for c in spec.claims if c.kind in kinds and c.table == spec.entity}
    none = dict.fromkeys(("measured", "lower", "upper"))
    return [{**r, **none} if r["claim"] in of_customers and _is_of_few(r) else dict(r) for r in rows]


def without_few_lacking(rows: Iterable[Row], customers: int) -> list[dict[str, Any]]:
    """Return rows of claims without the n that, beside the number of customers of the day, would tell that
    fewer than 20 lack a value or are in no group. There the figures have so few digits that they do not tell
    it, either, and the explanation, which has both, is left out. Claims on rows of deliveries are as they
    are.
    """
    return [_without_n(r, customers) if _lacks_few(r, customers) else dict(r) for r in rows]


def _lacks_few(row: Row, customers: int) -> bool:
    return row.get("kind") not in _OF_DELIVERIES and count_beside(row["n"], customers) is None


def _without_n(row: Row, customers: int) -> dict[str, Any]:
    low, high = coarse_ends(row["lower"], row["upper"], customers)
    figures = {"measured": coarse(row["measured"], customers), "lower": low, "upper": high}
    return {**row, **figures, **dict.fromkeys(("n", "n_group", "n_rest")), "explanation": FEW_LACK}


def _is_of_few(row: Row) -> bool:
    """Return whether a percentage of customers stands for few, or leaves few."""
    if row["measured"] is None:
        return False
    hits = round(row["measured"] * row["n"] / 100)
    return is_small(hits) or is_small(row["n"] - hits)


def _has_small_group(row: Row) -> bool:
    """Return whether a claim's group or the rest is small, or not known to be large enough."""
    groups = row.get("n_group"), row.get("n_rest")
    if None in groups and row.get("kind") in _OF_GROUPS:
        return bool(row["n"])
    return any(map(is_small, groups))
