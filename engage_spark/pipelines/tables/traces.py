"""Look for a key where it may be outside the newest versions of tables: files, scratch, old versions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.lake import translate_spark_errors
from engage_spark.lake.scratch import NAME as SCRATCH
from engage_spark.lake.spark_errors import is_missing_table
from engage_spark.pipelines.context import RunContext
from engage_spark.settings import Settings
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.files import list_folder
from engage_spark.spark.guarantees import STRICT_READS

_EDGE = r"[\p{L}\p{N}]"
PICTURES = "_pictures"
CHANGES = "_change_data"
"""Folder of a table where Delta keeps which rows a commit changed, if it is asked to."""
STATISTIC = 32
"""Letters of a text that Delta keeps in the statistics of a file."""


def mask_pattern(texts: Sequence[str], *, whole: bool = True) -> str:
    """Return a regular expression, for Java, of the texts of a key that stand by themselves: CUST-1 is not in
    CUST-12, unless `whole` is false. Letters match in either case, and JSON's spelling as well.
    """
    spellings = dict.fromkeys(
        spelling
        for text in texts
        for spelling in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    )
    quoted = "|".join(re.escape(spelling) for spelling in spellings)
    return f"(?iu)(?<!{_EDGE})(?:{quoted})" + (f"(?!{_EDGE})" if whole else "")


def _in_text(texts: Sequence[str]) -> re.Pattern[str]:
    """Return `mask_pattern` for Python."""
    return re.compile("|".join(rf"(?<!\w){re.escape(t)}(?!\w)" for t in texts), re.IGNORECASE)


def files_with_key(
    settings: Settings, texts: Sequence[str]
) -> Iterator[tuple[str, int | None, str, tuple[str, ...]]]:
    """Yield place, number of files that show the key, remark, and the files to delete.

    They are pictures, and the files of MLflow that lie on this machine.

    MLflow's files hold no rows of customers; one that showed the key all the same is named, not deleted.
    """
    folders = {"pictures": _picture_folder(settings), "files of MLflow": _tracking_folder(settings)}
    for place, folder in folders.items():
        if folder is None:
            yield place, None, "not on this machine", ()
        elif not texts:
            yield place, None, "the key is no text", ()
        else:
            showing = [str(p) for p in sorted(folder.rglob("*")) if p.is_file() and _shows(p, texts)]
            paths = tuple(showing) if place == "pictures" else ()
            yield place, len(showing), ", ".join(() if paths else showing[:5]), paths


def _shows(path: Path, texts: Sequence[str]) -> bool:
    content = path.read_bytes().decode("utf-8", errors="replace")
    return _in_text(texts).search(content) is not None


def _picture_folder(settings: Settings) -> Path | None:
    folder, root = settings.graph.pictures, settings.lake.root
    if folder is None:
        if root is None or ":" in root:
            return None
        folder = f"{root.rstrip('/')}/{PICTURES}"
    return Path(folder)


def _tracking_folder(settings: Settings) -> Path | None:
    uri = settings.tracking.uri
    return None if uri and not uri.startswith("sqlite") else Path(settings.tracking.folder).expanduser()


def scratch_folders(context: RunContext) -> list[str] | None:
    """Return the folders of temporary tables; None where this process does not see them."""
    root = context.lake.settings.scratch_root
    entries = None if root is None else list_folder(context.spark, root)
    if entries is None:
        return None
    return [f"{str(root).rstrip('/')}/{e.name}" for e in entries if e.is_folder and SCRATCH.fullmatch(e.name)]


def tables_beside(context: RunContext, names: Collection[str]) -> tuple[str, ...]:
    """Return the tables in the lake's folder that are not among `names`, such as those of an older contract.

    None where this process does not see the folder, and in a catalog. Cost: a listing for each folder there.
    """
    root = context.lake.settings.root
    entries = None if root is None else list_folder(context.spark, root)
    folders = [e.name for e in entries or () if e.is_folder and not e.name.startswith(("_", "."))]
    others = [name for name in folders if name not in names]
    return tuple(name for name in others if context.lake.version(context.spark, name) is not None)


def count_in_old_files(context: RunContext, name: str, is_trace: Column, texts: Sequence[str]) -> int | None:
    """Count the rows that are a trace of a key in data files that the newest version does not have and in
    files of changes, and what of the log shows a text: lines, and entries of checkpoints.

    None for a table of a catalog, which does not show its files.

    Cost: one job, which scans all data files, the files of changes, and the log.
    """
    lake, spark = context.lake, context.spark
    if lake.settings.catalog:
        return None
    location = lake.location(name)
    with translate_spark_errors(f"{location} cannot be read"):
        live = lake.read(spark, name)
        # Spark passes over folders such as _delta_log, unless they are asked for.
        files = spark.read.options(**STRICT_READS, recursiveFileLookup="true")
        stored = files.schema(live.schema).option("pathGlobFilter", "*.parquet")
        counted = [
            live.where(is_trace).select(F.lit(-1).alias("n")),
            stored.parquet(location).where(is_trace).select(F.lit(1).alias("n")),
        ]
        changes = _if_there(stored.parquet, f"{location}/{CHANGES}")
        counted += [changes.where(is_trace).select(F.lit(1).alias("n"))] if changes is not None else []
        counted += [_log_texts(context, location, texts).select(F.lit(1).alias("n"))] if texts else []
        total = reduce(DataFrame.unionByName, counted).agg(F.sum("n")).collect()[0][0]
    return int(total or 0)


def _log_texts(context: RunContext, location: str, texts: Sequence[str]) -> DataFrame:
    """Return the lines of a table's log, and the statistics in its checkpoints, that show a text of a key."""
    log = f"{location}/_delta_log"
    lines = context.spark.read.options(**STRICT_READS, pathGlobFilter="*.json").text(log)
    entries = context.spark.read.options(**STRICT_READS, pathGlobFilter="*.checkpoint*.parquet")
    statistics = entries.schema("add struct<stats: string>").parquet(log)
    texts_of_log = lines.select(F.col("value").alias("text")).unionByName(
        statistics.select(F.col("add.stats").alias("text"))
    )
    return texts_of_log.where(F.col("text").rlike(_in_statistics(texts)))


def _if_there(read: Callable[[str], DataFrame], path: str) -> DataFrame | None:
    """Return the rows in a folder; None where there is no such folder."""
    try:
        rows = read(path)
        _ = rows.schema  # asked for here, because Connect looks at no file before
    except SPARK_ERRORS as e:
        if is_missing_table(e):
            return None
        raise
    return rows


def _in_statistics(texts: Sequence[str]) -> str:
    """Return `mask_pattern` for a log, which shows no more than the beginning of a long text."""
    beginnings = [text[:STATISTIC] for text in texts]
    return mask_pattern(beginnings, whole=beginnings == list(texts))
