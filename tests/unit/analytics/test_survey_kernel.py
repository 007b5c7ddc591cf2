"""The look at dimensions counts values and summarises numbers, whatever the batches."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from engage_spark.analytics import survey_kernel
from engage_spark.numerics.sketches import estimate_quantile, merge


def batch(texts: list[str | None], numbers: list[float | None]) -> pa.RecordBatch:
    arrays = [pa.array(texts, pa.string()), pa.array(numbers, pa.float64())]
    return pa.RecordBatch.from_arrays(arrays, names=["a", "b"])


def test_ten_thousand_values_pass_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_kernel, "MOST_VALUES", 900)
    texts = [f"v{i % 10_000}" for i in range(12_000)]
    batches = [batch(texts[at : at + 500], [5.0] * 500) for at in range(0, 12_000, 500)]
    parts = list(survey_kernel.survey(batches, (False, True), (None, 0)))
    rows = [tuple(r.values()) for part in parts for r in part.to_pylist()]
    counted: Counter[str] = Counter()
    for code, value, n, _ in rows:
        if code == 0:
            counted[value] += n
    assert counted == Counter(texts)
    assert max(part.num_rows for part in parts) < 2_000
    (summary,) = (s for code, _, _, s in rows if code == 1)
    assert estimate_quantile(summary, 0.5) == 5.0


def test_nulls_and_what_has_no_finite_square_are_not_looked_at() -> None:
    (part,) = survey_kernel.survey(
        [batch([None, "x"], [None, float("nan")]), batch(["x", None], [float("inf"), 1e300])],
        (False, True),
        (None, None),
    )
    rows = part.to_pylist()
    assert [(r["code"], r["value"], r["n"]) for r in rows] == [(0, "x", 2), (1, None, 0)]
    assert estimate_quantile(merge([rows[1]["summary"]]), 0.5) is None


def test_summaries_of_partitions_are_merged_and_values_stay() -> None:
    parts = [
        next(survey_kernel.survey([batch(["x"], [v])], (False, True), (None, 0))).column("summary")[1].as_py()
        for v in (1.0, 2.0, 3.0)
    ]
    rows = [
        {"code": 1, "value": None, "n": 0, "summaries": parts},
        {"code": 0, "value": "x", "n": 3, "summaries": []},
    ]
    (merged,) = survey_kernel.merge([pa.RecordBatch.from_pylist(rows)])
    assert merged.column("summary").to_pylist() == [merge(parts), None]
    assert merged.select(["code", "value", "n"]).to_pylist() == [
        {"code": 1, "value": None, "n": 0},
        {"code": 0, "value": "x", "n": 3},
    ]
