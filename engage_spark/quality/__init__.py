"""Check rows against a contract: checks, checked rows, counts, column statistics, gates.

Pure functions on DataFrames; a pipeline reads and writes.
"""

from __future__ import annotations

from engage_spark.numerics.sketches import estimate_distinct, estimate_quantile
from engage_spark.quality.check_dataframe import CheckResult, check
from engage_spark.quality.checks.apply import personal_rules, samples, with_check_results
from engage_spark.quality.checks.duplicate_keys import (
    MAX_LITERAL_KEYS,
    collect_duplicates,
    count_rows_and_duplicates,
    duplicated_keys,
    with_duplicate_flag,
)
from engage_spark.quality.checks.expressions import refuse_other_expressions, refuse_what_spark_refuses
from engage_spark.quality.checks.references import with_orphan_flag
from engage_spark.quality.checks.row_checks import (
    ALIKE,
    DUPLICATED,
    MALFORMED,
    Check,
    orphan_flag_name,
    row_checks,
)
from engage_spark.quality.count_table import count_table
from engage_spark.quality.gates import (
    GateResults,
    RuleCount,
    TableCounts,
    cuts_of,
    evaluate_gates,
    worst_rules,
)
from engage_spark.quality.stats.binning import Binning, binning
from engage_spark.quality.stats.column_stats import (
    ColumnStats,
    Sketch,
    merge_sketches,
    merge_stats,
    stats_from_row,
    stats_to_row,
)
from engage_spark.quality.stats.count import ColumnCounts, count_columns

__all__ = [
    "ALIKE",
    "DUPLICATED",
    "MALFORMED",
    "MAX_LITERAL_KEYS",
    "Binning",
    "Check",
    "CheckResult",
    "ColumnCounts",
    "ColumnStats",
    "GateResults",
    "RuleCount",
    "Sketch",
    "TableCounts",
    "binning",
    "check",
    "collect_duplicates",
    "count_columns",
    "count_rows_and_duplicates",
    "count_table",
    "cuts_of",
    "duplicated_keys",
    "estimate_distinct",
    "estimate_quantile",
    "evaluate_gates",
    "merge_sketches",
    "merge_stats",
    "orphan_flag_name",
    "personal_rules",
    "refuse_other_expressions",
    "refuse_what_spark_refuses",
    "row_checks",
    "samples",
    "stats_from_row",
    "stats_to_row",
    "with_check_results",
    "with_duplicate_flag",
    "with_orphan_flag",
    "worst_rules",
]  # fmt: skip
