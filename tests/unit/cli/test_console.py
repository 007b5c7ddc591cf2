"""What commands print: whole keys in a pipe, sentences as wide as the terminal."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from rich.console import Console

from engage_spark.cli import console
from engage_spark.pipelines.results import SynthResult

KEY = "-".join(["XIHVW"] * 20)


def test_nothing_is_folded_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    console.rows(("key", "what was seen", "n"), [(KEY, "a long text " * 20, "1"), ("b", "short", "12")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4, "a header, a rule, and a line for each row"
    assert KEY in lines[2] and ("a long text " * 20).strip() in lines[2]
    assert all(len(line) < 600 for line in lines), "as wide as what is in them, and no wider"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def out(**_: Any) -> Console:
        return Console(force_terminal=True, width=80, color_system=None)

    monkeypatch.setattr(console, "_out", out)


@pytest.mark.usefixtures("terminal")
def test_sentences_are_wrapped_at_the_terminals_width(capsys: pytest.CaptureFixture[str]) -> None:
    console.paragraphs("word " * 40 + "\n\n- item " + "word " * 30 + f"{KEY}\n")
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "XIHVW" not in line) <= 80
    assert "" in lines and any(line.startswith("  word") for line in lines)
    assert any(KEY in line for line in lines), "a key stays whole"


def test_sentences_in_a_pipe_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.paragraphs("word " * 40 + "\n")
    assert capsys.readouterr().out == "word " * 40 + "\n"


def test_after_the_demo_there_is_what_to_look_at_next(capsys: pytest.CaptureFixture[str]) -> None:
    console.next_steps()
    out = capsys.readouterr().out
    assert all(f"engage-spark {command}" in out for command in ("report", "ask", "quality show", "models"))


def test_what_did_not_run_took_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    day = {"end_date": date(2025, 10, 21), "customers": 1500, "snapshots": 1, "seed": 42, "faults": False}
    console.show(SynthResult(stage="synth", seconds=0.0, **day))
    head, *lines = capsys.readouterr().out.strip().splitlines()
    assert head == "synth"
    assert [" ".join(line.split()) for line in lines] == [
        "rows per day 1,500",
        "days 1",
        "last day 2025-10-21",
        "seed 42",
        "faults planted no",
    ]
    console.show(SynthResult(stage="synth", seconds=1.25, **day))
    assert capsys.readouterr().out.strip().startswith("synth  1.2 s")


@pytest.mark.usefixtures("terminal")
def test_a_table_wider_than_the_terminal_is_shown_row_by_row(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"a_rather_long_name_{i}" for i in range(9)]
    console.rows(names, [[f"value {i}{row}" for i in range(9)] for row in "ab"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split("  ") for line in lines if "_8" in line] == [
        ["", "a_rather_long_name_8", "value 8a"],
        ["", "a_rather_long_name_8", "value 8b"],
    ], "nothing is cut or left out"
    console.rows(("rule", "what was seen"), [("age.range", "a long text " * 20)])
    assert capsys.readouterr().out.splitlines()[0].split() == ["rule", "what", "was", "seen"]
