"""Ingest by spark-submit: the options of `engage-spark ingest`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["ingest", *sys.argv[1:]])
