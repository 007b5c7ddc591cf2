"""Reach files beside tables without a Spark job: locally where this process sees them, else by Hadoop.

This module and `session` are the only ones that look into the JVM.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engage_spark.errors import ConfigurationError
from engage_spark.spark.seen_paths import local_path, shared_with_server
from engage_spark.spark.session import is_connect
from engage_spark.spark.versions import line_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_EXISTS = re.compile(r"FileAlreadyExists|PreconditionFailed|RemoteFileChanged|\b412\b|\b409\b")


def delete_directory(spark: SparkSession, path: str) -> None:
    """Delete a directory and all in it; nothing happens when there is none.

    This process deletes local paths and volumes, Hadoop others.
    Errors: ConfigurationError on Spark Connect for a path that this process cannot reach, since Spark has no
    call there that deletes files.
    """
    if (here := local_path(path)) is not None:
        shutil.rmtree(here, ignore_errors=True)
    elif is_connect(spark):
        raise ConfigurationError(
            f"temporary data in {path} cannot be deleted from a Spark Connect client",
            hint="set lake.scratch to a path that this process can reach as well, such as a volume",
        )
    else:
        _, files, target = _hadoop(spark, path)
        files.delete(target, True)


def last_name(spark: SparkSession, directory: str, *, ending: str) -> str | None:
    """Return the last by name of a directory's files with an ending; empty where there is none. No job.

    This process looks at the local paths and volumes that it sees, Hadoop at others: a path without a scheme
    lies in Hadoop's default file system, which need not be this machine's. None on Spark Connect for a
    directory that this process does not see: it may be there for the server.
    """
    here = shared_with_server(spark, directory)
    if here is not None and Path(here).is_dir():
        # Not by glob, which takes a directory that may not be listed for an empty one.
        return max((f.name for f in Path(here).iterdir() if f.name.endswith(ending)), default="")
    if is_connect(spark):
        return None
    literal = re.sub(r"([{}\[\]*?\\])", r"\\\1", directory)
    _, system, pattern = _hadoop(spark, f"{literal}/*{ending}")
    files = system.globStatus(pattern)  # Hadoop sorts them by name
    return str(files[len(files) - 1].getPath().getName()) if files is not None and len(files) else ""


def read_small_file(spark: SparkSession, path: str) -> str | None:
    """Return the text of a small file, without a job.

    This process reads the local paths and volumes that it sees, Hadoop others (see `last_name`). None on
    Spark Connect for a file that this process does not see, and where there is none.
    """
    here = shared_with_server(spark, path)
    if here is not None and Path(here).is_file():
        try:
            return Path(here).read_text(encoding="utf-8")
        except FileNotFoundError:  # deleted between the two looks
            return None
    if is_connect(spark):
        return None
    jvm, files, target = _hadoop(spark, path)
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]

    try:
        opened = files.open(target)
    except Py4JJavaError as e:
        if "FileNotFoundException" in str(e.java_exception.toString()):
            return None
        raise
    try:
        return str(jvm.org.apache.commons.io.IOUtils.toString(opened, "UTF-8"))
    finally:
        opened.close()


def write_small_file(spark: SparkSession, path: str, text: str) -> bool:
    """Write a small file in place of what was there, without a job; return whether it was possible.

    It is not on Spark Connect for a path that this process does not share with the server.
    """
    here = shared_with_server(spark, path)
    if is_connect(spark):
        if here is not None:
            Path(here).parent.mkdir(parents=True, exist_ok=True)
            Path(here).write_text(text, encoding="utf-8")
        return here is not None
    _, files, target = _hadoop(spark, path)
    opened = files.create(target, True)
    try:
        opened.write(bytearray(text.encode()))
    finally:
        opened.close()
    return True


def put_directory(spark: SparkSession, local: Path, path: str) -> None:
    """Copy a directory of this process to where Spark reads.

    This process copies to local paths and volumes, Hadoop to others.
    Errors: ConfigurationError on Spark Connect for a path that this process cannot reach.
    """
    if (here := local_path(path)) is not None:
        shutil.copytree(local, here)
    elif is_connect(spark):
        raise ConfigurationError(
            f"files cannot be copied to {path} from a Spark Connect client",
            hint="set lake.scratch to a path that this process can reach as well, such as a volume",
        )
    else:
        jvm, files, target = _hadoop(spark, path)
        files.copyFromLocalFile(False, True, jvm.org.apache.hadoop.fs.Path(local.absolute().as_uri()), target)


def path_of_this_process(spark: SparkSession, path: str) -> Path | None:
    """Return the path where this process reads the very files that Spark reads; None where it does not.

    A path without a scheme lies in Hadoop's default file system, which need not be this machine's.
    """
    here = shared_with_server(spark, path)
    if here is None:
        return None
    if not is_connect(spark) and not path.startswith(("file:", "/Volumes/")):
        default = _configuration(spark).get("fs.defaultFS")
        if not str(default or "file:").startswith("file:"):
            return None
    return Path(here).absolute()


def hadoop_files(spark: SparkSession, path: str) -> list[tuple[str, int, int]] | None:
    """List the files at or below a path through Hadoop, hidden ones too: path, bytes, and time of change.

    None on Spark Connect, which has no Hadoop to ask.
    Units: microseconds since 1970 in UTC.
    Cost: no job; one request per thousand files on object stores, some calls of the JVM for each file.
    Errors: FileNotFoundError where there is nothing at the path.
    """
    if is_connect(spark):
        return None
    _, files, target = _hadoop(spark, path)
    if not files.exists(target):
        raise FileNotFoundError(path)
    listed, remaining = [], files.listFiles(target, True)
    while remaining.hasNext():
        status = remaining.next()
        listed.append(
            (str(status.getPath().toString()), status.getLen(), status.getModificationTime() * 1000)
        )
    return listed


def read_bytes(spark: SparkSession, path: str, start: int, length: int) -> bytes | None:
    """Return a range of a file's bytes, without a job; None on Spark Connect for a file of the server alone.

    The range must lie within the file.
    """
    here = shared_with_server(spark, path)
    if here is not None and Path(here).is_file():
        with Path(here).open("rb") as opened:
            opened.seek(start)
            return opened.read(length)
    if is_connect(spark):
        return None
    jvm, files, target = _hadoop(spark, path)
    stream = files.open(target)
    try:
        stream.seek(start)
        return bytes(jvm.org.apache.commons.io.IOUtils.toByteArray(stream, length))
    finally:
        stream.close()


def names_in(spark: SparkSession, directory: str) -> list[str] | None:
    """Return the names of a directory's files in order, none where there is no directory. No job.

    None on Spark Connect for a directory that this process does not share with the server.
    """
    here = shared_with_server(spark, directory)
    if here is not None and Path(here).is_dir():
        return sorted(f.name for f in Path(here).iterdir())
    if is_connect(spark):
        return None if here is None else []
    from py4j.protocol import Py4JJavaError

    _, files, target = _hadoop(spark, directory)
    try:
        return sorted(str(status.getPath().getName()) for status in files.listStatus(target))
    except Py4JJavaError as e:
        if "FileNotFoundException" in str(e.java_exception.toString()):
            return []
        raise


def create_file(spark: SparkSession, path: str, text: str) -> bool | None:
    """Write a small file where there is none; return whether it was this call that made it. No job.

    Of several writers at once, in whatever process, one succeeds: by an exclusive file on a local disk, by a
    conditional put on S3, by Hadoop's own exclusive creation elsewhere. Not so on S3 with Hadoop before 3.4.2
    (Spark 3.5 and 4.0), which has no such put: who comes later is refused, but of two within one moment both
    may succeed. The file is read back there, which leaves most of them one.
    None on Spark Connect for a path that this process does not share with the server.
    Cost: on S3 two requests more where the put is not conditional.
    """
    here = shared_with_server(spark, path)
    # Hadoop's local files have no exclusive creation.
    if here is not None and (is_connect(spark) or _hadoop(spark, path)[1].getScheme() == "file"):
        Path(here).parent.mkdir(parents=True, exist_ok=True)
        try:
            with Path(here).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
        return True
    if is_connect(spark):
        return None
    from py4j.protocol import Py4JJavaError

    _, files, target = _hadoop(spark, path)
    builder = files.createFile(target)
    builder.recursive()
    builder.overwrite(False)
    builder.opt("fs.option.create.conditional.overwrite", "true")
    try:
        opened = builder.build()
        try:
            opened.write(bytearray(text.encode()))
        finally:
            opened.close()
    except Py4JJavaError as e:
        if _EXISTS.search(str(e.java_exception.toString())):
            return False
        raise
    if str(files.getScheme()) == "s3a" and not line_of(spark.version).conditional_put:
        return read_small_file(spark, path) == text
    return True


def delete_file(spark: SparkSession, path: str) -> None:
    """Delete a file; nothing happens where there is none, or on Connect out of reach."""
    here = shared_with_server(spark, path)
    if here is not None and Path(here).exists():
        Path(here).unlink(missing_ok=True)
    elif not is_connect(spark):
        _, files, target = _hadoop(spark, path)
        files.delete(target, False)


def _hadoop(spark: SparkSession, path: str) -> tuple[Any, Any, Any]:
    """Return the JVM, Hadoop's file system of a path, and the path as Hadoop's object."""
    jvm = cast(Any, spark)._jvm
    target = jvm.org.apache.hadoop.fs.Path(path)
    return jvm, target.getFileSystem(_configuration(spark)), target


def _configuration(spark: SparkSession) -> Any:
    """Return Hadoop's configuration of a classic session."""
    return cast(Any, spark.sparkContext)._jsc.hadoopConfiguration()


@dataclass(frozen=True, kw_only=True)
class FolderEntry:
    """One entry of a folder. `changed_at` is the newest change of a folder, or of a file right below it."""

    name: str
    is_folder: bool
    changed_at: datetime


def list_folder(spark: SparkSession, path: str) -> list[FolderEntry] | None:
    """Return the entries of a folder by name, none where there is no folder. No job.

    None on Spark Connect for a folder that this process does not share with the server.
    """
    here = shared_with_server(spark, path)
    if here is not None and (Path(here).is_dir() or is_connect(spark)):
        entries = sorted(Path(here).iterdir()) if Path(here).is_dir() else []
        return [FolderEntry(name=e.name, is_folder=e.is_dir(), changed_at=_newest_change(e)) for e in entries]
    if is_connect(spark):
        return None
    _, files, target = _hadoop(spark, path)
    if not files.exists(target):
        return []
    listed = [
        FolderEntry(
            name=str(status.getPath().getName()),
            is_folder=bool(status.isDirectory()),
            changed_at=_newest_below(files, status),
        )
        for status in files.listStatus(target)
    ]
    return sorted(listed, key=lambda e: e.name)


def _newest_change(path: Path) -> datetime:
    times = [p.stat().st_mtime for p in (path, *(path.iterdir() if path.is_dir() else ()))]
    return datetime.fromtimestamp(max(times), UTC)


def _newest_below(files: Any, status: Any) -> datetime:
    """Return the newest change of a file, or of any file in a folder: a store's folders have no time."""
    milliseconds = [] if status.isDirectory() else [int(status.getModificationTime())]
    if status.isDirectory():
        below = files.listFiles(status.getPath(), True)
        while below.hasNext():
            milliseconds.append(int(below.next().getModificationTime()))
    return datetime.fromtimestamp(max(milliseconds, default=0) / 1000, UTC)


def delete_path(spark: SparkSession, path: str) -> None:
    """Delete a file, or a folder and all in it; nothing happens where there is none.

    Errors: as `delete_directory`.
    """
    here = local_path(path)
    if here is not None and Path(here).is_file():
        Path(here).unlink(missing_ok=True)
    else:
        delete_directory(spark, path)
