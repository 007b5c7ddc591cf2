"""List files below a path, and tell their formats by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engage_spark.errors import InputError, NotDeliveredError
from engage_spark.lake.delivery_names import (
    DELTA,
    SortedNames,
    describe_format,
    parents_with_values,
    sort_names,
)
from engage_spark.lake.local_files import walk_local
from engage_spark.lake.spark_errors import is_missing_table, to_engage_error, translate_spark_errors
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.files import hadoop_files, last_name, path_of_this_process
from engage_spark.spark.guarantees import STRICT_READS

GLOB = re.compile(r"([{}\[\]*?\\])")
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}
MARKER, MANIFEST = "_SUCCESS", "_manifest.json"
"""Files that say that a delivery is whole (see `completeness`)."""
MARKS = frozenset({MARKER, MANIFEST})
_LOGS_OF_FORMATS = (
    ("_delta_log", ".json", DELTA),
    (".hoodie", "", "Hudi"),
    ("_spark_metadata", "", "a Spark stream"),
    ("metadata", ".metadata.json", "Iceberg"),
)
_COMMIT = re.compile(r"_delta_log/(\d{20})\.(?:json|checkpoint\..*parquet)$")


@dataclass(frozen=True)
class InputFile:
    """One input file as listed: its path, its size in bytes, and when it changed (microseconds since 1970).

    `name` is its path below the folder that was listed.
    """

    path: str
    size: int
    modified: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What lies at a path: data files, or a Delta table at a version.

    `root` is the folder as the files' paths begin with it. `marks` holds the files that tell something of the
    data (`_SUCCESS`, `_manifest.json`); None where names that begin with _ cannot be seen.
    """

    root: str
    files: tuple[InputFile, ...]
    marks: tuple[InputFile, ...] | None = ()
    delta_version: int | None = None


def list_files(spark: SparkSession, path: str) -> Listing:
    """List the data files of a folder at any depth, or one file, or see that the folder is a Delta table.

    Where the file system can be asked (a path of this machine, or Hadoop's on a classic session), names that
    are no data are seen as well. On Spark Connect for a path of the server alone Spark lists, which shows no
    hidden names; only a Delta table is then recognised.
    Cost: no job; there, one job and a look at Delta's log. What reaches the driver grows with files, not with
    rows.
    Errors: NotDeliveredError where there is no such path. InputError for links that lead nowhere or into
    loops, an upload that has not ended, and a table of a format other than Delta (or of Delta in a folder
    below): which of its files are live only its own metadata say.
    """
    root, files = _all_files(spark, path)
    if files is None:
        return _listed_by_spark(spark, path)
    names = sort_names({f.name: f.size for f in files})
    _refuse_around(spark, path, names, alone=len(files) == 1 and root.rstrip("/") == files[0].path)
    if names.formats.get("") == DELTA:
        versions = [int(m[1]) for f in files if (m := _COMMIT.match(f.name))]
        if not versions:
            raise InputError(
                f"{path} has a Delta log without a commit", hint="copy the whole table, with its _delta_log"
            )
        return Listing(root=root, files=(), delta_version=max(versions))
    data = frozenset(names.data)
    return Listing(
        root=root,
        files=tuple(f for f in files if f.name in data),
        marks=tuple(f for f in files if f.name.rpartition("/")[2] in MARKS),
    )


def _all_files(spark: SparkSession, path: str) -> tuple[str, list[InputFile] | None]:
    here = path_of_this_process(spark, path)
    if here is not None:
        if not here.exists():
            raise NotDeliveredError.at(path)
        # A volume is a path of its own for Spark, other paths are of this machine.
        root = str(here) if str(here).startswith("/Volumes/") else f"file:{here}"
        try:
            walked = walk_local(here)
        except OSError as e:
            raise InputError(f"{path} cannot be listed: {e}", hint="check the rights on it") from e
        alone = here.is_file()
        return root, [
            InputFile(root if alone else f"{root}/{name}", size, at, name) for name, size, at in walked
        ]
    try:
        with translate_spark_errors(f"{path} cannot be listed"):
            listed = hadoop_files(spark, path)
    except FileNotFoundError:
        raise NotDeliveredError.at(path) from None
    if listed is None:
        return path, None
    return path, [InputFile(p, size, at, name_below(path, p)) for p, size, at in listed]


def _refuse_around(spark: SparkSession, path: str, names: SortedNames, *, alone: bool) -> None:
    """Refuse what the names below a path say, and where a part of a table was given, those above it."""
    problems = [f"{name}: its upload has not ended" for name in names.unfinished]
    problems += [
        describe_format(folder, kind)
        for folder, kind in sorted(names.formats.items())
        if (folder, kind) != ("", DELTA)
    ]
    own = path.rstrip("/").rpartition("/")[2]
    if not problems and (alone or "=" in own or own == "data"):  # Iceberg keeps its files in `data`
        problems += [
            f"it is a part of the table of {kind} in {folder}; give the whole table"
            for folder in parents_with_values(path)
            for log, ending, kind in _LOGS_OF_FORMATS
            if last_name(spark, f"{folder}/{log}", ending=ending)
        ]
    if problems:
        raise InputError(
            f"{path} cannot be read as a folder of files",
            details=problems[:20],
            hint="wait until the upload has ended, or write the rows to a folder of plain files",
        )


def _listed_by_spark(spark: SparkSession, path: str) -> Listing:
    version = _delta_version(spark, path)
    if version is not None:
        return Listing(root=path, files=(), delta_version=version)
    try:
        listed = (
            spark.read.options(**STRICT_READS, recursiveFileLookup="true")
            .format("binaryFile")
            .load(literal_path(path))
        )
        # The names come first: a file that vanishes before the rows are read is then refused.
        names = [unquote(name) for name in listed.inputFiles()]
        rows = listed.select("path", "length", F.unix_micros("modificationTime")).collect()
    except SPARK_ERRORS as e:
        if "PATH_NOT_FOUND" in str(e):
            raise NotDeliveredError.at(path) from e
        raise to_engage_error(e, f"{path} cannot be listed") from e
    files = [InputFile(r[0], r[1], r[2], name_below(path, r[0])) for r in rows]
    # Spark reads no row of a 0-byte file, not even its length, so only its name is known.
    not_empty = {_without_scheme(f.path) for f in files}
    files += [
        InputFile(name, 0, 0, name_below(path, name))
        for name in names
        if _without_scheme(name) not in not_empty
    ]
    sorted_names = sort_names({f.name: f.size for f in files})
    _refuse_around(spark, path, sorted_names, alone=False)
    data = frozenset(sorted_names.data)
    return Listing(root=path, files=tuple(f for f in files if f.name in data), marks=None)


def _delta_version(spark: SparkSession, path: str) -> int | None:
    """Return the version of the Delta table at a path, by a look at its log; None where there is none."""
    quoted = path.replace("`", "``")
    try:
        row = spark.sql(f"DESCRIBE HISTORY delta.`{quoted}` LIMIT 1").select("version").collect()[0]
    except SPARK_ERRORS as e:
        if is_missing_table(e):
            return None
        raise to_engage_error(e, f"{path} cannot be read") from e
    return int(row[0])


def literal_path(path: str) -> str:
    """Escape the glob characters of a path, since a folder may be called a[1]."""
    return GLOB.sub(r"\\\1", path)


def format_of(path: str) -> str | None:
    """Return the format of a file by the ending of its name, `parquet` or `csv`; None for others."""
    stem = path.removesuffix(".gz").lower()
    return next((kind for ending, kind in FORMATS.items() if stem.endswith(ending)), None)


def _without_scheme(path: str) -> str:
    return re.sub(r"^file:/+", "/", path)


def name_below(root: str, path: str) -> str:
    """Return the path of a file below a folder; the name of a file that was given by itself."""
    folder = _without_scheme(root).rstrip("/")
    at = path.find(f"{folder}/")
    return path[at + len(folder) + 1 :] if at >= 0 else path.rpartition("/")[2]
