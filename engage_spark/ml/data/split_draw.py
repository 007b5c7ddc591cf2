"""Tell one draw of the splits from another: by its seed, its folds and where each slot of hashes ends.

A model may be judged on the test split of the draw that it was fitted by, and of no other: there it may have
learnt the customers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Range = tuple[int, int]
"""The lowest and the highest hash of a slot."""


@dataclass(frozen=True, kw_only=True)
class SplitDraw:
    """What identifies a draw: `ranges` has, by stratum, the hashes of each slot in their order.

    Nulls: None for a slot without a customer, and as the name of the stratum of nulls.
    """

    seed: int
    folds: int
    ranges: tuple[tuple[str | None, tuple[Range | None, ...]], ...]

    def is_same(self, other: SplitDraw) -> bool:
        """Return whether no customer of either can be in another slot of the other.

        So a draw stays the same when customers at the ends of a slot were erased since.
        """
        own, others = dict(self.ranges), dict(other.ranges)
        both = own.keys() & others.keys()
        if (self.seed, self.folds) != (other.seed, other.folds) or (not both and own != others):
            return False
        joined = (
            [_union(a, b) for a, b in zip(own[s], others[s], strict=True)]
            for s in sorted(both, key=lambda v: (v is None, v or ""))
        )
        return all(
            below[1] < above[0] for slots in joined for below, above in pairwise(r for r in slots if r)
        )

    def to_json(self) -> str:
        """Return text that `from_json` reads."""
        return json.dumps({"seed": self.seed, "folds": self.folds, "ranges": self.ranges})

    @classmethod
    def from_json(cls, text: str) -> SplitDraw:
        """Read what `to_json` wrote.

        Errors: ValueError, KeyError or TypeError where the text is something else.
        """
        d = json.loads(text)
        ranges = tuple(
            (stratum, tuple(None if r is None else (int(r[0]), int(r[1])) for r in slots))
            for stratum, slots in d["ranges"]
        )
        return cls(seed=int(d["seed"]), folds=int(d["folds"]), ranges=ranges)

    def __str__(self) -> str:
        ends = hashlib.sha256(json.dumps(self.ranges).encode()).hexdigest()
        return f"seed {self.seed}, {self.folds} folds, cuts {ends[:12]}"


def _union(a: Range | None, b: Range | None) -> Range | None:
    there: Sequence[Range] = [r for r in (a, b) if r is not None]
    return (min(r[0] for r in there), max(r[1] for r in there)) if there else None
