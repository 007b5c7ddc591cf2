"""Questions name what the data have: categories that no contract lists, keys, words in any script."""

from __future__ import annotations

from typing import Any

import pytest

from engage_spark.insight import BadArgumentError, Insight
from engage_spark.insight.ask import Conversation
from engage_spark.insight.vocabulary import Vocabulary
from tests.support.golden_questions import Names, names_of
from tests.support.gym import HOSTILE, changed_contract


def called(tools: Any, *questions: str) -> tuple[str, dict[str, Any]]:
    conversation = Conversation(tools)
    route = [conversation.route(q) for q in questions][-1]
    assert hasattr(route, "tool"), route
    return route.tool, dict(route.arguments)


def declined(tools: Any, *questions: str) -> str:
    conversation = Conversation(tools)
    route = [conversation.route(q) for q in questions][-1]
    assert hasattr(route, "reason"), route
    return str(route.reason)


UUID = "550e8400-e29b-41d4-a716-446655440000"
CLUB = {"metric": "cancelled", "dimension": "club"}


@pytest.mark.parametrize(
    ("questions", "tool", "arguments"),
    [
        (["cancellation rate of North"], "describe", {**CLUB, "segment": "North"}),
        (["cancellation rate in Müller & Söhne"], "describe", {**CLUB, "segment": "Müller & Söhne"}),
        (
            ["cancellation rate in Mu\u0308ller & So\u0308hne"],
            "describe",
            {**CLUB, "segment": "Müller & Söhne"},
        ),
        (["cancellation rate in MULLER AND SOHNE"], "describe", {**CLUB, "segment": "Müller & Söhne"}),
        (["cancellation rate of North", "and in South?"], "describe", {**CLUB, "segment": "South"}),
        (
            ["compare cancellations between North and South"],
            "compare_segments",
            {**CLUB, "first": "North", "second": "South"},
        ),
        (
            ["how many members are in the Nroth club?"],
            "describe",
            CLUB | {"metric": "customers", "segment": "North"},
        ),
        (["trend of cancellations in South"], "trend", {**CLUB, "segment": "South"}),
    ],
)
def test_categories_that_only_the_data_have_are_taken(
    gym: Insight, questions: list[str], tool: str, arguments: dict[str, Any]
) -> None:
    assert called(gym, *questions) == (tool, arguments)
    assert Conversation(gym).ask(questions[0]).is_answered


def test_a_category_that_is_hidden_is_not_known(gym: Insight) -> None:
    """Neither the club of 7 nor the one that covers it: a question would tell that it is there."""
    seen = gym.seen_segments()["club"]
    assert set(seen) == {"North", "South", "Müller & Söhne"}
    assert declined(gym, "cancellation rate of Tiny") == "nothing is known of Tiny"
    assert declined(gym, f"cancellation rate of {HOSTILE}").startswith("nothing is known of O'Brien")


def test_without_a_lake_no_category_of_the_data_is_known() -> None:
    gym = names_of("gym.yaml")
    assert declined(gym, "cancellation rate of North") == "nothing is known of North"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("lifetime value in München", "München"),
        ("churn of Zürich Café customers", "Zürich, Café"),
        ("churn of Zu\u0308rich", "Zürich"),
        ("churn in Łódź and Αθήνα and Москва", "Łódź, Αθήνα, Москва"),
        ("average SALARIES in Łódź", "SALARIES, Łódź"),
        ("churn of Covid19 patients", "Covid19, patients"),
        ("lifetime value usd of golden users in Łódź", "golden, Łódź"),
    ],
)
def test_a_decline_shows_words_as_they_were_typed(question: str, words: str) -> None:
    reason = declined(names_of("engagement.yaml"), question)
    assert reason == f"nothing is known of {words}"


@pytest.mark.parametrize(
    ("questions", "tool", "customer"),
    [
        (["Why is M0003 likely to cancel?"], "explain_customer", "M0003"),
        (["explain M0003"], "explain_customer", "M0003"),
        (["how likely is M0003 to cancel"], "explain_customer", "M0003"),
        (["tell me about #M0003"], "explain_customer", "M0003"),
        (["should we contact M0003?"], "explain_customer", "M0003"),
        (["M0003"], "explain_customer", "M0003"),
        (["who is like M0003?"], "similar_customers", "M0003"),
        (["who is similar to 4711?"], "similar_customers", "4711"),
        (["explain member 12"], "explain_customer", "12"),
        (["who is like M0003?", "and M0004?"], "similar_customers", "M0004"),
        (
            ["explain 550e8400-e29b-41d4-a716-446655440000"],
            "explain_customer",
            "550e8400-e29b-41d4-a716-446655440000",
        ),
    ],
)
def test_a_key_needs_no_word_that_says_so(questions: list[str], tool: str, customer: str) -> None:
    named, arguments = called(names_of("gym.yaml"), *questions)
    assert (named, arguments["customer"]) == (tool, customer)


@pytest.mark.parametrize(
    "question", ["explain CUST-12", "which customers are like 12?", "explain customer 12"]
)
def test_a_key_that_the_pattern_does_not_allow_is_one_that_is_not_there(
    own_insight: Insight, question: str
) -> None:
    with pytest.raises(BadArgumentError, match="there is no customer") as refused:
        Conversation(own_insight).ask(question)
    assert "as it was delivered" in str(refused.value.hint)


@pytest.mark.parametrize(
    "question",
    ["explain Q3", "why do 12 members cancel", "explain yearly spend", "why p90", "visits in 30 days"],
)
def test_other_words_with_digits_are_no_keys(question: str) -> None:
    conversation = Conversation(names_of("gym.yaml"))
    assert "customer" not in getattr(conversation.route(question), "arguments", {})


@pytest.mark.parametrize(
    ("question", "strange"),
    [
        ("Why is B2B churn so high?", "B2B"),
        ("explain B2B churn", "B2B"),
        ("Why do B2B users churn?", "B2B"),
        ("Why did churn rise after COVID-19?", "after, COVID"),
        ("Why has churn risen since COVID-19?", "COVID"),
        ("Why did churn go up with GPT4?", "GPT4"),
    ],
)
def test_a_word_with_digits_that_is_not_who_is_asked_for_is_named_as_unknown(
    question: str, strange: str
) -> None:
    assert declined(names_of("engagement.yaml"), question) == f"nothing is known of {strange}"


@pytest.mark.parametrize(
    "question",
    ["Why did W2W churn?", "Why is W2W churning?", "explain W2W", "How likely is W2W to churn?", "why W2W?"],
)
def test_a_key_that_is_who_is_asked_for_is_taken_without_a_pattern(question: str) -> None:
    assert called(names_of("engagement.yaml"), question)[1]["customer"] == "W2W"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Names:
    """The gym with words of its own for fields and values."""
    words = {
        "value: [dimension, cohort]}": "value: [dimension, cohort]}, "
        "{property: synonyms, value: [package, price list]}, "
        "{property: valueSynonyms, value: {golden ticket: Gold, Schnäppchen: Basic}}",
        "{property: analytics, value: [metric, value]}": "{property: analytics, value: [metric, value]}, "
        "{property: synonyms, value: [takings, Jahresumsatz, food drink, R&D spend, income]}",
        "{property: protected, value: true}": "{property: protected, value: true}, "
        "{property: synonyms, value: [Geschlecht]}",
    }
    return Names(Vocabulary(changed_contract(tmp_path_factory.mktemp("taught"), words)))


@pytest.mark.parametrize(
    ("questions", "tool", "arguments"),
    [
        (["average takings"], "describe", {"metric": "yearly_spend"}),
        (["What is the Jahresumsatz?"], "describe", {"metric": "yearly_spend"}),
        (["average food & drink"], "describe", {"metric": "yearly_spend"}),
        (["average food'drink"], "describe", {"metric": "yearly_spend"}),
        (["average ıncome"], "describe", {"metric": "yearly_spend"}),
        (["average R&D spend"], "describe", {"metric": "yearly_spend"}),
        (["average r and d spend"], "describe", {"metric": "yearly_spend"}),
        (["takings by package"], "compare_segments", {"metric": "yearly_spend", "dimension": "plan"}),
        (["takings by price list"], "compare_segments", {"metric": "yearly_spend", "dimension": "plan"}),
        (
            ["takings of golden ticket members"],
            "describe",
            {"metric": "yearly_spend", "dimension": "plan", "segment": "Gold"},
        ),
        (
            ["average takings", "and of Schnäppchen members?"],
            "describe",
            {"metric": "yearly_spend", "dimension": "plan", "segment": "Basic"},
        ),
        (["Is the model fair by Geschlecht?"], "fairness", {"attribute": "sex"}),
    ],
)
def test_the_words_that_a_contract_teaches_are_taken(
    taught: Names, questions: list[str], tool: str, arguments: dict[str, Any]
) -> None:
    assert called(taught, *questions) == (tool, arguments)


@pytest.mark.parametrize(
    "question", ["average takings", "spend by package", "spend of golden ticket members"]
)
def test_without_the_teaching_the_words_are_not_known(question: str) -> None:
    assert declined(names_of("gym.yaml"), question).startswith("nothing is known of ")
