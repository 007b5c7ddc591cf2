"""Batches of Parquet files against the whole table, with row groups and batches that do not fall together."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from engage_spark.reader import parquet_rows

ROWS = pa.table(
    {
        "key": [f"k{i % 11}" if i % 5 else None for i in range(50)],
        "part": [i % 3 for i in range(50)],
        "text": ["x" * (i * 37 % 101) for i in range(50)],
        "several": [[{"feature": f"f{j}", "value": float(i)} for j in range(i % 4)] for i in range(50)],
    }
)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pads.Dataset:
    monkeypatch.setattr(parquet_rows, "BATCH_ROWS", 3)
    pq.write_table(ROWS.slice(0, 31), tmp_path / "a.parquet", row_group_size=7)
    pq.write_table(ROWS.slice(31).drop_columns(["text"]), tmp_path / "b.parquet", row_group_size=100)
    return pads.dataset(tmp_path, schema=ROWS.schema)


def test_all_rows_come_in_batches_with_nulls_for_what_a_file_lacks(dataset: pads.Dataset) -> None:
    batches = list(parquet_rows.read_batches(dataset, ["text", "part"]))
    assert max(b.num_rows for b in batches) == 3
    rows = pa.Table.from_batches(batches)
    assert rows.column("part").to_pylist() == ROWS.column("part").to_pylist()
    assert rows.column("text").to_pylist() == [*ROWS.column("text").to_pylist()[:31], *[None] * 19]


@pytest.mark.parametrize("where", [{"key": "k3"}, {"key": "k3", "part": 0}, {"part": 2}, {"key": "none"}])
def test_rows_that_have_the_values_come_with_their_other_columns(
    dataset: pads.Dataset, where: dict[str, object]
) -> None:
    batches = parquet_rows.read_batches(dataset, ["several", "key"], where=where)
    rows = [row for batch in batches for row in batch.to_pylist()]
    expected = [r for r in ROWS.to_pylist() if all(r[name] == value for name, value in where.items())]
    assert rows == [{"several": r["several"], "key": r["key"]} for r in expected]
    assert bool(rows) == (where != {"key": "none"})


def test_a_column_that_a_file_lacks_has_no_value(dataset: pads.Dataset) -> None:
    rows = [
        r
        for b in parquet_rows.read_batches(dataset, ["part"], where={"text": "x" * 37})
        for r in b.to_pylist()
    ]
    assert rows == [{"part": 1}]


def test_a_column_that_no_file_has_is_null(dataset: pads.Dataset) -> None:
    """Such as a field that the contract has got since."""
    rows = pa.Table.from_batches(parquet_rows.read_batches(dataset, ["part", "later"])).to_pylist()
    assert rows == [{"part": i % 3, "later": None} for i in range(50)]
