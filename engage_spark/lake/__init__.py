"""The only code that reads or writes tables and files: raw inputs, Delta tables, runs and publication, scratch."""

from __future__ import annotations

from engage_spark.lake.any_format import Format, read_anything
from engage_spark.lake.arrivals import landed
from engage_spark.lake.delta import Lake
from engage_spark.lake.input_files import Found, Pinned, fingerprint, pin, read_pinned
from engage_spark.lake.run_log import Latest, Run, RunLog, code_version, run_id
from engage_spark.lake.scratch import Materialise, scratch
from engage_spark.lake.spark_errors import storage_error
from engage_spark.lake.synth_output import is_there, leave_note, note, write_raw
from engage_spark.lake.text_files import write_text

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
