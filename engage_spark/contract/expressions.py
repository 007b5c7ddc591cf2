"""Find the names in a Spark SQL expression without Spark, so that a contract fails before any job starts.

This is a tokeniser, not a parser: it knows literals, quoted names, functions and the keywords of scalar
expressions. Anything else that looks like a name has to be a declared column. Spark later says whether the
expression parses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<literal>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      | (?P<quoted>`(?:[^`]|``)*`)
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?:BD|[DdFfLlSsYy])?(?![A-Za-z0-9_]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<other>\S)""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """and or not is null true false case when then else end between in like ilike rlike regexp as div
        interval distinct from
        year years month months week weeks day days hour hours minute minutes second seconds
        tinyint byte smallint short int integer bigint long float real double decimal numeric string boolean
        date timestamp binary""",
    )
)
# Functions that differ by run, partition or file: a formula that used one could not be reproduced.
_UNSTABLE = frozenset(
    re.findall(
        r"\w+",
        """current_date curdate current_timestamp current_time now localtimestamp current_timezone
        current_user user session_user current_catalog current_database current_schema rand randn
        random randstr uniform uuid shuffle monotonically_increasing_id spark_partition_id
        input_file_name input_file_block_start input_file_block_length version""",
    )
)
# Functions that run other code or end the job: no statement about a row needs them.
_FORBIDDEN = frozenset({"reflect", "java_method", "try_reflect", "raise_error", "assert_true"})


@dataclass(frozen=True, kw_only=True)
class ReferencedNames:
    """Names in an expression: declared columns (in order of use), other names, and unstable functions.

    `refused` says what makes it more than one scalar expression: a second statement, a comment, a name for
    the result.
    """

    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    unstable: tuple[str, ...]
    refused: tuple[str, ...] = ()


def referenced_names(expression: str, known: Iterable[str]) -> ReferencedNames:
    """Sort the names in a Spark SQL expression into columns, unknown names and unstable functions.

    Columns match regardless of case, as in Spark; a column in `known` wins over a keyword.
    """
    declared = {name.lower(): name for name in known}
    columns: list[str] = []
    unknown: list[str] = []
    unstable: list[str] = []
    matches = list(_TOKEN.finditer(expression))
    tokens = [(m.lastgroup, m.group()) for m in matches]
    for i, (kind, text) in enumerate(tokens):
        before = tokens[i - 1][1].lower() if i else ""
        after = tokens[i + 1][1] if i + 1 < len(tokens) else ""
        # a struct's member, or the type of a CAST
        if kind not in ("name", "quoted") or before in (".", "as"):
            continue
        name = text[1:-1].replace("``", "`") if kind == "quoted" else text
        word = name.lower()
        if kind == "name" and word in _FORBIDDEN and after == "(":
            unknown.append(name)
        elif kind == "name" and word in _UNSTABLE and (after == "(" or word not in declared):
            unstable.append(word)
        elif kind == "name" and after == "(":
            continue
        elif word in declared:
            columns.append(declared[word])
        elif kind == "quoted" or word not in _KEYWORDS:
            unknown.append(name)
    return ReferencedNames(
        columns=tuple(dict.fromkeys(columns)),
        unknown=tuple(dict.fromkeys(unknown)),
        unstable=tuple(dict.fromkeys(unstable)),
        refused=tuple(_refused(matches)),
    )


def _refused(matches: Sequence[re.Match[str]]) -> Iterator[str]:
    """Spark's parser would take an expression with a name (`a > 1 AS b`), and would skip comments."""
    opened: list[str] = []
    for before, m, after in zip([None, *matches], matches, [*matches[1:], None], strict=False):
        text = m.group()
        pair = text + after.group() if after and after.start() == m.end() else text
        if text == "(":
            opened.append(before.group().lower() if before and before.lastgroup == "name" else "")
        elif text == ")" and not opened:
            yield "a closing parenthesis has no opening one"
            return
        elif text == ")":
            opened.pop()
        elif text == ";":
            yield "';' starts another statement"
        elif pair in ("--", "/*"):
            yield f"{pair!r} starts a comment"
        elif (
            m.lastgroup == "name"
            and text.lower() == "as"
            and (not opened or opened[-1] not in ("cast", "try_cast"))
        ):
            yield "AS gives the result a name, which a statement about a row has not"
    if opened:
        yield "an opening parenthesis is never closed"
