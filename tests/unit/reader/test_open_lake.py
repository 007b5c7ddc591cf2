"""What is published is read without Spark, and nothing else is: lakes are made by deltalake here."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from engage_spark import open_lake
from engage_spark.cli import main
from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, InputError, NotPublishedError, PermanentError
from engage_spark.publication import REJECTED
from engage_spark.reader import OpenLake
from engage_spark.settings import LakeSettings, Settings
from tests.support.lake_without_spark import SmallLake
from tests.support.paths import DATA

BIKES = load_contract(DATA / "bikes.odcs.yaml")
MONDAY, TUESDAY, WEDNESDAY = date(2025, 10, 20), date(2025, 10, 21), date(2025, 10, 22)
ENTITY, (RIDES, *_) = BIKES.entity, BIKES.logs


def stations(*names: str, docks: int = 10, status: str = "valid") -> list[dict[str, object]]:
    return [{"station_code": n, "docks_total": docks, "_dq_status": status} for n in names]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Monday was delivered twice, Tuesday rejected after it was published, Wednesday killed."""
    lake = SmallLake(tmp_path_factory.mktemp("bikes"), BIKES)
    lake.ingest(ENTITY, MONDAY, stations("A", "B", docks=5), "m1")
    lake.ingest(ENTITY, MONDAY, stations("A", "B", "C") + stations("X", status="quarantined"), "m2")
    lake.ingest(ENTITY, TUESDAY, stations("A"), "t1")
    lake.ingest(ENTITY, TUESDAY, stations("bad"), "t2", status=REJECTED)
    lake.ingest(ENTITY, WEDNESDAY, stations("half"), "w1", killed=True)
    return lake


@pytest.fixture
def lake(small: SmallLake) -> OpenLake:
    return open_lake(small.root, contract=BIKES)


def codes(lake: OpenLake, query: str) -> list[str]:
    return sorted(lake.sql(query).to_arrow().column(0).to_pylist())


def test_the_published_valid_rows_are_seen_and_no_others(lake: OpenLake) -> None:
    rows = lake.table("stations").to_pandas()
    seen = sorted(zip(rows["station_code"], rows["docks_total"], rows["snapshot_date"], strict=True))
    assert seen == [("A", 10, MONDAY), ("A", 10, TUESDAY), ("B", 10, MONDAY), ("C", 10, MONDAY)]
    assert not [name for name in rows.columns if name.startswith("_")]
    assert lake.days("stations") == (MONDAY, TUESDAY)
    assert codes(lake, "SELECT station_code FROM stations_judged WHERE _dq_status <> 'valid'") == ["X"]


def test_a_table_is_read_as_of_a_day_and_by_columns(lake: OpenLake) -> None:
    rows = lake.table("stations", as_of="2025-10-20", columns=["docks_total", "station_code"])
    assert rows.columns == ("docks_total", "station_code")
    assert len(rows) == 3
    assert rows.to_polars().height == 3
    with pytest.raises(NotPublishedError, match="2025-10-22"):
        lake.table("stations", as_of=WEDNESDAY)
    with pytest.raises(ConfigurationError, match="no column docks"):
        lake.table("stations", columns=["docks"])
    with pytest.raises(ConfigurationError, match="no table 'nothing'"):
        lake.table("nothing")
    with pytest.raises(NotPublishedError, match="predictions has no published"):
        lake.table("predictions")


def test_a_log_has_each_event_of_every_published_run_once(small: SmallLake, tmp_path: Path) -> None:
    home = SmallLake(Path(shutil.copytree(small.root, tmp_path / "lake")), BIKES, list(small.runs))
    event = next(f.name for f in RIDES.fields if f.spark_type == "string")
    home.ingest(RIDES, MONDAY, [{event: "one"}, {event: "two", "_replaced_by": "r2"}], "r1", is_log=True)
    lake = open_lake(home.root, contract=BIKES)
    assert codes(lake, f"SELECT {event} FROM {RIDES.name}") == ["one", "two"], "r2 was not published"
    home.ingest(
        RIDES, MONDAY, [{event: "two again"}, {event: "gone", "_replaced_by": "r9"}], "r2", is_log=True
    )
    home.ingest(RIDES, TUESDAY, [{event: "killed"}], "r3", is_log=True, killed=True)
    assert codes(lake, f"SELECT {event} FROM {RIDES.name}") == ["one", "two"], "as it was when it was opened"
    lake.refresh()
    assert codes(lake, f"SELECT {event} FROM {RIDES.name}") == ["gone", "one", "two again"]


def test_a_derived_day_whose_source_was_published_again_is_not_there(
    small: SmallLake, tmp_path: Path
) -> None:
    home = SmallLake(Path(shutil.copytree(small.root, tmp_path / "lake")), BIKES, list(small.runs))
    (derived,) = BIKES.derived
    from engage_spark.contract import tracked_table

    stored = tracked_table(derived)
    for day, run, source in ((MONDAY, "f1", "m1"), (TUESDAY, "f2", "t1")):
        row = {"station_code": "A", "snapshot_date": day, "_run_id": run}
        home.write(stored, [row], partition_by=["snapshot_date", "_run_id"])
        home.publish(
            f"features:{derived.name}",
            day,
            run,
            rows=1,
            outputs={derived.name: 0},
            inputs={"stations": source},
        )
    lake = open_lake(home.root, contract=BIKES)
    assert lake.days(derived.name) == (TUESDAY,)
    with pytest.raises(NotPublishedError) as old:
        lake.table(derived.name, as_of=MONDAY)
    assert any("2025-10-20 is out of date: stations changed" in line for line in old.value.details)


def test_a_day_whose_rows_are_gone_is_said(small: SmallLake, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    root = Path(shutil.copytree(small.root, tmp_path / "lake"))
    DeltaTable(str(root / "stations_judged")).delete("_run_id = 't1'")
    lake = open_lake(root, contract=BIKES)
    with pytest.raises(NotPublishedError, match="does not hold the published rows of 2025-10-21"):
        lake.table("stations", as_of=TUESDAY)
    with pytest.warns(UserWarning, match="2025-10-21 any more: they are left out"):
        assert len(lake.table("stations")) == 3


HOSTILE = {
    "a file": "SELECT * FROM read_csv('/etc/passwd')",
    "text of a file": "SELECT content FROM read_text('/etc/passwd')",
    "a file by its name": "SELECT * FROM '/etc/passwd'",
    "a Parquet file": "SELECT * FROM '{parquet}'",
    "a listing": "SELECT * FROM glob('/etc/*')",
    "the network": "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "writing": "COPY (SELECT 1) TO '{home}/out.csv'",
    "another database": "ATTACH '{home}/other.db'",
    "an extension": "INSTALL httpfs",
    "loading": "LOAD httpfs",
    "a setting": "SET enable_external_access = true",
    "a pragma": "PRAGMA memory_limit='1TB'",
    "two statements": "SELECT 1; SELECT 2",
    "an export": "EXPORT DATABASE '{home}/all'",
    "a variable of Python": "SELECT * FROM secret_frame",
    "the environment": "SELECT getenv('HOME')",
    "a new table": "CREATE TABLE t AS SELECT 1",
    "the plain table": "SELECT * FROM delta_scan('{home}')",
    "the view's own source": "SELECT * FROM query_table((SELECT sql FROM duckdb_views() LIMIT 1))",
    "a query in a query": "SELECT * FROM query('SELECT * FROM stations_judged; SET threads = 1')",
    "no query": "DELETE FROM stations",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_query_reaches_nothing_but_the_published_tables(
    lake: OpenLake, small: SmallLake, tmp_path: Path, what: str
) -> None:
    import pandas as pd

    secret_frame = pd.DataFrame({"secret": [1]})
    parquet = next((small.root / "stations_judged").rglob("*.parquet"))
    query = HOSTILE[what].format(parquet=parquet, home=tmp_path)
    with pytest.raises((InputError, PermanentError)):
        lake.sql(query)
    assert not list(tmp_path.iterdir())
    assert len(secret_frame) == 1


def test_mistakes_are_told_in_words(lake: OpenLake) -> None:
    with pytest.raises(InputError) as missing:
        lake.sql("SELECT * FROM stationz")
    assert "tables are:" in (missing.value.hint or "")
    with pytest.raises(InputError, match="docks"):
        lake.sql("SELECT docks FROM stations")
    with pytest.raises(InputError, match="cannot be read"):
        lake.sql("SELEC 1")
    assert lake.sql("SELECT count(*) AS n FROM STATIONS").to_pandas()["n"][0] == 4
    assert lake.sql("SELECT 1 AS one").to_arrow().to_pylist() == [{"one": 1}]


def test_a_lake_that_is_not_there_or_not_a_path(tmp_path: Path) -> None:
    with pytest.raises(NotPublishedError, match="no lake at"):
        open_lake(tmp_path / "nothing", contract=BIKES).table("stations")
    catalog = Settings(
        lake=LakeSettings(catalog="main", schema="data", scratch=str(tmp_path))  # type: ignore[call-arg]
    )
    with pytest.raises(ConfigurationError, match="the catalog main"):
        open_lake(catalog, contract=BIKES)


@pytest.mark.parametrize("words", [[], ["--json"], ["--csv"]])
def test_the_command_answers_as_a_table_as_json_and_as_csv(
    small: SmallLake, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    options = ["--contract", str(DATA / "bikes.odcs.yaml"), "--set", f"lake.root={small.root}"]
    query = "SELECT station_code, docks_total / 3 AS third FROM stations ORDER BY ALL LIMIT 2"
    main([*options, "sql", query, *words])
    out = capsys.readouterr().out
    if words == ["--json"]:
        assert json.loads(out)["rows"][0] == {"station_code": "A", "third": pytest.approx(10 / 3)}
    elif words == ["--csv"]:
        assert out.splitlines() == ["station_code,third", f"A,{10 / 3!r}", f"A,{10 / 3!r}"]
    else:
        assert "3.33333" in out
        assert "2 rows" in out


def test_the_command_lists_the_tables_and_writes_a_file(
    small: SmallLake, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--contract", str(DATA / "bikes.odcs.yaml"), "--set", f"lake.root={small.root}"]
    main([*options, "sql"])
    listed = capsys.readouterr().out
    assert "stations_judged" in listed
    assert "2025-10-21" in listed
    main([*options, "sql", "SELECT count(*) AS n FROM stations", "--out", str(tmp_path / "n.csv")])
    assert (tmp_path / "n.csv").read_text(encoding="utf-8") == "n\n4\n"
    with pytest.raises(SystemExit) as refused:
        main([*options, "sql", "COPY stations TO 'x.csv'"])
    assert refused.value.code == 2
