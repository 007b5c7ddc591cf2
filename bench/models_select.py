"""Profile, Gram matrices, elimination and leakage audit over made rows: what each costs, and that elimination
adds none to its one pass.

    python bench/models_select.py --rows 1000000

`--rows 0` only eliminates 600 features of a made matrix, on the driver. Rows are written to Parquet first, so
that what is timed reads a table: 40 numbers (10% of their values missing), 2 categories, 3 targets, 5 folds.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.leakage.audit import audit_leakage
from engage_spark.ml.selection.fold_gram import Gram, GramSlot
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import to_profile
from engage_spark.ml.selection.rfe import eliminate, select
from engage_spark.settings import LakeSettings, Settings, SparkSettings
from engage_spark.spark.session import open_session

NUMBERS = tuple(f"x{i}" for i in range(40))
CATEGORIES = ("plan", "region")
TASKS = {"left": Task.BINARY, "score": Task.REGRESSION, "worth": Task.REGRESSION}


def rows_of(spark: Any, rows: int, path: str) -> Any:
    from pyspark.sql import functions as F

    def unit(name: str) -> Any:
        return F.pmod(F.xxhash64(F.lit(name), "id"), F.lit(1_000_003)) / 1_000_003

    made = spark.range(0, rows, 1, 8)
    wave = sum((i % 5 - 2) * unit(n) for i, n in enumerate(NUMBERS))
    targets = {
        "left": (wave + 4 * unit("e") > 2).cast("int"),
        "score": wave + unit("f"),
        "worth": F.exp(wave / 4 + 2 * unit("g")),
    }
    numbers = [
        F.when(unit(f"m{n}") >= 0.1, F.round(unit(n) * 10 ** (i % 4 + 1), 2)).alias(n)
        for i, n in enumerate(NUMBERS)
    ]
    levels = [
        F.concat(F.lit(c), F.pmod(F.xxhash64(F.lit(c), "id"), F.lit(n))).alias(c)
        for c, n in zip(CATEGORIES, (3, 12), strict=True)
    ]
    place = F.pmod(F.xxhash64(F.lit(0), "id"), F.lit(100))
    made.select(
        F.col("id").alias("key"),
        F.date_from_unix_date(F.lit(20_000)).alias("day"),
        F.when(place < 64, "fit").otherwise("test").alias("side"),
        F.when(place < 64, place % 5).cast("int").alias("fold"),
        *numbers,
        *levels,
        *(c.alias(n) for n, c in targets.items()),
    ).write.mode("overwrite").parquet(path)
    return spark.read.parquet(path)


def plans() -> tuple[FeatureSpec, ...]:
    features = tuple(Feature(name=n, table="t", categorical=n in CATEGORIES) for n in (*NUMBERS, *CATEGORIES))
    return tuple(
        FeatureSpec(
            target=Target(name=n, task=t, minimum=None, maximum=None, label_days=0, baseline=None),
            policy=LeakPolicy.STRICT,
            features=features,
            excluded=(),
        )
        for n, t in TASKS.items()
    )


def wide_gram(features: int = 600, rows: int = 20_000) -> Gram:
    """The matrix of so many numbers, a tenth as many causes behind them, and a target made of twenty."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(rows, features // 10))
    x = 0.5 * causes @ rng.normal(size=(features // 10, features)) + rng.normal(size=(rows, features))
    y = x[:, :20] @ rng.normal(size=20) + 3 * rng.normal(size=rows)
    names = tuple(f"x{i}" for i in range(features))
    x, centred = x - x.mean(axis=0), y - y.mean()
    return Gram(
        target="y",
        sources=names,
        slots=tuple(GramSlot(source=n) for n in names),
        rows=rows,
        means=np.zeros(features),
        products=x.T @ x,
        with_target=x.T @ centred,
        target_mean=float(y.mean()),
        of_target=float(centred @ centred),
    )


def timed(what: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    found = work()
    print(f"{what:<32} {time.perf_counter() - start:7.2f} s", flush=True)
    return found


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--rows", type=int, default=1_000_000)
    args.add_argument("--cores", type=int, default=2)
    told = args.parse_args()
    wide = wide_gram()
    timed("elimination, 600 to 1", lambda: eliminate(wide, 25))
    if not told.rows:
        return
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            lake=LakeSettings(root=home),
            spark=SparkSettings(master=f"local[{told.cores}]", driver_memory="3g", shuffle_partitions=4),
        )
        with open_session(settings) as spark:
            rows = timed("rows written", lambda: rows_of(spark, told.rows, str(Path(home) / "rows")))
            chosen = plans()
            timed("warm: one scan, counted", rows.count)
            profile = timed("profile", lambda: to_profile(rows, chosen))
            grams = timed(
                "Gram sums of 3 targets, 5 folds",
                lambda: to_grams(rows, specs=chosen, fold="fold", scales=profile.scales),
            )
            picked = timed(
                "elimination, 3 x 6, 42 to 1", lambda: {t: select(g, 25) for t, g in grams.items()}
            )
            found = timed(
                "audit",
                lambda: audit_leakage(
                    rows, specs=chosen, grams=grams, profile=profile, key=["key"], day="day"
                ),
            )
            for target, selection in picked.items():
                print(
                    f"{target}: R² {selection.final.curve[25]:.4f} of {selection.final.curve[42]:.4f}, "
                    f"Jaccard {selection.jaccard:.3f}"
                )
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{told.rows:,} rows, {len(found)} findings, driver's Python {peak:.0f} MB")


if __name__ == "__main__":
    main()
