"""Which folders of a lake are deleted because nobody needs them, without Spark: on this disk."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.lake import Lake, RunLog, checkpoint_folder
from engage_spark.lake.locks import table_lock
from engage_spark.pipelines.results import VacuumResult
from engage_spark.pipelines.tables import busy_tables
from engage_spark.pipelines.tables.vacuum import run_vacuum
from engage_spark.publication import Publication
from engage_spark.settings import Settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
SESSION = cast(
    Any,
    SimpleNamespace(
        conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key]), client=SimpleNamespace(host="localhost")
    ),
)
"""Stands for a session of Connect whose server is on this machine, so no JVM is needed."""
OLD, RECENT = time.time() - 31 * 86_400, time.time() - 86_400


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A lake without tables."""
    monkeypatch.setattr("engage_spark.spark.files.is_connect", lambda _: True)
    monkeypatch.setattr(Lake, "version", lambda *_: None)
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(()))
    return Settings(lake={"root": str(tmp_path)})  # type: ignore[arg-type]


def checkpoint(settings: Settings, table: str, key: str, *, made: float, used: float) -> Path:
    """A checkpoint as Spark leaves it: each batch adds a file below `commits`."""
    folder = Path(checkpoint_folder(Lake(settings.lake), table, key))
    (folder / "commits").mkdir(parents=True)
    (folder / "metadata").write_text("{}")
    for path, at in ((folder / "metadata", made), (folder / "commits", used), (folder, made)):
        os.utime(path, (at, at))
    return folder


def vacuumed(settings: Settings, *, dry_run: bool = False) -> VacuumResult:
    return run_vacuum(SESSION, settings, contract=CONTRACT, dry_run=dry_run)


def test_checkpoints_that_no_stream_uses_any_more_are_deleted(settings: Settings) -> None:
    """A stream of an older contract, settings or code has another one."""
    old = checkpoint(settings, "sessions", "0" * 16, made=OLD, used=OLD)
    used = checkpoint(settings, "sessions", "1" * 16, made=OLD, used=RECENT)
    of_others = checkpoint(settings, "sessions", "notes", made=OLD, used=OLD)
    dropped = checkpoint(settings, "a_log_that_was_dropped", "2" * 16, made=OLD, used=OLD)
    assert vacuumed(settings, dry_run=True).checkpoints == 2 and old.exists() and dropped.exists()
    assert vacuumed(settings).checkpoints == 2
    assert not old.exists() and not dropped.exists() and used.exists() and of_others.exists()
    assert vacuumed(settings).checkpoints == 0


def test_a_checkpoint_of_a_log_that_is_streamed_now_is_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_tables, "PATIENCE", 0.0)
    old = checkpoint(settings, "sessions", "0" * 16, made=OLD, used=OLD)
    with table_lock(SESSION, Lake(settings.lake), "sessions_stream"):
        result = vacuumed(settings)
    (note,) = result.notes
    assert (note.code, note.facts["tables"]) == ("TablesBusy", ("sessions_stream",))
    assert result.checkpoints == 0 and old.exists()


def test_looks_at_deliveries_that_have_ended_are_deleted(settings: Settings) -> None:
    looks = Path(settings.lake.root or "") / "_looks"
    looks.mkdir()
    for name, days in (("0" * 64, 91), ("1" * 64, 89)):
        (looks / name).write_text("a look")
        os.utime(looks / name, (time.time() - days * 86_400,) * 2)
    assert vacuumed(settings, dry_run=True).looks == 1 and len(list(looks.iterdir())) == 2
    assert vacuumed(settings).looks == 1
    assert [p.name for p in looks.iterdir()] == ["1" * 64]
