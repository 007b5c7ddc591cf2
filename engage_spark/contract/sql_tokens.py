"""Part the text of an expression into names, literals and signs, and walk over them.

Everything else is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 20_000
"""Characters of an expression."""
MOST_WORDS = 2_000
"""Names, literals and signs of an expression."""

DEEPEST = 40
"""How deep brackets, functions and signs of an expression may nest."""

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


class TokenCursor:
    """A place in a list of tokens, and how deep in brackets it is."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.at = 0
        self.depth = 0

    def peek(self, ahead: int = 0) -> Token:
        """Return the token that comes next, or one of the kind `end`."""
        i = self.at + ahead
        return self.tokens[i] if i < len(self.tokens) else Token("end", "")

    def next(self) -> Token:
        """Take the next token."""
        token = self.peek()
        self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        """Take the words where they come next, and return whether they did."""
        if all(self.peek(i).word == word for i, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def expect(self, word: str) -> None:
        """Take a word that has to come next."""
        if not self.accept(word):
            raise self.unexpected(f"{word.upper()} is expected")

    def unexpected(self, wanted: str = "") -> NoExpressionError:
        """Return the error that says what the next token is doing there."""
        token = self.peek()
        more = f"; {wanted}" if wanted else ""
        if token.kind == "end":
            return NoExpressionError(
                f"it ends too early{more}" if self.depth == 0 else "an opening parenthesis is never closed"
            )
        if token.text == ")":
            return NoExpressionError(
                "a closing parenthesis has no opening one"
                if self.depth == 0
                else f"')' stands where more is expected{more}"
            )
        if token.word == "as":
            return NoExpressionError("AS gives the result a name, which a statement about a row has not")
        before = self.tokens[self.at - 1] if self.at else None
        if before is not None and before.kind == "name" and token.kind == "text":
            return NoExpressionError(f"{before.text}'…' is a kind of text that is not allowed")
        if before is not None and before.kind in ("name", "quoted") and token.text == "(":
            return NoExpressionError(f"{before.text} is qualified or quoted, and no function is")
        return NoExpressionError(f"{token.text[:40]!r} stands where it cannot{more}")

    def deeper(self) -> None:
        """Go one bracket, function or sign deeper."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise NoExpressionError(f"it nests more than {DEEPEST} levels deep")


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
