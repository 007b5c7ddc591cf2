"""Mask secrets, and make text safe to show. Whatever is printed, logged or recorded goes through here.

Secrets are known in three ways: by the name that they stand under (`is_secret_name`), by what the text
around them looks like (a password in an address, `token=…`), and by their value, once settings named it
(`remember`).

Cost: linear in the text. No pattern begins with a repetition, and repetitions that may fail have a bound.
"""

from __future__ import annotations

import html
import json
import numbers
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

_KEY = (
    r"(?:access|account|api|decryption|encryption|functions|private|secret|sentry|session|shared|signing|ssh"
    r"|storage|subscription)[ ._-]?key"
)
_WORD = (
    r"(?:(?<!com)(?<!by)(?<!sur)pass(?!ive|ed|ing|enger|es|age|port|ion|[ _-](?:rate|count|rows)|\s)"
    r"|pwd|secret|token|credential(?!s?[._-]?provider)|signature|cookie|bearer|jwt|webhook"
    r"|auth(?!ent|or(?!i[sz]))|connection[ ._-]?string|(?<![a-z])(?:sas|sig|pat|dsn|pw)(?![a-z])"
    rf"|{_KEY})"
)
_STRONG = rf"(?:passw(?:or)?d|passphrase|(?<![a-z])pwd|secret|{_KEY})"
"""Names that are hardly those of anything else: around them more is taken for a secret."""
_SECRET_NAME = re.compile(rf"key|private|{_WORD}", re.IGNORECASE)
_TEXT_NAME = re.compile(_WORD, re.IGNORECASE)
_OF_COLUMNS = (
    r"(?:missing|started|ended|published|rejected|refused|failed|unknown|unique|warn|error|info|null|none"
    r"|true|false|string|text|(?:tiny|small|big)?int|integer|long|double|float|number|boolean|date"
    r"|timestamp(?:_ntz)?|binary)(?![\w.@/+=-])"
)
"""What is said of columns, whose names may be any."""
_PLAIN = re.compile(_OF_COLUMNS, re.I)
_FIGURE = re.compile(r"[+-]?\d{1,6}(?:\.\d{1,9})?%?")
_MAY_BE_SHORT = re.compile(r"pass|pwd|pw|secret|credential", re.IGNORECASE)
"""Secrets that people make up may be a short number."""
_AMOUNT = re.compile(r"\d{1,3}(?:,\d{3})*(?:\.\d{1,9})?%?(?= [a-z]| of )|\d{1,12}(?:\.\d{1,9})?%?(?= [a-z])")
_QUOTED = (
    r"""\"{3}[^\"]{0,4000}\"{0,3}|'{3}[^']{0,4000}'{0,3}"""
    r"""|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?"""
)
_NAMED = re.compile(
    rf"({_WORD}[\w.-]{{0,40}}(?:\[\w{{1,9}}\])?(\\*['\"])?[ \t\xa0]*)"
    rf"(?:(=(?![=>])[ \t\xa0]*)({_QUOTED}|[^\s&;]+)"
    rf"|(:[ \t]*)({_QUOTED}|[^\s,;)\]}}]+)(?=(\s*(?:$|[\n#,;)\]}}]))?))",
    re.IGNORECASE,
)
"""What stands after the name of a secret: after `=`, or after `:` as in YAML, JSON and headers."""
_HEADER = re.compile(r"\b((?:authorization|cookie)['\"]?[ \t]*[:=][ \t]*['\"]?)[^\n'\"]+", re.IGNORECASE)
_REST = r"[\w.-]{0,40}"
_VALUE = rf"(?:{_QUOTED}|(?:(?!/>)[^\s,;)\]}}])+)"
_SHORT_VALUE = r"""(?>\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|[^\s,;:=\"'<>{}()\[\]]{1,400})"""
_RANDOM = r"(?=[^\sA-Z]{0,60}[A-Z])(?=[^\sa-z]{0,60}[a-z])(?=[^\s\d]{0,60}\d)[A-Za-z0-9+/=_.~-]{16,400}"
"""What hardly is a word or a name: both cases, and digits."""
_NO_NUMBER = r"(?!['\"]?\d{1,20}(?:\.\d{1,20})?(?:['\"\s,;)/]|$))"
_MIXED = r"(?=['\"]?[^\s\d]{0,60}\d)(?=['\"]?[^\sA-Za-z*]{0,60}[A-Za-z*])"
_ASSIGNMENTS = ("->", "=>", ":=", "<-", "→", "＝", "：", "&equals;", "&#x3D;", ": !vault", ": !!str")
_PERCENT = r"%(?:25){0,3}"
_HTML_QUOTE = r"&(?:quot|apos|#34|#39|#x27|#x22);"
_WRITTEN: tuple[tuple[str, re.Pattern[str]], ...] = (
    # how others write a name with its value: maps of Scala, Perl and Ruby, assignments, pairs, calls, entries
    # with a name and a value of their own, SQL, lists, JDBC's braces, YAML's blocks, sentences, Hadoop's and
    # other XML, addresses and pages with their signs escaped, files of properties
    *(
        (sign, re.compile(rf"({_WORD}{_REST}['\"]?[ \t]{{0,4}}{sign}[ \t]{{0,4}}){_VALUE}", re.I))
        for sign in _ASSIGNMENTS
    ),
    ("==", re.compile(rf"({_STRONG}{_REST}[ \t]{{0,4}}==[ \t]{{0,4}}){_VALUE}", re.I)),
    *(
        (
            sign,
            re.compile(
                rf"((?<!\bIN )(?<!\bIN)[(\[]['\"][\w.-]{{0,99}}{name}['\"],[ ]?){_SHORT_VALUE}(?=[)\]])", re.I
            ),
        )
        for sign in ("',", '",')
        for name in (_STRONG + _REST, _WORD + _REST + rf"(?=['\"],[ ]?{_MIXED})")
    ),
    *(
        (sign, re.compile(rf"({_STRONG}{_REST}\((?:\w{{1,20}}=)?)(?:{_QUOTED})(?=\))", re.I))
        for sign in ("('", '("', "='")
    ),
    *(
        (sign, re.compile(pattern, re.I))
        for sign in ("value", "Value", "VALUE")
        for pattern in (
            rf"(\b(?:name|key)['\"]?\s{{0,4}}[:=]\s{{0,4}}['\"]?[\w.-]{{0,99}}{_WORD}{_REST}['\"]?[\s,;]{{1,40}}"
            rf"['\"]?value['\"]?\s{{0,4}}[:=]\s{{0,4}}){_NO_NUMBER}{_VALUE}",
            rf"(\bvalue['\"]?\s{{0,4}}[:=]\s{{0,4}}){_NO_NUMBER}{_SHORT_VALUE}(?=[\s,;]{{1,40}}['\"]?(?:name|key)"
            rf"['\"]?\s{{0,4}}[:=]\s{{0,4}}['\"]?[\w.-]{{0,99}}{_WORD})",
        )
    ),
    *(
        (
            sign,
            re.compile(
                rf"({name}[`]?[ \t]{{1,4}}(?:(?:is|was|to|for[ ]\S{{1,99}}[ ]=)[ \t]{{1,4}})?)"
                rf"{sign}{looks}[^{sign}\n]{{1,400}}{sign}?",
                re.I,
            ),
        )
        for sign in "'\""
        for name, looks in ((r"\b(?:passw(?:or)?d|passphrase|pwd)", ""), (_STRONG + _REST, _MIXED))
    ),
    *(
        (sign, re.compile(rf"(['\"]-{{1,2}}[\w.-]{{0,80}}{_WORD}{_REST}{sign}[ ]?)(?:{_QUOTED})", re.I))
        for sign in ("',", '",')
    ),
    (
        "(",
        re.compile(r"((?<![a-z])(?:auth|credentials?)['\"]?[ ]?[=:][ ]?[\w.]{0,60})\([^)\n]{1,400}\)?", re.I),
    ),
    ("(", re.compile(rf"(\([\w.-]{{0,99}}{_WORD}{_REST},)[^\s)]+", re.I)),
    ("[", re.compile(rf"({_WORD}{_REST}['\"]?[ \t]{{0,4}}[=:][ \t]{{0,4}})\[[^\]\n]{{0,4000}}\]?", re.I)),
    ("{", re.compile(rf"({_WORD}{_REST}=)\{{[^}}\n]{{0,400}}\}}?", re.I)),
    (
        "\n",
        re.compile(
            rf"({_WORD}{_REST}['\"]?[ \t]{{0,4}}:[ \t]{{0,4}}[|>][0-9+-]{{0,2}}[ \t]{{0,4}}\n[ \t]{{1,40}})"
            r"\S[^\n]*(?:\n[ \t]+[^\n]*)*",
            re.I,
        ),
    ),
    (
        "\n",
        re.compile(
            rf"({_WORD}{_REST}['\"]?[ \t]{{0,4}}:[ \t]{{0,4}}\n[ \t]{{1,40}}(?:-[ ])?)"
            rf"(?:(?<=-[ ])|{_MIXED})[^\s:]+$",
            re.I | re.M,
        ),
    ),
    *(
        (
            " ",
            re.compile(
                rf"((?:{name})[ \t]{{1,4}}(?:(?:is|was|to)[ \t]{{1,4}})?){begin}{_MIXED}"
                r"(?![a-z]{1,40}_[a-z0-9_]{1,80}(?:\s|$))[^\s'\"=:,;()]{6,}",
                re.I,
            ),
        )
        for name, begin in (
            (r"\bpassw(?:or)?d|\bpassphrase|\bpwd|\bsecret|(?<![a-z])token|credentials?", ""),
            (_STRONG + _REST, rf"(?:(?=[A-Za-z+/])|(?={_RANDOM}))"),  # a column, of which numbers are said
        )
    ),
    *(
        (
            f" {verb} ",
            re.compile(
                rf"((?i:{_STRONG}|\btoken){_REST}[ ]{verb}[ ])"
                r"(?=[A-Za-z]{0,60}[a-z][A-Z])[A-Za-z]{6,100}\b"
            ),
        )
        for verb in ("is", "was")
    ),
    ("<value>", re.compile(rf"({_WORD}{_REST}</name>\s{{0,40}}<value>)[^<]+", re.I)),
    ("</", re.compile(rf"(<[\w.:-]{{0,40}}{_WORD}{_REST}>)[^<]+(?=</)", re.I)),
    ("</", re.compile(rf"(=['\"][\w.-]{{0,99}}{_WORD}{_REST}['\"][^<>]{{0,99}}>)[^<]+(?=</)", re.I)),
    ("&lt;/", re.compile(rf"(&lt;[\w.:-]{{0,40}}{_WORD}{_REST}&gt;)[^\s&]+(?=&lt;/)", re.I)),
    (
        "%",
        re.compile(
            rf"({_WORD}{_REST}(?:{_PERCENT}2[27])?{_PERCENT}3[AD](?:{_PERCENT}20|\+)?(?:{_PERCENT}2[27])?)"
            r"[^\s&;%]+",
            re.I,
        ),
    ),
    (
        "&",
        re.compile(
            rf"({_WORD}{_REST}(?:{_HTML_QUOTE})?[ ]?(?:=|:|&\#61;)[ ]?(?:{_HTML_QUOTE})?)(?<=;)[^\s&]+", re.I
        ),
    ),
    ("  ", re.compile(rf"(\w\.[\w.-]{{0,99}}{_WORD}{_REST}[ ]{{2,40}})\S+$", re.I | re.M)),
    ("\t", re.compile(rf"({_WORD}{_REST}\t[ \t]{{0,40}})(?!{_OF_COLUMNS})\S+$", re.I | re.M)),
    *(
        (
            sign,
            re.compile(rf"((?i:{_WORD}{_REST})['\"`]?[ \t]{{0,4}}[|,;][ \t]{{0,4}}['\"]?){_RANDOM}"),
        )
        for sign in "|,;"
    ),
)
"""Each with a text without which it is not looked for."""
_ALONE = (
    # without the name of a secret: SQL, options of commands and lists of them, a key of AWS beside its id
    *(
        (
            sign,
            re.compile(r"(\bidentified[ \t]{1,4}by[ \t]{1,4})(?:'[^'\n]{1,400}'?|\"[^\"\n]{1,400}\"?)", re.I),
        )
        for sign in ("dentified", "DENTIFIED")
    ),
    ("-u", re.compile(r"(?<![\w-])((?:-u|--user)(?:[ =]{1,4}|['\"],[ ]?['\"])[^\s:'\"]{1,64}:)[^\s'\"]+")),
    (
        "-p",
        re.compile(rf"((?<![\w-])-p(?:[ \t]{{1,4}}|['\"],[ ]?['\"])){_MIXED}[^\s'\",;/.]{{6,}}(?![\w/.])"),
    ),
    ("-p", re.compile(rf"((?<![\w-])-p(?:[ \t]{{1,4}}|['\"],[ ]?['\"])){_RANDOM}")),
    ("-p", re.compile(r"(\b(?:mysql|mysqldump|mariadb|sshpass)\b[^\n]{0,200}?[ ]-p[ ]?)[^\s-]\S*")),
    *(
        (sign, re.compile(rf"({sign}[0-9A-Z]{{16}}[\s'\",:;/|=]{{1,6}})[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+])"))
        for sign in ("AKIA", "ASIA")
    ),
)
_OPTION = re.compile(rf"(?<![\w-])(--([\w.-]{{1,80}})[ \t]+)(?!-)({_QUOTED}|\S+)")
_PORT = r"\d{1,5}(?:[^\w@]|$)"
_IN_BLANKS = re.compile(rf"(?<!/)//[^\s/:@\[]{{1,64}}:(?!{_PORT})[^\n@]{{0,200}}@")
_WITHOUT_HOST = re.compile(rf"(?<!/)//[^\s/:@\[{{]{{1,200}}:(?!{_PORT}|//)\S+")
_WITHOUT_SCHEME = re.compile(r"(?<=\w)(?<!\bmailto):(?![/\\])[^\s/]{1,100}@(?=\w)")
_JDBC = re.compile(r"jdbc:\w{1,30}:(?:\w{1,30}:)?", re.IGNORECASE)
_WORDS = re.compile(r"\S+")
_KEYS = (
    # keys that give themselves away: AWS, Databricks, GitHub, GitLab, Hugging Face, Slack, JSON web tokens,
    # Google, npm, PyPI, Stripe, SendGrid, Vault, age, Azure's storage
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bdapi[0-9a-f]{32}(?:-\d)?\b|\bgh[pousr]_\w{36}\b"),
    re.compile(r"\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bxox[a-z]-[\w-]{10,}"),
    re.compile(r"(?<![\w-])sk-[\w-]{20,}|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    re.compile(r"\bAIza[\w-]{35}|(?<=[?&]key=)[\w-]{8,}"),
    re.compile(r"\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[\w-]{16,}|\b[sr]k_(?:live|test)_\w{16,}|\bxapp-[\w-]{16,}"),
    re.compile(r"\bSG\.[\w-]{16,}\.[\w-]{16,}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}|\bhvs\.[\w-]{20,}"),
    re.compile(r"\bAGE-SECRET-KEY-1[A-Z0-9]{16,}|\b[A-Za-z0-9+/]{86}=="),
    re.compile(r"(?<=hooks\.slack\.com/)[^\s'\"]+|(?<=/api/webhooks/)[^\s'\"]+|(?<=/webhookb2/)[^\s'\"]+"),
    re.compile(
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)", re.S
    ),
)
_SCHEME = re.compile(
    rf"\b(Bearer\s+|Basic\s+|bearer\s+(?={_RANDOM})|basic\s+(?={_RANDOM}))[A-Za-z0-9+/=._~-]{{8,}}"
)
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORTEST, _SHORTEST_SETTING = 6, 4
"""Characters from which on a secret is looked for by its value: a shorter one may be any word. What settings
hold is looked for from four characters on."""
_LONGEST = 10_000
"""Characters of a secret that begins where a text is cut."""
_FOLDERS = frozenset({"PWD", "OLDPWD"})

_remembered: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Return whether what stands under this name is a secret: an option of Spark, a variable, a setting."""
    return _SECRET_NAME.search(name) is not None


def remember(values: Iterable[str | None], *, shortest: int = _SHORTEST) -> None:
    """Mask these values wherever they turn up from now on, as they are or as an address or JSON has them."""
    for value in values:
        if value is not None and len(value) >= shortest and value.lower() not in ("true", "false", "null"):
            _remembered.update(_spellings(value))


def _spellings(value: str) -> Iterator[str]:
    yield value
    for escaped_ in (quote(value, safe="", errors="replace"), quote(value, errors="replace"),
                     quote_plus(value, errors="replace")):  # fmt: skip
        yield escaped_
        yield re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), escaped_)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)


def remember_environment() -> None:
    """Mask the values of all environment variables whose names speak of a secret, save paths that exist."""
    remember(
        v for k, v in os.environ.items() if k not in _FOLDERS and is_secret_name(k) and not Path(v).exists()
    )


def remember_settings(values: Any, name: str = "") -> None:
    """Mask the secrets that settings hold, and the passwords in their addresses."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            remember_settings(value, name if name and is_secret_name(name) else str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            remember_settings(value, name)
    elif isinstance(values, str | int | float) and not isinstance(values, bool):
        secrets = [str(values)] if is_secret_name(name) else []
        if password := _password_in(str(values)):
            secrets += [password, unquote(password)]
        remember(secrets, shortest=_SHORTEST_SETTING)


def _password_in(address: str) -> str | None:
    match = re.search(rf"(?<!/)//[^\s/:@\[]{{0,200}}:(?!{_PORT}|//)([^\n]*)", address)
    return match[1].rpartition("@")[0] or match[1] if match else None


def mask(text: str) -> str:
    """Return the text without the secrets that are known or look like one."""
    for value in sorted(_remembered, key=len, reverse=True):
        if value in text:
            text = text.replace(value, MASK)
    if "//" in text or "@" in text:
        text = _IN_BLANKS.sub(f"//{MASK}@", text)
        text = _WORDS.sub(lambda m: _without_password(m[0]), text)
    for sign, pattern in _ALONE:
        text = pattern.sub(rf"\1{MASK}", text) if sign in text else text
    for pattern in _KEYS:
        text = pattern.sub(MASK, text)
    if _SECRET_NAME.search(text):
        text = _HEADER.sub(rf"\1{MASK}", text)
        if _TEXT_NAME.search(text):
            for sign, pattern in _WRITTEN:
                text = pattern.sub(rf"\1{MASK}", text) if sign in text else text
        text = _NAMED.sub(_without_value, text)
        text = _OPTION.sub(lambda m: f"{m[1]}{MASK}" if _TEXT_NAME.search(m[2]) else m[0], text)
    return _SCHEME.sub(rf"\1{MASK}", text)


def _without_password(word: str) -> str:
    """Mask user and password of an address: they end at the last @ of the word, or where there is none, at
    its end.
    """
    at, start = word.rfind("@"), word.find("//")
    if match := _JDBC.search(word):
        start = match.end()
    elif start >= 0:
        start += 2
    if 0 <= start < at:
        return f"{word[:start]}{MASK}{word[at:]}"
    if "//" in word:
        word = _WITHOUT_HOST.sub(f"//{MASK}", word)
    return _WITHOUT_SCHEME.sub(f":{MASK}@", word) if at >= 0 else word


def _without_value(match: re.Match[str]) -> str:
    """Mask the value after a name; after a colon and a blank only what is no sentence: the last word of its
    line, a text in quotes, or a word with a digit.
    """
    name, quote_, equals, _, colon, value, ends = match.groups()
    ends = None if name.lower().strip() == "pass" else ends  # a noun as well: in one pass: counts, sums
    if equals is not None:
        return f"{name}{equals}{MASK}"
    if _PLAIN.fullmatch(value) or _AMOUNT.match(match.string, match.start(6)):
        return match[0]
    if _FIGURE.fullmatch(value) and not quote_ and not _MAY_BE_SHORT.search(name):
        return match[0]
    in_quotes = f"'{MASK}'" if value[0] in "'\"" else MASK
    if quote_ or colon == ":" or ends is not None or value[0] in "'\"" or any(map(str.isdigit, value)):
        return f"{name}{colon}{in_quotes}"
    return match[0]


def cut(text: str, length: int) -> str:
    """Return the beginning of a text, masked before it is cut: half of a secret looks like none.

    Of a text without end, no more is masked than what secrets are long.
    """
    return mask(text[: length + _LONGEST])[:length]


def mask_values(value: Any, name: str = "") -> Any:
    """Return settings as plain data with their secrets masked: by their names, and in every text."""
    if isinstance(value, Mapping):
        return {
            k: mask_values(v, name if name and is_secret_name(name) else str(k)) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_values(v, name) for v in value]
    if isinstance(value, str):
        return MASK if name and value and is_secret_name(name) else mask(value)
    return value


def mask_texts(value: Any) -> Any:
    """Return plain data, such as a result, with the secrets in its texts masked; no name is looked at.

    What is no number, truth value or null is taken as text.
    """
    if isinstance(value, Mapping):
        return {mask(k) if isinstance(k, str) else k: mask_texts(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_texts(v) for v in value]
    return value if value is None or isinstance(value, numbers.Number) else mask(str(value))


def printable(text: str) -> str:
    r"""Return the text without what a terminal or a page would obey: escapes, control characters, signs that
    turn the direction of writing or are invisible. They are written out, as JSON does: `\u001b`.
    """
    return _UNSAFE.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def shown(text: str) -> str:
    """Return what may be shown of a text to people: `mask` and `printable`."""
    return printable(mask(text))


def one_line(text: str) -> str:
    r"""Return what may be shown of a text in one line: `shown`, with line ends written out as `\n`."""
    return shown(text).replace("\n", "\\n")


def escaped(text: str) -> str:
    """Return what may be shown of a text on a page or in a picture, with HTML's signs written out."""
    return html.escape(shown(text))
