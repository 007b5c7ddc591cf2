"""A lake in a bucket is read as on disk: its logs by deltalake, its rows by Arrow without Python between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pyarrow.fs import PyFileSystem

from engage_spark import open_lake
from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.reader.delta_files import DeltaFiles
from engage_spark.settings import LakeSettings, S3Settings, Settings
from tests.support.lake_without_spark import SmallLake
from tests.support.paths import DATA

BIKES = load_contract(DATA / "bikes.odcs.yaml")
MONDAY = date(2025, 10, 20)
BUCKET = "a-bucket"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket that holds a lake below a folder whose name needs quoting; its host and port."""
    boto3 = pytest.importorskip("boto3", reason="the s3 extra is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    root = tmp_path_factory.mktemp("bikes")
    lake = SmallLake(root, BIKES)
    rows = [{"station_code": f"S{i}", "docks_total": i, "_dq_status": "valid"} for i in range(200)]
    lake.ingest(BIKES.entity, MONDAY, rows, "m1")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        client.create_bucket(Bucket=BUCKET)
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            client.upload_file(str(path), BUCKET, f"team lake/{path.relative_to(root)}")
        yield f"{host}:{port}"
    finally:
        running.stop()


def settings_at(endpoint: str, *, ssl: bool = True, root: str = f"s3a://{BUCKET}/team lake") -> Settings:
    s3 = S3Settings(
        endpoint=endpoint, region="us-east-1", path_style=True, ssl=ssl, access_key="a", secret_key="b"
    )
    return Settings(lake=LakeSettings(root=root), s3=s3)


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_rows_in_a_bucket_are_read(server: str, scheme: str) -> None:
    lake = open_lake(settings_at(scheme + server, ssl=bool(scheme)), contract=BIKES)
    answer = lake.sql(f"SELECT count(*), sum(docks_total) FROM {BIKES.entity.name}").to_arrow().to_pydict()
    assert [list(v) for v in answer.values()] == [[200], [sum(range(200))]]
    assert len(lake.table(BIKES.entity.name, as_of=MONDAY).to_arrow()) == 200


def test_arrow_reads_the_files_itself_where_it_goes_the_same_way(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_at("http://" + server)
    assert DeltaFiles(settings).dataset("runs").filesystem.base_fs.type_name == "s3"
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert isinstance(DeltaFiles(settings).dataset("runs").filesystem, PyFileSystem)
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    by_role = settings.model_copy(update={"s3": S3Settings(endpoint="http://" + server, path_style=True)})
    assert DeltaFiles(by_role)._native("runs") is None, "a profile or a role is deltalake's to follow"


def test_a_file_that_is_gone_is_told_in_words(server: str) -> None:
    with pytest.raises(ConfigurationError):
        open_lake(settings_at("http://" + server, root="s3a://no-such-bucket/lake"), contract=BIKES).sql(
            f"SELECT count(*) FROM {BIKES.entity.name}"
        )


def test_a_process_that_stops_after_a_limit_ends_well(server: str, tmp_path: Path) -> None:
    program = tmp_path / "ask.py"
    program.write_text(
        "from engage_spark import open_lake\n"
        "from engage_spark.contract import load_contract\n"
        "from engage_spark.settings import LakeSettings, S3Settings, Settings\n"
        f"s3 = S3Settings(endpoint='http://{server}', region='us-east-1', path_style=True, access_key='a', "
        "secret_key='b')\n"
        f"settings = Settings(lake=LakeSettings(root='s3a://{BUCKET}/team lake'), s3=s3)\n"
        f"lake = open_lake(settings, contract=load_contract('{DATA / 'bikes.odcs.yaml'}'))\n"
        f"print(len(lake.sql('SELECT * FROM {BIKES.entity.name} LIMIT 1')))\n"
    )
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr
