"""Tell the events of a delivery that the log holds already from those that are new.

Without an event key, all columns together are the key, and how often an event is repeated inside one file
counts: three equal rows of a file are three events, however often and in however many files they come again.
With a declared key an event is one row.

A field that the contract got since is no part of what tells an event from one that was delivered before it
had the field: delivered again with a value there, it is the same event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from engage_spark.contract import VALID, Table
from engage_spark.lake import Materialize
from engage_spark.publication import RUN_ID
from engage_spark.spark.schema import column_named

VERDICT = ("_dq_status", "_dq_errors")
FILE = "__file"
"""Column of the delivered rows: a hash of the file that each came in."""
OLDER = "__older"
"""Column of rows that agree with an event from before a field was declared, in all that it had."""
MAX_LITERAL_HASHES = 10_000
"""Hashes that may come to the driver; beyond, every row is compared."""
_HASH, _SOURCE, _APPEND, _MARK, _CHANGED = "__hash", "__source", "__append", "__mark", "__changed"
_LOG = 0
"""Source of the rows that the log holds; those of a file have its hash."""


@dataclass(frozen=True, eq=False)
class NewEvents:
    """What of a delivery is to be written.

    `rows` are the events to append. `repeated` counts the delivered rows that are not among them. `changed`
    counts events that returned under their key with other content, and `examples` are keys of such.
    `replaced` holds the content of the events that the new ones take the place of; None where there are none.
    """

    rows: DataFrame
    repeated: int = 0
    changed: int = 0
    examples: tuple[str, ...] = ()
    replaced: DataFrame | None = None


def to_new_events(
    checked: DataFrame,
    log: DataFrame | None,
    table: Table,
    *,
    last_holds: bool,
    supersedes: bool,
    materialize: Materialize,
    new_fields: Sequence[str] = (),
) -> NewEvents:
    """Compare the checked rows of a delivery with each other and with `log`, the events that readers see on
    its days.

    An event of equal content and verdict is left out. One of equal content that is judged otherwise now takes
    the place of the old, with `supersedes`. One that returns under its key with other content is left out,
    or with `last_holds` takes the place of the old; a quarantined one never takes the place of a valid one.
    With `new_fields` of a table without a key, both have the column of `with_older_content`.
    Cost: one shuffle of a hash and a number a row; where hashes repeat, one of those rows, which are written
    to scratch. Nothing where there is no log and one file.
    """
    helpers = (OLDER,) if new_fields else ()
    checked = checked.select(*(column_named(c) for c in (*table.names, *VERDICT, FILE, *helpers)))
    content = _content(table, new_fields)
    identity = F.xxhash64(*(map(column_named, table.key) if table.key else content))
    hashes = checked.select(identity.alias(_HASH), F.col(FILE).alias(_SOURCE))
    if log is not None:
        hashes = hashes.unionByName(
            log.select(identity.alias(_HASH), F.lit(_LOG).cast("bigint").alias(_SOURCE))
        )
    several = F.count(F.lit(1)) > 1 if table.key else F.min(_SOURCE) != F.max(_SOURCE)
    repeated = hashes.groupBy(_HASH).agg(several.alias("several")).where("several").select(_HASH)
    repeated_hashes = [r[0] for r in repeated.limit(MAX_LITERAL_HASHES + 1).collect()]
    if not repeated_hashes:
        return NewEvents(checked.drop(FILE, OLDER))
    suspects, others = _suspects(checked, identity, repeated_hashes)
    in_log = None if log is None else _suspects(log, identity, repeated_hashes)[0]
    compared = materialize(
        _compared(
            suspects, in_log, table, content=content, last_holds=last_holds, supersedes=supersedes
        ).select(*map(column_named, (*table.names, *VERDICT)), _SOURCE, _APPEND, _MARK, _CHANGED),
        "repeated_events",
    )
    delivered, known = compared.where(F.col(_SOURCE) != _LOG), compared.where(F.col(_SOURCE) == _LOG)
    counts = delivered.agg(
        F.count_if(~F.col(_APPEND)).alias("repeated"), F.count_if(F.col(_CHANGED)).alias("changed")
    ).collect()[0]
    replaced = known.where(F.col(_MARK)).select(*map(column_named, table.names)).distinct()
    rows = delivered.where(F.col(_APPEND)).select(*(column_named(c) for c in (*table.names, *VERDICT)))
    return NewEvents(
        rows=rows if others is None else others.drop(FILE, OLDER).unionByName(rows),
        repeated=counts["repeated"],
        changed=counts["changed"],
        examples=_examples(delivered, table) if counts["changed"] else (),
        replaced=None if replaced.isEmpty() else replaced,
    )


def without_copies(rows: DataFrame, table: Table) -> DataFrame:
    """Keep one of the rows that are equal in every column. Cost: one shuffle of the rows."""
    content = Window.partitionBy(*map(column_named, table.names)).orderBy(F.lit(1))
    number = "__number"
    return rows.withColumn(number, F.row_number().over(content)).where(F.col(number) == 1).drop(number)


def with_older_content(
    checked: DataFrame, log: DataFrame, table: Table, *, new_fields: Sequence[str], runs: Sequence[str]
) -> tuple[DataFrame, DataFrame]:
    """Flag the rows of a delivery, and of the log, that agree with an event of `runs` in all fields but the
    `new_fields`, which those runs did not know.

    Grain: unchanged. Cost: a join by a hash, with the events of `runs`.
    """
    older = F.xxhash64(*(column_named(name) for name in table.names if name not in new_fields))
    of_runs = log.where(F.col(RUN_ID).isin(list(runs))).select(older.alias(_HASH)).distinct()
    known = of_runs.withColumn(OLDER, F.lit(True))
    flagged = [
        rows.withColumn(_HASH, older)
        .join(known, on=_HASH, how="left")
        .withColumn(OLDER, F.coalesce(OLDER, F.lit(False)))
        .drop(_HASH)
        for rows in (checked, log)
    ]
    return flagged[0], flagged[1]


def _content(table: Table, new_fields: Sequence[str]) -> list[Column]:
    """Return what tells events without a key apart: every column, of older content but the new fields."""
    if not new_fields:
        return [*map(column_named, table.names)]
    return [
        F.col(OLDER),
        *(
            F.when(~F.col(OLDER), column_named(name)) if name in new_fields else column_named(name)
            for name in table.names
        ),
    ]


def _suspects(rows: DataFrame, identity: Column, hashes: Sequence[int]) -> tuple[DataFrame, DataFrame | None]:
    """Part the rows whose hash is repeated from the others; all are suspects where the hashes are many."""
    if len(hashes) > MAX_LITERAL_HASHES:
        return rows, None
    literal = rows.sparkSession.createDataFrame([(h,) for h in hashes], f"{_HASH} bigint")
    same = identity == F.col(_HASH)
    suspects = rows.join(F.broadcast(literal), on=same, how="left_semi")
    return suspects, rows.join(F.broadcast(literal), on=same, how="left_anti")


def _compared(
    suspects: DataFrame,
    log: DataFrame | None,
    table: Table,
    *,
    content: Sequence[Column],
    last_holds: bool,
    supersedes: bool,
) -> DataFrame:
    """Add to all rows of repeated identity whether a delivered one is appended, and whether one of the log is
    replaced.
    """
    columns = [
        *map(column_named, (*table.names, *VERDICT)),
        *(F.col(c) for c in (OLDER,) if c in suspects.columns),
    ]
    rows = suspects.select(*columns, F.col(FILE).alias(_SOURCE))
    if log is not None:
        rows = rows.unionByName(log.select(*columns, F.lit(_LOG).cast("bigint").alias(_SOURCE)))
    # Equal content is all the same, but for new fields where it is an older one.
    order = [column_named(name) for name in table.names] if OLDER in suspects.columns else [F.lit(1)]
    of_log, verdict = F.col(_SOURCE) == _LOG, F.xxhash64(*VERDICT)
    same_content = Window.partitionBy(*content)
    rows = rows.withColumns(
        {
            # how often each file (or the log) has this content, and which file has it most often
            "__number": F.row_number().over(Window.partitionBy(*content, _SOURCE).orderBy(*order)),
            "__times": F.count(F.lit(1)).over(Window.partitionBy(*content, _SOURCE)),
            "__known": F.sum(of_log.cast("int")).over(same_content),
            "__judged_so": F.max(of_log).over(Window.partitionBy(*content, verdict)),
        }
    )
    best = F.max(F.when(~of_log, F.struct("__times", _SOURCE))).over(same_content)
    rows = rows.withColumn("__first", (best[_SOURCE] == F.col(_SOURCE)))
    flags = (
        _keyed(table, of_log, last_holds=last_holds, supersedes=supersedes)
        if table.key
        else _keyless(of_log, same_content, supersedes=supersedes)
    )
    return rows.withColumns(flags[0]).withColumns(flags[1])


Flags = tuple[dict[str, Column], dict[str, Column]]
"""Columns to add one after the other."""


def _keyless(of_log: Column, same_content: WindowSpec, *, supersedes: bool) -> Flags:
    """Flag rows without a key. Of content that the log holds, what a file has beyond it is new."""
    number, times, known = F.col("__number"), F.col("__times"), F.col("__known")
    judged_anew = F.lit(supersedes) & (known > 0) & ~F.col("__judged_so") & (times >= known)
    append = (
        ~of_log & F.col("__first") & ((number > known) & (F.col("__judged_so") | (known == 0)) | judged_anew)
    )
    replaced = F.max(F.when(~of_log & F.col("__first"), judged_anew)).over(same_content)
    return (
        {_APPEND: append, _CHANGED: F.lit(False)},
        {_MARK: of_log & F.coalesce(replaced, F.lit(False))},
    )


def _keyed(table: Table, of_log: Column, *, last_holds: bool, supersedes: bool) -> Flags:
    """Flag rows that have a key."""
    same_key = Window.partitionBy(*map(column_named, table.key))
    valid = F.col("_dq_status") == VALID
    known_key = F.max(of_log).over(same_key)
    valid_in_log = F.max(of_log & valid).over(same_key)
    candidate = ~of_log & F.col("__first") & (F.col("__number") == 1) & ~F.col("__judged_so")
    # Two that contradict each other in one delivery say nothing against the one that the log holds.
    contradicts = F.exists("_dq_errors", lambda e: e["rule"].endswith(".unique"))
    judged_anew = F.lit(supersedes) & candidate & (F.col("__known") > 0) & (~contradicts | ~valid_in_log)
    has_key = reduce(Column.__and__, (column_named(name).isNotNull() for name in table.key))
    other_content = candidate & (F.col("__known") == 0) & known_key & has_key
    takes_place = other_content & valid & (F.lit(last_holds) | (F.lit(supersedes) & ~valid_in_log))
    append = judged_anew | (candidate & ~(known_key & has_key) & (F.col("__known") == 0))
    append = append | takes_place | (other_content & ~valid)
    replaces_key = F.max(F.col("__takes_place")).over(same_key)
    replaces_content = F.max(F.col("__judged_anew")).over(Window.partitionBy(*map(column_named, table.names)))
    return (
        {
            _APPEND: append,
            _CHANGED: other_content,
            "__takes_place": takes_place,
            "__judged_anew": judged_anew,
        },
        {_MARK: of_log & (replaces_key | replaces_content)},
    )


def _examples(delivered: DataFrame, table: Table) -> tuple[str, ...]:
    """Return the smallest keys of changed events; none where the key is personal."""
    if table.is_key_personal:
        return ()
    key = F.concat_ws("/", *(column_named(name).cast("string") for name in table.key))
    rows = delivered.where(F.col(_CHANGED)).select(key.alias("key")).orderBy("key").limit(3).collect()
    return tuple(str(r[0]) for r in rows)
