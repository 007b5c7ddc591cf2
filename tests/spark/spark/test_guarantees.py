"""The verdict of a check does not depend on the session it is asked in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engage_spark.contract import Rule
from engage_spark.errors import ConfigurationError
from engage_spark.quality import check
from engage_spark.spark.guarantees import GUARANTEES
from tests.support.deliveries import BIKES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.connect
RIDES = replace(
    BIKES.table("rides"),
    references=(),
    gates=(),
    rules=(
        Rule(
            name="on_the_day",
            expression="to_date(left_at) = DATE'2025-10-20'",
            description="",
            columns=("left_at",),
        ),
        Rule(
            name="large",
            expression="CAST(minutes AS INT) * 1000000000 > 0",
            description="",
            columns=("minutes",),
        ),
    ),
)


@contextmanager
def session_with(spark: SparkSession, **options: str) -> Iterator[None]:
    """Another time zone, ANSI mode off; as they were after the block."""
    names = {"zone": "spark.sql.session.timeZone", "ansi": "spark.sql.ansi.enabled"}
    before = {names[k]: spark.conf.get(names[k]) for k in options}
    for key, value in options.items():
        spark.conf.set(names[key], value)
    try:
        yield
        for key, value in options.items():
            assert spark.conf.get(names[key]) == value, "given back as it was"
    finally:
        for name, value in before.items():
            spark.conf.set(name, str(value))


@pytest.fixture(scope="module")
def rides(spark: SparkSession) -> DataFrame:
    """Four rides of one day in UTC, of which two lie on another in New York."""
    fields = {f.name: f.spark_type for f in RIDES.fields}
    values = {"string": "'ST0001'", "int": "7", "double": "7.5D", "boolean": "true"}
    hours = ("01", "03", "12", "23")
    rows = [
        "SELECT "
        + ", ".join(
            f"{values.get(kind, f'TIMESTAMP{chr(39)}2025-10-20 {hour}:00:00Z{chr(39)}')} AS {name}"
            for name, kind in fields.items()
        )
        for hour in hours
    ]
    return spark.sql(" UNION ALL ".join(rows))


def verdict(rides: DataFrame) -> dict[str, int]:
    return {c.rule_name: c.violations for c in check(rides, RIDES).counts}


def test_zone_and_ansi_mode_change_no_verdict(spark: SparkSession, rides: DataFrame) -> None:
    expected = verdict(rides)
    assert expected["on_the_day"] == 0
    assert expected["large"] == 4, "the product overflows on every row, which breaks the rule"
    for options in ({"zone": "America/New_York"}, {"ansi": "false"}, {"zone": "Asia/Tokyo", "ansi": "false"}):
        with session_with(spark, **options):
            assert verdict(rides) == expected, options


def test_rows_are_not_handed_out_where_they_would_be_judged_otherwise(
    spark: SparkSession, rides: DataFrame
) -> None:
    checked = check(rides, RIDES)
    with session_with(spark, zone="America/New_York"):
        with pytest.raises(ConfigurationError, match=r"spark\.conf\.set") as refusal:
            _ = checked.quarantined
        assert "timeZone is America/New_York" in str(refusal.value)
    assert checked.failures("large").count() == 4
    assert set(GUARANTEES) >= {"spark.sql.session.timeZone", "spark.sql.ansi.enabled"}
