"""Check the machine and the configured locations, and say what is missing and how to fix it.

Starts no Spark session.
"""

from __future__ import annotations

import os
import platform
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from engage_spark.errors import ConfigurationError, EngageError
from engage_spark.settings import Settings
from engage_spark.spark import class_archive, jars, versions
from engage_spark.spark.java import require_java
from engage_spark.spark.session import fetched_jars, is_local, packages
from engage_spark.tracking import Tracker
from engage_spark.tracking.client import sqlite_file

OLDEST_PYTHON = (3, 11)
FETCH = "engage-spark doctor --fetch-jars does it once and for all"
SECONDS = 5
"""Time limit of every network step. Without retries, the doctor answers within a minute even when nothing
else does.
"""
KEYS = {"lake": "lake.root", "scratch": "lake.scratch", "tracking": "tracking.folder"}
BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "TooManyRequests")
ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check. `hint` says how to fix what is not ok."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    hint: str = ""


def examine(settings: Settings, *, fetch_jars: bool = False) -> list[Diagnosis]:
    """Run every check that these settings need, in the order in which to fix them.

    Errors: none for what is checked; it is in the result.
    """
    checks: list[Callable[[], Diagnosis]] = [
        _python,
        lambda: _java(settings),
        _spark,
        lambda: _jars(settings, fetch=fetch_jars),
    ]
    checks.append(lambda: _memory(settings))
    places = {
        "input": (settings.input.root, False),
        "lake": (settings.lake.root, True),
        "scratch": (settings.lake.scratch_root, True),
    }
    checks += [lambda n=n, p=p, w=w: _place(n, p, settings, write=w) for n, (p, w) in places.items() if p]  # type: ignore[misc]
    if settings.lake.catalog:
        checks.append(
            lambda: Diagnosis(
                "lake",
                "ok",
                f"tables in {settings.lake.catalog}.{settings.lake.schema_name}; its grants show on first "
                "use",
            )
        )
    checks.append(lambda: _tracking(settings))
    return [check() for check in checks]


def _python() -> Diagnosis:
    here = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Diagnosis("python", "fail", f"{here} is too old", "use Python 3.11 or newer")
    return Diagnosis("python", "ok", here)


def _java(settings: Settings) -> Diagnosis:
    if settings.spark.remote and not is_local(settings):
        return Diagnosis("java", "ok", f"not needed: Spark runs at {settings.spark.remote}")
    try:
        java = require_java()
    except ConfigurationError as e:
        return Diagnosis("java", "fail", e.message, e.hint or "")
    return Diagnosis("java", "ok", f"{java.text} at {java.path}")


def _spark() -> Diagnosis:
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return Diagnosis(
            "spark", "ok", f"the Databricks runtime's, {os.environ['DATABRICKS_RUNTIME_VERSION']}"
        )
    try:
        pair = versions.installed_pair()
    except ConfigurationError as e:
        return Diagnosis("spark", "fail", e.message, e.hint or "")
    delta = f"delta-spark {pair.delta}" if pair.delta else f"Delta {pair.line.delta} by its jars"
    text = f"pyspark {pair.spark}, {delta}"
    if not pair.tried:
        tried = f"pyspark {pair.line.spark} and delta-spark {pair.line.delta}"
        return Diagnosis("spark", "warn", f"{text}: not the pair that was tried, {tried}", pair.line.install)
    return Diagnosis("spark", "ok", text)


def _jars(settings: Settings, *, fetch: bool) -> Diagnosis:
    if settings.spark.remote and not is_local(settings):
        return Diagnosis("jars", "ok", "the Connect server's own")
    ivy = jars.ivy_home(settings.spark.conf)
    try:
        wanted = packages(settings)
    except ConfigurationError as e:
        return Diagnosis(
            "jars", "fail", f"not known as long as Spark is not in order: {e.message}", e.hint or ""
        )
    if fetch:
        try:
            jars.fetch(wanted, ivy=ivy)
        except ConfigurationError as e:
            return Diagnosis("jars", "fail", " ".join([e.message, *e.details]), e.hint or "")
        try:
            class_archive.make(fetched_jars(settings))
        except ConfigurationError as e:
            return Diagnosis("jars", "warn", " ".join([e.message, *e.details]), e.hint or "")
    if jars.resolved(wanted, ivy=ivy):
        archive = class_archive.archive_path(fetched_jars(settings))
        archived = f", their classes in {archive}" if archive and class_archive.is_whole(archive) else ""
        return Diagnosis("jars", "ok", f"{', '.join(wanted)} in {ivy}{archived}")
    size = " (0.7 GB)" if settings.uses_s3 else ""
    return Diagnosis(
        "jars", "warn", f"resolved at every start, downloaded at the first{size}: {', '.join(wanted)}", FETCH
    )


def _memory(settings: Settings) -> Diagnosis:
    wanted = settings.spark.driver_memory or "1g"
    needed = int(wanted[:-1]) * UNITS[wanted[-1]]
    total = _memory_bytes()
    if total is None:
        return Diagnosis(
            "memory",
            "warn",
            "this system does not say how much memory there is",
            f"see that {wanted} and a half are free",
        )
    text = f"{total / 2**30:.1f} GB here, driver heap {wanted}"
    if is_local(settings) and needed * 1.5 > total:  # heap, JVM's own memory and the Python workers
        return Diagnosis(
            "memory",
            "fail",
            f"{text}: too little",
            "lower spark.driver_memory, such as --set spark.driver_memory=1g",
        )
    return Diagnosis("memory", "ok", text)


def _memory_bytes() -> int | None:
    """Memory of the machine, or of the container where that has less."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            total = min(total, int(limit.read_text()))
        except (OSError, ValueError):  # no such controller, or "max"
            continue
    return total


def _place(name: str, place: str, settings: Settings, *, write: bool) -> Diagnosis:
    if place.startswith(("s3a://", "s3://")):
        return _bucket(name, place, settings, write=write)
    if "://" in place:
        return Diagnosis(
            name,
            "warn",
            f"{place}: not looked at, only local paths and S3 are",
            "see that Spark can reach it",
        )
    path = Path(place.removeprefix("file:"))
    if not write:
        if path.is_dir() and os.access(path, os.R_OK):
            return Diagnosis(name, "ok", str(path))
        state: Literal["fail", "warn"] = "fail" if path.exists() else "warn"
        return Diagnosis(
            name,
            state,
            f"{path}: no readable folder there",
            "make it (engage-spark synth does), or set input.root",
        )
    return _writable(name, path)


def _tracking(settings: Settings) -> Diagnosis:
    """Check the folder of a local file, since MLflow would create the file when asked; ask a server once."""
    if find_spec("mlflow") is None:
        return Diagnosis(
            "tracking",
            "warn",
            "mlflow is not installed: train, score and models need it",
            "pip install 'engage-spark[ml]'",
        )
    tracker = Tracker(settings.tracking)
    if (file := sqlite_file(tracker.place.uri)) is not None:
        return _writable("tracking", file.parent)
    try:
        tracker.check(seconds=SECONDS)
    except EngageError as e:
        return Diagnosis("tracking", "fail", e.message, e.hint or "")
    return Diagnosis("tracking", "ok", f"MLflow answers at {tracker.place.uri}")


def _writable(name: str, path: Path) -> Diagnosis:
    """Check that a folder, or the nearest one above it that exists, can be written; leave nothing there."""
    nearest = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    probe = nearest / f".engage-spark-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as e:
        return Diagnosis(
            name,
            "fail",
            f"{path} cannot be written: {e.strerror} at {nearest}",
            f"correct the permissions, or set {KEYS[name]}",
        )
    return Diagnosis(name, "ok", f"{path} can be written")


def _bucket(name: str, place: str, settings: Settings, *, write: bool) -> Diagnosis:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return Diagnosis(
            name, "warn", f"{place}: not checked, boto3 is not installed", "pip install 'engage-spark[s3]'"
        )
    s3, address = settings.s3, urlsplit(place)
    prefix = address.path.strip("/")
    secrets: dict[str, Any] = {
        "aws_access_key_id": s3.access_key and s3.access_key.get_secret_value(),
        "aws_secret_access_key": s3.secret_key and s3.secret_key.get_secret_value(),
        "aws_session_token": s3.session_token and s3.session_token.get_secret_value(),
    }
    style = {"addressing_style": "path" if s3.path_style else "auto"}
    config = Config(
        connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1}, s3=style
    )
    try:
        client = boto3.client(
            "s3",
            endpoint_url=_endpoint(settings),
            region_name=s3.region,
            use_ssl=s3.ssl,
            config=config,
            **secrets,
        )
        listed = client.list_objects_v2(
            Bucket=address.netloc, Prefix=f"{prefix}/" if prefix else "", MaxKeys=1
        )
        if write:
            probe = f"{prefix}/.engage-spark-{uuid.uuid4().hex}".lstrip("/")
            client.put_object(Bucket=address.netloc, Key=probe, Body=b"")
            client.delete_object(Bucket=address.netloc, Key=probe)
    except ClientError as e:
        code = e.response.get("Error", {}).get("Code", "?")
        status = int(e.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        hint = (
            "create the bucket or correct the address"
            if code == "NoSuchBucket"
            else "the server is busy or broken, which is no matter of credentials; try again later"
            if status >= 500 or status == 429 or code in BUSY
            else "set this machine's clock"
            if code == "RequestTimeTooSkewed"
            else "correct s3.region, s3.endpoint or s3.path_style"
            if code in ELSEWHERE
            else "check the credentials and their grants on this bucket"
        )
        return Diagnosis(name, "fail", f"{place}: {e.operation_name} was refused with {code}", hint)
    except (BotoCoreError, ValueError) as e:
        return Diagnosis(
            name,
            "fail",
            f"{place}: {e}",
            "check s3.endpoint, s3.region, the network, and s3.access_key or the AWS chain",
        )
    if not write and not listed.get("KeyCount"):
        return Diagnosis(
            name,
            "warn",
            f"{place} can be listed, and is empty",
            "bring the raw files there, or set input.root",
        )
    return Diagnosis(name, "ok", f"{place} can be {'written' if write else 'read'}")


def _endpoint(settings: Settings) -> str | None:
    endpoint = settings.s3.endpoint
    if endpoint and "://" not in endpoint:  # Hadoop takes a bare host and port, boto3 does not
        return f"{'https' if settings.s3.ssl else 'http'}://{endpoint}"
    return endpoint
