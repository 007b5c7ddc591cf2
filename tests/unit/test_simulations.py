"""The claims of the models hold in worlds whose truth is known, with few runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.honesty import SIMULATIONS, name_of
from bench.simulations import (
    Figure,
    Simulation,
    calibration,
    centrality,
    coverage,
    fairness,
    promotion,
    selection,
    share,
)
from bench.simulations.centrality import estimated
from engage_spark.ml.evaluation.bootstrap import paired_gain
from engage_spark.ml.evaluation.footing import Footing
from engage_spark.ml.fairness import group_metrics
from engage_spark.ml.fairness.group_sums import sums_by_group
from engage_spark.ml.selection.rfe import eliminate


@pytest.mark.parametrize(
    ("simulation", "runs"),
    [
        (promotion.equal_challenger, 20),
        (promotion.day_effects, 8),
        (promotion.calibration_gate, 6),
        (promotion.coverage_gate, 25),
        (fairness.equal_groups, 20),
        (fairness.planted_groups, 5),
        (fairness.equal_errors, 20),
        (fairness.repeated_customers, 20),
        (selection.noise_categories, 4),
        (selection.real_categories, 8),
        (calibration.calibrated_worlds, 10),
        (calibration.overconfident_worlds, 20),
        (coverage.coverage_by_side, 12),
        (coverage.coverage_by_group, 16),
        (centrality.betweenness_within_epsilon, 4),
    ],
    ids=str,
)
def test_a_claim_holds_where_the_truth_is_known(simulation: Simulation, runs: int) -> None:
    figures = list(simulation(runs))
    assert figures
    assert [f for f in figures if not f.holds] == []


def missed(figures: Iterable[Figure]) -> set[tuple[str, str]]:
    return {(f.name, f.setting) for f in figures if not f.holds}


@pytest.mark.parametrize(
    ("always", "expected"),
    [
        (
            Footing.JUDGED,
            {
                ("better challenger is promoted", "again on the same days"),
                ("equal challenger is promoted", "without a later day"),
            },
        ),
        (Footing.SERVING, {("equal challenger is promoted", "a label window later")}),
    ],
)
def test_models_on_unlike_footing_are_found_out(
    always: Footing, expected: set[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "common_footing", lambda *_, **__: (always, ""))
    assert expected <= missed(promotion.day_effects(8))


def rows_as_customers(*args: Any, customers: Any, **more: Any) -> Any:
    return sums_by_group(*args, customers=np.arange(len(customers)), **more)


def bounds_without_reach(means: Any, *_: Any, **__: Any) -> Any:
    m = np.asarray(means, dtype=float)
    ratio = m[:, None] / np.maximum(m[None, :], 1e-9)
    return ratio, ratio


def surely(answer: Callable[[Any], bool]) -> Callable[..., Any]:
    return lambda *asked, **_: SimpleNamespace(passed=answer(asked))


BROKEN: dict[str, tuple[Any, str, Any, Simulation, int]] = {
    "a gain is its point value": (
        promotion,
        "paired_gain",
        lambda *a, **m: replace(paired_gain(*a, **m), low=paired_gain(*a, **m).gain),
        promotion.equal_challenger,
        15,
    ),
    "a calibration is shown by its lower bound": (
        promotion,
        "is_calibrated",
        surely(lambda asked: asked[0].low <= 0.03),
        promotion.calibration_gate,
        4,
    ),
    "coverage is shown by its point value": (
        promotion,
        "covers",
        surely(lambda asked: asked[1]["all"].value >= asked[0] - 0.015),
        promotion.coverage_gate,
        15,
    ),
    "ratios of rates have no interval": (
        group_metrics,
        "ratio_bounds",
        bounds_without_reach,
        fairness.equal_groups,
        6,
    ),
    "ratios of errors have no interval": (
        group_metrics,
        "mean_ratio_bounds",
        bounds_without_reach,
        fairness.equal_errors,
        6,
    ),
    "nothing is ever flagged": (
        group_metrics,
        "ratio_bounds",
        lambda p, *_, **__: (np.zeros((len(p), len(p))), np.full((len(p), len(p)), np.inf)),
        fairness.planted_groups,
        4,
    ),
    "rows count as customers": (
        fairness,
        "sums_by_group",
        rows_as_customers,
        fairness.repeated_customers,
        8,
    ),
    "rows count as customers in coverage": (
        coverage,
        "sums_by_group",
        rows_as_customers,
        coverage.coverage_by_group,
        16,
    ),
    "intervals are measured where the model was fitted": (
        coverage,
        "calibrated",
        lambda task, on: coverage_calibrated(
            task, replace(on, scores=on.scores + 0.5 * (on.labels - on.scores))
        ),
        coverage.coverage_by_side,
        8,
    ),
    "scores are not calibrated": (
        calibration,
        "choose_calibration",
        lambda *_: SimpleNamespace(apply=lambda p: p),
        calibration.overconfident_worlds,
        6,
    ),
    "a category counts as one slot": (
        selection,
        "eliminate",
        lambda gram, keep, days=1: SimpleNamespace(
            kept=eliminate(replace(gram, rows=10**9 * gram.rows), keep, days=days).kept
        ),
        selection.noise_categories,
        4,
    ),
    "standard errors are halved": (
        centrality,
        "estimated",
        lambda *a, **m: estimated(*a, **m) | {"stderr": estimated(*a, **m)["stderr"] / 2},
        centrality.betweenness_within_epsilon,
        2,
    ),
}
coverage_calibrated = coverage.calibrated


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_method_is_found_out_by_few_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, function, broken, simulation, runs = BROKEN[name]
    monkeypatch.setattr(module, function, broken)
    assert missed(simulation(runs)), f"{simulation} holds though {name}"


def test_a_share_misses_its_limit_only_beyond_chance() -> None:
    assert share("", "", 3, 20, most=0.05).holds and not share("", "", 30, 200, most=0.05).holds
    assert share("", "", 185, 200, least=0.95).holds and not share("", "", 150, 200, least=0.95).holds


def test_every_simulation_has_a_name_of_its_own() -> None:
    assert len({name_of(s) for s in SIMULATIONS}) == len(SIMULATIONS)
