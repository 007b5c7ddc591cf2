"""Synth: made-up raw data that follows the contract's figures, in the layout that ingest reads."""

from __future__ import annotations

import time

from pyspark.sql import SparkSession

from engage_spark import log
from engage_spark.contract import Contract, day_column
from engage_spark.errors import ConfigurationError
from engage_spark.lake import code_version, path_exists, read_marker, write_marker, write_parquet
from engage_spark.pipelines.results import Report
from engage_spark.settings import Settings
from engage_spark.synth import SynthPlan, connections, customers, interactions, with_faults

FAULTS = "faults"


def run(spark: SparkSession, settings: Settings, *, contract: Contract, reuse: bool = False) -> Report:
    """Make `synth.customers` customers on `synth.snapshots` days, the graph between them and their
    interactions, below `synth.out`.

    Writes one Parquet folder per input table, `customers/` by snapshot_date; with `synth.faults` also
    `faults/`, which lists what was planted. Three writes, one shuffle (of degrees). A folder that another
    synth made is replaced; data of other origin is refused with ConfigurationError. `reuse` leaves data alone
    that was made by the same plan and the same code.
    """
    started = time.monotonic()
    chosen, out = settings.synth, settings.synth.out.rstrip("/")
    plan = SynthPlan(
        customers=chosen.customers,
        contract=contract,
        snapshots=chosen.snapshots,
        seed=chosen.seed,
        end_date=chosen.end_date,
    )
    made = {
        "customers": chosen.customers,
        "snapshots": chosen.snapshots,
        "seed": chosen.seed,
        "end_date": str(chosen.end_date),
        "faults": chosen.faults,
        "contract": contract.digest,
        "code": code_version(),
    }
    before = read_marker(spark, out)
    entity, (edges, events) = contract.entity, contract.logs
    locations = {t.name: f"{out}/{t.name}" for t in (entity, edges, events)}
    if reuse and before == made | {"complete": True}:
        return _report(
            made,
            locations,
            time.monotonic() - started,
            notes=("made before by the same plan, left as it is",),
        )
    if before is None and any(path_exists(spark, path) for path in locations.values()):
        raise ConfigurationError(
            f"{out} holds data that synth did not make",
            hint="give another place (--out PATH), or move that data away first",
        )
    write_marker(spark, out, made | {"complete": False})
    tables = {
        entity.name: customers(spark, plan),
        edges.name: connections(spark, plan),
        events.name: interactions(spark, plan),
    }
    if chosen.faults:
        faulty = with_faults(
            spark,
            plan,
            customers=tables[entity.name],
            connections=tables[edges.name],
            interactions=tables[events.name],
        )
        tables = {
            entity.name: faulty.customers,
            edges.name: faulty.connections,
            events.name: faulty.interactions,
        }
        locations[FAULTS] = f"{out}/{FAULTS}"
        write_parquet(faulty.manifest.coalesce(1), locations[FAULTS])
    for name, rows in tables.items():
        with log.stage(f"making {name}"):
            write_parquet(
                rows, locations[name], partition_by=(day_column(entity),) if name == entity.name else ()
            )
    write_marker(spark, out, made | {"complete": True})
    return _report(made, locations, time.monotonic() - started)


def _report(
    made: dict[str, object], locations: dict[str, str], seconds: float, notes: tuple[str, ...] = ()
) -> Report:
    shown = ("customers", "snapshots", "seed", "end_date", "faults")
    return Report(
        stage="synth",
        seconds=seconds,
        lines=tuple((k, str(made[k])) for k in shown),
        locations=locations,
        notes=notes,
    )
