"""Identify the work of a stage, tell whether it was done before, and make the row in `runs` that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

from pyspark.sql import SparkSession

from engage_spark.contract import Contract
from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.lake import Lake, RunLog, run_id
from engage_spark.publication import PUBLISHED, REJECTED, Kind, Run
from engage_spark.settings import Settings
from engage_spark.spark.guarantees import set_guarantees


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """One stage on one snapshot, before it runs: its run_id follows from what goes in."""

    stage: str
    snapshot_date: date
    inputs: Mapping[str, str]
    contract: Contract
    settings_digest: str
    previous: Run | None
    """The latest attempt at this stage and snapshot, whatever its run_id."""
    published: Run | None = None
    """The latest attempt that was published, whose rows readers may be reading."""
    kind: Kind = Kind.SNAPSHOT
    source_rows: int = 0
    """Published valid rows that it is made from, where it has one source."""

    @property
    def run_id(self) -> str:
        """Identity of the work: 32 hex digits over everything that goes in."""
        return run_id(
            stage=self.stage,
            snapshot_date=self.snapshot_date,
            inputs=self.inputs,
            contract_digest=self.contract.digest,
            settings_digest=self.settings_digest,
        )

    @property
    def is_published(self) -> bool:
        """Whether this very work is what was published last."""
        return self.published is not None and self.published.run_id == self.run_id

    @property
    def was_rejected(self) -> bool:
        """Whether the latest attempt was this very work, and a gate rejected it."""
        return (
            self.previous is not None and not self.previous.published and self.previous.run_id == self.run_id
        )

    def to_run(
        self,
        *,
        rows_in: int,
        valid: int,
        quarantined: int,
        outputs: Mapping[str, int],
        started_at: datetime,
        repeated: int = 0,
        erased: int = 0,
        first_event: date | None = None,
        message: str = "",
        rejected: str | None = None,
    ) -> Run:
        """Return the row of the attempt.

        Errors: TransientError unless every row that came in is accounted for.
        """
        if rows_in != (accounted := valid + quarantined + repeated + erased):
            raise TransientError(
                f"{self.stage} of {self.snapshot_date} read {rows_in} rows, and accounted for {accounted}",
                hint="when files changed while they were read, run the stage again after the delivery is "
                "complete; when `engage-spark tables forget` was killed, run that again first; when it fails "
                "each time, the stage does not count the rows of its source",
            )
        return Run(
            run_id=self.run_id,
            stage=self.stage,
            kind=self.kind,
            snapshot_date=self.snapshot_date,
            attempt=self.previous.attempt + 1 if self.previous else 1,
            status=REJECTED if rejected else PUBLISHED,
            inputs=self.inputs,
            outputs=outputs,
            contract_id=self.contract.id,
            contract_version=self.contract.version,
            contract_digest=self.contract.digest,
            settings_digest=self.settings_digest,
            rows_in=rows_in,
            rows_valid=valid,
            rows_quarantined=quarantined,
            rows_repeated=repeated,
            rows_erased=erased,
            first_event=first_event,
            message=rejected or message,
            started_at=started_at,
            finished_at=now(),
        )


def past_day(as_of: date | None) -> date:
    """Return the day as of which labels are asked for; today (UTC) where none is given.

    Errors: ConfigurationError for a day in the future.
    """
    today = now().date()
    if as_of is not None and as_of > today:
        raise ConfigurationError(
            f"{as_of} lies in the future: nobody knows yet which labels will be known then",
            hint=f"ask as of {today} (UTC) or earlier",
        )
    return as_of or today


def now() -> datetime:
    """Return the wall clock, UTC. It goes into `runs`, and nowhere else."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class RunContext:
    """What a pipeline works with: session, settings, contract, lake, run log.

    Building one holds the session to the options that results rest on, also a session of somebody else.
    Errors: ConfigurationError where they cannot be set.
    """

    spark: SparkSession
    settings: Settings
    contract: Contract

    def __post_init__(self) -> None:
        set_guarantees(self.spark)

    @property
    def lake(self) -> Lake:
        """Tables and files."""
        return Lake(self.settings.lake)

    @cached_property
    def log(self) -> RunLog:
        """Attempts and what they published, read once."""
        return RunLog(self.lake)
