"""Define what every result has, and make any of them JSON-able."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Note:
    """A warning that a reader must not miss.

    `code` is a stable CamelCase name, `facts` are the plain values that its wording in `cli/render/notes.py`
    needs.
    """

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What every stage returns at least.

    `seconds` is wall-clock time; `locations` says where each table or file is (path or catalog name).
    """

    stage: str
    seconds: float
    locations: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


def to_plain(value: Any) -> Any:
    """Return a result as dicts, lists, numbers, text and None, ready for `json.dumps`.

    Properties of a result are among its values. Days and moments become ISO text, numbers that are not finite
    None.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        properties = [n for n in dir(type(value)) if isinstance(getattr(type(value), n), property)]
        value = {name: getattr(value, name) for name in (*(f.name for f in fields(value)), *properties)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | frozenset | set):
        return [to_plain(item) for item in value]
    raise TypeError(f"a result holds plain data, and no {type(value).__name__}")
