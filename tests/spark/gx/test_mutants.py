"""The comparison with GX notices when one comparison or null policy of our engine is wrong."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from pyspark.sql import functions as F

from engage_spark.gx import evaluate
from engage_spark.gx.columns import Frame
from engage_spark.gx.gx_runner import run_by_gx
from tests.spark.gx.test_differential import as_suite, compared, rows_of, tables
from tests.support.engine_mutants import HOME, LOADED, NOTICED, EndlessError, Mutant, limited, loaded, mutants
from tests.support.suite_corners import OWN, OWN_ROWS, ROWS, SUITE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from engage_spark.gx.metric_requests import MetricValues
    from engage_spark.gx.suite_io import Expectation, Suite
    from engage_spark.gx.validation_results import ValidationEntry

TABLES = 2
AT_ONCE = 12
"""Expectations that are run together, where a mutant asks something else of the rows."""
_OF_FUNCTION = "tests/unit/gx/test_engine_mutants.py notices it"
_SHOWN = "decides nothing: it is shown beside the outcome"
UNNOTICED = {
    "columns.Frame: len(same) > 1 → len(same) >= 1": "one column of the name was returned before",
    "columns.compared: units < 0 → units <= 0": "a bound that is beyond the type is not 0",
    "columns._nearest_double: nearest < value → nearest <= value": "they differ there",
    "columns.exact: value > 0 → value >= 0": "infinity is not 0",
    "columns._of_text: cells.digits is None → cells.digits is not None": _OF_FUNCTION,
    "columns.literal: cells.digits is None → cells.digits is not None": _OF_FUNCTION,
    "expectation_args.ExpectationArgs: len(unknown) > 1 → len(unknown) >= 1": "one letter of a message",
    "row_conditions._expression: F.coalesce(F.expr(read.fault), F.lit(False)) → "
    "F.coalesce(F.expr(read.fault), F.lit(True))": "a fault is never null",
    "map_expectations.map_result: sample is not None → sample is None": _SHOWN,
    "map_expectations._greater: one.column >= other.column → one.column > other.column": "equal values are "
    "in the other half of the condition",
    "map_expectations._greater: one.column.eqNullSafe(other.column) → one.column == other.column": "two "
    "nulls are not unexpected, equal or unknown",
    "aggregate_expectations._shown: value.denominator == 1 → value.denominator != 1": _SHOWN,
    "aggregate_expectations._columns_in_order: e != f → e == f": _SHOWN,
    "evaluate._is_masked: name in masked → name not in masked": _SHOWN,
}
"""Mutants that no table tells from the engine, and why."""


@dataclass(frozen=True)
class Case:
    """A table with a suite, what GX says of it, and what our engine asks of the rows and is told."""

    name: str
    rows: DataFrame
    suite: Suite
    theirs: tuple[ValidationEntry | Written, ...]
    asked: tuple[tuple[str, ...], ...]
    answers: MetricValues


def drawn(n: int) -> list[tuple[list[tuple[Any, ...]], list[dict[str, Any]]]]:
    """The first tables that the comparison draws, too."""
    cases: list[tuple[list[tuple[Any, ...]], list[dict[str, Any]]]] = []

    @settings(max_examples=n, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(tables())
    def collect(case: tuple[list[tuple[Any, ...]], list[dict[str, Any]]]) -> None:
        cases.append(case)

    collect()
    return cases


@pytest.fixture(scope="module")
def cases(spark: SparkSession) -> list[Case]:
    named = {"corners": (ROWS, SUITE)} | {f"table {i}": case for i, case in enumerate(drawn(TABLES), 1)}
    cases = [asked_case("own", *own(spark))]
    for name, (rows, expectations) in named.items():
        frame = rows_of(spark, rows)
        theirs = by_gx(frame, as_suite(expectations), repr((rows, expectations)))
        cases.append(asked_case(name, frame, expectations, theirs))
    return cases


def asked_case(name: str, rows: DataFrame, expectations: list[dict[str, Any]], theirs: Any) -> Case:
    """A case with what the engine itself asks of the rows, and is told. It is right on all of them."""
    suite, frame, ask = as_suite(expectations), Frame(rows), evaluate.MetricRequests()
    for e in suite.expectations:
        evaluate._plan(e, suite, frame, ask)
    answers = evaluate.answer(rows, frame, ask, masked=frozenset(), show=False)
    plans = list(planned(evaluate, rows, suite))
    outcomes = [evaluate._evaluated(plan, answers) for plan, _ in plans]
    wrong = [w for pair in zip(outcomes, theirs, strict=True) if (w := compared(*pair))]
    assert wrong == [], f"{name}: {wrong}"
    return Case(name, rows, suite, theirs, tuple(asked for _, asked in plans), answers)


@dataclass(frozen=True)
class Written:
    """What a person wrote of an expectation, in place of GX."""

    success: bool
    exception: str | None
    result: dict[str, Any]


def own(spark: SparkSession) -> tuple[Any, list[dict[str, Any]], tuple[Written, ...]]:
    """Where GX errs, or says nothing: rows, expectations and what is right of each."""
    theirs = tuple(
        Written(
            bool(success),
            "refused" if success is None else None,
            {} if n is None else {"unexpected_count": n},
        )
        for _, success, n in OWN
    )
    return rows_of(spark, OWN_ROWS), [e for e, _, _ in OWN], theirs


def by_gx(rows: DataFrame, suite: Suite, given: str) -> tuple[ValidationEntry, ...]:
    """What GX says, from the last run where the same was given: it takes a minute."""
    path = NOTICED / f"gx-{hashlib.sha256(given.encode()).hexdigest()[:16]}.pickle"
    if not path.exists():
        NOTICED.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(run_by_gx(rows, suite, show=False)))
    theirs: tuple[ValidationEntry, ...] = pickle.loads(path.read_bytes())
    return theirs


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("module", LOADED)
def test_every_mutant_is_noticed(module: str, cases: list[Case]) -> None:
    """A run that was interrupted goes on where it stopped, while the engine and the tables are the same."""
    path, of = NOTICED / f"{module}.json", digest_of_engine()
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    noticed: dict[str, list[str] | None] = stored["noticed"] if stored.get("of") == of else {}
    for mutant in mutants():
        if mutant.module == module and noticed.get(mutant.name) is None:
            noticed[mutant.name] = noticed_by(mutant, cases)
            text = json.dumps({"of": of, "noticed": noticed}, indent=1, ensure_ascii=False)
            path.write_text(text, encoding="utf-8")
    survivors = {name for name, by in noticed.items() if by is None}
    assert survivors == {name for name in UNNOTICED if name.startswith(f"{module}.")}


def digest_of_engine() -> str:
    """SHA-256 of the engine and of the tables."""
    sources = [(HOME / f"{m}.py").read_text(encoding="utf-8") for m in LOADED]
    return hashlib.sha256(repr((sources, ROWS, SUITE, OWN_ROWS, OWN, TABLES)).encode()).hexdigest()


def noticed_by(mutant: Mutant, cases: list[Case]) -> list[str] | None:
    """The table, and the type of expectation, by which a mutant is noticed first."""
    with loaded(mutant) as engine:
        for case in cases:
            try:
                with limited():
                    kind = differing(engine, mutant, case)
            except (Exception, EndlessError) as e:  # noqa: BLE001 (whatever a broken engine raises is noticed)
                kind = type(e).__name__
            if kind is not None:
                return [case.name, kind]
    return None


def differing(engine: Any, mutant: Mutant, case: Case) -> str | None:
    """The first type of which the engine says something else than GX.

    What asks of the rows what the engine itself asks is decided by the engine's answers, without a job; a
    mutant of the answers is run whole.
    """
    again = mutant.module in ("evaluate", "metric_requests")
    waiting: list[tuple[Expectation, Any]] = []
    everything = zip(case.suite.expectations, case.asked, case.theirs, strict=True)
    for (e, before, theirs), (plan, asked) in zip(
        everything, planned(engine, case.rows, case.suite), strict=True
    ):
        if not again and asked == before:
            if compared(engine._evaluated(plan, case.answers), theirs) is not None:
                return str(e.type)
            continue
        waiting.append((e, theirs))
        if len(waiting) == AT_ONCE:
            if kind := run_again(engine, case, waiting):
                return kind
            waiting = []
    return run_again(engine, case, waiting) if waiting else None


def run_again(engine: Any, case: Case, expectations: list[tuple[Expectation, Any]]) -> str | None:
    """Run some expectations of a suite, and return the first type on which GX does not agree."""
    suite = replace(case.suite, expectations=tuple(e for e, _ in expectations))
    for ours, (_, theirs) in zip(engine.run_suite(case.rows, suite, show=False), expectations, strict=True):
        if compared(ours, theirs) is not None:
            return str(ours.expectation.type)
    return None


def planned(engine: Any, rows: DataFrame, suite: Suite) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yield each expectation as an engine plans it, and what it asks of the rows."""
    frame = engine.Frame(rows)
    for e in suite.expectations:
        ask = engine.MetricRequests()
        yield engine._plan(e, suite, frame, ask), tuple(questions(ask))


def questions(ask: Any) -> Iterator[str]:
    """What is asked, as text: the columns with their conditions."""
    yield str(ask.total)
    for name, count in ask.counts.items():
        yield f"{name}: {count.where}"
    for name, (domain, cells) in ask.numbers.items():
        yield f"{name}: {domain.value(cells.column)} {sorted(ask.cuts[name])}"
    for keys, groups in ask.groups.items():
        for name, g in groups.items():
            figure = g.of(F.col("n"), [F.col(f"k{i}") for i in range(len(keys))])
            yield f"{keys} {name}: {g.domain.where} {figure}"
