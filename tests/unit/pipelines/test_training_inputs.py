"""Rows that get lost between a training's joins stop it, at whichever join."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.errors import TransientError
from engage_spark.ml.leakage.findings import DuplicateCounts
from engage_spark.pipelines.train import inputs

DAY = date(2025, 10, 21)
ALIKE = DuplicateCounts(keys=100, groups=1, repeated=1, across=1, twice=0, split_keys=0)


@pytest.mark.parametrize(("joined", "message"), [([99], "100 .* and 99 "), ([100, 98], "100 .* and 98 ")])
def test_rows_lost_in_either_join_are_missed(
    joined: list[int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter(joined)
    plan = SimpleNamespace(all=None, new=object(), version=1)
    replaced: dict[str, Any] = {
        "_reference": SimpleNamespace(day=DAY, matured=True, stratum=None),
        "rows_of": None,
        "valid_rows": None,
        "_planned_splits": plan,
        "_together": plan,
        "_stored": None,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(inputs, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(inputs, "_joined", lambda *_: (None, next(counts)))
    monkeypatch.setattr(inputs._Audited, "duplicates", lambda *_: ALIKE)
    context: Any = SimpleNamespace(contract=SimpleNamespace(entity=SimpleNamespace(name="members")))
    published: Any = SimpleNamespace(
        landed=lambda _: {}, days={DAY: {"members": SimpleNamespace(rows_valid=100)}}
    )
    snapshots: Any = {"left": SimpleNamespace(all=(DAY,))}
    stage_run: Any = SimpleNamespace(run_id="r")
    unused: Any = None
    with pytest.raises(TransientError, match=message):
        inputs.build_training_set(context, stage_run, published, {}, snapshots, unused, as_of=DAY)
    assert list(counts) == []
