"""The graph by spark-submit: the options of `engage-spark graph`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["graph", *sys.argv[1:]])
