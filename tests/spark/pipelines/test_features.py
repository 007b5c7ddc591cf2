"""Every formula of the packaged contract against an independent computation: pandas for the dictionary's own,
DuckDB for the rest.
"""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from chispa import assert_df_equality

from engage_spark.contract import Role, Table, TableKind
from engage_spark.contract.model import Field
from engage_spark.errors import ContractError
from engage_spark.features import to_features
from tests.support.deliveries import ENGAGEMENT, customers, write

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEATURES = ENGAGEMENT.table("customer_features")
DAY = date(2025, 10, 31)

# Written from the dictionary's text, not from the contract. DuckDB divides whole numbers as fractions, and by
# zero without an error.
DUCKDB = {
    "sessions_7_share": "sessions_last_7_days / nullif(sessions_last_30_days, 0)",
    "session_minutes_30_day": "sessions_last_30_days * session_duration_avg_minutes",
    "posts_per_session_30_day": "posts_last_30_days / nullif(sessions_last_30_days, 0)",
    "comments_per_session_30_day": "comments_last_30_days / nullif(sessions_last_30_days, 0)",
    "shares_per_session_30_day": "shares_last_30_days / nullif(sessions_last_30_days, 0)",
    "likes_per_post_30_day": "likes_received_last_30_days / nullif(posts_last_30_days, 0)",
    "follower_following_ratio": "(1 + followers_count) / (1 + following_count)",
    "connections_per_tenure_month": "total_connections / (1 + tenure_months)",
    "completed_gigs_per_tenure_month": "completed_gigs_count / (1 + tenure_months)",
    "gig_completion_share": "completed_gigs_count / nullif(active_gigs_count + completed_gigs_count, 0)",
    "gig_applications_received_share": "gig_applications_received / nullif(gig_applications_sent + "
                                       "gig_applications_received, 0)",
    "profile_views_per_connection": "profile_views_received / (1 + total_connections)",
    "rating_gap": "avg_job_completion_rating - avg_gig_rating",
    "has_transactions_30_day": "(transaction_count_last_30_days >= 1)::int",
    "revenue_per_transaction_30_day": "transaction_revenue_30_day / "
                                      "nullif(transaction_count_last_30_days, 0)",
    "revenue_30_share_of_90": "transaction_revenue_30_day / nullif(transaction_revenue_last_90_days, 0)",
    "peak_activity_daypart": "['night', 'morning', 'afternoon', 'evening'][1 + peak_activity_hour // 6]",
    "signup_month": "(date_trunc('month', DATE '2025-10-31') - to_months(tenure_months))::date",
    "tenure_band": "list_filter(['60+', '24-59', '12-23', '06-11', '00-05'], lambda b: tenure_months "
                   ">= b[1:2]::int)[1]",
    "high_engagement_sessions_over_10_v1": "(sessions_last_7_days > 10)::int",
    "high_engagement_duration_over_15_v1": "(session_duration_avg_minutes > 15)::int",
    "high_engagement_gigs_over_3_v1": "(active_gigs_count > 3)::int",
    "high_engagement_connections_over_100_v1": "(total_connections > 100)::int",
    "high_engagement_virality_over_0_5_v1": "(content_virality_score > 0.5)::int",
    "low_engagement_sessions_under_3_v1": "(sessions_last_7_days < 3)::int",
    "churn_risk_login_over_14_v1": "(last_login_days_ago > 14)::int",
    "churn_risk_login_over_30_v1": "(last_login_days_ago > 30)::int",
    "churn_risk_sessions_under_2_v1": "(sessions_last_7_days < 2)::int",
    "churn_risk_revenue_declining_v1": "(transaction_revenue_30_day < transaction_revenue_last_90_days "
                                       "/ 3)::int",
    "churn_risk_profile_under_50_v1": "(profile_completeness_pct < 50)::int",
    "churn_risk_no_active_gigs_v1": "(active_gigs_count = 0)::int",
    "churn_risk_first_6_months_v1": "(tenure_months < 6)::int",
    "retention_gigs_3_plus_v1": "(active_gigs_count >= 3)::int",
    "retention_creator_v1": "(posts_last_30_days > 0)::int",
    "engagement_connections_100_plus_v1": "(total_connections >= 100)::int",
    "match_profile_over_80_v1": "(profile_completeness_pct > 80)::int",
    "high_ltv_paid_account_v1": "(account_type <> 'Free')::int",
    "high_ltv_tenure_over_12_v1": "(tenure_months > 12)::int",
    "high_ltv_revenue_over_500_v1": "(transaction_revenue_30_day > 500)::int",
    "high_ltv_rating_over_4_5_v1": "(avg_gig_rating > 4.5)::int",
    "high_ltv_centrality_over_0_3_v1": "(network_centrality > 0.3)::int",
    "high_engagement_count_v1": """(sessions_last_7_days > 10)::int
        + (session_duration_avg_minutes > 15)::int
        + (active_gigs_count > 3)::int + (total_connections > 100)::int
        + (content_virality_score > 0.5)::int""",
    "churn_risk_count_v1": """(last_login_days_ago > 14)::int + (sessions_last_7_days < 2)::int
        + (transaction_revenue_30_day < transaction_revenue_last_90_days / 3)::int
        + (profile_completeness_pct < 50)::int + (active_gigs_count = 0)::int""",
    "high_ltv_count_v1": """(account_type <> 'Free')::int + (tenure_months > 12)::int
        + (transaction_revenue_30_day > 500)::int + (avg_gig_rating > 4.5)::int
        + (network_centrality > 0.3)::int""",
}  # fmt: skip


def by_hand(r: dict[str, Any]) -> dict[str, float | None]:
    """The dictionary's five derived features and its virality, in plain Python, one row at a time."""

    def of(*names: str) -> list[Any] | None:
        values = [None if pd.isna(r[n]) else r[n] for n in names]
        return None if None in values else values

    found: dict[str, float | None] = {}
    s = of("sessions_last_7_days", "sessions_last_30_days")
    found["engagement_velocity"] = s and (0.0 if s[1] == 0 else (s[0] - s[1] / 4) / s[1])
    v = of("content_virality_score", "followers_count")
    found["social_influence_score"] = v and v[0] * math.log(v[1] + 1)
    t = of("transaction_revenue_30_day", "transaction_revenue_last_90_days")
    found["transaction_momentum"] = t and t[0] / (t[1] / 3 + 1)
    p = of("profile_completeness_pct", "skills_listed")
    found["profile_quality_score"] = p and p[0] * p[1] / 100
    a = of("last_login_days_ago")
    found["activity_recency_score"] = a and 1 / (a[0] + 1)
    c = of("shares_last_30_days", "likes_received_last_30_days", "comments_last_30_days", "followers_count")
    found["content_virality_raw"] = c and (None if c[3] == 0 else (c[0] * 10 + c[1] * 1 + c[2] * 5) / c[3])
    return found


def rows_with_edges() -> pd.DataFrame:
    """Valid rows, then a row per column that is null, then rows with every count at zero and every field at
    each of its bounds.
    """
    table, rows = ENGAGEMENT.entity, customers(300)
    for i, name in enumerate(table.names[1:]):
        rows.loc[40 + i, name] = None
    low = {f.name: type(rows.loc[0, f.name])(f.minimum) for f in table.fields if f.minimum is not None}
    high = {f.name: type(rows.loc[0, f.name])(f.maximum) for f in table.fields if f.maximum is not None}
    for i, extreme in (
        (20, low),
        (21, high),
        (22, low | {"sessions_last_30_days": 7}),
        (23, high | {"followers_count": 0}),
    ):
        rows.loc[i, list(extreme)] = list(extreme.values())
    rows.loc[24, list(table.names[1:])] = [None] * 41
    rows.loc[25, "sessions_last_7_days"] = None
    rows.loc[25, "sessions_last_30_days"] = 0
    for i, months in enumerate((0, 5, 6, 11, 12, 23, 24, 59, 60, 120)):
        rows.loc[26 + i, "tenure_months"] = months
    return rows


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("features")
    write(rows_with_edges(), ENGAGEMENT.entity, home)
    return home / "part-0.parquet"


@pytest.fixture(scope="module")
def derived(spark: SparkSession, parquet: Path) -> pd.DataFrame:
    from pyspark.sql import functions as F

    rows = spark.read.parquet(str(parquet)).withColumn("snapshot_date", F.lit(DAY))
    found = to_features(rows, table=FEATURES)
    assert tuple(found.columns) == FEATURES.names
    assert found.schema["engagement_velocity"].metadata["role"] == "feature"
    return (
        pd.DataFrame([r.asDict() for r in found.collect()], dtype=object)
        .set_index("customer_id")
        .sort_index()
    )


def same(found: Any, expected: Any) -> bool:
    if expected is None or expected is pd.NaT or expected != expected:  # noqa: PLR0124 (NaN stands for null here)
        return found is None
    if isinstance(expected, float):
        return found is not None and abs(found - expected) <= 1e-12 * max(1.0, abs(expected))
    return bool(found == expected)


def test_the_five_derived_features_are_exactly_the_dictionarys(derived: pd.DataFrame, parquet: Path) -> None:
    given = pd.read_parquet(parquet).set_index("customer_id")
    wrong = [
        (key, name, found, expected)
        for key, row in given.iterrows()
        for name, expected in by_hand(row.to_dict()).items()
        if not same(found := derived.loc[key, name], expected)
    ]
    assert wrong == []
    for name in (
        "engagement_velocity",
        "social_influence_score",
        "transaction_momentum",
        "profile_quality_score",
        "activity_recency_score",
    ):
        assert 2 <= derived[name].isna().sum() <= 4
        assert derived[name].nunique() >= 9
    assert derived.loc["CUST-000007", "engagement_velocity"] == 0.0
    assert derived.loc["CUST-000003", "social_influence_score"] == 0.0
    assert derived.loc["CUST-000003", "content_virality_raw"] is None
    assert derived.loc["CUST-000025", "engagement_velocity"] is None


def test_every_other_formula_agrees_with_duckdb_on_the_same_file(
    derived: pd.DataFrame, parquet: Path
) -> None:
    by_pandas = set(by_hand(dict.fromkeys(ENGAGEMENT.entity.names)))
    assert set(DUCKDB) | by_pandas == {f.name for f in FEATURES.fields if f.formula}, (
        "a formula without an oracle"
    )
    columns = ", ".join(f"{text} AS {name}" for name, text in DUCKDB.items())
    found = duckdb.sql(f"SELECT customer_id, {columns} FROM '{parquet}'")
    names = found.columns[1:]
    wrong = [
        (key, name, derived.loc[key, name], value)
        for key, *values in found.fetchall()
        for name, value in zip(names, values, strict=True)
        if not same(derived.loc[key, name], value)
    ]
    assert wrong == []
    assert all(derived[name].nunique() >= 2 for name in names)


def test_the_oracle_sees_a_wrong_formula(derived: pd.DataFrame) -> None:
    assert not same(np.float64(0.1 + 1e-10), 0.1)
    assert not same(0.0, None)
    assert not same(None, 0.0)


def test_a_formula_may_use_the_ones_before_it_and_nothing_undeclared_stays(spark: SparkSession) -> None:
    def field(name: str, formula: str | None = None, *inputs: str) -> Field:
        return Field(
            name=name,
            logical_type="number",
            spark_type="double",
            description=name,
            role=Role.FEATURE,
            formula=formula,
            inputs=inputs,
        )

    table = Table(
        name="t",
        kind=TableKind.DERIVED,
        description="",
        source="s",
        fields=(
            field("a"),
            field("b", "a + 1", "a"),
            field("c", "b * b", "b"),
            field("d", "a - 1", "a"),
            field("e", "c + d", "c", "d"),
        ),
    )
    rows = spark.createDataFrame([(2.0, "x"), (None, "y")], "a double, other string")
    expected = spark.createDataFrame(
        [(2.0, 3.0, 9.0, 1.0, 10.0), (None,) * 5], "a double, b double, c double, d double, e double"
    )
    assert_df_equality(
        to_features(rows, table=table),
        expected,
        ignore_nullable=True,
        ignore_row_order=True,
        ignore_metadata=True,
    )
    with pytest.raises(ContractError, match="t declares a without a formula, and s has no such column"):
        to_features(rows.drop("a"), table=table)
