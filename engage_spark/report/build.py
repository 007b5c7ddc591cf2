"""Build the page of a lake: every section, or why it is not there and which command makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from engage_spark.errors import EngageError, NotPublishedError
from engage_spark.pipelines.stages import ANALYTICS_STATES
from engage_spark.reader import OpenLake
from engage_spark.report.charts import require_altair
from engage_spark.report.elements import PageSection
from engage_spark.report.page import render_page
from engage_spark.report.sections.changes import KEY as CHANGES
from engage_spark.report.sections.changes import TITLE as CHANGES_TITLE
from engage_spark.report.sections.changes import changes, only_one
from engage_spark.report.sections.columns import features, graph
from engage_spark.report.sections.findings import claims, correlations, indicators
from engage_spark.report.sections.groups import cohorts, segments
from engage_spark.report.sections.models import models
from engage_spark.report.sections.quality import quality
from engage_spark.report.source import Source
from engage_spark.report.table_files import TableFile, table_files
from engage_spark.wording import counted

Make = Callable[[Source], PageSection]
PARTS: tuple[tuple[str, str, str, Make], ...] = (
    (CHANGES, CHANGES_TITLE, "analyze", changes),
    ("quality", "Quality", "ingest", quality),
    ("features", "Features", "features", features),
    ("graph", "Graph", "graph", graph),
    ("models", "Models and fairness", "train", models),
    ("segments", "Segments", "analyze", segments),
    ("cohorts", "Cohorts", "analyze", cohorts),
    ("correlations", "Correlations", "analyze", correlations),
    ("indicators", "Indicators", "analyze", indicators),
    ("claims", "Claims", "analyze", claims),
)
"""Key, title, command and maker of each section, in the order of the page."""
NOTHING = (
    "The analysis of this day has nothing to say here: the contract declares nothing of the kind, or there "
    "is nothing to compare with yet."
)
ATTEMPTS = 2
"""Readings of a lake whose files are rewritten meanwhile."""
NAMED = 5
"""Snapshots without analytics that are named."""


@dataclass(frozen=True)
class Report:
    """A page and what it shows: `day` is None where nothing is published; `absent` names the sections that
    have nothing to show; `tables` are the tables of the page as files.
    """

    html: str
    day: date | None
    snapshots: int
    sections: tuple[str, ...]
    absent: tuple[str, ...]
    tables: tuple[TableFile, ...]


def build_report(lake: OpenLake, *, as_of: date | None = None) -> Report:
    """Build the page of what is published, as of a day or of the newest snapshot.

    A section whose table is not published says so and names the command. Where files are rewritten while they
    are read, the whole lake is read again, so that all sections are of one moment.
    Cost: the tables of the day, aggregated; the page does not grow with customers.
    Errors: NotPublishedError where `as_of` is before the first snapshot; ConfigurationError where Altair is
    missing, the lake cannot be reached or is of an older version;
    TransientError where the storage does not answer.
    """
    require_altair()
    _require_readable(lake)
    _require_day(lake, as_of)
    for attempt in range(1, ATTEMPTS + 1):
        source = Source(lake, as_of)
        sections = [_section(source, *part) for part in PARTS]
        failed = [error for _, error in sections if error is not None]
        if not failed or attempt == ATTEMPTS:
            break
        lake.refresh()
    return _report(source, [section for section, _ in sections])


def _require_readable(lake: OpenLake) -> None:
    """Refuse a lake that nothing can be read of; one that is empty is none of those."""
    try:
        _ = lake.publication
    except NotPublishedError:
        return


def _require_day(lake: OpenLake, as_of: date | None) -> None:
    """Refuse a day before the first snapshot: its page would say that nothing is published."""
    published = Source(lake).snapshots
    if as_of is not None and published and as_of < published[0]:
        raise NotPublishedError(
            f"no snapshot is published of {as_of} or before",
            hint=f"the first one is of {published[0]}, the newest of {published[-1]}",
        )


def _section(
    source: Source, key: str, title: str, command: str, make: Make
) -> tuple[PageSection, EngageError | None]:
    """Return a section, and what kept it from being read, unless that is that nothing is published."""
    try:
        if key == CHANGES and len(source.snapshots) == 1:
            return only_one(source), None
        section = make(source)
        lead = [*section.lead, *(_not_analyzed(source) if command == "analyze" else ())]
        return replace(section, lead=lead), None
    except NotPublishedError as e:
        if command == "analyze" and source.is_analysed:
            return PageSection(key=key, title=title, missing=NOTHING), None
        missing = PageSection(key=key, title=title, missing=_sentence(e), command=f"engage-spark {command}")
        return missing, None
    except EngageError as e:
        root = str(source.lake.settings.lake.root).rstrip("/")
        return PageSection(key=key, title=title, missing=_sentence(e).replace(root, "the lake")), e


def _not_analyzed(source: Source) -> list[str]:
    """Name the snapshots that no figure of the analytics has: its periods and curves lack them."""
    days = sorted({*source.snapshots} - {*source.days(ANALYTICS_STATES)})
    if not days or not source.is_analysed:
        return []
    named = ", ".join(map(str, days[-NAMED:]))
    more = f", and {counted(len(days) - NAMED, 'earlier one')}" if len(days) > NAMED else ""
    return [
        f"Without the snapshots of {named}{more}: they were not analyzed, or what they were made from has "
        "changed since. `engage-spark analyze` counts them."
    ]


def _sentence(error: EngageError) -> str:
    parts = [error.message, *error.details]
    return f"{'; '.join(parts)}."


def _report(source: Source, sections: list[PageSection]) -> Report:
    days = source.snapshots
    day = days[-1] if days else None
    contract = source.contract
    facts = [
        ("As of", str(day) if day else "no snapshot is published"),
        ("Snapshots", f"{len(days):,}" + (f", from {days[0]}" if len(days) > 1 else "")),
        ("Contract", f"{contract.id} {contract.version}"),
        ("Table", contract.entity.name),
    ]
    return Report(
        html=render_page(contract.name, facts, sections),
        day=day,
        snapshots=len(days),
        sections=tuple(s.key for s in sections),
        absent=tuple(s.key for s in sections if s.missing is not None),
        tables=table_files(sections),
    )
