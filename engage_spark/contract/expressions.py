"""Parse an expression of a contract: one statement about one row, in a part of Spark SQL that is written down
here.

What Spark runs is written anew from the parsed tree (`Expression.sql`): every operator in brackets, every
name quoted, every text free of escapes. So the two parsers cannot read one text differently, and whatever
this one does not know is refused: other literals (`r'…'`, `X'…'`, `"…"`), comments, hints, parameters,
subqueries, lambdas, qualified function names, and each function that `sql_functions` does not list.

What could fail on a row is written in the form that gives null (`try_add` for `+`), and `Expression.fault` is
true on the rows where it did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from engage_spark.contract.patterns import count_groups, pattern_problem
from engage_spark.contract.sql_functions import FUNCTIONS, SqlFunction
from engage_spark.errors import ContractError

LONGEST = 20_000
"""Characters of an expression."""
MOST_WORDS = 2_000
"""Names, literals and signs of an expression."""
DEEPEST = 40
"""How deep brackets, functions and signs of an expression may nest."""
HEAVIEST = 20_000
"""Size of what Spark makes of an expression: it writes the argument of nullif, BETWEEN or % twice."""

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<comment>--|/\*)
      | (?P<text>'(?:[^'\\\x00-\x08\x0b-\x1f\x7f]|\\['\\]|'')*')
      | (?P<quoted>`(?:[^`$]|``)*`)
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?
          (?:BD|bd|[DdFfLlSsYy])?(?![A-Za-z0-9_.]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign><=>|<>|!=|<=|>=|==|\|\||[=<>!+\-*/%|&^~()\[\],.])""",
    re.VERBOSE,
)
_OPERATORS = {
    "or": 1, "and": 2,
    "=": 4, "==": 4, "<=>": 4, "<>": 4, "!=": 4, "<": 4, ">": 4, "<=": 4, ">=": 4,
    "|": 5, "^": 6, "&": 7, "+": 8, "-": 8, "||": 8, "*": 9, "/": 9, "%": 9,
}  # fmt: skip
_NOT, _PREDICATE, _UNARY = 3, 4, 10
_SUFFIXES = frozenset({"is", "between", "in", "like", "ilike", "rlike", "regexp", "not"})
_RESERVED = frozenset(
    {"and", "or", "not", "case", "when", "then", "else", "end", "null", "true", "false", "interval",
     "select", "from", "as", "is", "between", "in", "like", "distinct"}
)  # fmt: skip
_TYPES = {
    **dict.fromkeys(("tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long"), "whole"),
    **dict.fromkeys(("float", "real", "double"), "double"),
    **dict.fromkeys(("decimal", "dec", "numeric"), "decimal"),
    "string": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "binary": "binary",
}
_UNITS = frozenset({"year", "month", "week", "day", "hour", "minute", "second"})
_NUMBERS = frozenset({"whole", "double", "decimal"})
_TIMES = frozenset({"date", "timestamp"})
_UNKNOWN = frozenset({"any", "null"})
_UNSTABLE = frozenset(
    re.findall(
        r"\w+",
        """current_date curdate current_timestamp current_time now localtimestamp current_timezone
        current_user user session_user current_catalog current_database current_schema rand randn
        random randstr uniform uuid shuffle monotonically_increasing_id spark_partition_id
        input_file_name input_file_block_start input_file_block_length version""",
    )
)
_FORMATTED = {
    "date_format": "date_format(TIMESTAMP'2025-10-21 06:00:00', {0})",
    **dict.fromkeys(("to_date", "to_timestamp", "try_to_timestamp"), "try_to_timestamp('2025-10-21', {0})"),
}
"""How a format is tried without rows."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?")


@dataclass(frozen=True, kw_only=True)
class Expression:
    """What an expression of a contract says.

    `columns` are the declared columns in it (in order of use), `unknown` other names, `unstable` functions
    that give another result each time, `refused` says what else makes it no statement about one row. Where
    the last three are empty, `sql` is what Spark is given, `fault` the condition that something in it failed
    (None: nothing in it can), and `probes` are expressions of literals alone that Spark can try without rows:
    patterns and formats.
    """

    columns: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    sql: str = ""
    fault: str | None = None
    probes: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Return everything for which it is refused, in words."""
        return [
            *self.refused,
            *(f"{n!r} is not a column it can use" for n in self.unknown),
            *(f"{n} gives another result each time; results must be reproducible" for n in self.unstable),
        ]


def read_expression(text: str, known: Mapping[str, str] | Iterable[str]) -> Expression:
    """Parse an expression over the columns `known`: their names, or their Spark types by name.

    Columns match regardless of case, as in Spark. With types, what Spark would have to convert (a text
    compared with a number) is refused, since it would fail on the rows that cannot be converted.
    """
    types = known if isinstance(known, Mapping) else dict.fromkeys(known, "")
    return _Parser(text, types).expression()


def read_statement(text: str, known: Mapping[str, str] | Iterable[str], at: str) -> Expression:
    """Parse an expression that is about to be run; nothing that is refused gets through.

    Errors: ContractError that says where it stands (`at`) and why it is refused.
    """
    read = read_expression(text, known)
    if read.problems:
        raise ContractError(
            f"{at}: it cannot be run",
            details=read.problems,
            hint="check the contract with `engage-spark contract lint`",
        )
    return read


class _RefusedError(Exception):
    """What is no expression; its message says why."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind in ("name", "sign") else ""


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of the tree: its text for Spark, what it is, the condition that something in it failed.

    `value` is that of a literal; `constant` says that no column is in it; `never_zero` holds of literals and
    of `nullif(…, 0)`.
    """

    sql: str
    kind: str
    fault: str | None = None
    value: str | int | None = None
    constant: bool = False
    weight: int = 1
    never_zero: bool = False


@dataclass
class _Names:
    columns: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)


def _tokens(text: str) -> list[_Token]:
    if len(text) > LONGEST:
        raise _RefusedError(f"it has {len(text):,} characters, more than {LONGEST:,}")
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _RefusedError(_unreadable(text[at]))
        if match.lastgroup == "comment":
            raise _RefusedError(f"{match.group()!r} starts a comment")
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match.group()))
        at = match.end()
    if len(tokens) > MOST_WORDS:
        raise _RefusedError(f"it has {len(tokens):,} words, more than {MOST_WORDS:,}")
    return tokens


def _unreadable(character: str) -> str:
    reasons = {
        ";": "';' starts another statement",
        "'": "a text is never closed, or has a backslash before something other than a quote or a backslash",
        '"': "text stands in single quotes, and a name in backticks: double quotes are either, by a setting",
        "`": "a quoted name is never closed, or holds $, which Spark replaces",
        "\\": "a backslash stands outside of a text",
        "/": "'/' stands alone",
    }
    if character.isdigit():
        return "a number is written in a way that is not known"
    return reasons.get(character, f"{character!r} is no sign of an expression")


def _literal(value: str) -> str:
    """Write a text so that no setting of Spark's parser reads it otherwise."""
    if re.fullmatch(r"[^\\'${\x00-\x1f\x7f]*", value):
        return f"'{value}'"
    return f"CAST(X'{value.encode('utf-8', 'surrogatepass').hex()}' AS STRING)"


def _name(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _kind_of(spark_type: str) -> str:
    base = re.split(r"[(<]", spark_type.lower())[0].strip()
    return _TYPES.get(base) or {"array": "array", "map": "map"}.get(base, "any")


def _any_of(*faults: str | None) -> str | None:
    some = list(dict.fromkeys(f for f in faults if f is not None))
    return (f"({' OR '.join(some)})" if len(some) > 1 else some[0]) if some else None


def _failed(node: _Node, *arguments: _Node) -> _Node:
    """Return the node with its own failure: the arguments are there, and it is null."""
    there = [f"{a.sql} IS NOT NULL" for a in arguments if not a.constant or a.kind == "null"]
    own = f"({' AND '.join([*there, f'{node.sql} IS NULL'])})"
    return _Node(
        node.sql, node.kind, _any_of(*(a.fault for a in arguments), own), None, node.constant, node.weight
    )


class _Parser:
    """Climbs by precedence. Each method takes the tokens of what it is named after, and returns its node."""

    def __init__(self, text: str, types: Mapping[str, str]) -> None:
        self.text = text
        self.declared = {name.lower(): name for name in types}
        self.types = types
        self.names = _Names()
        self.tokens: list[_Token] = []
        self.at = 0
        self.depth = 0

    def expression(self) -> Expression:
        refused: tuple[str, ...] = ()
        node = None
        try:
            self.tokens = _tokens(self.text)
            if not self.tokens:
                raise _RefusedError("it is empty")
            node = self.binary(1)
            if self.at < len(self.tokens):
                raise self.unexpected()
        except _RefusedError as e:
            refused = (str(e),)
        names = self.names
        fine = node is not None and not (refused or names.unknown or names.unstable)
        return Expression(
            columns=tuple(dict.fromkeys(names.columns)),
            unknown=tuple(dict.fromkeys(names.unknown)),
            unstable=tuple(dict.fromkeys(names.unstable)),
            refused=refused,
            sql=node.sql if fine and node else "",
            fault=node.fault if fine and node else None,
            probes=tuple(dict.fromkeys(names.probes)) if fine else (),
        )

    # --- tokens

    def peek(self, ahead: int = 0) -> _Token:
        i = self.at + ahead
        return self.tokens[i] if i < len(self.tokens) else _Token("end", "")

    def next(self) -> _Token:
        token = self.peek()
        self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        if all(self.peek(i).word == word for i, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.unexpected(f"{word.upper()} is expected")

    def unexpected(self, wanted: str = "") -> _RefusedError:
        token = self.peek()
        more = f"; {wanted}" if wanted else ""
        if token.kind == "end":
            return _RefusedError(
                f"it ends too early{more}" if self.depth == 0 else "an opening parenthesis is never closed"
            )
        if token.text == ")":
            return _RefusedError(
                "a closing parenthesis has no opening one"
                if self.depth == 0
                else f"')' stands where more is expected{more}"
            )
        if token.word == "as":
            return _RefusedError("AS gives the result a name, which a statement about a row has not")
        before = self.tokens[self.at - 1] if self.at else None
        if before is not None and before.kind == "name" and token.kind == "text":
            return _RefusedError(f"{before.text}'…' is a kind of text that is not allowed")
        if before is not None and before.kind in ("name", "quoted") and token.text == "(":
            return _RefusedError(f"{before.text} is qualified or quoted, and no function is")
        return _RefusedError(f"{token.text[:40]!r} stands where it cannot{more}")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _RefusedError(f"it nests more than {DEEPEST} levels deep")

    # --- operators

    def binary(self, level: int) -> _Node:
        left = self.negation(level)
        closed = False
        chain = 0
        while True:
            operator = self.peek().word
            if operator in _SUFFIXES and level <= _PREDICATE and not closed:
                left, closed = self.predicate(left), True
                continue
            strength = _OPERATORS.get(operator, 0)
            if not strength or strength < level or (closed and strength >= _PREDICATE):
                return left
            self.next()
            if operator in ("and", "or"):
                left, closed = self.joined(left, operator, strength), False
                continue
            chain += 1
            if chain > DEEPEST:
                raise _RefusedError(f"more than {DEEPEST} operators follow each other; use brackets")
            left = self.checked(self.calculated(operator, left, self.binary(strength + 1)))

    def checked(self, node: _Node) -> _Node:
        if node.weight > HEAVIEST:
            raise _RefusedError("it grows too large: nullif, BETWEEN and % take their argument twice")
        return node

    def negation(self, level: int) -> _Node:
        word = self.peek().word
        if word in ("not", "!"):
            if level > _NOT:
                raise self.unexpected("NOT needs brackets here")
            self.next()
            self.deeper()
            inner = self.binary(_NOT)
            self.depth -= 1
            self.same([inner], "boolean", "NOT")
            return _Node(f"(NOT {inner.sql})", "boolean", inner.fault, None, inner.constant, inner.weight + 1)
        return self.unary()

    def joined(self, first: _Node, operator: str, strength: int) -> _Node:
        """Join `a AND b AND …` as one list, so that a long one does not nest."""
        parts = [first, self.binary(strength + 1)]
        while self.peek().word == operator:
            self.next()
            parts.append(self.binary(strength + 1))
        self.same(parts, "boolean", operator.upper())
        sign = f" {operator.upper()} "
        fault = None
        if any(p.fault for p in parts):
            # A side that decides the result ends the evaluation: what comes after it cannot fail.
            decides = "NOT " if operator == "and" else ""
            cases = " ".join(
                (f"WHEN {p.fault} THEN true " if p.fault else "") + f"WHEN {decides}{p.sql} THEN false"
                for p in parts
            )
            fault = f"(CASE {cases} ELSE false END)"
        return _Node(
            f"({sign.join(p.sql for p in parts)})",
            "boolean",
            fault,
            None,
            all(p.constant for p in parts),
            sum(p.weight for p in parts),
        )

    def calculated(self, operator: str, left: _Node, right: _Node) -> _Node:
        constant, weight = left.constant and right.constant, left.weight + right.weight + 1
        fault = _any_of(left.fault, right.fault)
        if _OPERATORS[operator] == _PREDICATE:
            left, right = self.comparable([left, right])
            sign = "=" if operator == "==" else operator
            return _Node(f"({left.sql} {sign} {right.sql})", "boolean", fault, None, constant, weight)
        if operator == "||":
            return _Node(f"concat({left.sql}, {right.sql})", "text", fault, None, constant, weight)
        if operator in "|^&":
            self.same([left, right], "whole", operator)
            return _Node(f"({left.sql} {operator} {right.sql})", "whole", fault, None, constant, weight)
        kinds = {left.kind, right.kind}
        if kinds & {"interval", *_TIMES}:
            kind = self.of_times(operator, left, right)
        else:
            self.same([left, right], "number", operator)
            kind = self.unified([left, right]) if operator != "/" else "double"
        if operator == "%":
            sql = f"({left.sql} % nullif({right.sql}, 0))"
            node = _Node(sql, kind, None, None, constant, weight + right.weight)
        elif kinds <= {"double", "whole"} and ("double" in kinds if operator != "/" else right.never_zero):
            return _Node(f"({left.sql} {operator} {right.sql})", kind, fault, None, constant, weight)
        else:
            word = {"+": "try_add", "-": "try_subtract", "*": "try_multiply", "/": "try_divide"}[operator]
            node = _Node(f"{word}({left.sql}, {right.sql})", kind, None, None, constant, weight)
        return _failed(node, left, right)

    def of_times(self, operator: str, left: _Node, right: _Node) -> str:
        kinds = (left.kind, right.kind)
        if operator == "-" and left.kind in _TIMES and right.kind in _TIMES:
            return "interval"
        if operator in "+-" and left.kind in _TIMES and right.kind in ("interval", "whole", *_UNKNOWN):
            return left.kind
        if operator == "+" and right.kind in _TIMES and left.kind in ("interval", "whole", *_UNKNOWN):
            return right.kind
        raise _RefusedError(f"{operator} cannot be used between {' and '.join(kinds)}")

    def predicate(self, left: _Node) -> _Node:
        if self.accept("is"):
            return self.identity(left)
        negated = "NOT " if self.accept("not") else ""
        word = self.next().word
        if word == "between":
            low = self.binary(_PREDICATE + 1)
            self.expect("and")
            high = self.binary(_PREDICATE + 1)
            left, low, high = self.comparable([left, low, high])
            return self.checked(
                self.of(
                    [left, low, high], f"({left.sql} {negated}BETWEEN {low.sql} AND {high.sql})", left.weight
                )
            )
        if word == "in":
            self.expect("(")
            inside = self.arguments()
            left, *listed = self.comparable([left, *inside])
            if not listed:
                raise _RefusedError("IN needs values")
            values = ", ".join(n.sql for n in listed)
            return self.of([left, *listed], f"({left.sql} {negated}IN ({values}))")
        if word in ("like", "ilike", "rlike", "regexp"):
            pattern = self.binary(_PREDICATE + 1)
            self.same([left], "text", word.upper())
            if not isinstance(pattern.value, str):
                raise _RefusedError(f"{word.upper()} needs a text as its pattern")
            if word in ("like", "ilike"):
                if "\\" in pattern.value:
                    raise _RefusedError(f"the pattern of {word.upper()} has a backslash; use RLIKE")
            else:
                self.pattern(pattern)
                word = "rlike"
            return self.of([left], f"({left.sql} {negated}{word.upper()} {pattern.sql})")
        self.at -= 1
        raise self.unexpected()

    def of(self, parts: list[_Node], sql: str, more: int = 0, kind: str = "boolean") -> _Node:
        return _Node(
            sql,
            kind,
            _any_of(*(p.fault for p in parts)),
            None,
            all(p.constant for p in parts),
            sum(p.weight for p in parts) + 1 + more,
        )

    def identity(self, left: _Node) -> _Node:
        negated = "NOT " if self.accept("not") else ""
        if self.accept("distinct", "from"):
            right = self.binary(_PREDICATE + 1)
            left, right = self.comparable([left, right])
            return self.of([left, right], f"({left.sql} IS {negated}DISTINCT FROM {right.sql})")
        for word in ("null", "true", "false", "unknown"):
            if self.accept(word):
                if word != "null":
                    self.same([left], "boolean", f"IS {word.upper()}")
                return self.of([left], f"({left.sql} IS {negated}{word.upper()})")
        raise self.unexpected("NULL, TRUE, FALSE or DISTINCT FROM is expected")

    def unary(self) -> _Node:
        sign = self.peek().word
        if sign not in ("-", "+", "~"):
            return self.postfix()
        self.next()
        if sign == "-" and self.peek().kind == "number":
            return self.number(self.next().text, "-")
        self.deeper()
        inner = self.unary()
        self.depth -= 1
        self.same([inner], "whole" if sign == "~" else "number", sign)
        if sign == "-" and inner.kind not in ("double", "decimal"):
            zero = _Node("0Y", "whole", None, 0, True)
            return _failed(
                _Node(
                    f"try_subtract(0Y, {inner.sql})", inner.kind, None, None, inner.constant, inner.weight + 1
                ),
                zero,
                inner,
            )
        return self.of([inner], f"({sign} {inner.sql})", kind=inner.kind)

    # --- values

    def postfix(self) -> _Node:
        node = self.primary()
        while True:
            if self.peek().text == "[" and self.peek().kind == "sign":
                self.next()
                self.deeper()
                index = self.binary(1)
                self.depth -= 1
                self.expect("]")
                if node.kind not in ("array", "map"):
                    raise _RefusedError("[ ] is for a column that is an array or a map")
                if node.kind == "array":
                    node = self.element(node, index, index.sql)
                else:
                    node = self.of([node, index], f"try_element_at({node.sql}, {index.sql})", kind="any")
            elif self.peek().text == "." and self.peek().kind == "sign":
                self.next()
                member = self.next()
                if member.kind not in ("name", "quoted"):
                    self.at -= 1
                    raise self.unexpected("the name of a struct's member is expected")
                if self.peek().text == "(":
                    raise self.unexpected()
                node = _Node(
                    f"{node.sql}.{_name(_bare(member))}",
                    "any",
                    node.fault,
                    None,
                    node.constant,
                    node.weight + 1,
                )
            else:
                return node

    def element(self, array: _Node, index: _Node, position: str) -> _Node:
        """Take an element of an array by its position from 0; beyond the array it fails."""
        outside = (
            f"({array.sql} IS NOT NULL AND {index.sql} IS NOT NULL "
            f"AND NOT {position} BETWEEN 0 AND size({array.sql}) - 1)"
        )
        node = self.of([array, index], f"get({array.sql}, {position})", 2 * array.weight, kind="any")
        return replace(node, fault=_any_of(node.fault, outside))

    def element_at(self, container: _Node, key: _Node) -> _Node:
        """Take the value of a map's key, null where it has none; or an array's element, counted from 1."""
        if container.kind != "array":
            return self.of([container, key], f"try_element_at({container.sql}, {key.sql})", kind="any")
        last = f"size({container.sql})"
        position = f"(CASE WHEN {key.sql} > 0 THEN {key.sql} - 1 ELSE {last} + {key.sql} END)"
        return self.element(container, key, position)

    def primary(self) -> _Node:
        token = self.next()
        if token.kind == "number":
            return self.number(token.text)
        if token.kind == "text":
            value = re.sub(r"''|\\(.)", lambda m: m[1] or "'", token.text[1:-1])
            return _Node(_literal(value), "text", None, value, True)
        if token.kind == "name":
            return self.named(token)
        if token.kind == "quoted" and self.peek().text != "(":
            return self.column(_bare(token))
        if token.text != "(":
            self.at -= token.kind != "quoted"
            raise self.unexpected()
        self.deeper()
        node = self.binary(1)
        if self.peek().text != ")":
            raise self.unexpected()
        self.depth -= 1
        self.next()
        return node

    def named(self, token: _Token) -> _Node:
        """Take what begins with a name: a word of the grammar, a function, a column."""
        word, after = token.word, self.peek()
        of_grammar = {"case": self.case, "interval": self.interval}
        if word in ("date", "timestamp") and after.kind == "text":
            return self.moment(word, self.primary())
        if word in ("null", "true", "false"):
            return _Node(word.upper(), "null" if word == "null" else "boolean", None, None, True)
        if word in of_grammar:
            return of_grammar[word]()
        if after.text == "(" and after.kind == "sign":
            if word in ("cast", "try_cast"):
                return self.cast(word)
            self.next()
            return self.call(word)
        if word in self.declared or word not in _RESERVED:
            return self.column(token.text)
        self.at -= 1
        raise self.unexpected()

    def column(self, name: str) -> _Node:
        declared = self.declared.get(name.lower())
        if declared is None:
            known = name.lower() in _UNSTABLE
            (self.names.unstable if known else self.names.unknown).append(name.lower() if known else name)
            return _Node("NULL", "any")
        self.names.columns.append(declared)
        return _Node(_name(declared), _kind_of(self.types[declared]))

    def number(self, text: str, sign: str = "") -> _Node:
        suffix = re.search(r"(BD|bd|[DdFfLlSsYy])?$", text)[0].upper()  # type: ignore[index]
        digits = text[: len(text) - len(suffix)]
        if len(digits) > 60:
            raise _RefusedError("a number has more than 60 digits")
        whole = digits.isdigit()
        kind = {"": "whole" if whole else "decimal", "BD": "decimal", "D": "double", "F": "double"}.get(
            suffix, "whole"
        )
        if "e" in digits.lower() and suffix == "":
            kind = "double"
        value = int(sign + digits) if whole and kind == "whole" else None
        if value is not None and not -(2**63) <= value < 2**63:
            kind = "decimal"
        if kind == "double" and abs(float(digits)) == float("inf"):
            raise _RefusedError(f"{text} is beyond the largest double")
        return _Node(f"{sign}{text}", kind, None, value, True, never_zero=float(digits) != 0)

    def moment(self, word: str, text: _Node) -> _Node:
        value = str(text.value)
        if not _is_moment(value, word):
            example = "2025-10-21" if word == "date" else "2025-10-21 06:00:00"
            raise _RefusedError(f"{word.upper()}'{value[:40]}' is not fixed; write it as '{example}'")
        return _Node(f"{word.upper()}'{value}'", word, None, value, True)

    def interval(self) -> _Node:
        sign = "-" if self.accept("-") else ""
        token = self.next()
        digits = token.text.strip("'") if token.kind in ("text", "number") else ""
        unit = self.next().word
        unit = unit.removesuffix("s")
        if not re.fullmatch(r"-?\d{1,6}", digits) or unit not in _UNITS:
            raise _RefusedError(
                f"an interval is written as INTERVAL 3 DAYS, with one of {', '.join(sorted(_UNITS))}"
            )
        amount = -int(digits) if sign else int(digits)
        return _Node(f"INTERVAL '{amount}' {unit.upper()}", "interval", None, None, True)

    def cast(self, word: str) -> _Node:
        self.next()
        self.deeper()
        inner = self.binary(1)
        if not self.accept("as"):
            raise self.unexpected("AS and a type are expected")
        base = self.next().word
        kind = _TYPES.get(base)
        if kind is None:
            raise _RefusedError(
                f"{base or 'this'!r} is no type that a value can be cast to; they are {', '.join(_TYPES)}"
            )
        target = base.upper()
        if kind == "decimal" and self.accept("("):
            sizes = [self.next().text]
            if self.accept(","):
                sizes.append(self.next().text)
            if not all(re.fullmatch(r"\d{1,2}", s) for s in sizes):
                raise _RefusedError("a decimal is written as DECIMAL(10, 2)")
            self.expect(")")
            target += f"({', '.join(sizes)})"
        if self.peek().text != ")":
            raise self.unexpected()
        self.next()
        self.depth -= 1
        if kind in _TIMES:
            self.read(inner, f"CAST AS {target}")
        node = self.of([inner], f"try_cast({inner.sql} AS {target})", kind=kind)
        widened = (inner.kind, kind) in (("boolean", "whole"), ("boolean", "double"), ("whole", "double"))
        safe = (
            word == "try_cast" or kind == "text" or widened or (kind == inner.kind and kind not in _NUMBERS)
        )
        return node if safe else _failed(node, inner)

    def case(self) -> _Node:
        self.deeper()
        subject = None if self.peek().word == "when" else self.binary(1)
        tests, values = [], []
        while self.accept("when"):
            tests.append(self.binary(1))
            self.expect("then")
            values.append(self.binary(1))
        otherwise = self.binary(1) if self.accept("else") else None
        if not tests:
            raise self.unexpected("WHEN is expected")
        if not self.accept("end"):
            raise self.unexpected("END is expected")
        self.depth -= 1
        if subject is not None:
            subject, *tests = self.comparable([subject, *tests])
            if subject.fault is not None:
                raise _RefusedError("CASE needs a value that cannot fail; write CASE WHEN … with conditions")
            tests = [self.of([subject, t], f"({subject.sql} = {t.sql})") for t in tests]
        else:
            self.same(tests, "boolean", "WHEN")
        return self.branches(list(zip(tests, values, strict=True)), otherwise)

    def branches(self, cases: list[tuple[_Node, _Node]], otherwise: _Node | None) -> _Node:
        results = self.comparable([v for _, v in cases] + ([otherwise] if otherwise else []))
        kind = self.unified(results)
        written = " ".join(f"WHEN {t.sql} THEN {v.sql}" for (t, _), v in zip(cases, results, strict=False))
        last = f" ELSE {results[-1].sql}" if otherwise else ""
        parts = [n for t, v in cases for n in (t, v)] + ([otherwise] if otherwise else [])
        fault = None
        if any(p.fault for p in parts):
            of_cases = " ".join(
                (f"WHEN {t.fault} THEN true " if t.fault else "") + f"WHEN {t.sql} THEN {v.fault or 'false'}"
                for t, v in cases
            )
            fault = f"(CASE {of_cases} ELSE {(otherwise.fault if otherwise else None) or 'false'} END)"
        return self.checked(
            _Node(
                f"(CASE {written}{last} END)",
                kind,
                fault,
                None,
                all(p.constant for p in parts),
                sum(p.weight for p in parts) + 1,
            )
        )

    # --- functions

    def arguments(self) -> list[_Node]:
        """Take the arguments of a call, up to its closing bracket; the opening one is taken."""
        self.deeper()
        nodes = []
        if self.peek().text != ")":
            nodes.append(self.binary(1))
            while self.accept(","):
                nodes.append(self.binary(1))
        if self.peek().text != ")":
            raise self.unexpected()
        self.depth -= 1
        self.next()
        return nodes

    def call(self, name: str) -> _Node:
        if name in _UNSTABLE:
            self.names.unstable.append(name)
        elif name not in FUNCTIONS and name not in ("if", "nvl2"):
            raise _RefusedError(
                f"{name} is no function that an expression may use (docs/how_to/add_check.md lists them)"
            )
        given = self.arguments()
        if name in _UNSTABLE:
            return _Node("NULL", "any")
        if name in ("if", "nvl2"):
            if len(given) != 3:
                raise _RefusedError(f"{name} takes 3 arguments, found {len(given)}")
            test, then, otherwise = given
            if name == "nvl2":
                test = self.of([test], f"({test.sql} IS NOT NULL)")
            self.same([test], "boolean", "the condition of IF")
            return self.branches([(test, then)], otherwise)
        form = next((f for f in FUNCTIONS[name] if f.takes(len(given))), None)
        if form is None:
            raise _RefusedError(f"{name} does not take {len(given)} arguments")
        return self.checked(self.applied(form, given))

    def applied(self, form: SqlFunction, given: list[_Node]) -> _Node:
        kinds = [*form.arguments, *form.arguments[-1:] * (len(given) - len(form.arguments))]
        for node, kind in zip(given, kinds, strict=False):
            self.fits(node, kind, form.name)
        if form.result == "common":
            given = self.comparable(given)
        kind = {"same": given[0].kind if given else "any", "common": self.unified(given)}.get(
            form.result, form.result
        )
        if "pattern" in kinds:
            self.pattern(given[1], self.group(form, given))
        constant = all(n.constant for n in given)
        doubled = 2 if form.name in ("nullif", "mod", "pmod") else 1
        weight = sum(n.weight for n in given) * doubled + 1
        if form.name == "abs" and kind == "whole":
            sql = f"try_cast(abs(CAST({given[0].sql} AS DECIMAL(20, 0))) AS BIGINT)"
            return _failed(_Node(sql, kind, None, None, constant, weight), *given)
        written = [n.sql for n in given]
        if form.name == "element_at":
            return self.element_at(*given)
        if form.null_form is None:
            sql = f"{form.name}({', '.join(written)})"
            fault = _any_of(*(n.fault for n in given))
            never_zero = form.name == "nullif" and given[1].value == 0
            node = _Node(sql, kind, fault, None, constant, weight, never_zero)
        else:
            node = _failed(
                _Node(f"({form.null_form.format(*written)})", kind, None, None, constant, weight), *given
            )
        if "word" in kinds and form.name in _FORMATTED and len(given) > 1:
            self.names.probes.append(_FORMATTED[form.name].format(written[1]))
        return node

    def group(self, form: SqlFunction, given: list[_Node]) -> int:
        if form.name != "regexp_extract":
            return 0
        return int(given[2].value or 0) if len(given) > 2 else 1

    def pattern(self, node: _Node, group: int = 0) -> None:
        if (problem := pattern_problem(str(node.value))) is not None:
            raise _RefusedError(f"the pattern {str(node.value)[:60]!r} {problem}")
        if group > count_groups(str(node.value)):
            raise _RefusedError(f"the pattern {str(node.value)[:60]!r} has no group {group}")
        self.names.probes.append(f"regexp_like('', {node.sql})")

    # --- kinds

    def fits(self, node: _Node, kind: str, name: str) -> None:
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
                raise _RefusedError(f"{name} needs {wanted.get(kind, 'a text, written out')}")
        elif kind == "read":
            self.read(node, name)
        elif kind != "any":
            self.same([node], kind, name)

    def read(self, node: _Node, name: str) -> None:
        """Text that no column is in would be read once, and could name the clock (`'now'`)."""
        if (
            node.constant
            and node.kind not in _TIMES
            and not (
                isinstance(node.value, str)
                and (_is_moment(node.value, "date") or _is_moment(node.value, "timestamp"))
            )
        ):
            raise _RefusedError(f"{name} needs a column, or a day such as '2025-10-21'")

    def same(self, nodes: list[_Node], kind: str, name: str) -> None:
        """Refuse values that Spark would have to convert for what they are used in."""
        wanted = {
            "number": _NUMBERS,
            "time": _TIMES,
            "timestamp": _TIMES,
            "text": {*_NUMBERS, *_TIMES, "text", "boolean", "binary"},
        }.get(kind, {kind})
        for node in nodes:
            if node.kind not in wanted and node.kind not in _UNKNOWN:
                raise _RefusedError(f"{name} takes a {kind}, found a {node.kind}; write try_cast(… AS …)")

    def comparable(self, nodes: list[_Node]) -> list[_Node]:
        """Return the values as kinds that Spark compares as they are: a day in text becomes a day."""
        others = {n.kind for n in nodes} - _UNKNOWN
        if others & _TIMES and "text" in others:
            word = "timestamp" if "timestamp" in others else "date"
            nodes = [_as_moment(n, word) for n in nodes]
            others = {n.kind for n in nodes} - _UNKNOWN
        families = {"number" if k in _NUMBERS else "time" if k in _TIMES else k for k in others}
        if len(families) > 1:
            raise _RefusedError(
                f"{' and '.join(sorted(families))} are not compared or mixed; write try_cast(… AS …)"
            )
        return nodes

    def unified(self, nodes: list[_Node]) -> str:
        kinds = {n.kind for n in nodes} - {"null"}
        for kind in ("any", "double", "decimal", "timestamp"):
            if kind in kinds:
                return kind
        return kinds.pop() if len(kinds) == 1 else "any"


def _bare(token: _Token) -> str:
    return token.text[1:-1].replace("``", "`") if token.kind == "quoted" else token.text


def _is_moment(text: str, word: str) -> bool:
    """Return whether a text is a day, or a moment, that depends on no clock and no zone."""
    try:
        if word == "date":
            return _DAY.fullmatch(text) is not None and date.fromisoformat(text) is not None
        return _MOMENT.fullmatch(text) is not None and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _as_moment(node: _Node, word: str) -> _Node:
    if node.kind != "text" or not isinstance(node.value, str):
        return node
    for kind in dict.fromkeys((word, "date", "timestamp")):
        if _is_moment(node.value, kind):
            return _Node(f"{kind.upper()}'{node.value}'", kind, None, node.value, True)
    return node
