"""Show how derived features and measures of the graph are spread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from engage_spark.contract import Field, GraphRole, Table, TableKind
from engage_spark.numerics.suppression import SMALLEST_GROUP, coarse, coarse_ends, count_beside, is_small
from engage_spark.reader.query import quoted
from engage_spark.report.charts import histogram
from engage_spark.report.elements import Basis, Choice, Figure, Form, Grid, GridColumn, PageSection
from engage_spark.report.source import Row, Source, numeric_fields

BINS = 24
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_ENDS = (0.01, 0.05, 0.1, 0.25)
"""Shares that a histogram leaves out on either side: the smallest that stands for enough rows."""
_SPREAD = (
    GridColumn("field"),
    GridColumn("unit"),
    GridColumn("n", Form.COUNT),
    GridColumn("null", Form.SHARE),
    GridColumn("mean", Form.NUMBER),
    GridColumn("standard deviation", Form.NUMBER),
    *(GridColumn(f"{q:.0%}", Form.NUMBER) for q in _QUANTILES),
    GridColumn("what it is"),
)


_WITHOUT_NUMBERS = "What is published has no numbers that may be shown."


def features(source: Source) -> PageSection:
    """Show the derived tables.

    Errors: NotPublishedError where the contract derives none, or none is published.
    """
    tables = [t for t in source.contract.tables if t.kind is TableKind.DERIVED]
    if not tables:
        return PageSection(
            key="features", title="Features", missing="The contract derives no features.", command=None
        )
    parts = [part for table in tables for part in _spread(source, table)]
    if not parts:
        return PageSection(key="features", title="Features", missing=_WITHOUT_NUMBERS)
    return PageSection(
        key="features",
        title="Features",
        lead=["What was derived by the contract's formulas, on the newest published snapshot."],
        parts=parts,
    )


def graph(source: Source) -> PageSection:
    """Show what was measured on the graph, and how it compares with what was delivered.

    Errors: NotPublishedError where it is not published.
    """
    tables = source.contract.of_graph_role(GraphRole.VERTICES)
    if not tables:
        return PageSection(
            key="graph", title="Graph", missing="The contract declares no graph.", command=None
        )
    parts: list[Figure | Grid] = [part for table in tables for part in _spread(source, table)]
    if source.days("graph_comparison"):
        parts.append(_comparison(source, tables[0]))
    if not parts:
        return PageSection(key="graph", title="Graph", missing=_WITHOUT_NUMBERS)
    return PageSection(
        key="graph",
        title="Graph",
        lead=[f"What was measured on the graph between {source.people}, on the newest published snapshot."],
        parts=parts,
    )


def _spread(source: Source, table: Table) -> list[Figure | Grid]:
    """Describe the numbers of a table; nothing where it has none.

    Errors: NotPublishedError where it is not published.
    """
    day = source.day(table.name)
    fields = numeric_fields(table)
    if not fields:
        return []
    facts = _facts(source, table, fields, day)
    basis = Basis(unit="as each row states", n=int(facts["rows"]), as_of=day)
    grid = Grid(
        title=f"{table.name}: how its numbers are spread",
        columns=_SPREAD,
        rows=[_spread_row(f, facts, i) for i, f in enumerate(fields)],
        basis=basis,
        notes=[
            "Smallest and largest values are one person's, so they are not shown. Where a few values are "
            "null, n and the share of nulls are not shown, and the other figures have fewer digits."
        ],
    )
    bins = _bins(source, table, fields, facts, day)
    drawn = list(dict.fromkeys(row["a"] for row in bins))
    if not drawn:
        return [grid]
    labels = [(name, f"{name} ({source.unit(name)})") for name in drawn]
    figure = Figure(
        title=f"{table.name}: distribution of a field",
        basis=Basis(unit="share of rows per unit of the field", n=int(facts["rows"]), as_of=day),
        spec=histogram(bins, choices={"a": drawn[0]}),
        summary=f"Distribution of {len(drawn)} fields of {table.name}, without either end.",
        choices=(Choice(label="Field", signal="chosen_a", options=labels),),
        notes=(
            f"Between two quantiles that {SMALLEST_GROUP} rows or more lie beyond on either side: 1% and 99% "
            f"where there are enough rows, up to 25% and 75% else. A bin of fewer than {SMALLEST_GROUP} rows "
            "is merged with its neighbour.",
        ),
        table=Grid(
            title="bins by field",
            columns=(
                GridColumn("field", choice=True),
                GridColumn("from", Form.NUMBER),
                GridColumn("to", Form.NUMBER),
                GridColumn("rows", Form.COUNT),
                GridColumn("share", Form.SHARE),
            ),
            rows=[(r["a"], r["low"], r["high"], r["n"], r["share"]) for r in bins][:600],
            more=max(0, len(bins) - 600),
            basis=basis,
        ),
    )
    return [figure, grid]


def _facts(source: Source, table: Table, fields: Sequence[Field], day: date) -> Row:
    """Return what is counted of each field, in one scan."""
    terms = ["count(*) AS rows"]
    for i, f in enumerate(fields):
        value = f"CASE WHEN isfinite({quoted(f.name)}::DOUBLE) THEN {quoted(f.name)}::DOUBLE END"
        quantiles = ", ".join(map(str, (*_QUANTILES, *_ENDS, *(1 - share for share in _ENDS))))
        terms += [
            f"count({value}) AS n{i}",
            f"avg({value}) AS m{i}",
            f"stddev_samp({value}) AS s{i}",
            f"quantile_cont({value}, [{quantiles}]) AS q{i}",
        ]
    return source.ask(
        f"SELECT {', '.join(terms)} FROM {quoted(table.name)} WHERE snapshot_date = DATE '{day}'"  # noqa: S608 (names of the contract, quoted)
    )[0]


def _spread_row(field: Field, facts: Row, i: int) -> tuple[Any, ...]:
    n, rows = int(facts[f"n{i}"]), int(facts["rows"])
    unit = field.unit or "no unit"
    if n < SMALLEST_GROUP or (0 < rows - n < SMALLEST_GROUP and rows < 2 * SMALLEST_GROUP):
        return (field.name, unit, None, None, None, None, *[None] * len(_QUANTILES), field.description)
    # A quantile with fewer than 20 people beyond it is one of them.
    quantiles = [
        q if min(share, 1 - share) * n >= SMALLEST_GROUP else None
        for q, share in zip(facts[f"q{i}"] or [], _QUANTILES, strict=False)
    ]
    quantiles += [None] * (len(_QUANTILES) - len(quantiles))
    figures, nulls = [facts[f"m{i}"], facts[f"s{i}"], *quantiles], (n, (rows - n) / rows)
    if is_small(rows - n):
        return (field.name, unit, None, None, *(coarse(x, rows) for x in figures), field.description)
    return (field.name, unit, *nulls, *figures, field.description)


def _bins(
    source: Source, table: Table, fields: Sequence[Field], facts: Row, day: date
) -> list[dict[str, Any]]:
    """Count the values of each field in bins of equal width, in one scan; merge bins that are too small."""
    ends: dict[int, tuple[float, float]] = {}
    rows_of = int(facts["rows"])
    for i in range(len(fields)):
        between = histogram_ends(int(facts[f"n{i}"]), facts[f"q{i}"] or ())
        if between is not None and is_small(rows_of - int(facts[f"n{i}"])):
            high, low = coarse_ends(between[1], between[0], rows_of)  # inwards, so that as many lie beyond
            between = (low, high) if low is not None and high is not None and low < high else None
        if between is not None:
            ends[i] = between
    if not ends:
        return []
    terms = []
    for i, (low, high) in ends.items():
        value, width = f"{quoted(fields[i].name)}::DOUBLE", (high - low) / BINS
        at = f"least({BINS - 1}, floor(({value} - {low!r}) / {width!r}))::INT"
        terms.append(f"histogram(CASE WHEN {value} BETWEEN {low!r} AND {high!r} THEN {at} END) AS h{i}")
    counted = source.ask(
        f"SELECT {', '.join(terms)} FROM {quoted(table.name)} WHERE snapshot_date = DATE '{day}'"  # noqa: S608 (names of the contract, quoted)
    )[0]
    rows = []
    for i, (low, high) in ends.items():
        counts, width, n = [0] * BINS, (high - low) / BINS, int(facts[f"n{i}"])
        if is_small(rows_of - n):
            n = rows_of  # a share of those with a value would tell how many lack one
        for at, size in counted[f"h{i}"] or []:
            counts[int(at)] = int(size)
        for first, last, size in merged_bins(counts):
            share = size / n
            bounds = {"low": low + first * width, "high": low + last * width}
            rows.append(
                {"a": fields[i].name, **bounds, "n": size, "share": share}
                | {"value": share / ((last - first) * width)}
            )
    return rows


def histogram_ends(n: int, quantiles: Sequence[float]) -> tuple[float, float] | None:
    """Return where a histogram of n values begins and ends: enough of them lie beyond either end.

    None where there are too few, or the ends are one. `quantiles` are those of `_facts`.
    """
    at = next((i for i, share in enumerate(_ENDS) if share * n >= SMALLEST_GROUP), None)
    if at is None or not quantiles:
        return None
    first = len(_QUANTILES) + at
    low, high = float(quantiles[first]), float(quantiles[first + len(_ENDS)])
    return (low, high) if low < high else None


def merged_bins(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """Merge bins with their neighbours until each has enough rows: first bin, end and rows of each.

    None where all together have too few.
    """
    merged: list[tuple[int, int, int]] = []
    first, size = 0, 0
    for i, n in enumerate(counts):
        size += n
        if size >= SMALLEST_GROUP:
            merged.append((first, i + 1, size))
            first, size = i + 1, 0
    if first < len(counts) and merged:
        begun, _, before = merged.pop()
        merged.append((begun, len(counts), before + size))
    return merged


def _comparison(source: Source, table: Table) -> Grid:
    """Compare fields of all customers; where a few lack a value, without the figures that tell how few."""
    day = source.day(table.name)
    counted = source.ask(
        f"SELECT count(*) AS rows FROM {quoted(table.name)} WHERE snapshot_date = DATE '{day}'"  # noqa: S608 (a name of the contract, quoted)
    )
    rows = [
        _without_few_lacking(r, int(counted[0]["rows"]))
        for r in source.of_day("graph_comparison", order="field_name")
    ]
    return Grid(
        title="What the delivery gives, and what the graph measures",
        columns=(
            GridColumn("field"),
            GridColumn("unit"),
            GridColumn("rows compared", Form.COUNT),
            GridColumn("Spearman", Form.NUMBER),
            GridColumn("mean given", Form.NUMBER),
            GridColumn("mean measured", Form.NUMBER),
            GridColumn("mean difference", Form.NUMBER),
            GridColumn("median given", Form.NUMBER),
            GridColumn("median measured", Form.NUMBER),
        ),
        rows=[
            (
                r["field_name"],
                source.unit(r["field_name"]),
                r["shown_n"],
                r["spearman"],
                r["mean_given"],
                r["mean_measured"],
                r["mean_difference"],
                r["given_p50"],
                r["measured_p50"],
            )
            for r in rows
            if r["rows_compared"] >= SMALLEST_GROUP
        ],
        basis=Basis(
            unit="as each row states",
            n=max((r["rows_compared"] for r in rows), default=0),
            as_of=source.day("graph_comparison"),
        ),
    )


_COMPARED = ("spearman", "mean_given", "mean_measured", "mean_difference", "given_p50", "measured_p50")


def _without_few_lacking(row: Row, whole: int) -> Row:
    n = count_beside(row["rows_compared"], whole)
    return row | {"shown_n": n} | ({} if n is not None else {c: coarse(row[c], whole) for c in _COMPARED})
