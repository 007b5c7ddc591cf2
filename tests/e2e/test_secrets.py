"""What runs leave behind, searched for planted secrets and personal values: output, logs, tables, MLflow's
store and artifacts, the arguments of processes while they run, the temporary folder.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from engage_spark.contract import load_contract
from tests.support.commands import CommandResult, overrides, run_engage_spark, small_session
from tests.support.deliveries import BIKES, deliver, stations
from tests.support.paths import DATA

pytestmark = pytest.mark.timeout(600)
SECRETS = [f"Hush{i:02d}/Zq+x" for i in range(30)]
PERSONAL = [f"Jane Doe {i:02d}" for i in range(10)]
OF_OPTIONS = [
    "hadoop.fs.s3a.bucket.x.secret.key", "hadoop.fs.s3a.bucket.x.access.key", "hadoop.fs.s3a.session.token",
    "hadoop.fs.azure.account.key.a.dfs.core.windows.net", "hadoop.fs.azure.sas.c.a.blob.core.windows.net",
    "hadoop.fs.azure.account.oauth2.client.secret", "hadoop.google.cloud.auth.service.account.private.key",
    "hadoop.javax.jdo.option.ConnectionPassword", "ssl.keyStorePassword", "ssl.ui.keyPassword", "x.api.key",
    "x.credential",
]  # fmt: skip
OF_ADDRESSES = [
    "jdbc:postgresql://h/d?user=a&password={}", "jdbc:oracle:thin:scott/{}@//h:1521/x", "https://u:{}@h/x",
    "https://a.blob.core.windows.net/c?sv=1&sig={}", "AccountKey={};EndpointSuffix=x",
]  # fmt: skip
OF_VARIABLES = ["MLFLOW_TRACKING_PASSWORD", "DATABRICKS_TOKEN", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"]


def options(secrets: Iterator[str], *, servers: bool = True) -> list[str]:
    """Settings that hold a secret each; with `servers` that of tracking, too, which answers nobody."""
    words = [f"spark.conf.spark.{key}={next(secrets)}" for key in OF_OPTIONS]
    words += [f"spark.conf.spark.x.a{i}={form.format(next(secrets))}" for i, form in enumerate(OF_ADDRESSES)]
    words += [f"s3.{key}={next(secrets)}" for key in ("access_key", "secret_key", "session_token")]
    if servers:
        words += [f"tracking.{s}=http://user:{next(secrets)}@127.0.0.1:9/" for s in ("uri", "registry")]
    return [part for word in words for part in ("--set", word)]


@contextmanager
def arguments_of_all_processes() -> Iterator[set[str]]:
    """The command lines of everything that runs on this machine during the block, but for the command itself,
    which was given the secrets.
    """
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes()
                except OSError:
                    continue
                if b"\0-m\0engage_spark\0" not in words:
                    seen.add(words.replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def contents(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Everything in the files below a folder: text as it is, Parquet as rows; without some tables."""
    parts = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        inside = path.relative_to(folder).parts
        if inside[0] in without:
            continue
        rows = path.suffix == ".parquet" and "_delta_log" not in inside
        parts["/".join(inside)] = (
            json.dumps(pq.read_table(path).to_pylist(), default=str) if rows else path.read_text("latin-1")
        )
    return parts


@pytest.mark.slow
def test_nothing_that_was_planted_is_left_behind(tmp_path: Path) -> None:
    rows = stations(300)
    rows.loc[:9, "operator_owner"] = PERSONAL  # none of the valid values
    deliver(rows, BIKES, tmp_path, "2025-10-21")
    secrets = iter(SECRETS)
    planted = options(secrets)
    variables = {name: next(secrets) for name in OF_VARIABLES} | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    places = overrides(
        input__root=tmp_path / "raw",
        lake__root=tmp_path / "lake",
        contract=DATA / "bikes.odcs.yaml",
        tracking__folder=tmp_path / "mlflow",
    )
    words = [*places, *small_session(tmp_path), *planted]

    def run(*command: str) -> CommandResult:
        return run_engage_spark(*command, cwd=tmp_path, env=variables)

    with arguments_of_all_processes() as arguments:
        ingested = run("ingest", *words)
        shown = run("quality", "show", *words)
        failed = run("ingest", "--snapshot-date", "2025-10-20", *words)
    others = [
        run("--print-config", *words),
        run("--print-config", "--json", *words),
        run("doctor", *words),
        run("models", *words),
        run("ingest", *words, "--set", f"s3.secretkey:{next(secrets)}"),
        run("ingest", *words, "--set", f"tracking.urn=http://u:{next(secrets)}@h"),
        run("ingest", *words, "--set", f"s3.ssl=token={next(secrets)}"),
        run(
            "ingest",
            *words,
            "--set",
            f"spark.remot=sc://h/;token={next(secrets)}",
        ),
    ]
    assert next(secrets, None) is None, "every secret has its place"
    assert ingested.code in (0, 3), ingested.transcript
    assert shown.code == 0, shown.transcript
    assert failed.code == 2, failed.transcript
    assert [o.code for o in others[:2]] == [0, 0], others[0].transcript
    assert any("org.apache.spark" in line for line in arguments), "a JVM was seen"
    left = {
        "output": "\n".join(ran.out + ran.err for ran in (ingested, shown, failed, *others)),
        "arguments": "\n".join(arguments),
        **contents(tmp_path / "lake"),
    }
    for where, text in left.items():
        assert [s for s in SECRETS if s in text or s.replace("/", "%2F") in text] == [], where
    # The checked table holds its rows and their extremes; nothing beside it does.
    published = {"output": left["output"], **contents(tmp_path / "lake", without=("stations_judged",))}
    assert "operator_owner" in published["output"], "what broke the rule is named"
    for where, text in published.items():
        assert [p for p in PERSONAL if p in text] == [], where
    assert list((tmp_path / "tmp").glob("**/engage-spark*")) == []


def garden(tmp_path: Path) -> Path:
    """The contract of the garden, with a column that is personal and of free text."""
    contract = yaml.safe_load((DATA / "garden.odcs.yaml").read_text(encoding="utf-8"))
    contract["schema"][0]["properties"].append({
        "name": "gardener", "description": "Who weeds it.", "logicalType": "string",
        "physicalType": "string", "classification": "restricted",
        "customProperties": [{"property": "role", "value": "audit"}],
    })  # fmt: skip
    path = tmp_path / "garden.odcs.yaml"
    path.write_text(yaml.safe_dump(contract), encoding="utf-8")
    return path


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_training_leaves_nothing_behind_that_was_planted(tmp_path: Path) -> None:
    contract, rng, n = garden(tmp_path), np.random.default_rng(0), 900
    water, seeds = rng.uniform(0, 50, n), rng.integers(0, 200, n)
    blooms = (water + rng.normal(0, 10, n) > 25).astype(int)
    harvest = np.clip(water + seeds / 4 + rng.normal(0, 8, n), 0, 100)
    rows = pd.DataFrame({
        "bed": np.arange(n), "water": water, "seeds": seeds, "soil": rng.choice(["clay", "sand"], n),
        "blooms": blooms, "harvest": harvest, "gardener": [PERSONAL[i % 10] for i in range(n)],
    }).astype(object)  # fmt: skip
    deliver(rows, load_contract(contract), tmp_path, "2025-10-21")
    secrets = iter(SECRETS)
    planted = options(secrets, servers=False)
    rest = list(secrets)
    names = [*OF_VARIABLES, *(f"A{i}_API_TOKEN" for i in range(len(rest) - len(OF_VARIABLES)))]
    variables = dict(zip(names, rest, strict=True)) | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    small = {"models__candidates": '["linear"]', "models__folds": 2, "models__bootstrap": 20}
    places = overrides(
        input__root=tmp_path / "raw",
        lake__root=tmp_path / "lake",
        contract=contract,
        tracking__folder=tmp_path / "mlflow",
        **small,
    )
    words = [*places, *small_session(tmp_path), *planted]

    def run(*command: str) -> CommandResult:
        return run_engage_spark(*command, cwd=tmp_path, env=variables)

    known = ("--as-of", "2025-12-31")
    with arguments_of_all_processes() as arguments:
        ran = [
            run("ingest", *words),
            run("train", "--target", "harvest", *known, *words),
            run("models", *words),
            run("train", "--target", "height", *known, *words),
        ]
    codes = [r.code for r in ran]
    assert codes[:3] == [0, 0, 0], ran[min(codes[:3].index(max(codes[:3])), 2)].transcript
    assert codes[3] == 2, ran[3].transcript
    left = {
        "output": "\n".join(r.out + r.err for r in ran),
        "arguments": "\n".join(arguments),
        **{f"mlflow/{k}": v for k, v in contents(tmp_path / "mlflow").items()},
        **{f"tmp/{k}": v for k, v in contents(tmp_path / "tmp").items()},
        **contents(tmp_path / "lake"),
    }
    assert any(name.endswith("card.md") for name in left), sorted(left)
    assert "harvest" in left["output"]
    for where, text in left.items():
        assert [s for s in SECRETS if s in text or s.replace("/", "%2F") in text] == [], where
        if not where.startswith("beds_judged/"):
            assert [p for p in PERSONAL if p in text] == [], where
