"""Read YAML of people, of which nothing is taken on trust: neither its size, nor its depth, nor its keys.

Contracts, settings and scenarios go through here. Limits are checked on the events of the parser, before
anything is built: an alias costs nothing to write, and what it stands for may be of any size.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml

try:  # libyaml reads ten times as fast; wheels of PyYAML hold it, source builds may not
    from yaml import CSafeLoader as _SafeLoader
except ImportError:
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

LARGEST = 2**20
"""Characters of a file."""
MOST_NODES = 40_000
"""Values of a file: the largest contract of the package has 6,000."""
LONGEST_NUMBER = 100
"""Characters up to which a value without quotes may be a number or a day; what is longer is text."""
DEEPEST = 40
"""How deep lists and mappings may nest."""
MOST_ALIASES = 1_000
MOST_REPEATED = 20_000
"""Values that all aliases together stand for; a text counts once more for each 50 of its characters."""
_KINDS = ("str", "int", "float", "bool", "null", "timestamp", "seq", "map")
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in _KINDS)
_NUMBER = re.compile(r"[+-]?[0-9.][0-9a-fA-FxXobOB_:.+-]*")


class RefusedYamlError(yaml.YAMLError):
    """YAML that is not read; its message says why and where, and shows no value, which may be a secret."""

    def __init__(self, problem: str, mark: Any = None) -> None:
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        super().__init__(f"{problem}{where}")


@dataclass
class _Open:
    """A list or mapping that is not closed yet; `size` counts it and what is in it, aliases written out."""

    anchor: str | None
    is_mapping: bool
    size: int = 1
    children: int = 0


def load_yaml(text: str) -> Any:
    """Return the plain data of one YAML document: null, text, numbers, days, lists and mappings.

    Errors: yaml.YAMLError, in words, for what is no YAML, for a key that is written twice or is no text, and
    for what is too large, too deep, or repeats itself by aliases.
    """
    if len(text) > LARGEST:
        raise RefusedYamlError(f"it has {len(text):,} characters, more than {LARGEST:,}")
    try:
        _check_limits(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader: it builds plain data only)
    except RefusedYamlError:
        raise
    except yaml.MarkedYAMLError as e:
        kind = " ".join(str(part) for part in (e.context, e.problem) if part)
        raise RefusedYamlError(_QUOTED.sub("", kind), e.problem_mark or e.context_mark) from None
    except yaml.reader.ReaderError as e:
        raise RefusedYamlError(f"{e.reason}, at character {e.position}") from None


def _check_limits(text: str) -> None:
    sizes: dict[str | None, int] = {}
    stack: list[_Open] = []
    aliases = repeated = nodes = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        size = 1
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > MOST_NODES:
            raise RefusedYamlError(f"it has more than {MOST_NODES:,} values", event.start_mark)
        _check_tag(event)
        if isinstance(event, yaml.CollectionStartEvent):
            _check_place(event, stack)
            stack.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            continue
        if isinstance(event, yaml.AliasEvent):
            _check_place(event, stack)
            size = sizes.get(event.anchor, 1)
            aliases, repeated = aliases + 1, repeated + size
            if aliases > MOST_ALIASES or repeated > MOST_REPEATED:
                raise RefusedYamlError(
                    f"its aliases stand for too much: at most {MOST_ALIASES:,} aliases and "
                    f"{MOST_REPEATED:,} values are read; write the values out",
                    event.start_mark,
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = stack.pop()
            size = sizes[closed.anchor] = closed.size
        elif isinstance(event, yaml.ScalarEvent):
            if event.implicit[0] and len(event.value) > LONGEST_NUMBER and _NUMBER.fullmatch(event.value):
                raise RefusedYamlError(
                    f"a number of more than {LONGEST_NUMBER} characters is not of the type that it "
                    "looks like; write it in quotes",
                    event.start_mark,
                )
            sizes[event.anchor] = 1 + len(event.value) // 50
        else:
            continue
        if stack:
            stack[-1].size += size
            stack[-1].children += 1


def _check_tag(event: yaml.Event) -> None:
    """Refuse a value with a tag other than those of plain data, such as `!!set` or one of Python."""
    tag = getattr(event, "tag", None)
    if tag not in (None, "!") and tag not in _TAGS:
        raise RefusedYamlError("a value has a tag that is not read; write it without one", event.start_mark)
    if tag not in (None, "!") and len(getattr(event, "value", "")) > LONGEST_NUMBER:
        raise RefusedYamlError(
            f"a value with a tag has more than {LONGEST_NUMBER} characters; write it in quotes",
            event.start_mark,
        )


def _check_place(event: yaml.NodeEvent, stack: list[_Open]) -> None:
    """Refuse a list, a mapping or an alias where none can stand."""
    if stack and stack[-1].is_mapping and stack[-1].children % 2 == 0:
        raise RefusedYamlError("a key is a list, a mapping or an alias; keys are text", event.start_mark)
    if len(stack) >= DEEPEST:
        raise RefusedYamlError(f"it nests more than {DEEPEST} levels deep", event.start_mark)
    if isinstance(event, yaml.AliasEvent) and any(o.anchor == event.anchor for o in stack):
        raise RefusedYamlError(f"*{event.anchor} stands inside of what it names", event.start_mark)


_QUOTED = re.compile(r"\s*(['\"]).*\1")
_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


class _Loader(_SafeLoader):
    """Safe YAML that refuses a key written twice, which YAML forbids and PyYAML accepts."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        long = kind is yaml.ScalarNode and implicit[0] and len(value) > LONGEST_NUMBER
        tag: str = _KEYS[0] if long else super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return tag

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
            raise RefusedYamlError(
                "a value is not of the type that it is written as", node.start_mark
            ) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):  # a list that is tagged as a mapping
            raise RefusedYamlError("a value is not of the type that it is written as", node.start_mark)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in _KEYS:
                raise RefusedYamlError(
                    f"the key {str(key.value)[:60]!r} is no text; write it in quotes", key.start_mark
                )
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise RefusedYamlError(f"the key {str(key.value)[:60]!r} is written twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)
