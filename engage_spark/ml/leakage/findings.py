"""What a leakage audit finds, and what follows from it under each policy. No Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engage_spark.errors import GateError
from engage_spark.ml.feature_spec import FeatureSpec, LeakPolicy, Task
from engage_spark.ml.leakage import target_histogram
from engage_spark.ml.leakage.target_histogram import Histogram
from engage_spark.ml.selection.fold_gram import FoldGrams, Gram
from engage_spark.ml.selection.rfe import eliminate, r2

if TYPE_CHECKING:
    from engage_spark.ml.selection.profile import ColumnProfile, FeatureProfile

LEAVE_OUT = "say in the contract that it leaks (leaksInto), or why it is known before the label's window opens, and audit again permissively"


@dataclass(frozen=True, kw_only=True)
class LeakLimits:
    """From where on something is found. All findings stop strict training but label-like, twins, constant,
    few duplicates, and identifiers that are numbers.

    `auc` and `r2` of one feature alone, `formula` of several together; `purity`: P(rarer class | part of the
    values), for parts of at least `rows` rows that hold at least `held` of that class; `odds`: how many times
    likelier one value makes the class, where it holds at least `odds_held` of it; `missing`: R² of whether a
    value is there; `duplicates`: share of customers that repeat another one; `unique`: distinct values per
    row from which a column is taken for an identifier, for columns of at least `rows` values.
    """

    auc: float = 0.95
    r2: float = 0.95
    formula: float = 0.95
    purity: float = 0.98
    rows: int = 30
    held: float = 0.1
    odds: float = 10.0
    odds_held: float = 0.25
    missing: float = 0.25
    duplicates: float = 0.01
    unique: float = 0.95


@dataclass(frozen=True, kw_only=True)
class LeakFinding:
    """Something that makes a model look better than it will be. `stops`: strict training goes no further.

    `target` and `policy` name the spec that it is about; None: it is about the rows or the features
    themselves. `measured` broke `limit`.
    """

    check: str
    columns: tuple[str, ...]
    measured: float
    limit: float
    stops: bool
    explanation: str
    hint: str
    target: str | None = None
    policy: LeakPolicy | None = None

    def __str__(self) -> str:
        about = f" ({self.target})" if self.target else ""
        return f"{self.check}{about}: {self.explanation} Hint: {self.hint}."


@dataclass(frozen=True, kw_only=True)
class AuditOutcome:
    """Whether training stops, and every finding in words, with what becomes of it."""

    stops: bool
    lines: tuple[str, ...]


def audit_outcome(findings: Sequence[LeakFinding], policy: LeakPolicy) -> AuditOutcome:
    """Under STRICT a finding that stops stops; under PERMISSIVE every finding is a warning. Findings about a
    spec of the other policy are left out.
    """
    mine = [f for f in findings if f.policy in (None, policy)]
    stopping = [f for f in mine if f.stops and policy is LeakPolicy.STRICT]
    lines = [
        f"{'stops' if f in stopping else 'warning'}: {f}"
        for f in (*stopping, *(f for f in mine if f not in stopping))
    ]
    return AuditOutcome(stops=bool(stopping), lines=tuple(lines))


def leak_error(findings: Sequence[LeakFinding]) -> GateError:
    """The error that a strict training ends with: every finding that stops it, in one."""
    stopping = [f for f in findings if f.stops and f.policy in (None, LeakPolicy.STRICT)]
    return GateError(
        f"the leakage audit found {len(stopping)} reasons not to train",
        details=[str(f) for f in stopping],
        hint="mend each as it says, or set models.policy=permissive to train all the same and be warned",
    )


def plan_findings(
    spec: FeatureSpec, grams: FoldGrams, histograms: Mapping[str, Histogram], limits: LeakLimits
) -> list[LeakFinding]:
    """Findings about what one spec's features tell of its target; one, the strongest, per feature."""
    gram = grams.using(spec.names).everything()
    if not gram.of_target > 0:
        return []  # a constant target is refused where folds are counted
    found = []
    for feature in spec.features:
        h = histograms[feature.name]
        alone = (
            _alone_binary(h, limits)
            if spec.target.task is Task.BINARY
            else _alone_number(h, gram, feature.name, limits)
        )
        if alone:
            check, measured, limit, stops, said = alone
            hint = (
                LEAVE_OUT
                if stops
                else "make sure that it is known before the label's window opens; else say in the contract that it leaks"
            )
            found.append(
                _about(spec, check, (feature.name,), measured, limit, stops, f"{feature.name} {said}", hint)
            )
    return found + _formula(spec, grams, limits, {f.columns[0] for f in found if f.stops})


def _about(
    spec: FeatureSpec,
    check: str,
    columns: tuple[str, ...],
    measured: float,
    limit: float,
    stops: bool,
    said: str,
    hint: str,
) -> LeakFinding:
    return LeakFinding(
        check=check,
        columns=columns,
        measured=measured,
        limit=limit,
        stops=stops,
        explanation=said,
        hint=hint,
        target=spec.target.name,
        policy=spec.policy,
    )


Alone = tuple[str, float, float, bool, str] | None


def _alone_binary(h: Histogram, limits: LeakLimits) -> Alone:
    if target_histogram.pure(h) and int(h.filled.sum()) * limits.rows <= int(h.rows.sum()):
        return (
            "label twin",
            1.0,
            limits.purity,
            True,
            "determines the label: each of its values goes with one class only.",
        )
    area = target_histogram.auc(h)
    if area > limits.auc:
        return (
            "too good to be true",
            area,
            limits.auc,
            True,
            f"alone has an AUC of {area:.3f}; more than {limits.auc} hardly ever is honest.",
        )
    certain = [
        p
        for p in target_histogram.value_groups(h, thresholds=True)
        if p.rows >= limits.rows and p.rate >= limits.purity and p.held >= limits.held
    ]
    if certain:
        p = max(certain, key=lambda p: (p.held, p.rate))
        said = f"{p.said} all but settles the label: {p.rate:.1%} of these {p.rows} rows are of the rarer class, {p.held:.0%} of it."
        return "label twin", p.rate, limits.purity, True, said
    if gone := _missing(h, limits):
        return gone
    few = [
        p
        for p in target_histogram.value_groups(h, thresholds=False)
        if p.rows >= limits.rows and p.odds >= limits.odds and p.held >= limits.odds_held
    ]
    if few and int(h.filled.sum()) <= FEW:
        p = max(few, key=lambda p: p.odds)
        said = f"{p.said} has {p.odds:.0f} times the odds of the rarer class and holds {p.held:.0%} of it: it may be set with the label."
        return "label-like", p.odds, limits.odds, False, said
    return None


FEW = 12
"""A flag or a code has at most so many values."""


def _alone_number(h: Histogram, gram: Gram, source: str, limits: LeakLimits) -> Alone:
    line = r2(gram, [source])
    if line > 0.9999:
        return (
            "label twin",
            line,
            limits.r2,
            True,
            f"is the target but for a factor and a summand (R² {line:.5f}).",
        )
    if line > limits.r2:
        return (
            "too good to be true",
            line,
            limits.r2,
            True,
            f"alone explains {line:.1%} of the target's variance in a straight line.",
        )
    curve = target_histogram.explained(h)
    if curve > limits.r2:
        return (
            "too good to be true",
            curve,
            limits.r2,
            True,
            f"alone explains {curve:.1%} of the target's variance.",
        )
    return _missing(h, limits)


def _missing(h: Histogram, limits: LeakLimits) -> Alone:
    measured = target_histogram.missing_r2(h)
    if measured <= limits.missing:
        return None
    said = f"is missing in {int(h.rows[-1])} rows, and that alone explains {measured:.1%} of the target's variance."
    return "missing with the label", measured, limits.missing, True, said


def _formula(spec: FeatureSpec, grams: FoldGrams, limits: LeakLimits, known: set[str]) -> list[LeakFinding]:
    """A linear formula of several features; products and other curves of more than one feature are not looked
    for.
    """
    honest = [s for s in spec.names if s not in known]
    gram = grams.using(honest).everything()
    if len(honest) < 2 or _adjusted(r2(gram), gram, honest) <= limits.formula:
        return []
    path = eliminate(gram, 1)
    fewest = min(
        n for n, found in path.curve.items() if _adjusted(found, gram, path.left(n)) > limits.formula
    )
    columns = tuple(s for s in honest if s in path.left(fewest))
    measured = path.curve[fewest]
    said = f"a linear formula of {', '.join(columns)} reconstructs {spec.target.name} (R² {measured:.3f}): it may be computed from them."
    hint = f"if {spec.target.name} is computed from them, give these fields leaksInto {spec.target.name}"
    return [_about(spec, "reconstructs a formula", columns, measured, limits.formula, True, said, hint)]


def _adjusted(found: float, gram: Gram, sources: Sequence[str]) -> float:
    free = gram.rows - 1 - sum(len(gram.of(s)) for s in sources)
    return 1 - (1 - found) * (gram.rows - 1) / free if free > 0 else 0.0


def column_findings(
    specs: Sequence[FeatureSpec], profile: FeatureProfile, *, days: int, most_levels: int, limits: LeakLimits
) -> list[LeakFinding]:
    """Findings about features by themselves: empty, constant, identifiers, too many levels; at most one each."""
    columns = [profile[n] for n in dict.fromkeys(n for p in specs for n in p.names)]
    return [f for c in columns if (f := _of_column(c, profile.rows, days, most_levels, limits))]


def _of_column(
    c: ColumnProfile, rows: int, days: int, most_levels: int, limits: LeakLimits
) -> LeakFinding | None:
    def found(check: str, measured: float, limit: float, stops: bool, said: str, hint: str) -> LeakFinding:
        return LeakFinding(
            check=check,
            columns=(c.name,),
            measured=measured,
            limit=limit,
            stops=stops,
            explanation=f"{c.name} {said}",
            hint=hint,
        )

    if not c.present:
        said = f"has no value in {rows} rows."
        return found(
            "empty",
            0.0,
            0.0,
            True,
            said,
            "find out why nothing arrives, or take its role feature away in the contract",
        )
    if c.constant and not c.missing:
        said = f"is {next(iter(c.values))} in all {rows} rows."
        return found("constant", 1.0, 1.0, False, said, "take its role feature away in the contract")
    unique = min(1.0, len(c.values) * days / sum(c.values.values()))
    if (c.categorical or c.whole) and c.present >= limits.rows and unique >= limits.unique:
        said = f"has as good as one value per row ({unique:.1%}): it names rows more than it describes them."
        return found(
            "identifier",
            unique,
            limits.unique,
            c.categorical,
            said,
            "if it names rows, give it the role identifier in the contract",
        )
    if c.categorical and c.distinct > most_levels:
        said = f"is a category of about {c.distinct} levels; no more than {most_levels} become columns."
        hint = "group its levels in a derived field, or give it the role identifier or audit"
        return found("too many levels", float(c.distinct), float(most_levels), True, said, hint)
    return None


def twin_findings(pairs: Sequence[tuple[str, str, int]]) -> list[LeakFinding]:
    """Pairs of features that say the same in other words, with how many values each has."""
    return [
        LeakFinding(
            check="twins",
            columns=(a, b),
            measured=1.0,
            limit=1.0,
            stops=False,
            hint="keep one of them as a feature",
            explanation=f"{a} and {b} are one-to-one ({n} values): a model splits their weight between them.",
        )
        for a, b, n in pairs
    ]


def duplicate_findings(copies: DuplicateCounts, key: Sequence[str], limits: LeakLimits) -> list[LeakFinding]:
    """Findings about rows: the same content under several keys, a key several times, on several sides."""
    keys, found = tuple(key), []

    def add(check: str, measured: float, limit: float, stops: bool, said: str, hint: str) -> None:
        found.append(
            LeakFinding(
                check=check,
                columns=keys,
                measured=measured,
                limit=limit,
                stops=stops,
                explanation=said,
                hint=hint,
            )
        )

    if copies.repeated:
        share = copies.repeated / copies.keys
        said = (
            f"{copies.repeated} of {copies.keys} repeat another key in all features and targets ({share:.1%}), and {copies.across} of "
            f"{copies.groups} such groups lie on several sides or folds: a model is tested on what it has learnt by heart."
        )
        hint = "remove the duplicates at the source, or give what is one customer one key; rows of few coarse features may be alike by chance"
        add("duplicates", share, limits.duplicates, share > limits.duplicates, said, hint)
    if copies.twice:
        said = f"{copies.twice} rows have the key and day of another row."
        add(
            "key held twice",
            float(copies.twice),
            0.0,
            True,
            said,
            "declare the key, so that ingest quarantines the second row",
        )
    if copies.two_sides:
        said = f"{copies.two_sides} keys are on more than one side: their other snapshots are trained on."
        add(
            "on two sides",
            float(copies.two_sides),
            0.0,
            True,
            said,
            "draw sides by key, as `splits` holds them",
        )
    return found


@dataclass(frozen=True, kw_only=True)
class DuplicateCounts:
    """What the rows' hashes say. `groups` of `keys` with equal content have `repeated` keys beyond the first
    each; `across` of them lie on several sides or folds. `twice`: rows beyond the first with one key and
    day; `two_sides`: keys on several sides.
    """

    keys: int
    groups: int
    repeated: int
    across: int
    twice: int
    two_sides: int


def time_findings(
    days: Mapping[str, tuple[str, str]], *, trained: Sequence[str], later: Sequence[str]
) -> list[LeakFinding]:
    """Sides that test a later time, whose first day is not after the last day that is trained on. `days`:
    first and last day by side.
    """
    last = max((days[s][1] for s in trained if s in days), default=None)
    return [
        LeakFinding(
            check="time overlap",
            columns=(side,),
            measured=0.0,
            limit=0.0,
            stops=True,
            explanation=f"side {side} begins on {days[side][0]}, and {last} is trained on: it tests no later time.",
            hint="test on snapshots later than those that are trained on",
        )
        for side in later
        if side in days and last is not None and days[side][0] <= last
    ]
