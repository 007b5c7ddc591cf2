"""One measured run of ingest and features on a raw folder: `features_ours.py ROOT LAKE`. Prints one JSON
line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from machine import event_log

from engage_spark.contract import load_contract
from engage_spark.pipelines.features import run_features
from engage_spark.pipelines.ingest.run import run_ingest
from engage_spark.settings import Settings
from engage_spark.spark.session import open_session


def counted(log: Path, root: str, since: float, until: float) -> dict[str, int]:
    """Jobs that started in a span of time, and scans of the raw files by how many columns they read, from
    Spark's event log.
    """
    jobs, plans = 0, {}
    for line in log.read_text().splitlines():
        event = json.loads(line)
        kind = event["Event"].rsplit(".", 1)[-1]
        if kind == "SparkListenerJobStart" and since <= event["Submission Time"] / 1000 <= until:
            jobs += 1
        if kind in ("SparkListenerSQLExecutionStart", "SparkListenerSQLAdaptiveExecutionUpdate"):
            before = plans.get(event["executionId"], (event.get("time", 0) / 1000, None))
            plans[event["executionId"]] = (before[0], event["sparkPlanInfo"])
    widths: list[int] = []
    for started, plan in plans.values():
        if since <= started <= until:
            widths += _raw_scans(plan, root)
    return {
        "jobs": jobs,
        "full_scans": sum(w > 10 for w in widths),
        "narrow_scans": sum(w <= 10 for w in widths),
    }


def _raw_scans(plan: dict[str, Any], root: str) -> list[int]:
    found = [width for child in plan["children"] for width in _raw_scans(child, root)]
    if plan["nodeName"].startswith("Scan parquet") and root in plan["metadata"].get("Location", ""):
        schema = plan["metadata"].get("ReadSchema", "")
        found.append(schema.count(":"))
    return found


def main() -> None:
    root, lake = sys.argv[1:3]
    events = Path(lake) / "events"
    conf = event_log(events) | {"spark.sql.maxMetadataStringLength": "100000"}
    settings = Settings(
        input={"root": root},
        lake={"root": lake},
        spark={"master": "local[2]", "driver_memory": "3g", "shuffle_partitions": 4, "conf": conf},
    )
    contract, seconds, spans = load_contract(), {}, {}
    with open_session(settings) as spark:
        for name, stage in {"ingest": run_ingest, "features": run_features}.items():
            began = time.time()
            stage(spark, settings, contract=contract)
            spans[name] = (began, time.time())
            seconds[name] = spans[name][1] - began
    (log,) = events.iterdir()
    counts = {name: counted(log, root, *span) for name, span in spans.items()}
    print(json.dumps({"seconds": seconds, "counts": counts}))


if __name__ == "__main__":
    main()
