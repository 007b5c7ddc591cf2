"""Declare and load settings: locations, budgets, switches, never fields. Needs neither Spark nor a contract.

A value comes from the first of these that sets it: `--set key=value`, the environment variable
`ENGAGE_SPARK__SECTION__KEY`, the overlay `{env}.yaml`, `base.yaml`, the default in `model`. The two files are
in the directory that `conf_dir` finds. An unknown key or a bad value is an error; one message lists all of
them, each with its origin.
"""

from engage_spark.settings.loading import conf_dir, load_settings
from engage_spark.settings.model import (
    FIRST_YEAR,
    LAST_YEAR,
    IngestSettings,
    InputSettings,
    LakeSettings,
    LineageSettings,
    LogSettings,
    QualitySettings,
    S3Settings,
    Settings,
    SparkSettings,
    SynthSettings,
    TrackingSettings,
    csv_delimiter_problem,
    quiet_minutes,
)

__all__ = [
    "FIRST_YEAR",
    "LAST_YEAR",
    "IngestSettings",
    "InputSettings",
    "LakeSettings",
    "LineageSettings",
    "LogSettings",
    "QualitySettings",
    "S3Settings",
    "Settings",
    "SparkSettings",
    "SynthSettings",
    "TrackingSettings",
    "conf_dir",
    "csv_delimiter_problem",
    "load_settings",
    "quiet_minutes",
]
