"""Compute the words by which questions name what a contract has: metrics, segments, claims, tables. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engage_spark.contract.analytics_spec import ACTIVE, CUSTOMERS, RETENTION, DimensionKind
from engage_spark.english import FILLER, STATISTICS, meaning, singular, words_of_value
from engage_spark.function_words import word_set
from engage_spark.insight.vocabulary import Vocabulary

_WORD = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?")
_AUXILIARIES = frozenset(("has", "is", "of", "in"))
_GENERIC = word_set(
    """
    band group segment type quartile bracket kind class tier range key month part of the
    """
)


_TIMES = word_set("day days week weeks month months minute minutes second seconds hour hours year years")
_WINDOWS = {"daily": 1, "weekly": 7, "monthly": 30, "quarterly": 90, "yearly": 365, "annual": 365}


@dataclass(frozen=True, kw_only=True)
class MetricTerm:
    """A metric and its words: `core` says what it is, `soft` what its description and unit add.

    `quantity` is its name without the window, `window` the days that it counts, back
    from the day where `is_rolling`. `is_delivered`: a field
    of the entity, not derived or measured.
    """

    name: str
    core: frozenset[str]
    soft: frozenset[str]
    quantity: frozenset[str]
    window: int | None
    is_rolling: bool
    is_delivered: bool
    is_target: bool
    is_named_by_unit: bool = False


_RETAINED = MetricTerm(
    name=ACTIVE,
    core=frozenset({RETENTION}),
    soft=frozenset({ACTIVE}),
    quantity=frozenset({RETENTION}),
    window=None,
    is_rolling=False,
    is_delivered=True,
    is_target=False,
)
"""Who is active, which is what retention means."""


@dataclass(frozen=True, kw_only=True)
class SegmentTerm:
    """A segment: the words that name it, or the range [lower, upper) of numbers that it holds."""

    dimension: str
    segment: str
    words: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, kw_only=True)
class DimensionTerm:
    """A dimension or another way to part customers, with the words that name it."""

    name: str
    core: frozenset[str]
    soft: frozenset[str]
    is_flag: bool = False


@dataclass(frozen=True, kw_only=True)
class ClaimTerm:
    """A statement with its words and the numbers in it."""

    name: str
    statement: str
    words: frozenset[str]
    core: frozenset[str]
    numbers: frozenset[float]

    @property
    def stems(self) -> frozenset[str]:
        """Its words without the ending of adverbs."""
        return frozenset(w.removesuffix("ly") for w in self.words)


def words_of(text: str) -> list[str]:
    """Return the words of a name or a text, each by its meaning, numbers as they are."""
    return [w if w[0].isdigit() else meaning(w) for w in _WORD.findall(text.lower().replace("_", " "))]


def content_of(text: str) -> frozenset[str]:
    """Return the words of a text that say something."""
    raw = (w for w in _WORD.findall(text.lower().replace("_", " ")) if w.isalpha() and w not in FILLER)
    return frozenset(m for m in map(meaning, raw) if m not in FILLER and len(m) > 1)


@dataclass(frozen=True)
class Terms:
    """Everything that questions can name: by the contract, and the categories that the data have (`seen`)."""

    vocabulary: Vocabulary
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def values_of(self, dimension: str) -> tuple[str, ...]:
        """Return the segments of a dimension: those that the contract declares, then what the data have."""
        declared = self.vocabulary.segments(dimension)
        return (*declared, *(s for s in self.seen.get(dimension, ()) if s not in declared))

    @cached_property
    def entity_words(self) -> frozenset[str]:
        """What the contract calls its customers, and customer."""
        name = self.vocabulary.contract.entity.name
        return frozenset({"customer", meaning(singular(name.lower().split("_")[-1]))})

    @cached_property
    def business_words(self) -> frozenset[str]:
        """What the contract calls the business itself, such as bank: a word that adds nothing."""
        known = {w for m in self.metrics for w in m.core}
        known |= {w for d in (*self.dimensions, *self.protected, *self.cohort_keys) for w in d.core}
        return content_of(self.vocabulary.contract.name) - known

    @cached_property
    def metrics(self) -> tuple[MetricTerm, ...]:
        """The metrics, but for the number of customers; who is active is retained."""
        entity = self.vocabulary.contract.entity.name
        terms = []
        for name, spec in self.vocabulary.metrics.items():
            if name == ACTIVE:
                terms.append(_RETAINED)
                continue
            parts = words_of(name)
            core = frozenset(w for w in parts if w not in STATISTICS and not w[0].isdigit())
            core -= _AUXILIARIES
            clause = re.split(r"[.:;,]| for ", spec.description, maxsplit=1)[0]
            soft = content_of(clause) | content_of(spec.unit or "") | frozenset(parts)
            if spec.is_target:
                soft = content_of(spec.unit or "") | frozenset(parts)
            soft |= {"duration"} if spec.unit in _TIMES else frozenset()
            numbers = [int(w) for w in parts if w.isdigit()] + [_WINDOWS[w] for w in parts if w in _WINDOWS]
            window = spec.rolling_days or next(
                (n for n in numbers if n in (1, 7, 14, 28, 30, 60, 90, 365)), None
            )
            terms.append(
                MetricTerm(
                    name=name,
                    core=core or frozenset(parts),
                    soft=soft - core - self.entity_words,
                    quantity=frozenset(w for w in parts if w.isalpha() and w not in ("last", "day", "month")),
                    window=window,
                    is_rolling=spec.rolling_days is not None or "last" in parts,
                    is_delivered=spec.tables == (entity,) and not spec.of_claim,
                    is_target=spec.is_target,
                    is_named_by_unit=bool(core) and core <= content_of(spec.unit or ""),
                )
            )
        return tuple(terms)

    @cached_property
    def names(self) -> dict[tuple[str, ...], str]:
        """The names of metrics and dimensions of two words or more, by their words as questions have them."""
        own = (*self.vocabulary.metrics, *self.vocabulary.dimensions, *self.vocabulary.protected)
        split = {tuple(re.findall(r"[^\W\d_]+|\d+", name.lower())): name for name in own}
        return {words: name for words, name in split.items() if len(words) > 1}

    @cached_property
    def name_pattern(self) -> re.Pattern[str]:
        """Matches a whole name, with blanks or underscores between its words."""
        parts = sorted(self.names, key=lambda words: -sum(map(len, words)))
        return re.compile(rf"\b(?:{'|'.join('[ _]?'.join(p) for p in parts) or '(?!)'})\b")

    @cached_property
    def synonyms(self) -> dict[str, str]:
        """The names of metrics, dimensions and protected fields by the synonyms that the contract has."""
        words = self.vocabulary
        owners = {name: words.field_of(name) for name in (*words.metrics, *words.dimensions)}
        entity = words.contract.entity
        owners |= {name: entity[name] for name in words.protected}
        measures = words.graph_table
        owners |= {name: measures[name] for name in words.influence_measures} if measures is not None else {}
        named: dict[str, str] = {}
        for name, owner in owners.items():
            for synonym in owner.synonyms if owner is not None else ():
                if not name.endswith("_quartile"):
                    named.setdefault(unicodedata.normalize("NFC", synonym), name)
        return named

    @cached_property
    def _longest_synonyms(self) -> list[str]:
        return sorted(self.synonyms, key=lambda s: (-len(s), s))

    @cached_property
    def _synonym_pattern(self) -> re.Pattern[str]:
        """Matches a synonym of a field, in the singular or the plural: each one is a group, so that what
        stands in a text (other signs between the words, an i without a dot) needs not be looked up.
        """
        groups = "|".join(f"({_pattern_of(s)})" for s in self._longest_synonyms)
        return re.compile(rf"(?<![\w-])(?:{groups or '(?!)'})(?:s|es)?(?![\w-])", re.IGNORECASE)

    def with_names(self, text: str) -> str:
        """Return a text with the names of fields in the place of their synonyms."""

        def name_of(match: re.Match[str]) -> str:
            return f" {self.synonyms[self._longest_synonyms[(match.lastindex or 0) - 1]]} "

        return self._synonym_pattern.sub(name_of, text) if self.synonyms else text

    @cached_property
    def name_words(self) -> frozenset[str]:
        """The words that say what metrics are."""
        return frozenset(w for m in self.metrics for w in m.core)

    @cached_property
    def has_retention(self) -> bool:
        """Whether there is a metric of who is active."""
        return ACTIVE in self.vocabulary.metrics

    @cached_property
    def dimensions(self) -> tuple[DimensionTerm, ...]:
        """The dimensions that tools take."""
        return tuple(
            self._dimension(d.name, d.description, d.unit) for d in self.vocabulary.dimensions.values()
        )

    @cached_property
    def protected(self) -> tuple[DimensionTerm, ...]:
        """The protected fields, which only fairness takes where they are no dimension."""
        entity = self.vocabulary.contract.entity
        return tuple(self._dimension(n, entity[n].description, None) for n in self.vocabulary.protected)

    @cached_property
    def cohort_keys(self) -> tuple[DimensionTerm, ...]:
        """The keys of cohorts."""
        return tuple(self._dimension(name, "", None) for name in self.vocabulary.cohort_keys)

    @cached_property
    def measures(self) -> tuple[DimensionTerm, ...]:
        """The measures of the graph."""
        table = self.vocabulary.graph_table
        names = self.vocabulary.influence_measures if table is not None else ()
        return tuple(
            DimensionTerm(
                name=n,
                core=frozenset(words_of(n)) - STATISTICS,
                soft=content_of(table[n].description.partition(":")[0]) if table is not None else frozenset(),
            )
            for n in names
        )

    @cached_property
    def tables(self) -> tuple[DimensionTerm, ...]:
        """The tables that are delivered."""
        return tuple(
            DimensionTerm(name=n, core=frozenset(words_of(n)), soft=frozenset())
            for n in self.vocabulary.tables
        )

    def _dimension(self, name: str, description: str, unit: str | None) -> DimensionTerm:
        parts = frozenset(words_of(name))
        core = parts - _GENERIC - _AUXILIARIES - self.entity_words or parts
        soft = content_of(description.partition(".")[0]) | content_of(unit or "") | parts
        soft |= {"duration"} if unit in _TIMES else frozenset()
        values = set(self.values_of(name))
        is_flag = bool(values) and values <= {"0", "1"}
        return DimensionTerm(name=name, core=core, soft=soft - core, is_flag=is_flag)

    @cached_property
    def segments(self) -> tuple[SegmentTerm, ...]:
        """The segments that the contract declares or the data have."""
        terms = []
        for name, spec in self.vocabulary.dimensions.items():
            bounds = (None, *spec.bounds, None)
            for i, segment in enumerate(self.values_of(name)):
                if spec.kind is DimensionKind.BAND:
                    terms.append(
                        SegmentTerm(dimension=name, segment=segment, lower=bounds[i], upper=bounds[i + 1])
                    )
                elif spec.kind is DimensionKind.CATEGORY:
                    terms.append(_of_category(name, segment))
            declared = self.vocabulary.field_of(name)
            terms += [
                SegmentTerm(dimension=name, segment=value, words=words_of_value(word))
                for word, value in (declared.value_synonyms if declared is not None else ())
                if spec.kind is DimensionKind.CATEGORY
            ]
        return tuple(terms)

    @cached_property
    def value_words(self) -> frozenset[str]:
        """The words of the categories of dimensions and of protected fields, but for the first ones."""
        entity = self.vocabulary.contract.entity
        values = [s.segment for s in self.segments]
        values += [str(v) for t in self.protected for v in entity[t.name].allowed]
        return frozenset(w for v in values for w in words_of_value(v)[1:])

    @cached_property
    def segment_words(self) -> frozenset[str]:
        """The words of the categories of dimensions."""
        return frozenset(w for s in self.segments for w in s.words)

    @cached_property
    def vague_values(self) -> frozenset[str]:
        """Categories that are words without content elsewhere, such as high: who says one may mean it."""
        return frozenset(s.words[0] for s in self.segments if len(s.words) == 1 and s.words[0] in FILLER)

    @cached_property
    def claims(self) -> tuple[ClaimTerm, ...]:
        """The statements that can be checked."""
        return tuple(
            ClaimTerm(
                name=c.name,
                statement=c.statement,
                words=content_of(c.statement) | content_of(c.name),
                core=content_of(c.name),
                numbers=numbers_of(c.statement),
            )
            for c in self.vocabulary.spec.claims
        )

    @cached_property
    def claim_sources(self) -> frozenset[str]:
        """The words that say where statements come from, such as leaflet, and that are in none of them."""
        sources = {w for c in self.vocabulary.spec.claims for w in content_of(c.source or "")}
        return frozenset(sources - {w for c in self.claims for w in c.words} - self.name_words)

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word that the contract brings into questions, in the form that it is written there."""
        names = [*self.vocabulary.metrics, *self.vocabulary.dimensions, *self.vocabulary.cohort_keys]
        names += [*self.vocabulary.protected, *self.vocabulary.tables, *self.vocabulary.influence_measures]
        values = [s.segment for s in self.segments] + [w for s in self.segments for w in s.words]
        texts = [*names, *values, *(c.statement for c in self.claims)]
        texts += [s.description for s in self.vocabulary.spec.metrics]
        plain = {w for text in texts for w in _WORD.findall(text.lower().replace("_", " ")) if w.isalpha()}
        return frozenset(
            plain
            | {singular(w) for w in plain}
            | {meaning(w) for w in plain}
            | self.entity_words
            | self.business_words
        )

    @cached_property
    def single_values(self) -> frozenset[str]:
        """The categories of one word of dimensions and of protected fields."""
        entity = self.vocabulary.contract.entity
        values = [s.segment for s in self.segments]
        values += [str(v) for t in self.protected for v in entity[t.name].allowed]
        return frozenset(v.lower() for v in values if v.isalpha())

    @cached_property
    def own_words(self) -> frozenset[str]:
        """The words of names and categories, which mean what the contract says."""
        names = (*self.vocabulary.metrics, *self.vocabulary.dimensions, *self.vocabulary.protected)
        parts = {w for name in names for w in name.lower().split("_")}
        return frozenset(parts | {w for s in self.segments for w in s.words} | self.single_values)


def _pattern_of(synonym: str) -> str:
    """Return what matches a synonym of one word or several: & is and, other signs stand for a blank."""
    parts = (
        r"[\s_&'-]+".join(re.escape(word) for word in re.findall(r"[^\W_]+", part))
        for part in re.split(r"\s*&\s*|\s+and\s+", synonym, flags=re.IGNORECASE)
    )
    return r"(?:[\s_'-]*&[\s_'-]*|[\s_'-]+and[\s_'-]+)".join(parts)


def _of_category(dimension: str, value: str) -> SegmentTerm:
    """Return a category: by its words, and by its range where it is one, such as 06-11 or 60+."""
    span = re.fullmatch(r"0*(\d+)\s*(?:-|–|to)\s*0*(\d+)", value)
    lower = re.fullmatch(r"0*(\d+)\s*\+", value)
    if span:
        return SegmentTerm(dimension=dimension, segment=value, lower=float(span[1]), upper=float(span[2]) + 1)
    if lower:
        return SegmentTerm(dimension=dimension, segment=value, lower=float(lower[1]))
    return SegmentTerm(dimension=dimension, segment=value, words=words_of_value(value))


def numbers_of(text: str) -> frozenset[float]:
    """Return the numbers of a text as they are meant: digits, words, twice."""
    from engage_spark.insight.mentions import MentionKind
    from engage_spark.insight.number_texts import mentions_of, prepared

    kinds = (MentionKind.NUMBER, MentionKind.MULTIPLE, MentionKind.FRACTION)
    return frozenset(float(m.value) for m in mentions_of(prepared(text)) if m.kind in kinds)


def best_metrics(
    words: Collection[str], metrics: Sequence[MetricTerm], window: int | None
) -> list[MetricTerm]:
    """Return the metrics that words name, as few as the words allow; several where they are not clear.

    What the words name whole goes before what they name in part, and that before what only a description
    says. Delivered fields go before derived ones. Of fields that differ only in their window the first
    declared is meant, of others a target.
    """
    wanted = frozenset(words)
    by_name = [m for m in metrics if wanted == {m.name} and "_" in m.name]
    if not wanted or by_name:
        return by_name
    tiers: list[list[MetricTerm]] = [[], [], [], []]
    for metric in metrics:
        if window is not None and metric.window != window:
            continue
        if wanted == metric.core:
            tiers[0].append(metric)
        elif metric.core <= wanted <= metric.core | metric.soft:
            tiers[1].append(metric)
        elif wanted <= metric.core:
            tiers[2].append(metric)
        elif wanted <= metric.core | metric.soft and wanted & metric.core:
            tiers[3].append(metric)
    # A name that is only a unit, such as minutes, is explained by its description alone.
    tiers.append([m for m in metrics if m.is_named_by_unit and len(wanted) > 1 and wanted <= m.soft])
    best = next((tier for tier in tiers if tier), [])
    best = [m for m in best if m.is_delivered] or best
    same = {m.quantity for m in best}
    if len(best) > 1 and len(same) == 1:
        return best[:1]
    targets = [m for m in best if m.is_target]
    return targets if len(targets) == 1 else best


def best_dimensions(words: Collection[str], dimensions: Sequence[DimensionTerm]) -> list[DimensionTerm]:
    """Return the dimensions that words name: whole before in part, and in part only where it is no flag."""
    wanted = frozenset(words)
    if not wanted:
        return []
    exact = [d for d in dimensions if wanted in ({d.name}, d.core) or wanted == d.core | (wanted & _GENERIC)]
    part = [
        d
        for d in dimensions
        if d.core <= wanted <= d.core | d.soft
        or (wanted <= d.core and not d.is_flag)
        or (d.is_flag and len(wanted) > 1 and wanted & d.core and wanted <= d.core | d.soft)
    ]
    return exact or part


def customers_of(terms: Terms) -> str:
    """Return the name of the metric that counts customers."""
    return CUSTOMERS if CUSTOMERS in terms.vocabulary.metric_names else terms.vocabulary.metric_names[-1]
