"""Locate graph files on workers, and manage the temporary files and tables of a run.

Three cases. A session on this machine: a temporary directory. A `directory` that the driver and all workers
share: that. Neither: the files, up to 512 MB of them, travel to the workers as artifacts of the session, and
tables go where the caller's `materialize` puts them.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from engage_spark.errors import ConfigurationError
from engage_spark.graph.distributed.resources import host_memory
from engage_spark.spark.compat import send_file
from engage_spark.spark.guarantees import STRICT_READS

if TYPE_CHECKING:
    from engage_spark.graph.kernels.csr import Csr

Materialize = Callable[[DataFrame, str], DataFrame]
"""Writes rows once under a name and reads them back."""

MAX_ARTIFACT_BYTES = 512 << 20
_unpacked: dict[str, Path] = {}


@dataclass(frozen=True)
class GraphFiles:
    """Location of the files: below a directory that workers can reach, or among the session's artifacts.

    Travels to the workers by pickle.
    """

    directory: str | None
    key: str = ""
    names: tuple[str, ...] = ()

    def path(self) -> Path:
        """Return the directory of the files on the machine where this is called.

        Artifacts are linked into one directory, once per process.
        """
        if self.directory is not None:
            return Path(self.directory)
        if self.key not in _unpacked:
            from pyspark import SparkFiles

            directory = Path(tempfile.mkdtemp(prefix="engage-spark-graph-"))
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
            for name in self.names:
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                (directory / name).symlink_to(SparkFiles.get(_artifact(self.key, name)))
            _unpacked[self.key] = directory
        return _unpacked[self.key]

    def csr(self) -> Csr:
        """Map the graph into memory.

        Cost: one copy per host (per executor, where it came as an artifact), whatever the number of workers.
        """
        from engage_spark.graph.kernels.csr import load_csr

        return load_csr(self.path() / "csr")


def _artifact(key: str, name: str) -> str:
    return f"{key}-{name.replace('/', '-')}"


def check_artifact_size(size: int) -> None:
    """Check that a graph of `size` bytes may travel through the driver.

    Errors: ConfigurationError above 512 MB.
    """
    if size > MAX_ARTIFACT_BYTES:
        raise ConfigurationError(
            f"the graph is {size / 1e6:.0f} MB, more than the {MAX_ARTIFACT_BYTES / 1e6:.0f} MB that may "
            "travel through the driver",
            hint="give `directory` (setting graph.directory): a path that the driver and all workers share, "
            "such as a volume or NFS",
        )


def send_as_artifacts(spark: SparkSession, directory: Path) -> GraphFiles:
    """Send the files of a local directory to all workers, and empty it.

    A classic driver serves a file from its path, to executors that start later as well, so the file stays
    until this process ends.
    Errors: ConfigurationError above 512 MB.
    """
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    size = sum(p.stat().st_size for p in files)
    check_artifact_size(size)
    key = f"graph-{uuid.uuid4().hex}"
    names = tuple(str(p.relative_to(directory)) for p in files)
    served = Path(tempfile.mkdtemp(prefix="engage-spark-graph-"))
    atexit.register(shutil.rmtree, served, ignore_errors=True)
    for file, name in zip(files, names, strict=True):
        send_file(spark, str(shutil.move(file, served / _artifact(key, name))))
    return GraphFiles(None, key, names)


@dataclass(frozen=True)
class Workers:
    """The cluster's workers, as they answered when every core was asked once."""

    cores: int
    per_host: int
    memory: int
    """Bytes of the host with the least."""
    see_directory: bool
    """True when all of them saw the driver's file."""


@dataclass(frozen=True)
class Workspace:
    """Directory of a run on this machine, and how its rows are stored between jobs."""

    spark: SparkSession
    path: Path
    shared: bool
    """True when the workers reach the directory as well."""
    materialize: Materialize
    workers: Workers


@contextmanager
def open_workspace(
    spark: SparkSession, *, directory: str | None, materialize: Materialize | None, artifacts: bool = False
) -> Iterator[Workspace]:
    """Provide a directory for the graph's files, deleted after the block.

    Stored tables outlive the block. They belong to `materialize`; without it they stay in `directory` for its
    owner to delete, or in a temporary directory until this process ends. `artifacts` ships the files even
    where the workers could read them.
    Errors: ConfigurationError when some worker does not see `directory`, or when there is no directory at
    all.
    """
    if directory is not None and ("://" in directory or directory.startswith(("s3:", "s3a:", "dbfs:"))):
        raise ConfigurationError(
            f"{directory} is not a path that a process can map into memory",
            hint="give a mounted path, such as /Volumes/… or NFS",
        )
    root = Path(
        tempfile.mkdtemp(prefix="engage-spark-graph-")
        if directory is None
        else f"{directory}/graph-{uuid.uuid4().hex}"
    ).absolute()
    if directory is None:
        atexit.register(shutil.rmtree, root, ignore_errors=True)
    files = root / "files"
    try:
        files.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(
            f"{root} cannot be made: {error}", hint="give a `directory` that can be written"
        ) from error
    try:
        (files / "seen").touch()
        workers = _probe_workers(spark, files / "seen")
        may_be_shared = directory is not None or _master(spark).startswith("local")
        if directory is not None and not workers.see_directory:
            raise ConfigurationError(
                f"{directory} is not the same directory for the driver and all workers",
                hint="give a path that all machines of the cluster have mounted, or none (a graph of up to "
                "512 MB travels without)",
            )
        shared = may_be_shared and workers.see_directory
        if not shared and materialize is None:
            raise ConfigurationError(
                "the workers are other machines, and they share no directory for temporary data",
                hint="give `directory` (a mounted path) or `materialize` (such as lake.scratch)",
            )
        yield Workspace(
            spark,
            files,
            shared and not artifacts,
            _with_unique_names(materialize or _write_parquet_below(root / "tables")),
            workers,
        )
    finally:
        shutil.rmtree(files, ignore_errors=True)
        if materialize is not None:
            shutil.rmtree(root, ignore_errors=True)


def _master(spark: SparkSession) -> str:
    """Return the session's master, empty where a managed runtime hides it, with or without a default."""
    try:
        return str(spark.conf.get("spark.master", ""))
    except PySparkException:
        return ""


def _with_unique_names(materialize: Materialize) -> Materialize:
    """One graph may be measured twice, and one `materialize` may serve two graphs: every name is unique."""
    return lambda rows, name: materialize(rows, f"{name}-{uuid.uuid4().hex[:12]}")


def _write_parquet_below(directory: Path) -> Materialize:
    def materialize(rows: DataFrame, name: str) -> DataFrame:
        path = f"file:{directory}/{name}"
        rows.write.parquet(path)
        return rows.sparkSession.read.options(**STRICT_READS).schema(rows.schema).parquet(path)

    return materialize


def _probe_workers(spark: SparkSession, seen: Path) -> Workers:
    """One row per core: a range without a number of partitions has as many as the cluster has cores."""
    path = str(seen)

    def probe(batches: Iterator[Any]) -> Iterator[Any]:
        import platform

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pylist(
            [{"host": platform.node(), "memory": host_memory(), "sees": Path(path).exists()}]
        )

    rows = spark.range(1 << 16).mapInArrow(probe, "host string, memory bigint, sees boolean").collect()
    per_host = max(Counter(row["host"] for row in rows).values())
    return Workers(len(rows), per_host, min(row["memory"] for row in rows), all(row["sees"] for row in rows))
