"""Tell which files of a log a run has, by what the runs themselves recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from engage_spark.contract import Table, judged_table
from engage_spark.lake import InputFile, InputManifest, code_version, fingerprint
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.stages import ingest_stage
from engage_spark.publication import GIVEN_UP, Run

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
    # At once: `alone` may grow while the batches are taken up.
    single = [f for f in ordered if file_state(f) in alone]
    for start in range(0, len(together), size):
        yield together[start : start + size]
    yield from ([f] for f in single)


@dataclass
class KnownFiles:
    """What runs have of a log's files, by their states. `in_table` were published, and lie in the table;
    `rejected` failed a gate. `lost` are published runs of streams whose rows are not in the table any more.
    """

    in_table: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    lost: list[Run] = field(default_factory=list)

    def __contains__(self, file: InputFile) -> bool:
        return file_state(file) in self.in_table or file_state(file) in self.rejected

    def inputs(self, manifest: InputManifest) -> dict[str, str]:
        """Return what a run of these files records: their states, and the lost runs that it stands for.

        Those are the lost runs of which every file is among them, or in the table by another run. One that
        had just these files is not given up but done again as it was (`deliveries.log_delivery`).
        """
        states = set(map(file_state, manifest.files))
        covered = [run for run in self.lost if states_of(run) <= states | self.in_table]
        inputs = {STREAMED: ",".join(sorted(states))}
        if covered and [run.inputs.get("files") for run in covered] != [fingerprint([manifest])]:
            inputs[GIVEN_UP] = ",".join(sorted(run.run_id for run in covered))
        return inputs

    def add(self, run: Run) -> None:
        """Count the files of a run that ended just now."""
        (self.in_table if run.published else self.rejected).update(states_of(run))
        given_up = run.inputs.get(GIVEN_UP, "").split(",")
        self.lost = [r for r in self.lost if r.run_id not in (run.run_id, *given_up)]


def known_files(context: RunContext, table: Table) -> KnownFiles:
    """Return what runs of streams have of a log's files.

    What is done is what lies in the table: it may have been restored without `runs`. As for every delivery,
    runs of another contract, of other settings of ingest or of other code do not count: what they have is
    judged anew. What reaches the driver grows with files, not with rows.
    Cost: as `RunLog.is_present`.
    """
    same, stage, known = _judged_by(context), ingest_stage(table), KnownFiles()
    spark, stored = context.spark, judged_table(table).name

    def is_same(run: Run) -> bool:
        return (run.contract_digest, run.settings_digest, run.code_version) == same

    for run in context.log.publication(spark).log_runs(stage):
        if not states_of(run):
            continue
        if not context.log.is_present(spark, run, stored):
            known.lost.append(run)
        elif is_same(run):
            known.in_table |= states_of(run)
    for run in context.log.attempts(spark, stage):
        if not run.published and is_same(run):
            known.rejected |= states_of(run)
    return known


def states_of(run: Run) -> set[str]:
    """Return the states of the files that a run of a stream took up."""
    return {state for state in run.inputs.get(STREAMED, "").split(",") if state}


def stream_key(context: RunContext, listed: InputManifest) -> str:
    """Return the name of a checkpoint: 16 hex digits over the folder and all by which runs are the same.

    So what is to be judged anew begins with a checkpoint of its own, in batches.
    """
    parts = "\t".join((listed.root, *_judged_by(context)))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _judged_by(context: RunContext) -> tuple[str, str, str]:
    return context.contract.digest, context.settings.digest("ingest"), code_version()
