"""Texts that are numbers or dates but for a few are drafted as such, with the reading that makes them so."""

from __future__ import annotations

import re
from typing import Any

import duckdb
import pytest

from engage_spark.contract.expressions import read_expression
from engage_spark.quality.profiling.draft_contract import field_names
from engage_spark.quality.profiling.readings import AmbiguousDates, SuggestedReading, reading_of
from tests.unit.quality.profiling.test_value_scan import facts

NUMBERS = [f"{i}.5" for i in range(300)]
WHOLE = [f"{3 * i}" for i in range(300)]
DATES = [f"{1 + i % 12}/{1 + i % 28}/2011" for i in range(300)]


JAVA_NUMBER = re.compile(r"(?i)[+-]?(nan|inf|infinity|([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?[df]?)")


def as_spark_reads(reading: SuggestedReading, texts: list[str]) -> list[int | float | str | None]:
    """Evaluate a reading of numbers in DuckDB, and cast what it gives as Spark's try_cast does; `unread` for
    what that refuses.
    """
    sql = re.sub(r"(REGEXP_REPLACE\([^']*'[^']*', '')\)", r"\1, 'g')", reading.expression)
    sql = re.sub(r"(`[^`]*`|[a-z]+) RLIKE ('[^']*')", r"REGEXP_MATCHES(\1, \2)", sql).replace("`", '"')
    column = read_expression(reading.expression, {"some column": "string", "c": "string"}).columns[0]
    given = duckdb.execute(f'SELECT {sql} FROM (SELECT UNNEST(?) AS "{column}")', [texts]).fetchall()
    assert len(given) == len(texts)
    return [None if text is None else cast_number(text.strip(), reading.type) for (text,) in given]


def cast_number(text: str, kind: str) -> int | float | str:
    if kind != "double":
        return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else "unread"
    if not JAVA_NUMBER.fullmatch(text):
        return "unread"
    return float(text if "n" in text.lower() else text.rstrip("dDfF"))


@pytest.mark.parametrize(
    ("values", "kind", "unread", "missing"),
    [
        ([*NUMBERS, " ", ""], "double", 0, 2),
        ([*NUMBERS, None, "  7.25  "], "double", 0, 0),
        ([*WHOLE, " "], "int", 0, 1),
        ([*WHOLE, "5000000000", " "], "bigint", 0, 1),
        ([*WHOLE, "-3", "+4"], "int", 0, 0),
        (["3.0", "5.0", "N/A"] * 99, "double", 0, 99),
        ([*WHOLE, "7.", "1e3"], "double", 0, 0),
        ([*WHOLE, "\t5"], "int", 0, 0),
        ([*NUMBERS, "\t5"], "double", 0, 0),
        ([*NUMBERS, "N/A", "?", "?", "unknown", " "], "double", 0, 5),
        ([*WHOLE, *["n/a"] * 200], "int", 0, 200),
        ([*NUMBERS, "abc", "12k"], "double", 2, 0),
        ([*NUMBERS, "1e3", "-2.5E-2", ".5", "7."], "double", 0, 0),
        ([f"{i:,}" for i in range(0, 300_000, 1_000)], "int", 0, 0),
        ([f"${i:,}.00" for i in range(0, 300_000, 1_000)], "double", 0, 0),
        ([f"${i:,}.50" for i in range(0, 300_000, 1_000)], "double", 0, 0),
        ([f"{i % 101}%" for i in range(300)], "int", 0, 0),
        ([*DATES, " ", "N/A"], "date", 0, 2),
        ([*DATES, "soon"], "date", 1, 0),
        ([f"{i:02}.{1 + i % 12:02}.2011" for i in range(13, 29)] * 9, "date", 0, 0),
        ([f"2011/{1 + i % 12}/{1 + i % 28}" for i in range(99)], "date", 0, 0),
        ([f"{1 + i % 28}-Feb-2011" for i in range(99)], "date", 0, 0),
        ([f"2011-02-{1 + i % 28:02}" for i in range(99)], "date", 0, 0),
        ([f"2011-02-{1 + i % 28:02} 10:{i % 60:02}" for i in range(99)], "timestamp", 0, 0),
    ],
)
def test_texts_are_read_as_what_they_are(values: list[Any], kind: str, unread: int, missing: int) -> None:
    reading = reading_of(facts(values), "some column")
    assert isinstance(reading, SuggestedReading)
    assert (reading.type, reading.unread, reading.missing) == (kind, unread, missing)
    expression = read_expression(reading.expression, {"some column": "string"})
    assert expression.problems == []
    assert expression.fits(kind)
    if kind in ("int", "bigint", "double"):
        texts = [v for v in values if v is not None]
        read = as_spark_reads(reading, texts)
        assert (read.count("unread"), read.count(None)) == (unread, missing)


ODD_AMOUNTS = ["1,5", "3 4", "4%5", "1d", "Infinity", "12,34,567", "$", "€1€", "$-", "é5"]


@pytest.mark.parametrize(
    ("values", "odd"),
    [
        ([f"{i:,}" for i in range(0, 2_000_000, 1_000)], ODD_AMOUNTS),
        ([f"${i:,}.50" for i in range(0, 2_000_000, 1_000)], ODD_AMOUNTS),
        (
            [f"{i}.5" for i in range(2_000)],
            ["1d", "1f", "2D", "Infinity", "-inf", "+NaN", "1e", "0x10", "1_0"],
        ),
        ([f"{i}" for i in range(2_000)], ["1.5x", "1d", "12 3"]),
    ],
)
def test_an_odd_text_is_unread_and_no_other_number(values: list[str], odd: list[str]) -> None:
    reading = reading_of(facts([*values, *odd]), "c")
    assert isinstance(reading, SuggestedReading)
    assert reading.unread == len(odd)
    assert as_spark_reads(reading, odd) == ["unread"] * len(odd)


def test_amounts_are_read_as_what_they_say() -> None:
    reading = reading_of(facts([f"${i:,}.50" for i in range(0, 300_000, 1_000)]), "c")
    assert isinstance(reading, SuggestedReading)
    texts = ["$1,200.00", " -3 % ", "+ €1,000,000", "", " "]
    assert as_spark_reads(reading, texts) == [1_200.0, -3.0, 1_000_000.0, None, None]


@pytest.mark.parametrize(
    "values",
    [
        ["007", *WHOLE],
        [f"{i:05}" for i in range(300)],
        ["Yes", "No"] * 50,
        [*WHOLE, *["low", "high", "none at all", "some"] * 2],
        [f"{2**53 + 1 + 2 * i}" for i in range(300)],
        [f"A{i}" for i in range(99)],
        [f"{i}/{i + 1}" for i in range(99)],
        ["N/A", "?", " "] * 9,
        [None, ""],
        ["1 000" if i % 2 else "12/5" for i in range(99)],
        [f"2{i:09}" * 8 for i in range(99)],
    ],
)
def test_other_texts_stay_text(values: list[Any]) -> None:
    assert reading_of(facts(values), "c") is None


def test_dates_that_can_be_read_in_two_ways_are_not_guessed() -> None:
    both = [f"{1 + i % 12}/{1 + i % 12}/2011" for i in range(99)]
    assert reading_of(facts(both), "c") == AmbiguousDates(formats=("M/d/yyyy", "d/M/yyyy"))
    told = reading_of(facts([*both, "13/1/2011"]), "c")
    assert isinstance(told, SuggestedReading)
    assert "'d/M/yyyy'" in told.expression


def test_columns_of_any_name_get_fields_of_plain_names() -> None:
    columns = ["Total Charges (USD)", "total_charges_usd", "größe", "Größe.2", "a.b", "a b", "=", "Plan"]
    assert field_names(columns) == [
        "total_charges_usd_2", "total_charges_usd", "größe", "größe_2", "a_b", "a_b_2", "column", "Plan",
    ]  # fmt: skip


def test_names_in_any_script_keep_their_letters() -> None:
    columns = ["Região (ano)", "Straße Nr.", "Cafe\u0301 Code", "顧客 番号", "monthlyFee €"]
    assert field_names(columns) == ["região_ano", "straße_nr", "café_code", "顧客_番号", "monthly_fee"]


def test_columns_without_a_name_are_called_by_their_place() -> None:
    assert field_names(["_c0", "x", "_c2", "column_3"]) == ["column_1", "x", "column_3_2", "column_3"]


def test_a_column_named_as_one_that_the_package_adds_becomes_a_field_of_another_name() -> None:
    columns = ["unit", "unit_2", "Decision", "side", "_run_id", "_dq_x", "target", "x"]
    names = field_names(columns, ["unit", "Decision"])
    assert names == ["unit_3", "unit_2", "decision_2", "side_2", "run_id", "dq_x", "target", "x"]
    assert field_names(["unit", "target"]) == ["unit", "target"], "only a key stands beside them"
