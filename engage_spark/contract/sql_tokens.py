"""Part the text of an expression into names, literals and signs; everything else is refused here."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 20_000
"""Characters of an expression."""
MOST_WORDS = 2_000
"""Names, literals and signs of an expression."""

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
_LONE_BACKSLASH = re.compile(r"'(?:[^'\\]|\\['\\]|'')*\\([^'\\])")


class NoExpressionError(Exception):
    """What is no expression; its message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A name, a literal or a sign."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """Return a name or a sign in lower case; of a literal nothing."""
        return self.text.lower() if self.kind in ("name", "sign") else ""

    @property
    def bare(self) -> str:
        """Return a name without its backticks."""
        return self.text[1:-1].replace("``", "`") if self.kind == "quoted" else self.text


def tokens_of(text: str) -> list[Token]:
    """Part a text.

    Errors: NoExpressionError where it is too long, or holds what no expression has.
    """
    if len(text) > LONGEST:
        raise NoExpressionError(f"it has {len(text):,} characters, more than {LONGEST:,}")
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NoExpressionError(_unreadable(text, at))
        if match.lastgroup == "comment":
            raise NoExpressionError(f"{match.group()!r} starts a comment")
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group()))
        at = match.end()
    if len(tokens) > MOST_WORDS:
        raise NoExpressionError(f"it has {len(tokens):,} words, more than {MOST_WORDS:,}")
    return tokens


def _unreadable(text: str, at: int) -> str:
    reasons = {
        ";": "';' starts another statement",
        "'": "a text is never closed, or has a backslash before something other than a quote or a backslash",
        '"': "text stands in single quotes, and a name in backticks: double quotes are either, by a setting",
        "`": "a quoted name is never closed, or holds $, which Spark replaces",
        "\\": "a backslash stands outside of a text",
        "/": "'/' stands alone",
    }
    character = text[at]
    if (lone := _LONE_BACKSLASH.match(text, at)) is not None and lone[1].isprintable():
        return f"a backslash in a text is written twice: write \\\\{lone[1]} for \\{lone[1]}"
    if character.isdigit():
        return "a number is written in a way that is not known"
    return reasons.get(character, f"{character!r} is no sign of an expression")
