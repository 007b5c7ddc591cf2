"""Trees drawn at random, and Shapley values by their definition, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import factorial, isnan

import numpy as np

from engage_spark.ml.explain.tree_ensemble import Node

Trees = list[tuple[float, list[Node]]]


def random_trees(
    rng: np.random.Generator, *, trees: int, depth: int, slots: int, stop: float = 0.15
) -> Trees:
    """(weight, nodes) of each; thresholds and leaves are normal, covers whole numbers that add up."""
    return [(float(rng.normal()), _grown(rng, depth, slots, stop)) for _ in range(trees)]


def _grown(rng: np.random.Generator, depth: int, slots: int, stop: float) -> list[Node]:
    nodes: dict[int, Node] = {}

    def grow(level: int, cover: int) -> int:
        at = len(nodes)
        nodes[at] = Node(at, -1, 0.0, -1, -1, float(rng.normal()), float(cover))
        if level < depth and cover > 1 and rng.random() >= stop:
            feature, threshold, goes_left = (
                int(rng.integers(slots)),
                float(rng.normal()),
                int(rng.integers(1, cover)),
            )
            default = bool(rng.integers(2))
            left = grow(level + 1, goes_left)
            right = grow(level + 1, cover - goes_left)
            nodes[at] = Node(at, feature, threshold, left, right, 0.0, float(cover), default)
        return at

    grow(0, 4096)
    return [nodes[i] for i in range(len(nodes))]


def by_definition(trees: Trees, row: Sequence[float], slots: int) -> list[float]:
    """Each slot's Shapley value: its gain over every set of the others, weighted (Shapley 1953), in the
    path-dependent game.
    """

    def expected(nodes: list[Node], at: int, known: frozenset[int]) -> float:
        node = nodes[at]
        if node.left < 0:
            return node.value
        if node.feature in known:
            v = row[node.feature]
            goes_left = node.missing_left if isnan(v) else v <= node.threshold
            return expected(nodes, node.left if goes_left else node.right, known)
        sides = (nodes[node.left], nodes[node.right])
        return sum(expected(nodes, child.id, known) * child.cover for child in sides) / node.cover

    def worth(known: frozenset[int]) -> float:
        return sum(weight * expected(nodes, 0, known) for weight, nodes in trees)

    values = []
    for slot in range(slots):
        others = [s for s in range(slots) if s != slot]
        total = 0.0
        for size in range(slots):
            share = factorial(size) * factorial(slots - size - 1) / factorial(slots)
            total += share * sum(
                worth(frozenset(c) | {slot}) - worth(frozenset(c)) for c in combinations(others, size)
            )
        values.append(total)
    return values
