"""Say an answer of a tool in sentences: every number in them is a figure of the answer, rounded by one rule.

Numbers keep three significant digits, counts and whole numbers all of theirs. Shares are written as percent.
Tables are shown by their first rows; the answer itself has all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from engage_spark.insight.evidence import EVERYONE, Answer, ColumnRole, Evidence, Value

MOST_LINES = 8
"""Rows of a table that are said."""
_DIGITS = 3
_UNITLESS = ("score", "ratio", "correlation", "probability")
_LIFT = ("lift", "ratio")
_TEXTS = ("verdict", "statement", "passed", "severity", "how", "against", "value")
"""Text columns that are said with a row."""
_LEFT_OUT: Mapping[str, frozenset[str]] = {
    "correlate": frozenset({"pearson"}),
    "what_changed": frozenset({"mix", "rate"}),
    "trend": frozenset({"snapshots"}),
    "cohort": frozenset({"age_months"}),
    "data_quality": frozenset({"minimum", "maximum"}),
    "distribution": frozenset({"from", "below"}),
}
"""Value columns that are left to the table where another value says more."""
_TRUE = "true"
_MISSING = "missing values"


def number(value: float, unit: str | None = None, *, is_difference: bool = False) -> str:
    """Return a number with its unit: 37.9% for a share of 0.379, 1,455 USD, 8.68 sessions, 1 group.

    A difference of shares is in percentage points.
    """
    if unit in ("share", "percent"):
        text = plain_number(_percent(value) if unit == "share" else value)
        return f"{text} percentage points" if is_difference else f"{text}%"
    if unit is None or unit in _UNITLESS:
        return plain_number(value)
    name = unit.removesuffix("s") if value == 1 and " " not in unit else unit
    return f"{plain_number(value)} {name}"


def _is_difference(label: str) -> bool:
    """Return whether a figure is the difference of two of its kind."""
    return label.rsplit(": ", maxsplit=1)[-1].startswith(("difference", "change"))


def _percent(value: float) -> float:
    return float(f"{value * 100:.12g}")


def plain_number(value: float) -> str:
    """Return a number with three significant digits; whole numbers with all of theirs."""
    if not math.isfinite(value):
        return "not a number"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = math.floor(math.log10(abs(value)))
    if size < -4:
        return f"{value:.{_DIGITS - 1}e}"
    return f"{value:,.{max(0, _DIGITS - 1 - size)}f}"


def narrate(answer: Answer) -> str:
    """Return an answer in sentences: what was asked for, the table, how to read it, and its source."""
    parts = [*_SAYINGS.get(answer.tool, _facts)(answer), *_table(answer)]
    if not parts:
        parts = ["There is nothing to show."]
    parts += answer.notes
    return "\n".join([*parts, *_sources(answer)])


def _facts(answer: Answer) -> Iterator[str]:
    for fact in answer.facts:
        yield sentence(fact)


def sentence(fact: Evidence) -> str:
    """Return one figure as a sentence, with its interval, its customers, and of whom it is."""
    *subject, measure = fact.label.split(": ")
    whom = _whom(fact.filter)
    if not isinstance(fact.value, int | float):
        value = (
            "not known" if fact.value is None else words(str(fact.value)) if not subject else str(fact.value)
        )
        return f"{capital(words(fact.label))}{whom}: {value}."
    if measure == _MISSING and fact.n is not None:
        return _missing(fact, ", ".join(map(words, subject)), whom)
    value = number(fact.value, fact.unit, is_difference=_is_difference(fact.label))
    if not subject and fact.unit == "customers":
        return (
            f"There are {value}{whom}."
            if measure == "customers"
            else f"{capital(words(measure))}{whom}: {value}."
        )
    if not subject:
        return f"{capital(words(measure))}{whom}: {value}{_precision(fact)}."
    name = ", ".join(map(words, subject))
    times = " times" if measure in _LIFT and fact.unit == "ratio" else ""
    verb = "are" if measure.endswith("values") else "is"
    return f"The {words(measure)} of {name}{whom} {verb} {value}{times}{_precision(fact)}."


def _missing(fact: Evidence, name: str, whom: str) -> str:
    """Return how many of which customers have no value of a metric."""
    if not fact.value:
        return f"All {fact.n:,} customers{whom} have a value of {name}."
    verb = "has" if fact.value == 1 else "have"
    return f"{fact.value:,} of {fact.n:,} customers{whom} {verb} no value of {name}."


def _whom(of: str) -> str:
    """Return of whom a figure is, as a part of a sentence: of all customers it is not said."""
    if of == EVERYONE:
        return ""
    return f" where {words(of)}" if " is " in of else f" among {words(of)}"


def _precision(fact: Evidence) -> str:
    parts = []
    if fact.lower is not None and fact.upper is not None:
        interval = "interval" if fact.filter == "the customer" else "95% interval"
        parts.append(f"{interval} {_ends(fact.lower, fact.upper, fact)}")
    if fact.n is not None and fact.n != fact.value and fact.filter != "the customer":
        parts.append(f"n = {fact.n:,}")
    return f" ({'; '.join(parts)})" if parts else ""


def _ends(lower: float, upper: float, fact: Evidence) -> str:
    """Return the ends of an interval; its unit stands once where it is a word."""
    difference = _is_difference(fact.label)
    first, second = (number(x, fact.unit, is_difference=difference) for x in (lower, upper))
    unit = second.partition(" ")[2]
    return f"{first.removesuffix(f' {unit}') if unit else first} to {second}"


def words(name: str) -> str:
    """Return a name as words: underscores are spaces."""
    return name.replace("_", " ")


def capital(text: str) -> str:
    """Return a text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def _claim(answer: Answer) -> Iterator[str]:
    by_label = {fact.label: fact for fact in answer.facts}
    statement, verdict = by_label.get("statement"), by_label.get("verdict")
    if statement is None or verdict is None:
        yield from _facts(answer)
        return
    yield f"The claim is: {statement.value}"
    yield f"Verdict: {words(str(verdict.value))}."
    for label in ("claimed", "measured"):
        fact = by_label.get(label)
        if fact is not None and isinstance(fact.value, int | float):
            yield f"{capital(label)}: {number(fact.value, fact.unit)}{_precision(fact)}."
    if "explanation" in by_label and by_label["explanation"].value:
        yield str(by_label["explanation"].value)


def _comparison(answer: Answer) -> Iterator[str]:
    """Say which segment is highest, which lowest, and whether each can be told from the others."""
    if not answer.rows or len(answer.rows) < 2 or answer.arguments.get("first"):
        yield from _facts(answer)
        return
    metric = words(str(answer.arguments.get("metric")))
    named = [
        r for r in answer.rows if not any(g.startswith("(") for g in _cells(answer, r, ColumnRole.GROUP))
    ]
    for which, row in zip(
        ("highest", "lowest"), (named[0], named[-1]) if len(named) > 1 else (), strict=False
    ):
        main = next(answer.evidence_of(row))
        if not isinstance(main.value, int | float):
            continue
        lower, upper = (answer.cell(row, f"difference_from_others_{end}") for end in ("lower", "upper"))
        unclear = isinstance(lower, int | float) and isinstance(upper, int | float) and lower <= 0 <= upper
        doubt = ", which cannot be told from the others" if unclear else ""
        yield (
            f"{capital(metric)} is {which} where {words(_group(answer, row))}: "
            f"{number(main.value, main.unit)}{_precision(main)}{doubt}."
        )
    yield from _facts(answer)


def _group(answer: Answer, row: Sequence[Value]) -> str:
    labels, groups = (_cells(answer, row, role) for role in (ColumnRole.LABEL, ColumnRole.GROUP))
    name = (" with " if answer.tool == "correlate" else ": ").join(labels)
    return " is ".join(part for part in (name, *groups) if part) or EVERYONE


def _cells(answer: Answer, row: Sequence[Value], role: ColumnRole) -> list[str]:
    return [str(row[i]) for i, c in enumerate(answer.columns) if c.role is role and row[i] is not None]


def _correlation(answer: Answer) -> Iterator[str]:
    if not answer.arguments.get("other"):
        metric = words(str(answer.arguments.get("metric")))
        yield f"What goes together with {metric}, the strongest correlation first:"


def _description(answer: Answer) -> Iterator[str]:
    """Say the metric that was asked for before the number of customers."""
    metric = answer.arguments.get("metric")
    asked = [f for f in answer.facts if metric and f.label.startswith(f"{metric}: ")]
    yield from map(sentence, [*asked, *(f for f in answer.facts if f not in asked)])


_SAYINGS = {
    "describe": _description,
    "check_claim": _claim,
    "compare_segments": _comparison,
    "correlate": _correlation,
}


def _table(answer: Answer) -> Iterator[str]:
    if not answer.rows:
        return
    rows = answer.rows[-MOST_LINES:] if answer.tool == "trend" else answer.rows[:MOST_LINES]
    for row in rows:
        yield f"- {_line(answer, row)}"
    if len(rows) < len(answer.rows) or answer.truncated:
        yield "The answer as JSON has the other rows." if not answer.truncated else "There are more rows."


def _line(answer: Answer, row: tuple[Value, ...]) -> str:
    name, description = words(_group(answer, row)), answer.cell(row, "description")
    if description and _TRUE in _cells(answer, row, ColumnRole.GROUP):
        name = str(description).rstrip(".")
    texts = [
        f"{words(c.name)}: {row[i]}"
        for i, c in enumerate(answer.columns)
        if c.role is ColumnRole.TEXT and c.name in _TEXTS and row[i] not in (None, "")
    ]
    return "; ".join([f"{name}: {', '.join(_values(answer, row)) or 'nothing to show'}", *texts])


def _values(answer: Answer, row: tuple[Value, ...]) -> Iterator[str]:
    evidence = list(answer.evidence_of(row)) if answer.origin is not None else []
    left_out = _LEFT_OUT.get(answer.tool, frozenset()) | {"n"}
    shown = [e for e in evidence if e.label.split(": ")[-1] not in left_out] or evidence
    for i, fact in enumerate(shown):
        measure = fact.label.split(": ")[-1]
        value = str(fact.value)
        if isinstance(fact.value, int | float):
            value = number(fact.value, fact.unit, is_difference=_is_difference(fact.label))
        n = "" if i or fact.n is None else f"; n = {fact.n:,}"
        ends = ""
        if fact.lower is not None and fact.upper is not None:
            ends = f"95% interval {_ends(fact.lower, fact.upper, fact)}"
        inside = (ends + n).strip("; ")
        times = " times" if measure in _LIFT and fact.unit == "ratio" else ""
        yield f"{words(measure)} {value}{times}{f' ({inside})' if inside else ''}"


def _sources(answer: Answer) -> Iterator[str]:
    """Yield where the figures were read, once for each table."""
    places = {(e.table, e.version, e.as_of, e.run) for e in answer.evidence()}
    for table, version, as_of, run in sorted(places, key=str):
        yield f"Source: {table}, version {version}, run {run}, as of {as_of.isoformat()}."
