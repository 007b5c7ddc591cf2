"""The page of the first contract, run from its first block to its last as a reader does."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import in_one_session
from tests.support.doc_blocks import WHOLE, Block, blocks

(PAGE,) = WHOLE
DURATION = re.compile(r" +\d+\.\d s\b")
pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(900)]


def steps_of(block: Block) -> list[dict[str, Any]]:
    """What the lines of a shell do."""
    steps: list[dict[str, Any]] = []
    for line in block.text.splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "export":
            steps.append({"export": dict(word.split("=", 1) for word in words)})
        else:
            assert program == "engage-spark", f"{block.name}: {line!r} is not run"
            steps.append({"argv": words})
    return steps


def lines_of(text: str) -> list[str]:
    """Lines without what differs by machine: how long it took."""
    return [DURATION.sub("", line).rstrip() for line in text.splitlines() if line.strip()]


def test_ten_commands_lead_from_a_file_to_predictions(tmp_path: Path) -> None:
    shown = [b for b in blocks(PAGE) if b.reason is None and b.language != "text"]
    with contextlib.chdir(tmp_path):
        for block in (b for b in shown if b.language == "python"):
            exec(compile(block.text, block.name, "exec"), {})
    plan = [(b, step) for b in shown if b.language != "python" for step in steps_of(b)]
    done = in_one_session([step for _, step in plan], tmp_path)
    results = {id(b): "" for b in shown}
    commands = 0
    for (block, step), result in zip(plan, done, strict=True):
        if "argv" in step:
            commands += 1
            print(f"{result['seconds']:.0f} s", *step["argv"])
            assert result["code"] == 0, f"{block.name}: {step['argv']}\n{result['out']}\n{result['err']}"
            results[id(block)] += result["out"]
    assert commands == 10
    for block in (b for b in shown if b.output is not None):
        written = iter(lines_of(results[id(block)]))
        missing = [line for line in lines_of(block.output or "") if line not in written]
        assert missing == [], f"{block.name} prints\n{results[id(block)]}"
    assert (tmp_path / "members.html").stat().st_size > 100_000
