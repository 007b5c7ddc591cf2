"""Read what a contract says about the graph: the logs of its edges, and the tables of its measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from engage_spark.contract.model import SNAPSHOT_DATE, Contract, Direction, Field, GraphRole, Table, TableKind
from engage_spark.errors import ContractError


class GraphMeasure(StrEnum):
    """What a field of a table of graph role `vertices` may hold; undirected unless it says follows."""

    CENTRALITY = "centrality"
    BETWEENNESS = "betweenness"
    BETWEENNESS_LOWER = "betweenness_lower"
    BETWEENNESS_UPPER = "betweenness_upper"
    BETWEENNESS_STDERR = "betweenness_stderr"
    BETWEENNESS_METHOD = "betweenness_method"
    BETWEENNESS_PERCENTILE = "betweenness_percentile"
    MEAN_STRENGTH = "mean_strength"
    WEIGHTED_DEGREE = "weighted_degree"
    DEGREE = "degree"
    FOLLOWS_OUT = "follows_out"
    FOLLOWS_IN = "follows_in"
    FOLLOWS_RECIPROCITY = "follows_reciprocity"
    PAGERANK = "pagerank"
    FOLLOWS_PAGERANK = "follows_pagerank"
    CORE_NUMBER = "core_number"
    TRIANGLES = "triangles"
    CLUSTERING = "clustering"
    EGO_BETWEENNESS = "ego_betweenness"
    COMPONENT = "component"
    COMPONENT_SIZE = "component_size"
    COMMUNITY = "community"
    COMMUNITY_SIZE = "community_size"


class EdgeMeasure(StrEnum):
    """What a field of a table of graph role `edges` may hold."""

    FIRST_END = "first_end"
    SECOND_END = "second_end"
    WEEKS = "weeks"
    ACTIVE_WEEKS = "active_weeks"
    STRENGTH = "strength"


OF_STRENGTH = frozenset(
    {GraphMeasure.MEAN_STRENGTH, GraphMeasure.WEIGHTED_DEGREE, EdgeMeasure.ACTIVE_WEEKS, EdgeMeasure.STRENGTH}
)
OF_FOLLOWS = frozenset(
    {
        GraphMeasure.FOLLOWS_OUT,
        GraphMeasure.FOLLOWS_IN,
        GraphMeasure.FOLLOWS_RECIPROCITY,
        GraphMeasure.FOLLOWS_PAGERANK,
    }
)
_COUNTS: frozenset[str] = frozenset({
    GraphMeasure.DEGREE, GraphMeasure.FOLLOWS_OUT, GraphMeasure.FOLLOWS_IN, GraphMeasure.CORE_NUMBER,
    GraphMeasure.TRIANGLES, GraphMeasure.COMPONENT, GraphMeasure.COMPONENT_SIZE, GraphMeasure.COMMUNITY,
    GraphMeasure.COMMUNITY_SIZE, EdgeMeasure.WEEKS, EdgeMeasure.ACTIVE_WEEKS,
})  # fmt: skip
_MEASURES: dict[GraphRole, type[StrEnum]] = {GraphRole.VERTICES: GraphMeasure, GraphRole.EDGES: EdgeMeasure}


@dataclass(frozen=True, kw_only=True)
class GraphSpec:
    """The tables of a contract's graph. `edges` has one row per undirected edge and snapshot, `vertices` one
    per entity row.
    """

    entity: Table
    vertices: Table
    edges: Table
    connections: Table
    interactions: Table | None

    @property
    def key(self) -> str:
        """The entity's key column; the graph's vertices are its values."""
        (key,) = self.entity.key
        return key

    def column(self, measure: StrEnum) -> str | None:
        """Return the column that holds a measure, or None when the contract does not ask for it."""
        table = self.vertices if isinstance(measure, GraphMeasure) else self.edges
        return next((f.name for f in table.fields if f.measure == measure), None)

    @property
    def measures(self) -> frozenset[GraphMeasure]:
        """The measures that the contract asks for."""
        return frozenset(GraphMeasure(f.measure) for f in self.vertices.fields if f.measure)

    def ends(self, log: Table) -> tuple[str, str]:
        """Return the two columns of a log that name the ends of an edge, in declared order.

        They are its references to the entity.
        """
        first, second = (r.column for r in log.references if r.table == self.entity.name)
        return first, second

    def kinds(self, direction: Direction) -> tuple[str, tuple[str | int, ...]] | None:
        """Return the column with the kind of an edge, and its values of this direction.

        It is None when the log holds undirected edges only.
        """
        for f in self.connections.fields:
            if f.edges:
                return f.name, tuple(value for value, way in f.edges if way == direction)
        return None

    @property
    def has_follows(self) -> bool:
        """Whether the log of connections declares a kind of edge that is directed."""
        kinds = self.kinds(Direction.DIRECTED)
        return bool(kinds and kinds[1])


def graph_spec_of(contract: Contract) -> GraphSpec:
    """Return the graph of a contract.

    Errors: ContractError when it declares none.
    """
    vertices, edges = contract.of_graph_role(GraphRole.VERTICES), contract.of_graph_role(GraphRole.EDGES)
    if not vertices:
        raise ContractError(
            f"contract {contract.id!r} declares no graph",
            hint="declare a table of kind graph with graphRole vertices, one with graphRole edges, and a "
            "log with graphRole connections",
        )
    interactions = contract.of_graph_role(GraphRole.INTERACTIONS)
    return GraphSpec(
        entity=contract.entity,
        vertices=vertices[0],
        edges=edges[0],
        connections=contract.of_graph_role(GraphRole.CONNECTIONS)[0],
        interactions=interactions[0] if interactions else None,
    )


def find_graph_contradictions(contract: Contract) -> list[str]:
    """List everything in which a contract contradicts itself about its graph."""
    roles = Counter(t.graph_role for t in contract.tables if t.graph_role)
    problems = [
        f"graphRole {role} is given to {n} tables, one can have it" for role, n in roles.items() if n > 1
    ]
    if roles and (
        missing := [r for r in (GraphRole.CONNECTIONS, GraphRole.VERTICES, GraphRole.EDGES) if r not in roles]
    ):
        problems.append(f"the graph needs a table of graphRole {', '.join(missing)} as well")
    entities = {t.name for t in contract.tables if t.kind is TableKind.ENTITY}
    for table in contract.tables:
        problems += _role(table) + _edge_kinds(table)
        if table.graph_role in (GraphRole.CONNECTIONS, GraphRole.INTERACTIONS):
            problems += _log(table, entities)
        if table.graph_role in _MEASURES:
            problems += _measured(table, table.graph_role, contract)
        else:
            problems += [
                f"field {table.name}.{f.name}: measure is for tables of kind graph"
                for f in table.fields
                if f.measure
            ]
    return problems


def _role(table: Table) -> list[str]:
    at = f"table {table.name!r}"
    if table.kind is TableKind.GRAPH and table.graph_role not in _MEASURES:
        return [f"{at}: kind graph needs graphRole vertices or edges, found {table.graph_role or 'none'}"]
    if table.kind is not TableKind.GRAPH and table.graph_role in _MEASURES:
        return [f"{at}: graphRole {table.graph_role} is for tables of kind graph"]
    if table.kind is not TableKind.LOG and table.graph_role in (
        GraphRole.CONNECTIONS,
        GraphRole.INTERACTIONS,
    ):
        return [f"{at}: graphRole {table.graph_role} is for tables of kind log"]
    return []


def _edge_kinds(table: Table) -> list[str]:
    problems = []
    with_kinds = [f for f in table.fields if f.edges]
    for f in with_kinds:
        at = f"field {table.name}.{f.name}: graphEdges"
        allowed = set(map(repr, f.allowed))
        if table.graph_role is not GraphRole.CONNECTIONS:
            problems.append(f"{at} is for the log of graphRole connections")
        problems += [
            f"{at} names {value!r}, which is not among the valid values"
            for value, _ in f.edges
            if repr(value) not in allowed
        ]
        problems += [
            f"{at}: {value!r} must be one of {', '.join(Direction)}, found {way!r}"
            for value, way in f.edges
            if way not in tuple(Direction)
        ]
        if not any(way == Direction.UNDIRECTED for _, way in f.edges):
            problems.append(f"{at} must name a value that is undirected: the graph is made of those")
    if len(with_kinds) > 1:
        problems.append(
            f"table {table.name!r}: graphEdges is given to {', '.join(f.name for f in with_kinds)}, one "
            "field can have it"
        )
    return problems


def _log(table: Table, entities: Set[str]) -> list[str]:
    ends = [r.column for r in table.references if r.table in entities]
    if len(ends) != 2:
        return [
            f"table {table.name!r}: a log of the graph refers to the entity at both ends, found "
            f"{', '.join(ends) or 'no reference'}"
        ]
    return []


def _measured(table: Table, role: GraphRole, contract: Contract) -> list[str]:
    at = f"table {table.name!r}"
    problems = []
    entity = next((t for t in contract.tables if t.kind is TableKind.ENTITY), None)
    if entity is None or table.source != entity.name or len(entity.key) != 1:
        problems.append(
            f"{at}: source must name the table of kind entity, which must have a key of one column; found "
            f"{table.source!r}"
        )
        return problems
    key = entity[entity.key[0]]
    kinds = _MEASURES[role]
    used = Counter(f.measure for f in table.fields if f.measure)
    problems += [f"{at}: the measure {m} is held by {n} fields" for m, n in used.items() if n > 1]
    ends = [
        next((f.name for f in table.fields if f.measure == end), end.value)
        for end in (EdgeMeasure.FIRST_END, EdgeMeasure.SECOND_END)
    ]
    wanted = (*((key.name,) if role is GraphRole.VERTICES else ends), SNAPSHOT_DATE)
    if table.key != wanted:
        problems.append(f"{at}: its key must be {', '.join(wanted)}, found {', '.join(table.key) or 'none'}")
    absent = _absent(contract)
    for f in table.fields:
        problems += [f"field {table.name}.{f.name}: {x}" for x in _field(f, kinds, key, absent)]
    return problems


def _absent(contract: Contract) -> dict[str, str]:
    """Return the measures for which a contract has no edges, and what they need."""
    interactions = contract.of_graph_role(GraphRole.INTERACTIONS)
    directed = any(way == Direction.DIRECTED for t in contract.logs for f in t.fields for _, way in f.edges)
    return {
        **({} if interactions else dict.fromkeys(OF_STRENGTH, "needs a log of graphRole interactions")),
        **({} if directed else dict.fromkeys(OF_FOLLOWS, "needs edges that graphEdges declares as directed")),
    }


def _field(f: Field, kinds: type[StrEnum], key: Field, absent: Mapping[str, str]) -> list[str]:
    carried = {SNAPSHOT_DATE: "date"} | ({key.name: key.spark_type} if kinds is GraphMeasure else {})
    if f.measure is None:
        if carried.get(f.name) != f.spark_type:
            return [f"measure must say what it holds, one of {', '.join(kinds)}"]
        return []
    if f.measure not in tuple(kinds):
        return [f"measure must be one of {', '.join(kinds)}, found {f.measure!r}"]
    problems = []
    types = _types(f.measure, key)
    if f.spark_type not in types:
        problems.append(f"the measure {f.measure} is {' or '.join(types)}, found {f.spark_type!r}")
    if f.measure in absent:
        problems.append(f"the measure {f.measure} {absent[f.measure]}")
    return problems


def _types(measure: str, key: Field) -> tuple[str, ...]:
    if measure in (EdgeMeasure.FIRST_END, EdgeMeasure.SECOND_END):
        return (key.spark_type,)
    if measure == GraphMeasure.BETWEENNESS_METHOD:
        return ("string",)
    return ("int", "bigint") if measure in _COUNTS else ("double",)
