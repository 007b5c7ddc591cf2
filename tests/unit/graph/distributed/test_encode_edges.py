"""Ids become numbers of a piece, and those become ranks: the edges come out as they went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage_spark.graph.distributed import encode_edges
from engage_spark.graph.distributed.encode_edges import _by_piece, _Encoder, _number_piece
from tests.support.examples import examples

IDS = st.sampled_from(["a", "b", "c", "d", "e", None])
EDGES = st.lists(st.tuples(IDS, IDS, st.floats(0.5, 9)), max_size=30)
SCHEMA = pa.schema([("src", pa.string()), ("dst", pa.string()), ("length", pa.float64())])


def encoded(
    directory: Path | None, edges: list[tuple[Any, ...]], *, tasks: int, weighted: bool = True
) -> list[dict[str, Any]]:
    """The rows of some tasks that take two edges at a time."""
    columns = SCHEMA.names if weighted else SCHEMA.names[:2]
    rows: list[dict[str, Any]] = []
    for task in range(tasks):
        encoder = _Encoder(directory, pa.string())
        records = [dict(zip(SCHEMA.names, e, strict=True)) for e in edges[task::tasks]]
        for start in range(0, len(records), 2):
            batch = pa.RecordBatch.from_pylist(records[start : start + 2], SCHEMA).select(columns)
            rows += [row for out in encoder.add([batch]) for row in out.to_pylist()]
        rows += [row for out in encoder.close() for row in out.to_pylist()]
    return rows


def ranked(directory: Path, rows: list[dict[str, Any]], unit: float | None) -> list[tuple[Any, ...]]:
    """The edges of the numbered pieces, with their ids again."""
    ids = sorted({row["id"] for row in rows if row["code"] is not None})
    codes = [
        {"piece": row["piece"], "code": row["code"], "rank": ids.index(row["id"])}
        for row in sorted(rows, key=lambda row: row["piece"])
        if row["code"] is not None
    ]
    schema = pa.schema([("piece", pa.string()), ("code", pa.int32()), ("rank", pa.int32())])
    batches = iter([pa.RecordBatch.from_pylist([code], schema) for code in codes])
    edges: list[tuple[Any, ...]] = []
    for piece in _by_piece(batches):
        described = _number_piece(directory, *piece, unit)
        u, v = (np.fromfile(directory / f"{described['name']}.{end}", np.int32) for end in ("u", "v"))
        assert (described["rows"], described["loops"]) == (len(u), int((u == v).sum()))
        lengths = [None] * len(u)
        if unit is not None:
            lengths = np.fromfile(directory / f"{described['name']}.length", np.int64).tolist()
        edges += [(ids[a], ids[b], length) for a, b, length in zip(u, v, lengths, strict=True)]
    return edges


@given(edges=EDGES, tasks=st.integers(1, 3), most=st.integers(1, 9))
@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_numbered_edges_are_the_edges_without_nulls(
    edges: list[tuple[Any, ...]], tasks: int, most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In any number of tasks and pieces; lengths are rounded to whole units, halves up."""
    directory = tmp_path_factory.mktemp("pieces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode_edges, "_IDS_PER_PIECE", most)
        rows = encoded(directory, edges, tasks=tasks)
    expected = [(a, b, int(length / 0.5 + 0.5)) for a, b, length in edges if a and b]
    assert sorted(ranked(directory, rows, 0.5)) == sorted(expected)
    counts = [dict(row["counts"]) for row in rows if row["counts"] is not None]
    assert sum(c["rows"] for c in counts) == len(edges)
    assert sum(c["src"] for c in counts) == sum(a is None for a, *_ in edges)


def test_without_a_directory_the_numbers_are_handed_on_as_bytes() -> None:
    rows = encoded(None, [("b", "a", 1.0), ("a", "b", 1.0), ("a", "a", 1.0)], tasks=1, weighted=False)
    pieces = [[np.frombuffer(row[end], np.int32).tolist() for end in ("u", "v")] for row in rows if row["u"]]
    assert pieces == [[[0, 1], [1, 0]], [[1], [1]]]
    assert [(row["code"], row["id"]) for row in rows if row["id"]] == [(0, "b"), (1, "a")]
    assert {row["length"] for row in rows} == {None}
