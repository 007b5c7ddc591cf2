"""The loop of an agent in the shapes of Bedrock's Converse, with a model that follows plain rules.

The model sees what a real one would: the question, the tools with descriptions and schemas, and the results.
It takes the tool whose words the question shares most, and values that the question names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.service_shapes import problems

Call = Callable[[str, dict[str, Any]], Awaitable[tuple[dict[str, Any], bool]]]
"""Calls a tool: what came back, and whether it is an error."""
MOST_TURNS = 40


def words_of(text: str) -> set[str]:
    """Stems of the words of a text: their first five letters."""
    found = re.findall(r"[a-z]+", text.lower().replace("_", " "))
    return {w[:5] for w in found if len(w) > 3 and w not in ("what", "which", "with", "does")}


@dataclass
class RuleModel:
    """Answers requests of Converse. `guesses` are arguments that it takes first, such as wrong ones."""

    guesses: Mapping[str, Any] = field(default_factory=dict)

    def converse(self, request: dict[str, Any]) -> dict[str, Any]:
        assert problems("bedrock-runtime", "ConverseRequest", request) == []
        last = request["messages"][-1]["content"][0]
        if "text" in last:
            content = self._use(*self._choice(request, last["text"]))
        else:
            content = self._after(request, last["toolResult"])
        reason = "tool_use" if "toolUse" in content else "end_turn"
        return {"output": {"message": {"role": "assistant", "content": [content]}}, "stopReason": reason}

    def _choice(self, request: dict[str, Any], question: str) -> tuple[str, dict[str, Any]]:
        specs = [t["toolSpec"] for t in request["toolConfig"]["tools"]]
        asked = words_of(question)

        def likeness(spec: dict[str, Any]) -> float:
            name, text = words_of(spec["name"]), words_of(spec["description"])
            return 10 * len(asked & name) / len(name) + len(asked & text)

        spec = max(specs, key=likeness)
        return spec["name"], self._arguments(spec["inputSchema"]["json"], question) | dict(self.guesses)

    @staticmethod
    def _arguments(schema: dict[str, Any], question: str) -> dict[str, Any]:
        spoken = f" {re.sub(r'[^a-z0-9]+', ' ', question.lower())} "
        given: dict[str, Any] = {}
        for name, declared in schema["properties"].items():
            choices = declared.get("enum", [])
            said = [c for c in choices if f" {c.replace('_', ' ').lower()} " in spoken]
            key = re.search(r"\b[A-Z]+-[0-9]+\b", question)
            if said:
                given[name] = max(said, key=len)
                spoken = spoken.replace(given[name].replace("_", " ").lower(), "")
            elif name in schema["required"]:
                given[name] = choices[0] if choices else key[0] if key else question
        return given

    @staticmethod
    def _use(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"toolUse": {"toolUseId": "use1", "name": name, "input": arguments}}

    def _after(self, request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        body = result["content"][0]["json"]
        used = request["messages"][-2]["content"][0]["toolUse"]
        if result["status"] == "error":
            return self._again(used, body["error"])
        if "next" in body:
            return self._use("next_page", {"cursor": body["next"]})
        figures = [f for f in body["facts"] if f["value"] is not None]
        if figures:
            first = figures[0]
            return {"text": f"{first['label']} of {first['filter']}: {first['value']}. n = {first['n']}."}
        return {"text": "\n".join(" | ".join(map(str, row)) for row in body["rows"]) or "There is none."}

    def _again(self, used: dict[str, Any], error: dict[str, Any]) -> dict[str, Any]:
        argument = re.match(r"argument '(\w+)'", error["message"])
        allowed = re.match(r"allowed are: ([^,]+)", error["hint"] or "")
        if error["code"] == "BadArgument" and argument and allowed:
            return self._use(used["name"], used["input"] | {argument[1]: allowed[1]})
        return {"text": f"I cannot tell: {error['message']}."}


@dataclass(frozen=True)
class Conversation:
    """What came of a question: the text at the end, the calls, and the bodies that came back."""

    text: str
    calls: tuple[tuple[str, dict[str, Any]], ...]
    bodies: tuple[dict[str, Any], ...]


async def converse(question: str, tool_config: dict[str, Any], call: Call, model: RuleModel) -> Conversation:
    """Let a model answer a question with tools, until it ends its turn."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"text": question}]}]
    calls: list[tuple[str, dict[str, Any]]] = []
    bodies: list[dict[str, Any]] = []
    for _ in range(MOST_TURNS):
        response = model.converse({"modelId": "rules", "messages": messages, "toolConfig": tool_config})
        message = response["output"]["message"]
        messages.append(message)
        content = message["content"][0]
        if response["stopReason"] == "end_turn":
            return Conversation(content["text"], tuple(calls), tuple(bodies))
        use = content["toolUse"]
        body, is_error = await call(use["name"], use["input"])
        calls.append((use["name"], use["input"]))
        bodies.append(json.loads(json.dumps(body)))
        result = {
            "toolUseId": use["toolUseId"],
            "content": [{"json": body}],
            "status": "error" if is_error else "success",
        }
        messages.append({"role": "user", "content": [{"toolResult": result}]})
    raise AssertionError(f"no answer after {MOST_TURNS} turns: {calls}")
