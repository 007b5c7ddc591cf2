"""Explain a model's predictions without Spark: contributions of source features, and a row's reasons.

An explainer is small, holds no driver object, travels to the workers by value, and is stored beside the model
as JSON with all its bits.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from engage_spark.errors import EngageError, InputError
from engage_spark.ml.explain.tree_ensemble import Ensemble
from engage_spark.numerics.dtypes import F64, I32, I64

TOLERANCE, SINGLE_TOLERANCE = 1e-6, 1e-5
"""How far contributions and base may be from a prediction, relative to the size of what a model adds up where
that is above 1; of models that add up in 32 bits the second. A sum is rounded by the size of its addends: one
that is nearly 0 may be made of hundreds.
"""


class ExplanationError(EngageError):
    """Reasons do not add up to the prediction that they should explain (exit code 2).

    The explainer is another model's.
    """


class Link(StrEnum):
    """How contributions become a prediction: their sum, log-odds of a probability, log of an amount."""

    IDENTITY = "identity"
    LOGIT = "logit"
    LOG = "log"


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear:
    """A linear model of the assembled vector.

    `means` are those of the rows that contributions are compared with.
    """

    coefficients: F64
    means: F64
    intercept: float

    def raw(self, x: F64) -> F64:
        """Return each row's linear predictor, summed in the order of the slots."""
        predictor = np.full(len(x), self.intercept)
        for j, b in enumerate(self.coefficients):
            predictor += b * x[:, j]
        return predictor

    def addends(self, x: F64) -> F64:
        """Return each row's sum of the magnitudes that `raw` adds up."""
        return np.asarray(
            abs(self.intercept) + np.abs(x[:, : len(self.coefficients)]) @ np.abs(self.coefficients)
        )

    @cached_property
    def base(self) -> float:
        """The linear predictor of the mean row."""
        return float(self.raw(self.means[None, :])[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Explainer:
    """Contributions of source features to the predictions of one model.

    `source[j]` is the feature that slot j of the assembled vector comes from, by its position in `features`;
    `categories` are those that have a slot per level. Contributions are Shapley values in the units of the
    link: of trees path-dependent TreeSHAP, of a linear model coefficient times distance from the mean. A
    feature's slots are added up. `minimum` and `maximum` are the bounds that a prediction is put into.
    """

    features: tuple[str, ...]
    categories: tuple[str, ...]
    source: I32
    link: Link
    model: Ensemble | Linear
    minimum: float | None = None
    maximum: float | None = None

    @property
    def base(self) -> float:
        """What contributions start from, in the units of the link."""
        return self.model.base

    def unit(self, amount: str) -> str:
        """Name the unit of base and contributions; `amount` is that of the target, "" for two classes."""
        if self.link is Link.LOGIT:
            return "log-odds"
        return f"log {amount}" if self.link is Link.LOG else amount or "probability"

    def contributions(self, x: F64) -> F64:
        """Return the contribution of each row and feature; `x` holds rows of the assembled vector."""
        from engage_spark.ml.explain.treeshap import contributions

        if not self.features:
            return np.zeros((len(x), 0))
        if isinstance(self.model, Ensemble):
            return contributions(self.model, x, source=self.source, prepared=self._tables)
        moved = np.zeros((len(x), len(self.features)))
        for j, b in enumerate(self.model.coefficients):
            moved[:, self.source[j]] += b * (x[:, j] - self.model.means[j])
        return moved

    @cached_property
    def _tables(self) -> Any:
        from engage_spark.ml.explain.treeshap import tables

        assert isinstance(self.model, Ensemble)
        return tables(self.model)

    def served(self, total: F64) -> F64:
        """Return the prediction that a sum of base and contributions stands for, before any calibration."""
        # exp of a large number is infinite, and 1 / infinity is 0, as in the model
        with np.errstate(over="ignore"):
            value = {Link.IDENTITY: total, Link.LOGIT: 1.0 / (1.0 + np.exp(-total)), Link.LOG: np.exp(total)}[
                self.link
            ]
        low, high = (
            -np.inf if self.minimum is None else self.minimum,
            np.inf if self.maximum is None else self.maximum,
        )
        return np.asarray(np.clip(value, low, high))

    def checked(self, x: F64, served: F64) -> F64:
        """Return contributions after checking that they add up.

        They must add up to the raw prediction of this explainer's model, and to what the fitted model served.
        `served`: the prediction, or a binary model's uncalibrated probability.

        Errors: ExplanationError with the worst row's figures.
        """
        contributions = self.contributions(x)
        raw, total = self.model.raw(x), self.base + contributions.sum(axis=1)
        size = np.maximum(1.0, self.model.addends(x))
        rounding = SINGLE_TOLERANCE if isinstance(self.model, Ensemble) and self.model.single else TOLERANCE
        # A link passes a difference on by its slope: at most 1/4 for log-odds, the value for logarithms.
        slope = {
            Link.IDENTITY: size,
            Link.LOGIT: np.maximum(1.0, size / 4.0),
            Link.LOG: size * np.maximum(1.0, np.abs(served)),
        }[self.link]
        for what, actual, expected, allowed in (
            ("its raw prediction", total, raw, TOLERANCE * size),
            ("what the model predicts", self.served(total), served, rounding * slope),
        ):
            off = np.abs(actual - expected) / allowed  # NaN is not agreement
            if not np.all(off <= 1.0):
                worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
                raise ExplanationError(
                    f"contributions add up to {actual[worst]!r}, and {what} is {expected[worst]!r}",
                    hint=(
                        "explain with the explainer that was stored with this version of the model, or "
                        "train the model again"
                    ),
                )
        return contributions

    def explained(self, x: F64, served: F64, count: int) -> tuple[I32, F64, I64, F64, F64]:
        """Return what `top` does of each row, the sum of its other contributions, and its score.

        Contributions are `checked`; with `count` 0 none is computed, and the others are all beyond the base.

        Errors: ExplanationError as `checked` raises it.
        """
        score = self.model.raw(x)
        if not count:
            nothing = np.zeros(0, np.int32), np.zeros(0), np.zeros(len(x), np.int64)
            return *nothing, score - self.base, score
        contributions = self.checked(x, served)
        feature, values, counts = self.top(contributions, count)
        contributions[np.repeat(np.arange(len(x)), counts), feature] = 0.0
        return feature, values, counts, contributions.sum(axis=1), score

    def top(self, contributions: F64, count: int) -> tuple[I32, F64, I64]:
        """Return the `count` largest contributions of each row: features, values, and how many per row.

        They are the largest by magnitude. Ties are ordered by name, and zeros are left out.
        """
        by_name = np.argsort(np.array(self.features, dtype=str), kind="stable")
        size = np.abs(contributions[:, by_name])
        order = np.argsort(-size, axis=1, kind="stable")[:, :count]
        is_listed = np.take_along_axis(size, order, axis=1) > 0
        features = by_name[order]
        values = np.take_along_axis(contributions, features, axis=1)
        return features[is_listed].astype(np.int32), values[is_listed], is_listed.sum(axis=1)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: self.__dict__[f.name] for f in fields(self)}  # what was derived is derived again

    def to_json(self) -> str:
        """Return text that `from_json` reads, bit for bit."""
        kind = "trees" if isinstance(self.model, Ensemble) else "linear"
        model = {f.name: _packed(getattr(self.model, f.name)) for f in fields(self.model)}
        content = {
            "features": self.features,
            "categories": self.categories,
            "source": _packed(self.source),
            "link": self.link.value,
        }
        return json.dumps(
            content | {kind: model, "minimum": self.minimum, "maximum": self.maximum},
            sort_keys=True,
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Explainer:
        """Read what `to_json` wrote.

        Errors: InputError where the text is something else.
        """
        try:
            d = json.loads(text)
            kind = Ensemble if "trees" in d else Linear
            model: Any = kind(
                **{k: _unpacked(v) for k, v in d["trees" if kind is Ensemble else "linear"].items()}
            )
            return cls(
                features=tuple(d["features"]),
                categories=tuple(d["categories"]),
                source=_unpacked(d["source"]),
                link=Link(d["link"]),
                model=model,
                minimum=d["minimum"],
                maximum=d["maximum"],
            )
        except (ValueError, TypeError, KeyError, zlib.error) as e:
            raise InputError(
                f"this is not a stored explainer: {type(e).__name__}: {e}",
                hint="train the model again, or restore its artefact",
            ) from e


def _packed(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    plain = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return {"type": plain.dtype.str, "bytes": base64.b64encode(zlib.compress(plain.tobytes(), 6)).decode()}


def _unpacked(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    stored = np.frombuffer(zlib.decompress(base64.b64decode(value["bytes"])), np.dtype(value["type"]))
    return stored.astype(stored.dtype.newbyteorder("="))
