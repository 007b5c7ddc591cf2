"""The losses that a search of boosted trees reads off one fit, beside those of shorter fits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engage_spark.ml.feature_spec import Target
from engage_spark.ml.training.boosting_search import held_out_losses
from engage_spark.ml.training.fit import Job, fit_all, out_of_fold, prepared
from tests.support.made_rows import FEATURES, LEFT, QUICK, VALUE, frame, make_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.connect
@pytest.mark.parametrize(
    "target", [LEFT, replace(VALUE, minimum=None, maximum=None)], ids=["classes", "numbers"]
)
def test_the_loss_after_each_round_is_that_of_a_fit_of_so_many_rounds(
    spark: SparkSession, target: Target
) -> None:
    people = frame(spark, make_rows(300, seed=8))
    rows = prepared(people.where("fold <> 0"), key="id", day=None, partitions=1, seed=1)
    jobs = [
        Job(
            candidate=replace(QUICK["gbt"], name=f"gbt {n}", params=QUICK["gbt"].params | {"maxIter": n}),
            target=target,
            features=FEATURES,
            rows=rows,
            label=target.name,
            seed=1,
            fold=0,
        )
        for n in (1, 2, 4)
    ]
    fitted = fit_all(jobs, parallelism=2)
    losses = held_out_losses(fitted[-1], people)
    assert len(losses) == 4
    scored = out_of_fold(fitted, people, key="id").toArrow().to_pandas()
    for n, shorter in scored.groupby("candidate"):
        y, p = shorter.label.to_numpy(), shorter.score.to_numpy()
        error = (y - p) ** 2 if target is not LEFT else -np.log(np.where(y == 1, p, 1 - p))
        assert losses[int(str(n).split()[1]) - 1] == pytest.approx(error.mean(), rel=1e-9)
