"""The fairness pass against fairlearn's MetricFrame to 1e-9, and the same bits on 1, 2 and 7 partitions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, count, false_positive_rate, selection_rate, true_positive_rate
from sklearn.metrics import accuracy_score, mean_absolute_error, precision_score, root_mean_squared_error

from engage_spark.errors import ConfigurationError, InputError
from engage_spark.ml.fairness import audit
from engage_spark.ml.fairness.audit import Attribute, audit_fairness
from engage_spark.ml.fairness.group_metrics import Fairness, compare
from engage_spark.ml.fairness.group_sums import sums_by_group
from engage_spark.ml.feature_spec import Target, Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AGE, KIND = Attribute(name="age", bands=(25.0, 45.0, 65.0), whole=True, minimum=18.0), Attribute(name="kind")
BANDS = ("18-24", "25-44", "45-64", "65+")
LEAVES = Target(name="leaves", task=Task.BINARY, minimum=0.0, maximum=1.0, label_days=30, baseline=None)
WORTH = Target(name="worth", task=Task.REGRESSION, minimum=None, maximum=None, label_days=0, baseline=None)
DDL = "id int, age int, kind string, leaves int, p double, worth double, guess double, held boolean"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    random = np.random.default_rng(1)
    n = 4000
    age = random.integers(18, 76, n)
    kind = np.array(["f", "m", "x"], dtype=object)[random.choice(3, n, p=[0.45, 0.45, 0.1])]
    p = np.clip(random.beta(2, 3, n) + 0.1 * (age > 60), 0, 1)
    worth = random.gamma(0.5, 400, n) * (random.random(n) < 0.7)
    data = pd.DataFrame(
        {
            "id": (np.arange(n) * 3 // 4).astype(object),  # some customers have two rows, in any groups
            "age": age.astype(object),
            "kind": kind,
            "leaves": (random.random(n) < p).astype(int),
            "p": p,
            "worth": worth,
        }
    )
    data["guess"] = np.maximum(worth + random.normal(0, 80, n), 0)
    data["held"] = random.random(n) < 0.9
    lost = random.random(n)  # never both, so that no group is too small for a rate
    data.loc[lost < 0.06, "kind"] = None
    data.loc[lost > 0.94, "age"] = None
    return data


@pytest.fixture(scope="module")
def rows(spark: SparkSession, data: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(
        [tuple(None if x is None else x for x in r) for r in data.itertuples(index=False)], DDL
    )


def groups(data: pd.DataFrame) -> pd.DataFrame:
    band = pd.cut(data.age.astype(float), [18, 25, 45, 65, 200], right=False, labels=BANDS).astype(object)
    return pd.DataFrame(
        {
            "age": band.where(band.notna(), "(missing)"),
            "kind": data.kind.where(data.kind.notna(), "(missing)"),
        }
    )


@pytest.mark.parametrize(("target", "label", "score"), [(LEAVES, "leaves", "p"), (WORTH, "worth", "guess")])
def test_sums_are_those_of_the_arrays(
    rows: DataFrame, data: pd.DataFrame, target: Target, label: str, score: str
) -> None:
    """Spark and numpy compare alike, customers with several rows included."""
    binary = target.task is Task.BINARY
    found = audit_fairness(
        rows,
        target=target,
        protected=[AGE, KIND],
        key=["id"],
        smallest=5,
        label=label,
        prediction=score,
        threshold=0.4 if binary else None,
        covered="held",
    )
    names = groups(data)
    names["age x kind"] = names.age + ", " + names.kind
    for attribute in names:
        sums = sums_by_group(
            names[attribute].to_numpy(),
            data[label],
            data[score],
            task=target.task,
            customers=data.id.astype(int),
            decisions=data.p >= 0.4 if binary else None,
            covered=data.held,
        )
        own = compare({(attribute,): sums}, task=target.task, smallest=5)
        for figure in own.figures:
            other = found.of(attribute, figure.metric)[figure.group]
            assert (other.n, other.customers, other.compared) == (figure.n, figure.customers, figure.compared)
            for x, y in ((other.value, figure.value), (other.low, figure.low), (other.high, figure.high)):
                assert x == y if y is None else x == pytest.approx(y, rel=1e-8, abs=1e-8), (figure, other)
        answers = {s.metric: (s.answer, s.left_out) for s in found.spreads if s.attribute == attribute}
        assert {m: (a, set(g)) for m, (a, g) in answers.items()} == {
            s.metric: (s.answer, set(s.left_out)) for s in own.spreads
        }


BY = {"age": ["age"], "kind": ["kind"], "age x kind": ["age", "kind"]}


@pytest.mark.parametrize("attribute", BY)
def test_rates_by_group_are_those_of_fairlearn(rows: DataFrame, data: pd.DataFrame, attribute: str) -> None:
    found = audit_fairness(
        rows,
        target=LEAVES,
        protected=[AGE, KIND],
        key=["id"],
        smallest=1,
        label="leaves",
        prediction="p",
        threshold=0.4,
    )
    decided = (data.p >= 0.4).astype(int)
    frame = MetricFrame(
        metrics={
            "n": count,
            "statistical_parity": selection_rate,
            "equal_opportunity": true_positive_rate,
            "predictive_equality": false_positive_rate,
            "predictive_parity": precision_score,
            "accuracy": accuracy_score,
        },
        y_true=data.leaves,
        y_pred=decided,
        sensitive_features=groups(data)[BY[attribute]],
    )
    for metric in frame.by_group.columns.drop("n"):
        own = found.of(attribute, metric)
        assert len(own) == int((frame.by_group.n > 0).sum())  # fairlearn lists combinations that nobody has
        for key, value in frame.by_group[metric].dropna().items():
            name = key if isinstance(key, str) else ", ".join(key)
            assert own[name].value == pytest.approx(value, abs=1e-9)
            assert own[name].n == frame.by_group.loc[key, "n"]
        (spread,) = (s for s in found.spreads if (s.attribute, s.metric) == (attribute, metric))
        assert spread.difference == pytest.approx(frame.difference()[metric], abs=1e-9)
        assert spread.ratio == pytest.approx(frame.ratio()[metric], abs=1e-9)
        assert found.of("all", metric)["all"].value == pytest.approx(frame.overall[metric], abs=1e-9)


@pytest.mark.connect
def test_scores_are_compared_with_the_share_of_ones(rows: DataFrame, data: pd.DataFrame) -> None:
    found = audit_fairness(
        rows,
        target=LEAVES,
        protected=[KIND],
        key=["id"],
        smallest=1,
        label="leaves",
        prediction="p",
        threshold=0.4,
        covered="held",
    )
    for name, own in data.groupby(groups(data).kind):
        assert found.of("kind", "calibration")[name].value == pytest.approx(
            (own.p - own.leaves).mean(), abs=1e-9
        )
        assert found.of("kind", "mean_score")[name].value == pytest.approx(own.p.mean(), abs=1e-9)
        assert found.of("kind", "base_rate")[name].value == pytest.approx(own.leaves.mean(), abs=1e-9)
        assert found.of("kind", "brier")[name].value == pytest.approx(
            ((own.p - own.leaves) ** 2).mean(), abs=1e-9
        )
        assert found.of("kind", "coverage")[name].value == pytest.approx(own.held.mean(), abs=1e-9)
        off = own.p - own.leaves
        error = float(((off - off.mean()).groupby(own.id.astype(int)).sum() ** 2).sum() ** 0.5) / len(own)
        calibration = found.of("kind", "calibration")[name]
        assert calibration.high is not None and calibration.low is not None
        assert calibration.high - calibration.low == pytest.approx(2 * 1.959963984540054 * error, rel=1e-6)


@pytest.mark.parametrize("bounded", [True, False])
def test_errors_of_a_regression_by_group_are_those_of_fairlearn(
    rows: DataFrame, data: pd.DataFrame, bounded: bool
) -> None:
    target = replace(WORTH, minimum=0.0, maximum=5000.0) if bounded else WORTH
    found = audit_fairness(
        rows,
        target=target,
        protected=[AGE, KIND],
        key=["id"],
        smallest=1,
        label="worth",
        prediction="guess",
        covered="held",
    )
    frame = MetricFrame(
        metrics={
            "mae": mean_absolute_error,
            "rmse": root_mean_squared_error,
            "mean_error": lambda y, p: float(np.mean(p - y)),
        },
        y_true=data.worth,
        y_pred=data.guess,
        sensitive_features=groups(data)[["age", "kind"]],
    )
    for metric in frame.by_group.columns:
        own = found.of("age x kind", metric)
        for key, value in frame.by_group[metric].dropna().items():
            assert own[", ".join(key)].value == pytest.approx(value, rel=1e-9, abs=1e-9)
        (spread,) = (s for s in found.spreads if (s.attribute, s.metric) == ("age x kind", metric))
        assert spread.difference == pytest.approx(frame.difference()[metric], rel=1e-9)
    assert found.of("all", "coverage")["all"].value == pytest.approx(data.held.mean())
    assert found.of("all", "mean_label")["all"].value == pytest.approx(data.worth.mean(), rel=1e-9)


def test_the_bits_are_the_same_on_any_partitioning(rows: DataFrame) -> None:
    def found(parts: int) -> tuple[Fairness, Fairness]:
        spread = rows.repartition(parts)
        return (
            audit_fairness(
                spread,
                target=LEAVES,
                protected=[AGE, KIND],
                key=["id"],
                smallest=50,
                label="leaves",
                prediction="p",
                threshold=0.4,
            ),
            audit_fairness(
                spread,
                target=WORTH,
                protected=[AGE, KIND],
                key=["id"],
                smallest=50,
                label="worth",
                prediction="guess",
            ),
        )

    assert found(1) == found(2) == found(7)


def test_groups_come_in_order_and_small_ones_are_shown_with_others(rows: DataFrame) -> None:
    def found(smallest: int) -> Fairness:
        return audit_fairness(
            rows,
            target=LEAVES,
            protected=[AGE, KIND],
            key=["id"],
            smallest=smallest,
            label="leaves",
            prediction="p",
            threshold=0.4,
        )

    every, large = found(1), found(300)
    assert list(every.of("age", "accuracy")) == [*BANDS, "(missing)"] and every.notes == ()
    assert list(every.of("age x kind", "accuracy"))[:4] == [
        "18-24, f",
        "18-24, m",
        "18-24, x",
        "18-24, (missing)",
    ]
    assert list(large.of("kind", "accuracy")) == ["f", "m", "x or (missing)"]
    assert ("kind", "x, (missing)") in {(n.attribute, n.group) for n in large.notes}
    assert min(f.n for f in large.figures) >= 300
    assert sum(f.n for f in large.of("age x kind", "accuracy").values()) == 4000


def test_rows_without_a_label_are_left_out_and_a_column_of_decisions_is_taken(spark: SparkSession) -> None:
    df = spark.createDataFrame(
        [(1, "a", 1, 0.9, False), (2, "a", 0, 0.2, True), (3, "b", None, 0.3, True), (4, "b", 1, 0.4, True)],
        "id int, kind string, y int, p double, d boolean",
    )
    found = audit_fairness(
        df, target=LEAVES, protected=[KIND], key=["id"], smallest=1, label="y", prediction="p", decision="d"
    )
    own = found.of("kind", "statistical_parity")
    assert [(g, f.n, f.value) for g, f in own.items()] == [("a", 2, 0.5), ("b", 1, 1.0)]
    assert found.of("kind", "equal_opportunity")["a"].value == 0.0


def test_what_cannot_be_audited_is_refused(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    df = spark.createDataFrame([(1, "a", 1, None), (2, "b", 1, 0.4)], "id int, kind string, y int, p double")
    with pytest.raises(InputError, match="1 rows have no p, or no decision"):
        audit_fairness(
            df,
            target=LEAVES,
            protected=[KIND],
            key=["id"],
            smallest=1,
            label="y",
            prediction="p",
            threshold=0.5,
        )
    with pytest.raises(ConfigurationError, match="audited by decisions"):
        audit_fairness(df, target=LEAVES, protected=[KIND], key=["id"], smallest=1, label="y", prediction="p")
    with pytest.raises(InputError, match="no row has a label"):
        audit_fairness(
            df.where("y > 1"),
            target=LEAVES,
            protected=[KIND],
            key=["id"],
            smallest=1,
            label="y",
            prediction="p",
            threshold=0.5,
        )
    monkeypatch.setattr(audit, "CELLS", 1)
    with pytest.raises(InputError, match="kind have more than 1 combinations of values"):
        audit_fairness(
            df,
            target=LEAVES,
            protected=[KIND],
            key=["id"],
            smallest=1,
            label="y",
            prediction="p",
            threshold=0.5,
        )
