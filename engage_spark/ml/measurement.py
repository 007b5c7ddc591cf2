"""Define what monitoring says of one measure: plain data, and one line of text. No Spark, no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engage_spark.wording import number


class BoundVerdict(StrEnum):
    """How a measure stands to its bound."""

    UNBOUNDED = "unbounded"
    WITHIN = "within"
    PAST = "past"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class MonitoredMeasure:
    """One measure of a day's predictions, of all rows or of a group.

    `against` is what a ratio or a drift is measured against: a group, or a day. `n` counts rows. Shares and
    ratios are fractions.
    Nulls: `value` where the rows leave the measure undefined, the interval where it has none.
    """

    measure: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    attribute: str | None = None
    group: str | None = None
    against: str | None = None
    bound: float | None = None
    verdict: BoundVerdict = BoundVerdict.UNBOUNDED

    @property
    def bound_name(self) -> str:
        """The name by which a contract bounds it."""
        is_ratio = self.measure.endswith("_ratio")
        return f"group_{self.measure}" if self.attribute and not is_ratio else self.measure


def measurement_text(m: MonitoredMeasure) -> str:
    """Say what was measured of whom, its interval and its bound, in one line."""
    of = f" of {m.attribute}: {m.group}" if m.attribute else f" of {m.group}" if m.group else ""
    against = f" against {m.against}" if m.against else ""
    value = "undefined" if m.value is None else number(m.value, 3)
    reach = ""
    if m.low is not None and m.high is not None and m.low != m.high:
        reach = f" [{number(m.low, 3)}, {number(m.high, 3)}]"
    bound = "" if m.bound is None else f", bound {m.bound:g}"
    return f"{m.measure}{of}{against} {value}{reach} on {m.n:,} rows{bound}"
