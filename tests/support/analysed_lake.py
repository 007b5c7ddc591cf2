"""Make lakes that hold every table of the report, by deltalake alone: figures are made up and plausible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from engage_spark.contract import Contract, Role, TableKind, graph_spec_of, system_contract
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.pipelines.stages import ANALYTICS
from engage_spark.publication import REJECTED, RUN_ID, Kind
from tests.support.lake_without_spark import SmallLake

NEWEST = date(2025, 10, 21)
Rows = list[dict[str, Any]]


def analysed_lake(
    root: Path,
    contract: Contract,
    *,
    days: int = 3,
    customers: int = 400,
    dimensions: Mapping[str, Sequence[tuple[str | None, int]]] | None = None,
    names: Mapping[str, str] | None = None,
) -> SmallLake:
    """Write a lake of some days, the last NEWEST.

    `dimensions` gives segments and their sizes; by default those of the entity's first categories. `names`
    replaces texts of claims, indicators and segments, such as by hostile ones.
    """
    lake = SmallLake(root, contract)
    texts = dict(names or {})
    groups = dict(dimensions or _default_dimensions(contract, customers))
    for back in range(days - 1, -1, -1):
        day = NEWEST - timedelta(days=back)
        _ingest(lake, day, customers - back, is_newest=back == 0)
        analyse(lake, day, groups, before=None if back == days - 1 else day - timedelta(days=1), texts=texts)
    _features(lake, customers)
    _graph(lake, customers)
    _models(lake, customers, texts)
    return lake


def _default_dimensions(contract: Contract, customers: int) -> dict[str, list[tuple[str | None, int]]]:
    categories = [f for f in contract.entity.fields if f.allowed and f.role is not Role.TARGET][:3]
    made: dict[str, list[tuple[str | None, int]]] = {}
    for f in categories:
        values = [str(v) for v in f.allowed][:8]
        sizes = [max(24, customers // (2**i * 2)) for i in range(len(values) - 1)]
        made[f.name] = [*zip(values, [*sizes, max(0, customers - sum(sizes))], strict=True)]
    return made or {"half": [("one", customers // 2), ("other", customers - customers // 2)]}


def _ingest(lake: SmallLake, day: date, n: int, *, is_newest: bool) -> None:
    entity = lake.contract.entity
    results = [
        {
            "run_id": f"i{day:%j}",
            "table_name": entity.name,
            "snapshot_date": day,
            "rule_name": name,
            "column_name": None,
            "severity": severity,
            "dimension": "validity",
            "rows_checked": n,
            "violations": broken,
            "measured": 100 * broken / n,
            "unit": "percent",
            "minimum": None,
            "maximum": 0.0,
            "passed": broken == 0,
            "samples": [],
            "description": f"The rule {name}.",
        }
        for name, severity, broken in (
            ("in_range", "critical", 3),
            ("known", "warning", 1),
            ("filled", "info", 0),
        )
    ]
    key = entity.key[0]
    for attempt, status in enumerate(["published", *([REJECTED] if is_newest else [])]):
        run_id = f"i{day:%j}{'r' if attempt else ''}"
        rows = [{key: f"CUST-{i:06d}", RUN_ID: run_id} for i in range(3)]
        lake.ingest(entity, day, rows, run_id, killed=True)
        own = [result | {"run_id": run_id} for result in results]
        outputs = {f"{entity.name}_judged": 0}
        lake.publish(
            f"ingest:{entity.name}",
            day,
            run_id,
            rows=n,
            quarantined=3,
            outputs=outputs,
            status=status,
            quality_results=own,
        )


def _publish(lake: SmallLake, stage: str, day: date, tables: Mapping[str, Rows], run_id: str) -> None:
    for name, rows in tables.items():
        if not rows:  # as the stage does
            continue
        table = system_contract().table(name)
        keyed = [{"snapshot_date": day, **row, "run_id": run_id} for row in rows]
        lake.write(table, keyed, partition_by=["snapshot_date", "run_id"])
    n = sum(map(len, tables.values()))
    outputs = {name: 0 for name, rows in tables.items() if rows}
    lake.publish(stage, day, run_id, rows=n, outputs=outputs)


def analyse(
    lake: SmallLake,
    day: date,
    dimensions: Mapping[str, Sequence[tuple[str | None, int]]],
    *,
    before: date | None,
    texts: Mapping[str, str],
    n_metrics: int = 8,
) -> None:
    """Write the tables of analytics of a day; `before` is the snapshot that it is compared with."""
    rng = np.random.default_rng(day.toordinal())
    entity = lake.contract.entity
    numbers = [f for f in entity.fields if f.spark_type in ("int", "bigint", "double") and not f.is_key]
    metrics = [(f.name, f.unit, f.reference_mean or 10.0) for f in numbers[:n_metrics]]
    targets = [f.name for f in entity.fields if f.role is Role.TARGET]
    kinds = {d.name: str(d.kind) for d in analytics_spec_of(lake.contract).dimensions}
    total = max((sum(n for _, n in segments) for segments in dimensions.values()), default=0)
    made: dict[str, Rows] = {name: [] for name in ANALYTICS}
    made["analytics_states"] = [
        {
            "dimension": "all",
            "segment": "all",
            "metric": "customers",
            "dimension_kind": "all",
            "segment_order": 0,
            "n": 0,
            "nulls": 0,
        }
    ]
    for dimension, segments in {"all": [("all", total)], **dimensions}.items():
        kind = "all" if dimension == "all" else kinds.get(dimension, "category")
        for order, (segment, n) in enumerate(segments):
            label = texts.get(str(segment), segment) if segment is not None else "(null)"
            at = {"dimension": dimension, "segment": label}
            if dimension != "all":
                extra = {
                    "dimension_kind": kind,
                    "segment_order": order,
                    "description": f"{dimension} is {label}",
                }
                made["segments"].append(at | extra | {"customers": n, "share": n / max(total, 1)})
            if order == 0 and dimension != "all":
                of_all = {"dimension": dimension, "segment": "all"}
                _measure(
                    {"rollups": [], "changes": made["changes"]}, of_all, total, metrics, day, before, rng
                )
            _measure(made, at, n, [("customers", "customers", 0.0), *metrics], day, before, rng)
    for key, segments in list(dimensions.items())[:1]:
        for segment, n in segments:
            for metric, unit, value in (("retention", None, 0.8), (numbers[0].name, numbers[0].unit, 12.0)):
                cohort = texts.get(str(segment), segment) if segment is not None else "(null)"
                level = value + rng.normal(0, 0.02)
                made["cohorts"].append(
                    {
                        "cohort_key": key,
                        "cohort": cohort,
                        "metric": metric,
                        "unit": unit,
                        "n": n,
                        "value": level,
                        "lower": level - 0.05,
                        "upper": level + 0.05,
                    }
                )
    _pairs(made, [name for name, _, _ in metrics], total, rng)
    _rules(made, targets, total, texts)
    _claims(made, total, texts)
    _publish(lake, "analyze", day, made, f"a{day:%j}")


def _measure(
    made: dict[str, Rows],
    at: Mapping[str, Any],
    n: int,
    metrics: Sequence[tuple[str, str | None, float]],
    day: date,
    before: date | None,
    rng: np.random.Generator,
) -> None:
    for metric, unit, mean in metrics:
        level = mean * (1 + 0.1 * rng.normal())
        common = {"metric": metric, "unit": unit, "customers": n, "customer_days": n, "nulls": 0, "last_n": n}
        values = {} if metric == "customers" else {"mean": level, "last_mean": level}
        values |= {} if metric == "customers" else {"standard_deviation": abs(mean) / 2}
        starts = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}
        made["rollups"] += [
            {
                "grain": grain,
                **at,
                "period_start": start,
                "period_days": 1,
                "segment_days": 1,
                "over_time": "stock",
                **common,
                **values,
            }
            for grain, start in starts.items()
        ]
        if before is not None:
            half = 1.0 if metric == "customers" else abs(mean) / math.sqrt(max(n, 1))
            change = rng.normal(0, 2 * half)
            made["changes"].append(
                {
                    "grain": "day",
                    **at,
                    "metric": metric,
                    "previous_date": before,
                    "n_before": n,
                    "n_after": n,
                    "mean_before": None if metric == "customers" else level - change,
                    "mean_after": None if metric == "customers" else level,
                    "change": change,
                    "change_lower": None if metric == "customers" else change - half,
                    "change_upper": None if metric == "customers" else change + half,
                    "mix": change / 3,
                    "rate": 2 * change / 3,
                }
            )


def _pairs(made: dict[str, Rows], metrics: Sequence[str], n: int, rng: np.random.Generator) -> None:
    for i, first in enumerate(metrics):
        for second in metrics[i + 1 :]:
            r = float(np.clip(rng.normal(0, 0.4), -0.95, 0.95))
            made["correlations"].append(
                {
                    "first_metric": first,
                    "second_metric": second,
                    "n": n,
                    "n_population": n,
                    "pearson": r * 0.9,
                    "pearson_lower": r - 0.1,
                    "pearson_upper": r + 0.1,
                    "spearman": r,
                    "spearman_lower": r - 0.08,
                    "spearman_upper": r + 0.08,
                    "mutual_information": r * r / 2,
                    "p_value": 0.01,
                    "p_adjusted": 0.04,
                    "pairs_tested": len(metrics) * (len(metrics) - 1) // 2,
                }
            )


def _rules(made: dict[str, Rows], targets: Sequence[str], n: int, texts: Mapping[str, str]) -> None:
    for i, name in enumerate(("long_absent", "no_frills", "rarely_seen", "well_rated")):
        for target in targets:
            lift = 0.7 + 0.3 * i
            made["indicators"].append(
                {
                    "indicator": texts.get(name, name),
                    "target": target,
                    "version": 1,
                    "description": f"Rule {name}.",
                    "expression": "field > 30",
                    "aim": targets[0],
                    "direction": "high",
                    "measured": i < 3,
                    "reason": None if i < 3 else "the graph is not there",
                    "customers": n,
                    "n": n // (i + 2),
                    "n_unknown": 0,
                    "prevalence": 1 / (i + 2),
                    "prevalence_lower": 1 / (i + 2) - 0.02,
                    "prevalence_upper": 1 / (i + 2) + 0.02,
                    "n_with": n // (i + 2),
                    "n_without": n - n // (i + 2),
                    "mean_with": 0.3 * lift,
                    "mean_without": 0.3,
                    "lift": lift if i < 3 else None,
                    "lift_lower": lift - 0.1 if i < 3 else None,
                    "lift_upper": lift + 0.1 if i < 3 else None,
                }
            )


def _claims(made: dict[str, Rows], n: int, texts: Mapping[str, str]) -> None:
    verdicts = ("holds", "weaker", "absent", "contradicted", "cannot_be_told")
    for i in range(25):
        name = f"claim_{i:02d}"
        measured = None if verdicts[i % 5] == "cannot_be_told" else 2.0 + i / 10
        made["claims"].append(
            {
                "claim": name,
                "version": 1,
                "statement": texts.get(name, f"Statement {i} about the rows."),
                "source": "Business Insights",
                "kind": ("mean", "ratio", "shape")[i % 3],
                "unit": "ratio",
                "claimed": 3.0,
                "measured": measured,
                "lower": measured and measured - 0.2,
                "upper": measured and measured + 0.2,
                "n": n,
                "n_group": n // 2 if i % 3 == 1 else None,
                "n_rest": n - n // 2 if i % 3 == 1 else None,
                "verdict": verdicts[i % 5],
                "explanation": "Decided by the interval.",
            }
        )


def _features(lake: SmallLake, n: int) -> None:
    rng = np.random.default_rng(1)
    for table in lake.contract.tables:
        if table.kind is TableKind.DERIVED:
            rows = [_made_row(table, i, rng) for i in range(n)]
            run_id = f"f{table.name}"
            _write_tracked(lake, table, rows, run_id)
            lake.publish(f"features:{table.name}", NEWEST, run_id, rows=n, outputs={table.name: 0})


def _graph(lake: SmallLake, n: int) -> None:
    from engage_spark.contract import GraphRole

    if not lake.contract.of_graph_role(GraphRole.VERTICES):
        return
    spec, rng = graph_spec_of(lake.contract), np.random.default_rng(2)
    _write_tracked(lake, spec.vertices, [_made_row(spec.vertices, i, rng) for i in range(n)], "g1")
    compared = {
        "field_name": "network_centrality",
        "rows_compared": n,
        "rows_without_given": 0,
        "spearman": 0.4,
    }
    figures = {
        f.name: 0.2 for f in system_contract().table("graph_comparison").fields if f.spark_type == "double"
    }
    tables: dict[str, Rows] = {"graph_comparison": [figures | compared]}
    for name, rows in tables.items():
        lake.write(
            system_contract().table(name),
            [{"snapshot_date": NEWEST, **row, "run_id": "g1"} for row in rows],
            partition_by=["snapshot_date", "run_id"],
        )
    outputs = {spec.vertices.name: 0, "graph_comparison": 0}
    lake.publish(f"graph:{spec.vertices.name}", NEWEST, "g1", rows=n, outputs=outputs)


def _write_tracked(lake: SmallLake, table: Any, rows: Rows, run_id: str) -> None:
    from engage_spark.contract import tracked_table

    own = [row | {"snapshot_date": NEWEST, RUN_ID: run_id} for row in rows]
    lake.write(tracked_table(table), own, partition_by=["snapshot_date", RUN_ID])


def _made_row(table: Any, i: int, rng: np.random.Generator) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for f in table.fields:
        if f.is_key and f.spark_type == "string":
            row[f.name] = f"CUST-{i:06d}"
        elif f.spark_type == "double":
            row[f.name] = float(rng.lognormal(0, 0.6))
        elif f.spark_type in ("int", "bigint"):
            row[f.name] = int(rng.poisson(6))
        elif f.spark_type == "boolean":
            row[f.name] = bool(rng.random() < 0.4)
    return row


def _models(lake: SmallLake, n: int, texts: Mapping[str, str]) -> None:
    targets = [f for f in lake.contract.entity.fields if f.role is Role.TARGET]
    if not targets:
        return
    table = system_contract().table("training_runs")
    rows = [
        {
            "run_id": "t1",
            "target": f.name,
            "snapshot_date": NEWEST,
            "snapshots": [NEWEST],
            "policy": "strict",
            "task": "two classes",
            "candidate": "gbt",
            "rows_fit": n // 2,
            "rows_held_out": n // 5,
            "features": ["a", "b"],
            "metric": "pr_auc",
            "higher_is_better": True,
            "baseline": 0.3,
            "baseline_lower": 0.25,
            "baseline_upper": 0.35,
            "cross_validated": 0.5,
            "cross_validated_deviation": 0.01,
            "held_out": 0.48,
            "held_out_lower": 0.44,
            "held_out_upper": 0.52,
            "threshold": 0.1,
            "promoted": True,
            "provisional": False,
            "reason": texts.get("reason", "It is better than the baseline."),
            "contract_digest": "",
            "table_versions": "{}",
        }
        for f in targets
    ]
    lake.write(table, rows, partition_by=["run_id"])
    lake.publish("train", NEWEST, "t1", rows=n, outputs={"training_runs": 0}, kind=Kind.TRAINING)
    protected = [f for f in lake.contract.entity.fields if f.protected]
    attribute = protected[0].name if protected else "group"
    target = targets[0].name
    measured: Rows = [
        {
            "measure": measure,
            "attribute": of and attribute,
            "member": of,
            "value": value,
            "low": value - 0.05,
            "high": value + 0.05,
            "n_rows": rows_of,
            "bound": 0.8,
            "verdict": verdict,
        }
        for measure, of, value, rows_of, verdict in (
            ("auc", None, 0.74, n, "within"),
            ("coverage", None, 0.88, n, "undecided"),
            ("selection_rate", "one", 0.31, n // 2, "within"),
            ("selection_rate", "another", 0.28, n // 4, "past"),
            ("selection_rate", "third", 0.25, n // 8, "unbounded"),
            ("selection_rate", "tiny", 0.9, 7, "unbounded"),
        )
    ]
    common = {
        "target": target,
        "model_name": "m",
        "model_version": "1",
        "made_ahead": True,
        "predictions_run": "s1",
    }
    _publish(
        lake, f"monitor:{target}", NEWEST, {"model_monitoring": [common | row for row in measured]}, "m1"
    )
    for later in targets[1:2]:  # its labels mature later
        rows = [common | row | {"target": later.name, "model_name": "matures later"} for row in measured]
        _publish(lake, f"monitor:{later.name}", NEWEST - timedelta(days=30), {"model_monitoring": rows}, "m2")
