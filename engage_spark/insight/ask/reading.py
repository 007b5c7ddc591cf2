"""Read a question into what it names: segments, dimensions, windows, numbers, and the words that are left.

Every word must be accounted for: what is neither English without content nor a word of the contract stands in
`unknown`, and the router declines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from engage_spark.insight.ask import english
from engage_spark.insight.ask.intents import PHRASES, REWRITES, TRIGGER_WORDS, Intent
from engage_spark.insight.ask.spelling import corrected
from engage_spark.insight.ask.terms import DimensionTerm, SegmentTerm, Terms, best_dimensions
from engage_spark.insight.number_texts import MentionKind, mentions_of, prepared
from engage_spark.insight.number_words import NUMBERS

LONG_FILLER = 6
"""Letters from which on a misspelt word may be one without content: shorter ones hide a strange word."""
LONGEST = 1_000
"""Characters of a question that are read."""
_KEY = "customerkey"
_TOKEN = re.compile(r"[a-z]+(?:_[a-z0-9]+)+|[a-z]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*|[+%<>$€]")
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "quarter": 90, "year": 365}
_LIMIT = re.compile(
    r"\b(?:top|first|best|leading|strongest|biggest|main|most important|which|what|list|give me|show me|show|"
    r"find me|find|name) (?:the )?(\d+)\b"
    r"(?! (?:days?|weeks?|months?|years?|percent|%))"
    r"|\b(\d+) (?=(?:most|strongest|top|biggest|main|best|closest|nearest|similar|actions?|ideas?|"
    r"recommendations?|"
    r"segments?|influencers?|drivers?|reasons?|factors?|metrics?|suggestions?|things)\b)"
)
_SPAN = re.compile(
    r"\b(?:(?:last|past|previous|latest|trailing) )?(?P<n>\d+) (?P<unit>day|week|month|quarter|year)s?\b"
    r"|\b(?:per|a|by|each|every|this|last|past|the|in|within) (?P<one>day|week|month|quarter|year)\b"
    r"|\b(?P<ly>daily|weekly|monthly|quarterly|yearly)\b"
)
_RANGES = (
    re.compile(
        r"\b(?:between |from |aged |ages )?(?P<low>\d+) (?:to|and|until|through) (?:under |< "
        r")?(?P<high>\d+)\b"
    ),
    re.compile(
        r"\b(?:under|below|younger than|less than|fewer than|not yet|up to) (?:the age of |age "
        r")?(?P<high>\d+)\b"
    ),
    re.compile(r"\bfirst (?P<high>\d+) (?=months?|years?|weeks?|days?)"),
    re.compile(r"\b(?P<low>\d+) (?:\+|(?:years |months )?(?:and|or) (?:older|more|over|above|up))"),
    re.compile(
        r"\b(?:over|above|older than|more than|at least|from) (?:the age of |age )?(?P<low>\d+)\b(?! to)"
    ),
)
_AGE_UNITS = re.compile(r"\b(?:years?|months?|old)\b")
_QUARTILE = re.compile(
    r"\b(?P<which>top|highest|upper|fourth|4|bottom|lowest|lower|first|1|second|2|third|3) (?:\w+ "
    r"){0,2}?quartile\b"
    r"|\bq(?P<q>[1-4])\b"
)
_BY = re.compile(
    r"\b(?:by|across|per|each|every|within|among|between|for|which|what|different|in|the|of|all|and) "
)
_STRONG = frozenset(("by", "across", "per", "each", "every"))


@dataclass
class Reading:
    """What a question names. `words` are its tokens, corrected; `used` says which of them are explained.

    `protected` are the places of whole names of metrics, whose words are no turns of phrase. `is_rate`: the
    window is said as a rate, such as per week; `is_past`: as one before the day, such as last week.
    """

    terms: Terms
    text: str = ""
    words: list[str] = field(default_factory=list)
    used: list[bool] = field(default_factory=list)
    corrections: dict[str, str] = field(default_factory=dict)
    customer: str | None = None
    as_of: date | None = None
    month: str | None = None
    limit: int | None = None
    window: int | None = None
    grain: str | None = None
    segments: list[tuple[str, str]] = field(default_factory=list)
    dimensions: list[str] = field(default_factory=list)
    attribute: str | None = None
    has_two_days: bool = False
    is_rate: bool = False
    is_past: bool = False
    protected: set[int] = field(default_factory=set)

    @property
    def joined(self) -> str:
        """The corrected question in plain words."""
        return " ".join(self.words)

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Yield where a pattern stands in the words."""
        yield from pattern.finditer(self.joined)

    def places(self, match: re.Match[str], group: int | str = 0) -> range:
        """Return the places of the words that a match covers."""
        start, end = match.span(group)
        first = self.joined[:start].count(" ") + (1 if self.joined[start : start + 1] == " " else 0)
        return range(first, first + len(self.joined[start:end].split()))

    def use(self, places: range) -> None:
        """Take words as explained."""
        for i in places:
            self.used[i] = True

    def intents(self) -> list[Intent]:
        """Return what the question wants by its turns of phrase, the deciding one first."""
        return [
            intent
            for intent, pattern in PHRASES
            if any(
                (intent is not Intent.COMPARE or not all(self.used[i] for i in self.places(m)))
                and not self.protected.issuperset(self.places(m))
                for m in self.matches(pattern)
            )
        ]

    def use_intent(self, intent: Intent) -> None:
        """Take the turns of phrase of an intent as explained."""
        pattern = dict(PHRASES)[intent]
        for match in self.matches(pattern):
            if not self.protected.issuperset(self.places(match)):
                self.use(self.places(match))

    @property
    def content(self) -> list[tuple[int, str]]:
        """The words that are left to explain, each by its meaning, with its place."""
        return [
            (i, english.meaning(w))
            for i, w in enumerate(self.words)
            if not self.used[i] and self._has_content(w)
        ]

    def _has_content(self, word: str) -> bool:
        if not word[0].isalpha():
            return False
        means = english.meaning(word)
        if {means, word} & (self.terms.entity_words | self.terms.business_words):
            return False
        if (word in self.terms.name_words and word.endswith("ly")) or word in self.terms.vague_values:
            return True
        return word not in english.FILLER and word not in english.WINDOW_WORDS

    @property
    def numbers(self) -> list[float]:
        """The numbers that are left to explain."""
        return [
            float(w.replace(",", "")) for i, w in enumerate(self.words) if w[0].isdigit() and not self.used[i]
        ]

    @property
    def is_negated(self) -> bool:
        """Whether a word of the question turns it around."""
        after = (*self.words[1:], "")
        values = self.terms.value_words
        return any(w in english.NEGATIONS and b not in values for w, b in zip(self.words, after, strict=True))

    @cached_property
    def is_yes_or_no(self) -> bool:
        """Whether the question asks whether something is so."""
        return bool(self.words) and self.words[0] in (
            "is",
            "are",
            "do",
            "does",
            "did",
            "has",
            "have",
            "was",
            "were",
        )


def read_question(question: str, terms: Terms) -> Reading:
    """Return what a question names by the words of a contract."""
    reading = Reading(terms)
    text = _take_customer(reading, prepared(question[:LONGEST]))
    text = _take_days(reading, text).lower().replace("’", "'")
    text = terms.name_pattern.sub(lambda m: terms.names[tuple(re.findall(r"[a-z]+|\d+", m[0]))], text)
    for pattern, replacement in REWRITES:
        text = pattern.sub(replacement, text)
    known = _known_words(terms)
    worth_correcting = known - {w for w in english.FILLER if len(w) < LONG_FILLER}
    for token in _TOKEN.findall(text):
        word = token.removesuffix("'s") if token not in english.FILLER else token
        if word in NUMBERS and word != "one":
            word = str(NUMBERS[word])
        elif word in english.SLIPS:
            word = english.SLIPS[word]
        elif word.isalpha() and word not in known and english.singular(word) not in known:
            better = terms.noun_of(word) or corrected(word, worth_correcting)
            if better is not None:
                reading.corrections[word] = better
                word = better
        reading.words.append(word)
    corrected_text = reading.joined
    for pattern, replacement in REWRITES:
        corrected_text = pattern.sub(replacement, corrected_text)
    reading.words = _with_names(corrected_text.split(), terms.names)
    reading.used = [False] * len(reading.words)
    if _KEY in reading.words:
        reading.used[reading.words.index(_KEY)] = True
    _protect_names(reading)
    _take_segments(reading)
    _take_dimensions(reading)
    _take_groups(reading)
    _take_limit_and_span(reading)
    return reading


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
        | {_KEY}
    )


def _take_customer(reading: Reading, text: str) -> str:
    """Take the key of a customer out of a text, by the pattern of the contract, or behind what it "
    "is called."""
    entity = reading.terms.vocabulary.contract.entity
    pattern = entity[entity.key[0]].pattern if entity.key else None
    if pattern is not None:
        body = pattern.removeprefix(r"\A(?:").removesuffix(r")\z").removeprefix("^").removesuffix("$")
        try:
            match = re.search(rf"(?<![\w-])(?P<key>{body})(?![\w-])", text)
        except re.error:  # a Java pattern that Python does not know: the key is known by the word before it
            match = _key_behind_its_name(reading, text)
    else:
        match = _key_behind_its_name(reading, text)
    if match is None:
        return text
    reading.customer = match["key"]
    return f"{text[: match.start('key')]} {_KEY} {text[match.end('key') :]}"


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


def _take_segments(reading: Reading) -> None:
    """Take the segments that are named: categories by their words, ranges by their numbers, quartiles."""
    placed = list[tuple[int, tuple[str, str]]]()
    by_length = sorted((s for s in reading.terms.segments if s.words), key=lambda s: -len(s.words))
    for term in by_length:
        for places in _places_of(reading, term):
            reading.use(places)
            placed.append((places.start, (term.dimension, term.segment)))
    reading.segments = [segment for _, segment in sorted(placed)]
    _take_ranges(reading)
    quartiles = [d for d in reading.terms.dimensions if d.name.endswith("_quartile")]
    for match in reading.matches(_QUARTILE):
        fitting = [d for d in quartiles if _names(reading, d)] or (quartiles if len(quartiles) == 1 else [])
        if len(fitting) == 1:
            which = f"Q{match['q']}" if match["q"] else english.QUARTILES[match["which"]]
            reading.segments.append((fitting[0].name, which))
            places = reading.places(match)
            reading.use(places)
            if reading.words[places.stop : places.stop + 1] in (["of"], ["by"]):
                after = range(places.stop + 1, min(places.stop + 4, len(reading.words)))
                for i in after:
                    if english.meaning(reading.words[i]) not in fitting[0].core:
                        break
                    reading.used[i] = True
    for dimension in {d for d, _ in reading.segments}:
        core = next(d for d in reading.terms.dimensions if d.name == dimension).core
        for i, word in enumerate(reading.words):
            close = any(reading.used[j] for j in range(max(0, i - 2), min(i + 3, len(reading.words))))
            reading.used[i] |= (english.meaning(word) in core or word == dimension) and close


def _places_of(reading: Reading, term: SegmentTerm) -> Iterator[range]:
    """Yield where the words of a category stand; bare numbers do not name one, and such as "high" only beside
    the name of the dimension.
    """
    words, n = reading.words, len(term.words)
    is_vague = all(w in english.FILLER for w in term.words)
    core = next(d for d in reading.terms.dimensions if d.name == term.dimension).core
    if all(w[0].isdigit() for w in term.words):
        return
    for i in range(len(words) - n + 1):
        if any(reading.used[i : i + n]):
            continue
        around = {english.meaning(w) for w in words[max(0, i - 2) : i + n + 2]}
        if is_vague and not around & core:
            continue
        if all(
            b in (a, english.singular(a), english.meaning(a))
            for a, b in zip(words[i : i + n], term.words, strict=True)
        ):
            yield range(i, i + n)


def _take_ranges(reading: Reading) -> None:
    ranged = [s for s in reading.terms.segments if not s.words]
    by_name = {d.name: d for d in reading.terms.dimensions}
    for pattern in _RANGES:
        for match in reading.matches(pattern):
            places = reading.places(match)
            if any(reading.used[i] for i in places):
                continue
            parts = match.groupdict()
            low = None if parts.get("low") is None else float(parts["low"])
            high = None if parts.get("high") is None else float(parts["high"])
            fitting = [
                s
                for s in ranged
                if (s.lower or 0) == (low or 0)
                and (s.upper == high or (low is not None and high is not None and s.upper == high + 1))
                and (
                    _names(reading, by_name[s.dimension]) or _is_of_people(reading, s.dimension, places.start)
                )
            ]
            if len(fitting) == 1:
                reading.segments.append((fitting[0].dimension, fitting[0].segment))
                reading.use(places)
                after = range(places.stop, min(places.stop + 2, len(reading.words)))
                reading.use(
                    range(
                        places.stop,
                        places.stop + sum(bool(_AGE_UNITS.fullmatch(reading.words[i])) for i in after),
                    )
                )


def _is_of_people(reading: Reading, dimension: str, start: int) -> bool:
    """Return whether a range stands behind what customers are called, so that it is of their years."""
    unit = reading.terms.vocabulary.dimensions[dimension].unit
    before = [w for w in reading.words[:start] if w not in ("is", "are", "was", "were", "who", "that")]
    return unit == "years" and bool({english.meaning(w) for w in before[-1:]} & reading.terms.entity_words)


def _names(reading: Reading, dimension: DimensionTerm) -> bool:
    """Return whether a word of the question is of a dimension or of its unit."""
    words = {part for w in reading.words for part in (english.meaning(w), *w.split("_"))}
    units = {"age": {"year"}}.get(dimension.name, set())
    return bool(words & (dimension.core | units | (dimension.soft & {"month", "year"})))


def _take_dimensions(reading: Reading) -> None:
    """Take the dimensions that a preposition, "which" or a word such as groups points to."""
    terms = reading.terms
    at = 0
    for match in reading.matches(_BY):
        start = reading.places(match).stop
        if start < at:
            continue
        before = match[0].strip()
        for end in range(min(start + 4, len(reading.words)), start, -1):
            term = _dimension_at(reading, range(start, end), before, terms.dimensions)
            other = None if term else _dimension_at(reading, range(start, end), before, terms.protected)
            if term is not None and term.name not in reading.dimensions:
                reading.dimensions.append(term.name)
            if other is not None:
                reading.attribute = other.name
            if term is not None or other is not None:
                reading.use(range(start - 1, end))
                at = end
                break


def _take_groups(reading: Reading) -> None:
    """Take the dimension that stands before a word such as type or group."""
    dimensions = reading.terms.dimensions
    for end in [i + 1 for i, w in enumerate(reading.words) if w in english.GROUP_WORDS or "_" in w]:
        is_name = "_" in reading.words[end - 1]
        for start in range(end - 1 if is_name else max(0, end - 3), end if is_name else end - 1):
            term = _dimension_at(reading, range(start, end), "", dimensions)
            if term is not None:
                reading.use(range(start, end))
                reading.dimensions += [] if term.name in reading.dimensions else [term.name]
                break


def _dimension_at(
    reading: Reading, places: range, before: str, dimensions: tuple[DimensionTerm, ...]
) -> DimensionTerm | None:
    """Return the dimension that the words at some places are, where nothing else is among them."""
    words = [reading.words[i] for i in places]
    if any(reading.used[i] for i in places) or not words[-1].replace("_", "")[0].isalpha():
        return None
    by_name = [d for d in dimensions if words == [d.name] and "_" in d.name]
    if by_name and (before or by_name[0].name not in reading.terms.vocabulary.metrics):
        return by_name[0]
    has_group = any(w in english.GROUP_WORDS for w in words)
    own = [
        english.meaning(w)
        for w in words
        if w not in english.GROUP_WORDS and w not in ("the", "of", "customer", "our")
    ]
    if (
        not own
        or all(w in english.WINDOW_WORDS for w in own)
        or any(w in english.FILLER and w not in ("level", "score") for w in own)
    ):
        return None
    own = [w for w in own if w not in ("level", "score") and w not in reading.terms.entity_words]
    is_quartile = any(w.startswith("quartile") for w in words)
    fitting = [d for d in best_dimensions(own, dimensions) if d.name.endswith("_quartile") == is_quartile]
    if len(fitting) != 1:
        return None
    is_named = frozenset(own) == fitting[0].core - english.STATISTICS
    if before in _STRONG or has_group:
        return fitting[0]
    is_named = is_named or not reading.terms.name_words & frozenset(own)
    return fitting[0] if before in ("which", "what", "different") and is_named else None


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
