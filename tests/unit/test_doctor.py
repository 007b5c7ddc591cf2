from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from engage_spark.cli import main
from engage_spark.doctor import Diagnosis, examine
from engage_spark.errors import ConfigurationError
from engage_spark.settings import Settings
from engage_spark.spark import jars, versions


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that is in order: jars fetched, Java there."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setattr(jars, "resolved", lambda *_, **__: (tmp_path / "a.jar",))
    (tmp_path / "raw").mkdir()
    return tmp_path


def settings_at(here: Path, **more: object) -> Settings:
    spark = {"master": "local[*]", "driver_memory": "512m"}
    return Settings(
        **(
            {"input": {"root": str(here / "raw")}, "lake": {"root": str(here / "lake")}, "spark": spark}
            | more
        )
    )


def found(settings: Settings, name: str, **options: bool) -> Diagnosis:
    (finding,) = (f for f in examine(settings, **options) if f.name == name)
    return finding


def test_a_machine_in_order_is_all_ok_and_left_as_it_was(here: Path) -> None:
    before = sorted(here.rglob("*"))
    assert {f.state for f in examine(settings_at(here))} == {"ok"}
    assert sorted(here.rglob("*")) == before


def test_every_finding_that_is_not_ok_says_how_to_mend_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    monkeypatch.setattr(jars, "resolved", lambda *_, **__: ())
    monkeypatch.setattr(versions, "installed_spark", lambda: "4.2.7")
    settings = settings_at(
        here, input={"root": str(here / "gone")}, spark={"master": "local[2]", "driver_memory": "9t"}
    )
    findings = {f.name: f for f in examine(settings)}
    assert {name for name, f in findings.items() if f.state == "fail"} == {"java", "memory"}
    assert {name for name, f in findings.items() if f.state == "warn"} == {"spark", "jars", "input"}
    assert all(f.hint for f in findings.values() if f.state != "ok")


@pytest.mark.parametrize(
    ("spark", "delta", "state", "text"),
    [
        (None, None, "fail", "pyspark is not installed"),
        ("4.2.0", None, "ok", "pyspark 4.2.0, Delta 4.4.0 by its jars"),
        ("4.3.0", "4.4.1", "fail", "Spark 4.3.0 is not known here"),
        ("3.5.9", "4.4.0", "fail", "delta-spark 4.4.0 does not go with Spark 3.5.9"),
        ("4.1.4", "4.3.1", "warn", "not the pair that was tried, pyspark 4.1.1 and delta-spark 4.3.1"),
        ("4.0.5", "4.0.1", "ok", "pyspark 4.0.5, delta-spark 4.0.1"),
    ],
)
def test_the_pair_of_spark_and_delta_is_named_and_judged(
    here: Path, monkeypatch: pytest.MonkeyPatch, spark: str | None, delta: str | None, state: str, text: str
) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    monkeypatch.setattr(versions, "installed_spark", lambda: spark)
    monkeypatch.setattr(versions, "installed_delta", lambda: delta)
    finding = found(settings_at(here), "spark")
    assert finding.state == state
    assert text in finding.text
    assert ("pip install 'engage-spark[spark" in finding.hint) == (state != "ok")
    jar_state = "fail" if spark in (None, "4.3.0", "3.5.9") else "ok"
    assert found(settings_at(here), "jars").state == jar_state


def test_a_target_that_cannot_be_written_is_a_failure(here: Path) -> None:
    (here / "file").write_text("in the way")
    finding = found(settings_at(here, lake={"root": str(here / "file" / "lake")}), "lake")
    assert (finding.state, "cannot be written" in finding.text) == ("fail", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_failure(here: Path) -> None:
    (here / "shut").mkdir(mode=0o555)
    assert found(settings_at(here, lake={"root": str(here / "shut" / "lake")}), "lake").state == "fail"


def test_jars_that_cannot_be_fetched_are_a_failure(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConfigurationError(
            "the jars could not be fetched", hint="check the network", details=["unresolved dependency: x"]
        )

    monkeypatch.setattr(jars, "fetch", refuse)
    finding = found(settings_at(here), "jars", fetch_jars=True)
    assert finding.state == "fail"
    assert "unresolved dependency: x" in finding.text


def test_a_connect_server_needs_no_java_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    settings = settings_at(here, spark={"remote": "sc://host:15002"})
    assert found(settings, "java").state == "ok"
    assert found(settings, "jars").state == "ok"


def test_an_endpoint_that_does_not_answer_is_a_failure_within_seconds(here: Path) -> None:
    s3 = {
        "endpoint": "http://127.0.0.1:1",
        "region": "us-east-1",
        "path_style": True,
        "access_key": "a",
        "secret_key": "hush",
    }
    finding = found(settings_at(here, input={"root": "s3a://bucket/raw"}, s3=s3), "input")
    assert finding.state == "fail"
    assert "hush" not in finding.text


def test_a_bucket_is_read_and_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3", reason="the s3 extra is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        s3 = {
            "endpoint": f"127.0.0.1:{port}",
            "region": "us-east-1",
            "path_style": True,
            "ssl": False,
            "access_key": "a",
            "secret_key": "b",
        }
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        client.create_bucket(Bucket="there")
        settings = settings_at(
            here,
            input={"root": "s3a://there/raw"},
            lake={"root": "s3a://there/lake", "scratch": "s3a://gone/x"},
            s3=s3,
        )
        findings = {f.name: f for f in examine(settings)}
        assert (findings["input"].state, "is empty" in findings["input"].text) == ("warn", True)
        assert findings["lake"].state == "ok"
        assert (findings["scratch"].state, "NoSuchBucket" in findings["scratch"].text) == ("fail", True)
        assert client.list_objects_v2(Bucket="there")["KeyCount"] == 0, "the probe is removed"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (503, "SlowDown", "no matter of credentials"),
        (500, "InternalError", "no matter of credentials"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "InvalidAccessKeyId", "credentials"),
        (301, "PermanentRedirect", "s3.region"),
    ],
)
def test_what_a_bucket_answers_is_told_as_what_it_is(here: Path, status: int, code: str, hint: str) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>x</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        s3 = {"endpoint": f"http://127.0.0.1:{server.server_port}", "region": "us-east-1", "path_style": True}
        s3 |= {"access_key": "a", "secret_key": "hush"}
        finding = found(settings_at(here, input={"root": "s3a://there/raw"}, s3=s3), "input")
        assert (finding.state, hint in finding.hint) == ("fail", True), finding
    finally:
        server.shutdown()


def test_a_tracking_server_is_asked_and_a_file_of_our_own_is_not_made(here: Path) -> None:
    finding = found(settings_at(here, tracking={"uri": "http://127.0.0.1:1"}), "tracking")
    assert (finding.state, "http://127.0.0.1:1" in finding.text, bool(finding.hint)) == ("fail", True, True)
    assert found(settings_at(here, tracking={"folder": str(here / "mlflow")}), "tracking").state == "ok"
    assert not (here / "mlflow").exists()
    (here / "file").write_text("in the way")
    finding = found(settings_at(here, tracking={"folder": str(here / "file" / "mlflow")}), "tracking")
    assert (finding.state, "tracking.folder" in finding.hint) == ("fail", True)


def test_the_command_ends_with_2_if_anything_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--set", f"lake.root={here / 'lake'}", "--set", f"input.root={here / 'raw'}"]
    main(["doctor", *where, "--set", "spark.driver_memory=1m"])
    assert "ok    java" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *where, "--set", "spark.driver_memory=9t"])
    assert caught.value.code == 2
    assert "Hint: lower spark.driver_memory" in capsys.readouterr().out


def test_only_what_spark_does_not_ship_goes_on_the_class_path(tmp_path: Path) -> None:
    shipped = tmp_path / "jars"
    shipped.mkdir()
    (shipped / "jackson-core-2.18.2.jar").touch()
    (shipped / "snappy-java-1.1.10.7.jar").touch()
    names = [
        "com.fasterxml_jackson-core-2.13.5.jar",
        "org.xerial.snappy_snappy-java-1.1.9.jar",
        "io.delta_delta-spark_4.2_2.13-4.4.0.jar",
    ]
    files = jars._not_shipped([tmp_path / name for name in names], tmp_path)
    assert [path.name for path in files] == ["io.delta_delta-spark_4.2_2.13-4.4.0.jar"]


def test_an_answer_counts_only_while_its_files_are_there(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.touch()
    answer = jars._answer(("g:a:1",), tmp_path)
    answer.parent.mkdir(parents=True)
    answer.write_text(str(jar))
    assert jars.resolved(("g:a:1",), ivy=tmp_path) == (jar,)
    assert jars.resolved(("g:b:1",), ivy=tmp_path) == ()
    jar.unlink()
    assert jars.resolved(("g:a:1",), ivy=tmp_path) == ()
