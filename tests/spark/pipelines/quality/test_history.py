"""What was recorded of checked days, shown, compared and added up; against pandas over the rows
themselves.
"""

from __future__ import annotations

import io
import json
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from rich.console import Console

from engage_spark.cli import console as terminal
from engage_spark.cli.render import summaries
from engage_spark.errors import ConfigurationError, GateError, NotPublishedError
from engage_spark.pipelines.context import RunContext
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.pipelines.quality.drift import run_drift
from engage_spark.pipelines.quality.history import read_states
from engage_spark.pipelines.quality.period_summary import run_states
from engage_spark.pipelines.quality.show import run_show
from engage_spark.pipelines.results import Note, StageResult, to_plain
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
        rows["operator_owner"] = "city"
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


def rendered_table(result: StageResult) -> str:
    """The table of a result as a terminal of 80 columns shows it."""
    out = io.StringIO()
    plain = {"color_system": None, "highlight": False, "emoji": False, "markup": False}
    console = Console(file=out, width=80, force_terminal=True, **plain)  # type: ignore[arg-type]
    (summary,) = summaries(result)
    assert summary.table is not None
    terminal.grid(console, *summary.table)
    return out.getvalue()


def test_broken_rules_are_shown_with_samples(spark: SparkSession, lake: Settings) -> None:
    result = run_show(spark, lake, contract=BIKES, snapshot_date=SECOND)
    (outcome,) = (o for o in result.broken if o.rule_name == "district.allowed")
    assert (outcome.passed, outcome.severity, outcome.violations) == (False, "critical", 3)
    assert outcome.samples[:2] == ("<b>bold</b>", "[red]")
    assert outcome.samples[2].startswith("xxx")
    text = rendered_table(result)
    assert max(map(len, text.splitlines())) <= 80
    assert "[red]" in text
    (summary,) = summaries(result)
    assert summary.table is not None
    (row,) = (r for r in summary.table[1] if r[2] == "district.allowed")
    assert row[:4] == ("failed", "critical", "district.allowed", "3")
    assert row[4].startswith("1.25%: '<b>bold</b>', '[red]', 'xxx")


def test_the_newest_checked_day_is_shown_even_when_rejected(spark: SparkSession, lake: Settings) -> None:
    result = run_show(spark, lake, contract=BIKES)
    assert result.snapshot_date == THIRD
    (gate,) = (o for o in result.broken if o.rule_name == "quarantine_limit")
    assert (gate.passed, gate.severity) == (False, "critical")


@pytest.mark.connect
def test_drift_names_what_moved_and_what_is_gone(spark: SparkSession, lake: Settings) -> None:
    result = run_drift(spark, lake, contract=BIKES)
    assert (result.day, result.against) == (SECOND, FIRST), "a rejected day is no day"
    (district,) = (c for c in result.columns if c.column == "district")
    assert district.change == "much"
    assert "Old Town" in district.vanished
    assert result.changes["much"] >= 1
    (note,) = result.notes
    assert note.code == "QuarantinedNotCompared", "a value that is in quarantined rows alone is not seen"
    assert (note.facts["n_rows"], note.facts["n_rows_against"]) == (3, 0)
    assert max(map(len, rendered_table(result).splitlines())) <= 80


def test_drift_shows_no_values_of_a_protected_column(spark: SparkSession, lake: Settings) -> None:
    """`operator_owner` is protected and has no classification."""
    field = BIKES.entity["operator_owner"]
    assert (field.protected, field.classification) == (True, None)
    result = run_drift(spark, lake, contract=BIKES)
    (owner,) = (c for c in result.columns if c.column == "operator_owner")
    assert owner.change == "much", "the owners did change"
    assert owner.psi is not None
    assert (owner.moved, owner.appeared, owner.vanished) == ((), (), ())
    states = read_states(RunContext(spark, lake, BIKES), BIKES.entity, first=FIRST, last=SECOND)
    values = {b for day in states.values() for b, n in day["operator_owner"].bins.items() if n}
    printed = rendered_table(result) + json.dumps(to_plain(result))
    assert values
    assert not [v for v in values if f'"{v}"' in printed or f"{v} " in printed]


def test_a_pinned_reference_and_a_day_are_compared_with(spark: SparkSession, lake: Settings) -> None:
    pinned = lake.model_copy(update={"quality": QualitySettings(reference=FIRST)})
    by_setting = run_drift(spark, pinned, contract=BIKES, snapshot_date=FIRST)
    assert by_setting.against == FIRST
    assert by_setting.columns == (), "a day does not differ from itself"
    with pytest.raises(NotPublishedError, match=f"before {FIRST} is published"):
        run_drift(spark, lake, contract=BIKES, snapshot_date=FIRST)
    with pytest.raises(ConfigurationError, match="no states of 2024-01-01"):
        run_drift(spark, lake, contract=BIKES, against=date(2024, 1, 1))


def test_days_add_up_to_what_pandas_counts_in_their_rows(spark: SparkSession, lake: Settings) -> None:
    result = run_states(spark, lake, contract=BIKES)
    assert result.days == (FIRST, SECOND)
    assert result.notes == (), "the rejected day lies after the last published one"
    rows = pd.concat([rows_of(FIRST), rows_of(SECOND).iloc[3:]])
    assert result.rows == len(rows)
    by_column = {c.column: c for c in result.columns}
    docks = by_column["docks_total"]
    assert docks.mean == pytest.approx(rows["docks_total"].astype(float).mean(), rel=1e-12)
    assert (docks.minimum, docks.maximum) == (rows["docks_total"].min(), rows["docks_total"].max())
    assert docks.median == pytest.approx(rows["docks_total"].astype(float).median(), abs=2), "by a sketch"
    owner = by_column["operator_owner"]
    assert (owner.personal, owner.minimum, owner.maximum, owner.commonest) == (True, None, None, ())
    assert (owner.mean, owner.median) == (None, None)
    districts = rows["district"].value_counts()
    assert by_column["district"].commonest[0] == ("Harbour", districts["Harbour"])
    assert max(map(len, rendered_table(result).splitlines())) <= 80


def test_a_day_that_is_not_published_is_left_out_and_named(spark: SparkSession, lake: Settings) -> None:
    result = run_states(spark, lake, contract=BIKES, first=SECOND, last=THIRD)
    assert result.notes == (Note("DaysNotPublished", {"days": (THIRD,)}),)
    with pytest.raises(NotPublishedError, match="no day of stations is published from 2024"):
        run_states(spark, lake, contract=BIKES, first=date(2024, 1, 1), last=date(2024, 1, 7))


@pytest.mark.connect
def test_states_come_back_as_they_were_counted(spark: SparkSession, lake: Settings) -> None:
    states = read_states(RunContext(spark, lake, BIKES), BIKES.entity, first=FIRST, last=FIRST)[FIRST]
    rows = rows_of(FIRST)
    assert list(states) == list(BIKES.entity.names)
    assert float(states["mean_ride_km"].total) == pytest.approx(float(rows["mean_ride_km"].sum()), rel=1e-13)
    docks = states["docks_total"]
    assert (docks.total, docks.minimum) == (rows["docks_total"].sum(), rows["docks_total"].min())
    assert {b: n for b, n in states["district"].bins.items() if n} == rows[
        "district"
    ].value_counts().to_dict()


def test_a_day_that_was_not_checked_is_an_error(spark: SparkSession, lake: Settings) -> None:
    with pytest.raises(NotPublishedError, match="nothing was checked on 2024-01-01"):
        run_show(spark, lake, contract=BIKES, snapshot_date=date(2024, 1, 1))


def test_a_rejected_delivery_takes_no_place_of_the_published_one(
    spark: SparkSession, lake: Settings, tmp_path: Path
) -> None:
    settings = settings_of(lake, tmp_path, landed_at="2025-10-03T06:00:00Z")
    shutil.copytree(Path(lake.lake.root or "").parent, tmp_path, dirs_exist_ok=True)

    def told() -> list[object]:
        drift = run_drift(spark, settings, contract=BIKES)
        states = run_states(spark, settings, contract=BIKES, first=FIRST, last=SECOND)
        return [drift.day, drift.changes, drift.columns, states.rows, states.columns]

    before = told()
    deliver(rows_of(THIRD), BIKES, tmp_path, str(SECOND))
    with pytest.raises(GateError):
        ingest.run_ingest(spark, settings, contract=BIKES, snapshot_date=SECOND)
    assert run_show(spark, settings, contract=BIKES, snapshot_date=SECOND).failed
    assert told() == before
