"""Engage Spark: trusted features, graph measures and models for marketplace customers, on Spark and Delta."""

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "check", "load_contract"]


def __getattr__(name: str) -> Any:
    """The public functions, imported when they are asked for: `import engage_spark` needs no Spark."""
    if name == "check":
        from engage_spark.quality import check

        return check
    if name == "load_contract":
        from engage_spark.contract import load_contract

        return load_contract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
