"""What an expression of a contract may say, how Spark is given it, and that nothing else gets through."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.contract.expressions import read_expression, read_statement
from engage_spark.contract.patterns import count_groups, pattern_problem
from engage_spark.contract.sql_functions import FUNCTIONS
from engage_spark.errors import ContractError
from tests.support.bad_input.declared import Case, Outcome, assert_told, each
from tests.support.bad_input.hostile import EXPRESSIONS, TYPES
from tests.support.examples import examples
from tests.support.paths import ROOT
from tests.support.processor import slowness

KNOWN = ("age", "followers", "date", "we`ird name", "group")


@pytest.mark.parametrize(
    ("expression", "columns", "unknown"),
    [
        ("age / nullif(followers, 0)", ("age", "followers"), ()),
        ("AGE + 1.5e3 - 2D", ("age",), ()),
        ("CASE WHEN age > 3 THEN 'followers' ELSE 'age' END", ("age",), ()),
        ("age = 'it''s' OR followers = 'a\\'b'", ("age", "followers"), ()),
        ("`we``ird name` > 1", ("we`ird name",), ()),
        ("CAST(age AS date)", ("age",), ()),
        ("date > DATE '2026-01-01'", ("date",), ()),
        ("`group` = 1 AND group = 2", ("group",), ()),
        ("folowers + 1", (), ("folowers",)),
        ("customers.age", (), ("customers",)),
        ("agefollowers", (), ("agefollowers",)),
    ],
)
def test_names_are_told_from_literals_functions_and_keywords(
    expression: str, columns: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    read = read_expression(expression, KNOWN)
    assert read.columns == columns
    assert read.unknown == unknown
    assert read.refused == ()


@pytest.mark.parametrize(
    "expression",
    ["datediff(current_date(), date)", "datediff(current_date, date)", "age + RAND()", "now() > date"],
)
def test_clocks_and_dice_are_named(expression: str) -> None:
    assert read_expression(expression, KNOWN).unstable


@each(EXPRESSIONS)
def test_everything_else_is_refused_in_words_at_once(case: Case) -> None:
    started = time.process_time()
    read = read_expression(case.given, TYPES)
    spent = time.process_time() - started
    assert spent < 1 or spent < slowness()
    if case.outcome is Outcome.ACCEPTED:
        assert read.problems == []
        return
    assert case.evidence[0] in " ".join(read.problems)
    assert read.sql == ""
    with pytest.raises(ContractError) as error:
        read_statement(case.given, TYPES, "rule 'r'")
    assert_told(case, error.value)


@pytest.mark.parametrize(
    ("expression", "sql"),
    [
        ("n - -1 > 0", "(try_subtract(`n`, -1) > 0)"),
        ("CAST(n AS INT) > try_cast(m AS BIGINT)", "(try_cast(`n` AS INT) > try_cast(`m` AS BIGINT))"),
        ("t = '; -- /* AS'", "(`t` = '; -- /* AS')"),
        ("t = 'it''s'", "(`t` = CAST(X'69742773' AS STRING))"),
        ("t = 'a\\\\b'", "(`t` = CAST(X'615c62' AS STRING))"),
        ("t = '${env:HOME}'", "(`t` = CAST(X'247b656e763a484f4d457d' AS STRING))"),
        ("n + m * x", "(`n` + (`m` * `x`))"),
        ("n + m * n", "try_add(`n`, try_multiply(`m`, `n`))"),
        ("n / m", "try_divide(`n`, `m`)"),
        ("n / nullif(m, 0)", "(`n` / nullif(`m`, 0))"),
        ("c / 3", "try_divide(`c`, 3)"),
        ("n % m", "(`n` % nullif(`m`, 0))"),
        ("-n", "try_subtract(0Y, `n`)"),
        ("-x", "(- `x`)"),
        ("n = -9223372036854775808", "(`n` = -9223372036854775808)"),
        ("NOT n = 1 OR b AND n > 2", "((NOT (`n` = 1)) OR (`b` AND (`n` > 2)))"),
        ("!b", "(NOT `b`)"),
        ("n between 1 and 2 and b", "((`n` BETWEEN 1 AND 2) AND `b`)"),
        ("n NOT IN (1, 2)", "(`n` NOT IN (1, 2))"),
        ("n = 1 IS NULL", "((`n` = 1) IS NULL)"),
        ("n IS NOT DISTINCT FROM m", "(`n` IS NOT DISTINCT FROM `m`)"),
        ("d > '2025-10-20'", "(`d` > DATE'2025-10-20')"),
        ("s > '2025-10-20 10:00:00'", "(`s` > TIMESTAMP'2025-10-20 10:00:00')"),
        ("d + INTERVAL 3 DAYS > d", "(try_add(`d`, INTERVAL '3' DAY) > `d`)"),
        ("deep.x = 1", "(`deep`.`x` = 1)"),
        ("list[0] = 1", "(get(`list`, 0) = 1)"),
        ("map['k'] = 1", "(try_element_at(`map`, 'k') = 1)"),
        ("t RLIKE '(?i)abc'", "(`t` RLIKE '(?i)abc')"),
        ("add_months(d, n)", "(try_add(CAST(`d` AS DATE), make_ym_interval(0, `n`)))"),
        ("abs(x) + abs(n)", "(abs(`x`) + try_cast(abs(try_cast(`n` AS DECIMAL(20, 0))) AS BIGINT))"),
        ("abs(deep.x)", "try_cast(abs(try_cast(`deep`.`x` AS DECIMAL(20, 0))) AS BIGINT)"),
        ("abs(list[0])", "try_cast(abs(try_cast(get(`list`, 0) AS DECIMAL(20, 0))) AS BIGINT)"),
        ("abs(ceil(big))", "abs(ceil(`big`))"),
        ("floor(big) + 1", "try_add(floor(`big`), 1)"),
        ("try_element_at(list, n)", "try_element_at(`list`, nullif(`n`, 0))"),
        ("try_element_at(list, -1)", "try_element_at(`list`, -1)"),
        ("element_at(deep.codes, n)", "try_element_at(`deep`.`codes`, nullif(`n`, 0))"),
        ("x / 1e-50F", "try_divide(`x`, 1e-50F)"),
        ("x / 2", "(`x` / 2)"),
        ("c / 2 + 1", "try_add(try_divide(`c`, 2), 1)"),
        ("try_add(n, m) + 1", "try_add(try_add(`n`, `m`), 1)"),
        ("n DIV 2", "(`n` div 2)"),
        ("n DIV n", "(`n` div nullif(`n`, 0))"),
        ("EXTRACT(DOY FROM d)", "dayofyear(`d`)"),
        ("s > '2025-10-21 06:00:00Z'", "(`s` > TIMESTAMP'2025-10-21 06:00:00Z')"),
        ("to_date(t, 'yyyy')", "(CAST(try_to_timestamp(`t`, 'yyyy') AS DATE))"),
        (" AND ".join(["b"] * 900), "(" + " AND ".join(["`b`"] * 900) + ")"),
    ],
)
def test_it_is_written_for_spark_in_brackets_quoted_and_in_the_form_that_gives_null(
    expression: str, sql: str
) -> None:
    read = read_expression(expression, TYPES)
    assert read.problems == []
    assert read.sql == sql


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("n > 1", None),
        ("x * 2 + n", None),
        ("n / nullif(m, 0)", None),
        ("n / m", "(`n` IS NOT NULL AND `m` IS NOT NULL AND try_divide(`n`, `m`) IS NULL)"),
        ("try_add(n, m) > 1", None),
        ("try_element_at(list, n) > 1", None),
        ("map['k'] > 1", None),
        (
            "list[n] > 1",
            "(`list` IS NOT NULL AND `n` IS NOT NULL AND NOT `n` BETWEEN 0 AND size(`list`) - 1)",
        ),
        (
            "element_at(list, n) > 1",
            "(`list` IS NOT NULL AND `n` IS NOT NULL AND NOT (`n` <> 0 AND `n` BETWEEN -size(`list`) AND "
            "size(`list`)))",
        ),
        (
            "coalesce(x, n / m) > 0",
            "(CASE WHEN `x` IS NOT NULL THEN false WHEN (`n` IS NOT NULL AND `m` IS NOT NULL AND "
            "try_divide(`n`, `m`) IS NULL) THEN true WHEN try_divide(`n`, `m`) IS NOT NULL THEN false "
            "ELSE false END)",
        ),
        ("CAST(t AS INT)", "(`t` IS NOT NULL AND try_cast(`t` AS INT) IS NULL)"),
        (
            "b OR n / m > 1",
            "(CASE WHEN `b` THEN false WHEN (`n` IS NOT NULL AND `m` IS NOT NULL AND try_divide(`n`, `m`) IS "
            "NULL) THEN true WHEN (try_divide(`n`, `m`) > 1) THEN false ELSE false END)",
        ),
    ],
)
def test_it_is_known_where_it_fails(expression: str, fault: str | None) -> None:
    assert read_expression(expression, TYPES).fault == fault


def test_a_type_that_nests_without_end_is_refused_in_words() -> None:
    nested = "array<" * 500 + "int" + ">" * 500
    assert "levels deep" in read_expression("n = n", {"n": nested}).problems[0]


def test_the_page_lists_every_function() -> None:
    page = (ROOT / "docs" / "how_to" / "add_check.md").read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"`{name}`" not in page] == []


def test_a_pattern_is_looked_at_alone() -> None:
    for fine in (
        "(?i)abc",
        "(?<y>[0-9]{4})-[0-9]{2}",
        r"\h+",
        "[a-z&&[^b]]",
        "[)]",
        r"\)",
        r"\Q(\E",
        "[]a]",
        r"\c(",
        r"[\c]]",
    ):
        assert pattern_problem(fine) is None, fine
    for bad in (
        "ST[0-9]{4})|(?:.*",
        "(a",
        "[a",
        "a\\",
        r"\Qa",
        r"\c",
        r"ST\c()|(?:.*|\c)",
        "(?P<a>b)",
        "(?x)a #",
        "(" * 60 + ")" * 60,
    ):
        assert pattern_problem(bad) is not None, bad
    assert count_groups(r"(a)(?:b)(?<c>d)(?<=e)\([(])") == 2


# What is on the list, and what is not, put together as a grammar would.
_names = st.sampled_from([*TYPES, "nope", "`n`", "deep.x", "builtin", "session.n", "SELECT", "r", "${n}"])
_literals = st.sampled_from(
    ["1", "1.5", "-3", "'a'", "'it''s'", "NULL", "true", "DATE'2025-01-01'", "DATE'today'", "r'\\'", "X'41'",
     '"t"', "'now'", "1e400", "INTERVAL 1 DAY", "9" * 70, "'\\u0041'", "/* c */ 1", "$$a$$", "'${env:A}'"]
)  # fmt: skip
_calls = st.sampled_from(
    [*FUNCTIONS, "reflect", "java_method", "current_date", "secret", "ai_query", "http_request", "max",
     "rand", "read_files", "builtin.reflect", "`upper`", "uuid", "raise_error", "transform", "explode", "if",
     "cast"]
)  # fmt: skip


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(
        ["+", "-", "*", "/", "%", "=", "<=>", "AND", "OR", "||", "->", "::", ";", "--", "AS"]
    )
    return st.one_of(
        st.tuples(inner, signs, inner).map(" ".join),
        st.tuples(_calls, st.lists(inner, max_size=3)).map(lambda c: f"{c[0]}({', '.join(c[1])})"),
        inner.map(lambda e: f"({e})"),
        inner.map(lambda e: f"NOT {e}"),
        st.tuples(inner, inner).map(lambda c: f"CASE WHEN {c[0]} THEN {c[1]} END"),
        st.tuples(inner, st.sampled_from(["INT", "DATE", "VARIANT", "STRUCT<a:INT>"])).map(
            lambda c: f"CAST({c[0]} AS {c[1]})"
        ),
        inner.map(lambda e: f"{e} IN (SELECT {e})"),
        inner.map(lambda e: f"transform(list, q -> {e})"),
    )


@settings(max_examples=examples(1000), deadline=1000)
@given(st.recursive(st.one_of(_names, _literals), _grown, max_leaves=12))
def test_of_a_thousand_hostile_expressions_nothing_off_the_list_passes(expression: str) -> None:
    read = read_expression(expression, TYPES)
    if read.problems:
        assert read.sql == ""
        return
    bare = re.sub(r"'[^']*'|`[^`]*`", " ", read.sql)
    called = {name.lower() for name in re.findall(r"(\w+)\s*\(", bare)}
    own = {"try_cast", "cast", "try_element_at", "make_ym_interval", "get", "in", "and", "or", "not", "when",
           "then", "else", "rlike", "div", "like", "between", "decimal", "from"}  # fmt: skip
    assert called <= {*FUNCTIONS, *own}
    assert not re.search(r"->|::|;|--|/\*|\"|\\|\bselect\b|\$", bare, re.IGNORECASE)
    assert not re.search(r"today|'now'|tomorrow|yesterday", read.sql) or "'now'" in expression
