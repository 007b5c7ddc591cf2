"""Show what became of deliveries: rows, quarantine, rules and gates, of published and rejected attempts."""

from __future__ import annotations

from datetime import date
from typing import Any

from engage_spark.analytics.check_suppression import gates_of_few, rules_of_few
from engage_spark.errors import NotPublishedError
from engage_spark.numerics.suppression import SMALLEST_GROUP
from engage_spark.publication import Run
from engage_spark.report.charts import bars
from engage_spark.report.elements import Basis, Choice, Figure, Form, Grid, GridColumn, PageSection
from engage_spark.report.source import Row, Source

KEY, TITLE = "quality", "Quality"
DAYS = 60
"""Newest days of a table whose rows are drawn."""
_SEVERITIES = {"critical": 0, "warning": 1, "info": 2}
_RULES = (
    GridColumn("table", Form.TEXT, choice=True),
    GridColumn("attempt", Form.TEXT, choice=True),
    GridColumn("rule or gate"),
    GridColumn("severity", Form.TEXT, choice=True),
    GridColumn("outcome", Form.VERDICT, choice=True),
    GridColumn("measured", Form.NUMBER),
    GridColumn("unit"),
    GridColumn("least", Form.NUMBER),
    GridColumn("most", Form.NUMBER),
    GridColumn("rows that broke it", Form.COUNT),
    GridColumn("rows checked", Form.COUNT),
    GridColumn("in words"),
)


def quality(source: Source) -> PageSection:
    """Show each input's attempts and the rules of the newest ones.

    Errors: NotPublishedError where nothing was ever delivered; as `OpenLake.quality_results`.
    """
    attempts = _attempts(source)
    if not attempts:
        raise NotPublishedError.of("a delivery", command="ingest")
    newest = _newest(attempts)
    rejected = sum(not run.published for run in attempts)
    lead = [
        f"{len(attempts):,} attempts at {', '.join(sorted({_table_of(r) for r in attempts}))}, of which a "
        f"gate rejected {rejected or 'none'}. What was rejected replaced nothing: readers see what was "
        "published."
    ]
    return PageSection(
        key=KEY,
        title=TITLE,
        lead=lead,
        parts=(_rows_by_day(attempts), _rules(source, newest), _list(attempts)),
    )


def _attempts(source: Source) -> list[Run]:
    """Return the attempts at inputs up to the day, oldest first."""
    runs = source.lake.publication.runs
    wanted = [
        run
        for run in runs
        if run.stage.startswith("ingest:") and (source.limit is None or run.snapshot_date <= source.limit)
    ]
    return sorted(wanted, key=lambda r: (r.snapshot_date, r.stage, r.order))


def _newest(attempts: list[Run]) -> list[Run]:
    """Return of each input the last published attempt, and the last rejected one of that day or later."""
    chosen_runs = []
    for stage in sorted({run.stage for run in attempts}):
        own = [run for run in attempts if run.stage == stage]
        published = [run for run in own if run.published]
        since = published[-1].snapshot_date if published else date.min
        refused = [run for run in own if not run.published and run.snapshot_date >= since]
        chosen_runs += published[-1:] + refused[-1:]
    return chosen_runs


def _table_of(run: Run) -> str:
    return run.stage.partition(":")[2]


def _name(run: Run) -> str:
    return f"{run.snapshot_date}, attempt {run.attempt}, {run.status}"


def _rows_by_day(attempts: list[Run]) -> Figure:
    latest = {(run.stage, run.snapshot_date): run for run in attempts if run.published}
    tables = sorted({_table_of(run) for run in latest.values()})
    rows: list[dict[str, Any]] = []
    for table in tables:
        own = sorted((r for r in latest.values() if _table_of(r) == table), key=lambda r: r.snapshot_date)
        for run in own[-DAYS:]:
            for group, n in (("valid", run.rows_valid), ("quarantined", run.rows_quarantined)):
                day = str(run.snapshot_date)
                rows.append({"a": table, "label": day, "group": group, "value": n, "n": run.rows_in})
    table_rows = [(r["a"], r["label"], r["group"], r["value"], r["n"]) for r in rows]
    basis = Basis(
        unit="rows",
        n=sum(r.rows_in for r in latest.values()),
        as_of=max((r.snapshot_date for r in latest.values()), default="no day"),
    )
    first = tables[0] if tables else ""
    return Figure(
        title="Rows of each delivery",
        basis=basis,
        spec=bars(rows, choices={"a": first}, x_title="rows"),
        summary=f"Rows of the published deliveries of {len(tables)} inputs by day: valid and quarantined.",
        choices=(Choice(label="Input", signal="chosen_a", options=[(t, t) for t in tables]),),
        notes=(f"The last {DAYS} days of each input; n counts the rows of all days.",),
        table=Grid(
            title="rows by input and day",
            columns=(
                GridColumn("input", choice=True),
                GridColumn("day"),
                GridColumn("rows are", choice=True),
                GridColumn("rows", Form.COUNT),
                GridColumn("rows read", Form.COUNT),
            ),
            rows=table_rows,
            basis=basis,
        ),
    )


def _rules(source: Source, newest: list[Run]) -> Grid:
    results = source.lake.quality_results([run.run_id for run in newest])
    names = {run.run_id: run for run in newest}
    few = {run.run_id: _of_few(source, run, results) for run in newest}
    ordered = sorted(
        (r for r in results if r["run_id"] in names),
        key=lambda r: (
            r["passed"],
            _SEVERITIES.get(r["severity"], 3),
            -r["violations"],
            r["table_name"],
            r["rule_name"],
        ),
    )
    rows = [
        (
            r["table_name"],
            _name(names[r["run_id"]]),
            r["rule_name"],
            r["severity"],
            "passed" if r["passed"] else "broken",
            None if r["rule_name"] in few[r["run_id"]] else r["measured"],
            r["unit"],
            r["minimum"],
            r["maximum"],
            None if r["rule_name"] in few[r["run_id"]] else r["violations"],
            r["rows_checked"],
            r["description"],
        )
        for r in ordered
    ]
    broken = sum(not r["passed"] for r in ordered)
    notes = [f"{broken:,} of {len(rows):,} rules and gates were broken; those stand first."] if rows else []
    if any(r["rule_name"] in few[r["run_id"]] for r in ordered):
        notes.append(
            f"What was measured is not shown where it tells of fewer than {SMALLEST_GROUP} {source.people}."
        )
    notes += [] if rows else ["These attempts recorded no results."]
    return Grid(
        title="Rules and gates of the newest attempts",
        columns=_RULES,
        rows=rows,
        basis=Basis(
            unit="as each row states",
            n=sum(run.rows_in for run in newest),
            as_of=max(run.snapshot_date for run in newest),
        ),
        notes=notes,
    )


def _of_few(source: Source, run: Run, results: list[Row]) -> frozenset[str]:
    """Return the rules and gates of an attempt whose figures tell of a few customers."""
    entity, own = source.contract.entity, [r for r in results if r["run_id"] == run.run_id]
    declared = next((t for t in source.contract.tables if t.name == _table_of(run)), None)
    if declared is None:  # a table of an older contract
        return frozenset(r["rule_name"] for r in own)
    few = gates_of_few(declared, own)
    return few | rules_of_few(entity, own) if declared.name == entity.name else few


def _list(attempts: list[Run]) -> Grid:
    shown = attempts[::-1][:300]
    rows = [
        (
            _table_of(run),
            run.snapshot_date,
            run.attempt,
            run.status,
            run.rows_in,
            run.rows_valid,
            run.rows_quarantined,
            run.rows_quarantined / run.rows_in if run.rows_in else None,
            run.message or "",
        )
        for run in shown
    ]
    return Grid(
        title="Attempts",
        columns=(
            GridColumn("input", choice=True),
            GridColumn("day"),
            GridColumn("attempt", Form.COUNT),
            GridColumn("status", Form.VERDICT, choice=True),
            GridColumn("rows read", Form.COUNT),
            GridColumn("valid", Form.COUNT),
            GridColumn("quarantined", Form.COUNT),
            GridColumn("share quarantined", Form.SHARE),
            GridColumn("message"),
        ),
        rows=rows,
        more=len(attempts) - len(shown),
        basis=Basis(unit="rows", n=sum(r.rows_in for r in attempts), as_of=attempts[-1].snapshot_date),
    )
