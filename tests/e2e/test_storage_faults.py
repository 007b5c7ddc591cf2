"""Stages against a store that fails one request in twenty: the same tables, or a clear stop with exit code 4.

One process has one session with S3's jars; the proxy is told before each command how it is to fail.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engage_spark.spark import jars
from tests.e2e.test_s3 import BUCKET, KEYS, conf_dir, secrets
from tests.support.commands import ROOT, CommandResult, overrides, run, small_session
from tests.support.fault_proxy import CONTROL, PASSING, Fault, FaultProxy

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto.server")
pytestmark = [pytest.mark.s3, pytest.mark.long, pytest.mark.timeout(3600)]

SHARE, CUSTOMERS = 0.05, 60
SEEDS = int(os.environ.get("STORAGE_FAULT_SEEDS", "3"))
STAGES = ("ingest", "features")
TABLES = ("customers_judged", "connections_judged", "interactions_judged", "customer_features")
DIGEST = """
SELECT count(*), sha2(concat_ws(' ', array_sort(collect_list(
  to_json(struct(*), map('ignoreNullFields', 'false'))))), 256)
FROM delta.`{table}`
"""
KINDS: dict[str, tuple[Fault, ...]] = {
    "all": PASSING,
    "cut": (Fault.CUT,),
    "lost": (Fault.LOST,),
    "denied": (Fault.DENIED, Fault.ABSENT),
}


class Step(NamedTuple):
    """A command under faults, its rerun without, and what the tables hold then."""

    kinds: str
    seed: int
    stage: str


PLAN = [Step(kinds, seed, stage) for kinds in KINDS for seed in range(1, SEEDS + 1) for stage in STAGES]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Any, Any]]:
    from moto.server import ThreadedMotoServer

    wanted = (jars.DELTA_PACKAGE, jars.S3A_PACKAGE)
    if not jars.resolved(wanted, ivy=jars.ivy_home({})):
        pytest.skip("the S3 jars are not here: `make test-e2e` fetches them")
    home = tmp_path_factory.mktemp("faults")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    ).create_bucket(Bucket=BUCKET)
    with FaultProxy(f"http://{host}:{port}") as proxy:
        yield run_steps(home, proxy, PLAN)
    server.stop()


def run_steps(home: Path, proxy: FaultProxy, plan: list[Step]) -> dict[Any, Any]:
    """Run the undisturbed commands, then every step of the plan, in one session."""
    common = ["--env", "moto", "--conf-dir", str(conf_dir(home, proxy.address))]
    names: list[Any] = ["synth"]
    steps: list[dict[str, Any]] = [{"argv": [*common, "synth", "--customers", str(CUSTOMERS)]}]

    def add(name: Any, **step: Any) -> None:
        names.append(name)
        steps.append(step)

    def command(lake: str, stage: str) -> list[str]:
        return [*common, *overrides(lake__root=f"s3a://{BUCKET}/{lake}"), stage]

    def digests(lake: str) -> None:
        for table in TABLES:
            add(("rows", lake, table), sql=DIGEST.format(table=f"s3a://{BUCKET}/{lake}/{table}"))

    for stage in STAGES:
        add(("undisturbed", stage), argv=command("lake", stage))
    digests("lake")
    for step in plan:
        lake = f"lake-{step.kinds}-{step.seed}"
        faults = {"seed": step.seed, "share": SHARE, "kinds": [k.value for k in KINDS[step.kinds]]}
        add(("plan", step), post=f"{proxy.address}{CONTROL}", body=faults)
        add(("disturbed", step), argv=command(lake, step.stage))
        add(("counts", step), post=f"{proxy.address}{CONTROL}", body={})
        add(("again", step), argv=command(lake, step.stage))
        if step.stage == STAGES[-1]:
            digests(lake)
    (home / "steps.json").write_text(
        json.dumps(
            {
                "env": "moto",
                "conf_dir": common[-1],
                "secrets": KEYS,
                "steps": steps,
                "overrides": [w for w in small_session(home) if w != "--set"]
                + [f"log.spark={home / 'spark.log'}"],
            }
        ),
        encoding="utf-8",
    )
    script = str(ROOT / "tests" / "support" / "one_session.py")
    process = run(
        [sys.executable, script, str(home / "steps.json"), str(home / "results.json")],
        cwd=home,
        env=secrets(),
        timeout=3500,
    )
    assert process.code == 0, process.transcript[-4000:]
    done = json.loads((home / "results.json").read_text(encoding="utf-8"))["steps"]
    return dict(zip(names, done, strict=True))


@pytest.mark.parametrize("step", PLAN, ids=lambda s: f"{s.kinds}-{s.seed}-{s.stage}")
def test_a_failing_store_gives_the_same_tables_or_a_clear_stop(results: dict[Any, Any], step: Step) -> None:
    disturbed, again = (CommandResult(**results[name, step]) for name in ("disturbed", "again"))
    counts = results["counts", step]
    assert sum(n for fault, n in counts.items() if fault != "none") > 0, f"no fault in {counts}"
    allowed = (0, 2, 4) if step.kinds == "denied" else (0, 4)
    assert disturbed.code in allowed, disturbed.transcript[-3000:]
    assert "Traceback" not in disturbed.err, disturbed.transcript[-3000:]
    if disturbed.code:
        assert disturbed.seconds < 60 and "error: " in disturbed.err, disturbed.transcript[-3000:]
    assert again.code == 0, again.transcript[-3000:]


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
@pytest.mark.parametrize("kinds", KINDS)
def test_after_a_rerun_all_tables_are_those_of_an_undisturbed_run(
    results: dict[Any, Any], kinds: str, seed: int
) -> None:
    for table in TABLES:
        assert results["rows", f"lake-{kinds}-{seed}", table] == results["rows", "lake", table], table
