"""Write down what an agent should know before it asks: pages of Markdown with metadata, for a knowledge base.

All pages follow from the contract; statistics and verdicts come from the tools, so that what these hide or
mask is hidden and masked here, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engage_spark.contract import Contract, Table, TableKind, field_rows
from engage_spark.contract.analytics_spec import CUSTOMERS, ClaimSpec, IndicatorSpec
from engage_spark.errors import EngageError
from engage_spark.insight.evidence import Answer, Evidence
from engage_spark.insight.registry import Tool, tools_of
from engage_spark.insight.schemas import READING, argument_text
from engage_spark.insight.session import Insight
from engage_spark.insight.tools.common import FEW_MISSING_NOTE
from engage_spark.insight.vocabulary import Vocabulary
from engage_spark.masking import cut, one_line
from engage_spark.numerics.suppression import SMALLEST_GROUP, coarse
from engage_spark.text_files import write_text

_STATEMENTS = ("statements", "Statements about the data")
_STATISTICS = ("statistics", "Statistics of the metrics")
METADATA_ENDING = ".metadata.json"
"""Ends the name of the file that holds a page's metadata beside it, as knowledge bases in S3 read it."""
_LONGEST = 300
_VERDICTS = {
    "contradicted": "Known contradictions: the data say otherwise",
    "absent": "Known contradictions: the data show no such effect",
    "weaker": "The effect is there, and smaller than stated",
    "cannot_be_told": "Cannot be told from these data",
    "holds": "What holds",
}
"""Verdicts of `check_claim`, what must not be repeated first."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a pack. `metadata` are what a knowledge base filters by: texts, numbers and truth values."""

    name: str
    title: str
    text: str
    metadata: tuple[tuple[str, str | int | bool], ...]


def context_pack(
    contract: Contract, insight: Insight | None = None, *, tools: Sequence[Tool] | None = None
) -> tuple[Page, ...]:
    """Return the pages of a contract; with an open lake those of its statistics and verdicts, too.

    `tools` are those that the pages explain, and whose answers they hold: by default all of the contract.

    Cost: without a lake none; with one, `describe` per metric, and `check_claim` per verdict.
    Errors: with a lake, what `describe` raises where nothing is published; a single metric that is not known
    is said on its page.
    """
    words, tools = Vocabulary(contract), tools_of(contract) if tools is None else tools
    offered = {t.name for t in tools}
    judging = insight if "check_claim" in offered else None
    pages = [
        _page(contract, "reading", "How to read the figures", _reading(words)),
        _page(contract, "tools", "What can be asked", [line for t in tools for line in _tool(t)]),
        *(
            _page(contract, f"fields_{t.name}", f"Fields of {t.name}", _fields(contract, t), table=t.name)
            for t in contract.tables
            if t.kind is not TableKind.SYSTEM
        ),
        _page(contract, "measures", "Metrics, groups and rules that point to targets", _measures(words)),
        _page(contract, *_STATEMENTS, _statements(words.spec.claims, judging)),
    ]
    if insight is not None and "describe" in offered:
        pages.append(_page(contract, *_STATISTICS, _statistics(words, insight)))
    return tuple(pages)


@dataclass(frozen=True)
class LivePack:
    """The pages of a contract for who reads one at a time: what they have of the lake is of that moment."""

    contract: Contract
    tools: tuple[Tool, ...]

    @cached_property
    def _of_contract(self) -> dict[str, Page]:
        return {page.name: page for page in context_pack(self.contract, tools=self.tools)}

    @cached_property
    def titles(self) -> dict[str, str]:
        """The titles of all pages by their names; there are statistics where `describe` is offered."""
        has_statistics = any(t.name == "describe" for t in self.tools)
        titles = {name: page.title for name, page in self._of_contract.items()}
        return titles | (dict([_STATISTICS]) if has_statistics else {})

    def page(self, name: str, opened: Callable[[], Insight]) -> Page | None:
        """Return a page; None where there is none of this name.

        Errors: for the statistics what `describe` and `opened` raise where nothing is published. The page of
        statements says so, or is without verdicts.
        """
        if name not in self.titles:
            return None
        words = Vocabulary(self.contract)
        if name == _STATISTICS[0]:
            return _page(self.contract, *_STATISTICS, _statistics(words, opened()))
        if name == _STATEMENTS[0] and any(t.name == "check_claim" for t in self.tools):
            with suppress(EngageError):
                return _page(self.contract, *_STATEMENTS, _statements(words.spec.claims, opened()))
        return self._of_contract[name]


def write_pack(pages: Sequence[Page], folder: Path) -> list[Path]:
    """Write pages as Markdown, each with a file of its metadata; return all files."""
    files = []
    for page in pages:
        path = folder / f"{page.name}.md"
        attributes = json.dumps({"metadataAttributes": dict(page.metadata)}, indent=2, ensure_ascii=False)
        write_text(path, page.text)
        write_text(folder / f"{path.name}{METADATA_ENDING}", attributes + "\n")
        files += [path, folder / f"{path.name}{METADATA_ENDING}"]
    return files


def _page(contract: Contract, name: str, title: str, lines: Iterable[str], **more: str) -> Page:
    facts = {"kind": name.partition("_")[0], "contract": contract.id, "contract_version": contract.version}
    text = "\n".join([f"# {title}", "", *lines]).rstrip() + "\n"
    return Page(name=name, title=title, text=text, metadata=tuple((facts | more).items()))


def _reading(words: Vocabulary) -> list[str]:
    protected = ", ".join(words.protected) or "none"
    personal = [f"{t.name}.{f.name}" for t in words.contract.tables for f in t.fields if f.is_personal]
    return [
        READING,
        "",
        "- Shares and rates are fractions between 0 and 1. Means have the unit of their metric.",
        f"- Groups of fewer than {SMALLEST_GROUP} customers are not shown, and neither is what would give "
        "them away against a total.",
        "- An interval holds the true value in 95 of 100 such measurements. Where intervals of two figures "
        "overlap, do not call them different.",
        "- What goes together is an association. Only a test with a control group shows a cause.",
        f"- Protected fields: {protected}. They are compared by `fairness` and are no reason to treat a "
        "person in one way or another.",
        f"- Personal fields, whose values are masked: {', '.join(personal) or 'none'}.",
        f"- Targets: {', '.join(words.targets) or 'none'}. The one that is meant where none is named: "
        f"{words.main_target or 'none'}.",
    ]


def _tool(tool: Tool) -> list[str]:
    lines = [f"## {tool.name}", "", f"{tool.description} {tool.answer}", ""]
    for argument in tool.arguments:
        needed = "required" if argument.required else "may be left out"
        lines.append(f"- `{argument.name}` ({argument.kind.value}, {needed}): {argument_text(argument)}")
    return [*lines, ""]


def _fields(contract: Contract, table: Table) -> list[str]:
    lines = [table.description, "", table.grain, ""]
    for field, row in zip(table.fields, field_rows(contract, table.name), strict=True):
        facts = {
            "type": row["type"],
            "unit": row["unit"],
            "role": row["role"],
            "valid": row["bounds"],
            "expected": row["expected"],
            "notes": row["notes"],
            "personal": "values are masked" if field.is_personal else "",
            "formula": field.formula or "",
        }
        stated = "; ".join(f"{name}: {_text(value)}" for name, value in facts.items() if value)
        lines += [f"## {field.name}", "", field.description, "", stated + ".", ""]
    lines += ["## Rules", ""] if table.rules else []
    lines += [f"- `{r.name}` ({r.severity.value}): `{r.expression}`. {r.description}" for r in table.rules]
    return lines


def _measures(words: Vocabulary) -> list[str]:
    lines = ["## Metrics", ""]
    for name, metric in words.metrics.items():
        unit = metric.unit or ("share" if metric.is_share else "no unit")
        kind = ", a target" if metric.is_target else ""
        lines.append(f"- `{name}` ({unit}{kind}): {metric.description}")
    lines += ["", "## Groups that metrics are compared between", ""]
    for name, dimension in words.dimensions.items():
        segments = ", ".join(words.segments(name)) or "those of the data"
        lines.append(f"- `{name}` ({dimension.kind.value}): {segments}. {dimension.description}")
    lines += ["", "## Cohorts", "", f"Keys: {', '.join(words.cohort_keys) or 'none'}.", ""]
    lines += ["## Rules that point to targets", ""]
    return [*lines, *map(_indicator, words.spec.indicators)]


def _indicator(indicator: IndicatorSpec) -> str:
    points = f"points to {indicator.direction.value} {indicator.aim}"
    return f"- `{indicator.name}` ({points}): `{indicator.expression}`. {indicator.description}"


def _statements(claims: Sequence[ClaimSpec], insight: Insight | None) -> list[str]:
    lines = ["What the data dictionary says of the data. A statement is a claim until it was measured.", ""]
    for claim in claims:
        lines.append(f"- `{claim.name}` ({claim.kind.value}, from {claim.source}): {claim.statement}")
        lines += [f"  Not measured: {claim.reason}"] if claim.reason else []
    if insight is None:
        return lines
    for verdict, title in _VERDICTS.items():
        lines += ["", f"## {title}", "", *_answered(insight, "check_claim", {"verdict": verdict})]
    return lines


def _statistics(words: Vocabulary, insight: Insight) -> list[str]:
    lines = ["As the tools gave them when the pack was written; ask again for figures of today.", ""]
    everybody = insight.call("describe", {})
    whole = next((f.value for f in everybody.facts if f.label == CUSTOMERS and isinstance(f.value, int)), 1)
    lines += ["## All customers", "", *_lines(everybody, whole), ""]
    for name in words.metrics:
        lines += [f"## {name}", "", *_answered(insight, "describe", {"metric": name}, whole), ""]
    return lines


def _answered(insight: Insight, tool: str, arguments: dict[str, Any], whole: int = 1) -> list[str]:
    """Return the figures of an answer as lines, or why there are none."""
    try:
        return _lines(insight.call(tool, arguments), whole)
    except EngageError as e:
        return [f"Not known: {_text(e.message)}."]


def _lines(answer: Answer, whole: int) -> list[str]:
    """Return an answer as lines; `whole` is the number of customers, which the page has, too: beside it,
    neither n nor all digits of a mean are told where few lack a value.
    """
    more = [f"There is more; ask {answer.tool}."] if answer.truncated else []
    has_n = FEW_MISSING_NOTE not in answer.notes
    facts = [_fact(fact, whole=None if has_n or fact.label == CUSTOMERS else whole) for fact in answer.facts]
    return [*_rows(answer), *more, *facts, *(_text(note) for note in answer.notes)]


def _fact(fact: Evidence, *, whole: int | None) -> str:
    has_n = whole is None
    is_shown = has_n and fact.lower is not None
    interval = f", 95% interval {fact.lower:g} to {fact.upper:g}" if is_shown else ""
    n = f", n = {fact.n}" if has_n and fact.n is not None else ""
    figure = coarse(fact.value, whole) if whole is not None and isinstance(fact.value, float) else fact.value
    value = f"{figure:g}" if isinstance(figure, float) else _text(figure)
    unit = f" {fact.unit}" if fact.unit else ""
    return (
        f"- {_text(fact.label)}: {value}{unit}{n}{interval} ({_text(fact.filter)}; "
        f"{fact.table} version {fact.version}, {fact.as_of})"
    )


def _rows(answer: Answer) -> list[str]:
    if not answer.rows or answer.origin is None:
        return []
    names = [c.name for c in answer.columns]
    table = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    table += [f"| {' | '.join(_cell(value) for value in row)} |" for row in answer.rows]
    return [*table, "", f"From {answer.origin.table} version {answer.origin.version}, {answer.origin.as_of}."]


def _cell(value: object) -> str:
    shown = f"{value:g}" if isinstance(value, float) else "" if value is None else _text(value)
    return shown.replace("|", "\\|")


def _text(value: object) -> str:
    """Return a text of a table in one line, without signs that would begin something of Markdown."""
    return cut(one_line(str(value)), _LONGEST).replace("`", "'").replace("<", "‹").replace(">", "›")
