"""Results of a snapshot as GX reads and renders them, and a site that needs no network. Starts no JVM."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.gx.data_docs import build_site, offline
from engage_spark.gx.export import OWN, suite_of
from engage_spark.gx.gx_runner import require_gx
from engage_spark.gx.recorded_results import PublishedValidation, published
from engage_spark.quality.checks.row_checks import row_checks

CUSTOMERS = load_contract().entity
DAY = date(2025, 10, 21)
SCRIPT = "<script>alert(1)</script>"


def line(rule: str, **found: Any) -> dict[str, Any]:
    usual = {
        "rule_name": rule,
        "run_id": "r1",
        "column_name": rule.split(".", maxsplit=1)[0] if "." in rule else None,
        "severity": "critical",
        "dimension": "validity",
        "rows_checked": 1000,
        "violations": 0,
        "measured": 0.0,
        "unit": "percent",
        "minimum": None,
        "maximum": None,
        "passed": True,
        "samples": [],
        "description": f"{rule} in words",
    }
    return usual | found


def lines() -> list[dict[str, Any]]:
    """A judged snapshot: every rule of the contract held, but for five."""
    found = {
        c.name: line(c.name, column_name=c.column, severity=c.severity.value) for c in row_checks(CUSTOMERS)
    }
    found["age.not_null"] |= {"violations": 1, "measured": 0.1}
    found["age.range"] |= {"violations": 3, "measured": 0.3, "passed": False, "samples": ["***"]}
    found["gender.allowed"] |= {"violations": 1, "measured": 0.1, "passed": False, "samples": [SCRIPT]}
    found["customer_id.unique"] |= {"violations": 4, "measured": 0.4, "passed": False}
    found["idle_over_7_days_no_sessions_7"] |= {"violations": 2, "passed": False}
    gates = [
        line(g.name, unit=g.unit, measured=99.9, minimum=g.minimum, maximum=g.maximum, column_name=g.column)
        for g in CUSTOMERS.gates
    ]
    return [*found.values(), *gates, line("retired_rule", passed=False, violations=7)]


@pytest.fixture(scope="module")
def snapshot() -> PublishedValidation:
    return published(CUSTOMERS, lines(), day=DAY, status="rejected", version="1.0.0")


def entry(snapshot: PublishedValidation, rule: str) -> Any:
    return next(r for r in snapshot.result["results"] if r["expectation_config"]["meta"][OWN]["rule"] == rule)


def test_counts_of_a_rule_are_told_as_gx_tells_them(snapshot: PublishedValidation) -> None:
    assert entry(snapshot, "age.range")["result"] == {
        "element_count": 1000,
        "unexpected_count": 3,
        "unexpected_percent": 3 / 999 * 100,
        "partial_unexpected_list": ["***"],
        "missing_count": 1,
        "missing_percent": 1 / 1000 * 100,
        "unexpected_percent_total": 3 / 1000 * 100,
        "unexpected_percent_nonmissing": 3 / 999 * 100,
    }
    assert entry(snapshot, "age.not_null")["result"] == {"observed_value": 0.999}
    assert entry(snapshot, "idle_over_7_days_no_sessions_7")["result"] == {"observed_value": 2}


def test_every_rule_of_the_snapshot_is_told_also_what_gx_cannot_say(snapshot: PublishedValidation) -> None:
    rule_names = [r["expectation_config"]["meta"][OWN]["rule"] for r in snapshot.result["results"]]
    assert set(rule_names) >= {one["rule_name"] for one in lines()}
    assert len(rule_names) == len(set(rule_names))
    assert snapshot.result["statistics"]["unsuccessful_expectations"] == 5
    assert (
        entry(snapshot, "retired_rule")["expectation_config"]["description"]
        == "retired_rule: retired_rule in words"
    )
    assert entry(snapshot, "completeness_overall")["expectation_config"]["meta"][OWN]["expressible"] is False


def test_gx_loads_the_suite_and_the_result(snapshot: PublishedValidation) -> None:
    gx = require_gx()
    suite = gx.ExpectationSuite(**snapshot.suite.as_json())
    assert [e.id for e in suite.expectations] == [e.id for e in suite_of(CUSTOMERS).expectations]
    schema = import_module(
        "great_expectations.core.expectation_validation_result"
    ).expectationSuiteValidationResultSchema
    loaded = schema.load(json.loads(json.dumps(snapshot.result)))
    assert loaded.to_json_dict()["statistics"] == snapshot.result["statistics"]


@pytest.fixture(scope="module")
def site(snapshot: PublishedValidation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built while no connection to anywhere can be made."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("a connection was tried")

    with pytest.MonkeyPatch.context() as patched:
        for name in ("connect", "connect_ex", "sendto"):
            patched.setattr(socket.socket, name, refuse)
        patched.setattr(socket, "getaddrinfo", refuse)
        return build_site([snapshot], tmp_path_factory.mktemp("site") / "docs")


def test_the_site_has_an_index_a_suite_and_a_result(site: Path) -> None:
    pages = sorted(p.relative_to(site.parent).parts[0] for p in site.parent.rglob("*.html"))
    assert pages == ["expectations", "index.html", "validations"]
    (result,) = (site.parent / "validations").rglob("*.html")
    text = result.read_text()
    assert (
        "idle_over_7_days" in text
        or "Who last logged in more than 7 days ago had no session in the last 7." in text
    )
    assert "unexpected Exception occurred during data docs rendering" not in text
    assert "retired_rule in words" in text


def test_no_page_loads_anything_from_another_host_and_what_it_loads_is_there(site: Path) -> None:
    for page in site.parent.rglob("*.html"):
        text = page.read_text()
        assert not re.findall(
            r"""<(?:script|link|img|iframe)\b[^>]*(?:src|href)\s*=\s*["'](?:https?:)?//[^"']*""", text
        ), page
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", text), page
        loaded = re.findall(r"""<(?:script|link)\b[^>]*(?:src|href)\s*=\s*["']([^"']+)["']""", text)
        assert [name for name in loaded if not (page.parent / name).resolve().is_file()] == []
        assert sum("offline" in name for name in loaded) == 2


def test_a_sample_with_markup_in_it_stays_text(site: Path) -> None:
    (result,) = (site.parent / "validations").rglob("*.html")
    assert SCRIPT not in result.read_text()
    assert "alert(1)" in result.read_text()


def test_a_site_is_replaced_and_anything_else_is_left_alone(
    site: Path, snapshot: PublishedValidation, tmp_path: Path
) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="holds something that is not such a site"):
        build_site([snapshot], tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"
    stale = site.parent / "validations" / "stale.html"
    stale.write_text("old")
    build_site([], site.parent)
    assert not stale.exists()


def test_a_page_is_cleaned_of_what_is_loaded_and_keeps_what_is_linked() -> None:
    page = (
        '<head><script src="https://a/b.js"></script><link href="https://a/c.css"></head>'
        '<a href="https://docs">d</a><img\nsrc="https://a/l.png"/>'
    )
    assert offline(page, static="../static") == (
        '<head><link rel="stylesheet" href="../static/offline.css">\n<script '
        'src="../static/offline.js"></script>\n</head>'
        '<a href="https://docs">d</a>Data Docs'
    )


def test_without_gx_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['great_expectations'] = None\n"
        "from engage_spark.gx.gx_runner import require_gx\n"
        "from engage_spark.errors import ConfigurationError\n"
        "try: require_gx()\n"
        "except ConfigurationError as e: sys.exit(0 if 'engage-spark[gx]' in str(e.hint) else 1)\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_what_is_called_for_it_imports_gx() -> None:
    code = (
        "import sys, engage_spark.gx.data_docs, engage_spark.gx.evaluate; "
        "sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
