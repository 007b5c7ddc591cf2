"""Say an answer of a tool in sentences: every number in them is a figure of the answer, rounded by one rule.

Numbers keep three significant digits, counts and whole numbers all of theirs. Shares are written as percent.
Tables are shown by their first rows; the answer itself has all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from engage_spark.insight.evidence import EVERYONE, Answer, ColumnRole, Evidence, Value
from engage_spark.numerics.suppression import SMALLEST_GROUP

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
_ROWS = "rows of "
_QUANTILE = " quantile"
_PAYS, _PAYS_FROM = "a contact pays", "from which a contact pays"
_FOR_A_MEDIAN = 2 * SMALLEST_GROUP
"""Customers from which on enough lie on both sides of the median."""
_CUSTOMER = "the customer"
"""The filter of figures on the one who was asked for."""


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


def narrate(answer: Answer, *, lead: Sequence[str] = ()) -> str:
    """Return an answer in sentences: what was asked for, the table, how to read it, and its source.

    `lead` is said first, and not once more. Rows that read alike are each one.
    """
    sayings, table = [*_SAYINGS.get(answer.tool, _facts)(answer)], [*_table(answer)]
    if not sayings and not table:
        why = "" if answer.notes else ": nobody was counted for this"
        sayings.append(f"There is nothing to show{why}{'.' if not answer.notes else ', for this reason:'}")
    sentences = [*dict.fromkeys([*lead, *sayings])]
    notes = (note for note in dict.fromkeys(answer.notes) if note not in sentences)
    return "\n".join([*sentences, *table, *notes, *_sources(answer)])


def _facts(answer: Answer) -> Iterator[str]:
    for fact in answer.facts:
        yield sentence(fact)


def sentence(fact: Evidence) -> str:
    """Return one figure as a sentence, with its interval, its customers, and of whom it is."""
    *subject, measure = fact.label.split(": ")
    whom = _whom(fact.filter)
    if not isinstance(fact.value, int | float):
        value = words(str(fact.value)) if not subject else str(fact.value)
        if fact.value is None:
            value = "not known, since nobody has a value" if fact.n == 0 else "not known"
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
    if of == _CUSTOMER:
        return " for this customer"
    if of.startswith(_ROWS):
        whose = of.removeprefix(_ROWS)
        return f" in {whose}" if whose == "the delivery" else f" for {words(whose)}"
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
    """Return a name as words: underscores are spaces, and (null) is a value that is missing."""
    return name.replace("_", " ").replace(" is (null)", " is missing")


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
    quantiles = [f for f in asked if f.label.endswith(_QUANTILE)]
    yield from map(sentence, [f for f in asked if f not in quantiles])
    if quantiles:
        each = (f"{f.label.rpartition(': ')[2]} {_figure(f)}" for f in quantiles)
        yield f"{capital(words(str(metric)))}{_whom(quantiles[0].filter)}: {', '.join(each)}."
    yield from map(sentence, [f for f in answer.facts if f not in asked])


def _figure(fact: Evidence) -> str:
    return number(fact.value, fact.unit) if isinstance(fact.value, int | float) else "not known"


def _explanation(answer: Answer) -> Iterator[str]:
    """Say of each target what the model predicts for the customer, and whether a contact pays."""
    parts: dict[str, dict[str, Evidence]] = {}
    for fact in answer.facts:
        target, _, measure = fact.label.partition(": ")
        parts.setdefault(target, {})[measure] = fact
    for target, of_target in parts.items():
        name = words(target)
        for measure in ("probability", "prediction"):
            if measure in of_target:
                yield sentence(of_target[measure])
        pays, threshold = (of_target.get(m) for m in (_PAYS, f"probability {_PAYS_FROM}"))
        if pays is not None and threshold is not None:
            verdict = "pays" if pays.value == "yes" else "does not pay"
            yield f"For {name}, a contact {verdict}: one pays from a probability of {_figure(threshold)} on."
        if "model" in of_target:
            yield f"The model of {name} is {of_target['model'].value}."


def _similar(answer: Answer) -> Iterator[str]:
    for fact in answer.facts:
        target, _, measure = fact.label.partition(": ")
        yield f"{capital(words(target))}, {measure}: {_figure(fact)}{_precision(fact)}."


def _advice(answer: Answer) -> Iterator[str]:
    """Say first where there is no group that anything could be done about."""
    yield from (note for note in answer.notes if not answer.rows and note.startswith("No group is worse"))
    yield from _facts(answer)


_SAYINGS = {
    "describe": _description,
    "check_claim": _claim,
    "compare_segments": _comparison,
    "correlate": _correlation,
    "explain_customer": _explanation,
    "similar_customers": _similar,
    "recommend": _advice,
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
    return "; ".join([f"{name}: {', '.join(_values(answer, row)) or _why_empty(answer, row)}", *texts])


def _why_empty(answer: Answer, row: tuple[Value, ...]) -> str:
    """Say why a row has no values: few customers are the reason only where they are few."""
    n = answer.cell(row, "n")
    if n == 0:
        return "nobody has a value"
    if not isinstance(n, int):
        return "not known"
    enough = _FOR_A_MEDIAN if answer.tool == "distribution" else SMALLEST_GROUP
    return f"{'too few customers to show this' if n < enough else 'not known'} (n = {n:,})"


def _values(answer: Answer, row: tuple[Value, ...]) -> Iterator[str]:
    evidence = list(answer.evidence_of(row)) if answer.origin is not None else []
    left_out = _LEFT_OUT.get(answer.tool, frozenset())
    values = [c.name for c in answer.columns if c.role is ColumnRole.VALUE and c.name != "n"]
    of_values = [e for e in evidence if not values or e.label.split(": ")[-1] != "n"]
    shown = [e for e in of_values if e.label.split(": ")[-1] not in left_out] or of_values
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
