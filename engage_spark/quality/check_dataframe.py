"""Check any DataFrame against a contract, from a notebook: no lake, no settings, nothing written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import (
    QUARANTINED,
    VALID,
    Contract,
    Field,
    Role,
    Table,
    TableKind,
    day_column,
    load_contract,
)
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.quality.checks.apply import personal_rules, samples, with_check_results
from engage_spark.quality.checks.expressions import refuse_other_expressions
from engage_spark.quality.checks.keys import duplicated_keys, with_duplicate_flag
from engage_spark.quality.checks.references import with_orphan_flag
from engage_spark.quality.checks.row_checks import Check, row_checks
from engage_spark.quality.gates import RuleCount, TableCounts, cuts_of, evaluate_gates
from engage_spark.quality.stats.binning import binning
from engage_spark.quality.stats.column_stats import ColumnStats
from engage_spark.quality.stats.count import count_columns
from engage_spark.spark.schema import column_named, conform

FEW = 10_000
"""Duplicated keys that may come to the driver; beyond, the join finds them anew with each action on the rows.
"""
OURS = ("_dq_status", "_dq_errors", "_run_id")
_DATED = (TableKind.ENTITY, TableKind.LOG)


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckResult:
    """What was found in a DataFrame. Shows itself in a notebook; `print` it in a terminal.

    `counts` has one line per rule and gate, `states` what was counted of each column over the valid rows.
    `rows` is the DataFrame in its declared columns with `_dq_status` and `_dq_errors`, judged anew whenever
    it is used. `unchecked` says what was not looked at, and what it would take; `extra` names columns that
    are not declared, which are left out.
    """

    table: Table
    rows: DataFrame
    counts: tuple[RuleCount, ...]
    failed_gates: tuple[RuleCount, ...]
    states: Mapping[str, ColumnStats]
    row_count: int
    quarantined_count: int
    unchecked: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing critical was broken: no row is quarantined, and every critical gate held."""
        return self.publishable and not self.quarantined_count

    @property
    def publishable(self) -> bool:
        """Whether ingest would publish it: every critical gate that was looked at held."""
        return not self.failed_gates

    @property
    def valid_count(self) -> int:
        return self.row_count - self.quarantined_count

    @property
    def valid(self) -> DataFrame:
        """The rows that broke no critical rule."""
        return self.rows.where(F.col("_dq_status") == VALID)

    @property
    def quarantined(self) -> DataFrame:
        """The rows that broke a critical rule; `_dq_errors` says which."""
        return self.rows.where(F.col("_dq_status") == QUARANTINED)

    def failures(self, rule: str) -> DataFrame:
        """The rows that broke one rule, of any severity. Raises ConfigurationError for a rule that there is
        not.
        """
        if rule not in (names := [c.rule_name for c in self.counts]):
            raise ConfigurationError(
                f"{self.table.name} has no rule {rule!r}", hint=f"rules are: {', '.join(names)}"
            )
        return self.rows.where(F.array_contains(F.col("_dq_errors.rule"), rule))

    def _repr_html_(self) -> str:
        from engage_spark.quality.report.html_card import html

        return html(self)

    def __str__(self) -> str:
        from engage_spark.quality.report.html_card import text

        return text(self)


@dataclass(kw_only=True)
class _Task:
    """What can be checked with what was given, and what cannot."""

    table: Table
    rows: DataFrame
    keyed: Table
    unchecked: list[str] = field(default_factory=list)
    extra: tuple[str, ...] = ()


def check(
    df: DataFrame,
    contract: Contract | Table | Path | str,
    *,
    table: str | None = None,
    references: Mapping[str, DataFrame] | None = None,
    landed_at: datetime | None = None,
    snapshot_date: date | None = None,
) -> CheckResult:
    """Hold any DataFrame, classic or Connect, against a contract (or one table of it, or the path of its
    YAML). Writes nothing.

    `table` names the table that `df` is (default: the entity's, or the only one). `references` are frames of
    other tables by name, for referential integrity. `landed_at` (with a time zone) is what latency and future
    events are measured from, `snapshot_date` the day that is described: it chooses among several days in
    `df`. Without its day an entity's keys must be unique within each day that `df` holds. What can't be
    looked at for lack of these stands in `CheckResult.unchecked`.

    Cost, whatever the number of rules: one action on the key columns with a shuffle of them, one full scan
    that counts everything, and, where something is broken, a scan for samples. The driver holds counts,
    samples and at most 10,000 duplicated keys. Raises ContractError for an unusable contract, InputError when
    the columns are not as declared.
    """
    task = _task(df, _table(contract, table), references or {}, landed_at, snapshot_date)
    refuse_other_expressions(task.rows, task.table)
    checks = row_checks(task.table, landed_at=landed_at)
    judged = _judged(task, checks, references or {})
    declared = tuple(binning(f) for f in task.table.fields)
    found = count_columns(judged, rules=[c.name for c in checks], binnings=declared, cuts=cuts_of(task.table))
    counted = TableCounts(
        rows=found.rows,
        quarantined=found.quarantined,
        broken=found.broken,
        columns=found.columns,
        below=found.below,
        samples=_samples(judged, task.table, checks) if found.broken else {},
        snapshot_date=snapshot_date,
        landed_at=landed_at,
    )
    verdict = evaluate_gates(counted, task.table, checks)
    return CheckResult(
        table=task.table,
        rows=judged,
        counts=verdict.counts,
        failed_gates=verdict.failed_gates,
        states=found.columns,
        row_count=found.rows,
        quarantined_count=found.quarantined,
        unchecked=tuple(task.unchecked),
        extra=task.extra,
    )


def _table(contract: Contract | Table | Path | str, name: str | None) -> Table:
    if isinstance(contract, Table):
        if name not in (None, contract.name):
            raise ConfigurationError(
                f"the table given is {contract.name!r}, not {name!r}",
                hint="leave `table` out, or give the contract",
            )
        return contract
    loaded = contract if isinstance(contract, Contract) else load_contract(contract)
    if name is not None:
        return loaded.table(name)
    if len(loaded.tables) == 1:
        return loaded.tables[0]
    return loaded.entity


def _task(
    df: DataFrame,
    table: Table,
    references: Mapping[str, DataFrame],
    landed_at: datetime | None,
    snapshot_date: date | None,
) -> _Task:
    if landed_at is not None and landed_at.tzinfo is None:
        raise ConfigurationError(
            "landed_at has no time zone",
            hint="give one, such as datetime(2025, 10, 21, 6, tzinfo=timezone.utc)",
        )
    missing = [r for r in table.references if r.table not in references]
    unchecked = [f"{r.column}.references (give references={{{r.table!r}: its rows}})" for r in missing]
    unchecked += (
        [f"{table.event_time}.not_future (give landed_at)"] if table.event_time and landed_at is None else []
    )
    lacking = {"landed_at": landed_at is None, "snapshot_date": snapshot_date is None}
    needs = {"latency": ["landed_at"], "freshness": ["landed_at", "snapshot_date"]}
    for g in table.gates:
        if wanted := [n for n in needs.get(g.measure, []) if lacking[n]]:
            unchecked.append(f"{g.name} (give {' and '.join(wanted)})")
    gates = tuple(g for g in table.gates if not any(lacking[n] for n in needs.get(g.measure, [])))
    table = replace(table, gates=gates, references=tuple(r for r in table.references if r not in missing))
    day = day_column(table) if table.kind in _DATED else ""
    carried = table.kind is TableKind.ENTITY and day in df.columns
    keyed = replace(table, fields=(*table.fields, _day(day, len(table.key) + 1))) if carried else table
    rows, extra = conform(
        df.drop(*(c for c in (*OURS, *([] if carried else [day])) if c not in table.names)), keyed
    )
    if carried and snapshot_date is not None:
        rows = rows.where(column_named(day) == F.lit(snapshot_date))
    elif table.kind is TableKind.LOG:
        rows = rows.withColumn(day, F.to_date(column_named(table.event_time or "")))
    elif table.kind is TableKind.ENTITY and snapshot_date is not None:
        rows = rows.withColumn(day, F.lit(snapshot_date))
    if dayless := [r for r in table.rules if day in r.columns and day not in rows.columns]:
        unchecked += [f"{r.name} (give {day})" for r in dayless]
        table = replace(table, rules=tuple(r for r in table.rules if r not in dayless))
    return _Task(table=table, rows=rows, keyed=keyed, unchecked=unchecked, extra=extra)


def _day(name: str, position: int) -> Field:
    return Field(
        name=name,
        logical_type="date",
        spark_type="date",
        description="The day.",
        role=Role.IDENTIFIER,
        required=True,
        key_position=position,
    )


def _judged(task: _Task, checks: tuple[Check, ...], references: Mapping[str, DataFrame]) -> DataFrame:
    table, rows, kept = task.table, task.rows, task.rows.columns
    if table.key:
        keys = duplicated_keys(rows, task.keyed)
        few = keys.limit(FEW + 1).collect()
        literal = keys.sparkSession.createDataFrame(few, keys.schema) if few else None
        rows = with_duplicate_flag(rows, literal if len(few) <= FEW else keys, table=task.keyed)
    for r in table.references:
        known = references[r.table]
        if r.to_column not in known.columns:
            raise InputError(
                f"the rows given for {r.table} have no column {r.to_column!r}",
                hint=f"give the table that {r.column} refers to",
            )
        rows = with_orphan_flag(rows, known, column=r.column, to_column=r.to_column)
    judged = with_check_results(rows, checks=checks)
    return judged.select(*map(column_named, kept), "_dq_status", "_dq_errors")


def _samples(judged: DataFrame, table: Table, checks: tuple[Check, ...]) -> dict[str, tuple[str, ...]]:
    shown: dict[str, set[str]] = defaultdict(set)
    for rule, sample in samples(judged, key=table.key, hidden=personal_rules(table, checks)).collect():
        shown[rule].add(sample)
    return {rule: tuple(sorted(values)) for rule, values in shown.items()}
