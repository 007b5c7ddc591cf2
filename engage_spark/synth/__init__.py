"""Make synthetic data that keeps the contract, from hashes of counters: the same on any partitioning."""

from __future__ import annotations

from engage_spark.synth.faults import FaultyTables, with_faults
from engage_spark.synth.frames import SynthPlan, connections, customers, degrees, interactions
from engage_spark.synth.scenario import Scenario, load_scenario

__all__ = [
    "FaultyTables",
    "Scenario",
    "SynthPlan",
    "connections",
    "customers",
    "degrees",
    "interactions",
    "load_scenario",
    "with_faults",
]
