"""Read files of questions with the calls that answer them, and score a router by them.

The part of a file's name before the first point is that of a contract in tests/data, or `engagement`, the
packaged one: another half of the questions is one more file, such as engagement.second.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from engage_spark.contract import Contract, load_contract
from engage_spark.insight.ask.conversation import Conversation
from engage_spark.insight.ask.resolving import Decline, Route
from engage_spark.insight.registry import Tool, tools_of
from engage_spark.insight.vocabulary import Vocabulary
from tests.support.paths import ROOT

QUESTIONS = ROOT / "tests" / "data" / "questions"


@dataclass(frozen=True)
class Names:
    """A lake of which nothing is known but its contract."""

    vocabulary: Vocabulary

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        return tools_of(self.vocabulary.contract)

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        raise NotImplementedError

    def seen_segments(self) -> Mapping[str, tuple[str, ...]]:
        return {}


@dataclass(frozen=True)
class GoldenQuestion:
    """A question, those before it, and the calls that are right; none where it must be declined."""

    file: str
    kind: str
    question: str
    follows: tuple[str, ...] = ()
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    may_decline: bool = False

    def __str__(self) -> str:
        return " / ".join([self.kind, *self.follows, self.question])


@dataclass
class Score:
    """How many questions were answered rightly, answered wrongly, and declined though they have an answer."""

    right: list[GoldenQuestion] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)


def files() -> list[Path]:
    return sorted(QUESTIONS.glob("*.yaml"))


def questions_of(path: Path) -> Iterator[GoldenQuestion]:
    for kind, items in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        for item in items:
            calls = [(x["tool"], x["args"]) for x in (item, *item.get("or", ())) if "tool" in x]
            yield GoldenQuestion(
                path.name,
                kind,
                item["q"],
                tuple(item.get("follows", ())),
                tuple(calls),
                bool(item.get("declined")),
            )


@cache
def contract_of(file: str) -> Contract:
    name = file.partition(".")[0]
    return load_contract(None if name == "engagement" else ROOT / "tests" / "data" / f"{name}.odcs.yaml")


@cache
def names_of(file: str) -> Names:
    return Names(Vocabulary(contract_of(file)))


@cache
def _first_conversation(file: str) -> Conversation:
    return Conversation(names_of(file))


def conversation_of(question: GoldenQuestion) -> Conversation:
    """A conversation in which the questions before this one were asked."""
    conversation = Conversation(names_of(question.file))
    conversation.__dict__["terms"] = _first_conversation(question.file).terms
    for before in question.follows:
        conversation.route(before)
    return conversation


def route_of(question: GoldenQuestion) -> Route | Decline:
    return conversation_of(question).route(question.question)


@cache
def _defaults(file: str) -> dict[str, dict[str, Any]]:
    tools = tools_of(contract_of(file))
    defaults = {t.name: {a.name: a.default for a in t.arguments if a.default is not None} for t in tools}
    for name in ("churn_drivers", "recommend", "fairness"):
        defaults[name]["target"] = names_of(file).vocabulary.main_target
    return defaults


def normal(file: str, tool: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """A call with the defaults filled in."""
    return tool, {k: str(v) for k, v in {**_defaults(file)[tool], **arguments}.items()}


def is_right(question: GoldenQuestion, route: Route | Decline) -> bool:
    if isinstance(route, Decline):
        return question.may_decline
    made = normal(question.file, route.tool, route.arguments)
    return made in [normal(question.file, tool, arguments) for tool, arguments in question.calls]


def score(path: Path) -> Score:
    result = Score()
    for question in questions_of(path):
        route = route_of(question)
        if is_right(question, route):
            result.right.append(question)
        elif isinstance(route, Decline):
            result.declined.append(f"{question}: {route.reason}")
        else:
            result.wrong.append(f"{question}: {route.tool} {dict(route.arguments)}")
    return result
