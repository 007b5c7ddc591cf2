"""Recognize the statement of the contract that a question is about."""

from __future__ import annotations

from typing import Any

from engage_spark import english
from engage_spark.function_words import DOING_VERBS, FREQUENCY, word_set
from engage_spark.insight.ask.intents import PHRASES, VERDICTS, Intent
from engage_spark.insight.ask.reading import Reading
from engage_spark.insight.ask.terms import ClaimTerm, Terms, content_of, numbers_of

_ABOUT_STATEMENTS = word_set("x check distribution distributed double twice triple") | DOING_VERBS | FREQUENCY
_LARGE = 1_000
"""A number that says by itself which claim is meant, such as a number of customers."""
_LOOSE = word_set("have has more less higher lower time times twice double churn retention customer")


def named_claim(reading: Reading, terms: Terms, *, is_asked: bool) -> str | None:
    """Return the claim that holds every word and every number of a question; None where it is not clear.

    Without a word such as "true" the question must state a number or a word that only claims have.
    """
    if reading.is_restricted:
        return None
    text = reading.joined
    pattern = dict(PHRASES)[Intent.CLAIM]
    words = content_of(pattern.sub(" ", text)) - terms.claim_sources
    words = frozenset(part for w in words for part in english.EXPANSIONS.get(w, (w,))) - _ABOUT_STATEMENTS
    numbers = numbers_of(text.replace(" %", "%").replace(" x ", "x "))
    fitting = [c for c in terms.claims if _holds(c, words, numbers, terms)]
    if not fitting or not (words or numbers):
        return None
    if not is_asked and not numbers and not _has_own_word(words, terms):
        return None
    exact = [
        c
        for c in fitting
        if c.core <= words | c.core and len(c.core - words) == min(len(x.core - words) for x in fitting)
    ]
    shortest = [c for c in exact if len(c.words) == min(len(x.words) for x in exact)]
    return shortest[0].name if len(shortest) == 1 or _is_family(shortest) else None


def _holds(claim: ClaimTerm, words: frozenset[str], numbers: frozenset[float], terms: Terms) -> bool:
    entity = terms.entity_words
    own = words - entity
    least = 1 if numbers or _has_own_word(own, terms) else 2
    least = 0 if any(number >= _LARGE for number in numbers) else least
    stems = frozenset(w.removesuffix("ly") for w in own)
    return len(own) >= least and stems <= claim.stems and numbers <= claim.numbers


def _has_own_word(words: frozenset[str], terms: Terms) -> bool:
    """Return whether a word is of claims alone: no metric, dimension or segment has it."""
    known = {w for m in terms.metrics for w in m.core}
    known |= {w for d in (*terms.dimensions, *terms.protected) for w in d.core}
    known |= {w for s in terms.segments for w in s.words} | terms.entity_words | _LOOSE
    return bool(words - known)


def _is_family(claims: list[ClaimTerm]) -> bool:
    return len({c.statement for c in claims}) == 1


def verdict_of(reading: Reading) -> dict[str, Any]:
    """Return the verdict that a question about claims asks for, as an argument; none for all of them."""
    if reading.is_negated:
        return {}
    text = reading.joined
    named = [verdict for verdict, pattern in VERDICTS if pattern.search(text)]
    return {"verdict": named[0]} if named and named[0] != "holds" else ({"verdict": "holds"} if named else {})
