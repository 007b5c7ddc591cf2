"""All stages by spark-submit: the options of `engage-spark pipeline`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["pipeline", *sys.argv[1:]])
