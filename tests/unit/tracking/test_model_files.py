"""A model's files on their way from Spark, without Spark."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.tracking import model_io


def test_a_scratch_that_nodes_do_not_share_is_no_matter_of_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_io, "delete_directory", lambda *_: None)
    spark = MagicMock()
    spark.read.options().format().load().select().collect.return_value = []
    with pytest.raises(ConfigurationError, match=r"lake\.scratch"):
        model_io._fetch(spark, MagicMock(), tmp_path / "a" / "b", "/scratch/model-1")
