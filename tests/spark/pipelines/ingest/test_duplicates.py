"""Duplicated keys: none, few enough for the driver, and more than that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from engage_spark.contract import load_contract
from engage_spark.errors import EngageError
from engage_spark.lake import Lake, scratch
from engage_spark.pipelines.ingest import validate_table
from engage_spark.quality.checks import duplicate_keys
from engage_spark.settings import LakeSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLE = load_contract().entity


def rows_of(spark: SparkSession, *keys: str | None) -> DataFrame:
    return spark.createDataFrame([(k,) for k in keys], f"{TABLE.key[0]} string")


def lake_at(path: Path) -> Lake:
    return Lake(LakeSettings(root=str(path / "lake"), scratch=str(path / "scratch")))


def test_no_duplicate_needs_no_join_and_nulls_are_no_duplicates_of_each_other(
    spark: SparkSession, tmp_path: Path
) -> None:
    with scratch(spark, lake_at(tmp_path)) as materialize:
        rows = rows_of(spark, "a", "b", None, None)
        assert validate_table._duplicates(rows, TABLE, materialize) == (4, None)
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("few", [0, 1, 2])
def test_many_duplicates_go_through_a_temporary_table_and_are_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(duplicate_keys, "MAX_LITERAL_KEYS", few)
    with scratch(spark, lake_at(tmp_path)) as materialize:
        n_rows, duplicates = validate_table._duplicates(
            rows_of(spark, "a", "b", "a", "c", "c", "c"), TABLE, materialize
        )
        assert n_rows == 6
        assert duplicates is not None
        expected = spark.createDataFrame(
            [("a", True, False), ("c", True, False)], "__key_0 string, __duplicated boolean, __alike boolean"
        )
        actual = duplicates.select(*expected.columns)  # without the hash of how a key is written
        assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)
        assert (tmp_path / "scratch").exists() == (few < 2)
    assert not list((tmp_path / "scratch").glob("*"))


def test_keys_that_only_share_a_hash_are_no_duplicates(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicate_keys, "_lowercase_hash", lambda _: F.lit(7).cast("bigint"))
    with scratch(spark, lake_at(tmp_path)) as materialize:
        assert validate_table._duplicates(rows_of(spark, "a", "b", "c"), TABLE, materialize) == (3, None)
        _, duplicates = validate_table._duplicates(rows_of(spark, "a", "b", "A", "b"), TABLE, materialize)
    assert duplicates is not None
    flags = {(r["__key_0"], r["__duplicated"], r["__alike"]) for r in duplicates.collect()}
    assert flags == {("a", False, True), ("b", True, False)}


def test_a_scratch_place_that_cannot_be_written_is_named(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").write_text("I am in the way")
    monkeypatch.setattr(duplicate_keys, "MAX_LITERAL_KEYS", 0)
    with (
        scratch(spark, lake_at(tmp_path)) as materialize,
        pytest.raises(EngageError, match=r"scratch.* cannot be written") as e,
    ):
        validate_table._duplicates(rows_of(spark, "a", "a"), TABLE, materialize)
    assert e.value.exit_code == 2
