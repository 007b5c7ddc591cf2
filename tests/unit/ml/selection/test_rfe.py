"""Elimination against fits that numpy and scikit-learn make anew at every step."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge

from bench.simulations.selection import world
from engage_spark.errors import ConfigurationError
from engage_spark.ml.selection.fold_gram import Gram, GramSlot
from engage_spark.ml.selection.rfe import RIDGE, TIE, eliminate, r2, ranks_from, select
from tests.support.examples import examples
from tests.support.gram_tables import SOURCES, imputed, sums, table


def of_source(x: pd.DataFrame, sources: list[str]) -> pd.DataFrame:
    return x[[c for c in x.columns if c.split("=")[0] in sources]]


def penalised_r2(x: pd.DataFrame, y: pd.Series) -> float:
    """1 − (Σ e² + α Σ β²) / Σ (y − mean)² of scikit-learn's ridge on standardised columns."""
    if not x.shape[1]:
        return 0.0
    z = (x - x.mean()) / x.std(ddof=0)
    alpha = RIDGE * len(x)
    fitted = Ridge(alpha=alpha, solver="svd").fit(z, y)
    loss = ((y - fitted.predict(z)) ** 2).sum() + alpha * (fitted.coef_**2).sum()
    return float(1 - loss / ((y - y.mean()) ** 2).sum())


@pytest.mark.parametrize("target", ["left", "worth"])
def test_r2_is_that_of_scikit_learn(target: str) -> None:
    data = table()
    gram = sums(data)[target].training(1)
    x, y = imputed(data, target, [0, 2])
    z = (x - x.mean()) / x.std()
    assert r2(gram) == pytest.approx(LinearRegression().fit(z, y).score(z, y), abs=1e-5)
    assert r2(gram, ["age", "plan"]) == pytest.approx(
        penalised_r2(of_source(x, ["age", "plan"]), y), abs=1e-6
    )


@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 10_000), keep=st.integers(1, 5))
def test_every_step_takes_the_source_that_a_fresh_fit_misses_least(seed: int, keep: int) -> None:
    data = table(rows=150, seed=seed)
    selection = eliminate(sums(data)["worth"].training(0), keep)
    x, y = imputed(data, "worth", [1, 2])
    left = list(SOURCES)
    for gone in selection.order:
        assert selection.curve[len(left)] == pytest.approx(penalised_r2(of_source(x, left), y), abs=2e-6)
        whole, slots = penalised_r2(of_source(x, left), y), of_source(x, left).shape[1]
        noise = 2 * (1 - whole) / (len(x) - 1 - slots)
        without = {
            s: penalised_r2(of_source(x, [k for k in left if k != s]), y) + noise * of_source(x, [s]).shape[1]
            for s in left
        }
        assert without[gone] >= max(without.values()) - 2e-5, (gone, without)
        left.remove(gone)
        if len(left) == keep:
            assert selection.kept == tuple(left)
    assert not left


def plain_elimination(gram: Gram) -> tuple[list[str], dict[int, float]]:
    """The order of leaving and R² by number of sources, with a new inverse at every step."""
    spread = np.sqrt(np.diag(gram.products))
    varied = np.flatnonzero(spread > 0)
    a = gram.products[np.ix_(varied, varied)] / np.outer(spread[varied], spread[varied])
    np.fill_diagonal(a, 1.0 + RIDGE)
    r = gram.with_target[varied] / (spread[varied] * np.sqrt(gram.of_target))
    sources = [gram.slots[i].source for i in varied]
    left, order, curve = list(gram.sources), [], {}
    while left:
        at = [i for i, s in enumerate(sources) if s in left]
        inverse = np.linalg.inv(a[np.ix_(at, at)])
        beta = inverse @ r[at]
        curve[len(left)] = float(r[at] @ beta)
        noise = 2 * max(0.0, 1 - curve[len(left)]) / max(1, gram.rows - 1 - len(at))
        worth = []
        for source in left:
            own = [i for i, place in enumerate(at) if sources[place] == source]
            lost = beta[own] @ np.linalg.solve(inverse[np.ix_(own, own)], beta[own]) if own else -np.inf
            worth.append(lost - noise * len(own))
        order.append(left.pop(max(i for i, x in enumerate(worth) if x <= min(worth) + TIE)))
    return order, curve


@pytest.mark.parametrize(("numbers", "rows"), [(30, 2_000), (90, 500), (60, 40)])
@pytest.mark.parametrize("binary", [False, True])
def test_the_updated_inverse_gives_the_order_of_new_ones(numbers: int, rows: int, binary: bool) -> None:
    rng = np.random.default_rng(numbers)
    x = rng.normal(size=(rows, 5)) @ rng.normal(size=(5, numbers)) + rng.normal(size=(rows, numbers))
    y = x[:, :9] @ rng.normal(size=9) + 2 * rng.normal(size=rows)
    level = rng.integers(0, 5, rows)
    x = np.column_stack([x, *(level == k for k in range(1, 5)), 3 - 2 * x[:, 0], x[:, 7], np.ones(rows)])
    sources = [*(f"x{i}" for i in range(numbers)), *["level"] * 4, "turned", "twin", "constant"]
    x, y = x - x.mean(axis=0), (y > y.mean()) * 1.0 if binary else y
    gram = Gram(
        target="y",
        sources=tuple(dict.fromkeys(sources)),
        slots=tuple(GramSlot(source=s) for s in sources),
        rows=rows,
        means=np.zeros(len(sources)),
        products=x.T @ x,
        with_target=x.T @ (y - y.mean()),
        target_mean=float(y.mean()),
        of_target=float(((y - y.mean()) ** 2).sum()),
    )
    order, curve = plain_elimination(gram)
    elimination = eliminate(gram, 10)
    assert list(elimination.order) == order
    assert elimination.curve == pytest.approx(curve, abs=1e-8)


def test_ranks_count_from_what_left_last() -> None:
    selection = eliminate(sums(table())["worth"].everything(), 2)
    assert len(selection.kept) == 2 and all(selection.ranks[s] == 1 for s in selection.kept)
    assert [selection.ranks[s] for s in selection.order] == [5, 4, 3, 2, 1, 1]
    assert sorted(selection.curve) == [1, 2, 3, 4, 5, 6]
    assert list(selection.curve.values()) == sorted(selection.curve.values(), reverse=True), (
        "R² on the same rows only falls"
    )
    assert set(selection.left(2)) == set(selection.kept)


@pytest.mark.parametrize(("levels", "days"), [(60, 1), (100, 1), (100, 3)])
def test_a_category_of_noise_pushes_out_no_number_that_matters(levels: int, days: int) -> None:
    gram = world(1, levels=levels, customers=6_400, days=days)
    assert eliminate(gram, 30, days=days).order[0] == "category"


def test_a_category_that_matters_is_kept_for_all_its_levels_together() -> None:
    assert "category" in eliminate(world(1, levels=20, customers=6_400, effect=0.15), 5).kept


def test_a_category_leaves_with_all_its_levels() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"c": rng.choice(list("abcdef"), 400), "x": rng.normal(size=400), "fold": rng.integers(0, 2, 400)}
    )
    data["y"] = data.x + 0.3 * data.c.map(dict(zip("abcdef", (0, 1, -1, 2, -2, 0.5), strict=True)))
    gram = sums(data, sources=("c", "x"), targets=("y",))["y"].everything()
    assert len(gram.of("c")) == 5
    selection = eliminate(gram, 1)
    assert selection.order == ("c", "x")
    assert selection.curve[1] == pytest.approx(np.corrcoef(data.x, data.y)[0, 1] ** 2, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_twins_and_constants_leave_first_the_later_named_before_and_nothing_warns(seed: int) -> None:
    data = table(seed=seed)
    data["same"] = data.age
    data["turned"] = 7 - 3 * data.age
    data["one"] = 1.0
    data["none"] = np.nan
    data["only"] = "x"
    sources = ("one", "none", *SOURCES, "same", "turned", "only")
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        selection = eliminate(sums(data, sources=sources, targets=("left",))["left"].everything(), 4)
    assert set(selection.order[:5]) == {"only", "none", "one", "turned", "same"}
    assert [s for s in selection.order if s in ("only", "none", "one")] == ["only", "none", "one"]
    assert [s for s in selection.order if s in ("age", "same", "turned")] == ["turned", "same", "age"]
    assert selection.order[5:] == eliminate(sums(data, targets=("left",))["left"].everything(), 4).order


def test_selection_goes_on_in_every_training_fold() -> None:
    data = table(rows=300)
    grams = sums(data)["left"]
    selection = select(grams, 3)
    assert selection.ranker == "linear" and selection.note is None
    assert {f: e.kept for f, e in selection.folds.items()} == {
        f: eliminate(grams.training(f), 3).kept for f in range(3)
    }
    assert selection.final.kept == eliminate(grams.everything(), 3).kept
    source_sets = [set(e.kept) for e in selection.folds.values()]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert selection.jaccard == pytest.approx(
        sum(len(source_sets[a] & source_sets[b]) / len(source_sets[a] | source_sets[b]) for a, b in pairs) / 3
    )
    assert selection.frequency == {s: sum(s in k for k in source_sets) / 3 for s in SOURCES}


def test_with_no_more_features_than_are_kept_all_are_and_it_says_so() -> None:
    selection = select(sums(table())["left"], 25)
    assert selection.final.kept == SOURCES and set(selection.final.ranks.values()) == {1}
    assert selection.note == "6 features, no more than the 25 to keep: all are kept"
    assert selection.jaccard == 1.0


def test_a_constant_target_is_refused_by_name() -> None:
    data = table()
    data.loc[data.fold != 2, "left"] = 1.0
    with pytest.raises(ConfigurationError, match="'left' is 1 in all"):
        select(sums(data)["left"], 3)


def test_keeping_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="0 features"):
        eliminate(sums(table())["left"].everything(), 0)


def test_importances_of_another_ranker_make_the_same_kind_of_selection() -> None:
    final = {"a": 0.1, "b": 0.5, "c": 0.1, "d": 0.3}
    selection = ranks_from({0: final, 1: {"a": 0.6, "b": 0.2, "c": 0.0, "d": 0.2}}, final, keep=2)
    assert selection.final.kept == ("b", "d") and selection.final.ranks == {"b": 1, "d": 1, "a": 2, "c": 3}, (
        "a before c, as in the contract"
    )
    assert selection.folds[1].kept == ("a", "b"), "b comes before d with the same importance"
    assert selection.jaccard == pytest.approx(1 / 3) and selection.frequency == {
        "a": 0.5,
        "b": 1.0,
        "c": 0.0,
        "d": 0.5,
    }
    assert selection.ranker == "forest" and selection.final.curve == {}


def test_importances_that_lack_a_source_or_are_no_numbers_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as error:
        ranks_from({0: {"a": 1.0}, 1: {"a": float("nan"), "b": 1.0}}, {"a": 1.0, "b": 0.0}, keep=1)
    assert error.value.details == ("fold 0: b", "a: nan")


def test_equal_losses_are_told_apart_by_more_than_rounding() -> None:
    """The tolerance of ties lies well above what the inverse of a matrix with twins can round away, and below
    any loss that matters.
    """
    data = table(rows=2000)
    data["same"] = data.spend
    forward = eliminate(sums(data, sources=(*SOURCES, "same"), targets=("worth",))["worth"].everything(), 1)
    shuffled = ("same", "plan", "near", "age", "visits", "spend", "big")
    backward = eliminate(sums(data, sources=shuffled, targets=("worth",))["worth"].everything(), 1)
    assert [s for s in forward.order if s not in ("same", "spend")] == [
        s for s in backward.order if s not in ("same", "spend")
    ]
    assert forward.order[0] == "same" and backward.order[0] == "spend"
    assert all(abs(forward.curve[n] - backward.curve[n]) < TIE for n in forward.curve)
