"""Scoring by spark-submit: the options of `engage-spark score`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["score", *sys.argv[1:]])
