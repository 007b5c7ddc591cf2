"""What was recorded of judged days, shown, compared and added up; against pandas over the rows themselves."""

from __future__ import annotations

import io
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from rich.console import Console
from rich.text import Text

from engage_spark.errors import ConfigurationError, GateError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.quality import drift, show
from engage_spark.pipelines.quality import states as states_run
from engage_spark.pipelines.quality.history import states
from engage_spark.pipelines.results import Report
from engage_spark.settings import QualitySettings, Settings
from tests.support.deliveries import BIKES, deliver, settings_of, stations

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST, SECOND, THIRD = date(2025, 10, 1), date(2025, 10, 2), date(2025, 10, 3)


def rows_of(day: date) -> pd.DataFrame:
    """Three days: the second has other districts and some bad rows, the third none that is good."""
    rows = stations(240, seed=day.day)
    if day == SECOND:
        rows["district"] = ["Harbour"] * 200 + ["North"] * 40
        rows.loc[rows.index[:3], "district"] = ["<b>bold</b>", "x" * 150, "[red]"]
    if day == THIRD:
        rows["docks_total"] = 3
    return rows


@pytest.fixture(scope="module")
def lake(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    home = tmp_path_factory.mktemp("recorded")
    settings = settings_of(session_settings, home, landed_at="2025-10-03T06:00:00Z")
    for day in (FIRST, SECOND, THIRD):
        deliver(rows_of(day), BIKES, home, str(day))
    with pytest.raises(GateError):
        ingest.run_ingest(spark, settings, contract=BIKES)
    return settings


def shown(report: Report) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None, highlight=False, emoji=False, markup=False)
    assert report.table is not None
    show.grid(console, *report.table)
    console.print(Text("\n".join(f"{a}  {b}" for a, b in report.lines)), soft_wrap=True)
    return out.getvalue()


def test_what_was_broken_is_shown_with_samples(spark: SparkSession, lake: Settings) -> None:
    report = show.run_show(spark, lake, contract=BIKES, snapshot_date=SECOND)
    assert report.table is not None
    (line,) = (r for r in report.table[1] if r[2] == "district.allowed")
    assert line[:4] == ("failed", "critical", "district.allowed", "3")
    assert line[4].startswith("1.25%: '<b>bold</b>', '[red]', 'xxx")
    text = shown(report)
    assert max(map(len, text.splitlines()[: len(report.table[1]) + 2])) <= 80
    assert "[red]" in text


def test_the_newest_judged_day_is_shown_even_when_it_was_rejected(
    spark: SparkSession, lake: Settings
) -> None:
    report = show.run_show(spark, lake, contract=BIKES)
    assert dict(report.lines)["snapshot"] == str(THIRD)
    assert report.table is not None
    assert ("failed", "critical", "quarantine_limit") in {r[:3] for r in report.table[1]}


def test_drift_names_what_moved_and_what_is_gone(spark: SparkSession, lake: Settings) -> None:
    report = drift.run_drift(spark, lake, contract=BIKES)
    assert (dict(report.lines)["day"], dict(report.lines)["against"]) == (str(SECOND), str(FIRST)), (
        "a rejected day is no day"
    )
    assert report.table is not None
    first = report.table[1][0]
    assert first[:2] == ("district", "much")
    assert "gone: Old Town" in first[5]
    assert max(map(len, shown(report).splitlines())) <= 80


def test_a_pinned_reference_and_a_day_are_compared_with(spark: SparkSession, lake: Settings) -> None:
    pinned = lake.model_copy(update={"quality": QualitySettings(reference=FIRST)})
    by_setting = drift.run_drift(spark, pinned, contract=BIKES, snapshot_date=FIRST)
    assert dict(by_setting.lines)["against"] == str(FIRST)
    assert by_setting.table is None, "a day does not differ from itself"
    with pytest.raises(ConfigurationError, match=f"before {FIRST} is published"):
        drift.run_drift(spark, lake, contract=BIKES, snapshot_date=FIRST)
    with pytest.raises(ConfigurationError, match="no states of 2024-01-01"):
        drift.run_drift(spark, lake, contract=BIKES, against=date(2024, 1, 1))


def test_days_add_up_to_what_pandas_finds_in_their_rows(spark: SparkSession, lake: Settings) -> None:
    report = states_run.run_states(spark, lake, contract=BIKES)
    assert dict(report.lines)["days"] == f"2, from {FIRST} to {SECOND}"
    assert report.notes == (), "the rejected day lies after the last published one"
    rows = pd.concat([rows_of(FIRST), rows_of(SECOND).iloc[3:]])
    assert dict(report.lines)["rows"] == f"{len(rows):,}"
    assert report.table is not None
    by_column = {r[0]: r for r in report.table[1]}
    assert by_column["docks_total"][2] == f"{rows['docks_total'].astype(float).mean():,.6g}"
    extent, median = by_column["docks_total"][3].split("; ")
    assert extent == f"{rows['docks_total'].min()} to {rows['docks_total'].max()}"
    assert float(median.removeprefix("median ")) == pytest.approx(
        rows["docks_total"].astype(float).median(), abs=2
    ), "by a sketch"
    assert by_column["operator_owner"][3] == "***"
    assert by_column["district"][3].startswith("Harbour ")
    assert max(map(len, shown(report).splitlines())) <= 80


def test_a_day_that_is_not_published_is_left_out_and_named(spark: SparkSession, lake: Settings) -> None:
    report = states_run.run_states(spark, lake, contract=BIKES, first=SECOND, last=THIRD)
    assert report.notes == (f"left out, since not published: {THIRD}",)
    with pytest.raises(ConfigurationError, match="no day of stations is published from 2024"):
        states_run.run_states(spark, lake, contract=BIKES, first=date(2024, 1, 1), last=date(2024, 1, 7))


def test_states_come_back_as_they_were_counted(spark: SparkSession, lake: Settings) -> None:
    found = states(RunContext(spark, lake, BIKES), BIKES.entity, first=FIRST, last=FIRST)[FIRST]
    rows = rows_of(FIRST)
    assert list(found) == list(BIKES.entity.names)
    assert float(found["mean_ride_km"].total) == pytest.approx(float(rows["mean_ride_km"].sum()), rel=1e-13)
    assert (found["docks_total"].total, found["docks_total"].minimum) == (
        rows["docks_total"].sum(),
        rows["docks_total"].min(),
    )
    assert {b: n for b, n in found["district"].bins.items() if n} == rows["district"].value_counts().to_dict()


def test_nothing_judged_is_said(spark: SparkSession, lake: Settings) -> None:
    with pytest.raises(ConfigurationError, match="nothing was judged on 2024-01-01"):
        show.run_show(spark, lake, contract=BIKES, snapshot_date=date(2024, 1, 1))
