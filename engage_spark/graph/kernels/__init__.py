"""Run graph algorithms on arrays in one process. No Spark here."""
