"""The proxy test: silent on noise, loud on what gives a group away, and it names the feature that does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from engage_spark.errors import InputError
from engage_spark.ml.fairness.proxy import Proxy, proxy_test


def made(n: int = 6000, seed: int = 1, given: float = 1.0) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Three groups; `height` and `town` give them away as far as `given` says, and four columns of noise do
    not.
    """
    random = np.random.default_rng(seed)
    group = np.array(["f", "m", "x"], dtype=object)[random.choice(3, n, p=[0.45, 0.45, 0.1])]
    columns: dict[str, Any] = {f"noise_{i}": random.normal(size=n) for i in range(4)}
    columns["height"] = random.normal(size=n) + given * (group == "m")
    columns["town"] = np.where(random.random(n) < 0.3 * given * (group == "x"), "south", "north").astype(
        object
    )
    columns["height"][::50] = np.nan
    columns["town"][::70] = None
    return columns, group, random.integers(-(2**62), 2**62, n)


def proxy_of_kind(columns: dict[str, Any], group: np.ndarray, keys: np.ndarray, **more: Any) -> Proxy:
    return proxy_test(columns, group.tolist(), attribute="kind", keys=keys, **more)


def test_noise_tells_nobody_apart() -> None:
    found = proxy_of_kind(*made(given=0.0), replicates=100)
    assert [g.group for g in found.groups] == ["f", "m", "x"]
    for g in found.groups:
        assert g.auc.value == pytest.approx(0.5, abs=0.05) and g.auc.low < 0.53


def test_what_gives_a_group_away_is_found_as_well_as_by_a_logistic_regression() -> None:
    columns, group, keys = made()
    found = proxy_of_kind(columns, group, keys)
    x = np.column_stack(
        [
            np.nan_to_num(columns["height"], nan=0.45),
            columns["town"] == "south",
            *(columns[f"noise_{i}"] for i in range(4)),
        ]
    )
    half = np.arange(len(x)) % 2 == 0
    for g in found.groups:
        other = LogisticRegression(C=10).fit(x[half], group[half] == g.group)
        assert g.auc.value == pytest.approx(
            roc_auc_score(group[~half] == g.group, other.decision_function(x[~half])), abs=0.035
        )
        assert g.auc.low < g.auc.value < g.auc.high
    by_group = {g.group: g for g in found.groups}
    assert found.strongest.auc.value > 0.7
    assert by_group["m"].carriers[0].feature == "height" and by_group["m"].carriers[0].lost > 0.2
    assert by_group["x"].carriers[0].alone > 0.55
    assert {c.feature for c in by_group["x"].carriers[:2]} == {"height", "town"}


def test_the_attribute_itself_does_not_count_and_neither_does_what_is_constant() -> None:
    columns, group, keys = made(given=0.0)
    columns |= {"kind": group, "constant": np.ones(len(group)), "empty": np.full(len(group), np.nan)}
    found = proxy_of_kind(columns, group, keys, replicates=20)
    assert found.features == 6 and found.strongest.auc.value < 0.6


def test_the_order_of_the_rows_changes_nothing() -> None:
    columns, group, keys = made(2000)
    order = np.random.default_rng(2).permutation(2000)
    moved = {n: c[order] for n, c in columns.items()}
    assert proxy_of_kind(columns, group, keys, replicates=20) == proxy_of_kind(
        moved, group[order], keys[order], replicates=20
    )


def test_rows_of_one_customer_are_in_one_half() -> None:
    """Were they not, a unique value per customer would be learnt in one half and recognised in the other."""
    random = np.random.default_rng(3)
    customer = np.repeat(np.arange(40), 100)
    group = np.array(["a", "b"], dtype=object)[random.integers(0, 2, 40)][customer]
    columns = {"name": np.array([f"n{c}" for c in customer], dtype=object)}
    found = proxy_of_kind(columns, group, customer, smallest=5, replicates=20)
    assert found.strongest.auc.value < 0.8
    assert found.fitted % 100 == found.judged % 100 == 0


def test_many_rows_of_few_customers_are_too_few() -> None:
    columns, group, keys = made(3000)
    group[:400] = "rare"
    keys[:400] = np.arange(400) % 20
    found = proxy_of_kind(columns, group, keys, smallest=50, replicates=20)
    assert found.left_out == ("rare",) and found.smallest == 50


def test_groups_that_are_too_small_are_named_and_one_alone_is_an_error() -> None:
    columns, group, keys = made(3000)
    group[:30] = None
    found = proxy_of_kind(columns, group, keys, smallest=100, replicates=20)
    assert found.left_out == ("(missing)",)
    with pytest.raises(InputError, match="with 2000 rows in both halves, and no group has so many"):
        proxy_of_kind(columns, group, keys, smallest=2000)
    with pytest.raises(InputError, match="no feature varies"):
        proxy_of_kind({"kind": group}, group, keys)
