"""Suggest how a text column is read as what it holds: numbers with blanks, amounts of money, dates. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engage_spark.contract.sql_nodes import quoted
from engage_spark.quality.profiling.facts import ColumnFacts, is_few
from engage_spark.quality.profiling.value_scan import AMOUNT, AMOUNT_SIGNS, NUMBER

_DATES = {
    "date": None,
    "year/month/day": "yyyy/M/d",
    "month/day/year": "M/d/yyyy",
    "day/month/year": "d/M/yyyy",
    "month-day-year": "M-d-yyyy",
    "day-month-year": "d-M-yyyy",
    "day.month.year": "d.M.yyyy",
    "day-name-year": "d-MMM-yyyy",
}
"""Forms of dates, with Spark's format; None where Spark reads it as it is."""
_EXACT = 2.0**53


@dataclass(frozen=True, kw_only=True)
class SuggestedReading:
    """How a column of text is read: its type, the expression, the rows that it cannot read, and those that it
    reads as missing. `form` is what the others are.
    """

    type: str
    form: str
    expression: str
    unread: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class AmbiguousDates:
    """The formats by which the dates of a column can be read equally well."""

    formats: tuple[str, ...]


def reading_of(c: ColumnFacts, name: str) -> SuggestedReading | AmbiguousDates | None:
    """Return how a column, called `name` in the contract, is read; None where it stays text.

    One percent of its texts may be something else, beside blanks and words for what is missing. A column
    with leading zeros stays text, and one with whole numbers that a double does not hold.
    """
    if not c.is_text or c.off is None or not _n_telling(c) or c.counts.get("long"):
        return None
    return _numbers(c, quoted(name)) or _dates(c, quoted(name))


def _numbers(c: ColumnFacts, column: str) -> SuggestedReading | None:
    for form, pattern, plain in (
        ("number", NUMBER, f"TRIM({column})"),
        ("amount", AMOUNT, f"REGEXP_REPLACE({column}, {_text(AMOUNT_SIGNS)}, '')"),
    ):
        numbers = c.numbers.get(form)
        if numbers is None or c.counts.get("zeros") or not _holds(c, form):
            continue
        largest = max(abs(numbers.minimum), abs(numbers.maximum))
        if numbers.whole and largest >= _EXACT:
            return None
        kind = ("int" if largest < 2**31 else "bigint") if numbers.whole else "double"
        # The cast refuses what is no integer; it takes `1d` and `Infinity` for numbers, and without its signs
        # an amount such as `1,5` is another one.
        is_strict = form == "number" and kind != "double"
        text = plain if is_strict else _if_like(pattern, column, plain)
        return _reading(c, form, kind, _or_null(c, column, text))
    return None


def _dates(c: ColumnFacts, column: str) -> SuggestedReading | AmbiguousDates | None:
    text = _or_null(c, column, f"TRIM({column})")
    if _holds(c, "moment"):
        return _reading(c, "moment", "timestamp", f"TO_TIMESTAMP({text})")
    forms = [form for form in _DATES if _holds(c, form)]
    least = min((_off(c, form) for form in forms), default=0)
    likeliest = [form for form in forms if _off(c, form) == least]
    if len(likeliest) > 1:
        return AmbiguousDates(formats=tuple(str(_DATES[form]) for form in likeliest))
    if not likeliest:
        return None
    form_of_spark = _DATES[likeliest[0]]
    expression = f"TO_DATE({text}, {_text(form_of_spark)})" if form_of_spark else f"TO_DATE({text})"
    return _reading(c, likeliest[0], "date", expression)


def reading_of_classes(c: ColumnFacts, name: str, *, missing: int) -> SuggestedReading:
    """Return how classes are read of texts of which some are blank or words for what is missing."""
    column = quoted(name)
    expression = _or_null(c, column, f"TRIM({column})")
    return SuggestedReading(type="string", form="classes", expression=expression, unread=0, missing=missing)


def _n_telling(c: ColumnFacts) -> int:
    """Count the rows that hold more than blanks and words for what is missing."""
    return c.visible - sum(c.markers.values())


def _off(c: ColumnFacts, form: str) -> int:
    """Count the rows that tell something, and have not this form."""
    return (c.off or {}).get(form, 0) - sum(c.markers.values())


def _holds(c: ColumnFacts, form: str) -> bool:
    return is_few(_off(c, form), _n_telling(c))


def _or_null(c: ColumnFacts, column: str, text: str) -> str:
    """Return an expression that is null for blanks and for the words for what is missing."""
    if not c.markers:
        return f"NULLIF({text}, '')"
    words = ", ".join(_text(word) for word in sorted({m.strip().upper() for m in c.markers}))
    return f"CASE WHEN UPPER(TRIM({column})) IN ({words}) THEN NULL ELSE NULLIF({text}, '') END"


def _if_like(pattern: str, column: str, plain: str) -> str:
    """Return an expression that is `plain` where a text is of a form or blank, else one that no cast takes.

    Around it may be what no one sees; the cast takes off white space, and refuses the rest. A text of many
    blanks is matched in one pass.
    """
    unseen = "[^!-~€£]*"
    return (
        f"CASE WHEN {column} RLIKE {_text(f'^{unseen}({pattern}{unseen})?$')} THEN {plain} "
        "ELSE 'unreadable' END"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _reading(c: ColumnFacts, form: str, kind: str, expression: str) -> SuggestedReading:
    return SuggestedReading(
        type=kind,
        form=form,
        expression=expression,
        unread=_off(c, form),
        missing=c.counts.get("blank", 0) + sum(c.markers.values()),
    )
