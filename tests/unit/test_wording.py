"""Text for people: Markdown without HTML."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engage_spark.contract.dictionary import render_dictionary
from engage_spark.wording import without_html
from tests.support.deliveries import BIKES

TAG = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a {TAG}", f"a &lt;{TAG[1:]}"),
        ("a </b> <!-- c --> <?d", "a &lt;/b> &lt;!-- c --> &lt;?d"),
        ("a < b, 3 <= 4 and `array<int>`", "a < b, 3 <= 4 and `array<int>`"),
        ("array<int>, `map<int,int>`", "array&lt;int>, `map<int,int>`"),
        ("a ` <b>", "a ` &lt;b>"),
        ("- a ` b\n- <b> ` c", "- a ` b\n- &lt;b> ` c"),
        ("| ` | <b> ` |", "| ` | &lt;b> ` |"),
        ("| `a \\| <b>` |", "| `a \\| <b>` |"),
        ("\\` <b> \\`", "\\` &lt;b> \\`"),
        ("`` ` `` <b> ` x `", "`` ` `` &lt;b> ` x `"),
        ("a `b\n\n<b> `", "a `b\n\n&lt;b> `"),
    ],
)
def test_markdown_holds_no_html(text: str, shown: str) -> None:
    assert without_html(text) == shown


def test_the_dictionary_of_a_hostile_contract_holds_no_html() -> None:
    fields = tuple(replace(f, description=f"{TAG} ` {f.description}", unit=TAG) for f in BIKES.entity.fields)
    entity = replace(BIKES.entity, description=f"a `b` {TAG}", fields=fields)
    hostile = replace(BIKES, name=TAG, tables=tuple(entity if t is BIKES.entity else t for t in BIKES.tables))
    text = render_dictionary(hostile)
    assert "img src" in text
    assert "<img" not in text
