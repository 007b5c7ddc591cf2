"""What a stage that several fits share costs where it fails; fits are stand-ins."""

from __future__ import annotations

from typing import Any

import pytest

from engage_spark.errors import EngageError, FitError, TransientError
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.training import fit
from engage_spark.ml.training.candidates import candidates_for
from engage_spark.ml.training.fit import Job, fit_all, own_failure
from engage_spark.ml.training.preparation import FeatureCounts, NumberSlot

TARGET = Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline=None)
AGE, RARE = (Feature(name=n, table="people", categorical=False) for n in ("age", "rare"))
LINEAR, FOREST = candidates_for(TARGET, ["linear", "forest"])


def test_a_shared_stage_that_fails_costs_the_fits_that_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Any = object()

    def job(candidate: Any, *features: Feature) -> Job:
        return Job(
            candidate=candidate, target=TARGET, features=features, rows=rows, label="left", seed=1, fold=0
        )

    def side_by_side(do: Any, jobs: Any, _: int, *, goes_on: bool = False) -> list[Any]:
        outcomes: list[Any] = []
        for one in jobs:
            try:
                outcomes.append(do(one))
            except FitError as e:
                if not goes_on:
                    raise
                outcomes.append(e)
        return outcomes

    counted: list[Job] = []

    def count(one: Job) -> FeatureCounts:
        counted.append(one)
        age = NumberSlot(name="age", filled=40.0, centre=40.0, scale=0.1)
        return FeatureCounts(numbers={"age": age}, levels={})

    monkeypatch.setattr(fit, "_side_by_side", side_by_side)
    monkeypatch.setattr(fit, "_count", count)
    monkeypatch.setattr(fit, "preparation_model", lambda _: "stages")
    monkeypatch.setattr(fit, "to_vectors", lambda *_: "vectors")
    monkeypatch.setattr(fit, "_fit", lambda one, prepared_rows: (one, prepared_rows.stages))
    jobs = [job(LINEAR, AGE), job(LINEAR, AGE, RARE), job(FOREST, AGE, RARE), job(FOREST, AGE)]
    failures: dict[Job, FitError] = {}
    fitted: Any = fit_all(jobs, parallelism=2, failures=failures)
    assert fitted == [(jobs[0], "stages"), (jobs[3], "stages")]
    assert list(failures) == jobs[1:3] and "rare has no value" in failures[jobs[1]].message
    assert [one.features for one in counted] == [(AGE, RARE)], "one pass counts for all that share the rows"
    with pytest.raises(FitError, match="rare has no value"):
        fit_all(jobs, parallelism=2)


def test_what_a_retry_may_cure_never_costs_itself_alone() -> None:
    lost = TransientError("an executor was lost")
    with pytest.raises(TransientError):
        own_failure("a comparison", (AGE,), lost)
    for error in (FitError("diverged"), ArithmeticError("overflow")):
        assert isinstance(own_failure("a comparison", (AGE,), error), EngageError)
