"""Freeman betweenness of every vertex of a graph in a DataFrame: exact where that is affordable, sampled with
proven bounds elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.errors import ConfigurationError
from engage_spark.graph.adaptive_sampling import SamplingBounds, StoppingRule, certify
from engage_spark.graph.distributed.layout import GraphLayout, open_layout
from engage_spark.graph.distributed.path_tasks import SparkSampler
from engage_spark.graph.distributed.resources import DEFAULT_BUDGET, core_seconds
from engage_spark.graph.distributed.source_tasks import dependency_sums
from engage_spark.graph.distributed.workspace import Materialise
from engage_spark.graph.estimates import ScoreEstimator

Method = Literal["auto", "exact", "sampled"]
DEFAULT_RULE = StoppingRule()
BATCH = 32
"""Sources that are summed before the sum is rounded to fixed point: as many as the kernel takes at a time."""


@dataclass(frozen=True)
class BetweennessReport:
    """How the scores came about. Errors are in Freeman units."""

    method: str
    n: int
    m: int
    """Edges (directed: arcs) without loops, parallel ones once."""
    self_loops: int
    multi_edges: int
    """Given edges beyond the first between two vertices (directed: in one direction)."""
    quantum: float | None
    """What one unit of length stands for; None without lengths."""
    sources: int
    """Sources whose dependencies were summed: all that are left when trees are folded, or the sampled ones.
    """
    samples: int
    """Paths behind the bounds; 0 when exact."""
    calibration: int
    """Paths that only served to plan."""
    rounds: int
    error: float
    """Half the width of the widest interval: with probability 1 - delta no vertex's midpoint is off by more.
    """
    relative_error: float
    """Half the width over the midpoint, the worst of the top_k."""
    contenders: int
    """Vertices that cannot be excluded from the true top_k; 0 when exact."""
    unreachable: float
    """Share of the sampled pairs without a path; 0 when exact (not measured)."""
    predicted_core_seconds: float
    """What the exact computation was predicted to take, by stated constants."""
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
    quantum: float | None = None,
    directory: str | None = None,
    materialise: Materialise | None = None,
    memory: int | None = None,
) -> Betweenness:
    """Freeman betweenness of every vertex of `edges` (src, dst): the share of pairs of the other vertices
    whose shortest paths pass it.

    With several shortest paths a vertex gets the share of those that pass it; a pair without a path counts as
    not passing, so values of a disconnected graph are relative to all n vertices. Undirected or directed, the
    denominator is (n - 1)(n - 2) ordered pairs. n <= 2: 0.

    Grain: one row per vertex, `id` of the caller's type. `vertices` (id) adds isolated ones and makes an edge
    to any other id an error; nulls are refused, self-loops and parallel edges tolerated and counted. `weight`
    names a column of lengths, `quantum` the unit they are rounded to (see `judged_edges`). Not nullable, all
    doubles between 0 and 1:

    - exact: betweenness = lower = upper, stderr 0.
    - sampled: [lower, upper] come from random shortest paths. With probability 1 - delta all vertices' true
      values lie inside at once. Sampling goes on until the intervals of the `top_k` vertices of most hits are
      within +-`relative_error` of their midpoints (or proven to lie below `certify.FLOOR`), or, with
      `epsilon`, until every interval is within +-epsilon of its midpoint. `betweenness` is an estimate from
      the dependencies of `sources` random sources, which also tells vertices apart that no affordable number
      of paths would hit: unbiased, with standard error `stderr`, then clipped into [lower, upper] (which
      stderr does not take into account). Where only a few of all sources make up a value, such as the way
      into a small part, stderr is too small in samples that miss them; bounds are not.

    `auto` is exact if the predicted core-seconds (`budget.core_seconds`, stated constants) are within
    `budget` (default 600). Results are a function of the simple graph, `seed` and the parameters: the same
    bits on any partitioning, cluster, classic or Connect.

    Cost: see `open_layout`; then exact one job, sampled one job per calibration and round (mostly three or
    four) and one for the sources; 8 tasks a core, each with 8 bytes per arc mapped and `worker_bytes` of its
    own. `memory`, `directory`, `materialise`: see `open_layout`. `scores` is kept like every other table: by
    `materialise`, else in `directory`, else in a temporary directory until this process ends. Sources:
    Brandes 2001; Brandes, Pich 2007 (source sampling); Borassi, Natale 2016 (KADABRA). Raises InputError,
    ConfigurationError.
    """
    _check(
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
        quantum=quantum,
        directory=directory,
        materialise=materialise,
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
    """`betweenness` of a graph that is laid out already. `rule.epsilon` is in Freeman units. The scores
    outlive the layout.
    """
    clock = _Clock(dict(layout.seconds))
    predicted = core_seconds(layout.built, layout.built.core, weighted=layout.weighted)
    exact = (
        method == "exact"
        or (method == "auto" and predicted <= (DEFAULT_BUDGET if budget is None else budget))
        or layout.n <= 2
    )
    certificate, counts, unreachable = None, None, 0.0
    if not exact:
        sampler = SparkSampler(layout, seed=seed)
        certificate = certify(
            sampler,
            rule=in_shares(rule, layout.n),
            delta=delta,
            active=layout.built.active,
            interior=layout.built.interior,
        )
        if certificate.samples:
            counts, unreachable = sampler.counts(), sampler.totals()[1] / certificate.samples
        clock.stop("paths")
    taken = layout.built.core if exact else min(sources, layout.n)
    sums = dependency_sums(
        layout,
        sources=None if exact else taken,
        seed=seed,
        batch=BATCH,
        precision="float64" if exact else "float32",
    )
    sums = layout.keep(sums, "sums")
    clock.stop("sources")
    scores = layout.keep(
        _scores(layout, sums, counts, certificate, sources=None if exact else taken), "betweenness"
    )
    clock.stop("scores")
    return Betweenness(scores, _report(layout, certificate, taken, unreachable, predicted, clock.seconds))


def in_shares(rule: StoppingRule, n: int) -> StoppingRule:
    """The rule with epsilon as a share of ordered pairs b: Freeman's value is b n / (n - 2)."""
    return (
        rule
        if rule.epsilon is None
        else StoppingRule(rule.epsilon * (n - 2) / n, rule.top_k, rule.relative_error, rule.floor)
    )


def _scores(
    layout: GraphLayout,
    sums: DataFrame,
    counts: DataFrame | None,
    certificate: SamplingBounds | None,
    *,
    sources: int | None,
) -> DataFrame:
    rows = layout.vertices.join(sums, "v", "left")
    if counts is not None:
        rows = rows.join(counts, "v", "left")
    columns = [c for c in rows.columns if c not in ("id", "v")]
    zero = F.lit(0).cast("bigint")
    rows = rows.select("id", "v", *(F.coalesce(c, zero).alias(c) for c in columns))
    finish, place = ScoreEstimator.of(layout.n, certificate, sources), layout.place

    def finished(batches: Iterator[Any]) -> Iterator[Any]:
        contributions, impossible = finish.vectors(place.path())
        for batch in batches:
            numbers = {name: batch.column(name).to_numpy() for name in batch.schema.names if name != "id"}
            made = finish.columns(numbers, contributions, impossible)
            arrays = [batch.column("id"), *(pa.array(made[name], pa.float64()) for name in NUMBERS)]
            method = pa.array(np.full(batch.num_rows, finish.method, dtype=object), pa.string())
            yield pa.RecordBatch.from_arrays([*arrays, method], names=["id", *NUMBERS, "method"])

    schema = T.StructType(
        [
            layout.vertices.schema["id"],
            *(T.StructField(name, T.DoubleType()) for name in NUMBERS),
            T.StructField("method", T.StringType()),
        ]
    )
    return rows.mapInArrow(finished, schema)


NUMBERS = ("betweenness", "lower", "upper", "stderr")


def _report(
    layout: GraphLayout,
    certificate: SamplingBounds | None,
    taken: int,
    unreachable: float,
    predicted: float,
    seconds: dict[str, float],
) -> BetweennessReport:
    scale = layout.n / (layout.n - 2) if layout.n > 2 else 1.0
    return BetweennessReport(
        method="exact" if certificate is None else "sampled",
        n=layout.n,
        m=layout.m,
        self_loops=layout.given.self_loops,
        multi_edges=layout.multi_edges,
        quantum=layout.given.quantum,
        sources=taken,
        samples=certificate.samples if certificate else 0,
        calibration=certificate.calibration if certificate else 0,
        rounds=certificate.rounds if certificate else 0,
        error=certificate.error * scale if certificate else 0.0,
        relative_error=certificate.relative_error if certificate else 0.0,
        contenders=certificate.contenders if certificate else 0,
        unreachable=unreachable,
        predicted_core_seconds=predicted,
        graph_bytes=layout.built.bytes,
        seconds=seconds,
    )


class _Clock:
    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self._since = seconds, time.monotonic()

    def stop(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase], self._since = now - self._since, now


def _check(
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
    wrong = []
    if method not in ("auto", "exact", "sampled"):
        wrong.append(f"method is {method!r}, and must be auto, exact or sampled")
    for name, value in (("epsilon", epsilon), ("relative_error", relative_error), ("delta", delta)):
        if value is not None and not 0 < value < 1:
            wrong.append(f"{name} is {value}, and must lie between 0 and 1")
    if top_k < 1:
        wrong.append(f"top_k is {top_k}, and must be at least 1")
    if sources < 2:
        wrong.append(
            f"sources is {sources}, and must be at least 2: one source has no spread to take a standard error from"
        )
    if not -(2**63) <= seed < 2**63:
        wrong.append(f"seed is {seed}, and must fit 64 bits")
    if budget is not None and not budget >= 0:
        wrong.append(f"budget is {budget}, and must be core-seconds, 0 or more")
    if wrong:
        raise ConfigurationError(
            "betweenness cannot be computed with these parameters", details=wrong, hint="change what is named"
        )
