"""Files, schemas and lines that are not as they should be: each case of `bad_input`, up to the verdict on
its rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engage_spark.contract import Table
from engage_spark.errors import EngageError, InputError
from engage_spark.lake import list_inputs, read_inputs, translate_spark_errors
from engage_spark.quality import MALFORMED, row_checks, with_check_results, with_duplicate_flag
from tests.support.bad_input.csv_files import (
    AMOUNTS,
    CSV_DECIMALS,
    CSV_FILES,
    CSV_LINES,
    CSV_TIMES,
)
from tests.support.bad_input.declared import Case, Outcome, assert_judged, assert_told, each
from tests.support.bad_input.listing import LISTING, MARKS
from tests.support.bad_input.parquet_files import INT96, READING, int96
from tests.support.bad_input.things import MOMENTS, THINGS, parquet, text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY = "2025-10-21"


def conformed(spark: SparkSession, folder: Path, table: Table) -> DataFrame:
    """What ingest reads of a folder."""
    (found,) = list_inputs(spark, str(folder), table, snapshot_date=None, dated=False)
    return read_inputs(spark, found, table, malformed=MALFORMED).rows


def as_text(rows: DataFrame, table: Table) -> list[tuple[Any, ...]]:
    """All values as Spark writes them, for Python knows no dates beyond the year 9999."""
    return sorted(tuple(r) for r in rows.selectExpr(*(f"CAST({n} AS STRING)" for n in table.names)).collect())


def judged(spark: SparkSession, folder: Path, table: Table) -> list[dict[str, Any]]:
    """The judged rows of one small CSV file, in the order of its lines."""
    rows = with_duplicate_flag(conformed(spark, folder, table), None, table=table)
    return [
        r.asDict(recursive=True)
        for r in with_check_results(rows, checks=row_checks(table, parsed_text=True)).collect()
    ]


@each(LISTING)
@pytest.mark.connect
def test_a_delivery_that_cannot_be_used_is_refused_by_name(
    spark: SparkSession, tmp_path: Path, case: Case
) -> None:
    from datetime import date

    deliver, how = case.given
    folder = tmp_path / how.get("below", "") / "things"
    deliver(folder)
    asked = how.get("snapshot_date", date.fromisoformat(DAY))
    with pytest.raises(InputError) as e:
        list_inputs(spark, str(folder), THINGS, snapshot_date=asked, dated=True)
    assert_told(case, e.value)


@each(MARKS)
@pytest.mark.connect
def test_what_is_no_data_is_left_in_the_folder(spark: SparkSession, tmp_path: Path, case: Case) -> None:
    parquet(tmp_path / "a" / "a.parquet")
    text(tmp_path / "a" / case.given, b"")
    (found,) = list_inputs(spark, str(tmp_path / "a"), THINGS, snapshot_date=None, dated=False)
    assert [f.name for f in found.files] == ["a.parquet"]


@each(READING)
@pytest.mark.connect
def test_a_parquet_file_is_read_as_declared_or_refused_by_name(
    spark: SparkSession, tmp_path: Path, case: Case
) -> None:
    deliver, expected = case.given
    parquet(tmp_path / "things" / "a.parquet")
    deliver(tmp_path / "things")
    plain = tmp_path / "things" / "a.parquet"
    moments = plain.exists() and "t" in parquet_columns(plain)
    table = MOMENTS if moments else THINGS
    if case.outcome is Outcome.REFUSED:
        with pytest.raises(EngageError) as e:
            conformed(spark, tmp_path / "things", table)
        assert_told(case, e.value)
    else:
        assert as_text(conformed(spark, tmp_path / "things", table), table) == expected


def parquet_columns(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


@each(INT96)
def test_int96_is_read_as_a_moment(spark: SparkSession, tmp_path: Path, case: Case) -> None:
    moment, expected = case.given
    int96(tmp_path / "moments" / "a.parquet", moment)
    assert as_text(conformed(spark, tmp_path / "moments", MOMENTS), MOMENTS) == [
        ("a", "2025-01-01", expected)
    ]


@each(CSV_FILES)
@pytest.mark.connect
def test_csv_files_are_read_as_declared_or_refused_by_name(
    spark: SparkSession, tmp_path: Path, case: Case
) -> None:
    for name, content in case.given.items():
        text(tmp_path / "things" / name, content)
    if case.outcome is Outcome.REFUSED:
        with pytest.raises(InputError) as e, translate_spark_errors("things cannot be read"):
            conformed(spark, tmp_path / "things", THINGS).collect()
        assert_told(case, e.value)
    else:
        rows = as_text(conformed(spark, tmp_path / "things", THINGS), THINGS)
        assert rows == [(name, "1", "0.5") for name, _ in zip("ab", case.given, strict=False)]


@pytest.fixture(scope="module")
def lines(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("lines")
    given = [c.given if isinstance(c.given, bytes) else c.given.encode() for c in CSV_LINES.cases]
    text(folder / "a.csv", b"\n".join([b"id,n,x", *given, b""]))
    return judged(spark, folder, THINGS)


@each(CSV_LINES)
def test_a_line_of_csv_is_a_row_with_its_reasons(lines: list[dict[str, Any]], case: Case) -> None:
    assert len(lines) == len(CSV_LINES.cases)
    assert_judged(case, [lines[CSV_LINES.cases.index(case)]])


@pytest.fixture(scope="module")
def decimals(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("decimals")
    lines = [f"{i},{c.given[0]}" for i, c in enumerate(CSV_DECIMALS.cases)]
    text(folder / "a.csv", "\n".join(["id,money", *lines, ""]))
    return judged(spark, folder, AMOUNTS)


@each(CSV_DECIMALS)
def test_a_decimal_in_csv_loses_no_digit(decimals: list[dict[str, Any]], case: Case) -> None:
    row = decimals[CSV_DECIMALS.cases.index(case)]
    assert_judged(case, [row])
    assert case.given[1] == (None if row["money"] is None else str(row["money"]))


@pytest.fixture(scope="module")
def times(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("times")
    text(
        folder / "a.csv",
        "\n".join(["id,d,t", *(f"{i},2025-01-01,{c.given[0]}" for i, c in enumerate(CSV_TIMES.cases)), ""]),
    )
    return judged(spark, folder, MOMENTS)


@each(CSV_TIMES)
def test_a_time_in_csv_is_a_moment_in_utc(times: list[dict[str, Any]], case: Case) -> None:
    (row,) = (r for r in times if r["id"] == str(CSV_TIMES.cases.index(case)))
    assert_judged(case, [row])
    assert case.given[1] == (None if row["t"] is None else str(row["t"]))
