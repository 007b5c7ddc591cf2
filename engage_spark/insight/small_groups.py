"""Decide which segments of a day are not shown: those with fewer than 20 customers, and those beside them.

One rule for all tools, so that no answer shows what another one hides: a segment that is hidden by its
customers is hidden with every metric, and one with too few values of a metric is hidden with that metric.
What covers a hidden segment is chosen by size and name alone, so it is the same whichever table is read.
Pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from engage_spark.analytics import segment_suppression
from engage_spark.analytics.rule_suppression import Sides, hidden_rules
from engage_spark.analytics.states import CUSTOMERS, FALSE_SEGMENT, TRUE_SEGMENT, DayStates
from engage_spark.contract.analytics_spec import AnalyticsSpec
from engage_spark.numerics.suppression import is_small

Sizes = Mapping[str, int]
"""Customers, or values of a metric, by segment."""


def hidden_segments(customers: Sizes, *values: Sizes) -> frozenset[str]:
    """Return the segments of one dimension and day that are not shown.

    `values` count, for each metric that is shown, its values in each segment. A union of sets that are safe
    is safe: what is hidden together only grows.
    """
    hidden: frozenset[str] = frozenset()
    for sizes in (customers, *values):
        counts = {segment: [sizes[segment]] for segment in sorted(sizes)}
        hidden |= segment_suppression.hidden_segments(counts)
    return hidden


@dataclass(frozen=True)
class HiddenSegments:
    """The segments of a day that are not shown, by dimension and metric."""

    states: DayStates
    spec: AnalyticsSpec
    _sets: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict, init=False, repr=False)
    _rules: dict[str, frozenset[str]] = field(default_factory=dict, init=False, repr=False)

    def of(self, dimension: str, metric: str = CUSTOMERS) -> frozenset[str]:
        """Return the hidden segments of a dimension where a metric is shown."""
        key = (dimension, metric)
        if key not in self._sets:
            sizes = [self.sizes(dimension, m) for m in dict.fromkeys((CUSTOMERS, metric))]
            self._sets[key] = hidden_segments(*sizes)
            if dimension in self._names_of_rules and dimension in self.rules(metric):
                self._sets[key] |= {*self.states.segments(dimension), TRUE_SEGMENT, FALSE_SEGMENT}
        return self._sets[key]

    @cached_property
    def _names_of_rules(self) -> frozenset[str]:
        return frozenset(d.name for d in self.spec.dimensions if d.kind.is_rule)

    def rules(self, metric: str = CUSTOMERS) -> frozenset[str]:
        """Return the rules that are not shown where a metric is: with others of their fields, they would tell
        of few.
        """
        if metric not in self._rules:
            sizes: dict[str, dict[Hashable, Sides]] = {}
            for d in self.spec.dimensions:
                if d.kind.is_rule and self.states.segments(d.name):
                    of = {m: self.sizes(d.name, m) for m in dict.fromkeys((CUSTOMERS, metric))}
                    sizes[d.name] = {
                        m: (n.get(TRUE_SEGMENT, 0), n.get(FALSE_SEGMENT, 0)) for m, n in of.items()
                    }
            segments = {d.name: self.of(d.name, metric) for d in self.spec.dimensions if not d.kind.is_rule}
            self._rules[metric] = hidden_rules(self.spec, sizes, segments)
        return self._rules[metric]

    def sizes(self, dimension: str, metric: str) -> Sizes:
        """Return the number of values of a metric in each segment."""
        named = {s: self.states.get(dimension, s, metric) for s in self.states.segments(dimension)}
        return {segment: 0 if state is None else state.n for segment, state in named.items()}

    def is_whole_hidden(self, metric: str = CUSTOMERS) -> bool:
        """Return whether all customers together are too few; nobody at all hides nobody."""
        whole = self.states.whole(metric)
        return whole is not None and is_small(whole.n)
