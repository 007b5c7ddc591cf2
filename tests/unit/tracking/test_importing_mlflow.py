"""MLflow is imported while something else runs; the import is a stand-in."""

from __future__ import annotations

import os
import threading
import time

import pytest

from engage_spark.tracking import client
from engage_spark.tracking.client import CALLS, importing_mlflow

KEY = "MLFLOW_DISABLE_TELEMETRY"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in CALLS:
        monkeypatch.delenv(key, raising=False)


def test_the_block_waits_for_the_import_and_its_environment_stays_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported: list[str | None] = []
    begins = threading.Event()

    def slow() -> None:
        assert begins.wait(20)
        imported.append(os.environ.get(KEY))

    monkeypatch.setattr(client, "import_mlflow", slow)
    with importing_mlflow():
        assert os.environ[KEY] == CALLS[KEY]
        begins.set()
        while not imported:
            time.sleep(0.001)
        time.sleep(0.02)
        assert os.environ[KEY] == CALLS[KEY], "also when the import has ended first"
    assert imported == [CALLS[KEY]] and KEY not in os.environ


def test_an_early_error_is_not_held_up_and_the_import_keeps_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported: list[str | None] = []
    goes_on = threading.Event()

    def slow() -> None:
        goes_on.wait(5)
        imported.append(os.environ.get(KEY))

    monkeypatch.setattr(client, "import_mlflow", slow)
    with pytest.raises(ValueError, match="no such day"), importing_mlflow():
        raise ValueError("no such day")
    assert imported == []
    goes_on.set()
    deadline = time.monotonic() + 5
    while KEY in os.environ and time.monotonic() < deadline:
        time.sleep(0.001)
    assert imported == [CALLS[KEY]] and KEY not in os.environ


def test_an_import_that_fails_is_left_to_whoever_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise ImportError("no mlflow")

    monkeypatch.setattr(client, "import_mlflow", fails)
    with importing_mlflow():
        pass
    assert KEY not in os.environ
