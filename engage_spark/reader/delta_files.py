"""Open the Delta tables of a lake with deltalake: no Spark, no Java, on disk or in S3."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engage_spark.errors import ConfigurationError, EngageError, PermanentError, TransientError
from engage_spark.masking import cut
from engage_spark.reachability import stays_unreachable
from engage_spark.settings import Settings

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    import pyarrow.fs as pafs
    from deltalake import DeltaTable

_STATUS = r"\b(status|http)\D{0,12}"
_PASSING = re.compile(
    r"timed out|timeout|connection|reset by peer|sending request|" + _STATUS + r"(429|5\d\d)\b"
)
_REFUSED = re.compile(
    r"forbidden|access.?denied|signaturedoesnotmatch|permission denied|" + _STATUS + r"40[13]\b"
)
_ABSENT = re.compile(r"nosuchbucket|not found|no such file|" + _STATUS + r"404\b")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
PATIENCE = {"connect_timeout": "5s", "timeout": "14s", "max_retries": "2", "retry_timeout": "14s"}
"""How long one request may take, and how often it is tried."""


@dataclass(frozen=True)
class DeltaFiles:
    """The tables of a lake at a path. Each table is opened once, at the version that it has then."""

    settings: Settings
    _open: dict[str, DeltaTable | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def root(self) -> str:
        """The lake's folder, or its address in S3.

        Errors: ConfigurationError where the lake is a catalog, or none is configured.
        """
        lake = self.settings.lake
        if lake.catalog:
            raise ConfigurationError(
                f"the lake is the catalog {lake.catalog}: it is read by what serves the catalog",
                hint="query the views there, or give the folder of its tables as lake.root",
            )
        if not lake.root:
            raise ConfigurationError("no lake is configured", hint="set lake.root to a path")
        return lake.root.rstrip("/")

    def location(self, name: str) -> str:
        """Return the path of a table."""
        return f"{self.root}/{name}"

    def find(self, name: str) -> DeltaTable | None:
        """Open a table; None where there is none.

        Cost: its log is read once.
        Errors: ConfigurationError where it needs what deltalake cannot read, or access is refused;
        TransientError where the storage does not answer.
        """
        if name not in self._open:
            self._open[name] = self._newest(name)
        return self._open[name]

    def is_behind(self, name: str) -> bool:
        """Return whether a table has been written since it was opened.

        Cost: its log is read once more. Errors: as `find`.
        """
        seen, newest = self.find(name), self._newest(name)
        return (seen and seen.version()) != (newest and newest.version())

    def _newest(self, name: str) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        address = self.location(name).replace("s3a://", "s3://", 1).replace("s3n://", "s3://", 1)
        with translate_delta_errors(self.location(name)):
            try:
                return DeltaTable(address, storage_options=storage_options(self.settings))
            except TableNotFoundError:
                return None

    def runs_in(self, name: str, *columns: str) -> frozenset[str]:
        """Return the runs whose rows a table holds: it is partitioned by them, in one of `columns`. Empty
        without a table.

        Errors: ConfigurationError where it has another layout.
        """
        table = self.find(name)
        if table is None:
            return frozenset()
        column = next((c for c in columns if c in table.metadata().partition_columns), None)
        if column is None:
            raise ConfigurationError(
                f"{self.location(name)} was written by an older version of this package: it is not "
                "partitioned by run",
                hint="run `engage-spark tables migrate`, then with --apply",
            )
        with translate_delta_errors(self.location(name)):
            return frozenset(str(part[column]) for part in table.partitions())

    @staticmethod
    def without_rows(column: str) -> pads.Dataset:
        """Return no rows, of a table that the runs which are read wrote nothing to."""
        import pyarrow as pa
        import pyarrow.dataset as pads

        return pads.dataset(pa.table({column: pa.array([], pa.string())}))

    def dataset(self, name: str, *, runs: tuple[str, Collection[str]] | None = None) -> pads.Dataset:
        """Return a table's live files as a dataset that is read when it is scanned.

        `runs` names the partition column of runs, and the runs whose files are wanted.
        Errors: as `find`; ConfigurationError where there is no such table.
        """
        table = self.find(name)
        if table is None:
            raise ConfigurationError(
                f"there is no table {self.location(name)} yet",
                hint="run the stage that makes it, or check lake.root",
            )
        pruned: Any = None if runs is None else [(runs[0], "in", sorted(runs[1]))]
        import pyarrow as pa

        with translate_delta_errors(self.location(name)):
            schema = pa.schema(table.schema().to_arrow())
            # Files are told apart by their partitions alone: the bounds of every column of every file would
            # cost more than they save, and Parquet has them, too.
            partitions = pa.schema([schema.field(name) for name in table.metadata().partition_columns])
            dataset = table.to_pyarrow_dataset(
                schema=partitions, file_pruning_predicate=pruned, filesystem=self._native(name)
            )
            return dataset.replace_schema(schema)

    def _native(self, name: str) -> pafs.FileSystem | None:
        """Return the files of a table as Arrow itself reads them, on disk and in S3; None where deltalake
        reads them.

        Arrow reads ahead of a query that ends early, such as by LIMIT, in threads of its own. Through
        deltalake they call Python, and where that is ending by then, they end the process by a signal. In S3
        Arrow and deltalake are sure to go the same way with keys, path-style requests or AWS itself, and no
        proxy; elsewhere, as with a role, deltalake reads the files, as it reads their log.
        """
        import pyarrow.fs as pafs

        path = self.location(name)
        if _is_in_s3(path) and not _goes_one_way(self.settings):
            return None
        if _is_in_s3(path):
            return pafs.SubTreeFileSystem(path.partition("://")[2], self._s3)
        return pafs.SubTreeFileSystem(os.path.abspath(path), pafs.LocalFileSystem())  # noqa: PTH100 (no link is followed, no `~` read)

    @cached_property
    def _s3(self) -> pafs.S3FileSystem:
        """S3 by what `storage_options` says; without an endpoint there, the environment's."""
        import pyarrow.fs as pafs

        options = storage_options(self.settings) or {}
        endpoint = options.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL")
        named = {"endpoint_override": endpoint.partition("://")[2].rstrip("/")} if endpoint else {}
        if endpoint and endpoint.startswith("http://"):
            named["scheme"] = "http"
        keys = {
            argument: options[option]
            for argument, option in (
                ("access_key", "AWS_ACCESS_KEY_ID"),
                ("secret_key", "AWS_SECRET_ACCESS_KEY"),
                ("session_token", "AWS_SESSION_TOKEN"),
                ("region", "AWS_REGION"),
            )
            if option in options
        }
        return pafs.S3FileSystem(
            connect_timeout=5,
            request_timeout=14,
            **named,
            **keys,
        )

    def forget(self) -> None:
        """Close all tables, so that the next look is at their newest versions."""
        self._open.clear()


def _is_in_s3(address: str) -> bool:
    return address.startswith(("s3:", "s3a:", "s3n:"))


def _goes_one_way(settings: Settings) -> bool:
    """Return whether Arrow takes the same keys, host and way to S3 as deltalake."""
    s3 = settings.s3
    has_keys = s3.access_key is not None or bool(os.environ.get("AWS_ACCESS_KEY_ID"))
    has_endpoint = bool(s3.endpoint or os.environ.get("AWS_ENDPOINT_URL"))
    has_proxy = any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES)
    return has_keys and (s3.path_style or not has_endpoint) and not has_proxy


def storage_options(settings: Settings) -> dict[str, str] | None:
    """Return what deltalake needs to reach the lake in S3; None for a lake on disk.

    Without keys in the settings the environment, a profile or a role decides.
    """
    root = settings.lake.root or ""
    if not _is_in_s3(root):
        return None
    s3 = settings.s3
    options = PATIENCE | {
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(not s3.path_style).lower(),
        "AWS_ALLOW_HTTP": str(not s3.ssl or (s3.endpoint or "").startswith("http://")).lower(),
    }
    if s3.region or not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
        options["AWS_REGION"] = s3.region or "us-east-1"
    if s3.endpoint:
        scheme = "" if "://" in s3.endpoint else "https://" if s3.ssl else "http://"
        options["AWS_ENDPOINT_URL"] = scheme + s3.endpoint
    for name, secret in (
        ("AWS_ACCESS_KEY_ID", s3.access_key),
        ("AWS_SECRET_ACCESS_KEY", s3.secret_key),
        ("AWS_SESSION_TOKEN", s3.session_token),
    ):
        options |= {name: secret.get_secret_value()} if secret else {}
    return options


@contextmanager
def translate_delta_errors(what: str) -> Iterator[None]:
    """Put what deltalake and object stores raise into this package's words."""
    try:
        yield
    except EngageError:
        raise
    except Exception as e:
        text = " ".join(_COLOURS.sub("", str(e)).split())
        lower, shown = text.lower(), cut(text, 300)
        if isinstance(e, PermissionError) or _REFUSED.search(lower):
            raise ConfigurationError(
                f"{what} cannot be read: access is refused: {shown}",
                hint="check the keys, the role and the rights to read",
            ) from e
        if type(e).__name__ == "DeltaProtocolError" or "reader feature" in lower or "reader version" in lower:
            raise ConfigurationError(
                f"{what} needs a feature that deltalake does not read: {shown}",
                hint="read it with Spark, or drop the feature from the table",
            ) from e
        if isinstance(e, FileNotFoundError) or _ABSENT.search(lower):
            raise ConfigurationError(
                f"{what} is not there: {shown}",
                hint="check lake.root; where files were removed meanwhile, ask again",
            ) from e
        if (isinstance(e, TimeoutError) or _PASSING.search(lower)) and not stays_unreachable(text):
            raise TransientError(
                f"{what} cannot be read now: {shown}", hint="see that the storage can be reached"
            ) from e
        raise PermanentError(
            f"{what} cannot be read: {type(e).__name__}: {shown}", hint="see that it is a Delta table"
        ) from e
