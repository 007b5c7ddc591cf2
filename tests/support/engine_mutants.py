"""Change one comparison or null policy of the engine that runs suites, and load it in its place.

`python -m tests.support.engine_mutants` writes what `tests/spark/gx/test_mutants.py` saw into
docs/suite_mutants.md.
"""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FrameType, ModuleType

import engage_spark.gx
from tests.support.paths import ROOT

HOME = Path(engage_spark.gx.__file__).parent
LOADED = (
    "expectation_args", "columns", "row_conditions", "metric_requests", "map_expectations",
    "aggregate_expectations", "evaluate",
)  # fmt: skip
"""The engine's modules, each after those that it imports. Each is changed."""
NOTICED = ROOT / "build" / "mutants"
"""What the test saw, a file for each module."""
PAGE = ROOT / "docs" / "suite_mutants.md"
LIMIT = 30.0
"""Seconds of this process's own time for a mutant on a table: some never end."""
_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS = {"lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "eq": "ne", "ne": "eq"}
_NULLITY = {"isNull": "isNotNull", "isNotNull": "isNull"}


@dataclass(frozen=True)
class Mutant:
    """One change: where, what stood there and what stands there now.

    `place` is the statement of the module, the node in it, and which of its replacements.
    """

    module: str
    function: str
    before: str
    after: str
    place: tuple[int, int, int]

    @property
    def name(self) -> str:
        return f"{self.module}.{self.function}: {self.before} → {self.after}"

    @property
    def source(self) -> str:
        """The changed module."""
        tree = _parsed(self.module)
        statement, at, i = self.place
        old = list(ast.walk(tree.body[statement]))[at]
        return ast.unparse(ast.fix_missing_locations(_Swap(old, _replacements(old)[i]).visit(tree)))


def mutants() -> Iterator[Mutant]:
    """Every mutant: comparisons and null policies, one at a time, in the order of the source."""
    names: Counter[str] = Counter()
    for mutant in _mutants():
        names[mutant.name] += 1
        n = names[mutant.name]
        yield mutant if n == 1 else replace(mutant, after=f"{mutant.after} ({n})")


def _mutants() -> Iterator[Mutant]:
    for module in LOADED:
        for place, statement in enumerate(_parsed(module).body):
            for at, node in enumerate(ast.walk(statement)):
                for i, new in enumerate(_replacements(node)):
                    before, after = ast.unparse(node), ast.unparse(new)
                    yield Mutant(module, _name(statement), before, after, (place, at, i))


def _parsed(module: str) -> ast.Module:
    return ast.parse((HOME / f"{module}.py").read_text(encoding="utf-8"))


def _name(statement: ast.stmt) -> str:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name
    return ast.unparse(statement).split("=")[0].split(":")[0].strip()


def _replacements(node: ast.AST) -> list[ast.expr]:  # noqa: PLR0911 (one return a kind)
    """Return what stands in place of a node in its mutants; nothing where none is made of it."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            return [
                ast.Compare(left, [*ops[:i], _FLIPPED[type(op)](), *ops[i + 1 :]], others)
                for i, op in enumerate(ops)
            ]
        case ast.Attribute(value=value, attr=attr, ctx=ctx) if attr in _NULLITY:
            return [ast.Attribute(value, _NULLITY[attr], ctx)]
        case ast.Call(func=ast.Attribute(value=left, attr="eqNullSafe"), args=[right]):
            return [ast.Compare(left, [ast.Eq()], [right])]
        case ast.Call(func=ast.Attribute(attr="coalesce") as coalesce, args=[value, default]):
            if ast.unparse(default) != "F.lit(False)":
                return [value]
            always = ast.parse("F.lit(True)", mode="eval").body
            return [ast.Call(coalesce, [value, always], [])]
        case ast.Name(id=name, ctx=ast.Load()) if name in _OPERATORS:
            return [ast.Name(_OPERATORS[name], node.ctx)]
    return []


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().generic_visit(node)


@contextmanager
def loaded(mutant: Mutant) -> Iterator[ModuleType]:
    """Load the module `evaluate` of an engine with this change; afterwards all is as before."""
    names = [f"{engage_spark.gx.__name__}.{m}" for m in LOADED]
    before = {name: sys.modules[name] for name in names}
    try:
        for module, name in zip(LOADED, names, strict=True):
            path = HOME / f"{module}.py"
            spec = spec_from_file_location(name, path)
            assert spec is not None
            changed = module_from_spec(spec)
            sys.modules[name] = changed
            setattr(engage_spark.gx, module, changed)
            source = mutant.source if module == mutant.module else path.read_text(encoding="utf-8")
            exec(compile(source, str(path), "exec"), changed.__dict__)
        yield sys.modules[names[-1]]
    finally:
        for name, module_before in before.items():
            sys.modules[name] = module_before
            setattr(engage_spark.gx, name.rsplit(".", 1)[1], module_before)


class EndlessError(BaseException):
    """A mutant that does not end. No handler of the engine's own may take it for something else."""


@contextmanager
def limited(seconds: float = LIMIT) -> Iterator[None]:
    """Let a block use so much processor time of this process, and raise EndlessError after it."""

    def over(_: int, __: FrameType | None) -> None:
        raise EndlessError

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def rendered(
    names: Sequence[str], noticed: Mapping[str, list[str] | None], unnoticed: Mapping[str, str], commit: str
) -> str:
    """Return the page that lists the mutants of an engine, and what notices each."""
    lines = []
    for name in names:
        seen = "not run yet"
        if name in noticed:
            by = noticed[name]
            seen = (
                f"{by[0]}: `{by[1]}`" if by else f"no table: {unnoticed.get(name, 'a fault of the tables')}"
            )
        lines.append(f"| {_cell(name)} | {seen} |\n")
    by_table = Counter(by[0] for by in noticed.values() if by)
    counts = ", ".join(f"{n} on {table}" for table, n in by_table.items())
    return (
        "# Mutants of the engine for suites\n\n"
        "One comparison flipped (`<` and `<=`, `>` and `>=`, `==` and `!=`, `is`, `in` and their\nopposites) "
        "or one null policy inverted at a time, in every module of the engine. Each is run against Great "
        "Expectations, on\ntables of which `tests/spark/gx/test_differential.py` holds the engine to the "
        "same: the written corners, then\ndrawn ones; before them on `own`, where Great Expectations errs, "
        "against what is documented. What notices it\nfirst stands beside it. Made by "
        "`tests/spark/gx/test_mutants.py` and `python -m tests.support.engine_mutants`.\n\n"
        f"{datetime.now(UTC).date()}, commit {commit}: {len(names)} mutants, {len(noticed)} run, "
        f"{sum(by_table.values())} noticed\n({counts}).\n\n| mutant | noticed by |\n|---|---|\n"
        f"{''.join(lines)}"
    )


def _cell(name: str) -> str:
    where, _, change = name.partition(": ")
    return f"{where}: `{change.replace('|', chr(92) + '|')}`"


def main() -> None:
    """Write the page."""
    from tests.spark.gx.test_mutants import UNNOTICED, digest_of_engine

    noticed: dict[str, list[str] | None] = {}
    for path in (NOTICED / f"{module}.json" for module in LOADED):
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        noticed |= stored["noticed"] if stored.get("of") == digest_of_engine() else {}
    words = ["git", "log", "-1", "--format=%h"]
    commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    PAGE.write_text(rendered([m.name for m in mutants()], noticed, UNNOTICED, commit), encoding="utf-8")


if __name__ == "__main__":
    main()
