"""Made tables with gaps and categories, their sums without Spark, and the matrix that they stand for, made by
pandas.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa

from engage_spark.ml.selection import gram_kernel as kernel
from engage_spark.ml.selection.fold_gram import FoldGrams, ProductSums, build_fold_grams


def table(rows: int = 700, *, seed: int = 1, folds: int = 3) -> pd.DataFrame:
    """Numbers of very different size, two of them nearly the same, gaps, a category with gaps, two targets of
    which one has gaps.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    data = pd.DataFrame(
        {
            "age": np.round(40 + 12 * x[:, 0]),
            "spend": np.exp(3 + x[:, 1]),
            "visits": rng.poisson(5, rows).astype(float),
            "big": 1e9 + 1e6 * x[:, 2],
            "near": 1e9 + 1e6 * x[:, 2] + 1e5 * x[:, 3],
            "plan": rng.choice(["a", "b", "c"], rows, p=[0.2, 0.5, 0.3]),
        }
    )
    data["left"] = (0.5 * x[:, 0] + x[:, 2] + (data.plan == "c") + rng.normal(size=rows) > 0.5).astype(float)
    data["worth"] = (
        20 * data.visits + data.spend + 30 * x[:, 2] + 40 * (data.plan == "a") + rng.normal(0, 20, rows)
    )
    for c, share in (("spend", 0.1), ("visits", 0.2), ("plan", 0.1), ("worth", 0.15)):
        data.loc[rng.random(rows) < share, c] = None if c == "plan" else np.nan
    data["fold"] = rng.integers(0, folds, rows)
    return data


NUMBERS = ("age", "spend", "visits", "big", "near")
SOURCES = (*NUMBERS, "plan")
TARGETS = ("left", "worth")


def number(values: pd.Series) -> kernel.NumberColumn:
    low, high = values.min(), values.max()
    return kernel.NumberColumn(
        (low + high) / 2, math.frexp((high - low) / 2)[1] - 20 if high > low else 0, bool(values.isna().any())
    )


def sums(
    data: pd.DataFrame,
    *,
    sources: tuple[str, ...] = SOURCES,
    targets: tuple[str, ...] = TARGETS,
    parts: int = 1,
) -> dict[str, FoldGrams]:
    """The sums as the pass makes them, over so many partitions of two batches each."""
    text = {s for s in sources if data[s].dtype == object}
    layout = kernel.GramLayout(
        tuple(
            kernel.CategoryColumn(tuple(sorted(data[s].dropna().unique()))) if s in text else number(data[s])
            for s in sources
        ),
        tuple(number(data[t]) for t in targets),
    )
    summed: list[pa.RecordBatch] = []
    for part in range(parts):
        rows = data.iloc[part::parts]
        batches = [
            pa.RecordBatch.from_arrays(
                [
                    *(pa.array(half[c], from_pandas=True) for c in (*sources, *targets)),
                    pa.array(half.fold, pa.int32()),
                ],
                names=[f"c{i}" for i in range(len(sources) + len(targets) + 1)],
            )
            for half in (rows.iloc[: len(rows) // 3], rows.iloc[len(rows) // 3 :])
        ]
        summed += kernel.sum_products(iter(batches), layout)
    columns = pa.Table.from_batches(summed).columns
    return build_fold_grams(
        ProductSums(*(c.to_numpy().astype(np.int64) for c in columns)),
        names=(*sources, *targets),
        layout=layout,
        sources=dict.fromkeys(targets, sources),
    )


def imputed(
    data: pd.DataFrame, target: str, folds: list[int], sources: tuple[str, ...] = SOURCES
) -> tuple[pd.DataFrame, pd.Series]:
    """What the Gram matrix is of: rows with the target in these folds, gaps filled from these very rows,
    categories one-hot but for the most frequent level.
    """
    rows = data[data.fold.isin(folds) & data[target].notna()]
    columns = {}
    for s in sources:
        if data[s].dtype == object:
            filled = rows[s].fillna(rows[s].mode()[0])
            for level in sorted(set(data[s].dropna()) - {rows[s].mode()[0]}):
                columns[f"{s}={level}"] = (filled == level).astype(float)
        else:
            columns[s] = rows[s].fillna(rows[s].mean())
    return pd.DataFrame(columns), rows[target]
