"""Show what changed since the last snapshot, week and month, what explains it, and how it went over time."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

from engage_spark.analytics.rollups import Grain
from engage_spark.numerics.suppression import coarse, coarse_ends, count_beside, is_small
from engage_spark.report.charts import dots, lines
from engage_spark.report.elements import Basis, Choice, Figure, Form, Grid, GridColumn, PageSection
from engage_spark.report.source import CUSTOMERS, WHOLE, Row, Source, texts

KEY, TITLE = "changes", "What changed"
GRAINS = {
    "day": "since the last snapshot",
    "week": "against the week before",
    "month": "against the month before",
}
FEW_LACK = "Where a few lack a value, n is not shown, and figures have fewer digits, intervals wider ends."
DRAWN, EXPLAINED, PERIODS, TRENDS = 20, 400, 60, 40
"""Changes drawn per grain, rows of explanations, periods of a trend, metrics with a trend."""


def only_one(source: Source) -> PageSection:
    """Say that a lake holds one snapshot, so that nothing can have changed."""
    day = source.snapshots[-1]
    return PageSection(
        key=KEY,
        title=TITLE,
        missing=f"This lake holds one snapshot up to this day, that of {day}: nothing can be said of change, "
        "and every figure below is one point in time. The next snapshot brings changes.",
    )


def changes(source: Source) -> PageSection:
    """Show the changes of all customers' metrics.

    Errors: NotPublishedError where they are not published.
    """
    day = source.day("changes")
    whole = source.of_day("changes", where=f"dimension = '{WHOLE}'", order="grain, metric")
    whole = [r for r in whole if r["n_before"] >= 20 and r["n_after"] >= 20]
    if not whole:
        return PageSection(
            key=KEY,
            title=TITLE,
            missing=f"No snapshot before {day} was analysed, so there is nothing to compare it with yet.",
            command="engage-spark analyze",
        )
    counted = {r["grain"]: r for r in whole if r["metric"] == CUSTOMERS}
    whole = [_without_few_lacking(r, counted.get(r["grain"])) for r in whole]
    grains = [g for g in GRAINS if any(r["grain"] == g for r in whole)]
    clear = [r for r in whole if r["grain"] == grains[0] and r["direction"] in ("rise", "fall")]
    before = next(r["previous_date"] for r in whole if r["grain"] == grains[0])
    lead = [
        f"From {before} to {day}, {len(clear):,} of {sum(r['grain'] == grains[0] for r in whole)} metrics "
        "changed by more than chance explains (95% interval, each by itself). Rolling counts share most of "
        "their days with the period before."
    ]
    parts: list[Figure | Grid] = [_figure(source, whole, grains, day), _table(source, whole, day)]
    parts += _explained(source, whole, day)
    if source.days("rollups"):
        parts += _trend(source)
    return PageSection(key=KEY, title=TITLE, lead=lead, parts=parts)


def _values(row: Row, customers: Row | None) -> tuple[int | None, int | None]:
    """Return the numbers of values on both days, without one that would tell how few customers lack a value.

    `customers` is the row that counts the same group.
    """
    of = customers or {"n_before": None, "n_after": None}
    return count_beside(row["n_before"], of["n_before"]), count_beside(row["n_after"], of["n_after"])


def _without_few_lacking(row: Row, customers: Row | None) -> Row:
    """Return a change with its direction, and the `part` that mix and rate are together; where n of a day
    would tell how few lack a value, without the digits that tell it, too: a mean of 301/993 is of 993.

    `customers` is the row that counts the same group.
    """
    mix, rate = row.get("mix"), row.get("rate")
    made = row | {
        "direction": _direction(row),
        "part": None if mix is None or rate is None else mix + rate,
    }
    if row["metric"] == CUSTOMERS or None not in _values(row, customers):
        return made
    whole = min((customers or row)[n] for n in ("n_before", "n_after"))
    low, high = coarse_ends(row["change_lower"], row["change_upper"], whole)
    figures = ("mean_before", "mean_after", "change", "mix", "rate", "part")
    return (
        made | {n: coarse(made.get(n), whole) for n in figures} | {"change_lower": low, "change_upper": high}
    )


def _direction(row: Row) -> str:
    low, high = row["change_lower"], row["change_upper"]
    if row["metric"] == CUSTOMERS:  # counted, not estimated
        low = high = row["change"]
    if low is None or high is None:
        return "cannot be told"
    return "rise" if low > 0 else "fall" if high < 0 else "none" if low == high else "cannot be told"


def _levels(row: Row) -> tuple[float | None, float | None]:
    """Return the level before and after: a mean, or the number of customers."""
    if row["metric"] == CUSTOMERS:
        return row["n_before"], row["n_after"]
    return row["mean_before"], row["mean_after"]


def _relative(row: Row) -> float | None:
    before, _ = _levels(row)
    if row["change"] is None or not before:
        return None
    return float(row["change"] / abs(before))


def _distance(row: Row) -> float:
    """Return how far a change is from none, in widths of its interval."""
    low, high = row["change_lower"], row["change_upper"]
    if low is None or high is None or not high > low or row["change"] is None:
        return 0.0
    return float(abs(row["change"]) / (high - low))


def _figure(source: Source, whole: list[Row], grains: list[str], day: date) -> Figure:
    rows: list[dict[str, Any]] = []
    counted = {r["grain"]: r for r in whole if r["metric"] == CUSTOMERS}
    for grain in grains:
        own = [r for r in whole if r["grain"] == grain and _relative(r) is not None]
        for r in sorted(own, key=lambda r: (-_distance(r), source.rank(r["metric"])))[:DRAWN]:
            before = abs(_levels(r)[0] or 1.0)
            rows.append(
                {
                    "a": grain,
                    "label": source.label(r["metric"]),
                    "value": _relative(r),
                    "low": None if r["change_lower"] is None else r["change_lower"] / before,
                    "high": None if r["change_upper"] is None else r["change_upper"] / before,
                    "n": _values(r, counted.get(grain))[1],
                    "group": r["direction"],
                }
            )
    basis = Basis(
        unit="change as a share of the value before",
        n=max(r["n_after"] for r in whole),
        as_of=day,
    )
    return Figure(
        title="Which metrics moved",
        basis=basis,
        spec=dots(
            rows,
            choices={"a": grains[0]},
            x_title="change, as a share of the value before",
            group_title="direction",
            reference=0.0,
            x_format=".1~%",
        ),
        summary=f"The {DRAWN} metrics that moved farthest beyond chance, with 95% intervals.",
        choices=(Choice(label="Compared", signal="chosen_a", options=[(g, GRAINS[g]) for g in grains]),),
        notes=(
            f"The {DRAWN} that stand farthest from no change, in widths of their interval; a metric whose "
            "value before was 0 is in the table alone.",
        ),
        table=Grid(
            title="relative changes",
            columns=(
                GridColumn("compared", choice=True),
                GridColumn("metric"),
                GridColumn("relative change", Form.SHARE),
                GridColumn("direction", Form.TEXT, choice=True),
                GridColumn("n", Form.COUNT),
            ),
            rows=[(r["a"], r["label"], r["value"], r["group"], r["n"]) for r in rows],
            basis=basis,
        ),
    )


def _table(source: Source, whole: list[Row], day: date) -> Grid:
    order = list(GRAINS)
    counted = {r["grain"]: r for r in whole if r["metric"] == CUSTOMERS}
    rows = [
        (
            source.label(r["metric"]),
            GRAINS[r["grain"]],
            r["previous_date"],
            *_levels(r),
            r["change"],
            (r["change_lower"], r["change_upper"]),
            _relative(r),
            r["direction"],
            source.unit(r["metric"]),
            *_values(r, counted.get(r["grain"])),
        )
        for r in sorted(whole, key=lambda r: (order.index(r["grain"]), source.rank(r["metric"])))
    ]
    return Grid(
        title="All changes",
        columns=(
            GridColumn("metric"),
            GridColumn("compared", choice=True),
            GridColumn("with that of"),
            GridColumn("before", Form.NUMBER),
            GridColumn("after", Form.NUMBER),
            GridColumn("change", Form.NUMBER),
            GridColumn("95% interval", Form.INTERVAL),
            GridColumn("relative", Form.SHARE),
            GridColumn("direction", choice=True),
            GridColumn("unit"),
            GridColumn("n before", Form.COUNT),
            GridColumn("n after", Form.COUNT),
        ),
        rows=rows,
        basis=Basis(unit="as each row states", n=max(r["n_after"] for r in whole), as_of=day),
        notes=[f"Means over {source.people}; of {source.people} their number. " + FEW_LACK],
    )


def _explained(source: Source, whole: list[Row], day: date) -> list[Figure | Grid]:
    """Show which segments' shares and means explain the clearest changes since the last snapshot."""
    grain = next(g for g in GRAINS if any(r["grain"] == g for r in whole))
    clearest = sorted(
        (r for r in whole if r["grain"] == grain), key=lambda r: (-_distance(r), source.rank(r["metric"]))
    )
    metrics = [r["metric"] for r in clearest if r["metric"] != CUSTOMERS][:8]
    if not metrics:
        return []
    parts = f"dimension <> '{WHOLE}' AND segment <> '{WHOLE}'"
    asked = texts([*metrics, CUSTOMERS])
    rows = source.of_day("changes", where=f"{parts} AND grain = '{grain}' AND metric IN ({asked})")
    rows = [r for r in rows if r["dimension"] not in source.left_out]
    counted = {(r["dimension"], r["segment"]): r for r in rows if r["metric"] == CUSTOMERS}
    rows = [r for r in rows if r["metric"] != CUSTOMERS]
    hidden = source.hidden_of_metric(rows, "n_before", "n_after")
    shown = [r for r in rows if (r["dimension"], r["segment"], r["metric"]) not in hidden]
    shown = [
        _without_few_lacking(r, counted.get((r["dimension"], r["segment"])))
        for r in shown
        if r["mix"] is not None and r["rate"] is not None
    ]
    ordered = sorted(
        shown,
        key=lambda r: (metrics.index(r["metric"]), -abs(r["part"]), r["dimension"], r["segment"]),
    )
    per_metric: dict[str, list[Row]] = defaultdict(list)
    for r in ordered:
        per_metric[r["metric"]].append(r)
    listed_rows = [r for m in metrics for r in per_metric[m][: EXPLAINED // len(metrics)]]
    return [
        Grid(
            title=f"What explains the clearest changes {GRAINS[grain]}",
            columns=(
                GridColumn("metric", choice=True),
                GridColumn("dimension", choice=True),
                GridColumn("segment"),
                GridColumn("part in the change", Form.NUMBER),
                GridColumn("by its share (mix)", Form.NUMBER),
                GridColumn("by its mean (rate)", Form.NUMBER),
                GridColumn("unit"),
                GridColumn("n before", Form.COUNT),
                GridColumn("n after", Form.COUNT),
            ),
            rows=[
                (
                    r["metric"],
                    r["dimension"],
                    r["segment"],
                    r["part"],
                    r["mix"],
                    r["rate"],
                    source.unit(r["metric"]),
                    *_values(r, counted.get((r["dimension"], r["segment"]))),
                )
                for r in listed_rows
            ],
            more=len(ordered) - len(listed_rows),
            basis=Basis(unit="as each row states", n=max(r["n_after"] for r in whole), as_of=day),
            notes=[
                "Of each dimension, the parts of all segments add up to the change of the whole. "
                f"Segments that are too small to be shown are left out. {FEW_LACK}"
            ],
        )
    ]


def periods_with_few(rows: list[Row]) -> set[tuple[str, date, str]]:
    """Return grain, start and metric of the points that are not shown: of too few customers or values, and
    weeks and months with such a day, whose mean would follow from those of its other days.
    """
    few = set()
    for r in rows:
        if is_small(r["customers"]) or is_small(r["customer_days"]) or not r["customer_days"]:
            few.add((r["grain"], r["period_start"], r["metric"]))
            if r["grain"] == Grain.DAY and r["customer_days"]:
                longer = (Grain.WEEK, Grain.MONTH)
                few |= {(g.value, g.start(r["period_start"]), r["metric"]) for g in longer}
    return few


def _level(row: Row) -> float | None:
    """Return what is drawn of a period: customers, or the mean, of as many digits as may be told."""
    if row["metric"] == CUSTOMERS:
        return int(row["customers"])
    mean: float | None = row["mean"]
    return coarse(mean, row["customer_days"] + row["nulls"]) if is_small(row["nulls"]) else mean


def _trend(source: Source) -> list[Figure | Grid]:
    last = source.day("rollups")
    rows = source.ask(
        "SELECT grain, period_start, period_days, metric, unit, mean, customers, customer_days, nulls "  # noqa: S608 (a day)
        f"FROM rollups WHERE dimension = '{WHOLE}' AND snapshot_date <= DATE '{last}' "
        "QUALIFY row_number() OVER (PARTITION BY grain, period_start, metric ORDER BY snapshot_date DESC) "
        "= 1 ORDER BY grain, metric, period_start"
    )
    series: dict[tuple[str, str], list[Row]] = defaultdict(list)
    few = periods_with_few(rows)
    for r in rows:
        if (r["grain"], r["period_start"], r["metric"]) not in few:
            series[r["grain"], r["metric"]].append(r)
    metrics = sorted({m for (_, m), points in series.items() if len(points) > 1}, key=source.rank)[:TRENDS]
    if not metrics:
        return []
    grains = [g for g in GRAINS if any((g, m) in series for m in metrics)]
    drawn = [
        {
            "a": source.label(r["metric"]),
            "b": r["grain"],
            "label": str(r["period_start"]),
            "value": _level(r),
            "n": r["customers"],
            "snapshots": r["period_days"],
        }
        for grain in grains
        for metric in metrics
        for r in series[grain, metric][-PERIODS:]
    ]
    units = {r["metric"]: r["unit"] for r in rows}
    basis = Basis(unit="as the metric's choice names", n=f"{source.people}, in each point", as_of=last)
    return [
        Figure(
            title="How a metric went",
            basis=basis,
            spec=lines(
                drawn,
                choices={"a": source.label(metrics[0]), "b": grains[0]},
                x_title="start of the period",
                y_title="value",
            ),
            summary=f"{len(metrics)} metrics over time, by day, week and month.",
            choices=(
                Choice(
                    label="Metric",
                    signal="chosen_a",
                    options=[
                        (source.label(m), f"{source.label(m)} ({source.unit(m, units[m])})") for m in metrics
                    ],
                ),
                Choice(label="Period", signal="chosen_b", options=[(g, g) for g in grains]),
            ),
            notes=(
                f"Means over the rows of all days of a period, of up to {PERIODS} periods; a week or month "
                "is as of its last snapshot, and lacks the days that have none: the table says how many it "
                f"has. Of a period with several, {source.people} are counted once each, within about 3%. "
                "Nothing is summed over days.",
            ),
            table=Grid(
                title="values by period",
                columns=(
                    GridColumn("metric", choice=True),
                    GridColumn("period", choice=True),
                    GridColumn("begins"),
                    GridColumn("value", Form.NUMBER),
                    GridColumn(source.people, Form.COUNT),
                    GridColumn("snapshots", Form.COUNT),
                ),
                rows=[(r["a"], r["b"], r["label"], r["value"], r["n"], r["snapshots"]) for r in drawn][:600],
                more=max(0, len(drawn) - 600),
                basis=basis,
            ),
        )
    ]
