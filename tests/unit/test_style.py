"""House rules that no linter knows: what runs on Connect, what imports cost, how short a job is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from engage_spark.contract import Severity
from engage_spark.contract.stored_tables import Split
from tests.support.paths import ROOT

PACKAGE = ROOT / "engage_spark"
MODULES = sorted(p for p in PACKAGE.rglob("*.py"))
FORBIDDEN = {
    "rdd",
    "sparkContext",
    "_jvm",
    "_jdf",
    "_jsparkSession",
    "cache",
    "persist",
    "unpersist",
    "toPandas",
    "setCheckpointDir",
}
FORBIDDEN_CALLS = {"broadcast": {"sc", "sparkContext"}, "addPyFile": {"sc"}}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def broken_in(rule: Callable[[str], list[str]], paths: Iterable[Path] = MODULES) -> dict[str, list[str]]:
    """What breaks a rule, by module. One test looks at all modules: one for each would be thousands."""
    looked_at = {name_of(path): rule(text_of(path)) for path in paths}
    assert len(looked_at) > 100, "the package was not there to be looked at"
    return {module: breaking for module, breaking in looked_at.items() if breaking}


def breaches(text: str) -> list[str]:
    """Attributes that Spark Connect lacks, or that hide a materialisation; strings and comments do not
    count.
    """
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
        if (node.attr in FORBIDDEN and owner != "functools") or owner in FORBIDDEN_CALLS.get(node.attr, ()):
            found.append(f"line {node.lineno}: {owner}.{node.attr}")
    return found


def test_nothing_outside_the_session_uses_what_connect_lacks() -> None:
    apart = ("session.py", "files.py", "jars.py")
    assert broken_in(breaches, [m for m in MODULES if m.name not in apart]) == {}


@pytest.mark.parametrize(
    "text",
    [
        "df.rdd.map(f)",
        "spark.sparkContext",
        "df.cache()",
        "x.persist(y)",
        "df.toPandas()",
        "sc.broadcast(1)",
        "s._jvm",
    ],
)
def test_the_rule_sees_a_breach(text: str) -> None:
    assert breaches(text)


def test_the_rule_spares_what_only_looks_like_one() -> None:
    assert breaches('F.broadcast(df); functools.cache(f); "df.cache()"  # df.rdd') == []


def test_every_module_can_be_imported_without_starting_spark() -> None:
    """In a fresh interpreter with no Java to be found: whatever starts a JVM on import fails here."""
    names = [name_of(m) for m in MODULES if m.name != "__main__.py"]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "pyspark = sys.modules.get('pyspark')\n"
        "assert pyspark is None or pyspark.SparkContext._active_spark_context is None\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "", "JAVA_HOME": "/nowhere"},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "module",
    [
        "engage_spark.cli",
        "engage_spark.contract",
        "engage_spark.settings",
        "engage_spark.doctor",
        "engage_spark.reader",
        "engage_spark.insight",
    ],
)
def test_what_needs_no_spark_does_not_import_it(module: str) -> None:
    code = f"import sys, {module}; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.py")), ids=lambda p: p.stem)
def test_a_job_is_under_15_lines_and_does_not_exit(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 15
    assert "sys.exit" not in text, (
        "Databricks counts SystemExit as a failure; main() raises one only when it failed"
    )


def test_the_public_api_is_small() -> None:
    import engage_spark

    assert len(engage_spark.__all__) <= 12


def imports_of(text: str, package: str) -> list[str]:
    """Return where a module imports a package, also by its name as a string."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append((node.lineno, node.module or ""))
    by_string = [f"import_module({package}" for _ in range(f'import_module("{package}' in text)]
    return [f"line {line}: {name}" for line, name in names if name.split(".")[0] == package] + by_string


@pytest.mark.parametrize(
    "text", ["import mlflow", "def f():\n    from mlflow.x import y", 'import_module("mlflow.x")']
)
def test_the_rule_about_imports_sees_each_way(text: str) -> None:
    assert imports_of(text, "mlflow")
    assert imports_of("import mlflows, numpy.mlflow", "mlflow") == []


@pytest.mark.parametrize(("folder", "package"), [("tracking", "mlflow"), ("gx", "great_expectations")])
def test_only_one_folder_imports_a_package(folder: str, package: str) -> None:
    elsewhere = [m for m in MODULES if folder not in m.relative_to(PACKAGE).parts]
    assert broken_in(lambda text: imports_of(text, package), elsewhere) == {}


def test_no_public_class_name_is_defined_twice() -> None:
    """One name, one thing: a reader who meets a class name knows which one it is."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name_of(path))
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


NO_VERBS = {
    "a",
    "all",
    "an",
    "any",
    "as",
    "at",
    "both",
    "by",
    "each",
    "every",
    "everything",
    "exact",
    "for",
    "freeman",
    "from",
    "how",
    "in",
    "it",
    "names",
    "no",
    "nothing",
    "of",
    "on",
    "one",
    "only",
    "rows",
    "some",
    "such",
    "that",
    "the",
    "these",
    "this",
    "those",
    "to",
    "true",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "who",
    "whose",
    "with",
}
"""Words that open a noun phrase; ruff's D401 knows verbs, but lets these pass."""


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield functions and methods without underscore, except properties and what lies inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            names = {d.id if isinstance(d, ast.Name) else getattr(d, "attr", "") for d in node.decorator_list}
            if not names & {"property", "cached_property", "override"}:
                yield node


def noun_openings(text: str) -> list[str]:
    """Return the public functions whose docstring opens with a noun phrase."""
    named = [(f.name, ast.get_docstring(f) or "") for f in public_functions(ast.parse(text))]
    return [name for name, doc in named if doc and doc.split()[0].strip(",.:;`").lower() in NO_VERBS]


def test_docstrings_of_public_functions_open_with_a_verb() -> None:
    assert broken_in(noun_openings) == {}


@pytest.mark.parametrize(
    ("text", "breaking"),
    [
        ('def f():\n    """The rows."""', ["f"]),
        ('class A:\n    def f(self):\n        """What is there."""', ["f"]),
        ('def f():\n    """Return the rows."""', []),
        ('class A:\n    @property\n    def f(self):\n        """The rows."""', []),
        ('def _f():\n    """The rows."""', []),
    ],
)
def test_the_rule_about_docstrings_sees_nouns_of_public_functions_only(
    text: str, breaking: list[str]
) -> None:
    assert noun_openings(text) == breaking


NAMES_WITHOUT_CONTENT = {
    "found",
    "told",
    "chosen",
    "kept",
    "said",
    "mine",
    "lying",
    "ripe",
    "many",
    "earned",
    "goals",
}
"""Words that say how a value came about, and not what it is."""


def names_without_content(text: str) -> list[str]:
    """Return the functions, parameters and variables of functions that bear such a word, in order."""
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.Lambda)]
    bound = {(f.lineno, f.name) for f in functions if isinstance(f, ast.FunctionDef)}
    for node in (n for f in functions for n in ast.walk(f)):
        if isinstance(node, ast.arg):
            bound.add((node.lineno, node.arg))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add((node.lineno, node.id))
    return [
        f"line {line}: {name}" for line, name in sorted(bound) if name.strip("_") in NAMES_WITHOUT_CONTENT
    ]


def test_names_in_functions_say_what_a_value_is() -> None:
    assert broken_in(names_without_content) == {}


@pytest.mark.parametrize(
    ("text", "breaking"),
    [
        ("def f(told):\n    return told", ["line 1: told"]),
        ("def _found():\n    pass", ["line 1: _found"]),
        ("def f():\n    found = 1", ["line 2: found"]),
        ("def f(rows):\n    return [kept for kept in rows]", ["line 2: kept"]),
        ("def f():\n    if many := 1:\n        pass", ["line 2: many"]),
        ("def f(n_rows):\n    rows = n_rows", []),
    ],
)
def test_the_rule_about_names_sees_functions_parameters_and_variables(text: str, breaking: list[str]) -> None:
    assert names_without_content(text) == breaking


def glossary() -> list[str]:
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    return [line.split("|")[1].strip() for line in lines if line.startswith("| ") and "|---" not in line][1:]


def test_the_glossary_has_one_meaning_per_word_in_order() -> None:
    terms = glossary()
    assert len(terms) == len({t.lower() for t in terms})
    assert terms == sorted(terms, key=str.lower)


def test_no_entry_of_the_glossary_states_two_meanings() -> None:
    """ "For a row: …. For a prediction: …." is two entries, each with a word before the term."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if re.search(r"\bFor (an? )?\w+: ", line)] == []


@pytest.mark.parametrize(
    "word",
    [
        *(s.value for s in Severity),
        *(s.value for s in Split),
        "fold",
        "gate",
        "snapshot",
        "stage",
        "run",
        "leak",
        "champion",
        "challenger",
        "quarantined",
        "published",
    ],
)
def test_words_of_stored_tables_are_in_the_glossary(word: str) -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{word}\b", text)


SKIPPED = re.compile(r"#\s*fmt:\s*skip")
COMPUTING = (
    ast.BinOp
    | ast.ListComp
    | ast.SetComp
    | ast.DictComp
    | ast.GeneratorExp
    | ast.Lambda
    | ast.IfExp
    | ast.Starred
)


def computing_tables(text: str) -> list[str]:
    """Return the statements ending in `# fmt: skip` that are not just a table of literals."""
    ends = {n for n, line in enumerate(text.splitlines(), 1) if SKIPPED.search(line)}
    if not ends:
        return []
    statements = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt)
        and node.end_lineno in ends
        and not isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return [
        f"line {node.lineno}"
        for node in statements
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Return)
        or any(
            isinstance(n, COMPUTING) or (isinstance(n, ast.Dict) and None in n.keys) for n in ast.walk(node)
        )
    ]


def test_formatting_is_skipped_at_tables_of_literals_only() -> None:
    """The statement that ends in `# fmt: skip` computes nothing: names, literals, and collections of them."""
    assert broken_in(computing_tables) == {}


@pytest.mark.parametrize(
    ("text", "breaking"),
    [
        ('A = {\n    "a": 1,\n}  # fmt: skip', []),
        ("A = [i for i in range(3)]  # fmt: skip", ["line 1"]),
        ('f({"a": 1})  # fmt: skip', ["line 1"]),
        ('A = {"a": 1, **b}  # fmt: skip', ["line 1"]),
        ("A = [1, 2]", []),
    ],
)
def test_the_rule_about_skipped_formatting_sees_calls_and_computed_tables(
    text: str, breaking: list[str]
) -> None:
    assert computing_tables(text) == breaking


def test_standard_output_is_written_to_by_the_console_alone() -> None:
    """What is printed is masked and made printable there."""
    pattern = re.compile(r"sys\.stdout\b|^\s*print\(", re.MULTILINE)
    writers = {name_of(m) for m in MODULES if pattern.search(text_of(m))}
    assert writers == {"engage_spark.cli.console"}
