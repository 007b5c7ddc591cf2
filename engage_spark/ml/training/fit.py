"""Fit many candidates and folds side by side, on rows in an order that is the same in every run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engage_spark.errors import ConfigurationError, EngageError, FitError, TransientError
from engage_spark.masking import cut
from engage_spark.ml.data.fit_draw import WEIGHT
from engage_spark.ml.feature_spec import Feature, Target
from engage_spark.ml.training.candidates import Candidate
from engage_spark.ml.training.pipeline import (
    bounded_score,
    candidate_features,
    estimation,
    require_buildable,
)
from engage_spark.ml.training.preparation import (
    FEATURES,
    FeatureCounts,
    count_feature_values,
    preparation_model,
)

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

T = TypeVar("T")
W = TypeVar("W", bound="_Work")
_LABEL = "__label"
ROWS_A_PARTITION = 100_000
"""Rows of a fit that share a partition. Up to here a fit costs jobs, not rows: each level of each tree is a
job, and a second partition doubles its tasks, while other fits keep the other cores busy.
"""
RETRAINED_WITHIN = 1e-6
"""How far two trainings on the same `prepared` rows may be apart: the largest difference of a prediction, as
a share of their range.

Measured on 40,000 made-up customers and 25 features, fitted in 2 partitions, with 2 cores and 2 source
partitions against 1 core and 5: not one bit of difference, for churn by linear, forest, GBT and XGBoost, and
for lifetime value by linear, Tweedie, forest and GBT. Two addends are the same sum in either order; with more
partitions, MLlib adds up in the order in which tasks end, so the last bits of sums may differ, and by them a
split between two candidates that are equally good; the tolerance leaves room for that. On 15,000 rows in 8
partitions, 2 cores against 1, lifetime value did not differ either (linear, Tweedie, forest).
"""


def partitions_for(rows: int) -> int:
    """Return the default number of partitions of a fit: by its rows, never by the size of the cluster."""
    return max(1, -(-rows // ROWS_A_PARTITION))


def prepared(
    rows: DataFrame, *, key: str | Sequence[str], day: str | None, partitions: int | None, seed: int
) -> DataFrame:
    """Bucket rows by a hash of (seed, key) into partitions, and sort them by key and day within each.

    MLlib's forests draw their bags by partition and position, so two fits agree only on rows that are
    partitioned and sorted identically. Apply it to what a fit is given and not before writing it away: files
    are read back in partitions of another cut. `partitions` None goes by the number of rows, which costs a
    job that counts them.

    Cost: a sort, and for more than one partition a shuffle, each time that the rows are read.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    keys = [column_named(k) for k in ([key] if isinstance(key, str) else key)]
    number = partitions if partitions is not None else partitions_for(rows.count())
    ordered = keys if day is None else [*keys, column_named(day)]
    one = number == 1  # what is sorted in one place needs no shuffle to get there
    buckets = rows.coalesce(1) if one else rows.repartition(number, F.xxhash64(F.lit(seed), *keys))
    return buckets.sortWithinPartitions(*ordered)


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One fit: a candidate on rows that `prepared` sorted, without those of the fold that is held out.

    `fold` None fits on all of them. A column `fit_draw.WEIGHT` of the rows says how much each counts.
    """

    candidate: Candidate
    target: Target
    features: tuple[Feature, ...]
    rows: DataFrame
    label: str
    seed: int
    fold: int | None = None

    @property
    def description(self) -> str:
        """The job in words, for messages."""
        return f"the fit of {self.candidate.name} for {self.target.name} on {self.where}"

    @property
    def where(self) -> str:
        """The rows in words."""
        return "all rows" if self.fold is None else f"the rows outside fold {self.fold}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A job's model: the stages before the estimator, which other jobs may share, and those of `estimation`.

    `seconds` is how long its own estimator took.
    """

    job: Job
    preparation: PipelineModel
    estimation: PipelineModel
    seconds: float

    @property
    def model(self) -> PipelineModel:
        """The pipeline from source columns to `prediction`."""
        from pyspark.ml import PipelineModel

        return PipelineModel(stages=[*self.preparation.stages, *self.estimation.stages])


def fit_all(
    jobs: Sequence[Job], *, parallelism: int, failures: dict[Job, FitError] | None = None
) -> list[Fitted]:
    """Fit every job, `parallelism` at a time, and return them in their order.

    With `failures`, an estimator that fails costs its own job, and features without a value the jobs that
    take them: the error is put there, and the job is missing from the result.

    Jobs on the same rows (the same DataFrame object) share one pass that counts what all of their features
    need, and those with the same features share the stages before the estimator. With `failures`, features
    that cannot be counted together are counted by job, so that those of one cost no other. Without, the first
    failure cancels the jobs that wait, and is raised once the running ones have ended. The error of a fit
    says its candidate, target and fold. Models of a Connect session live on the server until the last
    reference to them here is gone, so drop what is no longer needed.

    Cost: for each frame of rows one scan (`count_feature_values`), where that fails one more for each list of
    features, and what each estimator needs; nothing that grows with the rows on the driver.

    Errors: ConfigurationError for what `require_buildable` refuses, before the first fit; FitError for a fit
    that fails, and TransientError where the cluster failed it.
    """
    if not jobs:
        return []
    for job in jobs:  # all that is wrong with names is known before anything is fitted
        require_buildable(job.candidate, features=job.features, label=job.label)
    goes_on = failures is not None
    groups: dict[tuple[Any, ...], Job] = {}
    for job in jobs:
        groups.setdefault(_group(job), job)
    counts = _counts(list(groups.values()), parallelism, goes_on=goes_on)
    planned = _side_by_side(
        lambda job: _prepared_rows(job, _required(counts[_group(job)])),
        list(groups.values()),
        parallelism,
        goes_on=goes_on,
        shared=True,
    )
    shared = dict(zip(groups, planned, strict=True))
    fits = _side_by_side(
        lambda job: _fit(job, _required(shared[_group(job)])), jobs, parallelism, goes_on=goes_on
    )
    fitted = []
    for job, fit in zip(jobs, fits, strict=True):
        if isinstance(fit, FitError) and failures is not None:
            failures[job] = fit
        else:
            fitted.append(_required(fit))
    return fitted


def _required(outcome: T | Exception) -> T:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _group(job: Job) -> tuple[Any, ...]:
    return (id(job.rows), job.label, candidate_features(job.candidate, job.features))


class _Work(Protocol):
    """What is done for some features of some rows, and its name in words."""

    @property
    def rows(self) -> DataFrame: ...
    @property
    def features(self) -> tuple[Feature, ...]: ...
    @property
    def description(self) -> str: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class _Count:
    """A pass over rows that counts what features need for targets; `where` says which rows they are."""

    rows: DataFrame
    features: tuple[Feature, ...]
    targets: tuple[str, ...]
    where: str

    @property
    def description(self) -> str:
        return f"counting {len(self.features)} features for {', '.join(self.targets)} on {self.where}"

    def joined(self, other: _Count | None) -> _Count:
        """Count for both in one pass; `other` is of the same rows."""
        if other is None:
            return self
        features = tuple(dict.fromkeys([*other.features, *self.features]))
        targets = tuple(dict.fromkeys([*other.targets, *self.targets]))
        return _Count(rows=self.rows, features=features, targets=targets, where=self.where)


def _counts(
    groups: Sequence[Job], parallelism: int, *, goes_on: bool
) -> dict[tuple[Any, ...], FeatureCounts | Exception]:
    """Count the features of all jobs on the same rows in one pass; by job those that fail together."""
    frames: dict[int, _Count] = {}
    own = {_group(job): _own_count(job) for job in groups}
    for count in own.values():
        frames[id(count.rows)] = count.joined(frames.get(id(count.rows)))
    made = _side_by_side(_count, list(frames.values()), parallelism, goes_on=goes_on, shared=True)
    of_frame = dict(zip(frames, made, strict=True))
    counts = {key: of_frame[id(count.rows)] for key, count in own.items()}
    failed = {key: own[key] for key, outcome in counts.items() if isinstance(outcome, Exception)}
    if alone := {key: c for key, c in failed.items() if len(c.features) < len(frames[id(c.rows)].features)}:
        again = _side_by_side(_count, list(alone.values()), parallelism, goes_on=True, shared=True)
        counts |= zip(alone, again, strict=True)
    return counts


def _own_count(job: Job) -> _Count:
    features = candidate_features(job.candidate, job.features)
    return _Count(rows=job.rows, features=features, targets=(job.target.name,), where=job.where)


def _count(work: _Count) -> FeatureCounts:
    return count_feature_values(work.rows, work.features)


@dataclass(frozen=True, kw_only=True, eq=False)
class _PreparedRows:
    """The stages before an estimator, and the rows of a fit as they leave them."""

    stages: PipelineModel
    vectors: DataFrame


def _prepared_rows(job: Job, counts: FeatureCounts) -> _PreparedRows:
    """Build the stages before a job's estimator, and plan its rows by them."""
    stages = preparation_model(counts.of(candidate_features(job.candidate, job.features)))
    return _PreparedRows(stages=stages, vectors=to_vectors(job, stages))


def narrow(rows: DataFrame, features: Sequence[Feature], *names: str) -> DataFrame:
    """Select the named columns and the features: each stage of a pipeline plans anew over all columns that it
    is given.

    Cost: no job.
    """
    from engage_spark.spark.schema import column_named

    return rows.select(*map(column_named, dict.fromkeys([*names, *(f.name for f in features)])))


def to_vectors(job: Job, preparation: PipelineModel) -> DataFrame:
    """Return the assembled vectors of a job's rows with their label, and their weight where they have one.

    Cost: no job.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    features = candidate_features(job.candidate, job.features)
    weights = [WEIGHT] if WEIGHT in job.rows.columns else []
    return preparation.transform(narrow(job.rows, features, job.label, *weights)).select(
        F.col(FEATURES), column_named(job.label).cast("double").alias(_LABEL), *weights
    )


def _fit(job: Job, prepared_rows: _PreparedRows) -> Fitted:
    from pyspark.ml import Pipeline

    started = time.monotonic()
    weight = WEIGHT if WEIGHT in job.rows.columns else None
    stages = estimation(job.candidate, target=job.target, label=_LABEL, seed=job.seed, weight=weight)
    fitted = Pipeline(stages=stages).fit(prepared_rows.vectors)
    seconds = time.monotonic() - started
    return Fitted(job=job, preparation=prepared_rows.stages, estimation=fitted, seconds=seconds)


def _side_by_side(
    do: Callable[[W], T], jobs: Sequence[W], parallelism: int, *, goes_on: bool = False, shared: bool = False
) -> list[T | Exception]:
    """Do something for each job, and return what came of it, or its error: FitError for its own.

    Unless it `goes_on`, the first error cancels the jobs that wait, and is raised; so is every error that is
    not a job's own. Of what is `shared` the error comes back as it is: each job that needs it says it for
    itself.
    """
    from engage_spark.spark.compat import inherits_properties
    from engage_spark.spark.threads import thread_pool

    inherits = inherits_properties(jobs[0].rows.sparkSession)
    with thread_pool(min(parallelism, len(jobs)), name="fit") as pool:
        running: list[Future[T]] = [pool.submit(inherits(lambda job=job: do(job))) for job in jobs]
        done, waiting = wait(running, return_when=ALL_COMPLETED if goes_on else FIRST_EXCEPTION)
        if any(f.exception() for f in done):
            for future in waiting:
                future.cancel()
    outcomes: list[T | Exception] = []
    for job, future in zip(jobs, running, strict=True):
        if future.cancelled():
            continue
        error = future.exception()
        if error is None:
            outcomes.append(future.result())
            continue
        failure = _failure_of_job(job, error)
        if not (goes_on and isinstance(failure, FitError)):
            raise failure from error
        failure.__cause__ = error
        outcomes.append(error if shared and isinstance(error, Exception) else failure)
    return outcomes


def _failure_of_job(job: _Work, error: BaseException) -> BaseException:
    """Return `failure_of` a job; a FitError anew, since jobs that share what failed share its error."""
    if isinstance(error, FitError):
        return FitError(f"{job.description} failed: {error.message}", hint=error.hint, details=error.details)
    return failure_of(job.description, job.features, error)


def failure_of(what: str, features: Sequence[Feature], error: BaseException) -> BaseException:
    """Return what an error is to users: FitError, TransientError, or an own error as it is.

    `what` failed, in words; `features` are those of the model.
    """
    if isinstance(error, EngageError) or not isinstance(error, Exception):
        error.add_note(f"during {what}")
        return error
    from engage_spark.spark.failures import is_transient

    if is_transient(error):
        return TransientError(
            f"the cluster failed during {what}: {_reason(error)}",
            hint=(
                "run it again; where executors are lost every time, give them more memory or lower "
                "models.parallelism"
            ),
        )
    return FitError(
        f"{what} failed: {_reason(error)}",
        hint=(
            "leave this candidate out of models.candidates, or look at the rows and features "
            "that it was given"
        ),
        details=[f"{len(features)} features: {', '.join(f.name for f in features)}"],
    )


def own_failure(what: str, features: Sequence[Feature], error: Exception) -> EngageError:
    """Return the error of something that costs itself alone, as `failure_of` says it.

    Errors: TransientError is raised: what a retry may cure is not left out.
    """
    failure = failure_of(what, features, error)
    if isinstance(failure, TransientError) or not isinstance(failure, EngageError):
        raise failure from error
    return failure


def _reason(error: Exception) -> str:
    """Return the last cause: errors of a JVM begin with where they were met, not with what was wrong."""
    lines = [
        line.strip(" :") for line in str(error).splitlines() if line.strip() and not line.startswith("\tat ")
    ]
    causes = (
        [line for line in lines if line.startswith("Caused by: ")]
        or [line for line in lines if "Exception: " in line]
        or lines[:1]
    )
    return cut((causes[-1] if causes else type(error).__name__).removeprefix("Caused by: "), 500)


def out_of_fold(
    fitted: Sequence[Fitted], rows: DataFrame, *, key: str | Sequence[str], fold: str = "fold"
) -> DataFrame:
    """Predict with each model the rows of the fold that it was not fitted on.

    Columns: the key, `candidate`, `fold` (int), `label` (double) and `score` (double: the prediction inside
    the target's bounds, for two classes the uncalibrated probability of class 1). All models are of one
    target. A NaN stays, so that it is the candidate's that predicts it, and fails no job of all candidates.

    Grain: a row per row of `rows` in a fold of `fitted`, and candidate.

    Cost: lazy; one scan of `rows` for each fold and set of features, whose preparation all of its candidates
    share, no shuffle.
    """
    from pyspark.sql import functions as F

    from engage_spark.spark.schema import column_named

    if not fitted or any(f.job.fold is None for f in fitted) or len({f.job.target.name for f in fitted}) > 1:
        raise ConfigurationError(
            "out-of-fold predictions need models of one target, each with the fold that it left out"
        )
    keys = [key] if isinstance(key, str) else list(key)
    groups: dict[int, list[Fitted]] = {}
    for f in fitted:
        groups.setdefault(id(f.preparation), []).append(f)
    parts = []
    for members in groups.values():
        job = members[0].job
        if any(m.job.fold != job.fold for m in members):
            raise ConfigurationError("models of two folds share one preparation, which has seen both")
        features = candidate_features(job.candidate, job.features)
        names = [f"__key{i}" for i in range(len(keys))]
        columns = [*names, "__label", FEATURES]
        held_out = rows.where(column_named(fold).eqNullSafe(F.lit(job.fold))).select(
            *(column_named(k).alias(name) for k, name in zip(keys, names, strict=True)),
            column_named(job.label).cast("double").alias("__label"),
            *(column_named(f.name) for f in features),
        )
        scored = members[0].preparation.transform(held_out).select(*columns)
        score = bounded_score(job.target)
        for i, f in enumerate(members):
            predicted = f.estimation.stages[0].transform(scored)
            scored = predicted.select(*columns, F.expr(score).alias(f"__score{i}"))
            columns.append(f"__score{i}")
        by_candidate = F.array(
            *(
                F.struct(F.lit(f.job.candidate.name).alias("candidate"), F.col(f"__score{i}").alias("score"))
                for i, f in enumerate(members)
            )
        )
        parts.append(
            scored.select(*names, "__label", F.explode(by_candidate).alias("__scored")).select(
                *(F.col(name).alias(k) for k, name in zip(keys, names, strict=True)),
                F.col("__scored.candidate").alias("candidate"),
                F.lit(job.fold).cast("int").alias("fold"),
                F.col("__label").alias("label"),
                F.col("__scored.score").alias("score"),
            )
        )
    return reduce(lambda a, b: a.unionByName(b), parts)
