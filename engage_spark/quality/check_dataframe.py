"""Check any Spark DataFrame against a contract, without a lake or settings, writing nothing.

`engage_spark.check` stands above this and takes frames of other libraries and paths, too.
"""

from __future__ import annotations

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
from engage_spark.contract.model import is_reserved_column
from engage_spark.errors import ConfigurationError, InputError
from engage_spark.quality.checks.apply import with_check_results
from engage_spark.quality.checks.duplicate_keys import (
    collect_duplicates,
    with_duplicate_flag,
)
from engage_spark.quality.checks.expressions import refuse_other_expressions
from engage_spark.quality.checks.references import referred_rows, with_orphan_flag
from engage_spark.quality.checks.row_checks import Check, row_checks
from engage_spark.quality.count_table import count_table
from engage_spark.quality.gates import RuleCount, evaluate_gates
from engage_spark.quality.stats.column_stats import ColumnStats
from engage_spark.spark.guarantees import guarantees, require_guarantees
from engage_spark.spark.schema import ConformedInput, column_named, conform

RESULT_COLUMNS = ("_dq_status", "_dq_errors", "_run_id")
_DATED = (TableKind.ENTITY, TableKind.LOG)


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckResult:
    """The result of checking a DataFrame.

    It shows itself in a notebook; `print` it in a terminal.

    `counts` has one entry per rule and gate, `states` the counts of each column over the valid rows.
    `unchecked` says what was not checked, and what that would take; `extra` names undeclared columns,
    which are left out.
    """

    table: Table
    checked: DataFrame
    counts: tuple[RuleCount, ...]
    failed_gates: tuple[RuleCount, ...]
    states: Mapping[str, ColumnStats]
    row_count: int
    quarantined_count: int
    unchecked: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def rows(self) -> DataFrame:
        """The DataFrame in its declared columns with `_dq_status` and `_dq_errors`, checked anew whenever it
        is used.

        Errors: ConfigurationError where the session's options are not those that the verdict rests on (ANSI,
        UTC): the rows would be judged otherwise than they were counted.
        """
        require_guarantees(self.checked.sparkSession, "which rows broke a rule")
        return self.checked

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
        """Rows that broke no critical rule."""
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
        """Return the rows that broke one rule, of any severity.

        Errors: ConfigurationError for a rule that does not exist.
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
    in_folders: tuple[str, ...] = ()


def check(
    df: DataFrame,
    contract: Contract | Table | Path | str,
    *,
    table: str | None = None,
    references: Mapping[str, DataFrame] | None = None,
    landed_at: datetime | None = None,
    snapshot_date: date | None = None,
) -> CheckResult:
    """Check a Spark DataFrame, classic or Connect, against a contract, one table of it, or the path of its
    YAML.

    `table` names the table that `df` is (default: the entity's, or the only one). `references` are frames of
    other tables by name, for referential integrity, under the names that they are delivered with or those of
    the fields. `landed_at` (with a time zone) is what latency and future events are measured from,
    `snapshot_date` the day that is described: it chooses among several days in `df`. Without its day an
    entity's keys must be unique within each day that `df` holds. What cannot be checked for lack of these is
    listed in `CheckResult.unchecked`.

    The verdict is that of ingest in every session: ANSI mode and UTC are set while it is computed, and what
    was set before is given back.

    Cost: whatever the number of rules, one action on the key columns with a shuffle of their hashes (two
    where keys repeat), one full scan that counts everything, and, where something is broken, a scan for
    samples. The driver holds counts,
    samples and at most 10,000 duplicated keys. Nothing is written.
    Errors: ContractError for an unusable contract, InputError when the columns are not as declared, or where
    `df` is a frame of another library.
    """
    if not hasattr(df, "sparkSession"):
        raise InputError(
            f"a {type(df).__module__}.{type(df).__qualname__} is no Spark DataFrame",
            hint="engage_spark.check takes frames of other libraries, and paths, too",
        )
    with guarantees(df.sparkSession):
        loaded = contract if isinstance(contract, Contract | Table) else load_contract(contract)
        known = {} if isinstance(loaded, Table) else {t.name: t for t in loaded.tables}
        referred = {n: referred_rows(of_table, known.get(n)) for n, of_table in (references or {}).items()}
        declared = table_of(loaded, table)
        return _check(df, declared, referred, landed_at, snapshot_date, None, parsed_text=False)


def check_input(
    read: ConformedInput,
    table: Table,
    *,
    parsed_text: bool,
    references: Mapping[str, DataFrame] | None = None,
    landed_at: datetime | None = None,
    snapshot_date: date | None = None,
) -> CheckResult:
    """Check rows of files as `lake.read_inputs` gives them, with the day of an entity's rows where known.

    `parsed_text` says that a line of a text may be malformed.
    Cost and errors: as `check`.
    """
    with guarantees(read.rows.sparkSession):
        given = references or {}
        return _check(read.rows, table, given, landed_at, snapshot_date, read, parsed_text=parsed_text)


def _check(
    df: DataFrame,
    table: Table,
    references: Mapping[str, DataFrame],
    landed_at: datetime | None,
    snapshot_date: date | None,
    read: ConformedInput | None,
    *,
    parsed_text: bool,
) -> CheckResult:
    # Rows that were judged before have the names and the values of the contract already.
    table = table.as_stored() if read is None and "_dq_status" in df.columns else table
    task = _task(df, table, references, landed_at, snapshot_date, read)
    refuse_other_expressions(task.rows, task.table)
    checks = row_checks(task.table, parsed_text=parsed_text, landed_at=landed_at, in_folders=task.in_folders)
    checked = _checked_rows(task, checks, references)
    counts = count_table(checked, task.table, checks, snapshot_date=snapshot_date, landed_at=landed_at)
    gates = evaluate_gates(counts, task.table, checks)
    return CheckResult(
        table=task.table,
        checked=checked,
        counts=gates.counts,
        failed_gates=gates.failed_gates,
        states=counts.columns,
        row_count=counts.rows,
        quarantined_count=counts.quarantined,
        unchecked=tuple(task.unchecked),
        extra=task.extra,
    )


def table_of(contract: Contract | Table | Path | str, name: str | None) -> Table:
    """Return the table that rows are held against: the one named, else the entity, or the only one."""
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
    read: ConformedInput | None,
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
    lacking = {
        "landed_at": landed_at is None,
        "snapshot_date": snapshot_date is None,
        "the day before, which ingest knows": True,
    }
    needs = {
        "latency": ["landed_at"],
        "freshness": ["landed_at", "snapshot_date"],
        "row_count_change": ["the day before, which ingest knows"],
    }
    for g in table.gates:
        if wanted := [n for n in needs.get(g.measure, []) if lacking[n]]:
            unchecked.append(f"{g.name} (give {' and '.join(wanted)})")
    gates = tuple(g for g in table.gates if not any(lacking[n] for n in needs.get(g.measure, [])))
    table = replace(table, gates=gates, references=tuple(r for r in table.references if r not in missing))
    day = day_column(table) if table.kind in _DATED else ""
    carried = table.kind is TableKind.ENTITY and day in df.columns
    keyed = replace(table, fields=(*table.fields, _day(day, len(table.key) + 1))) if carried else table
    if read is None:
        made = (*RESULT_COLUMNS, *([] if carried else [day]))
        read = conform(df.drop(*(c for c in made if c not in table.delivered_fields)), keyed)
    rows = read.rows
    if carried and snapshot_date is not None:
        rows = rows.where(column_named(day) == F.lit(snapshot_date))
    elif table.kind is TableKind.LOG:
        rows = rows.withColumn(day, F.to_date(column_named(table.event_time or "")))
    elif table.kind is TableKind.ENTITY and snapshot_date is not None:
        rows = rows.withColumn(day, F.lit(snapshot_date))
    if dayless := [r for r in table.rules if day in r.columns and day not in rows.columns]:
        unchecked += [f"{r.name} (give {day})" for r in dayless]
        table = replace(table, rules=tuple(r for r in table.rules if r not in dayless))
    return _Task(
        table=table,
        rows=rows,
        keyed=keyed,
        unchecked=unchecked,
        extra=read.extra,
        in_folders=read.in_folders,
    )


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


def _checked_rows(task: _Task, checks: tuple[Check, ...], references: Mapping[str, DataFrame]) -> DataFrame:
    table, rows = task.table, task.rows
    columns = [name for name in rows.columns if not is_reserved_column(name)]
    if table.key:
        # Nothing is written here: where there are many, the join finds them anew with each action on the
        # rows.
        duplicates = collect_duplicates(rows, task.keyed, materialize=lambda keys: keys)
        rows = with_duplicate_flag(rows, duplicates, table=task.keyed)
    for r in table.references:
        referred = references[r.table]
        if r.to_column not in referred.columns:
            raise InputError(
                f"the rows given for {r.table} have no column {r.to_column!r}",
                hint=f"give the table that {r.column} refers to",
            )
        rows = with_orphan_flag(rows, referred, column=r.column, to_column=r.to_column)
    checked = with_check_results(rows, checks=checks)
    return checked.select(*map(column_named, columns), "_dq_status", "_dq_errors")
