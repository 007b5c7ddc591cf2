"""Subscribers of a phone shop as others deliver them: under the names, and in the texts, of their export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engage_spark.contract import load_contract
from tests.support.paths import DATA

SHOP = load_contract(DATA / "phone_shop.odcs.yaml")
FOLDER, LOG_FOLDER = "Subscriber Export (EU)", "claims"
BROKEN = {
    "S0001": ("Total Charges (USD)", "n/a"),
    "S0002": ("Joined.On", "13/45/2020"),
    "S0003": ("💬", "two"),
}
"""By subscriber, the column whose text cannot be read, and the text."""


def subscribers(n: int = 40, *, seed: int = 3) -> pd.DataFrame:
    """Return rows as they are delivered, all of them text: who calls rarely leaves more often."""
    rng = np.random.default_rng(seed)
    calls, tickets = rng.integers(1, 60, n), rng.integers(0, 9, n)
    leaves = rng.random(n) < np.where(calls < 20, 0.75, 0.15)
    severe = rng.random(n) < np.where(tickets > 5, 0.7, 0.1)
    rows = pd.DataFrame(
        {
            "Customer ID": [f"S{i:04d}" for i in range(n)],
            "Total Charges (USD)": [f" {1000 + 37.5 * v:,.2f} " for v in calls],
            "Joined.On": [f"{1 + i % 12}/{1 + i % 28}/{2010 + i % 9}" for i in range(n)],
            "Plan `Type`": rng.choice(["Basic", "Plus"], n),
            "CALLS last 30": [str(v) for v in calls],
            "💬": [str(v) for v in tickets],
            "Churn?": np.where(leaves, "Yes", "No"),
            "complaint": np.where(severe, "severe", rng.choice(["none", "mild"], n)),
            "not declared": "x",
        }
    ).astype(object)
    rows.loc[0, "Total Charges (USD)"] = "  "
    for subscriber, (column, text) in BROKEN.items():
        rows.loc[rows["Customer ID"] == subscriber, column] = text
    return rows


def as_csv(rows: pd.DataFrame, folder: Path) -> None:
    """Write a day's rows as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "part-0.csv", index=False)


def as_parquet(rows: pd.DataFrame, folder: Path) -> None:
    """Write a day's rows as Parquet: text, but for the number that has a type of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {n: pa.array(rows[n].tolist(), pa.string()) for n in rows.columns}
    columns["CALLS last 30"] = pa.array([int(v) for v in rows["CALLS last 30"]], pa.int32())
    pq.write_table(pa.table(columns), folder / "part-0.parquet")


def with_duplicates(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return rows of which the last `n` come again under other keys."""
    again = rows.tail(n).copy()
    again["Customer ID"] = [f"D{i:04d}" for i in range(n)]
    return pd.concat([rows, again], ignore_index=True)
