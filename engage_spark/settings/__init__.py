"""Settings: places, budgets and switches, never fields. A leaf: no Spark, no contract.

Where a value comes from, the strongest first: `--set key=value`, environment variables
`ENGAGE_SPARK__SECTION__KEY`, the overlay `{env}.yaml`, `base.yaml`, the defaults in `model`. The two files
lie in the directory that `conf_dir` finds. An unknown key or a bad value is an error; all of them are told in
one message, with the place each came from.
"""

from engage_spark.settings.loading import conf_dir, load_settings
from engage_spark.settings.model import (
    IngestSettings,
    InputSettings,
    LakeSettings,
    LogSettings,
    QualitySettings,
    S3Settings,
    Settings,
    SparkSettings,
    SynthSettings,
    TrackingSettings,
)

__all__ = [
    "IngestSettings",
    "InputSettings",
    "LakeSettings",
    "LogSettings",
    "QualitySettings",
    "S3Settings",
    "Settings",
    "SparkSettings",
    "SynthSettings",
    "TrackingSettings",
    "conf_dir",
    "load_settings",
]
