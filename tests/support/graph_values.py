"""Betweenness of a file of edges, exact and sampled, bit by bit: `graph_values.py EDGES.parquet PLACE
RESULTS.json` by spark-submit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engage_spark.graph import Betweenness, betweenness
from engage_spark.settings import Settings
from engage_spark.spark.session import open_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def bits(found: Betweenness) -> list[list[Any]]:
    rows = found.scores.orderBy("id").collect()
    return [
        [
            r["id"],
            *(
                None if r[c] is None else float(r[c]).hex()
                for c in ("betweenness", "lower", "upper", "stderr")
            ),
        ]
        for r in rows
    ]


def values(spark: SparkSession, edges: str, place: Path, *, artifact: bool) -> dict[str, list[list[Any]]]:
    """By `directory`, which all workers see; and, if asked, with the graph as an artifact and tables where
    `materialize` puts them.
    """

    def materialize(rows: DataFrame, name: str) -> DataFrame:
        rows.write.parquet(str(place / name))
        return spark.read.parquet(str(place / name))

    given = spark.read.parquet(edges)
    found = {
        "exact": bits(betweenness(given, method="exact", directory=str(place))),
        "sampled": bits(
            betweenness(given, method="sampled", epsilon=0.05, sources=64, seed=5, directory=str(place))
        ),
    }
    if artifact:
        found["artifact"] = bits(
            betweenness(given, method="sampled", epsilon=0.05, sources=64, seed=5, materialize=materialize)
        )
    return found


if __name__ == "__main__":
    with open_session(Settings()) as spark:
        computed = values(spark, sys.argv[1], Path(sys.argv[2]), artifact=True)
        Path(sys.argv[3]).write_text(json.dumps(computed), encoding="utf-8")
