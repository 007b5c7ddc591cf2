"""What a training says and records of its model where something is missing; stand-ins for what Spark fits."""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, TransientError
from engage_spark.ml.data.split_draw import SplitDraw
from engage_spark.ml.evaluation.promotion import Decision, GateAnswer, ModelGate, decide
from engage_spark.ml.feature_meaning import field_meanings
from engage_spark.ml.feature_spec import LeakPolicy, Task
from engage_spark.ml.training.candidates import Candidate, Family
from engage_spark.ml.training.cross_validation import CandidateResult
from engage_spark.ml.training.final_models import UNPROTECTED, WINNER
from engage_spark.ml.training.variants import VariantResult
from engage_spark.pipelines.train import artifacts, card, register, rival
from engage_spark.tracking import CHAMPION

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTRACT = load_contract(None)
DRAW = SplitDraw(seed=0, folds=3, ranges=(("0", ((-9, -5), (-4, 3), (4, 9))),))
CONTEXT: Any = SimpleNamespace(
    contract=CONTRACT,
    settings=SimpleNamespace(features=SimpleNamespace(graph_values="measured")),
    spark=None,
    lake=None,
)
UNKNOWN = ModelGate(name="baseline", demand="d", measured="m", answer=GateAnswer.UNKNOWN, rows=600)


@pytest.mark.parametrize(
    ("full", "selected", "means"),
    [
        ((0.75, 0.5), (0.5, 0.25, 0.1), "2 folds, all 9 features give auc 0.625, the selected ones 0.375"),
        ((0.75, math.nan), (0.5, 0.25, 0.1), "1 fold, all 9 features give auc 0.75, the selected ones 0.5"),
        ((math.nan, 0.5), (0.5, 0.25, 0.1), "1 fold, all 9 features give auc 0.5, the selected ones 0.25"),
        ((math.nan, 0.5), (0.5, math.nan, 0.1), None),
    ],
)
def test_the_card_compares_with_other_features_on_the_folds_that_define_both(
    full: tuple[float, ...], selected: tuple[float, ...], means: str | None
) -> None:
    linear = Candidate(name="linear", family=Family.LINEAR)
    own = CandidateResult(candidate=linear, folds={"auc": selected}, seconds=0.0)
    variant = VariantResult(folds={"auc": full}, n_features=9)
    trained: Any = SimpleNamespace(
        comparison=SimpleNamespace(selection=SimpleNamespace(note="", jaccard=None), winner=own),
        all_features=variant,
        variants={UNPROTECTED: variant},
        beside=lambda v: v.beside(own, "auc"),
        specs=SimpleNamespace(main=SimpleNamespace(features=range(9), policy=LeakPolicy.STRICT)),
        target=SimpleNamespace(task=Task.BINARY),
        selection_loss=None,
    )
    lines, rows = list(card._selection(trained)), list(card._versions(trained))
    assert lines == ([] if means is None else [f"On {means}."])
    assert len(rows) == len(lines), "a row without a fold of both is left out"
    for row in rows:
        assert f"{row.folds} fold" in lines[0] and f"{row.value:.4g}" in lines[0]


def compared_with(
    opened: Any, *, policy: str = "strict", model: Any = None
) -> tuple[rival.Rival, str | None]:
    """Compare a strict model with a version whose gates are shown, and whose files `opened` stands for."""

    def open_files(_: Any) -> Any:
        if isinstance(opened, Exception):
            raise opened
        return SimpleNamespace(name="churn", version=3, facts={"policy": policy}, extras=opened)

    version: Any = SimpleNamespace(
        version=3, is_shown_by=lambda _: True, gates=("baseline",), facts={"policy": policy}
    )
    registry = SimpleNamespace(opened=open_files)
    tracker: Any = SimpleNamespace(registry=registry, load=lambda *_: model)
    specs = SimpleNamespace(main=SimpleNamespace(policy=LeakPolicy.STRICT))
    trained: Any = SimpleNamespace(specs=specs, gates=[UNKNOWN])
    return rival._rival(CONTEXT, tracker, version, trained, DRAW)


def stored(**more: Any) -> dict[str, Any]:
    meaning = field_meanings(CONTRACT, ("churn_30_day",), graph_values="measured")
    return {"splits": DRAW.to_json(), "meaning": meaning, "scorer": {}} | more


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        (stored(), "how it scores cannot be read: this is not a stored scorer"),
        (stored(scorer=[]), "how it scores cannot be read"),
        ({"splits": DRAW.to_json(), "meaning": stored()["meaning"]}, "nothing stored beside it to score"),
        (stored(splits="{"), "its splits cannot be read: JSONDecodeError"),
        (stored(splits=DRAW.to_json().replace("-9", "x")), "its splits cannot be read"),
        (stored(meaning=["churn_30_day"]), "the meaning of its features cannot be read"),
        (stored(meaning=None), "does not say what its features meant"),
    ],
)
def test_a_champion_whose_files_cannot_be_read_is_no_rival(extras: dict[str, Any], words: str) -> None:
    other, error = compared_with(extras)
    assert any(words in line for line in other.differences), other.differences
    decision = decide([UNKNOWN], other)
    assert (error, decision.code, decision.is_provisional) == (None, "ChampionNoRival", True)


def test_files_that_are_damaged_make_no_rival_and_files_that_cannot_be_fetched_no_comparison() -> None:
    damaged = ConfigurationError("engage.json is not what was written")
    damaged.__cause__ = ValueError("not JSON")
    assert decide([UNKNOWN], compared_with(damaged)[0]).code == "ChampionNoRival"
    refused, full = (ConfigurationError("MLflow refuses") for _ in range(2))
    full.__cause__ = OSError("no space left on device")
    for failure in (refused, full, TransientError("MLflow is away"), MemoryError()):
        other, error = compared_with(failure)
        assert other.differences == () and error is not None
        assert decide([], other).code == "ChampionNotComparable"
        other, error = compared_with(failure, policy="permissive")
        assert error is not None
        assert decide([UNKNOWN], other).code == "ChampionNoRival", "the policy is known without the files"


def test_a_champion_of_an_earlier_release_is_no_rival_whatever_its_days(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = SimpleNamespace(getStatement=lambda: "SELECT *, CAST(`age` AS DOUBLE) AS __n0 FROM __THIS__")
    loaded = SimpleNamespace(stages=[first])
    monkeypatch.setattr(rival, "scorer_of", lambda _: SimpleNamespace(days=()))
    monkeypatch.setattr(rival, "_comparable_scores", lambda *_: (None, "its days are learnt"))
    other, error = compared_with(stored(), model=loaded)
    assert error is None and len(other.differences) == 1
    assert other.differences[0].startswith("the model was trained by an earlier release")
    decision = decide([], other)
    assert (decision.promoted, decision.code) == (True, "ChampionNoRival")


@pytest.mark.parametrize(
    ("code", "is_rival"), [("ChampionNoRival", False), ("BetterThanChampion", True), ("FirstChampion", True)]
)
def test_the_registry_hears_whether_the_champion_is_a_rival(
    code: Any, is_rival: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(rival, "table_lock", lambda *_, **__: nullcontext())
    tracker: Any = SimpleNamespace(
        registry=SimpleNamespace(promote_over=lambda version, **more: asked.append(more) or version)
    )
    decision = Decision(promoted=True, code=code, reason="r")
    verdict = rival.ComparedVersion(decision=decision, reasons={}, rival=3)
    version: Any = object()
    assert rival.carry_out(CONTEXT, tracker, version, verdict, lambda: verdict) == (version, verdict)
    assert asked == [{"expected": 3, "reasons": {}, "is_rival": is_rival}]


def test_a_look_at_the_test_side_that_cannot_be_counted_costs_the_count_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[bool] = []
    counted: list[tuple[Any, ...]] = []

    @contextmanager
    def lock(_spark: Any, _lake: Any, name: str, *, wait: float) -> Iterator[None]:
        assert (name, wait > 0) == (CHAMPION, True)
        held.append(True)
        try:
            yield
        finally:
            held.pop()

    def count(*asked: Any, repeated: bool) -> int:
        assert held, "two trainings would count the same number"
        counted.append((*asked, repeated))
        if asked[0] == "denied":
            raise ConfigurationError("the tags of 'denied' cannot be set")
        return 1

    events: list[str] = []
    monkeypatch.setattr(register, "table_lock", lock)
    monkeypatch.setattr(register.log, "event", lambda text, **_: events.append(text))
    tracker: Any = SimpleNamespace(registry=SimpleNamespace(count_test_look=count))
    for target in ("churn", "denied"):
        register._count_look(CONTEXT, tracker, target, ["one"], repeated=False)
    assert counted == [("churn", ["one"], False), ("denied", ["one"], False)]
    assert events == ["a look at the test side of denied was not counted: the tags of 'denied' cannot be set"]


def test_a_picture_that_cannot_be_drawn_costs_itself_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(artifacts.log, "event", lambda text, **_: events.append(text))

    def broken(*_: object, **__: object) -> bytes:
        raise ValueError("yerr must not contain negative values")

    values = np.linspace(0, 1, 40)
    trained: Any = SimpleNamespace(
        target=SimpleNamespace(name="amount", task=Task.REGRESSION, unit="USD"),
        finals=SimpleNamespace(
            labels=values, even=slice(None), by_role={WINNER: SimpleNamespace(scores=values)}
        ),
        comparison=SimpleNamespace(selection=SimpleNamespace(folds={})),
        fairness=SimpleNamespace(of=lambda *_: {}),
    )
    assert artifacts._pictures(CONTRACT, trained).keys() == {"plots/lift.svg", "plots/predicted.png"}
    monkeypatch.setattr(artifacts.plots, "lift_chart", broken)
    assert artifacts._pictures(CONTRACT, trained).keys() == {"plots/predicted.png"}
    assert events == ["plots/lift.svg of amount is left out: yerr must not contain negative values"]
