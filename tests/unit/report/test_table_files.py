"""The page's tables as files show what the page shows, in numbers that other programs read."""

from __future__ import annotations

import csv
import html
import json
from pathlib import Path

import pytest

from engage_spark import open_lake
from engage_spark.cli import main
from engage_spark.contract import load_contract
from engage_spark.report import Report, build_report
from engage_spark.report.elements import Basis, Form, Grid, GridColumn, PageSection
from engage_spark.report.table_files import INDEX, table_files, write_table_files
from tests.support.analysed_lake import analysed_lake
from tests.support.lake_without_spark import SmallLake

BASIS = Basis(unit="share", n=40, as_of="2025-10-21")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def files_of(report: Report) -> dict[str, str]:
    return {f.name: f.text for f in report.tables}


def test_every_table_of_the_page_is_a_file_and_is_listed(page: Report) -> None:
    files = files_of(page)
    listed = rows_of(files.pop(INDEX))
    assert [r["file"] for r in listed] == list(files)
    assert len(files) == page.html.count("<p class='meta'>")
    assert {r["section"] for r in listed} == set(page.sections)
    for row in listed:
        assert html.escape(row["title"], quote=False) in html.unescape(page.html) or row["title"].startswith(
            "'"
        )
        assert row["unit"] and row["n"] and row["as of"]
        assert len(rows_of(files[row["file"]])) == int(row["rows"])


def test_hidden_groups_are_in_no_file(tmp_path: Path) -> None:
    dimensions = {"plan": [("tiny", 7), ("next", 40), ("big", 353)]}
    lake = analysed_lake(tmp_path, load_contract(), days=2, dimensions=dimensions)
    text = "".join(files_of(build_report(open_lake(lake.root))).values())
    assert "big" in text and "tiny" not in text and "next" not in text


def test_hostile_texts_are_masked_and_are_no_formulas(page: Report) -> None:
    text = "".join(files_of(page).values())
    assert "qzxwvyplmokn" not in text and "\x1b" not in text and "\u202e" not in text
    columns = [GridColumn("=who"), GridColumn("share", Form.SHARE), GridColumn("range", Form.INTERVAL)]
    rows = [["=HYPERLINK(1)", -0.5, (0.25, 0.75)], ["+1", None, (None, None)], ["a\nb", float("nan"), None]]
    grid = Grid(title="One", columns=columns, rows=rows, basis=BASIS)
    file, _ = table_files([PageSection(key="k", title="K", parts=[grid])])
    assert file.name == "k-01-one.csv"
    assert file.text.splitlines() == [
        "'=who,share,range low,range high",
        "'=HYPERLINK(1),-0.5,0.25,0.75",
        "'+1,,,",
        "a\\nb,,,",
    ]


def test_the_command_writes_the_files_and_removes_those_of_an_earlier_page(
    tmp_path: Path, full: SmallLake, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tables"
    out = str(tmp_path / "r.html")
    command = ["--set", f"lake.root={full.root}", "report", "--out", out, "--tables", str(folder)]
    main(command)
    names = {p.name for p in folder.iterdir()}
    assert f"{len(names) - 1} tables, listed in {INDEX}" in capfd.readouterr().out
    main([*command, "--as-of", "2025-10-20", "--json"])
    assert json.loads(capfd.readouterr().out)["tables"] == str(folder)
    later = {p.name for p in folder.iterdir()}
    assert names - later, "the earlier page compared days"
    assert later == {INDEX, *(r["file"] for r in rows_of((folder / INDEX).read_text()))}


@pytest.mark.parametrize(
    ("name", "content"),
    [("letter.txt", b"dear"), (INDEX, b"a,b\n1,2\n"), (INDEX, b"\xff\xfe")],
    ids=["another file", "another table", "no text"],
)
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(
    tmp_path: Path, full: SmallLake, capfd: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    page = str(tmp_path / "elsewhere" / "r.html")
    with pytest.raises(SystemExit, match="2"):
        main(["--set", f"lake.root={full.root}", "report", "--out", page, "--tables", str(tmp_path)])
    assert "give a new or an empty folder" in capfd.readouterr().err
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(name, content)]


def test_a_page_that_was_killed_while_it_wrote_is_written_again(tmp_path: Path, page: Report) -> None:
    index = next(f for f in page.tables if f.name == INDEX)
    write_table_files(tmp_path, [index])  # what a kill leaves: the index is first
    write_table_files(tmp_path, page.tables)
    assert {p.name for p in tmp_path.iterdir()} == {f.name for f in page.tables}
