"""Let Structured Streaming hand out the new files of a folder, batch by batch.

Spark's file source reads no row here: it hands out names, oldest first and so many at a time, remembers them
in its checkpoint, and shows its progress in Spark's pages and listeners. The rows are read as every delivery
is read, since the source would need one schema for all files and skips what does not fit it.

The source alone cannot say what is published. It knows a file by its path only, so it never sees bytes that
are corrected in place, nor a file that was empty when it first looked; and its checkpoint may be lost, or be
ahead of a lake that was restored. So nobody relies on it for that: see `pipelines.ingest.stream`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from engage_spark.errors import ConfigurationError
from engage_spark.lake.delta import Lake
from engage_spark.lake.file_listing import literal_path, name_below
from engage_spark.lake.spark_errors import translate_spark_errors
from engage_spark.spark.session import is_connect

STREAMS = "_streams"
SCHEMA = "path string, modificationTime timestamp, length bigint, content binary"
"""Columns of Spark's format `binaryFile`. Only the path is asked for, so no content is read."""
ANY_AGE = "36500d"
"""Files older than this before the newest are passed over: by default of Spark after a week."""
POLL = 1
"""Seconds between two looks at whether to stop."""

OnBatch = Callable[[int, Sequence[str]], None]


def refuse_connect(spark: SparkSession) -> None:
    """Refuse a session of Spark Connect, where the server would run each batch, in a process of its own.

    Errors: ConfigurationError.
    """
    if is_connect(spark):
        raise ConfigurationError(
            "a stream needs a classic session: Spark Connect runs its batches in the server",
            hint="run it by spark-submit or with spark.master, or schedule `engage-spark ingest` without "
            "--stream",
        )


def checkpoint_folder(lake: Lake, table: str, key: str) -> str:
    """Return the folder of a stream's checkpoint; `key` stands for all that makes files new again.

    Errors: as `checkpoints_folder`.
    """
    return f"{checkpoints_folder(lake)}/{table}/{key}"


def checkpoints_folder(lake: Lake) -> str:
    """Return the folder that has one for each log, and in it the log's checkpoints: below the lake's root, or
    the folder for temporary data.

    Errors: ConfigurationError where there is no such path.
    """
    root = lake.settings.root or lake.settings.scratch_root
    if root is None:
        raise ConfigurationError("no path for checkpoints is configured", hint="set lake.scratch to a path")
    root = root.rstrip("/")
    # Spark resolves a relative path for a checkpoint differently from the writer of tables.
    return f"{root if ':' in root else Path(root).absolute()}/{STREAMS}"


def stream_lock(table: str) -> str:
    """Return the name of the lock that whoever uses a checkpoint of a log holds."""
    return f"{table}_stream"


def stream_files(
    spark: SparkSession,
    root: str,
    *,
    checkpoint: str,
    files_per_batch: int,
    on_batch: OnBatch,
    stop: threading.Event,
) -> None:
    """Call `on_batch` with the number and the files of each batch that is new since the last call, in order.

    The files are those that are there when it begins (`Trigger.AvailableNow`), as their paths below `root`. A
    batch counts as handed out when `on_batch` returns. What that raises ends the stream, and is raised here
    after it; its batch is then handed out again by the next call. After `stop` no batch is begun.
    Cost: one listing of the folder, and per batch one job over its names and two small files of the
    checkpoint.
    Errors: ConfigurationError or TransientError where Spark cannot list the folder or use its checkpoint.
    """
    failures: list[BaseException] = []
    is_busy = threading.Event()

    def hand_out(rows: DataFrame, number: int) -> None:
        is_busy.set()
        try:
            if not stop.is_set():
                paths = [r[0] for r in rows.select("path").collect()]
                on_batch(number, sorted(name_below(root, path) for path in paths))
        except BaseException as e:
            failures.append(e)
            raise RuntimeError(f"batch {number} did not end") from e
        finally:
            is_busy.clear()

    files = (
        spark.readStream.format("binaryFile")
        .schema(SCHEMA)
        .options(recursiveFileLookup="true", maxFilesPerTrigger=str(files_per_batch), maxFileAge=ANY_AGE)
        .load(literal_path(root))
    )
    writer = (
        files.select("path")
        .writeStream.queryName(f"files of {root}")
        .option("checkpointLocation", checkpoint)
        .trigger(availableNow=True)
        .foreachBatch(hand_out)
    )
    try:
        with translate_spark_errors(f"{root} cannot be streamed with the checkpoint {checkpoint}"):
            query = writer.start()
            while not query.awaitTermination(POLL):  # for a while each time, so that a signal is heard
                if stop.is_set() and not is_busy.is_set():
                    query.stop()
    except BaseException:
        if failures:
            raise failures[0] from None
        raise
