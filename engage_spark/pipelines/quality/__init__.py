"""Quality commands: drafted contracts, recorded results, drift, Great Expectations."""
