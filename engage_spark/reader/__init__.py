"""Read what a lake has published without Spark and without Java: by deltalake, pyarrow and DuckDB."""

from engage_spark.reader.open_lake import OpenLake, open_lake

__all__ = ["OpenLake", "open_lake"]
