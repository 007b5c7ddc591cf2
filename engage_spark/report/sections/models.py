"""Show trainings, the quality of predictions once labels were known, and how groups of people fare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from engage_spark.analytics.segment_suppression import shown_groups
from engage_spark.numerics.suppression import SMALLEST_GROUP
from engage_spark.report.charts import dots
from engage_spark.report.elements import Basis, Choice, Figure, Form, Grid, GridColumn, PageSection
from engage_spark.report.source import Row, Source
from engage_spark.wording import number

KEY, TITLE = "models", "Models and fairness"
_STEPS = (
    ("baseline", "baseline", "baseline_lower", "baseline_upper"),
    ("winner, cross-validated", "cross_validated", None, None),
    ("winner, held out", "held_out", "held_out_lower", "held_out_upper"),
    ("winner, out of time", "out_of_time", None, None),
)


def models(source: Source) -> PageSection:
    """Show the last training of each target, and its monitoring where it is published.

    Errors: NotPublishedError where nothing was trained.
    """
    if not source.contract.targets:
        return PageSection(key=KEY, title=TITLE, missing="The contract declares no targets.")
    trainings = _trainings(source)
    parts: list[Figure | Grid] = [_metrics(trainings), _training_list(trainings)]
    lead = [
        f"The last training of each target. A model is judged on {source.people} that it was not fitted on."
    ]
    monitored = _monitoring(source)
    if monitored:
        parts += _fairness(monitored, [f.name for f in source.contract.entity.fields if f.protected])
        parts.append(_measures(monitored))
    else:
        lead.append(
            "How predictions fared, and how groups of people fare, is measured once the labels of a scored "
            "day are known: run `engage-spark monitor` then."
        )
    return PageSection(key=KEY, title=TITLE, lead=lead, parts=parts)


def _trainings(source: Source) -> list[Row]:
    day = source.day("training_runs")
    rows = source.ask(
        f"SELECT * FROM training_runs WHERE snapshot_date <= DATE '{day}' ORDER BY target, snapshot_date"  # noqa: S608 (a day)
    )
    runs = source.lake.publication.runs
    finished = {run.run_id: run.finished_at for run in runs if run.run_id in {r["run_id"] for r in rows}}
    last: dict[str, Row] = {}
    for row in sorted(rows, key=lambda r: (r["snapshot_date"], finished[r["run_id"]], r["run_id"])):
        last[row["target"]] = row
    return [last[target] for target in sorted(last, key=source.rank)]


def _metrics(trainings: list[Row]) -> Figure:
    rows: list[dict[str, Any]] = []
    for t in trainings:
        for label, value, low, high in _STEPS:
            if t[value] is not None:
                ends = (t[low] if low else None, t[high] if high else None)
                n = t["rows_held_out"] if value != "cross_validated" else t["rows_fit"]
                rows.append(
                    {
                        "a": t["target"],
                        "label": label,
                        "value": t[value],
                        "low": ends[0],
                        "high": ends[1],
                        "n": n,
                    }
                )
    targets = [t["target"] for t in trainings]
    labels = [
        (
            t["target"],
            f"{t['target']}: {t['metric']}, {'more' if t['higher_is_better'] else 'less'} is better",
        )
        for t in trainings
    ]
    basis = Basis(
        unit="the metric that the target's choice names",
        n=max(t["rows_held_out"] for t in trainings),
        as_of=max(t["snapshot_date"] for t in trainings),
    )
    return Figure(
        title="Is the model better than the simplest one worth beating?",
        basis=basis,
        spec=dots(rows, choices={"a": targets[0]}, x_title="metric, with its 95% interval"),
        summary="; ".join(
            f"{t['target']}: {t['metric']} {number(t['held_out'])} held out, baseline {number(t['baseline'])}"
            for t in trainings
        ),
        choices=(Choice(label="Target", signal="chosen_a", options=labels),),
        table=Grid(
            title="metrics by target",
            columns=(
                GridColumn("target", choice=True),
                GridColumn("of"),
                GridColumn("metric", Form.NUMBER),
                GridColumn("95% interval", Form.INTERVAL),
                GridColumn("rows", Form.COUNT),
            ),
            rows=[(r["a"], r["label"], r["value"], (r["low"], r["high"]), r["n"]) for r in rows],
            basis=basis,
        ),
    )


def _training_list(trainings: list[Row]) -> Grid:
    rows = [
        (
            t["target"],
            "provisional" if t["provisional"] else "promoted" if t["promoted"] else "not promoted",
            t["reason"],
            t["candidate"],
            t["metric"],
            t["held_out"],
            (t["held_out_lower"], t["held_out_upper"]),
            t["baseline"],
            t["threshold"],
            len(t["features"]),
            t["rows_fit"],
            t["rows_held_out"],
            t["snapshot_date"],
        )
        for t in trainings
    ]
    return Grid(
        title="Trainings",
        columns=(
            GridColumn("target"),
            GridColumn("champion", Form.VERDICT),
            GridColumn("why"),
            GridColumn("kind"),
            GridColumn("metric"),
            GridColumn("held out", Form.NUMBER),
            GridColumn("95% interval", Form.INTERVAL),
            GridColumn("baseline", Form.NUMBER),
            GridColumn("contact pays from", Form.NUMBER),
            GridColumn("features", Form.COUNT),
            GridColumn("rows fitted", Form.COUNT),
            GridColumn("rows held out", Form.COUNT),
            GridColumn("newest day"),
        ),
        rows=rows,
        basis=Basis(
            unit="the metric that each row names",
            n=max(t["rows_held_out"] for t in trainings),
            as_of=max(t["snapshot_date"] for t in trainings),
        ),
    )


def _monitoring(source: Source) -> list[Row]:
    """Return the newest judgement of each target: the labels of some mature later than those of others."""
    if not source.days("model_monitoring"):
        return []
    return source.ask(
        f"SELECT * FROM model_monitoring WHERE snapshot_date <= DATE '{source.day('model_monitoring')}' "  # noqa: S608 (a day)
        "QUALIFY snapshot_date = max(snapshot_date) OVER (PARTITION BY target) "
        "ORDER BY target, measure, attribute, member"
    )


def _days_of(rows: list[Row]) -> str:
    """Return the days that targets are judged as of: one, or the first and the last."""
    days = sorted({r["snapshot_date"] for r in rows})
    return " to ".join(map(str, dict.fromkeys((days[0], days[-1]))))


def _is_of_groups(row: Row) -> bool:
    return row["attribute"] is not None and row["member"] is not None


def _fairness(rows: list[Row], protected: Collection[str]) -> list[Figure | Grid]:
    """Show measures by group, without groups that are too small or give such a one away."""
    by_target: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if _is_of_groups(row):
            by_target[row["target"]].append(row)
    shown_rows = [row for of_target in by_target.values() for row in shown_groups(of_target, protected)]
    n_hidden = sum(map(len, by_target.values())) - len(shown_rows)
    shown: list[dict[str, Any]] = [
        {
            "a": f"{row['target']} · {row['measure']} · {row['attribute']}",
            "label": f"{row['member']} against {row['against']}" if row["against"] else row["member"],
            "value": row["value"],
            "low": row["low"],
            "high": row["high"],
            "n": row["n_rows"],
            "group": row["verdict"],
            "bound": row["bound"],
            "day": str(row["snapshot_date"]),
        }
        for row in shown_rows
    ]
    if not shown:
        return []
    names = list(dict.fromkeys(row["a"] for row in shown))
    basis = Basis(
        unit="shares and ratios as fractions, errors in the unit of the target",
        n=max(row["n"] for row in shown),
        as_of=_days_of(rows),
    )
    figure = Figure(
        title="How groups of people fare",
        basis=basis,
        spec=dots(
            shown, choices={"a": names[0]}, x_title="value, with its 95% interval", group_title="verdict"
        ),
        summary=f"{len(names)} measures by group of a protected field, with intervals and verdicts.",
        choices=(
            Choice(label="Target · measure · field", signal="chosen_a", options=[(n, n) for n in names]),
        ),
        notes=[
            f"{n_hidden:,} values of groups that are too small, or would give such a one away, are not shown."
        ]
        if n_hidden
        else [],
        table=Grid(
            title="measures by group",
            columns=(
                GridColumn("target · measure · field", choice=True),
                GridColumn("group"),
                GridColumn("value", Form.NUMBER),
                GridColumn("95% interval", Form.INTERVAL),
                GridColumn("bound", Form.NUMBER),
                GridColumn("verdict", Form.VERDICT, choice=True),
                GridColumn("n", Form.COUNT),
                GridColumn("as of"),
            ),
            rows=[
                (
                    r["a"],
                    r["label"],
                    r["value"],
                    (r["low"], r["high"]),
                    r["bound"],
                    r["group"],
                    r["n"],
                    r["day"],
                )
                for r in shown
            ],
            basis=basis,
        ),
    )
    return [figure]


def _measures(rows: list[Row]) -> Grid:
    whole = [r for r in rows if r["attribute"] is None and r["n_rows"] >= SMALLEST_GROUP]
    return Grid(
        title="How predictions fared once labels were known",
        columns=(
            GridColumn("target", choice=True),
            GridColumn("measure", choice=True),
            GridColumn("of"),
            GridColumn("against"),
            GridColumn("value", Form.NUMBER),
            GridColumn("95% interval", Form.INTERVAL),
            GridColumn("bound", Form.NUMBER),
            GridColumn("verdict", Form.VERDICT, choice=True),
            GridColumn("n", Form.COUNT),
            GridColumn("as of"),
        ),
        rows=[
            (
                r["target"],
                r["measure"],
                r["member"] or "all rows",
                r["against"],
                r["value"],
                (r["low"], r["high"]),
                r["bound"],
                r["verdict"],
                r["n_rows"],
                r["snapshot_date"],
            )
            for r in whole
        ],
        basis=Basis(
            unit="shares and ratios as fractions, errors in the unit of the target",
            n=max((r["n_rows"] for r in whole), default=0),
            as_of=_days_of(rows),
        ),
    )
