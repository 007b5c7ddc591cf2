"""Look for a key where it may be outside the newest versions of tables: files, scratch, old versions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyspark.sql import functions as F

from engage_spark.lake import translate_spark_errors
from engage_spark.lake.scratch import NAME as SCRATCH
from engage_spark.pipelines.context import RunContext
from engage_spark.settings import Settings
from engage_spark.spark.files import list_folder
from engage_spark.spark.guarantees import STRICT_READS

_EDGE = r"[\p{L}\p{N}]"
PICTURES = "_pictures"
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


def count_in_old_files(context: RunContext, name: str, where: str, texts: Sequence[str]) -> int | None:
    """Count the rows that meet a condition in all data files, live ones too, and the log's lines with a text.

    None for a table of a catalog, which does not show its files.

    Cost: a scan of all data files and of the log.
    """
    lake, spark = context.lake, context.spark
    if lake.settings.catalog:
        return None
    location = lake.location(name)
    with translate_spark_errors(f"{location} cannot be read"):
        rows = lake.read(spark, name)
        files = spark.read.options(**STRICT_READS, recursiveFileLookup="true")
        every = files.schema(rows.schema).option("pathGlobFilter", "*.parquet").parquet(location)
        data = [c for c in rows.columns if c in every.columns]
        n_old = every.where("input_file_name() NOT LIKE '%/\\\\_delta\\\\_log/%'").select(*data).where(where)
        count = n_old.count() - rows.where(where).count()
        if texts:
            commits = spark.read.options(**STRICT_READS, recursiveFileLookup="true", pathGlobFilter="*.json")
            shown = commits.text(f"{location}/_delta_log").where(F.col("value").rlike(mask_pattern(texts)))
            count += shown.count()
    return count
