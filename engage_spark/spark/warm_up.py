"""Do what most sessions do, on few rows, in a JVM that then archives the classes it loaded: `warm_up.py
CLASS_PATH ARCHIVE FOLDER`.

A process of its own, started by `class_archive.make`. It writes to Delta and reads, with joins, windows and
sums, takes rows through Python, and fits models of MLlib.
"""

from __future__ import annotations

import sys
from typing import Any, cast

from pyspark import SparkContext
from pyspark.ml.classification import GBTClassifier, LogisticRegression, RandomForestClassifier
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

from engage_spark.spark.compat import from_rows

SECONDS = 120
"""Time limit for the JVM to write the archive after the session has ended."""


def session(class_path: str, archive: str, folder: str) -> SparkSession:
    """Start a session whose JVM writes an archive of its classes when it ends."""
    options = {
        "spark.driver.extraClassPath": class_path,
        "spark.driver.extraJavaOptions": f'-XX:ArchiveClassesAtExit="{archive}" -XX:+UseParallelGC',
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
    }
    builder = cast(Any, SparkSession.builder).master("local[2]")
    for name, value in options.items():
        builder = builder.config(name, value)
    return cast(SparkSession, builder.getOrCreate())


def work(spark: SparkSession, folder: str) -> None:
    """Load what stages load. The figures say nothing."""
    rows = spark.range(40).selectExpr(
        *("id", "id % 2 AS label", "sqrt(id) AS x", "cast(id AS string) AS word"),
        "date_add(DATE'2025-01-01', cast(id % 3 AS int)) AS day",
    )
    for _ in range(2):
        rows.write.format("delta").partitionBy("day").mode("append").save(f"{folder}/table")
    first = "day = DATE'2025-01-01'"
    replaced = rows.where(first).write.format("delta").mode("overwrite").option("replaceWhere", first)
    replaced.save(f"{folder}/table")
    rows.write.parquet(f"{folder}/parquet")
    stored, plain = (
        spark.read.format("delta").load(f"{folder}/table"),
        spark.read.parquet(f"{folder}/parquet"),
    )
    ranked = stored.withColumn("n", F.row_number().over(Window.partitionBy("label").orderBy("x")))
    sums = plain.groupBy("id").agg(F.sum("x").alias("s"), F.collect_list("word").alias("words"))
    ranked.join(sums, "id").where("word rlike '[0-9]'").collect()
    rows.mapInArrow(lambda batches: batches, rows.schema).collect()
    from_rows(spark, [(1, "a")], "n int, t string").distinct().count()
    vectors = VectorAssembler(inputCols=["x"], outputCol="features").transform(rows)
    for estimator in (
        LogisticRegression(maxIter=2),
        LinearRegression(maxIter=2),
        RandomForestClassifier(numTrees=2),
        GBTClassifier(maxIter=2),
    ):
        estimator.fit(vectors).transform(vectors).collect()


def main(class_path: str, archive: str, folder: str) -> int:
    """Work, end the JVM, and return its exit code."""
    spark = session(class_path, archive, folder)
    work(spark, folder)
    gateway = cast(Any, SparkContext)._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()  # the JVM ends by this, and writes
    return int(gateway.proc.wait(SECONDS))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
