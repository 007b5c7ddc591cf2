"""Test whether a model's features tell who is in a protected group.

A linear score per group (ridge least squares on standardised features, text as one column per value) is
fitted on half of the customers and measured on the other half by its AUC, that group against all others. Near
0.5, no linear combination of the features gives the group away; what only a combination of a nonlinear kind
would see, this test does not. It says what could be learnt, not what a model has learnt. Pure numpy.

Cost: one product of the features with themselves, (rows x columns^2), and the bootstrap of one AUC per group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import InputError
from engage_spark.ml.evaluation.bootstrap import Interval, intervals
from engage_spark.ml.evaluation.metrics import METRICS
from engage_spark.ml.fairness.group_metrics import MISSING
from engage_spark.numerics.dtypes import F64
from engage_spark.numerics.splitmix import GOLDEN, mix64

VALUES = 50
"""Values of a text feature that have columns of their own; the rarer ones share one."""
_RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A feature behind a group's score.

    `alone`: the AUC of its own part of the score; `lost`: what the AUC loses without it.
    """

    feature: str
    alone: float
    lost: float


@dataclass(frozen=True, kw_only=True)
class ProxyGroup:
    """How well the features tell a group from all others. `n`: its rows among those it is tested on."""

    group: str
    n: int
    auc: Interval
    carriers: tuple[Carrier, ...]


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """The test of one attribute.

    `features`: how many were tested; `left_out`: groups of fewer than `smallest` customers to fit or to
    measure.
    """

    attribute: str
    features: int
    fitted: int
    judged: int
    smallest: int
    groups: tuple[ProxyGroup, ...]
    left_out: tuple[str, ...]

    @property
    def strongest(self) -> ProxyGroup:
        """The group that the features tell best."""
        return max(self.groups, key=lambda g: g.auc.value)


def proxy_test(
    columns: Mapping[str, Any],
    groups: Sequence[str | None],
    *,
    attribute: str,
    keys: Any,
    smallest: int = 100,
    carriers: int = 5,
    replicates: int = 200,
    seed: int = 0,
) -> Proxy:
    """Measure how well `columns` tell the groups of `attribute` apart.

    `columns`: features by name, numbers with NaN for null (the mean of the fitted half stands in, as in the
    models) or text with None; the attribute itself, if it is among them, is left out. `groups`: each row's
    group; None is one of its own. `keys`: a whole number per row that names its customer, such as a hash of
    the key; all rows of one customer are in the same half, whatever the order of the rows.

    Errors: InputError where fewer than two groups have `smallest` customers in both halves, or no feature
    varies.
    """
    order, fit = _halves(keys, seed)
    names = np.asarray([MISSING if g is None else str(g) for g in groups], dtype=object)[order]
    blocks = {n: _block(np.asarray(c)[order], fit) for n, c in columns.items() if n != attribute}
    blocks = {n: b for n, b in blocks.items() if b.shape[1]}
    if not blocks:
        raise InputError(
            f"no feature varies, so nothing can tell {attribute}",
            hint="give the features that the model looks at",
        )
    group_names = sorted(set(names.tolist()), key=lambda g: (g == MISSING, g))
    owner = np.asarray(keys)[order]
    large = [
        g
        for g in group_names
        if min(len(np.unique(owner[side & (names == g)])) for side in (fit, ~fit)) >= smallest
    ]
    if len(large) < 2:
        raise InputError(
            (
                f"it needs two groups of {attribute} with {smallest} rows in both halves, and "
                f"{'no group has' if not large else 'one group has'} so many"
            ),
            hint="evaluate more rows, or lower models.smallest_group",
        )
    x = np.column_stack(list(blocks.values()))
    labels = np.column_stack([(names == g).astype(np.float64) for g in large])
    betas = _ridge(x[fit], labels[fit])
    ends = np.cumsum([b.shape[1] for b in blocks.values()])
    held_out, owners = x[~fit], owner[~fit]
    proxy_groups = []
    for i, group in enumerate(large):
        parts = {
            n: held_out[:, end - b.shape[1] : end] @ betas[end - b.shape[1] : end, i]
            for (n, b), end in zip(blocks.items(), ends, strict=True)
        }
        proxy_groups.append(_group(group, labels[~fit, i], parts, owners, carriers, replicates, seed))
    return Proxy(
        attribute=attribute,
        features=len(blocks),
        fitted=int(fit.sum()),
        judged=int((~fit).sum()),
        smallest=smallest,
        groups=tuple(proxy_groups),
        left_out=tuple(g for g in group_names if g not in large),
    )


def _group(
    group: str, y: F64, parts: Mapping[str, F64], owners: Any, carriers: int, replicates: int, seed: int
) -> ProxyGroup:
    auc, score = METRICS["auc"], np.sum(list(parts.values()), axis=0)
    estimate = intervals([auc], y, score, clusters=owners, replicates=replicates, seed=seed)["auc"]
    assert estimate is not None  # both classes are there: the group, and another
    leading = sorted(parts, key=lambda n: (-float(np.std(parts[n])), n))[:carriers]
    carrying = [
        Carrier(feature=n, alone=auc(y, parts[n]), lost=estimate.value - auc(y, score - parts[n]))
        for n in leading
    ]
    carrying.sort(key=lambda c: (-c.lost, c.feature))
    return ProxyGroup(group=group, n=int(y.sum()), auc=estimate, carriers=tuple(carrying))


def _halves(keys: Any, seed: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return rows by mixed key, and which of them, in that order, are fitted on."""
    start = np.uint64(int(GOLDEN) * (seed + 1) % 2**64)
    hashes = mix64(np.asarray(keys).astype(np.int64).view(np.uint64) + start)
    order = np.argsort(hashes, kind="stable")
    return order, (hashes[order] & np.uint64(1)) == 0


def _block(column: Any, fit: NDArray[np.bool_]) -> F64:
    """Return a feature's columns, standardised by the fitted half; none where it does not vary there."""
    if column.dtype.kind in "biuf":
        x = column.astype(np.float64)
        own = x[fit & np.isfinite(x)]
        x = np.where(np.isfinite(x), x, own.mean() if len(own) else 0.0)[:, None]
    else:
        text = np.asarray([MISSING if v is None else str(v) for v in column], dtype=object)
        values, counts = np.unique(text[fit].astype(str), return_counts=True)
        frequent = values[np.lexsort((values, -counts))][:VALUES]
        x = (
            np.column_stack([text == v for v in frequent]).astype(np.float64)
            if len(frequent)
            else np.zeros((len(text), 0))
        )
    spread = x[fit].std(axis=0) if fit.any() else np.zeros(x.shape[1])
    varies = spread > 1e-12
    return np.asarray((x[:, varies] - x[fit].mean(axis=0)[varies]) / spread[varies])


def _ridge(x: F64, labels: F64) -> F64:
    """Return coefficients, a column per group.

    The small ridge decides what collinear columns, such as all values of a text, leave open.
    """
    gram = x.T @ x / len(x)
    return np.asarray(
        np.linalg.solve(gram + _RIDGE * np.eye(len(gram)), x.T @ (labels - labels.mean(axis=0)) / len(x))
    )
