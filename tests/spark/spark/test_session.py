from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from engage_spark.errors import EngageError
from engage_spark.settings import Settings
from engage_spark.spark.class_archive import archive_path, is_whole
from engage_spark.spark.session import (
    GUARANTEES,
    active_session,
    fetched_jars,
    get_session,
    is_connect,
    open_session,
)
from tests.support.paths import ROOT

pytestmark = pytest.mark.connect


def test_the_kind_of_session_is_the_one_asked_for(spark: SparkSession, spark_kind: str) -> None:
    assert is_connect(spark) == (spark_kind == "connect")


def test_an_existing_session_is_taken_and_left_alive(spark: SparkSession) -> None:
    with open_session(Settings(spark={"master": "local[7]"})) as taken:
        assert taken is spark
    assert active_session() is spark
    assert spark.range(3).count() == 3


@pytest.mark.parametrize(
    ("key", "wrong"), [("spark.sql.ansi.enabled", "false"), ("spark.sql.session.timeZone", "Asia/Tokyo")]
)
def test_a_weakened_guarantee_is_restored(spark: SparkSession, key: str, wrong: str) -> None:
    spark.conf.set(key, wrong)
    assert get_session(Settings()).conf.get(key) == GUARANTEES[key]


def test_ansi_and_utc_are_what_queries_see(spark: SparkSession) -> None:
    with pytest.raises(Exception, match="CAST_INVALID_INPUT"):
        spark.sql("SELECT CAST('x' AS INT)").collect()
    assert spark.sql("SELECT current_timezone()").first()[0] == "UTC"  # type: ignore[index]


def test_a_truncated_file_fails_instead_of_losing_its_rows(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(100).repartition(2).write.parquet(str(tmp_path / "p"))
    broken = next((tmp_path / "p").glob("part-*.parquet"))
    broken.write_bytes(broken.read_bytes()[:-20])
    (tmp_path / "p" / f".{broken.name}.crc").unlink()
    with pytest.raises(Exception, match="(?i)parquet") as caught:
        spark.read.schema("id bigint").parquet(str(tmp_path / "p")).agg({"id": "sum"}).collect()
    assert not isinstance(caught.value, EngageError)


def test_delta_is_there(spark: SparkSession, settings: Settings) -> None:
    path = f"{settings.lake.root}/t"
    spark.range(3).write.format("delta").save(path)
    assert spark.read.format("delta").load(path).count() == 3


def test_nothing_appears_in_the_working_directory(spark: SparkSession) -> None:
    spark.sql("SHOW TABLES").collect()
    here = ROOT
    assert not (here / "spark-warehouse").exists()
    assert not (here / "metastore_db").exists()


def test_the_jvm_maps_the_archive_of_its_classes(spark: SparkSession, session_settings: Settings) -> None:
    archive = archive_path(fetched_jars(session_settings))
    if archive is None or not is_whole(archive):
        pytest.skip("no archive of Spark's classes here; `engage-spark doctor --fetch-jars` writes it")
    from pyspark import SparkContext

    maps = Path(f"/proc/{SparkContext._gateway.proc.pid}/maps")  # type: ignore[union-attr]
    if not maps.is_file():
        pytest.skip("only Linux tells what a process maps")
    assert str(archive) in maps.read_text()
