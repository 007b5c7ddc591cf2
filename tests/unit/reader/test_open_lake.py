"""What is published is read without Spark, and nothing else is: lakes are made by deltalake here."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from engage_spark import open_lake
from engage_spark.cli import main
from engage_spark.contract import load_contract, system_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.errors import ConfigurationError, InputError, NotPublishedError, TransientError
from engage_spark.publication import REJECTED
from engage_spark.reader import OpenLake
from engage_spark.reader.query import SHUT, names_in
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


@pytest.mark.parametrize("name", ["a b#c?d", "été"])
def test_files_on_disk_are_read_by_arrow_itself_wherever_they_lie(
    small: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What Arrow reads ahead through Python's hands ends a process by a signal that is ending anyway."""
    root = shutil.copytree(small.root, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for place in (str(root), name, f"./{name}/"):
        lake = open_lake(place, contract=small.contract)
        (table,) = {v.stored for v in lake.views.values() if v.name == "stations"}
        dataset = lake._files.dataset(table)
        assert all("py" not in f.filesystem.type_name for f in dataset.get_fragments())
        assert codes(lake, "SELECT station_code FROM stations") == codes(
            open_lake(small.root, contract=small.contract), "SELECT station_code FROM stations"
        )


def test_batches_hold_what_the_table_holds_of_a_day(lake: OpenLake) -> None:
    """Neither what was replaced or quarantined, nor another day; a column that no file has is null."""
    asked = {"as_of": MONDAY, "columns": ["station_code", "docks_total", "district"]}
    rows = [row for batch in lake.batches("stations", **asked) for row in batch.to_pylist()]
    assert sorted((r["station_code"], r["docks_total"], r["district"]) for r in rows) == [
        ("A", 10, None),
        ("B", 10, None),
        ("C", 10, None),
    ]
    (one,) = lake.batches("stations", where={"station_code": "B"}, **asked)
    assert one.to_pylist() == [{"station_code": "B", "docks_total": 10, "district": None}]
    for hidden in ({"station_code": "X"}, {"docks_total": 5}, {"docks_total": 10**30}, {"no_column": 1}):
        assert list(lake.batches("stations", where=hidden, **asked)) == []
    with pytest.raises(NotPublishedError, match="2025-10-22"):
        list(lake.batches("stations", as_of=WEDNESDAY, columns=["station_code"]))
    with pytest.raises(ConfigurationError, match="no snapshots"):
        list(lake.batches(RIDES.name, as_of=MONDAY, columns=["ride_id"]))


def test_parameters_are_values_and_never_sql(lake: OpenLake) -> None:
    query = "SELECT station_code FROM stations WHERE station_code = ?"
    assert lake.sql(query, parameters=["A"], as_of=TUESDAY).to_arrow().to_pylist() == [{"station_code": "A"}]
    assert len(lake.sql(query, parameters=["A' OR 'a' = 'a"])) == 0
    assert len(lake.sql(query, parameters=["A"], as_of=[MONDAY, TUESDAY])) == 2
    assert len(lake.sql(query, parameters=["A"], as_of=[MONDAY, WEDNESDAY])) == 1
    with pytest.raises(NotPublishedError, match="2025-10-22"):
        lake.sql(query, parameters=["A"], as_of=[WEDNESDAY])
    with pytest.raises(InputError):
        lake.sql(query)


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
    with pytest.raises(ConfigurationError, match="is no day"):
        lake.table(RIDES.name, as_of="yesterday")
    assert len(lake.table(RIDES.name, as_of="2025-10-20")) == 3
    assert len(lake.table(RIDES.name, as_of="2025-10-19")) == 0


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


def test_a_day_that_was_published_again_since_the_first_look_is_no_loss(
    small: SmallLake, tmp_path: Path
) -> None:
    """Its rows are others by now: whoever asks again sees them, and nobody is sent to make them anew."""
    from deltalake import DeltaTable

    again = SmallLake(Path(shutil.copytree(small.root, tmp_path / "lake")), BIKES, runs=[*small.runs])
    lake = open_lake(again.root, contract=BIKES)
    assert lake.days("stations") == (MONDAY, TUESDAY)
    again.ingest(ENTITY, TUESDAY, stations("A", "B", "C"), "t3")
    DeltaTable(str(again.root / "stations_judged")).delete("_run_id = 't1'")
    for asked in ({"as_of": TUESDAY}, {}):
        with pytest.raises(TransientError, match="written again since") as raised:
            lake.table("stations", **asked)  # type: ignore[arg-type]
        assert "refresh()" in (raised.value.hint or "")
    with pytest.raises(TransientError):
        next(lake.batches("stations", as_of=TUESDAY, columns=["station_code"]))
    lake.refresh()
    assert len(lake.table("stations", as_of=TUESDAY)) == 3


HOSTILE = {
    "a file": "SELECT * FROM read_csv('/etc/passwd')",
    "text of a file": "SELECT content FROM read_text('/etc/passwd')",
    "a file by its name": "SELECT * FROM '/etc/passwd'",
    "a Parquet file": "SELECT * FROM '{parquet}'",
    "a listing": "SELECT * FROM glob('/etc/*')",
    "the network": "SELECT * FROM read_csv('{server}')",
    "a pipe": "SELECT * FROM read_csv('{pipe}')",
    "writing": "COPY (SELECT 1) TO '{home}/out.csv'",
    "another database": "ATTACH '{home}/other.db'",
    "an extension": "INSTALL httpfs",
    "loading": "LOAD httpfs",
    "an extension by a function": "SELECT * FROM sql_auto_complete('S')",
    "a setting": "SET enable_external_access = true",
    "a pragma": "PRAGMA memory_limit='1TB'",
    "two statements": "SELECT 1; SELECT 2",
    "an export": "EXPORT DATABASE '{home}/all'",
    "a variable of Python": "SELECT * FROM secret_frame",
    "a new table": "CREATE TABLE t AS SELECT 1",
    "the plain table": "SELECT * FROM delta_scan('{home}')",
    "the view's own source": "SELECT * FROM query_table((SELECT sql FROM duckdb_views() LIMIT 1))",
    "a query in a query": "SELECT * FROM query('SELECT * FROM stations_judged')",
    "a query as JSON": "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "a query in capitals": "SELECT * FROM system.main.QUERY('SELECT 1')",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "a log in a file": "SELECT * FROM enable_logging(storage := 'file')",
    "metadata of a file": "SELECT * FROM parquet_metadata('{parquet}')",
    "a description": "DESCRIBE stations",
    "settings": "SELECT * FROM duckdb_settings()",
    "the value of a setting": "SELECT current_setting('secret_directory')",
    "a setting beside a table": "SELECT * FROM stations WHERE station_code = CURRENT_SETTING('TimeZone')",
    "how a view is made": "SELECT sql FROM duckdb_views",
    "what lies behind the views": "SELECT table_name FROM information_schema.tables",
    "what lies behind them, by Postgres' names": "SELECT relname FROM pg_class",
    "what lies behind them, by SQLite's names": "WITH x AS (SELECT sql FROM sqlite_master) SELECT * FROM x",
    "a table of DuckDB's own": "SELECT * FROM system.main.duckdb_tables",
    "its log": "SELECT * FROM truncate_duckdb_logs()",
    "no query": "DELETE FROM stations",
}


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    """An address on loopback, and what was asked of it."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(100))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x.csv", asked
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize("what", HOSTILE)
def test_a_query_reaches_nothing_but_the_published_tables(
    lake: OpenLake, small: SmallLake, tmp_path: Path, server: tuple[str, list[bytes]], what: str
) -> None:
    secret_frame = pd.DataFrame({"secret": [1]})
    address, asked = server
    (home := tmp_path / "home").mkdir()
    os.mkfifo(tmp_path / "pipe")
    parquet = next((small.root / "stations_judged").rglob("*.parquet"))
    query = HOSTILE[what].format(parquet=parquet, home=home, server=address, pipe=tmp_path / "pipe")
    with pytest.raises(InputError):
        lake.sql(query)
    assert not list(home.iterdir())
    assert not asked
    assert len(secret_frame) == 1


def test_the_shut_options_are_what_keeps_a_query_in(tmp_path: Path) -> None:
    """Each attempt works where nothing is shut: the tests above can fail."""
    (tmp_path / "x.csv").write_text("a\n1\n", encoding="utf-8")
    frame = pd.DataFrame({"secret": [1]})
    with duckdb.connect(":memory:") as open_one:
        assert open_one.sql(f"SELECT * FROM read_csv('{tmp_path}/x.csv')").fetchall() == [(1,)]
        assert open_one.sql("SELECT * FROM frame").fetchall() == [(1,)]
    with duckdb.connect(":memory:", config=dict(SHUT)) as shut:
        for query in (f"SELECT * FROM read_csv('{tmp_path}/x.csv')", "SELECT * FROM frame"):
            with pytest.raises(duckdb.Error):
                shut.sql(query)
    assert len(frame) == 1


@pytest.mark.parametrize("memory", ["1GB'; COPY (SELECT 42) TO '/tmp/x.csv", "much", "-1GB", ""])
def test_a_bound_of_memory_is_an_amount(lake: OpenLake, memory: str) -> None:
    with pytest.raises(InputError, match="no amount of memory"):
        lake.sql("SELECT 1", memory=memory)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) AS n FROM stations JOIN stations_judged USING (station_code, snapshot_date)",
        "SELECT count(*) AS n FROM stations NATURAL JOIN (SELECT DISTINCT snapshot_date FROM stations)",
        "WITH s AS (SELECT * FROM stations) SELECT count(*) AS n FROM s AS a JOIN s AS b USING (station_code)"
        " WHERE a.snapshot_date = b.snapshot_date",
        "SELECT count(COLUMNS('station_code')) AS n FROM stations",
        "SELECT (SELECT count(*) FROM main.stations) AS n",
        "FROM stations SELECT count(*) AS n",
        "SELECT count(*) AS n FROM stations, unnest([1]) AS once(x) WHERE x IN (SELECT * FROM range(2))",
    ],
)
def test_every_form_of_a_query_over_the_tables_is_answered(lake: OpenLake, query: str) -> None:
    assert lake.sql(query, memory="256MB", threads=1).to_arrow()[0].to_pylist() == [4]


def test_a_table_of_the_lake_may_be_named_like_those_of_duckdb() -> None:
    assert names_in("SELECT * FROM pg_stations", known=["PG_stations"]) == {"pg_stations"}
    with pytest.raises(InputError, match="there is no table pg_stations"):
        names_in("SELECT * FROM pg_stations")


def test_sums_of_whole_numbers_are_whole_numbers(lake: OpenLake) -> None:
    rows = lake.sql("SELECT sum(docks_total) AS docks FROM stations").to_pandas()
    assert rows["docks"].dtype == "int64"
    assert rows["docks"][0] == 40


def test_a_column_that_the_lake_was_written_without_is_null(small: SmallLake) -> None:
    (kept, *_) = (f for f in ENTITY.fields if f.name == "docks_total")
    wider = replace(ENTITY, fields=(*ENTITY.fields, replace(kept, name="remark", required=False)))
    contract = replace(BIKES, tables=tuple(wider if t.name == ENTITY.name else t for t in BIKES.tables))
    lake = open_lake(small.root, contract=contract)
    assert lake.table("stations").to_pandas()["remark"].isna().all()
    assert lake.sql("SELECT count(*) AS n FROM stations").to_arrow()[0].to_pylist() == [4]


def test_a_table_that_the_published_run_wrote_nothing_to_has_no_rows(tmp_path: Path) -> None:
    """Such as the changes of a lake's first day, whose table is not there yet."""
    lake = SmallLake(tmp_path, BIKES)
    lake.ingest(ENTITY, MONDAY, stations("A"), "m1")
    lake.publish("analyze", MONDAY, "a1", rows=1, outputs={"segments": 0})
    opened = open_lake(lake.root, contract=BIKES)
    changes = opened.table("changes", as_of=MONDAY)
    assert len(changes) == 0
    assert {"metric", "change"} <= set(changes.columns)
    assert opened.sql("SELECT count(*) FROM changes").to_arrow()[0].to_pylist() == [0]
    with pytest.raises(ConfigurationError, match="segments"):
        opened.table("segments")


def test_claims_on_the_checks_of_an_earlier_delivery_are_named(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path, BIKES)
    lake.ingest(ENTITY, MONDAY, stations("A"), "m1")
    lake.ingest(RIDES, MONDAY, [{"ride_id": "one"}], "r1", is_log=True)
    (about, *_) = (c.name for c in analytics_spec_of(BIKES).claims if c.table == RIDES.name)
    row = {"claim": about, "verdict": "holds", "snapshot_date": MONDAY, "run_id": "a1"}
    lake.write(system_contract().table("claims"), [row], partition_by=["snapshot_date", "run_id"])
    inputs = {ENTITY.name: "m1", f"checks_of_{RIDES.name}": "r1"}
    lake.publish("analyze", MONDAY, "a1", rows=1, outputs={"claims": 0}, inputs=inputs)
    opened = open_lake(lake.root, contract=BIKES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert codes(opened, "SELECT verdict FROM claims") == ["holds"]
    assert opened.claims_of_earlier_checks(MONDAY) == {}
    lake.ingest(RIDES, MONDAY, [{"ride_id": "two"}], "r2", is_log=True)
    opened.refresh()
    with pytest.warns(UserWarning, match="claims of 2025-10-20 on the checks of rides tell of an earlier"):
        assert codes(opened, "SELECT verdict FROM claims") == ["holds"]
    named = opened.claims_of_earlier_checks(MONDAY)
    assert named[about] == RIDES.name and set(named.values()) == {RIDES.name}


def test_a_lake_and_its_rows_are_shown_in_a_line(lake: OpenLake, small: SmallLake) -> None:
    assert repr(lake) == f"OpenLake({str(small.root)!r}, contract 'bikes')"
    assert repr(lake.sql("SELECT 1 AS a, 2 AS b")) == "LakeRows(1 row of a, b; to_pandas() shows them)"
    wide = lake.sql("SELECT " + ", ".join(f"{i} AS c{i}" for i in range(9)))
    assert (
        repr(wide) == "LakeRows(1 row of c0, c1, c2, c3, c4, c5 and 3 columns more; to_pandas() shows them)"
    )


def test_mistakes_are_told_in_words(lake: OpenLake) -> None:
    with pytest.raises(InputError) as missing:
        lake.sql("SELECT * FROM stationz")
    assert missing.value.message == "there is no table stationz; did you mean stations?"
    assert "tables are:" in (missing.value.hint or "")
    with pytest.raises(
        InputError, match="^there is no table sqlite_mister\n"
    ):  # none of DuckDB's own is named
        lake.sql("SELECT * FROM sqlite_mister")
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


@pytest.mark.parametrize("words", [[], ["--json"], ["--csv"]])
def test_a_day_beyond_the_calendar_is_refused_in_words(
    small: SmallLake, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    options = ["--contract", str(DATA / "bikes.odcs.yaml"), "--set", f"lake.root={small.root}"]
    with pytest.raises(SystemExit) as refused:
        main([*options, "sql", "SELECT DATE '20000-01-01' AS d", *words])
    assert refused.value.code == 2
    assert "a value cannot be written" in "".join(capsys.readouterr())


def test_the_rows_of_an_answer_are_written_as_they_are(
    small: SmallLake, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--contract", str(DATA / "bikes.odcs.yaml"), "--set", f"lake.root={small.root}"]
    query = "SELECT TIMESTAMP '2025-10-21 10:00:00' AS t, 'bob@example.com' AS e, 'password=x y' AS p, 2 AS e"
    main([*options, "sql", query, "--csv"])
    printed = capsys.readouterr().out
    assert printed.splitlines()[1] == "2025-10-21T10:00:00,bob@example.com,password=x y,2"
    main([*options, "sql", query, "--out", str(tmp_path / "a.csv")])
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == printed
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*options, "sql", query, "--json"])
    assert "two columns are named e" in json.loads(capsys.readouterr().out)["error"]["message"]


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
