"""One module per job: `run(spark, settings, …) -> Report`. They read, call pure functions, and write."""
