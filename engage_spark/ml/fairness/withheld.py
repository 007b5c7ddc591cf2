"""Withhold what tells a figure of few customers by arithmetic, though its own denominator is large.

A group's base rate, its rate of selection and its accuracy give its true positives, and so the rate of true
positives among a handful of customers labelled 1, which is not shown, and the outcomes of a handful who were
not selected. So the rates that follow from a group's hits (`JOINT`) are shown together or not at all: where
the customers of each label, and of each decision, are many or none. And what all rows have less the groups
that are shown is a figure too: where only few customers would be behind it, more groups are withheld, the
smallest first. A table of two attributes, whose rows and columns add up to groups of each, is withheld as a
whole where a cell of it or a group of either attribute is.

Pure; the result depends on the counts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce

from engage_spark.ml.fairness.group_sums import GroupSums

JOINT = frozenset({"equal_opportunity", "predictive_equality", "predictive_parity", "accuracy"})
"""Rates each of which gives the others, beside the base rate and the rate of selection of a group."""
IsShort = Callable[[GroupSums], bool]
"""Says of a group whether few customers, but some, have one of its labels, or one of its decisions."""


def withheld_groups(
    tables: Mapping[tuple[str, ...], Mapping[str, GroupSums]], *, is_short: IsShort
) -> dict[tuple[str, ...], frozenset[str]]:
    """Return, by table, the groups whose joint rates are not shown. Tables are those of `compare`."""
    withheld: dict[tuple[str, ...], frozenset[str]] = {
        attributes: frozenset(_of_one_table(groups, is_short))
        for attributes, groups in tables.items()
        if len(attributes) == 1
    }
    for attributes, groups in tables.items():
        if len(attributes) > 1:
            is_told = any(withheld.get((a,)) for a in attributes) or any(map(is_short, groups.values()))
            withheld[attributes] = frozenset(groups) if is_told else frozenset()
    return withheld


def _of_one_table(groups: Mapping[str, GroupSums], is_short: IsShort) -> Collection[str]:
    """Return the groups of few customers, and as many others as hide them among their sum."""
    short = [g for g, s in groups.items() if is_short(s)]
    withheld: list[str] = list(short)
    others: Sequence[str] = sorted((g for g in groups if g not in short), key=lambda g: (groups[g].rows, g))
    for other in others:
        if not withheld or not is_short(reduce(GroupSums.__add__, (groups[g] for g in withheld))):
            break
        withheld.append(other)
    return withheld
