"""Turn a snapshot's quality_results into a GX validation result of the table's suite.

No Spark job, no GX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from fractions import Fraction
from typing import Any

from engage_spark.contract import Severity, Table
from engage_spark.gx.export import OWN, suite_of
from engage_spark.gx.map_expectations import map_result
from engage_spark.gx.suite_io import Expectation, Suite, identity
from engage_spark.gx.validation_results import ValidationEntry, validation_result

Line = Mapping[str, Any]
"""One row of quality_results, by column."""
_OBSERVED = frozenset(
    {
        "expect_column_mean_to_be_between",
        "expect_table_row_count_to_be_between",
        "expect_column_quantile_values_to_be_between",
    }
)


@dataclass(frozen=True, kw_only=True)
class PublishedValidation:
    """One table of one day: its suite, and what its quality_results say as a validation result."""

    table: str
    day: date
    run: str
    suite: Suite
    result: Mapping[str, Any]


def published(
    table: Table, lines: Sequence[Line], *, day: date, status: str, version: str = ""
) -> PublishedValidation:
    """Build the validation result of a checked snapshot, from its rows in quality_results.

    Whether an expectation holds is what was decided then (`passed`). A rule that GX cannot say is told all
    the same, in words, as `unexpected_rows_expectation` with a query that nobody can run; one that the
    contract has dropped since is told likewise. `status` is what became of the snapshot: published or
    rejected. Samples are the masked ones of quality_results.
    """
    suite = suite_of(table, version=version)
    by_rule = {str(line["rule_name"]): line for line in lines}
    entries = [_entry(e, by_rule) for e in suite.expectations]
    rules_in_suite = {_rule(e) for e in suite.expectations}
    entries += [_in_words(table, line) for rule, line in by_rule.items() if rule not in rules_in_suite]
    run = str(lines[0]["run_id"]) if lines else ""
    meta = {
        "run_id": {"run_name": run, "run_time": datetime.combine(day, time(), UTC).isoformat()},
        # what the page shows
        "batch_kwargs": {"data_asset_name": f"{table.name} of {day.isoformat()}, {status}"},
        "active_batch_definition": {
            "datasource_name": OWN,
            "data_connector_name": "snapshots",
            "data_asset_name": table.name,
            "batch_identifiers": {"snapshot_date": day.isoformat()},
        },
        OWN: {
            "table": table.name,
            "snapshot_date": day.isoformat(),
            "status": status,
            "contract_version": version,
        },
    }
    result = validation_result(suite, [e for e in entries if e is not None], meta=meta)
    return PublishedValidation(table=table.name, day=day, run=run, suite=suite, result=result)


def _rule(e: Expectation) -> str:
    return str(e.meta[OWN]["rule"])


def _entry(e: Expectation, by_rule: Mapping[str, Line]) -> ValidationEntry | None:
    """None for a rule that was not checked then, such as one that the contract has got since."""
    rule = _rule(e)
    if rule == "columns" or rule.endswith(".type"):
        note = "A delivery with other columns or types is refused before its rows are checked."
        return (
            ValidationEntry(expectation=e, success=True, result={}, meta={OWN: {"note": note}})
            if by_rule
            else None
        )
    line = by_rule.get(rule)
    if line is None:
        return None
    e = replace(e, severity=Severity(line["severity"]))
    return ValidationEntry(
        expectation=e,
        success=bool(line["passed"]),
        result=_result(e.type, line, by_rule),
        meta={OWN: {"rule": rule}},
    )


def _result(kind: str, line: Line, by_rule: Mapping[str, Line]) -> Mapping[str, Any]:
    rows, broken, samples = (
        int(line["rows_checked"]),
        int(line["violations"]),
        [str(s) for s in line.get("samples") or ()],
    )
    if kind in _OBSERVED:
        return {"observed_value": line["measured"]}
    if kind == "unexpected_rows_expectation":
        return {"observed_value": broken}
    if kind == "expect_column_proportion_of_non_null_values_to_be_between":
        return {"observed_value": float(Fraction(rows - broken, rows)) if rows else None}
    if kind == "expect_column_values_to_not_be_null":
        return map_result(rows, None, broken, Fraction(1), []).result
    null = by_rule.get(f"{line['column_name']}.not_null")
    return map_result(rows, int(null["violations"]) if null else 0, broken, Fraction(1), samples).result


def _in_words(table: Table, line: Line) -> ValidationEntry:
    """Describe a rule that is not in the suite by its description and what was measured."""
    rule, measured = str(line["rule_name"]), line["measured"]
    bounds = [f"{name} {line[name]:g}" for name in ("minimum", "maximum") if line.get(name) is not None]
    words = f"{rule}: {line['description'] or 'no description'}" + (
        f" ({', '.join(bounds)} {line['unit']})" if bounds else ""
    )
    measured_text = (
        f"{int(line['violations']):,} of {int(line['rows_checked']):,} rows"
        if not bounds
        else f"{_figure(measured)} {line['unit']}"
    )
    e = Expectation(
        type="unexpected_rows_expectation",
        kwargs={"unexpected_rows_query": f"-- {rule}: no query on {{batch}} alone says this rule"},
        id=identity("expectation", table.name, rule),
        severity=Severity(line["severity"]),
        description=words,
        meta={OWN: {"table": table.name, "rule": rule, "dimension": line["dimension"], "expressible": False}},
    )
    return ValidationEntry(
        expectation=e,
        success=bool(line["passed"]),
        result={"observed_value": measured_text},
        meta={OWN: {"rule": rule}},
    )


def _figure(value: Any) -> str:
    return "nothing" if value is None else f"{value:.6g}"
