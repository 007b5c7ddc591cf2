"""Erase one key of the entity from everything that this package stores, and say where it was looked for."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark import log
from engage_spark.contract import Contract, Field
from engage_spark.errors import UsageError
from engage_spark.lake import translate_spark_errors
from engage_spark.lake.erased_keys import ERASED_KEYS, SEPARATOR, RememberedKey, remember_key
from engage_spark.lake.locks import table_lock
from engage_spark.lake.maintenance import count_rows, delete_rows, update_rows
from engage_spark.lake.run_log import QUALITY_RESULTS, QUALITY_STATES
from engage_spark.pipelines.context import RunContext, now
from engage_spark.pipelines.results import ErasedPlace, ForgetResult, Note
from engage_spark.pipelines.stored_tables import StoredTable, stored_tables_of
from engage_spark.pipelines.tables.busy_tables import PATIENCE
from engage_spark.pipelines.tables.traces import (
    count_in_old_files,
    files_with_key,
    mask_pattern,
    scratch_folders,
    tables_beside,
)
from engage_spark.publication import RUN_ID, RUNS
from engage_spark.quality.checks.apply import LONGEST
from engage_spark.settings import Settings
from engage_spark.side_effects import announce
from engage_spark.spark.files import delete_path
from engage_spark.spark.schema import column_named
from engage_spark.spark.sql_text import quoted_name, sql_literal

MASK = "***"


@dataclass(frozen=True)
class ErasedKey:
    """One key, by field: the parts as they were given."""

    parts: tuple[tuple[Field, str], ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The parts that are text long enough to be looked for in texts."""
        return tuple(text.strip() for f, text in self.parts if f.spark_type == "string" and text.strip())

    def is_in(self, columns: Sequence[str]) -> str:
        """Return the condition that these columns hold the key, as SQL."""
        conditions = [
            f"{_plain(quoted_name(name), f)} = {_plain(f'CAST({sql_literal(text)} AS {f.spark_type})', f)}"
            for name, (f, text) in zip(columns, self.parts, strict=True)
        ]
        return "(" + " AND ".join(conditions) + ")"


def _hashed(columns: Sequence[str], key: ErasedKey, remembered: RememberedKey) -> str:
    """Return the condition that these columns hold the key, as SQL that does not name it: what is deleted by
    stands in the table's log.
    """
    fields = [f for f, _ in key.parts]
    parts = [_plain(quoted_name(name), f) for name, f in zip(columns, fields, strict=True)]
    text = ", ".join(f"{sql_literal(SEPARATOR)}, {part}" for part in parts)
    return f"sha2(concat('{remembered.salt}', {text}), 256) = '{remembered.digest}'"


def _plain(value: str, f: Field) -> str:
    """Return a part of a key as `lake.erased_keys.plain_key` compares it, as SQL."""
    return f"lower(trim({value}))" if f.spark_type == "string" else f"CAST({value} AS STRING)"


def run_forget(
    spark: SparkSession,
    settings: Settings,
    *,
    contract: Contract,
    key: Sequence[str],
    dry_run: bool = False,
) -> ForgetResult:
    """Erase the rows of a key, its events at either end, and what shows its values: samples in `runs`,
    pictures, temporary tables. Its salted hash is stored, and later deliveries leave the key out.

    Values of others stay as they are published. The counts in `runs` follow, so every stage goes on. Old
    versions of the tables hold the key until `engage-spark tables vacuum` has deleted them. With `dry_run`,
    look only: that is the proof, before and after. Killed anywhere, the same command ends the work.
    Cost: two scans of each table, and one commit where it held the key; all tables are locked
    meanwhile.
    Errors: UsageError where the key has another number of parts; InputError where a part is not of its
    type; TransientError where a stage writes a table.
    """
    started = time.monotonic()
    context = RunContext(spark, settings, contract)
    fields = [contract.entity[name] for name in contract.entity.key]
    if len(fields) != len(key):
        names = ", ".join(f.name for f in fields)
        raise UsageError(f"the key is {names}, and {len(key)} values were given", hint="give one for each")
    erased = ErasedKey(tuple(zip(fields, key, strict=True)))
    tables = _tables_there(context)
    before = _look(context, tables, erased)
    was_known = False
    if not dry_run:
        with ExitStack() as held:
            # Those that are not there, too: a stage may be making one, of rows that it has read.
            for name in lock_order({*(t.name for t in stored_tables_of(contract)), ERASED_KEYS}):
                held.enter_context(table_lock(spark, context.lake, name, wait=PATIENCE))
            tables = _tables_there(context)
            remembered = remember_key(spark, context.lake, erased.parts, now=now())
            was_known = remembered.was_known
            _erase(RunContext(spark, settings, contract), tables, erased, remembered)
    after = before if dry_run else _look(context, tables, erased)
    counts = {trace.place: trace.count for trace in before}
    places = tuple(
        ErasedPlace(place=q.place, occurrences=counts.get(q.place, 0), remaining=q.count, remark=q.remark)
        for q in after
    )
    return ForgetResult(
        stage="tables forget",
        seconds=time.monotonic() - started,
        locations={t.name: context.lake.location(t.name) for t in tables},
        notes=_notes(places, dry_run=dry_run),
        places=places,
        applied=not dry_run,
        was_known=was_known,
    )


def _tables_there(context: RunContext) -> list[StoredTable]:
    stored = stored_tables_of(context.contract)
    return [t for t in stored if context.lake.version(context.spark, t.name) is not None]


def lock_order(names: Collection[str]) -> list[str]:
    """Return tables in the order in which they are locked: `runs` last, since a stage that holds another one
    ends by taking that.
    """
    return sorted(names, key=lambda name: (name == RUNS, name))


def _notes(places: Sequence[ErasedPlace], *, dry_run: bool) -> tuple[Note, ...]:
    notes = [Note("NothingChanged")] if dry_run else []
    if any(p.remaining and p.place.startswith("old ") for p in places):
        notes.append(Note("HistoryHoldsKey"))
    return (*notes, Note("RawFilesNotLookedAt"))


@dataclass(frozen=True)
class Trace:
    """What was found in one place; `count` None where it was not looked at."""

    place: str
    count: int | None
    remark: str = ""
    paths: tuple[str, ...] = field(default=(), compare=False)


def _look(context: RunContext, tables: Sequence[StoredTable], key: ErasedKey) -> list[Trace]:
    """Look for the key in every place: rows, texts of other rows, bookkeeping, files, history."""
    traces = [trace for stored in tables for trace in _in_table(context, stored, key)]
    if not key.texts:
        traces.append(
            Trace("texts", None, "the key is no text: rows that hold an equal value were looked for")
        )
    names = {ERASED_KEYS, *(t.name for t in stored_tables_of(context.contract))}
    if others := tables_beside(context, names):
        remark = f"the contract does not declare them: {', '.join(others)}"
        traces.append(Trace("other tables", None, remark))
    return [*traces, *_files(context, key)]


def _in_table(context: RunContext, stored: StoredTable, key: ErasedKey) -> Iterator[Trace]:
    """Look for the key in the rows of a table, in the reasons and samples of others, and in old files."""
    shown = _text_columns(stored) if key.texts else []
    where = " OR ".join(key.is_in(columns) for columns in stored.keys) or "false"
    if not stored.keys and not shown:
        return
    rows = context.lake.read(context.spark, stored.name)
    with translate_spark_errors(f"{stored.name} cannot be read"):
        is_of_key, shows_key = F.coalesce(F.expr(where), F.lit(False)), F.lit(False)
        if shown:
            text = F.to_json(F.struct(*(column_named(c) for c in shown)))
            shows_key = text.rlike(mask_pattern(key.texts)) & ~is_of_key
        n_rows, n_texts = rows.agg(F.count_if(is_of_key), F.count_if(shows_key)).collect()[0]
        n_old = count_in_old_files(context, stored.name, is_of_key | shows_key, key.texts)
    if stored.keys:
        yield Trace(stored.name, n_rows)
    if shown:
        yield Trace(f"texts in {stored.name}", n_texts, "reasons and samples of other rows")
    remark = "rows, and what their log shows" if n_old is not None else "a catalog does not show its files"
    yield Trace(f"old files of {stored.name}", n_old, remark)


def _text_columns(stored: StoredTable) -> list[str]:
    if stored.name == RUNS:
        return [QUALITY_RESULTS, QUALITY_STATES, "message"]
    return ["_dq_errors"] if stored.is_checked else []


def _files(context: RunContext, key: ErasedKey) -> Iterator[Trace]:
    """Look into pictures, MLflow's local files, and temporary tables."""
    yield from (
        Trace(place, count, remark, paths)
        for place, count, remark, paths in files_with_key(context.settings, key.texts)
    )
    folders = scratch_folders(context)
    if folders is None:
        yield Trace("temporary tables", None, "this process does not see lake.scratch")
    else:
        yield Trace("temporary tables", len(folders), "folders, not looked into", tuple(folders))


def _erase(
    context: RunContext, tables: Sequence[StoredTable], key: ErasedKey, remembered: RememberedKey
) -> None:
    """Erase in an order in which a kill loses nothing: what rows tell about `runs` is used before they go."""
    values = _shown_values(context, tables, key)
    _mask_runs(context, key, values)
    _recount(context, tables, key)
    for stored in tables:
        if stored.keys:
            where = " OR ".join(_hashed(columns, key, remembered) for columns in stored.keys)
            if count_rows(context.spark, context.lake, stored.name, where):
                with log.stage(f"erasing from {stored.name}"):
                    delete_rows(context.spark, context.lake, stored.name, where)
        if stored.is_checked:
            _mask_reasons(context, stored, key)
    for trace in _files(context, key):
        for path in trace.paths:
            announce(f"delete {path}")
            delete_path(context.spark, path)


def _shown_values(context: RunContext, tables: Sequence[StoredTable], key: ErasedKey) -> dict[str, list[str]]:
    """Return the values of the key's own rows that samples may show, by rule: those of one customer."""
    values: dict[str, set[str]] = {}
    for stored in tables:
        if not stored.is_checked or not stored.keys:
            continue
        where = " OR ".join(key.is_in(columns) for columns in stored.keys)
        reasons = context.lake.read(context.spark, stored.name).where(where)
        reasons = reasons.select(F.explode("_dq_errors").alias("e"))
        shown = reasons.select("e.rule", F.substring("e.value", 1, LONGEST).alias("value")).distinct()
        for rule, value in shown.where("value IS NOT NULL").collect():
            values.setdefault(rule, set()).add(value)
    return {rule: sorted(texts) for rule, texts in sorted(values.items())}


def _mask_runs(context: RunContext, key: ErasedKey, values: dict[str, list[str]]) -> None:
    """Put *** in the place of samples in `runs` that show the key, or a value of its rows."""
    conditions = [
        f"(r.rule_name = {sql_literal(rule)} AND s IN ({', '.join(map(sql_literal, texts))}))"
        for rule, texts in values.items()
    ]
    if key.texts:
        conditions.append(f"s RLIKE {sql_literal(mask_pattern(key.texts))}")
    if not conditions:
        return
    shows = " OR ".join(conditions)
    samples = f"transform(r.samples, s -> CASE WHEN {shows} THEN '{MASK}' ELSE s END)"
    schema = context.lake.read(context.spark, RUNS).schema
    names = schema[QUALITY_RESULTS].dataType.elementType.names  # type: ignore[attr-defined]
    parts = ", ".join(f"'{n}', " + (samples if n == "samples" else f"r.{n}") for n in names)
    masked = f"transform({QUALITY_RESULTS}, r -> named_struct({parts}))"
    where = f"exists({QUALITY_RESULTS}, r -> exists(r.samples, s -> s <> '{MASK}' AND ({shows})))"
    _update(context, RUNS, "run_id", {QUALITY_RESULTS: masked}, where)


def _mask_reasons(context: RunContext, stored: StoredTable, key: ErasedKey) -> None:
    """Put *** in the place of the key in the reasons of other rows."""
    if not key.texts:
        return
    pattern = sql_literal(mask_pattern(key.texts))
    where = f"exists(_dq_errors, e -> coalesce(e.value, '') RLIKE {pattern})"
    masked = (
        "transform(_dq_errors, e -> named_struct('rule', e.rule, 'column', e.column, 'severity', e.severity, "
        f"'value', CASE WHEN e.value RLIKE {pattern} THEN '{MASK}' ELSE e.value END))"
    )
    _update(context, stored.name, RUN_ID, {"_dq_errors": masked}, where)


def _update(context: RunContext, name: str, run_column: str, values: dict[str, str], where: str) -> None:
    """Set columns in the rows of the runs that have some which meet a condition.

    A table's log shows the condition of an update, and not its values; so the condition names runs alone.
    """
    rows = context.lake.read(context.spark, name).where(where)
    if run_ids := sorted(r[0] for r in rows.select(run_column).distinct().collect()):
        listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
        update_rows(context.spark, context.lake, name, values, f"{run_column} IN ({listed})")


def _recount(context: RunContext, tables: Sequence[StoredTable], key: ErasedKey) -> None:
    """Make the counts in `runs` those of the rows of other keys. What is missing is counted as erased.

    Counted anew from the tables, not subtracted, and before the rows go: so a kill changes nothing, and a run
    of which nothing is left is known.
    """
    for stored in tables:
        if not stored.stages or not stored.keys or RUN_ID not in stored.table.names or _is_of_edges(stored):
            continue
        stays = f"NOT coalesce({' OR '.join(key.is_in(columns) for columns in stored.keys)}, false)"
        is_valid = "_dq_status = 'valid'" if stored.is_checked else "true"
        rows = context.lake.read(context.spark, stored.name).groupBy(RUN_ID)
        counted = rows.agg(F.expr(f"count_if({stays} AND {is_valid})"), F.expr(f"count_if({stays})"))
        counts = {run_id: (n_valid, n - n_valid) for run_id, n_valid, n in counted.collect()}
        runs = [
            r
            for r in context.log.publication(context.spark).runs
            if r.stage in stored.stages
            and r.run_id in counts
            and (r.rows_valid, r.rows_quarantined) != counts[r.run_id]
        ]
        for run in runs:
            n_valid, n_quarantined = counts[run.run_id]
            n_erased = run.rows_in - run.rows_repeated - n_valid - n_quarantined
            update_rows(
                context.spark,
                context.lake,
                RUNS,
                {
                    "rows_valid": f"{n_valid}L",
                    "rows_quarantined": f"{n_quarantined}L",
                    "rows_erased": f"{n_erased}L",
                },
                f"run_id = '{run.run_id}'",
            )


def _is_of_edges(stored: StoredTable) -> bool:
    """Return whether the rows are edges, which are not what their run counts."""
    return len(stored.keys) > 1 and not stored.is_log
