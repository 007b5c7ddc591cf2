"""Read the trees of a fitted MLlib forest or boosted model into flat arrays of nodes.

A saved model is the one form that holds everything (split, leaf, weighted count of every node) on classic
Spark and on Connect alike, where no driver object can be asked: its parquet has one row per node, thresholds
are doubles with all their bits. XGBoost's models come as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engage_spark.errors import ConfigurationError
from engage_spark.numerics.dtypes import F64, I32
from engage_spark.spark.compat import to_arrow
from engage_spark.spark.guarantees import STRICT_READS
from engage_spark.spark.seen_paths import shared_with_server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


FORESTS = ("RandomForestClassificationModel", "RandomForestRegressionModel")
BOOSTED = ("GBTClassificationModel", "GBTRegressionModel")
SINGLE = ("DecisionTreeClassificationModel", "DecisionTreeRegressionModel")
_MEND = "explain a forest, boosted trees or a linear model, whose categories are one-hot encoded"


@dataclass(frozen=True, eq=False, kw_only=True)
class Ensemble:
    """A sum of trees. Arrays have one entry per node, every tree's in preorder.

    A node's left child, if any, comes right after it. `feature` is the slot of the assembled vector that a
    node compares, -1 in a leaf; a row goes left where its value is at most `threshold`. A value that is
    missing (NaN) goes left only where `missing_left`. `value` is a leaf's, times its tree's weight; `cover`
    is the weighted number of training rows that passed the node. `single`: values are rounded to 32 bits
    before they are compared, as XGBoost does.
    """

    feature: I32
    threshold: F64
    right: I32
    missing_left: NDArray[np.bool_]
    value: F64
    cover: F64
    roots: I32
    bias: float = 0.0
    single: bool = False

    def __post_init__(self) -> None:
        inner = self.feature >= 0
        if not len(self.roots) or np.any(self.cover <= 0) or not np.all(np.isfinite(self.threshold[inner])):
            raise ConfigurationError(
                "a model's trees hold nodes without rows, or thresholds that are not numbers", hint=_MEND
            )

    @property
    def slots(self) -> int:
        """How many values a row must have at least."""
        return int(self.feature.max()) + 1

    def compared(self, x: F64) -> F64:
        """Return rows of assembled values as they are compared with thresholds.

        Errors: ValueError where rows are too short, since the kernels do not look.
        """
        values = np.asarray(x, np.float64)
        if values.ndim != 2 or values.shape[1] < self.slots:
            raise ValueError(f"trees with {self.slots} slots were given values of shape {values.shape}")
        return np.ascontiguousarray(values.astype(np.float32).astype(np.float64) if self.single else values)

    def raw(self, x: F64) -> F64:
        """Return the sum of each row's leaves, of rows of assembled values.

        This is what MLlib calls raw prediction for boosted trees, and the prediction or probability of class
        1 for forests.
        """
        return self._sum(x, self.value, self.bias)

    def addends(self, x: F64) -> F64:
        """Return each row's sum of the magnitudes that `raw` adds up: those of its leaves, and the bias."""
        return self._sum(x, np.abs(self.value), abs(self.bias))

    def _sum(self, x: F64, value: F64, bias: float) -> F64:
        from engage_spark.ml.explain.tree_descent import add_leaves  # compiles: only who predicts needs it

        sums = np.zeros(len(x))
        add_leaves(
            self.compared(x),
            self.feature,
            self.threshold,
            self.right,
            self.missing_left,
            value,
            self.roots,
            bias,
            sums,
        )
        return sums

    @property
    def base(self) -> float:
        """The prediction before looking at a row: leaves weighted by the share of rows that reached them."""
        share = np.ones(len(self.feature))
        inner = np.flatnonzero(self.feature >= 0)
        for node in inner:  # in preorder a parent's share is known before its children's
            for child in (node + 1, self.right[node]):
                share[child] = share[node] * (self.cover[child] / self.cover[node])
        leaf = self.feature < 0
        return self.bias + float(np.sum(self.value[leaf] * share[leaf]))


@dataclass(frozen=True)
class Node:
    """One node as it was saved. `left` and `right` are ids within the tree, -1 in a leaf."""

    id: int
    feature: int
    threshold: float
    left: int
    right: int
    value: float
    cover: float
    missing_left: bool = False


def ensemble(
    trees: Iterable[tuple[float, Sequence[Node]]], *, bias: float = 0.0, single: bool = False
) -> Ensemble:
    """Build an ensemble from (weight, nodes with the root first) of each tree."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("feature", "threshold", "right", "missing_left", "value", "cover")
    }
    roots = []
    for weight, nodes in trees:
        roots.append(len(columns["feature"]))
        _flatten({n.id: n for n in nodes}, nodes[0].id, weight, columns)
    types = {"feature": np.int32, "right": np.int32, "missing_left": np.bool_}
    arrays: dict[str, Any] = {
        name: np.array(values, types.get(name, np.float64)) for name, values in columns.items()
    }
    return Ensemble(**arrays, roots=np.array(roots, np.int32), bias=bias, single=single)


def _flatten(nodes: Mapping[int, Node], root: int, weight: float, columns: dict[str, list[Any]]) -> None:
    waiting = [(root, -1)]  # a node, and the parent whose right child it is
    while waiting:
        number, parent = waiting.pop()
        node, at = nodes[number], len(columns["feature"])
        if parent >= 0:
            columns["right"][parent] = at
        leaf = node.left < 0
        columns["feature"].append(-1 if leaf else node.feature)
        columns["threshold"].append(0.0 if leaf else node.threshold)
        columns["right"].append(-1)
        columns["missing_left"].append(node.missing_left)
        columns["value"].append(weight * node.value if leaf else 0.0)
        columns["cover"].append(node.cover)
        if not leaf:
            waiting += [(node.right, at), (node.left, -1)]


def read_ensemble(spark: SparkSession, path: str) -> Ensemble:
    """Read the trees of the MLlib model saved at `path`.

    The path is that of the model, not of a pipeline around it (`stage_path`). Classifiers must have two
    classes: a leaf of a forest is its share of class 1, one of boosted trees a margin.

    Cost: no job where this process sees the path, else five small ones.

    Errors: ConfigurationError for other models, more classes, and splits by category.
    """
    metadata = read_metadata(spark, path)
    kind = str(metadata["class"]).rsplit(".", 1)[-1]
    if kind not in (*FORESTS, *BOOSTED, *SINGLE):
        raise ConfigurationError(f"{path} holds a {kind}, which has no trees of MLlib", hint=_MEND)
    stored = _stored_rows(spark, f"{path}/data")
    if kind in SINGLE:
        rows, weights = [(0, row) for row in stored], {0: 1.0}
    else:
        rows = [(row["treeID"], row["nodeData"]) for row in stored]
        tree_rows = [tuple(row.values()) for row in _stored_rows(spark, f"{path}/treesMetadata")]
        weights = {row[0]: (1.0 / len(tree_rows) if kind in FORESTS else row[2]) for row in tree_rows}
    classes = kind.endswith("ClassificationModel") and kind not in BOOSTED
    trees: dict[int, list[Node]] = {number: [] for number in sorted(weights)}
    for number, row in rows:
        trees[number].append(_mllib_node(row, classes=classes, path=path))
    return ensemble((weights[number], sorted(nodes, key=lambda n: n.id)) for number, nodes in trees.items())


def _stored_rows(spark: SparkSession, path: str) -> list[dict[str, Any]]:
    """Read a small Parquet table that Spark wrote, by this process where it sees the path."""
    if (here := _seen(spark, path)) is not None:
        import pyarrow.parquet as pq

        table = pq.read_table(here)
    else:
        table = to_arrow(spark.read.options(**STRICT_READS).parquet(path))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _seen(spark: SparkSession, path: str) -> Path | None:
    """Return a directory as this process sees it; None where it does not."""
    here = shared_with_server(spark, path)
    return Path(here) if here is not None and Path(here).is_dir() else None


def _mllib_node(row: Any, *, classes: bool, path: str) -> Node:
    stats, leaf = row["impurityStats"], row["leftChild"] < 0
    if classes and len(stats) != 2:
        raise ConfigurationError(
            f"the model at {path} tells {len(stats)} classes apart",
            hint="explain a model of two classes, 0 and 1",
        )
    feature, threshold, swapped = (-1, 0.0, False) if leaf else _mllib_split(row["split"], path)
    left, right = row["leftChild"], row["rightChild"]
    return Node(
        id=row["id"],
        feature=feature,
        threshold=threshold,
        left=right if swapped else left,
        right=left if swapped else right,
        value=stats[1] / (stats[0] + stats[1]) if classes else row["prediction"],
        # Classes count their rows; a variance is kept as count, sum and sum of squares.
        cover=stats[0] + stats[1] if classes else stats[0],
    )


def _mllib_split(split: Any, path: str) -> tuple[int, float, bool]:
    """Return slot, threshold, and whether it is the right child that takes values up to the threshold.

    The slots of levels that `preparation_model` makes are numbers to MLlib, split by a threshold. Where the
    metadata of a vector say that a slot holds 0 or 1, as those of a OneHotEncoder do, MLlib splits it as a
    category of two, whichever of them goes left.
    """
    slot, values = split["featureIndex"], list(split["leftCategoriesOrThreshold"])
    if split["numCategories"] == -1 and len(values) == 1:
        return slot, values[0], False
    if split["numCategories"] == 2 and values in ([0.0], [1.0]):
        return slot, 0.5, values == [1.0]
    raise ConfigurationError(f"the model at {path} splits slot {slot} by category", hint=_MEND)


def read_metadata(spark: SparkSession, path: str) -> Mapping[str, Any]:
    """Read what Spark notes beside every saved stage: its class, uid and parameters.

    Cost: one small job where this process does not see the path.
    """
    if (here := _seen(spark, f"{path}/metadata")) is not None:
        files = sorted(f for f in here.iterdir() if f.name.startswith("part-"))
        return dict(json.loads("".join(f.read_text(encoding="utf-8") for f in files)))
    lines = spark.read.options(**STRICT_READS).text(f"{path}/metadata").collect()
    return dict(json.loads("".join(row[0] for row in lines)))


def stage_path(spark: SparkSession, path: str, uid: str) -> str:
    """Return the path of the stage with this uid in a saved PipelineModel.

    Errors: ConfigurationError where the pipeline has none.
    """
    uids = [str(u) for u in read_metadata(spark, path)["paramMap"]["stageUids"]]
    if uid not in uids:
        raise ConfigurationError(
            f"the pipeline saved at {path} has no stage {uid}",
            details=uids,
            hint="save the model that is explained",
        )
    # Numbers are padded with zeros to the same width, so that names sort as stages do.
    return f"{path.rstrip('/')}/stages/{uids.index(uid):0{len(str(len(uids)))}d}_{uid}"


def booster_ensemble(text: str) -> Ensemble:
    """Read the trees of an XGBoost model from its JSON: margins, before any link.

    The JSON is that of `Booster.save_raw("json")`. XGBoost sends a row left where its value, rounded to 32
    bits, is below the threshold; here the threshold is the next smaller number, so that "at most" says the
    same.

    Errors: ConfigurationError for other boosters than gbtree, several outputs, other objectives than
    reg:squarederror and binary:logistic, and splits by category.
    """
    learner = json.loads(text)["learner"]
    booster, shape = learner["gradient_booster"], learner["learner_model_param"]
    outputs = max(int(shape.get("num_class", 0)), int(shape.get("num_target", 1)))
    if booster["name"] != "gbtree" or outputs > 1:
        raise ConfigurationError(
            f"an XGBoost model of booster {booster['name']} with {outputs} outputs",
            hint="explain a gbtree model of one output",
        )
    trees, objective = booster["model"]["trees"], str(learner["objective"]["name"])
    if any(tree["categories_nodes"] for tree in trees):
        raise ConfigurationError("an XGBoost model splits by category", hint=_MEND)
    average = float(str(shape["base_score"]).strip("[]"))
    if objective in ("binary:logistic", "binary:logitraw"):
        bias = float(np.log(average / (1.0 - average)))
    elif objective == "reg:squarederror":
        bias = average
    else:
        raise ConfigurationError(
            f"an XGBoost model of objective {objective}",
            hint="train with reg:squarederror or binary:logistic",
        )
    return ensemble(((1.0, _booster_nodes(tree)) for tree in trees), bias=bias, single=True)


def _booster_nodes(tree: Mapping[str, Any]) -> list[Node]:
    below = np.nextafter(np.array(tree["split_conditions"], np.float32), np.float32(-np.inf))
    return [
        Node(
            id=i,
            feature=tree["split_indices"][i],
            threshold=float(below[i]),
            left=tree["left_children"][i],
            right=tree["right_children"][i],
            # a leaf's value stands where a split's threshold does
            value=float(np.float32(tree["split_conditions"][i])),
            cover=float(np.float32(tree["sum_hessian"][i])),
            missing_left=bool(tree["default_left"][i]),
        )
        for i in range(len(tree["left_children"]))
    ]
