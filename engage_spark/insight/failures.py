"""Define how a question to the insight tools can fail. A table that nobody published is NotPublishedError."""

from __future__ import annotations

from collections.abc import Iterable

from engage_spark.errors import EngageError
from engage_spark.masking import cut, one_line

MOST_NAMED = 100
"""Allowed values that an error names."""


class InsightError(EngageError):
    """Root of what is wrong with a question, or in the way of its answer (exit code 2)."""

    code = "Insight"


class UnknownToolError(InsightError):
    """There is no tool of this name (exit code 2). `allowed` are the names of the tools."""

    code = "UnknownTool"

    def __init__(self, name: object, allowed: Iterable[str]) -> None:
        self.allowed = tuple(allowed)
        super().__init__(f"there is no tool {quote(name)}", hint=f"tools are: {', '.join(self.allowed)}")


class BadArgumentError(InsightError):
    """An argument is unknown, missing, or has a value that the tool does not take (exit code 2).

    `argument` is its name, `allowed` the values that it takes where they are a list, else empty.
    """

    code = "BadArgument"

    def __init__(
        self, argument: object, problem: str, *, allowed: Iterable[object] = (), hint: str | None = None
    ) -> None:
        self.argument = cut(_text(argument), 100)
        self.allowed = tuple(str(value) for value in allowed)
        more = len(self.allowed) - MOST_NAMED
        listed = ", ".join(self.allowed[:MOST_NAMED]) + (f", and {more} more" if more > 0 else "")
        super().__init__(
            f"argument {quote(argument)}: {problem}", hint=f"allowed are: {listed}" if listed else hint
        )


class StaleLakeError(InsightError):
    """What is asked for was published, and what it was made from has changed since (exit code 2)."""

    code = "StaleLake"


class NotDeclaredError(InsightError):
    """The contract declares nothing of the kind: no target, graph or cohort (exit code 2)."""

    code = "NotDeclared"


class SuppressedError(InsightError):
    """The answer would tell of fewer than 20 customers (exit code 2)."""

    code = "Suppressed"


def quote(value: object) -> str:
    """Return a value that somebody gave, short, printable and in quotes."""
    return repr(cut(one_line(_text(value)), 100))


def _text(value: object) -> str:
    """Return a text, or a number of a decent size; of anything else what it is, which is short and safe."""
    is_number = isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**30)
    return str(value)[:1_000] if isinstance(value, str) or is_number else f"a {type(value).__name__}"
