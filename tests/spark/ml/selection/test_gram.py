"""The profile and the Gram pass on Spark: against pandas, on several partitionings, and how many jobs they
take.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.selection.gram import to_grams
from engage_spark.ml.selection.profile import LEVELS, FixedPointScale, levels_of, scale_of, to_profile
from engage_spark.ml.selection.rfe import select
from tests.support.spark_jobs import jobs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

KINDS = {"n": False, "whole": False, "flag": False, "money": False, "plan": True, "city": True}
DDL = (
    "n double, whole int, flag boolean, money decimal(12,2), plan string, city string, left int, "
    "worth double, fold int"
)


def spec(name: str, task: Task, features: tuple[str, ...] = tuple(KINDS)) -> FeatureSpec:
    target = Target(name=name, task=task, minimum=None, maximum=None, label_days=0, baseline=None)
    used = tuple(Feature(name=f, table="t", categorical=KINDS[f]) for f in features)
    return FeatureSpec(target=target, policy=LeakPolicy.STRICT, features=used, excluded=())


SPECS = (spec("left", Task.BINARY), spec("worth", Task.REGRESSION, ("n", "whole", "plan", "money")))


def make_table(rows: int = 3000) -> pd.DataFrame:
    """Gaps in features, one target with gaps, a category of more levels than have a place, rows in no
    fold.
    """
    rng = np.random.default_rng(7)
    data = pd.DataFrame(
        {
            "n": rng.normal(size=rows),
            "whole": rng.integers(-5, 60, rows),
            "flag": rng.random(rows) < 0.3,
            "money": np.round(rng.gamma(2, 100, rows), 2),
            "plan": rng.choice(["basic", "plus", "ünder"], rows),
            "city": [f"city {i}" for i in rng.integers(0, 3 * LEVELS, rows)],
        }
    )
    data["left"] = (data.n + 0.5 * data.flag + rng.normal(size=rows) > 0.3).astype(float)
    data["worth"] = 3 * data.whole + 50 * (data.plan == "plus") + rng.normal(0, 30, rows)
    data["fold"] = rng.integers(0, 4, rows).astype(float)
    gaps = {"n": 0.1, "whole": 0.05, "plan": 0.1, "worth": 0.2, "fold": 0.25}
    for c, share in gaps.items():
        data[c] = data[c].astype(object).where(rng.random(rows) >= share, None)
    return data


def frame(spark: SparkSession, data: pd.DataFrame) -> DataFrame:
    """A frame with one NaN, which counts as missing."""
    casts: dict[str, Callable[[Any], Any]] = dict.fromkeys(("whole", "left", "fold"), int) | {
        "flag": bool,
        "money": lambda m: Decimal(f"{m:.2f}"),
    }
    rows = [
        tuple(
            None if pd.isna(v) else casts.get(c, lambda x: x)(v) for c, v in zip(data.columns, r, strict=True)
        )
        for r in data.itertuples(index=False)
    ]
    rows[0] = (float("nan"), *rows[0][1:])
    return spark.createDataFrame(rows, DDL)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    table = make_table()
    table.loc[0, "n"] = None
    return table


@pytest.fixture(scope="module")
def rows(spark: SparkSession, data: pd.DataFrame) -> DataFrame:
    return frame(spark, data)


@pytest.mark.connect
def test_the_profile_is_that_of_pandas(rows: DataFrame, data: pd.DataFrame) -> None:
    profile = to_profile(rows, SPECS)
    assert profile.rows == len(data)
    assert list(profile.columns) == [*KINDS, "left", "worth"]
    for name in ("n", "whole", "money", "left", "worth"):
        column, values = profile[name], data[name].dropna().astype(float)
        assert (column.present, column.missing, column.infinite) == (len(values), len(data) - len(values), 0)
        assert (column.minimum, column.maximum) == (values.min(), values.max())
        assert column.whole == bool((values == values.round()).all())
    for name in ("whole", "plan", "city", "left"):
        assert (
            profile[name].level == 0 and profile[name].values == data[name].dropna().value_counts().to_dict()
        )
    assert profile["n"].level > 0 and profile["n"].distinct == pytest.approx(data.n.nunique(), rel=0.25)
    assert set(profile["n"].values.values()) == {1}
    assert profile["flag"].values == {0.0: (~data.flag).sum(), 1.0: data.flag.sum()}
    assert levels_of(profile["plan"]) == ("basic", "plus", "ünder") and levels_of(profile["city"]) == ()


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_profile_sums_and_ranks_are_the_same_bits_on_any_partitioning(
    rows: DataFrame, partitions: int
) -> None:
    other = rows.repartition(partitions, "n", "money")
    once, again = to_profile(rows, SPECS), to_profile(other, SPECS)
    assert once == again
    first, second = (to_grams(r, specs=SPECS, fold="fold", scales=once.scales) for r in (rows, other))
    for target in ("left", "worth"):
        a, b = first[target], second[target]
        assert a.folds == b.folds and a.hi.tobytes() == b.hi.tobytes() and a.lo.tobytes() == b.lo.tobytes()
        assert select(a, 3) == select(b, 3)


def test_the_sums_are_those_of_imputed_rows_in_folds_that_have_the_target(
    rows: DataFrame, data: pd.DataFrame
) -> None:
    grams = to_grams(rows, specs=SPECS, fold="fold", scales=to_profile(rows, SPECS).scales)
    assert grams["worth"].sources == ("n", "whole", "plan", "money") and grams["left"].sources == tuple(KINDS)
    training = data[data.fold.notna() & (data.fold != 2) & data.worth.notna()]
    gram = grams["worth"].training(2)
    filled = pd.DataFrame(
        {
            c: training[c].astype(float).fillna(training[c].astype(float).mean())
            for c in ("n", "whole", "money")
        }
    )
    common = training.plan.mode()[0]
    filled = filled.assign(
        **{v: (training.plan == v).astype(float) for v in ("basic", "plus", "ünder") if v != common}
    )
    filled = filled[[s.level or s.source for s in gram.slots]]
    assert gram.rows == len(training)
    assert np.allclose(gram.means, filled.mean(), atol=1e-5)
    scale = np.sqrt(np.diag(gram.products))
    assert np.allclose(gram.products / np.outer(scale, scale), filled.corr(), atol=2e-6)
    y = training.worth.astype(float)
    assert np.allclose(gram.with_target / (scale * np.sqrt(gram.of_target)), filled.corrwith(y), atol=2e-6)
    assert grams["left"].rows(1) == int((data.fold == 1).sum())


def test_a_category_of_too_many_levels_is_hashed(rows: DataFrame) -> None:
    gram = to_grams(rows, specs=SPECS, fold="fold", scales=to_profile(rows, SPECS).scales)[
        "left"
    ].everything()
    assert len(gram.of("city")) == LEVELS - 1


def test_samples_and_scales_of_many_values_are_these(spark: SparkSession) -> None:
    rows = spark.range(20_000).selectExpr(
        "CAST(id % 9000 AS double) / 7 AS n",
        "CAST(id % 5000 AS int) AS whole",
        "id % 3 = 0 AS flag",
        "CAST(id % 700 AS decimal(12, 2)) AS money",
        "CONCAT('p', id % 6000) AS plan",
        "CONCAT('c', id % 513) AS city",
        "CAST(id % 2 AS int) AS left",
        "CAST(id AS double) AS worth",
    )
    columns = to_profile(rows.repartition(7), SPECS).columns
    assert {n: (c.level, c.distinct, *min(c.values.items())) for n, c in columns.items()} == {
        "n": (5, 9088, 2.0, 3),
        "whole": (4, 4832, 2.0, 4),
        "flag": (0, 2, 0.0, 13333),
        "money": (1, 708, 2.0, 29),
        "plan": (4, 5696, "p1004", 4),
        "city": (1, 478, "c0", 39),
        "left": (0, 2, 0.0, 10000),
        "worth": (6, 19520, 2.0, 1),
    }
    assert {c.present for c in columns.values()} == {20_000}
    assert scale_of(columns["worth"]) == FixedPointScale(middle=9999.5, exponent=-6)


@pytest.mark.connect
def test_infinite_values_are_refused_by_name(spark: SparkSession) -> None:
    values = [(float("inf"), 1, None, None, "a", "b", 1, 1.0, 0), (1.0, 1, None, None, "a", "b", 0, 2.0, 0)]
    profile = to_profile(spark.createDataFrame(values, DDL), SPECS)
    with pytest.raises(InputError) as error:
        _ = profile.scales
    assert error.value.details == ("n: 1 of 2 rows",)
    assert profile["n"].maximum == 1.0


def test_rows_of_which_none_is_in_a_fold_are_refused(rows: DataFrame) -> None:
    from pyspark.sql import functions as F

    scales = to_profile(rows, SPECS).scales
    with pytest.raises(ConfigurationError, match="no row with a target"):
        to_grams(rows.withColumn("fold", F.lit(None).cast("int")), specs=SPECS, fold="fold", scales=scales)


def test_profile_and_sums_take_one_pass_each_however_many_targets(
    spark: SparkSession, rows: DataFrame, spark_kind: str
) -> None:
    """Adaptive execution runs a job per shuffle (the profile has two, the second of a few rows a column), and
    one for what is collected.
    """
    if spark_kind != "classic":
        pytest.skip("only a classic session tells how many jobs it ran")
    scales = to_profile(rows, SPECS).scales
    assert (
        jobs_of(spark, lambda: to_profile(rows, SPECS))
        == jobs_of(spark, lambda: to_profile(rows, SPECS[:1]))
        <= 3
    )
    counted = [
        jobs_of(spark, lambda p=p: select(to_grams(rows, specs=p, fold="fold", scales=scales)["left"], 1))
        for p in (SPECS, SPECS[:1])
    ]
    assert counted[0] == counted[1] <= 2
