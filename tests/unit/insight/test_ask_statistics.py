"""A statistic that is asked for is the one that is said first, or what stands in its place is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engage_spark.errors import EngageError
from engage_spark.insight import Insight, SuppressedError, check_text
from engage_spark.insight.ask import Conversation
from engage_spark.insight.ask.conversation import SpokenReply
from engage_spark.insight.ask.narrator import narrate
from engage_spark.insight.ask.questions import read_question
from engage_spark.insight.ask.statistics import lead_of
from tests.support.golden_questions import names_of


def reply_to(gym: Insight, *questions: str) -> SpokenReply:
    conversation = Conversation(gym)
    return list(map(conversation.ask, questions))[-1]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("median spend", r"The median of yearly spend is [\d,.]+ USD \(n = 600\)\."),
        (
            "median minutes of Plus members",
            r"The median of minutes where plan is Plus is [\d.]+ minutes \(n = .*",
        ),
        ("standard deviation of minutes", r"The standard deviation of minutes is [\d.]+ minutes \(n = .*"),
        ("median salary", r"The median of salary is not shown, since the contract classifies .* the mean\."),
        ("median salary of Gold members", r"The median of salary is not shown, since the contract class.*"),
        (
            "what is the median cancellation rate",
            r"The median of cancelled is not shown.*follows is the rate\.",
        ),
        (
            "trend of the median spend",
            r"The median of yearly spend is not shown here: what follows are means\.",
        ),
        ("maximum salary", r"The smallest and largest value of salary are not shown: .*"),
        ("what is the minimum spend", r"The smallest and largest value of yearly spend are not shown: .*"),
        ("range of minutes", r"The smallest and largest value of minutes are not shown: .*"),
        (
            "variance of minutes",
            r"The variance of minutes is not shown; the standard deviation is its root.*",
        ),
        ("highest spend", r"The smallest and largest value of yearly spend are not shown: .*"),
        (
            "What is the highest cancellation rate?",
            r"Cancelled is yes or no of each customer, without a smallest or largest value\.",
        ),
        ("spend of members in the top quartile of minutes", r"The mean of yearly spend where .* is Q4 is .*"),
        ("cancellation rate in the lowest quartile of minutes", r"The .* of cancelled where .* is Q1 is .*"),
        ("skewness of spend", r"The skewness of yearly spend is not shown; .*"),
        ("99th percentile of minutes", r"That percentile of minutes is not shown; these are\."),
        ("p37 of minutes", r"That percentile of minutes is not shown; these are\."),
        ("p90 of minutes", r"- all customers: p05 .*, p90 .*"),
        ("median minutes by plan", r"p50 is the median of minutes\."),
        ("which plan has the highest median spend", r"p50 is the median of yearly spend\."),
    ],
)
def test_what_was_asked_for_is_said_first(gym: Insight, question: str, first: str) -> None:
    reply = reply_to(gym, question)
    assert reply.answer is not None
    said = reply.text.splitlines()[0]
    assert re.fullmatch(first, said), said
    assert check_text(reply.text, [reply.answer]) == ()


@pytest.mark.parametrize(
    "question",
    [
        "What is the churn rate of customers in the highest engagement quartile?",
        "average session duration of the lowest engagement quartile",
        "ltv in the age range 25-34",
    ],
)
def test_words_of_a_segment_ask_for_no_statistic(question: str) -> None:
    conversation = Conversation(names_of("engagement.yaml"))
    conversation.route(question)
    assert conversation.statistic is None
    conversation.route("range of sessions")
    assert conversation.statistic is not None


def test_percentiles_of_a_classified_field_by_segment_are_refused(gym: Insight) -> None:
    with pytest.raises(SuppressedError, match="classified"):
        reply_to(gym, "90th percentile of salary by plan")


def test_a_follow_up_asks_for_the_same_statistic(gym: Insight) -> None:
    assert (
        "The median of minutes where plan is Gold is " in reply_to(gym, "median minutes", "and of Gold?").text
    )
    by_plan = reply_to(gym, "median spend", "and by plan?")
    assert by_plan.tool == "distribution" and "p50 is the median" in by_plan.text
    again = reply_to(gym, "median minutes", "what is the average spend")
    assert again.text.startswith("The mean of yearly spend is ")


def test_a_quartile_of_one_metric_is_no_segment_of_another(gym: Insight) -> None:
    """There are quartiles of minutes alone."""
    for question in ("3rd quartile of spend", "what is the upper quartile of yearly spend?"):
        assert not reply_to(gym, question).is_answered, question
    of_minutes = reply_to(gym, "spend in the top quartile of minutes")
    assert of_minutes.arguments["segment"] == "Q4"


def test_highest_segments_are_no_largest_values(gym: Insight) -> None:
    reply = reply_to(gym, "which club has the maximum spend")
    assert reply.tool == "compare_segments"
    assert reply.text.startswith("Yearly spend is highest where club is ")
    follow = reply_to(gym, "which club has the highest spend", "and of Gold members?")
    assert follow.text.startswith("The mean of yearly spend where plan is Gold is ")


@pytest.mark.parametrize("question", ["cancelled by sex", "is the model fair by sex?"])
def test_groups_of_a_protected_field_are_compared_where_they_were_counted(
    gym: Insight, question: str
) -> None:
    assert "sex is f" in reply_to(gym, question).text


def test_where_groups_were_not_counted_it_is_said_what_can_be_asked(own_insight: Insight) -> None:
    """The field is no dimension, and no model was monitored: no dead end."""
    for question in ("churn by gender", "churn rate of women", "is the churn model fair to women?"):
        reply = reply_to(own_insight, question)
        assert not reply.is_answered
        assert "the contract makes no dimension of gender" in reply.text
        assert "analytics: [dimension]" in reply.text and "engage-spark monitor" in reply.text
        assert "compare churn 30 day by account type" in reply.offers
    for offer in reply.offers:
        assert reply_to(own_insight, offer).is_answered
    with pytest.raises(EngageError, match="no dimension of gender"):
        own_insight.call("fairness", {"attribute": "gender"})


@pytest.mark.parametrize(
    ("question", "cells", "first"),
    [
        (
            "90th percentile of minutes by plan",
            {"p90": (None, None)},
            "That percentile of minutes is not shown; ",
        ),
        (
            "90th percentile of minutes by plan",
            {"p90": (1.5, None)},
            "That percentile of minutes is not shown of",
        ),
        ("90th percentile of minutes by plan", {"p90": (1.5, 2.5)}, "- plan is "),
        ("median minutes by plan", {"p50": (None, None)}, "The median of minutes is not shown; these are."),
        (
            "median minutes by plan",
            {"p50": (None, 2.5)},
            "The median of minutes is not shown of every group.",
        ),
        (
            "percentiles of minutes by plan",
            dict.fromkeys(("p05", "p10", "p25", "p50", "p75", "p90", "p95"), (None, None)),
            "The percentiles of minutes are not shown.",
        ),
    ],
)
def test_a_percentile_that_is_hidden_is_said_not_to_be_shown(
    gym: Insight, question: str, cells: dict[str, tuple[float | None, ...]], first: str
) -> None:
    answer = reply_to(gym, "90th percentile of minutes by plan").answer
    assert answer is not None
    at = {c.name: i for i, c in enumerate(answer.columns)}
    rows = [list(row) for row in answer.rows[:2]]
    for name, values in cells.items():
        for row, value in zip(rows, values, strict=True):
            row[at[name]] = value
    hidden = replace(answer, rows=tuple(map(tuple, rows)))
    conversation = Conversation(gym)
    conversation.route(question)
    reading = read_question(question, conversation.terms)
    lead = tuple(lead_of(conversation.statistic, reading, hidden, gym.vocabulary))
    assert narrate(hidden, lead=lead).startswith(first)
