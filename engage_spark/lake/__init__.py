"""The only code that reads or writes tables and files: raw inputs, Delta tables, runs and publication, scratch."""

from __future__ import annotations

from engage_spark.lake.anything import Format, read_anything
from engage_spark.lake.failures import storage_error
from engage_spark.lake.files import write_text
from engage_spark.lake.inputs import Found, Pinned, fingerprint, pin, read_pinned
from engage_spark.lake.landings import landed
from engage_spark.lake.raw import is_there, leave_note, note, write_raw
from engage_spark.lake.runs import Latest, Run, RunLog, code_version, run_id
from engage_spark.lake.scratch import Materialise, scratch
from engage_spark.lake.tables import Lake

__all__ = [
    "Format",
    "Found",
    "Lake",
    "Latest",
    "Materialise",
    "Pinned",
    "Run",
    "RunLog",
    "code_version",
    "fingerprint",
    "is_there",
    "landed",
    "leave_note",
    "note",
    "pin",
    "read_anything",
    "read_pinned",
    "run_id",
    "scratch",
    "storage_error",
    "write_raw",
    "write_text",
]
