"""Tell which files of a log a run has, by what the runs themselves recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence

from engage_spark.contract import Table
from engage_spark.lake import InputFile, InputManifest, code_version
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import ingest_stage

STREAMED = "streamed_files"
"""Input of a run that a stream made: the states of its files, between commas."""


def file_state(file: InputFile) -> str:
    """Return what identifies a file as it is: 16 hex digits over its path, size and time of change."""
    line = f"{file.path}\t{file.size}\t{file.modified}"
    return hashlib.sha256(line.encode()).hexdigest()[:16]


def in_batches(
    files: Sequence[InputFile], size: int, *, alone: Collection[str]
) -> Iterator[Sequence[InputFile]]:
    """Yield files in batches of at most `size`, oldest first; then each whose state is in `alone`."""
    ordered = sorted(files, key=lambda f: (f.modified, f.path))
    together = [f for f in ordered if file_state(f) not in alone]
    for start in range(0, len(together), size):
        yield together[start : start + size]
    yield from ([f] for f in ordered if file_state(f) in alone)


def file_states(context: RunContext, table: Table) -> set[str]:
    """Return the states of the files that runs of a stream have, published or rejected.

    As for every delivery, runs of another contract, of other settings of ingest or of other code do not
    count: what they have is judged anew. What reaches the driver grows with files, not with rows.
    """
    same = _judged_by(context)
    return {
        state
        for run in context.log.attempts(context.spark)
        if run.stage == ingest_stage(table)
        and (run.contract_digest, run.settings_digest, run.code_version) == same
        for state in run.inputs.get(STREAMED, "").split(",")
        if state
    }


def stream_key(context: RunContext, listed: InputManifest) -> str:
    """Return the name of a checkpoint: 16 hex digits over the folder and all by which runs are the same.

    So what is to be judged anew begins with a checkpoint of its own, in batches.
    """
    parts = "\t".join((listed.root, *_judged_by(context)))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _judged_by(context: RunContext) -> tuple[str, str, str]:
    return context.contract.digest, context.settings.digest("ingest"), code_version()
