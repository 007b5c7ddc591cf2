"""Hold the parts of a parsed expression: their text for Spark, their kinds, and where they fail.

A kind is coarser than a type of Spark: `whole`, `double`, `decimal`, `text`, `boolean`, `date`, `timestamp`,
`binary`, `interval` (days and less), `months` (months and years), `array`, `map`, `struct`; `null`; `any`
where the columns were given without types. Another type of Spark is a kind of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache

from engage_spark.contract.sql_tokens import NoExpressionError

HEAVIEST = 20_000
"""Size of what Spark makes of an expression: it writes the argument of nullif, BETWEEN or % twice."""
HIGHEST = 60
"""How many operators and functions stand inside of each other, the left side of an operator included."""
LARGEST = 100_000
"""Characters of what Spark is given for an expression, and of the condition that it failed."""
LONGEST_TYPE = 10_000
"""Characters of a column's type."""
MOST_GROWTH = 10_000
"""How many times as long as a column's text the texts may become that functions make of it."""

TYPES = {
    **dict.fromkeys(("tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long"), "whole"),
    **dict.fromkeys(("float", "real", "double"), "double"),
    **dict.fromkeys(("decimal", "dec", "numeric"), "decimal"),
    "string": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "binary": "binary",
}
"""Kinds by the types that a value can be cast to."""
_KINDS = {
    **TYPES,
    **dict.fromkeys(("char", "varchar"), "text"),
    "timestamp_ntz": "timestamp",
    "timestamp_ltz": "timestamp",
    "void": "null",
    "": "any",
}
_WIDE = frozenset({"bigint", "long"})
NUMBERS = frozenset({"whole", "double", "decimal"})
TIMES = frozenset({"date", "timestamp"})
INTERVALS = frozenset({"interval", "months"})
UNKNOWN = frozenset({"any", "null"})
_SIZED = frozenset({"text", "binary", "array", "map", "struct", "any"})
_CLOCK = re.compile(r"[\s\x00-\x20]*(epoch|now|today|yesterday|tomorrow)(?![a-z])", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?)Z?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlNode:
    """A part of the tree: its text for Spark, what it is, the condition that something in it failed.

    `spark_type` is that of an array, a map or a struct; `wide` says that a whole number may be a bigint.
    `value` is that of a literal; `constant` says that no column is in it; `never_zero` holds of whole
    literals and of `nullif(…, 0)`. `weight`, `height` and `growth` are held to the limits of this module.
    """

    sql: str
    kind: str
    spark_type: str = ""
    fault: str | None = None
    value: str | int | None = None
    constant: bool = False
    wide: bool = False
    never_zero: bool = False
    weight: int = 1
    height: int = 1
    growth: float = 1

    def __post_init__(self) -> None:
        """Refuse what has grown over a limit, before anything is built upon it."""
        if self.weight > HEAVIEST:
            raise NoExpressionError("it grows too large: nullif, BETWEEN and % take their argument twice")
        if self.height > HIGHEST:
            raise NoExpressionError(f"it nests more than {HIGHEST} levels deep, chains of operators included")
        if len(self.sql) + len(self.fault or "") > LARGEST:
            raise NoExpressionError(
                f"it grows too large: Spark would be given more than {LARGEST:,} characters"
            )
        if self.growth > MOST_GROWTH:
            raise NoExpressionError(
                f"it makes texts that are more than {MOST_GROWTH:,} times as long as what they are made of"
            )


@dataclass(frozen=True)
class KnownColumns:
    """The columns that an expression may name: Spark types by name, and names by their lower case."""

    types: Mapping[str, str]
    by_lower: Mapping[str, str]

    @classmethod
    def of(cls, known: KnownColumns | Mapping[str, str] | Iterable[str]) -> KnownColumns:
        """Return columns by their types, or by their names alone."""
        if isinstance(known, KnownColumns):
            return known
        types = known if isinstance(known, Mapping) else dict.fromkeys(known, "")
        return cls(types, {name.lower(): name for name in types})


def composed(
    parts: Sequence[SqlNode],
    sql: str,
    kind: str = "boolean",
    *,
    like: SqlNode | None = None,
    wide: bool = False,
    more: int = 0,
    growth: float | None = None,
) -> SqlNode:
    """Return the whole of some parts: it fails where one of them does.

    `like` is a node that has its Spark type, `more` what Spark adds to the weight by writing a part twice.
    """
    made = max((p.growth for p in parts), default=1) if growth is None else growth
    return SqlNode(
        sql=sql,
        kind=kind,
        spark_type=like.spark_type if like else "",
        fault=any_of(*(p.fault for p in parts)),
        constant=all(p.constant for p in parts),
        wide=kind == "whole" and (wide or (like is not None and like.wide)),
        weight=sum(p.weight for p in parts) + 1 + more,
        height=1 + max((p.height for p in parts), default=0),
        growth=made if kind in _SIZED else 1,
    )


def failing(node: SqlNode, *arguments: SqlNode) -> SqlNode:
    """Return the node with its own failure: the arguments are there, and it is null."""
    there = [f"{a.sql} IS NOT NULL" for a in arguments if not a.constant or a.kind == "null"]
    own = f"({' AND '.join([*there, f'{node.sql} IS NULL'])})"
    return replace(node, fault=any_of(node.fault, own))


def any_of(*faults: str | None) -> str | None:
    """Return the condition that one of some faults holds."""
    some = list(dict.fromkeys(f for f in faults if f is not None))
    return (f"({' OR '.join(some)})" if len(some) > 1 else some[0]) if some else None


# --- literals and names


def text_literal(value: str) -> str:
    """Write a text so that no setting of Spark's parser reads it otherwise."""
    if re.fullmatch(r"[^\\'${\x00-\x1f\x7f]*", value):
        return f"'{value}'"
    return f"CAST(X'{value.encode('utf-8', 'surrogatepass').hex()}' AS STRING)"


def quoted(name: str) -> str:
    """Write a name in backticks."""
    return f"`{name.replace('`', '``')}`"


def is_moment(text: str, word: str) -> bool:
    """Return whether a text is a day (`date`), or a moment (`timestamp`), that depends on no clock."""
    try:
        if word == "date":
            return _DAY.fullmatch(text) is not None and date.fromisoformat(text) is not None
        match = _MOMENT.fullmatch(text)
        return match is not None and datetime.fromisoformat(match[1]) is not None
    except ValueError:
        return False


# --- types


def of_type(sql: str, spark_type: str, parts: Sequence[SqlNode] = ()) -> SqlNode:
    """Return the node of a column, or of what is taken out of one, by its declared type."""
    if len(spark_type) > LONGEST_TYPE:
        raise NoExpressionError(f"a column has a type of more than {LONGEST_TYPE:,} characters")
    base = _base(spark_type)
    kind = _KINDS.get(base, base)
    if base.startswith("interval"):
        kind = "months" if re.search("year|month", spark_type.lower()) else "interval"
    node = composed(parts, sql, kind, wide=base in _WIDE)
    return replace(
        node,
        constant=bool(parts) and node.constant,
        spark_type=spark_type,
        height=node.height if parts else 1,
    )


@lru_cache(maxsize=256)
def inner_types(spark_type: str) -> tuple[str, ...]:
    """Return what stands in the angle brackets of a type: `string` and `int` of `map<string,int>`."""
    inside = spark_type.partition("<")[2].rpartition(">")[0]
    parts, depth, in_quotes = [""], 0, False
    for sign in inside:
        in_quotes ^= sign == "`"
        depth += 0 if in_quotes else {"<": 1, "(": 1, ">": -1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0 and not in_quotes:
            parts.append("")
        else:
            parts[-1] += sign
    return tuple(p.strip() for p in parts if p.strip())


def item_type(container: SqlNode) -> str:
    """Return the type of an array's elements or a map's values; nothing where that is not known."""
    return (inner_types(container.spark_type) or ("",))[-1]


def key_type(container: SqlNode) -> str:
    """Return the type of a map's keys; nothing where that is not known."""
    return (inner_types(container.spark_type) or ("",))[0]


def member_of(node: SqlNode, name: str) -> SqlNode:
    """Take a member of a struct; of an array of structs an array."""
    sql = f"{node.sql}.{quoted(name)}"
    if node.kind == "any":
        return of_type(sql, "", [node])
    listed = node.kind == "array" and _base(item_type(node)) == "struct"
    if node.kind != "struct" and not listed:
        raise NoExpressionError(f"'.' takes a member of a struct, found a {node.kind}")
    named = _members(item_type(node) if listed else node.spark_type)
    if name.lower() not in named:
        raise NoExpressionError(f"the struct has no member {name[:60]!r}; it has {', '.join(named)[:300]}")
    member = named[name.lower()]
    return of_type(sql, f"array<{member}>" if listed else member, [node])


@lru_cache(maxsize=256)
def _members(struct: str) -> Mapping[str, str]:
    """Return the types of a struct's members by their names in lower case."""
    members = (m.partition(":") for m in inner_types(struct))
    return {name.strip().strip("`").lower(): kind.strip() for name, _, kind in members}


def _base(spark_type: str) -> str:
    return re.split(r"[(<]", spark_type, maxsplit=1)[0].lower().strip()


# --- kinds


def same(nodes: Sequence[SqlNode], kind: str, name: str) -> None:
    """Refuse values that Spark would have to convert for what they are used in."""
    wanted: Set[str] = {
        "number": NUMBERS,
        "time": TIMES,
        "timestamp": TIMES,
        "int": {"whole"},
        "text": {*NUMBERS, *TIMES, "text", "boolean", "binary"},
        "texts": {*NUMBERS, *TIMES, "text", "boolean", "binary", "array"},
        "bytes": {"text", "binary"},
        "digits": {"whole", "text", "binary"},
        "container": {"array", "map"},
        "hashed": {*NUMBERS, *TIMES, *INTERVALS, "text", "boolean", "binary", "array", "struct"},
    }.get(kind, {kind})
    spoken = {
        "int": "whole number of at most 32 bits",
        "bytes": "text or binary",
        "texts": "text or an array",
        "digits": "whole number or a text",
        "hashed": "value other than a map",
        "container": "map or an array",
    }.get(kind, kind)
    for node in nodes:
        if node.kind not in wanted and node.kind not in UNKNOWN:
            raise NoExpressionError(f"{name} takes a {spoken}, found a {node.kind}; write try_cast(… AS …)")
        if kind == "int" and node.wide:
            raise NoExpressionError(f"{name} takes a {spoken}, found a bigint; write try_cast(… AS INT)")
        if kind in ("time", "timestamp", "date") and node.kind == "any" and node.constant:
            raise NoExpressionError(f"{name} needs a column, or a day such as DATE'2025-10-21'")


def comparable(nodes: Sequence[SqlNode]) -> list[SqlNode]:
    """Return the values as kinds that Spark compares as they are: a day in text becomes a day."""
    nodes = list(nodes)
    others = {n.kind for n in nodes} - UNKNOWN
    if others & TIMES and "text" in others:
        word = "timestamp" if "timestamp" in others else "date"
        nodes = [_as_moment(n, word) for n in nodes]
        others = {n.kind for n in nodes} - UNKNOWN
    if any(n.kind == "any" for n in nodes):
        for n in nodes:
            if n.kind == "text" and n.constant and (n.value is None or _CLOCK.match(str(n.value))):
                raise NoExpressionError(
                    "a text beside a time may stand for the moment of the run; write a day"
                )
    families = {_family(n.kind, n.spark_type) for n in nodes if n.kind not in UNKNOWN}
    if len(families) > 1 and not any("any" in f.split() for f in families):
        raise NoExpressionError(
            f"{' and '.join(sorted(families))} are not compared or mixed; write try_cast(… AS …)"
        )
    return nodes


def compared(nodes: Sequence[SqlNode]) -> list[SqlNode]:
    """Return `comparable` values of a comparison, which Spark has none of for maps."""
    if any(n.kind == "map" for n in nodes):
        raise NoExpressionError("a map is not compared; compare its values, such as map['k']")
    return comparable(nodes)


@lru_cache(maxsize=1024)
def _family(kind: str, spark_type: str) -> str:
    """Return what only values of the same are compared with: of an array also what its elements are."""
    if kind in NUMBERS or kind in TIMES:
        return "number" if kind in NUMBERS else "time"
    if kind == "struct":
        return re.sub(r"\s", "", spark_type.lower())
    if kind not in ("array", "map"):
        return kind
    if spark_type.count("<") > HIGHEST:
        raise NoExpressionError(f"a type nests more than {HIGHEST} levels deep")
    inner = (of_type("", t) for t in inner_types(spark_type) or ("",))
    return f"{kind} of {' to '.join(_family(n.kind, n.spark_type) for n in inner)}"


def unified(nodes: Sequence[SqlNode]) -> tuple[str, SqlNode | None]:
    """Return the kind that Spark gives values of which it takes one, and the node with its Spark type."""
    kinds = {n.kind for n in nodes} - {"null"}
    for kind in ("any", "double", "decimal", "timestamp"):
        if kind in kinds:
            return kind, None
    if len(kinds) != 1:
        return "any", None
    some = [n for n in nodes if n.kind in kinds]
    return some[0].kind, next((n for n in some if n.wide), some[0])


def _as_moment(node: SqlNode, word: str) -> SqlNode:
    if node.kind != "text" or not isinstance(node.value, str):
        return node
    if word == "date" and is_moment(node.value, "timestamp"):
        raise NoExpressionError(
            f"a day is compared with the moment '{node.value}'; write '{node.value[:10]}', "
            f"or TIMESTAMP'{node.value}'"
        )
    for kind in dict.fromkeys((word, "date")):
        if is_moment(node.value, kind):
            return SqlNode(sql=f"{kind.upper()}'{node.value}'", kind=kind, value=node.value, constant=True)
    return node
