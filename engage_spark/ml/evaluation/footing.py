"""Choose which models of two trainings are compared: on the judged days both have learnt alike, or nothing.

A model that has learnt a day knows what was special about it, also of customers whom it has not learnt. So
two models are held against each other on a day that neither has learnt, or that both have; else whichever
has learnt it wins more often than it should. A day is learnt with all days whose label windows overlap it.
No Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
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

    `champion` is empty where it is not known what it has learnt: then nothing is compared. `label_end` is the
    last day of a day's label window.
    """
    if not champion:
        return Footing.NONE, "it is not known which days the champion has learnt; promote by hand"
    judged_on = set(own.judged_on)
    first = min(judged_on)

    def overlapping(days: Collection[date]) -> set[date]:
        return {d for d in days if not (d < first and label_end(d) <= first)}

    theirs = overlapping(champion)
    if judged_on <= set(own.judged_model):
        footing, known = Footing.JUDGED, overlapping(own.judged_model)
    elif not theirs:
        return Footing.JUDGED, ""
    else:
        footing, known = Footing.SERVING, overlapping(own.serving)
    if judged_on <= theirs == known:
        return footing, ""
    until = max(max(label_end(d), d + timedelta(days=1)) for d in (*champion, *known))
    why = "; ".join(_differences(known, theirs, first))
    return Footing.NONE, f"{why}; a matured snapshot of {until} or later will tell"


def _differences(known: set[date], theirs: set[date], first: date) -> Iterator[str]:
    """Say what each model has learnt more of the days that are judged from `first` on."""
    if more := ", ".join(map(str, sorted(known - theirs))):
        yield f"this one has learnt {more}, which it is judged on or overlaps, and the champion has not"
    if more := ", ".join(map(str, sorted(theirs - known))):
        yield f"the champion has learnt {more}, whose labels are of the days after {first} too"
