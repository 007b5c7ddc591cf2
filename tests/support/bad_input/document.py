"""The groups, which test sees each, and docs/bad_input.md from both."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.bad_input import (
    csv_files,
    declared,
    failing,
    gates,
    heavy,
    hostile,
    listing,
    numbers,
    parquet_files,
    people,
    stations,
    types,
)
from tests.support.bad_input.declared import Case, Group, Outcome
from tests.support.paths import ROOT

TESTS = ROOT / "tests"
DOCUMENT = TESTS.parent / "docs" / "bad_input.md"
MEANING = {
    Outcome.REFUSED: "one error before anything of the table is written (exit code 2); the table shows "
    "what it says",
    Outcome.REJECTED: "written and recorded, and no reader sees it (exit code 3); the table shows the gate",
    Outcome.QUARANTINED: "the row is kept with its reasons in `_dq_errors`, and no stage after ingest "
    "sees it",
    Outcome.WARNED: "the row stays valid, with its reasons",
    Outcome.ACCEPTED: "taken as it is",
}


def groups() -> dict[str, Group]:
    """All declared groups by the name of their constant, in the order of the document."""
    modules = (
        stations,
        numbers,
        failing,
        listing,
        parquet_files,
        csv_files,
        types,
        people,
        gates,
        hostile,
        heavy,
    )
    return {
        name: value for module in modules for name, value in vars(module).items() if isinstance(value, Group)
    }


def coverage() -> dict[str, list[str]]:
    """The tests that run on each group: those that carry the decorator `@each(GROUP)`."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _groups_of(node):
                found.setdefault(name, []).append(f"{path.relative_to(TESTS.parent)}::{node.name}")  # type: ignore[attr-defined]
    return found


def _groups_of(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
        return
    for d in node.decorator_list:
        if isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id == declared.each.__name__:
            yield from (a.id for a in d.args if isinstance(a, ast.Name))


def document() -> str:
    """The Markdown table of all cases."""
    seen_by = coverage()
    lines = [
        "# Bad input, case by case",
        "",
        "Made by `make docs` from the declarations in `tests/support/bad_input`, on which the tests run.",
        "What stands here is tested, on classic Spark and on Spark Connect, and a test fails when this page",
        "and the declarations differ.",
        "",
        *(f"- **{outcome}**: {meaning}" for outcome, meaning in MEANING.items()),
    ]
    for name, group in groups().items():
        lines += ["", f"## {group.title}", "", group.about, ""]
        lines += [f"Seen by {', '.join(f'`{t}`' for t in seen_by[name])}.", ""]
        lines += ["| case | outcome | message or rule | note |", "|---|---|---|---|"]
        lines += [
            f"| {_cell(c.name)} | {c.outcome} | {_message_or_rule(c)} | {_cell(c.note)} |"
            for c in group.cases
        ]
    return "\n".join(lines) + "\n"


def _message_or_rule(case: Case) -> str:
    if case.outcome in (Outcome.QUARANTINED, Outcome.WARNED):
        return ", ".join(f"`{rule}`" for rule in case.evidence)
    return " … ".join(_cell(fragment.strip()) for fragment in case.evidence)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;")


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
