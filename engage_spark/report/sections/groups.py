"""Show segments, how metrics differ between them, and cohorts over the snapshots."""

from __future__ import annotations

from collections import defaultdict
from math import isclose, sqrt
from typing import Any

from engage_spark.analytics.intervals import Estimate, share_estimate, student
from engage_spark.analytics.segment_suppression import hidden_segments
from engage_spark.contract.analytics_spec import DimensionKind
from engage_spark.errors import NotPublishedError
from engage_spark.numerics.suppression import SMALLEST_GROUP, coarse, coarse_ends, count_beside, is_small
from engage_spark.report.charts import bars, dots, lines
from engage_spark.report.elements import Basis, Choice, Figure, Form, Grid, GridColumn, PageSection
from engage_spark.report.source import CUSTOMERS, Row, Source, texts
from engage_spark.wording import counted

DRAWN, LISTED, CELLS, CURVES, SNAPSHOTS = 30, 500, 6000, 5, 60
"""Segments drawn per dimension, rows of tables, values in a plot, curves of a measure and their snapshots."""
LAST_QUARTILE = 3
_KINDS = {"indicator": "rule", "all": "all"}


def segments(source: Source) -> PageSection:
    """Show the segments of each dimension and the metrics in them.

    Errors: NotPublishedError where they are not published.
    """
    day = source.day("segments")
    rows = source.of_day("segments", order="dimension, segment_order, segment")
    rows = [
        r
        for r in rows
        if r["dimension"] not in source.left_out
        and r["dimension_kind"] not in (DimensionKind.ALL, DimensionKind.CLAIM)
    ]
    shown = [r for r in rows if r["segment"] not in source.hidden.get(r["dimension"], frozenset())]
    by_dimension: dict[str, list[Row]] = defaultdict(list)
    for r in shown:
        by_dimension[r["dimension"]].append(r)
    n_hidden = len(rows) - len(shown)
    lead = [
        f"{counted(len({r['dimension'] for r in rows}), 'way')} to group {source.people}, with "
        f"{counted(len(rows), 'group')}."
    ]
    if n_hidden:
        lead.append(
            f"{n_hidden:,} groups are not shown: fewer than {SMALLEST_GROUP} {source.people} on the day, or "
            "in a period that it is compared or merged with, or next to such a group, so that no subtraction "
            "gives it away."
        )
    if not shown:
        return PageSection(
            key="segments",
            title="Segments",
            lead=lead,
            missing=f"No group has enough {source.people} to be shown.",
        )
    total = _total(by_dimension, rows)
    parts: list[Figure | Grid] = [_shares(source, by_dimension, total)]
    parts += _metrics(source, by_dimension)
    parts.append(_list(source, shown, total, day))
    return PageSection(key="segments", title="Segments", lead=lead, parts=parts)


def _total(by_dimension: dict[str, list[Row]], rows: list[Row]) -> int:
    sums: dict[str, int] = defaultdict(int)
    for r in rows:
        sums[r["dimension"]] += int(r["customers"])
    return max(sums[d] for d in by_dimension)


def _shares(source: Source, by_dimension: dict[str, list[Row]], total: int) -> Figure:
    rows: list[dict[str, Any]] = []
    dimensions = sorted(by_dimension, key=lambda d: (by_dimension[d][0]["dimension_kind"] == "indicator", d))
    for dimension in dimensions:
        own = by_dimension[dimension]
        if len(own) > DRAWN:
            own = sorted(own, key=lambda r: (-r["customers"], r["segment"]))[:DRAWN]
        rows += [
            {"a": dimension, "label": r["segment"], "value": r["share"], "n": r["customers"]} for r in own
        ]
    basis = Basis(unit=f"share of {source.people}", n=total, as_of=source.day("segments"))
    return Figure(
        title=f"How {source.people} are spread over groups",
        basis=basis,
        spec=bars(rows, choices={"a": dimensions[0]}, x_title=f"share of {source.people}", x_format=".0~%"),
        summary=f"Shares of {source.people} by segment, in {len(dimensions)} dimensions.",
        choices=(Choice(label="Grouped by", signal="chosen_a", options=[(d, d) for d in dimensions]),),
        notes=(f"Of a dimension with more than {DRAWN} groups, the {DRAWN} largest.",),
        table=Grid(
            title="shares by segment",
            columns=(
                GridColumn("grouped by", choice=True),
                GridColumn("segment"),
                GridColumn("share", Form.SHARE),
                GridColumn(source.people, Form.COUNT),
            ),
            rows=[(r["a"], r["label"], r["value"], r["n"]) for r in rows][:LISTED],
            more=max(0, len(rows) - LISTED),
            basis=basis,
        ),
    )


def _means(by_dimension: dict[str, list[Row]], by_metric: dict[str, list[Row]]) -> list[dict[str, Any]]:
    """Return what is drawn of each metric: a mean and its interval for each segment, in their order."""
    place = {(r["dimension"], r["segment"]): i for own in by_dimension.values() for i, r in enumerate(own)}
    drawn: list[dict[str, Any]] = []
    for metric, own_rows in by_metric.items():
        for r in sorted(
            own_rows, key=lambda r: (r["dimension"], place.get((r["dimension"], r["segment"]), 0))
        ):
            value, low, high = estimate_of(r)
            if is_small(r["nulls"]):
                whole = r["customer_days"] + r["nulls"]
                value, (low, high) = coarse(value, whole), coarse_ends(low, high, whole)
            drawn.append(
                {
                    "a": metric,
                    "b": r["dimension"],
                    "label": r["segment"],
                    "value": value,
                    "low": low,
                    "high": high,
                    # Beside the group's customers, it would tell how many lack a value.
                    "n": None if is_small(r["nulls"]) else r["customer_days"],
                }
            )
    return drawn


def _metrics(source: Source, by_dimension: dict[str, list[Row]]) -> list[Figure | Grid]:
    """Show means by segment, of dimensions that can be drawn, as far as the page bears."""
    drawable = sorted(d for d, own in by_dimension.items() if len(own) <= DRAWN)
    if not drawable or not source.days("rollups"):
        return []
    rows = source.of_day(
        "rollups", where=f"grain = 'day' AND metric <> '{CUSTOMERS}' AND dimension IN ({texts(drawable)})"
    )
    hidden = source.hidden_of_metric(rows, "customer_days")
    metrics, n_cells = [], 0
    by_metric: dict[str, list[Row]] = defaultdict(list)
    for r in rows:
        if r["mean"] is not None and (r["dimension"], r["segment"], r["metric"]) not in hidden:
            by_metric[r["metric"]].append(r)
    for metric in sorted(by_metric, key=source.rank):
        if n_cells + len(by_metric[metric]) > CELLS:
            break
        metrics.append(metric)
        n_cells += len(by_metric[metric])
    if not metrics:
        return []
    drawn = _means(by_dimension, {m: by_metric[m] for m in metrics})
    units = {r["metric"]: r["unit"] for r in rows}
    dimensions = sorted({r["b"] for r in drawn})
    basis = Basis(
        unit="as the metric's choice names", n=f"{source.people}, in each row", as_of=source.day("rollups")
    )
    left_out = len(by_metric) - len(metrics)
    return [
        Figure(
            title="How a metric differs between groups",
            basis=basis,
            spec=dots(
                drawn, choices={"a": metrics[0], "b": dimensions[0]}, x_title="mean, with its 95% interval"
            ),
            summary=f"Means of {len(metrics)} metrics by segment of {len(dimensions)} dimensions.",
            choices=(
                Choice(
                    label="Metric",
                    signal="chosen_a",
                    options=[(m, f"{m} ({source.unit(m, units[m])})") for m in metrics],
                ),
                Choice(label="Grouped by", signal="chosen_b", options=[(d, d) for d in dimensions]),
            ),
            notes=("A difference between groups is an association; it does not say what causes it.",)
            + ((f"{left_out:,} more metrics are in the table rollups.",) if left_out else ()),
            table=Grid(
                title="means by metric and segment",
                columns=(
                    GridColumn("metric", choice=True),
                    GridColumn("grouped by", choice=True),
                    GridColumn("segment"),
                    GridColumn("mean", Form.NUMBER),
                    GridColumn("95% interval", Form.INTERVAL),
                    GridColumn("n", Form.COUNT),
                ),
                rows=[
                    (r["a"], r["b"], r["label"], r["value"], (r["low"], r["high"]), r["n"])
                    for r in drawn[:LISTED]
                ],
                more=max(0, len(drawn) - LISTED),
                basis=basis,
            ),
        )
    ]


def estimate_of(row: Row) -> Estimate:
    """Return a day's mean of a group with its interval: Wilson's of values of 0 and 1, else Student's."""
    n, mean, deviation = int(row["customer_days"]), row["mean"], row["standard_deviation"]
    least, greatest = row["minimum"], row["maximum"]
    if deviation is None or n < 2:
        return Estimate(mean)
    # Of values from 0 to 1, those that are 0 or 1 alone have the variance of a share.
    spread = mean * (1 - mean) * n / (n - 1)
    is_within = least is not None and greatest is not None and least >= 0 and greatest <= 1
    if is_within and isclose(deviation**2, spread, rel_tol=1e-9):
        return share_estimate(round(mean * n), n)
    half = student(n - 1) * deviation / sqrt(n)
    return Estimate(mean, mean - half, mean + half)


def _list(source: Source, shown: list[Row], total: int, day: Any) -> Grid:
    listed = sorted(shown, key=lambda r: (r["dimension"], r["segment_order"], r["segment"]))[:LISTED]
    return Grid(
        title="Groups and their boundaries",
        columns=(
            GridColumn("grouped by", choice=True),
            GridColumn("kind", choice=True),
            GridColumn("segment"),
            GridColumn("from", Form.NUMBER),
            GridColumn("below", Form.NUMBER),
            GridColumn(source.people, Form.COUNT),
            GridColumn("share", Form.SHARE),
            GridColumn("in words"),
        ),
        rows=[
            (
                r["dimension"],
                _KINDS.get(r["dimension_kind"], r["dimension_kind"]),
                r["segment"],
                *_bounds(r),
                r["customers"],
                r["share"],
                r["description"],
            )
            for r in listed
        ],
        more=len(shown) - len(listed),
        basis=Basis(unit="boundaries in the unit of the field", n=total, as_of=day),
    )


def _bounds(row: Row) -> tuple[float | None, float | None]:
    """Return where a group begins and ends; the outer ends of quartiles are single people's values."""
    if row["dimension_kind"] != "quartile":
        return row["lower"], row["upper"]
    return (row["lower"] if row["segment_order"] > 0 else None), (
        row["upper"] if row["segment_order"] < LAST_QUARTILE else None
    )


def cohorts(source: Source) -> PageSection:
    """Show retention and value of each cohort, over the snapshots that were analysed.

    Errors: NotPublishedError where they are not published.
    """
    day = source.day("cohorts")
    rows = source.ask(
        f"SELECT * FROM cohorts WHERE snapshot_date <= DATE '{day}' "  # noqa: S608 (a day)
        "ORDER BY cohort_key, metric, cohort, snapshot_date"
    )
    rows = [r for r in rows if r["cohort_key"] not in source.left_out]
    hidden = _hidden_cohorts(source, rows)
    shown = [
        r
        for r in rows
        if r["value"] is not None and (r["cohort_key"], r["metric"], r["cohort"]) not in hidden
    ]
    shown = _without_few_lacking(shown)
    newest = [r for r in shown if r["snapshot_date"] == day]
    lead = [
        f"Groups of {source.people} who belong together: who is active, and what they are worth, as of a "
        "day. Retention is the share that is active among those whom the snapshot still lists; who is gone "
        "from it is not counted."
    ]
    if hidden:
        lead.append(
            f"{len({h[::2] for h in hidden}):,} cohorts are not shown: too small, or next to such a one."
        )
    if not newest:
        missing = (
            "The contract declares no cohorts." if not rows else f"No cohort has enough {source.people}."
        )
        return PageSection(key="cohorts", title="Cohorts", lead=lead if rows else (), missing=missing)
    parts: list[Figure | Grid] = [_curve(newest, source, day)]
    if len({r["snapshot_date"] for r in shown}) > 1:
        parts.append(_over_time(shown, source, day))
    parts.append(_cohort_list(newest, _first_sizes(shown, day), source, day))
    return PageSection(key="cohorts", title="Cohorts", lead=lead, parts=parts)


def _hidden_cohorts(source: Source, rows: list[Row]) -> frozenset[tuple[str, str, str]]:
    """Return key, metric and cohort of what is not shown on any snapshot."""
    days = sorted({r["snapshot_date"] for r in rows})
    counts: dict[tuple[str, str], dict[str, dict[Any, int]]] = defaultdict(lambda: defaultdict(dict))
    for r in rows:
        counts[r["cohort_key"], r["metric"]][r["cohort"]][r["snapshot_date"]] = int(r["n"])
    hidden = set()
    for (key, metric), of_cohort in counts.items():
        table = {cohort: [by_day.get(d) for d in days] for cohort, by_day in sorted(of_cohort.items())}
        elsewhere = source.hidden.get(key, frozenset())
        hidden |= {(key, metric, c) for c in hidden_segments(table, hidden_elsewhere=elsewhere)}
    return frozenset(hidden)


def _coarse(row: Row, whole: int) -> Row:
    low, high = coarse_ends(row["lower"], row["upper"], whole)
    return {"value": coarse(row["value"], whole), "lower": low, "upper": high}


def _without_few_lacking(rows: list[Row]) -> list[Row]:
    """Add `shown_n`, the n that may be shown: none where, beside the cohort's greatest on the day, it tells
    how few lack a value. There the figures lose the digits that tell it.
    """
    sizes: dict[Any, int] = defaultdict(int)
    for r in rows:
        at = r["cohort_key"], r["cohort"], r["snapshot_date"]
        sizes[at] = max(sizes[at], int(r["n"]))
    made = []
    for r in rows:
        whole = sizes[r["cohort_key"], r["cohort"], r["snapshot_date"]]
        n = count_beside(int(r["n"]), whole)
        made.append(r | {"shown_n": n} | ({} if n is not None else _coarse(r, whole)))
    return made


def _slice(row: Row, source: Source) -> str:
    unit = "share active" if row["metric"] == "retention" else source.unit(row["metric"], row["unit"])
    return f"{row['metric']} ({unit}) by {row['cohort_key']}"


def _curve(newest: list[Row], source: Source, day: Any) -> Figure:
    """Draw each cohort's value on the newest day: by age where cohorts are months, else side by side."""
    rows = [
        {
            "a": _slice(r, source),
            "label": r["cohort"],
            "value": r["value"],
            "low": r["lower"],
            "high": r["upper"],
            "n": r["shown_n"],
        }
        for r in sorted(
            newest, key=lambda r: (r["cohort_key"], r["metric"] != "retention", r["metric"], r["cohort"])
        )
    ]
    per_slice: dict[str, int] = defaultdict(int)
    drawn = []
    for r in rows[::-1]:  # of long lists the newest cohorts
        per_slice[r["a"]] += 1
        if per_slice[r["a"]] <= DRAWN:
            drawn.append(r)
    drawn = drawn[::-1]
    slices = list(dict.fromkeys(r["a"] for r in drawn))
    basis = Basis(unit="as the choice names", n=f"{source.people}, in each row", as_of=day)
    return Figure(
        title="Cohorts side by side",
        basis=basis,
        spec=dots(drawn, choices={"a": slices[0]}, x_title="value, with its 95% interval"),
        summary=f"{len(slices)} measures by cohort on {day}, with 95% intervals.",
        choices=(Choice(label="Measure", signal="chosen_a", options=[(s, s) for s in slices]),),
        notes=(f"Up to {DRAWN} cohorts; of months the newest.",),
        table=Grid(
            title="values by cohort",
            columns=(
                GridColumn("measure", choice=True),
                GridColumn("cohort"),
                GridColumn("value", Form.NUMBER),
                GridColumn("95% interval", Form.INTERVAL),
                GridColumn("n", Form.COUNT),
            ),
            rows=[(r["a"], r["label"], r["value"], (r["low"], r["high"]), r["n"]) for r in drawn][:LISTED],
            more=max(0, len(drawn) - LISTED),
            basis=basis,
        ),
    )


def _over_time(shown: list[Row], source: Source, day: Any) -> Figure:
    """Draw the curves of some cohorts of each measure: of months the newest, of categories the largest."""
    recent = set(sorted({r["snapshot_date"] for r in shown})[-SNAPSHOTS:])
    ordered = sorted(
        (r for r in shown if r["snapshot_date"] in recent),
        key=lambda r: (r["cohort_key"], r["metric"] != "retention", r["metric"]),
    )
    ranks: dict[str, dict[str, tuple[bool, str, int]]] = defaultdict(dict)
    for r in ordered:
        is_month = r["age_months"] is not None
        ranks[_slice(r, source)][r["cohort"]] = (is_month, r["cohort"] if is_month else "", r["n"])
    drawn = {name: sorted(of, key=lambda c: of[c], reverse=True)[:CURVES] for name, of in ranks.items()}
    rows = [
        {
            "a": _slice(r, source),
            "group": r["cohort"],
            "label": str(r["snapshot_date"]),
            "value": r["value"],
            "low": r["lower"],
            "high": r["upper"],
            "n": r["shown_n"],
        }
        for r in ordered
        if r["cohort"] in drawn[_slice(r, source)]
    ][:CELLS]
    slices = list(dict.fromkeys(r["a"] for r in rows))
    basis = Basis(unit="as the choice names", n=f"{source.people}, in each point", as_of=day)
    return Figure(
        title="Cohorts over the snapshots",
        basis=basis,
        spec=lines(rows, choices={"a": slices[0]}, x_title="snapshot", y_title="value"),
        summary=f"Curves of cohorts over {len({r['label'] for r in rows})} snapshots, with 95% intervals.",
        choices=(Choice(label="Measure", signal="chosen_a", options=[(s, s) for s in slices]),),
        notes=(
            f"Up to {CURVES} cohorts of a measure, of months the newest, else the largest, on the last "
            f"{SNAPSHOTS} snapshots.",
        ),
        table=Grid(
            title="curves",
            columns=(
                GridColumn("measure", choice=True),
                GridColumn("cohort"),
                GridColumn("snapshot"),
                GridColumn("value", Form.NUMBER),
                GridColumn("95% interval", Form.INTERVAL),
                GridColumn("n", Form.COUNT),
            ),
            rows=[
                (r["a"], r["group"], r["label"], r["value"], (r["low"], r["high"]), r["n"])
                for r in rows[:LISTED]
            ],
            more=max(0, len(rows) - LISTED),
            basis=basis,
        ),
    )


def _first_sizes(shown: list[Row], day: Any) -> dict[tuple[str, str, str], int | None]:
    """Return the customers of each cohort and measure on its first snapshot, where that is before a day."""
    first: dict[tuple[str, str, str], int | None] = {}
    for r in sorted((r for r in shown if r["snapshot_date"] < day), key=lambda r: r["snapshot_date"]):
        first.setdefault((r["cohort_key"], r["metric"], r["cohort"]), r["shown_n"])
    return first


def _cohort_list(
    newest: list[Row], first: dict[tuple[str, str, str], int | None], source: Source, day: Any
) -> Grid:
    listed = newest[:LISTED]
    return Grid(
        title="Cohorts",
        columns=(
            GridColumn("by", choice=True),
            GridColumn("measure", choice=True),
            GridColumn("cohort"),
            GridColumn("age, months", Form.COUNT),
            GridColumn("value", Form.NUMBER),
            GridColumn("95% interval", Form.INTERVAL),
            GridColumn("unit"),
            GridColumn("n", Form.COUNT),
            GridColumn("n on its first snapshot", Form.COUNT),
        ),
        rows=[
            (
                r["cohort_key"],
                r["metric"],
                r["cohort"],
                r["age_months"],
                r["value"],
                (r["lower"], r["upper"]),
                "share active" if r["metric"] == "retention" else source.unit(r["metric"], r["unit"]),
                r["shown_n"],
                first.get((r["cohort_key"], r["metric"], r["cohort"])),
            )
            for r in listed
        ],
        more=len(newest) - len(listed),
        basis=Basis(unit="as each row states", n=_cohort_total(newest), as_of=day),
    )


def _cohort_total(rows: list[Row]) -> int:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for r in rows:
        sums[r["cohort_key"], r["metric"]] += int(r["n"])
    if not sums:
        raise NotPublishedError("cohorts has no rows")
    return max(sums.values())
