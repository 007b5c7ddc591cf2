"""Correlate the metrics of sampled customers pair by pair: Pearson, Spearman, mutual information.

Each pair is measured on the customers that have both values, in one order of additions, so the numbers do not
depend on how many cores there are.

Source: Spearman's interval: D. Bonett, T. Wright, Psychometrika 65, 2000; mutual information less its bias:
G. Miller 1955; many tests: S. Holm, Scand. J. Stat. 6, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from engage_spark.analytics.intervals import CONFIDENCE
from engage_spark.analytics.state_rows import Row
from engage_spark.analytics.states import LARGEST
from engage_spark.numerics.dtypes import F64, I64
from engage_spark.numerics.jit import kernel

BINS = 20
"""Quantile bins of each metric for mutual information; equal values share one."""
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_FEWEST = 4
_ENUMERATED = 7
"""Rows up to which all orders are looked at."""
_BY_STUDENT = 100
_PERFECT = 1e-12
"""Correlations as near to 1 are taken for 1."""


def correlation_rows(sample: F64, metrics: Sequence[str], *, population: int) -> Iterator[Row]:
    """Return the rows of `correlations`: one per pair of metrics, in their order.

    `sample` has a row per customer and a column per metric, NaN where there is no value; infinities and
    values from 2^511 on are none, as in the states. A pair has no correlation where fewer than 4 customers
    have both values or one of them is constant there.
    Units: mutual information in nats, less its expected bias, never below 0.
    """
    sample = np.where(np.abs(sample) < LARGEST, sample, np.nan)
    columns = [np.ascontiguousarray(sample[:, i]) for i in range(len(metrics))]
    orders = [np.argsort(c, kind="stable") for c in columns]
    bins = [_bins(c, order) for c, order in zip(columns, orders, strict=True)]
    known = [~np.isnan(c) for c in columns]
    counts = [int(k.sum()) for k in known]
    own_ranks = [_ranks(*of_column) for of_column in zip(columns, orders, known, strict=True)]
    pairs = []
    for i, j in combinations(range(len(metrics)), 2):
        both = known[i] & known[j]
        n = int(both.sum())
        pearson = _pearson(columns[i], columns[j], both)
        # Among all values of a metric the ranks are always the same.
        ranks = [own_ranks[k] if n == counts[k] else _ranks(columns[k], orders[k], both) for k in (i, j)]
        spearman = _pearson(ranks[0], ranks[1], both)
        information = _information(bins[i], bins[j], BINS) if n else math.nan
        few = [r[both] for r in ranks] if n <= _BY_STUDENT else ()
        p_value = _p_value(spearman, n, *few)
        pairs.append(_Pair(metrics[i], metrics[j], n, pearson, spearman, information, p_value))
    p_values = [p.p_value for p in pairs]
    tested = sum(p is not None for p in p_values)
    for pair, p_value, adjusted in zip(pairs, p_values, holm(p_values), strict=True):
        pearson_ends = _interval(pair.pearson, 1.0, pair.n)
        spearman_ends = _interval(pair.spearman, 1 + pair.spearman**2 / 2, pair.n)
        yield {
            "first_metric": pair.first,
            "second_metric": pair.second,
            "n": pair.n,
            "n_population": population,
            "pearson": _known(pair.pearson),
            "pearson_lower": pearson_ends[0],
            "pearson_upper": pearson_ends[1],
            "spearman": _known(pair.spearman),
            "spearman_lower": spearman_ends[0],
            "spearman_upper": spearman_ends[1],
            "mutual_information": _known(pair.information),
            "p_value": p_value,
            "p_adjusted": adjusted,
            "pairs_tested": tested,
        }


class _Pair(NamedTuple):
    first: str
    second: str
    n: int
    pearson: float
    spearman: float
    information: float
    p_value: float | None


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for their number by Holm's method; None is no test."""
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        adjusted[i] = largest
    return adjusted


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _p_value(correlation: float, n: int, *ranks: F64) -> float | None:
    """Return the two-sided p-value of the correlation of ranks, which are given where there are up to 100.

    Of up to 7 rows it is exact: the share of all orders that correlate as much. Up to 100 it is Student's,
    and never less than the least that any order of the rows can have; from there on it is Fisher's.
    """
    if math.isnan(correlation) or n < _FEWEST:
        return None
    if n <= _ENUMERATED:
        orders = np.array(list(permutations(range(n))))
        x, y = (r - r.mean() for r in ranks)
        products = np.abs(x[orders] @ y)
        return float((products >= abs(float(x @ y)) * (1 - 1e-9)).mean())
    if n <= _BY_STUDENT:
        return max(_beta(1 - correlation * correlation, n / 2 - 1), *map(_least_p, ranks))
    if abs(correlation) >= 1:
        return 0.0
    return math.erfc(abs(math.atanh(correlation)) * math.sqrt((n - 3) / 2))


def _least_p(ranks: F64) -> float:
    """Return twice the share of the orders of rows that differ only among equal ranks."""
    equal = np.unique(ranks, return_counts=True)[1].tolist()
    share = math.fsum(math.lgamma(k + 1) for k in equal) - math.lgamma(len(ranks) + 1)
    return min(1.0, 2 * math.exp(share))


def _beta(x: float, a: float) -> float:
    """Return the regularised incomplete beta function of x with the parameters a and 1/2."""
    is_low = x < (a + 1) / (a + 2.5)
    y, first, second = (x, a, 0.5) if is_low else (1 - x, 0.5, a)
    if y <= 0:
        return 0.0 if is_low else 1.0
    term = total = 1.0
    for k in range(10_000):
        term *= y * (first + second + k) / (first + 1 + k)
        total += term
        if term < total * 1e-17:
            break
    scale = math.lgamma(a + 0.5) - math.lgamma(a) - math.lgamma(0.5)
    scale += first * math.log(y) + second * math.log1p(-y) - math.log(first)
    tail = total * math.exp(scale)
    return min(1.0, max(0.0, tail if is_low else 1 - tail))


def _interval(correlation: float, variance: float, n: int) -> tuple[float | None, float | None]:
    """Return the ends by Fisher's transformation. Of a perfect correlation, which has none, it is taken at
    half the step that one exchange of neighbours makes in the ranks; the end beyond is the correlation.
    """
    if math.isnan(correlation) or n < _FEWEST:
        return None, None
    size = abs(correlation)
    is_perfect = 1 - size < _PERFECT
    half = _Z * math.sqrt(variance / (n - 3))
    middle = math.atanh(1 - 6 / (n * (n * n - 1)) if is_perfect else size)
    low, high = math.tanh(middle - half), size if is_perfect else math.tanh(middle + half)
    return (low, high) if correlation > 0 else (-high, -low)


def _bins(values: F64, order: I64) -> I64:
    """Return the quantile bin of each value, −1 of none. Equal values are in the bin of their least rank."""
    n = int((~np.isnan(values)).sum())
    bins = np.full(len(values), -1, np.int64)
    if n:
        ordered = values[order[:n]]
        first = np.searchsorted(ordered, ordered, side="left")
        bins[order[:n]] = first * BINS // n
    return bins


@kernel
def _pearson(first: F64, second: F64, both: np.ndarray) -> float:
    """Return Pearson's correlation of the rows in `both`; NaN where a column is constant there."""
    n, x, y = 0, 0.0, 0.0
    for i in range(len(first)):
        if both[i]:
            n += 1
            x += first[i]
            y += second[i]
    if n < 4:
        return math.nan
    x, y = x / n, y / n
    xx, yy, xy = 0.0, 0.0, 0.0
    low_x, high_x, low_y, high_y = math.inf, -math.inf, math.inf, -math.inf
    for i in range(len(first)):
        if both[i]:
            a, b = first[i] - x, second[i] - y
            xx += a * a
            yy += b * b
            xy += a * b
            low_x, high_x = min(low_x, first[i]), max(high_x, first[i])
            low_y, high_y = min(low_y, second[i]), max(high_y, second[i])
    product = math.sqrt(xx) * math.sqrt(yy)
    if low_x == high_x or low_y == high_y or not 0.0 < product < math.inf:
        return math.nan
    return max(-1.0, min(1.0, xy / product))


@kernel
def _ranks(values: F64, order: I64, both: np.ndarray) -> F64:
    """Return the rank of each row in `both` among them, the average of equal ones."""
    ranks = np.zeros(len(values))
    rank, start, equal = 0, 0, 0
    for k in range(len(order) + 1):
        ends = k == len(order) or (equal > 0 and values[order[k]] != values[order[start]])
        if ends and equal:
            middle = rank + (equal + 1) / 2
            for j in range(start, k):
                if both[order[j]]:
                    ranks[order[j]] = middle
            rank += equal
            equal = 0
        if k < len(order) and both[order[k]]:
            if equal == 0:
                start = k
            equal += 1
    return ranks


@kernel
def _information(first: I64, second: I64, n_bins: int) -> float:
    """Return the mutual information of two columns of bins, in nats, less its bias."""
    table = np.zeros((n_bins, n_bins), np.int64)
    n = 0
    for i in range(len(first)):
        if first[i] >= 0 and second[i] >= 0:
            table[first[i], second[i]] += 1
            n += 1
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    information, cells = 0.0, 0
    for a in range(n_bins):
        for b in range(n_bins):
            if table[a, b]:
                cells += 1
                share = table[a, b] / n
                information += share * math.log(share * n / rows[a] * n / columns[b])
    bias = (cells - (rows > 0).sum() - (columns > 0).sum() + 1) / (2 * n)
    return max(0.0, float(information - bias))
