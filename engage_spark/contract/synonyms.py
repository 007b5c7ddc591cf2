"""Find what is wrong with the words that a contract teaches for its fields and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engage_spark.contract.model import Contract, Field, Role, Table, TableKind
from engage_spark.contract.statements import AnalyticsUse
from engage_spark.english import FILLER, FUTURE, NEGATIONS, QUALITIES, WINDOW_WORDS, folded, meaning, singular
from engage_spark.function_words import DOING_VERBS, FREQUENCY, MOVING_VERBS, SHORT_FORMS, word_set

MOST_SYNONYMS, LONGEST_SYNONYM = 100, 60
"""Words of a field, and letters of one."""
_WORDS = re.compile(r"[^\W_]+(?:[ '&-]+[^\W_]+){0,4}")
_KINDS = (TableKind.ENTITY, TableKind.DERIVED, TableKind.GRAPH)
_ASKING = word_set(
    """
    trend correlation correlate driver drive cause recommend recommendation fair fairness influencer claim
    quality change changed similar explain total sum
    """
)
"""Words by which questions say what they want."""
_OF_QUESTIONS = frozenset(
    map(
        folded,
        FILLER
        | FUTURE
        | NEGATIONS
        | QUALITIES
        | WINDOW_WORDS
        | DOING_VERBS
        | MOVING_VERBS
        | FREQUENCY
        | SHORT_FORMS.keys()
        | _ASKING,
    )
)
"""Words that questions are made of: none can be the name of something."""
_LEAVING = ("churn", "retention", "active")
"""What means who leaves, or stays, in the questions to every contract."""


def synonym_problems(contract: Contract) -> list[str]:
    """Say what is wrong with the synonyms of fields and values: words that are none, that mean two things (a
    field, a value, a key of cohorts, another synonym, also in the plural or without accents), or that
    questions need for something else.
    """
    fields = [(t, f) for t in contract.tables for f in t.fields]
    problems = [
        f"field {t.name}.{f.name}: synonyms are for fields of customers, derived tables and the graph"
        for t, f in fields
        if (f.synonyms or f.value_synonyms) and t.kind not in _KINDS
    ]
    named = [(t, f) for t, f in fields if t.kind in _KINDS]
    values = {_same(str(v)): _value(t, f, v) for t, f in named for v in f.allowed if isinstance(v, str)}
    names = {
        _same(f.cohort_name): f"the name of cohorts by {t.name}.{f.name}" for t, f in named if f.cohort_name
    }
    names |= {
        _same(f"{f.name}_quartile"): f"the quartiles of {t.name}.{f.name}"
        for t, f in named
        if AnalyticsUse.QUARTILES in f.analytics
    }
    taken = values | names | {_same(f.name): f"the name of {t.name}.{f.name}" for t, f in named}
    entities = (_words_of(t.name)[-1:] for t in contract.tables if t.kind is TableKind.ENTITY)
    customers = {"customer", *(meaning(singular(w)) for words in entities for w in words)}
    for table, field in fields:
        at = f"field {table.name}.{field.name}"
        problems += [f"{at}: {problem}" for problem in _of_field(field)]
        for word, what in _meanings(table, field):
            if reserved := _reserved(word, customers, field):
                problems.append(f"{at}: the synonym {word!r} {reserved}")
            owner = taken.setdefault(_same(word), what)
            if owner != what:
                problems.append(f"{at}: the synonym {word!r} is {owner} as well")
    return problems


def _of_field(field: Field) -> Iterator[str]:
    words = [*field.synonyms, *(word for word, _ in field.value_synonyms)]
    if len(words) > MOST_SYNONYMS:
        yield f"it has {len(words)} synonyms, {MOST_SYNONYMS} at most are read"
    for word in words:
        if len(word) > LONGEST_SYNONYM or not _WORDS.fullmatch(word) or not any(map(str.isalpha, word)):
            yield f"the synonym {word[:100]!r} must be one to five words, such as 'inner city'"
    allowed = {str(value) for value in field.allowed}
    for word, value in field.value_synonyms:
        if allowed and value not in allowed:
            yield f"valueSynonyms takes {word!r} for {value[:100]!r}, which is no valid value"


def _meanings(table: Table, field: Field) -> Iterator[tuple[str, str]]:
    yield from ((word, f"a synonym of {table.name}.{field.name}") for word in field.synonyms)
    for word, value in field.value_synonyms:
        yield word, f"a synonym of the value {value[:100]!r} of {table.name}.{field.name}"


def _value(table: Table, field: Field, value: str | int) -> str:
    return f"the value {str(value)[:100]!r} of {table.name}.{field.name}"


def _reserved(word: str, customers: set[str], field: Field) -> str | None:
    """Say what questions need a word for, so that it can name no field and no value."""
    words = _words_of(word)
    if words and all(w in _OF_QUESTIONS or singular(w) in _ASKING for w in words):
        return "is what questions are made of"
    means = {meaning(w) for w in words}
    if means and means <= customers:
        return "is what customers are called"
    if means and means <= {*_LEAVING} and field.role is not Role.TARGET:
        return "means who leaves or stays, in questions to every contract"
    return None


def _words_of(text: str) -> list[str]:
    """Return the words of a text without accents and case; & is and."""
    return [w for w in re.split(r"[\W_]+", folded(text).replace("&", " and ")) if w]


def _same(word: str) -> str:
    """Return what words have in common that questions do not tell apart: accents, case, signs, the plural."""
    return " ".join(map(singular, _words_of(word)))
