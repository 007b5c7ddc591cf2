"""Inputs against the declared columns, on small literal frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from engage_spark.contract import (
    ExtraColumns,
    Field,
    Role,
    Table,
    TableKind,
    load_contract,
    stored_tables,
    system_contract,
)
from engage_spark.errors import ContractError, InputError
from engage_spark.spark.schema import conform, spark_schema, spark_type
from tests.support.bad_input.declared import Case, assert_told, each
from tests.support.bad_input.types import WIDENED, WRONG
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.connect

BIKES = load_contract(DATA / "bikes.odcs.yaml")
LOGICAL = {"int": "integer", "bigint": "integer", "double": "number", "decimal(10,2)": "number"}


def field(name: str, spark: str, **more: object) -> Field:
    return Field(
        name=name,
        logical_type=LOGICAL.get(spark, spark),
        spark_type=spark,
        description=f"The {name}.",
        role=Role.FEATURE,
        **more,
    )  # type: ignore[arg-type]


def table(*fields: Field, extra: ExtraColumns = ExtraColumns.WARN) -> Table:
    return Table(name="things", kind=TableKind.ENTITY, description="Things.", fields=fields, extra=extra)


def test_every_declared_table_has_a_spark_schema() -> None:
    engagement = load_contract()
    for t in (*engagement.tables, *stored_tables(engagement), *system_contract().tables):
        assert tuple(spark_schema(t).names) == t.names


def test_columns_carry_comment_role_unit_protection_and_classification() -> None:
    assert spark_schema(load_contract().entity)["age"].metadata == {
        "comment": load_contract().entity["age"].description,
        "role": "feature",
        "unit": "years",
        "protected": True,
        "classification": "restricted",
    }


@pytest.mark.parametrize(
    "ddl",
    [
        "int",
        "decimal(10,2)",
        "array<struct<rule:string,value:decimal(3,1)>>",
        "map<string,array<bigint>>",
        "struct<a:int,b:struct<c:date>>",
    ],
)
def test_nested_types_read_as_spark_writes_them(ddl: str) -> None:
    assert spark_type(ddl).simpleString() == ddl


@pytest.mark.parametrize("ddl", ["varchar(3)", "array<int,int>", "struct<int>", "", "map<string>"])
def test_an_unknown_type_is_refused(ddl: str) -> None:
    with pytest.raises(ContractError):
        spark_type(ddl)


def test_columns_come_in_declared_order_and_undeclared_ones_are_told(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1.5, "x", 7)], "b double, note string, a int")
    conformed = conform(rows, table(field("a", "int"), field("b", "double")))
    assert conformed.rows.schema["a"].metadata["comment"] == "The a."
    assert conformed.extra == ("note",)
    expected = spark.createDataFrame([(7, 1.5)], "a int, b double")
    assert_df_equality(conformed.rows, expected, ignore_nullable=True, ignore_metadata=True)


def test_undeclared_columns_can_be_ignored_or_refused(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, 2)], "a int, z int")
    assert conform(rows, table(field("a", "int"), extra=ExtraColumns.IGNORE)).extra == ()
    with pytest.raises(InputError, match="z: not declared"):
        conform(rows, table(field("a", "int"), extra=ExtraColumns.REFUSE))


@each(WIDENED)
def test_widening_that_keeps_every_value_is_done(spark: SparkSession, case: Case) -> None:
    found, declared, value, expected = case.given
    conformed = conform(spark.createDataFrame([(value,)], f"a {found}"), table(field("a", declared)))
    assert conformed.rows.dtypes == [("a", declared)]
    assert conformed.rows.first() == (expected,)


def test_64_bit_integers_fit_within_declared_bounds_and_stay_out_of_bounds_beyond_int(
    spark: SparkSession,
) -> None:
    rows = spark.createDataFrame(
        [(1, 5), (2, None), (3, 2**31), (4, -(2**62)), (5, 2**32 + 5)], "k int, a bigint"
    )
    conformed = conform(rows, table(field("k", "int"), field("a", "int", minimum=0, maximum=50)))
    expected = spark.createDataFrame(
        [(1, 5), (2, None), (3, 2**31 - 1), (4, -(2**31)), (5, 2**31 - 1)], "k int, a int"
    )
    assert_df_equality(
        conformed.rows, expected, ignore_nullable=True, ignore_row_order=True, ignore_metadata=True
    )


@pytest.mark.parametrize(
    "bounds", [{}, {"minimum": 0}, {"minimum": 0, "maximum": 2**31 - 1}, {"minimum": -(2**31), "maximum": 0}]
)
def test_64_bit_integers_without_bounds_inside_int_are_refused(
    spark: SparkSession, bounds: dict[str, int]
) -> None:
    with pytest.raises(InputError, match="found bigint, declared is int"):
        conform(spark.createDataFrame([(1,)], "a bigint"), table(field("a", "int", **bounds)))


@each(WRONG)
def test_a_type_that_could_change_values_is_refused(spark: SparkSession, case: Case) -> None:
    found, declared = case.given
    with pytest.raises(InputError) as error:
        conform(
            spark.createDataFrame([], f"a {found}"),
            table(field("a", declared, minimum=0 if declared == "int" else None)),
        )
    assert_told(case, error.value)


def test_one_error_lists_all_violations_with_a_hint(spark: SparkSession) -> None:
    stations = BIKES.entity
    others = (
        "district string, operator_owner string, bikes_parked int, rides_started int, mean_ride_km double, "
        "electric boolean, opened_on date"
    )
    rows = spark.createDataFrame([], f"Station_Code string, docks_totl int, rides_ended string, {others}")
    with pytest.raises(InputError) as error:
        conform(rows, stations)
    hint = "rename it, or give its name as the field's physicalName"
    assert list(error.value.details) == [
        f"station_code: missing, but there is 'Station_Code', which differs only in case or blanks; {hint}",
        f"docks_total: missing, but there is 'docks_totl'; if that is it, {hint}",
        "rides_ended: found string, declared is int; write it as int, or give the field a reading, such as "
        "CAST(`rides_ended` AS int)",
        "runs_empty: missing; add it as int",
    ]
    assert error.value.exit_code == 2


def test_columns_that_spark_cannot_tell_apart_are_refused(spark: SparkSession) -> None:
    for ddl in ("a int, A int", "a int, a int"):
        with pytest.raises(InputError, match="cannot tell apart"):
            conform(spark.createDataFrame([], ddl), table(field("a", "int")))


def test_names_with_dots_and_backticks_are_quoted(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, 2, 3)], "`a.b` int, `c``d` int, a int")
    conformed = conform(rows, table(field("c`d", "int"), field("a.b", "int")))
    expected = spark.createDataFrame([(2, 1)], "`c``d` int, `a.b` int")
    assert_df_equality(conformed.rows, expected, ignore_nullable=True, ignore_metadata=True)
    assert conformed.extra == ("a",)


def test_a_conformed_frame_conforms_unchanged(spark: SparkSession) -> None:
    stations = replace(BIKES.entity, extra=ExtraColumns.REFUSE)
    rows = spark.createDataFrame([], spark_schema(stations))
    assert conform(rows, stations).rows.schema == spark_schema(stations)


def test_a_pattern_matches_the_whole_value_in_spark(spark: SparkSession) -> None:
    pattern = load_contract().entity["customer_id"].pattern
    values = [
        "CUST-001234",
        "CUST-001234\n",
        "CUST-001234\r\n",
        "CUST-001234\u2028",
        "x\nCUST-001234",
        "CUST-00123",
        "CUST-٠٠١٢٣٤",
    ]
    uuid = "123e4567-e89b-12d3-a456-426614174000"
    rows = spark.createDataFrame([(v,) for v in [*values, uuid, uuid + "\n"]], "id string")
    assert [r["id"] for r in rows.where(F.col("id").rlike(pattern)).collect()] == ["CUST-001234", uuid]


def test_the_packaged_formulas_have_the_declared_types_and_values(spark: SparkSession) -> None:
    """A customer without sessions, followers, gigs or revenue, one with all of them, and one of nulls."""
    contract = load_contract()
    derived = contract.table("customer_features")
    full = {
        "account_type": "Premium", "tenure_months": 14, "sessions_last_7_days": 9,
        "sessions_last_30_days": 30,
        "session_duration_avg_minutes": 16.0, "last_login_days_ago": 3, "followers_count": 99,
        "following_count": 49, "posts_last_30_days": 4, "comments_last_30_days": 6, "shares_last_30_days": 2,
        "likes_received_last_30_days": 10,
        "active_gigs_count": 3, "completed_gigs_count": 9, "gig_applications_sent": 1,
        "gig_applications_received": 3,
        "avg_gig_rating": 4.0, "transaction_count_last_30_days": 2,
        "transaction_revenue_30_day": 100.0,
        "transaction_revenue_last_90_days": 297.0, "total_connections": 100,
        "profile_views_received": 5, "profile_completeness_pct": 50.0, "skills_listed": 8,
        "content_virality_score": 0.5, "avg_job_completion_rating": 4.5, "peak_activity_hour": 12,
        "network_centrality": 0.31,
    }  # fmt: skip
    idle = {
        name: 0 if isinstance(value, int) else 0.0 if isinstance(value, float) else "Free"
        for name, value in full.items()
    }
    schema = ", ".join(f"{f.name} {f.spark_type}" for f in contract.entity.fields) + ", snapshot_date string"
    names = [*contract.entity.names, "snapshot_date"]
    rows = [
        [{"customer_id": i, "snapshot_date": "2026-03-15", **values}.get(n) for n in names]
        for i, values in [("full", full), ("idle", idle), ("nulls", {})]
    ]
    frame = spark.createDataFrame(rows, schema).withColumn(
        "snapshot_date", F.col("snapshot_date").cast("date")
    )
    for f in derived.fields:
        if f.formula:
            frame = frame.selectExpr("*", f"{f.formula} AS {f.name}")
    types = dict(frame.dtypes)
    assert {f.name: types[f.name] for f in derived.fields} == {f.name: f.spark_type for f in derived.fields}
    got = {r["customer_id"]: r.asDict() for r in frame.collect()}
    velocity = {i: r["engagement_velocity"] for i, r in got.items()}
    assert velocity == {"full": (9 - 30 / 4) / 30, "idle": 0.0, "nulls": None}
    assert got["full"]["content_virality_raw"] == pytest.approx((20 + 10 + 30) / 99, abs=1e-15)
    assert got["idle"]["content_virality_raw"] is None
    assert got["full"]["transaction_momentum"] == 1.0
    assert got["full"]["social_influence_score"] == pytest.approx(0.5 * 4.605170185988092, abs=1e-12)
    assert got["full"]["profile_quality_score"] == 4.0
    assert got["full"]["activity_recency_score"] == 0.25
    assert str(got["full"]["signup_month"]) == "2025-01-01"
    assert (got["full"]["tenure_band"], got["full"]["peak_activity_daypart"]) == ("12-23", "afternoon")
    assert (got["full"]["high_engagement_gigs_over_3_v1"], got["full"]["retention_gigs_3_plus_v1"]) == (0, 1)
    assert (
        got["full"]["high_engagement_connections_over_100_v1"],
        got["full"]["engagement_connections_100_plus_v1"],
    ) == (0, 1)
    assert (
        got["full"]["high_engagement_count_v1"],
        got["full"]["churn_risk_count_v1"],
        got["full"]["high_ltv_count_v1"],
    ) == (1, 0, 3)
    assert [n for n in derived.names if got["nulls"][n] is not None] == ["customer_id", "snapshot_date"]
    undefined = {n for n in derived.names if got["idle"][n] is None}
    assert undefined == {
        "content_virality_raw",
        "sessions_7_share",
        "posts_per_session_30_day",
        "comments_per_session_30_day",
        "shares_per_session_30_day",
        "likes_per_post_30_day",
        "gig_completion_share",
        "gig_applications_received_share",
        "revenue_per_transaction_30_day",
        "revenue_30_share_of_90",
    }
