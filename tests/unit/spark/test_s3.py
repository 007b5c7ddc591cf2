"""The settings of Hadoop's S3 client, without a JVM."""

from __future__ import annotations

import os

import pytest

from engage_spark.settings import S3Settings, Settings
from engage_spark.spark import s3, session


def test_the_client_loses_patience_unless_told_otherwise() -> None:
    assert s3.conf(S3Settings())["spark.hadoop.fs.s3a.retry.limit"] == "3"
    own = Settings(input={"root": "s3a://raw"}, spark={"conf": {"spark.hadoop.fs.s3a.retry.limit": "9"}})
    assert session.spark_conf(own)["spark.hadoop.fs.s3a.retry.limit"] == "9"


def test_every_secret_option_is_known_as_one() -> None:
    settings = s3.conf(S3Settings(access_key="a-key", secret_key="a-secret", session_token="a-token"))
    assert {key for key, value in settings.items() if value.startswith("a-")} == set(s3.SECRETS)


def test_secrets_are_in_the_environment_for_as_long_as_the_block_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "before")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with s3.environment({s3.PREFIX + "access.key": "a", s3.PREFIX + "secret.key": "b"}):
        assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]) == ("a", "b")
    assert os.environ["AWS_ACCESS_KEY_ID"] == "before"
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ
