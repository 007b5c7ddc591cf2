"""The whole way in S3: raw Parquet and Delta tables in one bucket of a moto server on loopback.

Everything runs in one process, because S3's jars must be there when its JVM starts; the tests below look at
what it left behind.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from engage_spark.spark import jars, versions
from tests.support.commands import ROOT, CommandResult, overrides, run, run_engage_spark, small_session

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto.server")

pytestmark = [pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(1200)]
BUCKET, CUSTOMERS = "engagement-prediction-raw-test", 120
KEYS = {"access_key": "AKIDENGAGETESTONLY01", "secret_key": "not-a-secret/but+must=stay+hidden-0123456789"}
CONDITIONS = """
SELECT count(*), count(DISTINCT customer_id), count(engagement_velocity),
  count(DISTINCT customers_judged._run_id),
       count_if(abs(engagement_velocity
           - coalesce(try_divide(sessions_last_7_days - sessions_last_30_days / 4,
              sessions_last_30_days), 0)) > 1e-12)
FROM delta.`{lake}/customer_features`
  JOIN delta.`{lake}/customers_judged` AS customers_judged
  USING (customer_id, snapshot_date)
"""

ASKED = """SELECT count(*) AS n, count(engagement_velocity) AS m
FROM customers JOIN customer_features USING (customer_id)"""


class Way(NamedTuple):
    """What the process did: each step's result by name, and the bucket."""

    results: dict[str, Any]
    client: Any
    home: Path
    process: CommandResult

    def command(self, name: str) -> CommandResult:
        return CommandResult(**self.results[name])

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def nobody() -> str:
    """An endpoint at which nothing listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


def conf_dir(home: Path, endpoint: str) -> Path:
    """The packaged configuration, with an overlay for this server. The keys come by environment variables, as
    they should.
    """
    made = home / "conf"
    made.mkdir()
    (made / "base.yaml").write_text(
        (ROOT / "conf" / "base.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    overlay = yaml.safe_load((ROOT / "conf" / "s3.yaml").read_text(encoding="utf-8"))
    overlay |= {
        "env": "test",
        "lake": {"root": f"s3a://{BUCKET}/lake"},
        "synth": {"out": f"s3a://{BUCKET}/raw"},
    }
    overlay |= {"input": {"root": f"s3a://{BUCKET}/raw"}}
    overlay["s3"] = {"region": "us-east-1", "endpoint": endpoint, "path_style": True, "ssl": False}
    (made / "moto.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    return made


def secrets() -> dict[str, str]:
    return {f"ENGAGE_SPARK__S3__{name.upper()}": value for name, value in KEYS.items()}


@pytest.fixture(scope="module")
def way(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Way:
    pair = versions.installed_pair()
    wanted = (pair.delta_package, pair.line.s3a_package)
    if not jars.resolved(wanted, ivy=jars.ivy_home({})):
        pytest.skip(
            "the S3 jars are not here: `engage-spark doctor --env s3 --fetch-jars` fetches them (0.7 "
            "GB), and so does `make test`"
        )
    home = tmp_path_factory.mktemp("s3")
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )
    client.create_bucket(Bucket=BUCKET)
    common = ["--env", "moto", "--conf-dir", str(conf_dir(home, endpoint))]
    lake, at = f"s3a://{BUCKET}/lake", f"s3a://{BUCKET}/lake/customers_judged"
    streamed = overrides(lake__root=f"s3a://{BUCKET}/streamed")
    steps: dict[str, dict[str, Any]] = {
        "synth": {"argv": [*common, "synth", "--customers", str(CUSTOMERS)]},
        "ingest": {"argv": [*common, "ingest"]},
        "features": {"argv": [*common, "features"]},
        "again": {"argv": [*common, "ingest"]},
        "keys": {"argv": [*common, "ingest", "--table", "customers", *streamed]},
        "stream": {"argv": [*common, "ingest", "--stream", "--json", *streamed]},
        "stream again": {"argv": [*common, "ingest", "--stream", "--json", *streamed]},
        "asked": {"argv": [*common, "sql", ASKED, "--csv"]},
        "judged": {"sql": f"SELECT _dq_status, count(*) FROM delta.`{at}` GROUP BY 1"},
        "raw": {"sql": f"SELECT count(*) FROM parquet.`s3a://{BUCKET}/raw/customers`"},
        "events": {
            "sql": f"SELECT (SELECT count(*) FROM delta.`{lake}/connections_judged`) "
            f"+ (SELECT count(*) FROM delta.`{lake}/interactions_judged`)"
        },
        "derived": {"sql": CONDITIONS.format(lake=lake)},
        "runs": {"sql": f"SELECT stage, status FROM delta.`{lake}/runs` ORDER BY finished_at"},
        "truncated": {"argv": [*common, "ingest", "--input", f"s3a://{BUCKET}/broken"]},
        "empty object": {"argv": [*common, "ingest", "--input", f"s3a://{BUCKET}/empty"]},
        "no such prefix": {"argv": [*common, "ingest", "--input", f"s3a://{BUCKET}/nothing-here"]},
        "no such bucket": {"argv": [*common, "ingest", "--input", "s3a://engagement-no-such-bucket/raw"]},
        "no such lake": {
            "argv": [*common, "ingest", *overrides(lake__root="s3a://engagement-no-such-bucket/lake")]
        },
        "runs in the end": {"sql": f"SELECT count(*) FROM delta.`{lake}/runs`"},
        "graph": {"argv": [*common, "graph"]},
        "measured": {
            "sql": "SELECT count(*), count_if(degree > 0), min(betweenness_method) FROM "
            f"delta.`{lake}/graph_features`"
        },
    }
    _deliver_broken_snapshots(client)
    plan = {
        "env": "moto",
        "conf_dir": common[-1],
        "secrets": KEYS,
        "steps": list(steps.values()),
        "overrides": [w for w in small_session(home) if w != "--set"] + [f"log.spark={home / 'spark.log'}"],
    }
    (home / "steps.json").write_text(json.dumps(plan), encoding="utf-8")
    script = [
        sys.executable,
        str(ROOT / "tests" / "support" / "one_session.py"),
        str(home / "steps.json"),
        str(home / "results.json"),
    ]
    process = run(script, cwd=home, env=secrets())
    assert process.code == 0, process.transcript[-4000:]
    results = json.loads((home / "results.json").read_text(encoding="utf-8"))
    return Way(
        dict(zip(steps, results["steps"], strict=True)) | {"exposed": results["exposed"]},
        client,
        home,
        process,
    )


def _deliver_broken_snapshots(client: Any) -> None:
    """Objects that claim to be Parquet: one cut off in the middle, one of 0 bytes, each beside nothing
    else.
    """
    client.put_object(
        Bucket=BUCKET,
        Key="broken/customers/snapshot_date=2025-10-22/part-cut.parquet",
        Body=b"PAR1" + b"\x15\x04" * 400,
    )
    client.put_object(
        Bucket=BUCKET, Key="empty/customers/snapshot_date=2025-10-22/part-zero.parquet", Body=b""
    )


def test_synth_ingest_and_features_run_against_a_bucket(way: Way) -> None:
    for name in ("synth", "ingest", "features"):
        assert way.command(name).code == 0, way.command(name).transcript


def test_logs_of_a_bucket_are_streamed_with_a_checkpoint_beside_their_tables(way: Way) -> None:
    for name in ("keys", "stream", "stream again"):
        assert way.command(name).code == 0, way.command(name).transcript
    batches = json.loads(way.command("stream").out)["snapshots"]
    assert {b["table"]: b["status"] for b in batches} == dict.fromkeys(
        ("connections", "interactions"), "published"
    )
    assert all(b["latency"]["p50"] > 0 for b in batches)
    assert sum(b["valid"] for b in batches) == way.results["events"][0][0] > CUSTOMERS
    assert json.loads(way.command("stream again").out)["snapshots"] == []
    for table in ("connections", "interactions"):
        assert [k for k in way.keys(f"streamed/_streams/{table}/") if k.endswith("/commits/0")]


def test_the_graph_is_measured_against_a_bucket(way: Way) -> None:
    ran = way.command("graph")
    assert ran.code == 0, ran.transcript
    output = " ".join(ran.out.split())  # notes wrap at 80 columns
    assert "no picture: the lake is not a path of this machine; set graph.pictures to a folder" in output
    customers, connected, method = way.results["measured"][0]
    assert (customers, method) == (CUSTOMERS, "exact") and connected > CUSTOMERS / 2
    assert not [k for k in way.keys("lake/_scratch/") if not k.endswith("/")], "temporary tables are gone"


def test_all_rows_of_the_bucket_are_judged_and_derived(way: Way) -> None:
    assert way.results["raw"] == [[CUSTOMERS]]
    assert way.results["judged"] == [["valid", CUSTOMERS]]
    rows, customers, velocities, runs, wrong = way.results["derived"][0]
    assert (rows, customers, velocities, runs, wrong) == (CUSTOMERS, CUSTOMERS, CUSTOMERS, 1, 0)


def test_the_bucket_is_read_without_spark(way: Way) -> None:
    assert way.command("asked").code == 0, way.command("asked").transcript
    assert way.command("asked").out == f"n,m\n{CUSTOMERS},{CUSTOMERS}\n"


def test_each_attempt_is_recorded_as_published(way: Way) -> None:
    stages = ["ingest:customers", "ingest:connections", "ingest:interactions", "features:customer_features"]
    assert way.results["runs"] == [[stage, "published"] for stage in stages]


def test_raw_parquet_and_delta_tables_are_objects_of_the_bucket(way: Way) -> None:
    assert [k for k in way.keys("raw/customers/snapshot_date=2025-10-21/") if k.endswith(".parquet")]
    for name in ("connections", "interactions"):
        assert [k for k in way.keys(f"raw/{name}/") if k.endswith(".parquet")]
    for name in (
        "customers_judged",
        "connections_judged",
        "interactions_judged",
        "customer_features",
        "runs",
    ):
        assert f"lake/{name}/_delta_log/00000000000000000000.json" in way.keys(f"lake/{name}/_delta_log/")
        assert [k for k in way.keys(f"lake/{name}/") if k.endswith(".parquet")], name


def test_a_stage_makes_one_commit_per_table(way: Way) -> None:
    for name in ("customers_judged", "connections_judged", "interactions_judged", "customer_features"):
        assert len([k for k in way.keys(f"lake/{name}/_delta_log/") if k.endswith(".json")]) == 1, name


def test_no_temporary_data_stays_in_the_bucket(way: Way) -> None:
    # The store's client leaves a marker where a folder was emptied.
    assert [k for k in way.keys("lake/_scratch") if not k.endswith("/")] == []
    assert [k for k in way.keys("") if "_temporary" in k] == []


def test_a_second_ingest_leaves_everything_as_it_is(way: Way) -> None:
    again = way.command("again")
    assert again.code == 0, again.transcript
    assert again.out.count("published before from the same files") == 3, again.transcript


@pytest.mark.parametrize(
    ("step", "named"), [("truncated", "part-cut.parquet"), ("empty object", "part-zero.parquet")]
)
def test_an_unreadable_object_is_named_and_nothing_is_written(way: Way, step: str, named: str) -> None:
    refused = way.command(step)
    assert refused.code == 2, refused.transcript
    assert named in refused.err, refused.transcript
    assert "Traceback" not in refused.err
    assert way.results["runs in the end"] == [[4]]
    assert not [k for k in way.keys("lake/customers_judged/") if "2025-10-22" in k]


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ("no such prefix", "nothing-here"),
        ("no such bucket", "engagement-no-such-bucket"),
        ("no such lake", "engagement-no-such-bucket"),
    ],
)
def test_a_missing_bucket_or_prefix_ends_in_one_error_soon(way: Way, step: str, named: str) -> None:
    refused = way.command(step)
    assert refused.code == 2, refused.transcript
    errors = [line for line in refused.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, refused.transcript
    assert named in errors[0], refused.transcript
    assert "Hint: " in refused.err
    assert refused.seconds < 30, refused.transcript


def test_keys_appear_nowhere(way: Way) -> None:
    transcript = "".join(
        way.command(name).transcript for name, result in way.results.items() if isinstance(result, dict)
    )
    transcript += way.process.transcript + (way.home / "spark.log").read_text(
        encoding="utf-8", errors="replace"
    )
    for name, value in KEYS.items():
        assert value not in transcript, name


def test_keys_are_on_no_command_line_of_the_machine(way: Way) -> None:
    assert way.results["exposed"] == []


def test_print_config_masks_the_keys(way: Way) -> None:
    printed = run_engage_spark(
        "--env", "moto", "--conf-dir", str(way.home / "conf"), "--print-config", cwd=way.home, env=secrets()
    )
    assert printed.code == 0, printed.transcript
    assert yaml.safe_load(printed.out)["s3"]["secret_key"] == "***"
    assert not any(value in printed.transcript for value in KEYS.values())


def test_an_endpoint_that_does_not_answer_ends_in_one_error_soon(way: Way) -> None:
    words = [
        "--env",
        "moto",
        "--conf-dir",
        str(way.home / "conf"),
        *overrides(s3__endpoint=nobody()),
        *small_session(way.home),
    ]
    refused = run_engage_spark(*words, "ingest", cwd=way.home, env=secrets())
    assert refused.code in (2, 4), refused.transcript
    assert len([line for line in refused.err.splitlines() if line.startswith("error: ")]) == 1, (
        refused.transcript
    )
    assert "Hint: " in refused.err
    assert "Traceback" not in refused.err
    assert refused.seconds < 90, refused.transcript
