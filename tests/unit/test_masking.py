"""Secrets by name, by form and by value; signs that a terminal or a page would obey."""

from __future__ import annotations

import logging

import pytest
import yaml

from engage_spark import log, masking
from engage_spark.cli import console
from engage_spark.errors import ConfigurationError
from engage_spark.masking import escaped, mask, mask_texts, printable, remember
from engage_spark.settings import Settings, load_settings

SECRET = "hUsh4711+/="
IN_TEXT = [
    f"http://user:{SECRET}@host:5000/x",
    f"https://{SECRET}@host/x",
    f"mysql+pymysql://u:p@{SECRET}@h/db",
    f"s3a://KEY:{SECRET}@bucket/p",
    f"sc://h:15002/;token={SECRET};user_id=x",
    f"jdbc:postgresql://h/db?user=a&password={SECRET}",
    f"jdbc:oracle:thin:scott/{SECRET}@//h:1521/x",
    f"jdbc:sqlserver://h;user=sa;password={SECRET};",
    f"https://a.blob.core.windows.net/c?sv=2020&sig={SECRET}&se=1",
    f"SharedAccessSignature={SECRET}",
    f"AccountKey={SECRET};EndpointSuffix=x",
    f"--set s3.secret_key:{SECRET}",
    f"spark.hadoop.fs.s3a.bucket.x.secret.key={SECRET}",
    f"fs.azure.account.key.a.dfs.core.windows.net={SECRET}",
    f"Authorization: Bearer {SECRET}",
    f"{{'password': '{SECRET}', 'a': 1}}",
    f'{{"client_secret": "{SECRET}"}}',
    f"access_token={SECRET}",
    f"api_key='{SECRET}'",
    f"PGPASSWORD={SECRET}",
    f"aws_secret_access_key = {SECRET}",
    "AKIAIOSFODNN7EXAMPLE",
    "dapi" + "0123456789abcdef" * 2,
    "ghp_" + "a1B2" * 9,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdef",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----",
]
PLAIN = [
    "key customer_id is missing",
    "the key field 'a' must be required",
    "give a session token",
    "s3.secret_key: access_key and secret_key belong together: give both or neither",
    "http://host:80/a?x=1",
    "tokens per minute: 3",
    "docks_total: found string, declared is int",
    "write to mail@example.org",
]


@pytest.mark.parametrize("text", IN_TEXT, ids=lambda t: t[:30])
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    masked = mask(text)
    assert "***" in masked
    for part in (SECRET, "AKIAIOSFODNN7EXAMPLE", "0123456789abcdef", "a1B2a1B2", "eyJzdWIi", "MIIabc"):
        assert part not in masked


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_none_stays(text: str) -> None:
    assert mask(text) == text


def test_a_remembered_value_is_masked_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_remembered", set())
    remember(["a plain/word", "short", None, "true"])
    assert mask("x a plain/word y a%20plain%2Fword a+plain%2Fword short true") == "x *** y *** *** short true"
    assert mask_texts({"key": ["a plain/word", 1]}) == {"key": ["***", 1]}


def test_errors_hold_no_secret() -> None:
    error = ConfigurationError(f"at {IN_TEXT[0]}", hint=IN_TEXT[4], details=(IN_TEXT[5],))
    assert SECRET not in str(error) + error.message + str(error.hint) + str(error.details)


def test_no_setting_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_remembered", set())
    settings = load_settings(
        "local",
        overrides=[
            f"tracking.uri=http://user:{SECRET}@host:5000",
            f"tracking.registry=postgresql://u:{SECRET}@h/db",
            f"spark.remote=sc://h/;token={SECRET}",
            f"input.root=s3a://KEY:{SECRET}@b/raw",
            f"s3.endpoint=http://u:{SECRET}@h",
            "s3.access_key=AKHUSH4711",
            f"s3.secret_key={SECRET}",
            f"spark.conf.spark.hadoop.fs.azure.sas.c.a={SECRET}",
            f"spark.conf.spark.x.url=jdbc:x://h?user=a&password={SECRET}",
            f"spark.conf.spark.ssl.keyStorePassword={SECRET}",
        ],
    )
    shown = yaml.safe_dump(settings.redacted())
    assert SECRET not in shown
    assert "HUSH" not in shown
    assert mask(f"anywhere {SECRET}") == "anywhere ***", "its value is known from now on"
    with pytest.raises(ConfigurationError) as misspelt:
        load_settings(
            "local",
            overrides=[f"s3.secretkey:{SECRET}", f"tracking.urn=http://u:{SECRET}@h", f"s3.ssl={SECRET}"],
        )
    assert SECRET not in str(misspelt.value)


def test_logs_hold_neither_secrets_nor_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    for json_lines in (True, False):
        log.configure(json_lines=json_lines, level="info")
        log.event("reading \x1b[2J", source=f"s3a://K:{SECRET}@b")
        printed = capsys.readouterr().err
        assert SECRET not in printed
        assert "\x1b[2J" not in printed
        assert "***" in printed
    logging.getLogger(log.LOGGER).setLevel(logging.NOTSET)


def test_what_a_terminal_would_obey_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2Jb\u202ec\nd\t\x9be\u200b") == r"a\u001b[2Jb\u202ec" + "\nd\t" + r"\u009be\u200b"
    assert escaped("<b>\x1b&") == r"&lt;b&gt;\u001b&amp;"
    console.stderr("\x1b]0;title\x07 " + IN_TEXT[0])
    console.json_object({"a": "\x9b31m", "b": IN_TEXT[0]})
    streams = capsys.readouterr()
    assert not set(streams.err + streams.out) & set("\x1b\x07\x9b")
    assert SECRET not in streams.err + streams.out


def test_an_unexpected_traceback_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RuntimeError(f"\x1b[2J at {IN_TEXT[0]}")
    except RuntimeError as e:
        console.unexpected(type(e), e, e.__traceback__)
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert SECRET not in printed
    assert "\x1b" not in printed


def test_the_default_settings_hold_nothing_to_mask() -> None:
    assert "***" not in yaml.safe_dump(Settings().redacted())
