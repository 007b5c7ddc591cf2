"""Choose which models of two trainings are compared: on the judged days both have learnt alike, or nothing.

A model that has learnt a day knows what was special about it, also of customers whom it has not learnt. So
two models are held against each other on a day that neither has learnt, or that both have; else whichever
has learnt it wins more often than it should. A day is learnt with all days whose label windows overlap it.
No Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Footing(StrEnum):
    """Which model of a training is compared with the champion: the judged one, the one to serve, or none."""

    JUDGED = "judged"
    SERVING = "serving"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class LearntDays:
    """The days of a training: those that it is judged on, and those that its models were fitted on.

    `serving` is `judged_model` where the model was not fitted again.
    """

    judged_on: Collection[date]
    judged_model: Collection[date]
    serving: Collection[date]


def common_footing(
    own: LearntDays, champion: Collection[date], *, label_end: Callable[[date], date]
) -> tuple[Footing, str]:
    """Return which model may be compared with a champion that was fitted on these days, and why none may.

    `label_end` is the last day of a day's label window.
    """
    judged_on = set(own.judged_on)
    if judged_on <= set(own.judged_model):
        if judged_on <= set(champion):
            return Footing.JUDGED, ""
        days = ", ".join(map(str, sorted(judged_on)))
        return Footing.NONE, f"this one has learnt {days}, which it is judged on, and the champion has not"
    first = min(judged_on)
    overlapping = sorted(d for d in champion if not (d < first and label_end(d) <= first))
    if not overlapping:
        return Footing.JUDGED, ""
    if judged_on <= set(champion) and judged_on <= set(own.serving):
        return Footing.SERVING, ""
    days = ", ".join(map(str, overlapping))
    until = max(max(label_end(d), d + timedelta(days=1)) for d in overlapping)
    return Footing.NONE, (
        f"the champion has learnt {days}, whose labels are of the days after {first} too; a matured snapshot "
        f"of {until} or later will tell"
    )
