"""Run `engage-spark` as `python -m engage_spark`."""

from engage_spark.cli import main

if __name__ == "__main__":
    main()
