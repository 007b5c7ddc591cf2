"""The picture: well-formed SVG that says what it was given, whatever the ids are made of."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from engage_spark.graph.picture import CentralVertex, Picture, _ticks, shorten_id

SVG = "{http://www.w3.org/2000/svg}"
TOP = (
    CentralVertex("<b>&\"'", 0.8, 0.02, 0.01, 0.04, 100, 7),
    CentralVertex("123e4567-e89b-12d3-a456-426614174000", 0.7, 0.01, 0.01, 0.01, 50, 2),
    CentralVertex("c", 0.6, 0.005, 0.005, 0.005, 0, 7),
)


def picture(**changes: object) -> Picture:
    values = {
        "title": "The graph of a day", "subtitle": "3 customers", "measure": "network_centrality", "top": TOP,
        "links": [(0, 1, 0.5), (2, 1, 1.0)], "measured": [1, 0, 5], "given": [2, 2, 2],
    }  # fmt: skip
    return Picture(**(values | changes))


def parsed(shown: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(shown.svg())


def texts(root: ElementTree.Element) -> list[str]:
    return [t.text or "" for t in root.iter(f"{SVG}text")]


def test_it_shows_ids_values_and_facts() -> None:
    root = parsed(picture())
    assert {"The graph of a day", "3 customers", "<b>&\"'", "123e4567-e89b…174000", "0.800", "0.600"} <= set(
        texts(root)
    )
    assert any("123e4567-e89b-12d3-a456-426614174000" in (t.text or "") for t in root.iter(f"{SVG}title")), (
        "the whole id is there to read"
    )


def test_lengths_follow_the_values() -> None:
    root = parsed(picture())
    bars = [float(r.get("width") or 0) for r in root.iter(f"{SVG}rect")][1:4]
    assert bars[0] == pytest.approx(2 * bars[1], abs=0.2) and bars[1] == pytest.approx(2 * bars[2], abs=0.2)
    columns = [float(r.get("height") or 0) for r in root.iter(f"{SVG}rect")][4:]
    assert columns[1] == 0 and columns[2] == pytest.approx(5 * columns[0], abs=0.3)
    assert len(list(root.iter(f"{SVG}circle"))) == 3


def test_one_colour_for_one_community() -> None:
    circles = [c.get("fill") for c in parsed(picture()).iter(f"{SVG}circle")]
    assert circles[0] == circles[2] != circles[1]


def test_whiskers_only_where_the_value_is_not_exact() -> None:
    def lines(shown: Picture) -> int:
        return sum(1 for line in parsed(shown).iter(f"{SVG}line") if line.get("stroke") == "#1f2933")

    exact = tuple(
        CentralVertex(v.id, v.centrality, v.betweenness, v.betweenness, v.betweenness, v.degree, v.community)
        for v in TOP
    )
    assert lines(picture()) == lines(picture(top=exact)) + 3
    assert any("exact" in t for t in texts(parsed(picture(top=exact))))
    assert any("whisker" in t for t in texts(parsed(picture())))


def test_a_graph_without_connections_and_without_given_values() -> None:
    root = parsed(picture(top=(), links=(), measured=[0] * 50, given=None))
    assert "the graph has no connections" in texts(root)
    assert not list(root.iter(f"{SVG}polyline"))


def test_the_same_values_give_the_same_bytes() -> None:
    assert picture().svg() == picture(links=[(2, 1, 1.0), (0, 1, 0.5)]).svg()


@pytest.mark.parametrize(
    ("most", "ticks"),
    [(1, [1]), (7, [2, 4, 6]), (100, [20, 40, 60, 80, 100]), (2345, [500, 1000, 1500, 2000])],
)
def test_ticks_are_few_and_round(most: int, ticks: list[int]) -> None:
    assert _ticks(most) == ticks


def test_a_long_id_is_shortened_in_its_middle() -> None:
    assert shorten_id("x" * 20) == "x" * 20
    assert len(shorten_id("abcdefghijklmnopqrstuvwxyz")) == 20
