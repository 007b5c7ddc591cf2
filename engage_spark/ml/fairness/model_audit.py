"""Audit a trained model on its test split: how it treats groups, and whether its features give them away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from engage_spark.ml.data.driver_sample import HASH, RowSample, sample_rows
from engage_spark.ml.data.split_rows import SplitRows
from engage_spark.ml.evaluation.conformal import Conformal, with_interval, with_set
from engage_spark.ml.fairness.audit import Attribute, audit_fairness
from engage_spark.ml.fairness.group_metrics import Fairness
from engage_spark.ml.fairness.proxy import Proxy, proxy_test
from engage_spark.ml.feature_spec import Feature, Target, Task
from engage_spark.ml.training.fit import own_failure
from engage_spark.settings.model import ModelSettings
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.schema import column_named

PROXY_ROWS = 50_000
"""Most rows that the proxy test reads."""


def compare_groups(
    scored: DataFrame,
    target: Target,
    conformal: Conformal,
    *,
    key: Sequence[str],
    protected: Sequence[Attribute],
    threshold: float | None,
    models: ModelSettings,
) -> Fairness:
    """Compare the groups of the protected attributes on the test split, coverage included.

    Where they cannot be audited, such as an attribute of thousands of values, or a row that the model fails
    on, `unaudited` says why, and the figures are of all rows alone, or none: the model is fitted by then.

    Cost: that of `audit_fairness`; twice where the groups cannot be audited.
    """
    label = column_named(target.name).cast("double")
    if target.task is Task.BINARY:
        rows = with_set(scored, conformal, name="__set").withColumn(
            "__covered", F.array_contains("__set", label.cast("int"))
        )
    else:
        rows = with_interval(scored, conformal, low="__low", high="__high")
        rows = rows.withColumn("__covered", (label >= F.col("__low")) & (label <= F.col("__high")))

    def audit(attributes: Sequence[Attribute]) -> Fairness:
        return audit_fairness(
            rows.withColumn("__label", label),
            target=target,
            protected=attributes,
            key=key,
            smallest=models.smallest_group,
            label="__label",
            covered="__covered",
            threshold=threshold,
        )

    nothing = Fairness(task=target.task, smallest=models.smallest_group, figures=(), spreads=())
    return _audited(audit, protected, otherwise=nothing)


def _audited(
    audit: Callable[[Sequence[Attribute]], Fairness], protected: Sequence[Attribute], *, otherwise: Fairness
) -> Fairness:
    """Audit the groups; where that is refused, all rows alone; and where that is too, give `otherwise`."""
    reasons: list[str] = []
    for attributes in dict.fromkeys((tuple(protected), ())):
        try:
            return replace(audit(attributes), unaudited=tuple(reasons))
        except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
            failure = own_failure("the audit of groups", (), e)
            groups = ", ".join(a.name for a in attributes) or "all rows"
            reasons.append(f"not audited by {groups}: {failure.message}")
    return replace(otherwise, unaudited=tuple(reasons))


def proxy_tests(
    features: Sequence[Feature],
    splits: SplitRows,
    *,
    key: Sequence[str],
    day: str,
    protected: Sequence[Attribute],
    models: ModelSettings,
) -> tuple[tuple[Proxy, ...], tuple[str, ...]]:
    """Test how well the model's features tell protected groups apart, on at most PROXY_ROWS test rows.

    Returns the tests, and the reasons why other attributes could not be tested.

    Errors: TransientError where the cluster fails.
    """
    if not protected:
        return (), ()
    drawn_alike = RowSample(expected=splits.counts["test"], limit=PROXY_ROWS)
    sample = sample_rows(splits.test, drawn_alike, key=key, seed=models.seed)
    values = [
        (column_named(f.name) if f.categorical else column_named(f.name).cast("double")).alias(f"f{i}")
        for i, f in enumerate(features)
    ]
    groups = [a.group().alias(f"g{i}") for i, a in enumerate(protected)]
    try:
        table = to_arrow(sample.select(HASH, F.unix_date(column_named(day)).alias("day"), *values, *groups))
    except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
        failure = own_failure("reading test rows", features, e)
        names = ", ".join(a.name for a in protected)
        return (), (f"no proxy test of {names}: {failure.message}",)
    table = table.sort_by([(HASH, "ascending"), ("day", "ascending")])
    columns = {f.name: table.column(f"f{i}").to_numpy() for i, f in enumerate(features)}
    proxies, untested = [], []
    for i, attribute in enumerate(protected):
        try:
            proxies.append(
                proxy_test(
                    columns,
                    table.column(f"g{i}").to_pylist(),
                    attribute=attribute.name,
                    keys=table.column(HASH).to_numpy(),
                    smallest=models.smallest_group,
                    replicates=models.bootstrap,
                    seed=models.seed,
                )
            )
        except Exception as e:  # noqa: BLE001 (what a retry may cure is raised)
            failure = own_failure(f"the proxy test of {attribute.name}", features, e)
            reason = f"no proxy test of {attribute.name} on {table.num_rows:,} test rows: {failure.message}"
            untested.append(reason)
    return tuple(proxies), tuple(untested)
