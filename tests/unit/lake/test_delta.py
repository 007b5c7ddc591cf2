"""What a commit of Delta's log says, without Spark."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engage_spark.lake import Lake, delta
from engage_spark.settings import LakeSettings


def test_a_key_with_a_line_separator_does_not_cut_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = json.dumps({"numRecords": 2, "minValues": {"id": "A\N{LINE SEPARATOR}B\x85"}}, ensure_ascii=False)
    actions = [{"commitInfo": {"userMetadata": "r1"}}, {"add": {"path": "p", "stats": stats}}]
    text = "".join(f"{json.dumps(action, ensure_ascii=False)}\n" for action in actions)
    monkeypatch.setattr(delta, "read_small_file", lambda *_: text)
    spark: Any = None
    assert Lake(LakeSettings(root="/lake")).written_rows(spark, "t", 0, tag="r1") == 2
