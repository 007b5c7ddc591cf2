"""Hold what the models claim against simulated worlds whose truth is known; no Spark.

    python -m bench.honesty --runs 400
    python -m bench.honesty --only promotion

Each figure has a limit; the exit code is 1 where one is missed by more than chance explains. The modules of
`bench/simulations` hold the simulations, and the tests run some of them with few runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from bench.simulations import Simulation, calibration, centrality, coverage, fairness, promotion, selection

SIMULATIONS: tuple[Simulation, ...] = (
    *promotion.SIMULATIONS,
    *fairness.SIMULATIONS,
    *selection.SIMULATIONS,
    *calibration.SIMULATIONS,
    *coverage.SIMULATIONS,
    *centrality.SIMULATIONS,
)


def name_of(simulation: Simulation) -> str:
    module = str(simulation.__module__).rpartition(".")[2]
    return f"{module}.{getattr(simulation, '__name__', '')}"


def run(simulations: Sequence[Simulation], runs: int) -> bool:
    """Print every figure as a row of a table, and return whether all hold."""
    print("| figure | setting | value | limit | holds |")
    print("|---|---|--:|---|---|")
    all_hold = True
    for simulation in simulations:
        started = time.perf_counter()
        for f in simulation(runs):
            value = f"{f.value:.4g} [{f.low:.4g}, {f.high:.4g}]"
            holds = "yes" if f.holds else "**no**"
            print(f"| {f.name} | {f.setting} | {value} | {f.limit} | {holds} |", flush=True)
            all_hold &= f.holds
        print(f"{name_of(simulation)}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return all_hold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="runs of each simulation")
    parser.add_argument("--only", default="", help="simulations whose name contains this")
    arguments = parser.parse_args()
    named = [s for s in SIMULATIONS if arguments.only in name_of(s)]
    if not named:
        parser.error(f"no simulation is named so; there are {', '.join(map(name_of, SIMULATIONS))}")
    sys.exit(0 if run(named, arguments.runs) else 1)


if __name__ == "__main__":
    main()
