"""Define the results of what runs several stages, and of what tells of past runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from engage_spark.pipelines.results.base import StageResult


@dataclass(frozen=True, kw_only=True)
class StageAttempt:
    """One attempt of one stage, as `runs` has it."""

    stage: str
    snapshot_date: date
    attempt: int
    run_id: str
    status: str
    rows_in: int
    valid: int
    quarantined: int
    message: str
    started_at: datetime
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunsResult(StageResult):
    """Attempts, oldest first."""

    attempts: tuple[StageAttempt, ...]
    published: int


@dataclass(frozen=True, kw_only=True)
class DemoResult(StageResult):
    """The result of every stage of the demo, in order."""

    stages: tuple[StageResult, ...]


class StepOutcome(StrEnum):
    """What became of a stage on a day."""

    DONE = "done"
    ALREADY_DONE = "already done"
    REJECTED = "rejected"
    FAILED = "failed"
    NOT_YET = "not yet"
    NOT_RUN = "not run"
    NOT_DELIVERED = "no delivery"

    @property
    def is_missing(self) -> bool:
        """Whether the day does not have what the stage makes."""
        return self in (
            StepOutcome.REJECTED,
            StepOutcome.FAILED,
            StepOutcome.NOT_YET,
            StepOutcome.NOT_RUN,
        )


@dataclass(frozen=True, kw_only=True)
class PipelineStep:
    """A stage on a day, or on all of them together (`snapshot_date` None), and what became of it.

    `message` says why, where it was not done; `exit_code` is what the stage's own command would end with.
    """

    snapshot_date: date | None
    stage: str
    outcome: StepOutcome
    seconds: float
    exit_code: int = 0
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineResult(StageResult):
    """What became of every stage on every day, in the order in which they ran."""

    days: tuple[date, ...]
    steps: tuple[PipelineStep, ...]
