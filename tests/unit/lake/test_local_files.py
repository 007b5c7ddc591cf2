"""Files of this machine, through links, are each listed once or the listing is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engage_spark.errors import InputError
from engage_spark.lake.local_files import walk_local


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(folder: Path) -> list[str]:
    return [name for name, _, _ in walk_local(folder)]


def test_all_files_are_listed_hidden_ones_too_with_sizes_and_times(tmp_path: Path) -> None:
    write(tmp_path / "b" / "c d%20.csv", "xyz")
    write(tmp_path / "_SUCCESS", "")
    os.utime(tmp_path / "b" / "c d%20.csv", ns=(0, 1_700_000_000_123_456_789))
    assert walk_local(tmp_path)[1] == ("b/c d%20.csv", 3, 1_700_000_000_123_000)
    assert names(tmp_path) == ["_SUCCESS", "b/c d%20.csv"]
    assert names(tmp_path / "_SUCCESS") == ["_SUCCESS"]


def test_a_link_to_elsewhere_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.csv")
    write(tmp_path / "in" / "b.csv")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "in") == ["b.csv", "linked/a.csv"]


@pytest.mark.parametrize(
    ("link", "target", "message"),
    [
        ("loop", ".", "a loop"),
        ("deep/loop", "..", "a loop"),
        ("gone.csv", "nowhere.csv", "a link to nothing"),
        ("self.csv", "self.csv", "cannot be followed"),
        ("again.csv", "a.csv", "the same file as a.csv"),
        ("latest", "day", "the same file as"),
    ],
)
def test_links_that_would_lose_or_repeat_rows_are_refused(
    tmp_path: Path, link: str, target: str, message: str
) -> None:
    write(tmp_path / "a.csv")
    write(tmp_path / "day" / "b.csv")
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(target)
    with pytest.raises(InputError, match=message) as e:
        walk_local(tmp_path)
    assert len(e.value.details) == 1


def test_a_hard_link_is_the_same_file_and_a_hidden_one_no_data(tmp_path: Path) -> None:
    write(tmp_path / "a.csv")
    (tmp_path / "_latest.csv").hardlink_to(tmp_path / "a.csv")
    assert len(walk_local(tmp_path)) == 2
    (tmp_path / "b.csv").hardlink_to(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"b\.csv is the same file as a\.csv"):
        walk_local(tmp_path)
