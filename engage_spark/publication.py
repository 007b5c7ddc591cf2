"""Decide what readers see of a lake, from the rows of `runs` alone. No Spark here.

The promise:

- Of a snapshot table a reader sees the rows of the latest published run of that day, whole.
- Of a log a reader sees each event of every published run once.
- What a reader sees was made from inputs that belong together: a derived day whose inputs were published
again
  since then is out of date, and nobody sees it until it is derived anew.
- A day that is not there is named, with the reason.

A row of a data table carries the `_run_id` of the run that made it, and a table may hold rows of several runs
of a day side by side: of the published one, and of one that was rejected or killed. An event that a later run
replaced carries that run's id in `_replaced_by`, which counts once that run is published.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from itertools import accumulate

RUNS = "runs"
"""Name of the table."""
PUBLISHED, REJECTED = "published", "rejected"
RUN_ID, REPLACED_BY = "_run_id", "_replaced_by"
GIVEN_UP = "given_up"
"""Input of a run of a log: the runs whose events were lost, and which readers miss no longer."""
CHECKS_OF = "checks_of_"
"""What the name of an input begins with that is a delivery of whose checks a run tells, not of its rows."""
_MAKERS = ("ingest", "features", "graph")
"""Stages whose tables others are made from. Their names are such as `ingest:customers`."""


class Kind(StrEnum):
    """How a stage's rows follow each other: day by day, as events that are added, or as trainings."""

    SNAPSHOT = "snapshot"
    LOG = "log"
    TRAINING = "training"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt of a stage on a snapshot.

    Everything but the attempt, the times and `message` follows from the inputs, so equal work has an equal
    run_id. `rows_repeated` are events that an earlier run had delivered, which are not written again.
    `rows_erased` are rows of erased keys: left out when they came, or deleted since. `first_event` is the
    earliest UTC day of the events that a run of a log added, None for other stages and where none was added.
    """

    run_id: str
    stage: str
    kind: str
    snapshot_date: date
    status: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, int]
    contract_id: str
    contract_version: str
    contract_digest: str
    settings_digest: str
    rows_in: int
    rows_valid: int
    rows_quarantined: int
    rows_repeated: int = 0
    rows_erased: int = 0
    first_event: date | None = None
    message: str
    started_at: datetime
    finished_at: datetime
    attempt: int
    code_version: str = ""

    @property
    def published(self) -> bool:
        """Whether no gate rejected the attempt."""
        return self.status == PUBLISHED

    @property
    def rows_written(self) -> int:
        """Rows that the attempt wrote to its table, but for those that were erased since."""
        return self.rows_in - self.rows_repeated - self.rows_erased

    @property
    def seconds(self) -> float:
        """Duration of the attempt."""
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def landed_at(self) -> datetime:
        """When the delivery that an ingest read had landed; where it is not recorded, when the run began."""
        landed = self.inputs.get("landed")
        return self.started_at if landed is None else datetime.fromisoformat(landed)

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Order among the attempts of a stage and day."""
        return self.attempt, self.finished_at, self.run_id


Latest = dict[tuple[str, date], Run]
"""An attempt by stage and snapshot."""


@dataclass(frozen=True)
class Publication:
    """What readers see, by the attempts of a lake.

    `is_present` tells whether a table holds rows of a run. It is asked only where two attempts at a day have
    the same number, because two writers did not know of each other: the one whose rows are there counts.
    """

    runs: tuple[Run, ...]
    is_present: Callable[[Run], bool] = lambda _: True

    @cached_property
    def latest(self) -> Latest:
        """The latest attempt of every stage and day, whatever became of it."""
        return {(r.stage, r.snapshot_date): r for r in sorted(self.runs, key=lambda r: r.order)}

    @cached_property
    def published(self) -> Latest:
        """The latest published attempt of every stage and day: a rejected one after it hides nothing."""
        by_day: dict[tuple[str, date], list[Run]] = defaultdict(list)
        for run in self.runs:
            if run.published:
                by_day[run.stage, run.snapshot_date].append(run)
        return {key: self._last(runs) for key, runs in by_day.items()}

    def _last(self, runs: Iterable[Run]) -> Run:
        ordered = sorted(runs, key=lambda r: r.order)
        equal = [r for r in ordered if r.attempt == ordered[-1].attempt]
        if len({r.run_id for r in equal}) > 1 and equal[-1].kind != Kind.TRAINING:
            equal = [r for r in equal if self.is_present(r)] or equal
        return equal[-1]

    def published_days(self, stage: str) -> dict[date, Run]:
        """Return the latest published attempt of each day of a stage, in order, out of date or not."""
        return {day: run for (s, day), run in sorted(self.published.items(), key=_day) if s == stage}

    def visible(self, stage: str) -> dict[date, Run]:
        """Return the run of each day whose rows readers see, of a stage that works by days, in order."""
        return {d: run for d, run in self.published_days(stage).items() if not self.replaced_inputs(run)}

    def replaced_inputs(self, run: Run) -> tuple[str, ...]:
        """Name the snapshot tables that a run was made from and that were published again, or are out of date
        themselves.
        """
        return tuple(
            dict.fromkeys(
                name.partition("/")[0]
                for name, made_from in self._inputs(run).items()
                if not self._is_current(*made_from)
            )
        )

    def outdated_inputs(self, run: Run) -> tuple[str, ...]:
        """Name the inputs that have changed since a run: those of `replaced_inputs`, and logs that have got
        events up to its day.
        """
        changed = tuple(
            name
            for name, state in run.inputs.items()
            if (stage := self._stages.get(name)) in self._logs
            and state != self.log_state(str(stage), until=run.snapshot_date)
        )
        return (*self.replaced_inputs(run), *changed)

    def changed_checks(self, run: Run, tables: Iterable[str]) -> tuple[str, ...]:
        """Name those of `tables` that were delivered again for a run's day since it took what their checks
        gave: what it tells of them is of an earlier delivery, or of none. Its other rows are as they were.
        """
        now = {table: self.published.get((f"ingest:{table}", run.snapshot_date)) for table in tables}
        taken = {table: run.inputs.get(f"{CHECKS_OF}{table}", run.inputs.get(table)) for table in now}
        return tuple(t for t, present in now.items() if present is not None and present.run_id != taken[t])

    def _inputs(self, run: Run) -> dict[str, tuple[str, date, str]]:
        """Return stage, day and run of each snapshot table and day that a run names, by that name."""
        if run.stage.startswith("ingest:"):  # made of files; events were judged by the keys of their own time
            return {}
        named = {}
        by_day = run.kind == Kind.TRAINING or run.stage.startswith("score:")
        for name, run_id in run.inputs.items():
            table, _, day = name.partition("/")
            if by_day and not day:  # the model, not a table
                continue
            stage = self._stages.get(table)
            if stage is not None and stage not in self._logs:
                named[name] = (stage, date.fromisoformat(day) if day else run.snapshot_date, run_id)
        return named

    def _is_current(self, stage: str, day: date, run_id: str) -> bool:
        present = self.published.get((stage, day))
        return present is not None and present.run_id == run_id and not self.replaced_inputs(present)

    @cached_property
    def _stages(self) -> dict[str, str]:
        """The stage that publishes each table."""
        split = {stage: stage.partition(":") for stage in {r.stage for r in self.runs}}
        return {table: stage for stage, (maker, _, table) in split.items() if maker in _MAKERS}

    @cached_property
    def _logs(self) -> frozenset[str]:
        return frozenset(r.stage for r in self.runs if r.kind == Kind.LOG)

    def log_runs(self, stage: str) -> list[Run]:
        """Return the published runs of a log, the last attempt of each run_id, in order of their first."""
        return list(self._by_stage.get(stage, {}).values())

    @cached_property
    def _by_stage(self) -> dict[str, dict[str, Run]]:
        """The last published attempt by stage and run."""
        by_stage: dict[str, dict[str, Run]] = defaultdict(dict)
        for run in sorted(self.runs, key=lambda r: (r.finished_at, r.order)):
            if run.published:
                by_stage[run.stage][run.run_id] = run
                for lost in run.inputs.get(GIVEN_UP, "").split(","):
                    by_stage[run.stage].pop(lost, None)
        return by_stage

    def log_state(self, stage: str, *, until: date) -> str:
        """Return what identifies the events up to a day that readers see: 32 hex digits of SHA-256 over the
        runs that added some, in whatever order. A delivery of later days does not change it.
        """
        days, sums = self._sums_of_log(stage)
        return hashlib.sha256(str(sums[bisect_right(days, until)]).encode()).hexdigest()[:32]

    def _sums_of_log(self, stage: str) -> tuple[list[date], list[int]]:
        """Return the first days of the events of a log's runs in order, and the sums of the hashes of none of
        these runs, of the first, of the first two, and so on: a stream has many runs, and each day asks.
        """
        if stage not in self._log_sums:
            added = sorted((r.first_event, r.run_id) for r in self.log_runs(stage) if r.first_event)
            hashes = (int(hashlib.sha256(run_id.encode()).hexdigest(), 16) for _, run_id in added)
            self._log_sums[stage] = [day for day, _ in added], list(accumulate(hashes, initial=0))
        return self._log_sums[stage]

    @cached_property
    def _log_sums(self) -> dict[str, tuple[list[date], list[int]]]:
        """What `_sums_of_log` has returned."""
        return {}


def kept_run(work: str, published: Run | None) -> str | None:
    """Return the run whose rows stay when a run writes its day anew: the published one, if it is another.

    All other rows of the day go with the same commit: nobody reads them.
    """
    return None if published is None or published.run_id == work else published.run_id


def _day(item: tuple[tuple[str, date], Run]) -> date:
    return item[0][1]


def is_event_visible(run_id: str, replaced_by: str | None, published: Container[str]) -> bool:
    """Return whether readers see an event: its run was published, and no published run replaced it."""
    return run_id in published and (replaced_by is None or replaced_by not in published)
