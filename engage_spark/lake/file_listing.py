"""List files below a path, and tell their formats by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from pyspark.sql import SparkSession

from engage_spark.errors import NotDeliveredError
from engage_spark.lake.spark_errors import to_engage_error
from engage_spark.spark.failures import SPARK_ERRORS

GLOB = re.compile(r"([{}\[\]*?\\])")
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}


@dataclass(frozen=True)
class InputFile:
    """One input file as listed."""

    path: str
    size: int
    modified: datetime


def list_files(spark: SparkSession, path: str) -> Sequence[InputFile]:
    """List the files of a folder at any depth, or one file.

    Cost: one job; what reaches the driver grows with files, not with rows.
    Errors: NotDeliveredError where there is no such path.
    """
    try:
        listed = (
            spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(literal_path(path))
        )
        # The names come first: a file that vanishes before the rows are read is then refused.
        names = [unquote(name) for name in listed.inputFiles()]
        rows = listed.select("path", "length", "modificationTime").collect()
    except SPARK_ERRORS as e:
        if "PATH_NOT_FOUND" in str(e):
            raise NotDeliveredError(
                f"there is no {path}",
                hint="check input.root or --input; `engage-spark synth` makes data to try",
            ) from e
        raise to_engage_error(e, f"{path} cannot be listed") from e
    files = [InputFile(r[0], r[1], r[2]) for r in rows]
    # Spark reads no row of a 0-byte file, not even its length, so only its name is known.
    not_empty = {_without_scheme(f.path) for f in files}
    epoch = datetime.fromtimestamp(0, UTC)
    return files + [InputFile(name, 0, epoch) for name in names if _without_scheme(name) not in not_empty]


def literal_path(path: str) -> str:
    """Escape the glob characters of a path, since a folder may be called a[1]."""
    return GLOB.sub(r"\\\1", path)


def format_of(path: str) -> str | None:
    """Return the format of a file by the ending of its name, `parquet` or `csv`; None for others."""
    stem = path.removesuffix(".gz").lower()
    return next((kind for ending, kind in FORMATS.items() if stem.endswith(ending)), None)


def _without_scheme(path: str) -> str:
    return re.sub(r"^file:/+", "/", path)
