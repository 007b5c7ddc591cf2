"""What a computation will take, known before it starts: memory from counts, time from stated constants.

The constants are measured ones, but constants: whether `auto` computes exactly must not depend on how busy a
machine was.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engage_spark.errors import ConfigurationError

if TYPE_CHECKING:
    from engage_spark.graph.distributed.build_task import Built

SHARE_OF_HOST = 0.75
"""How much of a host's memory a graph may take where no figure is given; the rest is the JVM's and the
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
class Need:
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
        return max(self.csr + self.workers * self.worker, self.building)


def graph_need(*, n: int, edges: int, directed: bool, weighted: bool, worker: int, workers: int) -> Need:
    """8 bytes per edge and per vertex (a directed graph's row starts count twice), 16 more per edge with
    lengths, and what a worker needs.

    Making it takes, for a short while, the edges as given, sorted copies of them, and the result.
    """
    arcs = 2 * edges
    csr = 4 * arcs + (8 * arcs if weighted else 0) + 8 * (n + 1) * (2 if directed else 1)
    lengths = 8 * arcs if weighted else 0
    building = csr + 3 * (8 * arcs + lengths) + 32 * n
    return Need(csr, building, worker, workers)


def refuse_what_will_not_fit(need: Need, *, n: int, edges: int, memory: int | None, host: int) -> None:
    """ConfigurationError, with the figures, when a graph needs more than `memory` bytes per host (default:
    75% of the host's).
    """
    limit = int(SHARE_OF_HOST * host) if memory is None else memory
    if need.bytes <= limit:
        return
    raise ConfigurationError(
        f"a graph of {n} vertices and {edges} edges needs {gigabytes(need.bytes)} on a host, and {gigabytes(limit)} are allowed",
        details=[
            f"the graph itself {gigabytes(need.csr)}, once per host",
            f"{need.workers} workers of {gigabytes(need.worker)} each",
            f"while it is built {gigabytes(need.building)}, once",
            f"allowed: {'graph.memory' if memory is not None else f'{SHARE_OF_HOST:.0%} of the smallest host seen'}",
        ],
        hint="raise graph.memory (`memory`) if the hosts have more, take larger hosts or fewer cores per executor, or leave edges out",
    )


def core_seconds(built: Built, sources: int, *, weighted: bool) -> float:
    """What the dependencies of so many sources are predicted to take: each sees all vertices and arcs of the
    core.
    """
    per_arc, per_vertex = (
        (PER_ARC_WITH_LENGTHS, PER_VERTEX_WITH_LENGTHS) if weighted else (PER_ARC, PER_VERTEX)
    )
    return sources * (per_arc * built.core_arcs + per_vertex * built.core)


def gigabytes(size: float) -> str:
    """Bytes as people read them."""
    return f"{size / 1e9:.2f} GB"


def host_memory() -> int:
    """Bytes that this machine, or the container that this process runs in, may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(limit).read_text()))
    return total


def memory_bytes(text: str) -> int:
    """`3g` as bytes."""
    return int(text[:-1]) << {"k": 10, "m": 20, "g": 30, "t": 40}[text[-1]]
