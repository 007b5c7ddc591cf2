"""Whom the picture of a graph names."""

from __future__ import annotations

from dataclasses import replace

from engage_spark.graph.picture import CentralVertex, Picture
from engage_spark.pipelines.graph.picture import shown_vertices
from tests.support.deliveries import BIKES

TOP = (CentralVertex("ada@example.org", 0.5, 3.0, 2.0, 4.0, 2, 1),)


def drawn(top: tuple[CentralVertex, ...]) -> str:
    return Picture(
        title="t", subtitle="s", measure="m", top=top, links=[], measured=[1] * 50, given=None
    ).svg()


def test_a_personal_key_is_masked_in_pictures_and_results() -> None:
    station = BIKES.entity
    fields = tuple(replace(f, classification="confidential") if f.is_key else f for f in station.fields)
    personal = replace(station, fields=fields)
    assert shown_vertices(station, TOP) == TOP
    (hidden,) = shown_vertices(personal, TOP)
    assert hidden == replace(TOP[0], id="***")
    assert "ada@" in drawn(TOP)
    assert "ada@" not in drawn((hidden,))
