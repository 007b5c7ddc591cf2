"""The claims of the models hold in worlds whose truth is known, with few runs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from bench.honesty import SIMULATIONS, name_of
from bench.simulations import (
    Figure,
    Simulation,
    calibration,
    centrality,
    fairness,
    promotion,
    selection,
    share,
)
from engage_spark.ml.evaluation.footing import Footing


@pytest.mark.parametrize(
    ("simulation", "runs"),
    [
        (promotion.equal_challenger, 30),
        (promotion.day_effects, 12),
        (promotion.calibration_gate, 6),
        (promotion.coverage_gate, 25),
        (fairness.equal_groups, 30),
        (fairness.planted_groups, 5),
        (fairness.equal_errors, 20),
        (fairness.repeated_customers, 30),
        (selection.noise_categories, 4),
        (selection.real_categories, 8),
        (calibration.calibrated_worlds, 10),
        (calibration.overconfident_worlds, 20),
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
    assert expected <= missed(promotion.day_effects(12))


def test_a_share_misses_its_limit_only_beyond_chance() -> None:
    assert share("", "", 3, 20, most=0.05).holds and not share("", "", 30, 200, most=0.05).holds
    assert share("", "", 185, 200, least=0.95).holds and not share("", "", 150, 200, least=0.95).holds


def test_every_simulation_has_a_name_of_its_own() -> None:
    assert len({name_of(s) for s in SIMULATIONS}) == len(SIMULATIONS)
