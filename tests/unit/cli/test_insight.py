"""`engage-spark insight`: schemas, pages, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engage_spark.cli import main
from engage_spark.contract import load_contract
from engage_spark.insight import agentcore, bedrock
from engage_spark.insight.context_pack import context_pack
from engage_spark.insight.registry import tools_of
from engage_spark.insight.replies import wire_tools
from tests.support.paths import ROOT

GARDEN = ROOT / "tests" / "data" / "garden.odcs.yaml"


def test_tools_are_listed_with_their_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    main(["insight", "tools"])
    text = capsys.readouterr().out
    assert "compare_segments" in text
    assert "metric, dimension?, first?, second?, as_of?" in text


def test_tools_are_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--json", "insight", "tools"])
    listed = json.loads(capsys.readouterr().out)["tools"]
    assert [t["name"] for t in listed] == [t.name for t in tools_of(load_contract(None))]


@pytest.mark.parametrize("contract", [None, GARDEN], ids=["own", "garden"])
def test_schemas_are_those_of_the_contract(contract: Path | None, capsys: pytest.CaptureFixture[str]) -> None:
    tools = tools_of(load_contract(contract))
    options = ["--contract", str(contract)] if contract else []
    made = {}
    for schema in ("action-groups", "agentcore", "converse", "mcp"):
        main(["insight", "tools", "--schema", schema, *options])
        made[schema] = json.loads(capsys.readouterr().out)
    assert made["action-groups"] == bedrock.action_groups(tools)
    assert made["agentcore"] == agentcore.gateway_tools(tools)
    assert made["converse"] == bedrock.converse_tools(tools)
    assert [t["name"] for t in made["mcp"]["tools"]] == [t.name for t in wire_tools(tools)]


def test_schemas_go_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tools.json"
    main(["insight", "tools", "--schema", "agentcore", "--out", str(out)])
    assert "15 tools" in capsys.readouterr().out
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written == agentcore.gateway_tools(tools_of(load_contract(None)))


def test_a_file_without_a_schema_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["insight", "tools", "--out", str(tmp_path / "x")])
    assert stopped.value.code == 2
    assert "--schema" in capsys.readouterr().err


def test_a_pack_of_the_contract_alone_needs_no_lake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["insight", "pack", "--no-statistics", "--out", str(tmp_path / "pack")])
    pages = context_pack(load_contract(None))
    assert f"{len(pages)} pages" in capsys.readouterr().out
    assert len(list((tmp_path / "pack").iterdir())) == 2 * len(pages)


CUSTOMERS = ("explain_customer", "similar_customers", "top_influencers")
WITHOUT = ["--set", f"insight.without={json.dumps(CUSTOMERS)}"]


def test_tools_that_are_not_offered_are_in_no_schema_and_on_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for schema in ("action-groups", "agentcore", "converse", "mcp"):
        main(["insight", "tools", "--schema", schema, *WITHOUT])
        text = capsys.readouterr().out
        assert '"describe"' in text
        assert not [name for name in CUSTOMERS if name in text]
    main(["insight", "pack", "--no-statistics", "--out", str(tmp_path), *WITHOUT])
    page = (tmp_path / "tools.md").read_text(encoding="utf-8")
    assert "## describe" in page
    assert not [name for name in CUSTOMERS if name in page]


def test_a_tool_that_there_is_not_cannot_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["insight", "tools", "--set", 'insight.without=["explain_costumer"]'])
    assert stopped.value.code == 2
    assert "explain_costumer" in capsys.readouterr().err
