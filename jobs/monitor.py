"""Monitoring by spark-submit: the options of `engage-spark monitor`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["monitor", *sys.argv[1:]])
