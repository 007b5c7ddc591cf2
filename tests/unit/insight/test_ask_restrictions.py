"""Words that carry no content change no answer, and words that restrict a question are never passed over."""

from __future__ import annotations

from typing import Any

import pytest

from engage_spark.function_words import CLOSED, DOING_VERBS, LIGHT_VERBS, MOVING_VERBS
from engage_spark.insight.ask.resolving import Decline, Route
from tests.support.golden_questions import GoldenQuestion, route_of

BASES = (
    ("engagement", "What is the churn rate of {} customers {}?"),
    ("engagement", "How many {} customers {} are on Premium?"),
    ("engagement", "average lifetime value of {} users {}"),
    ("engagement", "Do {} Premium users {} churn more than Free ones?"),
    ("engagement", "How many posts do {} users {} have per month?"),
    ("engagement", "Why do {} customers {} leave?"),
    ("bank_churn", "How many {} clients {} are there?"),
    ("bank_churn", "average balance of {} clients {}"),
    ("gym", "visits of {} members {} by plan"),
    ("gym", "How many minutes do {} members {} stay per visit?"),
)
ADJECTIVES = (
    "new loyal paying writing married best biggest returning former happy rich verified wealthy foreign "
    "single individual living lapsed small important valued old retired frequent Swedish"
)
CLAUSES = (
    "who write", "who pay", "who pay well", "who stand out", "who come back", "who went elsewhere",
    "who moved", "who said no", "that we won", "with a dog", "without children", "from Texas", "before lunch",
    "in May", "because of the price", "if they can", "since the redesign", "outside the city", "on holidays",
    "who look good",
)  # fmt: skip


def ask(file: str, question: str, *follows: str) -> Route | Decline:
    return route_of(GoldenQuestion(f"{file}.yaml", "test", question, follows))


def call(file: str, question: str, *follows: str) -> tuple[str, dict[str, Any]]:
    route = ask(file, question, *follows)
    assert isinstance(route, Route), (question, route)
    return route.tool, dict(route.arguments)


@pytest.mark.parametrize("adjective", ADJECTIVES.split())
def test_a_word_that_says_which_customers_are_meant_is_never_passed_over(adjective: str) -> None:
    for file, base in BASES:
        question = base.format(adjective, "").replace("  ", " ")
        assert isinstance(ask(file, question), Decline), (question, ask(file, question))


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_clause_that_says_which_customers_are_meant_is_never_passed_over(clause: str) -> None:
    for file, base in BASES:
        question = base.format("", clause).replace("  ", " ")
        assert isinstance(ask(file, question), Decline), (question, ask(file, question))


def test_the_questions_are_answered_without_the_restriction() -> None:
    for file, base in BASES:
        assert isinstance(ask(file, base.format("", "").replace("  ", " ").replace(" ?", "?")), Route), base


@pytest.mark.parametrize(
    "question",
    [
        "How many customers pay?",
        "How many customers do we gain?",
        "How many of the churned customers were Premium?",
        "Which user has the highest LTV?",
        "Which city has the most churn?",
        "Average age of customers other than Premium",
        "Where do most customers come from?",
        "What is the phone number of our best customer?",
        "How many customers are left?",
        "How many customers signed up last month?",
        "Do people churn on weekends?",
        "Does the average customer have more than one gig running?",
    ],
)
def test_a_question_that_only_looks_known_is_declined(question: str) -> None:
    assert isinstance(ask("engagement", question), Decline), ask("engagement", question)


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ("average posts per month", "On average, how many posts does a user write per month?"),
        ("proportion of Premium customers", "What proportion of our base pays for Premium?"),
        ("how many customers are there", "How many ppl do we have in total?"),
        ("correlation of followers and lifetime value", "corr followers x ltv"),
        ("average tenure", "How long have customers been with us, on average?"),
        (
            "average revenue of the last 90 days",
            "How much money did users earn on average in the past 90 days?",
        ),
        ("churn by location", "Churn broken out by location, please"),
        ("churn of urban vs rural customers", "Do city people churn more than those in the countryside?"),
        ("number of Enterprise customers", "headcount of enterprise accounts"),
    ],
)
def test_words_without_content_change_nothing(plain: str, said: str) -> None:
    assert call("engagement", said) == call("engagement", plain)


def test_the_lists_of_words_do_not_overlap() -> None:
    assert not (CLOSED & DOING_VERBS or LIGHT_VERBS & DOING_VERBS or CLOSED & LIGHT_VERBS)
    assert not MOVING_VERBS & (LIGHT_VERBS | DOING_VERBS)


@pytest.mark.parametrize(
    ("file", "question", "arguments"),
    [
        ("bank_churn", "Balance of clients without a credit card", {"segment": "0"}),
        ("bank_churn", "Balance of those with a credit card", {"segment": "1"}),
        ("bank_churn", "Balance of inactive clients", {"segment": "0"}),
        ("bank_churn", "Balance of people with and without credit card", {"first": "1", "second": "0"}),
        ("gym", "Do women come more often than men?", {"metric": "visits_last_30_days", "first": "f"}),
        ("engagement", "churn of users with us for five years or longer", {}),
        (
            "engagement",
            "churn of the most and least engaged quartile",
            {"dimension": "engagement_score_quartile", "first": "Q4", "second": "Q1"},
        ),
        ("engagement", "customers by city, suburbs and countryside", {"dimension": "location"}),
        ("engagement", "median age by location", {"metric": "age", "dimension": "location"}),
    ],
)
def test_sides_are_all_taken(file: str, question: str, arguments: dict[str, str]) -> None:
    if not arguments:
        assert isinstance(ask(file, question), Decline)
    else:
        assert arguments.items() <= call(file, question)[1].items()


def test_medians_of_segments_are_those_of_distributions() -> None:
    assert call("engagement", "median age by location")[0] == "distribution"
    assert call("engagement", "median age of urban vs rural users")[0] == "distribution"


@pytest.mark.parametrize(
    ("before", "question", "arguments"),
    [
        (
            "churn by account type",
            "now engagement",
            {"metric": "engagement_score", "dimension": "account_type"},
        ),
        ("Compare churn by location", "same thing for age", {"metric": "age", "dimension": "location"}),
        (
            "Is posting related to engagement?",
            "what about comments instead of posts?",
            {"metric": "comments_last_30_days", "other": "engagement_score"},
        ),
        ("Compare LTV of Premium and Free", "who is more engaged?", {"first": "Premium", "second": "Free"}),
        (
            "Does age correlate with churn?",
            "and tenure?",
            {"metric": "tenure_months", "other": "churn_30_day"},
        ),
    ],
)
def test_what_goes_on_loses_nothing(before: str, question: str, arguments: dict[str, str]) -> None:
    assert arguments.items() <= call("engagement", question, before)[1].items()


def test_a_dimension_that_follows_a_segment_says_that_it_is_of_all_customers() -> None:
    """No tool takes both; what is left out is said."""
    split = ask("engagement", "by account type?", "churn in rural areas")
    assert isinstance(split, Route) and split.tool == "compare_segments"
    assert any("the segment of the question before is left out" in remark for remark in split.remarks)
