"""Show measurements to people."""
