"""Every failure this package raises on purpose, and the exit code each ends with.

One root, four families. A message names what is wrong, where, and how to fix it; several violations of one
kind are told in one error, never one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence


class EngageError(Exception):
    """Root of all errors raised on purpose. `exit_code` is what the command line returns."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, details: Sequence[str] = ()) -> None:
        self.message, self.hint, self.details = message, hint, tuple(details)
        super().__init__(
            "\n".join([message, *(f"  - {d}" for d in self.details), *([f"Hint: {hint}"] if hint else [])])
        )


class ConfigurationError(EngageError):
    """Settings, paths or the environment are not usable (exit code 2)."""


class ContractError(ConfigurationError):
    """The data contract is malformed or contradicts itself (exit code 2)."""


class InputError(ConfigurationError):
    """The given data cannot be read as the contract declares it (exit code 2)."""


class GateError(EngageError):
    """The data was read and judged, and a quality gate rejected it (exit code 3).

    `report` is the stage's closing summary, for the entry point to show: what was rejected was written and
    counted all the same.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, hint: str | None = None, details: Sequence[str] = (), report: object = None
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.report = report


class TransientError(EngageError):
    """Storage or cluster failed in a way that a retry may cure (exit code 4)."""

    exit_code = 4
