"""Analytics by spark-submit: the options of `engage-spark analyze`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["analyze", *sys.argv[1:]])
