"""The scripts in examples/ run from start to end and print what their readers expect."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXAMPLES = ROOT / "examples"


def run(name: str, *arguments: str) -> None:
    sys.argv = [name, *arguments]
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture(autouse=True)
def _own_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.chdir(tmp_path)


@pytest.mark.connect
def test_a_dataframe_is_checked(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    run("check_a_dataframe.py")
    out = capsys.readouterr().out
    assert "4 rows: 2 valid, 2 quarantined" in out
    assert "ST0002" in out
    assert "ST0001" not in out


def test_betweenness_of_edges_names_the_vertex_between(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    run("betweenness_of_edges.py")
    out = capsys.readouterr().out
    assert "|Ana|0.6666666666666666|" in out
    assert "exact, 5 vertices, 6 edges" in out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_stages_run_on_few_customers(
    spark: SparkSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"KEEP": "8", "BOOTSTRAP": "20", "SMALLEST_GROUP": "20"}.items():
        monkeypatch.setenv(f"ENGAGE_SPARK__MODELS__{name}", value)
    run("run_all_stages.py", str(tmp_path / "home"), "200")
    out = capsys.readouterr().out
    assert "0 quarantined" in out
    assert "200 rows of features" in out
    assert "graph of 1 day" in out
    assert (tmp_path / "home" / "lake" / "training_runs" / "_delta_log").is_dir()


def test_every_example_has_a_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [p.name for p in EXAMPLES.glob("*.py") if f'"{p.name}"' not in text] == []
