"""Read from an open lake what tools need of a day, with where it was read: SQL has the contract's names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from engage_spark.analytics.state_rows import to_day_states
from engage_spark.analytics.states import DayStates
from engage_spark.contract import SNAPSHOT_DATE
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import Origin
from engage_spark.insight.failures import NotDeclaredError, StaleLakeError
from engage_spark.insight.small_groups import HiddenSegments
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.pipelines.stages import ANALYTICS_STATES
from engage_spark.pipelines.views import View
from engage_spark.publication import Run
from engage_spark.reader import OpenLake
from engage_spark.reader.query import quoted

Row = dict[str, Any]
MOST_DAYS = 8
"""Days whose states are remembered."""
_STATE_COLUMNS = (
    "dimension", "segment", "segment_order", "metric", "n", "nulls", "minimum", "maximum", "exact",
)  # fmt: skip


@dataclass(frozen=True)
class LakeReader:
    """A lake as it is now: what was read of it is remembered. `show_keys`: personal keys are not masked."""

    lake: OpenLake
    words: Vocabulary
    show_keys: bool = False
    _states: dict[tuple[date, str | None], HiddenSegments] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def masks_keys(self) -> bool:
        """Whether customers are listed without their keys."""
        return self.words.is_key_personal and not self.show_keys

    def view(self, table: str) -> View:
        """Return what a table's name stands for.

        Errors: NotDeclaredError where the contract makes no such table.
        """
        if table not in self.lake.views:
            raise NotDeclaredError(f"this contract makes no table {table}")
        return self.lake.views[table]

    def days(self, table: str, *, stage: str | None = None) -> dict[date, Run]:
        """Return the run of each published and up-to-date day of a table, oldest first."""
        stages = (stage,) if stage else self.view(table).stages
        publication = self.lake.publication
        runs = {day: run for s in stages for day, run in publication.visible(s).items()}
        return dict(sorted(runs.items()))

    def day(self, table: str, as_of: date | None, *, stage: str | None = None) -> date:
        """Return the snapshot that an answer is about: `as_of`, else the newest one.

        Errors: NotPublishedError where it is not there; StaleLakeError where it was published, and its inputs
        changed since. An older day that is up to date is not taken for the newest one without being asked.
        """
        view = self.view(table)
        stages, publication = (stage,) if stage else view.stages, self.lake.publication
        published = {d: run for s in stages for d, run in publication.published_days(s).items()}
        visible = self.days(table, stage=stage)
        day = as_of or max(published, default=None)
        command = stages[0].partition(":")[0]
        if day is None or day not in published:
            raise NotPublishedError.of(table, days=[] if as_of is None else [as_of], command=command)
        if day not in visible:
            changed = ", ".join(publication.replaced_inputs(published[day]))
            older = f", or ask as of {max(visible)}" if visible and as_of is None else ""
            raise StaleLakeError(
                f"{table} of {day} is out of date: {changed} changed since",
                hint=f"run `engage-spark {command}` again{older}",
            )
        return day

    def origin(self, table: str, day: date, *, stage: str | None = None) -> Origin:
        """Return where the rows of a table and day are read.

        Errors: NotPublishedError where the table is gone, or the run had no rows for it.
        """
        run = self.days(table, stage=stage)[day]
        if self.view(table).stored not in run.outputs:
            raise NotPublishedError(
                f"{table} of {day} has no rows: there was nothing to count",
                hint="see in the contract, and in what was published on that day, what could be counted",
            )
        version = self.lake.versions([table]).get(table)
        if version is None:
            raise NotPublishedError(
                f"{table} of {day} was published, and its table is gone",
                hint=f"run `engage-spark {self.view(table).command}` with --force",
            )
        return Origin(table=table, version=version, run=run.run_id, as_of=day)

    def outdated_days(self, table: str, until: date) -> list[date]:
        """Return the days up to one that were published and are out of date, which no reader sees."""
        publication = self.lake.publication
        published = {d for s in self.view(table).stages for d in publication.published_days(s)}
        return sorted(d for d in published - self.days(table).keys() if d <= until)

    def is_written(self, table: str, day: date) -> bool:
        """Return whether the run of a day had rows for a table: one without any writes none."""
        run = self.days(table).get(day)
        return run is not None and self.view(table).stored in run.outputs

    def rows(
        self,
        table: str,
        day: date | Collection[date],
        columns: Sequence[str],
        where: Mapping[str, object] | None = None,
        *,
        order: str = "",
        limit: int | None = None,
    ) -> list[Row]:
        """Read the rows of a day, or of some days, whose columns have these values.

        A value that is a tuple stands for any of its own; values travel as parameters. `columns` and `order`
        are SQL of names of the contract.
        """
        conditions, parameters = [], list[object]()
        for name, value in (where or {}).items():
            values = value if isinstance(value, tuple) else (value,)
            conditions.append(f"{quoted(name)} IN ({', '.join('?' * len(values))})" if values else "false")
            parameters += values
        parts = [
            f"SELECT {', '.join(columns)} FROM {quoted(table)}",  # noqa: S608 (names of the contract, quoted)
            f"WHERE {' AND '.join(conditions)}" if conditions else "",
            f"ORDER BY {order}" if order else "",
            f"LIMIT {int(limit)}" if limit is not None else "",
        ]
        query = " ".join(p for p in parts if p)
        lines: list[Row] = self.lake.sql(query, parameters=parameters, as_of=day).to_arrow().to_pylist()
        return lines

    def find(
        self,
        table: str,
        day: date,
        columns: Sequence[str],
        where: Mapping[str, object],
        *,
        stage: str | None = None,
    ) -> list[Row]:
        """Read the rows of a snapshot whose columns have these values, in bounded memory."""
        batches = self.lake.batches(table, as_of=day, columns=columns, where=where, stage=stage)
        return [row for batch in batches for row in batch.to_pylist()]

    def of_day(self, table: str, day: date, where: Mapping[str, object] | None = None) -> list[Row]:
        """Read all columns of the rows of a day; none where the run had no rows for the table."""
        if not self.is_written(table, day):
            return []
        return self.rows(table, day, [quoted(c) for c in self.view(table).columns], where)

    def states(self, day: date) -> HiddenSegments:
        """Return the states of a day, and what is hidden of them.

        Cost: one small scan for each day and run that is new.
        """
        run = self.days(ANALYTICS_STATES).get(day)
        key = (day, run.run_id if run is not None else None)  # another run may be seen since
        if key not in self._states:
            rows = self.rows(ANALYTICS_STATES, day, _STATE_COLUMNS)
            while len(self._states) >= MOST_DAYS:
                del self._states[next(iter(self._states))]
            states = to_day_states([row | {"quantiles": None, "customers": None} for row in rows])
            self._states[key] = HiddenSegments(states, self.words.spec)
        return self._states[key]

    def day_states(self, as_of: date | None) -> tuple[Origin, HiddenSegments, DayStates]:
        """Return the states of the day that is asked for, with where they were read."""
        day = self.day(ANALYTICS_STATES, as_of)
        origin = self.origin(ANALYTICS_STATES, day)
        hidden = self.states(day)
        return origin, hidden, hidden.states

    def sizes(
        self, dimension: str, metrics: Sequence[str], days: Collection[date]
    ) -> dict[date, dict[str, dict[str, int]]]:
        """Return the number of values of metrics in each segment of a dimension: by day, metric and segment.

        Cost: a file for each day, so callers name no more days than they show.
        """
        sizes: dict[date, dict[str, dict[str, int]]] = {}
        columns = [SNAPSHOT_DATE, "metric", "segment", "n"]
        for row in self.rows(
            ANALYTICS_STATES, days, columns, {"dimension": dimension, "metric": tuple(metrics)}
        ):
            of_day = sizes.setdefault(row[SNAPSHOT_DATE], {m: {} for m in metrics})
            of_day[row["metric"]][row["segment"]] = row["n"]
        for of_day in sizes.values():
            names = {segment for by_segment in of_day.values() for segment in by_segment}
            for metric in metrics:
                of_day[metric] = dict.fromkeys(names, 0) | of_day[metric]
        return sizes
