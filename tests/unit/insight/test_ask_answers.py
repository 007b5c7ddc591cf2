"""Questions to a lake: every number that is said is in the evidence, and one that is changed is seen."""

from __future__ import annotations

import io
import json
import random
import re
from datetime import date
from typing import Any

import pytest

from engage_spark.cli import main
from engage_spark.errors import EngageError, UsageError
from engage_spark.insight import Answer, Column, ColumnRole, Insight, check_text
from engage_spark.insight.ask import Conversation, SpokenReply
from engage_spark.insight.ask.narrator import narrate, number
from engage_spark.insight.evidence import Origin
from engage_spark.insight.failures import BadArgumentError, SuppressedError
from tests.support.golden_questions import QUESTIONS, questions_of
from tests.support.paths import ROOT

ANSWERED = [q for q in questions_of(QUESTIONS / "gym.yaml") if q.calls and not q.may_decline]
EVERY_TOOL = {
    "describe": {"metric": "minutes"},
    "distribution": {"metric": "minutes", "dimension": "plan"},
    "compare_segments": {"metric": "cancelled", "dimension": "plan"},
    "trend": {"metric": "yearly_spend", "grain": "month"},
    "cohort": {},
    "what_changed": {"metric": "yearly_spend", "dimension": "plan"},
    "data_quality": {},
    "check_claim": {},
    "correlate": {"metric": "cancelled"},
    "churn_drivers": {},
    "explain_customer": {"customer": "M0003"},
    "similar_customers": {"customer": "M0003"},
    "recommend": {},
    "fairness": {},
}


def reply_to(gym: Insight, *questions: str) -> SpokenReply:
    conversation = Conversation(gym)
    return list(map(conversation.ask, questions))[-1]


@pytest.mark.parametrize("question", ANSWERED, ids=str)
def test_every_number_that_is_said_is_in_the_evidence(gym: Insight, question: Any) -> None:
    reply = reply_to(gym, *question.follows, question.question)
    assert reply.is_answered
    assert reply.answer is not None
    assert check_text(reply.text, [reply.answer]) == ()
    json.dumps(reply.to_dict())


@pytest.mark.parametrize(("tool", "arguments"), EVERY_TOOL.items())
def test_every_tool_is_put_into_words(gym: Insight, tool: str, arguments: dict[str, Any]) -> None:
    answer = gym.call(tool, arguments)
    text = narrate(answer)
    assert check_text(text, [answer]) == ()
    assert "Source: " in text
    assert "as of 2025-10-21" in text


def oracle(answer: Answer) -> list[float]:
    """Every figure of an answer in plain floats, as it is and in percent."""
    figures = [5.0, float(len(answer.rows))]
    for e in answer.evidence():
        figures += [float(v) for v in (e.value, e.lower, e.upper, e.n) if isinstance(v, int | float)]
    figures += [float(v) for v in answer.arguments.values() if isinstance(v, int | float)]
    return [abs(f) * scale for f in figures for scale in (1, 100)]


@pytest.mark.parametrize(("tool", "arguments"), EVERY_TOOL.items())
def test_a_number_that_is_changed_in_what_is_said_is_seen(
    gym: Insight, tool: str, arguments: dict[str, Any]
) -> None:
    """Numbers of names, notes and sources are part of quoted texts: to change them breaks the quotation."""
    answer = gym.call(tool, arguments)
    text, figures, draw, seen = narrate(answer), oracle(answer), random.Random(tool), 0
    numbers = list(re.finditer(r"\d[\d,]*(?:\.\d+)?", text))
    for match in draw.sample(numbers, min(25, len(numbers))):
        digits = list(match[0])
        place = draw.choice([i for i, c in enumerate(digits) if c.isdigit()])
        digits[place] = draw.choice([c for c in "123456789" if c != digits[place]])
        changed = "".join(digits)
        half = 0.5 * 10.0 ** -len(changed.partition(".")[2]) * (1 + 1e-9)
        if any(abs(f - float(changed.replace(",", ""))) <= half for f in figures):
            continue
        assert check_text(text[: match.start()] + changed + text[match.end() :], [answer]), changed
        seen += 1
    assert seen


def test_what_is_shown_names_segment_interval_and_source(gym: Insight) -> None:
    text = reply_to(gym, "What is the average yearly spend?", "and of Gold members?").text
    first, *rest = text.splitlines()
    assert re.fullmatch(
        r"The mean of yearly spend where plan is Gold is [\d,.]+ USD "
        r"\(95% interval [\d,.]+ to [\d,.]+ USD; n = \d+\)\.",
        first,
    ), first
    assert rest[-1] == "Source: analytics_states, version 3, run a1021, as of 2025-10-21."


def test_an_association_is_never_called_a_cause(gym: Insight) -> None:
    for question in (
        "Why do members cancel?",
        "What causes cancelled?",
        "Is yearly spend related to visits?",
    ):
        text = reply_to(gym, question).text
        assert "association" in text
        assert not re.search(r"\b(?:because|due to|leads to|results in)\b", text)


def test_a_small_group_stays_hidden_whatever_the_words(gym: Insight) -> None:
    with pytest.raises(SuppressedError):
        Conversation(gym).tools.call("describe", {"dimension": "club", "segment": "Tiny"})
    assert "Tiny" not in reply_to(gym, "Compare yearly spend by club").text


def test_an_unknown_member_is_a_typed_error(gym: Insight) -> None:
    with pytest.raises(BadArgumentError):
        reply_to(gym, "Tell me about member M9999")


def test_a_decline_says_what_can_be_asked_and_leaves_the_conversation_as_it_was(gym: Insight) -> None:
    conversation = Conversation(gym)
    conversation.ask("What is the average yearly spend?")
    declined = conversation.ask("What is the weather?")
    assert (declined.is_answered, declined.tool, declined.answer) == (False, None, None)
    assert declined.text.startswith(
        "This is not answered: nothing is known of weather.\nWhat can be asked:\n- "
    )
    assert conversation.ask("and of Plus members?").arguments == {
        "metric": "yearly_spend",
        "dimension": "plan",
        "segment": "Plus",
    }


def test_a_tool_that_is_left_out_is_declined_in_words(gym: Insight) -> None:
    conversation = Conversation(Insight(gym.lake, without=("churn_drivers", "correlate")))
    assert conversation.ask("What share of members cancelled?").is_answered
    reply = conversation.ask("What drives cancellations?")
    assert not reply.is_answered
    assert reply.text.startswith("This is not answered: churn drivers is not offered here.")
    assert conversation.ask("and on the Gold plan?").arguments["segment"] == "Gold"
    assert reply.offers
    assert [o for o in reply.offers if not conversation.ask(o).is_answered] == []


def test_without_any_tool_every_question_is_declined(gym: Insight) -> None:
    conversation = Conversation(Insight(gym.lake, without=tuple(t.name for t in gym.tools)))
    for question in ANSWERED:
        reply = conversation.ask(question.question)
        assert (reply.is_answered, reply.offers) == (False, ()), question


def test_a_misspelt_word_is_said_to_be_read_as_another(gym: Insight) -> None:
    assert reply_to(gym, "avrage minuts of gold members").remarks == (
        "avrage is read as average",
        "minuts is read as minutes",
    )


def test_an_answer_with_a_number_out_of_nowhere_is_not_said(
    gym: Insight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "engage_spark.insight.ask.conversation.narrate", lambda *_, **__: "There are 4,711 members."
    )
    with pytest.raises(EngageError, match="4,711"):
        reply_to(gym, "How many members are there?")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.37912, "share", "37.9%"),
        (0.0, "share", "0%"),
        (1.0, "share", "100%"),
        (67.8123, "percent", "67.8%"),
        (1455.1049, "USD", "1,455 USD"),
        (99_873, "customers", "99,873 customers"),
        (1, "groups", "1 group"),
        (8.6789, "sessions", "8.68 sessions"),
        (-0.03123, "score", "-0.0312"),
        (0.0000123456, "ratio", "1.23e-05"),
        (1e7 + 0.5, None, "10,000,000"),
        (9.9996, None, "10.00"),
    ],
)
def test_numbers_have_three_digits_and_their_unit(value: float, unit: str | None, text: str) -> None:
    assert number(value, unit) == text


def test_a_difference_of_shares_is_in_percentage_points() -> None:
    assert number(0.0519, "share", is_difference=True) == "5.19 percentage points"


def test_texts_of_the_data_cannot_forge_a_number() -> None:
    """A segment's name is quoted; it lends its digits to nothing else."""
    answer = Answer(
        tool="t",
        arguments={},
        columns=(Column(name="club", role=ColumnRole.GROUP),),
        rows=(("Club 4711",), ("42",)),
    )
    assert check_text("Club 4711 is there.", [answer]) == ()
    assert check_text("There are 4711 members.", [answer])
    assert check_text("There are 42 members.", [answer])


def run(gym: Insight, *words: str, lines: str = "", monkeypatch: pytest.MonkeyPatch) -> None:
    contract = ROOT / "tests" / "data" / "gym.odcs.yaml"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    main([*words, "--set", f"lake.root={gym.lake.settings.lake.root}", "--contract", str(contract)])


def test_the_command_answers_in_words(
    gym: Insight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(gym, "ask", "What is the avrage yearly spend?", "and of Gold members?", monkeypatch=monkeypatch)
    shown = capsys.readouterr().out
    assert "(avrage is read as average)" in shown
    assert "The mean of yearly spend where plan is Gold is " in shown


def test_the_command_goes_on_with_lines_and_answers_as_json(
    gym: Insight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "and of Gold members?\n\nwhat is the weather?\n"
    run(gym, "--json", "ask", "How many members are there?", "--follow", lines=lines, monkeypatch=monkeypatch)
    replies = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["answered"] for r in replies] == [True, True, False]
    assert replies[0]["answer"]["facts"][0]["value"] == 600
    assert replies[1]["arguments"] == {"metric": "customers", "dimension": "plan", "segment": "Gold"}
    assert replies[2]["offers"]


def test_the_command_ends_with_2_where_nothing_was_answered(
    gym: Insight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(gym, "ask", "what is the weather?", monkeypatch=monkeypatch)
    assert ended.value.code == 2
    assert "This is not answered" in capsys.readouterr().out


def test_the_command_needs_a_question(gym: Insight, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        run(gym, "ask", monkeypatch=monkeypatch)
    assert ended.value.code == UsageError.exit_code


def test_in_a_conversation_what_a_tool_refuses_is_said_and_the_next_question_asked(
    gym: Insight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = ("Tell me about member M9999", "How many members are there?")
    run(gym, "--json", "ask", *questions, monkeypatch=monkeypatch)
    refused, answered = map(json.loads, capsys.readouterr().out.splitlines())
    assert (refused["answered"], refused["error"]["code"]) == (False, "BadArgument")
    assert answered["answered"]


def test_alone_what_a_tool_refuses_is_the_error_of_the_command(
    gym: Insight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(gym, "ask", "Tell me about member M9999", monkeypatch=monkeypatch)
    assert ended.value.code == BadArgumentError.exit_code
    assert "M9999" in capsys.readouterr().err


def test_each_answer_of_a_conversation_stands_below_its_question(
    gym: Insight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a tool refuses, and what is declined, too: on the same stream, each with its question."""
    questions = ("How many members are there?", "Tell me about member M9999", "what is the weather?")
    run(gym, "ask", *questions, monkeypatch=monkeypatch)
    shown, errors = capsys.readouterr()
    assert errors == ""
    blocks = shown.rstrip("\n").split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [f"> {q}" for q in questions]
    assert blocks[0].splitlines()[1] == "There are 600 customers."
    assert blocks[1].splitlines()[1:] == [
        "This is not answered: argument 'customer': there is no customer 'M9999' in the snapshot.",
        "Write the key as it was delivered, with its capitals and zeros.",
    ]
    assert "nothing is known of weather" in blocks[2]


def test_one_question_alone_is_not_repeated(
    gym: Insight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(gym, "ask", "How many members are there?", monkeypatch=monkeypatch)
    assert capsys.readouterr().out.startswith("There are 600 customers.")


def test_what_is_empty_is_said_with_its_reason(gym: Insight) -> None:
    none = Answer(tool="cohort", arguments={})
    assert narrate(none) == "There is nothing to show: nobody was counted for this."
    hidden = Answer(tool="cohort", arguments={}, notes=("Groups are hidden.",))
    assert narrate(hidden) == "There is nothing to show, for this reason:\nGroups are hidden."
    trial = reply_to(gym, "cancellation rate of Trial members").text
    assert "not known, since nobody has a value" in trial
    assert "among the customer" not in reply_to(gym, "explain member M0003").text
    assert "Rows read in the delivery: 600 rows." in reply_to(gym, "which rules failed?").text


def table_of(rows: tuple[tuple[Any, ...], ...], *, tool: str = "distribution") -> Answer:
    return Answer(
        tool=tool,
        arguments={"metric": "minutes"},
        columns=(Column(name="plan", role=ColumnRole.GROUP), Column(name="p50"), Column(name="n")),
        rows=rows,
        origin=Origin(table="t", version=1, run="r", as_of=date(2025, 10, 21)),
    )


def test_rows_that_read_alike_are_each_one() -> None:
    text = narrate(table_of((("A", 5.0, 50), ("A", 5.0, 50))), lead=("- A: p50 5 (n = 50)",))
    assert text.count("- A: p50 5") == 3


@pytest.mark.parametrize(
    ("tool", "n", "why"),
    [
        ("distribution", 39, "too few customers to show this (n = 39)"),
        ("distribution", 100_000, "not known (n = 100,000)"),
        ("compare_segments", 19, "too few customers to show this (n = 19)"),
        ("compare_segments", 39, "not known (n = 39)"),
        ("distribution", 0, "nobody has a value"),
    ],
)
def test_few_customers_are_a_reason_only_where_they_are_few(tool: str, n: int, why: str) -> None:
    assert f"- A: {why}" in narrate(table_of((("A", None, n),), tool=tool)).splitlines()
