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
NUMBERS = (
    {word: i for i, word in enumerate(_ONES)}
    | {word: 10 * i for i, word in enumerate(_TENS, 2)}
    | dict.fromkeys(("nil", "nought", "naught"), 0)
)
SCALE_WORDS = ("hundred", "dozen", "thousand", "million", "billion", "trillion", "lakhs?", "crores?")
"""Words that multiply the number before them, as patterns."""
SCALES = {
    "hundred": Decimal(100),
    "dozen": Decimal(12),
    "thousand": Decimal(1_000),
    "million": Decimal(1_000_000),
    "billion": Decimal(1_000_000_000),
    "trillion": Decimal(10**12),
    **dict.fromkeys(("lakh", "lakhs"), Decimal(100_000)),
    **dict.fromkeys(("crore", "crores"), Decimal(10_000_000)),
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
    **dict.fromkeys(("thrice", "triple", "tripled", "triples", "tripling"), Decimal(3)),
    **dict.fromkeys(("treble", "trebled", "trebles", "trebling"), Decimal(3)),
    **{
        f"{stem}{end}": Decimal(n)
        for n, stem in (
            (4, "quadrupl"),
            (5, "quintupl"),
            (6, "sextupl"),
            (7, "septupl"),
            (8, "octupl"),
            (10, "decupl"),
        )
        for end in ("e", "ed", "es", "ing")
    },
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
_TEENTHS = {f"{word}th": i for i, word in enumerate(_ONES) if i > 12}
_TENTHS = {f"{word[:-1]}ieth": 10 * i for i, word in enumerate(_TENS, 2)}
ORDINALS |= _TEENTHS | _TENTHS
ORDINALS |= {
    f"{ten}{joint}{one}": 10 * i + j
    for i, ten in enumerate(_TENS, 2)
    for one, j in list(ORDINALS.items())[:9]
    for joint in ("-", " ")
}
"""Words for a rank, up to ninety-ninth."""
_MANY = Decimal(10**30)
VAGUE = {
    "dozens": (Decimal(24), Decimal(144)),
    "scores": (Decimal(40), Decimal(200)),
    "tens": (Decimal(20), Decimal(100)),
    "hundreds": (Decimal(200), Decimal(1_000)),
    "tens of thousands": (Decimal(20_000), Decimal(100_000)),
    "hundreds of thousands": (Decimal(200_000), Decimal(1_000_000)),
    "thousands": (Decimal(2_000), Decimal(1_000_000)),
    "tens of millions": (Decimal(20_000_000), Decimal(100_000_000)),
    "hundreds of millions": (Decimal(200_000_000), Decimal(10**9)),
    "millions": (Decimal(2_000_000), Decimal(10**9)),
    "billions": (Decimal(2 * 10**9), Decimal(10**12)),
    "trillions": (Decimal(2 * 10**12), Decimal(10**15)),
    "handful": (Decimal(3), Decimal(10)),
    **dict.fromkeys(("myriad", "myriads"), (Decimal(10_000), _MANY)),
    **dict.fromkeys(("zillions", "gazillions", "umpteen"), (_MANY, _MANY)),
}
"""What a word such as hundreds may stand for: at least the first number, and less than the second."""
DECADES = tuple(f"{word[:-1]}ies" for word in _TENS)
"""Words for ten years of an age, which no figure is."""
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


_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_OF_LETTERS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1_000}


def number_of_roman(letters: str) -> int | None:
    """Return the number that Roman numerals say, such as 38 of XXXVIII; None where they are none."""
    letters = letters.upper()
    if not letters or not _ROMAN.fullmatch(letters):
        return None
    values = [_OF_LETTERS[letter] for letter in letters]
    following = [*values[1:], 0]
    return sum(-v if v < after else v for v, after in zip(values, following, strict=True))
