"""Stages against a store that fails one request in twenty: the same tables, or a clear stop with exit code 4.

One process has one session with S3's jars; the proxy is told before each command how it is to fail.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engage_spark.spark import jars, versions
from tests.e2e.test_s3 import BUCKET, KEYS, conf_dir, secrets
from tests.support.commands import ROOT, CommandResult, environment, overrides, run, small_session
from tests.support.fault_proxy import CONTROL, PASSING, Fault, FaultPlan, FaultProxy

boto3 = pytest.importorskip("boto3")
pytest.importorskip("moto.server")
pytestmark = [pytest.mark.s3, pytest.mark.long, pytest.mark.timeout(3600)]

SHARE, CUSTOMERS = 0.05, 60
WRITE_KILLS = int(os.environ.get("WRITE_KILLS", "1000"))
WRITE_KILL_STEP = int(os.environ.get("WRITE_KILL_STEP", "1"))
"""Every how many requests that write one is killed; each costs a process of its own."""
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


class Store(NamedTuple):
    """A moto server behind a proxy, and a folder with the configuration for it."""

    home: Path
    proxy: FaultProxy
    conf: Path

    @property
    def common(self) -> list[str]:
        return ["--env", "moto", "--conf-dir", str(self.conf)]

    def run(self, steps: list[dict[str, Any]]) -> list[Any]:
        """Run steps in one session (`tests.support.one_session`), and return what came of each."""
        plan = {
            "env": "moto",
            "conf_dir": str(self.conf),
            "secrets": KEYS,
            "steps": steps,
            "overrides": [w for w in small_session(self.home) if w != "--set"]
            + [f"log.spark={self.home / 'spark.log'}"],
        }
        (self.home / "steps.json").write_text(json.dumps(plan), encoding="utf-8")
        script = str(ROOT / "tests" / "support" / "one_session.py")
        process = run(
            [sys.executable, script, str(self.home / "steps.json"), str(self.home / "results.json")],
            cwd=self.home,
            env=secrets(),
            timeout=3500,
        )
        assert process.code == 0, process.transcript[-4000:]
        done: list[Any] = json.loads((self.home / "results.json").read_text(encoding="utf-8"))["steps"]
        return done


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    from moto.server import ThreadedMotoServer

    pair = versions.installed_pair()
    wanted = (pair.delta_package, pair.line.s3a_package)
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
        yield Store(home, proxy, conf_dir(home, proxy.address))
    server.stop()


@pytest.fixture(scope="module")
def results(store: Store) -> dict[Any, Any]:
    return run_steps(store, PLAN)


def run_steps(store: Store, plan: list[Step]) -> dict[Any, Any]:
    """Run the undisturbed commands, then every step of the plan, in one session."""
    common, proxy = store.common, store.proxy
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
    return dict(zip(names, store.run(steps), strict=True))


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


def test_ingest_killed_at_each_request_that_writes_and_run_again(store: Store) -> None:
    """SIGKILL to the whole process group, before the store gets the request: data files, commits, locks."""
    raw = f"s3a://{BUCKET}/raw-of-kills"
    common = [*store.common, *overrides(input__root=raw, synth__out=raw)]

    def ingest(lake: str) -> list[str]:
        return [*common, *overrides(lake__root=f"s3a://{BUCKET}/{lake}"), "ingest"]

    def digests(lake: str) -> list[dict[str, Any]]:
        return [{"sql": DIGEST.format(table=f"s3a://{BUCKET}/{lake}/{t}")} for t in TABLES[:-1]]

    store.proxy.use(FaultPlan())
    synth = {"argv": [*common, "synth", "--customers", str(CUSTOMERS)]}
    *_, first, second, third = store.run([synth, {"argv": ingest("whole")}, *digests("whole")])
    lakes = []
    for number in range(1, WRITE_KILLS + 1, WRITE_KILL_STEP):
        lake = f"killed-{number}"
        if not _killed_at_write(store, number, ingest(lake)):
            break
        lakes.append(lake)
    store.proxy.use(FaultPlan())
    assert len(lakes) >= min(WRITE_KILLS, 12) // WRITE_KILL_STEP, lakes
    print(f"killed before {len(lakes)} requests that write, one of {WRITE_KILL_STEP}", flush=True)
    done = store.run([step for lake in lakes for step in ({"argv": ingest(lake)}, *digests(lake))])
    for i, lake in enumerate(lakes):
        again, *rows = done[4 * i : 4 * i + 4]
        assert again["code"] == 0, (lake, again)
        assert rows == [first, second, third], lake
    print(f"{len(lakes)} kills at a request that writes")


def _killed_at_write(store: Store, number: int, words: list[str]) -> bool:
    """Run a command and kill it before its n-th request that writes; return whether there was one."""
    started: list[subprocess.Popen[str]] = []

    def kill(write: int) -> None:
        if write == number:
            os.killpg(started[0].pid, signal.SIGKILL)

    store.proxy.use(FaultPlan(at_write=kill))
    with (store.home / f"killed-{number}.log").open("w") as output:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "engage_spark", *words, *small_session(store.home)],
                cwd=store.home,
                env=environment(secrets()),
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        )
        return started[0].wait(timeout=300) == -signal.SIGKILL
