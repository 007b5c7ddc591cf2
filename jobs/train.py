"""Training by spark-submit: the options of `engage-spark train`."""

import sys

from engage_spark.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
