"""Add up what the figures of a group need: totals over its rows, and products of totals over its customers.

A figure is a share or a mean: one total over another. How sure it is follows from the customers behind it,
not from the rows, since the rows of one customer are alike. Customers are told apart within a group, so that
the sum over customers of the product of two of a customer's own totals is all that the error of a ratio of
totals needs. Pure; sums of whole numbers or exactly rounded, so the order of rows does not matter.

Source: W. G. Cochran, "Sampling Techniques", 1977, section 2.9 (ratios of cluster totals); L. Kish, "Survey
Sampling", 1965, section 8.2 (effective numbers).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import InputError
from engage_spark.ml.feature_spec import Task
from engage_spark.numerics.dtypes import F64

Exact = int | Fraction
Combination = Mapping[str, int]
"""A total made of others: coefficients by name."""

COUNTS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("n", "label", "selected", "hits", "covered"),
    Task.REGRESSION: ("n", "covered"),
}
"""Totals that count rows: all, those labelled 1, those selected, those that are both, those whose label was
covered.
"""
AMOUNTS: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: ("score", "squares", "error"),
    Task.REGRESSION: ("label", "score", "squares", "error", "absolute"),
}
"""Totals of numbers, in the target's unit (`squares`: its square)."""
PRODUCTS: Mapping[Task, tuple[tuple[str, str], ...]] = {
    Task.BINARY: (
        *(("n", x) for x in COUNTS[Task.BINARY]),
        ("label", "label"),
        ("label", "selected"),
        ("label", "hits"),
        ("selected", "selected"),
        ("selected", "hits"),
        ("hits", "hits"),
        ("covered", "covered"),
        ("n", "error"),
        ("error", "error"),
    ),
    Task.REGRESSION: (
        ("n", "n"),
        ("n", "covered"),
        ("covered", "covered"),
        ("n", "error"),
        ("error", "error"),
        ("n", "absolute"),
        ("absolute", "absolute"),
    ),
}
"""Pairs of totals whose product, customer by customer, some figure's error needs."""


@dataclass(frozen=True, kw_only=True)
class GroupSums:
    """Exact sums of a group: its rows, its customers, `totals` by name, and `products` by pair of names.

    `covered` is not among them where coverage is not measured.
    """

    rows: int = 0
    customers: int = 0
    totals: Mapping[str, Exact] = field(default_factory=dict)
    products: Mapping[tuple[str, str], Exact] = field(default_factory=dict)

    def __add__(self, other: GroupSums) -> GroupSums:
        """Join two groups; a customer that has rows in both counts as two."""
        return GroupSums(
            rows=self.rows + other.rows,
            customers=self.customers + other.customers,
            totals=_added(self.totals, other.totals),
            products=_added(self.products, other.products),
        )

    def total(self, of: Combination) -> Exact:
        """Return the sum over the rows."""
        return sum((c * self.totals[name] for name, c in of.items()), 0)

    def product(self, left: Combination, right: Combination) -> Exact:
        """Return the sum over customers of the product of two of their totals."""
        pairs = ((a, b, x * y) for a, x in left.items() for b, y in right.items())
        return sum((c * self._product(a, b) for a, b, c in pairs), 0)

    def _product(self, a: str, b: str) -> Exact:
        return self.products[(a, b)] if (a, b) in self.products else self.products[(b, a)]


def _added(left: Mapping[Any, Exact], right: Mapping[Any, Exact]) -> dict[Any, Exact]:
    return {k: left.get(k, 0) + right.get(k, 0) for k in {**left, **right}}


def sums_by_group(
    groups: Sequence[str] | NDArray[Any],
    labels: Any,
    predictions: Any,
    *,
    task: Task,
    customers: Any,
    decisions: Any = None,
    covered: Any = None,
    weights: Any = None,
) -> dict[str, GroupSums]:
    """Add up rows by group, in the order of the groups' names.

    `customers`: what names the customer of each row, a number or text. `decisions`: of a binary target, who
    is selected. `weights`: how many rows each row stands for; they are scaled to a mean of 1, since what is
    known depends on the rows that were seen.

    Nulls: no NaN may be among them.

    Errors: InputError where the arrays differ in length, or a number is not finite.
    """
    y, p, w, held, selected = _columns(labels, predictions, weights, covered, decisions, task)
    if not len(groups) == len(y) == len(np.asarray(customers)):
        raise InputError(
            f"{len(groups)} groups and {len(np.asarray(customers))} customers are given for {len(y)} rows",
            hint="give the group and the customer of every row",
        )
    parts: dict[str, F64] = {"n": np.ones(len(y)), "label": y, "score": p, "error": p - y}
    parts |= {"squares": (p - y) ** 2, "absolute": np.abs(p - y)}
    parts |= {"selected": selected, "hits": selected * (y == 1)}
    parts |= {} if held is None else {"covered": held}
    names = [n for n in (*COUNTS[task], *AMOUNTS[task]) if n in parts]
    group_names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    owner_names, owner = np.unique(np.asarray(customers), return_inverse=True)
    pairs, cell = np.unique(group * len(owner_names) + owner, return_inverse=True)
    # The cells of a customer: sums of few rows, in an order that depends on the values alone.
    order = np.lexsort((*(parts[n] for n in names), w, cell))
    own = {n: np.bincount(cell[order], weights=(w * parts[n])[order], minlength=len(pairs)) for n in names}
    of_cell = pairs // len(owner_names)
    sums: dict[str, GroupSums] = {}
    for g, name in enumerate(group_names):
        within = of_cell == g
        columns = {n: x[within] for n, x in own.items()}
        sums[str(name)] = GroupSums(
            rows=int((group == g).sum()),
            customers=int(within.sum()),
            totals={n: _exact(x) for n, x in columns.items()},
            products={
                (a, b): _exact(columns[a] * columns[b])
                for a, b in PRODUCTS[task]
                if a in columns and b in columns
            },
        )
    return sums


def _exact(values: F64) -> Exact:
    total = math.fsum(values.tolist())
    return int(total) if total.is_integer() else Fraction(total)


def _columns(
    labels: Any, predictions: Any, weights: Any, covered: Any, decisions: Any, task: Task
) -> tuple[F64, F64, F64, F64 | None, F64]:
    """Return labels, predictions, weights, coverage and decisions as doubles."""
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    held = None if covered is None else np.asarray(covered, dtype=np.float64)
    if task is Task.BINARY and decisions is None:
        raise InputError("a binary target is compared by decisions", hint="say who is selected")
    selected = np.zeros(len(y)) if decisions is None else np.asarray(decisions, dtype=np.float64)
    arrays = [y, p, w, selected, *([] if held is None else [held])]
    if any(len(x) != len(y) for x in arrays) or not all(np.isfinite(x).all() for x in arrays):
        raise InputError(
            "labels, predictions, weights and decisions must be numbers, one of each for every row",
            hint="compare the rows that have all of them",
        )
    if len(w) and not (w.min() >= 0 and w.sum() > 0):
        raise InputError("weights must not be negative, nor all 0", hint="weigh rows by how many they are")
    return y, p, w if weights is None else w * (len(w) / math.fsum(w.tolist())), held, selected
