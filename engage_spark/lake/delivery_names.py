"""Tell from the names below a table's folder what is data, what is not, and which day a folder names.

Pure: no Spark, no file is opened. Names are paths below the table's folder, with `/` between their parts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import unquote

from engage_spark.contract import SNAPSHOT_DATE

DELTA = "Delta"
DELTA_WITHOUT_LOG = "Delta without its log"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FOLDERS_OF_FORMATS: Mapping[str, str] = {
    "_delta_log": DELTA,
    ".hoodie": "Hudi",
    "_spark_metadata": "Spark stream",
}
_FILES_OF_FORMATS = (
    (re.compile(r"(^|/)\.hoodie_partition_metadata(\.\w+)?$"), "Hudi"),
    (re.compile(r"(^|/)metadata/([^/]*\.metadata\.json(\.gz)?|version-hint\.text|[^/]*\.avro)$"), "Iceberg"),
    (re.compile(r"(^|/)(snapshot/snapshot-\d+|schema/schema-\d+)$"), "Paimon"),
    (
        re.compile(r"(^|/)((base|delta|delete_delta)_\d{7}(_\d{7})*(_\d{4})?(_v\d+)?/.+|_orc_acid_version)$"),
        "Hive ACID",
    ),
    (re.compile(r"(^|/)_(committed|started)_[^/]+$"), "Databricks commit protocol"),
    (re.compile(r"(^|/)_versions/[^/]+\.manifest$"), "Lance"),
    (
        re.compile(
            r"(^|/)(_symlink_format_manifest/.+|deletion_vector_[0-9a-f-]{36}\.bin|_delta_log_\$folder\$)$"
        ),
        DELTA_WITHOUT_LOG,
    ),
)
_UNFINISHED = re.compile(
    r"\.(_COPYING_|filepart|part|partial|crdownload|download|tmp|temp|in-?progress|pending|upload(ing)?)$"
    r"|\.in-?progress\.|^\..+\.(parquet|pq|csv)(\.gz)?\.\w{6}$",
    re.IGNORECASE,
)
_STAGING = re.compile(r"_temporary|\.spark-staging.*|\.hive-staging.*|_tmp\..*|\.staging", re.IGNORECASE)
_NO_DATA = re.compile(
    r".*_\$folder\$|.*\.(crc|md5|sha1|sha256|sha512|asc|sig|manifest|done|ok|ready|complete|success|trg|ctl)"
    r"|(.*[._-])?manifest(\.(json|txt))?|success|thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r?|~\$.*|.*~",
    re.IGNORECASE,
)
_NO_DATA_FOLDERS = frozenset({"@eadir", "lost+found", "$recycle.bin", "system volume information"})
_DAY_COLUMNS = frozenset(
    {"dt", "ds", "date", "day", "snapshot", "snapshot_day", "snapshotdate", "as_of", "asof", "data_date"}
)
_DATE_IN_NAME = re.compile(r"(?<![0-9A-Za-z])(\d{4}-\d{2}-\d{2}|\d{8})(?![0-9A-SU-Za-z]|T(?!\d))", re.ASCII)
_YEAR_MONTH_DAY = re.compile(
    r"(?:^|/)(?:y|yy|yyyy|year)=(\d{4})/(?:m|mm|month)=(\d{1,2})/(?:d|dd|day)=(\d{1,2})(?:/|$)"
    r"|(?:^|/)(\d{4})/(\d{1,2})/(\d{1,2})(?:/|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class SortedNames:
    """The names that are data, what is wrong with others, and the folders that are tables of a format.

    `formats` maps a folder (empty: the table's own) to its table format.
    """

    data: tuple[str, ...]
    unfinished: tuple[str, ...]
    formats: Mapping[str, str]


def sort_names(sizes: Mapping[str, int]) -> SortedNames:
    """Sort names (with their sizes in bytes) into data, signs of an unfinished upload, and table formats.

    Left out as no data: names that begin with `_` or `.` (also folders, but for `_name=value`), markers of
    object stores (`…_$folder$`, empty objects that are named like a folder), checksums, manifests, flags such
    as `x.done`, and what desktops and network drives leave behind.
    """
    folders = {name[:i] for name in sizes for i, c in enumerate(name) if c == "/"}
    data, unfinished = [], []
    formats: dict[str, str] = {}
    for name in sorted(sizes):
        if (of_table := _table_format(name)) is not None:
            formats.setdefault(*of_table)
        elif _is_unfinished(name):
            unfinished.append(name)
        elif not _is_no_data(name) and not (sizes[name] == 0 and name.rstrip("/") in folders):
            data.append(name)
    if formats.get("") == DELTA:  # of which they are parts
        formats = {folder: kind for folder, kind in formats.items() if kind != DELTA_WITHOUT_LOG}
    return SortedNames(data=tuple(data), unfinished=tuple(unfinished), formats=formats)


def describe_format(folder: str, kind: str) -> str:
    """Return the sentence that refuses a folder of a table format, whose live files its own log lists."""
    of = {
        "Databricks commit protocol": "was written by Databricks with files that list which others are valid",
        "Spark stream": "is the output of a Spark stream, whose log lists the valid files",
        DELTA: "is a Delta table inside the folder of another",
        DELTA_WITHOUT_LOG: "was a Delta table, and the log that lists the valid files is not there",
    }.get(kind, f"is a table of {kind}, whose own metadata list the valid files")
    return f"{folder or 'the folder'} {of}"


def _table_format(name: str) -> tuple[str, str] | None:
    parts = name.split("/")
    for i, part in enumerate(parts[:-1]):
        if part in _FOLDERS_OF_FORMATS:
            return "/".join(parts[:i]), _FOLDERS_OF_FORMATS[part]
    for pattern, kind in _FILES_OF_FORMATS:
        if match := pattern.search(name):
            return name[: match.start()], kind
    return None


def _is_unfinished(name: str) -> bool:
    *folders, last = name.split("/")
    if last.lower().endswith(".crc"):
        return False
    return _UNFINISHED.search(last) is not None or any(_STAGING.fullmatch(f) for f in folders)


def _is_no_data(name: str) -> bool:
    *folders, last = name.split("/")
    if any(f.startswith(".") or (f.startswith("_") and "=" not in f) for f in folders):
        return True
    if any(f.lower() in _NO_DATA_FOLDERS for f in folders):
        return True
    return not last or last.startswith(("_", ".")) or _NO_DATA.fullmatch(last) is not None


def folder_values(name: str) -> dict[str, str]:
    """Return what the folders of a name say as `column=value`, as text, with `%` escapes undone.

    A value that Hive writes for null is left out.
    """
    pairs = (folder.split("=", 1) for folder in name.split("/")[:-1] if "=" in folder)
    values = {unquote(key): unquote(value) for key, value in pairs}
    return {key: value for key, value in values.items() if value != "__HIVE_DEFAULT_PARTITION__"}


def parse_day(text: str) -> date:
    """Return the date of a text in the one spelling 2025-10-21.

    Errors: ValueError for every other spelling, such as 20251021 or 2025-W43-2.
    """
    if not _DAY.fullmatch(text) or not text.isascii():
        raise ValueError(f"{text!r} is not a date like 2025-10-21")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date like 2025-10-21") from None


def folder_day(name: str) -> date | None:
    """Return the day that the folder `snapshot_date=YYYY-MM-DD` of a name says; None where there is none.

    Errors: ValueError when a path has two such folders, or one in another spelling.
    """
    prefix = f"{SNAPSHOT_DATE}="
    days = [f for f in name.split("/")[:-1] if _is_day_folder(f)]
    if not days:
        return None
    if len(days) > 1:
        raise ValueError(f"two folders of its path name a day: {', '.join(days)}; keep one")
    if not days[0].startswith(prefix):
        raise ValueError(f"the folder {days[0]!r} is not spelled like {prefix}2025-10-21; rename it")
    return parse_day(days[0].removeprefix(prefix))


def _is_day_folder(folder: str) -> bool:
    """Return whether the column of a folder is snapshot_date, in whatever spelling."""
    column, equals, _ = unquote(folder).partition("=")
    return bool(equals) and re.sub(r"[^a-z0-9]", "", column.lower()) == SNAPSHOT_DATE.replace("_", "")


def contradicting_folders(name: str, day: date, declared: Collection[str]) -> list[str]:
    """Return the folders of a name that say another day than its `snapshot_date=` folder does.

    A folder of a declared column, such as the date of a trip, says nothing about the day.
    """
    return [
        folder
        for folder, other in other_day_folders(name).items()
        if other != day and _names_the_day(folder) and folder.partition("=")[0] not in declared
    ]


def other_day_folders(name: str) -> dict[str, date]:
    """Return the folders of a name that look like days without being `snapshot_date=`, with their days.

    Such are `dt=2025-10-21`, `dt=20251021`, `2025-10-21`, `year=2025/month=10/day=21` and `2025/10/21`.
    """
    days: dict[str, date] = {}
    *folders, _ = name.split("/")
    for folder in folders:
        value = unquote(folder.rpartition("=")[2])
        if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}|\d{4}-?W\d{2}-?\d", value, re.ASCII):
            _add_day(days, folder, value)
    if match := _YEAR_MONTH_DAY.search("/".join(folders)):
        year, month, day = (g for g in match.groups() if g is not None)
        _add_day(days, match[0].strip("/"), f"{year}-{month:>02}-{day:>02}")
    return days


def _add_day(days: dict[str, date], folder: str, text: str) -> None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return
    if 1900 <= day.year <= 2200:
        days[folder] = day


def undated_problems(names: Sequence[str], snapshot_date: date, *, n_dated: int) -> list[str]:
    """Return why files without a day folder cannot all be of the day that was asked for.

    Their folders or names name several days, or a folder another one, or a name an earlier one (a later one
    may be when it was exported); or they lie beside folders of days (`n_dated` files).
    """
    if not names:
        return []
    if n_dated:
        return [
            f"{names[0]}: lies beside {SNAPSHOT_DATE}= folders, and no folder says which day it is; "
            "move it into the folder of its day"
        ]
    folders: dict[str, date] = {}
    for name in names:
        folders |= other_day_folders(name)
    if len(set(folders.values())) > 1:
        shown = ", ".join(sorted(folders)[:3])
        return [
            f"its folders name several days ({shown}), which --snapshot-date would make one; "
            f"name them {SNAPSHOT_DATE}=YYYY-MM-DD, or deliver one day"
        ]
    in_names: dict[str, date] = {}
    for name in names:
        last = name.rpartition("/")[2]
        for match in _DATE_IN_NAME.finditer(last):
            _add_day(in_names, last, match[0])
    if len(set(in_names.values())) > 1:
        return [
            f"its files' names name several days ({', '.join(sorted(in_names)[:3])}), which --snapshot-date "
            f"would make one; put each into the folder {SNAPSHOT_DATE}=YYYY-MM-DD of its day"
        ]
    others = [f for f, day in folders.items() if day != snapshot_date and _names_the_day(f)]
    if early := sorted(n for n, day in in_names.items() if day < snapshot_date):
        return [
            f"{early[0]}: its name says an earlier day than --snapshot-date {snapshot_date}; "
            f"put it into the folder {SNAPSHOT_DATE}=YYYY-MM-DD of its day, or give its own day"
        ]
    return [
        f"the folder {f} is of another day than --snapshot-date {snapshot_date}; "
        f"name it {SNAPSHOT_DATE}=YYYY-MM-DD, or give its own day"
        for f in others
    ]


def _names_the_day(folder: str) -> bool:
    column, equals, _ = folder.partition("=")
    return not equals or "/" in folder or column.lower() in _DAY_COLUMNS


def parents_with_values(path: str) -> Iterable[str]:
    """Return the folder of a path, and above it each folder as long as the one below is `name=value`."""
    folder = path.rstrip("/")
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if not folder or folder.endswith(":"):
            return
        yield folder
        if "=" not in folder.rpartition("/")[2]:
            return
