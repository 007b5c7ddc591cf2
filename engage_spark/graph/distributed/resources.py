"""Predict what a computation will take before it starts: memory from counts, time from stated constants.

The constants were measured once and are fixed: whether `auto` computes exactly must not depend on how
busy a machine was.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engage_spark.errors import ConfigurationError
from engage_spark.graph.kernels.csr import MAX_THREADS

if TYPE_CHECKING:
    from engage_spark.graph.distributed.build_task import GraphSummary

SHARE_OF_HOST = 0.75
"""Share of a host's memory that a graph may take where no figure is given; the rest is the JVM's and the
system's.
"""
DEFAULT_BUDGET = 600.0
"""Core-seconds that `auto` may spend on the exact answer."""
PER_ARC, PER_VERTEX = 0.36e-9, 4e-9
PER_ARC_WITH_LENGTHS, PER_VERTEX_WITH_LENGTHS = 6e-9, 200e-9
"""Seconds per source in float64, measured on graphs of 4,000 to 100,000 vertices on one core of 2026; with
lengths every search sorts.
"""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a graph takes on each host."""

    csr: int
    """The arrays, one copy per host, in the page cache."""
    building: int
    """While the arrays are made: once, on one host."""
    worker: int
    """For each core that computes."""
    workers: int

    @property
    def bytes(self) -> int:
        """The larger of computing and building."""
        return max(self.csr + self.workers * self.worker, self.building)


def estimate_memory(
    *, n: int, edges: int, directed: bool, weighted: bool, worker: int, workers: int
) -> MemoryNeed:
    """Estimate the bytes that a graph takes on each host.

    Units: 8 bytes per edge and per vertex (a directed graph's row starts count twice), 16 more per edge with
    lengths, and what a worker needs. Building takes, for a short while, the result, the edges as given and
    the rows that they are collected in, and an array of the vertices for each thread.
    """
    arcs = 2 * edges
    csr = 4 * arcs + (8 * arcs if weighted else 0) + 8 * (n + 1) * (2 if directed else 1)
    lengths = 8 * arcs if weighted else 0
    building = csr + 2 * (4 * arcs + lengths) + (32 + 8 * min(workers, MAX_THREADS)) * n
    return MemoryNeed(csr, building, worker, workers)


def check_memory(need: MemoryNeed, *, n: int, edges: int, memory: int | None, host: int) -> None:
    """Check that a graph fits `memory` bytes per host (default: 75% of the host's).

    Errors: ConfigurationError, with the figures, when it does not.
    """
    limit = int(SHARE_OF_HOST * host) if memory is None else memory
    if need.bytes <= limit:
        return
    source = "graph.memory" if memory is not None else f"{SHARE_OF_HOST:.0%} of the smallest host seen"
    raise ConfigurationError(
        f"a graph of {n} vertices and {edges} edges needs {format_gigabytes(need.bytes)} on a host, "
        f"and {format_gigabytes(limit)} are allowed",
        details=[
            f"the graph itself {format_gigabytes(need.csr)}, once per host",
            f"{need.workers} workers of {format_gigabytes(need.worker)} each",
            f"while it is built {format_gigabytes(need.building)}, once",
            f"allowed: {source}",
        ],
        hint="raise graph.memory (`memory`) if the hosts have more, take larger hosts or fewer cores per "
        "executor, or leave edges out",
    )


def predict_core_seconds(summary: GraphSummary, sources: int, *, weighted: bool) -> float:
    """Predict the core-seconds for the dependencies of so many sources.

    Each source sees all vertices and arcs of the core.
    """
    per_arc, per_vertex = (
        (PER_ARC_WITH_LENGTHS, PER_VERTEX_WITH_LENGTHS) if weighted else (PER_ARC, PER_VERTEX)
    )
    return sources * (per_arc * summary.core_arcs + per_vertex * summary.core)


def format_gigabytes(size: float) -> str:
    """Format bytes for people."""
    return f"{size / 1e9:.2f} GB"


def host_memory() -> int:
    """Return the bytes that this machine, or the container that this process runs in, may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(limit).read_text()))
    return total


def parse_bytes(text: str) -> int:
    """Parse a size such as `3g` into bytes."""
    return int(text[:-1]) << {"k": 10, "m": 20, "g": 30, "t": 40}[text[-1]]
