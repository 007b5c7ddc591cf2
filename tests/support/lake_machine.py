"""A lake on disk, driven at random beside a simple model of what its readers must see.

Deliveries of two days are ingested: corrected, rejected, killed at any effect, taken back, two at once, with
events that come late or come again; features are derived, keys are erased, tables are compacted and cleaned,
the contract gets a column and loses it again. The model is told which commits of `runs` happened; what
follows from that it knows by itself, and an undisturbed command must have published what it was given.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import yaml
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engage_spark.contract import Contract, judged_table, load_contract
from engage_spark.errors import GateError, NotPublishedError, TransientError
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.pipelines.tables.forget import run_forget
from engage_spark.pipelines.tables.optimize import run_optimize
from engage_spark.pipelines.tables.vacuum import run_vacuum
from engage_spark.publication import is_event_visible
from engage_spark.settings import Settings
from engage_spark.side_effects import listening
from tests.support.deliveries import BIKES, deliver, deliver_log, events, run_log, settings_of, stations
from tests.support.delta_files import rows
from tests.support.kill_harness import Killed
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAYS = ("2025-10-21", "2025-10-22")
ROW = "row in runs of "
EARLY, LANDED = "2025-10-19", "2025-10-23T12:00:00Z"
N_STATIONS = 6
REFUSED = "refused"
CONTENTS = ("a", "b", REFUSED)
"""Of a day; a gate rejects the last."""
EVENTS: dict[str, tuple[int, ...]] = {"": (), "first": (0, 1, 2), "late": (2, 3, 5, 7), REFUSED: (8, 9)}
"""Numbers of the rides that are delivered."""
OF_STATIONS, OF_RIDES, OF_FEATURES = "ingest:stations", "ingest:rides", "features:station_features"
COUPLED = ("lock stations_judged", "commit stations_judged", "row in runs of ingest:stations",
           "lock rides_judged", "commit rides_judged")  # fmt: skip
"""Effects at which another command may run: none under the lock of `runs`, which it would wait for."""


@dataclass(frozen=True)
class Delivery:
    """A snapshot of a day, with rides or without."""

    day: str
    content: str
    rides: str = ""


DELIVERIES = st.builds(
    Delivery,
    day=st.sampled_from(DAYS),
    content=st.sampled_from(CONTENTS),
    rides=st.sampled_from(list(EVENTS)),
)


@dataclass
class Deliveries:
    """All deliveries, in folders made once, and the contract in two versions. The files have the columns that
    only one of them knows.
    """

    home: Path
    contracts: tuple[Contract, Contract]
    docks: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    outflow: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)

    @classmethod
    def make(cls, home: Path) -> Deliveries:
        made = cls(home, (BIKES, _with_more_columns(home)))
        for i, content in enumerate(CONTENTS):
            for j, day in enumerate(DAYS):
                snapshot = stations(N_STATIONS, seed=10 * i + j)
                codes, outflow = snapshot["station_code"], snapshot["rides_started"] - snapshot["rides_ended"]
                for values, column in ((made.docks, snapshot["docks_total"]), (made.outflow, outflow)):
                    values[day, content] = dict(zip(codes, map(int, column), strict=True))
                snapshot["remark"] = content
                if content == REFUSED:
                    snapshot["operator_owner"] = "nobody knows"
                for name, numbers in EVENTS.items():
                    folder = made.folder(Delivery(day, content, name))
                    deliver(snapshot, made.contracts[1], folder, day)
                    if numbers:
                        _deliver_rides(made.contracts[1], numbers, folder, refused=name == REFUSED)
        return made

    def folder(self, delivery: Delivery) -> Path:
        return self.home / "-".join((delivery.day, delivery.content, delivery.rides))


def ends(number: int) -> tuple[str, str]:
    return f"ST{number % N_STATIONS:04d}", f"ST{(number + 1) % N_STATIONS:04d}"


def _deliver_rides(contract: Contract, numbers: tuple[int, ...], folder: Path, *, refused: bool) -> None:
    """Write rides whose minutes are their numbers, of three days in turn; they have no key."""
    table = contract.table("rides")
    days: list[str | None] = [(EARLY, *DAYS)[n % 3] for n in numbers]
    some = events(table, [ends(n) for n in numbers], days)
    some["minutes"] = [float(n) for n in numbers]
    some["remark"] = [f"no. {n}" for n in numbers]
    some["bike_kind"] = "tricycle" if refused else "city"
    deliver_log(some, table, folder)


def _with_more_columns(home: Path) -> Contract:
    """The contract with one more column that may be null, of the stations and of the rides."""
    declared = yaml.safe_load((DATA / "bikes.odcs.yaml").read_text(encoding="utf-8"))
    for table in declared["schema"][:2]:
        remark = {
            "name": "remark",
            "description": "What else there is to say.",
            "logicalType": "string",
            "physicalType": "string",
            "customProperties": [{"property": "role", "value": "audit"}],
        }
        table["properties"].append(remark)
    path = home / "more.odcs.yaml"
    path.write_text(yaml.safe_dump(declared, sort_keys=False), encoding="utf-8")
    return load_contract(path)


class LakeMachine(RuleBasedStateMachine):
    """The lake, and the model. A test gives the session, its settings, the deliveries and a folder."""

    spark: ClassVar[SparkSession]
    session_settings: ClassVar[Settings]
    deliveries: ClassVar[Deliveries]
    workspace: ClassVar[Path]
    steps: ClassVar[int] = 0
    lakes: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).lakes += 1
        self.home = self.workspace / f"lake-{self.lakes}"
        self.version = 0
        self.content: dict[str, tuple[Delivery, int]] = {}
        """By day: the delivery that is published, under which version of the contract."""
        self.rides: set[int] = set()
        self.made_of: dict[str, tuple[tuple[Delivery, int], int]] = {}
        """By day: what the features were derived from, under which version of the contract."""
        self.erased: set[str] = set()
        self.was_attempted = False
        self.n_upkeep = 0
        self.error: Exception | None = None

    # --- running commands

    @property
    def contract(self) -> Contract:
        return self.deliveries.contracts[self.version]

    def settings(self, folder: Path | None = None) -> Settings:
        made = settings_of(self.session_settings, folder or self.home, landed_at=LANDED)
        lake = made.lake.model_copy(update={"root": str(self.home / "lake"), "retention_days": 0})
        return made.model_copy(update={"lake": lake})

    def run(
        self,
        action: Callable[[], object],
        *,
        kill: int | None = None,
        meanwhile: tuple[str, Callable[[], object]] | None = None,
        on_row: Callable[[str], None] = lambda _: None,
    ) -> bool:
        """Run a command, killed before its `kill`-th effect, or with another one at an effect.

        `on_row` is told the stage of each row in `runs`, once that is committed. Return whether the command
        came to its end: well, or with a gate that refused.
        """
        effects: list[str] = []
        stage, is_busy, is_refused = "", False, False

        def listen(effect: str) -> None:
            nonlocal stage, is_busy
            if is_busy:
                return
            effects.append(effect)
            if stage and effects[-2] == "commit runs":
                on_row(stage)
                stage = ""
            if len(effects) == kill:
                raise Killed(effect)
            if meanwhile and effect == meanwhile[0] and effects.count(effect) == 1:
                is_busy = True
                meanwhile[1]()
                is_busy = False
            stage = effect.removeprefix(ROW) if effect.startswith(ROW) else stage

        try:
            with listening(listen):
                action()
        except Killed:
            return False
        except GateError:
            pass
        except (NotPublishedError, TransientError) as e:
            self.error, is_refused = e, True
        kill = None  # no effect is left to kill it before
        listen("end")
        return not is_refused

    def ingest(self, delivery: Delivery) -> object:
        settings = self.settings(self.deliveries.folder(delivery))
        return run_ingest(self.spark, settings, contract=self.contract)

    def on_row(self, delivery: Delivery, stage: str) -> None:
        """What follows from a row in `runs`."""
        if stage == OF_STATIONS:
            self.was_attempted = True
            if delivery.content != REFUSED:
                self.content[delivery.day] = (delivery, self.version)
        elif delivery.rides != REFUSED:
            self.rides |= self.allowed(EVENTS[delivery.rides])

    def allowed(self, numbers: Iterable[int]) -> set[int]:
        return {n for n in numbers if self.erased.isdisjoint(ends(n))}

    # --- what happens

    @initialize(number=st.integers(0, 1_000_000))
    def begin(self, number: int) -> None:
        """Leave out the simplest example, which repeats one step."""
        assume(number)

    def _deliver(self, delivery: Delivery, kill: int | None = None) -> bool:
        ended = self.run(lambda: self.ingest(delivery), kill=kill, on_row=partial(self.on_row, delivery))
        if kill is None:
            assert ended or (not self.content and isinstance(self.error, NotPublishedError)), self.error
        return ended

    @rule(delivery=DELIVERIES)
    def deliver(self, delivery: Delivery) -> None:
        """An undisturbed command publishes what it is given, whatever happened before."""
        if self._deliver(delivery):
            if delivery.content != REFUSED:
                assert self.content[delivery.day] == (delivery, self.version)
            if self.was_attempted and delivery.rides != REFUSED:
                assert self.rides >= self.allowed(EVENTS[delivery.rides])

    @rule(delivery=DELIVERIES, kill=st.integers(1, 10))
    def deliver_killed(self, delivery: Delivery, kill: int) -> None:
        self._deliver(delivery, kill)

    @rule(first=DELIVERIES, second=DELIVERIES, at=st.sampled_from(COUPLED))
    def deliver_two_at_once(self, first: Delivery, second: Delivery, at: str) -> None:
        """Who finds a table locked, publishes nothing of it, and says so."""

        def other() -> None:
            ended = self.run(lambda: self.ingest(second), on_row=partial(self.on_row, second))
            assert ended or isinstance(self.error, TransientError | NotPublishedError), self.error

        ended = self.run(
            lambda: self.ingest(first), meanwhile=(at, other), on_row=partial(self.on_row, first)
        )
        assert ended or isinstance(self.error, TransientError | NotPublishedError), self.error

    @precondition(lambda self: self.content)
    @rule(kill=st.none() | st.integers(1, 10))
    def derive(self, kill: int | None) -> None:
        due = [d for d in sorted(self.content) if self.made_of.get(d) != (self.content[d], self.version)]

        def on_row(_: str) -> None:
            day = due.pop(0)
            self.made_of[day] = (self.content[day], self.version)

        settings = self.settings()
        ended = self.run(
            lambda: run_features(self.spark, settings, contract=self.contract), kill=kill, on_row=on_row
        )
        assert (ended and not due) or kill is not None, due

    @rule()
    def change_the_contract(self) -> None:
        """A column that may be null comes, or goes."""
        self.version = 1 - self.version

    @precondition(lambda self: not self.erased and self.content)
    @rule(number=st.integers(0, N_STATIONS - 1), kill=st.none() | st.integers(1, 30))
    def erase(self, number: int, kill: int | None) -> None:
        """Killed anywhere, the same command ends the work."""
        key, settings = f"ST{number:04d}", self.settings()

        def forget() -> object:
            return run_forget(self.spark, settings, contract=self.contract, key=[key])

        if kill is not None:
            self.run(forget, kill=kill)
        assert self.run(forget), self.error
        self.erased.add(key)
        self.rides = self.allowed(self.rides)

    @precondition(lambda self: self.n_upkeep < 2 and self.content)
    @rule(kill=st.none() | st.integers(1, 30), is_vacuum=st.booleans())
    def look_after(self, kill: int | None, is_vacuum: bool) -> None:
        self.n_upkeep += 1
        action = run_vacuum if is_vacuum else run_optimize
        settings = self.settings()
        ended = self.run(lambda: action(self.spark, settings, contract=self.contract), kill=kill)
        assert ended or kill is not None, self.error

    # --- what readers see

    @invariant()
    def readers_see_what_the_model_says(self) -> None:
        type(self).steps += 1
        expected = {day: self._docks(delivery) for day, (delivery, _) in self.content.items()}
        lake = self.home / "lake"
        if not (lake / "runs").exists():
            assert not expected and not self.rides
            return
        publication = run_log(self.settings()).publication(self.spark)
        seen: dict[str, dict[str, dict[str, int]]] = {}
        for stage, table, column in (
            (OF_STATIONS, "stations_judged", "docks_total"),
            (OF_FEATURES, "station_features", "net_outflow"),
        ):
            visible = publication.visible(stage)
            stored = rows(lake / table) if visible else []
            seen[stage] = {
                str(day): {r["station_code"]: r[column] for r in stored if r["_run_id"] == run.run_id}
                for day, run in visible.items()
            }
        assert seen[OF_STATIONS] == expected
        current = {d for d, (content, _) in self.made_of.items() if content == self.content[d]}
        assert seen[OF_FEATURES].keys() == current
        for day in current:
            assert seen[OF_FEATURES][day] == {
                code: self.deliveries.outflow[day, self.content[day][0].content][code]
                for code in expected[day]
            }
        published = {r.run_id for r in publication.log_runs(OF_RIDES)}
        shown = [
            int(r["minutes"])
            for r in (rows(lake / "rides_judged") if published else [])
            if is_event_visible(r["_run_id"], r["_replaced_by"], published)
        ]
        assert sorted(shown) == sorted(self.rides)

    def _docks(self, delivery: Delivery) -> dict[str, int]:
        docks = self.deliveries.docks[delivery.day, delivery.content]
        return {code: n for code, n in docks.items() if code not in self.erased}

    def teardown(self) -> None:
        """What a program reads by the package is the same; and nothing is left of erased keys."""
        lake, log = self.home / "lake", run_log(self.settings())
        if self.content:
            shown = log.read_published(
                self.spark, judged_table(BIKES.entity), stage=OF_STATIONS, day="snapshot_date"
            )
            n_rows = sum(len(self._docks(delivery)) for delivery, _ in self.content.values())
            assert shown.count() == n_rows
        if self.rides:
            table = judged_table(BIKES.table("rides"))
            assert log.read_published_log(self.spark, table, stage=OF_RIDES).count() == len(self.rides)
        for path in lake.glob("*/_delta_log") if self.erased else ():
            text = repr(rows(path.parent))
            assert not [key for key in self.erased if key in text], path.parent.name
        shutil.rmtree(self.home, ignore_errors=True)
