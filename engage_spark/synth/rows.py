"""Compute customers' fields from the hashes of their index: the reference snapshot, in numpy, without state.

Every function maps arrays of customer indices to arrays of values element by element, so batches and
partitions cannot matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engage_spark.contract.model import Field, Table
from engage_spark.numerics.dtypes import F64, I64
from engage_spark.synth.distributions import normal_quantile
from engage_spark.synth.hashing import Permutation, uniform
from engage_spark.synth.scenario import Scenario, Story

Columns = dict[str, Any]
DAYS_PER_MONTH = 30.4375
# Every customer signed up at least this many days before the last snapshot, so that up to 28 snapshots hold
# the same customers.
YOUNGEST_DAYS = 27


@dataclass(frozen=True, kw_only=True)
class SynthModel:
    """What the workers need: the story, the contract's table and the solved numbers.

    Small, and pickled with the task.
    """

    customers: int
    seed: int
    scenario: Scenario
    table: Table
    centres: Mapping[str, float]
    cuts: Mapping[str, tuple[float, ...]]
    rates: tuple[float, ...] = ()

    def story(self, role: str) -> Story:
        """Return the story of the field that has a role."""
        name = self.scenario.roles[role]
        return next(s for s in self.scenario.stories if s.name == name)


def trait(model: SynthModel, name: str, ids: I64) -> F64:
    """Draw a latent trait: standard normal, stratified over all customers."""
    return normal_quantile(Permutation(model.seed, f"trait/{name}", model.customers).stratified(ids))


def traits(model: SynthModel, ids: I64) -> dict[str, F64]:
    """Draw all latent traits of the given customers."""
    return {name: trait(model, name, ids) for name in model.scenario.traits}


def score(model: SynthModel, story: Story, ids: I64, latent: Mapping[str, F64]) -> F64:
    """Compute the weighted sum of traits and the field's own noise, scaled to variance 1."""
    total = np.zeros(len(ids))
    norm = 0.0
    for name, weight in story.loads:
        part = (
            normal_quantile(uniform(model.seed, f"noise/{story.name}", ids))
            if name == "noise"
            else latent[name]
        )
        total += weight * part
        norm += weight * weight
    return np.asarray(total / norm**0.5)


def _shaped(story: Story, z: F64, centre: float, low: float, high: float) -> F64:
    x = centre + story.spread * z
    if story.shape == "lognormal":
        x = np.exp(np.minimum(x, 50.0))
    elif story.shape == "logit":
        width = 1.0 if story.part_of else high - low
        x = (0.0 if story.part_of else low) + width / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))
    if story.zeros:
        x = np.where(z > float(normal_quantile(np.array([story.zeros]))[0]), x, 0.0)
    return np.asarray(x)


def value(story: Story, field: Field, z: F64, centre: float, done: Mapping[str, Any]) -> F64:
    """Compute a field's value from its score.

    It is shaped, combined with earlier fields, rounded, and limited to the contract's range.
    """
    low, high = float(field.minimum or 0.0), float(field.maximum if field.maximum is not None else np.inf)
    x = _shaped(story, z, centre, low, high)
    if story.ceiling is not None:
        x = np.minimum(x, story.ceiling)
    decimals = story.decimals if field.is_floating else 0
    if story.times:
        # A product with a count of at least one stays at least one unit of the last decimal, so that zero
        # means zero.
        x = np.where(done[story.times] > 0, np.maximum(x * done[story.times], 10.0**-decimals), 0.0)
    if story.plus:
        x = np.where(x > 0, np.maximum(x, 10.0**-decimals), 0.0) + done[story.plus]
    if story.part_of:
        x = x * done[story.part_of]
    x = np.floor(x) if story.floor else np.round(x, decimals)
    x = np.clip(x, low, high)
    if story.idle:
        # Someone who was there within the window has at least one session in it, and no more than in the
        # wider window.
        x = np.where(done[story.idle[0]] >= story.idle[1], 0.0, np.maximum(x, 1.0))
    return np.asarray(x)


def category(z: F64, cuts: tuple[float, ...]) -> I64:
    """Return the rank of the category whose band holds the score."""
    return np.asarray(np.searchsorted(np.asarray(cuts), z, side="right"), dtype=np.int64)


def age_days(model: SynthModel, ids: I64, tenure: F64) -> I64:
    """Whole days from signup to the last snapshot, agreeing with the whole months of tenure."""
    first = np.ceil(tenure * DAYS_PER_MONTH)
    days = first + np.floor(uniform(model.seed, "signup/day", ids) * 30.0)
    return np.asarray(np.maximum(days, YOUNGEST_DAYS), dtype=np.int64)


def tenure_months(days: I64) -> I64:
    """Whole months of 30.4375 days."""
    return np.floor(days / DAYS_PER_MONTH).astype(np.int64)


def customer_age(model: SynthModel, ids: I64) -> I64:
    """Compute `age_days` alone, for the edges, without the other fields."""
    story = model.story("tenure")
    latent = {name: trait(model, name, ids) for name, _ in story.loads if name != "noise"}
    z = score(model, story, ids, latent)
    return age_days(model, ids, value(story, model.table[story.name], z, model.centres[story.name], {}))


def reference(model: SynthModel, ids: I64, latent: Mapping[str, F64] | None = None) -> Columns:
    """Compute all fields of the last snapshot but the degrees, without missing values.

    Categories are ranks in the contract's order. Adds `_age_days`. The last login of a young customer is cut
    to the day of signup.
    """
    latent = latent if latent is not None else traits(model, ids)
    out: Columns = {}
    for story in model.scenario.stories:
        z = score(model, story, ids, latent)
        if story.name in model.cuts:
            out[story.name] = category(z, model.cuts[story.name])
            continue
        out[story.name] = value(story, model.table[story.name], z, model.centres[story.name], out)
        finish(model, story, ids, out)
    return out


def finish(model: SynthModel, story: Story, ids: I64, out: Columns) -> None:
    """Derive what follows from a field just computed: signup from tenure, and no login before signup."""
    roles = model.scenario.roles
    if story.name == roles["tenure"]:
        out["_age_days"] = age_days(model, ids, out[story.name])
    elif story.name == roles["last_login"]:
        out[story.name] = np.minimum(out[story.name], out["_age_days"])


def sociability(model: SynthModel, ids: I64) -> F64:
    """Return the weight with which a customer connects: lognormal, hence heavy-tailed degrees."""
    story = model.scenario.graph.sociability
    latent = {name: trait(model, name, ids) for name, _ in story.loads if name != "noise"}
    return np.asarray(np.exp(story.spread * score(model, story, ids, latent)))


def follow_draws(model: SynthModel, ids: I64) -> I64:
    """Count the follows that a customer draws.

    Repeated draws of one target count once, so the out-degree is at most this.
    """
    story = model.scenario.graph.following
    latent = {name: trait(model, name, ids) for name, _ in story.loads if name != "noise"}
    x = np.exp(model.centres["following"] + story.spread * score(model, story, ids, latent))
    return np.asarray(np.clip(np.rint(x), 0, most_follows(model))).astype(np.int64)


def most_follows(model: SynthModel) -> int:
    """Return the contract's maximum, and less than half of all customers."""
    declared = model.table[model.scenario.roles["following"]].maximum
    return int(min(float(declared or 5000), max(0, (model.customers - 1) // 2)))


def outside_followers(model: SynthModel, ids: I64) -> I64:
    """Count followers who stand outside the table."""
    story = model.scenario.graph.outside_followers
    latent = {name: trait(model, name, ids) for name, _ in story.loads if name != "noise"}
    x = np.exp(model.centres["outside_followers"] + story.spread * score(model, story, ids, latent))
    return np.asarray(np.minimum(np.rint(x), story.ceiling or np.inf)).astype(np.int64)
