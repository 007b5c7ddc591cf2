"""A contract drafted from data that nobody declared: it lints, and the data pass it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from pyspark.sql import functions as F

from engage_spark.contract import Contract, Role, TableKind, lint, load_contract
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.lake import read_any_format
from engage_spark.pipelines.quality.draft_contract import run_profile
from engage_spark.quality import CheckResult, check
from engage_spark.quality.profiling.draft_contract import draft_contract
from engage_spark.quality.profiling.profile import profile

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def contract_of(text: str, folder: Path) -> Contract:
    """The draft as a contract: read by this package, and by the library of the standard."""
    path = folder / "draft.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    assert lint(path) == []
    assert OpenDataContractStandard.model_validate(yaml.safe_load(text)).schema_
    return load_contract(path)


def draft(df: DataFrame, folder: Path, **more: Any) -> tuple[Contract, CheckResult, str]:
    text = draft_contract(profile(df, **more), table="things", origin="test")
    contract = contract_of(text, folder)
    return contract, check(df, contract), text


def critical(checked: CheckResult) -> dict[str, int]:
    return {c.rule_name: c.violations for c in checked.counts if c.severity == "critical" and not c.passed}


def warned(checked: CheckResult) -> dict[str, int]:
    return {c.rule_name: c.violations for c in checked.counts if c.severity != "critical" and not c.passed}


def test_the_dirty_bank_table_is_drafted_and_passes(
    spark: SparkSession, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "tables" / "bank_dirty.csv"
    made = run_profile(spark, str(path))
    contract = contract_of(made.text, tmp_path)
    table = contract.tables[0]
    rows = read_any_format(spark, str(path)).rows
    truth = pd.read_csv(path)
    assert (table.name, table.kind, table.key) == ("bank_dirty", TableKind.PLAIN, ()), (
        "two rows are there twice, so nothing is unique"
    )
    assert set(table["Geography"].allowed) == set(truth["Geography"].dropna())
    assert table["Gender"].protected
    assert table["Gender"].role is Role.AUDIT
    assert table["Surname"].classification == "confidential"
    assert not table["Surname"].allowed
    score = truth["CreditScore"]
    assert table["CreditScore"].minimum <= score.min() <= score.max() <= table["CreditScore"].maximum  # type: ignore[operator]
    assert {f.name for f in table.fields if f.max_missing_pct} == {c for c in truth if truth[c].isna().any()}
    assert "CustomerId: 4 of 10,002 rows share theirs" in made.text
    checked = check(rows, contract)
    assert (critical(checked), warned(checked), checked.passed) == ({}, {}, True)


def test_a_key_that_is_named_is_taken_and_what_shares_it_is_quarantined(
    spark: SparkSession, shared_data: Path, tmp_path: Path
) -> None:
    rows = read_any_format(spark, str(shared_data / "tables" / "bank_dirty.csv")).rows
    contract, checked, _ = draft(rows, tmp_path, key=("CustomerId",))
    assert contract.entity.key == ("CustomerId",)
    assert critical(checked) == {"CustomerId.unique": 4}


def test_the_churn_table_keeps_its_odd_names_as_physical_names(
    spark: SparkSession, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "tables" / "iranian_churn.csv"
    made = run_profile(spark, str(path))
    contract = contract_of(made.text, tmp_path)
    table = contract.tables[0]
    assert tuple(f.delivered_name for f in table.fields) == tuple(pd.read_csv(path).columns)
    assert table["call_failure"].physical_name == "Call  Failure"
    assert contract.tables[0]["Churn"].allowed == (0, 1)
    checked = check(read_any_format(spark, str(path)).rows, contract)
    assert (critical(checked), warned(checked), checked.row_count) == ({}, {}, 3150)


def awkward(spark: SparkSession) -> DataFrame:
    """200 rows with whatever a column can be."""
    rows = []
    for i in range(200):
        rows.append(
            (
                f"CUST-{i:06}",
                i % 7,
                [math.nan, math.inf, -0.0, 5e-324, 1e308, 0.1][i % 6],
                None,
                ["", "x y", "émoji 🚲", None][i % 4],
                date(2024, 1, 1 + i % 28),
                i % 2 == 0,
                {"a": i},
                [i, None],
                Decimal(i).scaleb(-2),
                datetime(2025, 1, 1, i % 24, tzinfo=UTC),
                f"user{i}@example.org",
                f"{i % 9}9{i:04}-{'ab'[i % 2]}",
                f"2024-{1 + i % 12:02}-{1 + i % 28:02}",
                i / 3 if i % 5 else None,
                "yes",
                2**62 + i,
                f"free text {'z' * (i % 90)}",
            )
        )
    schema = (
        "id string, `dotted.name` int, odd double, nothing string, words string, day date, flag "
        "boolean, nested struct<A:int>, "
        "list array<int>, amount decimal(6,2), at timestamp, contact string, code string, "
        "text_day string, ratio float, constant string, "
        "large bigint, note string"
    )
    made: DataFrame = spark.createDataFrame(rows, schema)
    return made.withColumn("void", F.lit(None)).withColumn(
        "clock", F.lit("2025-01-01 00:00:00").cast("timestamp_ntz")
    )


@pytest.mark.connect
def test_awkward_columns_are_drafted_and_pass(spark: SparkSession, tmp_path: Path) -> None:
    rows = awkward(spark)
    contract, checked, text = draft(rows, tmp_path)
    table = contract.entity
    assert table.key == ("id",)
    assert table["id"].pattern == r"\A(?:CUST-[0-9]{6})\z"
    assert table["code"].pattern == r"\A(?:[0-9]{6}-[a-z])\z"
    assert (table["text_day"].spark_type, table["dotted_name"].physical_name) == ("date", "dotted.name")
    assert table["contact"].classification == "confidential"
    assert "user1@" not in text
    assert table["words"].allowed == ("", "x y", "émoji 🚲")
    assert table["constant"].allowed == ("yes",)
    assert not table["words"].required
    assert table["nested"].spark_type == "struct<A:int>"
    assert table["note"].pattern is None
    assert table["large"].maximum >= 2**62 + 199  # type: ignore[operator]
    assert "Left out: 'clock'" in text
    assert critical(checked) == {}
    assert checked.passed
    assert set(warned(checked)) == {"nothing.not_null", "void.not_null", "odd.finite", "odd.range"}


def test_rows_in_another_order_and_other_partitions_give_the_same_draft(spark: SparkSession) -> None:
    rows = awkward(spark)
    texts = {
        draft_contract(profile(df), table="things", origin="test")
        for df in (rows, rows.repartition(5, "code"), rows.orderBy(F.xxhash64("id")).coalesce(1))
    }
    assert len(texts) == 1


def test_a_pair_of_columns_may_be_the_key(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(600).select(
        F.format_string("S%d", F.col("id") % 30).alias("shop_id"),
        (F.col("id") / 30).cast("int").alias("week"),
        (F.col("id") % 4).cast("int").alias("sold"),
    )
    contract, checked, _ = draft(rows, tmp_path)
    assert contract.entity.key == ("shop_id", "week")
    assert checked.passed


def test_a_key_is_unique_within_the_days_that_the_rows_carry(spark: SparkSession, tmp_path: Path) -> None:
    one = spark.range(40).select(
        F.format_string("P%03d", "id").alias("part"), F.lit(date(2025, 1, 1)).alias("snapshot_date")
    )
    rows = one.unionByName(one.withColumn("snapshot_date", F.lit(date(2025, 1, 2))))
    contract, checked, _ = draft(rows, tmp_path)
    assert (contract.entity.key, contract.entity.names) == (("part",), ("part",))
    assert checked.passed


def test_keys_that_differ_in_the_case_of_letters_only_are_none(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.createDataFrame([("ab",), ("AB",), ("cd",)], "code string")
    contract, _, text = draft(rows, tmp_path)
    assert contract.tables[0].kind is TableKind.PLAIN
    assert "code: 2 of 3 rows share theirs" in text
    with pytest.raises(ConfigurationError, match="declares no table of kind entity"):
        _ = contract.entity


def test_a_draft_leaves_room_and_says_what_few_rows_hold(spark: SparkSession, tmp_path: Path) -> None:
    n = F.col("id")
    rows = spark.range(2_400).select(
        F.when(n % 400 == 7, None)
        .when(n % 800 == 5, F.format_string("No%05d", n))
        .otherwise(F.format_string("C-%06d", F.when(n < 2, 1).otherwise(n)))
        .alias("customer"),
        F.when(n == 9, "Femle").when(n % 2 == 0, "Female").otherwise("Male").alias("group"),
        F.when(n % 3 == 0, "Yes").otherwise("No").alias("PhoneService"),
        F.format_string("%d/%d/2011", n % 12 + 1, n % 28 + 1).alias("effective_to_date"),
        (F.lit(18) + n % 50).cast("int").alias("age"),
        F.when(n % 200 == 3, " ").when(n == 8, "twelve").otherwise((n * 1.5).cast("string")).alias("charges"),
        (n % 97).cast("int").alias("sessions"),
    )
    contract, checked, text = draft(rows, tmp_path, key=("customer",))
    table = contract.entity
    gates = {g.name: g for g in table.gates}
    assert (gates["completeness_overall"].minimum, gates["quarantine"].maximum) == (99.0, 5.0)
    assert "Look at customer: 2 rows share theirs; they are quarantined." in text
    assert "Look at customer: 6 rows have none; they are quarantined." in text
    assert "3 rows do not match the pattern (No[0-9]{5}): a warning." in text
    assert "'Femle' in 1 row looks like a misspelling of 'Female'" in text
    assert table["group"].allowed == ("Female", "Male")
    assert table["PhoneService"].role is Role.FEATURE
    assert table["PhoneService"].classification is None
    assert (table["effective_to_date"].spark_type, table["effective_to_date"].classification) == (
        "date",
        None,
    )
    assert (table["charges"].spark_type, table["charges"].role) == ("double", Role.FEATURE)
    assert (table["age"].protected, table["age"].bands) == (True, (30, 40, 55))
    assert critical(checked) == {
        "customer.unique": 2,
        "group.allowed": 1,
        "charges.readable": 1,
    }
    assert warned(checked) == {"customer.pattern": 3}
    assert (checked.row_count, checked.quarantined_count) == (2_400, 10)


def test_no_rows_make_a_draft_too(spark: SparkSession, tmp_path: Path) -> None:
    contract, checked, _ = draft(spark.createDataFrame([], "a int, b string"), tmp_path)
    assert contract.tables[0].names == ("a", "b")
    assert checked.row_count == 0


def test_what_cannot_be_profiled_is_one_clear_error(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="cannot be told apart") as e:
        profile(spark.sql("SELECT 1 AS a, 2 AS A"))
    assert e.value.details == ("'a'", "'A'")
    with pytest.raises(ConfigurationError, match="no column 'zz'"):
        profile(spark.sql("SELECT 1 AS a"), key=("zz",))
