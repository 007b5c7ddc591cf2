"""Build the Spark session, and hide the differences between classic Spark and Spark Connect.

No other module does either. A Spark that is not known, or whose Delta is another's, is refused before it
starts. An existing session is taken as it is: Databricks, spark-submit's notebook, a test. Otherwise
`SPARK_REMOTE` or `spark.remote` names a Connect server, and otherwise a classic session is built with Delta,
and with hadoop-aws where a configured path is in S3. What this package guarantees about its results rests on
four options, so they are set and then checked on every session.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from engage_spark import log
from engage_spark.errors import ConfigurationError, EngageError, TransientError
from engage_spark.masking import cut, is_secret_name, mask, printable
from engage_spark.reachability import require_listener
from engage_spark.settings import Settings
from engage_spark.spark import class_archive, jars, s3, versions
from engage_spark.spark.connect_retries import bound_retries
from engage_spark.spark.guarantees import GUARANTEES, set_guarantees
from engage_spark.spark.java import require_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"

LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # A laptop's host name often resolves to an address that does not answer (VPN, container).
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Delta replays the log of every table in 50 partitions by default; on a few cores that is all scheduling.
    "spark.databricks.delta.snapshotPartitions": "1",
    # Spark generates methods above 8000 bytecodes for wide tables, and the JVM never compiles those unless
    # told to.
    "spark.driver.extraJavaOptions": "-XX:-DontCompileHugeMethods -XX:+UseParallelGC",
}
"""Defaults of a session on one machine; `spark.conf` overrides each."""

_logs: list[BinaryIO] = []
"""Logs of the JVM that this process started. Their files have no name any more, so nothing stays of them."""

KEEP_LOG = "--set log.spark=FILE keeps all of Spark's log"

PATIENCE = 20.0
"""Seconds for a standalone master to take the application. Spark itself gives it a minute."""

DEFAULTS = {
    # Whole-stage code for a wide table is one method of tens of thousands of bytecodes: the JVM compiles it
    # late and badly. From this many columns on, Spark generates a method per expression instead; ingest of 42
    # columns then needs a third less processor time.
    "spark.sql.codegen.maxFields": "40",
    # Beside each commit Delta would write a file of sums, by a temporary one: a third of the requests to S3
    # of a small delivery. It says nothing that the commit does not.
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
    # Spark's pages and event logs show every option. By itself Spark hides those that are called secret,
    # password, token or access key: neither a key of Azure or Google, nor a password in an address.
    "spark.redaction.regex": (
        "(?i)secret|passw|passphrase|token|credential|(?:access|account|api|private|encryption)[._-]?key"
        "|[.]sas[.]|sig(?:nature)?=|://[^/\\s:@]+:[^/\\s@]+@|thin:[^/\\s]+/[^@\\s]+@"
    ),
}
"""For every session that is built here."""


def get_session(settings: Settings) -> SparkSession:
    """Return the session of this process, and build it if there is none.

    Whoever had it built has to stop it; `open_session` does.
    Errors: ConfigurationError when Java or pyspark is missing, when Spark is not known or Delta is of another
    Spark, or when an existing session contradicts GUARANTEES.
    """
    spark = active_session() or _build(settings)
    require_known(spark)
    set_guarantees(spark)
    return spark


def require_known(spark: SparkSession) -> None:
    """Refuse a session of a Spark that this package does not know, or whose Spark Connect can't do the work.

    A Connect server that is newer than every known one is taken with a warning: a managed one is renewed by
    others, and serves older clients.
    Cost: the version is asked for; no job.
    Errors: ConfigurationError.
    """
    if is_connect(spark) and versions.is_newer(spark.version):
        _warn_of_newer(spark.version)
        return
    line = versions.line_of(spark.version)
    if is_connect(spark) and not line.connect:
        raise _without_connect(line)


@cache
def _warn_of_newer(version: str) -> None:
    """Say it once a process: a session is asked for often."""
    log.event(
        f"this Spark Connect server has Spark {version}; none newer than {versions.DEFAULT.line} was tried",
        level="warning",
    )


def _without_connect(line: versions.SparkLine) -> ConfigurationError:
    return ConfigurationError(
        f"Spark Connect of Spark {line.line} can neither train models nor count while it writes",
        hint=f"use a classic session on Spark {line.line} (spark.master instead of spark.remote), "
        "or Spark Connect of Spark 4.0 or newer",
    )


@contextmanager
def open_session(settings: Settings) -> Iterator[SparkSession]:
    """Open a session for a with-block: one that existed before stays, one that was built here is stopped.

    Spark's log has no name in the file system, and is gone with the process; an unexpected exception carries
    its last errors as a note.
    Errors: as `get_session`.
    """
    existed = active_session() is not None
    spark = get_session(settings)
    from engage_spark.spark.compat import silence_query_loggers

    silence_query_loggers()
    try:
        yield spark
    except Exception as e:
        if lines := [line for log in _logs for line in _last_errors(log)]:
            e.add_note("\n".join(["Spark's log ends with:", *lines, KEEP_LOG]))
        raise
    finally:
        if not existed:
            spark.stop()


def active_session() -> SparkSession | None:
    """Return the session that this process has already, classic or Connect, or None. Starts nothing."""
    if "pyspark" not in sys.modules and not (
        set(os.environ) & {"DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT"}
    ):
        return None  # importing pyspark costs a second, and a session cannot exist without it
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        return None
    return SparkSession.getActiveSession()


def is_connect(spark: SparkSession) -> bool:
    """Return whether this is a Spark Connect session (also Databricks serverless and databricks-connect)."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def is_local(settings: Settings) -> bool:
    """Return whether the session to be built runs in this machine's own JVM."""
    address = _remote(settings) or settings.spark.master or ""
    return address.startswith("local")


def spark_conf(settings: Settings) -> dict[str, str]:
    """Return every option of a session that is built here.

    `settings.spark.conf` overrides all of them except GUARANTEES.
    """
    conf = {
        "spark.app.name": settings.spark.app_name,
        "spark.sql.extensions": DELTA_EXTENSION,
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        **DEFAULTS,
    }
    if is_local(settings):
        conf |= LOCAL
        if settings.lake.root and "://" not in settings.lake.root and ":" not in settings.lake.root:
            # Spark creates its warehouse directory on start; the working directory is not the place for it.
            conf["spark.sql.warehouse.dir"] = str(Path(settings.lake.root).absolute() / "_warehouse")
    if settings.uses_s3:
        line = versions.installed_pair().line
        conf |= s3.conf(settings.s3, conditional_put=line.conditional_put)
    if settings.spark.driver_memory:
        conf["spark.driver.memory"] = settings.spark.driver_memory
    if settings.spark.shuffle_partitions:
        conf["spark.sql.shuffle.partitions"] = str(settings.spark.shuffle_partitions)
    files = fetched_jars(settings)
    if not files:
        return conf | {"spark.jars.packages": ",".join(packages(settings))} | settings.spark.conf | GUARANTEES
    class_path = {"spark.driver.extraClassPath": os.pathsep.join(map(str, files))}
    return class_archive.with_archive(conf | class_path | settings.spark.conf, files) | GUARANTEES


def fetched_jars(settings: Settings) -> tuple[Path, ...]:
    """Return the jars that a session puts on its class path.

    None unless Spark runs here and `jars.fetch` has run, or where settings name a class path or packages.
    """
    own = settings.spark.conf
    if not is_local(settings) or "spark.driver.extraClassPath" in own or "spark.jars.packages" in own:
        return ()
    return jars.resolved(packages(settings), ivy=jars.ivy_home(own))


def packages(settings: Settings) -> tuple[str, ...]:
    """Return the Maven coordinates of the jars that these settings need with the installed Spark.

    Errors: ConfigurationError where that is not known, or its Delta is another's.
    """
    pair = versions.installed_pair()
    return (
        pair.delta_package,
        *((pair.line.s3a_package,) if settings.uses_s3 else ()),
        *settings.spark.packages,
    )


def _remote(settings: Settings) -> str | None:
    return os.environ.get("SPARK_REMOTE") or settings.spark.remote


def _build(settings: Settings) -> SparkSession:
    remote = _remote(settings)
    in_jvm_of_others = bool(set(os.environ) & {"DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT"})
    starts_jvm = not in_jvm_of_others and not (remote and not remote.startswith("local"))
    line = versions.installed_pair().line
    if remote and not line.connect:
        raise _without_connect(line)
    if starts_jvm:
        require_java()
        # Spark would start its Python workers with whatever `python3` the PATH has, not with this
        # environment's.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        from pyspark.sql import SparkSession
    except ImportError as e:
        raise ConfigurationError(
            f"pyspark cannot be imported: {e}",
            hint="install the package with its Spark: pip install 'engage-spark[spark]' (on Databricks it "
            "is there already)",
        ) from e
    builder: Any = SparkSession.builder
    conf = spark_conf(settings) if starts_jvm or not remote else {}
    secrets = {key: conf.pop(key) for key in secret_options(conf)} if _launches_jvm(starts_jvm) else {}
    for key, value in conf.items():
        builder = builder.config(key, value)
    if remote:
        builder = builder.remote(remote)
    elif settings.spark.master and not in_jvm_of_others:
        builder = builder.master(settings.spark.master)
    if remote and not starts_jvm:
        require_listener(remote, "Spark Connect", setting="spark.remote (or SPARK_REMOTE)")
    if settings.uses_s3 and settings.s3.endpoint and starts_jvm:
        require_listener(settings.s3.endpoint, "S3", setting="s3.endpoint")
    master = "" if remote or in_jvm_of_others else settings.spark.master or ""
    _require_master(master)
    with _spark_log(settings) if starts_jvm else _nothing(), _private_options(secrets):
        with _patience(master) if master.startswith("spark://") else _nothing():
            spark = _start(builder, where=mask(remote or settings.spark.master or "the default master"))
    require_workers(spark)
    return spark


def require_workers(spark: SparkSession) -> None:
    """Let a Python worker of a cluster pass a row, so that one that does not fit is named before any work.

    A stage would meet it after its first tables are written. Nothing is asked of a session on this machine,
    whose workers are this Python, nor of Spark Connect, whose workers are the server's.
    Cost: one job of one row, once per session that is built here on a cluster.
    Errors: ConfigurationError where their Python is of another version, cannot start, or lacks pyarrow.
    """
    if is_connect(spark) or (spark.conf.get("spark.master", None) or "local").startswith("local"):
        return
    from engage_spark.spark.failures import SPARK_ERRORS, environment_fault

    try:
        # A lambda goes to the workers by its code: they need not have this package.
        spark.range(1).mapInArrow(lambda batches: batches, "id bigint").collect()
    except SPARK_ERRORS as e:
        fault = environment_fault(e, "the executors cannot run Python for this session")
        if fault is None:
            raise
        spark.stop()
        raise fault from e


def secret_options(conf: Mapping[str, str]) -> list[str]:
    """Return the options that are a secret, by their name or by what their value looks like."""
    plain = {*GUARANTEES, *DEFAULTS}
    return [k for k, v in conf.items() if k not in plain and (is_secret_name(k) or mask(v) != v)]


def _launches_jvm(starts_jvm: bool) -> bool:
    """Return whether a JVM is started: one that runs already takes its options otherwise."""
    from pyspark import SparkContext

    return starts_jvm and cast(Any, SparkContext)._gateway is None


@contextmanager
def _private_options(options: Mapping[str, str]) -> Iterator[None]:
    """Hand options to the JVM that is started inside this block by a file that only this user may read.

    pyspark starts the JVM with every option as an argument, and anybody on the machine may read a process's
    arguments.
    Errors: ConfigurationError where PYSPARK_SUBMIT_ARGS names such a file already.
    """
    if not options:
        yield
        return
    before = os.environ.get("PYSPARK_SUBMIT_ARGS")
    if before and "--properties-file" in before:
        raise ConfigurationError(
            f"PYSPARK_SUBMIT_ARGS has a --properties-file, and {', '.join(options)} would need another",
            hint="write these options into that file, and take them out of the settings",
        )
    descriptor, name = tempfile.mkstemp(prefix="engage-spark-", suffix=".conf")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(f"{_property(k)} {_property(v)}\n" for k, v in options.items())
        os.environ["PYSPARK_SUBMIT_ARGS"] = (
            f"--properties-file {shlex.quote(name)} --load-spark-defaults {before or 'pyspark-shell'}"
        )
        yield
    finally:
        Path(name).unlink(missing_ok=True)
        if before is None:
            os.environ.pop("PYSPARK_SUBMIT_ARGS", None)
        else:
            os.environ["PYSPARK_SUBMIT_ARGS"] = before


def _property(text: str) -> str:
    """Write a name or a value as Java's properties have it."""
    return "".join(
        c if c.isascii() and (c.isalnum() or c in "._-/+,;@") else f"\\u{unit:04x}"
        for c in text
        for unit in _utf16(c)
    )


def _utf16(character: str) -> list[int]:
    raw = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


def _require_master(master: str) -> None:
    """Knock at a standalone master or Kubernetes: at any of those that stand by for each other."""
    kind, _, rest = master.partition("://")
    if kind not in ("spark", "k8s"):
        return
    addresses = rest.split(",")
    for address in addresses:
        try:
            require_listener(address, f"the master {mask(master)}", setting="spark.master")
            return
        except EngageError:
            if address == addresses[-1]:
                raise


@contextmanager
def _patience(master: str) -> Iterator[None]:
    """End the JVM that starts inside this block when the master has not taken it in `PATIENCE` seconds.

    They begin when the JVM is up, since it may have to download jars before.
    Errors: TransientError.
    """
    from pyspark import SparkContext

    holder, done, gave_up = cast(Any, SparkContext), threading.Event(), threading.Event()

    def watch() -> None:
        while holder._gateway is None:
            if done.wait(0.1):
                return
        if not done.wait(PATIENCE):
            gave_up.set()
            holder._gateway.proc.kill()

    watcher = threading.Thread(target=watch, name="master-patience", daemon=True)
    watcher.start()
    try:
        yield
    except Exception as e:
        if not gave_up.is_set():
            raise
        holder._gateway = holder._jvm = None  # the next attempt starts a JVM of its own
        raise _not_taken(mask(master), f" within {PATIENCE:.0f} s") from e
    finally:
        done.set()
        watcher.join()


def _not_taken(master: str, within: str = "") -> TransientError:
    return TransientError(
        f"the master {master} did not take the application{within}",
        hint="see that it is a Spark master of the same version as the installed pyspark, that it runs, "
        "and that it can reach this machine (spark.driver.host)",
    )


def _start(builder: Any, *, where: str) -> SparkSession:
    from engage_spark.spark.failures import SPARK_ERRORS, environment_fault, first_line

    try:
        with warnings.catch_warnings():
            # A local Connect server has taken the static options at its start; setting them again on the
            # session warns.
            warnings.filterwarnings(
                "ignore", message=r"(?s).*(CANNOT_MODIFY_STATIC_CONFIG|CANNOT_MODIFY_CONFIG|Failed to set)"
            )
            session: SparkSession = builder.getOrCreate()
            if is_connect(session):
                bound_retries(session)
            return session
    except (*SPARK_ERRORS, OSError) as e:
        if "All masters are unresponsive" in str(e):  # Spark gave them up before `_patience` did
            raise _not_taken(where) from e
        what = f"no Spark session could be started on {where}"
        raise environment_fault(e, what) or ConfigurationError(
            f"{what}: {cut(first_line(e), 500)}",
            hint="run `engage-spark doctor`; it checks Java, the jars, memory and storage",
        ) from e


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _spark_log(settings: Settings) -> Iterator[None]:
    """Redirect the standard error of the JVM that is started inside this block to a file.

    Ivy, the launcher and log4j print dozens of lines there before any logging option takes effect. The JVM
    inherits the descriptor, so only a redirection at its start keeps a user's terminal for the package's own
    lines. `log.spark` says where they go.
    """
    if settings.log.spark == "stderr":
        yield
        return
    log = _open_log(settings.log.spark)
    _logs.append(log)
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        os.dup2(log.fileno(), 2)
        yield
    except ConfigurationError as e:
        raise ConfigurationError(
            e.message, hint=e.hint, details=(*e.details, *_last_errors(log), KEEP_LOG)
        ) from e
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _open_log(path: str | None) -> BinaryIO:
    """Open Spark's log for this user alone: the file that was asked for, else one without a name."""
    if path is None:
        return cast(BinaryIO, tempfile.TemporaryFile("a+b", prefix="engage-spark-"))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as e:
        raise ConfigurationError(
            f"Spark's log cannot be written to {path}: {e.strerror}", hint="correct log.spark"
        ) from None
    return os.fdopen(descriptor, "a+b")


def _last_errors(log: BinaryIO, most: int = 6) -> list[str]:
    """Return the last lines of Spark's log that speak of an error."""
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - 200_000))
    lines = (line.strip() for line in log.read().decode(errors="replace").splitlines())
    return [
        printable(cut(line, 300)) for line in lines if re.search(r"Exception|Error\b|rror:| ERROR ", line)
    ][-most:]
