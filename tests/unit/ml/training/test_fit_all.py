"""What a stage that several fits share costs where it fails; fits are stand-ins."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engage_spark.errors import EngageError, FitError, TransientError
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.training import fit
from engage_spark.ml.training.candidates import Candidate, baseline_for, candidates_for
from engage_spark.ml.training.fit import Job, fit_all, own_failure
from engage_spark.ml.training.preparation import FeatureCounts, NumberSlot
from engage_spark.spark import compat

TARGET = Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline="age")
AGE, RARE = (Feature(name=n, table="people", categorical=False) for n in ("age", "rare"))
LINEAR, FOREST = candidates_for(TARGET, ["linear", "forest"])


AGE_SLOT = NumberSlot(name="age", filled=40.0, centre=40.0, scale=0.1)
ROWS: Any = SimpleNamespace(sparkSession=None)


def job(candidate: Candidate, *features: Feature) -> Job:
    return Job(candidate=candidate, target=TARGET, features=features, rows=ROWS, label="left", seed=1, fold=0)


@pytest.fixture(autouse=True)
def _no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "inherits_properties", lambda _: lambda call: call)
    monkeypatch.setattr(fit, "preparation_model", lambda _: "stages")
    monkeypatch.setattr(fit, "to_vectors", lambda *_: "vectors")
    monkeypatch.setattr(fit, "_fit", lambda one, prepared_rows: (one, prepared_rows.stages))


def counting(
    monkeypatch: pytest.MonkeyPatch, *, breaks: tuple[Feature, ...] = ()
) -> list[tuple[Feature, ...]]:
    """Let every count know of the age alone, and fail where it is asked for what `breaks`."""
    counted: list[tuple[Feature, ...]] = []

    def count(_: Any, features: tuple[Feature, ...]) -> FeatureCounts:
        counted.append(features)
        if set(breaks) & set(features):
            raise ArithmeticError("a value that is no number")
        return FeatureCounts(numbers={"age": AGE_SLOT}, levels={})

    monkeypatch.setattr(fit, "count_feature_values", count)
    return counted


def test_a_shared_stage_that_fails_costs_the_fits_that_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = counting(monkeypatch)
    jobs = [job(LINEAR, AGE), job(LINEAR, AGE, RARE), job(FOREST, AGE, RARE), job(FOREST, AGE)]
    failures: dict[Job, FitError] = {}
    fitted: Any = fit_all(jobs, parallelism=2, failures=failures)
    assert fitted == [(jobs[0], "stages"), (jobs[3], "stages")]
    assert [f.message for f in failures.values()] == [
        f"{one.description} failed: rare has no value in the rows of the fit" for one in jobs[1:3]
    ]
    assert jobs[1].description == "the fit of linear for left on the rows outside fold 0"
    assert list(failures) == jobs[1:3] and all("train on more rows" in str(f.hint) for f in failures.values())
    assert counted == [(AGE, RARE)], "one pass counts for all that share the rows"
    with pytest.raises(
        FitError, match="the fit of linear for left on the rows outside fold 0 .* rare has no"
    ):
        fit_all(jobs, parallelism=2)


def test_features_that_cannot_be_counted_together_cost_only_the_jobs_that_take_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = counting(monkeypatch, breaks=(RARE,))
    named, constant = baseline_for(TARGET), replace(baseline_for(TARGET), only=())
    jobs = [job(LINEAR, AGE, RARE), job(named, AGE, RARE), job(constant, AGE, RARE), job(FOREST, AGE, RARE)]
    failures: dict[Job, FitError] = {}
    fitted: Any = fit_all(jobs, parallelism=1, failures=failures)
    assert [one for one, _ in fitted] == jobs[1:3]
    assert list(failures) == [jobs[0], jobs[3]] and counted == [(AGE, RARE), (AGE,), ()]
    for one, failure in failures.items():
        assert failure.message == f"{one.description} failed: a value that is no number"
        assert isinstance(failure.__cause__, ArithmeticError)
    with pytest.raises(FitError, match="counting 2 features for left on the rows outside fold 0 failed"):
        fit_all(jobs, parallelism=1)


def test_ctrl_c_begins_no_other_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    counting(monkeypatch)
    begun: list[Job] = []
    goes_on = threading.Event()

    def slow(one: Job, _: Any) -> None:
        begun.append(one)
        goes_on.wait(1)

    def interrupted(running: Any, **_: Any) -> Any:
        if len(running) == 8:
            raise KeyboardInterrupt
        return wait(running)

    monkeypatch.setattr(fit, "_fit", slow)
    monkeypatch.setattr(fit, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_all([job(LINEAR, AGE) for _ in range(8)], parallelism=2)
    goes_on.set()
    assert len(begun) <= 2


def test_what_a_retry_may_cure_never_costs_itself_alone() -> None:
    lost = TransientError("an executor was lost")
    with pytest.raises(TransientError):
        own_failure("a comparison", (AGE,), lost)
    for error in (FitError("diverged"), ArithmeticError("overflow")):
        assert isinstance(own_failure("a comparison", (AGE,), error), EngageError)
