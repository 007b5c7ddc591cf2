"""The page from a CSV file to predictions, block by block, on the table that it makes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from engage_spark.cli import main
from tests.support.doc_blocks import blocks
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PAGE = ROOT / "docs" / "your_first_contract.md"
QUICK = {
    "ENGAGE_SPARK__MODELS__CANDIDATES": '["linear"]',
    "ENGAGE_SPARK__MODELS__FOLDS": "2",
}
"""One candidate and two folds: what the models are worth is tested elsewhere."""


@pytest.mark.long
def test_the_page_goes_from_a_csv_file_to_predictions(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert spark
    monkeypatch.chdir(tmp_path)
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    commands = 0
    for block in blocks(PAGE):
        if block.language == "python":
            exec(compile(block.text, block.name, "exec"), {})
            continue
        for line in block.text.splitlines():
            program, *arguments = shlex.split(line)
            commands += 1
            if program == "export":
                name, _, value = arguments[0].partition("=")
                monkeypatch.setenv(name, value)
                continue
            assert program == "engage-spark"
            main(arguments)
    assert commands <= 10
    shown = capsys.readouterr().out
    assert shown.rstrip().endswith("5 rows")
    contract = yaml.safe_load((tmp_path / "members.odcs.yaml").read_text(encoding="utf-8"))
    fields = {f["name"]: f for f in contract["schema"][0]["properties"]}
    assert {"member_id", "visits_30_days", "total_charges", "joined_on"} <= set(fields)
    assert (fields["total_charges"]["physicalType"], fields["joined_on"]["physicalType"]) == (
        "double",
        "date",
    )
    assert json.loads((tmp_path / "engage-spark.schema.json").read_text(encoding="utf-8"))["$defs"]
