"""Which files of a log runs have, and what a stream is refused for, without Spark."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.lake import InputFile, InputManifest, RunLog, code_version, file_stream
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest.stream import run_ingest_stream
from engage_spark.pipelines.ingest.streamed_files import (
    STREAMED,
    file_state,
    file_states,
    in_batches,
    stream_key,
)
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import Kind, Publication, Run
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
LOG, OTHER = CONTRACT.logs[:2]
SESSION = cast(Any, SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key])))
SETTINGS = load_settings("local")
AT = datetime(2025, 10, 21, tzinfo=UTC)
FILES = tuple(InputFile(f"file:/raw/{name}", 1, 1, name) for name in "abc")


def context(**changes: Any) -> RunContext:
    return RunContext(SESSION, SETTINGS, replace(CONTRACT, **changes))


def run(*files: InputFile, rejected: str | None = None) -> Run:
    work = StageRunner(context=context()).plan(
        ingest_stage(LOG),
        date(2025, 10, 21),
        inputs={"files": "f", STREAMED: ",".join(map(file_state, files))},
        settings=("ingest",),
        kind=Kind.LOG,
    )
    made = work.to_run(rows_in=1, valid=1, quarantined=0, outputs={}, started_at=AT, rejected=rejected)
    return replace(made, code_version=code_version())


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    runs: list[Run] = []
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(runs)))
    return runs


def test_runs_have_the_files_that_they_published_or_rejected(attempts: list[Run]) -> None:
    assert file_states(context(), LOG) == set()
    attempts += [run(FILES[0]), run(*FILES[1:2], rejected="gates failed")]
    assert file_states(context(), LOG) == {file_state(f) for f in FILES[:2]}
    assert file_states(context(), OTHER) == set()
    for changed in (replace(FILES[0], size=2), replace(FILES[0], modified=2)):
        assert file_state(changed) not in file_states(context(), LOG), "corrected in place"


def test_what_is_judged_anew_is_known_by_no_run_and_has_a_checkpoint_of_its_own(attempts: list[Run]) -> None:
    attempts.append(run(*FILES))
    other = context(digest="0" * 64)
    assert file_states(other, LOG) == set()
    listed = InputManifest(table=LOG.name, day=None, files=FILES, format="parquet", root="file:/raw")
    assert stream_key(context(), listed) == stream_key(context(), listed) != stream_key(other, listed)
    assert stream_key(context(), listed) != stream_key(context(), replace(listed, root="s3a://b/raw"))
    attempts[:] = [replace(attempts[0], code_version="another")]
    assert file_states(context(), LOG) == set()


def test_files_that_could_not_be_read_are_kept_out_of_the_batches_of_others() -> None:
    new, bad, old = (replace(f, modified=at) for f, at in zip(FILES, (3, 2, 1), strict=True))
    assert list(in_batches([new, bad, old], 2, alone=())) == [[old, bad], [new]]
    assert list(in_batches([new, bad, old], 2, alone={file_state(bad)})) == [[old, new], [bad]]


def test_a_stream_on_spark_connect_is_refused_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_stream, "is_connect", lambda _: True)
    with pytest.raises(ConfigurationError, match="a stream needs a classic session"):
        run_ingest_stream(cast(Any, None), SETTINGS, contract=CONTRACT)
