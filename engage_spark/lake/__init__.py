"""Read raw inputs, read and write Delta tables, publish runs, and keep temporary tables.

No other package reads or writes tables.
"""

from __future__ import annotations

from engage_spark.lake.any_format import Format, read_any_format
from engage_spark.lake.arrivals import record_arrivals
from engage_spark.lake.completeness import incomplete_deliveries, unfinished_files
from engage_spark.lake.delta import Lake
from engage_spark.lake.file_listing import InputFile
from engage_spark.lake.file_stream import checkpoint_folder, refuse_connect, stream_files, stream_lock
from engage_spark.lake.input_files import (
    InputManifest,
    fingerprint,
    list_days,
    list_inputs,
    require_known_day,
)
from engage_spark.lake.locks import COMMIT_WAIT, Lock, table_lock
from engage_spark.lake.read_inputs import read_inputs
from engage_spark.lake.run_log import Evidence, RunLog, code_version, run_id
from engage_spark.lake.scratch import Materialize, scratch
from engage_spark.lake.spark_errors import translate_spark_errors
from engage_spark.lake.synth_output import path_exists, read_marker, write_marker, write_parquet

__all__ = [
    "COMMIT_WAIT",
    "Evidence",
    "Format",
    "InputFile",
    "InputManifest",
    "Lake",
    "Lock",
    "Materialize",
    "RunLog",
    "checkpoint_folder",
    "code_version",
    "fingerprint",
    "incomplete_deliveries",
    "list_days",
    "list_inputs",
    "path_exists",
    "read_any_format",
    "read_inputs",
    "read_marker",
    "record_arrivals",
    "refuse_connect",
    "require_known_day",
    "run_id",
    "scratch",
    "stream_files",
    "stream_lock",
    "table_lock",
    "translate_spark_errors",
    "unfinished_files",
    "write_marker",
    "write_parquet",
]
