"""Scan undeclared columns of text, whole numbers and flags: their values where they are few, or the shapes of
their text.

Adds to the one pass of `spark.column_profile`. Sent along by value, so that executors need numpy and pyarrow
only. Bounded: a column with many values, many shapes or long texts is marked so, and they are not listed.
Only counts, minima and maxima leave a partition, so that partitions add up to the same in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engage_spark.numerics.batch_counts import CountedRow
from engage_spark.numerics.column_profile import TextCounter, row

VALUES, SHAPES, TOKENS, LONGEST = 50, 4, 12, 64
"""The most values, shapes, and tokens of a shape that are told apart, and the longest text that is looked at,
in characters.
"""
_DAY, _MONTH, _YEAR = "(0?[1-9]|[12][0-9]|3[01])", "(0?[1-9]|1[0-2])", "[0-9]{4}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
NUMBER = "[+-]?((0|[1-9][0-9]*)([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"
AMOUNT = "[+-]? ?[$€£]? ?([1-9][0-9]{0,2}(,[0-9]{3})+|0|[1-9][0-9]*)([.][0-9]+)? ?%?"
"""What is between the blanks of a number and of an amount. A reading asks for the same: no backslash."""
FORMS = {
    "uuid": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "url": r"https?://\S+",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "moment": rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})?",
    "month/day/year": f"{_MONTH}/{_DAY}/{_YEAR}",
    "day/month/year": f"{_DAY}/{_MONTH}/{_YEAR}",
    "year/month/day": f"{_YEAR}/{_MONTH}/{_DAY}",
    "day.month.year": rf"{_DAY}\.{_MONTH}\.{_YEAR}",
    "day-month-year": f"{_DAY}-{_MONTH}-{_YEAR}",
    "month-day-year": f"{_MONTH}-{_DAY}-{_YEAR}",
    "day-name-year": f"{_DAY}-[A-Z][a-z]{{2}}-{_YEAR}",
    "address": r"[0-9]{1,3}(\.[0-9]{1,3}){3}",
    "number": rf"\s*{NUMBER}\s*",
    "amount": rf"\s*{AMOUNT}\s*",
    "phone": (
        r"\+[0-9(][0-9 ()/.-]{5,18}[0-9]|\(?0[0-9]{1,5}\)?[ /.-][0-9 ./-]{4,15}[0-9]"
        r"|\(?[0-9]{3}\)?[ .-]{1,2}[0-9]{3}[ .-][0-9]{4}"
    ),
}
"""Forms that values of a text column may have, for RE2, Java and ECMA-262 alike. The first that holds is the
column's. A number has no leading zeros: they are lost where a code is read as one.
"""
AMOUNT_SIGNS = "[$€£,% ]"
"""What is taken out of an amount, so that a number is left."""
MARKERS = (
    r"(?i)^\s*(#?n/?a|n\.a\.|null|none|nan|nil|unknown|missing|not available|\?{1,3}|-{1,3}|\.{1,3})\s*$"
)
"""Words that people write where a value is missing."""
UNFIT = r"^[\s\pZ]|[\s\pZ]$|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"
CLASSES = {"A": "[A-Z]", "a": "[a-z]", "9": "[0-9]"}
SHAPE, TOKEN, SHAPELESS, OFF, COUNT, NUMBERS, FRACTIONS, MARKER = (
    "shape",
    "token",
    "shapeless",
    "off",
    "count",
    "numbers",
    "fractions",
    "marker",
)


class NumberSpan:
    """The ends of the numbers that texts hold, and whether one of them is written as a fraction: `3.0` and
    `1e3` are whole, and no text of an integer.
    """

    def __init__(self, form: str) -> None:
        self.form = form
        self.least, self.most, self.has_fraction = float("inf"), float("-inf"), False

    def add(self, texts: pa.Array) -> None:
        """Take in texts that are numbers."""
        plain = pc.replace_substring_regex(texts, r"[$€£,%\s]", "")
        numbers = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers):
            self.least, self.most = (
                min(self.least, float(numbers.min())),
                max(self.most, float(numbers.max())),
            )
            self.has_fraction |= bool(pc.any(pc.match_substring_regex(plain, "[.eE]")).as_py())

    def rows(self) -> Iterator[CountedRow]:
        """Return what was seen."""
        if self.least <= self.most:
            yield row(NUMBERS, 1, text=self.form, ends=(self.least, self.most))
        if self.has_fraction:
            yield row(FRACTIONS, 1, text=self.form)


class TextScan:
    """Scans a text column of a partition: its values where they are few and short, and what they look
    like.
    """

    def __init__(self) -> None:
        self.values = TextCounter(VALUES, thin=False)
        self.shapes: dict[str, tuple[int, list[list[Any]]]] | None = {}
        self.off = dict.fromkeys(FORMS, 0)
        self.numbers = {form: NumberSpan(form) for form in ("number", "amount")}
        self.markers: dict[str, int] = {}
        self.counts = dict.fromkeys(("blank", "control", "lost", "long", "unfit", "zeros"), 0)

    def add(self, column: pa.Array) -> None:
        """Scan a batch."""
        filled = column.drop_null()
        if len(filled):
            self._text(filled)
        self.values.add(column)

    def _text(self, filled: pa.Array) -> None:
        blank = pc.match_substring_regex(filled, r"^[\s\pZ]*$")
        self.counts["blank"] += pc.sum(blank).as_py() or 0
        self.counts["control"] += (
            pc.sum(pc.match_substring_regex(filled, r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}]")).as_py() or 0
        )
        self.counts["lost"] += pc.sum(pc.match_substring(filled, "\ufffd")).as_py() or 0
        # What no key may hold: outer blanks, invisible characters, another normal form than C.
        unfit = pc.or_(
            pc.match_substring_regex(filled, UNFIT), pc.not_equal(pc.utf8_normalize(filled, "NFC"), filled)
        )
        self.counts["unfit"] += pc.sum(unfit).as_py() or 0
        long = pc.greater(pc.utf8_length(filled), LONGEST)
        self.counts["long"] += pc.sum(long).as_py() or 0
        if self.counts["long"]:
            self.values.give_up()
            self.shapes = None
        visible = pc.value_counts(filled.filter(pc.invert(blank)))
        texts, rows = visible.field(0), visible.field(1).to_numpy(zero_copy_only=False)
        for form, pattern in FORMS.items():
            matches = pc.match_substring_regex(texts, f"^(?:{pattern})$")
            fits = matches.to_numpy(zero_copy_only=False).astype(bool)
            self.off[form] += int(rows[~fits].sum())
            if form in self.numbers:
                self.numbers[form].add(texts.filter(matches))
        zeros = pc.match_substring_regex(texts, r"^\s*[+-]?0[0-9]").to_numpy(zero_copy_only=False)
        self.counts["zeros"] += int(rows[zeros.astype(bool)].sum())
        is_marker = pc.match_substring_regex(texts, MARKERS)
        marker_rows = rows[is_marker.to_numpy(zero_copy_only=False).astype(bool)]
        for text, n in zip(texts.filter(is_marker).to_pylist(), marker_rows.tolist(), strict=True):
            word = text.strip().upper()
            self.markers[word] = self.markers.get(word, 0) + n
        if self.shapes is not None:
            self._shaped(texts, rows)

    def _shaped(self, texts: pa.Array, rows: np.ndarray) -> None:
        shape = texts
        for sign, of in CLASSES.items():
            shape = pc.replace_substring_regex(shape, f"{of}+", sign)
        known = pc.unique(shape).slice(0, SHAPES + 1).to_pylist()
        assert self.shapes is not None
        if len(set(known) | set(self.shapes)) > SHAPES or any(len(s) > TOKENS for s in known):
            self.shapes = None
            return
        for s in known:
            of_shape = pc.equal(shape, s)
            n_rows = int(rows[of_shape.to_numpy(zero_copy_only=False).astype(bool)].sum())
            new_tokens = self._tokens(s, texts.filter(of_shape))
            before, into = self.shapes.get(s, (0, new_tokens))
            self.shapes[s] = (before + n_rows, into)
            for have, new in zip(into, new_tokens, strict=True):
                have[:] = (
                    min(have[0], new[0]),
                    max(have[1], new[1]),
                    min(have[2], new[2]),
                    max(have[3], new[3]),
                )

    def _tokens(self, shape: str, visible: pa.Array) -> list[list[Any]]:
        """Of each token the first and last text, and the least and most characters."""
        parts = [
            f"(?P<t{i}>{CLASSES[c] + '+' if c in CLASSES else re.escape(c)})" for i, c in enumerate(shape)
        ]
        cut = pc.extract_regex(visible, "^" + "".join(parts) + "$")
        tokens = []
        for i in range(len(parts)):
            token = cut.field(i)
            texts, lengths = pc.min_max(token), pc.min_max(pc.utf8_length(token))
            tokens.append(
                [texts["min"].as_py(), texts["max"].as_py(), lengths["min"].as_py(), lengths["max"].as_py()]
            )
        return tokens

    def rows(self) -> Iterator[CountedRow]:
        """Return what was counted.

        A form is counted by the rows that do not have it. More shapes than are told apart have a row, so that
        one partition is enough to say so.
        """
        yield from self.values.rows()
        for name, n in self.counts.items():
            yield row(COUNT, n, text=name)
        for form, n in self.off.items():
            if n:
                yield row(OFF, n, text=form)
        for span in self.numbers.values():
            yield from span.rows()
        for word, n in self.markers.items():
            yield row(MARKER, n, text=word)
        if self.shapes is None:
            yield row(SHAPELESS, 1, text="")
            return
        for shape, (n, tokens) in self.shapes.items():
            yield row(SHAPE, n, text=shape)
            for i, (low, high, least, most) in enumerate(tokens):
                yield row(TOKEN, 1, text=f"{i:02}{shape}", ends=(least, most), texts=(low, high))


def value_counter() -> TextCounter:
    """Count the values of a column of whole numbers or flags, as text, where they are few."""
    return TextCounter(VALUES, thin=False)
