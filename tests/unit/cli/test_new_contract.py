"""`engage-spark contract new` from its options to a contract that lints, the look at data stood in for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage_spark.cli import main, new_contract
from engage_spark.contract import Role, load_contract
from engage_spark.contract.json_schema import SCHEMA_FILE
from engage_spark.contract.model import RESERVED_TABLES
from engage_spark.pipelines.quality import draft_contract
from engage_spark.quality.profiling.facts import TableProfile
from tests.unit.quality.profiling.test_choices import ODD, PROFILE
from tests.unit.quality.profiling.test_value_scan import facts


@pytest.fixture(autouse=True)
def profiled(monkeypatch: pytest.MonkeyPatch) -> dict[str, TableProfile]:
    """What a look at any data gives, which a test may change."""
    given = {"profile": ODD}

    @contextmanager
    def no_spark(_: object) -> Iterator[None]:
        yield None

    monkeypatch.setattr(new_contract, "spark_of", no_spark)
    monkeypatch.setattr(new_contract, "require_path", lambda *_: None)
    monkeypatch.setattr(draft_contract, "read_any_format", lambda *_, **__: (None, ()))
    monkeypatch.setattr(draft_contract, "_profiled", lambda *_, **__: given["profile"])
    return given


def code(*argv: str) -> int:
    try:
        main(argv)
    except SystemExit as e:
        assert isinstance(e.code, int)
        return e.code
    return 0


def new(out: Path, source: str, *options: str) -> int:
    return code("contract", "new", "--from", source, "--out", str(out), *options)


def test_a_contract_is_written_as_chosen_and_lints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "members.odcs.yaml"
    choices = ["--target", "Left", "--target", "plan", "--positive", "plan=Gold", "--protected", "visits"]
    money = ["--money", "Left=125,5,0.2", "--currency", "EUR", "--money-source", "the plan"]
    assert new(out, "raw/members.csv", *choices, *money, "--label-days", "30") == 0
    assert {p.name for p in tmp_path.iterdir()} == {out.name, SCHEMA_FILE}
    contract = load_contract(out)
    assert {t.name for t in contract.tables} == {"members", "members_targets"}
    left = contract.entity["Left"]
    assert (left.role, left.positive, left.label_days, left.allowed) == (
        Role.TARGET,
        "Yes",
        30,
        ("No", "Yes"),
    )
    assert left.money is not None
    capsys.readouterr()
    assert code("contract", "lint", "--contract", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out)["todos"] == 2 + 1 + len(ODD.columns)


def test_a_file_that_is_there_is_replaced_only_where_an_option_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.odcs.yaml"
    out.write_text("edited", encoding="utf-8")
    assert new(out, "members.csv") == 2
    assert out.read_text(encoding="utf-8") == "edited"
    assert "--overwrite" in capsys.readouterr().err
    assert new(out, "members.csv", "--overwrite") == 0
    assert load_contract(out).entity.name == "members"


@pytest.mark.parametrize("option", ["--data-format", "--format"])
def test_the_format_is_said_as_hints_call_it_and_as_before(tmp_path: Path, option: str) -> None:
    assert new(tmp_path / "c.odcs.yaml", "members.txt", option, "csv") == 0


@pytest.mark.parametrize(
    ("source", "options", "table", "delivered"),
    [
        ("raw/members", (), "members", "members"),
        ("raw/members.csv", (), "members", "members"),
        ("raw/Member Export/", (), "member_export", "Member Export"),
        ("raw/Member Export", ("--table", "members"), "members", "Member Export"),
        ("raw/2025.parquet", ("--table", "members"), "members", "members"),
        ("s3a://b/Claims", (), "claims_data", "Claims"),
        ("raw/x_judged", (), "x_judged_data", "x_judged"),
        *((f"raw/{name}.csv", (), f"{name}_data", name) for name in sorted(RESERVED_TABLES)),
    ],
)
def test_any_path_gives_a_table_that_ingest_looks_for_there(
    tmp_path: Path, source: str, options: tuple[str, ...], table: str, delivered: str
) -> None:
    out = tmp_path / "c.odcs.yaml"
    assert new(out, source, *options, "--target", "Left") == 0
    entity = load_contract(out).entity
    assert (entity.name, entity.delivered_name) == (table, delivered)


@pytest.mark.parametrize(
    "options",
    [
        ("--table", "claims"),
        ("--target", "visits", "--money", "visits=1,1,0.5", "--currency", "EUR", "--money-source", "x"),
        ("--target", "answer"),
    ],
)
def test_what_cannot_be_is_no_fault_of_the_package(
    tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert new(tmp_path / "c.yaml", "members", *options) == 2
    assert "report it" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_columns_called_as_the_day_get_another_field(tmp_path: Path, profiled: dict[str, Any]) -> None:
    day, event = (facts(["x", "y"] * 1_000, name=n) for n in ("Snapshot Date", "Event Date"))
    profiled["profile"] = replace(PROFILE, columns=(*PROFILE.columns, day, event))
    out = tmp_path / "c.odcs.yaml"
    assert new(out, "members", "--target", "bought") == 0
    names = {
        f["name"]: f.get("physicalName") for f in yaml.safe_load(out.read_text())["schema"][0]["properties"]
    }
    assert names["snapshot_date_2"] == "Snapshot Date"
    assert load_contract(out).entity.kind == "entity"
