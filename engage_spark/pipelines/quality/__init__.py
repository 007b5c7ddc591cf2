"""Run the quality commands: drafted contracts, recorded results, drift, Great Expectations."""
