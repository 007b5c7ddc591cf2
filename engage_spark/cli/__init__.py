"""The command line: parse, read the settings, call one pipeline, show its report. No logic of its own."""

from engage_spark.cli.app import app, main

__all__ = ["app", "main"]
