"""Join the rows that models are trained on and score: every feature of a customer as it was known on the day
of the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from engage_spark.contract import Contract, Field, day_column
from engage_spark.contract.labels import label_sql
from engage_spark.errors import ConfigurationError, NotMaturedError
from engage_spark.ml.feature_spec import FeatureSpec, Target, feature_tables
from engage_spark.spark.joins import join_required
from engage_spark.spark.schema import column_named

Step = Callable[[DataFrame], DataFrame]


def label(target: Field) -> Column:
    """Return the label of a target under its name: 0 or 1 of two classes, else the number; null stays."""
    return F.expr(label_sql(target)).alias(target.name)


def label_end(day: date, target: Target) -> date:
    """Return the last day of a snapshot's label window: the snapshot itself where the target has none."""
    return day + timedelta(days=target.label_days)


def known_days(landed: Mapping[date, date], target: Target, *, as_of: date) -> tuple[date, ...]:
    """List the snapshots whose labels are known on `as_of`, oldest first. `landed`: the UTC day on which each
    snapshot's published delivery landed.

    Labels are those of a window of days after the snapshot, so they are known when its last day is over, and
    only a delivery that landed after that can say them. Without a window they are known when delivered.
    """
    if not target.label_days:
        return tuple(d for d in sorted(landed) if d <= as_of)
    return tuple(d for d in sorted(landed) if label_end(d, target) < min(as_of, landed[d]))


def matured_days(
    landed: Mapping[date, date], targets: Sequence[Target], *, as_of: date
) -> dict[str, tuple[date, ...]]:
    """List, per target, the snapshots whose labels are known (see `known_days`).

    Errors: NotMaturedError where no target has any; ConfigurationError where there is no snapshot at all.
    """
    matured = {t.name: known_days(landed, t, as_of=as_of) for t in targets}
    if any(matured.values()):
        return matured
    if not landed:
        raise ConfigurationError(
            "there is no snapshot to train on",
            hint="run `engage-spark ingest` and `engage-spark features` first",
        )
    windows = ", ".join(f"{t.name} {t.label_days} days" for t in targets)
    over = [d for d in sorted(landed) if any(label_end(d, t) < as_of for t in targets)]
    if over:
        raise NotMaturedError(
            f"no snapshot has labels that were known when it landed ({windows})",
            details=[f"{d} landed on {landed[d]}, before its windows were over" for d in over[:10]],
            hint="deliver the snapshots again with the labels, and run `engage-spark ingest`; for a backfill "
            "say with ingest.landed_at when they landed",
        )
    earliest = min(label_end(d, t) + timedelta(days=t.label_days > 0) for d in landed for t in targets)
    raise NotMaturedError(
        f"no snapshot has matured by {as_of}: the oldest is of {min(landed)}, "
        f"and its labels are known later ({windows})",
        hint=f"train on {earliest} or later, when the oldest has matured, or ingest older snapshots",
    )


def labelled(
    rows: DataFrame, *, target: Target, days: Sequence[date], day: str = "snapshot_date"
) -> DataFrame:
    """Select the rows that a model of `target` may be trained or tested on: of matured `days` (see
    `matured_days`), the target known.

    Cost: no job.
    """
    return rows.where(F.col(day).isin(list(days)) & column_named(target.name).isNotNull())


def to_training_set(
    rows: DataFrame,
    derived: Sequence[DataFrame],
    *,
    contract: Contract,
    specs: Sequence[FeatureSpec],
    with_graph: Step | None = None,
) -> DataFrame:
    """Join the features of the specs, the targets and the protected fields of each row, all of the same key
    and the same day.

    `rows`: valid rows of the entity, of any snapshots. `derived`: one table of derived features for each that
    the contract derives from the entity, in its order. `with_graph` adds what was measured on the graph, and
    decides whose value counts where both have one; it is a step because another room makes the join:
    `partial(with_graph_features, graph=…, on=…, measured=…)`. Plans that use no graph need none.

    Grain: that of `rows`; those without a target stay, because each target lacks other rows (see `labelled`).
    Columns: the key, the day, the features of any spec in the contract's order, the labels of the targets
    (see `label`), the protected fields that are not features; nothing else, types as declared. Point in time:
    tables are joined by key and day, so a later snapshot says nothing about an earlier one. `derived` and the
    graph have a key and day once at most.

    Nulls: they stay.
    Cost: no job; one shuffle of `rows` and one of each joined table (by the same columns, so `rows` is not
    moved again), of the columns that are used.
    Errors: ConfigurationError when a feature is in none of the tables; a row that a derived table lacks fails
    the job when it is read, with its key and what to do.
    """
    wanted = {p.target.name for p in specs}
    targets = [name for name in contract.target_tables if name in wanted]
    return _model_rows(rows, derived, contract=contract, specs=specs, with_graph=with_graph, targets=targets)


def to_scoring_set(
    rows: DataFrame,
    derived: Sequence[DataFrame],
    *,
    contract: Contract,
    specs: Sequence[FeatureSpec],
    with_graph: Step | None = None,
) -> DataFrame:
    """Join the rows to score: as `to_training_set`, without the targets, which are not known yet."""
    return _model_rows(rows, derived, contract=contract, specs=specs, with_graph=with_graph, targets=[])


def _model_rows(
    rows: DataFrame,
    derived: Sequence[DataFrame],
    *,
    contract: Contract,
    specs: Sequence[FeatureSpec],
    with_graph: Step | None,
    targets: list[str],
) -> DataFrame:
    entity = contract.entity
    keys = [*entity.key, day_column(entity)]
    sources = [t for t in feature_tables(contract) if t.source == entity.name and t in contract.derived]
    features = {f.name: f.table for p in specs for f in p.features}
    protected = {
        f.name: t.name
        for t in (entity, *sources)
        for f in t.fields
        if f.protected and not f.is_key and f.name not in targets
    }
    order = dict.fromkeys(f.name for t in feature_tables(contract) for f in t.fields)
    audited = [name for name in order if name in protected and name not in features]
    columns = [*(name for name in order if name in features), *targets, *audited]
    joined = rows.select(*map(column_named, keys), *(column_named(n) for n in columns if n in rows.columns))
    for table, frame in zip(sources, derived, strict=True):
        names = [n for n in columns if n in table.names and n in frame.columns and n not in joined.columns]
        joined = join_required(
            joined,
            frame,
            on=keys,
            columns=names,
            what=f"derived features ({table.name})",
            hint="run `engage-spark features` for that day",
        )
    if with_graph is not None:
        joined = with_graph(joined)
    if missing := [name for name in columns if name not in joined.columns]:
        tables = protected | features
        raise ConfigurationError(
            "columns that models need are in none of the tables that were given",
            details=[f"{name}, of table {tables.get(name, entity.name)}" for name in missing],
            hint="run `engage-spark features` and `engage-spark graph`, "
            "or leave the graph out (build_feature_spec(…, graph=False))",
        )
    labels = {name: label(contract.target_tables[name][name]) for name in targets}
    return joined.select(*(labels.get(name, column_named(name)) for name in (*keys, *columns)))
