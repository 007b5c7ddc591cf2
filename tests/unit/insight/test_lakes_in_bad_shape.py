"""A lake where something is missing or out of date: a typed error that says what to do, or what is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import EngageError, NotPublishedError
from engage_spark.insight import BadArgumentError, Insight, StaleLakeError, SuppressedError
from engage_spark.insight.lake_reader import LakeReader
from engage_spark.reader import open_lake
from tests.support.counted_lake import NEWEST, analyze, counted_lake, ingest, predict, two_days
from tests.support.gym import CONTRACT, DAYS, changed_contract, gym_insight, members
from tests.support.lake_without_spark import SmallLake
from tests.support.paths import ROOT

BANK = load_contract(ROOT / "tests" / "data" / "bank_churn.odcs.yaml")
TABLES = {
    "analytics_states": ["describe", "compare_segments", "churn_drivers", "recommend", "similar_customers"],
    "rollups": ["trend"],
    "cohorts": ["cohort"],
    "changes": ["what_changed"],
    "claims": ["check_claim"],
    "correlations": ["correlate"],
    "segments": ["distribution"],
    "predictions": ["explain_customer"],
    "members_judged": ["similar_customers"],
    "runs": ["describe", "trend", "explain_customer", "data_quality"],
}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "distribution": {"dimension": "plan"},
    "compare_segments": {"metric": "cancelled"},
    "trend": {"metric": "cancelled"},
    "correlate": {"metric": "cancelled"},
    "explain_customer": {"customer": "M0001"},
    "similar_customers": {"customer": "M0001"},
}


@pytest.fixture
def whole(gym_tables: SmallLake) -> Path:
    return gym_tables.root


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_gone_is_not_published(whole: Path, tmp_path: Path, table: str) -> None:
    shutil.copytree(whole, tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake" / table)
    insight = gym_insight(tmp_path / "lake")
    for tool in TABLES[table]:
        with pytest.raises(NotPublishedError) as caught:
            insight.call(tool, ARGUMENTS.get(tool))
        assert caught.value.hint


@pytest.mark.parametrize(
    "tool", sorted({tool for tools in TABLES.values() for tool in tools} | {"data_quality"})
)
def test_an_empty_folder_and_a_lake_without_analytics_are_not_published(tmp_path: Path, tool: str) -> None:
    with pytest.raises(NotPublishedError):
        gym_insight(tmp_path).call(tool, ARGUMENTS.get(tool))
    lake = SmallLake(tmp_path, CONTRACT)
    ingest(lake, NEWEST, members(NEWEST))
    if tool != "data_quality":
        with pytest.raises(NotPublishedError):
            gym_insight(tmp_path).call(tool, ARGUMENTS.get(tool))


def test_what_there_was_nothing_to_count_of_has_no_rows(tmp_path: Path) -> None:
    """A run that had no rows for a table has not written it, and no table is gone."""
    days = two_days(BANK, 60)
    counted_lake(tmp_path, BANK, {NEWEST: days[NEWEST]})
    with pytest.raises(NotPublishedError, match="has no rows"):
        Insight(open_lake(tmp_path, contract=CONTRACT)).call("cohort")


def test_a_day_that_was_not_analyzed_is_not_published(whole: Path) -> None:
    with pytest.raises(NotPublishedError, match="2025-10-22"):
        gym_insight(whole).call("describe", {"as_of": "2025-10-22"})


def test_files_that_vanish_under_an_open_lake_are_an_error_of_the_package(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "lake")
    insight = gym_insight(tmp_path / "lake")
    insight.call("describe")
    for file in (tmp_path / "lake" / "rollups").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(EngageError) as caught:
        insight.call("trend", {"metric": "cancelled"})
    assert caught.value.code in ("Transient", "Input", "Configuration", "Permanent")


def test_customers_published_again_make_the_analysis_stale(gym_tables: SmallLake, tmp_path: Path) -> None:
    """The older day is not taken for the newest one; asked for by its day, it is answered."""
    shutil.copytree(gym_tables.root, tmp_path, dirs_exist_ok=True)
    lake = SmallLake(tmp_path, CONTRACT, list(gym_tables.runs))
    ingest(lake, DAYS[-1], members(DAYS[-1]), attempt=2)
    insight = gym_insight(tmp_path)
    for tool in (
        "describe",
        "trend",
        "cohort",
        "what_changed",
        "check_claim",
        "correlate",
        "explain_customer",
    ):
        with pytest.raises(StaleLakeError, match="members changed since") as caught:
            insight.call(tool, ARGUMENTS.get(tool))
        assert caught.value.code == "StaleLake"
    with pytest.raises(StaleLakeError):
        insight.call("describe", {"as_of": str(DAYS[-1])})
    ingest(lake, DAYS[1], members(DAYS[1]), attempt=2)
    insight.refresh()
    older = insight.call("describe", {"as_of": str(DAYS[-2])})
    assert older.facts[0].as_of == DAYS[-2]
    trend = insight.call("trend", {"metric": "cancelled", "as_of": str(DAYS[-2])})
    assert [row[0] for row in trend.rows] == [str(DAYS[0]), str(DAYS[2])]
    assert any(n.endswith(f"has changed: {DAYS[1]}.") for n in trend.notes)


def test_customers_who_are_not_analyzed_yet_are_noted(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path, CONTRACT)
    ingest(lake, DAYS[0], members(DAYS[0]))
    analyze(lake, DAYS[0], members(DAYS[0]), {})
    insight = gym_insight(tmp_path)
    note = f"members of {DAYS[1]} are published and not analyzed yet: figures are of {DAYS[0]}."
    assert note not in insight.call("describe").notes
    ingest(lake, DAYS[1], members(DAYS[1]))
    insight.refresh()
    for tool in ("describe", "trend", "cohort", "check_claim", "recommend"):
        assert note in insight.call(tool, ARGUMENTS.get(tool)).notes
    assert note not in insight.call("describe", {"as_of": str(DAYS[0])}).notes


def test_what_the_contract_has_got_since_is_not_counted_and_nobody_is_told_to_be_nowhere(
    gym_tables: SmallLake, tmp_path: Path
) -> None:
    """A dimension that was not counted has no segment of nobody, and a day before is there all the same."""
    at = "      - name: yearly_spend\n"
    new = """      - name: colour
        description: "Of the card."
        logicalType: string
        physicalType: string
        quality:
          - type: library
            metric: invalidValues
            arguments: {validValues: [red, blue]}
            mustBe: 0
            dimension: conformity
        customProperties: [{property: role, value: feature}, {property: analytics, value: [dimension]}]
      - name: complains
        description: "1 when the member complains."
        logicalType: integer
        physicalType: int
        quality:
          - type: library
            metric: invalidValues
            arguments: {validValues: [0, 1]}
            mustBe: 0
            dimension: conformity
        customProperties: [{property: role, value: target}]
"""
    contract = changed_contract(tmp_path, {at: new + at})
    insight = Insight(open_lake(gym_tables.root, contract=contract))
    red, first = {"dimension": "colour", "segment": "red"}, {"first": "red", "second": "blue"}
    for tool, arguments in (
        ("describe", red),
        ("distribution", {"dimension": "colour"}),
        ("distribution", red | {"metric": "minutes"}),
        ("compare_segments", {"dimension": "colour", "metric": "customers"}),
        ("compare_segments", first | {"dimension": "colour", "metric": "minutes"}),
        ("trend", red | {"metric": "customers"}),
        ("what_changed", {"dimension": "colour"}),
        ("describe", {"metric": "complains"}),
        ("compare_segments", {"metric": "complains"}),
        ("churn_drivers", {"target": "complains"}),
    ):
        with pytest.raises(NotPublishedError, match=r"(colour|complains) was not counted on this day"):
            insight.call(tool, arguments)
    with pytest.raises(NotPublishedError, match="complains has no values on 2025-10-20 or on 2025-10-21"):
        insight.call("what_changed", {"metric": "complains"})
    answer = insight.call("similar_customers", {"customer": "M0005"})
    assert {f.label.partition(":")[0] for f in answer.facts} == {"cancelled", "yearly_spend"}
    explained = insight.call("explain_customer", {"customer": "M0005"})
    assert any(n.startswith("What the model says of complains is not known") for n in explained.notes)
    with pytest.raises(BadArgumentError, match="there is no customer"):
        insight.call("explain_customer", {"customer": "M9999"})


def test_what_was_scored_or_listed_before_the_newest_customers_is_noted(tmp_path: Path) -> None:
    lake = counted_lake(tmp_path, CONTRACT, {DAYS[0]: members(DAYS[0])})
    predict(lake, DAYS[0], members(DAYS[0]), target="cancelled")
    ingest(lake, DAYS[1], members(DAYS[1]))
    for tool, lacking in (("explain_customer", "scored"), ("similar_customers", "analyzed")):
        note = f"members of {DAYS[1]} are published and not {lacking} yet: figures are of {DAYS[0]}."
        assert note in gym_insight(tmp_path).call(tool, ARGUMENTS[tool]).notes
    assert not any("are published and not" in n for n in gym_insight(tmp_path).call("data_quality").notes)


def test_refresh_sees_what_was_published_since(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path, CONTRACT)
    states: dict[Any, Any] = {}
    for day in DAYS[:2]:
        ingest(lake, day, members(day))
        analyze(lake, day, members(day), states)
        if day == DAYS[0]:
            insight = gym_insight(tmp_path)
            assert insight.call("describe").facts[0].as_of == DAYS[0]
    assert insight.call("describe").facts[0].as_of == DAYS[0]
    insight.refresh()
    assert insight.call("describe").facts[0].as_of == DAYS[1]


def test_figures_are_those_of_the_run_that_they_name(gym: Insight, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opened the lake may refresh it, too: states that are remembered are then of another run."""
    runs, reads = ["a", "a", "b"], list[str]()
    real = LakeReader.rows

    def read(self: LakeReader, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
        reads.append(arguments[0])
        return real(self, *arguments, **options)

    monkeypatch.setattr(LakeReader, "rows", read)
    monkeypatch.setattr(LakeReader, "days", lambda *_: {DAYS[-1]: SimpleNamespace(run_id=runs.pop(0))})
    reader = LakeReader(gym.lake, gym.vocabulary)
    first, again, other = (reader.states(DAYS[-1]) for _ in range(3))
    assert first is again and other is not first and reads == ["analytics_states"] * 2


def test_a_lake_of_few_customers_says_nothing_of_them(tmp_path: Path) -> None:
    counted_lake(tmp_path, CONTRACT, {NEWEST: members(NEWEST).head(19)})
    insight = gym_insight(tmp_path)
    suppressed = 0
    for tool in (
        "describe",
        "distribution",
        "compare_segments",
        "trend",
        "churn_drivers",
        "recommend",
        "correlate",
    ):
        try:
            answer = insight.call(
                tool, {"metric": "minutes"} if tool == "distribution" else ARGUMENTS.get(tool)
            )
        except SuppressedError:
            suppressed += 1
        else:
            assert not answer.rows
    assert suppressed >= 6
    assert not insight.call("cohort").rows


def test_predictions_of_an_older_day_are_explained_as_of_it(tmp_path: Path) -> None:
    days = two_days(CONTRACT, 25)
    lake = counted_lake(tmp_path, CONTRACT, days)
    predict(lake, min(days), days[min(days)], target="cancelled")
    answer = Insight(gym_insight(tmp_path).lake).call("explain_customer", {"customer": "CUST-000010"})
    assert {f.as_of for f in answer.facts} == {min(days)}
