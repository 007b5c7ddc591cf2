"""Find what is wrong with the words that a contract teaches for its fields and their values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from engage_spark.contract.model import Contract, Field, Table, TableKind

MOST_SYNONYMS, LONGEST_SYNONYM = 100, 60
"""Words of a field, and letters of one."""
_WORDS = re.compile(r"[^\W_]+(?:[ '&-]+[^\W_]+){0,4}")
_KINDS = (TableKind.ENTITY, TableKind.DERIVED, TableKind.GRAPH)


def synonym_problems(contract: Contract) -> list[str]:
    """Say what is wrong with the synonyms of fields and values: words that are none, or mean two things."""
    fields = [(t, f) for t in contract.tables for f in t.fields]
    problems = [
        f"field {t.name}.{f.name}: synonyms are for fields of customers, derived tables and the graph"
        for t, f in fields
        if (f.synonyms or f.value_synonyms) and t.kind not in _KINDS
    ]
    taken = {_same(f.name): f"the name of {t.name}.{f.name}" for t, f in fields if t.kind in _KINDS}
    for table, field in fields:
        at = f"field {table.name}.{field.name}"
        problems += [f"{at}: {problem}" for problem in _of_field(field)]
        for word, what in _meanings(table, field):
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


def _same(word: str) -> str:
    """Return what words have in common that questions do not tell apart."""
    return " ".join(re.split(r"[\W_]+", unicodedata.normalize("NFC", word).casefold())).strip()
