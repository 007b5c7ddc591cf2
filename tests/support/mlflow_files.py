"""Set MLflow's sqlite file up once per run of the tests: its tables take seconds in each new file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engage_spark.settings import TrackingSettings
from engage_spark.tracking import client as tracking_client
from engage_spark.tracking.client import MlflowLocation, sqlite_file


@contextmanager
def copied_files(folder: Path) -> Iterator[None]:
    """Let each new file be a copy of one that is set up in `folder` when the first is asked for.

    Processes that tests start set up their own.
    """
    template, is_new = folder / "mlflow.db", tracking_client._new_file

    def copied(uri: str) -> bool:
        file = sqlite_file(uri)
        if not is_new(uri) or file is None or file == template:
            return file == template and not file.stat().st_size
        if not template.exists() or not template.stat().st_size:
            _ = MlflowLocation(TrackingSettings(folder=str(folder))).client
        shutil.copyfile(template, file)
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking_client, "_new_file", copied)
        yield
