"""Decide from what the leakage audit measured: findings, and whether they stop a training. No Spark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from engage_spark.errors import GateError
from engage_spark.ml.feature_spec import FeatureSpec, LeakPolicy, Task
from engage_spark.ml.leakage import target_histogram
from engage_spark.ml.leakage.target_histogram import Histogram, ValueGroup
from engage_spark.ml.selection.fold_gram import FoldGrams, Gram
from engage_spark.ml.selection.rfe import eliminate, r2
from engage_spark.numerics.binomial import binomial_bounds
from engage_spark.wording import counted, number

if TYPE_CHECKING:
    from engage_spark.ml.selection.profile import FeatureProfile
    from engage_spark.spark.column_profile import ColumnProfile

LEAVE_OUT = (
    "say in the contract that it leaks (leaksInto), "
    "or why it is known before the label's window opens, and audit again permissively"
)
MAKE_SURE = (
    "make sure that it is known before the label's window opens; else say in the contract that it leaks"
)
MOST_TWINS = 10
"""The most keys that count as duplicates where they are equal in all features (decision 6)."""
FEWEST_DIFFERENT = 3
"""Groups that would have to differ in their labels by chance, or nothing is said of their agreement."""
CODE_VALUES = 12
"""The most values of a flag or a code."""


@dataclass(frozen=True, kw_only=True)
class LeakLimits:
    """The limits beyond which the audit reports a finding. All findings stop a strict training, except
    label-like, twins, constant, few duplicates or such as differ in labels, common profiles, and identifiers
    that are numbers.

    `auc` and `r2` are of one feature alone, `formula` of several together; `purity` is P(rarer class | some
    of the values), for groups of at least `rows` rows that hold at least `held` of that class: it stops where
    its lower bound is above `sure`, and is label-like where an honest feature may have it by chance; `odds`:
    how many times likelier one value makes the class, where it holds at least `odds_held` of it; `missing`:
    R² of whether a value is there; `duplicates`: share of rows that repeat another key's in another split;
    `unique`: distinct values per row from which on a column counts as an identifier, for columns of at least
    `rows` values.
    """

    auc: float = 0.95
    r2: float = 0.95
    formula: float = 0.95
    purity: float = 0.98
    sure: float = 0.95
    rows: int = 30
    held: float = 0.1
    odds: float = 10.0
    odds_held: float = 0.25
    missing: float = 0.25
    duplicates: float = 0.01
    unique: float = 0.95


@dataclass(frozen=True, kw_only=True)
class DuplicateCounts:
    """Counts of duplicates: rows of one day that are equal in all features under several keys, of at most
    `MOST_TWINS` keys.

    `groups` of `keys`, one a key and day, have `repeated` beyond the first of each. `across` of them are in
    several splits or folds, with `parted` beyond the first of each; the labels of `labelled` of these are
    known, and differ within `differ` of them. `profiles` are the groups of more keys, `common` their keys.
    `twice` counts rows beyond the first with one key and day, `split_keys` keys in several splits.
    """

    keys: int
    groups: int
    repeated: int
    across: int
    twice: int
    split_keys: int
    parted: int = 0
    labelled: int = 0
    differ: int = 0
    profiles: int = 0
    common: int = 0


@dataclass(frozen=True, kw_only=True)
class LeakFinding:
    """Something that makes a model look better than it will be. `stops` ends a strict training.

    `target` and `policy` name the spec that it is about; None: it is about the rows or the features
    themselves. `measured` is beyond `limit`.
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
    """Whether training stops, and a line for every finding that stops it or, where none does, warns."""

    stops: bool
    lines: tuple[str, ...]


def audit_outcome(findings: Sequence[LeakFinding], policy: LeakPolicy) -> AuditOutcome:
    """Decide whether training stops: under STRICT by findings that stop, under PERMISSIVE never.

    Findings about a spec of the other policy are left out.
    """
    relevant = [f for f in findings if f.policy in (None, policy)]
    stopping = [f for f in relevant if f.stops and policy is LeakPolicy.STRICT]
    return AuditOutcome(stops=bool(stopping), lines=tuple(map(str, stopping or relevant)))


def leak_error(findings: Sequence[LeakFinding]) -> GateError:
    """Build the error that ends a strict training: one, with every finding that stops it."""
    stopping = [f for f in findings if f.stops and f.policy in (None, LeakPolicy.STRICT)]
    return GateError(
        f"the leakage audit found {counted(len(stopping), 'reason')} not to train",
        details=[str(f) for f in stopping],
        hint="fix each as its hint says, or set models.policy=permissive to train anyway, with warnings",
    )


class LimitBreach(NamedTuple):
    """How one feature breaks a limit, before it is said of which spec."""

    check: str
    measured: float
    limit: float
    stops: bool
    explanation: str


def plan_findings(
    spec: FeatureSpec, grams: FoldGrams, histograms: Mapping[str, Histogram], limits: LeakLimits
) -> list[LeakFinding]:
    """List what one spec's features reveal of its target; of each feature the strongest finding alone."""
    gram = grams.using(spec.names).everything()
    if not gram.of_target > 0:
        return []  # a constant target is refused where folds are counted
    findings = []
    for feature in spec.features:
        histogram = histograms[feature.name]
        evidence = (
            _of_binary(histogram, limits)
            if spec.target.task is Task.BINARY
            else _of_number(histogram, gram, feature.name, limits)
        )
        if evidence:
            hint = LEAVE_OUT if evidence.stops else MAKE_SURE
            text = f"{feature.name} {evidence.explanation}"
            findings.append(_about(spec, evidence._replace(explanation=text), (feature.name,), hint))
    return findings + _formula(spec, grams, limits, {f.columns[0] for f in findings if f.stops})


def _about(spec: FeatureSpec, evidence: LimitBreach, columns: tuple[str, ...], hint: str) -> LeakFinding:
    return LeakFinding(
        **evidence._asdict(), columns=columns, hint=hint, target=spec.target.name, policy=spec.policy
    )


def _of_binary(h: Histogram, limits: LeakLimits) -> LimitBreach | None:
    if target_histogram.pure(h) and int(h.filled.sum()) * limits.rows <= int(h.rows.sum()):
        text = "determines the label: each of its values goes with one class only."
        return LimitBreach("label proxy", 1.0, limits.purity, True, text)
    auc = target_histogram.auc(h)
    if auc > limits.auc:
        text = f"alone has an AUC of {auc:.3f}; an honest feature hardly ever has more than {limits.auc}."
        return LimitBreach("too good to be true", auc, limits.auc, True, text)
    settled = _settled(h, limits)
    if settled is not None and settled.stops:
        return settled
    return _missing(h, limits) or settled or _likely(h, limits)


def _likely(h: Histogram, limits: LeakLimits) -> LimitBreach | None:
    """Find the value of a flag or a code that goes with the rarer class far more often than others do."""
    likely = [
        g
        for g in target_histogram.value_groups(h, thresholds=False)
        if g.rows >= limits.rows and g.odds >= limits.odds and g.held >= limits.odds_held
    ]
    if not likely or int(h.filled.sum()) > CODE_VALUES:
        return None
    group = max(likely, key=lambda g: g.odds)
    text = (
        f"{group.values} has {group.odds:.0f} times the odds of the rarer class "
        f"and holds {group.held:.0%} of it: it may be set with the label."
    )
    return LimitBreach("label-like", group.odds, limits.odds, False, text)


def _settled(h: Histogram, limits: LeakLimits) -> LimitBreach | None:
    """Find the group of values that all but settles the label: the largest that surely does, if one does."""
    groups = [
        g
        for g in target_histogram.value_groups(h, thresholds=True)
        if g.rows >= limits.rows and g.held >= limits.held
    ]
    certain = [g for g in groups if g.rate >= limits.purity]
    if not certain:
        return None
    lowest = {g: _lowest_rate(g, looked_at=len(groups)) for g in certain}
    sure = [g for g in certain if lowest[g] > limits.sure]
    group = max(sure or certain, key=lambda g: (g.held, g.rate))
    text = (
        f"{group.values} all but settles the label: {group.rate:.1%} of these {group.rows} rows "
        f"are of the rarer class, {group.held:.0%} of it."
    )
    if sure:
        return LimitBreach("label proxy", group.rate, limits.purity, True, text)
    text += f" In so few rows that may be chance: no more than {lowest[group]:.0%} is sure."
    return LimitBreach("label-like", group.rate, limits.purity, False, text)


def _lowest_rate(group: ValueGroup, *, looked_at: int) -> float:
    """Bound a group's share of the rarer class from below, with 95% confidence for all groups looked at."""
    lower, _ = binomial_bounds([round(group.rate * group.rows)], group.rows, math.log(looked_at / 0.05))
    return float(lower[0])


def _of_number(h: Histogram, gram: Gram, source: str, limits: LeakLimits) -> LimitBreach | None:
    line = r2(gram, [source])
    if line > 0.9999:
        text = f"is the target but for a factor and a summand (R² {line:.5f})."
        return LimitBreach("label proxy", line, limits.r2, True, text)
    if line > limits.r2:
        text = f"alone explains {line:.1%} of the target's variance in a straight line."
        return LimitBreach("too good to be true", line, limits.r2, True, text)
    curve = target_histogram.explained(h)
    if curve > limits.r2:
        text = f"alone explains {curve:.1%} of the target's variance."
        return LimitBreach("too good to be true", curve, limits.r2, True, text)
    return _missing(h, limits)


def _missing(h: Histogram, limits: LeakLimits) -> LimitBreach | None:
    measured = target_histogram.missing_r2(h)
    if measured <= limits.missing:
        return None
    text = (
        f"is missing in {int(h.rows[-1])} rows; that alone explains {measured:.1%} of the target's variance."
    )
    return LimitBreach("missing with the label", measured, limits.missing, True, text)


def _formula(spec: FeatureSpec, grams: FoldGrams, limits: LeakLimits, leaking: set[str]) -> list[LeakFinding]:
    """Find a linear formula of several features; products and other curves of more than one feature are not
    looked for.
    """
    honest = [s for s in spec.names if s not in leaking]
    gram = grams.using(honest).everything()
    if len(honest) < 2 or _adjusted(r2(gram), gram, honest) <= limits.formula:
        return []
    path = eliminate(gram, 1)
    fewest = min(
        n for n, share in path.curve.items() if _adjusted(share, gram, path.left(n)) > limits.formula
    )
    columns = tuple(s for s in honest if s in path.left(fewest))
    measured, target = path.curve[fewest], spec.target.name
    text = (
        f"a linear formula of {', '.join(columns)} reconstructs {target} (R² {measured:.3f}): "
        "it may be computed from them."
    )
    hint = f"if {target} is computed from them, give these fields leaksInto {target}"
    evidence = LimitBreach("reconstructs a formula", measured, limits.formula, True, text)
    return [_about(spec, evidence, columns, hint)]


def _adjusted(share: float, gram: Gram, sources: Sequence[str]) -> float:
    free = gram.rows - 1 - sum(len(gram.of(s)) for s in sources)
    return 1 - (1 - share) * (gram.rows - 1) / free if free > 0 else 0.0


def column_findings(
    specs: Sequence[FeatureSpec], profile: FeatureProfile, *, days: int, most_levels: int, limits: LeakLimits
) -> list[LeakFinding]:
    """List features that are empty, constant, identifiers or have too many levels; at most one finding
    each.
    """
    columns = [profile[n] for n in dict.fromkeys(n for p in specs for n in p.names)]
    return [f for c in columns if (f := _of_column(c, profile.rows, days, most_levels, limits))]


def _of_column(
    c: ColumnProfile, rows: int, days: int, most_levels: int, limits: LeakLimits
) -> LeakFinding | None:
    def finding(check: str, measured: float, limit: float, stops: bool, text: str, hint: str) -> LeakFinding:
        return LeakFinding(
            check=check,
            columns=(c.name,),
            measured=measured,
            limit=limit,
            stops=stops,
            explanation=f"{c.name} {text}",
            hint=hint,
        )

    if not c.present:
        text = f"has no value in {rows} rows."
        return finding(
            "empty",
            0.0,
            0.0,
            True,
            text,
            "find out why nothing arrives, or take its role feature away in the contract",
        )
    if c.constant and not c.missing:
        value = next(iter(c.values))
        shown = number(value, 6) if isinstance(value, float) else value
        text = f"is {shown} in all {rows:,} rows."
        return finding("constant", 1.0, 1.0, False, text, "take its role feature away in the contract")
    unique = min(1.0, len(c.values) * days / sum(c.values.values()))
    if (c.is_text or c.whole) and c.present >= limits.rows and unique >= limits.unique:
        text = f"has almost one value per row ({unique:.1%}): it names rows rather than describing them."
        return finding(
            "identifier",
            unique,
            limits.unique,
            c.is_text,
            text,
            "if it names rows, give it the role identifier in the contract",
        )
    if c.is_text and c.distinct > most_levels:
        text = f"is a category of about {c.distinct} levels; no more than {most_levels} become columns."
        hint = "group its levels in a derived field, or give it the role identifier or audit"
        return finding("too many levels", float(c.distinct), float(most_levels), True, text, hint)
    return None


def twin_findings(pairs: Sequence[tuple[str, str, int]]) -> list[LeakFinding]:
    """Report pairs of features whose values map one-to-one, with how many values each has."""
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


def duplicate_findings(
    counts: DuplicateCounts, key: Sequence[str], limits: LeakLimits, *, chance: float
) -> list[LeakFinding]:
    """List what is wrong with rows: the same features under several keys, a key several times or in several
    splits.

    `chance` is the share of pairs of rows that differ in a label, whoever they are: duplicates in several
    splits stop a training only where their labels agree clearly more often.
    """
    keys, findings = tuple(key), []

    def add(check: str, measured: float, limit: float, stops: bool, text: str, hint: str) -> None:
        findings.append(
            LeakFinding(
                check=check,
                columns=keys,
                measured=measured,
                limit=limit,
                stops=stops,
                explanation=text,
                hint=hint,
            )
        )

    if counts.repeated:
        add("duplicates", *_of_duplicates(counts, limits, chance))
    if counts.common:
        text = (
            f"{counts.common:,} of {counts.keys:,} rows share all features with more than {MOST_TWINS - 1} "
            f"others of their day ({counted(counts.profiles, 'common profile')}): they are split by key, as "
            "a model will meet such rows again."
        )
        share = counts.common / counts.keys
        add("common profiles", share, 1.0, False, text, "none needed, where rows are few and coarse")
    if counts.twice:
        text = f"{counts.twice} rows have the key and day of another row."
        add(
            "key held twice",
            float(counts.twice),
            0.0,
            True,
            text,
            "declare the key, so that ingest quarantines the second row",
        )
    if counts.split_keys:
        text = f"{counts.split_keys} keys are in more than one split: their other snapshots are trained on."
        add(
            "in several splits",
            float(counts.split_keys),
            0.0,
            True,
            text,
            "draw splits by key, as the table `splits` holds them",
        )
    return findings


def _of_duplicates(
    counts: DuplicateCounts, limits: LeakLimits, chance: float
) -> tuple[float, float, bool, str, str]:
    """Return what is measured of duplicates, its limit, whether that stops, and the two texts."""
    repeated = f"{counts.repeated:,} of {counts.keys:,} rows repeat another key's row in all features"
    source = (
        "remove the duplicates at the source, or give one customer one key; rows of few coarse features may "
        "be alike by chance"
    )
    if not counts.across:
        share = counts.repeated / counts.keys
        text = f"{repeated} ({share:.1%}); all of a group are in one split and one fold."
        return share, limits.duplicates, False, text, source
    share = counts.parted / counts.keys
    apart = (
        f"{repeated}, and {counts.across:,} of {counted(counts.groups, 'such group')} "
        f"{'is' if counts.across == 1 else 'are'} in several splits or folds ({share:.1%} of the rows), "
        "where they were put before they were alike"
    )
    expected = chance * counts.labelled
    if expected >= FEWEST_DIFFERENT and counts.differ > expected / 2:
        text = (
            f"{apart}; the labels of {counts.differ:,} of {counts.labelled:,} differ, so that they are alike "
            "by chance."
        )
        return share, limits.duplicates, False, text, "none needed, where rows are few and coarse"
    stops = share > limits.duplicates and expected >= FEWEST_DIFFERENT
    hint = (
        "delete the table splits: the next training draws it anew, with duplicates on one side, and no model "
        f"of before is compared with the new ones; or {source}"
    )
    text = f"{apart}: a model is tested on rows that it was fitted on."
    if expected < FEWEST_DIFFERENT:
        text += (
            " Their labels are too few, or too rarely of one class, to tell whether they are alike by chance."
        )
    return share, limits.duplicates, stops, text, hint


def time_findings(
    target: str, *, trained: Sequence[date], label_days: int, tested: date | None
) -> list[LeakFinding]:
    """List what a target's out-of-time test day shares with the label windows of the days trained on.

    A model that is tested on a day must not have learnt from what happened after it: each window, of
    `label_days` days, must be over on that day. `tested` None: nothing is tested out of time.
    """
    if tested is None or not trained or max(trained) + timedelta(days=label_days) <= tested:
        return []
    return [
        LeakFinding(
            check="time overlap",
            columns=(target,),
            measured=float((max(trained) + timedelta(days=label_days) - tested).days),
            limit=0.0,
            stops=True,
            explanation=f"the labels of {max(trained)} are of the {label_days} days after it, and {tested} "
            "is tested on: it tests no later time.",
            hint="test on a snapshot after the label windows of those that are trained on",
            target=target,
        )
    ]
