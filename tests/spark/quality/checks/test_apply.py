"""Every kind of check on literal rows: broken, held, null. One small frame per table, judged once."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from engage_spark.contract import (
    QUARANTINED,
    VALID,
    Field,
    Reference,
    Role,
    Rule,
    Severity,
    Table,
    TableKind,
    load_contract,
)
from engage_spark.quality import (
    ALIKE,
    DUPLICATED,
    MALFORMED,
    Binning,
    Sketch,
    binning,
    count_columns,
    duplicated_keys,
    estimate_distinct,
    estimate_quantile,
    merge_sketches,
    orphan_flag_name,
    row_checks,
    with_check_results,
    with_duplicate_flag,
)
from engage_spark.quality.checks.row_checks import SpecialValueOutcome
from engage_spark.quality.stats.binning import BinScale
from engage_spark.spark.schema import spark_schema
from tests.support.bad_input.declared import Case, assert_judged, each
from tests.support.bad_input.failing import COLUMNS, FAILING
from tests.support.bad_input.numbers import EXACT
from tests.support.bad_input.stations import SOUND, VALUES
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BIKES = load_contract(DATA / "bikes.odcs.yaml")
STATIONS, RIDES = BIKES.entity, BIKES.table("rides")
CASES: dict[str, tuple[dict[str, Any], dict[str, str | None]]] = {c.name: c.given for c in VALUES.cases}
WARNINGS = {f"{f.name}.not_null" for f in STATIONS.fields if not f.required} | {"rides_have_length"}


def frame(spark: SparkSession, table: Table, rows: list[dict[str, Any]], **flags: str) -> Any:
    """Literal rows in declared order; `flags` adds literal columns of other DDL types."""
    schema = spark_schema(table)
    rows_of = spark.createDataFrame([tuple(r[n] for n in schema.names) for r in rows], schema)
    given = ({ALIKE: F.lit(False)} if DUPLICATED in flags else {}) | {
        name: F.expr(text) for name, text in flags.items()
    }
    return rows_of.withColumns(given) if given else rows_of


def assert_rules_broken(judged: DataFrame, key: str, expected: dict[Any, list[str]]) -> None:
    """Compare the rules that each row breaks, by the value of `key`, with the expected ones."""
    rules = judged.select(key, F.col("_dq_errors.rule").alias("rules"))
    ddl = f"{key} {judged.schema[key].dataType.simpleString()}, rules array<string>"
    frame_of_expected = judged.sparkSession.createDataFrame(list(expected.items()), ddl)
    assert_df_equality(
        rules, frame_of_expected, ignore_nullable=True, ignore_row_order=True, ignore_metadata=True
    )


@pytest.fixture(scope="module")
def judged(spark: SparkSession) -> list[dict[str, Any]]:
    """All cases in one frame, told apart by a column of their own."""
    named = replace(STATIONS, fields=(*STATIONS.fields, replace(STATIONS["district"], name="case")))
    rows = frame(
        spark,
        named,
        [SOUND | changed | {"case": case} for case, (changed, _) in CASES.items()],
        **{DUPLICATED: "false"},
    )
    return [r.asDict(recursive=True) for r in with_check_results(rows, checks=row_checks(STATIONS)).collect()]


@each(VALUES)
def test_a_row_lists_exactly_what_it_breaks(judged: list[dict[str, Any]], case: Case) -> None:
    (row,) = (r for r in judged if r["case"] == case.name)
    assert {e["rule"]: e["value"] for e in row["_dq_errors"]} == case.given[1]
    assert_judged(case, [row])


def test_a_reason_is_critical_unless_the_rule_warns(judged: list[dict[str, Any]]) -> None:
    for row in judged:
        for e in row["_dq_errors"]:
            assert e["severity"] == ("warning" if e["rule"] in WARNINGS else "critical")


def test_a_sound_row_has_an_empty_list_and_not_null(judged: list[dict[str, Any]]) -> None:
    assert [r["_dq_errors"] for r in judged if r["case"] == "sound"] == [[]]


def test_reasons_name_their_column_and_stand_in_the_order_of_the_checks(judged: list[dict[str, Any]]) -> None:
    (row,) = (r for r in judged if r["case"] == "several at once")
    assert [e["column"] for e in row["_dq_errors"]] == ["district", "rides_started", "rides_ended"]
    (crossed,) = (r for r in judged if r["case"] == "a rule across fields")
    assert [e["column"] for e in crossed["_dq_errors"]] == [None]


def test_what_a_row_held_stays_as_it_came(judged: list[dict[str, Any]]) -> None:
    for row in judged:
        for name, value in (SOUND | CASES[row["case"]][0]).items():
            assert row[name] == value or (value != value and row[name] != row[name]), (row["case"], name)  # noqa: PLR0124 (NaN)


@pytest.mark.connect
def test_the_counts_equal_a_recount_in_pandas(spark: SparkSession) -> None:
    """Another path to the same counts: pandas over the reasons, duplicates and all."""
    rows = [SOUND | changed for changed, _ in CASES.values()] * 3
    judged = with_check_results(
        frame(spark, STATIONS, rows, **{DUPLICATED: "station_code = 'ST0001'"}), checks=row_checks(STATIONS)
    )
    counted = count_columns(
        judged, rules=[c.name for c in row_checks(STATIONS)], binnings=[binning(f) for f in STATIONS.fields]
    )
    table = pd.DataFrame(
        [r.asDict(recursive=True) for r in judged.select("_dq_status", "_dq_errors").collect()]
    )
    per_status = table.groupby("_dq_status").size().to_dict()
    exploded = table["_dq_errors"].explode().dropna().map(lambda e: e["rule"])
    assert counted.broken == exploded.value_counts().to_dict()
    assert (counted.rows, counted.quarantined) == (len(rows), per_status[QUARANTINED])


@pytest.mark.connect
def test_all_rows_of_a_duplicated_key_are_flagged_and_null_keys_are_not(spark: SparkSession) -> None:
    codes = ["ST0001", "ST0002", "ST0002", None, None, "ST0003", "ST0003", "ST0003", "st0004"]
    rows = frame(
        spark,
        STATIONS,
        [SOUND | {"station_code": code, "docks_total": 10 + i} for i, code in enumerate(codes)],
    )
    duplicates = duplicated_keys(rows, STATIONS)
    expected_keys = spark.createDataFrame(
        [("st0002", True, False), ("st0003", True, False)],
        "__key_0 string, __duplicated boolean, __alike boolean",
    )
    keys = duplicates.select(*expected_keys.columns)
    assert_df_equality(keys, expected_keys, ignore_nullable=True, ignore_row_order=True, ignore_metadata=True)
    flagged = with_duplicate_flag(rows, duplicates, table=STATIONS).transform(
        with_check_results, checks=row_checks(STATIONS)
    )
    unique = "station_code.unique"
    expected = {
        10: [],
        11: [unique],
        12: [unique],
        13: ["station_code.not_null"],
        14: ["station_code.not_null"],
        15: [unique],
        16: [unique],
        17: [unique],
        18: ["station_code.pattern"],
    }
    assert_rules_broken(flagged, "docks_total", expected)


def test_a_key_that_is_there_twice_is_so_also_beside_one_in_other_case(spark: SparkSession) -> None:
    lenient = replace(
        STATIONS,
        fields=tuple(
            replace(f, severities=(("distinguishable", Severity.WARNING),)) if f.is_key else f
            for f in STATIONS.fields
        ),
    )
    rows = frame(
        spark,
        lenient,
        [
            SOUND | {"station_code": code, "docks_total": 10 + i}
            for i, code in enumerate(["ST0001", "ST0001", "st0001"])
        ],
    )
    flagged = with_duplicate_flag(rows, duplicated_keys(rows, lenient), table=lenient)
    judged = with_check_results(flagged, checks=row_checks(lenient))
    expected = {
        10: ["station_code.unique", "station_code.distinguishable"],
        11: ["station_code.unique", "station_code.distinguishable"],
        12: ["station_code.pattern", "station_code.distinguishable"],
    }
    assert_rules_broken(judged, "docks_total", expected)


def test_each_check_does_with_null_nan_and_infinities_what_its_policy_says(spark: SparkSession) -> None:
    special = {"null": None, "nan": math.nan, "infinity": math.inf, "-infinity": -math.inf}
    table = replace(
        STATIONS,
        fields=tuple(replace(f, maximum=None) if f.name == "mean_ride_km" else f for f in STATIONS.fields),
    )
    checks = [c for c in row_checks(table) if c.column == "mean_ride_km"]
    assert {c.name.split(".")[1] for c in checks} == {"not_null", "finite", "range"}
    rows = frame(spark, table, [SOUND | {"mean_ride_km": v, "station_code": k} for k, v in special.items()])
    flags = {c.name: F.coalesce(F.expr(c.violated), F.lit(False)) for c in checks}
    found = {
        r["station_code"]: r
        for r in rows.select("station_code", *(flag.alias(n) for n, flag in flags.items())).collect()
    }
    for check in checks:
        for kind, policy in (
            ("null", check.policy.null),
            ("nan", check.policy.nan),
            ("infinity", check.policy.infinity),
        ):
            if policy is not SpecialValueOutcome.COMPARED:
                assert found[kind][check.name] is (policy is SpecialValueOutcome.VIOLATES), (check.name, kind)
    assert (found["infinity"]["mean_ride_km.range"], found["-infinity"]["mean_ride_km.range"]) == (
        False,
        True,
    )


def test_a_key_of_two_columns_is_duplicated_as_a_whole(spark: SparkSession) -> None:
    table = replace(
        STATIONS,
        fields=tuple(replace(f, key_position=2) if f.name == "docks_total" else f for f in STATIONS.fields),
    )
    keys = [("ST0001", 5), ("ST0001", 6), ("ST0002", 5), ("ST0002", 5), ("ST0003", None), ("ST0003", None)]
    rows = frame(
        spark, table, [SOUND | {"station_code": c, "docks_total": d, "bikes_parked": 0} for c, d in keys]
    )
    flagged = with_duplicate_flag(rows, duplicated_keys(rows, table), table=table)
    judged = with_check_results(flagged, checks=row_checks(table)).collect()
    shown = [
        e["value"] for r in judged for e in r["_dq_errors"] if e["rule"] == "station_code+docks_total.unique"
    ]
    assert shown == ["station_code=ST0002, docks_total=5"] * 2


@pytest.mark.connect
def test_an_orphan_is_a_value_without_a_key_and_a_null_is_none(spark: SparkSession) -> None:
    ride = {
        "from_station": "ST0001",
        "to_station": "ST0002",
        "bike_kind": "city",
        "left_at": datetime(2025, 10, 1, 8, tzinfo=UTC),
        "minutes": 9.0,
    }
    flags = {
        orphan_flag_name("from_station"): "from_station = 'ST9999'",
        orphan_flag_name("to_station"): "cast(null as boolean)",
    }
    rows = frame(
        spark, RIDES, [ride, ride | {"from_station": "ST9999"}, ride | {"from_station": None}], **flags
    )
    judged = with_check_results(rows, checks=row_checks(RIDES))
    expected = {
        "ST0001": [],
        "ST9999": ["from_station.references"],
        None: ["from_station.not_null"],
    }
    assert_rules_broken(judged, "from_station", expected)


def test_a_reference_may_warn_instead(spark: SparkSession) -> None:
    lenient = replace(
        RIDES,
        references=(
            Reference(
                column="from_station", table="stations", to_column="station_code", severity=Severity.WARNING
            ),
        ),
    )
    ride = {
        "from_station": "ST9999",
        "to_station": "ST0002",
        "bike_kind": "city",
        "left_at": datetime(2025, 10, 1, tzinfo=UTC),
        "minutes": None,
    }
    rows = frame(spark, lenient, [ride], **{orphan_flag_name("from_station"): "true"})
    (row,) = with_check_results(rows, checks=row_checks(lenient)).collect()
    assert row["_dq_status"] == VALID
    assert [e["rule"] for e in row["_dq_errors"]] == ["minutes.not_null", "from_station.references"]


def test_protected_values_are_masked_in_cross_field_reasons_too(spark: SparkSession) -> None:
    rule = Rule(
        name="city_owns_north",
        expression="district <> 'North' OR operator_owner = 'city'",
        description="Made up.",
        severity=Severity.INFO,
        columns=("district", "operator_owner", "docks_total"),
    )
    table = replace(STATIONS, rules=(rule,))
    rows = frame(
        spark,
        table,
        [SOUND | {"operator_owner": "private", "docks_total": None, "bikes_parked": 0}],
        **{DUPLICATED: "false"},
    )
    (row,) = with_check_results(rows, checks=row_checks(table)).collect()
    assert row["_dq_status"] == VALID
    assert [(e["severity"], e["value"]) for e in row["_dq_errors"] if e["rule"] == rule.name] == [
        ("info", "district=North, operator_owner=***, docks_total=null")
    ]


def test_a_line_that_could_not_be_parsed_is_quarantined(spark: SparkSession) -> None:
    rows = frame(spark, STATIONS, [SOUND, SOUND], **{DUPLICATED: "false", MALFORMED: "cast(null as string)"})
    broken = rows.limit(1).withColumn(MALFORMED, F.lit("a,b,c"))
    judged = with_check_results(rows.unionByName(broken), checks=row_checks(STATIONS, parsed_text=True))
    expected = spark.createDataFrame(
        [(QUARANTINED, 1), (VALID, 0), (VALID, 0)], "_dq_status string, n_errors int"
    )
    actual = judged.select("_dq_status", F.size("_dq_errors").alias("n_errors"))
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_a_key_without_a_pattern_must_not_be_blank(spark: SparkSession) -> None:
    table = replace(
        STATIONS, fields=tuple(replace(f, pattern=None) if f.is_key else f for f in STATIONS.fields)
    )
    rows = frame(
        spark,
        table,
        [SOUND | {"station_code": code} for code in ("x", "", "  ", None)],
        **{DUPLICATED: "false"},
    )
    blank = "station_code.not_blank"
    expected = {
        "x": [],
        "": [blank],
        "  ": ["station_code.trimmed", blank],
        None: ["station_code.not_null"],
    }
    judged = with_check_results(rows, checks=row_checks(table))
    assert_rules_broken(judged, "station_code", expected)


def test_the_packaged_contract_judges_the_ids_it_documents(spark: SparkSession) -> None:
    """Ids by the dictionary's example and by its text, and what resembles them."""
    ids = {
        "CUST-001234": True, "CUST-12345678": True,
        "123e4567-e89b-42d3-a456-426614174000": True, "123E4567-E89B-12D3-A456-426614174000": True,
        "CUST-01234": False, "cust-001234": False, " CUST-001234": False, "CUST-001234\n": False,
        "CUST-٠٠١٢٣٤": False,
        "123e4567e89b42d3a456426614174000": False, "123e4567-e89b-92d3-a456-426614174000": False, "": False,
    }  # fmt: skip
    customers = load_contract().entity
    only_id = replace(customers, fields=(customers["customer_id"],), rules=())
    rows = frame(spark, only_id, [{"customer_id": i} for i in ids], **{DUPLICATED: "false"})
    judged = with_check_results(rows, checks=row_checks(only_id)).collect()
    assert {r["customer_id"]: r["_dq_status"] == VALID for r in judged} == ids


@each(FAILING)
def test_a_rule_that_cannot_be_computed_on_a_row_is_broken_there(spark: SparkSession, case: Case) -> None:
    rule, row = case.given
    fields = tuple(
        Field(name=name, logical_type="string", spark_type=kind, description=name, role=Role.FEATURE)
        for name, kind in COLUMNS.items()
    )
    table = Table(
        name="t",
        kind=TableKind.PLAIN,
        description="t",
        fields=fields,
        rules=(Rule(name="r", expression=rule, description="r"),),
    )
    checks = tuple(c for c in row_checks(table) if c.name == "r")
    values = {name: Decimal(v) if name == "d" else v for name, v in row.items()}
    schema = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    rows = spark.createDataFrame([tuple(values.get(name) for name in COLUMNS)], schema)
    judged = [r.asDict(recursive=True) for r in with_check_results(rows, checks=checks).collect()]
    assert_judged(case, judged)
    for reason in judged[0]["_dq_errors"]:
        assert reason["value"].startswith("could not be computed")


@each(EXACT)
def test_an_exact_number_is_held_against_its_bounds_exactly(spark: SparkSession, case: Case) -> None:
    spark_type, low, high, value = case.given
    x = Field(
        name="x",
        logical_type="number",
        spark_type=spark_type,
        description="x",
        role=Role.FEATURE,
        minimum=low,
        maximum=high,
    )
    table = Table(name="t", kind=TableKind.PLAIN, description="t", fields=(x,))
    rows = spark.range(1).select(F.expr(f"CAST('{value}' AS {spark_type}) AS x"))
    assert_judged(
        case, [r.asDict(recursive=True) for r in with_check_results(rows, checks=row_checks(table)).collect()]
    )


def test_sketches_are_of_the_valid_rows_also_where_a_written_table_has_none(
    spark: SparkSession, tmp_path: Path
) -> None:
    def estimates(name: str, rows: list[dict[str, Any]]) -> tuple[int, int, bool]:
        checked = with_check_results(
            frame(spark, STATIONS, rows, **{DUPLICATED: "false"}), checks=row_checks(STATIONS)
        )
        path = str(tmp_path / name)
        checked.write.format("delta").save(path)
        counts = count_columns(
            spark.read.format("delta").load(path),
            rules=(),
            binnings=[binning(f) for f in STATIONS.fields],
            with_sketches=True,
        )
        sketch = counts.sketches[STATIONS.key[0]]
        assert sketch.distinct is not None
        has_quantiles = any(s.quantiles for s in counts.sketches.values())
        return counts.rows, estimate_distinct(sketch.distinct), has_quantiles

    wrong = SOUND | {STATIONS.key[0]: "?"}
    assert estimates("rows", [SOUND, wrong]) == (2, 1, True)
    assert estimates("empty", [])[:2] == (0, 0)


@pytest.mark.connect
def test_sketches_are_the_same_bytes_in_any_partitioning_and_merge(spark: SparkSession) -> None:
    n = 5_000
    rows = spark.range(n).selectExpr(
        "concat('ST', id % 1700) AS t",
        "id % 913 AS w",
        "CAST(id * 0.37 - 100 AS DOUBLE) AS d",
        "CAST(id / 7 AS DECIMAL(20, 3)) AS m",
        "DATE'2024-01-01' + CAST(id % 40 AS INT) AS day",
        "'valid' AS _dq_status",
    )
    binnings = [
        Binning(column=c, type=t, scale=scale)
        for c, t, scale in (
            ("t", "string", BinScale.ONE),
            ("w", "bigint", BinScale.MAGNITUDE),
            ("d", "double", BinScale.MAGNITUDE),
            ("m", "decimal(20,3)", BinScale.MAGNITUDE),
            ("day", "date", BinScale.ONE),
        )
    ]

    def sketches(part: DataFrame) -> dict[str, Sketch]:
        return dict(count_columns(part, rules=(), binnings=binnings, with_sketches=True).sketches)

    one, two, seven = (sketches(rows.repartition(k, F.rand(k))) for k in (1, 2, 7))
    assert one == two == seven
    days = [sketches(rows.where(f"w {op} 200")) for op in ("<", ">=")]
    assert {c: merge_sketches([d[c] for d in days]) for c in one} == one
    for column, exact in (("t", 1700), ("w", 913), ("d", n), ("m", n), ("day", 40)):
        data = one[column].distinct
        assert data is not None
        assert estimate_distinct(data) == pytest.approx(exact, rel=0.06)
    assert one["d"].quantiles is not None
    assert estimate_quantile(one["d"].quantiles, 0.5) == pytest.approx(2499 * 0.37 - 100, rel=2**-7)
    assert (one["t"].quantiles, one["day"].quantiles) == (None, None)
