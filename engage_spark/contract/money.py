"""Read what a contact costs and brings, as a target's property `money` declares it.

Nobody but the team knows these figures, so there are no defaults: a target without them gets no decision and
no profit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

AMOUNTS = ("value", "cost", "success")
TEXTS = ("currency", "source")
FURTHER = "values"


@dataclass(frozen=True, kw_only=True)
class ContactMoney:
    """What a contact costs, how often it succeeds, and what a success is worth.

    `values` are further values of a success, for which the profit is shown too. `currency` is that of all
    amounts, and `source` says where the figures come from.
    """

    value: float
    cost: float
    success: float
    currency: str = ""
    source: str = ""
    values: tuple[float, ...] = ()

    @property
    def threshold(self) -> float:
        """The probability from which on a contact pays, p* = cost / (success * value); above 1 where none
        can.
        """
        return self.cost / (self.success * self.value)


def read_money(at: str, given: Any, problems: list[str]) -> ContactMoney | None:
    """Read the property `money`; what is wrong with it goes to `problems`.

    Nulls: None where nothing is declared, or something is wrong.
    """
    if given is None:
        return None
    if not isinstance(given, dict):
        problems.append(
            f"{at}: money must map {', '.join((*AMOUNTS, *TEXTS))} to their values, found {given!r}"
        )
        return None
    wrong = [f"money: unknown key {name!r}" for name in given if name not in (*AMOUNTS, *TEXTS, FURTHER)]
    wrong += [
        f"money: {name} is missing; {', '.join((*AMOUNTS, *TEXTS))} belong together"
        for name in (*AMOUNTS, *TEXTS)
        if name not in given
    ]
    wrong += [
        f"money: {name} must be a number above 0, found {given[name]!r}"
        for name in AMOUNTS
        if name in given and not _is_amount(given[name])
    ]
    wrong += [
        f"money: {name} must be a text, found {given[name]!r}"
        for name in TEXTS
        if name in given and not (isinstance(given[name], str) and given[name].strip())
    ]
    further = given.get(FURTHER, [])
    if not isinstance(further, list) or not all(map(_is_amount, further)):
        wrong.append(f"money: values must be a list of numbers above 0, found {further!r}")
    if _is_amount(given.get("success")) and given["success"] > 1:
        wrong.append(f"money: success is a share, and {given['success']} is above 1")
    problems += [f"{at}: {problem}" for problem in wrong]
    if wrong:
        return None
    return ContactMoney(
        value=float(given["value"]),
        cost=float(given["cost"]),
        success=float(given["success"]),
        currency=given["currency"].strip(),
        source=given["source"].strip(),
        values=tuple(map(float, further)),
    )


def _is_amount(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    )
