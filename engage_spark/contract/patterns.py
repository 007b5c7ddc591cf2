"""Look at regular expressions without a JVM, and anchor them.

They are Java's. Spark alone knows whether one compiles (`contract lint --engine` asks it, and so does every
stage before it reads data); this finds what no engine takes, and what would change its meaning once anchored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_START, _END = r"\A(?:", r")\z"
_NOT_TAKEN = (
    (re.compile(r"\(\?P[<=>]"), "names a group as Python does; Java writes (?<name>…)"),
    (
        re.compile(r"\(\?[a-zA-Z]*x"),
        "sets the flag x, by which a # hides the end of what it is put into",
    ),
)
_CAPTURES = re.compile(r"\((?!\?)|\(\?<(?![=!])")


def anchored_pattern(pattern: str) -> str:
    """Return the Java (and RE2) regular expression that matches the whole value, newlines included."""
    return f"{_START}{pattern}{_END}"


def bare_pattern(anchored: str) -> str:
    """Return the pattern as the contract has it."""
    return anchored.removeprefix(_START).removesuffix(_END)


def pattern_problem(pattern: str) -> str | None:
    """Return why a text cannot be a Java regular expression, in words; None where nothing speaks against it.

    Spark alone knows (`contract lint --engine`): this finds what no dialect takes, brackets that are not
    balanced, and named groups as Python writes them.
    """
    if len(pattern) > 2_000:
        return f"has {len(pattern):,} characters, more than 2,000"
    depth = 0
    for sign, place in _signs(pattern):
        if sign == "unclosed":
            return f"is not a regular expression: {pattern[place:][:20]!r} is never closed"
        depth += 1 if sign == "(" else -1
        if depth < 0:
            return "is not a regular expression: a closing parenthesis has no opening one"
        if depth > 50:
            return "nests more than 50 levels deep"
        if problem := next((why for form, why in _NOT_TAKEN if form.match(pattern, place)), None):
            return problem
    return "is not a regular expression: an opening parenthesis is never closed" if depth else None


def count_groups(pattern: str) -> int:
    """Return how many groups of a pattern capture."""
    return sum(sign == "(" and _CAPTURES.match(pattern, place) is not None for sign, place in _signs(pattern))


def _signs(pattern: str) -> Iterator[tuple[str, int]]:
    r"""Yield the brackets of a pattern that are signs: none in `[…]` or `\Q…\E`, none after `\` or `\c`."""
    at, classes, opened = 0, 0, 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            # `\c(` is a control character
            width = 3 if pattern.startswith(r"\c", at) else 2
            end = at + width
            if pattern.startswith(r"\Q", at):
                closed = pattern.find(r"\E", at)
                end = closed + 2 if closed >= 0 else len(pattern) + 1
            if end > len(pattern):
                yield "unclosed", at
            at = end
            continue
        if sign == "[":
            opened = opened if classes else at
            classes += 1
            # a bracket that stands first belongs to the class
            at += 1 + pattern.startswith("^", at + 1)
            at += pattern.startswith("]", at)
            continue
        if sign == "]" and classes:
            classes -= 1
        elif sign in "()" and not classes:
            yield sign, at
        at += 1
    if classes:
        yield "unclosed", opened
