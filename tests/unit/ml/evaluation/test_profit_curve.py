"""Profit by threshold: against counting by hand, the analytic threshold, intervals, storage."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from engage_spark.contract.money import ContactMoney
from engage_spark.errors import InputError
from engage_spark.ml.evaluation.profit_curve import (
    Profit,
    contact_counts,
    profits,
    threshold,
)


def rows(n: int = 4000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    p = random.beta(2, 3, n)
    return (random.random(n) < p).astype(float), p


@pytest.mark.parametrize(("value", "expected"), [(50.0, 0.5), (125.0, 0.2), (200.0, 0.125)])
def test_a_contact_pays_from_cost_over_success_times_value(value: float, expected: float) -> None:
    assert threshold(value=value, cost=5.0, success=0.2) == pytest.approx(expected)


def test_the_curve_is_what_counting_by_hand_gives() -> None:
    y, p = rows()
    (found,) = profits(y, p, values=[125.0], cost=5.0, success=0.2, replicates=20)
    assert [x.threshold for x in found.curve] == pytest.approx(np.arange(101) / 100)
    for x in (*found.curve, found.at, found.everyone):
        contacted = p >= x.threshold
        assert x.profit == pytest.approx(
            1000 * (0.2 * 125 * y[contacted].sum() - 5 * contacted.sum()) / len(y)
        )
        assert x.contacted == pytest.approx(contacted.mean())
        assert x.low <= x.profit <= x.high or x.contacted in (0, 1)
    at = p >= 0.2
    assert (found.confusion.tp, found.confusion.fp) == (y[at].sum(), (1 - y[at]).sum())
    assert (found.confusion.fn, found.confusion.tn) == (y[~at].sum(), (1 - y[~at]).sum())


def test_the_best_threshold_is_near_the_analytic_one_when_calibrated() -> None:
    y, p = rows(40_000)
    for found in profits(y, p, values=[50.0, 125.0, 200.0], cost=5.0, success=0.2, replicates=20):
        every = np.unique(p)[:: 40_000 // 400]
        earned = [1000 * (0.2 * found.value * y[p >= t].sum() - 5 * (p >= t).sum()) / len(y) for t in every]
        assert found.best_profit >= max(earned) - 1e-9
        assert found.best_profit == pytest.approx(
            1000 * (0.2 * found.value * y[p >= found.best].sum() - 5 * (p >= found.best).sum()) / len(y)
        )
        assert found.best == pytest.approx(found.chosen, abs=0.06)
        assert found.at.profit <= found.best_profit
        assert found.at.profit > 0.98 * found.best_profit


def test_the_interval_is_as_wide_as_the_mean_error_says() -> None:
    y, p = rows(20_000)
    (found,) = profits(y, p, values=[50.0], cost=5.0, success=0.2, replicates=1500)
    per_row = np.where(p >= 0.5, 10.0 * y - 5.0, 0.0)
    assert found.at.high - found.at.low == pytest.approx(
        2 * 1.96 * 1000 * per_row.std() / math.sqrt(20_000), rel=0.08
    )
    counts = contact_counts(y, p, customers=np.arange(20_000))
    assert counts.earns(ContactMoney(value=50.0, cost=5.0, success=0.2)) == (found.at.low > 0)


def test_where_no_contact_can_pay_nobody_is_contacted() -> None:
    y, p = rows(500)
    (found,) = profits(y, p, values=[10.0], cost=5.0, success=0.2, replicates=20)
    assert found.chosen == pytest.approx(2.5)
    assert (found.at.contacted, found.at.profit, found.at.high) == (0.0, 0.0, 0.0)
    counts = contact_counts(y, p, customers=np.arange(500))
    assert not counts.earns(ContactMoney(value=10.0, cost=5.0, success=0.2))
    assert (found.best, found.best_profit) == (math.inf, 0.0)
    assert Profit.from_json(found.to_json()) == found


def test_the_order_of_the_rows_changes_no_bit_and_what_was_stored_is_read_back() -> None:
    y, p = rows(3000)
    p = np.round(p, 3)
    order = np.random.default_rng(2).permutation(3000)
    customers = np.arange(3000) // 2
    found = profits(y, p, values=[125.0], cost=5.0, success=0.2, clusters=customers, replicates=30)
    moved = profits(
        y[order], p[order], values=[125.0], cost=5.0, success=0.2, clusters=customers[order], replicates=30
    )
    assert found == moved
    assert Profit.from_json(found[0].to_json()) == found[0]
    with pytest.raises(InputError, match="not a stored profit curve"):
        Profit.from_json("{}")


def test_figures_that_make_no_sense_are_told_at_once() -> None:
    with pytest.raises(InputError) as error:
        threshold(value=0.0, cost=-1.0, success=2.0)
    assert all(part in str(error.value) for part in ("value is 0.0", "cost is -1.0", "success is 2.0"))
    with pytest.raises(InputError, match="not probabilities"):
        profits([0, 1], [0.1, 2.0], values=[50.0], cost=5.0, success=0.2)


def test_contacts_earn_where_their_profit_is_above_zero_with_confidence_at_any_money() -> None:
    """As often as the bootstrap of the very rows says, at thresholds on the steps of the curve."""
    y, p = rows(600)
    counts, answers = contact_counts(y, p, customers=np.arange(600)), set()
    for cut in (0.2, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0):
        money = ContactMoney(value=5.0 / (0.2 * cut), cost=5.0, success=0.2)
        (profit,) = profits(y, p, values=[money.value], cost=5.0, success=0.2, replicates=400)
        if abs(profit.at.low) > 0.2 * abs(profit.at.high - profit.at.low):
            assert counts.earns(money) == (profit.at.low > 0), cut
            answers.add(counts.earns(money))
    assert answers == {True, False}


def test_repeated_rows_of_a_customer_do_not_make_contacts_surer() -> None:
    y, p = rows(60)
    money = ContactMoney(value=125.0 / 2, cost=5.0, success=0.2)
    once = contact_counts(y, p, customers=np.arange(60))
    repeated = contact_counts(np.tile(y, 50), np.tile(p, 50), customers=np.tile(np.arange(60), 50))
    as_if = contact_counts(np.tile(y, 50), np.tile(p, 50), customers=np.arange(3000))
    answers = [
        [c.earns(replace(money, cost=cost)) for cost in np.arange(0.5, 12.5, 0.5)]
        for c in (once, repeated, as_if)
    ]
    assert answers[0] == answers[1] != answers[2]
