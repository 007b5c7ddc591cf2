"""Compute the Freeman betweenness of every vertex of a graph in a DataFrame.

Exact where that is affordable, sampled with proven bounds elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.errors import ConfigurationError
from engage_spark.graph.adaptive_sampling import SamplingBounds, StoppingRule, sample_until_bounded
from engage_spark.graph.distributed.layout import GraphLayout, PhaseClock, open_layout
from engage_spark.graph.distributed.path_tasks import SparkSampler
from engage_spark.graph.distributed.resources import DEFAULT_BUDGET, predict_core_seconds
from engage_spark.graph.distributed.source_tasks import dependency_sums
from engage_spark.graph.distributed.workspace import Materialize
from engage_spark.graph.estimates import ScoreEstimator

Method = Literal["auto", "exact", "sampled"]
DEFAULT_RULE = StoppingRule()
SOURCES_PER_BATCH = 32
"""Sources that are summed before the sum is rounded to fixed point: as many as the kernel takes at once."""
SCORE_COLUMNS = ("betweenness", "lower", "upper", "stderr")


@dataclass(frozen=True)
class BetweennessReport:
    """How the scores were computed. Errors are in Freeman units."""

    method: str
    n: int
    m: int
    """Edges (directed: arcs) without loops, parallel ones once."""
    self_loops: int
    multi_edges: int
    """Given edges beyond the first between two vertices (directed: in one direction)."""
    length_unit: float | None
    """The length that one unit stands for; None without lengths."""
    sources: int
    """Sources whose dependencies were summed: all of the core (the graph without its trees), or the sampled
    ones.
    """
    samples: int
    """Paths behind the bounds; 0 when exact."""
    calibration: int
    """Paths that only served to plan."""
    rounds: int
    error: float
    """Half the width of the widest interval: with probability 1 - delta no midpoint is off by more."""
    relative_error: float
    """Half the width over the midpoint, the worst of the top_k."""
    contenders: int
    """Vertices that cannot be excluded from the true top_k; 0 when exact."""
    certain_members: int
    """Vertices that are proven to be among the true top_k."""
    certain_places: int
    """Leading places, top_k at most, whose vertex is proven: as far the order is certain."""
    unreachable: float
    """Share of the sampled pairs without a path; 0 when exact (not measured)."""
    predicted_core_seconds: float
    """Predicted cost of the exact computation, by stated constants."""
    graph_bytes: int
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per phase."""


class Betweenness(NamedTuple):
    """`scores`: id, betweenness, lower, upper, stderr, method."""

    scores: DataFrame
    report: BetweennessReport


def betweenness(
    edges: DataFrame,
    *,
    vertices: DataFrame | None = None,
    weight: str | None = None,
    directed: bool = False,
    method: Method = "auto",
    epsilon: float | None = None,
    top_k: int = 10,
    relative_error: float = 0.2,
    sources: int = 1024,
    delta: float = 0.1,
    seed: int = 0,
    budget: float | None = None,
    length_unit: float | None = None,
    directory: str | None = None,
    materialize: Materialize | None = None,
    memory: int | None = None,
) -> Betweenness:
    """Compute the Freeman betweenness of every vertex of `edges` (src, dst).

    It is the share of pairs of the other vertices whose shortest paths pass the vertex. With several shortest
    paths a vertex gets the share of those that pass it. A pair without a path counts as not passing, so
    values of a disconnected graph are relative to all n vertices. Undirected or directed, the denominator is
    (n - 1)(n - 2) ordered pairs. n <= 2: 0.

    `vertices` (id) adds isolated ones and makes an edge to any other id an error; self-loops and parallel
    edges are tolerated and counted. `weight` names a column of lengths, `length_unit` the unit they are
    rounded to (see `check_counts`). All values are doubles between 0 and 1:

    - exact: betweenness = lower = upper, stderr 0.
    - sampled: [lower, upper] come from random shortest paths. With probability 1 - delta all vertices' true
      values are inside at once. Sampling goes on until the intervals of the `top_k` vertices of most hits are
      within +-`relative_error` of their midpoints (or proven to be below `adaptive_sampling.FLOOR`), or, with
      `epsilon`, until every interval is within +-epsilon of its midpoint. `betweenness` is an estimate from
      the dependencies of `sources` random sources, which also tells vertices apart that no affordable number
      of paths would hit: unbiased, with standard error `stderr`, then clipped into [lower, upper], and so
      far from both ends that wherever in its interval the truth is, the value is within +-epsilon of it (of
      the top_k: within +-relative_error of the truth). `stderr` counts half of what that moves the value by:
      about 95% of values are within two of it. Where only a few of all sources make up a value, such as the
      way into a small part, a sample that misses them cannot know its error: stderr is null below
      `estimates.LEAST_ERROR` over the number of sources.

    `auto` is exact if the predicted core-seconds (`predict_core_seconds`, stated constants) are within
    `budget` (default 600). Results are a function of the simple graph, `seed` and the parameters: the same
    bits on any partitioning, cluster, classic or Connect. `memory`, `directory`, `materialize`: see
    `open_layout`. `scores` is stored like every other table: by `materialize`, else in `directory`, else in a
    temporary directory until this process ends.

    Grain: one row per vertex, `id` of the caller's type.
    Nulls: null ids are refused; of the results `stderr` where it cannot be told.
    Cost: see `open_layout`; then exact one job, sampled one job per calibration and round (mostly three or
    four) and one for the sources; 8 tasks per core, each with 8 bytes per arc mapped and `worker_bytes` of
    its own.
    Errors: InputError, ConfigurationError.
    Source: Brandes 2001; Brandes, Pich 2007 (source sampling); Borassi, Natale 2016 (KADABRA).
    """
    _check_parameters(
        method,
        epsilon=epsilon,
        top_k=top_k,
        relative_error=relative_error,
        sources=sources,
        delta=delta,
        seed=seed,
        budget=budget,
    )
    with open_layout(
        edges,
        vertices=vertices,
        weight=weight,
        directed=directed,
        length_unit=length_unit,
        directory=directory,
        materialize=materialize,
        memory=memory,
    ) as layout:
        rule = StoppingRule(epsilon=epsilon, top_k=top_k, relative_error=relative_error)
        return measure_betweenness(
            layout, method=method, rule=rule, sources=sources, delta=delta, seed=seed, budget=budget
        )


def measure_betweenness(
    layout: GraphLayout,
    *,
    method: Method = "auto",
    rule: StoppingRule = DEFAULT_RULE,
    sources: int = 1024,
    delta: float = 0.1,
    seed: int = 0,
    budget: float | None = None,
) -> Betweenness:
    """Compute the `betweenness` of a graph that is laid out already.

    `rule.epsilon` is in Freeman units. The scores outlive the layout.
    """
    clock = PhaseClock(layout.seconds)
    predicted = predict_core_seconds(layout.summary, layout.summary.core, weighted=layout.weighted)
    exact = (
        method == "exact"
        or (method == "auto" and predicted <= (DEFAULT_BUDGET if budget is None else budget))
        or layout.n <= 2
    )
    bounds, counts, unreachable = None, None, 0.0
    if not exact:
        sampler = SparkSampler(layout, seed=seed)
        bounds = sample_until_bounded(
            sampler,
            rule=to_pair_shares(rule, layout.n),
            delta=delta,
            active=layout.summary.active,
            interior=layout.summary.interior,
        )
        if bounds.samples:
            counts, unreachable = sampler.counts(), sampler.totals()[1] / bounds.samples
        clock.stop("paths")
    n_sources = layout.summary.core if exact else min(sources, layout.n)
    sums = dependency_sums(
        layout,
        sources=None if exact else n_sources,
        seed=seed,
        batch=SOURCES_PER_BATCH,
        precision="float64" if exact else "float32",
    )
    sums = layout.materialize(sums, "sums")
    clock.stop("sources")
    scores = layout.materialize(
        _scores(layout, sums, counts, bounds, rule=rule, sources=None if exact else n_sources), "betweenness"
    )
    clock.stop("scores")
    report = _report(layout, bounds, n_sources, rule.top_k, unreachable, predicted, clock.seconds)
    return Betweenness(scores, report)


def to_pair_shares(rule: StoppingRule, n: int) -> StoppingRule:
    """Express epsilon as a share of ordered pairs b: Freeman's value is b n / (n - 2)."""
    if rule.epsilon is None:
        return rule
    return StoppingRule(rule.epsilon * (n - 2) / n, rule.top_k, rule.relative_error, rule.floor)


def _scores(
    layout: GraphLayout,
    sums: DataFrame,
    counts: DataFrame | None,
    bounds: SamplingBounds | None,
    *,
    rule: StoppingRule,
    sources: int | None,
) -> DataFrame:
    rows = layout.vertices.join(sums, "v", "left")
    if counts is not None:
        rows = rows.join(counts, "v", "left")
    columns = [c for c in rows.columns if c not in ("id", "v")]
    zero = F.lit(0).cast("bigint")
    rows = rows.select("id", "v", *(F.coalesce(c, zero).alias(c) for c in columns))
    rule = to_pair_shares(rule, layout.n)
    estimator, files = ScoreEstimator.from_bounds(layout.n, bounds, sources, rule=rule), layout.files

    def estimate(batches: Iterator[Any]) -> Iterator[Any]:
        contributions, is_zero = estimator.load_vectors(files.path())
        for batch in batches:
            numbers = {name: batch.column(name).to_numpy() for name in batch.schema.names if name != "id"}
            scores = estimator.columns(numbers, contributions, is_zero)
            # NaN stands for an error that cannot be told, and becomes a null.
            doubles = (pa.array(scores[name], pa.float64(), from_pandas=True) for name in SCORE_COLUMNS)
            arrays = [batch.column("id"), *doubles]
            method = pa.array(np.full(batch.num_rows, estimator.method, dtype=object), pa.string())
            yield pa.RecordBatch.from_arrays([*arrays, method], names=["id", *SCORE_COLUMNS, "method"])

    schema = T.StructType(
        [
            layout.vertices.schema["id"],
            *(T.StructField(name, T.DoubleType()) for name in SCORE_COLUMNS),
            T.StructField("method", T.StringType()),
        ]
    )
    return rows.mapInArrow(estimate, schema)


def _report(
    layout: GraphLayout,
    bounds: SamplingBounds | None,
    n_sources: int,
    top_k: int,
    unreachable: float,
    predicted: float,
    seconds: dict[str, float],
) -> BetweennessReport:
    scale = layout.n / (layout.n - 2) if layout.n > 2 else 1.0
    return BetweennessReport(
        method="exact" if bounds is None else "sampled",
        n=layout.n,
        m=layout.m,
        self_loops=layout.edges.self_loops,
        multi_edges=layout.multi_edges,
        length_unit=layout.edges.length_unit,
        sources=n_sources,
        samples=bounds.samples if bounds else 0,
        calibration=bounds.calibration if bounds else 0,
        rounds=bounds.rounds if bounds else 0,
        error=bounds.error * scale if bounds else 0.0,
        relative_error=bounds.relative_error if bounds else 0.0,
        contenders=bounds.contenders if bounds else 0,
        certain_members=bounds.certain_members if bounds else min(top_k, layout.n),
        certain_places=bounds.certain_places if bounds else min(top_k, layout.n),
        unreachable=unreachable,
        predicted_core_seconds=predicted,
        graph_bytes=layout.summary.bytes,
        seconds=seconds,
    )


def _check_parameters(
    method: str,
    *,
    epsilon: float | None,
    top_k: int,
    relative_error: float,
    sources: int,
    delta: float,
    seed: int,
    budget: float | None,
) -> None:
    problems = []
    if method not in ("auto", "exact", "sampled"):
        problems.append(f"method is {method!r}, and must be auto, exact or sampled")
    for name, value in (("epsilon", epsilon), ("relative_error", relative_error), ("delta", delta)):
        if value is not None and not 0 < value < 1:
            problems.append(f"{name} is {value}, and must be between 0 and 1")
    if top_k < 1:
        problems.append(f"top_k is {top_k}, and must be at least 1")
    if sources < 2:
        problems.append(f"sources is {sources}, and must be at least 2: one source gives no standard error")
    if not -(2**63) <= seed < 2**63:
        problems.append(f"seed is {seed}, and must fit 64 bits")
    if budget is not None and not budget >= 0:
        problems.append(f"budget is {budget}, and must be core-seconds, 0 or more")
    if problems:
        raise ConfigurationError(
            "betweenness cannot be computed with these parameters",
            details=problems,
            hint="change the parameters that are named",
        )
