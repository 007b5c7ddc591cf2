"""Check, featurise and model customer data on Spark and Delta.

The public API is what `__all__` lists; everything else may change. Type checkers read `__init__.pyi`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "check": "engage_spark.pipelines.quality.check_data",
    "load_contract": "engage_spark.contract",
    "load_settings": "engage_spark.settings",
    "open_lake": "engage_spark.reader",
    "open_session": "engage_spark.spark.session",
    "run_features": "engage_spark.pipelines.features",
    "run_graph": "engage_spark.pipelines.graph.run",
    "run_ingest": "engage_spark.pipelines.ingest.run",
    "run_score": "engage_spark.pipelines.score",
    "run_synth": "engage_spark.pipelines.synth",
    "run_train": "engage_spark.pipelines.train.run",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 (names, all of them)


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for: `import engage_spark` needs no Spark."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, so that completion knows them."""
    return sorted({*globals(), *_HOMES})
