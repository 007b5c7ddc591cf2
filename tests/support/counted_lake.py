"""Make lakes whose tables of analytics are computed from literal customers, without Spark: by the same states
and the same functions as the stage `analyze`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from engage_spark.analytics.changes import change_rows
from engage_spark.analytics.claims import claim_rows
from engage_spark.analytics.correlations import correlation_rows
from engage_spark.analytics.indicators import indicator_rows
from engage_spark.analytics.intervals import mean_or_share
from engage_spark.analytics.plan import (
    CountedDimension,
    CountedMetric,
    SegmentedDimension,
    bands,
    fixed_segments,
    quartile_segments,
    segment_of,
    whole,
)
from engage_spark.analytics.rollups import Grain, days_of_period, last_day_before, rollup_rows
from engage_spark.analytics.state_rows import segment_rows, state_rows
from engage_spark.analytics.states import CUSTOMERS, NULL_SEGMENT, UNIT_BITS, DayStates, MetricState
from engage_spark.contract import Contract, Role, predictions_table, system_contract, tracked_table
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import (
    ACTIVE,
    RETENTION,
    AnalyticsSpec,
    DimensionKind,
    DimensionSpec,
)
from engage_spark.numerics.sketches import DistinctCounter, QuantileCounter
from engage_spark.pipelines.stages import ANALYTICS
from engage_spark.publication import RUN_ID
from tests.support.lake_without_spark import SmallLake

NEWEST = date(2025, 10, 21)
Rows = list[dict[str, Any]]


def counted_lake(root: Path, contract: Contract, days: Mapping[date, pd.DataFrame]) -> SmallLake:
    """Write the customers of each day and their analytics; nothing of derived tables or the graph."""
    lake = SmallLake(root, contract)
    states: dict[date, DayStates] = {}
    for day, customers in sorted(days.items()):
        ingest(lake, day, customers)
        analyze(lake, day, customers, states)
    return lake


def made_customers(contract: Contract, n: int, *, seed: int = 1) -> pd.DataFrame:
    """Draw customers within what the contract declares; about 2% of what may be missing is."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for f in contract.entity.fields:
        if f.is_key and f.spark_type == "string":
            columns[f.name] = [f"CUST-{i:06d}" for i in range(n)]
        elif f.is_key:
            columns[f.name] = np.arange(1, n + 1)
        elif f.allowed:
            columns[f.name] = rng.choice(np.array(f.allowed), n)
        elif f.spark_type in ("int", "bigint", "double"):
            low = 0.0 if f.minimum is None else float(f.minimum)
            high = min(low + 200.0, 1e6 if f.maximum is None else float(f.maximum))
            drawn = low + (high - low) * rng.beta(2, 5, n)
            columns[f.name] = np.round(drawn) if f.spark_type != "double" else np.round(drawn, 3)
        elif f.spark_type == "boolean":
            columns[f.name] = rng.random(n) < 0.4
        elif f.spark_type in ("date", "timestamp"):
            moment = datetime(2025, 3, 1, tzinfo=UTC)
            columns[f.name] = [moment.date() if f.spark_type == "date" else moment] * n
        else:
            columns[f.name] = [f"{f.name} {i}" for i in range(n)]
    frame = pd.DataFrame(columns).astype(object)
    for f in contract.entity.fields:
        if not f.required and not f.is_key:
            frame.loc[rng.random(n) < 0.02, f.name] = None
    return frame


def ingest(lake: SmallLake, day: date, customers: pd.DataFrame, *, attempt: int = 1) -> None:
    """Write and publish the customers of a day."""
    entity = lake.contract.entity
    types = {f.name: f.spark_type for f in entity.fields}
    rows = [
        {name: _value(value, types[name]) for name, value in row.items()}
        for row in customers.to_dict("records")
    ]
    lake.ingest(entity, day, rows, f"i{day:%m%d}{attempt}")


def _value(value: Any, spark_type: str) -> Any:
    if pd.isna(value):
        return None
    if spark_type in ("int", "bigint"):
        return int(value)
    if spark_type == "double":
        return float(value)
    return str(value) if spark_type == "string" else value


def analyze(
    lake: SmallLake,
    day: date,
    customers: pd.DataFrame,
    earlier: dict[date, DayStates],
    *,
    left_out: Sequence[str] = (),
) -> None:
    """Compute and publish the analytics of a day; `earlier` are the states of days before, to which it is
    added. Tables `left_out` are not written.
    """
    everything = analytics_spec_of(lake.contract)
    spec = everything.within({lake.contract.entity.name})
    states, dimensions, values = count(spec, lake.contract, day, customers)
    earlier[day] = states
    metrics = [
        CountedMetric(name=m.name, unit=m.unit, over_time=m.over_time, rolling_days=m.rolling_days)
        for m in spec.metrics
    ]
    published = sorted(earlier)
    of_period = {d for g in Grain for d in days_of_period(g, day, published)}
    tables: dict[str, Rows] = {
        "analytics_states": list(state_rows(states, dimensions)),
        "segments": list(segment_rows(states, dimensions)),
        "rollups": list(rollup_rows(day, {d: earlier[d] for d in of_period}, metrics)),
        "cohorts": _cohorts(spec, day, states),
        "correlations": list(
            correlation_rows(
                np.column_stack([values[m.name] for m in metrics]),
                [m.name for m in metrics],
                population=len(customers),
            )
        ),
        "changes": [
            row
            for grain in Grain
            if (before := last_day_before(grain, day, published)) is not None
            for row in change_rows(
                grain.value, before, earlier[before], states, [d.dimension for d in dimensions]
            )
        ],
        "indicators": list(indicator_rows(everything, states)),
        "claims": list(claim_rows(everything, states, {})),
    }
    assert set(tables) == set(ANALYTICS)
    entity = lake.contract.entity.name
    source = max(
        (r for r in lake.runs if r.stage == f"ingest:{entity}" and r.snapshot_date == day),
        key=lambda r: r.attempt,
    )
    run_id, outputs = f"a{day:%m%d}", {}
    for name, rows in tables.items():
        if rows:
            outputs[name] = 0
        if rows and name not in left_out:
            keyed = [{"snapshot_date": day, **row, "run_id": run_id} for row in rows]
            lake.write(system_contract().table(name), keyed, partition_by=["snapshot_date", "run_id"])
    inputs = {entity: source.run_id}
    lake.publish("analyze", day, run_id, rows=len(customers), outputs=outputs, inputs=inputs)


def count(
    spec: AnalyticsSpec, contract: Contract, day: date, customers: pd.DataFrame
) -> tuple[DayStates, list[SegmentedDimension], dict[str, Any]]:
    """Count the states of a day, and return the values of each metric as well."""
    types = {f.name: f.spark_type for f in contract.entity.fields}
    names = {"double": "DOUBLE", "boolean": "BOOLEAN", "int": "BIGINT", "bigint": "BIGINT"}
    names |= {"date": "DATE", "timestamp": "TIMESTAMPTZ"}
    connection = duckdb.connect()
    connection.execute("CREATE MACRO date_format(d, f) AS strftime(d, '%Y-%m')")
    connection.execute("CREATE MACRO first_of(d, f) AS date_trunc('month', d)")
    connection.execute("CREATE MACRO add_months(d, n) AS d + to_months(n)")
    raw = customers.map(lambda v: None if pd.isna(v) else str(v))
    connection.register("raw", raw.astype("string"))
    columns = ", ".join(
        f'CAST("{name}" AS {names.get(types[name], "VARCHAR")}) AS "{name}"' for name in customers.columns
    )
    rows = f"SELECT {columns}, DATE '{day}' AS snapshot_date FROM raw"

    def values_of(source: str) -> list[Any]:
        sql = source.replace("`", '"').replace("trunc(", "first_of(")
        return [v for (v,) in connection.execute(f"SELECT {sql} FROM ({rows})").fetchall()]

    values = {
        m.name: np.array([np.nan if v is None else float(v) for v in values_of(m.source)])
        for m in spec.metrics
    }
    keys = np.arange(len(customers), dtype=np.int64)
    dimensions, at = [whole()], {"all": np.full(len(customers), "all", object)}
    for d in spec.dimensions:
        segmented, segments = _segmented(d, values_of(d.source))
        dimensions.append(segmented)
        at[d.name] = segments
    states: dict[tuple[str, str, str], MetricState] = {}
    for d in dimensions:
        name, kind = d.dimension.name, d.dimension.kind
        for segment in (s.name for s in d.all_segments):
            inside = at[name] == segment
            if not inside.any():
                continue
            who = DistinctCounter()
            who.add_numbers(keys[inside])
            states[name, segment, CUSTOMERS] = MetricState(int(inside.sum()), customers=who.to_bytes())
            is_summarised = kind.is_summarised
            for metric in values:
                if is_summarised or metric in spec.rule_metrics:
                    states[name, segment, metric] = _state(values[metric][inside], is_summarised)
    return DayStates(states), dimensions, values


def _state(values: Any, is_summarised: bool) -> MetricState:
    here = values[~np.isnan(values)]
    quantiles = None
    if is_summarised:
        counter = QuantileCounter()
        counter.add(here)
        quantiles = counter.to_bytes()
    return MetricState(
        n=len(here),
        nulls=len(values) - len(here),
        sum_units=sum(_units(v) for v in here.tolist()),
        square_units=sum(_units(v * v) for v in here.tolist()),
        minimum=float(here.min()) if len(here) else None,
        maximum=float(here.max()) if len(here) else None,
        quantiles=quantiles,
    )


def _units(value: float) -> int:
    over, under = value.as_integer_ratio()
    return over * ((1 << UNIT_BITS) // under)


def _segmented(d: DimensionSpec, values: list[Any]) -> tuple[SegmentedDimension, Any]:
    dimension = CountedDimension(
        name=d.name, kind=d.kind, source=d.source, field=d.name, values=d.values, bounds=d.bounds
    )
    if d.kind.is_numeric:
        numbers = np.array([np.nan if v is None else float(v) for v in values])
        known = np.sort(numbers[~np.isnan(numbers)])
        if d.kind is DimensionKind.QUARTILE:
            bounds = [float(known[int(len(known) * q)]) for q in (0.25, 0.5, 0.75)] if len(known) else []
            segmented = quartile_segments(dimension, bounds)
        else:
            bounds, segmented = list(d.bounds), SegmentedDimension(dimension, bands(d.bounds))
        names = [s.name for s in segmented.segments]
        at = [
            NULL_SEGMENT if np.isnan(v) else names[int(np.searchsorted(bounds, v, "right"))] for v in numbers
        ]
    elif d.kind.is_rule and not d.values:
        segmented = fixed_segments(dimension)
        at = [NULL_SEGMENT if v is None else str(bool(v)).lower() for v in values]
    else:
        present = d.values or tuple(sorted({v for v in values if v is not None}))
        segmented = SegmentedDimension(dimension, tuple(map(segment_of, present)))
        at = [NULL_SEGMENT if v is None else str(v) for v in values]
    return segmented, np.array(at, object)


def _cohorts(spec: AnalyticsSpec, day: date, states: DayStates) -> Rows:
    units = {m.name: m.unit for m in spec.metrics}
    rows: Rows = []
    for key in spec.cohorts:
        for cohort in states.segments(key.name):
            for metric in ((ACTIVE,) if spec.has_retention else ()) + spec.values:
                state = states.get(key.name, cohort, metric)
                is_dated = key.is_month and cohort != NULL_SEGMENT
                if state is not None:
                    rows.append(
                        {
                            "cohort_key": key.name,
                            "cohort": cohort,
                            "metric": RETENTION if metric == ACTIVE else metric,
                            "age_months": _age(day, cohort) if is_dated else None,
                            "unit": units[metric],
                            "n": state.n,
                            **mean_or_share(state)._asdict(),
                        }
                    )
    return rows


def _age(day: date, cohort: str) -> int:
    year, month = map(int, cohort.split("-"))
    return (day.year - year) * 12 + day.month - month


def predict(
    lake: SmallLake, day: date, customers: pd.DataFrame, *, target: str, feature: str = "a_feature"
) -> None:
    """Publish made-up predictions of a target; one reason of each is of a personal field, masked."""
    field = lake.contract.entity[target]
    table = predictions_table(lake.contract)
    key = lake.contract.entity.key[0]
    rows = []
    for i, k in enumerate(customers[key]):
        is_classes = field.is_two_classes
        value = 0.1 + 0.8 * (i % 10) / 10 if is_classes else 10.0 + i
        rows.append(
            {
                key: int(k) if lake.contract.entity[key].spark_type != "string" else k,
                "snapshot_date": day,
                "target": target,
                "prediction": value,
                "probability": value if is_classes else None,
                "lower": None if is_classes else value - 5,
                "upper": None if is_classes else value + 5,
                "decision": int(value > 0.5) if is_classes else None,
                "decision_threshold": 0.2 if is_classes else None,
                "reasons": [
                    {"feature": feature, "value": "7", "contribution": 0.5},
                    {"feature": "a_personal_field", "value": "***", "contribution": -0.25},
                ],
                "imputed": [],
                "unit": "log-odds",
                "model_name": f"m_{target}",
                "model_version": "3",
                RUN_ID: f"s{target}",
            }
        )
    lake.write(table, rows, partition_by=["snapshot_date", "target", RUN_ID])
    source = next(
        r for r in lake.runs if r.stage == f"ingest:{lake.contract.entity.name}" and r.snapshot_date == day
    )
    inputs = {f"{lake.contract.entity.name}/{day}": source.run_id}
    lake.publish(
        f"score:{target}", day, f"s{target}", rows=len(rows), outputs={"predictions": 0}, inputs=inputs
    )


def measure_graph(lake: SmallLake, day: date, customers: pd.DataFrame) -> None:
    """Publish made-up measures of the graph: the later a customer's row, the more central."""
    from engage_spark.contract import GraphRole

    (vertices,) = lake.contract.of_graph_role(GraphRole.VERTICES)
    key = lake.contract.entity.key[0]
    rows: Rows = []
    for i, k in enumerate(customers[key]):
        row: dict[str, Any] = {f.name: None for f in vertices.fields}
        for f in vertices.fields:
            if f.spark_type == "double":
                row[f.name] = i / 1000
            elif f.spark_type in ("int", "bigint"):
                row[f.name] = i
            elif f.spark_type == "string":
                row[f.name] = "exact"
        rows.append(row | {key: k, "snapshot_date": day, RUN_ID: "g1"})
    lake.write(tracked_table(vertices), rows, partition_by=["snapshot_date", RUN_ID])
    lake.publish(f"graph:{vertices.name}", day, "g1", rows=len(rows), outputs={vertices.name: 0})


def two_days(contract: Contract, n: int = 400) -> dict[date, pd.DataFrame]:
    """Return customers of two days: of the second one, all but three and two new ones."""
    newest = made_customers(contract, n)
    before = newest.iloc[3:].copy()
    target = next((f for f in contract.entity.fields if f.role is Role.TARGET), None)
    if target is not None and target.is_two_classes:
        before[target.name] = [0 if i % 4 == 0 else v for i, v in enumerate(before[target.name])]
    return {NEWEST - timedelta(days=1): before, NEWEST: newest}
