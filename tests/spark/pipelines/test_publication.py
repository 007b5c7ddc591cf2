"""What readers see after corrections, kills, rejections, late events and lost tables: the promise of
`engage_spark.publication`, on real tables of a bike-sharing scheme.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml

from engage_spark.contract import judged_table, load_contract, tracked_table
from engage_spark.errors import GateError, InputError, NotPublishedError
from engage_spark.lake import Lake
from engage_spark.pipelines import features
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.ingest.validate_table import nearest_days
from engage_spark.pipelines.model_inputs import find_model_inputs
from engage_spark.side_effects import listening
from tests.support.deliveries import (
    BIKES,
    content,
    deliver,
    deliver_log,
    events,
    run_log,
    settings_of,
    stations,
)
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.contract import Contract
    from engage_spark.pipelines.results import IngestResult
    from engage_spark.settings import Settings

D0, D1, D2 = "2025-10-20", "2025-10-21", "2025-10-22"
STATIONS, RIDES = judged_table(BIKES.entity), judged_table(BIKES.table("rides"))
FEATURES = tracked_table(BIKES.table("station_features"))
OF_STATIONS, OF_RIDES, OF_FEATURES = "ingest:stations", "ingest:rides", "features:station_features"


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_before(effect: str) -> Iterator[None]:
    """End the block at an effect, as a kill would: nothing after it happens."""

    def listener(announced: str) -> None:
        if announced.startswith(effect):
            raise Killed(announced)

    with listening(listener), pytest.raises(Killed):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def settings(session_settings: Settings, home: Path) -> Settings:
    return settings_of(session_settings, home, landed_at=f"{D1}T12:59:59Z")


def ingested(spark: SparkSession, settings: Settings, **options: Any) -> IngestResult:
    return ingest.run_ingest(spark, settings, contract=BIKES, **options)


def seen(spark: SparkSession, settings: Settings, *days: str) -> DataFrame:
    dates = [date.fromisoformat(d) for d in days] or None
    log = run_log(settings)
    return log.read_published(spark, STATIONS, stage=OF_STATIONS, day="snapshot_date", days=dates)


def docks(spark: SparkSession, settings: Settings, *days: str) -> int:
    """A sum that tells deliveries apart."""
    return int(seen(spark, settings, *days).selectExpr("sum(docks_total)").collect()[0][0] or 0)


def of(seed: int, n: int = 20) -> pd.DataFrame:
    return stations(n, seed=seed)


def notes(result: IngestResult) -> set[str]:
    return {n.code for n in result.notes}


def rides(days: list[str], n: int = 40, *, seed: int = 1) -> pd.DataFrame:
    pairs = [(f"ST{i % 19:04d}", f"ST{(i + 1) % 19:04d}") for i in range(n)]
    return events(BIKES.table("rides"), pairs, days, seed=seed)


def by_day(spark: SparkSession, settings: Settings) -> dict[str, int]:
    rows = run_log(settings).read_published_log(spark, RIDES, stage=OF_RIDES)
    return {str(r[0]): r[1] for r in rows.groupBy("event_date").count().collect()}


def test_a_killed_or_rejected_replacement_hides_nothing(
    spark: SparkSession, settings: Settings, home: Path
) -> None:
    deliver(of(1), BIKES, home, D1)
    ingested(spark, settings)
    first = docks(spark, settings, D1)
    # killed between its rows and its row in `runs`
    deliver(of(2), BIKES, home, D1)
    with killed_before("row in runs"):
        ingested(spark, settings)
    assert Lake(settings.lake).read(spark, STATIONS.name).count() == 40
    assert docks(spark, settings, D1) == first
    # back to what was published
    shutil.rmtree(home / "raw")
    deliver(of(1), BIKES, home, D1)
    assert "SnapshotUpToDate" in notes(ingested(spark, settings)) or docks(spark, settings, D1) == first
    # rejected: what was published stays, what was rejected can be looked at, and is not judged again
    broken = of(3)
    broken["operator_owner"] = "somebody"
    deliver(broken, BIKES, home, D1)
    with pytest.raises(GateError):
        ingested(spark, settings)
    assert docks(spark, settings, D1) == first
    rejected = Lake(settings.lake).read(spark, STATIONS.name).where("_dq_status = 'quarantined'")
    assert rejected.count() == 20
    assert notes(ingested(spark, settings)) == {"SnapshotRejectedBefore", "LogNotDelivered"}
    with pytest.raises(GateError):
        ingested(spark, settings, force=True)
    # the same whatever the session was set to
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    spark.conf.set("spark.sql.ansi.enabled", "false")
    assert notes(ingested(spark, settings)) == {"SnapshotRejectedBefore", "LogNotDelivered"}
    # corrected: the new rows are seen, and nothing of the attempts before is left but the published one
    deliver(of(4), BIKES, home, D1)
    ingested(spark, settings)
    assert docks(spark, settings) == docks(spark, settings, D1) != first
    assert Lake(settings.lake).read(spark, STATIONS.name).count() == 40


def test_features_of_another_delivery_are_out_of_date(
    spark: SparkSession, settings: Settings, home: Path
) -> None:
    for day in (D0, D1):
        deliver(of(1), BIKES, home, day)
    ingested(spark, settings)
    features.run_features(spark, settings, contract=BIKES)
    context = RunContext(spark, settings, BIKES)
    assert sorted(map(str, find_model_inputs(context).days)) == [D0, D1]
    deliver(of(2), BIKES, home, D1)
    ingested(spark, settings)
    # who joins, takes the other day alone and names this one; who reads the features is told
    inputs = find_model_inputs(RunContext(spark, settings, BIKES))
    assert list(map(str, inputs.days)) == [D0]
    assert [(n.code, str(n.facts["snapshot_date"])) for n in inputs.notes] == [("SnapshotOutOfDate", D1)]
    day = date.fromisoformat(D1)
    with pytest.raises(NotPublishedError, match="station_features") as e:
        run_log(settings).read_published(spark, FEATURES, stage=OF_FEATURES, day="snapshot_date", days=[day])
    assert "out of date: stations" in "".join(e.value.details)
    assert "engage-spark features" in (e.value.hint or "")
    result = features.run_features(spark, settings, contract=BIKES)
    assert [str(s.snapshot_date) for s in result.snapshots] == [D1]
    assert sorted(map(str, find_model_inputs(RunContext(spark, settings, BIKES)).days)) == [D0, D1]


def test_lost_rows_are_told_and_made_again(spark: SparkSession, settings: Settings, home: Path) -> None:
    deliver(of(1), BIKES, home, D1)
    deliver_log(rides([D0, D1]), BIKES.table("rides"), home)
    ingested(spark, settings)
    features.run_features(spark, settings, contract=BIKES)
    deliver(of(1), BIKES, home, D2)
    ingested(spark, settings)
    features.run_features(spark, settings, contract=BIKES)
    whole = content(seen(spark, settings, D1), without=("_run_id",))
    for name in (STATIONS.name, RIDES.name, FEATURES.name):
        shutil.rmtree(home / "lake" / name)
    with pytest.raises(NotPublishedError, match="stations_judged") as e:
        features.run_features(spark, settings, contract=BIKES)
    assert "engage-spark ingest" in (e.value.hint or "")
    ingested(spark, settings)
    assert len(features.run_features(spark, settings, contract=BIKES).snapshots) == 2
    assert content(seen(spark, settings, D1), without=("_run_id",)) == whole
    assert by_day(spark, settings) == {D0: 20, D1: 20}


@pytest.mark.connect
def test_late_events_are_added_each_once(spark: SparkSession, settings: Settings, home: Path) -> None:
    table = BIKES.table("rides")
    deliver(of(1), BIKES, home, D1)
    first = rides([D0, D1])
    twice = pd.concat([first, first.iloc[:1]])  # one event is there twice in its file, which is two events
    deliver_log(twice, table, home)
    ingested(spark, settings)
    assert by_day(spark, settings) == {D0: 21, D1: 20}
    # a late one of the day before, some of the next day, and three that were delivered
    later = pd.concat([rides([D0], 1, seed=7), rides([D2], 5, seed=8), first.iloc[:3]])
    deliver_log(later, table, home, files=2)
    settings = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"landed_at": None})})
    result = ingested(spark, settings)
    assert by_day(spark, settings) == {D0: 22, D1: 20, D2: 5}
    (run,) = [s for s in result.snapshots if s.table == "rides"]
    assert (run.rows_in, run.valid, run.quarantined) == (9, 6, 0)
    assert [n.facts["n_events"] for n in result.notes if n.code == "EventsRepeated"] == [3]
    # the same in other files, once more: nothing is new, and it is done
    deliver_log(twice, table, home, files=3)
    ingested(spark, settings)
    assert by_day(spark, settings) == {D0: 22, D1: 20, D2: 5}
    assert "LogUpToDate" in notes(ingested(spark, settings))
    # rejected and killed deliveries add nothing that anybody sees
    broken = rides([D0, D1], seed=9)
    broken["bike_kind"] = "tricycle"
    deliver_log(broken, table, home)
    with pytest.raises(GateError):
        ingested(spark, settings)
    deliver_log(rides([D1], 3, seed=10), table, home)
    with killed_before("row in runs of ingest:rides"):
        ingested(spark, settings)
    assert by_day(spark, settings) == {D0: 22, D1: 20, D2: 5}
    ingested(spark, settings)
    assert by_day(spark, settings) == {D0: 22, D1: 23, D2: 5}


def test_whole_days_are_replaced_where_that_is_asked_for(
    spark: SparkSession, session_settings: Settings, home: Path
) -> None:
    table = BIKES.table("rides")
    settings = settings_of(session_settings, home, logs="replace_days")
    deliver(of(1), BIKES, home, D1)
    deliver_log(rides([D0, D1]), table, home)
    ingested(spark, settings)
    deliver_log(rides([D1, D2], 12, seed=2), table, home)
    result = ingested(spark, settings)
    assert by_day(spark, settings) == {D0: 20, D1: 6, D2: 6}
    assert [n.facts["days"] for n in result.notes if n.code == "DaysShrunk"] == [(f"{D1}: 20 to 6",)]
    refusing = settings_of(session_settings, home, logs="replace_days", shrinking_days="refuse")
    deliver_log(rides([D1, D2], 4, seed=3), table, home)
    with pytest.raises(InputError, match="2 days of rides would have fewer events"):
        ingested(spark, refusing)
    assert by_day(spark, settings) == {D0: 20, D1: 6, D2: 6}


def _with_ride_numbers(folder: Path) -> Contract:
    """The contract with a declared key of its events."""
    declared = yaml.safe_load((DATA / "bikes.odcs.yaml").read_text())
    (table,) = (t for t in declared["schema"] if t["name"] == "rides")
    number = {
        "name": "ride_no",
        "description": "Number of the ride.",
        "logicalType": "integer",
        "physicalType": "bigint",
        "required": True,
        "primaryKey": True,
        "primaryKeyPosition": 1,
        "customProperties": [{"property": "role", "value": "identifier"}],
    }
    table["properties"].insert(0, number)
    path = folder / "numbered.odcs.yaml"
    path.write_text(yaml.safe_dump(declared, sort_keys=False))
    return load_contract(path)


@pytest.mark.parametrize("holds", ["first", "last"])
def test_an_event_that_returns_with_other_content_is_counted_and_one_holds(
    spark: SparkSession, session_settings: Settings, home: Path, tmp_path: Path, holds: str
) -> None:
    contract = _with_ride_numbers(tmp_path)
    keyed = contract.table("rides")
    settings = settings_of(session_settings, home, changed_events=holds)
    deliver(of(1), contract, home, D1)
    rows = rides([D0, D1])
    rows["ride_no"] = range(len(rows))
    deliver_log(rows, keyed, home)
    ingest.run_ingest(spark, settings, contract=contract)
    changed = rows.iloc[[3, 4, 5]].copy()
    changed.loc[changed.index[:2], "to_station"] = "ST0018"
    deliver_log(changed, keyed, home)
    result = ingest.run_ingest(spark, settings, contract=contract)
    assert [n.facts["n_events"] for n in result.notes if n.code == "EventsChanged"] == [2]
    published = run_log(settings).read_published_log(spark, judged_table(keyed), stage=OF_RIDES)
    assert published.count() == len(rows)
    ends = {r[0]: r[1] for r in published.select("ride_no", "to_station").collect()}
    assert (ends[3] == "ST0018") is (holds == "last")
    # a run that runs again takes its own place again, and nothing else
    ingest.run_ingest(spark, settings, contract=contract, force=True)

    def seen_events() -> dict[int, str]:
        rows = run_log(settings).read_published_log(spark, judged_table(keyed), stage=OF_RIDES)
        valid = rows.select("ride_no", "to_station", "_dq_status").where("_dq_status = 'valid'").collect()
        assert len(valid) == len({r[0] for r in valid})
        return {r[0]: r[1] for r in valid}

    assert seen_events() == ends
    # the old and the new version in one delivery contradict each other, and say nothing against the old
    both = pd.concat([rows.iloc[[3]], rows.iloc[[3]].assign(to_station="ST0001")])
    deliver_log(both, keyed, home)
    with contextlib.suppress(GateError):
        ingest.run_ingest(spark, settings, contract=contract)
    assert seen_events() == ends


def test_events_that_return_with_a_new_field_are_the_same_events(
    spark: SparkSession, settings: Settings, home: Path, tmp_path: Path
) -> None:
    """The log has no key; two rides differ in nothing but the field that the contract gets later."""
    later = _with_remarks(tmp_path)
    deliver(of(1), BIKES, home, D1)
    rows = rides([D0, D1])
    rows.loc[1] = rows.loc[0]
    rows["remark"] = [f"no. {i}" for i in range(len(rows))]
    deliver_log(rows, BIKES.table("rides"), home)
    ingested(spark, settings)
    more = pd.concat([rows, rides([D1], 3, seed=5).assign(remark="new")])
    for files in (1, 2):
        deliver_log(more if files == 1 else more.iloc[::-1], later.table("rides"), home)
        result = ingest.run_ingest(spark, settings, contract=later)
        repeated = [n.facts["n_events"] for n in result.notes if n.code == "EventsRepeated"]
        assert repeated == [len(rows) if files == 1 else len(more)]
        published = run_log(settings).read_published_log(
            spark, judged_table(later.table("rides")), stage=OF_RIDES
        )
        assert published.count() == len(more) and published.where("remark = 'new'").count() == 3


def _with_remarks(folder: Path) -> Contract:
    """The contract with one more field of rides, which may be null."""
    declared = yaml.safe_load((DATA / "bikes.odcs.yaml").read_text())
    (table,) = (t for t in declared["schema"] if t["name"] == "rides")
    remark = {
        "name": "remark",
        "description": "What else there is to say.",
        "logicalType": "string",
        "physicalType": "string",
        "customProperties": [{"property": "role", "value": "audit"}],
    }
    table["properties"].append(remark)
    path = folder / "remarks.odcs.yaml"
    path.write_text(yaml.safe_dump(declared, sort_keys=False))
    return load_contract(path)


def test_an_orphan_is_judged_again_when_it_is_delivered_again(
    spark: SparkSession, settings: Settings, home: Path
) -> None:
    """Station 19 comes with the second day; a ride to it was delivered before."""
    settings = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"landed_at": None})})
    deliver(of(1, 19), BIKES, home, D0)
    ends = [("ST0000", "ST0019"), *(("ST0001", "ST0002") for _ in range(9))]
    some = events(BIKES.table("rides"), ends, [D0])
    deliver_log(some, BIKES.table("rides"), home)
    ingested(spark, settings)

    def valid_rides() -> int:
        rows = run_log(settings).read_published_log(spark, RIDES, stage=OF_RIDES)
        return rows.where("_dq_status = 'valid'").count()

    assert valid_rides() == 9
    deliver(of(1, 20), BIKES, home, D1)
    ingested(spark, settings)  # the same files: nothing is looked at again
    assert valid_rides() == 9
    deliver_log(some.iloc[:1], BIKES.table("rides"), home)
    ingested(spark, settings)
    assert valid_rides() == 10 and sum(by_day(spark, settings).values()) == 10


def test_who_left_since_is_no_orphan_of_the_past(spark: SparkSession, settings: Settings, home: Path) -> None:
    """Station 19 is there on the first day and gone on the second; events of the first day know it."""
    deliver(of(1), BIKES, home, D0)
    deliver(of(1, 19), BIKES, home, D1)
    ends = [("ST0000", "ST0019"), ("ST0001", "ST0002")]
    deliver_log(events(BIKES.table("rides"), ends * 20, [D0, D0, D2]), BIKES.table("rides"), home)
    settings = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"landed_at": None})})
    ingested(spark, settings)
    rows = Lake(settings.lake).read(spark, RIDES.name)
    orphans = {
        str(r[0]): r[1]
        for r in rows.where("_dq_status = 'quarantined'").groupBy("event_date").count().collect()
    }
    assert list(orphans) == [D2]


def test_the_nearest_snapshots_before_and_after_an_event_are_asked() -> None:
    days = [date(2025, 10, d) for d in (1, 10, 20)]

    def number(day: int) -> int:
        return (date(2025, 10, day) - date(1970, 1, 1)).days

    assert nearest_days(days, [number(10)]) == days[1:]
    assert nearest_days(days, [number(12)]) == days[1:]
    assert nearest_days(days, [number(31)]) == [days[2]]
    assert nearest_days(days, [-1, 10**7]) == [days[0], days[2]]
    assert nearest_days(days, []) == [days[2]]


def test_a_day_that_cannot_be_read_does_not_stop_newer_ones(
    spark: SparkSession, settings: Settings, home: Path
) -> None:
    for day in (D0, D1):
        deliver(of(1), BIKES, home, day)
    (bad,) = (home / "raw" / "stations" / f"snapshot_date={D0}").glob("*.parquet")
    bad.write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(InputError) as e:
        ingested(spark, settings)
    assert bad.name in str(e.value)
    assert docks(spark, settings) == docks(spark, settings, D1) > 0
