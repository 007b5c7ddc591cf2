"""Parse one expression into the nodes of `sql_nodes`, by a grammar of precedence over `sql_tokens`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engage_spark.contract.sql_calls import (
    called,
    element,
    element_at,
    pattern_probe,
    refuse_clock,
    result_of,
)
from engage_spark.contract.sql_functions import FUNCTIONS
from engage_spark.contract.sql_literals import interval_of, moment_of, number_of, text_of
from engage_spark.contract.sql_nodes import (
    INTERVALS,
    NUMBERS,
    TIMES,
    TYPES,
    KnownColumns,
    SqlNode,
    comparable,
    compared,
    composed,
    failing,
    member_of,
    of_type,
    quoted,
    same,
    unified,
)
from engage_spark.contract.sql_tokens import DEEPEST, NoExpressionError, Token, TokenCursor, tokens_of

_OPERATORS = {
    "or": 1, "and": 2,
    "=": 4, "==": 4, "<=>": 4, "<>": 4, "!=": 4, "<": 4, ">": 4, "<=": 4, ">=": 4,
    "|": 5, "^": 6, "&": 7, "+": 8, "-": 8, "||": 8, "*": 9, "/": 9, "%": 9, "div": 9,
}  # fmt: skip
_NOT, _PREDICATE, _UNARY = 3, 4, 10
_SUFFIXES = frozenset({"is", "between", "in", "like", "ilike", "rlike", "regexp", "not"})
_RESERVED = frozenset(
    {"and", "or", "not", "case", "when", "then", "else", "end", "null", "true", "false", "interval",
     "select", "from", "as", "is", "between", "in", "like", "distinct"}
)  # fmt: skip
_UNSTABLE = frozenset(
    re.findall(
        r"\w+",
        """current_date curdate current_timestamp current_time now localtimestamp current_timezone
        current_user user session_user current_catalog current_database current_schema rand randn
        random randstr uniform uuid shuffle monotonically_increasing_id spark_partition_id
        input_file_name input_file_block_start input_file_block_length version""",
    )
)
_PARTS = {
    "year": "year", "quarter": "quarter", "month": "month", "week": "weekofyear", "day": "day",
    "dow": "dayofweek", "dayofweek": "dayofweek", "doy": "dayofyear", "hour": "hour", "minute": "minute",
}  # fmt: skip
"""The functions that EXTRACT stands for."""
CAST_TO = {
    "date": {"text", "date", "timestamp"},
    "timestamp": {"text", *TIMES, *NUMBERS},
    "binary": {"text", "binary"},
    "boolean": {"text", "boolean", *NUMBERS},
    **{kind: {"text", "boolean", "timestamp", *NUMBERS, *INTERVALS} for kind in NUMBERS},
}
"""The kinds that Spark casts to a kind, by the rules of ANSI; to text all of them."""


@dataclass
class ExpressionNames:
    """What was met on the way."""

    columns: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)


class ExpressionParser(TokenCursor):
    """Climbs by precedence. Each method takes the tokens of what it is named after, and returns its node."""

    def __init__(self, text: str, known: KnownColumns) -> None:
        super().__init__()
        self.text = text
        self.known = known
        self.names = ExpressionNames()

    def whole(self) -> SqlNode:
        """Take the whole text.

        Errors: NoExpressionError where it is no expression.
        """
        self.tokens = tokens_of(self.text)
        if not self.tokens:
            raise NoExpressionError("it is empty")
        node = self.binary(1)
        if self.at < len(self.tokens):
            raise self.unexpected()
        return node

    # --- operators

    def binary(self, level: int) -> SqlNode:
        negated = self.peek().word in ("not", "!")
        left = self.negation(level)
        closed = negated  # by a predicate, NOT, AND or OR, upon which Spark builds only with brackets
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
                left, closed = self.joined(left, operator, strength), True
                continue
            chain += 1
            if chain > DEEPEST:
                raise NoExpressionError(f"more than {DEEPEST} operators follow each other; use brackets")
            left = self.calculated(operator, left, self.binary(strength + 1))

    def negation(self, level: int) -> SqlNode:
        word = self.peek().word
        if word in ("not", "!"):
            if level > _NOT:
                raise self.unexpected("NOT needs brackets here")
            self.next()
            self.deeper()
            inner = self.binary(_NOT)
            self.depth -= 1
            same([inner], "boolean", "NOT")
            return composed([inner], f"(NOT {inner.sql})")
        return self.unary()

    def joined(self, first: SqlNode, operator: str, strength: int) -> SqlNode:
        """Join `a AND b AND …` as one list, so that a long one does not nest."""
        parts = [first, self.binary(strength + 1)]
        while self.peek().word == operator:
            self.next()
            parts.append(self.binary(strength + 1))
        same(parts, "boolean", operator.upper())
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
        return replace(composed(parts, f"({sign.join(p.sql for p in parts)})"), fault=fault)

    def calculated(self, operator: str, left: SqlNode, right: SqlNode) -> SqlNode:
        parts = [left, right]
        if _OPERATORS[operator] == _PREDICATE:
            left, right = parts = compared(parts)
            return composed(parts, f"({left.sql} {'=' if operator == '==' else operator} {right.sql})")
        if operator == "||":
            same(parts, "text", operator)
            made = left.growth + right.growth
            return composed(parts, f"concat({left.sql}, {right.sql})", "text", growth=made)
        if operator in "|^&":
            same(parts, "whole", operator)
            wide = left.wide or right.wide
            return composed(parts, f"({left.sql} {operator} {right.sql})", "whole", wide=wide)
        return self.divided(left, right) if operator == "div" else self.reckoned(operator, left, right)

    def reckoned(self, operator: str, left: SqlNode, right: SqlNode) -> SqlNode:
        """Take `+ - * / %`, in the form that gives null where it may fail."""
        parts = [left, right]
        if operator == "%":
            same(parts, "number", operator)
            kind, like = unified(parts)
            sql = f"({left.sql} % nullif({right.sql}, 0))"
            return failing(composed(parts, sql, kind, like=like, more=right.weight), left, right)
        kind, wide = result_of(operator, left, right)
        doubles = {left.kind, right.kind} <= {"double", "whole"}
        if doubles and (right.never_zero if operator == "/" else kind == "double"):
            return composed(parts, f"({left.sql} {operator} {right.sql})", kind)
        word = {"+": "try_add", "-": "try_subtract", "*": "try_multiply", "/": "try_divide"}[operator]
        return failing(composed(parts, f"{word}({left.sql}, {right.sql})", kind, wide=wide), left, right)

    def divided(self, left: SqlNode, right: SqlNode) -> SqlNode:
        """Divide whole numbers. The smallest bigint by -1 is an error that Spark has no form for."""
        same([left, right], "whole", "DIV")
        written = isinstance(right.value, int) and right.value not in (0, -1)
        if left.wide and not written:
            raise NoExpressionError(
                "DIV of a bigint needs a divisor written out; write try_cast(n AS INT) DIV m"
            )
        if written:
            return composed([left, right], f"({left.sql} div {right.sql})", "whole", wide=True)
        sql = f"({left.sql} div nullif({right.sql}, 0))"
        return failing(composed([left, right], sql, "whole", wide=True, more=right.weight), left, right)

    def predicate(self, left: SqlNode) -> SqlNode:
        if self.accept("is"):
            return self.identity(left)
        negated = "NOT " if self.accept("not") else ""
        word = self.next().word
        if word == "between":
            low = self.binary(_PREDICATE + 1)
            self.expect("and")
            high = self.binary(_PREDICATE + 1)
            left, low, high = parts = compared([left, low, high])
            sql = f"({left.sql} {negated}BETWEEN {low.sql} AND {high.sql})"
            return composed(parts, sql, more=left.weight)
        if word == "in":
            self.expect("(")
            inside = self.arguments()
            left, *listed = compared([left, *inside])
            if not listed:
                raise NoExpressionError("IN needs values")
            values = ", ".join(n.sql for n in listed)
            return composed([left, *listed], f"({left.sql} {negated}IN ({values}))")
        if word in ("like", "ilike", "rlike", "regexp"):
            pattern = self.binary(_PREDICATE + 1)
            same([left], "text", word.upper())
            if not isinstance(pattern.value, str):
                raise NoExpressionError(f"{word.upper()} needs a text as its pattern")
            if word in ("like", "ilike"):
                if "\\" in pattern.value:
                    raise NoExpressionError(f"the pattern of {word.upper()} has a backslash; use RLIKE")
            else:
                self.names.probes.append(pattern_probe(pattern))
                word = "rlike"
            return composed([left], f"({left.sql} {negated}{word.upper()} {pattern.sql})")
        self.at -= 1
        raise self.unexpected()

    def identity(self, left: SqlNode) -> SqlNode:
        negated = "NOT " if self.accept("not") else ""
        if self.accept("distinct", "from"):
            right = self.binary(_PREDICATE + 1)
            left, right = compared([left, right])
            return composed([left, right], f"({left.sql} IS {negated}DISTINCT FROM {right.sql})")
        for word in ("null", "true", "false", "unknown"):
            if self.accept(word):
                if word != "null":
                    same([left], "boolean", f"IS {word.upper()}")
                return composed([left], f"({left.sql} IS {negated}{word.upper()})")
        raise self.unexpected("NULL, TRUE, FALSE or DISTINCT FROM is expected")

    def unary(self) -> SqlNode:
        sign = self.peek().word
        if sign not in ("-", "+", "~"):
            return self.postfix()
        self.next()
        if sign == "-" and self.peek().kind == "number":
            return number_of(self.next().text, "-")
        self.deeper()
        inner = self.unary()
        self.depth -= 1
        same([inner], "whole" if sign == "~" else "number", sign)
        if sign == "-" and inner.kind not in ("double", "decimal"):
            negative = composed([inner], f"try_subtract(0Y, {inner.sql})", inner.kind, like=inner)
            return failing(negative, inner)
        return composed([inner], f"({sign} {inner.sql})", inner.kind, like=inner)

    # --- values

    def postfix(self) -> SqlNode:
        node = self.primary()
        while True:
            if self.peek().text == "[" and self.peek().kind == "sign":
                self.next()
                self.deeper()
                index = self.binary(1)
                self.depth -= 1
                self.expect("]")
                if node.kind not in ("array", "map", "any"):
                    raise NoExpressionError("[ ] is for a column that is an array or a map")
                strict = node.kind == "array"
                node = element(node, index) if strict else element_at(node, index, strict=False)
            elif self.peek().text == "." and self.peek().kind == "sign":
                self.next()
                member = self.next()
                if member.kind not in ("name", "quoted"):
                    self.at -= 1
                    raise self.unexpected("the name of a struct's member is expected")
                if self.peek().text == "(":
                    raise self.unexpected()
                node = member_of(node, member.bare)
            else:
                return node

    def primary(self) -> SqlNode:
        token = self.next()
        if token.kind == "number":
            return number_of(token.text)
        if token.kind == "text":
            value = re.sub(r"''|\\(.)", lambda m: m[1] or "'", token.text[1:-1])
            return text_of(value)
        if token.kind == "name":
            return self.named(token)
        if token.kind == "quoted" and self.peek().text != "(":
            return self.column(token.bare)
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

    def named(self, token: Token) -> SqlNode:
        """Take what begins with a name: a word of the grammar, a function, a column."""
        word, after = token.word, self.peek()
        of_grammar: dict[str, Callable[[], SqlNode]] = {
            "case": self.case,
            "interval": self.interval,
            "null": lambda: SqlNode(sql="NULL", kind="null", constant=True),
            "true": lambda: SqlNode(sql="TRUE", kind="boolean", constant=True),
            "false": lambda: SqlNode(sql="FALSE", kind="boolean", constant=True),
        }
        if word in ("date", "timestamp") and after.kind == "text":
            return moment_of(word, str(self.primary().value))
        if word in of_grammar:
            return of_grammar[word]()
        if after.text == "(" and after.kind == "sign":
            self.next()
            if word in ("cast", "try_cast"):
                return self.cast(word)
            return self.extract() if word == "extract" else self.call(word)
        if word in self.known.by_lower or word not in _RESERVED:
            return self.column(token.text)
        self.at -= 1
        raise self.unexpected()

    def column(self, name: str) -> SqlNode:
        declared = self.known.by_lower.get(name.lower())
        if declared is None:
            known = name.lower() in _UNSTABLE
            (self.names.unstable if known else self.names.unknown).append(name.lower() if known else name)
            return SqlNode(sql="NULL", kind="any")
        self.names.columns.append(declared)
        return of_type(quoted(declared), self.known.types[declared])

    def interval(self) -> SqlNode:
        sign = "-" if self.accept("-") else ""
        amount, unit = self.next(), self.next()
        digits = amount.text.strip("'") if amount.kind in ("text", "number") else ""
        return interval_of(digits, unit.word, sign)

    def extract(self) -> SqlNode:
        """Take `EXTRACT(YEAR FROM d)`, which is `year(d)`; its bracket is open."""
        self.deeper()
        part = self.next().word
        if part not in _PARTS:
            raise NoExpressionError(f"EXTRACT takes one of {', '.join(_PARTS).upper()}")
        self.expect("from")
        inner = self.binary(1)
        if self.peek().text != ")":
            raise self.unexpected()
        self.next()
        self.depth -= 1
        return called(_PARTS[part], [inner])[0]

    def cast(self, word: str) -> SqlNode:
        self.deeper()
        inner = self.binary(1)
        if not self.accept("as"):
            raise self.unexpected("AS and a type are expected")
        base = self.next().word
        kind = TYPES.get(base)
        if kind is None:
            raise NoExpressionError(
                f"{base or 'this'!r} is no type that a value can be cast to; they are {', '.join(TYPES)}"
            )
        target = base.upper()
        if kind == "decimal" and self.accept("("):
            sizes = [self.next().text]
            if self.accept(","):
                sizes.append(self.next().text)
            if not all(re.fullmatch(r"\d{1,2}", s) for s in sizes):
                raise NoExpressionError("a decimal is written as DECIMAL(10, 2)")
            if not 1 <= int(sizes[0]) <= 38 or int(sizes[-1] if len(sizes) > 1 else 0) > int(sizes[0]):
                raise NoExpressionError(
                    "a decimal has 1 to 38 digits, of which those after the point are a part"
                )
            self.expect(")")
            target += f"({', '.join(sizes)})"
        if self.peek().text != ")":
            raise self.unexpected()
        self.next()
        self.depth -= 1
        if kind in TIMES:
            refuse_clock(inner, f"CAST AS {target}")
        if inner.kind not in {*CAST_TO.get(kind, {inner.kind}), "any", "null"}:
            raise NoExpressionError(f"a {inner.kind} cannot be cast to {target}")
        wide = base in ("bigint", "long")
        # an array is written as `[a, b]`, with null for what is not there
        made = inner.growth * (6 if inner.kind in ("array", "map", "struct") else 1)
        node = composed([inner], f"try_cast({inner.sql} AS {target})", kind, wide=wide, growth=made)
        widened = (inner.kind, kind) in (("boolean", "whole"), ("boolean", "double"), ("whole", "double"))
        safe = word == "try_cast" or kind == "text" or widened or (kind == inner.kind and kind not in NUMBERS)
        return node if safe else failing(node, inner)

    def case(self) -> SqlNode:
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
            subject, *tests = compared([subject, *tests])
            if subject.fault is not None:
                raise NoExpressionError(
                    "CASE needs a value that cannot fail; write CASE WHEN … with conditions"
                )
            tests = [composed([subject, t], f"({subject.sql} = {t.sql})") for t in tests]
        else:
            same(tests, "boolean", "WHEN")
        return self.branches(list(zip(tests, values, strict=True)), otherwise)

    def branches(self, cases: list[tuple[SqlNode, SqlNode]], otherwise: SqlNode | None) -> SqlNode:
        results = comparable([v for _, v in cases] + ([otherwise] if otherwise else []))
        kind, like = unified(results)
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
        return replace(composed(parts, f"(CASE {written}{last} END)", kind, like=like), fault=fault)

    # --- functions

    def arguments(self) -> list[SqlNode]:
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

    def call(self, name: str) -> SqlNode:
        if name in _UNSTABLE:
            self.names.unstable.append(name)
        elif name not in FUNCTIONS and name not in ("if", "nvl2"):
            raise NoExpressionError(
                f"{name} is no function that an expression may use (docs/how_to/add_check.md lists them)"
            )
        given = self.arguments()
        if name in _UNSTABLE:
            return SqlNode(sql="NULL", kind="any")
        if name in ("if", "nvl2"):
            if len(given) != 3:
                raise NoExpressionError(f"{name} takes 3 arguments, found {len(given)}")
            test, then, otherwise = given
            if name == "nvl2":
                test = composed([test], f"({test.sql} IS NOT NULL)")
            same([test], "boolean", "the condition of IF")
            return self.branches([(test, then)], otherwise)
        node, probes = called(name, given)
        self.names.probes += probes
        return node
