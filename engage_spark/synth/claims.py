"""Measure the key insights that scenario.yaml lists, on columns in memory: for calibration, tests and the
bench.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engage_spark.contract.model import Table
from engage_spark.synth.scenario import Scenario


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """One claim: what was claimed, what is required (half the effect), what was measured."""

    name: str
    claimed: float
    at_least: float
    measured: float

    @property
    def holds(self) -> bool:
        """Whether the effect is as large as required."""
        return self.measured >= self.at_least


def _member(table: Table, group: Mapping[str, Any], columns: Mapping[str, Any]) -> Any:
    values = np.asarray(columns[group["field"]])
    if "is" in group:
        return values == [name for name, _ in table[group["field"]].reference_shares].index(group["is"])
    if "above" in group:
        return values > group["above"]
    return values >= group["from"] if "from" in group else values < group["below"]


def measure_claims(scenario: Scenario, table: Table, columns: Mapping[str, Any]) -> tuple[ClaimResult, ...]:
    """Measure every claim of the scenario.

    `columns` hold no nulls, and categories as ranks in the contract's order, as `reference` returns them. A
    claim is the ratio of the mean in `group` to that in `rest` (default: everybody else), the mean itself
    (`mean: true`), or, with `bands`, the ratio of the group's mean to the highest among the bands that follow
    it.
    """
    out = []
    for claim in scenario.claims:
        field = claim.get("value") or claim["retained"]
        values = np.asarray(columns[field], dtype=np.float64)
        values = values if "value" in claim else 1.0 - values
        group = _member(table, claim["group"], columns)
        rest = _member(table, claim["rest"], columns) if "rest" in claim else ~group
        measured = float(values[group].mean())
        if "bands" in claim:
            x, edges = np.asarray(columns[claim["group"]["field"]]), [*claim["bands"], np.inf]
            others = [values[(x >= a) & (x < b)] for a, b in itertools.pairwise(edges)]
            measured /= max(float(band.mean()) for band in others if len(band))
        elif not claim.get("mean"):
            measured /= float(values[rest].mean())
        out.append(
            ClaimResult(
                name=claim["name"],
                claimed=float(claim["claimed"]),
                at_least=float(claim["at_least"]),
                measured=measured,
            )
        )
    return tuple(out)
