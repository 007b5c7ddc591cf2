"""Parse a command line, read the settings, call one pipeline, show its result. No logic of its own."""

from engage_spark.cli.app import app, main

__all__ = ["app", "main"]
