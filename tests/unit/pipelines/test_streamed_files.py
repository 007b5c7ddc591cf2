"""Which files of a log runs have, and what a stream is refused for, without Spark."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.lake import InputFile, InputManifest, RunLog, code_version, file_stream, fingerprint
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest.stream import run_ingest_stream
from engage_spark.pipelines.ingest.streamed_files import (
    STREAMED,
    KnownFiles,
    file_state,
    in_batches,
    known_files,
    stream_key,
)
from engage_spark.pipelines.runner import StageRunner
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import GIVEN_UP, Kind, Publication, Run
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
LOG, OTHER = CONTRACT.logs[:2]
SESSION = cast(Any, SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key])))
SETTINGS = load_settings("local")
GONE: set[str] = set()
"""Runs whose rows are not in the table."""
AT = datetime(2025, 10, 21, tzinfo=UTC)
FILES = tuple(InputFile(f"file:/raw/{name}", 1, 1, name) for name in "abc")


def context(**changes: Any) -> RunContext:
    return RunContext(SESSION, SETTINGS, replace(CONTRACT, **changes))


def manifest(*files: InputFile) -> InputManifest:
    return InputManifest(table=LOG.name, day=None, files=files, format="parquet", root="file:/raw")


def run(*files: InputFile, rejected: str | None = None, given_up: str = "") -> Run:
    work = StageRunner(context=context()).plan(
        ingest_stage(LOG),
        date(2025, 10, 21),
        inputs={
            "files": fingerprint([manifest(*files)]),
            STREAMED: ",".join(map(file_state, files)),
            **({GIVEN_UP: given_up} if given_up else {}),
        },
        settings=("ingest",),
        kind=Kind.LOG,
    )
    made = work.to_run(rows_in=1, valid=1, quarantined=0, outputs={}, started_at=AT, rejected=rejected)
    return replace(made, code_version=code_version())


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    runs: list[Run] = []
    monkeypatch.setattr(RunLog, "publication", lambda *_: Publication(tuple(runs)))
    monkeypatch.setattr(RunLog, "is_present", lambda _, __, run, table: run.run_id not in GONE)
    GONE.clear()
    return runs


def known(*, table: Any = LOG, of: RunContext | None = None) -> list[str]:
    """Names of the files that runs have."""
    states = known_files(of or context(), table)
    return [f.name for f in FILES if f in states]


def test_runs_have_the_files_that_they_published_or_rejected(attempts: list[Run]) -> None:
    assert known() == []
    attempts += [run(FILES[0]), run(*FILES[1:2], rejected="gates failed")]
    assert known() == ["a", "b"]
    assert known(table=OTHER) == []
    for changed in (replace(FILES[0], size=2), replace(FILES[0], modified=2)):
        assert changed not in known_files(context(), LOG), "corrected in place"


def test_files_whose_rows_are_gone_are_new_again(attempts: list[Run]) -> None:
    rejected = run(FILES[2], rejected="gates failed")
    attempts += [run(*FILES[:2]), rejected]
    GONE.update(r.run_id for r in attempts)
    assert known() == ["c"], "nobody reads the rows of a rejected run, and optimize deletes them"
    assert known_files(context(), LOG).lost == attempts[:1]


def test_a_run_stands_for_lost_runs_whose_files_it_completes(attempts: list[Run]) -> None:
    a, b, c = FILES
    attempts += [run(a, b), run(c)]
    lost = attempts[0]
    GONE.add(lost.run_id)
    states = known_files(context(), LOG)
    assert GIVEN_UP not in states.inputs(manifest(a, b)), "done again as it was"
    assert GIVEN_UP not in states.inputs(manifest(a)), "b is nowhere yet"
    states.add(run(a))
    assert states.inputs(manifest(b)) == {STREAMED: file_state(b), GIVEN_UP: lost.run_id}
    states.add(run(b, given_up=lost.run_id))
    assert states == KnownFiles(in_table=set(map(file_state, FILES)))
    other = replace(lost, run_id="f" * 32, code_version="another")
    attempts.append(other)
    GONE.add(other.run_id)
    both = known_files(context(), LOG).inputs(manifest(a, b))
    assert both[GIVEN_UP] == ",".join(sorted((lost.run_id, other.run_id))), "one run is done again, not two"


def test_a_file_that_was_rejected_since_does_not_give_up_the_run_that_is_lost(attempts: list[Run]) -> None:
    a, b, _ = FILES
    attempts += [run(a, b), run(a, rejected="gates failed")]
    GONE.add(attempts[0].run_id)
    assert GIVEN_UP not in known_files(context(), LOG).inputs(manifest(b))


def test_what_is_judged_anew_is_known_by_no_run_and_has_a_checkpoint_of_its_own(attempts: list[Run]) -> None:
    attempts.append(run(*FILES))
    other = context(digest="0" * 64)
    assert known() == ["a", "b", "c"] and known(of=other) == []
    listed = manifest(*FILES)
    assert stream_key(context(), listed) == stream_key(context(), listed) != stream_key(other, listed)
    assert stream_key(context(), listed) != stream_key(context(), replace(listed, root="s3a://b/raw"))
    attempts[:] = [replace(attempts[0], code_version="another")]
    assert known() == []


def test_files_that_could_not_be_read_are_kept_out_of_the_batches_of_others() -> None:
    new, bad, old = (replace(f, modified=at) for f, at in zip(FILES, (3, 2, 1), strict=True))
    assert list(in_batches([new, bad, old], 2, alone=())) == [[old, bad], [new]]
    assert list(in_batches([new, bad, old], 2, alone={file_state(bad)})) == [[old, new], [bad]]


def test_a_stream_on_spark_connect_is_refused_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_stream, "is_connect", lambda _: True)
    with pytest.raises(ConfigurationError, match="a stream needs a classic session"):
        run_ingest_stream(cast(Any, None), SETTINGS, contract=CONTRACT)
