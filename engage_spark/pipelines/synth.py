"""Make synthetic raw data that follow the contract's figures, in the layout that ingest reads."""

from __future__ import annotations

import time

from pyspark.sql import DataFrame, SparkSession

from engage_spark import log
from engage_spark.contract import Contract, day_column
from engage_spark.errors import ConfigurationError
from engage_spark.lake import code_version, path_exists, read_marker, write_marker, write_parquet
from engage_spark.pipelines.results import Note, SynthResult
from engage_spark.settings import Settings
from engage_spark.synth import SynthPlan, connections, customers, interactions, with_faults

FAULTS = "faults"


def run_synth(
    spark: SparkSession, settings: Settings, *, contract: Contract, reuse: bool = False
) -> SynthResult:
    """Make `synth.customers` customers on `synth.snapshots` days, the graph between them and their
    interactions.

    Writes one Parquet folder per input table below `synth.out`, `customers/` by snapshot_date; with
    `synth.faults` also `faults/`, which lists what was planted. `reuse` leaves data alone that the same plan
    and the same code made.
    Cost: three writes, one shuffle (of degrees).
    Errors: ConfigurationError for a folder with data of other origin; what another synth made is replaced.
    """
    started = time.monotonic()
    options, out = settings.synth, settings.synth.out.rstrip("/")
    marker: dict[str, object] = {
        "customers": options.customers,
        "snapshots": options.snapshots,
        "seed": options.seed,
        "end_date": str(options.end_date),
        "faults": options.faults,
        "contract": contract.digest,
        "code": code_version(),
    }
    locations = {t.name: f"{out}/{t.name}" for t in (contract.entity, *contract.logs)}
    previous = read_marker(spark, out)
    reused = reuse and previous == marker | {"complete": True}
    if previous is None and any(path_exists(spark, path) for path in locations.values()):
        raise ConfigurationError(
            f"{out} holds data that synth did not make",
            hint="give another place (--out PATH), or move that data away first",
        )
    if not reused:
        write_marker(spark, out, marker | {"complete": False})
        locations |= _write(spark, settings, contract, locations)
        write_marker(spark, out, marker | {"complete": True})
    return SynthResult(
        stage="synth",
        seconds=time.monotonic() - started,
        locations=locations,
        notes=(Note("MadeBefore"),) if reused else (),
        customers=options.customers,
        snapshots=options.snapshots,
        seed=options.seed,
        end_date=options.end_date,
        faults=options.faults,
        reused=reused,
    )


def _write(
    spark: SparkSession, settings: Settings, contract: Contract, locations: dict[str, str]
) -> dict[str, str]:
    """Write every table, and return where the list of faults is, where some were planted."""
    options, entity = settings.synth, contract.entity
    plan = SynthPlan(
        customers=options.customers,
        contract=contract,
        snapshots=options.snapshots,
        seed=options.seed,
        end_date=options.end_date,
    )
    edges, events = contract.logs
    tables: dict[str, DataFrame] = {
        entity.name: customers(spark, plan),
        edges.name: connections(spark, plan),
        events.name: interactions(spark, plan),
    }
    faults = {}
    if options.faults:
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
        faults = {FAULTS: f"{settings.synth.out.rstrip('/')}/{FAULTS}"}
        write_parquet(faulty.manifest.coalesce(1), faults[FAULTS])
    for name, rows in tables.items():
        with log.stage(f"making {name}"):
            write_parquet(
                rows, locations[name], partition_by=(day_column(entity),) if name == entity.name else ()
            )
    return faults
