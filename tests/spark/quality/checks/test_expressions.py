"""Rules, formulas and patterns are compiled by Spark before rows are read, and refusals are one error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from engage_spark.cli import main
from engage_spark.contract import Rule, Table, anchored_pattern, load_contract
from engage_spark.contract.expressions import read_expression
from engage_spark.contract.sql_functions import FUNCTIONS
from engage_spark.contract.statements import Aim, Indicator
from engage_spark.errors import ContractError
from engage_spark.quality import refuse_what_spark_refuses
from engage_spark.quality.checks import expressions
from engage_spark.quality.checks.expressions import compile_contract
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.connect

STATIONS = load_contract(DATA / "bikes.odcs.yaml").entity
TYPES = {
    "n": "int", "m": "bigint", "x": "double", "c": "decimal(10,2)", "t": "string", "b": "boolean",
    "d": "date", "s": "timestamp", "list": "array<int>", "map": "map<string,int>",
    "deep": "struct<x:int,day:date,code:string,codes:array<int>>", "mat": "array<array<int>>",
    "times": "array<timestamp>", "big": "decimal(38,2)", "deeps": "array<struct<x:int>>",
}  # fmt: skip
REFUSED_BY_SPARK = {
    "no boolean": "docks_total + 1",
    "a format": "date_format(opened_on, 'ZZZZZZZZ') = 'x'",
    "a pattern": "district RLIKE 'a{2,1}'",
}
REFUSED_BEFORE = {
    "an aggregate": "max(docks_total) > 3",
    "a window": "row_number() OVER (ORDER BY docks_total) = 1",
    "a generator": "explode(array(docks_total)) > 0",
    "two expressions": "docks_total > 1, bikes_parked > 1",
    "a statement": "SELECT 1",
    "no such function": "frobnicate(docks_total)",
    "reflection": "builtin.reflect('java.lang.System', 'exit', 0) IS NULL",
}


def with_rules(*rules: str) -> Table:
    declared = tuple(
        Rule(name=f"r{i}", expression=e, description="", columns=("docks_total",))
        for i, e in enumerate(rules)
    )
    return replace(STATIONS, rules=declared)


def with_pattern(pattern: str) -> Table:
    fields = (
        replace(f, pattern=anchored_pattern(pattern) if f.name == "station_code" else None)
        for f in STATIONS.fields
    )
    return replace(STATIONS, fields=tuple(fields), rules=())


def test_the_declared_expressions_pass_in_two_calls_a_table(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fault = expressions._fault
    monkeypatch.setattr(expressions, "_compiled", set())

    def counted(session: SparkSession, query: str, *, run: bool) -> str | None:
        asked.append(query)
        return fault(session, query, run=run)

    monkeypatch.setattr(expressions, "_fault", counted)
    contract = load_contract()
    assert compile_contract(spark, contract) == []
    assert 1 < len(asked) <= 2 * len(contract.tables) + 1, "its expressions, its patterns, its analytics"
    calls = len(asked)
    assert compile_contract(spark, contract) == []
    assert len(asked) == calls, "what was compiled is not compiled again"


def test_what_spark_refuses_of_indicators_is_named(spark: SparkSession) -> None:
    contract = load_contract(DATA / "bikes.odcs.yaml")
    common = {"version": 1, "description": "D.", "aim": "runs_empty", "direction": Aim.HIGH}
    indicators = (
        Indicator(name="fine", expression="district RLIKE 'a+'", **common),
        Indicator(name="wrong", expression="district RLIKE 'a{2,1}'", **common),
    )
    entity = replace(contract.entity, indicators=indicators)
    (problem,) = compile_contract(spark, replace(contract, tables=(entity, *contract.tables[1:])))
    assert "analytics: wrong" in problem


def test_what_spark_refuses_is_named_in_one_error(spark: SparkSession) -> None:
    with pytest.raises(ContractError) as e:
        refuse_what_spark_refuses(spark, with_rules("docks_total > 1", *REFUSED_BY_SPARK.values()))
    named = {detail.split(":")[0].split(" ")[0] for detail in e.value.details}
    assert named == {f"r{i}" for i in range(1, len(REFUSED_BY_SPARK) + 1)}
    assert e.value.exit_code == 2


@pytest.mark.parametrize("what", REFUSED_BEFORE)
def test_what_is_not_on_the_list_never_reaches_spark(what: str) -> None:
    with pytest.raises(ContractError, match="cannot be run"):
        refuse_what_spark_refuses(None, with_rules(REFUSED_BEFORE[what]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "text", "other"),
    [
        ("(?i)abc", "ABC", "ABCD"),
        ("(?<y>[0-9]{4})-[0-9]{2}", "2025-10", "2025-1"),
        (r"\h+", " \t", "a"),
        ("[a-z&&[^b]]", "c", "b"),
    ],
)
def test_patterns_of_java_are_taken(spark: SparkSession, pattern: str, text: str, other: str) -> None:
    refuse_what_spark_refuses(spark, with_pattern(pattern))
    rows = spark.createDataFrame([(text,), (other,)], "text string")
    matching = rows.where(F.col("text").rlike(anchored_pattern(pattern))).collect()
    assert [r[0] for r in matching] == [text]


@pytest.mark.parametrize("pattern", ["ST[0-9]{4})|(?:.*", "(?P<a>abc)", "a{2,1}", "[b-a]", r"\p{Nonsense}"])
def test_a_pattern_is_compiled_alone(spark: SparkSession, pattern: str) -> None:
    with pytest.raises(ContractError, match="the pattern of station_code"):
        refuse_what_spark_refuses(spark, with_pattern(pattern))


def test_spark_takes_every_listed_function_in_the_form_it_is_given(spark: SparkSession) -> None:
    example = {
        "number": "x", "whole": "n", "text": "t", "boolean": "b", "time": "s", "date": "d", "timestamp": "s",
        "array": "list", "map": "map", "any": "n", "read": "t", "pattern": "'(a)'", "word": "'MM'",
        "replacement": "'z'", "count": "1", "int": "n", "texts": "list", "bytes": "t", "digits": "n",
        "hashed": "list",
        "container": "map",
    }  # fmt: skip
    own = {"element_at": "list, 1", "try_element_at": "list, 1", "map_contains_key": "map, t"}  # fmt: skip
    written = []
    for name, forms in FUNCTIONS.items():
        for form in forms:
            for most in {len(form.arguments), len(form.arguments) - form.optional}:
                for number in ("x", "n", "c"):
                    kinds = {**example, "number": number}
                    arguments = own.get(name) or ", ".join(kinds[k] for k in form.arguments[:most])
                    read = read_expression(f"{name}({arguments})", TYPES)
                    assert read.problems == [], name
                    written += [read.sql, *([read.fault] if read.fault else [])]
    more = ["d - d > INTERVAL 3 DAYS", "d + 1 > d", "s + INTERVAL 1 HOUR", "s - s", "n & 3 | ~n", "t || n",
            "CASE n WHEN 1 THEN 'a' ELSE t END", "map['a'] > 1", "list[0] > 1", "deep.x > 1", "-n", "-c",
            "b IS TRUE",
            "CAST(x AS DECIMAL(10,2))", "nvl2(n, 1, 2)", "if(b, 1, 2)", "d > '2025-01-01'",
            "n IN (1, 2.5)", "1.5 + .5 - 1e3 + 2D + 3BD + 4L + 5S + 6Y", "n = -9223372036854775808",
            "n IS NOT DISTINCT FROM m", "deep.codes[0] > 1", "mat[0][1] > n", "element_at(deep.codes, n) = 1",
            "element_at(mat, n)[0] = 1", "deeps.x[0] = 1", "deeps[n].x = 1", "concat_ws(',', list, t) = t",
            "n DIV 2 = m DIV 3", "n DIV n > 1", "EXTRACT(YEAR FROM d) = EXTRACT(DOW FROM s)",
            "EXTRACT(WEEK FROM d) = EXTRACT(DOY FROM s)", "s > TIMESTAMP'2025-10-21'",
            "s > '2025-10-21 06:00:00Z'", "array_contains(times, '2025-10-21')", "times[0] < '2025-10-21'",
            "abs(ceil(big)) + abs(list[0]) > 1", "floor(big) + c / 2 + 1 > x", "d + INTERVAL 1 MONTH > d",
            "array_max(times) > s", "map_values(map)[0] = 1", "map_keys(map)[0] = t", "split(t, ',')[n] = t",
            "coalesce(x, n / m, 1) > 0", "substring(t, n, 2) = left(t, n)", "xxhash64(n) = crc32(t)",
            "CAST(n AS TIMESTAMP) > s", "CAST(s AS BIGINT) = m", "CAST(d AS TIMESTAMP) > s",
            "CAST(list AS STRING) = t", "CAST(b AS DECIMAL(3, 1)) = c", "CAST(n AS BOOLEAN) = b",
            "3e37BD > c", "127Y + 32767S > n", "9223372036854775807L > m", "3.4e38F > x",
            "t RLIKE 'a\\\\c('", "x / 1e-50F > 1", "hex(deep.code) = hex(n)", "get(times, n) > s",
            "d > CAST(NULL AS DATE)"]  # fmt: skip
    for expression in more:
        read = read_expression(expression, TYPES)
        assert read.problems == [], expression
        written += [read.sql, *([read.fault] if read.fault else [])]
    assert expressions._fault(spark, expressions._query(TYPES, list(dict.fromkeys(written)))) is None


def test_text_is_what_it_says_whatever_the_parser_replaces(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", "seen")
    read = read_expression("t = '${env:PLANTED}' OR t = 'a''b\\\\c'", {"t": "string"})
    rows = spark.sql("SELECT * FROM VALUES ('seen'), ('${en' || 'v:PLANTED}'), (\"a'b\\\\c\") AS r(t)")
    assert sorted(r.t for r in rows.where(read.sql).collect()) == ["${env:PLANTED}", r"a'b\c"]


def test_lint_asks_the_engine(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DATA / "bikes.odcs.yaml").read_text(encoding="utf-8")
    assert "pattern: 'ST[0-9]{4}'" in text
    for name, pattern in (("good", "(?i)st[0-9]{4}"), ("bad", "ST[0-9]{4,2}")):
        (tmp_path / f"{name}.yaml").write_text(text.replace("'ST[0-9]{4}'", f"'{pattern}'"), encoding="utf-8")
    main(["contract", "lint", "--engine", "--contract", str(tmp_path / "good.yaml")])
    assert "no violations" in capsys.readouterr().out
    main(["contract", "lint", "--contract", str(tmp_path / "bad.yaml")])
    with pytest.raises(SystemExit) as end:
        main(["contract", "lint", "--engine", "--contract", str(tmp_path / "bad.yaml")])
    assert end.value.code == 2
    assert "the pattern of station_code" in capsys.readouterr().err
