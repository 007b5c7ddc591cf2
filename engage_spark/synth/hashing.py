"""Hash counters to random numbers and permutations: the same (seed, stream, counter) gives the same number in
any batch or partition.

Hashes are SplitMix64 finalisers. Permutations are alternating modular Feistel networks on a grid just large
enough for N, with cycle walking (Black, Rogaway 2002): invertible, local, no state.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.numerics.dtypes import F64, I64, U64
from engage_spark.numerics.splitmix import GOLDEN, M1, M2, mix64

_MASK = (1 << 64) - 1
_ROUNDS = 6


def stream_key(seed: int, name: str) -> int:
    """Return a 64-bit key for one named stream of one seed."""
    h = ((seed & _MASK) * int(GOLDEN) + zlib.crc32(name.encode()) * 0xD1342543DE82EF95 + len(name)) & _MASK
    for mult in (int(M1), int(M2)):
        h = ((h ^ (h >> 29)) * mult) & _MASK
    return h ^ (h >> 32)


def hashed(seed: int, name: str, counter: NDArray[Any]) -> U64:
    """Hash each counter (unsigned or non-negative) to 64 bits."""
    return mix64(counter.astype(np.uint64) * GOLDEN + np.uint64(stream_key(seed, name)))


def to_unit(h: U64) -> F64:
    """Return each hash as a number in (0, 1), both ends excluded."""
    return np.asarray(((h >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)


def uniform(seed: int, name: str, counter: NDArray[Any]) -> F64:
    """Hash each counter to a uniform number in (0, 1)."""
    return to_unit(hashed(seed, name, counter))


def _scaled(h: U64, size: int) -> U64:
    """Scale the top 32 bits of a hash to [0, size) without division."""
    return ((h >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)


@dataclass(frozen=True)
class Permutation:
    """A seeded bijection of [0, n), n < 2^62, applied and inverted element by element."""

    seed: int
    name: str
    n: int

    def _grid(self) -> tuple[int, int]:
        rows = max(1, math.isqrt(max(self.n - 1, 0)) + 1)
        return rows, max(1, -(-self.n // rows))

    def _round(self, i: int, half: U64) -> U64:
        h = (half + np.uint64(stream_key(self.seed, f"{self.name}/{i}") | 1)) * M1
        h ^= h >> np.uint64(32)
        h *= M2
        h ^= h >> np.uint64(29)
        h *= GOLDEN
        return h

    def _once(self, x: U64, *, inverse: bool) -> U64:
        rows, cols = self._grid()
        left, right = np.divmod(x, np.uint64(cols))
        for i in reversed(range(_ROUNDS)) if inverse else range(_ROUNDS):
            size = rows if i % 2 == 0 else cols
            target, other = (left, right) if i % 2 == 0 else (right, left)
            step = _scaled(self._round(i, other), size)
            if inverse:
                step = np.uint64(size) - step
            target += step
            target[target >= np.uint64(size)] -= np.uint64(size)
        return np.asarray(left * np.uint64(cols) + right)

    def _walk(self, x: NDArray[Any], *, inverse: bool) -> I64:
        out = self._once(x.astype(np.uint64), inverse=inverse)
        outside = np.flatnonzero(out >= np.uint64(self.n))
        while outside.size:
            moved = self._once(out[outside], inverse=inverse)
            out[outside] = moved
            outside = outside[moved >= np.uint64(self.n)]
        return out.astype(np.int64)

    def forward(self, ids: NDArray[Any]) -> I64:
        """Return the position of each id."""
        return self._walk(ids, inverse=False)

    def inverse(self, positions: NDArray[Any]) -> I64:
        """Return the id at each position."""
        return self._walk(positions, inverse=True)

    def stratified(self, ids: NDArray[Any]) -> F64:
        """Return uniforms whose multiset over all ids is exactly {(k + 0.5) / n}: marginals without sampling
        error.
        """
        return np.asarray((self.forward(ids) + 0.5) / self.n)
