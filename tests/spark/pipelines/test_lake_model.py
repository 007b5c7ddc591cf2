"""A lake on disk, driven at random, is what a simple model of it says (`tests.support.lake_machine`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from engage_spark.lake import locks
from tests.support.lake_machine import Deliveries, LakeMachine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engage_spark.settings import Settings

pytestmark = pytest.mark.slow
LAKES = int(os.environ.get("LAKE_MODEL_LAKES", "50"))
"""Of how many lakes of STEPS steps the long test takes the steps."""
STEPS = 20


@pytest.fixture(scope="module")
def machine(
    spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[type[LakeMachine]]:
    class Machine(LakeMachine):
        pass

    Machine.spark, Machine.session_settings = spark, session_settings
    Machine.deliveries = Deliveries.make(tmp_path_factory.mktemp("deliveries"))
    Machine.workspace = tmp_path_factory.mktemp("lakes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "BEAT", 0.1)  # who waits for a living holder, sees at once that it lives
        yield Machine


def drive(machine: type[LakeMachine], *, lakes: int, number: int) -> None:
    """Drive lakes at random, the same ones for a number; a failure shows its steps."""
    settings = hypothesis_settings(
        max_examples=lakes,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(machine), settings=settings)


@pytest.mark.timeout(900)
def test_a_lake_of_twenty_steps(machine: type[LakeMachine]) -> None:
    before = machine.steps
    drive(machine, lakes=1, number=1)
    assert machine.steps - before >= STEPS


@pytest.mark.long
@pytest.mark.timeout(7000)
def test_many_lakes(machine: type[LakeMachine]) -> None:
    """A lake may end before its last step, so lakes are driven until all steps were taken."""
    before, number = machine.steps, int(os.environ.get("LAKE_MODEL_SEED", "2"))
    while machine.steps - before < LAKES * STEPS:
        drive(machine, lakes=5, number=number)
        number += 1
        print(f"{machine.steps - before} steps in {machine.lakes} lakes", flush=True)
    assert machine.steps - before >= LAKES * STEPS
