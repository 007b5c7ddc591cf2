"""Sides and folds: exact shares of each stratum, the same on any partitioning and in every later run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F
from sklearn.model_selection import StratifiedKFold

from engage_spark.errors import ConfigurationError
from engage_spark.ml.data.hash_cutpoints import ranks, slots
from engage_spark.ml.data.split import (
    COLUMNS,
    MAX_STRATA,
    UNIT,
    check_splits,
    draw_newcomer_splits,
    draw_splits,
    split_hash,
    with_newcomers,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 20_011
KEY = ("id",)


def customers(spark: SparkSession, rows: int = ROWS, start: int = 0) -> DataFrame:
    """Ids, and a label that is 1 for about a third and null for some."""
    expressions = (
        "concat('C', id) AS id",
        "CASE WHEN id % 101 = 0 THEN NULL ELSE CAST(pmod(xxhash64(id), 3) = 0 AS INT) END AS label",
    )
    return spark.range(start, start + rows, numPartitions=3).selectExpr(*expressions)


def local(rows: DataFrame) -> pd.DataFrame:
    return rows.toArrow().to_pandas().sort_values("id", ignore_index=True)


@pytest.fixture(scope="module")
def drawn(spark: SparkSession) -> pd.DataFrame:
    return local(draw_splits(customers(spark), key=KEY, stratum="label", folds=5, seed=7))


def by_sorting(spark: SparkSession, rows: DataFrame, seed: int, folds: int) -> pd.DataFrame:
    """The oracle: all hashes of a stratum sorted in numpy, and cut by rank."""
    table = rows.withColumn("hash", split_hash(KEY, seed)).toArrow().to_pandas()
    parts = []
    for _, part in table.sort_values("hash").groupby("label", dropna=False):
        slot = np.searchsorted(ranks(len(part), folds), np.arange(len(part)), side="right")
        parts.append(
            part.assign(
                side=[slots(folds)[s].split.value for s in slot], fold=[slots(folds)[s].fold for s in slot]
            )
        )
    return pd.concat(parts).sort_values("id", ignore_index=True)


def test_every_key_is_where_a_sort_of_all_hashes_puts_it(spark: SparkSession, drawn: pd.DataFrame) -> None:
    expected = by_sorting(spark, customers(spark), seed=7, folds=5)
    assert drawn.columns.tolist() == ["id", *COLUMNS, UNIT]
    assert drawn.unit.isna().all()
    assert len(drawn) == ROWS
    assert drawn.side.tolist() == expected.side.tolist()
    assert drawn.fold.fillna(-1).tolist() == expected.fold.astype(float).fillna(-1).tolist()
    labels = expected.label.map(lambda v: None if pd.isna(v) else str(int(v)))
    assert (
        drawn.stratum.where(drawn.stratum.notna(), None).tolist()
        == labels.where(labels.notna(), None).tolist()
    )
    assert drawn.drawn.all()


def test_folds_hold_the_rate_as_well_as_those_of_scikit_learn(drawn: pd.DataFrame) -> None:
    fit = drawn[(drawn.side == "fit") & drawn.stratum.notna()].reset_index(drop=True)
    positive = (fit.stratum == "1").to_numpy()
    theirs = [
        positive[test].mean()
        for _, test in StratifiedKFold(5, shuffle=True, random_state=0).split(positive, positive)
    ]
    rates = [positive[fit.fold == fold].mean() for fold in range(5)]
    spread = max(abs(rate - positive.mean()) for rate in theirs)
    assert max(abs(rate - positive.mean()) for rate in rates) <= max(spread, 1 / (fit.fold == 0).sum())


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_the_split_is_the_same_on_any_partitioning(
    spark: SparkSession, drawn: pd.DataFrame, partitions: int
) -> None:
    rows = customers(spark).repartition(partitions, "label")
    assert local(draw_splits(rows, key=KEY, stratum="label", folds=5, seed=7)).equals(drawn)


def test_another_seed_draws_another_split(spark: SparkSession, drawn: pd.DataFrame) -> None:
    other = local(draw_splits(customers(spark), key=KEY, stratum="label", folds=5, seed=8))
    assert 0.3 < (other.side == drawn.side).mean() < 0.7


@pytest.mark.connect
def test_the_hash_of_a_key_never_changes(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("CUST-000001", 3)], "id string, day int")
    splits = rows.select(split_hash(["id"], 0), split_hash(["id"], 1), split_hash(["id", "day"], 0)).collect()
    assert [tuple(r) for r in splits] == [(3190409983905652480, 3030666256319627897, 7983030026624091110)]


def test_all_rows_are_one_stratum_where_there_is_none(spark: SparkSession) -> None:
    splits = local(draw_splits(customers(spark, 1000), key=KEY, stratum=None, folds=4, seed=0))
    assert splits.groupby("side").size().to_dict() == {
        "calibration": 80,
        "conformal": 80,
        "fit": 640,
        "test": 200,
    }
    assert splits.groupby("fold").size().tolist() == [160] * 4
    assert splits.stratum.isna().all()


def test_a_stratum_of_one_row_has_its_side_too(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("a", "x"), ("b", None)], "id string, label string")
    splits = local(draw_splits(rows, key=KEY, stratum="label", folds=2))
    assert splits[["side", "fold"]].to_numpy().tolist() == [["fit", 1], ["fit", 1]]


def test_no_rows_cannot_be_split(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match="no rows to split"):
        draw_splits(customers(spark, 0), key=KEY, stratum="label")


def test_a_column_of_many_values_is_no_stratum(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match=f"more than {MAX_STRATA} strata"):
        draw_splits(customers(spark, 100), key=KEY, stratum="id")


@pytest.mark.connect
def test_newcomers_join_and_nobody_moves(spark: SparkSession, drawn: pd.DataFrame) -> None:
    splits = draw_splits(customers(spark), key=KEY, stratum="label", folds=5, seed=7)
    later = customers(spark, ROWS + 9_000, start=1_000)
    splits_and_newcomers = local(with_newcomers(splits, later.unionAll(later), key=KEY, folds=5, seed=7))
    assert splits_and_newcomers[splits_and_newcomers.id.isin(drawn.id)].reset_index(drop=True).equals(drawn)
    new = splits_and_newcomers[~splits_and_newcomers.id.isin(drawn.id)]
    assert len(new) == 10_000
    assert not new.drawn.any()
    assert new.stratum.isna().all()
    shares = new.side.value_counts(normalize=True)
    for side, share in {"fit": 0.64, "calibration": 0.08, "conformal": 0.08, "test": 0.2}.items():
        assert abs(shares[side] - share) < 4 * np.sqrt(share * (1 - share) / len(new))
    assert sorted(new.fold.dropna().unique()) == [0, 1, 2, 3, 4]
    assert new.fold.isna().equals(new.side != "fit")


def test_a_newcomer_has_its_side_whoever_comes_with_it(spark: SparkSession) -> None:
    splits = draw_splits(customers(spark, 500), key=KEY, stratum="label", seed=7)
    newcomers = local(draw_newcomer_splits(splits, customers(spark, 2_000), key=KEY, seed=7))
    few = local(draw_newcomer_splits(splits, customers(spark, 100, start=1_000), key=KEY, seed=7))
    assert len(newcomers) == 1_500
    assert newcomers[newcomers.id.isin(few.id)].reset_index(drop=True).equals(few)


def test_most_keep_the_side_that_they_would_have_got_as_newcomers(
    spark: SparkSession, drawn: pd.DataFrame
) -> None:
    nobody = draw_splits(customers(spark), key=KEY, stratum="label", seed=7).where("false")
    nominal = local(draw_newcomer_splits(nobody, customers(spark), key=KEY, seed=7))
    assert (nominal.side == drawn.side).mean() > 0.95


@pytest.fixture(scope="module")
def stored(spark: SparkSession) -> DataFrame:
    """Drawn ones and newcomers, as they come back from a table."""
    splits = draw_splits(customers(spark, 600), key=KEY, stratum="label", folds=5, seed=7)
    splits_and_newcomers = with_newcomers(splits, customers(spark, 900), key=KEY, folds=5, seed=7)
    return spark.createDataFrame(
        [tuple(r) for r in splits_and_newcomers.collect()],
        "id string, side string, fold int, stratum string, drawn boolean, unit bigint",
    )


def test_splits_are_recognised_as_drawn_with_their_seed_and_folds(stored: DataFrame) -> None:
    def refused(part: str, seed: int) -> bool:
        try:
            check_splits(stored.where(part), key=KEY, folds=5, seed=seed)
        except ConfigurationError:
            return True
        return False

    assert [refused(part, 7) for part in ("true", "drawn", "NOT drawn", "false")] == [False] * 4
    assert refused("true", 8), "the check looks at the hash"
    whole, erased = (
        check_splits(stored.where(part), key=KEY, folds=5, seed=7) for part in ("true", "id NOT LIKE '%7'")
    )
    assert whole != erased and whole.is_same(erased), "erasing customers makes no other draw"


@pytest.mark.parametrize(
    ("part", "folds", "seed"),
    [
        ("drawn", 5, 8),
        ("drawn", 4, 7),
        ("drawn", 6, 7),
        ("NOT drawn", 5, 8),
        ("NOT drawn", 4, 7),
        ("true", 5, 6),
    ],
)
def test_splits_that_were_drawn_otherwise_are_refused(
    stored: DataFrame, part: str, folds: int, seed: int
) -> None:
    with pytest.raises(ConfigurationError, match=f"not drawn with seed {seed} and {folds} folds"):
        check_splits(stored.where(part), key=KEY, folds=folds, seed=seed)


def test_a_customer_that_was_moved_by_hand_is_noticed(stored: DataFrame) -> None:
    moved = stored.withColumn(
        "side", F.expr("CASE WHEN id = 'C5' THEN IF(side = 'test', 'conformal', 'test') ELSE side END")
    )
    with pytest.raises(ConfigurationError, match="were not drawn"):
        check_splits(
            moved.withColumn("fold", F.expr("CASE WHEN side = 'fit' THEN fold END")), key=KEY, folds=5, seed=7
        )
