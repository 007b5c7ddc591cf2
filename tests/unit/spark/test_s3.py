"""The settings of Hadoop's S3 client, without a JVM."""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.settings import S3Settings, Settings
from engage_spark.spark import files, s3, session
from engage_spark.spark.versions import LINES


def test_the_client_loses_patience_unless_told_otherwise() -> None:
    assert s3.conf(S3Settings(), conditional_put=True)["spark.hadoop.fs.s3a.retry.limit"] == "3"
    own = Settings(input={"root": "s3a://raw"}, spark={"conf": {"spark.hadoop.fs.s3a.retry.limit": "9"}})
    assert session.spark_conf(own)["spark.hadoop.fs.s3a.retry.limit"] == "9"


@pytest.mark.parametrize(("line", "spares"), [("3.5", False), ("4.0", False), ("4.1", True), ("4.2", True)])
def test_the_look_before_a_file_is_spared_only_where_a_put_can_be_conditional(
    line: str, spares: bool
) -> None:
    conf = s3.conf(S3Settings(), conditional_put=LINES[line].conditional_put)
    flags = conf["spark.hadoop.fs.s3a.performance.flags"].split(",")
    assert ("create" in flags) is spares
    assert {"delete", "mkdir"} <= set(flags)


class Bucket:
    """Hadoop's S3 client without a conditional put: two that look before either has written both write."""

    def __init__(self) -> None:
        self.text, self.meanwhile = "", ""

    def getScheme(self) -> str:  # noqa: N802 (Hadoop names it)
        return "s3a"

    def createFile(self, _: object) -> Bucket:  # noqa: N802 (Hadoop names it)
        return self

    def recursive(self) -> None: ...
    def overwrite(self, _: bool) -> None: ...
    def opt(self, *_: str) -> None: ...
    def build(self) -> Bucket:
        return self

    def write(self, data: bytearray) -> None:
        self.text = data.decode()

    def close(self) -> None:
        self.text = self.meanwhile or self.text


@pytest.mark.parametrize(
    ("spark", "meanwhile", "created"),
    [("4.0.5", "theirs", False), ("3.5.9", "theirs", False), ("4.0.5", "", True), ("4.2.0", "", True)],
)
def test_a_file_that_another_wrote_over_was_not_created(
    monkeypatch: pytest.MonkeyPatch, spark: str, meanwhile: str, created: bool
) -> None:
    bucket, reads = Bucket(), []
    bucket.meanwhile = meanwhile

    def read(*_: object) -> str:
        reads.append(bucket.text)
        return bucket.text

    monkeypatch.setattr(files, "is_connect", lambda _: False)
    monkeypatch.setattr(files, "_hadoop", lambda *_: (None, bucket, None))
    monkeypatch.setattr(files, "read_small_file", read)
    session_of = cast(Any, SimpleNamespace(version=spark))
    assert files.create_file(session_of, "s3a://lake/_locks/runs.1", "ours") is created
    assert len(reads) == (spark != "4.2.0"), "a conditional put needs no second look"


def test_every_secret_option_is_known_as_one() -> None:
    keys = S3Settings(access_key="a-key", secret_key="a-secret", session_token="a-token")
    settings = s3.conf(keys, conditional_put=True)
    secrets = {key for key, value in settings.items() if value.startswith("a-")}
    assert len(secrets) == 3
    assert secrets <= set(session.secret_options(settings))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.hadoop.fs.s3a.bucket.x.secret.key", "hush"),
        ("spark.hadoop.fs.azure.account.key.a.dfs.core.windows.net", "hush=="),
        ("spark.hadoop.fs.azure.sas.c.a.blob.core.windows.net", "sv=1"),
        ("spark.ssl.keyStorePassword", "hush"),
        ("spark.authenticate.secret", "hush"),
        ("spark.x.url", "jdbc:postgresql://h/d?user=a&password=hush"),
        ("spark.x.address", "https://a:hush@h/"),
        ("spark.hadoop.javax.jdo.option.ConnectionPassword", "hush"),
    ],
)
def test_no_secret_is_among_the_arguments_of_the_jvm(key: str, value: str) -> None:
    assert session.secret_options({key: value, "spark.app.name": "x"}) == [key]


def test_secrets_are_in_a_private_file_for_as_long_as_the_block_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--name x pyspark-shell")
    with session._private_options({"spark.a.key": "h:u=s\\h é"}):
        words = shlex.split(os.environ["PYSPARK_SUBMIT_ARGS"])
        file = Path(words[words.index("--properties-file") + 1])
        assert words[-3:] == ["--name", "x", "pyspark-shell"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == r"spark.a.key h\u003au\u003ds\u005ch\u0020\u00e9" + "\n"
    assert not file.exists()
    assert os.environ["PYSPARK_SUBMIT_ARGS"] == "--name x pyspark-shell"


def test_a_second_file_of_options_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--properties-file mine pyspark-shell")
    with pytest.raises(ConfigurationError, match="would need another"), session._private_options({"a": "b"}):
        raise AssertionError("it was entered")


def test_the_log_is_private_and_has_no_name(tmp_path: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("engage-spark-*"))
    with session._open_log(None) as log:
        log.write(b"INFO fine\n26/01/01 ERROR lost: token=hushhush\n\x1b[2J Exception\n")
        log.flush()
        assert set(Path(tempfile.gettempdir()).glob("engage-spark-*")) <= before
        assert session._last_errors(log) == ["26/01/01 ERROR lost: token=***", r"\u001b[2J Exception"]
    with session._open_log(str(tmp_path / "spark.log")):
        assert stat.S_IMODE((tmp_path / "spark.log").stat().st_mode) == 0o600
