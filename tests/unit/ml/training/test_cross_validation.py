"""What a candidate that fails or is undefined costs: itself, and never the comparison."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engage_spark.errors import ConfigurationError, FitError, TransientError
from engage_spark.ml.data.driver_sample import RowSample
from engage_spark.ml.evaluation.metrics import METRICS
from engage_spark.ml.feature_spec import Feature, FeatureSpec, LeakPolicy, Target, Task
from engage_spark.ml.train_target import _fit_best
from engage_spark.ml.training import cross_validation, variants
from engage_spark.ml.training.candidates import CONSTANT, Candidate, candidates_for
from engage_spark.ml.training.cross_validation import (
    CandidateResult,
    compare_candidates,
    features_by_fold,
    ranked,
)
from engage_spark.ml.training.final_models import ALL, OTHER
from engage_spark.ml.training.pipeline import bounded_score
from engage_spark.ml.training.variants import VariantResult, variants_on_folds
from engage_spark.settings.model import ModelSettings

NAN = math.nan
TARGET = Target(name="left", task=Task.BINARY, minimum=0, maximum=1, label_days=0, baseline=None)
CANDIDATES = {c.name: c for c in candidates_for(TARGET, ["linear", "forest", "gbt"])}
FEATURES = (Feature(name="a", table="people", categorical=False),)
SPEC = FeatureSpec(target=TARGET, policy=LeakPolicy.STRICT, features=FEATURES, excluded=())
MODELS = ModelSettings(candidates=("linear", "forest", "gbt"))


def result(name: str, *auc: float) -> CandidateResult:
    return CandidateResult(candidate=CANDIDATES[name], folds={"auc": auc}, seconds=0.0)


def order(*results: CandidateResult) -> list[str]:
    return [r.candidate.name for r in ranked(results, METRICS["auc"])]


def test_a_fold_without_positives_costs_that_fold_alone() -> None:
    assert order(result("linear", NAN, 0.5), result("forest", NAN, 1.0)) == ["forest", "linear"]
    one = result("forest", NAN, 0.75, 0.25)
    assert (one.mean("auc"), one.deviation("auc")) == (0.5, pytest.approx(math.sqrt(0.125)))


def test_nan_wins_no_ordering() -> None:
    assert order(result("linear", NAN, NAN), result("forest", 0.4, 0.4)) == ["forest", "linear"]
    assert order(result("linear", NAN, 0.9), result("forest", 0.4, 0.4)) == ["forest", "linear"], (
        "its best fold alone is no comparison"
    )
    rmse = METRICS["rmse"]
    results = [
        CandidateResult(candidate=c, folds={"rmse": (v,)}, seconds=0.0)
        for c, v in zip(CANDIDATES.values(), (NAN, 2.0, 1.0), strict=True)
    ]
    assert [r.candidate.name for r in ranked(results, rmse)] == ["gbt", "forest", "linear"]
    assert order(result("linear", 0.5), result("forest", 0.5)) == ["linear", "forest"], "a tie"


def test_where_nothing_is_defined_nothing_is_chosen() -> None:
    with pytest.raises(FitError, match="undefined on every fold"):
        order(result("linear", NAN), result("forest", NAN))


def compared(
    monkeypatch: pytest.MonkeyPatch,
    *,
    failing: set[tuple[str, int]],
    nan: str | None = None,
    broken: Exception | None = None,
    breaks: str = "linear",
) -> Any:
    """Compare stand-ins for fits: linear ranks best, then forest, then gbt. `broken` comes of scoring the one
    that `breaks`, alone or with others.
    """

    def fit_all(jobs: Any, *, parallelism: int, failures: dict[Any, FitError]) -> list[Any]:
        for j in jobs:
            if (j.candidate.name, j.fold) in failing:
                failures[j] = FitError(f"{j.candidate.name} diverged in fold {j.fold}")
        return [SimpleNamespace(job=j, seconds=1.0) for j in jobs if j not in failures]

    def out_of_fold(fitted: Any, _rows: Any, candidates: Any, **_: Any) -> dict[str, np.ndarray]:
        if broken is not None and breaks in {c.name for c in candidates}:
            raise broken
        random = np.random.default_rng(3)
        parts = []
        for i, c in enumerate(candidates, 1):
            for fold in (0, 1):
                labels = np.arange(40) % 2.0
                noise = {"linear": 0.1, "forest": 1.0, "gbt": 9.0}[c.family.value]
                scores = 1 / (1 + np.exp(-labels - noise * random.normal(size=40)))
                scores = scores * NAN if c.name == nan else scores
                parts.append(np.column_stack([np.full(40, i), np.full(40, fold), labels, scores]))
        table = np.vstack(parts)
        return dict(zip(("candidate", "fold", "label", "score"), table.T, strict=True))

    for module in (cross_validation, variants):
        monkeypatch.setattr(module, "fit_all", fit_all)
    monkeypatch.setattr(cross_validation, "_out_of_fold", out_of_fold)
    kept = SimpleNamespace(kept=("a",))
    rows: Any = {0: object(), 1: object(), None: object()}
    selection: Any = SimpleNamespace(folds={0: kept, 1: kept}, final=kept)
    return compare_candidates(
        SPEC,
        selection,
        rows,
        rows[None],
        key=["id"],
        sample=RowSample(expected=80, limit=1000),
        models=MODELS,
    )


def names(comparison: Any) -> tuple[list[str], dict[str, str]]:
    return [r.candidate.name for r in comparison.ranking], dict(comparison.failed)


def test_a_candidate_that_fails_on_a_fold_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert names(compared(monkeypatch, failing=set())) == (["linear", "forest", "gbt"], {})
    ranking, failed = names(compared(monkeypatch, failing={("linear", 1)}))
    assert (ranking, failed) == (["forest", "gbt"], {"linear": "linear diverged in fold 1"})


def test_a_candidate_that_predicts_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ranking, failed = names(compared(monkeypatch, failing=set(), nan="linear"))
    assert ranking == ["forest", "gbt"]
    assert "NaN" in failed["linear"]


def test_where_every_candidate_fails_the_training_does(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FitError, match="linear diverged in fold 0"):
        compared(monkeypatch, failing={(name, 0) for name in CANDIDATES})
    with pytest.raises(FitError, match="no candidate for left can be evaluated") as caught:
        compared(monkeypatch, failing={("forest", 0), ("gbt", 1)}, nan="linear")
    assert [d.split(":")[0] for d in caught.value.details] == ["gbt", "forest", "linear"]
    assert "NaN" in caught.value.details[-1]


def test_a_nan_that_comes_to_the_driver_is_not_made_a_bound() -> None:
    duckdb = pytest.importorskip("duckdb")
    worth = Target(name="worth", task=Task.REGRESSION, minimum=0, maximum=80, label_days=0, baseline=None)

    def scores(target: Target) -> list[Any]:
        sql = re.sub(r"(?<=[0-9])D", "", bounded_score(target))
        values = "(VALUES (1, 'NaN'::DOUBLE), (2, 100.0), (3, -5.0), (4, 7.5)) AS t(i, __predicted)"
        return [v for (v,) in duckdb.sql(f"SELECT {sql} FROM {values} ORDER BY i").fetchall()]

    assert math.isnan(scores(worth)[0]) and scores(worth)[1:] == [80.0, 0.0, 7.5]
    assert scores(replace(worth, minimum=None, maximum=None))[1:] == [100.0, -5.0, 7.5]
    for target in (TARGET, worth):
        assert "RAISE_ERROR" not in bounded_score(target)
        assert "ISNAN" in bounded_score(target, nan="x") and " THEN x ELSE " in bounded_score(target, nan="x")


def test_the_next_best_wins_where_the_best_cannot_be_fitted_on_all_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comparison = compared(monkeypatch, failing=set()).without_winner(FitError("lost"))
    assert comparison.winner.candidate.name == "forest"
    assert comparison.failed == (("linear", "lost"),)
    with pytest.raises(FitError, match="the end"):
        comparison.without_winner(FitError("lost")).without_winner(FitError("the end"))


def test_models_of_folds_that_are_not_needed_any_more_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(candidate: Candidate, _baseline: Candidate) -> dict[str, Any]:
        if candidate.name == "linear":
            raise FitError("lost")
        return {}

    comparison = compared(monkeypatch, failing=set())
    assert len(comparison.fitted) == 6
    best, _ = _fit_best(comparison, fit, baseline=CONSTANT)
    assert [(f.job.candidate.name, f.job.fold) for f in best.fitted] == [("forest", 0), ("forest", 1)]
    assert best.fold_models == best.fitted


def test_other_features_are_compared_on_folds_and_never_on_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Any] = []
    comparison = compared(monkeypatch, failing=set())
    plain = variants.fit_all

    def fit_all(asked: Any, **more: Any) -> Any:
        jobs.extend(asked)
        return plain(asked, **more)

    monkeypatch.setattr(variants, "fit_all", fit_all)
    more = (*FEATURES, Feature(name="b", table="people", categorical=False))
    rows: Any = {0: object(), 1: object(), 2: object(), None: object()}

    def on_folds() -> dict[str, VariantResult]:
        return variants_on_folds(
            comparison,
            {ALL: {0: more, 1: more}, OTHER: {0: more[1:], 1: more}},
            rows,
            rows[None],
            key=["id"],
            sample=RowSample(expected=80, limit=1000),
            models=MODELS,
        )

    measured = on_folds()
    assert {name: v.n_features for name, v in measured.items()} == {ALL: 2, OTHER: 2}
    assert [(j.candidate.name, j.fold, j.features) for j in jobs] == [
        (ALL, 0, more),
        (ALL, 1, more),
        (OTHER, 0, more[1:]),
        (OTHER, 1, more),
    ]
    assert {j.candidate.family.value for j in jobs} == {"linear"}, "that of the winner"
    assert len(measured[ALL].folds["auc"]) == 2
    assert measured[OTHER].beside(comparison.winner, "auc").value > 0.9  # type: ignore[union-attr]
    monkeypatch.undo()
    compared(monkeypatch, failing={(ALL, 0)})
    assert list(on_folds()) == [OTHER], "a comparison that fails costs itself"
    monkeypatch.undo()
    compared(monkeypatch, failing=set(), nan=OTHER)
    assert list(on_folds()) == [ALL], "and so does one that predicts NaN"
    monkeypatch.undo()
    compared(monkeypatch, failing=set(), broken=ArithmeticError("overflow"), breaks=ALL)
    assert list(on_folds()) == [OTHER], "and one that cannot be scored"
    monkeypatch.undo()
    compared(monkeypatch, failing=set())
    plain = variants.fit_all

    def refused(asked: Any, **more: Any) -> Any:
        if any(j.candidate.name == OTHER for j in asked):
            raise ConfigurationError("no such feature")
        return plain(asked, **more)

    monkeypatch.setattr(variants, "fit_all", refused)
    assert list(on_folds()) == [ALL], "and one that is refused before any fit"
    monkeypatch.setattr(variants, "fit_all", lambda *_, **__: (_ for _ in ()).throw(TransientError("lost")))
    with pytest.raises(TransientError):
        on_folds()


def test_candidates_that_cannot_be_scored_together_are_scored_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranking, failed = names(compared(monkeypatch, failing=set(), broken=ArithmeticError("overflow")))
    assert ranking == ["forest", "gbt"]
    assert "overflow" in failed["linear"] and list(failed) == ["linear"]
    with pytest.raises(TransientError):
        compared(monkeypatch, failing=set(), broken=TransientError("an executor was lost"))


def test_a_variant_is_compared_on_the_folds_that_define_both() -> None:
    own = result("linear", 0.6, NAN, 0.9)
    pair = VariantResult(folds={"auc": (0.7, 0.1)}, n_features=3).beside(own, "auc")
    assert pair is not None and (pair.value, pair.reference, pair.folds) == (0.7, 0.6, 1)
    assert VariantResult(folds={"auc": (NAN, 0.7)}, n_features=3).beside(own, "auc") is None


def test_a_fold_without_rows_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [
        SimpleNamespace(job=SimpleNamespace(candidate=CANDIDATES["gbt"], fold=k), seconds=1.0)
        for k in range(3)
    ]
    columns = np.array([[1, k, label, label] for k in (0, 2) for label in (0.0, 1.0) for _ in range(9)]).T
    scores = dict(zip(("candidate", "fold", "label", "score"), columns, strict=True))
    fitted: Any = jobs
    made = cross_validation._result(
        0, CANDIDATES["gbt"], fitted, scores, SPEC, RowSample(expected=80, limit=1000)
    )
    assert len(made.folds["auc"]) == 3 and math.isnan(made.folds["auc"][1]) and made.folds["auc"][2] == 1.0


@pytest.mark.parametrize("ranker", ["linear", "forest"])
def test_features_of_a_variant_are_ranked_on_its_folds_alone(
    ranker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int | None] = []

    def fit_all(jobs: Any, **_: Any) -> list[Any]:
        fitted.extend(j.fold for j in jobs)
        return [SimpleNamespace(job=j) for j in jobs]

    monkeypatch.setattr(cross_validation, "fit_all", fit_all)
    monkeypatch.setattr(cross_validation, "_importances", lambda *_: {"a": 0.1, "b": 0.9})
    monkeypatch.setattr(
        cross_validation, "eliminate", lambda gram, keep, *, days: SimpleNamespace(kept=("b",))
    )
    grams: Any = SimpleNamespace(
        everything=lambda: SimpleNamespace(rows=900),
        using=lambda _: SimpleNamespace(training=fitted.append),
    )
    spec = replace(SPEC, features=(*FEATURES, Feature(name="b", table="people", categorical=False)))
    rows: Any = {0: object(), 1: object()}
    of_fold = features_by_fold(
        spec, grams, rows, days=1, models=MODELS.model_copy(update={"ranker": ranker, "keep": 1})
    )
    assert {k: [f.name for f in fs] for k, fs in of_fold.items()} == {0: ["b"], 1: ["b"]}
    assert fitted == [0, 1], "and none on all rows"
