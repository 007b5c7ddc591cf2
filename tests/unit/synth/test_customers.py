"""The generator against the contract, in numpy: 20 seeds of 100,000 customers, without their edges
(bench/synth_check.py has those).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.synth.calibrate import calibrate_model
from engage_spark.synth.claims import measure_claims
from engage_spark.synth.earlier_days import daily_sessions, snapshot
from engage_spark.synth.rows import SynthModel, reference, sociability
from engage_spark.synth.scenario import check_scenario, load_scenario

N = 100_000
SCENARIO = load_scenario()
TABLE = load_contract().entity
EVERYONE = np.arange(N)


@lru_cache(maxsize=2)
def made(seed: int) -> tuple[SynthModel, dict[str, Any]]:
    """The model and the reference snapshot; connections stand at what the weights expect."""
    model = calibrate_model(customers=N, seed=seed, scenario=SCENARIO, table=TABLE)
    columns = reference(model, EVERYONE)
    columns["total_connections"] = expected_degrees(model)
    return model, columns


def expected_degrees(model: SynthModel) -> Any:
    weights = sociability(model, EVERYONE)
    grid = np.geomspace(weights.min(), weights.max(), 200)
    others = np.sort(weights)[50::100]
    mean = sum(
        (N / -(-N // layer.block) - 1) * np.mean(-np.expm1(-rate * np.multiply.outer(grid, others)), axis=1)
        for layer, rate in zip(SCENARIO.graph.layers, model.rates, strict=True)
    )
    return np.rint(np.interp(weights, grid, mean))


def broken_facts(columns: dict[str, Any]) -> list[str]:
    """What the contract promises and the columns break."""
    found = []
    for f in TABLE.fields:
        if f.name not in columns:
            continue
        x = np.asarray(columns[f.name])
        if f.reference_shares:
            for rank, (name, share) in enumerate(f.reference_shares):
                allowed = 0.003 if f.role == "target" else 0.01
                if abs((x == rank).mean() - share) > allowed:
                    found.append(f"{f.name}: share of {name} {(x == rank).mean():.4f}, not {share}")
            continue
        if x.min() < f.minimum or x.max() > f.maximum:
            found.append(f"{f.name}: [{x.min()}, {x.max()}] leaves the range")
        if f.reference_mean is not None and abs(x.mean() / f.reference_mean - 1) > 0.02:
            found.append(f"{f.name}: mean {x.mean():.4f}, not {f.reference_mean}")
    return found


def broken_rules(c: dict[str, Any]) -> list[str]:
    """The cross-field rules, written out by hand."""
    holds = {
        "sessions": c["sessions_last_7_days"] <= c["sessions_last_30_days"],
        "revenue": c["transaction_revenue_30_day"] <= c["transaction_revenue_last_90_days"],
        "no transactions": (c["transaction_count_last_30_days"] == 0)
        == (c["transaction_revenue_30_day"] == 0),
        "idle 7": (c["last_login_days_ago"] <= 7) | (c["sessions_last_7_days"] == 0),
        "idle 30": (c["last_login_days_ago"] <= 30) | (c["sessions_last_30_days"] == 0),
    }
    return [name for name, ok in holds.items() if not ok.all()]


@pytest.mark.parametrize("seed", range(20))
def test_the_reference_snapshot_keeps_every_promise(seed: int) -> None:
    _, columns = made(seed)
    assert broken_facts(columns) == []
    assert broken_rules(columns) == []
    assert [
        f"{m.name} {m.measured:.2f}" for m in measure_claims(SCENARIO, TABLE, columns) if not m.holds
    ] == []


def test_the_checks_above_can_fail() -> None:
    _, columns = made(0)
    assert broken_facts({"age": columns["age"] + 2}) == [
        "age: [20.0, 77.0] leaves the range",
        "age: mean 40.8999, not 38.9",
    ]
    assert broken_rules(columns | {"sessions_last_7_days": columns["sessions_last_30_days"] + 1}) == [
        "sessions",
        "idle 7",
    ]
    shuffled = np.random.default_rng(0).permutation(columns["engagement_score"])
    failing = [
        m.name
        for m in measure_claims(SCENARIO, TABLE, columns | {"engagement_score": shuffled})
        if not m.holds
    ]
    assert failing == ["premium_engagement", "connections_engagement"]


def test_the_shapes_are_those_the_dictionary_states() -> None:
    _, c = made(1)

    def skew(x: Any) -> float:
        return float((((x - x.mean()) / x.std()) ** 3).mean())

    assert abs(skew(c["age"])) < 0.3
    assert 35 <= np.median(c["age"]) <= 45
    assert skew(c["tenure_months"]) > 1
    assert np.median(c["tenure_months"]) < 0.75 * c["tenure_months"].mean()
    week = c["sessions_last_7_days"][c["last_login_days_ago"] < 7]
    assert 0.5 < skew(week) < 3
    hours = np.bincount(c["peak_activity_hour"], minlength=24)
    assert set(np.argsort(hours)[-7:]) == set(range(12, 18)) | {18} or set(np.argsort(hours)[-6:]) <= set(
        range(12, 19)
    )


def test_models_of_the_targets_are_neither_perfect_nor_hopeless() -> None:
    """A linear model on all other fields, fitted on one half of the customers and judged on the other."""
    _, c = made(2)
    targets = ("engagement_score", "churn_30_day", "lifetime_value_usd")
    names = [f.name for f in TABLE.fields if f.name in c and f.name not in targets]
    x = np.column_stack([np.log1p(c[n]) if (TABLE[n].maximum or 0) > 100 else c[n] for n in names]).astype(
        float
    )
    x = np.column_stack([np.ones(N), (x - x.mean(axis=0)) / x.std(axis=0)])
    half = N // 2

    def predicted(y: Any) -> Any:
        return x[half:] @ np.linalg.lstsq(x[:half], y[:half], rcond=None)[0]

    def r2(y: Any) -> float:
        return float(1 - np.mean((y[half:] - predicted(y)) ** 2) / y[half:].var())

    assert 0.4 < r2(c["engagement_score"]) < 0.85
    assert 0.3 < r2(np.log1p(c["lifetime_value_usd"])) < 0.7
    churn = c["churn_30_day"].astype(float)
    ranks = np.argsort(np.argsort(predicted(churn)))
    lost = churn[half:] == 1
    auc = (ranks[lost].mean() - (lost.sum() - 1) / 2) / (~lost).sum()
    assert 0.75 < auc < 0.9


def test_a_batch_does_not_change_a_customer() -> None:
    model, columns = made(2)
    some = EVERYONE[31_337:31_370]
    again = reference(model, some)
    for name, values in again.items():
        assert np.array_equal(values, np.asarray(columns[name])[some]), name


def test_earlier_days_agree_with_each_other_and_keep_the_rules() -> None:
    model = calibrate_model(customers=20_000, seed=5, scenario=SCENARIO, table=TABLE)
    ids = np.arange(20_000)
    ref = reference(model, ids)
    sessions = daily_sessions(model, ids, ref)
    assert np.array_equal(sessions[:, :7].sum(axis=1), ref["sessions_last_7_days"])
    assert np.array_equal(sessions[:, :30].sum(axis=1), ref["sessions_last_30_days"])
    before = ref
    for k in range(1, 28):
        now = snapshot(model, ids, ref, sessions, k)
        assert broken_rules(now) == []
        ranges = [f for f in broken_facts(now) if "range" in f]
        assert ranges == []
        # Who logged in on day k - 1 reads 0 there; everybody else's recency grew by the one day.
        here = before["last_login_days_ago"] > 0
        assert np.array_equal(
            before["last_login_days_ago"][here], np.minimum(now["last_login_days_ago"][here] + 1, 180)
        )
        step = before["tenure_months"] - now["tenure_months"]
        assert set(np.unique(step)) <= {0, 1}
        # A session on the next day means that the customer had not churned the day before.
        assert not (now["churn_30_day"].astype(bool) & (sessions[:, k - 1] > 0)).any()
        before = now
    churned = snapshot(model, ids, ref, sessions, 30)["churn_30_day"].astype(bool)
    assert np.array_equal(churned, ref["sessions_last_30_days"] == 0)


def test_a_scenario_that_contradicts_the_contract_is_refused_in_one_error() -> None:
    stories = tuple(
        replace(s, loads=(("luck", 1.0),)) if s.name == "age" else s
        for s in SCENARIO.stories
        if s.name != "gender"
    )
    with pytest.raises(ConfigurationError) as failure:
        check_scenario(replace(SCENARIO, stories=stories), TABLE)
    assert failure.value.details == ("no story for field gender", "age: unknown trait luck")


def test_a_mean_that_cannot_be_reached_is_refused() -> None:
    fields = tuple(replace(f, reference_mean=80.0) if f.name == "age" else f for f in TABLE.fields)
    with pytest.raises(ConfigurationError, match="cannot reach the mean 80.0 of age"):
        calibrate_model(customers=500, seed=1, scenario=SCENARIO, table=replace(TABLE, fields=fields))
