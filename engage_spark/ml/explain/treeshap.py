"""Compute exact Shapley values of sums of trees, compiled, for blocks of rows at a time.

What is computed is path-dependent TreeSHAP: the game in which an absent feature sends a row down both sides
of a split, weighted by the share of training rows that went there (Lundberg, Erion, Lee 2018,
arXiv:1802.03888, Algorithms 1 and 2; Lundberg et al. 2020, Nature Machine Intelligence 2:56-67). How it is
computed is another way than Algorithm 2, which extends and unwinds a path at every leaf, in O(leaves *
depth^2) a row. The Shapley value is the integral over t in 0..1 of a derivative of the game's multilinear
extension (Owen 1972, Management Science 18:P64-P79). A leaf of value v, whose path has features j with share
z_j of the rows, and o_j = 1 where this row goes along, else 0, gives

    phi_i = v * integral of (o_i - z_i) * product over j != i of (t * o_j + (1 - t) * z_j)  dt

a polynomial in t of degree (features on the path) - 1, so that Gauss-Legendre quadrature with half as many
points as features is exact but for rounding. At a point t the products are passed down the tree and the
leaves' sums passed up, once per node: O(nodes * depth / 2) a row, all terms of a product positive, nothing
unwound. (To share sums along edges is Linear TreeSHAP's idea: Yu et al. 2022, arXiv:2209.08192.)

Every row is computed by itself, in the same order of operations: its values do not depend on the rows beside
it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engage_spark.ml.explain.tree_ensemble import Ensemble
from engage_spark.numerics.dtypes import F64, I32
from engage_spark.numerics.jit import kernel

BLOCK = 128
"""Rows that go through a tree together: what is done once per node then costs little per row, and all state
stays in cache.
"""


class Tables(NamedTuple):
    """What the kernel needs to know of each node's edge from its parent, for each quadrature point.

    `again` is the depth of an edge above on the same feature, 0 where there is none. A row that has gone
    along all edges on that feature so far either goes along this one (`along`) or not (`aside`); one that had
    left before only meets the edge's `share`. Factors are what the product is multiplied with, weights what
    the leaves' sum counts for the feature, less what it counted further up.
    """

    depth: I32
    again: I32
    along_factor: F64
    along_weight: F64
    aside_factor: F64
    aside_weight: F64
    share: F64
    levels: int


def tables(trees: Ensemble) -> Tables:
    """Prepare what the kernel needs, once for any number of rows.

    Cost: O(nodes * depth).
    """
    nodes = len(trees.feature)
    depth, again = np.zeros(nodes, np.int32), np.zeros(nodes, np.int32)
    merged, before = np.ones(nodes), np.ones(nodes)
    share = np.ones(nodes)
    longest = int(_paths(trees.feature, trees.right, trees.cover, depth, again, merged, before, share))
    points, weights = np.polynomial.legendre.leggauss(max(1, (longest + 1) // 2))
    t, w = (points + 1.0) / 2.0, weights / 2.0
    # the factor of the same feature's edge above, which is now replaced
    above = t + (1.0 - t) * before[:, None]
    along = t + (1.0 - t) * merged[:, None]
    seen = (again > 0)[:, None]
    counted = np.where(seen, w * (1.0 - before[:, None]) / above, 0.0)
    return Tables(
        depth=depth,
        again=again,
        along_factor=along / above,
        along_weight=w * (1.0 - merged[:, None]) / along - counted,
        aside_factor=(1.0 - t) * merged[:, None] / above,
        aside_weight=-w / (1.0 - t) - counted,
        share=share,
        levels=int(depth.max()) + 1,
    )


def contributions(
    trees: Ensemble, x: F64, *, source: I32 | None = None, prepared: Tables | None = None
) -> F64:
    """Return Shapley values per row and feature; they and `trees.base` add up to `trees.raw(x)`.

    `x`: rows of assembled values. `source` gives each slot's feature, whose slots' values are added up (left
    out: slots by themselves).

    Units: those of the raw prediction.
    """
    values = trees.compared(x)
    origin = (
        np.arange(values.shape[1], dtype=np.int32)
        if source is None
        else np.ascontiguousarray(source, np.int32)
    )
    sums = np.zeros((len(values), int(origin.max()) + 1 if len(origin) else 0))
    ready = tables(trees) if prepared is None else prepared
    _explain(
        values,
        trees.feature,
        trees.threshold,
        trees.missing_left,
        trees.value,
        trees.roots,
        origin,
        ready.depth,
        ready.again,
        ready.along_factor,
        ready.along_weight,
        ready.aside_factor,
        ready.aside_weight,
        ready.share,
        ready.levels,
        sums,
    )
    return sums


@kernel
def _paths(
    feature: I32, right: I32, cover: F64, depth: I32, again: I32, merged: F64, before: F64, share: F64
) -> int:  # pragma: no cover - compiled
    """Fill what `Tables` says of edges, and return the most features on a path.

    `merged` is the share of a path's edges on one feature down to here.
    """
    nodes = len(feature)
    parent = np.full(nodes, -1, np.int32)
    different = np.zeros(nodes, np.int32)
    longest = 0
    for node in range(nodes):
        if feature[node] >= 0:
            parent[node + 1] = node
            parent[right[node]] = node
    for node in range(nodes):
        up = parent[node]
        if up < 0:
            continue
        depth[node] = depth[up] + 1
        share[node] = cover[node] / cover[up]
        different[node] = different[up] + 1
        edge = up
        while parent[edge] >= 0:
            if feature[parent[edge]] == feature[up]:
                again[node] = depth[edge]
                before[node] = merged[edge]
                different[node] = different[up]
                break
            edge = parent[edge]
        merged[node] = before[node] * share[node]
        longest = max(longest, different[node])
    return longest


@kernel
def _explain(
    x: F64,
    feature: I32,
    threshold: F64,
    missing_left: NDArray[np.bool_],
    value: F64,
    roots: I32,
    source: I32,
    depth: I32,
    again: I32,
    along_factor: F64,
    along_weight: F64,
    aside_factor: F64,
    aside_weight: F64,
    share: F64,
    levels: int,
    contributions: F64,
) -> None:  # pragma: no cover - compiled
    nodes, points = len(feature), along_factor.shape[1]
    product, total = np.ones((levels, points, BLOCK)), np.zeros((levels, points, BLOCK))
    # along all edges on this edge's feature, with and without it
    went, gone = np.ones((levels, BLOCK)), np.ones((levels, BLOCK))
    values, sums = np.zeros((x.shape[1], BLOCK)), np.zeros((contributions.shape[1], BLOCK))
    on_path = np.zeros(levels, np.int32)
    for start in range(0, len(x), BLOCK):
        rows = min(BLOCK, len(x) - start)
        values[:, :rows] = x[start : start + rows].T
        sums[:] = 0.0
        for tree in range(len(roots)):
            end = roots[tree + 1] if tree + 1 < len(roots) else nodes
            open_level = 0
            for node in range(roots[tree], end + 1):
                level = depth[node] if node < end else 0
                while open_level > 0 and open_level >= level:  # all below this edge has been visited
                    edge = on_path[open_level]
                    _close(
                        total[open_level],
                        total[open_level - 1],
                        went[open_level],
                        gone[open_level],
                        along_weight[edge],
                        aside_weight[edge],
                        sums[source[feature[on_path[open_level - 1]]]],
                    )
                    open_level -= 1
                if node == end:
                    break
                if level > 0:
                    up = on_path[level - 1]
                    if again[node] > 0:
                        gone[level] = went[again[node]]
                    else:
                        gone[level] = 1.0
                    _decide(
                        values[feature[up]],
                        threshold[up],
                        missing_left[up],
                        node == up + 1,
                        gone[level],
                        went[level],
                    )
                    _multiply(
                        product[level - 1],
                        product[level],
                        went[level],
                        gone[level],
                        along_factor[node],
                        aside_factor[node],
                        share[node],
                    )
                on_path[level], open_level = node, level
                for q in range(points):
                    for r in range(BLOCK):
                        total[level, q, r] = value[node] * product[level, q, r]  # an inner node's value is 0
        contributions[start : start + rows] = sums[:, :rows].T


@kernel
# pragma: no cover - compiled
def _decide(values: F64, threshold: float, missing_left: bool, left: bool, gone: F64, went: F64) -> None:
    for r in range(BLOCK):
        goes_left = values[r] <= threshold or (missing_left and values[r] != values[r])
        went[r] = gone[r] if goes_left == left else 0.0


@kernel
# pragma: no cover - compiled
def _multiply(above: F64, product: F64, went: F64, gone: F64, along: F64, aside: F64, share: float) -> None:
    for q in range(product.shape[0]):
        for r in range(BLOCK):
            factor = along[q] if went[r] > 0.0 else (aside[q] if gone[r] > 0.0 else share)
            product[q, r] = above[q, r] * factor


@kernel
# pragma: no cover - compiled
def _close(total: F64, above: F64, went: F64, gone: F64, along: F64, aside: F64, sums: F64) -> None:
    for q in range(total.shape[0]):
        for r in range(BLOCK):
            weight = along[q] if went[r] > 0.0 else (aside[q] if gone[r] > 0.0 else 0.0)
            sums[r] += total[q, r] * weight
            above[q, r] += total[q, r]
