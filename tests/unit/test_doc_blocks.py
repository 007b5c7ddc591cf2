"""Every code block of README, CONTRIBUTING and docs/ is run, or the page says why not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from engage_spark.cli import main
from engage_spark.contract import PACKAGED, load_contract
from tests.support.doc_blocks import PAGES, WHOLE, Block, all_blocks
from tests.support.paths import ROOT

BLOCKS = all_blocks()
PACKAGE = ROOT / "engage_spark"
SHOWN = {"text", "markdown"}
"""Languages of blocks that hold nothing to run."""


def of(language: str) -> list[Block]:
    return [b for b in BLOCKS if b.language == language and b.reason is None and b.page not in WHOLE]


def test_every_block_is_run_or_says_why_not() -> None:
    unknown = [b.name for b in BLOCKS if b.language not in SHOWN | {"python", "console", "yaml"}]
    assert unknown == []
    assert len(of("python")) >= 2
    assert len(of("console")) >= 2


def test_a_block_that_is_not_run_gives_a_reason_of_some_words() -> None:
    assert [b.name for b in BLOCKS if b.reason is not None and len(b.reason.split()) < 3] == []


@pytest.mark.parametrize("block", of("console"), ids=lambda b: b.name)
def test_console_blocks_run_without_error(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for line in block.text.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "engage-spark", f"{block.name}: {line!r} is not run; mark the block"
        main(arguments)
    assert capsys.readouterr().out or list(tmp_path.glob("*.*"))


@pytest.mark.parametrize("block", of("yaml"), ids=lambda b: b.name)
def test_yaml_blocks_fit_into_the_contract(block: Block, tmp_path: Path) -> None:
    """A rule goes to the table of the entity, a formula to the derived table; the contract still has no
    violation.
    """
    document = yaml.safe_load(PACKAGED.read_text(encoding="utf-8"))
    tables = {t["name"]: t for t in document["schema"]}
    for entry in yaml.safe_load(block.text):
        if "transformLogic" in entry:
            tables["customer_features"]["properties"].append(entry)
        else:
            tables["customers"]["quality"].append(entry)
    path = tmp_path / "contract.odcs.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    names = {e["name"] for e in yaml.safe_load(block.text)}
    contract = load_contract(path)
    known = {r.name for r in (*contract.entity.rules, *contract.entity.gates)}
    known |= set(contract.table("customer_features").names)
    assert names <= known


NAMED = re.compile(r"`(?P<path>[\w.]+(?:/[\w.*]+)*/[\w.*]+\.(?:py|yaml|md|css))`")
IMAGINED = {"jobs/visits.py", "engage_spark/features/visits.py", "engage_spark/pipelines/visits.py"} | {
    f"tests/spark/{room}/test_visits.py" for room in ("features", "pipelines")
}
"""Files of the stage that a how-to adds as an example."""


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name not in ("benchmarks.md", "changelog.md")], ids=lambda p: p.name
)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = {m["path"] for m in NAMED.finditer(page.read_text(encoding="utf-8"))} - IMAGINED
    gone = [
        path
        for path in sorted(named)
        if not path.startswith(("engage-data/", "raw/"))
        and not any((r / path).exists() for r in (ROOT, PACKAGE))
    ]
    assert gone == []
