"""Features by spark-submit: the options of `engage-spark features`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["features", *sys.argv[1:]])
