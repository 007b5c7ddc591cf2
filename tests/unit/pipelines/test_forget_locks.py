"""What is locked while a key is erased, without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.contract import load_contract
from engage_spark.lake import Lake
from engage_spark.lake.erased_keys import RememberedKey
from engage_spark.pipelines.stored_tables import stored_tables_of
from engage_spark.pipelines.tables import forget
from engage_spark.settings import load_settings
from engage_spark.spark.guarantees import GUARANTEES

CONTRACT = load_contract()
SESSION = cast(Any, SimpleNamespace(conf=SimpleNamespace(get=lambda key, _: GUARANTEES[key])))


def test_tables_that_a_stage_may_be_making_are_locked_and_erased_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stage makes its first table until it lets go of the lock; `runs` is waited for last."""
    there, locked, erased = {"customers_judged", "runs"}, list[str](), list[str]()

    @contextmanager
    def lock(_: object, __: object, name: str, **___: object) -> Iterator[None]:
        locked.append(name)
        there.update({"customer_features"} & {name})
        yield

    monkeypatch.setattr(Lake, "version", lambda _, __, name: 1 if name in there else None)
    monkeypatch.setattr(forget, "table_lock", lock)
    monkeypatch.setattr(forget, "remember_key", lambda *_, **__: RememberedKey("a", "b", was_known=False))
    monkeypatch.setattr(
        forget, "_look", lambda _, tables, __: [forget.Trace(t.name, len(erased) == 0) for t in tables]
    )
    monkeypatch.setattr(
        forget, "_erase", lambda _, tables, *__: erased.extend(table.name for table in tables)
    )
    settings = load_settings("local", overrides=["lake.root=lake"])
    result = forget.run_forget(SESSION, settings, contract=CONTRACT, key=["CUST-1"])
    assert set(locked) == {"erased_keys", *(t.name for t in stored_tables_of(CONTRACT))}
    assert locked[-1] == "runs"
    assert erased == ["customers_judged", "customer_features", "runs"]
    assert {p.place: (p.occurrences, p.remaining) for p in result.places} == {
        "customers_judged": (1, 0), "customer_features": (0, 0), "runs": (1, 0),
    }  # fmt: skip
