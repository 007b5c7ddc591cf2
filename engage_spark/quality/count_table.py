"""Count everything that rules, gates and column statistics need of checked rows.

This module says what is counted of a contract's table; `stats/count` is the pass over the rows, which is
given the names of rules and the bins of columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from pyspark.sql import DataFrame

from engage_spark.contract import Table
from engage_spark.quality.checks.apply import personal_rules, samples
from engage_spark.quality.checks.row_checks import Check
from engage_spark.quality.gates import TableCounts, cuts_of
from engage_spark.quality.stats.binning import binning
from engage_spark.quality.stats.count import count_columns


def count_table(
    checked: DataFrame,
    table: Table,
    checks: Sequence[Check],
    *,
    snapshot_date: date | None = None,
    landed_at: datetime | None = None,
    with_sketches: bool = False,
) -> TableCounts:
    """Count the rows of `with_check_results`, and collect samples of what broke each rule.

    `with_sketches` builds sketches of the columns for display besides, in the same scan.
    Cost: one full scan that counts, and, where something is broken, one scan of the check results and the
    key.
    """
    counts = count_columns(
        checked,
        rules=[c.name for c in checks],
        binnings=tuple(binning(f) for f in table.fields),
        cuts=cuts_of(table),
        with_sketches=with_sketches,
    )
    samples_by_rule: dict[str, set[str]] = defaultdict(set)
    if counts.broken:
        hidden = personal_rules(table, checks)
        for rule, sample in samples(checked, key=table.key, hidden=hidden).collect():
            samples_by_rule[rule].add(sample)
    return TableCounts(
        rows=counts.rows,
        quarantined=counts.quarantined,
        broken=counts.broken,
        columns=counts.columns,
        below=counts.below,
        samples={rule: tuple(sorted(values)) for rule, values in samples_by_rule.items()},
        sketches=counts.sketches,
        snapshot_date=snapshot_date,
        landed_at=landed_at,
    )
