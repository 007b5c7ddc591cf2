"""Where the graph's files lie for a worker, and where what a run throws away is kept.

Three cases. A session on this machine: a temporary directory. A `directory` that the driver and all workers
share: that. Neither: the files, up to 512 MB of them, travel to the workers as artifacts of the session, and
tables go where the caller's `materialise` puts them.
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

if TYPE_CHECKING:
    from engage_spark.graph.kernels.csr import Csr

Materialise = Callable[[DataFrame, str], DataFrame]

MOST_ARTIFACT = 512 << 20
_unpacked: dict[str, Path] = {}


@dataclass(frozen=True)
class GraphFiles:
    """How a worker finds the files: below a directory that it can reach, or among the session's artifacts.
    Goes round by pickle.
    """

    directory: str | None
    key: str = ""
    names: tuple[str, ...] = ()

    def path(self) -> Path:
        """The directory of the files, on the machine where this is called; artifacts are linked into one,
        once per process.
        """
        if self.directory is not None:
            return Path(self.directory)
        if self.key not in _unpacked:
            from pyspark import SparkFiles

            here = Path(tempfile.mkdtemp(prefix="engage-spark-graph-"))
            atexit.register(shutil.rmtree, here, ignore_errors=True)
            for name in self.names:
                (here / name).parent.mkdir(parents=True, exist_ok=True)
                (here / name).symlink_to(SparkFiles.get(_artifact(self.key, name)))
            _unpacked[self.key] = here
        return _unpacked[self.key]

    def csr(self) -> Csr:
        """The graph, memory-mapped: one copy per host (per executor, where it came as an artifact), whatever
        the number of workers.
        """
        from engage_spark.graph.kernels.csr import load

        return load(self.path() / "csr")


def _artifact(key: str, name: str) -> str:
    return f"{key}-{name.replace('/', '-')}"


def refuse_as_artifact(size: int) -> None:
    """Raise ConfigurationError for a graph of more bytes than may travel through the driver."""
    if size > MOST_ARTIFACT:
        raise ConfigurationError(
            f"the graph is {size / 1e6:.0f} MB, more than the {MOST_ARTIFACT / 1e6:.0f} MB that may travel through the driver",
            hint="give `directory` (setting graph.directory): a path that the driver and all workers share, such as a volume or NFS",
        )


def as_artifacts(spark: SparkSession, directory: Path) -> GraphFiles:
    """Send the files of a local directory to all workers, and empty it. Raises ConfigurationError above 512
    MB.

    A classic driver serves a file from where it lies, to executors that start later as well, so it stays
    until this process ends.
    """
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    size = sum(p.stat().st_size for p in files)
    refuse_as_artifact(size)
    key = f"graph-{uuid.uuid4().hex}"
    names = tuple(str(p.relative_to(directory)) for p in files)
    served = Path(tempfile.mkdtemp(prefix="engage-spark-graph-"))
    atexit.register(shutil.rmtree, served, ignore_errors=True)
    for file, name in zip(files, names, strict=True):
        # An artifact goes by its file's name, and a name can be given once per session.
        spark.addArtifact(str(shutil.move(file, served / _artifact(key, name))), file=True)
    return GraphFiles(None, key, names)


@dataclass(frozen=True)
class Workers:
    """What was seen when every core was asked once."""

    cores: int
    per_host: int
    memory: int
    """Bytes of the host with the least."""
    sees: bool
    """All of them saw the file that was to be seen."""


@dataclass(frozen=True)
class Workspace:
    """A run's own directory on this machine, and how rows are kept between jobs. `shared`: the workers reach
    the directory as well.
    """

    spark: SparkSession
    path: Path
    shared: bool
    keep: Materialise
    workers: Workers


@contextmanager
def workspace(
    spark: SparkSession, *, directory: str | None, materialise: Materialise | None, artifacts: bool = False
) -> Iterator[Workspace]:
    """A place for the graph's files, gone after the block. Kept tables outlive it: they belong to
    `materialise`; else they lie in `directory` for its owner to delete, or in a temporary directory until
    this process ends. `artifacts` ships files although it need not.

    Raises ConfigurationError when `directory` is not seen by every worker, or when there is no place at all.
    """
    if directory is not None and ("://" in directory or directory.startswith(("s3:", "s3a:", "dbfs:"))):
        raise ConfigurationError(
            f"{directory} is no path that a process can map into memory",
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
        workers = _ask_workers(spark, files / "seen")
        here = directory is not None or _master(spark).startswith("local")
        if directory is not None and not workers.sees:
            raise ConfigurationError(
                f"{directory} is not the same directory for the driver and all workers",
                hint="give a path that every machine of the cluster has mounted, or none (graphs up to 512 MB travel without)",
            )
        reached = here and workers.sees
        if not reached and materialise is None:
            raise ConfigurationError(
                "the workers are other machines, and there is no place that they share for temporary data",
                hint="give `directory` (a mounted path) or `materialise` (such as lake.scratch)",
            )
        yield Workspace(
            spark,
            files,
            reached and not artifacts,
            _named_anew(materialise or _parquet_in(root / "tables")),
            workers,
        )
    finally:
        shutil.rmtree(files, ignore_errors=True)
        if materialise is not None:
            shutil.rmtree(root, ignore_errors=True)


def _master(spark: SparkSession) -> str:
    """The session's master; empty where it is kept from us, as managed runtimes do, with or without a
    default.
    """
    try:
        return str(spark.conf.get("spark.master", ""))
    except PySparkException:
        return ""


def _named_anew(materialise: Materialise) -> Materialise:
    """One graph may be asked twice, and one `materialise` serve two graphs: no name is taken twice."""
    return lambda rows, name: materialise(rows, f"{name}-{uuid.uuid4().hex[:12]}")


def _parquet_in(directory: Path) -> Materialise:
    def keep(rows: DataFrame, name: str) -> DataFrame:
        path = f"file:{directory}/{name}"
        rows.write.parquet(path)
        return rows.sparkSession.read.schema(rows.schema).parquet(path)

    return keep


def _ask_workers(spark: SparkSession, seen: Path) -> Workers:
    """One row per core: a range without a number of partitions has as many as the cluster has cores."""
    path = str(seen)

    def look(batches: Iterator[Any]) -> Iterator[Any]:
        import platform

        from engage_spark.graph.distributed.resources import host_memory

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pylist(
            [{"host": platform.node(), "memory": host_memory(), "sees": Path(path).exists()}]
        )

    rows = spark.range(1 << 16).mapInArrow(look, "host string, memory bigint, sees boolean").collect()
    per_host = max(Counter(r["host"] for r in rows).values())
    return Workers(len(rows), per_host, min(r["memory"] for r in rows), all(r["sees"] for r in rows))
