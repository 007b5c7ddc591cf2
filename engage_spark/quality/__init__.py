"""Contract → checks → judged rows, counts, states, a decision. Pure functions on DataFrames; a pipeline reads and writes."""

from __future__ import annotations

from engage_spark.quality.check_dataframe import Checked, check
from engage_spark.quality.checks.apply import QUARANTINED, VALID, personal_rules, samples, with_verdict
from engage_spark.quality.checks.expressions import refuse_other_expressions
from engage_spark.quality.checks.keys import duplicated_keys, with_duplicate_flag
from engage_spark.quality.checks.references import with_orphan_flag
from engage_spark.quality.checks.row_checks import ALIKE, DUPLICATED, MALFORMED, Check, orphan_flag, row_checks
from engage_spark.quality.gates import Judgement, RuleCount, Verdict, assess, cuts_of, worst
from engage_spark.quality.stats.binning import Binning, binning
from engage_spark.quality.stats.column_stats import ColumnState, merged, restored, stored
from engage_spark.quality.stats.count import Fold, Sketch, fold, sketches

__all__ = [
    "ALIKE", "DUPLICATED", "MALFORMED", "QUARANTINED", "VALID", "Binning", "Check", "Checked", "ColumnState", "Fold", "Judgement",
    "RuleCount", "Sketch", "Verdict", "assess", "binning", "check", "cuts_of", "duplicated_keys", "fold", "merged", "orphan_flag",
    "personal_rules", "refuse_other_expressions", "restored", "row_checks", "samples", "sketches", "stored", "with_duplicate_flag",
    "with_orphan_flag", "with_verdict", "worst",
]  # fmt: skip
