"""Correct misspelt words within a closed list of words."""

from __future__ import annotations

from collections.abc import Collection

ONE_EDIT, ANOTHER_LETTER, TWO_EDITS = 5, 7, 8
"""Letters from which on one edit can be a slip of the same word, one letter for another, and two edits."""


def distance(first: str, second: str, most: int) -> int:
    """Return the edits from one word to another: letters left out, added, exchanged, or two swapped.

    Above `most` it returns `most + 1`.
    """
    if abs(len(first) - len(second)) > most:
        return most + 1
    before, row = list[int](), list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, row, before = before, [i] + [0] * len(second), row
        for j, b in enumerate(second, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and b == first[i - 2]:
                row[j] = min(row[j], last[j - 2] + 1)
        if min(row) > most:
            return most + 1
    return row[-1]


def corrected(word: str, words: Collection[str]) -> str | None:
    """Return the one word of the list that a misspelt word is nearest to; None where it is not clear.

    Short words are not corrected, and the first letter stands unless it was swapped with the second: a word
    that is not known is better than another one.
    """
    if not word.isalpha() or len(word) < ONE_EDIT:
        return None
    most = 2 if len(word) >= TWO_EDITS else 1
    near = [
        (edits, other)
        for other in words
        if len(other) >= ONE_EDIT - 1
        and (len(word) >= ANOTHER_LETTER or len(other) != len(word) or sorted(other) == sorted(word))
        and (other[0] == word[0] or other[:2] == word[1::-1])
        and (edits := distance(word, other, most if len(other) >= TWO_EDITS - 1 else 1)) <= most
    ]
    # A letter left out is the commonest slip, so a longer word goes before one with another letter.
    ranked = [(edits, len(other) <= len(word), other) for edits, other in near]
    best = min((rank[:2] for rank in ranked), default=(0, False))
    nearest = {other for *rank, other in ranked if tuple(rank) == best}
    stems = {other.removesuffix("s") for other in nearest}
    return min(nearest) if len(stems) == 1 else None
