"""Hold requests against the models of AWS services that botocore brings, in everything that they state.

botocore itself checks types, required members and minima alone: a name that breaks its pattern, a value that
is in no enumeration and a text that is too long all pass there, and fail at the service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

_NUMBERS = {"integer": int, "long": int, "float": (int, float), "double": (int, float)}


@cache
def service(name: str) -> ServiceModel:
    """The model of a service by botocore's name of it, such as `bedrock-agent`."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def problems(service_name: str, shape: str, value: Any) -> list[str]:
    """What a service would refuse in a value of one of its shapes; empty where it would take it."""
    return list(_check(service(service_name).shape_for(shape), value, shape))


def _check(shape: Any, value: Any, at: str) -> Iterator[str]:
    if shape.type_name == "structure" and getattr(shape, "is_document_type", False):
        return _document(value, at)
    return _CHECKS.get(shape.type_name, _unknown)(shape, value, at)


def _unknown(shape: Any, value: Any, at: str) -> Iterator[str]:
    yield f"{at}: values of type {shape.type_name} are not expected"


def _boolean(shape: Any, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{at}: {value!r} is neither true nor false"


def _number(shape: Any, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, _NUMBERS[shape.type_name]) or isinstance(value, bool):
        yield f"{at}: {value!r} is no {shape.type_name}"
    else:
        yield from _size(shape, value, at)


def _list(shape: Any, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{at}: {value!r} is no list"
        return
    yield from _size(shape, len(value), at)
    for i, item in enumerate(value):
        yield from _check(shape.member, item, f"{at}[{i}]")


def _map(shape: Any, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{at}: {value!r} is no map"
        return
    yield from _size(shape, len(value), at)
    for key, item in value.items():
        yield from _check(shape.key, key, f"{at} key {key!r}")
        yield from _check(shape.value, item, f"{at}.{key}")


def _structure(shape: Any, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{at}: {value!r} is no structure"
        return
    yield from (f"{at}: {name} is missing" for name in shape.required_members if name not in value)
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield f"{at}: exactly one of {sorted(shape.members)} is wanted, not {sorted(value)}"
    for name, item in value.items():
        if name in shape.members:
            yield from _check(shape.members[name], item, f"{at}.{name}")
        else:
            yield f"{at}: there is no {name}"


def _string(shape: Any, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{at}: {value!r} is no text"
        return
    yield from _size(shape, len(value), at)
    if shape.enum and value not in shape.enum:
        yield f"{at}: {value!r} is none of {shape.enum}"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        yield f"{at}: {value!r} does not match {pattern}"


def _size(shape: Any, size: float, at: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"{at}: {size} is below {low}"
    if high is not None and size > high:
        yield f"{at}: {size} is above {high}"


def _document(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _document(item, f"{at}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _document(item, f"{at}[{i}]")
    elif value is not None and not isinstance(value, str | int | float | bool):
        yield f"{at}: {value!r} is no JSON"


_CHECKS: Mapping[str, Callable[[Any, Any, str], Iterator[str]]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "boolean": _boolean,
    **dict.fromkeys(_NUMBERS, _number),
}
