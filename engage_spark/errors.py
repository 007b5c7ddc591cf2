"""Define every failure that this package raises on purpose, with its exit code and its code.

One root and a class per cause, so that a caller decides by class or by `code`, never by the text of a
message. A message names what is wrong, where, and how to fix it; several violations of one kind are reported
in one error, never one at a time, up to 200. No message, detail or hint holds a secret (`masking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import ClassVar

from engage_spark.masking import cut, mask

MOST_DETAILS, LONGEST_DETAIL = 200, 1_000
"""Details that an error lists, and characters of each: the file of somebody who means harm has no end."""


def _listed(details: Sequence[str]) -> list[str]:
    more = len(details) - MOST_DETAILS
    shown = [cut(d, LONGEST_DETAIL) for d in details[:MOST_DETAILS]]
    return [*shown, f"and {more:,} more"] if more > 0 else shown


class EngageError(Exception):
    """Root of all errors raised on purpose.

    `exit_code` is what the command line returns. `code` is a stable name of the cause, for schedulers and for
    `--json`. `result` is the result of what was done before the failure, where there is one.
    """

    exit_code: ClassVar[int] = 2
    code: ClassVar[str] = "Engage"

    def __init__(
        self, message: str, *, hint: str | None = None, details: Sequence[str] = (), result: object = None
    ) -> None:
        self.result = result
        self.message, self.hint = mask(message), mask(hint) if hint else hint
        self.details = tuple(_listed(details))
        lines = [self.message, *(f"  - {d}" for d in self.details)]
        super().__init__("\n".join([*lines, *([f"Hint: {self.hint}"] if self.hint else [])]))


class UsageError(EngageError):
    """A command line names a command, option or value that there is not (exit code 2)."""

    code = "Usage"


class ConfigurationError(EngageError):
    """Settings, paths or the environment cannot be used (exit code 2)."""

    code = "Configuration"


class ContractError(ConfigurationError):
    """The data contract is malformed or contradicts itself (exit code 2)."""

    code = "Contract"


class InputError(ConfigurationError):
    """The given data cannot be read as the contract declares it (exit code 2)."""

    code = "Input"


class NotDeliveredError(InputError):
    """There is nothing at the path where data are expected (exit code 2)."""

    code = "NotDelivered"

    @classmethod
    def at(
        cls, path: str, *, hint: str = "check the path; a relative one is below the working directory"
    ) -> NotDeliveredError:
        """Return the error for a path."""
        return cls(f"there is no {path}", hint=hint)


class NotPublishedError(ConfigurationError):
    """A table has no published rows of the days that were asked for (exit code 2)."""

    code = "NotPublished"

    @classmethod
    def of(
        cls, table: str, *, days: Iterable[date] = (), command: str = "ingest", details: Sequence[str] = ()
    ) -> NotPublishedError:
        """Return the error for a table: of `days`, or of any day; `command` is the one that publishes it."""
        named = ", ".join(map(str, sorted(days)))
        return cls(
            f"{table} has no published snapshot" + (f" of {named}" if named else ""),
            details=details,
            hint=(
                f"run `engage-spark {command}` for it; "
                "`engage-spark runs` shows what became of the last attempt"
            ),
        )


class NotMaturedError(ConfigurationError):
    """No snapshot has labels that are known yet, so nothing can be trained (exit code 2)."""

    code = "NotMatured"


class NoChampionError(ConfigurationError):
    """No registered model is the champion of a target (exit code 2)."""

    code = "NoChampion"


class FitError(EngageError):
    """A model could not be fitted to the given rows (exit code 2)."""

    code = "FitFailed"


class PermanentError(EngageError):
    """Something failed in a way that is not known to pass, so that a retry gives the same (exit code 1)."""

    exit_code = 1
    code = "Permanent"


class GateError(EngageError):
    """The data were read and checked, and a quality gate rejected them (exit code 3).

    What was rejected was written and counted all the same, as its `result` says.
    """

    exit_code = 3
    code = "GateFailed"


class TransientError(EngageError):
    """Storage or cluster failed in a way that a retry may cure (exit code 4)."""

    exit_code = 4
    code = "Transient"
