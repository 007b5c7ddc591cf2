"""Members of a gym on four days, and a lake of them: small, and with groups that must not be shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from engage_spark.contract import Contract, load_contract
from engage_spark.insight import Insight
from engage_spark.reader import open_lake
from tests.support.counted_lake import counted_lake, predict
from tests.support.lake_without_spark import SmallLake
from tests.support.paths import ROOT

FILE = ROOT / "tests" / "data" / "gym.odcs.yaml"
CONTRACT = load_contract(FILE)
DAYS = (date(2025, 9, 30), date(2025, 10, 19), date(2025, 10, 20), date(2025, 10, 21))
NEWEST = DAYS[-1]
HOSTILE = "O'Brien\"; DROP TABLE members; --"
"""A club whose name is harmless here, and nowhere else."""
CLUBS = {"North": 300, "South": 200, "Müller & Söhne": 62, HOSTILE: 31, "Tiny": 7}
FEWER = {DAYS[2]: {"Müller & Söhne": 12}}
"""Clubs that are smaller on a day."""


def members(day: date) -> pd.DataFrame:
    """Return the members of a day: who visits rarely cancels more often, and Gold spends most."""
    rng = np.random.default_rng(7)
    club = np.repeat(list(CLUBS), list(CLUBS.values()))
    n = len(club)
    plan = rng.choice(["Basic", "Plus", "Gold"], n, p=[0.45, 0.18, 0.37])
    visits = rng.poisson(6, n)
    visits[(plan == "Gold") & (rng.random(n) < 0.05)] = 0
    leaving = rng.random(n) < np.where(visits < 4, 0.6, 0.15)
    spend = np.round(np.where(plan == "Gold", 900.0, 300.0) * rng.gamma(9, 1 / 9, n), 2)
    rows = pd.DataFrame(
        {
            "member": [f"M{i:04d}" for i in range(n)],
            "plan": plan,
            "club": club,
            "postcode": [f"SECRET-{i % 9}" for i in range(n)],
            "sex": rng.choice(["f", "m"], n),
            "salary": np.round(rng.lognormal(10, 0.4, n), 2),
            "visits_last_30_days": visits,
            "minutes": np.round(rng.gamma(4, 12, n), 1),
            "months": rng.choice([1, 2, 3, 14], n, p=[0.4, 0.3, 0.28, 0.02]),
            "cancelled": leaving.astype(int),
            "yearly_spend": spend,
        }
    ).astype(object)
    rows.loc[rng.random(n) < 0.05, "minutes"] = None
    later = np.random.default_rng(day.toordinal())
    rows["yearly_spend"] = [round(v * later.uniform(0.97, 1.05), 2) for v in rows["yearly_spend"]]
    for name, size in FEWER.get(day, {}).items():
        rows = rows.drop(rows.index[rows["club"] == name][size:])
    return rows.reset_index(drop=True)


def changed_contract(folder: Path, changes: Mapping[str, str]) -> Contract:
    """Return the contract with texts of its file put for others, each of which stands there once."""
    text = FILE.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "changed.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    return load_contract(path)


def gym_lake(root: Path, contract: Contract = CONTRACT) -> SmallLake:
    """Write the lake of all days, with predictions of the newest one."""
    lake = counted_lake(root, contract, {day: members(day) for day in DAYS})
    for target in ("cancelled", "yearly_spend"):
        predict(lake, NEWEST, members(NEWEST), target=target)
    return lake


def gym_insight(root: Path, *, show_keys: bool = False) -> Insight:
    """Open the tools of a gym's lake."""
    return Insight(open_lake(root, contract=CONTRACT), show_keys=show_keys)
