"""Which path of this machine a path of Spark is."""

from __future__ import annotations

import pytest

from engage_spark.spark.seen_paths import local_path


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("/tmp/a b", "/tmp/a b"),
        ("raw/x", "raw/x"),
        ("file:/tmp/a", "/tmp/a"),
        ("file:///tmp/a", "/tmp/a"),
        ("file://localhost/tmp/a", "/tmp/a"),
        ("file:/tmp/a#b?c=1%20;d/e", "/tmp/a#b?c=1%20;d/e"),
        ("/Volumes/c/s/v/x", "/Volumes/c/s/v/x"),
        ("s3a://bucket/a", None),
        ("dbfs:/a", None),
        ("hdfs://name/a", None),
    ],
)
def test_a_path_is_taken_letter_by_letter(path: str, here: str | None) -> None:
    assert local_path(path) == here
