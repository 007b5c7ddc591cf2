"""Declare what a model card is made of: metrics, features, findings, other models."""

from __future__ import annotations

from dataclasses import dataclass

from engage_spark.ml.evaluation.bootstrap import Interval


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A metric of METRICS on the evaluated rows: the model's and the baseline's."""

    metric: str
    model: Interval
    baseline: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class SelectedFeature:
    """A feature of the model.

    `importance` is as `Card.importance_is` says, `folds` in how many of the training folds it was selected.
    """

    name: str
    importance: float | None = None
    folds: int | None = None


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """What the leakage audit says of a column or of the rows.

    `stops`: training under the strict policy ends with it.
    """

    about: str
    text: str
    stops: bool = False


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """The same target trained otherwise, such as without the protected fields, on so many `folds`.

    `value` and `reference` are means of a metric over these: its own, and that of the model of the card.
    """

    name: str
    features: int
    metric: str
    value: float
    reference: float
    folds: int
