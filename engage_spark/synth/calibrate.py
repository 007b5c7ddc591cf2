"""Solve one number per field so that its mean is the contract's, and the rates of the graph. Runs on the
driver, in numpy.

Up to 131,072 customers the sample is everybody, so means and shares are exact up to rounding for every seed;
above that it is 131,072 evenly spaced customers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from engage_spark.contract.model import Field, Table
from engage_spark.errors import ConfigurationError
from engage_spark.numerics.dtypes import F64, I64
from engage_spark.synth import graph
from engage_spark.synth.rows import Columns, SynthModel, category, finish, score, sociability, traits, value
from engage_spark.synth.scenario import Scenario, Story, check_scenario

SAMPLE = 1 << 17


def sample_ids(customers: int) -> I64:
    """Return the customers that calibration looks at."""
    size = min(customers, SAMPLE)
    return np.arange(size, dtype=np.int64) * customers // size


def solve_mean(
    mean_at: Callable[[float], float], target: float, *, start: float, name: str, tolerance: float = 1e-5
) -> float:
    """Find the x where the rising `mean_at` meets `target`.

    Brackets it, then takes the Illinois steps of regula falsi.
    Errors: ConfigurationError where no x does.
    """
    low, high, step = start, start, 1.0
    f_low = f_high = mean_at(start) - target
    while f_low > 0 and step < 2**12:
        low, step = low - step, step * 2
        f_low = mean_at(low) - target
    step = 1.0
    while f_high < 0 and step < 2**12:
        high, step = high + step, step * 2
        f_high = mean_at(high) - target
    if f_low > 0 or f_high < 0:
        raise ConfigurationError(
            f"the scenario cannot reach the mean {target} of {name}",
            hint="change its shape, spread or loads in scenario.yaml",
        )
    x, side = low, 0
    for i in range(60):
        x = (
            (low + high) / 2
            if i % 4 == 3 or f_high == f_low
            else (low * f_high - high * f_low) / (f_high - f_low)
        )
        f = mean_at(x) - target
        if abs(f) <= tolerance * max(abs(target), 1e-3):
            break
        if f > 0:
            high, f_high, f_low = x, f, f_low / 2 if side > 0 else f_low
            side = 1
        else:
            low, f_low, f_high = x, f, f_high / 2 if side < 0 else f_high
            side = -1
    return x


def _shares(story: Story, field: Field) -> list[float]:
    if story.weights:
        return [w / sum(story.weights) for w in story.weights]
    return [share for _, share in field.reference_shares]


def _cuts(z: F64, shares: list[float]) -> tuple[float, ...]:
    """Scores that cut the sample into exactly these shares (to one customer)."""
    ordered = np.sort(z)
    positions = np.rint(np.cumsum(shares)[:-1] * len(z)).astype(np.int64)
    return tuple(float(ordered[min(p, len(z) - 1)]) if p < len(z) else math.inf for p in positions)


def _start(story: Story, field: Field, mean: float, done: Mapping[str, F64]) -> float:
    low, high = float(field.minimum or 0), float(field.maximum or 1)
    if story.shape == "normal":
        return mean
    if story.shape == "lognormal":
        base = float(np.mean(done[story.times])) if story.times else 1.0
        return math.log(max(mean, 1e-3) / max(base, 1e-3)) - story.spread**2 / 2
    return 0.0 if story.part_of else math.log((mean - low) / (high - mean))


def _solve_fields(model: SynthModel, ids: I64, latent: Mapping[str, F64]) -> SynthModel:
    centres, cuts = dict(model.centres), dict(model.cuts)
    done: Columns = {}
    for story in model.scenario.stories:
        field = model.table[story.name]
        z = score(model, story, ids, latent)
        if story.shape in ("shares", "binary", "hours"):
            cuts[story.name] = _cuts(z, _shares(story, field))
            done[story.name] = category(z, cuts[story.name])
            continue
        mean = float(field.reference_mean or 0.0)

        def computed(centre: float, story: Story = story, field: Field = field, z: F64 = z) -> F64:
            out = dict(done)
            out[story.name] = value(story, field, z, centre, done)
            finish(model, story, ids, out)
            return np.asarray(out[story.name])

        start = _start(story, field, mean, done)
        centres[story.name] = solve_mean(
            lambda x, f=computed: float(np.mean(f(x))),  # type: ignore[misc]
            mean,
            start=start,
            name=story.name,
        )
        done[story.name] = value(story, field, z, centres[story.name], done)
        finish(model, story, ids, done)
    return replace(model, centres=centres, cuts=cuts)


def _solve_graph(model: SynthModel, ids: I64, latent: Mapping[str, F64]) -> SynthModel:
    """Rates of the layers, draws per follower and followers outside, for the three degree means."""
    roles, story = model.scenario.roles, model.scenario.graph
    declared = {
        r: float(model.table[roles[r]].reference_mean or 0.0)
        for r in ("connections", "following", "followers")
    }
    weights = np.sort(sociability(model, ids))
    model = replace(model, rates=graph.solve_rates(model, weights, declared["connections"], solve_mean))
    z = score(model, story.following, ids, latent)
    expected = graph.expected_follows(model)
    most = len(expected) - 1

    def follows(centre: float) -> float:
        draws = np.clip(np.rint(np.exp(centre + story.following.spread * z)), 0, most).astype(np.int64)
        return float(np.mean(expected[draws]))

    target_mean = min(declared["following"], 0.5 * float(expected[-1]))
    centres = dict(model.centres)
    centres["following"] = (
        solve_mean(follows, target_mean, start=math.log(max(target_mean, 0.1)) - 0.5, name="following")
        if target_mean > 0
        else -9.0
    )
    z_out = score(model, story.outside_followers, ids, latent)
    ceiling = story.outside_followers.ceiling or math.inf

    def outside(centre: float) -> float:
        return float(
            np.mean(np.minimum(np.rint(np.exp(centre + story.outside_followers.spread * z_out)), ceiling))
        )

    outside_mean = max(declared["followers"] - declared["following"], 0.5)
    centres["outside_followers"] = solve_mean(
        outside, outside_mean, start=math.log(outside_mean) - 0.5, name="outside_followers"
    )
    return replace(model, centres=centres)


def calibrate_model(*, customers: int, seed: int, scenario: Scenario, table: Table) -> SynthModel:
    """Fit the model whose means and shares are the contract's.

    Below about 5,000 customers the degrees are capped by the number of customers and their means are not
    promised.
    Errors: ConfigurationError where the story cannot meet the contract.
    """
    check_scenario(scenario, table)
    if customers < 1:
        raise ConfigurationError(f"cannot make {customers} customers", hint="ask for at least 1")
    model = SynthModel(customers=customers, seed=seed, scenario=scenario, table=table, centres={}, cuts={})
    ids = sample_ids(customers)
    latent = traits(model, ids)
    return _solve_graph(_solve_fields(model, ids, latent), ids, latent)
