"""Read an expectation's kwargs strictly: an unknown kwarg or a value of the wrong kind is refused, never
ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from engage_spark.gx.suite_io import PARAMETER

IGNORED = frozenset({"batch_id", "result_format", "catch_exceptions", "include_config", "condition_parser"})
"""Kwargs that say how GX is to run, not what is to hold. `condition_parser` is read beside `row_condition`.
"""


class RefusedError(Exception):
    """An expectation that this engine cannot run as it stands, and why.

    It becomes a failed result with this text as its exception.
    """


class ExpectationArgs:
    """The kwargs of one expectation, suite parameters filled in.

    What nobody asked for in the end is refused by `finish`.
    """

    def __init__(self, kwargs: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        self.values = {name: fill_suite_parameters(value, parameters) for name, value in kwargs.items()}
        self.asked: set[str] = set(IGNORED)

    def take(self, name: str, default: Any = None) -> Any:
        """Return the value as it stands, or the default where it is absent or null."""
        self.asked.add(name)
        value = self.values.get(name)
        return default if value is None else value

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str):
            raise RefusedError(f"{name} must be a text, found {value!r}")
        return value

    def texts(self, name: str, *, least: int = 1) -> list[str]:
        value = self.take(name)
        if not isinstance(value, list) or len(value) < least or not all(isinstance(v, str) for v in value):
            raise RefusedError(f"{name} must be a list of at least {least} texts, found {value!r}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise RefusedError(f"{name} must be true or false, found {value!r}")
        return value

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices; the first is the default."""
        value = self.take(name, choices[0])
        if value not in choices:
            raise RefusedError(f"{name} must be one of {', '.join(choices)}, found {value!r}")
        return str(value)

    def whole(self, name: str) -> int | None:
        """Return a whole number, also when it is written as 3.0, as GX writes it."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise RefusedError(f"{name} must be a whole number, found {value!r}")
        return int(value)

    def mostly(self) -> Fraction:
        """Return the share of rows that must hold, exact: 0.998 is 998 of 1,000."""
        value = self.take("mostly", 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise RefusedError(f"mostly must be a number from 0 to 1, found {value!r}")
        return Fraction(str(value))

    @property
    def key(self) -> str:
        """What is asked of a row, as text: all kwargs but how many rows have to meet it."""
        return json.dumps(
            {k: v for k, v in self.values.items() if k != "mostly" and k not in IGNORED},
            sort_keys=True,
            default=str,
        )

    def finish(self) -> None:
        """Refuse what was given and not asked for: ignoring it could turn a demand into another one."""
        unknown = sorted(
            name for name, value in self.values.items() if name not in self.asked and value is not None
        )
        if unknown:
            raise RefusedError(
                f"this engine does not know the kwarg{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}"
            )


def fill_suite_parameters(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the value with every `{"$PARAMETER": name}` in it replaced."""
    if isinstance(value, dict):
        if PARAMETER in value:
            name = value[PARAMETER]
            if name not in parameters:
                raise RefusedError(
                    f"suite parameter {name!r} has no value (an expression of parameters is not supported)"
                )
            return parameters[name]
        return {k: fill_suite_parameters(v, parameters) for k, v in value.items()}
    if isinstance(value, list):
        return [fill_suite_parameters(v, parameters) for v in value]
    return value
