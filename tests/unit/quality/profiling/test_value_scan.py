"""What a first look tells of columns, without Spark; and what a draft makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.numerics.batch_counts import ColumnCounter
from engage_spark.numerics.column_profile import SCHEMA, profile_partition
from engage_spark.quality import ColumnStats
from engage_spark.quality.profiling.closed_lists import closed_list_of, misspellings
from engage_spark.quality.profiling.draft_contract import renamed
from engage_spark.quality.profiling.facts import ColumnFacts, facts_of
from engage_spark.quality.profiling.personal import is_personal
from engage_spark.quality.profiling.suggest_bounds import limits_of, nice_share, outward, round_bands
from engage_spark.quality.profiling.suggest_pattern import suggest_pattern
from engage_spark.quality.profiling.value_scan import VALUES, TextScan, value_counter
from engage_spark.spark.column_profile import ColumnProfile, column_profile
from tests.support.examples import examples


def scanned(
    parts: Sequence[Sequence[Sequence[Any]]],
    maker: Callable[[], ColumnCounter] = TextScan,
    arrow: pa.DataType | None = None,
) -> ColumnProfile:
    """The profile of partitions of batches of values, counted apart and added up as Spark adds them."""
    added: dict[tuple[str, str], dict[str, Any]] = {}
    for batches in parts:
        made = (
            pa.RecordBatch.from_arrays([pa.array(v, arrow or pa.string())], names=["c0"]) for v in batches
        )
        for batch in profile_partition(made, (maker,)):
            assert batch.schema == SCHEMA
            for row in (r for r in batch.to_pylist() if r["code"] == 0):
                into = added.setdefault((row["what"], row["text"]), row | {"rows": 0, "cut": None})
                into["rows"] += row["rows"]
                for k, best in (("least", min), ("first", min), ("most", max), ("last", max)):
                    into[k] = best((x for x in (into[k], row[k]) if x is not None), default=None)
    return column_profile("c0", added.values(), is_text=True, limit=VALUES)


def facts(values: list[Any], **more: Any) -> ColumnFacts:
    filled = [v for v in values if v is not None]
    state = ColumnStats(
        column="c",
        binning="b",
        labels=("any",),
        rows=len(values),
        bins={"any": len(filled), "null": len(values) - len(filled)},
    )
    return facts_of(more.pop("name", "c"), "string", state, scanned(more.pop("parts", [[values]])))


CODES = [f"CUST-{i:06}" for i in range(60)]


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (CODES, "CUST-[0-9]{6}"),
        ([*CODES, "", "  "], r"(?:CUST-[0-9]{6})|\s*"),
        ([f"a.b/{i}+(x)" for i in range(5, 200)], r"a\.b\/[0-9]{1,3}\+\(x\)"),
        ([f"{'ABC'[i % 3]}{i}" for i in range(100)], "[A-Z][0-9]{1,2}"),
        (
            [f"{i:08x}-0000-4000-8000-000000000000" for i in range(99)],
            r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        ),
        ([f"{i}@example.org" for i in range(99)], r"[^@\s]+@[^@\s]+\.[^@\s]+"),
        (["2024-01-31", "2025-12-01"], "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
        (["Smith", "O'Hara", "de Vries", "van der Berg", "Li-Wu"], None),
        (["Smith", "Jones"], None),
        (["x" * 65, "A-1"], None),
        ([None, None], None),
        (["", " "], None),
    ],
)
def test_a_pattern_is_found_where_values_have_one(values: list[Any], pattern: str | None) -> None:
    suggested = suggest_pattern(facts(values))
    assert (suggested.text if suggested else None) == pattern
    if suggested is not None:
        assert suggested.broken_rows == 0
        assert all(re.fullmatch(suggested.text, v) for v in values)


@settings(max_examples=examples(80), derandomize=True, deadline=None)
@given(data=st.data())
def test_any_split_tells_the_same_and_every_value_matches_the_pattern(data: st.DataObject) -> None:
    kinds = st.sampled_from(
        [
            r"[A-C]{1,2}-[0-9]{1,3}",
            r"id:[0-9]{2,4}",
            r"[a-z]{1,3}\.[0-9]",
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
            r"\+?[a-f0-9 ]{0,9}",
        ]
    )
    made = st.from_regex(re.compile(data.draw(kinds), re.ASCII), fullmatch=True)
    values = data.draw(st.lists(st.none() | made | st.just("") | st.text(max_size=3), max_size=20))
    cut = data.draw(st.integers(0, len(values)))
    for parts in (
        [[values[:cut]], [values[cut:]]],
        [[values[:cut], values[cut:]]],
        [[values[cut:]], [], [values[:cut]]],
    ):
        assert facts(values, parts=parts) == facts(values)
    if (pattern := suggest_pattern(facts(values))) is not None:
        assert all(re.fullmatch(pattern.text, v, re.DOTALL) for v in values if v is not None)


@pytest.mark.parametrize(
    ("values", "pattern", "broken", "odd"),
    [
        ([*[f"CUST-{i:06}" for i in range(497)], "No12345", "No12346", "No12347"],
         "CUST-[0-9]{6}", 3, "No[0-9]{5}"),
        ([*[f"u{i}@example.org" for i in range(300)], "n/a", "unknown!", "??"],
         r"[^@\s]+@[^@\s]+\.[^@\s]+", 3, None),
        ([*[f"CUST-{i:06}" for i in range(90)], *[f"No{i:05}" for i in range(10)]],
         "CUST-[0-9]{6}|No[0-9]{5}", 0, None),
        ([f"{1 + i % 12}/{1 + i % 28}/2011" for i in range(99)],
         "(0?[1-9]|1[0-2])/(0?[1-9]|[12][0-9]|3[01])/[0-9]{4}", 0, None),
        ([f"{i:05}" for i in range(99)], "[0-9]{5}", 0, None),
    ],
)  # fmt: skip
def test_a_pattern_that_few_rows_break_is_suggested_with_their_number(
    values: list[Any], pattern: str, broken: int, odd: str | None
) -> None:
    suggested = suggest_pattern(facts(values))
    assert suggested is not None
    assert (suggested.text, suggested.broken_rows, suggested.odd) == (pattern, broken, odd)
    assert sum(not re.fullmatch(pattern, v) for v in values) == broken


@pytest.mark.parametrize(
    ("values", "slips"),
    [
        ({"Female": 3_000, "Male": 4_000, "Femle": 1, "male": 2},
         {"Femle": "Female", "male": "Male"}),
        ({"France": 5_000, "Spain": 2_000, "Frnace": 2, "SPAIN ": 1},
         {"Frnace": "France", "SPAIN ": "Spain"}),
        ({"Tier 1": 5_000, "Tier 2": 2}, {}),
        ({"A": 5_000, "F": 1, "Mr": 4_000, "Mrs": 1}, {}),
        ({"Product A": 5_000, "Product B": 1}, {}),
        ({"active": 5_000, "inactive": 2, "": 1, "other": 1}, {}),
        ({"France": 500, "Frnace": 2}, {}),
        ({"France": 5_000, "Frnace": 3}, {}),
        ({"North America": 9_000, "North-America": 1, "South America": 1},
         {"North-America": "North America"}),
    ],
)  # fmt: skip
def test_rare_misspellings_are_told_from_rare_values(values: dict[str, int], slips: dict[str, str]) -> None:
    assert misspellings(values) == slips


def test_a_closed_list_leaves_misspellings_out_and_counts_their_rows() -> None:
    listed = closed_list_of(facts([*["Female"] * 1_000, *["Male"] * 1_200, "Femle", "Femle", None]))
    assert listed is not None
    assert (dict(listed.allowed), listed.misspelt, listed.n_misspelt) == (
        {"Male": 1_200, "Female": 1_000}, {"Femle": "Female"}, 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("quartiles", "whole", "bands"),
    [
        ((29, 37, 45), True, (30, 35, 45)),
        ((41, 46, 52), True, (42, 46, 52)),
        ((0.12, 0.31, 0.54), False, (0.1, 0.3, 0.5)),
        ((1, 2, 2), True, (1, 2)),
        ((18, 18, 18), True, ()),
        ((), True, ()),
        ((1_200.5, 40_000, 910_000), False, (0, 50_000, 900_000)),
    ],
)
def test_bands_lie_near_the_quartiles(quartiles: Any, whole: bool, bands: tuple[float, ...]) -> None:
    rounded = round_bands(quartiles, whole=whole)
    assert rounded == tuple(sorted(set(bands)))
    assert all(isinstance(b, int) or not whole for b in rounded)


def test_more_values_than_the_limit_are_not_listed() -> None:
    many = scanned([[[f"v{i}" for i in range(VALUES + 1)]]])
    assert not many.complete and not many.values
    assert scanned([[[f"v{i % VALUES}" for i in range(1000)]]]).values == {f"v{i}": 20 for i in range(VALUES)}
    apart = scanned([[[f"v{i}" for i in range(VALUES)]], [[f"v{VALUES}"]]])
    assert not apart.complete


def test_one_long_text_hides_all_values() -> None:
    assert not scanned([[["a", "b" * 65], ["c"]], [["a"]]]).complete
    assert scanned([[["a", "b" * 64], ["c"]], [["a"]]]).values == {"a": 2, "b" * 64: 1, "c": 1}


def test_what_makes_a_text_unfit_for_a_key_is_counted() -> None:
    values = ["ok", "", "  ", " x", "x ", "a\tb", "zero\u200bwidth", "e\u0301", "\ufffd", "é", None]
    counts = {r["text"]: r["rows"] for r in scanned([[values]]).details["count"]}
    assert counts == {"blank": 2, "control": 0, "lost": 1, "long": 0, "unfit": 6, "zeros": 0}


def test_whole_numbers_and_flags_are_listed_by_value() -> None:
    assert scanned([[[1, 2, 2, None]]], value_counter, pa.int64()).values == {"1": 1, "2": 2}
    assert scanned([[[True, False, True]]], value_counter, pa.bool_()).values == {"true": 2, "false": 1}


@pytest.mark.parametrize(
    ("name", "personal"),
    [
        ("email", True),
        ("customerEmail", True),
        ("Surname", True),
        ("first_name", True),
        ("name", True),
        ("customer_name", True),
        ("AccountHolderName", True),
        ("product_name", False),
        ("brand_name", False),
        ("customer_segment", False),
        ("phone_number", True),
        ("emails_sent_count", False),
        ("age", False),
        ("zipped", False),
        ("IP", True),
        ("zip", True),
    ],
)
def test_names_that_tell_of_a_person(name: str, personal: bool) -> None:
    assert is_personal(facts(["a", "b"], name=name)) is personal


@pytest.mark.parametrize(
    ("name", "values", "personal"),
    [
        ("PhoneService", ["Yes", "No"] * 100, False),
        ("mobile", ["no", "yes", None] * 100, False),
        ("email_status", ["valid", "bounced", "unknown"] * 50, False),
        ("street_type", ["avenue", "road", "lane"] * 50, False),
        ("zip", ["10115", "10117"] * 50, True),
        ("surname", ["Smith", "Jones"] * 50, True),
        ("surname", ["Yes", "No"] * 50, False),
        ("Effective To Date", [f"{1 + i % 12}/{1 + i % 28}/2011" for i in range(300)], False),
        ("start", [f"{1 + i % 12:02}/{1 + i % 28:02}/2011" for i in range(300)], False),
        ("day", [*[f"{1 + i % 28:02}.{1 + i % 12:02}.2011" for i in range(80)], *["open"] * 20], False),
        ("amount", [f"{i}.{i:02}" for i in range(99)], False),
        ("account", [f"{i:07}" for i in range(99)], False),
        ("period", [f"{2000 + i % 9}-{2010 + i % 9}" for i in range(99)], False),
        ("contact", [*[f"u{i}@example.org" for i in range(90)], *["none"] * 9], True),
        ("contact", [f"+49 30 {i:06}" for i in range(99)], True),
        ("contact", [f"(212) 555-{i:04}" for i in range(99)], True),
        ("origin", [f"10.0.{i}.1" for i in range(99)], True),
    ],
)
def test_values_decide_before_names_whether_a_column_is_personal(
    name: str, values: list[str | None], personal: bool
) -> None:
    assert is_personal(facts(values, name=name)) is personal


@pytest.mark.parametrize(
    ("name", "kind", "largest", "personal"),
    [
        ("email_opt_in", "boolean", 1, False),
        ("phone_calls", "int", 900_000, False),
        ("phones", "int", 3, False),
        ("mobile", "bigint", 491_700_000_000, True),
        ("mobile", "int", 2, False),
        ("zip", "int", 99_950, True),
        ("birth", "int", 2004, True),
        ("address", "int", 4, False),
        ("latitude", "double", 52, True),
        ("last_login", "timestamp", 1, False),
        ("birthday", "date", 1, True),
        ("email_sent_at", "timestamp", 1, False),
    ],
)
def test_numbers_and_moments_are_personal_where_they_can_be(
    name: str, kind: str, largest: int, personal: bool
) -> None:
    state = ColumnStats(column="c", binning="b", labels=("any",), rows=9, bins={"any": 9}, maximum=largest)
    assert is_personal(ColumnFacts(name=name, type=kind, state=state)) is personal


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Call  Failure", "call_failure"),
        ("customerId", "customer_id"),
        ("HTTPCode (2)", "http_code_2"),
        ("é=", "é"),
    ],
)
def test_names_that_delta_refuses_get_a_suggestion(name: str, better: str) -> None:
    assert renamed(name) == better


@pytest.mark.parametrize(
    ("x", "up", "down"),
    [
        (0, 0, 0),
        (619, 620, 610),
        (-619, -610, -620),
        (850, 850, 850),
        (92, 92, 92),
        (1, 1, 1),
        (Fraction(1, 3), Fraction(34, 100), Fraction(33, 100)),
        (Fraction(1, 1000), Fraction(1, 1000), Fraction(1, 1000)),
        (101, 110, 100),
        (99999, 100000, 99000),
    ],
)
def test_bounds_are_rounded_outwards_to_two_digits(x: Any, up: Any, down: Any) -> None:
    assert (outward(Fraction(x), up=True), outward(Fraction(x), up=False)) == (up, down)


@settings(max_examples=examples(300), derandomize=True, deadline=None)
@given(
    kind=st.sampled_from(["int", "bigint", "float", "double", "decimal(9,2)", "decimal(38,10)"]),
    ends=st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1)),
    power=st.integers(-1074, 900),
)
def test_bounds_hold_for_what_was_found(kind: str, ends: tuple[int, int], power: int) -> None:
    if kind in ("int", "bigint"):
        low, high = (Fraction(x) for x in sorted(ends))
    elif kind.startswith("decimal"):
        low, high = (Fraction(x % 10**9, 100) for x in sorted(ends, key=lambda x: x % 10**9))
    else:
        scale = power % 90 - 45 if kind == "float" else power
        as_held = (lambda x: pa.scalar(x, pa.float32()).as_py()) if kind == "float" else float
        low, high = (Fraction(as_held(float(x * Fraction(2) ** scale))) for x in sorted(ends))
    state = ColumnStats(
        column="c",
        binning="b",
        labels=("any",),
        rows=2,
        bins={"any": 2},
        total=low + high,
        minimum=low,
        maximum=high,
    )
    found, mean = limits_of(ColumnFacts(name="c", type=kind, state=state), personal=False)

    def held(x: float) -> Fraction:
        return (
            Fraction(pa.scalar(x, pa.float32()).as_py())
            if kind == "float"
            else Fraction(str(x))
            if kind.startswith("dec")
            else Fraction(x)
        )

    assert held(found["minimum"]) <= low
    assert held(found["maximum"]) >= high
    assert mean is None or found["minimum"] <= mean <= found["maximum"]


def test_the_missing_share_is_bounded_by_more_than_was_found() -> None:
    assert [nice_share(Fraction(x)) for x in (Fraction(1, 1000), 1, 30, 50, 99)] == [
        0.002,
        2.0,
        60.0,
        100.0,
        100.0,
    ]
