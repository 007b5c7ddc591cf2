"""Describe plots with Altair, as Vega draws them: dots with intervals, bars, lines, histograms, a matrix.

Rows hold fixed names, so that no name of a contract becomes a name in an expression: `a` and `b` are what
readers choose, `label`, `value`, `low`, `high`, `group`, `n` what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engage_spark.errors import ConfigurationError
from engage_spark.masking import one_line

if TYPE_CHECKING:
    pass

_DAYS = "utchours(datum.value) === 0 ? utcFormat(datum.value, '%Y-%m-%d') : ''"
"""Labels of an axis of days: none between two."""
COLOURS = ("#2f7fb8", "#c8642b", "#3a8f5c", "#9a63b5", "#8a7a1f", "#7d7f85")
"""Told apart in light and dark, also by readers who see few colours."""
MEANINGS = {
    "rise": COLOURS[0],
    "fall": COLOURS[1],
    "none": COLOURS[5],
    "cannot be told": COLOURS[5],
    "valid": COLOURS[0],
    "quarantined": COLOURS[1],
    "within": COLOURS[2],
    "past": COLOURS[1],
    "undecided": COLOURS[4],
    "unbounded": COLOURS[5],
    "meant for this target": COLOURS[0],
    "meant for another": COLOURS[5],
}
"""Colours of groups that mean the same wherever they stand."""
DIGITS = 6
NUMBER = ",.9~g"
"""How axes and tips write numbers; the rows hold six digits."""


_INK = {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12, "titleFontSize": 12}
CONFIG = {
    "background": None,
    "font": "system-ui, -apple-system, Segoe UI, sans-serif",
    "view": {"stroke": None},
    "axis": {
        **_INK,
        "titleFontWeight": "normal",
        "titleLimit": {"expr": "max(90, containerSize()[0] - 20)"},
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.14,
        "domainOpacity": 0.5,
        "tickOpacity": 0.5,
    },
    "legend": {**_INK, "titleFontWeight": "normal", "symbolOpacity": 1},
    "axisX": {"titleAnchor": "end"},  # a long title has the whole width to the left
    "aria": False,
}
"""Axes and texts have the colour of the page's text, so that they follow it between light and dark. A plot is
described by the element around it, and by its table."""


def require_altair() -> Any:
    """Import Altair.

    Errors: ConfigurationError where it is not installed.
    """
    try:
        import altair
        import vl_convert  # noqa: F401
    except ModuleNotFoundError as e:
        raise ConfigurationError(
            f"{e.name} is not installed", hint="install the extra: pip install 'engage-spark[report]'"
        ) from None
    return altair


def plain_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as the page may hold them, numbered: texts without what is secret or obeyed, numbers of six
    digits.

    A number that is none (NaN, infinity) is null.
    """
    return [{name: _plain(value) for name, value in row.items()} | {"order": i} for i, row in enumerate(rows)]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if value - value == 0 else None
    return value


def dots(
    rows: Sequence[Mapping[str, Any]],
    *,
    choices: Mapping[str, str] | None = None,
    x_title: str,
    group_title: str = "",
    reference: float | None = None,
    x_format: str = NUMBER,
) -> dict[str, Any]:
    """Draw a dot and its interval per label, in the order of the rows; groups have colours."""
    alt = require_altair()
    base = _base(alt, rows, choices or {})
    y = alt.Y("label:N", title=None, sort=_as_listed(alt), axis=_names(alt))
    colour = _colour(alt, rows, group_title)
    tips = _tips(alt, rows, x_title)
    x = alt.X("value:Q", title=x_title, scale=alt.Scale(zero=False, nice=True), axis=_axis(alt, x_format))
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.65).encode(
            y=y, x=alt.X("low:Q", title=x_title), x2="high:Q", color=colour
        ),
        base.mark_point(filled=True, size=64, opacity=1).encode(y=y, x=x, color=colour, tooltip=tips),
    ]
    if reference is not None:
        line = alt.Chart(alt.InlineData(values=[{"at": reference}])).mark_rule(
            strokeDash=[4, 4], color="currentColor", opacity=0.6
        )
        layers.insert(0, line.encode(x="at:Q"))
    return _spec(alt.layer(*layers).properties(width="container", height=alt.Step(20)), choices)


def bars(
    rows: Sequence[Mapping[str, Any]],
    *,
    choices: Mapping[str, str] | None = None,
    x_title: str,
    group_title: str = "",
    x_format: str = NUMBER,
) -> dict[str, Any]:
    """Draw a bar per label, in the order of the rows; groups are stacked."""
    alt = require_altair()
    chart = (
        _base(alt, rows, choices or {})
        .mark_bar(cornerRadius=2)
        .encode(
            y=alt.Y("label:N", title=None, sort=_as_listed(alt), axis=_names(alt)),
            x=alt.X("value:Q", title=x_title, stack="zero", axis=_axis(alt, x_format)),
            color=_colour(alt, rows, group_title),
            tooltip=_tips(alt, rows, x_title),
        )
    )
    return _spec(chart.properties(width="container", height=alt.Step(20)), choices)


def lines(
    rows: Sequence[Mapping[str, Any]],
    *,
    choices: Mapping[str, str] | None = None,
    x_title: str,
    y_title: str,
    is_time: bool = True,
) -> dict[str, Any]:
    """Draw values over time or age as a line with points, and the interval around it where there is one."""
    alt = require_altair()
    base = _base(alt, rows, choices or {})
    x = alt.X(
        "label:T" if is_time else "label:Q",
        title=x_title,
        axis=alt.Axis(grid=False, labelOverlap=True, **({"labelExpr": _DAYS} if is_time else {})),
        scale=alt.Scale(type="utc") if is_time else alt.Scale(nice=True),
    )
    y = alt.Y("value:Q", title=y_title, scale=alt.Scale(zero=False, nice=True), axis=_axis(alt, NUMBER))
    colour = _colour(alt, rows, "")
    layers = [
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour),
        base.mark_point(filled=True, size=36, opacity=1).encode(
            x=x, y=y, color=colour, tooltip=_tips(alt, rows, y_title)
        ),
    ]
    if any(row.get("low") is not None for row in rows):
        band = base.mark_area(opacity=0.18).encode(
            x=x, y=alt.Y("low:Q", title=y_title), y2="high:Q", color=colour
        )
        layers.insert(0, band)
    return _spec(alt.layer(*layers).properties(width="container", height=240), choices)


def histogram(rows: Sequence[Mapping[str, Any]], *, choices: Mapping[str, str]) -> dict[str, Any]:
    """Draw densities between `low` and `high`; bins may differ in width, so areas are shares."""
    alt = require_altair()
    chart = (
        _base(alt, rows, choices)
        .mark_rect(color=COLOURS[0], stroke="none")
        .encode(
            x=alt.X("low:Q", title="value, in the unit of the field", axis=_axis(alt, NUMBER)),
            x2="high:Q",
            y=alt.Y("value:Q", title="share of rows per unit of width", axis=_axis(alt, NUMBER)),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("low:Q", title="from", format=NUMBER),
                alt.Tooltip("high:Q", title="to", format=NUMBER),
                alt.Tooltip("share:Q", title="share of rows", format=".1%"),
                alt.Tooltip("n:Q", title="n", format=","),
            ],
        )
    )
    return _spec(chart.properties(width="container", height=220), choices)


def matrix(rows: Sequence[Mapping[str, Any]], *, order: Sequence[str], value_title: str) -> dict[str, Any]:
    """Draw a square per pair, from -1 to 1, with names in an order."""
    alt = require_altair()
    names = [one_line(name) for name in order]
    chart = (
        _base(alt, rows, {})
        .mark_rect()
        .encode(
            y=alt.Y("label:N", title=None, sort=names, axis=_names(alt)),
            x=alt.X("other:N", title=None, sort=names, axis=_names(alt, labelAngle=-90)),
            color=alt.Color(
                "value:Q",
                title=value_title,
                scale=alt.Scale(domain=[-1, 0, 1], range=["#b2532a", "#e9e6df", "#25699c"]),
            ),
            tooltip=[
                alt.Tooltip("label:N", title="metric"),
                alt.Tooltip("other:N", title="and"),
                alt.Tooltip("value:Q", title=value_title, format=".2f"),
                alt.Tooltip("interval:N", title="95% interval"),
                alt.Tooltip("n:Q", title="n", format=","),
            ],
        )
    )
    return _spec(chart.properties(width="container", height=min(620, 60 + 16 * len(names))), None)


def _base(alt: Any, rows: Sequence[Mapping[str, Any]], choices: Mapping[str, str]) -> Any:
    chart = alt.Chart(alt.InlineData(values=plain_rows(rows)))
    for field in choices:
        chart = chart.transform_filter(f"datum.{field} === chosen_{field}")
    return chart


def _spec(chart: Any, choices: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the plot as Vega draws it; `choices` are what is chosen first, by field."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    if choices:
        spec["params"] = [
            *spec.get("params", []),
            *({"name": f"chosen_{field}", "value": one_line(first)} for field, first in choices.items()),
        ]
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["config"] = CONFIG
    import vl_convert

    drawn: dict[str, Any] = vl_convert.vegalite_to_vega(spec, vl_version=vega_lite_version())
    return drawn


def vega_lite_version() -> str:
    """Return the version of Vega-Lite that Altair writes, as vl-convert names it."""
    version: str = require_altair().SCHEMA_VERSION
    return version.removeprefix("v").rpartition(".")[0]


def _as_listed(alt: Any) -> Any:
    return alt.EncodingSortField(field="order", op="min")


def _names(alt: Any, **options: Any) -> Any:
    """Return an axis of names, which may be longer where there is room."""
    limit = alt.ExprRef("containerSize()[0] < 500 ? 110 : 230")
    return alt.Axis(labelLimit=limit, labelOverlap=False, grid=False, **options)


def _axis(alt: Any, form: str) -> Any:
    return alt.Axis(format=form, labelOverlap=True, tickCount=5)


def _colour(alt: Any, rows: Sequence[Mapping[str, Any]], title: str) -> Any:
    """Colour the groups: those with a meaning alike in every plot, others by their order."""
    groups = {row["group"] for row in rows if row.get("group")}
    if not groups:
        return alt.value(COLOURS[0])
    meant = [name for name in MEANINGS if name in groups]
    domain = {"domain": meant, "range": [MEANINGS[name] for name in meant]} if groups <= {*meant} else {}
    scale = alt.Scale(**(domain or {"range": list(COLOURS)}))
    return alt.Color("group:N", title=title or None, scale=scale, legend=alt.Legend(orient="top", columns=2))


def _tips(alt: Any, rows: Sequence[Mapping[str, Any]], title: str) -> list[Any]:
    names = {name for row in rows for name, value in row.items() if value is not None}
    tips = [alt.Tooltip("label", type="nominal", title="what")] if "label" in names else []
    tips += [alt.Tooltip("group:N", title="group")] if "group" in names else []
    tips += [alt.Tooltip("value:Q", title=title, format=NUMBER)]
    if "low" in names:
        tips += [alt.Tooltip("low:Q", title="95% from", format=NUMBER)]
        tips += [alt.Tooltip("high:Q", title="to", format=NUMBER)]
    return tips + ([alt.Tooltip("n:Q", title="n", format=",")] if "n" in names else [])
