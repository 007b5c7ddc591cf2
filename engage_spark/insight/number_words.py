"""Hold the English words for numbers, fractions, multiples, ordinals and months."""

from __future__ import annotations

import re
from decimal import Decimal

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBERS = {word: i for i, word in enumerate(_ONES)} | {word: 10 * i for i, word in enumerate(_TENS, 2)}
SCALE_WORDS = ("hundred", "dozen", "thousand", "million", "billion")
SCALES = {
    "hundred": Decimal(100),
    "dozen": Decimal(12),
    "thousand": Decimal(1_000),
    "million": Decimal(1_000_000),
    "billion": Decimal(1_000_000_000),
    "k": Decimal(1_000),
    "m": Decimal(1_000_000),
    "mn": Decimal(1_000_000),
    "mio": Decimal(1_000_000),
    "b": Decimal(1_000_000_000),
    "bn": Decimal(1_000_000_000),
}
FRACTIONS = {
    word: Decimal(n)
    for n, word in (
        (2, "halves"),
        (2, "half"),
        (3, "third"),
        (4, "quarter"),
        (4, "fourth"),
        (5, "fifth"),
        (6, "sixth"),
        (7, "seventh"),
        (8, "eighth"),
        (9, "ninth"),
        (10, "tenth"),
        (100, "hundredth"),
    )
}
MULTIPLES = {
    **dict.fromkeys(("twice", "double", "doubled", "doubles", "doubling", "twofold"), Decimal(2)),
    **dict.fromkeys(("thrice", "triple", "tripled", "triples", "treble", "tripling"), Decimal(3)),
    **dict.fromkeys(("quadruple", "quadrupled", "quadruples"), Decimal(4)),
    **dict.fromkeys(("halve", "halved", "halves", "halving"), Decimal("0.5")),
}
ORDINALS = {
    word: i
    for i, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        1,
    )
}
VAGUE = {
    "dozens": Decimal(12),
    "hundreds": Decimal(100),
    "thousands": Decimal(1_000),
    "millions": Decimal(1_000_000),
    "billions": Decimal(1_000_000_000),
}
_MONTH_NAMES = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
MONTHS = {name: i for i, name in enumerate(_MONTH_NAMES, 1)} | {
    name[:3]: i for i, name in enumerate(_MONTH_NAMES, 1)
}
WORD_NUMBER = "|".join(sorted(NUMBERS, key=len, reverse=True))
"""Matches a word of a number below a hundred; compounds are joined by who asks."""


def number_of_words(words: str) -> Decimal:
    """Return the number that words say, such as "one hundred and twenty thousand" or "two point five".

    Errors: KeyError for a word that is no number.
    """
    whole, _, fraction = words.lower().partition("point")
    total, group = Decimal(0), Decimal(0)
    has_group = False
    for word in re.split(r"[\s-]+", whole.strip()):
        if word in ("", "and", "a", "an"):
            continue
        if word in SCALES:
            scale = SCALES[word]
            group = (group if has_group else Decimal(1)) * scale
            if scale >= 1_000:
                total, group, has_group = total + group, Decimal(0), False
            else:
                has_group = True
        else:
            group, has_group = group + NUMBERS[word], True
    digits = [NUMBERS[w] for w in re.split(r"[\s-]+", fraction.strip()) if w]
    return total + group + sum(Decimal(d).scaleb(-i) for i, d in enumerate(digits, 1))
