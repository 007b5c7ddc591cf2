"""The same rows have the same counts, reasons and samples, whatever holds them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from engage_spark import check
from engage_spark.contract import Field, Role, Rule, Table, TableKind, load_contract
from engage_spark.contract.model import Reference
from engage_spark.errors import InputError
from engage_spark.quality import CheckResult
from engage_spark.quality import check as check_frame
from tests.support.paths import DATA

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def declared(name: str, kind: str, **more: Any) -> Field:
    return Field(name=name, logical_type="", spark_type=kind, description="", role=Role.FEATURE, **more)


THINGS = Table(
    name="things",
    kind=TableKind.ENTITY,
    description="",
    fields=(
        declared("id", "string", required=True, key_position=1),
        declared("n", "int", minimum=0, maximum=9),
        declared("free", "bigint"),
        declared("x", "double", minimum=-1, maximum=1),
        declared("t", "string", allowed=("a", "ä", "")),
        declared("d", "date"),
        declared("z", "timestamp"),
        declared("m", "decimal(9,2)", maximum=100, required=True),
        declared("b", "boolean"),
        declared("shelf", "string"),
    ),
    rules=(
        Rule(name="dated", expression="d >= DATE '2025-01-01'", description="", columns=("d",)),
        Rule(name="early", expression="hour(z) < 12", description="", columns=("z",)),
        Rule(name="flagged", expression="b OR free > 0", description="", columns=("b", "free")),
    ),
    references=(Reference(column="shelf", table="shelves", to_column="code"),),
)
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "n": pa.int32(),
        "free": pa.int64(),
        "x": pa.float64(),
        "t": pa.string(),
        "d": pa.date32(),
        "z": pa.timestamp("us", tz="UTC"),
        "m": pa.decimal128(9, 2),
        "b": pa.bool_(),
        "shelf": pa.string(),
        "other": pa.int64(),
    }
)
SHELVES = pd.DataFrame({"code": ["left", "right"]})
NAN = float("nan")


def rows(n: int = 60) -> pa.Table:
    """Gaps in every column, values at and beyond the bounds, keys that repeat; NaN beside null."""
    draw = random.Random(17)
    values: dict[str, list[Any]] = {
        "n": [None, 0, 9, 10, -1, 2**31 - 1],
        "free": [None, 0, 2**53, -5],
        "x": [None, NAN, float("inf"), -0.0, 1.0, 1.5],
        "t": [None, "a", "ä", "", "Ä"],
        "d": [None, date(2024, 12, 31), date(2025, 1, 1)],
        "z": [
            None,
            datetime(2025, 6, 1, 11, 59, 59, 999_999, tzinfo=UTC),
            datetime(1969, 1, 1, 12, tzinfo=UTC),
        ],
        "m": [None, Decimal("100.00"), Decimal("100.01"), Decimal("-0.50")],
        "b": [None, True, False],
        "shelf": [None, "left", "lost"],
        "other": [1],
    }
    made = [
        {"id": f"k{i % (n - 3)}"} | {name: draw.choice(of) for name, of in values.items()} for i in range(n)
    ]
    return pa.Table.from_pylist(made, schema=SCHEMA)


def verdict(checked: CheckResult) -> dict[str, Any]:
    """Counts and samples by rule, and the reasons of each row."""
    reasons = sorted(
        (r["id"], r["_dq_status"], sorted(map(str, r["_dq_errors"])))
        for r in checked.rows.select("id", "_dq_status", "_dq_errors").collect()
    )
    counts = {c.rule_name: (c.violations, c.samples) for c in checked.counts if c.violations}
    return {
        "counts": counts,
        "reasons": reasons,
        "rows": (checked.row_count, checked.quarantined_count),
        "states": {n: dict(s.bins) for n, s in checked.states.items()},
        "extra": checked.extra,
    }


@pytest.mark.connect
def test_every_kind_of_frame_and_file_has_the_same_verdict(spark: SparkSession, tmp_path: Path) -> None:
    table = rows()
    polars = pl.from_arrow(table)
    assert isinstance(polars, pl.DataFrame)
    parquet = tmp_path / "things.parquet"
    pq.write_table(table, parquet)
    forms: dict[str, Any] = {
        "reader": table.to_reader(),
        "polars lazy": polars.lazy(),
        "duckdb": duckdb.from_arrow(table),
        "path": parquet,
    }
    wanted = verdict(
        check_frame(
            spark.createDataFrame(table), THINGS, references={"shelves": spark.createDataFrame(SHELVES)}
        )
    )
    assert (
        wanted["counts"]["x.finite"][0]
        and wanted["counts"]["early"][0]
        and wanted["counts"]["shelf.references"][0]
    )
    assert wanted["extra"] == ("other",)
    for name, form in forms.items():
        found = verdict(check(form, THINGS, references={"shelves": SHELVES}))
        assert found == wanted, name


def test_plain_pandas_is_the_same_where_nan_is_what_is_missing(spark: SparkSession) -> None:
    table = rows()
    no_nan = table.set_column(3, "x", pa.array([None if v != v else v for v in table["x"].to_pylist()]))  # noqa: PLR0124
    frame = pd.DataFrame(table.to_pylist())
    assert [str(frame[c].dtype) for c in ("n", "free", "x")] == ["float64"] * 3
    shelves = pl.from_pandas(SHELVES)
    wanted, found = (
        verdict(check(form, THINGS, references={"shelves": shelves}))
        for form in (no_nan, frame.set_index("id"))
    )
    assert found == wanted
    assert not found["states"]["x"].get("NaN")


def test_a_path_of_csv_is_read_as_ingest_reads_it(spark: SparkSession, tmp_path: Path) -> None:
    """Days of folders are the rows' days, and a line that does not parse is quarantined."""
    bikes = load_contract(DATA / "bikes.odcs.yaml")
    plain = Table(name="things", kind=TableKind.ENTITY, description="", fields=THINGS.fields[:3])
    for day in ("2025-10-20", "2025-10-21"):
        folder = tmp_path / f"snapshot_date={day}"
        folder.mkdir()
        pacsv.write_csv(pa.table({"id": ["a", "b"], "n": ["1", "x"], "free": [1, 2]}), folder / "part.csv")
    checked = check(tmp_path, plain)
    counts = {c.rule_name: c.violations for c in checked.counts if c.violations}
    assert counts["row.parsable"] == 2 and "id.unique" not in counts
    assert checked.rows.columns == ["id", "n", "free", "snapshot_date", "_dq_status", "_dq_errors"]
    assert check(tmp_path, plain, snapshot_date=date(2025, 10, 21)).row_count == 2
    with pytest.raises(InputError, match="there is nothing at"):
        check(tmp_path / "nowhere", bikes)


def test_what_is_no_frame_is_refused_before_anything_starts() -> None:
    with pytest.raises(InputError, match="cannot be checked") as error:
        check({"id": ["a"]}, THINGS)  # type: ignore[arg-type]
    assert "a pandas DataFrame" in str(error.value.hint)
    with pytest.raises(InputError) as error:
        check_frame(pd.DataFrame({"id": ["a"]}), THINGS)  # type: ignore[arg-type]
    assert "engage_spark.check" in str(error.value.hint)
