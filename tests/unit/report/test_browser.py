"""The page works in a real browser: quiet console, no request, keyboard, contrast, phone, print.

Chromium is driven over a pipe; axe-core comes from npm into a cache outside the checkout. Where either is
absent the tests are skipped, but in CI they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engage_spark.report import Report
from tests.support.browser import Tab, browser, chromium

AXE = "4.14.1"
NOT_HERE = "Chromium is not installed (Debian: apt install chromium)"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None and not os.environ.get("CI"), reason=NOT_HERE),
]
FOCUS = "document.activeElement"


@pytest.fixture(scope="module")
def file(page: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    out.write_text(page.html, encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(window: Tab) -> Tab:
    window.console.clear()
    window.requests.clear()
    return window


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, from a cache of the user, by npm."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "engage-spark" / f"axe-{AXE}"
    script = cache / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        why = "npm is not installed"
        if npm is not None:
            command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache), f"axe-core@{AXE}"]
            why = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stderr
        if not script.exists():
            assert not os.environ.get("CI"), f"axe-core cannot be had: {why}"
            pytest.skip(f"axe-core cannot be had: {why[:200]}")
    return script.read_text(encoding="utf-8")


def test_plots_are_drawn_without_an_error_or_a_request(tab: Tab, file: Path) -> None:
    tab.open(file)
    plots = tab.run(
        "[...document.querySelectorAll('.plot')].map(p => [p.dataset.drawn, !!p.querySelector('svg')])"
    )
    assert plots == [["yes", True]] * len(plots) and len(plots) >= 10
    assert tab.console == []
    assert tab.requests == [file.as_uri()]


def test_the_browser_refuses_what_the_page_may_not_do(tab: Tab, file: Path) -> None:
    tab.open(file)
    refused = (
        "new Promise(done => { document.addEventListener('securitypolicyviolation', e => "
        "done(e.effectiveDirective)); %s })"
    )
    assert tab.run(refused % "fetch('data:text/plain,x').catch(() => 0)") == "connect-src"
    inline = (
        "const s = document.createElement('script'); s.textContent = 'window.x = 1'; document.body.append(s)"
    )
    assert tab.run(refused % inline) == "script-src-elem"


def test_keys_alone_sort_and_filter_a_table(tab: Tab, file: Path) -> None:
    tab.open(file)
    table = tab.run("document.querySelector('#claims > .grid table').id")
    first = f"document.querySelector('#{table} tbody tr:not([hidden])').cells[1].textContent"
    count = f"[...document.querySelectorAll('#{table} tbody tr')].filter(r => !r.hidden).length"
    assert tab.run(count) == 25
    for _ in range(400):  # as a reader does who has no mouse
        tab.press("Tab", 9)
        if tab.run(f"!!{FOCUS}.closest('.of-table[data-table={table}]') && {FOCUS}.matches('input')"):
            break
    else:
        pytest.fail("the filter was never reached by the keyboard")
    tab.write("statement 7")
    assert tab.run(count) == 1
    tab.run(f"{FOCUS}.value = ''; {FOCUS}.dispatchEvent(new Event('input'))")
    while not tab.run(f"{FOCUS}.matches('#{table} thead button') && {FOCUS}.textContent === 'statement'"):
        tab.press("Tab", 9)
    head = f"{FOCUS}.closest('th').getAttribute('aria-sort')"
    for order, text in (
        ("ascending", "</script>"),
        ("descending", "Statement 24"),
        ("none", "Statement 3"),
    ):
        tab.press("Enter", 13, text="\r")
        assert tab.run(head) == order
        assert tab.run(first).startswith(text)


def test_a_choice_redraws_its_plot(tab: Tab, file: Path) -> None:
    tab.open(file)
    plot = "document.querySelector('#segments .plot')"
    before = tab.run(f"{plot}.innerHTML.length + {plot}.textContent")
    tab.run(
        "(() => { const pick = document.querySelector('#segments select[data-signal]'); "
        "pick.selectedIndex = 1; pick.dispatchEvent(new Event('change')); })()"
    )
    tab.until(f"({plot}.innerHTML.length + {plot}.textContent) !== {json.dumps(before)}")
    assert tab.console == []


def test_a_pointer_over_a_mark_shows_its_values(tab: Tab, file: Path) -> None:
    tab.open(file)
    mark = "document.querySelector('#segments .plot .mark-rect path')"
    tab.run(f"{mark}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    at = tab.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({mark}.getBoundingClientRect())")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
    tip = "document.querySelector('#vg-tooltip-element.visible')"
    tab.until(f"!!{tip}")
    text = tab.run(f"{tip}.innerText")
    assert "share of customers" in text and "200" in text, text
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    tab.until(f"!{tip}")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_has_nothing_serious_to_say(tab: Tab, file: Path, axe: str, scheme: str, width: int) -> None:
    tab.open(file, width=width, scheme=scheme)
    tab.run(axe + ";0")
    tab.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    result: dict[str, Any] = tab.run(
        "axe.run(document, {resultTypes: ['violations']}).then(r => ({v: r.violations}))"
    )
    serious = [
        (v["id"], v["impact"], v["nodes"][0]["html"][:200])
        for v in result["v"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert tab.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_switch_turns_the_colours(tab: Tab, file: Path) -> None:
    tab.open(file, scheme="dark")
    dark = tab.run("getComputedStyle(document.body).backgroundColor")
    tab.run("document.getElementById('theme').click()")
    assert tab.run("getComputedStyle(document.body).backgroundColor") != dark
    assert tab.run("document.getElementById('theme').textContent") == "Dark colours"


def test_the_page_prints(tab: Tab, file: Path, tmp_path: Path) -> None:
    tab.open(file, scheme="dark")
    out = tmp_path / "page.pdf"
    tab.pdf(out)
    assert out.read_bytes().startswith(b"%PDF") and out.stat().st_size > 50_000


def test_heads_of_tables_are_painted_on_every_printed_page(tab: Tab, file: Path) -> None:
    """Chromium paints no button in the heads that it repeats: on paper there must be none."""
    tab.open(file)
    shape = "getComputedStyle(document.querySelector('thead button')).display"
    assert tab.run(shape) != "contents"
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run(shape) == "contents"
    tab.colours("light")
