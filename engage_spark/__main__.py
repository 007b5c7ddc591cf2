"""`python -m engage_spark` is `engage-spark`."""

from engage_spark.cli import main

if __name__ == "__main__":
    main()
