"""Contracts and settings of somebody who means harm, or who writes YAML in odd ways."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support.bad_input.declared import Case, Group, accepted, refused
from tests.support.paths import DATA

TYPES = {
    "n": "int", "m": "bigint", "x": "double", "c": "decimal(10,2)", "t": "string", "b": "boolean",
    "d": "date", "s": "timestamp", "list": "array<int>", "map": "map<string,int>",
    "deep": "struct<x:int,day:date,code:string,codes:array<int>>", "mat": "array<array<int>>",
    "times": "array<timestamp>", "big": "decimal(38,2)",
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
                ("b AND n IS NULL = b", "cannot"),
                ("b AND b IS NULL IS NULL", "cannot"),
                ("NOT b IS NULL = b", "cannot"),
                ("NOT n BETWEEN 1 AND 2 IS NULL", "cannot"),
                ("!b IS NULL = b", "cannot"),
                ("n IN (1) IN (2)", "cannot"),
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
                ("year(split('now', ',')[0]) > n", "takes a time"),
                ("d > split('today', ',')[0]", "not compared"),
                ("try_add('now', INTERVAL 1 DAY) > s", "cannot be used"),
                ("deep.day > 'today'", "not compared"),
                ("times[0] < 'now UTC'", "not compared"),
                ("array_max(times) < ' Now'", "not compared"),
                ("array_contains(times, 'now')", "not compared"),
                ("array_contains(split('now', ','), s)", "not compared"),
                ("try_element_at(times, 1) < 'now'", "not compared"),
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
                ("split(t, '-')[1] > 5", "not compared or mixed; write try_cast"),
                ("deep.code > 5", "not compared or mixed; write try_cast"),
                ("try_add(t, 1) > 3", "takes a number"),
                ("map[n] = 1", "not compared"),
                ("array_contains(list, t)", "not compared"),
                ("substring(t, m) = 'a'", "found a bigint"),
                ("left(t, m + 1) = 'a'", "found a bigint"),
                ("list[m] = 1", "found a bigint"),
                ("element_at(list, m) = 1", "found a bigint"),
                ("date_add(d, m) > d", "found a bigint"),
                ("d + m > d", "found a bigint"),
                ("s + 1 > s", "cannot be used"),
                ("md5(n) = t", "takes a text or binary"),
                ("crc32(n) = m", "takes a text or binary"),
                ("hex(c) = t", "takes a whole number or a text"),
                ("CAST(d AS INT) = 1", "cannot be cast"),
                ("size(t) = 1", "takes a map or an array"),
                ("INTERVAL 3 DAYS = INTERVAL 1 MONTH", "not compared"),
                ("d = '2025-10-21 06:00:00'", "write '2025-10-21'"),
                ("d IN ('2025-10-21', '2025-10-21T06:00:00')", "write '2025-10-21'"),
                ("1 .x = 1", "member of a struct"),
                ("times = split('now', ',')", "not compared"),
                ("coalesce(list, split(t, ',')) IS NULL", "not compared"),
                ("map = map", "a map is not compared"),
                ("nullif(map, map) IS NULL", "a map is not compared"),
                ("hash(map) = 1", "other than a map"),
                ("deep.nope = 1", "has no member"),
                ("m DIV n = 1", "a divisor written out"),
                ("EXTRACT(SECOND FROM s) = 1", "EXTRACT takes one of"),
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
                ("t RLIKE 'ST\\\\c()|(?:.*|\\\\c)'", "no opening one"),
                ("t RLIKE '^\\d+$'", "write \\\\d"),
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
                ("element_at(list, " * 39 + "n" + ")" * 39 + " > 0", "too large"),
                ("(" * 24 + "n" + (" + 1" * 39 + ")") * 24 + " > 0", "levels deep"),
                ("CASE WHEN n > 0 THEN 1 + " * 31 + "n" + " END" * 31 + " > 0", "levels deep"),
                ("hex(" * 38 + "'a'" + ")" * 38 + " = t", "times as long"),
                ("replace(" * 36 + "t" + ", 'a', 'aaaaaaaaaa')" * 36 + " = t", "times as long"),
                ("replace(replace(t, 'a', t), 'b', t) = t", "times as long"),
                ("array_join(split(" * 9 + "t" + ", ''), 'aaaaa')" * 9 + " = t", "times as long"),
                ("regexp_replace(" * 9 + "t" + ", '', 'aaaa')" * 9 + " = t", "times as long"),
                ("CAST(split(" * 9 + "t" + ", '') AS STRING)" * 9 + " = t", "times as long"),
                ("1.5L > n", "is no whole number"),
                ("300Y > n", "beyond what Y stands for"),
                ("99999S > n", "beyond what S stands for"),
                ("9223372036854775808L > n", "beyond what L stands for"),
                ("1" * 45 + " > n", "38 digits"),
                ("1e39BD > c", "38 digits"),
                ("1e39F > x", "largest float"),
                ("CAST(n AS DECIMAL(50, 2)) > 1", "1 to 38 digits"),
                ("CAST(n AS DECIMAL(2, 3)) > 1", "1 to 38 digits"),
                ("1" + "0" * 100 + " > n", "60 digits"),
                ("1e999 > x", "largest double"),
                ("INTERVAL 1 CENTURY", "interval"),
                ("CAST(t AS VARIANT) IS NULL", "no type"),
                ("CAST(t AS ARRAY<INT>) IS NULL", "no type"),
                ("deep[0] = 1", "array or a map"),
            ],
        ),
        accepted("t = '; -- /* AS'", given="t = '; -- /* AS'"),
        accepted("t = 'it''s'", given="t = 'it''s'"),
        accepted("t = '${env:HOME}'", given="t = '${env:HOME}'", note="is compared with these characters"),
        accepted("n - -1 > 0", given="n - -1 > 0"),
        accepted("900 conditions", given=" AND ".join(["b"] * 900)),
        *(
            accepted(e, given=e)
            for e in (
                "deep.codes[0] > 1",
                "mat[0][1] > 1",
                "concat_ws(',', list) = t",
                "n DIV 2 = 1",
                "EXTRACT(YEAR FROM d) = 2025",
                "s > TIMESTAMP'2025-10-21'",
                "s > TIMESTAMP'2025-10-21 06:00:00Z'",
                "s > '2025-10-21T06:00:00Z'",
                "deep.day > '2025-10-21'",
                "times[0] < '2025-10-21'",
                "deep.code > '5'",
                "array_contains(times, '2025-10-21')",
                "t RLIKE 'a\\\\c('",
                "replace(t, ',', '') = t",
                "c > 1e3BD",
                "d > CAST(NULL AS DATE)",
            )
        ),
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
        refused("a list tagged as a mapping", "not of the type", given="a: !!map [1]"),
        refused("a mapping tagged as a list", "sequence", given="a: !!seq {b: 1}"),
        refused("a text tagged as a mapping", "not of the type", given="a: !!map x"),
        refused("a list merged into a mapping", "for merging", given="a: {<<: [1]}"),
        refused(
            "a tag of Python",
            "a tag that is not read",
            given="a: !!python/object/apply:os.system [x]",
        ),
        refused("base64", "a tag that is not read", given="a: !!binary x"),
        refused("a set", "a tag that is not read", given="a: !!set {b, c}"),
        refused("ordered pairs", "a tag that is not read", given="a: !!omap [b: 1]"),
        refused("pairs", "a tag that is not read", given="a: !!pairs [b: 1, b: 2]"),
        refused("a time of many parts", "not of the type", given="a: 1" + ":59" * 200_000),
        refused("a number of three million digits", "characters", given="a: 0x" + "f" * 3_000_000),
        refused("a number of a million digits", "not of the type", given="a: 0x" + "f" * 1_000_000),
        refused("200,000 keys", "characters", given="".join(f"k{i}: 1\n" for i in range(200_000))),
        refused("60,000 keys", "more than 40,000 values", given="".join(f"k{i}: 1\n" for i in range(60_000))),
        refused("a list of 500,000 numbers", "more than 40,000 values", given="a: [" + "1," * 500_000 + "1]"),
        refused(
            "a long text 900 times",
            "aliases stand for too much",
            given="a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 900 + "*a]",
        ),
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
        *(
            refused(
                f"the rule {rule}",
                f"gives {kind}, where a rule",
                given=table(
                    quality=[
                        {"type": "custom", "engine": "engage_spark", "name": "r", "implementation": rule}
                    ]
                ),
            )
            for rule, kind in (
                ("rides_ended", "whole"),
                ("rides_ended + 1", "whole"),
                ("district", "text"),
                ("CASE WHEN electric THEN mean_ride_km END", "double"),
                ("coalesce(opened_on, snapshot_date)", "date"),
            )
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
        *(
            refused(
                name,
                "sets the flag x",
                given=field(
                    logicalTypeOptions={"pattern": pattern}, logicalType="string", physicalType="string"
                ),
            )
            for name, pattern in (
                ("a pattern whose end is a comment", "(?x)abc #"),
                ("a pattern that closes the group around it in a comment", "(?iiiiiiiiiiiiix)(#(\n))|.*#"),
            )
        ),
    ),
)
