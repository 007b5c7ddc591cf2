"""Counting without Spark: any split of the rows into partitions and batches adds up to what one look at all
of them finds.

The oracle counts in Python: fractions for sums, `Fraction` comparisons for bins, `math.fsum` for doubles.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_spark.contract import Field, Role
from engage_spark.numerics.sketches import RELATIVE_ERROR, estimate_distinct, estimate_quantile, merge
from engage_spark.quality import Binning, ColumnStats, binning, merge_stats
from engage_spark.quality.stats.count import build_column_stats
from engage_spark.quality.stats.count_kernel import (
    DDL,
    DISTINCT,
    MERGED_DDL,
    QUANTILES,
    RULES,
    SCHEMA,
    VALID,
    count,
    merge_sketches,
)
from tests.support.examples import examples

ARROW = {
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "decimal(9,2)": pa.decimal128(9, 2),
    "decimal(38,3)": pa.decimal128(38, 3),
}
LOGICAL = {
    "int": "integer",
    "bigint": "integer",
    "float": "number",
    "double": "number",
    "decimal(9,2)": "number",
    "decimal(38,3)": "number",
}


def field(kind: str, **more: Any) -> Field:
    return Field(
        name="a.b",
        logical_type=LOGICAL.get(kind, kind),
        spark_type=kind,
        description="x",
        role=Role.FEATURE,
        **more,
    )


FIELDS = {
    "a spread of doubles": field("double", minimum=0, maximum=10, reference_mean=1.0),
    "a spread of floats": field("float", minimum=0.1, maximum=0.7),
    "doubles without bounds": field("double"),
    "few whole numbers": field("int", minimum=-3, maximum=7),
    "a spread of whole numbers": field("int", minimum=-2, maximum=510, reference_mean=20),
    "a wide spread of whole numbers": field("int", minimum=3, maximum=1_000_000, reference_mean=9e4),
    "many whole numbers": field("bigint", minimum=0, maximum=2**53 + 1),
    "whole numbers without bounds": field("bigint"),
    "whole numbers at the end of their type": field("bigint", minimum=-(2**63), maximum=-(2**63) + 5),
    "numbers as categories": field("int", allowed=(0, 1, 5)),
    "words as categories": field("string", allowed=("a", "other", "null", "'null'", "é")),
    "any text": field("string"),
    "flags": field("boolean"),
    "days": field("date"),
    "moments": field("timestamp"),
    "short decimals": field("decimal(9,2)", minimum=0.1, maximum=99.9),
    "long decimals": field("decimal(38,3)"),
}
ODD = [
    math.nan,
    math.inf,
    -math.inf,
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    2.2250738585072014e-308,
    1e308,
    -1e308,
    1.7976931348623157e308,
    0.1,
    0.7,
    10.0,
]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "double": st.one_of(st.sampled_from(ODD), st.floats(), st.floats(-1, 11)),
    "float": st.one_of(
        st.sampled_from([math.nan, math.inf, -0.0, 0.1, 0.7]).map(
            lambda x: float(pa.scalar(x, pa.float32()).as_py())
        ),
        st.floats(width=32),
        st.floats(0, 1, width=32),
    ),
    "int": st.one_of(
        st.integers(-5, 9), st.integers(0, 520), st.integers(0, 1_000_009), st.integers(-(2**31), 2**31 - 1)
    ),
    "bigint": st.one_of(
        st.sampled_from([2**53, 2**53 + 1, 2**53 + 2, -(2**63), -(2**63) + 5, -(2**63) + 6, 2**63 - 1]),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-9, 9),
    ),
    "string": st.one_of(
        st.sampled_from(["a", "other", "null", "'null'", "é", "", "A", "below"]), st.text(max_size=9)
    ),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(
        min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)
    ),
    "decimal(9,2)": st.integers(-(10**9) + 1, 10**9 - 1).map(lambda n: Decimal(n).scaleb(-2))
    | st.sampled_from([Decimal("0.10"), Decimal("99.90"), Decimal("99.91")]),
    "decimal(38,3)": st.integers(-(10**38) + 1, 10**38 - 1).map(
        lambda n: Decimal((n < 0, tuple(map(int, str(abs(n)))), -3))
    ),
}


def counted(
    b: Binning, parts: Sequence[Sequence[Sequence[Any]]], cuts: Sequence[float] = ()
) -> tuple[ColumnStats, list[dict[str, Any]]]:
    """Partitions of batches of (valid) values, counted apart and added up as Spark adds them: sums, minima,
    maxima by key.
    """
    added: dict[tuple[int, ...], dict[str, Any]] = {}
    for batches in parts:
        made = (
            pa.RecordBatch.from_arrays(
                [pa.array(v, ARROW[b.type]), pa.array([True] * len(v), pa.bool_())], names=["c0", VALID]
            )
            for v in batches
        )
        for batch in count(made, (b.plan(0, cuts),), ()):
            assert batch.schema == SCHEMA
            for row in batch.to_pylist():
                key = tuple(row[k] for k in ("code", "bin", "place", "power"))
                into = added.setdefault(key, dict(row) | {"rows": 0, "hi": 0, "lo": 0})
                for k in ("rows", "hi", "lo"):
                    into[k] += row[k]
                    assert -(2**63) <= into[k] < 2**63
                for k, best in (("least_d", min), ("least_n", min), ("most_d", max), ("most_n", max)):
                    into[k] = best((x for x in (into[k], row[k]) if x is not None), default=None)
    rows = sum(r["rows"] for (code, *_), r in added.items() if code == 1)
    own = [r for (code, *_), r in added.items() if code == 0]
    return build_column_stats(b, rows, own), own


def number(value: Any, kind: str) -> Fraction:
    match kind:
        case "string":
            return Fraction(len(value))
        case "date":
            return Fraction((value - date(1970, 1, 1)).days)
        case "timestamp":
            since = value - datetime(1970, 1, 1, tzinfo=UTC)
            return Fraction((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds)
    return Fraction(value)


def expected_bin(f: Field, b: Binning, value: Any) -> str:  # noqa: PLR0911 (one for each kind of bin)
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+inf" if value > 0 else "-inf"
    if f.allowed:
        quoted = f"'{value}'" if str(value).strip("'") in ("other", "null", "below") else str(value)
        return quoted if value in f.allowed else "other"
    if f.spark_type == "boolean":
        return "true" if value else "false"
    if f.logical_type not in ("integer", "number"):
        return "any"
    if b.scale == "magnitude":
        if value == 0:
            return "0"
        power = max(
            -32, min(31, next(p for p in range(-1100, 1100) if abs(Fraction(value)) < Fraction(2) ** (p + 1)))
        )
        return f"[2^{power}, 2^{power + 1})" if value > 0 else f"(-2^{power + 1}, -2^{power}]"

    def edge(x: float) -> Fraction:
        if f.spark_type == "float":
            return Fraction(pa.scalar(x, pa.float32()).as_py())
        return Fraction(str(x)) if f.spark_type.startswith("decimal") else Fraction(x)

    if b.scale == "whole":
        return "below" if value < f.minimum else "above" if value > f.maximum else str(value)
    if Fraction(value) < edge(f.minimum) or Fraction(value) > edge(f.maximum):  # type: ignore[arg-type]
        return "below" if value < f.minimum else "above"
    return b.labels[min(sum(edge(e) <= Fraction(value) for e in b.edges), len(b.labels)) - 1]


@pytest.mark.parametrize("name", FIELDS)
@settings(max_examples=examples(30), derandomize=True, deadline=None)
@given(data=st.data())
def test_any_split_adds_up_to_the_whole_and_to_python(name: str, data: st.DataObject) -> None:
    f = FIELDS[name]
    b = binning(f)
    values = data.draw(st.lists(st.none() | VALUES[f.spark_type], max_size=30))
    borders = sorted(data.draw(st.lists(st.integers(0, len(values)), min_size=2, max_size=2)))
    parts = [values[: borders[0]], values[borders[0] : borders[1]], values[borders[1] :]]
    whole, _ = counted(b, [[values]])
    by_partition, _ = counted(b, [[p] for p in parts])
    by_batch, _ = counted(b, [parts])
    backwards, _ = counted(b, [[p[::-1]] for p in reversed(parts)])
    by_state = merge_stats([{"c": counted(b, [[p]])[0]} for p in parts])["c"]
    assert whole == by_partition == by_batch == backwards == by_state

    finite = [v for v in values if v is not None and not (isinstance(v, float) and not math.isfinite(v))]
    numbers = [number(v, f.spark_type) for v in finite]
    assert (whole.rows, whole.nulls, whole.finite) == (
        len(values),
        sum(v is None for v in values),
        len(finite),
    )
    assert whole.bins == Counter(expected_bin(f, b, v) for v in values)
    assert whole.total == sum(numbers, Fraction(0))
    assert (whole.minimum, whole.maximum) == (min(numbers, default=None), max(numbers, default=None))
    if f.spark_type == "double" and finite and abs(whole.total) < Fraction(1.7e308):
        assert float(whole.total) == math.fsum(finite)


@pytest.mark.parametrize(
    "name", [n for n, f in FIELDS.items() if f.logical_type in ("integer", "number") and not f.allowed]
)
@settings(max_examples=examples(40), derandomize=True, deadline=None)
@given(data=st.data())
def test_what_lies_below_a_cut_is_counted_exactly(name: str, data: st.DataObject) -> None:
    f = FIELDS[name]
    values = data.draw(st.lists(VALUES[f.spark_type], min_size=1, max_size=30))
    finite = [v for v in values if not (isinstance(v, float) and not math.isfinite(v))]
    kind = f.spark_type
    cuts = sorted(
        {float(v) if kind.startswith("dec") or kind in ("float", "double") else int(v) for v in finite[:2]}
        | {0, 1}
    )
    _, own = counted(binning(f), [[values]], cuts)
    filled = [r for r in own if r["rows"]]
    for i, cut in enumerate(cuts):
        as_held = Fraction(str(cut)) if kind.startswith("dec") else Fraction(cut)
        less = sum(v == -math.inf or (v in finite and Fraction(v) < as_held) for v in values)
        at_most = sum(v == -math.inf or (v in finite and Fraction(v) <= as_held) for v in values)
        assert sum(r["rows"] for r in filled if r["place"] <= 2 * i) == less
        assert sum(r["rows"] for r in filled if r["place"] <= 2 * i + 1) == at_most


def test_rules_are_counted_over_all_rows_and_columns_over_the_valid_ones() -> None:
    b = binning(FIELDS["few whole numbers"])
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([1, 2, 3], pa.int32()),
            pa.array([True, False, True]),
            pa.array([[], ["x", "y"], ["y"]], pa.list_(pa.string())),
        ],
        names=["c0", VALID, RULES],
    )
    (made,) = count(iter([batch, batch.slice(1, 1)]), (b.plan(0, ()),), ("x", "y"))
    rows = made.to_pylist()
    assert {r["code"]: r["rows"] for r in rows if r["code"] < 0} == {-1: 2, -2: 3}
    assert {r["bin"]: r["rows"] for r in rows if r["code"] == 1} == {1: 2, 0: 2}
    assert build_column_stats(b, 2, [r for r in rows if r["code"] == 0]).total == 4


def test_a_partition_without_rows_counts_none() -> None:
    state, _ = counted(binning(FIELDS["any text"]), [[], [[]]])
    assert (state.rows, state.bins, state.minimum, state.mean) == (0, {}, None, None)


def test_the_schema_told_to_spark_is_the_one_that_is_sent() -> None:
    declared = [part.split() for part in DDL.replace("(38,0)", "").split(", ")]
    sent = {
        "int32": "int",
        "int64": "bigint",
        "double": "double",
        "decimal128(38, 0)": "decimal",
        "binary": "binary",
    }
    assert declared == [[f.name, sent[str(f.type)]] for f in SCHEMA]


def test_labels_stay_apart_where_bins_are_narrow_or_values_read_like_a_special_bin() -> None:
    narrow = binning(field("double", minimum=1e6, maximum=1e6 + 1e-3))
    words = binning(FIELDS["words as categories"])
    assert len(set(narrow.labels)) == len(narrow.labels) == 32
    assert words.labels == ("a", "'other'", "'null'", "''null''", "é")


def sketched(b: Binning, parts: Sequence[Sequence[Any]]) -> tuple[list[bytes], list[bytes]]:
    """The sketches of each partition: of the distinct values, and of the quantiles."""
    plan = b.plan(0, (), distinct=True, quantiles=True)
    made: list[dict[str, Any]] = []
    for values in parts:
        columns = [pa.array(values, ARROW[b.type]), pa.array([True] * len(values), pa.bool_())]
        batch = pa.RecordBatch.from_arrays(columns, names=["c0", VALID])
        made += [row for counted in count(iter([batch]), (plan,), ()) for row in counted.to_pylist()]
    return tuple([r["sketch"] for r in made if r["bin"] == kind] for kind in (DISTINCT, QUANTILES))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "name", [n for n, f in FIELDS.items() if f.logical_type in ("integer", "number") and not f.allowed]
)
@settings(max_examples=examples(40), derandomize=True, deadline=None)
@given(data=st.data())
def test_sketches_are_the_same_bytes_in_any_split_and_lie_within_their_bounds(
    name: str, data: st.DataObject
) -> None:
    f = FIELDS[name]
    b = binning(f)
    values = data.draw(st.lists(st.none() | VALUES[f.spark_type], max_size=40))
    cut = data.draw(st.integers(0, len(values)))
    whole, by_partition = sketched(b, [values]), sketched(b, [values[cut:][::-1], values[:cut], []])
    assert tuple(map(merge, by_partition)) == tuple(map(merge, whole)) == tuple(x for (x,) in whole)
    ((distinct,), (quantiles,)) = whole
    filled = [v for v in values if v is not None]
    ranked = sorted(
        v if isinstance(v, float) and math.isinf(v) else number(v, f.spark_type)
        for v in filled
        if not (isinstance(v, float) and math.isnan(v))
    )
    is_nan = len(ranked) < len(filled)
    assert abs(estimate_distinct(distinct) - (len(set(ranked)) + is_nan)) <= 2
    for order in (0, 0.1, 0.5, 0.75, 1):
        told = estimate_quantile(quantiles, order)
        if not ranked:
            assert told is None
            continue
        exact = ranked[max(1, math.ceil(Fraction(str(order)) * len(ranked))) - 1]
        if isinstance(exact, float) or exact == 0:
            assert told == exact
        else:
            rounding = Fraction(2) ** -50  # of a number to the double next to it
            least = Fraction(2) ** -1029  # half a bucket of the smallest doubles
            assert told is not None
            assert abs(Fraction(told) - exact) <= abs(exact) * (Fraction(RELATIVE_ERROR) + rounding) + least
        if f.logical_type == "integer" and abs(exact) < 128:
            assert told == exact


def test_hashes_of_text_are_counted_under_the_code_of_their_column() -> None:
    b = binning(FIELDS["any text"])
    hashes = pa.array([7 << 52, None, 7 << 52, -(1 << 60)], pa.int64())
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["a", None, "a", "b"]), hashes, pa.array([True] * 4)], names=["c0", "__hash0", VALID]
    )
    (made,) = count(iter([batch]), (b.plan(0, (), distinct=True),), (), (0,))
    ((code, sketch),) = [(r["code"], r["sketch"]) for r in made.to_pylist() if r["sketch"] is not None]
    assert (code, estimate_distinct(sketch)) == (0, 2)
    assert [r["rows"] for r in made.to_pylist() if r["code"] == 2 and r["bin"] == 1] == [4]


def test_lists_of_sketches_are_merged_row_by_row() -> None:
    (ones,), _ = sketched(binning(FIELDS["whole numbers without bounds"]), [[1, 2]])
    (twos,), _ = sketched(binning(FIELDS["whole numbers without bounds"]), [[2, 3]])
    batch = pa.RecordBatch.from_arrays(
        [pa.array([0, 1]), pa.array([[ones, twos], []], pa.list_(pa.binary()))], names=["code", "sketches"]
    )
    (merged,) = merge_sketches(iter([batch]))
    assert merged.to_pylist() == [{"code": 0, "sketch": merge([ones, twos])}, {"code": 1, "sketch": None}]
    assert MERGED_DDL.endswith("sketch binary")
