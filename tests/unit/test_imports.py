"""No modules of the package import each other, directly or in a longer circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.paths import ROOT

PACKAGE = ROOT / "engage_spark"
FRONT_DOOR = "engage_spark"
"""It imports what users call, and only when they ask for it; below it, its version is read."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, modules: frozenset[str]) -> Iterator[str]:
    """The modules of the package that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{a.name}" for a in node.names}
            yield from members & modules
            if not members <= modules and node.module in modules:
                yield node.module


def circle(graph: Mapping[str, frozenset[str]]) -> list[str]:
    """A shortest circle of imports, empty where there is none."""
    circles = (c for start in graph if (c := way_back(graph, start)))
    return min(circles, key=len, default=[])


def way_back(graph: Mapping[str, frozenset[str]], start: str) -> list[str]:
    """The shortest way from a module back to itself, by breadth."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for target in sorted(graph[way[-1]]):
            if target == start:
                return [*way, start]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def graph_of(sources: Mapping[str, str]) -> dict[str, frozenset[str]]:
    modules = frozenset(sources)
    return {name: frozenset(imports_of(text, modules)) - {name} for name, text in sources.items()}


def test_no_modules_import_each_other() -> None:
    sources = {name_of(path): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    del sources[FRONT_DOOR]
    assert len(sources) > 100
    assert circle(graph_of(sources)) == []


def test_circles_are_seen_inside_functions_and_through_others() -> None:
    pair = {"p.a": "from p.b import f", "p.b": "def f():\n    from p.a import g"}
    assert circle(graph_of(pair)) == ["p.a", "p.b", "p.a"]
    longer = {"p.a": "import p.b", "p.b": "from p import c", "p.c": "from p.a import x"}
    assert circle(graph_of(longer)) == ["p.a", "p.b", "p.c", "p.a"]
    assert circle(graph_of({"p.a": "from p.b import f", "p.b": "import os"})) == []


def test_ingest_and_features_import_nothing_heavy() -> None:
    """Each of these costs up to a second, which a user waits for on every run."""
    heavy = (
        "mlflow",
        "sklearn",
        "numba",
        "pandas",
        "scipy",
        "matplotlib",
        "pyspark.ml",
        "great_expectations",
    )
    modules = "engage_spark.cli.app, engage_spark.pipelines.ingest.run, engage_spark.pipelines.features"
    code = f"import sys, {modules}\nsys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_handler_of_a_function_imports_nothing_heavy() -> None:
    """A function that answers agents starts cold while they wait."""
    heavy = ("pyspark", "mlflow", "sklearn", "numba", "pandas", "scipy", "pyarrow", "duckdb", "mcp", "boto3")
    code = (
        "import sys, engage_spark.insight.bedrock\n"
        f"sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
