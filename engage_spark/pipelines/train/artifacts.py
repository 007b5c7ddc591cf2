"""Make the files that a training leaves in MLflow: the model card, pictures, and all figures as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from engage_spark import log
from engage_spark.contract import Contract
from engage_spark.errors import EngageError
from engage_spark.masking import cut
from engage_spark.ml.evaluation.deciles import Tenth, calibration, deciles
from engage_spark.ml.evaluation.promotion import Decision
from engage_spark.ml.fairness import audit
from engage_spark.ml.feature_spec import Task
from engage_spark.ml.report import plots
from engage_spark.ml.trained_target import TrainedTarget
from engage_spark.ml.training.final_models import WINNER
from engage_spark.pipelines.context import RunContext, StageRun
from engage_spark.pipelines.train.card import card_of


def artefacts(
    context: RunContext, work: StageRun, trained: TrainedTarget, decision: Decision, *, looks: int | None
) -> dict[str, Any]:
    """Return files by path: text, pictures as bytes, the rest as JSON can hold it.

    No row of a customer is among them, and no figure of a group of few customers.
    """
    card = card_of(context, work, trained, decision, looks=looks).markdown()
    return {
        "card.md": _escaped(card),
        **_figures(trained, decision),
        **_pictures(context.contract, trained),
    }


def description(
    context: RunContext, work: StageRun, trained: TrainedTarget, decision: Decision, *, looks: int | None
) -> str:
    """Return the model card in short, for MLflow's pages: what it is, how good, how sure, and what acting
    by it brings. What may change later, such as the decision, is in the artifact alone.
    """
    card = card_of(context, work, trained, decision, looks=looks)
    return _escaped(f"{card.brief()}\nThe artifact `card.md` of the run is the whole card.\n")


def _escaped(markdown: str) -> str:
    return markdown.replace("<", "&lt;")  # a page that shows Markdown would take it for HTML


def _figures(t: TrainedTarget, decision: Decision) -> dict[str, Any]:
    selection, plan = t.comparison.selection, t.specs.main
    return {
        "features.json": {
            "kept": list(selection.final.kept),
            "ranks": dict(selection.final.ranks),
            "folds": {
                str(k): {"kept": list(e.kept), "ranks": dict(e.ranks), "curve": dict(e.curve)}
                for k, e in selection.folds.items()
            },
            "share_of_folds_that_keep": dict(selection.frequency),
            "jaccard": selection.jaccard,
            "ranker": selection.ranker,
            "left_out": dict(plan.excluded),
            "note": selection.note,
        },
        "candidates.json": [
            {
                "name": e.candidate.name,
                "params": dict(e.candidate.params),
                "seconds": round(e.seconds, 1),
                "folds": _finite(e.folds),
            }
            for e in t.comparison.results
        ],
        "finals.json": {
            what: {
                "candidate": f.candidate.name,
                "features": [x.name for x in f.features],
                "metrics": {
                    name: None if interval is None else asdict(interval)
                    for name, interval in f.metrics.items()
                },
            }
            for what, f in t.finals.by_role.items()
        },
        "variants.json": {
            role: {"features": v.n_features, "folds": _finite(v.folds)} for role, v in t.variants.items()
        },
        "deciles.json": [_stored_tenth(x) for x in deciles(*_even(t), task=t.target.task)],
        "audit.json": [asdict(f) for f in t.findings],
        "gates.json": {
            "gates": [asdict(g) for g in t.gates],
            "promoted": decision.promoted,
            "reason": decision.reason,
        },
        "conformal.json": json.loads(t.conformal.to_json()),
        "serving.json": {
            "days": list(map(str, t.serving.days)),
            "is_refit": t.serving.is_refit,
            "failure": t.serving.failure,
            "newest": None if t.serving.newest is None else str(t.serving.newest),
            "coverage": None if t.serving.coverage is None else asdict(t.serving.coverage),
            "conformal": json.loads(t.serving.conformal.to_json()),
        },
        "profit.json": [json.loads(p.to_json()) for p in t.profits],
        "importance.json": [asdict(i) for i in t.importance],
        "proxies.json": [asdict(p) for p in t.proxies],
        "fairness.json": {
            "figures": [f.to_row() for f in t.fairness.figures],
            "spreads": [asdict(s) for s in t.fairness.spreads],
            "not_shown_alone": [asdict(n) for n in t.fairness.notes],
            "not_audited": list(t.fairness.unaudited),
        },
    }


def _even(t: TrainedTarget) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores of test rows that are drawn alike, for figures without weights."""
    even = t.finals.even
    return t.finals.labels[even], t.finals.by_role[WINNER].scores[even]


def _stored_tenth(tenth: Tenth) -> dict[str, Any]:
    """Return a tenth under the names that the stored file has had from its first version on."""
    return {
        "gathered" if name == "cumulative_share" else name: value for name, value in asdict(tenth).items()
    }


def _finite(folds: Mapping[str, tuple[float, ...]]) -> dict[str, list[float | None]]:
    """Replace NaN by null, since JSON has no NaN: a metric that a fold leaves undefined."""
    return {name: [v if math.isfinite(v) else None for v in values] for name, values in folds.items()}


def _pictures(contract: Contract, t: TrainedTarget) -> dict[str, bytes]:
    """Draw the pictures; one that cannot be drawn is left out, with a warning, and costs nothing else."""
    pictures = {}
    for path, draw in _drawings(contract, t):
        try:
            pictures[path] = draw()
        except EngageError:
            raise
        except Exception as e:  # noqa: BLE001 (whatever a picture meets, the model is whole)
            log.event(f"{path} of {t.target.name} is left out: {cut(str(e), 500)}", level="warning")
    return pictures


def _drawings(contract: Contract, t: TrainedTarget) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the path of each picture, and what draws it."""
    name, (labels, scores) = t.target.name, _even(t)
    binary, unit = t.target.task is Task.BINARY, t.target.unit or ""
    parts = deciles(labels, scores, task=t.target.task)
    title = f"{name} by tenth"
    yield (
        "plots/lift.svg",
        partial(plots.lift_chart, parts, title=title, what=name, unit="" if binary else unit),
    )
    if binary:
        yield "plots/calibration.svg", partial(_calibration, name, labels, scores, t.finals.customers)
        if t.money is not None:
            title, currency = f"{name}: profit of contacts", t.money.currency
            yield "plots/profit.svg", partial(plots.profit_curve, t.profits, title=title, unit=currency)
    else:
        title = f"{name}: predicted and actual"
        yield (
            "plots/predicted.png",
            partial(plots.predicted_actual, labels, scores, title=title, unit=unit, tenths=parts),
        )
    if curves := [e.curve for e in t.comparison.selection.folds.values() if e.curve]:
        counts = sorted(set.intersection(*(set(c) for c in curves)))
        yield (
            "plots/selection.svg",
            partial(
                plots.selection_curve,
                counts,
                [[c[n] for n in counts] for c in curves],
                n_features=len(t.final.features),
                metric="R² of a linear model",
                title=f"{name}: features that are left",
            ),
        )
    metrics = (
        ("statistical_parity", "equal_opportunity", "predictive_parity") if binary else ("mean_error", "mae")
    )
    for attribute in audit.attributes(contract):
        if any(f.compared for f in t.fairness.of(attribute.name, metrics[0]).values()):
            yield (
                f"plots/fairness_{attribute.name}.svg",
                partial(
                    plots.fairness_chart,
                    t.fairness,
                    attribute=attribute.name,
                    metrics=metrics,
                    title=f"{name} by {attribute.name}",
                    entity=contract.entity.title,
                ),
            )


def _calibration(name: str, labels: np.ndarray, scores: np.ndarray, customers: np.ndarray) -> bytes:
    bins = calibration(labels, scores, customers=customers)
    spread = calibration(labels, scores, customers=customers, mass=False)
    return plots.calibration_curve(bins, title=f"{name}: calibration", spread=spread)
