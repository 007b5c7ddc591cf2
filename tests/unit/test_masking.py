"""Secrets by name, by form and by value; signs that a terminal or a page would obey."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
import yaml

from engage_spark import log, masking
from engage_spark.cli import console
from engage_spark.errors import ConfigurationError
from engage_spark.masking import (
    cut,
    escaped,
    is_secret_name,
    mask,
    mask_texts,
    mask_values,
    printable,
    remember,
    remember_environment,
    remember_settings,
)
from engage_spark.settings import Settings, load_settings
from tests.support.processor import slowness

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
    f"http://u:a,{SECRET}@h/x",
    f"http://u:a'{SECRET}@h/x",
    f'http://u:a"{SECRET}@h/x',
    f"http://u:a<{SECRET}@h/x",
    f"http://u:a {SECRET}@h/x",
    f"postgresql://u:{SECRET} is cut",
    f"s3a://KEY:{SECRET}",
    f"reading s3a://KEY:{SECRET}, then s3a://other",
    f"u:{SECRET.replace('/', '')}@h:5432/db",
    f"password: {SECRET}",
    f"a:\n  secret_key: {SECRET}  # mine\n  b: 1",
    'a "token": 471147114711, "b": 1',
    f"x-api-key: {SECRET}",
    f"Authorization: {SECRET}",
    f"Authorization: token {SECRET}",
    f"Cookie: a=1; session={SECRET}",
    f"--password {SECRET}",
    f"--db-password '{SECRET} x'",
    f"pass={SECRET}",
    f"pass: {SECRET}",
    f'password="a\\"b {SECRET}"',
    f'password="a {SECRET}',
    f'{{\\"password\\": \\"{SECRET}\\"}}',
    f"password=a,{SECRET}",
    f"passphrase={SECRET}",
    f"MYSQL_PASS={SECRET}",
    f"dsn={SECRET}",
    f"connection string={SECRET}",
    f"jwt={SECRET}",
    f"cookie={SECRET}",
    f"Map(spark.hadoop.fs.s3a.secret.key -> {SECRET}, a -> b)",
    f"Array((spark.hadoop.fs.s3a.secret.key,{SECRET}), (a,b))",
    f"spark.hadoop.fs.s3a.secret.key    {SECRET}",
    f"secret_key\t{SECRET}\nb\tc",
    f"password := {SECRET}",
    f"password\xa0= {SECRET}",
    f"jdbc:sqlserver://h;user=a;password={{a;{SECRET}}};encrypt=true",
    f"a:\n  password: |\n    {SECRET}\n    {SECRET}\nb: 1",
    f"password: >-\n  {SECRET}",
    f"secrets: ['a', '{SECRET}']",
    f"tokens=[a, {SECRET}]",
    f"<property><name>fs.s3a.secret.key</name><value>{SECRET}</value></property>",
    f"<password>{SECRET}</password>",
    f"https://h/?x=1%26password%3D{SECRET}",
    f"%22client_secret%22%3A%22{SECRET}%22",
    f"password=&quot;{SECRET}&quot;",
    f"password&#61;{SECRET}",
    f"curl -u user:{SECRET} x",
    f"--user=user:{SECRET}",
    f"pwd => {SECRET}",
    f"'password' => '{SECRET}'",
    f'password = """{SECRET}"""',
    f"password = '''{SECRET}",
    f'password <- "{SECRET}"',
    f'password == "{SECRET}"',
    f"password→{SECRET}",
    f"password：{SECRET}",
    f"password&equals;{SECRET}",
    f"password: !vault {SECRET}",
    f'<property name="fs.s3a.secret.key" value="{SECRET}"/>',
    f'<property value="{SECRET}" name="fs.s3a.secret.key"/>',
    f'{{"name": "password", "value": "{SECRET}"}}',
    f'{{"Value": "{SECRET}", "Key": "DB_PASSWORD"}}',
    f"- name: DB_PASSWORD\n  value: {SECRET}",
    f"('fs.s3a.secret.key', '{SECRET}')",
    f'.option("password", "{SECRET}")',
    f"withPassword('{SECRET}')",
    f"Secret(value='{SECRET}')",
    f"ALTER USER x WITH PASSWORD '{SECRET}'",
    f"CREATE USER x IDENTIFIED BY '{SECRET}'",
    f"machine h login u password {SECRET}",
    f"the password is {SECRET}",
    f"-password {SECRET}",
    f"password:\n  {SECRET}\nb: 1",
    f"passwords:\n  - {SECRET}",
    f"pw={SECRET}",
    f"mysql -p {SECRET} -u root",
    f"sshpass -p{SECRET} ssh h",
    "java -p hUsh4711 x",
    "['x', '-p', 'hUsh4711']",
    f"['curl', '-u', 'bob:{SECRET}']",
    f"Command '['x', '--db-token', '{SECRET}']' returned non-zero exit status 1",
    f"secret_key is {SECRET}",
    "password: 47114711",
    "token: 471147114711",
    "the password is 47114711hush",
    "the secret key is hUshHush",
    "token was hUshHush",
    f"passwd {SECRET}",
    f"passwd was '{SECRET}'",
    f'wrong password "{SECRET}"',
    f"SET PASSWORD FOR x = '{SECRET}'",
    f'ALTER USER x IDENTIFIED BY "{SECRET}"',
    f"OPTIONS (`password` '{SECRET}')",
    f'OPTIONS (secret_key "{SECRET}")',
    f"spark.hadoop.fs.s3a.secret.key {SECRET}",
    f"AWS_SECRET_ACCESS_KEY {SECRET}",
    f"the access key {SECRET} is wrong",
    f"bad credentials {SECRET}",
    "|password|hUsh4711hUsh4711+/=|",
    '"password","hUsh4711hUsh4711+/="',
    "api_key;hUsh4711hUsh4711+/=",
    "AKIAIOSFODNN7EXAMPLE:" + "hUsh4711+/" * 4,
    "the keys AKIAIOSFODNN7EXAMPLE and then ASIAIOSFODNN7EXAMPLE, " + "hUsh4711+/" * 4,
    f"auth=('bob', '{SECRET}')",
    f"auth=HTTPBasicAuth('bob', '{SECRET}')",
    f"signing_key={SECRET}",
    f"Ocp-Apim-Subscription-Key: {SECRET}",
    f"x-functions-key: {SECRET}",
    f"password%253D{SECRET}",
    f'<entry key="password">{SECRET}</entry>',
    f"&lt;password&gt;{SECRET.replace('/', '')}&lt;/password&gt;",
    "authorization: basic dXNlcjpodXNoNDcxMTQ3MTE0NzExaFVzaDQ3MTE0NzEx",
    "sent with basic aFVzaDQ3MTE0NzExNDcxMTQ3MTE0NzExaHVzaA==",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIabc" + SECRET,
    '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIabc\\n-----END PRIVATE KEY-----\\n", "a": 1}',
    "npm_" + "a1B2" * 9,
    "sk_live_" + "a1B2" * 5,
    "hvs." + "a1B2" * 8,
    "GOCSPX-" + "a1B2" * 6,
    "a1B2" * 21 + "aa==",
    "https://x.webhook.office.com/webhookb2/" + "a1B2" * 6,
    "https://maps.example.org/x?key=471147114711",
    "github_pat_" + "a1B2" * 9,
    "glpat-" + "a1B2" * 5,
    "hf_" + "a1B2" * 8,
    "xoxb-1234567890-" + "a1B2" * 5,
    "sk-proj-" + "a1B2" * 8,
    "https://hooks.slack.com/services/T0/B0/" + "a1B2" * 6,
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
    "http://host:80 failed, write to mail@example.org",
    "mailto:bob@example.org",
    "http://[::1]:8080/x",
    "file:///C:/data/x.csv",
    "sc://h:15002/;user_id=x",
    "postgresql://h1:5432,h2:5432/db",
    "passed=10 passes=3 pass_rate=0.5 bypass=1",
    "s3.secret_key: unknown key (base.yaml); did you mean access_key?",
    "author=x authority=y authentication=z",
    "pattern=x path=y signal=z",
    "token: null",
    "in one pass: counts, sums",
    "--key COLUMN",
    "fields (secret_key, access_key) -> table",
    "columns a -> b, c",
    "spark.sql.session.timeZone  UTC",
    "<table>rows</table> [a, b] {c}",
    "a 100% sure & quick (tokens) %3D",
    "curl -u x",
    "known are ['token', 'user', 'secret']",
    "a -> b where (name, value) = ('rows', '3')",
    '<property name="rows" value="3"/>',
    "- name: ROWS\n  value: 3",
    "the token of run 3 is missing",
    "the password is wrong",
    "identified by a hash",
    "payment_type IN ('token', 'card')",
    "columns ['auth_method', 'sms']",
    "CASE WHEN pass_type == 'gold'",
    "season_pass('gold')",
    "password changes_90d of 12 customers",
    "token_spend:\n    integer",
    "name: token_count, value: 12",
    "value=12 name=token_count",
    "password:\n  min_length: 3",
    "account_key: missing; add it as bigint",
    "session_key: missing, but there is 'Session'; rename it",
    "token_spend: integer",
    "access_key\tstring",
    "token_spend: 12,000 different values",
    "token_spend: 3.5% missing",
    "train token_spend: started",
    "api_key of 2025-10-21: published",
    "| password | string | feature |",
    "password,string,feature",
    "the secret_key of 12 rows is null",
    "the secret is out, the token is missing",
    "k8s://https://host:6443",
    "mean token_spend: 12.5",
    "token_count: 12, auth_failures: 3.5%",
    "mean account_key 2025-W43 3.5e+06",
    "token_spend of 2025-W43 is 12.5EUR",
    "token_spend 2025-W43",
    "check s3.endpoint, s3.region, the network, and s3.access_key or the AWS chain",
    "mkdir -p data/2025/10",
    "ssh -p 2222 host",
    "a basic check of 12 columns",
    "the session key s2 and the token id_2",
]
SECRET_NAMES = """password passwd passphrase ssl_passphrase db.pass PGPASS PGPASSWORD MYSQL_PASS authorization
    oauth cookie bearer jwt dsn SENTRY_DSN connection_string connectionString SLACK_WEBHOOK azure_sas sas_url
    sig GH_PAT api_key AWS_ACCESS_KEY_ID client.secret token credentials auth
    spark.hadoop.fs.azure.sas.c.a spark.ssl.keyStorePassword spark.authenticate.secret"""
PLAIN_NAMES = """PATH PYTHONPATH passive passenger passed passes passage passport compass bypass pattern
    author
    authority signal path
    spark.master spark.app.name spark.driver.memory spark.executor.memory spark.sql.shuffle.partitions
    spark.sql.session.timeZone spark.sql.ansi.enabled spark.sql.adaptive.enabled spark.jars.packages
    spark.jars
    spark.serializer spark.sql.extensions spark.sql.catalog.spark_catalog spark.authenticate
    spark.driver.extraJavaOptions spark.executor.extraJavaOptions spark.hadoop.fs.s3a.path.style.access
    spark.hadoop.fs.s3a.endpoint spark.hadoop.fs.s3a.connection.ssl.enabled
    spark.hadoop.fs.s3a.endpoint.region
    spark.hadoop.fs.s3a.aws.credentials.provider spark.hadoop.hadoop.security.authentication
    spark.ui.enabled spark.eventLog.dir spark.local.dir spark.sql.warehouse.dir spark.default.parallelism
    spark.dynamicAllocation.enabled spark.memory.fraction spark.network.timeout spark.task.maxFailures
    spark.databricks.delta.schema.autoMerge.enabled spark.connect.grpc.binding.port spark.log.level
    spark.sql.parquet.compression.codec spark.sql.files.maxPartitionBytes spark.speculation"""


@pytest.mark.parametrize("text", IN_TEXT, ids=lambda t: t[:30])
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    masked = mask(text)
    assert "***" in masked
    assert mask(masked) == masked
    for part in (
        SECRET,
        SECRET.replace("/", ""),
        "47114711",
        "AKIAIOSFODNN7EXAMPLE",
        "0123456789abcdef",
        "a1B2a1B2",
        "eyJzdWIi",
        "MIIabc",
    ):
        assert part not in masked


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_none_stays(text: str) -> None:
    assert mask(text) == text


def test_a_remembered_value_is_masked_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_remembered", set())
    remember(["a plain/word", "short", None, "true"])
    assert mask("x a plain/word y a%20plain%2Fword a+plain%2Fword short true") == "x *** y *** *** short true"
    assert mask_texts({"key": ["a plain/word", 1]}) == {"key": ["***", 1]}


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)
    assert mask_values({name: "x"}) == {name: "***"}


@pytest.mark.parametrize("name", PLAIN_NAMES.split())
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_name(name)


def _names(values: object) -> set[str]:
    return {n for k, v in values.items() for n in (k, *_names(v))} if isinstance(values, dict) else set()


def test_of_the_settings_only_keys_and_tokens_are_secrets() -> None:
    names = _names(Settings().model_dump(by_alias=True))
    assert {n for n in names if is_secret_name(n)} == {"access_key", "api_key", "secret_key", "session_token"}


@pytest.mark.parametrize(
    "unit",
    ["a", "password", "password ", "password=", "password: ", 'password="', "access key",
     "secret_key ", "key",
     "eyJ", "eyJ-", "eyJaaaaaaaa.", "jdbc:", "jdbc:a:b:", "jdbc:a:b:c ", "://", "//a:b", "u:p@",
     "@", ":", "=",
     "--", "--a ", "--password ", "-----BEGIN ", "-----BEGIN A PRIVATE KEY-----", "sk-",
     "Bearer ", " ", "\\", '"',
     "authorization:", "cookie", "xoxb-", "http://u:p w ", "password ->", "(password", "password: |\n x",
     "password=[", "password={", "<password>", "password</name> ", "password%3D", "password&#61;",
     "password&quot;", "a.password  ", "password\t", "-u a:", "password => ", "('password', ",
     "name=password value=", "value=x ", "password(", "password '", "password is ", "password:\n  ",
     "identified by ", "password 1", "value=", "value:", "value='", "value=a ", "['password', '",
     "password ==", "(a.", "<a", "\n ", "a.a",
     "['--password', '", "auth=(", "auth=(a)", "-p a1", "mysql -p ", "mysql ", "AKIA",
     "AKIAIOSFODNN7EXAMPLE:",
     "|password|aA1", "password,", "password is aA", 'password "', "&lt;password&gt;", "='password'>",
     "%25", "password%25", "basic aA1", "-u', 'a", "a1B2"],
)  # fmt: skip
def test_masking_a_long_text_takes_a_moment(unit: str) -> None:
    started = time.process_time()
    mask(unit * (50_000 // len(unit)))
    mask("password" + unit * (50_000 // len(unit)))
    spent = time.process_time() - started
    assert spent < 0.45 or spent < 0.45 * slowness()


def test_a_remembered_value_is_masked_in_every_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_remembered", set())
    value = 'é"b\\/c d'
    remember([value])
    for text in (json.dumps({"a": value}), json.dumps(value, ensure_ascii=False), repr(value)):
        assert "***" in mask(text)
    assert mask("x %c3%a9%22b%5c%2fc%20d") == "x ***"


def test_short_secrets_of_settings_are_remembered_and_of_the_environment_no_paths_that_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(masking, "_remembered", set())
    remember_settings({"s3": {"secret_key": "ABC13", "access_key": "a"}, "x": {"password": {"of": "QQ77"}}})
    remember_settings({"root": "s3a://KEY:PQ/9@x@bucket/a", "pin": 4711, "token": 815815})
    remember_settings({"master": "k8s://https://host:6443"})
    assert mask("https://host:6443/x") == "https://host:6443/x"
    assert mask("ABC13 QQ77 PQ/9@x 815815 4711 a") == "*** *** *** *** 4711 a"
    monkeypatch.setenv("X_SECRET", "/hush/4711")
    monkeypatch.setenv("X_KEY_FILE", str(tmp_path))
    remember_environment()
    assert mask(f"/hush/4711 {tmp_path}") == f"*** {tmp_path}"


def test_a_text_is_masked_before_it_is_cut() -> None:
    assert cut(f"at http://u:{SECRET}@h", 20) == "at http://***@h"
    assert cut("abcdef", 3) == "abc"


def test_whatever_is_no_number_is_masked_as_text() -> None:
    class Address:
        def __str__(self) -> str:
            return IN_TEXT[0]

    masked = mask_texts({IN_TEXT[0]: Address(), "a": {IN_TEXT[0]}, "n": 1.5, "b": True, "z": None})
    assert SECRET not in str(masked)
    assert (masked["n"], masked["b"], masked["z"]) == (1.5, True, None)


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


@pytest.mark.parametrize("sign", "\u206a\u206f\u00ad\u180e\u034f\U000e0001\U000e007f\u202e")
def test_invisible_signs_are_written_out(sign: str) -> None:
    assert printable(f"a{sign}b").isascii()


def test_no_name_begins_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    console.error(ConfigurationError("the table 'a\nerror: forged'", details=("b\nc",), hint="d\ne"))
    console.line("f\ng")
    log.configure(json_lines=False, level="info")
    log.event("h\ni", name="j\nk")
    console.grid(console._out(), ["l\nm\x1b[2J", "n"], [("o\np", "q")])
    streams = capsys.readouterr()
    assert not any(line.strip()[:1] in tuple("ecgikmp") for line in streams.out.splitlines())
    assert [line.strip()[:2] for line in streams.err.splitlines()] == ["er", "- ", "Hi", "h\\"]
    assert "\x1b" not in streams.out
    logging.getLogger(log.LOGGER).setLevel(logging.NOTSET)


def test_a_document_is_masked_and_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.document(f"a: 1\nurl: {IN_TEXT[0]}\n\x1b")
    assert capsys.readouterr().out == "a: 1\nurl: http://***@host:5000/x\n" + r"\u001b"
    console.json_object({"a": "\U000e0041\x9b"})
    assert json.loads(capsys.readouterr().out) == {"a": "\U000e0041\x9b"}


def test_repr_of_settings_shows_no_secret() -> None:
    settings = Settings.model_validate(
        {
            "spark": {"remote": f"sc://h/;token={SECRET}", "conf": {"spark.x.password": SECRET}},
            "tracking": {"uri": f"http://u:{SECRET}@h"},
        }
    )
    assert SECRET not in f"{settings!r} {settings} {settings.spark!r} {settings.tracking}"
    assert "sc://h/" in repr(settings)


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


def test_what_is_left_beside_a_known_secret_is_masked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_remembered", {"hush"})
    assert mask("the password is 47114711hush") == "the password is ***"
