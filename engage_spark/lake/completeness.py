"""Tell whether a delivery is whole, by the rule that `ingest.complete` sets.

- `marker`: a file `_SUCCESS` in the folder of the files or above it, down to the table's folder, that is not
  older than they are.
- `manifest`: a file `_manifest.json` there instead: `{"files": [{"name": "part-0.parquet", "size": 1024}]}`,
  or a list of names. It names every data file below its folder, by the path from there, and no other.
- `quiet:N`: the same files with the same sizes and times in two looks at least N minutes apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from pyspark.sql import SparkSession

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.lake.delta import Lake
from engage_spark.lake.file_listing import MANIFEST, MARKER, InputFile
from engage_spark.lake.input_files import InputManifest, fingerprint
from engage_spark.lake.spark_errors import translate_spark_errors
from engage_spark.lake.text_marker import recorded_moment
from engage_spark.masking import cut
from engage_spark.settings import quiet_minutes
from engage_spark.spark.files import read_small_file, write_small_file

LOOKS = "_looks"
LARGEST_MANIFEST = 64 * 2**20
"""Bytes of a manifest: the driver reads it whole."""


def incomplete_deliveries(
    spark: SparkSession, lake: Lake, manifests: Sequence[InputManifest], *, rule: str, now: datetime
) -> Mapping[int, str]:
    """Return why deliveries are not whole yet, by their place in `manifests`; the others are.

    A Delta table is always whole, by its commits.
    Cost: no job. `manifest`: one small file read for each folder that has one. `quiet`: one small file of the
    lake read for each delivery, and written where the files differ from those of the last look.
    Errors: ConfigurationError where the names of marks cannot be seen (Spark Connect with files of the server
    alone); InputError for a manifest that cannot be used.
    """
    asked = {i: m for i, m in enumerate(manifests) if m.version is None}
    if rule == "none" or not asked:
        return {}
    if (minutes := quiet_minutes(rule)) is not None:
        since = {i: _unchanged_since(spark, lake, m, now=now) for i, m in asked.items()}
        return {
            i: f"its files were first seen like this at {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, "
            f"and are to stay so for {minutes:g} minutes"
            for i, at in since.items()
            if now - at < timedelta(minutes=minutes)
        }

    reasons = {}
    for i, m in asked.items():
        reason = _unmarked_or_unlisted(m, _marks(m, rule), rule=rule, text_of=partial(_text_of, spark))
        if reason is not None:
            reasons[i] = reason
    return reasons


def _marks(manifest: InputManifest, rule: str) -> dict[str, InputFile]:
    """Return the marks of a rule by their folder.

    Errors: ConfigurationError where they cannot be seen.
    """
    if manifest.marks is None:
        raise ConfigurationError(
            f"ingest.complete is {rule}, and names that begin with _ cannot be seen in {manifest.root}",
            hint="use quiet:N, or a path that this process shares with Spark's server",
        )
    name = MARKER if rule == "marker" else MANIFEST
    return {m.name.rpartition("/")[0]: m for m in manifest.marks if m.name.rpartition("/")[2] == name}


def _text_of(spark: SparkSession, mark: InputFile) -> str:
    """Return the text of a mark.

    Errors: InputError where it is no text in UTF-8, or too large to be one.
    """
    if mark.size > LARGEST_MANIFEST:
        raise _unusable(mark.name, ValueError(f"it has {mark.size:,} bytes, more than {LARGEST_MANIFEST:,}"))
    try:
        with translate_spark_errors(f"{mark.path} cannot be read"):
            return read_small_file(spark, mark.path) or ""
    except UnicodeDecodeError as e:
        raise _unusable(mark.name, e) from e


def _unmarked_or_unlisted(
    manifest: InputManifest,
    marks: Mapping[str, InputFile],
    *,
    rule: str,
    text_of: Callable[[InputFile], str],
) -> str | None:
    return _unmarked(manifest, marks) if rule == "marker" else _unlisted(manifest, marks, text_of)


def unfinished_files(
    spark: SparkSession,
    lake: Lake,
    listed: InputManifest,
    files: Sequence[InputFile],
    *,
    rule: str,
    now: datetime,
) -> dict[str, str]:
    """Return why some of the listed `files` are not whole yet, by path; the others are.

    A file is whole by its own mark, or after its own rest: one that is still uploaded holds up no other. With
    `manifest` all files of a manifest belong together; one that cannot be used may not be written to its end
    yet, so its files wait.
    Cost: no job. `manifest`: one small file for each folder that has one. `quiet`: one small file of the
    lake, for all files; call it with every file that is waited for, since the others are forgotten.
    Errors: as `incomplete_deliveries`, but for a manifest.
    """
    if rule == "none" or not files:
        return {}
    if (minutes := quiet_minutes(rule)) is not None:
        since = _files_unchanged_since(spark, lake, listed, files, now=now)
        return {
            path: f"its file {path.rpartition('/')[2]} was first seen like this at "
            f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, and is to stay so for {minutes:g} minutes"
            for path, at in since.items()
            if now - at < timedelta(minutes=minutes)
        }
    marks, wanted = _marks(listed, rule), {f.path for f in files}
    reasons: dict[str, str] = {}
    for group in _groups(listed, files, marks, rule=rule):
        try:
            reason = _unmarked_or_unlisted(
                replace(listed, files=group), marks, rule=rule, text_of=partial(_text_of, spark)
            )
        except InputError as e:  # its manifest may be on the way still
            reason = e.message
        if reason is not None:
            reasons |= {f.path: reason for f in group if f.path in wanted}
    return reasons


def _groups(
    listed: InputManifest, files: Sequence[InputFile], marks: Mapping[str, InputFile], *, rule: str
) -> list[tuple[InputFile, ...]]:
    """Return the files that are whole together: those of a manifest that covers some of `files`, or each."""
    if rule == "marker":
        return [(f,) for f in files]
    groups: dict[str, list[InputFile]] = {}
    for f in listed.files:
        mark = _covering(f, marks)
        groups.setdefault(f.path if mark is None else mark.path, []).append(f)
    wanted = {f.path for f in files}
    return [tuple(group) for group in groups.values() if any(f.path in wanted for f in group)]


def _files_unchanged_since(
    spark: SparkSession, lake: Lake, listed: InputManifest, files: Sequence[InputFile], *, now: datetime
) -> dict[str, datetime]:
    """Return the first look that saw each file as it is, and record the looks of these files.

    Errors: ConfigurationError where there is no place for them that this process reaches.
    """
    path = _look_path(lake, f"stream\t{listed.root}\t{listed.table}")
    with translate_spark_errors(f"{path} cannot be read"):
        recorded = _looks_of((read_small_file(spark, path) if path else None) or "")
    states = {f.path: fingerprint([replace(listed, files=(f,))]) for f in files}
    looks = {state: recorded.get(state, now.astimezone(UTC).isoformat()) for state in states.values()}
    if looks != recorded:
        _record_look(spark, path, json.dumps(looks))
    return {path: datetime.fromisoformat(looks[state]) for path, state in states.items()}


def _looks_of(text: str) -> dict[str, str]:
    """Return the recorded looks by state of the file; none where a run was killed while it wrote them."""
    try:
        looks = json.loads(text)
    except ValueError:
        return {}
    return looks if isinstance(looks, dict) else {}


def _look_path(lake: Lake, what: str) -> str | None:
    root = lake.settings.root or lake.settings.scratch_root
    return f"{root.rstrip('/')}/{LOOKS}/{hashlib.sha256(what.encode()).hexdigest()}" if root else None


def _record_look(spark: SparkSession, path: str | None, text: str) -> None:
    with translate_spark_errors(f"{path} cannot be written"):
        if path is None or not write_small_file(spark, path, text):
            raise ConfigurationError(
                "the looks that ingest.complete compares cannot be recorded",
                hint="set lake.scratch to a path that this process can reach as well, such as a volume",
            )


def _unchanged_since(spark: SparkSession, lake: Lake, manifest: InputManifest, *, now: datetime) -> datetime:
    """Return the first look that saw the files of a delivery as they are, and record this one if it is that.

    Errors: ConfigurationError where there is no place for it that this process reaches.
    """
    path = _look_path(lake, f"{manifest.root}\t{manifest.table}\t{manifest.day}")
    files = fingerprint([manifest])
    with translate_spark_errors(f"{path} cannot be read"):
        recorded, _, at = ((read_small_file(spark, path) if path else None) or "").partition("\t")
    if recorded == files and (first := recorded_moment(at)):
        return first
    _record_look(spark, path, f"{files}\t{now.astimezone(UTC).isoformat()}")
    return now


def _folders(name: str) -> list[str]:
    """Return the folders of a name, from its own up to the table's, which is empty."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[:n]) for n in range(len(parts), -1, -1)]


def _covering(file: InputFile, marks: Mapping[str, InputFile]) -> InputFile | None:
    """Return the mark that lies nearest above a file."""
    return next((marks[folder] for folder in _folders(file.name) if folder in marks), None)


def _unmarked(manifest: InputManifest, marks: Mapping[str, InputFile]) -> str | None:
    for f in manifest.files:
        mark = _covering(f, marks)
        if mark is None:
            return f"no {MARKER} lies beside or above {f.name}"
        if mark.modified < f.modified:
            return f"{f.name} is newer than {mark.name}, which is to be written last"
    return None


def _unlisted(
    manifest: InputManifest, marks: Mapping[str, InputFile], text_of: Callable[[InputFile], str]
) -> str | None:
    covered: dict[str, dict[str, int]] = {}
    for f in manifest.files:
        mark = _covering(f, marks)
        if mark is None:
            return f"no {MANIFEST} lies beside or above {f.name}"
        folder = mark.name.rpartition("/")[0]
        covered.setdefault(folder, {})[f.name.removeprefix(f"{folder}/" if folder else "")] = f.size
    for folder, there in covered.items():
        listed = parse_manifest(text_of(marks[folder]), name=marks[folder].name)
        day = f"snapshot_date={manifest.day}"
        if not folder and manifest.day and any(name.startswith(f"{day}/") for name in there):
            listed = {n: size for n, size in listed.items() if f"{day}/" in f"/{n}"}
        reason = _difference(listed, there)
        if reason is not None:
            return reason
    return None


def _difference(listed: Mapping[str, int | None], there: Mapping[str, int]) -> str | None:
    if missing := [n for n in listed if n not in there]:
        return f"{len(missing):,} files of its manifest are not there yet, such as {missing[0]}"
    if more := [n for n in there if n not in listed]:
        return f"{more[0]} is not in its manifest"
    wrong = [n for n, size in listed.items() if size is not None and size != there[n]]
    return f"{wrong[0]} has {there[wrong[0]]:,} bytes, not {listed[wrong[0]]:,}" if wrong else None


def parse_manifest(text: str, *, name: str) -> dict[str, int | None]:
    """Return the names that a manifest lists, with their sizes where it has them.

    Errors: InputError where it is not what the module describes.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff"))
        entries = content["files"] if isinstance(content, dict) else content
        if not isinstance(entries, list):
            raise TypeError("it holds no list of files")
        listed: dict[str, int | None] = {}
        for entry in entries:
            file, size = (entry["name"], entry.get("size")) if isinstance(entry, dict) else (entry, None)
            if not isinstance(file, str) or isinstance(size, bool) or not isinstance(size, int | None):
                raise TypeError(f"{entry!r} is no name, with a size in bytes or none")
            if file in listed:
                raise ValueError(f"{file!r} stands in it twice")
            listed[file] = size
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise _unusable(name, e) from e
    return listed


def _unusable(name: str, error: Exception) -> InputError:
    return InputError(
        f"the manifest {name} cannot be used: {cut(str(error), 200)}",
        hint='write {"files": [{"name": "part-0.parquet", "size": 1024}]}',
    )
