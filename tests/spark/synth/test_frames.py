"""The synthetic tables on Spark: degrees equal edges, partitions don't matter, days agree, faults are those
listed.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import load_contract
from engage_spark.quality.checks.row_checks import row_checks
from engage_spark.synth import SynthPlan, connections, customers, interactions, with_faults

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

CONTRACT = load_contract()
LAST = dt.date(2025, 10, 21)


def plan_of(
    *, customers: int = 2_000, snapshots: int = 3, partitions: int | None = 2, seed: int = 7
) -> SynthPlan:
    return SynthPlan(
        customers=customers, snapshots=snapshots, partitions=partitions, seed=seed, contract=CONTRACT
    )


class Made(NamedTuple):
    customers: DataFrame
    connections: DataFrame
    interactions: DataFrame


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """2,000 customers on three days with their graph, written once."""
    root: Path = tmp_path_factory.mktemp("synth")
    frames = []
    for make in (customers, connections, interactions):
        path = str(root / make.__name__)
        make(spark, plan_of()).write.parquet(path)
        frames.append(spark.read.parquet(path))
    return Made(*frames)


def digest(rows: DataFrame) -> tuple[int, str]:
    """Number of rows, and a sum of their hashes that no order and no partitioning can change."""
    row_hash = F.xxhash64(*[F.col(c) for c in rows.columns]).cast("decimal(20,0)")
    first = rows.agg(F.count("*").alias("n"), F.sum(row_hash).cast("string").alias("h")).first()
    assert first is not None
    return first["n"], first["h"]


def test_the_tables_are_those_the_contract_declares(made: Made) -> None:
    for rows, table in zip(made, (CONTRACT.entity, *CONTRACT.logs), strict=True):
        declared = [(f.name, f.spark_type) for f in table.fields if f.name != "snapshot_date"]
        extra = [("snapshot_date", "date")] if table is CONTRACT.entity else []
        assert [(f.name, f.dataType.simpleString()) for f in rows.schema.fields] == declared + extra


def test_degrees_equal_the_edges_of_each_day(spark: SparkSession, made: Made) -> None:
    for day in (LAST, LAST - dt.timedelta(days=1), LAST - dt.timedelta(days=2)):
        known = made.connections.where(F.to_date("connected_at") <= F.lit(day))
        mutual = known.where("kind = 'connection'")
        ends = mutual.select(F.col("src_customer_id").alias("customer_id")).unionAll(
            mutual.select("dst_customer_id")
        )
        links = ends.groupBy("customer_id").agg(F.count("*").alias("links"))
        follows = known.where("kind = 'follow'")
        out = follows.groupBy(F.col("src_customer_id").alias("customer_id")).agg(F.count("*").alias("out"))
        inward = follows.groupBy(F.col("dst_customer_id").alias("customer_id")).agg(
            F.count("*").alias("inward")
        )
        joined = made.customers.where(F.col("snapshot_date") == F.lit(day))
        for counted in (links, out, inward):
            joined = joined.join(counted, on="customer_id", how="left")
        joined = joined.fillna(0, subset=["links", "out", "inward"])
        wrong = joined.where(
            "total_connections <> links OR following_count <> out OR followers_count < inward"
        )
        assert joined.count() == 2_000
        assert wrong.count() == 0
    assert made.connections.where(F.to_date("connected_at") > F.lit(LAST - dt.timedelta(days=2))).count() > 0
    assert made.connections.where(F.to_date("connected_at") > F.lit(LAST)).count() == 0


def test_edges_are_sound(made: Made) -> None:
    edges = made.connections
    assert edges.where("src_customer_id = dst_customer_id").count() == 0
    assert edges.count() == edges.select("src_customer_id", "dst_customer_id", "kind").distinct().count()
    assert edges.where("kind = 'connection' AND src_customer_id > dst_customer_id").count() == 0
    known = made.customers.select("customer_id").distinct()
    for side in ("src_customer_id", "dst_customer_id"):
        assert edges.join(known, on=F.col(side) == known["customer_id"], how="left_anti").count() == 0


def test_interactions_lie_in_the_last_weeks_and_run_along_connections(made: Made) -> None:
    mutual = made.connections.where("kind = 'connection'").select(
        F.col("src_customer_id").alias("low"), F.col("dst_customer_id").alias("high"), "connected_at"
    )
    events = made.interactions.withColumns(
        {
            "low": F.least("src_customer_id", "dst_customer_id"),
            "high": F.greatest("src_customer_id", "dst_customer_id"),
        }
    )
    joined = events.join(mutual, on=["low", "high"], how="left")
    assert joined.where("connected_at IS NULL OR occurred_at < connected_at").count() == 0
    first = events.agg(
        F.min(F.to_date("occurred_at")).alias("first"), F.max(F.to_date("occurred_at")).alias("last")
    ).first()
    assert first is not None
    assert first["first"] >= LAST - dt.timedelta(days=83)
    assert first["last"] == LAST


def test_every_field_lacks_exactly_the_stated_share_each_day(made: Made) -> None:
    names = [f.name for f in CONTRACT.entity.fields]
    for row in (
        made.customers.groupBy("snapshot_date")
        .agg(*[F.count_if(F.col(n).isNull()).alias(n) for n in names])
        .collect()
    ):
        assert {n: row[n] for n in names} == {n: 0 if n == "customer_id" else 2 for n in names}


def test_days_of_one_customer_agree(made: Made) -> None:
    today = made.customers.where(F.col("snapshot_date") == F.lit(LAST)).alias("t")
    before = made.customers.where(F.col("snapshot_date") == F.lit(LAST - dt.timedelta(days=1))).alias("b")
    both = today.join(before, on="customer_id", how="inner")
    assert both.count() == 2_000
    assert (
        both.where(
            "t.last_login_days_ago > 0 AND t.last_login_days_ago <> least(b.last_login_days_ago + 1, 180)"
        ).count()
        == 0
    )
    assert both.where("t.last_login_days_ago = 0 AND b.churn_30_day = 1").count() == 0
    assert (
        both.where(
            "NOT t.tenure_months - b.tenure_months BETWEEN 0 AND 1 "
            "OR t.total_connections < b.total_connections"
        ).count()
        == 0
    )
    assert both.where("NOT (t.age <=> b.age) AND t.age IS NOT NULL AND b.age IS NOT NULL").count() == 0


@pytest.mark.connect
def test_partitions_do_not_change_a_row(spark: SparkSession, made: Made) -> None:
    expected = [digest(rows) for rows in made]
    for partitions in (1, 7):
        plan = plan_of(partitions=partitions)
        assert [digest(make(spark, plan)) for make in (customers, connections, interactions)] == expected


def test_another_seed_makes_other_rows(spark: SparkSession, made: Made) -> None:
    assert digest(interactions(spark, plan_of(seed=8))) != digest(made.interactions)


def test_one_customer_is_enough(spark: SparkSession) -> None:
    plan = plan_of(customers=1, snapshots=1)
    (row,) = customers(spark, plan).collect()
    assert (row["customer_id"], row["total_connections"], row["following_count"]) == ("CUST-000000", 0, 0)
    assert connections(spark, plan).count() == 0


def test_planted_faults_are_exactly_those_that_the_checks_find(spark: SparkSession, made: Made) -> None:
    """The manifest is counted in Python, the rows by the contract's checks: both must count the same."""
    plan = plan_of()
    faulty = with_faults(spark, plan, **made._asdict(), each=2)
    listed: Counter[tuple[str, str]] = Counter()
    for row in faulty.manifest.collect():
        listed[row["table"], row["rule"]] += row["n"]
    tables = (CONTRACT.entity, *CONTRACT.logs)
    for table, rows, sound in zip(tables, faulty[:3], made, strict=True):
        assert rows.schema == sound.schema
        checks = [
            c
            for c in row_checks(table)
            if not c.name.endswith((".unique", ".distinguishable", ".references"))
        ]
        counts = rows.agg(
            *[F.count_if(F.expr(c.violated)).alias(c.name.replace(".", "__")) for c in checks]
        ).first()
        assert counts is not None
        found = {c.name: counts[c.name.replace(".", "__")] for c in checks}
        assert found == {c.name: listed[table.name, c.name] for c in checks}
        # Every rule of the contract is broken by some planted row, but those on how a key is written.
        optional = {f"{f.name}.{check}" for f in table.fields if f.is_key for check in ("not_null", "short")}
        assert [name for name, n in found.items() if n == 0 and name not in optional] == []
    twice = (
        faulty.customers.groupBy("customer_id", "snapshot_date")
        .count()
        .where("count > 1 AND customer_id IS NOT NULL")
    )
    assert sum(r["count"] for r in twice.collect()) == listed["customers", "customer_id.unique"] == 4
    known = faulty.customers.select("customer_id").distinct()
    for side in ("src_customer_id", "dst_customer_id"):
        orphans = faulty.connections.where(F.col(side).isNotNull()).join(
            known, on=F.col(side) == known["customer_id"], how="left_anti"
        )
        assert orphans.count() == listed["connections", f"{side}.references"] > 0


@pytest.mark.connect
def test_faults_can_be_planted_before_anything_is_written(spark: SparkSession) -> None:
    plan = plan_of(customers=30, snapshots=1)
    sound = {
        "customers": customers(spark, plan),
        "connections": connections(spark, plan),
        "interactions": interactions(spark, plan),
    }
    faulty = with_faults(spark, plan, **sound)
    assert faulty.connections.where("kind IS NULL").count() == 1
    planted = (
        faulty.manifest.where("table = 'customers' AND fault <> 'missing'")
        .dropDuplicates(["fault"])
        .agg(F.sum("n"))
        .first()
    )
    assert planted is not None
    assert faulty.customers.count() == 30 + planted[0]


def test_a_fault_breaks_no_more_than_its_own_rules(spark: SparkSession, made: Made) -> None:
    """The planted breaks of a cross-field rule break that rule alone."""
    faulty = with_faults(spark, plan_of(), **made._asdict())
    broken: dict[str, set[str]] = {}
    for row in faulty.manifest.where("fault LIKE 'breaks %'").collect():
        broken.setdefault(row["fault"], set()).add(row["rule"])
    assert broken == {
        f"breaks {rule.name}": {rule.name}
        for table in (CONTRACT.entity, *CONTRACT.logs)
        for rule in table.rules
    }
