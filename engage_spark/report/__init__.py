"""Write what a lake has published as one HTML page: offline, without Spark, for people who look at it."""

from engage_spark.report.build import Report, build_report

__all__ = ["Report", "build_report"]
