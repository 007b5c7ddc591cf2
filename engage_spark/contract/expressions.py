"""What a Spark SQL expression refers to, found without Spark, so that a contract can be refused before any job starts.

This is a tokeniser, not a parser: it knows literals, quoted names, functions and the keywords of scalar expressions.
Anything else that looks like a name has to be a declared column. Whether the expression parses, Spark says later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
        """and or not is null true false case when then else end between in like ilike rlike regexp as div interval distinct from
        year years month months week weeks day days hour hours minute minutes second seconds
        tinyint byte smallint short int integer bigint long float real double decimal numeric string boolean date timestamp binary""",
    )
)
# What differs from run to run, from partition to partition or by file: a formula that used it could not be reproduced.
_UNSTABLE = frozenset(
    re.findall(
        r"\w+",
        """current_date curdate current_timestamp current_time now localtimestamp current_timezone current_user user session_user
        current_catalog current_database current_schema rand randn random randstr uniform uuid shuffle monotonically_increasing_id
        spark_partition_id input_file_name input_file_block_start input_file_block_length version""",
    )
)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What an expression refers to: declared columns (as declared, in order of use), other names, and unstable functions."""

    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    unstable: tuple[str, ...]


def usage(expression: str, known: Iterable[str]) -> Usage:
    """Sort the names in a Spark SQL expression. Columns match regardless of case, as in Spark; a known column wins over a keyword."""
    declared = {name.lower(): name for name in known}
    columns: list[str] = []
    unknown: list[str] = []
    unstable: list[str] = []
    tokens = [(m.lastgroup, m.group()) for m in _TOKEN.finditer(expression)]
    for i, (kind, text) in enumerate(tokens):
        before = tokens[i - 1][1].lower() if i else ""
        after = tokens[i + 1][1] if i + 1 < len(tokens) else ""
        if kind not in ("name", "quoted") or before in (".", "as"):  # a struct's member, or the type of a CAST
            continue
        name = text[1:-1].replace("``", "`") if kind == "quoted" else text
        word = name.lower()
        if kind == "name" and word in _UNSTABLE and (after == "(" or word not in declared):
            unstable.append(word)
        elif kind == "name" and after == "(":
            continue
        elif word in declared:
            columns.append(declared[word])
        elif kind == "quoted" or word not in _KEYWORDS:
            unknown.append(name)
    return Usage(columns=tuple(dict.fromkeys(columns)), unknown=tuple(dict.fromkeys(unknown)), unstable=tuple(dict.fromkeys(unstable)))
