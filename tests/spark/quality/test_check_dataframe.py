"""`engage_spark.quality.check` on any DataFrame: what it finds, what it says it did not look at, and what it
costs.
"""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F

from engage_spark.contract import Rule, Severity, Table, TableKind, load_contract
from engage_spark.errors import ConfigurationError, ContractError, InputError
from engage_spark.quality import CheckResult, check
from engage_spark.spark.schema import spark_schema
from tests.support.bad_input.stations import SOUND
from tests.support.paths import DATA
from tests.support.spark_jobs import jobs_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PATH = DATA / "bikes.odcs.yaml"
BIKES = load_contract(PATH)
STATIONS, RIDES = BIKES.entity, BIKES.table("rides")
RIDE = {
    "from_station": "ST0001",
    "to_station": "ST0002",
    "bike_kind": "city",
    "left_at": datetime(2025, 10, 1, 8, tzinfo=UTC),
    "minutes": 9.0,
}


def frame(spark: SparkSession, table: Table, rows: list[dict[str, Any]]) -> DataFrame:
    schema = spark_schema(table)
    made: DataFrame = spark.createDataFrame([tuple(r[n] for n in schema.names) for r in rows], schema)
    return made


def stations(spark: SparkSession, *changes: dict[str, Any]) -> DataFrame:
    return frame(
        spark, STATIONS, [SOUND | {"station_code": f"ST{i:04}"} | change for i, change in enumerate(changes)]
    )


def broken(checked: CheckResult) -> dict[str, int]:
    return {c.rule_name: c.violations for c in checked.counts if c.violations}


@pytest.fixture(scope="module")
def faulty(spark: SparkSession) -> CheckResult:
    return check(
        stations(
            spark,
            {},
            {"district": "<script>alert(1)</script>"},
            {"rides_ended": None},
            {"operator_owner": "Mr Private"},
            {"station_code": "ST0001"},
            {"mean_ride_km": float("nan")},
        ).withColumn("colour & shape", F.lit("red")),
        PATH,
    )


@pytest.mark.connect
def test_rules_keys_and_gates_are_told_with_rows_and_samples(faulty: CheckResult) -> None:
    found = broken(faulty)
    assert {k: n for k, n in found.items() if "." in k} == {
        "district.allowed": 1,
        "rides_ended.not_null": 1,
        "operator_owner.allowed": 1,
        "station_code.unique": 2,
        "mean_ride_km.finite": 1,
        "mean_ride_km.range": 1,
    }
    by_name = {c.rule_name: c for c in faulty.counts}
    assert by_name["operator_owner.allowed"].samples == ("***",)
    assert by_name["station_code.unique"].samples == ("ST0001",)
    assert (faulty.row_count, faulty.quarantined_count, faulty.valid_count) == (6, 4, 2)
    assert [g.rule_name for g in faulty.failed_gates] == ["quarantine_limit"]
    assert not faulty.passed
    assert not faulty.publishable
    assert faulty.extra == ("colour & shape",)
    assert faulty.states["bikes_parked"].rows == 2, "states are of the valid rows"


def test_rows_can_be_looked_at(faulty: CheckResult) -> None:
    assert {r["station_code"] for r in faulty.valid.collect()} == {"ST0000", "ST0002"}
    assert faulty.quarantined.count() == 4
    assert [r["district"] for r in faulty.failures("district.allowed").collect()] == [
        "<script>alert(1)</script>"
    ]
    assert faulty.rows.columns == [*STATIONS.names, "_dq_status", "_dq_errors"]
    with pytest.raises(ConfigurationError, match=r"no rule 'nonsense'"):
        faulty.failures("nonsense")


def test_sound_rows_pass_whatever_names_the_contract(spark: SparkSession) -> None:
    rows = stations(spark, *({"district": d} for d in ["Harbour"] * 5 + ["Old Town"] * 3 + ["North"] * 2))
    for contract in (PATH, str(PATH), BIKES, STATIONS):
        checked = check(rows, contract)
        assert checked.passed
        assert [c.rule_name for c in checked.counts if not c.passed and c.severity == "critical"] == []
        assert broken(checked) == {}


@pytest.mark.connect
def test_what_cannot_be_looked_at_is_said_and_fails_nothing(spark: SparkSession) -> None:
    checked = check(frame(spark, RIDES, [RIDE]), BIKES, table="rides")
    assert [u.split(" ")[0] for u in checked.unchecked if "references" in u] == [
        "from_station.references",
        "to_station.references",
    ]
    assert not [c for c in checked.counts if c.rule_name.endswith(".references")]
    assert checked.passed


def test_ten_thousand_orphans_that_share_one_key_count_as_ten_thousand(spark: SparkSession) -> None:
    rides = frame(spark, RIDES, [RIDE, RIDE | {"from_station": None}])
    lost = (
        frame(spark, RIDES, [RIDE | {"from_station": "ST9999"}])
        .crossJoin(spark.range(10_000).select(F.col("id").alias("n")))
        .drop("n")
    )
    known = stations(
        spark,
        {"station_code": "ST0001"},
        {"station_code": "ST0002"},
        {"station_code": "ST0002"},
        {"station_code": None},
    )
    checked = check(rides.unionByName(lost), BIKES, table="rides", references={"stations": known})
    found = {k: n for k, n in broken(checked).items() if k.endswith("references")}
    assert (checked.row_count, found) == (10_002, {"from_station.references": 10_000})
    assert not checked.unchecked or "references" not in " ".join(checked.unchecked)


def test_events_after_the_landing_are_found_when_it_is_given(spark: SparkSession) -> None:
    rides = frame(spark, RIDES, [RIDE, RIDE | {"left_at": datetime(2025, 10, 1, 10, tzinfo=UTC)}])
    checked = check(rides, RIDES, landed_at=datetime(2025, 10, 1, 9, tzinfo=UTC))
    assert broken(checked)["left_at.not_future"] == 1
    with pytest.raises(ConfigurationError, match="no time zone"):
        check(rides, RIDES, landed_at=datetime(2025, 10, 1, 9))


def test_a_frame_of_several_days_has_its_keys_once_a_day(spark: SparkSession) -> None:
    one = stations(spark, {}, {}).withColumn("snapshot_date", F.lit(date(2025, 10, 1)))
    both = one.unionByName(one.withColumn("snapshot_date", F.lit(date(2025, 10, 2))))
    assert "station_code.unique" not in broken(check(both, STATIONS))
    assert check(both, STATIONS, snapshot_date=date(2025, 10, 2)).row_count == 2
    assert broken(check(both.unionByName(one), STATIONS))["station_code.unique"] == 4


def test_judged_rows_can_be_checked_again(spark: SparkSession) -> None:
    first = check(stations(spark, {}, {"district": "?"}), STATIONS)
    again = check(first.rows, STATIONS)
    assert (broken(again), again.extra) == (broken(first), ())


def test_wrong_columns_and_wrong_rules_are_one_error(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="docks_total") as e:
        check(stations(spark, {}).withColumn("docks_total", F.lit("x")).drop("electric"), STATIONS)
    assert len(e.value.details) == 2
    aggregate = Rule(
        name="no_row", expression="max(docks_total) > 1", description="x", columns=("docks_total",)
    )
    with pytest.raises(ContractError, match="cannot be run"):
        check(stations(spark, {}), replace(STATIONS, rules=(aggregate,)))


def test_a_table_without_rows_passes_no_gate_that_asks_for_some(spark: SparkSession) -> None:
    checked = check(stations(spark), STATIONS)
    assert checked.row_count == 0
    assert {g.rule_name for g in checked.failed_gates} >= {"some_stations", "completeness_overall"}
    assert "rejected" in str(checked)


class _Page(HTMLParser):
    """Refuses what fetches or runs something; keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {name for name, _ in attrs} & {"src", "href", "onload", "onclick"}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_notebook_card_is_escaped_and_needs_nothing_from_elsewhere(faulty: CheckResult) -> None:
    page = _Page()
    made = faulty._repr_html_()
    page.feed(made)
    assert "<script>alert(1)</script>" in page.words, "the text is shown, not run"
    assert "url(" not in made
    assert "http" not in made
    assert "Mr Private" not in made
    assert "rejected" in page.words


def test_the_text_fits_80_columns(faulty: CheckResult) -> None:
    lines = str(faulty).splitlines()
    assert lines[0] == "stations: rejected"
    assert max(map(len, lines)) <= 80
    assert any(re.match(r" +critical +station_code\.unique +2 ", line) for line in lines)


def many_rules(n: int) -> Table:
    """A table of few columns with `n` rules, every third of them broken by some row."""
    rules = tuple(
        Rule(
            name=f"r{i}",
            expression=f"docks_total <> {i if i % 3 else 20}",
            description="x",
            severity=Severity.WARNING,
            columns=("docks_total",),
        )
        for i in range(n)
    )
    return replace(
        STATIONS, fields=tuple(STATIONS[f] for f in ("station_code", "docks_total")), rules=rules, gates=()
    )


@pytest.fixture
def reads() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def counted_frame(spark: SparkSession, reads: Path) -> DataFrame:
    """Two partitions that leave a file in `reads` each time one of them is computed."""
    rows = spark.range(0, 2000, 1, 2).select(
        F.format_string("ST%04d", "id").alias("station_code"), F.lit(20).alias("docks_total")
    )
    place = str(reads)

    def leave_a_file(batches: Iterator[Any]) -> Iterator[Any]:
        (Path(place) / uuid.uuid4().hex).touch()
        yield from batches

    return rows.mapInArrow(leave_a_file, rows.schema)


def cost(
    spark: SparkSession, rows: DataFrame, table: Table, reads: Path, kind: str
) -> tuple[int, int | None]:
    """Times the input was read, and (on classic Spark, where they can be counted) Spark jobs."""
    for f in reads.iterdir():
        f.unlink()
    if kind != "classic":
        check(rows, table)
        return len(list(reads.iterdir())) // 2, None
    jobs = jobs_of(spark, lambda: check(rows, table))
    return len(list(reads.iterdir())) // 2, jobs


@pytest.mark.slow
def test_jobs_and_scans_stay_the_same_from_10_to_300_rules(
    spark: SparkSession, reads: Path, spark_kind: str
) -> None:
    rows = counted_frame(spark, reads)
    few, many = (cost(spark, rows, many_rules(n), reads, spark_kind) for n in (10, 300))
    assert few == many
    assert few[0] == 3, "one scan of the keys, one that counts everything, one for samples"
    keyless = replace(
        many_rules(10),
        kind=TableKind.LOG,
        rules=(),
        fields=tuple(replace(f, key_position=None) for f in many_rules(1).fields),
    )
    sound = replace(keyless, kind=TableKind.SYSTEM)
    assert cost(spark, rows, sound, reads, spark_kind)[0] == 1, (
        "nothing broken and no key: everything in one scan"
    )
