"""Compute the same customers on earlier days, in agreement with the reference snapshot day by day.

Day 0 is the day of the last snapshot, day d is d days before it. Sessions have a count per day, from which
the weekly and monthly counts, the last login and churn of earlier snapshots follow exactly (counts above the
contract's maximum are cut to it). Churn at day k means no session on the 30 days after it. As nobody who was
active on the last days had churned before, and the dictionary's mean last login is 3.8 days, earlier
snapshots must have less churn than the calibrated 37.9% of the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engage_spark.numerics.dtypes import F64, I64
from engage_spark.synth.distributions import normal_quantile
from engage_spark.synth.hashing import uniform
from engage_spark.synth.rows import Columns, SynthModel, tenure_months

WEEK, MONTH, QUARTER, HORIZON = 7, 30, 90, 120
MOST_SNAPSHOTS = HORIZON - MONTH + 1


def _spread_over(counts: I64, weights: F64) -> I64:
    """Spread `counts` events per row over the row's positive weights, exactly, by cumulative rounding."""
    total = np.cumsum(weights, axis=1)
    last = total[:, -1:]
    cumulative = np.floor(
        counts[:, None] * np.divide(total, last, out=np.zeros_like(total), where=last > 0) + 1e-9
    ).astype(np.int64)
    return np.asarray(np.diff(cumulative, axis=1, prepend=0))


def daily_sessions(model: SynthModel, ids: I64, ref: Mapping[str, Any]) -> I64:
    """Draw the sessions per customer and day, 120 days back.

    Days 0-29 add up to the reference snapshot's counts; earlier ones follow habit.
    """
    roles = model.scenario.roles
    week, month, idle = (
        np.asarray(ref[roles[r]]).astype(np.int64) for r in ("sessions_week", "sessions_month", "last_login")
    )
    age = ref["_age_days"]
    day = np.arange(HORIZON)
    counter = ids[:, None] * HORIZON + day
    u = uniform(model.seed, "session/weight", counter)
    at_login = (day == idle[:, None]) & (month > 0)[:, None] & (day < MONTH)
    open_days = (day >= idle[:, None]) & ((day <= age[:, None]) | at_login)
    weights = np.where(open_days, 0.3 + u, 0.0)
    out = np.zeros((len(ids), HORIZON), dtype=np.int64)
    in_week = (idle < WEEK) & (week > 0)
    # The day of the last login has one session for certain; the others spread over the window's days from
    # then on.
    out[:, :WEEK] = _spread_over(week - in_week, weights[:, :WEEK])
    rest = month - week
    out[:, WEEK:MONTH] = _spread_over(rest - ((rest > 0) & ~in_week), weights[:, WEEK:MONTH])
    out[at_login] += 1
    habit = np.where(month > 0, month / MONTH, 0.3)[:, None]
    older = np.floor(
        habit * 2.0 * u[:, MONTH:] + uniform(model.seed, "session/count", counter[:, MONTH:]) * 0.999
    ).astype(np.int64)
    older = np.where(open_days[:, MONTH:], older, 0)
    out[:, MONTH:] = np.where(day[MONTH:] == idle[:, None], np.maximum(older, 1), older)
    return out


def _earliest(model: SynthModel, ids: I64, ref: Mapping[str, Any]) -> I64:
    """Draw the day of the last login of customers without a session in the 120 days, not before signup."""
    idle = np.asarray(ref[model.scenario.roles["last_login"]]).astype(np.int64)
    limit = int(model.table[model.scenario.roles["last_login"]].maximum or 180)
    drawn = HORIZON + np.floor(-20.0 * np.log(uniform(model.seed, "login/older", ids))).astype(np.int64)
    return np.asarray(np.minimum(np.minimum(np.where(idle >= HORIZON, idle, drawn), limit), ref["_age_days"]))


def _rolled(value: F64, older: F64, phase: F64, k: int) -> F64:
    """Count the events of the 30 days up to day k: those of the reference that remain, and the older ones
    that enter, by cumulative rounding.
    """

    def since(d: int) -> F64:
        recent = np.floor(value * min(d, MONTH) / MONTH + phase)
        return np.asarray(recent + np.floor(older * max(0, d - MONTH) / MONTH + phase))

    return since(k + MONTH) - since(k)


def _money(model: SynthModel, ids: I64, ref: Mapping[str, Any], k: int) -> Columns:
    """Compute transactions and revenue of the windows up to day k.

    Each transaction of one window has the same amount.
    """
    roles = model.scenario.roles
    count, month, quarter = (
        np.asarray(ref[roles[r]], dtype=np.float64)
        for r in ("transactions", "revenue_month", "revenue_quarter")
    )
    rest = quarter - month
    each = month / np.maximum(count, 1.0)
    older = np.where(rest > 0, np.clip(np.rint(rest / np.where(count > 0, each, 60.0)), 1, 100), 0.0)
    each_older = rest / np.maximum(older, 1.0)
    phase = uniform(model.seed, "money/phase", ids) * 0.999

    def window(first: int, last: int) -> tuple[F64, F64]:
        def recent(d: int) -> F64:
            return np.floor(count * min(d, MONTH) / MONTH + phase)

        def before(d: int) -> F64:
            return np.floor(older * max(0, d - MONTH) / (QUARTER - MONTH) + phase)

        a, b = recent(last) - recent(first), before(last) - before(first)
        return a + b, a * each + b * each_older

    n30, r30 = window(k, k + MONTH)
    _, r90 = window(k, k + QUARTER)
    top = {
        r: float(model.table[roles[r]].maximum or np.inf)
        for r in ("transactions", "revenue_month", "revenue_quarter")
    }
    cents = np.where(n30 > 0, np.maximum(np.round(r30, 2), 0.01), 0.0)
    return {
        roles["transactions"]: np.minimum(n30, top["transactions"]),
        roles["revenue_month"]: np.minimum(cents, top["revenue_month"]),
        roles["revenue_quarter"]: np.minimum(np.maximum(np.round(r90, 2), cents), top["revenue_quarter"]),
    }


def _churned(model: SynthModel, ids: I64, ref: Mapping[str, Any], sessions: I64, k: int) -> I64:
    """Return 1 where no session falls on the 30 days after day k.

    Of the days after the last snapshot only the first return is known.
    """
    returns = 1 + np.floor(MONTH * uniform(model.seed, "return/day", ids) ** 2)
    back = (ref[model.scenario.roles["churn"]] == 0) & (returns <= MONTH - k)
    seen = sessions[:, max(0, k - MONTH) : k].any(axis=1)
    return np.asarray(~(back | seen), dtype=np.int64)


def snapshot(model: SynthModel, ids: I64, ref: Mapping[str, Any], sessions: I64 | None, k: int) -> Columns:
    """Compute the fields of the snapshot k days before the last; k = 0 is the reference itself.

    `sessions` is needed for k > 0. Static attributes and scores stay; windows, recency, tenure and churn
    move.
    """
    out: Columns = dict(ref)
    if k == 0 or sessions is None:
        return out
    roles, table = model.scenario.roles, model.table
    later = sessions[:, k:] > 0
    first = np.where(later.any(axis=1), later.argmax(axis=1), _earliest(model, ids, ref) - k)
    out[roles["last_login"]] = np.clip(first, 0, table[roles["last_login"]].maximum)
    for role, window in (("sessions_week", WEEK), ("sessions_month", MONTH)):
        out[roles[role]] = np.minimum(
            sessions[:, k : k + window].sum(axis=1), float(table[roles[role]].maximum or np.inf)
        )
    out[roles["tenure"]] = np.minimum(
        tenure_months(ref["_age_days"] - k), float(table[roles["tenure"]].maximum or np.inf)
    )
    out[roles["churn"]] = _churned(model, ids, ref, sessions, k)
    for name in model.scenario.rolling:
        value = np.asarray(ref[name], dtype=np.float64)
        drift = np.exp(0.2 * normal_quantile(uniform(model.seed, f"older/{name}", ids)))
        rolled = _rolled(value, np.rint(value * drift), uniform(model.seed, f"phase/{name}", ids) * 0.999, k)
        out[name] = np.clip(rolled, float(table[name].minimum or 0), float(table[name].maximum or np.inf))
    out.update(_money(model, ids, ref, k))
    return out
