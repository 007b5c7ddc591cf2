"""What a session would be built with; nothing here starts one."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JError

from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.settings import Settings
from engage_spark.spark import files, jars, session, versions
from engage_spark.spark.java import require_java
from engage_spark.spark.session import secret_options, spark_conf


def fake_java(directory: Path, said: str, code: int = 0) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    java = directory / "java"
    java.write_text(f"#!/bin/sh\ncat >&2 <<'EOF'\n{said}\nEOF\nexit {code}\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("said", "major"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "21" 2023-09-19 LTS', 21)],
)
def test_java_is_found_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, major: int
) -> None:
    java = fake_java(tmp_path, said)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = require_java()
    assert (found.path, found.major) == (str(java), major)


def test_java_home_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "home" / "bin", 'openjdk version "18.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert require_java().major == 18


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ('openjdk version "11.0.2"', 0, "Java 11.0.2 at .* is too old"),
        ('java version "1.8.0_402"', 0, "Java 1.8.0_402 at .* is too old"),
        ("Error: could not find libjava.so", 1, "does not answer with a version"),
    ],
    ids=["11", "8", "broken"],
)
def test_an_unusable_java_is_refused_before_spark_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int, words: str
) -> None:
    fake_java(tmp_path, said, code)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(session, "active_session", lambda: None)
    with pytest.raises(ConfigurationError, match=words) as caught:
        session.get_session(Settings(spark={"master": "local[1]"}))
    assert "install Java 17" in str(caught.value.hint)


def test_a_missing_java_is_told_with_where_it_was_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no java on the PATH"):
        require_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match="JAVA_HOME is .*gone"):
        require_java()


@pytest.fixture(autouse=True)
def _no_jars_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setattr(jars, "resolved", lambda *_, **__: ())


def test_guarantees_have_the_last_word() -> None:
    conf = session.spark_conf(
        Settings(
            spark={
                "conf": {"spark.sql.ansi.enabled": "false", "spark.ui.enabled": "true"},
                "master": "local[2]",
            }
        )
    )
    assert conf["spark.sql.ansi.enabled"] == "true"
    assert conf["spark.sql.session.timeZone"] == "UTC"
    assert conf["spark.ui.enabled"] == "true", "other options are the user's"


def test_a_cluster_is_left_its_own_options() -> None:
    conf = session.spark_conf(Settings(spark={"master": "spark://host:7077"}))
    assert not set(conf) & set(session.LOCAL)
    assert "spark.driver.memory" not in conf


def test_s3_jars_and_options_come_only_with_s3_paths() -> None:
    assert "hadoop-aws" not in str(session.spark_conf(Settings()))
    s3 = {
        "endpoint": "http://127.0.0.1:9",
        "region": "us-east-1",
        "path_style": True,
        "ssl": False,
        "access_key": "a",
        "secret_key": "b",
    }
    conf = session.spark_conf(Settings(input={"root": "s3a://raw"}, s3=s3))
    assert versions.installed_pair().line.s3a_package in conf["spark.jars.packages"]
    assert conf["spark.hadoop.fs.s3a.path.style.access"] == "true"
    assert conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    assert conf["spark.hadoop.fs.s3a.secret.key"] == "b"
    assert conf["spark.hadoop.fs.s3a.aws.credentials.provider"].endswith(".SimpleAWSCredentialsProvider")


def test_without_keys_the_credential_chain_stays() -> None:
    conf = session.spark_conf(Settings(input={"root": "s3a://raw"}))
    assert not [key for key in conf if "credentials" in key or "access.key" in key]


def test_fetched_jars_go_on_the_class_path_of_a_local_session_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "resolved", lambda *_, **__: (tmp_path / "a.jar", tmp_path / "b.jar"))
    local = session.spark_conf(Settings(spark={"master": "local[*]"}))
    assert local["spark.driver.extraClassPath"] == f"{tmp_path}/a.jar:{tmp_path}/b.jar"
    assert "spark.jars.packages" not in local
    cluster = session.spark_conf(Settings(spark={"master": "yarn"}))
    assert cluster["spark.jars.packages"] == versions.installed_pair().delta_package
    assert "spark.driver.extraClassPath" not in cluster


class _Refusing:
    """Stands in for a session whose options cannot be set."""

    version = "4.2.0"

    def __init__(self, options: dict[str, str]) -> None:
        self.options, self.conf = options, self

    def get(self, key: str, _: object = None) -> str | None:
        return self.options.get(key)

    def set(self, key: str, _: str) -> None:
        raise RuntimeError(key)


def test_a_session_that_breaks_the_guarantees_is_refused_with_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stubborn = _Refusing(
        session.GUARANTEES | {"spark.sql.ansi.enabled": "false", "spark.sql.files.ignoreCorruptFiles": "true"}
    )
    monkeypatch.setattr(session, "active_session", lambda: stubborn)
    with pytest.raises(ConfigurationError) as caught:
        session.get_session(Settings())
    assert len(caught.value.details) == 2
    assert "spark.sql.files.ignoreCorruptFiles is true, must be false" in caught.value.details[1]


def test_a_session_that_existed_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = _Refusing(dict(session.GUARANTEES))
    monkeypatch.setattr(session, "active_session", lambda: theirs)
    with session.open_session(Settings()) as spark:
        assert spark is theirs  # stop() would raise AttributeError on leaving


def hadoop(listed: dict[str, list[str]]) -> Any:
    """Stands in for a classic session whose Hadoop finds these names by pattern."""

    def path(pattern: str) -> Any:
        found = [
            SimpleNamespace(getPath=lambda n=n: SimpleNamespace(getName=lambda: n)) for n in listed[pattern]
        ]
        return SimpleNamespace(getFileSystem=lambda _: SimpleNamespace(globStatus=lambda _: found))

    fs = SimpleNamespace(Path=path)
    jvm = SimpleNamespace(org=SimpleNamespace(apache=SimpleNamespace(hadoop=SimpleNamespace(fs=fs))))
    context = SimpleNamespace(_jsc=SimpleNamespace(hadoopConfiguration=dict))
    return SimpleNamespace(_jvm=jvm, sparkContext=context)


def test_a_directory_that_is_not_on_this_machine_is_looked_for_by_hadoop(tmp_path: Path) -> None:
    """Without a scheme it lies in the default file system: HDFS on many clusters, DBFS on Databricks."""
    there = f"{tmp_path}/there"
    spark = hadoop({f"{there}/*.json": ["0.json", "1.json"]})
    assert files.last_name(spark, there, ending=".json") == "1.json"
    here = tmp_path / "here"
    here.mkdir()
    assert files.last_name(spark, str(here), ending=".json") == ""
    for name in ("0.json", "2.json", "3.crc"):
        (here / name).touch()
    assert files.last_name(spark, str(here), ending=".json") == "2.json"


@contextlib.contextmanager
def listener() -> Iterator[int]:
    """A server on loopback that takes connections and says nothing; its port is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_master_that_nobody_runs_is_told_before_spark_starts() -> None:
    with listener() as port:
        pass
    for master in (f"spark://127.0.0.1:{port}", f"k8s://https://127.0.0.1:{port}"):
        with pytest.raises(TransientError, match=f"the master .*: nobody answers at 127.0.0.1:{port}"):
            session._require_master(master)


def test_one_of_several_masters_is_enough_and_others_are_left_to_spark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    knocked: list[str] = []
    original = session.require_listener

    def knock(address: str, what: str, *, setting: str) -> None:
        knocked.append(address)
        original(address, what, setting=setting)

    monkeypatch.setattr(session, "require_listener", knock)
    with listener() as port:
        session._require_master(f"spark://127.0.0.1:1,127.0.0.1:{port}")
    assert knocked == ["127.0.0.1:1", f"127.0.0.1:{port}"]
    for master in ("", "local[2]", "yarn"):
        session._require_master(master)
    assert len(knocked) == 2


class _Gateway:
    """Stands in for pyspark's way to a JVM: killed, its calls fail."""

    def __init__(self) -> None:
        self.killed = threading.Event()
        self.proc = SimpleNamespace(kill=self.killed.set)


def test_a_master_that_listens_and_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark import SparkContext

    gateway = _Gateway()
    monkeypatch.setattr(SparkContext, "_gateway", None)
    monkeypatch.setattr(SparkContext, "_jvm", None)
    monkeypatch.setattr(session, "PATIENCE", 0.05)
    with pytest.raises(TransientError, match="the master spark://127.0.0.1:9 did not take the application"):
        with session._patience("spark://127.0.0.1:9"):
            SparkContext._gateway = gateway  # type: ignore[assignment]
            assert gateway.killed.wait(10)
            raise ConfigurationError("connection refused")
    assert SparkContext._gateway is None, "the next attempt starts a JVM"


def test_a_master_that_answers_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark import SparkContext

    gateway = _Gateway()
    monkeypatch.setattr(SparkContext, "_gateway", gateway)
    monkeypatch.setattr(session, "PATIENCE", 0.3)
    with session._patience("spark://127.0.0.1:9"):
        pass
    assert not gateway.killed.wait(0.5)
    with pytest.raises(ConfigurationError, match="the port"), session._patience("spark://127.0.0.1:9"):
        raise ConfigurationError("the port is occupied")


def test_masters_that_spark_itself_gave_up_are_worth_a_retry() -> None:
    class Builder:
        def getOrCreate(self) -> None:  # noqa: N802 (pyspark names it)
            raise Py4JError("Exiting due to error from cluster scheduler: All masters are unresponsive!")

    with pytest.raises(TransientError, match="the master spark://a:1 did not take the application") as e:
        session._start(Builder(), where="spark://a:1")
    assert "spark.driver.host" in str(e.value.hint)


class _Workers:
    """Stands in for a session whose Python workers fail with a text, or pass the row for none."""

    def __init__(self, master: str, text: str = "") -> None:
        self.conf = {"spark.master": master}
        self.text, self.asked, self.stopped = text, 0, False

    def range(self, _: int) -> _Workers:
        return self

    def mapInArrow(self, *_: Any) -> _Workers:  # noqa: N802 (pyspark names it)
        return self

    def collect(self) -> None:
        self.asked += 1
        if self.text:
            raise Py4JError(self.text)

    def stop(self) -> None:
        self.stopped = True


def test_workers_of_a_cluster_pass_a_row_before_any_work() -> None:
    for master, asked in (("local[2]", 0), ("spark://a:7077", 1), ("yarn", 1)):
        workers = _Workers(master)
        session.require_workers(workers)  # type: ignore[arg-type]
        assert (workers.asked, workers.stopped) == (asked, False), master
    unfit = _Workers("yarn", "Python in worker has different version: 3.10 than that in driver: 3.11, so")
    with pytest.raises(ConfigurationError, match=r"the executors run Python 3\.10, the driver 3\.11"):
        session.require_workers(unfit)  # type: ignore[arg-type]
    assert unfit.stopped, "the cluster is given back"
    with pytest.raises(Py4JError, match="of another kind"):
        session.require_workers(_Workers("yarn", "of another kind"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shown",
    ["spark.hadoop.fs.azure.account.key.a.dfs.core.windows.net", "spark.hadoop.fs.azure.sas.c.a",
     "spark.hadoop.fs.s3a.bucket.x.secret.key", "spark.hadoop.fs.s3a.access.key",
     "spark.ssl.keyStorePassword",
     "spark.hadoop.google.cloud.auth.service.account.private.key", "spark.x.api.key", "spark.x.credential",
     "jdbc:postgresql://h/d?user=a&password=x", "https://u:hush@h/x",
     "jdbc:oracle:thin:scott/tiger@//h:1/x",
     "https://a.blob.core.windows.net/c?sv=1&sig=x", "AccountKey=x;EndpointSuffix=y", "sc://h/;token=x"],
)  # fmt: skip
def test_sparks_pages_and_event_logs_hide_secrets(shown: str) -> None:
    pattern = spark_conf(Settings())["spark.redaction.regex"]
    assert re.search(pattern, shown)


@pytest.mark.parametrize(
    "shown",
    ["spark.app.name", "spark.sql.shuffle.partitions", "local[2]", "s3a://bucket/x", "spark://h:7077",
     "http://host:80/a", "spark.sql.parquet.compression.codec", "spark.driver.extraClassPath"],
)  # fmt: skip
def test_and_nothing_else(shown: str) -> None:
    assert not re.search(spark_conf(Settings())["spark.redaction.regex"], shown)


def test_the_default_options_hold_no_secret() -> None:
    assert secret_options(spark_conf(Settings())) == []
