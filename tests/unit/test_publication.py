"""What readers see, decided from `runs` alone: single cases, and a lake of dictionaries driven at random and
compared with a simple model of what must be seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engage_spark.publication import (
    PUBLISHED,
    REJECTED,
    Kind,
    Publication,
    Run,
    is_event_visible,
    kept_run,
)
from tests.support.examples import examples

D0, D1 = date(2025, 10, 20), date(2025, 10, 21)
CUSTOMERS, FEATURES, GRAPH, EVENTS = "ingest:customers", "features:made", "graph:measured", "ingest:events"
START = datetime(2025, 11, 1, tzinfo=UTC)


def run(stage: str, run_id: str, **changes: Any) -> Run:
    """A published run of one row on D1."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "stage": stage,
        "kind": Kind.SNAPSHOT,
        "snapshot_date": D1,
        "status": PUBLISHED,
        "inputs": {},
        "outputs": {},
        "contract_id": "c",
        "contract_version": "1",
        "contract_digest": "d",
        "settings_digest": "s",
        "rows_in": 1,
        "rows_valid": 1,
        "rows_quarantined": 0,
        "message": "",
        "started_at": START,
        "finished_at": START,
        "attempt": 1,
    }
    return Run(**(values | changes))


def seen(stage: str, *runs: Run, present: Callable[[Run], bool] = lambda _: True) -> dict[date, str]:
    return {d: r.run_id for d, r in Publication(runs, present).visible(stage).items()}


def test_a_rejected_attempt_hides_nothing() -> None:
    first = run(CUSTOMERS, "a")
    rejected = run(CUSTOMERS, "b", attempt=2, status=REJECTED)
    assert seen(CUSTOMERS, first, rejected) == {D1: "a"}
    assert Publication((first, rejected)).latest[CUSTOMERS, D1] == rejected
    assert seen(CUSTOMERS, rejected) == {}
    assert seen(CUSTOMERS, first, rejected, run(CUSTOMERS, "c", attempt=3)) == {D1: "c"}


def test_of_equal_attempts_the_one_counts_whose_rows_are_there() -> None:
    both = (run(CUSTOMERS, "a"), run(CUSTOMERS, "b", finished_at=START + timedelta(seconds=1)))
    assert seen(CUSTOMERS, *both, present=lambda r: r.run_id == "a") == {D1: "a"}
    assert seen(CUSTOMERS, *both, present=lambda r: r.run_id == "b") == {D1: "b"}
    assert seen(CUSTOMERS, *both) == {D1: "b"}
    assert seen(CUSTOMERS, *both, present=lambda _: False) == {D1: "b"}


def test_what_was_made_of_a_run_that_was_replaced_is_out_of_date() -> None:
    first = run(CUSTOMERS, "a")
    made = run(FEATURES, "f", inputs={"customers": "a"})
    scored = run("score:churn", "p", inputs={f"made/{D1}": "f", f"customers/{D1}": "a", "model": "m"})
    assert seen(FEATURES, first, made) == {D1: "f"}
    assert seen("score:churn", first, made, scored) == {D1: "p"}
    again = run(CUSTOMERS, "b", attempt=2)
    assert seen(FEATURES, first, made, again) == {}
    assert Publication((first, made, again)).replaced_inputs(made) == ("customers",)
    # what was made of what is out of date is so as well, if it names nothing else
    of_made = replace(scored, inputs={f"made/{D1}": "f"})
    assert seen("score:churn", first, made, of_made, again) == {}
    # a correction that is rejected, or of another day, changes nothing
    for other in (replace(again, status=REJECTED), replace(again, snapshot_date=D0)):
        assert seen(FEATURES, first, made, other) == {D1: "f"}


def test_a_graph_sees_that_its_log_got_events_up_to_its_day() -> None:
    customers = run(CUSTOMERS, "a")
    events = run(EVENTS, "e", kind=Kind.LOG, first_event=D0)
    state = Publication((customers, events)).log_state(EVENTS, until=D1)
    graph = run(GRAPH, "g", inputs={"customers": "a", "events": state})
    assert Publication((customers, events, graph)).outdated_inputs(graph) == ()
    tomorrow = run(EVENTS, "e2", kind=Kind.LOG, first_event=D1 + timedelta(days=1), attempt=2)
    late = run(EVENTS, "e3", kind=Kind.LOG, first_event=D1, attempt=3)
    rejected = replace(late, status=REJECTED)
    assert Publication((customers, events, graph, tomorrow, rejected)).outdated_inputs(graph) == ()
    publication = Publication((customers, events, graph, tomorrow, late))
    assert publication.outdated_inputs(graph) == ("events",)
    assert seen(GRAPH, customers, events, graph, tomorrow, late) == {D1: "g"}, "its rows are still of one day"


def test_the_state_of_a_log_of_many_runs_costs_no_more_for_each_day() -> None:
    """A stream adds a run a batch, and the graph of every day asks for the state of its events."""
    days = [D0 + timedelta(days=n) for n in range(300)]
    runs = [run(EVENTS, f"{n}", kind=Kind.LOG, first_event=days[n % 300]) for n in range(30_000)]
    publication = Publication(tuple(runs))
    assert len(publication.log_runs(EVENTS)) == len(runs)
    began = time.monotonic()
    first = publication.log_state(EVENTS, until=days[0])
    once = time.monotonic() - began
    states = [publication.log_state(EVENTS, until=day) for day in days]
    assert time.monotonic() - began < 20 * once
    assert states[0] == first and len(set(states)) == 300
    assert Publication(tuple(reversed(runs))).log_state(EVENTS, until=days[-1]) == states[-1]


def test_what_is_told_of_the_checks_of_a_delivery_is_of_an_earlier_one_after_the_next() -> None:
    customers, events = run(CUSTOMERS, "a"), run(EVENTS, "e", kind=Kind.LOG)
    analyzed = run("analyze", "z", inputs={"customers": "a", "checks_of_events": "e"})
    tables = ("customers", "events", "never_delivered")

    def changed(*later: Run) -> tuple[str, ...]:
        return Publication((customers, events, analyzed, *later)).changed_checks(analyzed, tables)

    again = replace(events, run_id="e2", attempt=2)
    for other in ((), (replace(again, status=REJECTED),), (replace(again, snapshot_date=D0),)):
        assert changed(*other) == ()
    assert changed(again) == ("events",)
    assert seen("analyze", customers, events, analyzed, again) == {D1: "z"}, "all else is as it was"
    assert changed(run("ingest:never_delivered", "n", kind=Kind.LOG)) == ("never_delivered",)


def test_a_log_holds_the_events_of_all_published_runs() -> None:
    runs = (
        run(EVENTS, "a", kind=Kind.LOG),
        run(EVENTS, "b", kind=Kind.LOG, attempt=2, status=REJECTED),
        run(EVENTS, "c", kind=Kind.LOG, snapshot_date=D0),
        run(EVENTS, "a", kind=Kind.LOG, attempt=3),
    )
    assert sorted(r.run_id for r in Publication(runs).log_runs(EVENTS)) == ["a", "c"]


def test_what_was_lost_and_given_up_is_missed_no_longer() -> None:
    lost = run(EVENTS, "a", kind=Kind.LOG)
    again = run(EVENTS, "b", kind=Kind.LOG, attempt=2, inputs={"given_up": "a"})
    assert [r.run_id for r in Publication((lost, again)).log_runs(EVENTS)] == ["b"]
    rejected = replace(again, status=REJECTED)
    assert [r.run_id for r in Publication((lost, rejected)).log_runs(EVENTS)] == ["a"]


def test_a_model_among_the_inputs_of_predictions_is_no_table() -> None:
    entity = run("ingest:model", "a")
    scored = run("score:churn", "p", inputs={f"model/{D1}": "a", "model": "churn@3", "reasons": "3"})
    assert seen("score:churn", entity, scored) == {D1: "p"}
    assert seen("score:churn", entity, run("ingest:model", "b", attempt=2), scored) == {}


@pytest.mark.parametrize(
    ("run_id", "replaced_by", "visible"),
    [("a", None, True), ("x", None, False), ("a", "b", False), ("a", "x", True), ("x", "b", False)],
)
def test_an_event_is_seen_until_a_published_run_replaces_it(
    run_id: str, replaced_by: str | None, visible: bool
) -> None:
    assert is_event_visible(run_id, replaced_by, {"a", "b"}) is visible


LOST = "told that it is not there"


@dataclass
class Tables:
    """A lake of dictionaries, written as the stages write theirs."""

    runs: list[Run] = field(default_factory=list)
    rows: dict[tuple[str, date], dict[str, object]] = field(default_factory=dict)
    events: list[tuple[int, int, str, str | None]] = field(default_factory=list)
    clock: int = 0

    def is_present(self, run: Run) -> bool:
        return run.run_id in self.rows.get((run.stage, run.snapshot_date), {})

    @property
    def publication(self) -> Publication:
        return Publication(tuple(self.runs), self.is_present)

    def plan(self, stage: str, day: date) -> tuple[int, Run | None]:
        """The number of the next attempt, and what is published."""
        publication = self.publication
        latest = publication.latest.get((stage, day))
        return (latest.attempt + 1 if latest else 1), publication.published.get((stage, day))

    def write(self, stage: str, day: date, run_id: str, value: object, published: Run | None) -> None:
        kept, of_day = kept_run(run_id, published), self.rows.setdefault((stage, day), {})
        for other in [r for r in of_day if r != kept]:
            del of_day[other]
        of_day[run_id] = value

    def record(self, stage: str, day: date, run_id: str, attempt: int, **changes: Any) -> None:
        self.clock += 1
        at = START + timedelta(seconds=self.clock)
        self.runs.append(run(stage, run_id, snapshot_date=day, attempt=attempt, finished_at=at, **changes))

    def read(self, stage: str, day: date) -> object:
        shown = self.publication.visible(stage).get(day)
        if shown is None:
            return None
        return self.rows.get((stage, day), {}).get(shown.run_id, LOST)


class LakeMachine(RuleBasedStateMachine):
    """Deliver, correct, reject, kill, go back, lose, clean up, two at once, events that return."""

    days = st.sampled_from([D0, D1])
    contents = st.integers(0, 5)
    """A gate rejects 5."""
    versions = 2

    def __init__(self) -> None:
        super().__init__()
        self.lake = Tables()
        self.contract = 0
        self.customers: dict[date, object] = {}
        self.made: dict[date, object] = {}
        self.log: dict[int, int] = {}
        self.lost_log = False

    # --- snapshots

    def _ingest(self, day: date, content: int, *, killed: bool) -> None:
        value, run_id = (content, self.contract), f"{day}/{content}/{self.contract}"
        publication = self.lake.publication
        latest = publication.latest.get((CUSTOMERS, day))
        published = publication.published.get((CUSTOMERS, day))
        if published and published.run_id == run_id and self.lake.is_present(published):
            return
        if latest and latest.run_id == run_id and not latest.published:
            return
        attempt, published = self.lake.plan(CUSTOMERS, day)
        if (
            killed
            and published
            and any(
                r.run_id == run_id != published.run_id and r.attempt == published.attempt
                for r in self.lake.runs
                if (r.stage, r.snapshot_date) == (CUSTOMERS, day)
            )
        ):
            return  # rows of the other of two equal attempts would make both whole, which nothing can decide
        self.lake.write(CUSTOMERS, day, run_id, value, published)
        if killed:
            if published and published.run_id == run_id:  # lost rows of a published run are there again
                self.customers[day] = value
            return
        status = REJECTED if content == 5 else PUBLISHED
        self.lake.record(CUSTOMERS, day, run_id, attempt, status=status)
        if status == PUBLISHED:
            self.customers[day] = value

    @rule(day=days, content=contents)
    def ingest(self, day: date, content: int) -> None:
        self._ingest(day, content, killed=False)

    @rule(day=days, content=contents)
    def ingest_killed(self, day: date, content: int) -> None:
        self._ingest(day, content, killed=True)

    @rule(day=days, first=contents, second=contents, swapped=st.booleans(), end=st.booleans())
    def ingest_two_at_once(self, day: date, first: int, second: int, swapped: bool, end: bool) -> None:
        """Both planned before either wrote; the second wrote last. `end`: both wrote their row in `runs`."""
        plans = []
        for content in (first, second):
            if content == 5:
                return
            run_id = f"{day}/{content}/{self.contract}"
            plans.append((content, run_id, *self.lake.plan(CUSTOMERS, day)))
        if plans[0][1] == plans[1][1] or (plans[0][3] and plans[0][3].run_id in (plans[0][1], plans[1][1])):
            return
        for content, run_id, _, published in plans:
            self.lake.write(CUSTOMERS, day, run_id, (content, self.contract), published)
        rows = reversed(plans) if swapped else plans
        for content, run_id, attempt, _ in list(rows) if end else plans[:1]:
            self.lake.record(CUSTOMERS, day, run_id, attempt)
            del content
        self.customers[day] = (second, self.contract) if end else LOST

    @rule(day=days, killed=st.booleans())
    def derive(self, day: date, killed: bool) -> None:
        publication = self.lake.publication
        source = publication.visible(CUSTOMERS).get(day)
        if source is None or not self.lake.is_present(source):
            return
        run_id = f"f/{source.run_id}/{self.contract}"
        published = publication.published.get((FEATURES, day))
        if published and published.run_id == run_id and self.lake.is_present(published):
            return
        value = ("made of", self.lake.read(CUSTOMERS, day), self.contract)
        attempt, published = self.lake.plan(FEATURES, day)
        self.lake.write(FEATURES, day, run_id, value, published)
        if not killed:
            self.lake.record(FEATURES, day, run_id, attempt, inputs={"customers": source.run_id})
        if not killed or (published and published.run_id == run_id):  # lost rows may be there again
            self.made[day] = value

    @rule(table=st.sampled_from([CUSTOMERS, FEATURES]), day=days)
    def lose(self, table: str, day: date) -> None:
        self.lake.rows.pop((table, day), None)
        model = self.customers if table == CUSTOMERS else self.made
        if day in model:
            model[day] = LOST if table == CUSTOMERS else ("lost", self.customers.get(day))

    @rule()
    def clean_up(self) -> None:
        """Remove what nobody reads, as `tables optimize` does."""
        for (stage, day), of_day in self.lake.rows.items():
            published = self.lake.publication.published.get((stage, day))
            for run_id in list(of_day):
                if published is not None and run_id != published.run_id:
                    del of_day[run_id]

    @rule()
    def upgrade(self) -> None:
        self.contract = (self.contract + 1) % self.versions

    # --- a log whose events have a key; the first content holds

    @rule(
        delivered=st.dictionaries(st.integers(0, 9), st.integers(0, 2), min_size=1, max_size=5),
        fate=st.sampled_from([PUBLISHED, REJECTED, "killed"]),
    )
    def deliver_events(self, delivered: dict[int, int], fate: str) -> None:
        published = {r.run_id for r in self.lake.publication.log_runs(EVENTS)}
        run_id = f"e/{len(self.lake.events)}/{self.lake.clock}/{sorted(delivered.items())}"
        known = {key for key, _, r, by in self.lake.events if is_event_visible(r, by, published)}
        new = {k: c for k, c in delivered.items() if k not in known}
        self.lake.events += [(k, c, run_id, None) for k, c in new.items()]
        if fate == "killed":
            return
        attempt, _ = self.lake.plan(EVENTS, D1)
        self.lake.record(EVENTS, D1, run_id, attempt, kind=Kind.LOG, status=fate, first_event=D1)
        if fate == PUBLISHED:
            for k, c in delivered.items():
                self.log.setdefault(k, c)

    @rule(
        delivered=st.dictionaries(st.integers(0, 9), st.integers(0, 2), min_size=1, max_size=5),
        killed=st.booleans(),
    )
    def correct_events(self, delivered: dict[int, int], killed: bool) -> None:
        """The last holds: what a delivery names is replaced once its run is published."""
        published = {r.run_id for r in self.lake.publication.log_runs(EVENTS)}
        run_id = f"c/{len(self.lake.events)}/{self.lake.clock}/{sorted(delivered.items())}"
        marked = [
            (k, c, r, run_id if k in delivered and is_event_visible(r, by, published) else by)
            for k, c, r, by in self.lake.events
        ]
        self.lake.events = marked + [(k, c, run_id, None) for k, c in delivered.items()]
        if not killed:
            attempt, _ = self.lake.plan(EVENTS, D1)
            self.lake.record(EVENTS, D1, run_id, attempt, kind=Kind.LOG, first_event=D1)
            self.log |= delivered

    # --- what readers see

    @invariant()
    def a_reader_sees_the_latest_published_rows_whole_or_is_told(self) -> None:
        for day in (D0, D1):
            assert self.lake.read(CUSTOMERS, day) == self.customers.get(day)

    @invariant()
    def what_is_derived_belongs_to_what_is_published(self) -> None:
        for day in (D0, D1):
            made = self.lake.read(FEATURES, day)
            assert made in (None, LOST, self.made.get(day))
            if made not in (None, LOST):
                source = self.customers.get(day)
                assert source == LOST or made[1] == source  # type: ignore[index]

    @invariant()
    def each_event_is_seen_once(self) -> None:
        published = {r.run_id for r in self.lake.publication.log_runs(EVENTS)}
        shown = [(k, c) for k, c, r, by in self.lake.events if is_event_visible(r, by, published)]
        assert sorted(shown) == sorted(self.log.items())


TestLake = LakeMachine.TestCase
TestLake.settings = settings(max_examples=examples(70), stateful_step_count=30, deadline=None)
