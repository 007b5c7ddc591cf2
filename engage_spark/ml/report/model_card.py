"""Write a model card in Markdown: what a model is and is for, how it was evaluated, and its limits.

Pure text from one dataclass, so the same facts give the same card. Whatever was not done is said to be
missing, never passed over.

Source: Mitchell et al. 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from engage_spark.contract.money import ContactMoney
from engage_spark.ml.data.split_rows import SplitSummary
from engage_spark.ml.evaluation.bootstrap import Gain, Interval
from engage_spark.ml.evaluation.conformal import Conformal
from engage_spark.ml.evaluation.metrics import HEADLINE, METRICS
from engage_spark.ml.evaluation.profit_curve import Profit
from engage_spark.ml.fairness.group_metrics import Fairness, FairnessAnswer, GroupFigure
from engage_spark.ml.fairness.proxy import Proxy
from engage_spark.ml.feature_spec import LeakPolicy, Target, Task
from engage_spark.ml.report.card_parts import Alternative, AuditEntry, Scored, SelectedFeature
from engage_spark.ml.report.markdown import bullets, table
from engage_spark.wording import counted, number, without_html

NOT_DONE = "Not done in this run."
NO_MONEY = (
    "The contract declares no money of this target: what a contact costs, how often it succeeds, and what a "
    "success is worth. So nothing is decided, and no profit is shown."
)
LEAST_GROUPS = 12
"""Rows of the table of the smallest and largest; all of them are in the run's fairness table."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything the card says.

    Texts are Markdown, one paragraph or item each. An empty part is reported as not done. `entity` is what
    the contract calls that which the model is about, such as customers.
    """

    name: str
    version: str
    target: Target
    description: str
    policy: LeakPolicy
    kind: str
    parameters: tuple[tuple[str, str], ...]
    run: str
    code: str
    contract: str
    settings: str
    uses: tuple[str, ...]
    misuses: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    parts: tuple[SplitSummary, ...] = ()
    kept: tuple[SelectedFeature, ...] = ()
    importance_is: str = ""
    eliminated: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()
    selection: tuple[str, ...] = ()
    candidates: tuple[tuple[str, float, float], ...] = ()
    searches: tuple[str, ...] = ()
    judged: str = ""
    scored: tuple[Scored, ...] = ()
    gains: tuple[tuple[str, Gain], ...] = ()
    calibration: tuple[str, ...] = ()
    conformal: Conformal | None = None
    coverage: tuple[tuple[str, GroupFigure], ...] = ()
    money: ContactMoney | None = None
    profits: tuple[Profit, ...] = ()
    selected_from: float | None = None
    fairness: Fairness | None = None
    proxies: tuple[Proxy, ...] = ()
    untested_proxies: tuple[str, ...] = ()
    findings: tuple[AuditEntry, ...] | None = None
    versions: tuple[Alternative, ...] = ()
    limits: tuple[str, ...] = field(default=())
    entity: str = "rows"

    def markdown(self) -> str:
        """Return the card, ending with a line break."""
        return _sections(
            (f"# {self.name}, version {self.version}", [self.description]),
            ("## Model details", self._details()),
            ("## Intended use", self._use()),
            ("## Data", self._data()),
            ("## Features", self._features()),
            ("## How good it is", self._quality()),
            ("## How sure it is", self._certainty()),
            *self._money(),
            ("## Groups", self._groups()),
            ("## Leakage audit", self._audit()),
            ("## What other choices would give", self._versions()),
            ("## Limits", self._limits()),
        )

    def brief(self) -> str:
        """Return what a reader asks first: the figures on rows that no model has seen, how sure it is, what
        acting by it brings, and the features.
        """
        return _sections(
            (f"# {self.name}", [self.description]),
            ("## How good it is", self._quality()),
            ("## How sure it is", self._certainty()),
            *self._money(),
            ("## Features", self._features()),
        )

    @property
    def _unit(self) -> str:
        return f" {self.target.unit}" if self.target.unit else ""

    @property
    def _positive(self) -> str:
        return "" if self.target.positive == "1" else f", which is the value '{self.target.positive}'"

    def _details(self) -> list[str]:
        bounds = [
            number(b) if b is not None else "no bound" for b in (self.target.minimum, self.target.maximum)
        ]
        what = (
            f"the probability of 1{self._positive}"
            if self.target.task is Task.BINARY
            else f"a number from {bounds[0]} to {bounds[1]}{self._unit}"
        )
        rows = [
            ("target", (f"`{self.target.name}`, predicted as {what}")),
            ("model", self.kind),
            ("leakage policy", self.policy.value),
            ("run", f"`{self.run}`"),
            ("code", f"`{self.code}`"),
            ("contract", self.contract),
            ("settings", f"`{self.settings}`"),
        ]
        parameters = ", ".join(f"{n} {v}" for n, v in self.parameters)
        return [table(("", ""), rows), f"Parameters: {parameters}." if parameters else ""]

    def _use(self) -> list[str]:
        never = (
            (
                "to say why something happens, or what an action would change: its figures are "
                "associations, not causes"
            ),
            "to decide about a person without one who looks at the case and can be asked",
            *self.misuses,
        )
        return ["It is meant", bullets(self.uses), "It is not meant", bullets(never)]

    def _data(self) -> list[str]:
        label_note = (
            f" Its label is known {self.target.label_days} days after the snapshot."
            if self.target.label_days
            else ""
        )
        days = f"Snapshots: {', '.join(self.snapshots)}.{label_note}" if self.snapshots else ""
        mean = (
            "share of 1"
            if self.target.task is Task.BINARY
            else f"mean label{f' ({self.target.unit})' if self.target.unit else ''}"
        )
        parts = table(("part", "rows", mean), [(p.name, f"{p.rows:,}", number(p.mean)) for p in self.parts])
        return [days, parts, table(("table", "version"), self.tables)]

    def _features(self) -> list[str]:
        folds = any(k.folds is not None for k in self.kept)
        heads = (
            "feature",
            *((f"importance ({self.importance_is})",) if self.importance_is else ()),
            *(("kept in folds",) if folds else ()),
        )
        rows = [
            (
                f"`{k.name}`",
                *((_or_dash(k.importance),) if self.importance_is else ()),
                *(("–" if k.folds is None else str(k.folds),) if folds else ()),
            )
            for k in self.kept
        ]
        reasons: dict[str, list[str]] = {}
        for name, reason in self.excluded:
            reasons.setdefault(reason, []).append(f"`{name}`")
        out = bullets([f"{reason}: {', '.join(names)}" for reason, names in reasons.items()])
        eliminated = (
            f"Eliminated by selection: {', '.join(f'`{n}`' for n in self.eliminated)}."
            if self.eliminated
            else ""
        )
        n_used = f"{counted(len(self.kept), 'feature')} used." if self.kept else ""
        return [
            n_used,
            table(heads, rows),
            *self.selection,
            eliminated,
            "Left out from the start:" if out else "",
            out,
        ]

    def _quality(self) -> list[str]:
        baseline = any(s.baseline for s in self.scored)
        rows = [
            (
                METRICS[s.metric].title,
                self._interval(s.metric, s.model),
                *((self._interval(s.metric, s.baseline),) if baseline else ()),
                {"higher": "higher", "lower": "lower", "zero": "nearer 0"}[METRICS[s.metric].better],
            )
            for s in self.scored
        ]
        heads = ("metric", "model", *(("baseline",) if baseline else ()), "better is")
        confidence = next(
            (
                f" In brackets: {s.model.confidence:.0%} bootstrap intervals, drawn by {self.entity}."
                for s in self.scored
            ),
            "",
        )
        note = (
            "Chance alone shows a calibration error on few rows; it is given without it, and its interval "
            "holds the error of endless rows."
            if any(METRICS[s.metric].parts for s in self.scored)
            else ""
        )
        gains = [f"Against {name}: {self._gain(g)}." for name, g in self.gains]
        compared = [(f"{n}", number(mean), number(spread)) for n, mean, spread in self.candidates]
        return [
            f"{self.judged}{confidence}".strip(),
            table(heads, rows) or NOT_DONE,
            note,
            *gains,
            "Candidates in cross-validation:" if compared else "",
            table(("candidate", "mean of the folds", "spread"), compared),
            *self.searches,
            *self.calibration,
        ]

    def _interval(self, metric: str, i: Interval | None) -> str:
        unit = self._unit if METRICS[metric].unit == "target" else ""
        return "–" if i is None else f"{number(i.value)}{unit} [{number(i.low)}, {number(i.high)}]"

    def _gain(self, g: Gain) -> str:
        unit = self._unit if METRICS[g.metric].unit == "target" else ""
        how = "better" if g.gain > 0 else "worse" if g.gain < 0 else "different"
        return (
            f"{METRICS[g.metric].title} {number(abs(g.gain))}{unit} {how} (gain [{number(g.low)}, "
            f"{number(g.high)}], on the same rows; "
            f"a gain in {g.probability:.0%} of the replicates)"
        )

    def _certainty(self) -> list[str]:
        c = self.conformal
        if c is None:
            return [NOT_DONE]
        if c.task is Task.BINARY:
            what = "Sets hold the label" + (
                ", among those labelled 0 as among those labelled 1," if c.by_class else ""
            )
        else:
            what = "Intervals hold the label" + (
                f", in each of {c.parts} ranges of predictions," if c.cuts else ""
            )
        n = (
            sum(x.n for x in c.cells)
            if c.by_class or c.task is Task.REGRESSION
            else sum(x.n for x in c.cells) // 2
        )
        promised = (
            f"{what} with a probability of at least {c.coverage:.0%}, by split conformal "
            f"prediction on {n:,} rows kept for it."
        )
        small = (
            f"{len(c.too_small)} of {len(c.cells)} cells have too few rows, and promise the whole range."
            if c.too_small
            else ""
        )
        rows = [(name, f"{f.n:,}", _bounded_share(f)) for name, f in self.coverage]
        return [promised, small, table(("rows evaluated", "rows", "covered [95%]"), rows)]

    def _money(self) -> list[tuple[str, list[str]]]:
        if self.target.task is not Task.BINARY:
            return []
        if self.money is None:
            return [("## From which probability on to act", [NO_MONEY])]
        assumption = (
            f"A contact is taken to cost {number(self.money.cost)} {self.money.currency}, and to succeed "
            f"with {self.money.success:.0%} of the rows of class 1. That is an assumption of the contract: "
            f"no data here says what a contact changes. It pays from p* = cost / (success × value) on. "
            f"Source of the figures: {self.money.source.rstrip('.')}."
        )
        rows = [
            (
                number(p.value),
                number(p.chosen) if p.chosen <= 1 else "nobody",
                f"{p.at.contacted:.1%}",
                f"{number(p.at.profit)} [{number(p.at.low)}, {number(p.at.high)}]",
                number(p.everyone.profit),
                f"{number(p.best_profit)} from {'none' if math.isinf(p.best) else number(p.best)}",
                _share(p.confusion.precision),
                _share(p.confusion.recall),
            )
            for p in self.profits
        ]
        heads = (
            f"value of a success ({self.money.currency})",
            "p*",
            "contacted",
            "profit per 1,000",
            "if all are",
            "best on these rows",
            "precision",
            "recall",
        )
        return [("## From which probability on to act", [assumption, table(heads, rows)])]

    def _groups(self) -> list[str]:
        return [*self._fairness(), *self._proxies()]

    def _fairness(self) -> list[str]:
        f = self.fairness
        if f is None:
            return [f"By group: {NOT_DONE.lower()}"]
        if f.unaudited:
            return [f"By group: {NOT_DONE.lower()}", bullets(f.unaudited)]
        flagged = [
            f"{s.attribute}, {s.metric.replace('_', ' ')}: {p.lower} has {number(p.ratio)} [{number(p.low)}, "
            f"{number(p.high)}] of {'the error' if s.metric == 'mae' else 'the rate'} of {p.higher}."
            for s in f.flagged
            for p in s.flagged[:LEAST_GROUPS]
        ]
        rows = [
            (
                s.attribute,
                s.metric.replace("_", " "),
                f"{number(s.low)} ({s.lowest})",
                f"{number(s.high)} ({s.highest})",
                _or_dash(s.difference),
                _or_dash(s.ratio),
                s.answer.value if s.answer else "–",
                ", ".join(s.left_out) or "–",
            )
            for s in f.spreads
            if s.low is not None and s.high is not None
        ]
        listed = (
            sorted(rows, key=lambda r: r[6] != FairnessAnswer.FLAGGED)[: max(LEAST_GROUPS, len(f.flagged))]
            if len(rows) > 3 * LEAST_GROUPS
            else rows
        )
        left = (
            f" Shown are {len(listed)} of {len(rows)}, the flagged ones first."
            if len(listed) < len(rows)
            else ""
        )
        heads = ("attribute", "metric", "lowest", "highest", "difference", "ratio", "four fifths", "left out")
        notes = [f"{n.attribute}: {n.group}: {n.reason}." for n in f.notes]
        return [
            _fairness_text(f, self.entity) + self._selected() + left,
            bullets([*flagged, *notes]),
            table(heads, listed),
        ]

    def _selected(self) -> str:
        """Say which rows count as selected where no contact decides it."""
        if self.money is not None or self.selected_from is None:
            return ""
        return (
            " The contract declares no money of the target, so nothing is decided by it: groups are compared "
            f"as if rows of a probability of {number(self.selected_from)} or more, the share of class 1, "
            "were selected."
        )

    def _proxies(self) -> list[str]:
        untested = bullets([*self.untested_proxies])
        if not self.proxies:
            return [f"Whether the features give groups away: {NOT_DONE.lower()}", untested]
        rows = []
        for p in self.proxies:
            for g in p.groups:
                led = ", ".join(f"`{c.feature}` ({number(c.alone)} alone)" for c in g.carriers[:3])
                rows.append(
                    (
                        p.attribute,
                        g.group,
                        f"{number(g.auc.value)} [{number(g.auc.low)}, {number(g.auc.high)}]",
                        led,
                    )
                )
            few = f"not tested: fewer than {p.smallest:,} {self.entity} to fit or to measure"
            rows += [(p.attribute, group, few, "–") for group in p.left_out]
        text = (
            "How well a linear score of the features tells a group from all others: AUC on "
            f"{self.entity} it was not fitted on. 0.5 is not at all. What only a nonlinear score would see, "
            "this does not."
        )
        return [text, table(("attribute", "group", "AUC", "led by"), rows), untested]

    def _audit(self) -> list[str]:
        if self.findings is None:
            return [NOT_DONE]
        if not self.findings:
            return ["Nothing was found."]
        return [
            table(
                ("about", "finding", "strict policy"),
                [(f.about, f.text, "stops" if f.stops else "warns") for f in self.findings],
            )
        ]

    def _versions(self) -> list[str]:
        if not self.versions:
            return [NOT_DONE]
        rows = [
            (
                v.name,
                str(v.features),
                f"{METRICS[v.metric].title} {number(v.value)}",
                f"{number(v.reference)} on the same {v.folds} folds",
            )
            for v in self.versions
        ]
        note = "Measured on folds, before calibration: no test row is among them, so a choice may rest on it."
        return [note, table(("version", "features", "metric", "this model"), rows)]

    def _limits(self) -> list[str]:
        general = [
            (
                f"It is evaluated on rows like those it was made from. For other {self.entity}, other times "
                "or changed inputs, nothing is promised."
            )
        ]
        return [bullets([*general, *self.limits])]


def _sections(*sections: tuple[str, list[str]]) -> str:
    text = "\n\n".join("\n\n".join([head, *(b for b in body if b)]) for head, body in sections)
    return without_html(text) + "\n"


def selection_text(loss: float, *, metric: str, n_features: int, n_all_features: int, ranker: str) -> str:
    """Say what the selection of features loses against all of them, and what to try against it.

    Units: `loss` is in AUC for that metric, else a share of RMSE.
    """
    lost = f"{loss:.4f} AUC" if metric == HEADLINE[Task.BINARY].name else f"{loss:.1%} RMSE"
    advice = "" if ranker == "forest" else "; try models.ranker=forest"
    return f"{n_features} of {n_all_features} features cost {lost}{advice}"


def _fairness_text(f: Fairness, entity: str) -> str:
    answers = [s.answer for s in f.spreads if s.answer]
    counts = ", ".join(f"{answers.count(a)} {a.value}" for a in FairnessAnswer)
    return (
        f"A figure of a group is shown and compared where at least {f.smallest:,} {entity} are behind its "
        f"denominator. {len(answers)} rates or errors are held against four fifths by the intervals of the "
        f"groups' ratios, which hold for all groups of an attribute at once with 95%: {counts}. A flag is a "
        f"reason to look into it. Nothing is known of a group that is left out."
    )


def _or_dash(x: float | None) -> str:
    return "–" if x is None else number(x)


def _bounded_share(f: GroupFigure) -> str:
    if f.value is None or f.low is None or f.high is None:
        return "–"
    return f"{f.value:.1%} [{f.low:.1%}, {f.high:.1%}]"


def _share(x: float) -> str:
    return "–" if math.isnan(x) else f"{x:.1%}"
