"""Read the customProperties that this package knows; other or repeated names and types are violations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, TypeVar

from open_data_contract_standard.model import CustomProperty

from engage_spark.contract.declarations import SEVERITIES, Part, custom_names
from engage_spark.contract.model import OnFailure, Role, Severity
from engage_spark.contract.money import read_money
from engage_spark.contract.statements import AnalyticsUse, OverTime, read_claims, read_indicators

TABLE_PROPERTIES = custom_names(Part.TABLE)
FIELD_PROPERTIES = custom_names(Part.FIELD)
RELATIONSHIP_PROPERTIES = custom_names(Part.RELATIONSHIP)
MOST_DAYS = 3660
"""The longest window, ten years."""
E = TypeVar("E", bound=StrEnum)
V = TypeVar("V")


class PropertyReader:
    """Typed access to the customProperties of one part of a contract; what is wrong goes to `problems`."""

    def __init__(
        self, at: str, properties: Sequence[CustomProperty] | None, known: Sequence[str], problems: list[str]
    ) -> None:
        self.at, self.problems = at, problems
        self.values: dict[str, Any] = {}
        for p in properties or ():
            name = p.property or ""
            if name not in known:
                problems.append(
                    f"{at}: unknown customProperty {name!r}"
                    + (f", known are {', '.join(known)}" if known else "")
                )
            elif name in self.values:
                problems.append(f"{at}: customProperty {name!r} is given twice")
            else:
                self.values[name] = p.value

    def one_of(self, name: str, kind: type[E], *, optional: bool = False) -> E | None:
        """Read a property whose values are those of an enumeration."""
        value = self.values.get(name)
        if value is None and optional:
            return None
        if value not in tuple(kind):
            self.problems.append(f"{self.at}: {name} must be one of {', '.join(kind)}, found {value!r}")
            return None
        return kind(value)

    def text(self, name: str) -> str | None:
        """Read a text."""
        value: str | None = self._typed(name, str, "text")
        return value

    def scalar(self, name: str) -> str | int | float | None:
        """Read one value: a text, a number, true or false."""
        value = self.values.get(name)
        if value is None or isinstance(value, str | bool) or _is_finite(value):
            of_kind: str | int | float | None = value
            return of_kind
        self.problems.append(f"{self.at}: {name} must be one value, found {value!r}")
        return None

    def number(self, name: str) -> float | None:
        """Read a finite number."""
        value = self._typed(name, (int, float), "a number")
        if value is not None and not _is_finite(value):
            self.problems.append(f"{self.at}: {name} must be a finite number, found {value!r}")
            return None
        return None if value is None else float(value)

    def days(self, name: str) -> int:
        """Read a whole number of days, `MOST_DAYS` at most; 0 where it is not given."""
        value = self.number(name) or 0.0
        if value != int(value) or abs(value) > MOST_DAYS:
            self.problems.append(f"{self.at}: {name} must be whole and at most {MOST_DAYS}, found {value!r}")
            return 0
        return int(value)

    def flag(self, name: str) -> bool:
        """Read true or false; false where it is not given."""
        return bool(self._typed(name, bool, "true or false"))

    def names(self, name: str) -> tuple[str, ...]:
        """Read a list of names."""
        value = self._typed(name, list, "a list of names") or []
        if any(not isinstance(x, str) for x in value):
            self.problems.append(f"{self.at}: {name} must be a list of names, found {value!r}")
        return tuple(str(x) for x in value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Read a list of numbers."""
        value = self._typed(name, list, "a list of numbers") or []
        if not all(map(_is_finite, value)):
            self.problems.append(f"{self.at}: {name} must be a list of finite numbers, found {value!r}")
            return ()
        return tuple(value)

    def shares(self, name: str) -> dict[str, float]:
        """Read a mapping of values or names to numbers."""
        value = self._typed(name, dict, "a mapping to numbers") or {}
        if not all(map(_is_finite, value.values())):
            self.problems.append(f"{self.at}: {name} must map values to finite numbers, found {value!r}")
            return {}
        return {str(k): float(x) for k, x in value.items()}

    def texts(self, name: str) -> dict[str, str]:
        """Read a mapping of values to texts."""
        value = self._typed(name, dict, "a mapping of values to names") or {}
        if any(not isinstance(x, str) for x in value.values()):
            self.problems.append(f"{self.at}: {name} must map values to names, found {value!r}")
            return {}
        return {str(k): x for k, x in value.items()}

    def _typed(self, name: str, kind: type | tuple[type, ...], what: str) -> Any:
        value = self.values.get(name)
        if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            return value
        self.problems.append(f"{self.at}: {name} must be {what}, found {value!r}")
        return None


def _is_finite(value: object) -> bool:
    """Return whether a value is a number, and neither NaN nor infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def table_properties(read: PropertyReader) -> dict[str, Any]:
    """Read the keyword arguments of `Table` that say what analytics makes of it."""
    return {
        "active": read.text("active"),
        "indicators": read_indicators(read.at, read.values.get("indicators"), read.problems),
        "claims": read_claims(read.at, read.values.get("claims"), read.problems),
    }


def _uses(read: PropertyReader) -> tuple[AnalyticsUse, ...]:
    names = read.names("analytics")
    wrong = [name for name in names if name not in tuple(AnalyticsUse)]
    read.problems += [
        f"{read.at}: analytics names {name[:100]!r}, known are {', '.join(AnalyticsUse)}" for name in wrong
    ]
    if len(set(names)) != len(names):
        read.problems.append(f"{read.at}: analytics names a use twice")
    return tuple(AnalyticsUse(name) for name in dict.fromkeys(names) if name not in wrong)


def _rolling_days(read: PropertyReader) -> int | None:
    value = read.values.get("rollingDays")
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_DAYS):
        return value
    read.problems.append(
        f"{read.at}: rollingDays must be a whole number of days from 1 to {MOST_DAYS}, found {value!r}"
    )
    return None


def by_value(by_key: dict[str, V], allowed: Sequence[str | int]) -> tuple[tuple[str | int, V], ...]:
    """Key a mapping by the allowed values themselves: ODCS keys are text, and values may be numbers."""
    by_text = {str(a): a for a in allowed}
    return tuple((by_text.get(k, k), v) for k, v in by_key.items())


def field_properties(
    at: str, properties: Sequence[CustomProperty] | None, allowed: Sequence[str | int], problems: list[str]
) -> dict[str, Any]:
    """Read the keyword arguments of `Field` that ODCS itself has no key for."""
    read = PropertyReader(at, properties, FIELD_PROPERTIES, problems)
    stated = {kind: read.one_of(f"{kind}Severity", Severity, optional=True) for kind in SEVERITIES}
    return {
        "severities": tuple((kind, severity) for kind, severity in stated.items() if severity is not None),
        "role": read.one_of("role", Role) or Role.AUDIT,
        "reading": read.text("reading"),
        "unit": read.text("unit"),
        "reference_mean": read.number("referenceMean"),
        "reference_shares": by_value(read.shares("referenceShares"), allowed),
        "protected": read.flag("protected"),
        "bands": read.numbers("bands"),
        "leaks_into": read.names("leaksInto"),
        "positive": read.scalar("positive"),
        "label_days": read.days("labelWindowDays"),
        "baseline": read.text("baseline"),
        "monitoring": tuple(read.shares("monitoring").items()),
        "money": read_money(read.at, read.values.get("money"), read.problems),
        "measure": read.text("measure"),
        "on_failure": read.one_of("onFailure", OnFailure, optional=True) or OnFailure.NULL,
        "edges": by_value(read.texts("graphEdges"), allowed),
        "analytics": _uses(read),
        "over_time": read.one_of("overTime", OverTime, optional=True),
        "rolling_days": _rolling_days(read),
        "cohort_name": read.text("cohortName"),
        "synonyms": read.names("synonyms"),
        "value_synonyms": tuple(read.texts("valueSynonyms").items()),
    }
