"""Sums of groups whose customers have one row each, from their counts."""

from __future__ import annotations

from fractions import Fraction

from engage_spark.ml.fairness.group_sums import GroupSums


def single_rows(n: int, *, ones: int, selected: int, hits: int) -> GroupSums:
    """Return the sums of a binary target's group: scores of a half, squared errors of a fifth."""
    squares = Fraction(n, 5)
    error = Fraction(n, 2) - ones
    products = {("n", "n"): n, ("n", "label"): ones, ("n", "selected"): selected, ("n", "hits"): hits}
    products |= {("label", "label"): ones, ("label", "selected"): hits, ("label", "hits"): hits}
    products |= {("selected", "selected"): selected, ("selected", "hits"): hits, ("hits", "hits"): hits}
    return GroupSums(
        rows=n,
        customers=n,
        totals={
            "n": n,
            "label": ones,
            "selected": selected,
            "hits": hits,
            "score": Fraction(n, 2),
            "squares": squares,
            "error": error,
        },
        products=products | {("n", "error"): error, ("error", "error"): squares},
    )
