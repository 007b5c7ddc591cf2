"""Betweenness of graphs in DataFrames: known values, the same bits however the edges lie, bounds, and every
bad input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pytest
from pyspark.sql import functions as F

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.graph import Betweenness, GraphLayout, betweenness, measure_betweenness, open_layout
from engage_spark.graph.adaptive_sampling import StoppingRule, sample_until_bounded
from engage_spark.graph.betweenness import SOURCES_PER_BATCH, to_pair_shares
from engage_spark.graph.distributed.build_task import load_core
from engage_spark.graph.distributed.source_tasks import DependencyAccumulator, sample_sources
from engage_spark.graph.estimates import ScoreEstimator
from tests.support.local_sampler import LocalSampler

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PUBLISHED = {
    107: 0.4805180785560146,
    1684: 0.3377974497302,
    3437: 0.2361153573593,
    1912: 0.2292953395869,
    1085: 0.1490150921167,
    0: 0.1463059214744,
}
SMALL = nx.gnm_random_graph(120, 260, seed=4)


def edges_of(spark: SparkSession, graph: Any, schema: str = "src bigint, dst bigint") -> DataFrame:
    return spark.createDataFrame(list(graph.edges), schema)


def values(actual: Betweenness) -> dict[Any, float]:
    return {row["id"]: row["betweenness"] for row in actual.scores.collect()}


def freeman(graph: Any, **options: Any) -> dict[Any, float]:
    return dict(nx.betweenness_centrality(graph, **options))


def close(actual: dict[Any, float], expected: dict[Any, float]) -> bool:
    assert actual.keys() == expected.keys()
    return all(math.isclose(actual[v], expected[v], rel_tol=1e-9, abs_tol=1e-15) for v in expected)


@pytest.fixture(scope="module")
def small(spark: SparkSession) -> Iterator[GraphLayout]:
    """The same 120 vertices for all that need a layout and no edges of their own."""
    with open_layout(edges_of(spark, SMALL)) as layout:
        yield layout


@pytest.fixture(scope="module")
def sampled_rows(small: GraphLayout) -> list[Any]:
    return sorted(
        measure_betweenness(
            small, method="sampled", rule=StoppingRule(epsilon=0.05), sources=50, seed=7
        ).scores.collect()
    )


def test_the_published_values_of_facebook(spark: SparkSession, shared_data: Path) -> None:
    actual = betweenness(
        spark.read.parquet(str(shared_data / "graphs" / "facebook_combined.parquet")), method="exact"
    )
    rows = actual.scores.where(F.col("id").isin(list(PUBLISHED))).collect()
    assert {row["id"]: row["betweenness"] for row in rows} == {
        v: pytest.approx(b, abs=1e-12) for v, b in PUBLISHED.items()
    }
    assert all(row["lower"] == row["upper"] == row["betweenness"] and row["stderr"] == 0 for row in rows)
    zeros, total = actual.scores.agg(F.count_if(F.col("betweenness") == 0), F.sum("betweenness")).collect()[0]
    assert zeros == 342
    assert total == pytest.approx((3.6925 - 1) * 4039 / 4037, rel=3e-5), (
        "the mean distance is published to so many digits"
    )
    assert (actual.report.n, actual.report.m, actual.report.multi_edges) == (4039, 88234, 0)


def test_sampled_values_are_bounded_and_estimated_on_facebook(spark: SparkSession, shared_data: Path) -> None:
    edges = spark.read.parquet(str(shared_data / "graphs" / "facebook_combined.parquet"))
    actual = betweenness(edges, method="sampled", sources=256, seed=1)
    report = actual.report
    assert report.method == "sampled"
    assert 0 < report.relative_error <= 0.2
    assert 10 <= report.contenders < 40
    assert 1000 < report.samples < 15_000
    assert report.predicted_core_seconds > 0
    top = {row["id"]: row for row in actual.scores.where(F.col("id").isin(list(PUBLISHED))).collect()}
    assert all(row["lower"] <= PUBLISHED[v] <= row["upper"] for v, row in top.items())
    assert all(abs(row["betweenness"] - PUBLISHED[v]) < 4 * row["stderr"] for v, row in top.items())
    outside, columns = (
        actual.scores.agg(
            F.count_if(~F.col("betweenness").between(F.col("lower"), F.col("upper")))
        ).collect()[0][0],
        actual.scores.columns,
    )
    assert outside == 0
    assert columns == ["id", "betweenness", "lower", "upper", "stderr", "method"]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def in_one_process(
    layout: GraphLayout, rule: StoppingRule, sources: int | None, seed: int
) -> dict[int, tuple[float | None, ...]]:
    """What the tasks do, by this process alone and in another order: vertex to (betweenness, lower, upper,
    stderr).
    """
    assert layout.files.directory is not None
    directory = Path(layout.files.directory)
    core, csr = load_core(directory), layout.files.csr()
    zero = np.load(directory / "zero.npy")
    numbers: dict[str, Any] = {"v": np.arange(layout.n)}
    bounds = None
    if sources is not None:
        sampler = LocalSampler(csr, seed=seed, zero=zero)
        summary = layout.summary
        bounds = sample_until_bounded(
            sampler,
            rule=to_pair_shares(rule, layout.n),
            delta=0.1,
            active=summary.active,
            interior=summary.interior,
        )
        numbers |= {"calibration": sampler.calibration, "hits": sampler.hits}
    vertices = np.arange(core.csr.n) if sources is None else sample_sources(layout.n, sources, seed)
    sums = DependencyAccumulator(
        core, n=layout.n, sampled=sources is not None, precision="float64" if sources is None else "float32"
    )
    vertices = sums.order_sources(vertices)
    for at in reversed(range(0, len(vertices), SOURCES_PER_BATCH)):
        sums.add(vertices[at : at + SOURCES_PER_BATCH])
    v, limbs = sums.rows()
    for name, limb in zip(("hi", "lo", "squares_hi", "squares_lo"), limbs, strict=False):
        numbers[name] = np.zeros(layout.n, dtype=np.int64)
        numbers[name][v] = limb
    estimator = ScoreEstimator.from_bounds(layout.n, bounds, sources, rule=to_pair_shares(rule, layout.n))
    columns = estimator.columns(numbers, *estimator.load_vectors(directory))
    return {
        v: tuple(_or_none(columns[c][v]) for c in ("betweenness", "lower", "upper", "stderr"))
        for v in range(layout.n)
    }


@pytest.mark.parametrize(
    "sources", [pytest.param(None, id="exact", marks=pytest.mark.connect), pytest.param(50, id="sampled")]
)
def test_tasks_give_the_bits_of_one_process(small: GraphLayout, sources: int | None) -> None:
    rule = StoppingRule(epsilon=0.05)
    actual = measure_betweenness(
        small, method="exact" if sources is None else "sampled", rule=rule, sources=sources or 2, seed=7
    )
    rows = actual.scores.join(small.vertices, "id", "inner").collect()
    assert {r["v"]: (r["betweenness"], r["lower"], r["upper"], r["stderr"]) for r in rows} == in_one_process(
        small, rule, sources, 7
    )


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_same_bits_however_the_edges_are_partitioned(
    spark: SparkSession, sampled_rows: list[Any], partitions: int
) -> None:
    """Spread over 1, 2, 7 partitions, in another order, turned round, some of them twice."""
    edges = edges_of(spark, SMALL)
    shuffled = edges.unionAll(
        edges.limit(20).select(F.col("dst").alias("src"), F.col("src").alias("dst"))
    ).orderBy(F.xxhash64("dst", "src"))
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        actual = betweenness(
            shuffled.repartition(partitions), method="sampled", epsilon=0.05, sources=50, seed=7
        )
        rows = sorted(actual.scores.collect())
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
    assert rows == sampled_rows
    assert actual.report.multi_edges == 20


@pytest.mark.connect
def test_same_bits_when_the_graph_travels_as_an_artifact(
    spark: SparkSession, sampled_rows: list[Any]
) -> None:
    with open_layout(edges_of(spark, SMALL), artifacts=True) as layout:
        assert layout.files.directory is None
        actual = measure_betweenness(
            layout, method="sampled", rule=StoppingRule(epsilon=0.05), sources=50, seed=7
        )
        assert sorted(actual.scores.collect()) == sampled_rows


def test_another_seed_gives_other_samples(small: GraphLayout, sampled_rows: list[Any]) -> None:
    other = measure_betweenness(small, method="sampled", rule=StoppingRule(epsilon=0.05), sources=50, seed=8)
    assert values(other) != {row["id"]: row["betweenness"] for row in sampled_rows}


def test_all_sources_leave_no_error(small: GraphLayout) -> None:
    actual = measure_betweenness(small, method="sampled", rule=StoppingRule(epsilon=0.05), sources=500)
    exact = freeman(SMALL)
    for row in actual.scores.collect():
        assert row["stderr"] == 0
        assert row["betweenness"] == pytest.approx(
            min(max(exact[row["id"]], row["lower"]), row["upper"]), rel=1e-4, abs=1e-7
        )


def test_dense_ids_descend_in_degree(small: GraphLayout) -> None:
    degree = dict(SMALL.degree)
    rows = small.vertices.collect()
    assert sorted(r["v"] for r in rows) == list(range(len(rows)))
    by_v = [degree[r["id"]] for r in sorted(rows, key=lambda r: r["v"])]
    assert by_v == sorted(by_v, reverse=True)


def test_directed_and_in_pieces_equals_networkx(spark: SparkSession) -> None:
    graph = nx.gnp_random_graph(60, 0.015, seed=2, directed=True)
    used = nx.DiGraph(list(graph.edges))
    assert nx.number_weakly_connected_components(used) > 1
    assert close(values(betweenness(edges_of(spark, used), directed=True, method="exact")), freeman(used))


def test_trees_on_a_core_equal_networkx(spark: SparkSession) -> None:
    graph = nx.disjoint_union(nx.random_labeled_tree(40, seed=3), nx.lollipop_graph(5, 6))
    graph.add_edges_from([(2, 60), (60, 61), (61, 2)])
    assert close(values(betweenness(edges_of(spark, graph), method="exact")), freeman(graph))
    sampled = betweenness(edges_of(spark, graph), method="sampled", sources=1000, relative_error=0.1)
    rows, exact = sampled.scores.collect(), freeman(graph)
    assert all(
        r["betweenness"] == pytest.approx(min(max(exact[r["id"]], r["lower"]), r["upper"]), rel=1e-5)
        for r in rows
    )


def test_lengths_with_decimal_ties_equal_networkx(spark: SparkSession) -> None:
    """0.1 + 0.2 ties with 0.3, which it does not in floating point: NetworkX gets tenths as integers."""
    graph = nx.Graph(list(nx.gnm_random_graph(50, 130, seed=5).edges))
    for i, (u, v) in enumerate(graph.edges):
        graph[u][v]["tenths"] = 1 + (7 * i) % 5
    rows = [(u, v, t / 10) for u, v, t in graph.edges(data="tenths")]
    actual = betweenness(
        spark.createDataFrame(rows, "src bigint, dst bigint, km double"), weight="km", method="exact"
    )
    assert actual.report.length_unit == pytest.approx(1e-4)
    assert close(values(actual), freeman(graph, weight="tenths"))


def test_of_parallel_edges_the_shortest_counts(spark: SparkSession) -> None:
    rows = [(1, 2, 5), (2, 1, 1), (2, 3, 1), (1, 3, 3), (3, 3, 1)]
    actual = betweenness(spark.createDataFrame(rows, "src int, dst int, days int"), weight="days")
    assert values(actual) == {1: 0.0, 2: 1.0, 3: 0.0}
    assert (
        actual.report.self_loops,
        actual.report.multi_edges,
        actual.report.m,
        actual.report.length_unit,
    ) == (
        1,
        1,
        3,
        1.0,
    )


def test_auto_is_exact_within_the_budget_and_sampled_beyond(small: GraphLayout) -> None:
    assert measure_betweenness(small, rule=StoppingRule(epsilon=0.1)).report.method == "exact"
    beyond = measure_betweenness(small, rule=StoppingRule(epsilon=0.1), budget=0)
    assert beyond.report.method == "sampled"
    assert {r["method"] for r in beyond.scores.select("method").distinct().collect()} == {"sampled"}


def test_isolated_customers_are_there_with_0(spark: SparkSession) -> None:
    """10,000 of them beside a star of four; ids are dates, to see that any type goes."""
    first = date(2000, 1, 1)
    days = spark.range(10_004).select(F.date_add(F.lit(first), F.col("id").cast("int")).alias("id"))
    star = spark.createDataFrame([(first, date(2000, 1, d)) for d in (2, 3, 4)], "src date, dst date")
    for method in ("exact", "sampled"):
        actual = betweenness(star, vertices=days, method=method)
        rows = actual.scores.agg(
            F.count("*"), F.count_if(F.col("betweenness") == 0), F.max("betweenness"), F.max_by("id", "upper")
        ).collect()[0]
        assert tuple(rows)[:2] == (10_004, 10_003)
        assert rows[2] == pytest.approx(6 / (10_003 * 10_002))
        assert rows[3] == first
    assert actual.report.unreachable > 0.99


@pytest.mark.parametrize(
    ("edges", "vertices", "expected"),
    [
        ([], None, {}),
        ([], ["a"], {"a": 0.0}),
        ([("a", "a"), ("b", "b"), ("a", "a")], None, {"a": 0.0, "b": 0.0}),
        ([("a", "b")], None, {"a": 0.0, "b": 0.0}),
        ([("a", "b"), ("b", "c")], None, {"a": 0.0, "b": 1.0, "c": 0.0}),
    ],
    ids=["no edges", "one vertex", "only loops", "one edge", "a path"],
)
def test_graphs_too_small_to_have_a_middle(
    spark: SparkSession, edges: Any, vertices: Any, expected: dict[str, float]
) -> None:
    given = spark.createDataFrame(edges, "src string, dst string")
    ids = None if vertices is None else spark.createDataFrame([(v,) for v in vertices], "id string")
    for method in ("auto", "sampled"):
        assert values(betweenness(given, vertices=ids, method=method)) == expected


BAD_DATA = [
    (
        "src string, dst string",
        [(None, "a"), ("b", None), ("c", None)],
        {},
        ["src is null in 1 of 3", "dst is null in 2 of 3"],
    ),
    (
        "src string, dst bigint",
        [("a", 1)],
        {},
        ["ids are of mixed type: edges.src is string, edges.dst is bigint"],
    ),
    (
        "src double, dst double",
        [(1.0, 2.0)],
        {},
        ["edges.src is double, which is not a type for an id", "edges.dst is double"],
    ),
    ("a string, dst string", [("a", "b")], {}, ["edges has no column src, but a, dst"]),
    (
        "src int, dst int, w double",
        [(1, 2, -1.0), (1, 2, math.nan), (2, 3, 0.0), (1, 3, None), (1, 3, math.inf), (None, 3, 1.0)],
        {"weight": "w"},
        [
            "w is null in 1 of 6",
            "w is NaN or infinite in 2 of 6",
            "w is negative in 1 of 6",
            "w is zero in 1 of 6",
            "src is null in 1 of 6",
        ],
    ),
    (
        "src int, dst int, w string",
        [(1, 2, "1")],
        {"weight": "w"},
        ["weight column w must be a number of edges, and is string"],
    ),
    (
        "src int, dst int",
        [(1, 2)],
        {"weight": "w"},
        ["weight column w must be a number of edges, and is not there"],
    ),
    (
        "src int, dst int, w double",
        [(1, 2, 1e-9), (2, 3, 1e9)],
        {"weight": "w"},
        ["lengths from 1e-09 to 1000000000.0 do not fit"],
    ),
    (
        "src int, dst int, w double",
        [(1, 2, 0.4), (2, 3, 9.0)],
        {"weight": "w", "length_unit": 1.0},
        ["lengths from 0.4 to 9.0 do not fit"],
    ),
]


@pytest.mark.parametrize(("schema", "rows", "options", "problems"), BAD_DATA)
@pytest.mark.connect
def test_every_fault_of_the_edges_is_reported_at_once(
    spark: SparkSession, schema: str, rows: Any, options: Any, problems: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        betweenness(spark.createDataFrame(rows, schema), **options)
    assert [p for p in problems if p not in str(caught.value)] == []
    assert "Hint:" in str(caught.value)


@pytest.mark.connect
def test_an_edge_to_an_unknown_customer_is_refused_with_its_id(spark: SparkSession) -> None:
    edges = spark.createDataFrame([("a", "b"), ("b", "x"), ("y", "x"), ("b", "a")], "src string, dst string")
    with pytest.raises(
        InputError, match=r"2 of 4 edges lead to ids that are not among the vertices, the first x, y"
    ):
        betweenness(edges, vertices=spark.createDataFrame([("a",), ("b",)], "id string"))


def test_a_null_among_the_vertices_is_refused(spark: SparkSession) -> None:
    edges = spark.createDataFrame([("a", "b")], "src string, dst string")
    with pytest.raises(InputError, match="vertices has null ids"):
        betweenness(edges, vertices=spark.createDataFrame([("a",), ("b",), (None,)], "id string"))


def test_ids_of_another_type_than_the_vertices_are_refused(spark: SparkSession) -> None:
    edges = spark.createDataFrame([(1, 2)], "src int, dst int")
    with pytest.raises(
        InputError, match=r"mixed type: edges.src is int, edges.dst is int, vertices.id is bigint"
    ):
        betweenness(edges, vertices=spark.range(3))


def test_bad_parameters_are_reported_at_once(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError) as caught:
        betweenness(
            spark.range(1),
            method="quick",
            epsilon=0.0,
            top_k=0,
            delta=1.0,
            sources=1,
            seed=2**63,
            budget=-1,
            relative_error=2,
        )  # type: ignore[arg-type]
    assert len(caught.value.details) == 8


def test_a_graph_that_does_not_fit_is_refused_before_it_is_built(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        betweenness(edges_of(spark, SMALL), memory=1000, directory=str(tmp_path))
    message = str(caught.value)
    for words in (
        "120 vertices and 260 edges needs",
        "0.00 GB are allowed",
        "once per host",
        "workers of",
        "graph.memory",
        "fewer cores",
    ):
        assert words in message
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("directory", ["s3a://bucket/x", "dbfs:/x"])
def test_a_directory_that_cannot_be_mapped_is_refused(spark: SparkSession, directory: str) -> None:
    with pytest.raises(ConfigurationError, match="not a path that a process can map"):
        betweenness(edges_of(spark, SMALL), directory=directory)


def test_only_the_results_are_left_in_the_directory(spark: SparkSession, tmp_path: Path) -> None:
    actual = betweenness(edges_of(spark, nx.path_graph(4)), directory=str(tmp_path))
    assert values(actual) == pytest.approx({0: 0, 1: 2 / 3, 2: 2 / 3, 3: 0})
    assert not list(tmp_path.rglob("*.npy"))
    assert list(tmp_path.glob("*/tables/betweenness-*/*.parquet"))


def test_tables_are_stored_by_the_given_materialize(spark: SparkSession, tmp_path: Path) -> None:
    names = []

    def materialize(rows: DataFrame, name: str) -> DataFrame:
        names.append(name.partition("-")[0])
        rows.write.parquet(str(tmp_path / name))
        return spark.read.parquet(str(tmp_path / name))

    betweenness(edges_of(spark, nx.path_graph(4)), materialize=materialize)
    assert names == ["encoded", "ids", "vertices", "sums", "betweenness"]
