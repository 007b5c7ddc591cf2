"""Write what a lake has published as one HTML page: offline, without Spark, for people who look at it."""

from engage_spark.report.build import Report, build_report
from engage_spark.report.table_files import write_table_files

__all__ = ["Report", "build_report", "write_table_files"]
