"""Contract → checks → judged rows and their counts. Pure functions on DataFrames; a pipeline reads and writes."""

from __future__ import annotations

from engage_spark.quality.checks import ALIKE, DUPLICATED, MALFORMED, Check, orphan_flag, row_checks
from engage_spark.quality.gates import Judgement, RuleCount, Verdict, assess
from engage_spark.quality.judge import QUARANTINED, VALID, tally, with_verdict
from engage_spark.quality.keys import duplicated_keys, with_duplicate_flag

__all__ = [
    "ALIKE", "DUPLICATED", "MALFORMED", "QUARANTINED", "VALID", "Check", "Judgement", "RuleCount", "Verdict",
    "assess", "duplicated_keys", "orphan_flag", "row_checks", "tally", "with_duplicate_flag", "with_verdict",
]  # fmt: skip
