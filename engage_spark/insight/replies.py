"""Answer calls that arrive over a wire: answers in parts of a bounded size, failures as data.

Whatever is asked, what comes back is a mapping of plain JSON: an answer, or `error` with the failure's code.
No failure leaves a trace of the code in it.
"""

from __future__ import annotations

import json
import re
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from engage_spark import log
from engage_spark.errors import EngageError
from engage_spark.insight.evidence import Answer
from engage_spark.insight.failures import BadArgumentError, StaleLakeError, UnknownToolError
from engage_spark.insight.registry import Argument, ArgumentKind, Tool, ToolGroup
from engage_spark.insight.session import Insight
from engage_spark.masking import cut

BUDGET = 24_000
"""Bytes of an answer on a wire: what the agents of Bedrock classic take in is 25 KB."""
LEAST_BUDGET = 4_000
MOST_OF_ERROR = 20_000
FRESH_SECONDS = 60.0
"""Seconds for which an open lake is not looked at again for newer runs."""
INTERNAL = "Internal"
_MAY_BE_NEWER = frozenset({"NotPublished", "StaleLake", "Transient", "Configuration"})
"""Failures of a lake that has newer runs than those that were looked at."""
_LONGEST_TEXT, _LONGEST_HINT, _LONGEST_CURSOR = 400, 6_000, 9_000
_WHOLE = re.compile(r"[0-9]{1,9}")

NEXT_PAGE = Tool(
    name="next_page",
    description=(
        "Continue an answer that was too long: it said truncated, and `next` is the cursor of what follows."
    ),
    group=ToolGroup.DESCRIPTIVE,
    arguments=(
        Argument(
            name="cursor",
            kind=ArgumentKind.TEXT,
            description="The `next` of the answer, letter by letter.",
            required=True,
        ),
    ),
    answer="The next page of the answer of any tool.",
)
"""The tool that wires add to those of the registry, which know no pages."""


T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """What goes back: an answer, or an error. `code` is that of the failure; None where there is none."""

    body: dict[str, Any]
    code: str | None = None


@dataclass
class LakeSource:
    """Opens a lake with the first question, and looks for newer runs when it was last seen long ago.

    One question is answered at a time.
    """

    open: Callable[[], Insight]
    fresh_seconds: float = FRESH_SECONDS
    clock: Callable[[], float] = time.monotonic
    _insight: Insight | None = field(default=None, init=False, repr=False)
    _seen: float = field(default=0.0, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    def current(self) -> Insight:
        """Return the open lake, as it is now.

        Errors: what `open_lake` raises.
        """
        with self._lock:
            now = self.clock()
            if self._insight is None:
                self._insight, self._seen = self.open(), now
            elif now - self._seen >= self.fresh_seconds:
                self._insight.refresh()
                self._seen = now
            return self._insight

    def use(self, work: Callable[[Callable[[], Insight]], T]) -> T:
        """Return what some work makes of the open lake, which nobody else asks meanwhile.

        Errors: those of the work, which opens the lake by `current`.
        """
        with self._lock:
            return work(self.current)

    def reply(self, name: object, arguments: object, *, budget: int = BUDGET) -> Reply:
        """Answer one call; see `reply_to`.

        What is not there may be there by now, or its run was replaced while the lake was open: where that was
        not looked at for this call, it is answered once more by the newest runs.
        """
        with self._lock:
            seen = self._seen if self._insight is not None else None
            answered = reply_to(self.current, name, arguments, budget=budget)
            is_part = name == NEXT_PAGE.name  # of an answer that was given before
            if answered.code not in _MAY_BE_NEWER or is_part or self._seen != seen or self._insight is None:
                return answered
            self._insight.refresh()
            self._seen = self.clock()
            return reply_to(self.current, name, arguments, budget=budget)


def wire_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Return the tools as wires offer them: those of the registry, and the one that turns pages."""
    return (*tools, NEXT_PAGE)


def reply_to(
    opened: Callable[[], Insight], name: object, arguments: object, *, budget: int = BUDGET
) -> Reply:
    """Answer a call by name, or say in data why not.

    `arguments` is a mapping, of whatever a client sends. The body, escaped as a text within JSON, has at most
    `budget` bytes: of a longer answer the first part is given.
    """
    try:
        insight = opened()
        given = _mapping(arguments)
        place = _Place()
        if name == NEXT_PAGE.name:
            name, given, place = _read_cursor(given)
        tool = next((t for t in insight.tools if t.name == name), None)
        if tool is None:
            raise UnknownToolError(name, [t.name for t in wire_tools(insight.tools)])
        answer = insight.call(tool.name, given)
        return Reply(_part_of(answer, place, max(budget, LEAST_BUDGET)))
    except EngageError as e:
        return Reply(error_body(e), e.code)
    except Exception as e:  # noqa: BLE001 (whoever asks over a wire gets no trace; the log says where)
        tool = _encodable(cut(str(name), 100))
        log.event("a question failed", level="error", tool=tool, error=type(e).__name__, at=_place_of(e))
        return Reply(_error(INTERNAL, "the question could not be answered", None, ()), INTERNAL)


def _place_of(error: Exception) -> str:
    """Return where an exception was raised, as file and line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def error_body(error: EngageError) -> dict[str, Any]:
    """Return a failure as plain JSON."""
    return _error(error.code, error.message, error.hint, error.details)


def _error(code: str, message: str, hint: str | None, details: Sequence[str]) -> dict[str, Any]:
    body = {
        "code": code,
        "message": cut(message, _LONGEST_TEXT),
        "hint": None if hint is None else cut(hint, _LONGEST_HINT),
        "details": [cut(d, _LONGEST_TEXT) for d in details[:10]],
    }
    return {"error": _encodable(_within(MOST_OF_ERROR, body))}


def _mapping(arguments: object) -> dict[str, Any]:
    if arguments is None:
        return {}
    if not isinstance(arguments, Mapping) or not all(isinstance(key, str) for key in arguments):
        raise BadArgumentError("arguments", "they are names with values")
    given = dict(arguments)
    for key, value in given.items():
        if any(isinstance(x, str) and _encodable(x) != x for x in (key, value)):
            raise BadArgumentError(key, "it is no text")
    return given


@dataclass(frozen=True)
class _Place:
    """Where a part of an answer begins: at item `first`, of the answer with this digest (None: of any)."""

    first: int = 1
    digest: str | None = None


def _cursor(tool: str, arguments: Mapping[str, Any], place: _Place) -> str:
    values = {k: v for k, v in arguments.items() if v is not None}
    return f"{tool}?{urlencode([*values.items(), ('first_item', place.first), ('of', place.digest)])}"


def _read_cursor(given: Mapping[str, Any]) -> tuple[str, dict[str, Any], _Place]:
    """Return the tool, its arguments and the place that a cursor names."""
    cursor = given.get("cursor")
    wrong = BadArgumentError("cursor", "it is the `next` of an answer that was truncated, letter by letter")
    if not isinstance(cursor, str) or len(given) != 1 or not 0 < len(cursor) <= _LONGEST_CURSOR:
        raise wrong
    name, _, query = cursor.strip().partition("?")
    try:
        pairs = parse_qsl(query, strict_parsing=True, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise wrong from None
    values = dict(pairs)
    first, digest = values.pop("first_item", ""), values.pop("of", "")
    if len(values) + 2 != len(pairs) or not digest or not _WHOLE.fullmatch(first) or int(first) < 1:
        raise wrong
    return name, values, _Place(int(first), digest)


def _part_of(answer: Answer, place: _Place, budget: int) -> dict[str, Any]:
    """Return a part of an answer from a place on: figures, then rows, as many as the budget holds.

    At least one item is in it, with shorter texts where it must. A cursor says where the next part begins, so
    that parts of different budgets fit together.
    Errors: StaleLakeError where the place is of another answer, since the lake has changed; BadArgumentError
    where there is no such item.
    """
    whole, first = answer.to_dict(), place.first
    digest = sha256(text_of(whole).encode("utf-8", "replace")).hexdigest()[:12]
    if place.digest not in (None, digest):
        raise StaleLakeError("the answer has changed since its first part was given", hint="ask again")
    items = [("facts", x) for x in whole["facts"]] + [("rows", x) for x in whole["rows"]]
    if first > max(len(items), 1):
        raise BadArgumentError("cursor", f"the answer has {len(items)} figures and rows")
    head = {k: v for k, v in whole.items() if k not in ("facts", "rows")}
    head |= {"first": first, "items": len(items), "truncated": False}
    after = _cursor(answer.tool, whole["arguments"], _Place(len(items), digest))
    room = budget - cost(after) - cost({"facts": [], "rows": [], "next": None})
    head = dict(_within(room // 2, head))
    room -= cost(head)
    part: dict[str, list[Any]] = {"facts": [], "rows": []}
    for kind, item in items[first - 1 :]:
        fitted = item if any(part.values()) else _within(room - 1, item)
        room -= cost(fitted) + 1
        if room < 0 and any(part.values()):
            break
        part[kind].append(fitted)
    last = first - 1 + len(part["facts"]) + len(part["rows"])
    is_last = last >= len(items)
    body: dict[str, Any] = head | part | {"truncated": answer.truncated or not is_last}
    if is_last:
        return body
    return body | {"next": _cursor(answer.tool, whole["arguments"], _Place(last + 1, digest))}


def text_of(body: Mapping[str, Any]) -> str:
    """Return plain JSON as a text, without blanks."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def cost(value: Any) -> int:
    """Return the bytes that a value takes as JSON within a text of JSON, escaped to ASCII."""
    return len(json.dumps(json.dumps(value, ensure_ascii=False, separators=(",", ":")))) - 2


def _within(room: int, value: Any) -> Any:
    """Return plain JSON, with shorter texts and lists where it would cost more than `room`."""
    for length in (_LONGEST_TEXT, 40, 8):
        if cost(value) <= room:
            break
        value = _shortened(value, length)
    return value


def _shortened(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return cut(value, length)
    if isinstance(value, list):
        return [_shortened(v, length) for v in value[:length]]
    if isinstance(value, dict):
        return {k: _shortened(v, length) for k, v in value.items()}
    return value


def _encodable(value: Any) -> Any:
    """Return plain JSON that can be sent: halves of signs, which JSON can carry, become question marks."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_encodable(v) for v in value]
    if isinstance(value, dict):
        return {_encodable(k): _encodable(v) for k, v in value.items()}
    return value
