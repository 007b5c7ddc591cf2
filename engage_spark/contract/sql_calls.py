"""Write the calls of an expression for Spark: what they take, what they give, and where they fail."""

from __future__ import annotations

import re
from dataclasses import replace

from engage_spark.contract.patterns import count_groups, pattern_problem
from engage_spark.contract.sql_functions import FUNCTIONS, SqlFunction
from engage_spark.contract.sql_nodes import (
    INTERVALS,
    TIMES,
    UNKNOWN,
    SqlNode,
    any_of,
    comparable,
    compared,
    composed,
    failing,
    is_moment,
    item_type,
    key_type,
    of_type,
    same,
    unified,
)
from engage_spark.contract.sql_tokens import NoExpressionError

_FORMATTED = {
    "date_format": "date_format(TIMESTAMP'2025-10-21 06:00:00', {0})",
    **dict.fromkeys(("to_date", "to_timestamp", "try_to_timestamp"), "try_to_timestamp('2025-10-21', {0})"),
}
"""How a format is tried without rows."""
_TRIED = {"try_add": "+", "try_subtract": "-", "try_multiply": "*", "try_divide": "/"}
_LAZY = frozenset({"coalesce", "nvl", "ifnull"})
_TWICE = frozenset({"nullif", "mod", "pmod", "right", "regexp_substr"})
"""What Spark writes with an argument twice."""
_LONGER = 1_000.0
"""How much longer a text becomes where another column's text is put into it again and again."""


def called(name: str, given: list[SqlNode]) -> tuple[SqlNode, list[str]]:
    """Return the node of a call, and what Spark can try of it without rows: patterns and formats."""
    form = next((f for f in FUNCTIONS[name] if f.takes(len(given))), None)
    if form is None:
        raise NoExpressionError(f"{name} does not take {len(given)} arguments")
    kinds = [*form.arguments, *form.arguments[-1:] * (len(given) - len(form.arguments))]
    for node, kind in zip(given, kinds, strict=False):
        _fits(node, kind, form.name)
    probes = []
    if "pattern" in kinds:
        group = 0
        if name == "regexp_extract":
            group = int(given[2].value or 0) if len(given) > 2 else 1
        probes.append(pattern_probe(given[1], group))
    if "word" in kinds and name in _FORMATTED and len(given) > 1:
        probes.append(_FORMATTED[name].format(given[1].sql))
    return _applied(form, given), probes


def _applied(form: SqlFunction, given: list[SqlNode]) -> SqlNode:
    name = form.name
    if name in _TRIED:
        kind, wide = result_of(_TRIED[name], *given)
        return composed(given, f"{name}({given[0].sql}, {given[1].sql})", kind, wide=wide)
    if name in ("element_at", "try_element_at"):
        return element_at(*given, strict=name == "element_at")
    if name in ("array_contains", "array_position", "map_contains_key"):
        kind = key_type(given[0]) if name == "map_contains_key" else item_type(given[0])
        given = [given[0], comparable([of_type("", kind), given[1]])[1]]
    if form.result == "common":
        given = compared(given) if name in ("greatest", "least", "nullif") else comparable(given)
    if name == "abs":
        return _absolute(given[0])
    kind, like, wide = _result(form, given)
    more = sum(n.weight for n in given) if name in _TWICE else 0
    written = [n.sql for n in given]
    if form.null_form is not None:
        sql = f"({form.null_form.format(*written)})"
        return failing(composed(given, sql, kind, like=like, wide=wide, more=more), *given)
    sql = f"{name}({', '.join(written)})"
    node = composed(given, sql, kind, like=like, wide=wide, more=more, growth=_growth(name, given))
    if name in _LAZY:
        return replace(node, fault=_fault_of_first(given))
    return replace(node, never_zero=name == "nullif" and given[1].value == 0)


def _result(form: SqlFunction, given: list[SqlNode]) -> tuple[str, SqlNode | None, bool]:
    """Return the kind of a result, a node with its Spark type, and whether it may be a bigint."""
    if form.result == "same":
        return given[0].kind, given[0], False
    if form.result == "common":
        return *unified(given), False
    if form.result == "long":
        decimal = form.arguments[0] == "number" and given[0].kind == "decimal"
        return ("decimal" if decimal else "whole"), None, not decimal
    if form.result in ("item", "items", "keys", "texts"):
        inner = {"keys": key_type, "items": item_type, "item": item_type}.get(form.result, lambda _: "string")
        kind = inner(given[0])
        made = of_type("", kind if form.result == "item" else f"array<{kind}>")
        return made.kind, made, False
    return form.result, None, False


def _absolute(number: SqlNode) -> SqlNode:
    if number.kind in ("double", "decimal"):
        return composed([number], f"abs({number.sql})", number.kind)
    if number.kind == "null":
        return composed([number], "abs(CAST(NULL AS INT))", "whole")
    sql = f"try_cast(abs(try_cast({number.sql} AS DECIMAL(20, 0))) AS BIGINT)"
    return failing(composed([number], sql, number.kind, wide=True), number)


def _fault_of_first(given: list[SqlNode]) -> str | None:
    """Return where `coalesce` fails: what comes after a value that is there is not computed."""
    if not any(n.fault for n in given):
        return None
    cases = " ".join(
        (f"WHEN {n.fault} THEN true " if n.fault else "") + f"WHEN {n.sql} IS NOT NULL THEN false"
        for n in given
    )
    return f"(CASE {cases} ELSE false END)"


def _growth(name: str, given: list[SqlNode]) -> float:
    """Return how many times as long as a column's text a text may become."""
    growths = [n.growth for n in given] or [1]
    written = [n.value if isinstance(n.value, str) else None for n in given] + [None] * 3
    lengths = [len(w or "") for w in written]
    if name in ("hex", "concat"):
        return 2 * growths[0] if name == "hex" else sum(growths)
    if name == "concat_ws":
        between = lengths[0] if any(n.kind == "array" for n in given) else 0
        return sum(growths[1:]) * (1 + between)
    if name in ("lpad", "rpad"):
        return max(growths[0], int(given[1].value or 0) / 10)
    if name in ("array_join", "regexp_replace"):
        return growths[0] * (1 + lengths[1 if name == "array_join" else 2])
    if name == "replace" and len(given) == 3:
        longer = _LONGER * growths[2] if written[2] is None else lengths[2]
        return growths[0] * max(1.0, longer / max(1, lengths[1]))
    return max(growths)


# --- operators that functions share


def result_of(operator: str, left: SqlNode, right: SqlNode) -> tuple[str, bool]:
    """Return the kind that `+ - * /` gives, and whether it may be a bigint.

    Errors: NoExpressionError for what Spark would convert first.
    """
    if {left.kind, right.kind} & {*TIMES, *INTERVALS}:
        return _of_times(operator, left, right), False
    same([left, right], "number", operator)
    kind, _ = unified([left, right])
    if operator == "/":
        return ("decimal" if kind == "decimal" else "double"), False
    return kind, left.wide or right.wide


def _of_times(operator: str, left: SqlNode, right: SqlNode) -> str:
    for time, other, signs in ((left, right, "+-"), (right, left, "+")):
        if operator not in signs or time.kind not in TIMES:
            continue
        if other.kind in {*INTERVALS, *UNKNOWN}:
            return time.kind
        if other.kind == "whole" and time.kind == "date":
            same([other], "int", f"{operator} with a date")
            return "date"
    if operator == "-" and left.kind in TIMES and right.kind in TIMES:
        return "interval"
    raise NoExpressionError(f"{operator} cannot be used between {left.kind} and {right.kind}")


def element(array: SqlNode, index: SqlNode) -> SqlNode:
    """Take an element of an array by its position from 0; beyond the array it fails."""
    same([index], "int", "the position in an array")
    node = _item(array, index, f"get({array.sql}, {index.sql})")
    return _outside(node, array, index, f"{index.sql} BETWEEN 0 AND size({array.sql}) - 1")


def element_at(container: SqlNode, key: SqlNode, *, strict: bool) -> SqlNode:
    """Take the value of a map's key, null where it has none; or an array's element, counted from 1, beyond
    which it fails.
    """
    if container.kind not in ("array", "map", "any"):
        raise NoExpressionError(f"an element is one of an array or a map, found a {container.kind}")
    if container.kind != "array":
        key = comparable([of_type("", key_type(container)), key])[1]
        sql = f"try_element_at({container.sql}, {key.sql})"
        return _item(container, key, sql)
    same([key], "int", "the position in an array")
    position = key.sql if isinstance(key.value, int) and key.value else f"nullif({key.sql}, 0)"
    node = _item(container, key, f"try_element_at({container.sql}, {position})", more=key.weight)
    size = f"size({container.sql})"
    inside = f"({key.sql} <> 0 AND {key.sql} BETWEEN -{size} AND {size})"
    return _outside(node, container, key, inside) if strict else node


def _item(container: SqlNode, key: SqlNode, sql: str, more: int = 0) -> SqlNode:
    item = of_type("", item_type(container))
    return composed([container, key], sql, item.kind, like=item, more=more, growth=container.growth)


def _outside(node: SqlNode, container: SqlNode, key: SqlNode, inside: str) -> SqlNode:
    own = f"({container.sql} IS NOT NULL AND {key.sql} IS NOT NULL AND NOT {inside})"
    return replace(node, fault=any_of(node.fault, own))


# --- arguments


def pattern_probe(node: SqlNode, group: int = 0) -> str:
    """Return how Spark tries a pattern without rows; refuse one that is none, or has no such group."""
    if (problem := pattern_problem(str(node.value))) is not None:
        raise NoExpressionError(f"the pattern {str(node.value)[:60]!r} {problem}")
    if group > count_groups(str(node.value)):
        raise NoExpressionError(f"the pattern {str(node.value)[:60]!r} has no group {group}")
    return f"regexp_like('', {node.sql})"


def refuse_clock(node: SqlNode, name: str) -> None:
    """Refuse text that no column is in: it would be read once, and could name the clock (`'now'`)."""
    if (
        node.constant
        and node.kind not in {*TIMES, "null"}
        and not (
            isinstance(node.value, str)
            and (is_moment(node.value, "date") or is_moment(node.value, "timestamp"))
        )
    ):
        raise NoExpressionError(f"{name} needs a column, or a day such as '2025-10-21'")


def _fits(node: SqlNode, kind: str, name: str) -> None:
    is_text = isinstance(node.value, str) and node.kind == "text"
    literal = {
        "pattern": is_text,
        "word": is_text,
        "replacement": is_text and not re.search(r"[$\\]", str(node.value)),
        "count": isinstance(node.value, int) and 0 <= node.value <= 10_000,
    }
    if kind in literal:
        if not literal[kind]:
            wanted = {
                "count": "a whole number of 0 to 10,000, written out",
                "replacement": "a text without $ and backslash, written out",
            }
            raise NoExpressionError(f"{name} needs {wanted.get(kind, 'a text, written out')}")
    elif kind == "read":
        refuse_clock(node, name)
    elif kind != "any":
        same([node], kind, name)
