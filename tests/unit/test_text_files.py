"""Small text files: whole or not at all, and refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.text_files import write_text


@pytest.mark.parametrize("path", ["/", "", ".", "/proc/x/y", "/dev/null/x"])
def test_what_names_no_file_is_refused_in_words(path: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_text(path, "text")


def test_a_folder_is_no_file_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_text(tmp_path / "a", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    write_text(tmp_path / "a" / "c.txt", "text")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["b", "c.txt"]
