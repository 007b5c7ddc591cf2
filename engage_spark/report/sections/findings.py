"""Show correlations, indicators, and the contract's own claims with their verdicts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engage_spark.analytics.check_suppression import is_gate_of_few
from engage_spark.analytics.claim_suppression import small_claims, without_few_broken, without_few_lacking
from engage_spark.analytics.states import FALSE_SEGMENT, TRUE_SEGMENT
from engage_spark.contract.statements import ClaimKind
from engage_spark.numerics.suppression import (
    SMALLEST_GROUP,
    coarse_ends,
    count_beside,
    has_small_class,
    hidden_groups,
)
from engage_spark.report.charts import bars, dots, matrix
from engage_spark.report.elements import Basis, Choice, Figure, Form, Grid, GridColumn, PageSection
from engage_spark.report.source import WHOLE, Row, Source, texts
from engage_spark.wording import counted

LISTED, SQUARE = 500, 26
"""Pairs that are listed, and metrics in the map."""
VERDICTS = ("holds", "weaker", "absent", "contradicted", "cannot_be_told")
FEW_LACK = "Where a few lack one of the values, n is not shown, and its interval is rounded."
_WITHOUT_CLAIMS = "The contract makes no claims that could be held against its data."


def correlations(source: Source) -> PageSection:
    """Show which metrics go together.

    Errors: NotPublishedError where they are not published.
    """
    day = source.day("correlations")
    rows = shown_pairs(source, source.of_day("correlations", where=f"n >= {SMALLEST_GROUP}"))
    if not rows:
        return PageSection(
            key="correlations",
            title="Correlations",
            missing=f"There are no two metrics with enough {source.people} to compare.",
        )
    tested, population = (max(r[name] for r in rows) for name in ("n", "n_population"))
    tested = population if count_beside(tested, population) is None else tested
    rows = [_without_few_lacking(r, tested, population) for r in rows]
    rows.sort(key=lambda r: (-abs(r["spearman"] or 0.0), r["first_metric"], r["second_metric"]))
    clear = sum(r["p_adjusted"] is not None and r["p_adjusted"] < 0.05 for r in rows)
    lead = [
        f"{counted(len(rows), 'pair')} of metrics, tested on {tested:,} {source.people} or fewer, of "
        f"{population:,}. Of these, {clear:,} go together in rank by more than chance explains, after "
        f"correction for so many tests (Holm). With many {source.people} the weakest tie is clear: look at "
        "its size. Ties are associations, not causes."
    ]
    return PageSection(
        key="correlations",
        title="Correlations",
        lead=lead,
        parts=(_map(source, rows, tested, day), _pairs(rows, tested, day)),
    )


def _without_few_lacking(row: Row, tested: int, population: int) -> Row:
    """Take n from a pair, and what tells it from its interval and p, where few customers lack a value."""
    if None not in (count_beside(row["n"], tested), count_beside(row["n"], population)):
        return row
    low, high = coarse_ends(row["spearman_lower"], row["spearman_upper"], tested)
    p = row["p_adjusted"]
    return row | {
        "n": None,
        "spearman_lower": low,
        "spearman_upper": high,
        "p_adjusted": None if p is None else float(f"{p:.0e}"),
    }


def shown_pairs(source: Source, rows: list[Row]) -> list[Row]:
    """Return the pairs that tell no mean over few customers: over those of a class of a metric of 0 and 1, or
    where it is not known how many they are.
    """
    shares = {m.name for m in source.spec.metrics if m.is_share}
    wholes: dict[str, tuple[int, int]] = {}
    if shares and "rollups" in source.lake.views and source.days("rollups"):
        where = f"grain = 'day' AND dimension = 'all' AND metric IN ({texts(shares)}) AND mean IS NOT NULL"
        for r in source.of_day("rollups", columns="metric, mean, customer_days", where=where):
            wholes[r["metric"]] = (round(r["mean"] * r["customer_days"]), r["customer_days"])

    def tells_of_few(metric: str, n: int) -> bool:
        return metric in shares and (metric not in wholes or has_small_class(*wholes[metric], drawn=n))

    return [r for r in rows if not any(tells_of_few(r[m], r["n"]) for m in ("first_metric", "second_metric"))]


def _map(source: Source, rows: list[Row], tested: int, day: Any) -> Figure:
    strength: Counter[str] = Counter()
    for r in rows:
        for metric in (r["first_metric"], r["second_metric"]):
            strength[metric] = max(strength[metric], int(1e6 * abs(r["spearman"] or 0.0)))
    strongest = sorted(strength, key=lambda m: (-strength[m], source.rank(m)))[:SQUARE]
    names = sorted(strongest, key=source.rank)
    cells: list[dict[str, Any]] = []
    values = {(r["first_metric"], r["second_metric"]): r for r in rows}
    for y in names:
        for x in names:
            pair = values.get((x, y)) or values.get((y, x))
            if pair is None or pair["spearman"] is None:
                continue
            low, high = pair["spearman_lower"], pair["spearman_upper"]
            interval = "–" if low is None or high is None else f"{low:.2f} to {high:.2f}"
            cells.append(
                {"label": y, "other": x, "value": pair["spearman"], "interval": interval, "n": pair["n"]}
            )
    top = rows[0]
    basis = Basis(unit="Spearman's correlation of ranks, -1 to 1", n=tested, as_of=day)
    return Figure(
        title="Which metrics go together",
        basis=basis,
        spec=matrix(cells, order=names, value_title="Spearman"),
        summary=f"Map of rank correlations between {len(names)} metrics; the strongest is between "
        f"{top['first_metric']} and {top['second_metric']}.",
        notes=(f"The {len(names)} metrics with the strongest ties; all pairs are in the table.",)
        if len(strength) > len(names)
        else (),
        table=Grid(
            title="correlations in the map",
            columns=(
                GridColumn("metric", choice=True),
                GridColumn("and"),
                GridColumn("Spearman", Form.NUMBER),
                GridColumn("95% interval"),
                GridColumn("n", Form.COUNT),
            ),
            rows=[
                (c["label"], c["other"], c["value"], c["interval"], c["n"])
                for c in cells
                if names.index(c["label"]) < names.index(c["other"])
            ],
            basis=basis,
        ),
    )


def _pairs(rows: list[Row], tested: int, day: Any) -> Grid:
    return Grid(
        title="Pairs, the strongest first",
        columns=(
            GridColumn("metric"),
            GridColumn("and"),
            GridColumn("Spearman", Form.NUMBER),
            GridColumn("95% interval", Form.INTERVAL),
            GridColumn("Pearson", Form.NUMBER),
            GridColumn("mutual information, nats", Form.NUMBER),
            GridColumn("p, adjusted", Form.NUMBER),
            GridColumn("n", Form.COUNT),
        ),
        rows=[
            (
                r["first_metric"],
                r["second_metric"],
                r["spearman"],
                (r["spearman_lower"], r["spearman_upper"]),
                r["pearson"],
                r["mutual_information"],
                r["p_adjusted"],
                r["n"],
            )
            for r in rows[:LISTED]
        ],
        more=max(0, len(rows) - LISTED),
        basis=Basis(unit="correlations from -1 to 1", n=tested, as_of=day),
        notes=[FEW_LACK],
    )


def indicators(source: Source) -> PageSection:
    """Show how many customers each rule holds for, and how targets differ with and without.

    Errors: NotPublishedError where they are not published.
    """
    day = source.day("indicators")
    rows = source.of_day("indicators", order="indicator, target")
    if not rows:
        return PageSection(
            key="indicators", title="Indicators", missing="The contract declares no indicators."
        )
    unmeasured = sorted({(r["indicator"], r["reason"]) for r in rows if not r["measured"]}, key=str)
    too_small = {
        r["indicator"] for r in rows if r["measured"] and (_is_small(r) or source.hidden.get(r["indicator"]))
    }
    lead = [
        "Rules of the contract that point to a target. Lift is the target's mean with the rule, divided by "
        "that without it: 1 says that they are alike. It is an association, not an effect."
    ]
    lead += [f"{name} was not measured: {reason}" for name, reason in unmeasured]
    shown = [r for r in rows if r["measured"] and r["indicator"] not in too_small]
    if too_small:
        lead.append(
            f"Not shown, since too few {source.people} have them or lack them, or tell them from another "
            f"rule or group: {', '.join(sorted(too_small))}."
        )
    parts: list[Figure | Grid] = (
        [_lift(source, shown, day)] if any(r["lift"] is not None for r in shown) else []
    )
    parts += [_indicator_list(source, shown, day)] if shown else []
    return PageSection(key="indicators", title="Indicators", lead=lead, parts=parts)


def _is_small(row: Row) -> bool:
    """Return whether those with a rule, without it, or of whom it is unknown, are too few to be shown."""
    holds, unknown = int(row["n"] or 0), int(row["n_unknown"] or 0)
    rest = max(0, int(row["customers"] or 0) - holds)
    valued = (int(row["n_with"] or 0), int(row["n_without"] or 0))
    groups = {"with": [holds, valued[0]], "without": [rest, valued[1]], "unknown": [unknown, 0]}
    return bool(hidden_groups(groups) & {"with", "without"})


def _lift(source: Source, rows: list[Row], day: Any) -> Figure:
    targets = sorted({r["target"] for r in rows}, key=source.rank)
    drawn = [
        {
            "a": r["target"],
            "label": r["indicator"],
            "value": r["lift"],
            "low": r["lift_lower"],
            "high": r["lift_upper"],
            "n": r["n"],
            "group": "meant for this target" if r["aim"] == r["target"] else "meant for another",
        }
        for r in sorted(rows, key=lambda r: (r["aim"] != r["target"], -(r["lift"] or 0.0), r["indicator"]))
        if r["lift"] is not None
    ]
    targets = [t for t in targets if any(d["a"] == t for d in drawn)]
    basis = Basis(unit="ratio of two means", n=max(r["customers"] for r in rows), as_of=day)
    return Figure(
        title="Do targets differ where a rule holds?",
        basis=basis,
        spec=dots(
            drawn,
            choices={"a": targets[0]},
            x_title="lift, with its 95% interval",
            group_title="rule",
            reference=1.0,
        ),
        summary=f"Lift of {len({d['label'] for d in drawn})} rules on {len(targets)} targets.",
        choices=(Choice(label="Target", signal="chosen_a", options=[(t, t) for t in targets]),),
        table=Grid(
            title="lift by rule and target",
            columns=(
                GridColumn("target", choice=True),
                GridColumn("rule"),
                GridColumn("lift", Form.NUMBER),
                GridColumn("95% interval", Form.INTERVAL),
                GridColumn(f"{source.people} with it", Form.COUNT),
            ),
            rows=[(r["a"], r["label"], r["value"], (r["low"], r["high"]), r["n"]) for r in drawn],
            basis=basis,
        ),
    )


def _indicator_list(source: Source, rows: list[Row], day: Any) -> Grid:
    return Grid(
        title="Indicators",
        columns=(
            GridColumn("rule"),
            GridColumn("target", choice=True),
            GridColumn(f"{source.people} with it", Form.COUNT),
            GridColumn("prevalence", Form.SHARE),
            GridColumn("mean with", Form.NUMBER),
            GridColumn("mean without", Form.NUMBER),
            GridColumn("lift", Form.NUMBER),
            GridColumn("95% interval", Form.INTERVAL),
            GridColumn("meant for", choice=True),
            GridColumn("version", Form.COUNT),
            GridColumn("in words"),
            GridColumn("as stated"),
        ),
        rows=[
            (
                r["indicator"],
                r["target"],
                r["n"],
                r["prevalence"],
                r["mean_with"],
                r["mean_without"],
                r["lift"],
                (r["lift_lower"], r["lift_upper"]),
                f"{r['aim']} ({r['direction']})",
                r["version"],
                r["description"],
                r["expression"],
            )
            for r in rows
        ],
        basis=Basis(
            unit="means in the unit of the target",
            n=max(r["customers"] or 0 for r in rows),
            as_of=day,
        ),
    )


def claims(source: Source) -> PageSection:
    """Show every claim with its verdict.

    Errors: NotPublishedError where they are not published.
    """
    day = source.day("claims")
    rows = without_few_broken(source.of_day("claims", order="claim"), source.spec)
    if not rows:
        return PageSection(key="claims", title="Claims", missing=_WITHOUT_CLAIMS)
    counts = Counter(r["verdict"] for r in rows)
    listed = ", ".join(f"{counts[v]} {v.replace('_', ' ')}" for v in VERDICTS if counts[v])
    lead = [
        f"{len(rows):,} statements about these data, held against them: {listed}. A verdict follows from an "
        "interval; where the interval spans both sides, it cannot be told."
    ]
    earlier = source.lake.claims_of_earlier_checks(day)
    if tables := sorted({earlier[r["claim"]] for r in rows if r["claim"] in earlier}):
        lead.append(
            f"Claims on the checks of {', '.join(tables)} tell of an earlier delivery than the one that is "
            "published for this day. `engage-spark analyze` judges them anew."
        )
    return PageSection(
        key="claims",
        title="Claims",
        lead=lead,
        parts=(_verdicts(rows, counts, day), _claim_list(source, rows, day)),
    )


def _verdicts(rows: list[Row], counts: Counter[str], day: Any) -> Figure:
    drawn = [
        {"label": v.replace("_", " "), "group": r_kind, "value": n, "n": len(rows)}
        for v in VERDICTS
        for r_kind, n in sorted(Counter(r["kind"] for r in rows if r["verdict"] == v).items())
    ]
    basis = Basis(unit="claims", n=len(rows), as_of=day)
    totals = [{"label": v.replace("_", " "), "value": counts[v], "n": len(rows)} for v in VERDICTS]
    return Figure(
        title="What became of the claims",
        basis=basis,
        spec=bars(totals, x_title="claims"),
        summary="; ".join(f"{t['label']}: {t['value']}" for t in totals),
        table=Grid(
            title="verdicts by kind of claim",
            columns=(
                GridColumn("verdict", choice=True),
                GridColumn("kind", choice=True),
                GridColumn("claims", Form.COUNT),
            ),
            rows=[(d["label"], d["group"], d["value"]) for d in drawn],
            basis=basis,
        ),
    )


def _of_hidden_groups(source: Source) -> frozenset[str]:
    """Return the claims on groups that are not shown; the explanation of the highest may name any group."""
    hidden = set()
    for claim in source.spec.claims:
        small = source.hidden.get(claim.dimension or WHOLE, frozenset())
        is_any = claim.kind is ClaimKind.HIGHEST
        if small and (is_any or not small.isdisjoint((claim.segment, TRUE_SEGMENT, FALSE_SEGMENT))):
            hidden.add(claim.name)
    return frozenset(hidden)


def _why(row: Row, *, is_earlier: bool) -> str | None:
    text: str | None = row["explanation"]
    return f"Of an earlier delivery. {text}" if is_earlier and text else text


def _claim_list(source: Source, rows: list[Row], day: Any) -> Grid:
    order = ("contradicted", "absent", "weaker", "cannot_be_told", "holds")
    ordered = sorted(
        rows, key=lambda r: (order.index(r["verdict"]) if r["verdict"] in order else len(order), r["claim"])
    )
    small = small_claims(rows) | _of_hidden_groups(source)
    specs = {c.name: c for c in source.spec.claims}
    gates = [(r["claim"], specs[r["claim"]], r) for r in rows if r["claim"] in specs]
    small |= {name for name, claim, row in gates if is_gate_of_few(source.contract, claim, row)}
    earlier = source.lake.claims_of_earlier_checks(day)
    ordered = without_few_lacking(ordered, source.customers(day))
    return Grid(
        title="Every claim",
        columns=(
            GridColumn("verdict", Form.VERDICT, choice=True),
            GridColumn("statement"),
            GridColumn("claimed", Form.NUMBER),
            GridColumn("measured", Form.NUMBER),
            GridColumn("95% interval", Form.INTERVAL),
            GridColumn("unit"),
            GridColumn("n", Form.COUNT),
            GridColumn("why"),
            GridColumn("kind", choice=True),
            GridColumn("source", choice=True),
            GridColumn("claim"),
        ),
        rows=[
            (
                r["verdict"],
                r["statement"],
                r["claimed"],
                *((None, (None, None)) if r["claim"] in small else (r["measured"], (r["lower"], r["upper"]))),
                r["unit"],
                None if r["claim"] in small else r["n"],
                f"fewer than {SMALLEST_GROUP} {source.people}, or next to such a group"
                if r["claim"] in small
                else _why(r, is_earlier=r["claim"] in earlier),
                r["kind"],
                r["source"],
                f"{r['claim']}, version {r['version']}",
            )
            for r in ordered
        ],
        basis=Basis(
            unit="as each row states",
            n=max((r["n"] for r in ordered if r["n"] is not None), default=0),
            as_of=day,
        ),
    )
