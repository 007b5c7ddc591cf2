"""Write the events of a delivery to their log: appended once, or whole days replaced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Table, day_column, judged_table
from engage_spark.errors import InputError
from engage_spark.lake import Materialize
from engage_spark.pipelines.ingest.repeated_events import (
    FILE,
    NewEvents,
    to_new_events,
    with_older_content,
)
from engage_spark.pipelines.results import Note
from engage_spark.pipelines.runner import Attempt
from engage_spark.publication import REPLACED_BY, RUN_ID
from engage_spark.spark.schema import column_named
from engage_spark.spark.sql_text import quoted_name

MAX_DAYS = 8
"""Days that a note or an error names."""
PROPERTIES = {"delta.dataSkippingNumIndexedCols": "32"}
FIELDS = "fields"
"""Input of a run of a log without a key: the names of the declared fields, which tell its events apart."""
Day = tuple[int, str]
"""A day as days since 1970 and as text: a faulty event may be of a year that Python's dates do not reach."""


@dataclass(frozen=True, kw_only=True)
class LogWrite:
    """What became of a delivery of events. `repeated` rows were not written, since the log holds them;
    `first_replaced` is the earliest day of events that were replaced, as days since 1970.
    """

    repeated: int = 0
    first_replaced: int | None = None
    notes: tuple[Note, ...] = ()


def append_events(
    attempt: Attempt, checked: DataFrame, table: Table, *, days: Sequence[Day], materialize: Materialize
) -> LogWrite:
    """Append the events that the log does not hold yet, marked with the run; with `ingest.logs` replace_days,
    all of them, in place of the events of their days.

    Only the days of the delivery's events are looked at. Events that others take the place of get the run's
    id in `_replaced_by`, which counts for readers as soon as this run is published.
    Cost: see `to_new_events`; one Delta commit, and one more where events are replaced.
    """
    options, present = attempt.context.settings.ingest, _visible(attempt, table, days)
    notes: list[Note] = []
    # A run that was published before and runs again takes nothing from those after it.
    supersedes = not _was_published(attempt)
    if options.logs == "replace_days" and supersedes:
        events = to_new_events(
            checked, None, table, last_holds=False, supersedes=True, materialize=materialize
        )
        present = None if present is None else present.where(F.col(day_column(table)).isNotNull())
        replaced = present
        if present is not None:
            notes += _shrunk(attempt, present, events.rows, table)
    elif options.logs == "replace_days":
        events, replaced = _without_days(checked, present, table), None
    else:
        last_holds = options.changed_events == "last" and supersedes
        new_fields, runs = _new_fields(attempt, table)
        if present is not None and new_fields:
            checked, present = with_older_content(checked, present, table, new_fields=new_fields, runs=runs)
        events = to_new_events(
            checked,
            present,
            table,
            last_holds=last_holds,
            supersedes=supersedes,
            materialize=materialize,
            new_fields=new_fields if present is not None else (),
        )
        replaced = events.replaced
    earliest = None if replaced is None else _mark(attempt, table, replaced, days)
    rows = events.rows.withColumns(
        {day_column(table): _day_of(table), REPLACED_BY: F.lit(None).cast("string")}
    )
    attempt.append(judged_table(table), rows, properties=PROPERTIES)
    notes += _notes_of(events, table, options.changed_events)
    return LogWrite(repeated=events.repeated, first_replaced=earliest, notes=tuple(notes))


def _without_days(checked: DataFrame, present: DataFrame | None, table: Table) -> NewEvents:
    """Leave out the events of days that other deliveries have replaced since."""
    if present is None:
        return NewEvents(checked.drop(FILE))
    day = day_column(table)
    taken = present.where(F.col(day).isNotNull()).select(day).distinct()
    rows = checked.withColumn(day, _day_of(table))
    left_out = rows.join(taken, on=day, how="left_semi").count()
    return NewEvents(rows.join(taken, on=day, how="left_anti").drop(day, FILE), repeated=left_out)


def _visible(attempt: Attempt, table: Table, days: Sequence[Day]) -> DataFrame | None:
    """Return the events that readers see on some days, without those of this very run; None where there are
    none of other runs.
    """
    context, stage = attempt.context, attempt.work.stage
    others = [
        r
        for r in context.log.publication(context.spark).log_runs(stage)
        if r.rows_written and r.run_id != attempt.work.run_id
    ]
    if not others or context.lake.version(context.spark, judged_table(table).name) is None:
        return None
    rows = context.log.read_log(context.spark, judged_table(table), others)
    if _was_published(attempt):  # what it had replaced it takes the place of again
        rows = rows.where(~F.col(REPLACED_BY).eqNullSafe(attempt.work.run_id))
    missing = [f for f in table.fields if f.name not in rows.columns]
    rows = rows.withColumns({f.name: F.lit(None).cast(f.spark_type) for f in missing}) if missing else rows
    return rows.where(_of_days(day_column(table), days))


def _new_fields(attempt: Attempt, table: Table) -> tuple[list[str], list[str]]:
    """Return the fields that some published runs of a log without a key did not know, and those runs."""
    if table.key:
        return [], []
    runs = attempt.context.log.publication(attempt.context.spark).log_runs(attempt.work.stage)
    known = {r.run_id: set(json.loads(r.inputs[FIELDS])) for r in runs if FIELDS in r.inputs}
    older = sorted(run_id for run_id, names in known.items() if not names.issuperset(table.names))
    return [name for name in table.names if any(name not in known[r] for r in older)], older


def _was_published(attempt: Attempt) -> bool:
    runs = attempt.context.log.publication(attempt.context.spark).log_runs(attempt.work.stage)
    return any(r.run_id == attempt.work.run_id for r in runs)


def _day_of(table: Table) -> Column:
    return F.to_date(column_named(table.event_time or ""))


def _mark(attempt: Attempt, table: Table, replaced: DataFrame, days: Sequence[Day]) -> int | None:
    """Say of the events of the log that have the content of `replaced` that this run replaces them.

    Return their earliest day, as days since 1970.
    """
    attempt.context.lake.add_columns(attempt.context.spark, judged_table(table))
    content = replaced.select(*map(column_named, table.names)).distinct()
    same = [f"log.{quoted_name(c)} <=> new.{quoted_name(c)}" for c in table.names]
    within = _of_days(f"log.{day_column(table)}", days)
    runs = attempt.context.log.publication(attempt.context.spark).log_runs(attempt.work.stage)
    published = ", ".join(f"'{r.run_id}'" for r in runs)
    seen = f"log.{RUN_ID} IN ({published}) AND coalesce(log.{REPLACED_BY} NOT IN ({published}), true)"
    attempt.context.lake.merge(
        content,
        judged_table(table),
        on=f"({within}) AND {seen} AND log.{RUN_ID} <> '{attempt.work.run_id}' AND {' AND '.join(same)}",
        set_={REPLACED_BY: f"'{attempt.work.run_id}'"},
    )
    earliest: int | None = replaced.agg(F.min(F.unix_date(_day_of(table)))).collect()[0][0]
    return earliest


def _shrunk(attempt: Attempt, present: DataFrame, rows: DataFrame, table: Table) -> list[Note]:
    """Name the days that would have fewer events than before.

    Errors: InputError where `ingest.shrinking_days` says to refuse them.
    """
    counted = [
        frame.groupBy(_day_of(table).cast("string").alias("day")).agg(F.count(F.lit(1)).alias(name))
        for frame, name in ((present, "before"), (rows, "after"))
    ]
    shrunk = (
        counted[0]
        .join(counted[1], on="day", how="left")
        .select("day", "before", F.coalesce("after", F.lit(0)).alias("after"))
        .where("after < before")
        .orderBy("day")
        .collect()
    )
    if not shrunk:
        return []
    days = tuple(f"{r['day']}: {r['before']:,} to {r['after']:,}" for r in shrunk[:MAX_DAYS])
    if attempt.context.settings.ingest.shrinking_days == "refuse":
        raise InputError(
            f"{len(shrunk)} days of {table.name} would have fewer events than before",
            details=days,
            hint="deliver these days whole, or set ingest.logs=append for deliveries of increments",
        )
    return [Note("DaysShrunk", {"table": table.name, "n_days": len(shrunk), "days": days})]


def _notes_of(events: NewEvents, table: Table, changed_events: str) -> list[Note]:
    notes = []
    if events.repeated:
        notes.append(Note("EventsRepeated", {"table": table.name, "n_events": events.repeated}))
    if events.changed:
        about = {"table": table.name, "n_events": events.changed, "holds": changed_events}
        notes.append(Note("EventsChanged", about | {"examples": events.examples}))
    return notes


def _of_days(column: str, days: Sequence[Day]) -> str:
    """Return the predicate of exactly these days and of no other, as SQL: one event dated 1970 must not reach
    all days since.
    """
    spans: list[list[Day]] = []
    for day in days:
        if spans and day[0] == spans[-1][-1][0] + 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    return " OR ".join(
        [
            f"{column} IS NULL",
            *(f"{column} BETWEEN DATE'{span[0][1]}' AND DATE'{span[-1][1]}'" for span in spans),
        ]
    )
