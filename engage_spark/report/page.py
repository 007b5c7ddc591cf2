"""Put sections into one HTML page that needs nothing else: no network, no other file.

Everything that came from data or a contract is escaped. The page forbids itself every connection, and runs
two scripts only, named by their hashes: Vega with Vega-Lite and vega-embed, and the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

from engage_spark import __version__
from engage_spark.masking import escaped, one_line
from engage_spark.report.charts import vega_lite_version
from engage_spark.report.elements import Figure, Form, Grid, GridColumn, PageSection

VERDICTS = {
    "good": ("holds", "within", "passed", "published", "promoted", "clear"),
    "warn": ("weaker", "undecided", "warning", "provisional"),
    "bad": ("contradicted", "past", "broken", "rejected", "absent"),
}
"""The colour of each verdict; any other has none."""
NAME = 36
"""Characters up to which a text stays on one line."""
_NUMERIC = (Form.COUNT, Form.NUMBER, Form.SHARE, Form.INTERVAL)


def render_page(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[PageSection]) -> str:
    """Return the page.

    Errors: ConfigurationError where Altair is not installed.
    """
    ids = count(1)
    body = "".join(_section(section, ids) for section in sections)
    links = "".join(f"<li><a href='#{s.key}'>{escaped(s.title)}</a></li>" for s in sections)
    listed = "".join(f"<span>{escaped(name)} <b>{escaped(value)}</b></span>" for name, value in facts)
    scripts = (_vega(), _asset("report.js"))
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='referrer' content='no-referrer'><link rel='icon' href='data:,'>"
        f"<title>{escaped(title)}</title><style>{_asset('report.css')}</style></head><body>"
        "<a class='skip' href='#content'>Skip to the content</a>"
        f"<header><h1>{escaped(title)}</h1><div class='facts'>{listed}</div></header>"
        f"<nav aria-label='Sections'><div class='in'><ul tabindex='0'>{links}</ul>"
        "<button id='theme' type='button'>Dark colours</button></div></nav>"
        f"<main id='content'>{body}</main>"
        f"<footer><p>Written by engage-spark {__version__}. Groups of fewer than 20 people are not shown, "
        "nor what would give them away. Intervals are 95%. Associations are not causes.</p></footer>"
        + "".join(f"<script>{script}</script>" for script in scripts)
        + "</body></html>\n"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (files("engage_spark.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script that leaves nothing but those three names."""
    import vl_convert

    bundled: Any = vl_convert.javascript_bundle  # typed as if it needed a snippet

    bundle: str = bundled(vl_version=vega_lite_version())
    # What would end the script element can stand in texts and patterns alone, where a backslash is harmless.
    return "(()=>{" + bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--") + "})();"


def _section(section: PageSection, ids: Iterator[int]) -> str:
    lead = "".join(f"<p class='lead'>{escaped(text)}</p>" for text in section.lead)
    if section.missing is not None:
        command = f"<p>Make it with <code>{escaped(section.command)}</code>.</p>" if section.command else ""
        lead += f"<div class='notice'><p>{escaped(section.missing)}</p>{command}</div>"
    parts = "".join(
        _figure(part, ids) if isinstance(part, Figure) else _grid(part, ids, heading="h3")
        for part in section.parts
    )
    return (
        f"<section id='{section.key}' aria-labelledby='{section.key}-title'>"
        f"<h2 id='{section.key}-title'>{escaped(section.title)}</h2>{lead}{parts}</section>"
    )


def _meta(part: Figure | Grid) -> str:
    n = f"{part.basis.n:,}" if isinstance(part.basis.n, int) else part.basis.n
    return (
        f"<p class='meta'>Unit: {escaped(part.basis.unit)} · <span>n = {escaped(n)}</span> · "
        f"<span>as of {escaped(str(part.basis.as_of))}</span></p>"
    )


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"<p class='note'>{escaped(note)}</p>" for note in notes)


def _figure(figure: Figure, ids: Iterator[int]) -> str:
    key = f"plot-{next(ids)}"
    choices = "".join(
        f"<label>{escaped(choice.label)}<select data-plot='{key}' data-signal='{choice.signal}'>"
        + "".join(
            f'<option value="{escaped(one_line(value))}">{escaped(one_line(label))}</option>'
            for value, label in choice.options
        )
        + "</select></label>"
        for choice in figure.choices
    )
    return (
        f"<figure><figcaption><h3>{escaped(figure.title)}</h3>{_meta(figure)}</figcaption>"
        + (f"<div class='choices'>{choices}</div>" if choices else "")
        + f"<div class='plot' id='{key}' role='img' aria-label=\"{escaped(one_line(figure.summary))}\" "
        f"data-spec='{key}-spec'></div>"
        f"<script type='application/json' id='{key}-spec'>{_json(figure.spec)}</script>"
        f"{_notes(figure.notes)}<details><summary>Values as a table: {escaped(figure.table.title)}</summary>"
        f"{_grid(figure.table, ids, heading=None)}</details></figure>"
    )


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _grid(grid: Grid, ids: Iterator[int], *, heading: str | None) -> str:
    key = f"table-{next(ids)}"
    title = f"<{heading}>{escaped(grid.title)}</{heading}>{_meta(grid)}" if heading else ""
    notes = list(grid.notes)
    if grid.more:
        notes.append(f"{grid.more:,} more rows are left out; `engage-spark sql` shows all.")
    if not grid.rows:
        return f"<div class='grid'>{title}<p class='empty'>Nothing to show.</p>{_notes(notes)}</div>"
    heads = "".join(
        f"<th scope='col' aria-sort='none'{_class(c)}><button type='button'>{escaped(c.title)}</button></th>"
        for c in grid.columns
    )
    rows = "".join(
        "<tr>" + "".join(_cell(c, value) for c, value in zip(grid.columns, row, strict=True)) + "</tr>"
        for row in grid.rows
    )
    return (
        f"<div class='grid'>{title}{_filters(grid, key)}"
        f"<div class='scroll' tabindex='0' role='region' aria-label='{escaped(grid.title)} ({key})'>"
        f"<table class='sortable' id='{key}'><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
        f"</table></div>{_notes(notes)}</div>"
    )


def _filters(grid: Grid, key: str) -> str:
    if len(grid.rows) < 8:
        return ""
    picks = ""
    for i, column in enumerate(grid.columns):
        if not column.choice:
            continue
        values = sorted({one_line(str(row[i])) for row in grid.rows if row[i] is not None})
        options = "".join(f'<option value="{escaped(v)}">{escaped(v)}</option>' for v in values)
        picks += (
            f"<label>{escaped(column.title)}<select data-column='{i}'><option value=''>all</option>{options}"
            "</select></label>"
        )
    return (
        f"<div class='choices of-table' data-table='{key}'><label>Filter<input type='search' "
        f"autocomplete='off' spellcheck='false'></label>{picks}"
        "<span class='count' role='status'></span></div>"
    )


def _class(column: GridColumn) -> str:
    return " class='num'" if column.form in _NUMERIC else ""


def _cell(column: GridColumn, value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        kind = "num" if column.form in _NUMERIC else "text"
        return f"<td class='{kind}' data-v=''><span class='off'>–</span></td>"
    if column.form is Form.VERDICT:
        text = one_line(str(value))
        colour = next((name for name, words in VERDICTS.items() if text in words), "")
        return (
            f"<td data-v=\"{escaped(text)}\"><span class='verdict {colour}'>"
            f"{escaped(text.replace('_', ' '))}</span></td>"
        )
    if column.form is Form.INTERVAL:
        low, high = value
        if low is None or high is None:
            return "<td class='num' data-v=''><span class='off'>–</span></td>"
        return f"<td class='num' data-v='{low!r}'>{format_number(low)} to {format_number(high)}</td>"
    if column.form in _NUMERIC:
        return f"<td class='num' data-v='{value!r}'>{_formatted(column.form, value)}</td>"
    text = one_line(str(value))
    kind = "text" if len(text) > NAME else "name"
    return f"<td class='{kind}' data-v='{escaped(text)}'>{escaped(text)}</td>"


def _formatted(form: Form, value: float) -> str:
    if form is Form.SHARE:
        return f"{100 * value:.{1 if abs(value) >= 0.001 or value == 0 else 3}f}%"
    return f"{value:,}" if form is Form.COUNT else format_number(value)


def format_number(value: float) -> str:
    """Write a number with four significant digits, and thousands apart."""
    if isinstance(value, int) or (abs(value) >= 1000 and abs(value) < 1e12):
        return f"{value:,.0f}"
    return f"{value + 0.0:.4g}"  # never -0
