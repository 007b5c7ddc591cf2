"""Read the text of a question: its words, misspelt ones corrected, and what they name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date

from engage_spark import english
from engage_spark.function_words import (
    CLOSED,
    DOING_VERBS,
    FREQUENCY,
    LIGHT_VERBS,
    SHORT_FORMS,
)
from engage_spark.insight.ask.intents import (
    CONTACT,
    EXPLAIN,
    RAISE,
    SIDE_WORDS,
    SIMILAR,
    TRIGGER_WORDS,
)
from engage_spark.insight.ask.named_dimensions import take_dimensions, take_groups, use_words_of_dimensions
from engage_spark.insight.ask.named_flags import take_flags
from engage_spark.insight.ask.named_segments import take_segments
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.rewrites import REWRITES
from engage_spark.insight.ask.spelling import corrected
from engage_spark.insight.ask.terms import Terms
from engage_spark.insight.ask.value_words import VALUES_OF
from engage_spark.insight.ask.verbs import explain_verbs
from engage_spark.insight.ask.word_forms import noun_of, value_of, with_verbs_as_nouns
from engage_spark.insight.mentions import MentionKind
from engage_spark.insight.number_texts import mentions_of, prepared
from engage_spark.insight.number_words import NUMBERS

LONG_FILLER = 6
"""Letters from which on a misspelt word may be one without content: shorter ones hide a strange word."""
LONGEST = 1_000
"""Characters of a question that are read."""
_KEY = "customerkey"
_L = r"[^\W\d_]"
_TOKEN = re.compile(rf"{_L}+(?:_[^\W_]+)+|{_L}+(?:'{_L}+)?|\d+(?:[.,]\d+)*|[+%<>$€]")
"""A name, a word in any script, a number, or a sign."""
_BARE_KEY = re.compile(
    r"(?<![\w.,-])#?(?P<key>[A-Za-z]{1,12}-?\d[A-Za-z0-9-]*|\d{1,20}-?[A-Za-z][A-Za-z0-9-]*-?\d[A-Za-z0-9-]*"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?<=like )\d{1,20}|(?<=similar to )\d{1,20}|(?<=explain )\d{1,20}|(?<=resembles )\d{1,20}"
    r"|(?<=why is )\d{1,20}|(?<=why will )\d{1,20}|(?<=why does )\d{1,20}|(?<=why did )\d{1,20})"
    r"(?![\w-])(?!\s*(?:%|percent|times|x\b|of\b|customers|days|weeks|months|years))",
    re.IGNORECASE,
)
"""A key without a word that says so: letters and digits, or a number behind what is asked of one customer."""
_NO_KEY = re.compile(r"(?:[a-z]-?\d|p\d{1,2}|fy\d+|\d+[a-z]{1,2}|\d+e\d+|top-?\d+)", re.IGNORECASE)
_LAST_WORD = re.compile(r"(?P<word>[^\W\d_]+)\W*$")
_NEXT_WORD = re.compile(r"\s+(?P<word>[^\W\d]\w*)")
_OF_A_TIME = frozenset(
    ("after", "since", "in", "during", "before", "until", "from", "at", "on", "by", "under")
)
_AUXILIARIES = frozenset(
    (
        "did",
        "does",
        "do",
        "will",
        "would",
        "might",
        "may",
        "could",
        "can",
        "should",
        "has",
        "had",
        "to",
        "and",
    )
)
_OF_ONE = re.compile(rf"(?i:{EXPLAIN.pattern}|{SIMILAR.pattern}|{CONTACT.pattern})")
_KEY_ALONE = re.compile(r"\s*(?:(?:and|what about|how about|or)\s+)?#?[\w-]+\s*[?.!]*\s*", re.IGNORECASE)
_VERBS = CLOSED | LIGHT_VERBS | DOING_VERBS
"""Words that no other one is a slip of."""
_BESIDE = frozenset(word for words in SIDE_WORDS.values() for word in words)
"""Words beside a turn of phrase, with their plurals: not worth correcting to, and no slips."""
_ASKS_WHICH = frozenset(("which", "what", "each", "every", "per", "by"))
"""Words behind which a value may stand for its kind."""
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "quarter": 90, "year": 365}
_LIMIT = re.compile(
    r"\b(?:top|first|best|leading|strongest|biggest|main|most important|which|what|list|give me|show me|show|"
    r"find me|find|name) (?:the )?(\d+)\b"
    r"(?! (?:days?|weeks?|months?|years?|percent|%))"
    r"|\b(\d+) (?=(?:most|strongest|top|biggest|main|best|closest|nearest|similar|actions?|ideas?|"
    r"recommendations?|measures?|steps?|tips?|experiments?|levers?|"
    r"segments?|influencers?|drivers?|reasons?|factors?|metrics?|suggestions?|things)\b)"
)
_SPAN = re.compile(
    r"\b(?:(?:last|past|previous|latest|trailing) )?(?P<n>\d+) (?P<unit>day|week|month|quarter|year)s?\b"
    r"|\b(?:per|a|by|each|every|this|last|past|the|in|within) (?P<one>day|week|month|quarter|year)\b"
    r"|\b(?P<ly>daily|weekly|monthly|quarterly|yearly)\b"
)


def read_question(question: str, terms: Terms) -> Reading:
    """Return what a question names by the words of a contract."""
    reading = Reading(terms)
    text = _take_customer(reading, prepared(question[:LONGEST]))
    text = _take_days(reading, unicodedata.normalize("NFC", text)).replace("’", "'")
    typed = [*_TOKEN.findall(text), *re.findall(r"[^\W_]+", text)]
    reading.written = {token: word for word in typed for token in _TOKEN.findall(word.lower())}
    text = terms.with_names(text).lower()
    text = terms.name_pattern.sub(lambda m: terms.names[tuple(re.findall(rf"{_L}+|\d+", m[0]))], text)
    for pattern, replacement in REWRITES:
        text = pattern.sub(replacement, text)
    known = _known_words(terms)
    worth_correcting = (
        known
        - _VERBS
        - FREQUENCY
        - (_BESIDE - TRIGGER_WORDS - terms.words)
        - {w for w in english.FILLER if len(w) < LONG_FILLER}
    )
    tokens = _TOKEN.findall(text)
    for i, token in enumerate(tokens):
        word = token.removesuffix("'s") if token not in english.FILLER else token
        if not _asks_which(tokens, i):
            word = value_of(word, terms) or word
        if word in NUMBERS and word != "one":
            word = str(NUMBERS[word])
        elif word in SHORT_FORMS and (len(word) == 1 or word not in terms.words):
            word = SHORT_FORMS[word]
        elif word.isalpha() and not _is_known(word, known):
            says_which = bool({*map(english.meaning, tokens[i + 1 : i + 2])} & terms.entity_words)
            better = (None if says_which else noun_of(word, terms)) or corrected(word, worth_correcting)
            if better is not None:
                reading.corrections[word] = better
                word = better
        reading.words.append(word)
    corrected_text = with_verbs_as_nouns(reading.joined, terms)
    for pattern, replacement in REWRITES:
        corrected_text = pattern.sub(replacement, corrected_text)
    reading.words = _with_names(corrected_text.split(), terms.names)
    reading.used = [False] * len(reading.words)
    if _KEY in reading.words:
        reading.used[reading.words.index(_KEY)] = True
    _protect_names(reading)
    take_flags(reading)
    take_segments(reading)
    take_dimensions(reading)
    take_groups(reading)
    use_words_of_dimensions(reading)
    explain_verbs(reading)
    _take_limit_and_span(reading)
    return reading


def _asks_which(tokens: list[str], place: int) -> bool:
    """Return whether a word such as city asks for cities, and is no value: "which city", "by city"."""
    before, after = tokens[max(0, place - 1)], tokens[place + 1 : place + 2]
    is_listed = bool(after) and (after[0] in VALUES_OF or after[0] in ("and", "or", "vs", "versus"))
    return before in _ASKS_WHICH and not (before in ("by", "per") and is_listed)


def _is_known(word: str, known: frozenset[str]) -> bool:
    """Return whether a word needs no correction: one of a list, or a verb of raising."""
    return word in known or english.singular(word) in known or RAISE.fullmatch(word) is not None


def _known_words(terms: Terms) -> frozenset[str]:
    return (
        english.FILLER
        | english.WINDOW_WORDS
        | english.NEGATIONS
        | english.FUTURE
        | frozenset(english.MEANINGS)
        | frozenset(english.MEANINGS.values())
        | frozenset(english.EXPANSIONS)
        | TRIGGER_WORDS
        | terms.words
        | _VERBS
        | FREQUENCY
        | english.QUALITIES
        | _BESIDE
        | {_KEY}
    )


def _take_customer(reading: Reading, text: str) -> str:
    """Take the key of a customer out of a text, by the pattern of the contract, or behind what it "
    "is called."""
    match = _key_of_the_pattern(reading, text) or _key_behind_its_name(reading, text)
    if match is None and (_OF_ONE.search(text) or _KEY_ALONE.fullmatch(text)):
        bare = (
            m for m in _BARE_KEY.finditer(text) if _may_be_key(reading, m["key"]) and _is_of_one(reading, m)
        )
        match = next(bare, None) or _number_behind_its_name(reading, text)
    if match is None:
        return text
    reading.customer = match["key"]
    return f"{text[: match.start('key')]} {_KEY} {text[match.end('key') :]}"


def _key_of_the_pattern(reading: Reading, text: str) -> re.Match[str] | None:
    entity = reading.terms.vocabulary.contract.entity
    pattern = entity[entity.key[0]].pattern if entity.key else None
    if pattern is None:
        return None
    body = pattern.removeprefix(r"\A(?:").removesuffix(r")\z").removeprefix("^").removesuffix("$")
    try:
        return re.search(rf"(?<![\w-])(?P<key>{body})(?![\w-])", text)
    except re.error:  # a Java pattern that Python does not know: the key is known by what is beside it
        return None


def _may_be_key(reading: Reading, key: str) -> bool:
    """Return whether a text with digits is a key, and no number, quantile, or name of the contract."""
    letters = re.sub(r"[\W\d_].*", "", key).lower()
    known = {english.meaning(letters), letters} & (reading.terms.words | frozenset(english.MEANINGS))
    return not (known and len(letters) > 2) and not _NO_KEY.fullmatch(key)


def _is_of_one(reading: Reading, key: re.Match[str]) -> bool:
    """Return whether a key is whom a question is about: not when something was, as in after COVID-19, and no
    kind of customers or of a metric, as in B2B churn; a verb may follow, as in why did M0003 churn.
    """
    before = _LAST_WORD.search(key.string[: key.start()])
    after = _NEXT_WORD.match(key.string, key.end())
    last, following = (m["word"].lower() if m else "" for m in (before, after))
    terms, means = reading.terms, english.meaning(following)
    earlier = {english.meaning(w.lower()) for w in key.string[: key.start()].split()}
    if last in _OF_A_TIME or (last == "with" and earlier & terms.name_words):
        return False
    if means in terms.entity_words or following in terms.entity_words:
        return False
    is_of_metric = means in terms.name_words or following in terms.vocabulary.metrics
    return not is_of_metric or last in _AUXILIARIES or following.endswith(("ing", "ed"))


def _number_behind_its_name(reading: Reading, text: str) -> re.Match[str] | None:
    """Return where a number stands behind what one customer is called: customer 12."""
    entity = english.singular(reading.terms.vocabulary.contract.entity.name.lower())
    names = "|".join(map(re.escape, sorted({entity, *reading.terms.entity_words})))
    after = r"(?![\w-])(?! *(?:to|and|or|years?|months?|days?|weeks?|%|percent)\b)"
    return re.search(rf"\b(?:{names})\s+#?(?P<key>\d{{1,20}}){after}", text, re.IGNORECASE)


def _key_behind_its_name(reading: Reading, text: str) -> re.Match[str] | None:
    """Return where a key stands behind what customers are called: with a letter, or with four digits."""
    entity = reading.terms.vocabulary.contract.entity
    names = {entity.name.lower(), english.singular(entity.name.lower()), *reading.terms.entity_words}
    names |= {form for form, means in english.MEANINGS.items() if means in reading.terms.entity_words}
    name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    key = r"(?P<key>[A-Za-z]+-?\d[\w-]*|\d{4,}|\d+(?:-\w+)*-\d*[A-Za-z]\w*)"
    return re.search(
        rf"\b(?:{name})\s+(?:no\.?\s*|number\s+|id\s+|key\s+)?#?{key}(?![\w-])", text, re.IGNORECASE
    )


def _take_days(reading: Reading, text: str) -> str:
    days, months = list[date](), list[str]()
    parts, at = list[str](), 0
    for mention in mentions_of(text):
        if mention.kind is not MentionKind.DATE or mention.year is None or mention.month is None:
            continue
        try:
            if mention.day is not None:
                days.append(date(mention.year, mention.month, mention.day))
            else:
                months.append(f"{mention.year:04}-{date(mention.year, mention.month, 1).month:02}")
        except ValueError:
            continue
        parts.append(text[at : mention.start])
        at = mention.end
    reading.as_of = days[0] if len(days) == 1 else None
    reading.month = months[0] if len(months) == 1 else None
    reading.has_two_days = len(days) + len(months) > 1
    return " ".join([*parts, text[at:]])


def _with_names(words: list[str], names: Mapping[tuple[str, ...], str]) -> list[str]:
    """Return words with those that are the whole name of a metric or dimension as that name."""
    for parts in sorted(names, key=len, reverse=True):
        for i in range(len(words) - len(parts) + 1):
            if tuple(words[i : i + len(parts)]) == parts:
                words = [*words[:i], names[parts], *words[i + len(parts) :]]
    return words


def _protect_names(reading: Reading) -> None:
    """Protect the whole names of metrics."""
    means = [english.meaning(w) for w in reading.words]
    reading.protected |= {i for i, w in enumerate(reading.words) if w in reading.terms.vocabulary.metrics}
    for name in reading.terms.vocabulary.metrics:
        parts = [english.meaning(w) for w in name.split("_") if w.isalpha() and w not in english.STATISTICS]
        if len(parts) < 2:
            continue
        for i in range(len(means) - len(parts) + 1):
            if means[i : i + len(parts)] == parts:
                reading.protected |= set(range(i, i + len(parts)))


def _take_limit_and_span(reading: Reading) -> None:
    for match in reading.matches(_LIMIT):
        number = match[1] or match[2]
        if reading.limit is None and "." not in number:
            reading.limit = int(number.replace(",", ""))
            reading.use(reading.places(match))
    for match in reading.matches(_SPAN):
        places = reading.places(match)
        if any(reading.used[i] for i in places if reading.words[i][0].isdigit()):
            continue
        if match["ly"] in reading.terms.name_words:
            continue
        unit = match["unit"] or match["one"] or {"daily": "day"}.get(match["ly"], str(match["ly"])[:-2])
        days = _UNIT_DAYS[unit] * int(float((match["n"] or "1").replace(",", "")))
        if reading.window is None:
            reading.window = days
            reading.is_past = bool(
                re.match(r"(?:the )?(?:last|past|previous|latest|trailing|this)\b", match[0])
            )
            reading.is_rate = bool(match["ly"]) or match[0].split()[0] in ("per", "a", "each", "every", "by")
            reading.grain = unit if unit in ("day", "week", "month") else None
            reading.use(places)
