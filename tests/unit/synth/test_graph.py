"""The graph in numpy: sound edges, heavy tails, closed triangles, the means it was solved for."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest

from engage_spark.contract import load_contract
from engage_spark.synth import graph
from engage_spark.synth.calibrate import calibrate_model
from engage_spark.synth.rows import SynthModel, customer_age
from engage_spark.synth.scenario import load_scenario


def model_of(n: int, seed: int = 3) -> SynthModel:
    return calibrate_model(customers=n, seed=seed, scenario=load_scenario(), table=load_contract().entity)


def edges(batches: Any) -> tuple[Any, Any]:
    pairs = list(batches)
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def connections(model: SynthModel) -> tuple[Any, Any]:
    return edges(graph.connections(model, np.arange(graph.connection_units(model))))


@pytest.mark.parametrize("n", [1, 2, 3, 30, 600, 3_000])
def test_a_graph_of_any_size_has_sound_edges(n: int) -> None:
    model = model_of(n)
    src, dst = connections(model) if n > 2 else (np.array([], int), np.array([], int))
    assert (src < dst).all()
    assert len(np.unique(src * n + dst)) == len(src)
    assert dst.max(initial=0) < n
    src, dst = edges(graph.follows(model, np.arange(n)))
    assert (src != dst).all()
    assert len(np.unique(src * n + dst)) == len(src)
    assert np.bincount(src, minlength=1).max() <= max(0, (n - 1) // 2)


def test_how_work_is_cut_does_not_change_the_edges() -> None:
    model = model_of(3_000)
    units = np.arange(graph.connection_units(model))
    whole = np.sort(np.multiply(connections(model)[0], 3_000) + connections(model)[1])
    pieces = [edges(graph.connections(model, units[i : i + 1])) for i in units]
    assert np.array_equal(whole, np.sort(np.concatenate([a * 3_000 + b for a, b in pieces])))
    whole = np.sort(np.multiply(edges(graph.follows(model, np.arange(3_000)))[0], 1))
    pieces = [edges(graph.follows(model, part)) for part in np.array_split(np.arange(3_000), 7)]
    assert np.array_equal(whole, np.sort(np.concatenate([a for a, _ in pieces])))


def test_the_means_are_the_contracts_and_the_degrees_are_heavy_tailed() -> None:
    n = 20_000
    model = model_of(n)
    links = np.bincount(np.concatenate(connections(model)), minlength=n)
    assert abs(links.mean() / 187.5 - 1) < 0.02
    assert links.max() <= 2_000
    assert np.percentile(links, 99) > 4 * links.mean()
    src, dst = edges(graph.follows(model, np.arange(n)))
    out, inward = np.bincount(src, minlength=n), np.bincount(dst, minlength=n)
    assert abs(out.mean() / 287.1 - 1) < 0.02
    assert inward.max() <= 10_000
    assert out.max() <= 5_000
    # A power law: few influencers, many with few, and a straight tail on log-log paper.
    assert np.median(inward) < 0.7 * inward.mean()
    ranked = np.sort(inward)[::-1]
    assert ranked[: n // 100].sum() > 0.08 * ranked.sum()
    body = np.arange(n // 50, n // 5)
    slope, _ = np.polyfit(np.log(body), np.log(ranked[body]), 1)
    assert -1.5 < slope < -0.3


def test_friends_of_friends_are_friends_more_often_than_by_chance() -> None:
    n = 3_000
    src, dst = connections(model_of(n))
    links = nx.Graph(zip(src.tolist(), dst.tolist(), strict=True))
    random = nx.gnm_random_graph(n, links.number_of_edges(), seed=1)
    some = list(itertools.islice(links, 200))
    assert nx.average_clustering(links, some) > 1.5 * nx.average_clustering(random, range(200))


def test_follows_are_returned_more_often_than_by_chance() -> None:
    n = 20_000
    src, dst = edges(graph.follows(model_of(n), np.arange(n)))
    there = np.sort(src * n + dst)
    back = dst * n + src
    returned = (there[np.minimum(np.searchsorted(there, back), len(there) - 1)] == back).mean()
    assert returned > 2 * len(src) / n**2


def test_nobody_connects_before_both_have_signed_up() -> None:
    model = model_of(3_000)
    src, dst = connections(model)
    ages = graph.age_lookup(model)
    back = graph.seconds_back(model, src, dst, ages, "when/connection")
    assert back.min() >= 1
    assert (back <= np.minimum(customer_age(model, src), customer_age(model, dst)) * graph.DAY).all()
    recent = (back <= 7 * graph.DAY).mean()
    assert 0 < recent < 0.05


def test_interactions_follow_their_connections() -> None:
    model = model_of(3_000)
    src, dst = connections(model)
    back = graph.seconds_back(model, src, dst, graph.age_lookup(model), "when/connection")
    who, whom, kind, when = graph.interactions(model, src, dst, back)
    assert abs(len(who) / len(src) - 1.0) < 0.05
    made = dict(zip((src * 3_000 + dst).tolist(), back.tolist(), strict=True))
    pairs = (np.minimum(who, whom) * 3_000 + np.maximum(who, whom)).tolist()
    assert all(p in made and w <= made[p] for p, w in zip(pairs, when.tolist(), strict=True))
    assert when.max() <= 84 * graph.DAY
    shares = np.bincount(kind, minlength=5) / len(kind)
    assert np.allclose(shares, [0.4, 0.3, 0.17, 0.08, 0.05], atol=0.01)
    assert np.bincount(np.unique(pairs, return_inverse=True)[1]).max() > 20
