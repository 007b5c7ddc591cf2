"""Engage Spark: trusted features, graph measures and models for marketplace customers, on Spark and Delta."""

__version__ = "0.1.0"

__all__ = ["__version__"]
