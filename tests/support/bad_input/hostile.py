"""Contracts and settings of somebody who means harm, or who writes YAML in odd ways."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support.bad_input.declared import Case, Group, accepted, refused
from tests.support.paths import DATA

TYPES = {
    "n": "int", "m": "bigint", "x": "double", "c": "decimal(10,2)", "t": "string", "b": "boolean",
    "d": "date", "s": "timestamp", "list": "array<int>", "map": "map<string,int>", "deep": "struct<x:int>",
}  # fmt: skip


def shown(expression: str) -> str:
    """The name of a case: the expression, or its beginning."""
    plain = expression.encode("unicode_escape").decode()
    return plain if len(plain) <= 70 else f"{plain[:50]} … ({len(expression):,} characters)"


def expressions(notes: dict[str, str], **why: list[tuple[str, str]]) -> tuple[Case, ...]:
    return tuple(
        refused(shown(e) or "nothing", evidence, given=e, note=notes[reason])
        for reason, cases in why.items()
        for e, evidence in cases
    )


EXPRESSIONS = Group(
    title="Expressions of a contract: rules, formulas, row conditions",
    about="Each over the columns " + ", ".join(f"{k} {v}" for k, v in TYPES.items()) + ". Nothing of them "
    "reaches Spark; each is refused within a second.",
    cases=(
        *expressions(
            {
                "more": "more than one statement about a row",
                "code": "runs code, reads elsewhere, differs by run, or ends the job",
                "text": "two parsers might read it differently",
                "clock": "stands for the moment of the run",
                "converted": "Spark would convert each value, and fail on some",
                "pattern": "",
                "size": "",
            },
            more=[
                ("n > 1 AS y", "AS gives the result a name"),
                ("n > 1; DROP TABLE x", "starts another statement"),
                ("n > 1 -- and more", "starts a comment"),
                ("n /* why */ > 1", "starts a comment"),
                ("n /*+ BROADCAST(t) */ > 1", "starts a comment"),
                ("n > 1) OR (m > 1", "has no opening one"),
                ("(n > 1", "never closed"),
                ("n > (SELECT max(n) FROM t)", "cannot"),
                ("n IN (SELECT 1)", "cannot"),
                ("EXISTS (SELECT 1)", "no function"),
                ("n, m", "cannot"),
                ("", "empty"),
            ],
            code=[
                ("reflect('java.lang.System', 'exit', 0) IS NULL", "no function"),
                ("java_method('a', 'b') = t", "no function"),
                ("builtin.reflect('java.lang.System', 'exit', 0) = t", "qualified or quoted"),
                ("system.builtin.reflect('a', 'b') = t", "qualified or quoted"),
                ("`reflect`('a', 'b') = t", "qualified or quoted"),
                ("deep.reflect('a')", "qualified or quoted"),
                ("try_reflect('a', 'b') = t", "no function"),
                ("secret('scope', 'key') = t", "no function"),
                ("ai_query('model', t) = t", "no function"),
                ("http_request(conn => 'x') = t", "no function"),
                ("raise_error('x')", "no function"),
                ("from_json(t, 'a int').a > 1", "no function"),
                ("from_avro(t, 'x') IS NULL", "no function"),
                ("xpath_string(t, 'a') = t", "no function"),
                ("read_files('x')", "no function"),
                ("input_file_name() = t", "another result"),
                ("current_user() = t", "another result"),
                ("current_date > d", "another result"),
                ("rand() > x", "another result"),
                ("uuid() = t", "another result"),
                ("aes_decrypt(t, 'k') = t", "no function"),
                ("max(n) > 3", "no function"),
                ("explode(list) > 0", "no function"),
                ("sleep(1000)", "no function"),
                ("repeat(t, 1000000000) = t", "no function"),
                ("space(1000000000) = t", "no function"),
                ("sequence(1, 1000000000) IS NULL", "no function"),
                ("transform(list, y -> y + 1) IS NULL", "no function"),
                ("aggregate(list, 0, (a, y) -> a + y) > 1", "no function"),
                ("exists(list, y -> y > 1)", "no function"),
                ("lpad(t, 1000000000) = t", "whole number of 0 to 10,000"),
                ("lpad(t, n) = t", "whole number of 0 to 10,000"),
                ("row_number() OVER (ORDER BY n) = 1", "no function"),
                ("session.user = t", "not a column"),
            ],
            text=[
                ("r'\\' <> reflect('a', 'b') || ''", "backslash"),
                ("r'a' = t", "is not allowed"),
                ('R"a" = t', "double quotes"),
                ("X'41' = t", "is not allowed"),
                ("b'41' = t", "is not allowed"),
                ('t = "x"', "double quotes"),
                ("t = 'a\\nb'", "backslash"),
                ("t = 'a\\u0041'", "backslash"),
                ("t = 'a\\", "backslash"),
                ("t = 'a' 'b'", "cannot"),
                ("t = $$a$$", "no sign"),
                ("t = ${env:HOME}", "no sign"),
                ("`${env:HOME}` = t", "which Spark replaces"),
                ("t = :parameter", "no sign"),
                ("t = ?", "no sign"),
                ("n::string = t", "no sign"),
                ("n -> 1", "cannot"),
                ("ｒeflect('a') = t", "no sign"),
                ("n\u00a0> 1", "no sign"),
                ("n\u2028> 1", "no sign"),
                ("t = 'a\x00b'", "never closed"),
                ("t = 'a\x1bb'", "never closed"),
                ("1abc > n", "a number is written"),
                ("nope > 1", "is not a column"),
            ],
            clock=[
                ("DATE'today' > d", "not fixed"),
                ("TIMESTAMP'now' > s", "not fixed"),
                ("DATE 'epoch' > d", "not fixed"),
                ("DATE'2025-02-30' > d", "not fixed"),
                ("CAST('now' AS TIMESTAMP) > s", "needs a column"),
                ("CAST('to' || 'day' AS DATE) > d", "needs a column"),
                ("CAST(CAST('today' AS STRING) AS DATE) > d", "needs a column"),
                ("to_date('today') > d", "needs a column"),
                ("to_timestamp(lower('NOW')) > s", "needs a column"),
                ("d > 'today'", "not compared"),
                ("d > lower('TODAY')", "not compared"),
                ("coalesce(d, 'tomorrow') > d", "not compared"),
                ("unix_timestamp() > n", "does not take 0"),
                ("unix_timestamp('now') > n", "takes a time"),
                ("year('today') > n", "takes a time"),
                ("datediff('today', d) > n", "takes a time"),
            ],
            converted=[
                ("t + 1 > 2", "takes a number"),
                ("t > 1", "not compared"),
                ("t IN (1, 2)", "not compared"),
                ("b = 1", "not compared"),
                ("CASE t WHEN 1 THEN true END", "not compared"),
                ("greatest(t, n) = n", "not compared"),
                ("NOT n", "takes a boolean"),
                ("n AND b", "takes a boolean"),
                ("if(n, 1, 2) = 1", "takes a boolean"),
            ],
            pattern=[
                ("t RLIKE '('", "never closed"),
                ("t RLIKE 'a)|(b'", "no opening one"),
                ("t RLIKE t", "needs a text"),
                ("t LIKE t", "needs a text"),
                ("t RLIKE '(?P<a>b)'", "as Python does"),
                ("t RLIKE '(?x)a #'", "sets the flag x"),
                ("regexp_extract(t, 'abc') = 'a'", "has no group 1"),
                ("regexp_extract(t, '(a)(b)', 3) = 'a'", "has no group 3"),
                ("regexp_replace(t, 'a', '$9') = 'a'", "without $"),
            ],
            size=[
                ("(" * 3000 + "n" + ")" * 3000, "words"),
                ("(" * 900 + "n" + ")" * 900, "levels deep"),
                ("- " * 900 + "n", "levels deep"),
                ("NOT " * 900 + "b", "levels deep"),
                ("abs(" * 200 + "n" + ")" * 200, "levels deep"),
                ("CASE WHEN b THEN " * 100 + "n" + " END" * 100, "levels deep"),
                ("list[" * 100, "levels deep"),
                ("n" + " + n" * 900, "follow each other"),
                ("nullif(" * 30 + "n" + ", 1)" * 30, "too large"),
                ("n = '" + "a" * 30_000 + "'", "characters"),
                ("1" + "0" * 100 + " > n", "60 digits"),
                ("1e999 > x", "largest double"),
                ("INTERVAL 1 CENTURY", "interval"),
                ("CAST(t AS VARIANT) IS NULL", "no type"),
                ("CAST(t AS ARRAY<INT>) IS NULL", "no type"),
                ("deep[0] = 1", "array or a map"),
                ("n div 2 = 1", "cannot"),
            ],
        ),
        accepted("t = '; -- /* AS'", given="t = '; -- /* AS'"),
        accepted("t = 'it''s'", given="t = 'it''s'"),
        accepted("t = '${env:HOME}'", given="t = '${env:HOME}'", note="is compared with these characters"),
        accepted("n - -1 > 0", given="n - -1 > 0"),
        accepted("900 conditions", given=" AND ".join(["b"] * 900)),
        accepted("t RLIKE '(?i)abc'", given="t RLIKE '(?i)abc'"),
    ),
)


def _bikes() -> dict[str, Any]:
    contract: dict[str, Any] = yaml.safe_load((DATA / "bikes.odcs.yaml").read_text(encoding="utf-8"))
    return contract


def table(**changes: Any) -> str:
    """The bikes contract with another part of its first table."""
    contract = _bikes()
    contract["schema"][0] |= changes
    return yaml.safe_dump(contract, sort_keys=False)


def field(**changes: Any) -> str:
    """The bikes contract with another part of the second field of its first table."""
    contract = _bikes()
    contract["schema"][0]["properties"][1] |= changes
    return yaml.safe_dump(contract, sort_keys=False)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
YAML = Group(
    title="YAML of contracts and settings",
    about="Each as a contract and as an overlay of the settings; refused within a second.",
    cases=(
        refused("eight levels of aliases", "aliases stand for too much", given=BOMB),
        refused("2,000 aliases", "aliases stand for too much", given="a: &a x\nb: [" + "*a, " * 2000 + "*a]"),
        refused("a list inside of itself", "stands inside of what it names", given="a: &r [*r]"),
        refused("a mapping inside of itself", "stands inside of what it names", given="a: &r {b: {c: *r}}"),
        refused("5,000 brackets, open", "levels deep", given="a: " + "[" * 5000),
        refused("5,000 brackets, closed", "levels deep", given="a: " + "[" * 5000 + "]" * 5000),
        refused("5,000 braces", "levels deep", given="{a: " * 5000),
        refused("3,000 dashes", "levels deep", given="- " * 3000),
        refused("a list as a key", "keys are text", given="? [a]\n: 1"),
        refused("a mapping as a key", "keys are text", given="? {a: 1}\n: 1"),
        refused("an alias as a key", "keys are text", given="a: &a x\n? *a\n: 1"),
        refused("an empty key", "is no text", given="~: 1"),
        refused("a number as a key", "is no text", given="1: 2"),
        refused("a key that YAML takes for true", "is no text", given="on: 2"),
        refused("a key twice", "is written twice", given="a: 1\na: 2"),
        refused("a key twice, once as number", "is no text", given='"1": 1\n1: 2'),
        refused("a day that there is not", "not of the type", given="a: 2025-13-45"),
        refused("a number of 6,000 digits", "not of the type", given="a: " + "9" * 6000),
        refused("a text tagged as a number", "not of the type", given="a: !!int x"),
        refused(
            "a tag of Python",
            "could not determine a constructor",
            given="a: !!python/object/apply:os.system [x]",
        ),
        refused("base64 that is none", "base64", given="a: !!binary x"),
        refused("half of a pair of code units", "escape code", given='a: "\\ud800"'),
        refused("two documents", "single document", given="a: 1\n---\nb: 2"),
        refused("a file of 5 MB", "characters", given="a: " + "x" * 5_000_000),
        refused("an anchor that there is not", "undefined alias", given="a: *nowhere"),
        refused("NUL", "control characters", given="a: \x00"),
        refused("a list", "mapping", given="- a"),
    ),
)


NAMES = Group(
    title="Names in a contract",
    about="The bikes contract with other names.",
    cases=(
        *(
            refused(f"a field named {name}", "is reserved", given=field(name=name))
            for name in (
                "__duplicated",
                "__ALIKE",
                "__malformed",
                "__orphan_district",
                "__anything",
                "_run_id",
                "_RUN_ID",
                "_replaced_by",
                "_dq_status",
                "_DQ_mine",
                "snapshot_date",
                "Snapshot_Date",
            )
        ),
        *(
            refused(f"a table named {name}", "is reserved", given=table(name=name))
            for name in (
                "runs",
                "RUNS",
                "splits",
                "predictions",
                "landings",
                "quality_results",
                "quality_states",
                "training_runs",
                "graph_comparison",
                "stations_judged",
                "Rides_JUDGED",
            )
        ),
        *(
            refused(
                f"the type {kind[:60]}",
                "is not supported",
                given=field(physicalType=kind, logicalType="array"),
            )
            for kind in (
                "array<int>) OR reflect('a', 'b') IS NULL OR CAST(NULL AS array<int>",
                "array<int, reflect('a')>",
                "struct<a:int>, reflect('a', 'b') AS x, CAST(NULL AS struct<b:int>",
                "struct<`a`:int>",
                "struct<a'b:int>",
                "map<string>",
                "array<" * 500 + "int" + ">" * 500,
                "array<variant>",
            )
        ),
        refused(
            "a table whose name ends in a line end",
            "letters, digits and underscores",
            given=table(name="runs\n"),
        ),
        refused("a field with ${…}", "replaces by a setting", given=field(name="${env:HOME}")),
        refused(
            "a table with a path", "letters, digits and underscores", given=table(name="../../etc/passwd")
        ),
        refused("a table with an escape", "letters, digits and underscores", given=table(name="a\x1b[2Jb")),
        refused(
            "a pattern that closes the group around it",
            "no opening one",
            given=field(
                logicalTypeOptions={"pattern": "ST[0-9]{4})|(?:.*"},
                logicalType="string",
                physicalType="string",
            ),
        ),
        refused(
            "a pattern that is Python's",
            "as Python does",
            given=field(
                logicalTypeOptions={"pattern": "(?P<a>abc)"}, logicalType="string", physicalType="string"
            ),
        ),
        refused(
            "a pattern whose end is quoted",
            "never closed",
            given=field(
                logicalTypeOptions={"pattern": "\\Qabc"}, logicalType="string", physicalType="string"
            ),
        ),
        refused(
            "a pattern whose end is a comment",
            "sets the flag x",
            given=field(
                logicalTypeOptions={"pattern": "(?x)abc #"}, logicalType="string", physicalType="string"
            ),
        ),
    ),
)
