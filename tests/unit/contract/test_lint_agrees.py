"""What `contract lint` lets through, no later stage refuses: every mutation of a good contract goes to both.

The stages' own judgement is their entrance: the functions by which they read the contract before any data.
What Spark alone can say of an expression is asked by `contract lint --engine`, and is tested elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from itertools import islice
from typing import Any

import pytest
import yaml
from pyspark.sql import types as T

from engage_spark.contract import (
    Contract,
    GraphRole,
    Role,
    TableKind,
    find_contradictions,
    graph_spec_of,
    odcs,
    parse_contract,
    predictions_table,
    render_dictionary,
    splits_table,
    stored_tables,
)
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.expressions import read_statement
from engage_spark.contract.validation import LOGICAL
from engage_spark.errors import ContractError
from engage_spark.insight.registry import tools_of
from engage_spark.ml.data.training_set import label_end
from engage_spark.ml.feature_spec import LeakPolicy, build_target_specs, targets_of
from engage_spark.ml.training.candidates import baseline_for, candidates_for
from engage_spark.ml.training.pipeline import candidate_features
from engage_spark.pipelines.quality.suite import export_suite
from engage_spark.quality.gates import cuts_of
from engage_spark.quality.stats.binning import binning
from engage_spark.settings import Settings
from engage_spark.spark.schema import accepted_types, column_problems, spark_schema, spark_type
from tests.support.paths import DATA

GOOD = DATA / "shop.odcs.yaml"
Doc = dict[str, Any]
CANDIDATES = tuple(Settings().models.candidates)


def check_tables(contract: Contract) -> None:
    """Do what ingest, features and check begin with."""
    for table in contract.tables:
        assert len(spark_schema(table).fields) >= len(table.fields)
        for f in table.fields:
            assert accepted_types(f)
            assert binning(f).digest
        cuts_of(table)
    for table in stored_tables(contract):
        spark_schema(table)


def check_expressions(contract: Contract) -> None:
    """Do what reading the delivered columns, the checks of rows and `features` begin with."""
    for table in contract.tables:
        stored = [(f.name, spark_type(f.spark_type)) for f in table.fields]
        assert column_problems(stored, table.as_stored()) == []
        texts = {f.name for f in table.readings}
        delivered = [
            (f.delivered_name, T.StringType() if f.name in texts else t)
            for f, (_, t) in zip(table.fields, stored, strict=True)
        ]
        assert column_problems(delivered, table) == []
        for f in table.readings:
            read_statement(f.reading or "", {f.name: "string"}, f.name)
        for rule in table.rules:
            read_statement(rule.expression, table.column_types, rule.name)
    for table in contract.derived:
        types = dict(contract.table(table.source or "").column_types)
        for f in table.fields:
            if f.formula is not None:
                read_statement(f.formula, types, f.name)
                types[f.name] = f.spark_type


def check_models(contract: Contract) -> None:
    """Do what train, score and monitor begin with."""
    if not contract.targets:
        return
    for target in targets_of(contract):
        specs = build_target_specs(contract, target, policy=LeakPolicy.STRICT, protected=True, graph=False)
        for candidate in (*candidates_for(target, CANDIDATES), baseline_for(target)):
            candidate_features(candidate, specs.main.features)
        assert label_end(date(2025, 10, 21), target) >= date(2025, 10, 21)
    splits_table(contract), predictions_table(contract)


def check_graph(contract: Contract) -> None:
    """Do what graph begins with."""
    if any(t.kind is TableKind.GRAPH for t in contract.tables):
        spec = graph_spec_of(contract)
        assert spec.key
        assert len(spec.ends(spec.connections)) == 2


def check_analytics(contract: Contract) -> None:
    """Do what analyze, insight and the documents begin with."""
    spec = analytics_spec_of(contract)
    assert spec is not None
    assert tools_of(contract)
    assert render_dictionary(contract)
    assert export_suite(contract).suite


ENTRANCES: tuple[Callable[[Contract], None], ...] = (
    check_tables,
    check_expressions,
    check_models,
    check_graph,
    check_analytics,
)
VALUES: tuple[Any, ...] = (
    None, "", "other", 0, -1, 1.5, 10**12, True, math.nan, math.inf, [], ["other"], {}, {"other": 1},
    date(2025, 1, 1),
)  # fmt: skip
SPECIAL: dict[Any, tuple[Any, ...]] = {
    "name": ("snapshot_date", "_run_id", "a b", "${x}", "Member_ID"),
    "role": tuple(Role), "kind": tuple(TableKind), "graphRole": tuple(GraphRole), "measure": ("two",),
    "pattern": ("(", "a" * 2_001, r"\\Z"), "validValues": ([0, 1, 2], ["0", "1"], [1], [True, False]),
    "transformLogic": ("rand()", "1", "tier", "left"),
    "reading": ("rand()", "1", "TRIM(tier)", "CAST(age AS int)"), "expression": ("rand()", "tier"),
    "physicalName": ("a b", "Tier", "tier", "${x}"),
    "bands": ([1, 10**99], [2, 1], [1, 1]), "labelWindowDays": (3_661, 400_000), "minimum": (10**99,),
    "monitoring": ({"auc": 10**99}, {"rmse": 1}, {"nothing": 1}),
}  # fmt: skip
TYPES = (
    "string", "boolean", "date", "timestamp", "binary", "tinyint", "bigint", "float", "decimal(38,38)",
    "decimal(39,2)", "decimal(5,9)", "array<int>", "map<string,int>", "map<map<int,int>,int>",
    "struct<a:int,A:int>", "struct<a b:int>", "array<decimal(77,1)>",
)  # fmt: skip


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything in a document."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*at, key)
        yield from places(value, (*at, key))


def at_place(doc: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        doc = doc[key]
    return doc


def mutants(doc: Doc) -> Iterator[tuple[str, Doc]]:
    """Every key and item removed, misspelt, given twice, or of another value: also that of its likes.

    It is one document, changed for as long as it is looked at.
    """
    alike: dict[Any, list[Any]] = {}
    for place in places(doc):
        alike.setdefault(label(doc, place), []).append(at_place(doc, place))
    for place in list(places(doc)):
        parent, value, key = at_place(doc, place[:-1]), at_place(doc, place), place[-1]
        name = ".".join(map(str, place))
        likes = [v for v in alike[label(doc, place)] if v != value]
        special = SPECIAL.get(label(doc, place), ())
        for other in distinct((*VALUES, *special, *likes[:2])):
            parent[key] = other
            yield f"{name} = {other!r}", doc
        if isinstance(value, str):
            parent[key] = f"{value}x"
            yield f"{name} = {parent[key]!r}", doc
        parent[key] = value
        if isinstance(parent, dict):
            entries = dict(parent)
            del parent[key]
            yield f"{name} removed", doc
            parent[f"{key}x"] = value
            yield f"{name} misspelt", doc
            parent.clear(), parent.update(entries)
            continue
        items = list(parent)
        del parent[key]
        yield f"{name} removed", doc
        parent[:] = [*items, value]
        yield f"{name} twice", doc
        parent[:] = items
    yield from retyped(doc)


def retyped(doc: Doc) -> Iterator[tuple[str, Doc]]:
    """Every field of every type, with the logical type that belongs to it."""
    for table in doc["schema"]:
        for f in table["properties"]:
            before = f["physicalType"], f["logicalType"]
            for kind in TYPES:
                f["physicalType"] = kind
                f["logicalType"] = LOGICAL[re.split(r"[(<]", kind)[0]]
                yield f"{table['name']}.{f['name']} is {kind}", doc
            f["physicalType"], f["logicalType"] = before


def distinct(values: Iterable[Any]) -> list[Any]:
    return list({repr(v): v for v in values}.values())


def label(doc: Doc, place: tuple[Any, ...]) -> Any:
    """What a place is called, so that its likes can be told: the key, or the property whose value it is."""
    parent = at_place(doc, place[:-1])
    if place[-1] == "value" and isinstance(parent, dict) and "property" in parent:
        return parent["property"]
    return place[-1] if isinstance(place[-1], str) else place[-2]


def linted(doc: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Contract | None:
    """The contract of a document, None where lint refuses it."""
    monkeypatch.setattr(odcs, "_yaml", lambda _text, _origin: doc)
    try:
        contract, problems = parse_contract("", origin="mutant")
    except ContractError:
        return None
    return None if problems or find_contradictions(contract) else contract


def refusals(contract: Contract) -> Iterator[str]:
    for entrance in ENTRANCES:
        try:
            entrance(contract)
        except Exception as e:  # noqa: BLE001 (a crash is a refusal, too)
            yield f"{entrance.__name__}: {type(e).__name__}: {str(e)[:300]}"


@pytest.mark.parametrize("every", [pytest.param(8, id="an eighth"), pytest.param(1, marks=pytest.mark.long)])
def test_what_lint_lets_through_no_stage_refuses(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    good = yaml.load(GOOD.read_text(encoding="utf-8"), yaml.CSafeLoader)
    contract = linted(good, monkeypatch)
    assert contract is not None
    assert list(refusals(contract)) == []
    disagreements, passed, total = list[str](), 0, 0
    for name, mutant in islice(mutants(good), 3 % every, None, every):
        total += 1
        if (contract := linted(mutant, monkeypatch)) is not None:
            passed += 1
            disagreements += [f"{name}: {refusal}" for refusal in refusals(contract)]
    assert not disagreements, "\n".join(disagreements)
    assert total > 10_000 / every
    assert 0.05 < passed / total < 0.5, "lint refuses most mutations, and not all"


@pytest.mark.parametrize(
    ("kind", "logical", "problem"),
    [
        ("decimal(39,2)", "number", "decimal(39,2)"),
        ("decimal(5,9)", "number", "decimal(5,9)"),
        ("struct<a:int,A:int>", "object", "struct<a:int,A:int>"),
        ("struct<a b:int>", "object", "Delta refuses"),
        ("map<map<int,int>,int>", "object", "map<map<"),
    ],
)
def test_types_that_no_table_can_have_are_refused(kind: str, logical: str, problem: str) -> None:
    assert any(problem in p for p in violations(physicalType=kind, logicalType=logical))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("bands", [1, math.inf], "finite"),
        ("referenceMean", math.nan, "finite"),
        ("labelWindowDays", math.inf, "finite"),
        ("labelWindowDays", 4_000, "at most 3660"),
        ("monitoring", {"auc": math.inf}, "finite"),
    ],
)
def test_numbers_that_no_stage_can_use_are_refused(name: str, value: Any, problem: str) -> None:
    assert any(problem in p for p in violations(name, value))


def violations(name: str = "", value: Any = None, **keys: Any) -> list[str]:
    """What is wrong with the good contract, once a field has these keys, and a property this value."""
    doc = yaml.load(GOOD.read_text(encoding="utf-8"), yaml.CSafeLoader)
    changed = doc["schema"][0]["properties"][5] | keys
    changed["customProperties"] += [{"property": name, "value": value}] * bool(name)
    doc["schema"][0]["properties"][5] = changed
    contract, problems = parse_contract(yaml.dump(doc, Dumper=yaml.CSafeDumper), origin="shop")
    return [*problems, *find_contradictions(contract)]
