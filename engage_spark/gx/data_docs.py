"""Build GX's Data Docs by GX, and make them readable without a network.

Its templates load Bootstrap, jQuery, bootstrap-table, Vega, Font Awesome and a logo from seven public hosts:
without them the index page is empty, since its tables are filled by script, and the others have no styles. So
what is loaded from elsewhere is taken out of the pages, and one stylesheet and one script of ours, beside
them, stand in. Nothing in a finished page is fetched from another host.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from engage_spark.errors import ConfigurationError
from engage_spark.gx.gx_runner import quiet, require_gx
from engage_spark.gx.recorded_results import PublishedValidation
from engage_spark.masking import escaped

ASSETS = ("offline.css", "offline.js")
SITE = "data_docs"
_LOADED = re.compile(
    r"""<script\b[^>]*\bsrc\s*=\s*["']https?://[^>]*>\s*</script>|<link\b[^>]*\bhref\s*=\s*["']https?://[^>]*>""",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"""<img\b[^>]*\bsrc\s*=\s*["']https?://[^>]*?>""", re.IGNORECASE | re.DOTALL)
_STYLED = re.compile(r"""url\(\s*['"]?https?://[^)]*\)""", re.IGNORECASE)
_STATIC = re.compile(r"""(<link\b[^>]*\bhref=")(?:\.{1,2}/)*static/""")  # GX is one level off for results
_NEWSLETTER = re.compile(
    r"<footer>.*?</footer>|<footer[^>]*id=\"ge-cta-footer\".*?</footer>", re.IGNORECASE | re.DOTALL
)


def build_site(documents: Iterable[PublishedValidation], out: Path) -> Path:
    """Build the Data Docs of these snapshots: an index, each table's suite, each snapshot's validation
    result.

    Returns the index page.

    `out` is replaced when it holds a site that was built here, and must otherwise be empty or not there
    (ConfigurationError). Needs GX (ConfigurationError without it); reads nothing but `documents`, and uses no
    network.
    """
    require_gx()
    _clear(out)
    with quiet():
        context = _context(out)
        for document in documents:
            _add(context, document)
        context.build_data_docs(site_names=[SITE])
    for asset in ASSETS:
        (out / "static").mkdir(exist_ok=True)
        (out / "static" / asset).write_bytes((files(__package__) / asset).read_bytes())
    for page in sorted(out.rglob("*.html")):
        depth = len(page.relative_to(out).parts) - 1
        page.write_text(
            offline(page.read_text(encoding="utf-8"), static="../" * depth + "static"), encoding="utf-8"
        )
    return out / "index.html"


def offline(page: str, *, static: str) -> str:
    """Return a page of GX that loads nothing from another host; `static` is where our stylesheet and script
    lie, seen from the page.
    """
    own = (
        f'<link rel="stylesheet" href="{static}/offline.css">\n<script src="{static}/offline.js"></script>\n'
    )
    for pattern, instead in ((_LOADED, ""), (_IMAGE, "Data Docs"), (_STYLED, "none"), (_NEWSLETTER, "")):
        page = pattern.sub(instead, page)
    page = _STATIC.sub(rf"\1{static}/", page)
    head, end_tag, rest = page.partition("</head>")
    return f"{head}{own}{end_tag}{rest}"


def _clear(out: Path) -> None:
    if not out.exists():
        return
    if out.is_dir() and (out / "static" / "offline.css").is_file():
        shutil.rmtree(out)
    elif not out.is_dir() or any(out.iterdir()):
        raise ConfigurationError(
            f"{out} holds something that is not such a site",
            hint="give --out another folder, or empty this one",
        )


def _context(out: Path) -> Any:
    context = import_module("great_expectations").get_context(mode="ephemeral")
    for name in list(context.variables.data_docs_sites or {}):
        context.delete_data_docs_site(name)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(out.absolute())}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    context.add_data_docs_site(
        SITE, {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": store}
    )
    return context


def _add(context: Any, document: PublishedValidation) -> None:
    """Put a suite (once) and a result where the site builder looks for them."""
    if document.suite.name not in {s.name for s in context.suites.all()}:
        context.suites.add(import_module("great_expectations").ExpectationSuite(**document.suite.as_json()))
    identifiers = import_module("great_expectations.data_context.types.resource_identifiers")
    schema = import_module(
        "great_expectations.core.expectation_validation_result"
    ).expectationSuiteValidationResultSchema
    run: Mapping[str, str] = document.result["meta"]["run_id"]
    run_id = import_module("great_expectations.core.run_identifier").RunIdentifier(
        run_name=run["run_name"], run_time=datetime.fromisoformat(run["run_time"])
    )
    key = identifiers.ValidationResultIdentifier(
        expectation_suite_identifier=identifiers.ExpectationSuiteIdentifier(document.suite.name),
        run_id=run_id,
        batch_identifier=f"{document.table}-{document.day.isoformat()}",
    )
    meta = {
        "great_expectations_version": import_module("great_expectations").__version__,
        **document.result["meta"],
    }
    shown = {**document.result, "meta": meta, "results": [_shown(r) for r in document.result["results"]]}
    context.validation_results_store.set(key, schema.load(shown))


def _shown(result: Mapping[str, Any]) -> dict[str, Any]:
    """Escape what comes from the data: GX writes values into its pages as they are, markup
    and scripts too.
    """
    return {**result, "result": _escaped(result["result"])}


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _escaped(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_escaped(v) for v in value]
    return escaped(value) if isinstance(value, str) else value
