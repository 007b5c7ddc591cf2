"""Refuse questions by turns of phrase that ask for what no tool does."""

from __future__ import annotations

import re

from engage_spark.insight.ask.reading import Reading

_ORDERS_A_PREDICTION = re.compile(r"^(?:(?:please|can you|could you) )*(?:predict|forecast|project)\b")
_SUPPOSES = re.compile(
    r"\b(?:what if|what would happen|suppos(?:e|ing) (?:we|i|that|all|every\w*)|assuming|"
    r"(?:would|will|could)\b.*\bif\b(?! (?:we|i|you) (?:want|need|wish)\b)|"
    r"if (?:we|i|they|every\w+) (?!wanted|needed|wished)(?:\w+ed|made|gave|were|sent|cut|put|took|ran))\b"
)
"""Turns of phrase that ask for the consequence of something that is not so."""
_ASKS_A_DEFINITION = re.compile(
    r"\b(?:what does \w+(?: \w+){0,4} mean|(?:how|what) (?:is|are) \w+(?: \w+){0,4} (?:calculated|"
    r"calculate|computed|compute|defined|define|derived|measured)|(?:definition|meaning) of|stands? for)$"
    r"|^define\b"
)
_OF_THE_CHURNED = re.compile(
    r"\bof (?:the |our |all |those |these )*"
    r"(?:(?:churned|lost|departed|former|cancelled|canceled|exited) [a-z]+|"
    r"[a-z]+ (?:who|that) (?:\w+ )?(?:churned|left|quit|cancelled|canceled|exited))\b.*\b"
    r"(?:are|were|is|was|on|had|have|own|hold|use|live|do)\b"
)
"""Turns of phrase that ask what those who left are, and not who leaves."""
_ONE_CUSTOMER = re.compile(
    r"\b(?:which|what) (?:single )?(?:customer|user|client|member|person|subscriber) "
    r"(?!segments?|groups?|bands?|brackets?|types?|tiers?|kinds?|categor|class|base|cohorts?|lifetime|life)"
)
_LISTS = re.compile(
    r"\b(?:list|show|name|find|give|display)(?: me| us| the| all| our)* (?:customers|users|clients|people)\b"
)
_ASKS_WHEN = re.compile(r"^(?:and )?when\b")
_ON_WEEKENDS = re.compile(r"\b(?:on|at|during|over) (?:the |a )?weekends?\b")
_USAGE = re.compile(r"\b(?:usage|us(?:e|es|ed|ing)|activity|active)\b")
_REFUSED = (
    (_SUPPOSES, "no tool says what would happen; only a test tells"),
    (_ASKS_WHEN, "no tool says when something happens"),
    (_ASKS_A_DEFINITION, "what a field means stands in the data dictionary"),
    (_ORDERS_A_PREDICTION, "models predict for one customer; ask for one by the key"),
)


def reason_to_refuse(reading: Reading) -> str | None:
    """Return why a question is for no tool, by its turns of phrase; None where it may be for one."""
    text = reading.joined
    for pattern, reason in _REFUSED:
        if pattern.search(text):
            return reason
    if _ONE_CUSTOMER.search(text) or (_LISTS.search(text) and not reading.dimensions):
        return "single customers are not listed by a metric; segments are compared, one customer explained"
    if _OF_THE_CHURNED.search(text) and reading.segments:
        return "those who left are no segment; ask how many of a segment leave"
    if _ON_WEEKENDS.search(text) and not _USAGE.search(text):
        return "figures are of whole snapshots; no tool shows the days of a week"
    return None
