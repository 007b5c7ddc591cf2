"""The generator against the contract with every real edge: `python bench/synth_check.py --customers 100000
--seeds 20`.

No Spark: the same numpy functions that the workers run. Per seed about half a minute per 100,000 customers on
one core. Prints the worst deviation per field over the seeds, the claims and the shape of the graph; ends
with 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from typing import Any

import numpy as np

from engage_spark.contract import load_contract
from engage_spark.synth import graph, load_scenario
from engage_spark.synth.calibrate import calibrate_model
from engage_spark.synth.claims import measure_claims
from engage_spark.synth.frames import with_degrees
from engage_spark.synth.rows import SynthModel, reference

MEAN_PCT, SHARE, CHURN = 2.0, 0.01, 0.003


def degrees(model: SynthModel) -> tuple[Any, Any, Any]:
    n = model.customers
    links, out, inward = (np.zeros(n, dtype=np.int64) for _ in range(3))
    for src, dst in graph.connections(model, np.arange(graph.connection_units(model))):
        np.add.at(links, src, 1)
        np.add.at(links, dst, 1)
    for src, dst in graph.follows(model, np.arange(n)):
        np.add.at(out, src, 1)
        np.add.at(inward, dst, 1)
    return links, out, inward


def check(customers: int, seed: int, worst: dict[str, float], measured: dict[str, list[float]]) -> list[str]:
    table, scenario = load_contract().entity, load_scenario()
    model = calibrate_model(customers=customers, seed=seed, scenario=scenario, table=table)
    ids = np.arange(customers, dtype=np.int64)
    columns = reference(model, ids)
    links, out, inward = degrees(model)
    with_degrees(model, ids, columns, links, out, inward)
    broken = []
    for f in table.fields:
        if f.is_key:
            continue
        x = np.asarray(columns[f.name])
        if f.reference_shares:
            off = max(abs(float((x == i).mean()) - share) for i, (_, share) in enumerate(f.reference_shares))
            worst[f"share {f.name}"] = max(worst[f"share {f.name}"], off)
            broken += (
                [f"{f.name}: shares off by {off:.4f}"]
                if off > (CHURN if f.role == "target" else SHARE)
                else []
            )
            continue
        if x.min() < f.minimum or x.max() > f.maximum:
            broken.append(f"{f.name}: out of range [{x.min()}, {x.max()}]")
        if f.reference_mean is not None:
            off = 100 * abs(float(x.mean()) / f.reference_mean - 1)
            worst[f"mean % {f.name}"] = max(worst[f"mean % {f.name}"], off)
            broken += [f"{f.name}: mean off by {off:.2f}%"] if off > MEAN_PCT else []
    for m in measure_claims(scenario, table, columns):
        measured[f"{m.name} (claimed {m.claimed}, at least {m.at_least})"].append(m.measured)
        broken += [] if m.holds else [f"{m.name}: {m.measured:.3f} < {m.at_least}"]
    for name, degree in (("connections", links), ("following", out), ("in-degree", inward)):
        measured[f"{name}: median"].append(float(np.median(degree)))
        measured[f"{name}: max"].append(float(degree.max()))
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    worst: dict[str, float] = defaultdict(float)
    measured: dict[str, list[float]] = defaultdict(list)
    failed = False
    for seed in range(args.seeds):
        began = time.perf_counter()
        broken = check(args.customers, seed, worst, measured)
        failed |= bool(broken)
        print(
            f"seed {seed}: {'; '.join(broken) or 'every promise kept'} ({time.perf_counter() - began:.0f} s)",
            flush=True,
        )
    print(f"\nworst deviation over {args.seeds} seeds of {args.customers:,} customers")
    for name, off in sorted(worst.items(), key=lambda item: -item[1]):
        print(f"  {name:48s} {off:.4f}")
    print("\nmeasured: lowest, mean, highest")
    for name, found in measured.items():
        print(f"  {name:64s} {min(found):9.3f} {np.mean(found):9.3f} {max(found):9.3f}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
