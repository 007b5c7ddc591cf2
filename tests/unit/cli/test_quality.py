"""Options of `engage-spark quality`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from engage_spark.cli.app import main
from engage_spark.cli.quality import _engine


@pytest.mark.parametrize(("text", "engine"), [("native", "native"), ("ours", "native"), ("gx", "gx")])
def test_an_engine_is_known_by_its_name_and_its_former_name(text: str, engine: str) -> None:
    assert _engine(text) == engine


def test_another_engine_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="'polars' is not an engine"):
        _engine("polars")


def test_a_suite_is_written_to_a_file_or_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "suite.json"
    main(["quality", "suite", "--out", str(out)])
    assert capsys.readouterr().out == ""
    main(["quality", "suite"])
    printed = capsys.readouterr().out
    assert out.read_text(encoding="utf-8") == printed
    assert len(json.loads(printed)["expectations"]) > 40
