"""The pages that an agent reads before it asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import NotPublishedError
from engage_spark.insight.context_pack import METADATA_ENDING, Page, context_pack, write_pack
from engage_spark.insight.evidence import Answer
from engage_spark.insight.registry import VERDICTS, tools_of
from engage_spark.insight.vocabulary import Vocabulary
from tests.support.paths import ROOT
from tests.support.scripted_insight import ScriptedInsight, answer_of, own_contract

BUSINESSES = sorted((ROOT / "tests" / "data").glob("*.odcs.yaml"))


def by_name(pages: tuple[Page, ...]) -> dict[str, Page]:
    return {p.name: p for p in pages}


def simple(name: str, arguments: Mapping[str, Any]) -> Answer:
    if arguments.get("metric") == "age":
        raise NotPublishedError("rollups has no published snapshot")
    return answer_of(name, arguments, facts=2, rows=2, text="a `group` <b> | of\nmany")


def test_the_pages_name_every_field_tool_metric_and_statement() -> None:
    contract = own_contract(None)
    pages, words = by_name(context_pack(contract)), Vocabulary(contract)
    customers = pages["fields_customers"].text
    assert all(f"## {f.name}\n" in customers for f in contract.entity.fields)
    assert all(f"## {t.name}\n" in pages["tools"].text for t in tools_of(contract))
    assert all(f"- `{m}` (" in pages["measures"].text for m in words.metrics)
    assert all(f"- `{c}` (" in pages["statements"].text for c in words.claims)
    assert all(f"- `{i}` (" in pages["measures"].text for i in words.indicators)
    assert "gender" in pages["reading"].text.split("Protected fields")[1].splitlines()[0]
    assert "unit: usd" in customers.lower() or "unit: USD" in customers
    assert "statistics" not in pages


@pytest.mark.parametrize("path", BUSINESSES, ids=lambda p: p.name.partition(".")[0])
def test_another_business_gets_its_own_pages(path: Path) -> None:
    contract = load_contract(path)
    pages = context_pack(contract)
    text = "\n".join(p.text for p in pages)
    assert all(f"## {f.name}\n" in text for f in contract.entity.fields)
    assert all(dict(p.metadata)["contract"] == contract.id for p in pages)


def test_statistics_come_from_the_tools_and_what_is_not_there_is_said() -> None:
    insight = ScriptedInsight(simple)
    pages = by_name(context_pack(insight.contract, insight))  # type: ignore[arg-type]
    text = pages["statistics"].text
    metrics = Vocabulary(insight.contract).metrics
    asked = [arguments.get("metric") for tool, arguments in insight.calls if tool == "describe"]
    assert asked == [None, *metrics]
    assert "Not known: rollups has no published snapshot." in text
    assert "- mean 1: 0.142857 share, n = 1001, 95% interval 0.125 to 0.166667 (" in text
    assert "rollups version 7, 2025-10-21" in text


def test_statistics_of_a_lake_that_has_none_are_an_error() -> None:
    def nothing(name: str, arguments: Mapping[str, Any]) -> Answer:
        raise NotPublishedError("rollups has no published snapshot")

    insight = ScriptedInsight(nothing)
    with pytest.raises(NotPublishedError):
        context_pack(insight.contract, insight)  # type: ignore[arg-type]


def test_no_page_holds_the_answer_of_a_tool_that_is_not_offered() -> None:
    insight = ScriptedInsight(simple)
    offered = [t for t in insight.tools if t.name not in ("describe", "check_claim")]
    pages = by_name(context_pack(insight.contract, insight, tools=offered))  # type: ignore[arg-type]
    assert not insight.calls and "statistics" not in pages
    assert "What holds" not in pages["statements"].text


def test_contradictions_are_named_first_and_what_is_left_off_is_said() -> None:
    def judged(name: str, arguments: Mapping[str, Any]) -> Answer:
        answer = answer_of(name, arguments, rows=2)
        return replace(answer, truncated=arguments.get("verdict") == "holds")

    insight = ScriptedInsight(judged)
    text = by_name(context_pack(insight.contract, insight))["statements"].text  # type: ignore[arg-type]
    asked = [arguments["verdict"] for tool, arguments in insight.calls if tool == "check_claim"]
    assert asked == ["contradicted", "absent", "weaker", "cannot_be_told", "holds"]
    assert set(asked) == set(VERDICTS)
    assert text.index("Known contradictions") < text.index("What holds")
    assert text.count("There is more; ask check_claim.") == 1


def test_a_text_of_the_data_begins_nothing_in_markdown() -> None:
    insight = ScriptedInsight(simple)
    text = by_name(context_pack(insight.contract, insight))["statistics"].text  # type: ignore[arg-type]
    assert "a 'group' ‹b› \\| of\\nmany 0" in text
    assert "<b>" not in text


def test_every_page_has_a_file_of_metadata_beside_it(tmp_path: Path) -> None:
    pages = context_pack(own_contract(None))
    files = write_pack(pages, tmp_path / "pack")
    assert sorted(files) == sorted((tmp_path / "pack").iterdir())
    for page in pages:
        path = tmp_path / "pack" / f"{page.name}.md"
        assert path.read_text(encoding="utf-8") == page.text
        metadata = json.loads((path.parent / f"{path.name}{METADATA_ENDING}").read_text(encoding="utf-8"))
        assert metadata == {"metadataAttributes": dict(page.metadata)}
        assert all(isinstance(v, str | int | bool) for v in metadata["metadataAttributes"].values())


def test_a_pack_is_the_same_every_time() -> None:
    assert context_pack(own_contract(None)) == context_pack(load_contract(None))
