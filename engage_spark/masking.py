"""Mask secrets, and make text safe to show. Whatever is printed, logged or recorded goes through here.

Secrets are known in three ways: by the name that they stand under (`is_secret_name`), by what the text
around them looks like (a password in an address, `token=…`), and by their value, once settings named it
(`remember`).
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "***"

_SECRET_NAME = re.compile(
    r"key|secret|token|passw|pwd|credential|signature|private|\bsas\b|\bsig\b|\bauth\b", re.IGNORECASE
)
_WORD = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credentials?|signature|\bsig|\bsas"
    r"|(?:access|account|api|private|secret|session|shared|storage)[ ._-]?key(?:[ ._-]?id)?)"
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s&;,'")\]}]+)"""
_PATTERNS = (
    # user:password@ in an address, and Oracle's user/password@; greedy, since a password may hold an @
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^\s'\"<>,]*@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(r"(jdbc:\w+:\w+:)[^\s'\"<>]*@", re.IGNORECASE), rf"\1{MASK}@"),
    # password=…, ?sig=…, ;token=…, "token": "…", secret_key:…
    (re.compile(rf"([\w.-]*{_WORD}[\w.-]*['\"]?\s*=\s*){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(rf"([\w.-]*{_WORD}[\w.-]*['\"]\s*:\s*)(?:\"[^\"]*\"|'[^']*')", re.IGNORECASE),
        rf"\1'{MASK}'",
    ),
    (re.compile(rf"([\w.-]*{_WORD}[\w.-]*:)[^\s'\",;)]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}"), rf"\1 {MASK}"),
    # keys that give themselves away: AWS, Databricks, GitHub, JSON web tokens
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bdapi[0-9a-f]{32}\b|\bgh[pousr]_\w{36}\b"), MASK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
        MASK,
    ),
)
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SHORTEST = 6
"""Characters from which on a secret is looked for by its value: a shorter one may be any word."""

_remembered: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Return whether what stands under this name is a secret: an option of Spark, a variable, a setting."""
    return _SECRET_NAME.search(name) is not None


def remember(values: Iterable[str | None]) -> None:
    """Mask these values wherever they turn up from now on, by themselves or percent-encoded."""
    for value in values:
        if value is not None and len(value) >= _SHORTEST and value.lower() not in ("true", "false"):
            _remembered.update((value, quote(value, safe=""), quote_plus(value)))


def remember_environment() -> None:
    """Mask the values of all environment variables whose names speak of a secret."""
    remember(v for k, v in os.environ.items() if is_secret_name(k) and not v.startswith(("/", "./")))


def remember_settings(values: Any, name: str = "") -> None:
    """Mask the secrets that settings hold, and the passwords in their addresses."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            remember_settings(value, str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            remember_settings(value, name)
    elif isinstance(values, str):
        remember([values] if is_secret_name(name) else [])
        remember([unquote(password)] if (password := _password_in(values)) else [])


def _password_in(address: str) -> str | None:
    try:
        return urlsplit(address).password
    except ValueError:  # an address that cannot be one has no password that could be found
        return None


def mask(text: str) -> str:
    """Return the text without the secrets that are known or look like one."""
    for value in sorted(_remembered, key=len, reverse=True):
        if value in text:
            text = text.replace(value, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def mask_values(value: Any, name: str = "") -> Any:
    """Return settings as plain data with their secrets masked: by their names, and in every text."""
    if isinstance(value, Mapping):
        return {k: mask_values(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [mask_values(v, name) for v in value]
    if isinstance(value, str):
        return MASK if name and value and is_secret_name(name) else mask(value)
    return value


def mask_texts(value: Any) -> Any:
    """Return plain data, such as a result, with the secrets in its texts masked; no name is looked at."""
    if isinstance(value, Mapping):
        return {k: mask_texts(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [mask_texts(v) for v in value]
    return mask(value) if isinstance(value, str) else value


def printable(text: str) -> str:
    r"""Return the text without what a terminal or a page would obey: escapes, control characters, signs that
    turn the direction of writing or are invisible. They are written out, as JSON does: `\u001b`.
    """
    return _UNSAFE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def shown(text: str) -> str:
    """Return what may be shown of a text to people: `mask` and `printable`."""
    return printable(mask(text))


def escaped(text: str) -> str:
    """Return what may be shown of a text on a page or in a picture, with HTML's signs written out."""
    return html.escape(shown(text))
