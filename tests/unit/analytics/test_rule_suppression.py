"""Rules of the same field do not tell of few customers by subtraction."""

from __future__ import annotations

import pytest

from engage_spark.analytics.rule_suppression import hidden_rules
from engage_spark.contract.analytics_spec import AnalyticsSpec, ClaimSpec, DimensionKind, DimensionSpec
from engage_spark.contract.statements import ClaimKind


def spec(
    sources: dict[str, str], *, shares: bool = False, extra: tuple[DimensionSpec, ...] = ()
) -> AnalyticsSpec:
    kind = DimensionKind.CLAIM if shares else DimensionKind.INDICATOR
    rules = tuple(DimensionSpec(name=n, kind=kind, source=s, tables=("t",)) for n, s in sources.items())
    claims = tuple(
        ClaimSpec(
            name=f"{n}_share",
            version=1,
            statement="",
            source="t",
            kind=ClaimKind.REFERENCE_SHARE,
            dimension=n,
        )
        for n in sources
        if shares
    )
    return AnalyticsSpec(
        entity="t", columns=(), targets=(), metrics=(), dimensions=(*rules, *extra), claims=claims
    )


def hidden(of: AnalyticsSpec, sizes: dict[str, tuple[int, int]], **segments: list[str]) -> set[str]:
    return set(hidden_rules(of, {n: {"customers": s} for n, s in sizes.items()}, segments))


@pytest.mark.parametrize(
    ("first", "second", "is_hidden"),
    [
        ((505, 495), (500, 500), True),  # nested: > 14 and > 30
        ((500, 500), (495, 505), True),  # 3 or more, and more than 3
        ((300, 700), (695, 305), True),  # under 2 and over 10: five lie between
        ((505, 495), (505, 495), True),  # from 10 on, and up to 10: ten are in both
        ((520, 480), (500, 500), False),
        ((990, 10), (500, 500), False),  # the first alone is hidden, not the second
    ],
)
def test_of_two_rules_that_differ_by_few_the_later_is_hidden(
    first: tuple[int, int], second: tuple[int, int], is_hidden: bool
) -> None:
    sources = {"a": "`login` > 14", "b": "`login` > 30"}
    assert ("b" in hidden(spec(sources), {"a": first, "b": second})) is is_hidden
    for other in ("`visits` > 30", "`login` > 14"):
        assert "b" not in hidden(spec(sources | {"b": other}), {"a": first, "b": second})


def test_rules_are_compared_with_one_that_is_shown_in_every_column() -> None:
    of = spec({"a": "`x` > 1", "b": "`x` > 2", "c": "`x` > 3"})
    assert hidden(of, {"a": (505, 495), "b": (500, 500), "c": (475, 525)}) == {"b"}
    sizes = {"a": {"n": (505, 495), "churn": (405, 300)}, "b": {"n": (450, 550), "churn": (400, 305)}}
    assert hidden_rules(of, sizes, {}) == {"b"}


def test_the_values_of_a_field_are_one_partition() -> None:
    """505 and 490 of 1,000 give the five away; so do four values, whose sides do not differ by few."""
    of = spec({v: f"CAST(`gender` AS STRING) = '{v}'" for v in "mfn"}, shares=True)
    assert hidden(of, {"m": (505, 495), "f": (490, 510), "n": (5, 995)}) == {"n", "f"}
    of = spec({v: f"CAST(`gender` AS STRING) = '{v}'" for v in "abcd"}, shares=True)
    sizes = {"a": (420, 580), "b": (320, 680), "c": (255, 745), "d": (5, 995)}
    assert hidden(of, sizes) == {"d", "c"}


def test_what_is_left_beside_the_declared_values_counts() -> None:
    of = spec({v: f"CAST(`gender` AS STRING) = '{v}'" for v in "abc"}, shares=True)
    sizes = {"a": (420, 580), "b": (320, 680), "c": (255, 745)}
    assert hidden(of, sizes) == {"c"}, "five have another value"


def test_a_rule_on_a_field_with_hidden_segments_is_hidden() -> None:
    plan = DimensionSpec(
        name="plan", kind=DimensionKind.CATEGORY, source="CAST(`plan` AS STRING)", tables=("t",)
    )
    of = spec({"paid": "`plan` IN ('Premium', 'Enterprise')"}, extra=(plan,))
    assert hidden(of, {"paid": (405, 300)}, plan=["Free", "Premium"]) == {"paid"}
    assert hidden(of, {"paid": (405, 300)}, plan=[]) == set()
