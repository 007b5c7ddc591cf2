"""The packaged contract against the dictionary, written out here once more by hand, so that neither can drift
alone.
"""

from __future__ import annotations

import re

import pytest

from engage_spark.contract import ExtraColumns, Role, Severity, TableKind, load_contract, system_contract

# name, type, minimum, maximum, mean
NUMBERS = """
age int 18 75 38.9
tenure_months int 0 120 23.4
sessions_last_7_days int 0 50 8.7
sessions_last_30_days int 0 200 35.2
session_duration_avg_minutes double 1 120 18.3
last_login_days_ago int 0 180 3.8
followers_count int 0 10000 342.5
following_count int 0 5000 287.1
posts_last_30_days int 0 100 12.4
comments_last_30_days int 0 500 45.6
shares_last_30_days int 0 200 8.9
likes_received_last_30_days int 0 5000 234.7
active_gigs_count int 0 20 2.3
completed_gigs_count int 0 500 18.7
gig_applications_sent int 0 100 7.2
gig_applications_received int 0 200 14.3
avg_gig_rating double 1 5 4.2
transaction_count_last_30_days int 0 50 3.8
transaction_revenue_30_day double 0 10000 234.6
transaction_revenue_last_90_days double 0 30000 687.4
avg_transaction_value double 10 5000 156.3
total_connections int 0 2000 187.5
profile_views_received int 0 1000 45.2
profile_completeness_pct double 0 100 67.8
skills_listed int 0 50 8.4
content_virality_score double 0 1 0.34
engagement_score double 0 1 0.485
avg_sentiment_score double -1 1 0.12
match_success_rate double 0 100 23.7
swipe_like_ratio double 0 1 0.31
avg_job_completion_rating double 1 5 4.3
peak_activity_hour int 0 23 -
weekend_usage_pct double 0 100 28.6
mobile_usage_pct double 0 100 73.2
network_centrality double 0 1 0.18
avg_connection_strength double 0 1 0.42
lifetime_value_usd double 0 5000 455.1
"""
CATEGORIES = {
    "gender": {"Male": 0.45, "Female": 0.45, "Non-binary": 0.10},
    "location": {"Urban": 0.60, "Suburban": 0.30, "Rural": 0.10},
    "account_type": {"Free": 0.70, "Premium": 0.25, "Enterprise": 0.05},
    "churn_30_day": {0: 0.621, 1: 0.379},
}
ORDER = """
customer_id age gender location account_type tenure_months sessions_last_7_days sessions_last_30_days
session_duration_avg_minutes last_login_days_ago followers_count following_count posts_last_30_days
comments_last_30_days shares_last_30_days likes_received_last_30_days active_gigs_count completed_gigs_count
gig_applications_sent gig_applications_received avg_gig_rating transaction_count_last_30_days
transaction_revenue_30_day transaction_revenue_last_90_days avg_transaction_value total_connections
profile_views_received profile_completeness_pct
skills_listed content_virality_score engagement_score avg_sentiment_score match_success_rate swipe_like_ratio
avg_job_completion_rating peak_activity_hour weekend_usage_pct mobile_usage_pct network_centrality
avg_connection_strength churn_30_day lifetime_value_usd
"""

CONTRACT = load_contract()
CUSTOMERS = CONTRACT.entity


def matches(value: str) -> bool:
    return re.search(str(CUSTOMERS["customer_id"].pattern).replace(r"\z", r"\Z"), value) is not None


def test_the_42_fields_are_declared_in_the_dictionary_s_order() -> None:
    assert list(CUSTOMERS.names) == ORDER.split()
    assert len(ORDER.split()) == 42


def test_roles_are_one_identifier_38_features_and_3_targets() -> None:
    roles = [f.role for f in CUSTOMERS.fields]
    assert roles.count(Role.IDENTIFIER) == 1
    assert roles.count(Role.FEATURE) + roles.count(Role.AUDIT) == 38
    assert [f.name for f in CUSTOMERS.fields if f.role is Role.TARGET] == [
        "engagement_score",
        "churn_30_day",
        "lifetime_value_usd",
    ]


def test_ranges_types_and_means_are_the_dictionary_s() -> None:
    declared = {
        (f.name, f.spark_type, f.minimum, f.maximum, f.reference_mean)
        for f in CUSTOMERS.fields
        if f.minimum is not None
    }
    lines = [line.split() for line in NUMBERS.strip().splitlines()]
    assert declared == {
        (n, t, float(lo), float(hi), None if m == "-" else float(m)) for n, t, lo, hi, m in lines
    }


def test_values_and_shares_are_the_dictionary_s() -> None:
    assert {f.name: dict(f.reference_shares) for f in CUSTOMERS.fields if f.allowed} == CATEGORIES
    assert {f.name: set(f.allowed) for f in CUSTOMERS.fields if f.allowed} == {
        name: set(v) for name, v in CATEGORIES.items()
    }


def test_gender_is_audited_and_never_a_feature_and_age_is_a_protected_feature() -> None:
    assert CUSTOMERS["gender"].role is Role.AUDIT
    assert {f.name for f in CUSTOMERS.fields if f.protected} == {"age", "gender"}
    assert CUSTOMERS["age"].role is Role.FEATURE


def test_only_the_key_is_required_and_less_than_a_fifth_of_a_percent_may_be_missing() -> None:
    assert [f.name for f in CUSTOMERS.fields if f.required] == ["customer_id"]
    assert CUSTOMERS.key == ("customer_id",)
    assert {f.max_missing_pct for f in CUSTOMERS.fields if not f.required} == {0.2}


@pytest.mark.parametrize(
    "good",
    [
        "CUST-001234",
        "CUST-1234567",
        "123e4567-e89b-12d3-a456-426614174000",
        "123E4567-E89B-42D3-B456-426614174000",
    ],
)
def test_a_customer_id_may_be_a_cust_number_or_a_uuid(good: str) -> None:
    assert matches(good)


@pytest.mark.parametrize(
    "bad",
    [
        "CUST-00123",
        "cust-001234",
        "CUST-001234\n",
        " CUST-001234",
        "CUST-001234x",
        "CUST-00123٤",
        "CUST-001234\nCUST-001235",
        "",
        "123e4567e89b12d3a456426614174000",
        "123e4567-e89b-02d3-a456-426614174000",
        "123e4567-e89b-12d3-c456-426614174000",
        "{123e4567-e89b-12d3-a456-426614174000}",
    ],
)
def test_anything_else_is_no_customer_id(bad: str) -> None:
    assert not matches(bad)


def test_the_cross_field_rules_are_critical_and_know_their_columns() -> None:
    assert {r.name: (r.severity, len(r.columns)) for r in CUSTOMERS.rules} == {
        "sessions_7_within_30": (Severity.CRITICAL, 2),
        "revenue_30_within_90": (Severity.CRITICAL, 2),
        "no_transactions_no_revenue": (Severity.CRITICAL, 2),
        "idle_over_7_days_no_sessions_7": (Severity.CRITICAL, 2),
        "idle_over_30_days_no_sessions_30": (Severity.CRITICAL, 2),
    }


def test_the_gates_are_99_8_percent_complete_and_1_percent_quarantined() -> None:
    assert {
        (g.measure, g.minimum, g.maximum) for g in CUSTOMERS.gates if g.unit == "percent" and not g.column
    } == {
        ("completeness", 99.8, None),
        ("quarantine_share", None, 1.0),
    }


@pytest.mark.parametrize(
    ("name", "time", "kinds"), [("connections", "connected_at", 2), ("interactions", "occurred_at", 5)]
)
def test_the_logs_refer_to_customers_at_both_ends(name: str, time: str, kinds: int) -> None:
    log = CONTRACT.table(name)
    assert (log.kind, log.event_time, log.extra) == (TableKind.LOG, time, ExtraColumns.WARN)
    assert [(r.column, r.table, r.to_column) for r in log.references] == [
        ("src_customer_id", "customers", "customer_id"),
        ("dst_customer_id", "customers", "customer_id"),
    ]
    assert len(log["kind"].allowed) == kinds
    assert all(f.required for f in log.fields)
    assert [r.severity for r in log.rules] == [Severity.WARNING]


def test_the_five_derived_features_of_the_dictionary_come_first() -> None:
    derived = CONTRACT.table("customer_features")
    assert derived.key == ("customer_id", "snapshot_date")
    assert [f.name for f in derived.fields if f.formula][:6] == [
        "engagement_velocity",
        "social_influence_score",
        "transaction_momentum",
        "profile_quality_score",
        "activity_recency_score",
        "content_virality_raw",
    ]


def test_thresholds_stated_twice_are_each_an_indicator_of_its_own() -> None:
    names = set(CONTRACT.table("customer_features").names)
    for pair in (
        {"churn_risk_login_over_14_v1", "churn_risk_login_over_30_v1"},
        {"churn_risk_sessions_under_2_v1", "low_engagement_sessions_under_3_v1"},
        {"high_engagement_gigs_over_3_v1", "retention_gigs_3_plus_v1"},
        {"high_engagement_connections_over_100_v1", "engagement_connections_100_plus_v1"},
    ):
        assert pair <= names


def test_bookkeeping_tables_are_declared_with_their_keys() -> None:
    system = system_contract()
    assert system.table("quality_results").key == ("table_name", "snapshot_date", "rule_name")
    assert "run_id" in system.table("runs").key
