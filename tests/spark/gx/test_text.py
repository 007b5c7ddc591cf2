"""What the contract asks of text, said in GX's words: our engine, GX and the row checks count the same
rows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F

from engage_spark.gx.evaluate import run_suite
from engage_spark.gx.export import OWN, suite_of
from engage_spark.gx.gx_runner import run_by_gx
from engage_spark.quality import row_checks, with_check_results, with_duplicate_flag
from engage_spark.quality.checks.duplicate_keys import duplicated_keys
from tests.support.bad_input.people import MEGABYTES_10, PEOPLE, people

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TEXT = ("valid_utf8", "printable", "no_control", "trimmed", "not_blank", "short")


def test_three_ways_count_the_same_rows(spark: SparkSession) -> None:
    delivered = people()[0]
    texts = zip(
        *([_decoded(b) for b in delivered[c].cast(pa.binary()).to_pylist()] for c in ("id", "name", "note")),
        strict=True,
    )
    rows = spark.createDataFrame(
        [(*t, 0) for t in texts if MEGABYTES_10 not in t], "id string, name string, note string, row int"
    )
    rows = rows.withColumn("born", F.lit("1990-02-28").cast("date"))
    judged = with_duplicate_flag(rows, duplicated_keys(rows, PEOPLE), table=PEOPLE).transform(
        with_check_results, checks=row_checks(PEOPLE)
    )
    counts = Counter(r["rule"] for r in judged.selectExpr("explode(_dq_errors.rule) AS rule").collect())
    suite = suite_of(PEOPLE)
    of_rule = {e.meta[OWN]["rule"]: e.id for e in suite.expectations}
    wanted = {rule: n for rule, n in counts.items() if rule.rpartition(".")[2] in TEXT}
    assert {rule.rpartition(".")[2] for rule in wanted} == set(TEXT)
    ours = {
        j.expectation.id: j.outcome.result.get("unexpected_count")
        for j in run_suite(rows, suite)
        if j.outcome and j.outcome.result
    }
    theirs = {e.expectation.id: e.result.get("unexpected_count") for e in run_by_gx(rows, suite, show=False)}
    assert {rule: ours[of_rule[rule]] for rule in wanted} == wanted
    assert {rule: theirs[of_rule[rule]] for rule in wanted} == wanted


def _decoded(value: bytes | None) -> str | None:
    """As conforming gives it: U+FFFD for what is no UTF-8."""
    return None if value is None else value.decode("utf-8", "replace")
