"""Answer what was checked: deliveries by the rules of the contract, statements by the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from engage_spark.analytics.check_suppression import gates_of_few, is_gate_of_few, rules_of_few
from engage_spark.analytics.claim_suppression import small_claims, without_few_broken, without_few_lacking
from engage_spark.analytics.intervals import Estimate
from engage_spark.analytics.states import CUSTOMERS, FALSE_SEGMENT, TRUE_SEGMENT
from engage_spark.contract.analytics_spec import ClaimSpec
from engage_spark.contract.statements import ClaimKind
from engage_spark.errors import NotPublishedError
from engage_spark.insight.evidence import EVERYONE, Answer, Column, ColumnRole, Evidence, Origin, Value
from engage_spark.insight.lake_reader import LakeReader, Row
from engage_spark.insight.registry import SEVERITIES, VERDICTS
from engage_spark.insight.small_groups import HiddenSegments
from engage_spark.insight.tools.common import (
    FEW_MISSING_NOTE,
    HIDDEN_NOTE,
    INTERVAL_COLUMNS,
    estimate_fact,
    fact,
    given,
    suppressed,
)
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.publication import RUNS, Run

_VERDICT_NOTE = (
    "Verdicts are decided by 95% intervals, never by points: an interval that spans both sides is "
    "cannot_be_told."
)


def check_claim(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Return the verdict on one statement, or on all of them."""
    name, verdict = given(arguments, "claim"), given(arguments, "verdict")
    day = reader.day("claims", given(arguments, "as_of"))
    words = reader.words
    specs, earlier = {c.name: c for c in words.spec.claims}, reader.lake.claims_of_earlier_checks(day)
    lines = [r for r in reader.of_day("claims", day) if r["claim"] in specs]
    lines = without_few_broken(lines, words.spec)
    origin, hidden, small = reader.origin("claims", day), reader.states(day), small_claims(lines)
    small |= {r["claim"] for r in lines if is_gate_of_few(words.contract, specs[r["claim"]], r)}
    shown = [r for r in lines if r["claim"] not in small and not _is_hidden(hidden, specs[r["claim"]])]
    shown = without_few_lacking(shown, hidden.states.customers())
    if name is not None:
        if name not in {r["claim"] for r in lines}:
            raise NotPublishedError(
                f"the claim {name} was not judged on {day}", hint="run `engage-spark analyze` again"
            )
        one = next((r for r in shown if r["claim"] == name), None)
        if one is None:
            raise suppressed(f"the customers of the claim {name}")
        notes = (*_few_missing(one), *_earlier_notes(earlier, [one]))
        return _one_claim(words, arguments, origin, specs[name], one, notes)
    order = {v: i for i, v in enumerate(VERDICTS)}
    rows = sorted(
        (r for r in shown if verdict in (None, r["verdict"])),
        key=lambda r: (-order.get(r["verdict"], 0), r["claim"]),
    )
    counts = Counter(r["verdict"] for r in shown)
    which = "all claims" if len(shown) == len(lines) else "the claims that are shown"
    facts = [
        fact(origin, f"claims with verdict {v}", counts[v], unit="claims", filter=which)
        for v in VERDICTS
        if verdict in (None, v)
    ]
    return Answer(
        tool="check_claim",
        arguments=arguments,
        facts=tuple(facts),
        columns=(
            Column(name="claim", role=ColumnRole.LABEL),
            Column(name="verdict", role=ColumnRole.TEXT),
            Column(name="statement", role=ColumnRole.TEXT),
            Column(name="filter", role=ColumnRole.TEXT),
            Column(name="claimed"),
            Column(name="measured"),
            *INTERVAL_COLUMNS,
            Column(name="unit", role=ColumnRole.UNIT),
            Column(name="n", unit="customers or rows"),
        ),
        rows=tuple(_claim_row(words, specs[r["claim"]], r) for r in rows),
        origin=origin,
        notes=(
            _VERDICT_NOTE,
            *((HIDDEN_NOTE,) if len(shown) < len(lines) else ()),
            *_few_missing(*rows),
            *_earlier_notes(earlier, rows),
        ),
    )


def _few_missing(*rows: Row) -> tuple[str, ...]:
    """Say that of some verdicts n is not told."""
    return (FEW_MISSING_NOTE,) if any(r["n"] is None for r in rows) else ()


def _earlier_notes(earlier: Mapping[str, str], rows: Sequence[Row]) -> tuple[str, ...]:
    """Say whose checks some verdicts tell of as an earlier delivery had them."""
    tables = sorted({earlier[r["claim"]] for r in rows if r["claim"] in earlier})
    return tuple(
        f"{table} was delivered again since: what is told of its checks is of an earlier delivery, until "
        "`engage-spark analyze` has run again."
        for table in tables
    )


def _is_hidden(hidden: HiddenSegments, claim: ClaimSpec) -> bool:
    """Return whether a claim's figures would show a group that is hidden: its own, or that of the rest."""
    if claim.metric is not None and hidden.is_whole_hidden(claim.metric):
        return True
    if claim.dimension is None:
        return False
    small = hidden.of(claim.dimension, claim.metric or CUSTOMERS)
    if claim.kind is ClaimKind.HIGHEST:  # its explanation may name any segment
        return bool(small)
    return not small.isdisjoint((claim.segment, TRUE_SEGMENT, FALSE_SEGMENT))


def _whom(words: Vocabulary, claim: ClaimSpec) -> str:
    """Say of whom a claim's figure was measured: a group is named as the contract declares it."""
    if claim.rules:
        return f"rows of {claim.table}"
    if claim.dimension is None or claim.kind in (ClaimKind.SHARE, ClaimKind.REFERENCE_SHARE):
        return EVERYONE
    if claim.kind is ClaimKind.HIGHEST:
        return f"{claim.dimension} is {claim.segment}, against each other segment"
    declared = next(c for c in words.contract.entity.claims if c.name == claim.name)
    group, rest = declared.argument("group"), declared.argument("rest")
    others = f"customers with {rest}" if rest else "all others"
    return f"customers with {group}" + ("" if claim.kind is ClaimKind.GROUP_MEAN else f", against {others}")


def _n(claim: ClaimSpec, r: Row) -> int | None:
    """Return how many a claim's figure was measured on: of a mean of a group those alone; None untold."""
    n = r.get("n_group") if claim.kind is ClaimKind.GROUP_MEAN else None
    return r["n"] if n is None else int(n)


def _one_claim(
    words: Vocabulary,
    arguments: Mapping[str, Any],
    origin: Origin,
    claim: ClaimSpec,
    r: Row,
    notes: Sequence[str],
) -> Answer:
    parts: dict[str, Any] = {"unit": r["unit"], "n": _n(claim, r), "filter": _whom(words, claim)}
    measured = Estimate(r["measured"], r["lower"], r["upper"])
    facts = [
        fact(origin, "verdict", r["verdict"], n=r["n"], filter=_whom(words, claim)),
        fact(origin, "statement", r["statement"]),
        fact(origin, "stated in", r["source"]),
    ]
    if r["claimed"] is not None:
        facts.append(fact(origin, "claimed", r["claimed"], unit=r["unit"], filter=_whom(words, claim)))
    if r["measured"] is not None:
        facts.append(estimate_fact(origin, "measured", measured, **parts))
    facts.append(fact(origin, "explanation", r["explanation"]))
    return Answer(tool="check_claim", arguments=arguments, facts=tuple(facts), notes=(_VERDICT_NOTE, *notes))


def _claim_row(words: Vocabulary, claim: ClaimSpec, r: Row) -> tuple[Value, ...]:
    at = (r["claim"], r["verdict"], r["statement"], _whom(words, claim))
    return (*at, r["claimed"], r["measured"], r["lower"], r["upper"], r["unit"], _n(claim, r))


def data_quality(reader: LakeReader, arguments: Mapping[str, Any]) -> Answer:
    """Report the checks of a delivered table on a day: rows, and rules that did not hold first."""
    table = given(arguments, "table") or reader.words.contract.entity.name
    arguments = {**arguments, "table": table}
    as_of, severity = given(arguments, "as_of"), given(arguments, "severity")
    stage = f"ingest:{table}"
    run, rejected = _attempts(reader, table, stage, as_of)
    version = reader.lake.versions([RUNS])[RUNS]
    origin = Origin(table=RUNS, version=version, run=run.run_id, as_of=run.snapshot_date)
    everything = reader.lake.quality_results([run.run_id])
    few = gates_of_few(reader.words.contract.table(table), everything)
    if table == reader.words.contract.entity.name:
        few |= rules_of_few(reader.words.contract.entity, everything)
    results = [
        r | {"measured": None, "violations": None} if r["rule_name"] in few else r
        for r in everything
        if severity in (None, r["severity"])
    ]
    results.sort(key=lambda r: (r["passed"], SEVERITIES.index(r["severity"]), r["rule_name"]))
    broken = sum(not r["passed"] for r in results)
    notes = [
        f"A later attempt of {r.snapshot_date} was rejected: {r.message or 'a gate failed'}" for r in rejected
    ]
    if not results:
        notes.append("The run recorded no results of rules.")
    notes += [HIDDEN_NOTE] if few & {r["rule_name"] for r in results} else []
    facts = [
        _count(origin, "rows read", run.rows_in),
        _count(origin, "valid rows", run.rows_valid),
        _count(origin, "quarantined rows", run.rows_quarantined),
        fact(
            origin, "rules that did not hold", broken, unit="rules", n=run.rows_in, filter=f"rows of {table}"
        ),
        fact(origin, "rules checked", len(results), unit="rules", n=run.rows_in, filter=f"rows of {table}"),
    ]
    return Answer(
        tool="data_quality",
        arguments=arguments,
        facts=tuple(facts),
        columns=(
            Column(name="rule", role=ColumnRole.LABEL),
            Column(name="severity", role=ColumnRole.TEXT),
            Column(name="passed", role=ColumnRole.TEXT),
            Column(name="violations", unit="rows"),
            Column(name="measured"),
            Column(name="minimum"),
            Column(name="maximum"),
            Column(name="unit", role=ColumnRole.UNIT),
            Column(name="n", unit="rows"),
            Column(name="description", role=ColumnRole.TEXT),
        ),
        rows=tuple(_rule_row(r) for r in results),
        origin=origin,
        filter=f"rows of {table}",
        notes=tuple(notes),
    )


def _attempts(reader: LakeReader, table: str, stage: str, as_of: date | None) -> tuple[Run, Sequence[Run]]:
    """Return the published attempt of a day, else of the newest, and rejected ones after it."""
    publication = reader.lake.publication
    published = publication.published_days(stage)
    day = as_of or max(published, default=None)
    if day is None or day not in published:
        raise NotPublishedError.of(table, days=[] if as_of is None else [as_of], command="ingest")
    later = [
        run
        for (s, d), run in sorted(publication.latest.items(), key=lambda item: item[0][1])
        if s == stage and not run.published and (d == day if as_of else d >= day)
    ]
    return published[day], later


def _count(origin: Origin, label: str, value: int) -> Evidence:
    return fact(origin, label, value, unit="rows", n=value, filter="rows of the delivery")


def _rule_row(r: Row) -> tuple[Value, ...]:
    bounds = (r["violations"], r["measured"], r["minimum"], r["maximum"], r["unit"])
    passed = "yes" if r["passed"] else "no"
    return (r["rule_name"], r["severity"], passed, *bounds, r["rows_checked"], r["description"])
