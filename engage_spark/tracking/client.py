"""Connect to MLflow: its addresses from the settings, a client for them, and readable errors when it fails.

Nothing global is set: the client is given its addresses, and what mlflow reads from environment variables
(retries, progress bars, links on standard output) is set for the length of a call only, and only where the
user has not set it.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from engage_spark import log
from engage_spark.errors import ConfigurationError, EngageError, PermanentError, TransientError
from engage_spark.masking import cut
from engage_spark.reachability import PORTS, require_listener, stays_unreachable
from engage_spark.settings import TrackingSettings
from engage_spark.side_effects import announce

CALLS = {
    # mlflow retries seven times, twice as long each time: minutes until it says that nobody listens.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # mlflow sends usage figures to its makers by default. Whoever wants that sets the variable.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
CHANGES = ("create_", "log_", "set_", "delete_", "update_", "rename_")
"""How the names of an MlflowClient's calls begin that change something."""
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks", "databricks-uc", "uc")
LIBRARIES = ("mlflow", "sqlalchemy", "requests", "urllib3", "alembic", "botocore")
"""Whose exceptions count as MLflow's: its client lets some of theirs through."""
NOT_THERE = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})
REFUSED = frozenset(
    {"INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED", "BAD_REQUEST", *NOT_THERE}
)


_PASSING = re.compile(
    r"Connection(?:Error| refused| reset| aborted)|Timeout|timed out|Max retries|temporarily unavailable"
    r"|TEMPORARILY_UNAVAILABLE|REQUEST_LIMIT_EXCEEDED|RESOURCE_EXHAUSTED|DEADLINE_EXCEEDED|too many requests"
    r"|\b(?:code|status|HTTP)[ :=]{1,3}(?:429|50[0234])\b|\b(?:429|50[0234]) (?:Client|Server) Error\b"
    r"|\b(?:429|50[0234]) error responses|database is locked|server closed the connection|could not connect"
    r"|RemoteDisconnected|NewConnectionError|SSLEOFError|IncompleteRead",
    re.IGNORECASE,
)
"""What waiting can mend."""
_DENIED = re.compile(
    r"error code 40[13] |\b40[13] Client Error\b|authentication failed|no pg_hba\.conf entry"
    r"|Access denied for user|Unknown database|FATAL: +(?:database|role) .{1,100} does not exist",
    re.IGNORECASE,
)
"""What a server or a database answers that is there."""


@contextmanager
def default_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set these variables for the length of the block, save those that are set already."""
    added = [key for key in values if key not in os.environ]
    os.environ.update({key: values[key] for key in added})
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


@contextmanager
def silence_mlflow() -> Iterator[None]:
    """Keep mlflow's and alembic's messages off the terminal for the length of the block.

    What they announce as INFO or warn about is not news to our users.
    """
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with default_environment(CALLS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def import_mlflow(module: str = "mlflow") -> Any:
    """Import a module of mlflow; the first import takes about two seconds.

    Errors: ConfigurationError where it is not installed.
    """
    try:
        # not `silence_mlflow`: on import mlflow sets the level of its own logger
        with default_environment(CALLS), warnings.catch_warnings():
            return import_module(module)
    except ImportError as e:
        raise ConfigurationError(
            f"mlflow cannot be imported: {e}",
            hint="install the package with what models need: pip install 'engage-spark[ml]'",
        ) from e


@contextmanager
def importing_mlflow() -> Iterator[None]:
    """Import mlflow in a thread of its own while the block runs, and wait for it at the end of the block.

    What fails there fails again for whoever imports it. An error that leaves the block is not held up by the
    import. The environment is set before the thread starts, and set back when block and import have both
    ended, so that it does not change while the block runs.
    """
    with ExitStack() as environment:
        environment.enter_context(default_environment(CALLS))
        pool = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        importing = pool.submit(import_mlflow)
        at_the_end = environment.pop_all()
    try:
        yield
        wait([importing])
    finally:
        pool.shutdown(wait=False)
        importing.add_done_callback(lambda _: at_the_end.close())


def mlflow_error_code(error: BaseException) -> str:
    """Return MLflow's own name of an error, or nothing."""
    return str(getattr(error, "error_code", ""))


@contextmanager
def translate_mlflow_errors(what: str, place: str) -> Iterator[None]:
    """Turn MLflow's failures inside the block into errors of this package.

    Errors: TransientError where it does not answer, ConfigurationError where it refuses, PermanentError for
    other failures.
    """
    import_mlflow()
    try:
        with silence_mlflow():
            yield
    except EngageError:
        raise
    except Exception as e:
        if type(e).__module__.partition(".")[0] in LIBRARIES or isinstance(e, OSError):
            raise _translated(e, what, place) from e
        raise


def _translated(error: BaseException, what: str, place: str) -> EngageError:
    text = " ".join(str(error).split())
    if "Max retries exceeded" in text:  # what urllib3 wraps in three layers ends with the reason
        text = text.rpartition("): ")[2].rstrip("\"')")
    text = cut(text, 400)
    if mlflow_error_code(error) in REFUSED or _DENIED.search(text):
        return ConfigurationError(
            f"{what}: MLflow at {place} refuses: {text}",
            hint="correct tracking.uri, tracking.registry or the rights",
        )
    passes = isinstance(error, ConnectionError | TimeoutError) or _PASSING.search(
        f"{type(error).__name__}: {text}"
    )
    if passes and not stays_unreachable(text):
        return TransientError(
            f"{what}: MLflow at {place} does not answer as it should: {text}",
            hint="see that the server runs and can be reached, then do it again",
        )
    return PermanentError(
        f"{what}: MLflow at {place} failed: {text}",
        hint="look at the cause above: a retry gives the same as long as it is there",
    )


class _Announced:
    """An MlflowClient that announces each call which changes something, before it is made."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not name.startswith(CHANGES):
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            announce(f"MLflow {name}")
            return method(*arguments, **options)

        return call


class MlflowLocation:
    """The addresses of tracking and registry, and clients for them. Building one does nothing."""

    def __init__(self, settings: TrackingSettings) -> None:
        self.settings = settings
        self.folder = Path(settings.folder).expanduser().absolute()

    @property
    def uri(self) -> str:
        """Where runs are recorded: as configured, or a sqlite file below `folder`."""
        return self.settings.uri or f"sqlite:///{_quoted(str(self.folder / 'mlflow.db'))}"

    @property
    def registry(self) -> str:
        """Where models are registered: as configured, or where runs are."""
        return self.settings.registry or self.uri

    @property
    def artefacts(self) -> str | None:
        """Where a new experiment's files go: beside the sqlite file; elsewhere the server decides."""
        return (self.folder / "artifacts").as_uri() if _scheme(self.uri) == "sqlite" else None

    @property
    def viewer(self) -> str:
        """The command that serves MLflow's pages; empty where a server, or Databricks, does so already."""
        if _scheme(self.uri) in ("databricks", "databricks-uc", "uc", "http", "https"):
            return ""
        command = ["mlflow", "server", "--backend-store-uri", self.uri]
        command += ["--registry-store-uri", self.registry] if self.registry != self.uri else []
        return shlex.join(command)

    @property
    def page(self) -> str:
        """The address that opens MLflow on runs; empty on Databricks. MLflow 3 shows what its address asks
        for, else what the browser showed last, and begins with the pages of traces.
        """
        scheme = _scheme(self.uri)
        if scheme in ("databricks", "databricks-uc", "uc"):
            return ""
        server = self.uri.rstrip("/") if scheme in ("http", "https") else "http://127.0.0.1:5000"
        return f"{server}/#/experiments?workflowType=machine_learning"

    @property
    def names_files(self) -> bool:
        """Whether the registry hands out a model's files by its name alone, as Databricks does."""
        return _scheme(self.registry) in ("databricks", "databricks-uc", "uc")

    @cached_property
    def client(self) -> Any:
        """An MlflowClient for these addresses.

        The first use of a new sqlite file sets up its tables, which takes about five seconds.

        Errors: ConfigurationError for an address of unknown kind, or a folder that cannot be written.
        """
        new = False
        for key, uri in (("uri", self.uri), ("registry", self.registry)):
            if _scheme(uri) not in SCHEMES:
                raise ConfigurationError(
                    f"tracking.{key} is {uri!r}, of no kind that MLflow takes",
                    hint=(
                        f"use one that begins with {', '.join(SCHEMES)}; or leave it out: a sqlite file "
                        f"below tracking.folder"
                    ),
                )
            new |= _new_file(uri)
            if _scheme(uri) in PORTS:
                require_listener(uri, f"MLflow at {uri}", setting=f"tracking.{key}")
        with (
            log.stage("setting up MLflow's sqlite file") if new else nullcontext(),
            translate_mlflow_errors("no MLflow client can be made", self.uri),
        ):
            try:
                return _Announced(
                    import_mlflow().MlflowClient(tracking_uri=self.uri, registry_uri=self.registry)
                )
            finally:
                _remove_misread(self.uri)

    def calling(self, what: str) -> Any:
        """Return `translate_mlflow_errors` with this location's address in the message."""
        return translate_mlflow_errors(what, self.uri)


def _scheme(uri: str) -> str:
    """Return the kind of an address; of what is none the text itself."""
    try:
        return urlsplit(uri).scheme.split("+")[0] or uri
    except ValueError:
        return uri


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a sqlite address, None for other addresses."""
    path = uri.partition("?")[0].removeprefix("sqlite:///")
    return Path(unquote(path)) if _scheme(uri) == "sqlite" else None


def _quoted(path: str) -> str:
    """Write a path so that an address of a database has it: `%41` would be read as A, and `?` ends a path.

    Other signs stay as they are: mlflow makes the folder of the address as it is written there.
    """
    return re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", path).replace("?", "%3F")


def _remove_misread(uri: str) -> None:
    """Remove the empty folder that mlflow makes where it reads a quoted path as it is written."""
    file, written = sqlite_file(uri), Path(uri.partition("?")[0].removeprefix("sqlite:///"))
    if file is not None and written != file and written.parent != file.parent:
        with suppress(OSError):
            written.parent.rmdir()


def _new_file(uri: str) -> bool:
    """Return whether a sqlite file has no content yet.

    Refuses what cannot be written: mlflow would try for minutes to open it.
    """
    file = sqlite_file(uri)
    if file is None:
        return False
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as stream:
            return stream.tell() == 0
    except OSError as e:
        raise ConfigurationError(
            f"MLflow's file {file} cannot be written: {e.strerror or e}",
            hint="correct the permissions, or set tracking.folder or tracking.uri",
        ) from e
