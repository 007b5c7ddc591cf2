"""What a contract says about its graph: the packaged one and another, and each contradiction, planted into a
good contract.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage_spark.contract import (
    Direction,
    EdgeMeasure,
    GraphMeasure,
    graph_spec_of,
    leaking_fields,
    lint,
    load_contract,
    render_dictionary,
)
from engage_spark.errors import ContractError
from tests.support.paths import DATA

CHESS = DATA / "chess.odcs.yaml"
BIKES = DATA / "bikes.odcs.yaml"
Doc = dict[str, Any]


def table(doc: Doc, name: str) -> Doc:
    return next(t for t in doc["schema"] if t["name"] == name)


def field(doc: Doc, name: str, of: str) -> Doc:
    return next(p for p in table(doc, of)["properties"] if p["name"] == name)


def custom(place: Doc, name: str, value: Any) -> None:
    place["customProperties"] = [p for p in place.get("customProperties", []) if p["property"] != name]
    if value is not None:
        place["customProperties"].append({"property": name, "value": value})


def with_kinds(doc: Doc, kinds: dict[str, str], values: list[str]) -> None:
    """Give the acquaintances a field that says their kind."""
    place = {
        "name": "how",
        "description": "How they know each other.",
        "logicalType": "string",
        "physicalType": "string",
        "required": True,
        "quality": [
            {
                "type": "library",
                "metric": "invalidValues",
                "arguments": {"validValues": values},
                "mustBe": 0,
            }
        ],
        "customProperties": [
            {"property": "role", "value": "feature"},
            {"property": "graphEdges", "value": kinds},
        ],
    }
    table(doc, "acquaintances")["properties"].append(place)


def violations(tmp_path: Path, change: Callable[[Doc], Any]) -> list[str]:
    doc = yaml.load(CHESS.read_text(encoding="utf-8"), yaml.CSafeLoader)
    change(doc)
    path = tmp_path / "c.odcs.yaml"
    path.write_text(yaml.dump(doc, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
    return lint(path)


CASES: dict[str, tuple[Callable[[Doc], Any], str]] = {
    "vertices without edges": (
        lambda d: d["schema"].remove(table(d, "player_ties")),
        "needs a table of graphRole edges as well",
    ),
    "no connections": (
        lambda d: custom(table(d, "acquaintances"), "graphRole", None),
        "needs a table of graphRole connections as well",
    ),
    "only a log": (
        lambda d: [d["schema"].remove(table(d, n)) for n in ("player_graph", "player_ties")],
        "needs a table of graphRole vertices, edges as well",
    ),
    "a role twice": (
        lambda d: custom(table(d, "games"), "graphRole", "connections"),
        "graphRole connections is given to 2 tables",
    ),
    "unknown role": (lambda d: custom(table(d, "games"), "graphRole", "events"), "graphRole must be one of"),
    "a kind graph without role": (
        lambda d: custom(table(d, "player_ties"), "graphRole", None),
        "needs graphRole vertices or edges",
    ),
    "a log as vertices": (
        lambda d: custom(table(d, "games"), "graphRole", "vertices"),
        "graphRole vertices is for tables of kind graph",
    ),
    "an entity as log": (
        lambda d: custom(table(d, "players"), "graphRole", "interactions"),
        "interactions is for tables of kind log",
    ),
    "one end only": (
        lambda d: field(d, "black_no", "games").pop("relationships"),
        "refers to the entity at both ends, found white_no",
    ),
    "another source": (
        lambda d: custom(table(d, "player_graph"), "source", "games"),
        "source must name the table of kind entity",
    ),
    "another key": (
        lambda d: field(d, "player_no", "player_graph").update(name="member"),
        "its key must be player_no, snapshot_date",
    ),
    "ends the other way round": (
        lambda d: [
            field(d, n, "player_ties").update(primaryKeyPosition=i)
            for n, i in (("lower_no", 2), ("higher_no", 1))
        ],
        "its key must be lower_no, higher_no, snapshot_date, found higher_no, lower_no, snapshot_date",
    ),
    "an end missing": (
        lambda d: table(d, "player_ties")["properties"].remove(field(d, "lower_no", "player_ties")),
        "its key must be first_end, higher_no, snapshot_date",
    ),
    "no measure": (
        lambda d: custom(field(d, "knows", "player_graph"), "measure", None),
        "knows: measure must say what it holds",
    ),
    "unknown measure": (
        lambda d: custom(field(d, "knows", "player_graph"), "measure", "degre"),
        "measure must be one of centrality",
    ),
    "a measure of the other table": (
        lambda d: custom(field(d, "strength", "player_ties"), "measure", "mean_strength"),
        "measure must be one of first_end",
    ),
    "a measure twice": (
        lambda d: custom(field(d, "sociable", "player_graph"), "measure", "centrality"),
        "centrality is held by 2 fields",
    ),
    "a measure outside": (
        lambda d: custom(field(d, "influence", "players"), "measure", "centrality"),
        "measure is for tables of kind",
    ),
    "a count as a fraction": (
        lambda d: field(d, "knows", "player_graph").update(logicalType="number", physicalType="double"),
        "the measure degree is int or bigint, found 'double'",
    ),
    "a share as an integer": (
        lambda d: field(d, "influence", "player_graph").update(logicalType="integer", physicalType="int"),
        "the measure centrality is double, found 'int'",
    ),
    "an end of another type": (
        lambda d: field(d, "lower_no", "player_ties").update(physicalType="int"),
        "the measure first_end is bigint, found 'int'",
    ),
    "strength without interactions": (
        lambda d: custom(table(d, "games"), "graphRole", None),
        "the measure mean_strength needs a log of graphRole interactions",
    ),
    "follows without directed edges": (
        lambda d: custom(field(d, "knows", "player_graph"), "measure", "follows_in"),
        "the measure follows_in needs edges that graphEdges declares as directed",
    ),
    "a kind that is not valid": (
        lambda d: with_kinds(d, {"friend": "undirected", "fan": "directed"}, ["friend"]),
        "names 'fan', which is not among the valid values",
    ),
    "a kind without direction": (
        lambda d: with_kinds(d, {"friend": "both"}, ["friend"]),
        "'friend' must be one of undirected, directed",
    ),
    "no undirected kind": (
        lambda d: with_kinds(d, {"fan": "directed"}, ["fan"]),
        "must name a value that is undirected",
    ),
    "kinds as a list": (
        lambda d: with_kinds(d, ["friend"], ["friend"]),
        "graphEdges must be a mapping of values to names",
    ),  # type: ignore[arg-type]
    "kinds of interactions": (
        lambda d: [
            with_kinds(d, {"friend": "undirected"}, ["friend"]),
            custom(table(d, "acquaintances"), "graphRole", None),
        ],
        "graphEdges is for the log of graphRole connections",
    ),
}


@pytest.mark.parametrize(("change", "message"), CASES.values(), ids=CASES.keys())
def test_a_contradiction_is_told(tmp_path: Path, change: Callable[[Doc], Any], message: str) -> None:
    found = violations(tmp_path, change)
    assert any(message in line for line in found), found


def test_the_contract_without_faults_has_none(tmp_path: Path) -> None:
    assert violations(tmp_path, lambda d: None) == []
    assert (
        violations(
            tmp_path,
            lambda d: with_kinds(d, {"friend": "undirected", "fan": "directed"}, ["friend", "fan", "rival"]),
        )
        == []
    )


def test_the_packaged_contract_measures_all_there_is() -> None:
    plan = graph_spec_of(load_contract())
    assert plan.measures == set(GraphMeasure)
    assert {f.measure for f in plan.edges.fields if f.measure} == set(EdgeMeasure)
    assert (plan.vertices.name, plan.edges.name) == ("graph_features", "edge_strengths")
    assert (plan.connections.name, plan.interactions and plan.interactions.name) == (
        "connections",
        "interactions",
    )
    assert plan.ends(plan.connections) == ("src_customer_id", "dst_customer_id")
    assert plan.kinds(Direction.UNDIRECTED) == ("kind", ("connection",))
    assert plan.kinds(Direction.DIRECTED) == ("kind", ("follow",))
    assert plan.has_follows
    assert plan.column(GraphMeasure.MEAN_STRENGTH) == "avg_connection_strength"


def test_another_contract_measures_what_it_asks_for() -> None:
    plan = graph_spec_of(load_contract(CHESS))
    assert plan.measures == {GraphMeasure.CENTRALITY, GraphMeasure.DEGREE, GraphMeasure.MEAN_STRENGTH}
    assert plan.kinds(Direction.UNDIRECTED) is None and not plan.has_follows
    assert plan.ends(plan.interactions) == ("white_no", "black_no")  # type: ignore[arg-type]
    assert plan.column(GraphMeasure.PAGERANK) is None


def test_a_contract_without_a_graph_says_how_to_declare_one() -> None:
    with pytest.raises(ContractError, match="'bikes' declares no graph") as e:
        graph_spec_of(load_contract(BIKES))
    assert "graphRole vertices" in (e.value.hint or "")


def test_what_is_measured_leaks_as_what_is_delivered() -> None:
    contract = load_contract()
    assert {"avg_connection_strength", "weighted_degree"} <= leaking_fields(contract, "engagement_score")
    assert not {"avg_connection_strength", "weighted_degree"} & leaking_fields(contract, "churn_30_day")


def test_the_dictionary_says_the_role_of_tables_and_the_direction_of_edges() -> None:
    text = render_dictionary(load_contract())
    assert "In the graph: vertices." in text and "In the graph: interactions." in text
    assert "In the graph: `connection` undirected, `follow` directed." in text
    assert "Null without follows in either direction" in text
