"""Every number of a text is in the evidence, or is named as a problem."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from engage_spark.insight.check_text import Complaint, check_text
from engage_spark.insight.evidence import Answer, Column, ColumnRole, Evidence, Origin
from engage_spark.insight.failures import BadArgumentError
from engage_spark.insight.number_words import number_of_roman

ORIGIN = Origin(table="rollups", version=7, run="run-8f3a", as_of=date(2025, 10, 21))


def fact(label: str, value: float | int | str | None, unit: str | None = None, **more: object) -> Evidence:
    at = {"table": "rollups", "version": 7, "run": "run-8f3a", "as_of": date(2025, 10, 21)}
    return Evidence(label=label, value=value, unit=unit, **{**at, **more})  # type: ignore[arg-type]


FACTS = (
    fact("customers", 99_873, "customers"),
    fact("churn_30_day", 0.37912, "share", n=99_873, lower=0.3761, upper=0.38214),
    fact("sessions_last_7_days", 8.6789, "sessions", n=99_870, lower=8.6512, upper=8.7066),
    fact("lifetime_value_usd", 1_455.1049, "USD", n=98_001, lower=1_450.2, upper=1_460.0),
    fact("profile_completeness_pct", 67.8123, "percent", n=97_002),
    fact("engagement_score", 0.4853, "score", n=99_100),
    fact("change of engagement_score", -0.0312, "score"),
    fact("lift", 2.0312, "ratio", lower=1.91, upper=2.16),
    fact("smaller lift", 3.0, "ratio"),
    fact("share without gigs", 0.3342, "share"),
    fact("share with posts", 0.5012, "share"),
    fact("rare", 0.2001, "share"),
    fact("p_adjusted", 0.00031, "probability"),
    fact("newest day", "2025-09-30"),
)
SEGMENTS = Answer(
    tool="compare_segments",
    arguments={"metric": "churn_30_day", "dimension": "age", "limit": 5},
    columns=(
        Column(name="segment", role=ColumnRole.GROUP),
        Column(name="churn_30_day", unit="share"),
        Column(name="lower", unit="share"),
        Column(name="upper", unit="share"),
        Column(name="n", unit="customers"),
    ),
    rows=(
        ("25 to <35", 0.4123, 0.4011, 0.4236, 7_412),
        ("60+", 0.2987, 0.2811, 0.3170, 2_604),
        ("Urban", 0.3512, 0.3466, 0.3559, 41_220),
    ),
    origin=ORIGIN,
    notes=("Groups of fewer than 20 customers are not shown.",),
)
ANSWERS = (Answer(tool="describe", arguments={"metric": "churn_30_day"}, facts=FACTS), SEGMENTS)

ACCEPTED = [
    "There are 99,873 customers.",
    "There are 99\u202f873 customers.",
    "There are 99873 customers and 99'873 customers and 99_873 customers.",
    "About 100,000 customers, roughly 99,900 customers, nearly 100 thousand.",
    "99.87 thousand customers, 99.9k customers, about 0.10 million customers.",
    "Ninety-nine thousand eight hundred and seventy-three customers.",
    "37.9% of the customers churn; 38 percent; 37.91 per cent; a share of 0.379.",
    "thirty-eight percent of them, or thirty-seven point nine percent",
    "more than 37% of the customers, fewer than 38%, at least 0.379, under 40 percent",
    "The 95% interval is 37.6% to 38.2%, or 0.376–0.382; 95% CI 37.6 to 38.2%.",
    "between 37.6 and 38.2 percent, or from 37.61% to 38.21%",
    "8.7 sessions, 8.68 sessions; sessions last 7 days is 8.7; sessions_last_7_days: 8.679",
    "$1,455.10, $1455, 1,455 USD, about $1,500, $1.5k, 1.46 thousand USD",
    "67.8%, 67.81 percent, 68%",
    "an engagement score of 0.49 or .485",
    "It fell by 0.031. It dropped by 0.0312. The change is -0.031, or −0.03120.",
    "2.0 times, twice as many, double, 2.03x, twofold, a factor of 2.03, 2.0-fold",
    "3 times, three times, threefold, triple, 3x",
    "a third of them, one third, about a third, 1/3, one-third, ⅓ of them",
    "half of them, about half, 1 in 2 customers, more than half, ½ of them",
    "one in five, 1 in 5, 2 out of 10, about a fifth, 20%",
    "p below 0.001, p < 0.01, p = 0.00031",
    "On 2025-10-21, 21 October 2025, October 21, 2025, 21st of October 2025, 10/21/2025, 21/10/2025.",
    "in October 2025, since 2025, in 2025-10, 30 September, until 2025-09-30",
    "Customers of 25 to <35 and of 60+ lead; the three groups, the first and the 2nd, third in rank.",
    "Groups of fewer than 20 customers are not shown.",
    "Of customers aged 25 to <35, 41.2% churn (n = 7,412).",
    "the top 5 segments",
    "No one knows why one of them leaves, and nobody is number one.",
    "From 29.9% to 41.2%.",
    "tens of thousands of customers, thousands of customers, some tens of thousands",
    "38 out of 100 customers, XXXVIII percent, xxxviii% of them, about XL percent",
    "The engagement scores of customers and the score of a customer are positive (95% CI).",
    "7,412 of 99,873 customers; 5 of 99,873 customers",
    "a couple of days ago, a pair of metrics, CD and DC, MIX, the Vitamin C level",
    "ML and CLV by CLI: CX, DX, MCC, MM, MD, CM; an IV estimate of the MIX; ML customers, CLV per customer",
    "The 30-day churn is 37.9%; sessions of the last 7 days are 8.68, ±0.0277; 37.9% ± 0.30%.",
    "1. Urban: 35.1%\n2. 60+: 29.9%\n3) 25 to <35: 41.2%",
    "## 1. Summary\n37.9% churn (2025).",
    "",
    "No numbers here.",
]
REJECTED = {
    "There are 99,874 customers.": Complaint.NO_EVIDENCE,
    "There are 100,000 customers.": Complaint.NO_EVIDENCE,
    "more than 100,000 customers": Complaint.NO_EVIDENCE,
    "more than 80,000 customers": Complaint.NO_EVIDENCE,
    "nearly 98,900 customers": Complaint.NO_EVIDENCE,
    "Ninety-eight thousand customers": Complaint.NO_EVIDENCE,
    "99,87 customers": Complaint.UNREADABLE,
    "99.873,00 customers": Complaint.UNREADABLE,
    "0x1F customers": Complaint.UNREADABLE,
    "customers of Q3": Complaint.UNREADABLE,
    "see CUST-001234": Complaint.UNREADABLE,
    "v2": Complaint.UNREADABLE,
    "10² customers": Complaint.UNREADABLE,
    "三 customers": Complaint.UNREADABLE,
    "Ⅷ customers": Complaint.UNREADABLE,
    "٣٧٫٩ customers": Complaint.NO_EVIDENCE,
    "３６.9%": Complaint.NO_EVIDENCE,
    "37.8% churn": Complaint.NO_EVIDENCE,
    "43% churn": Complaint.NO_EVIDENCE,
    "0.379% churn": Complaint.ANOTHER_UNIT,
    "0.4 of them": Complaint.TOO_ROUGH,
    "an engagement score of 48.5%": Complaint.NO_EVIDENCE,
    "an engagement score of 0.5": Complaint.TOO_ROUGH,
    "0.678 percent": Complaint.NO_EVIDENCE,
    "$8.68": Complaint.ANOTHER_UNIT,
    "8.68 USD": Complaint.ANOTHER_UNIT,
    "8.68%": Complaint.ANOTHER_UNIT,
    "$67.81": Complaint.ANOTHER_UNIT,
    "8.68 customers": Complaint.ANOTHER_UNIT,
    "99,873 sessions": Complaint.ANOTHER_UNIT,
    "€1,455": Complaint.ANOTHER_UNIT,
    "It rose by 0.031.": Complaint.ANOTHER_SIGN,
    "The change is 0.031.": Complaint.ANOTHER_SIGN,
    "It fell by 8.68.": Complaint.ANOTHER_SIGN,
    "minus 8.68 is -8.68": Complaint.ANOTHER_SIGN,
    "four times": Complaint.NO_EVIDENCE,
    "fourfold": Complaint.NO_EVIDENCE,
    "quadrupled": Complaint.NO_EVIDENCE,
    "halved": Complaint.ANOTHER_UNIT,
    "two thirds": Complaint.NO_EVIDENCE,
    "a quarter of them": Complaint.NO_EVIDENCE,
    "one in four": Complaint.NO_EVIDENCE,
    "3 in 4": Complaint.NO_EVIDENCE,
    "¾ of them": Complaint.NO_EVIDENCE,
    "half a million customers": Complaint.NO_EVIDENCE,
    "½ million customers": Complaint.NO_EVIDENCE,
    "1/2 M customers": Complaint.NO_EVIDENCE,
    "half a percent": Complaint.ANOTHER_UNIT,
    "½%": Complaint.ANOTHER_UNIT,
    "1/2 of a percentage point": Complaint.ANOTHER_UNIT,
    "$½": Complaint.ANOTHER_UNIT,
    "½ times as many": Complaint.ANOTHER_UNIT,
    "3½ times": Complaint.NO_EVIDENCE,
    "3 1/2 times": Complaint.NO_EVIDENCE,
    "three and a half times": Complaint.NO_EVIDENCE,
    "5½": Complaint.NO_EVIDENCE,
    "-½": Complaint.ANOTHER_SIGN,
    "±½ of them": Complaint.NO_EVIDENCE,
    "a million customers": Complaint.NO_EVIDENCE,
    "millions of customers": Complaint.NO_EVIDENCE,
    "a dozen segments": Complaint.NO_EVIDENCE,
    **dict.fromkeys(
        (
            "5 of 13 customers",
            "5 of 13 (that is more than a third)",
            "11 in 29 of them",
            "19 in 50 of them",
            "3 of 13 of them",
            "hundreds of customers",
            "hundreds of thousands of customers",
            "Scores of customers churn.",
            "We lost scores of people.",
            "threescore customers",
            "dozens of customers",
            "tens of customers",
            "tens of millions",
            "a handful of customers",
            "a couple of customers",
            "zillions of customers",
            "a trillion customers",
            "three lakhs of customers",
            "sextupled",
            "a hundredfold rise",
            "XLIV percent",
            "MCMXC",
            "about xv customers",
            "X% of them",
            "XVIII of them",
            "about IV customers",
            "Stage VIII",
            "CM% of them",
        ),
        Complaint.NO_EVIDENCE,
    ),
    "Stage IV of XXXVIII": Complaint.ANOTHER_UNIT,
    **dict.fromkeys(
        ("XXXVIII customers", "a score of customers", "3 customers, where the table has 3 segments"),
        Complaint.ANOTHER_UNIT,
    ),
    "customers in their forties": Complaint.UNREADABLE,
    "the twenty-first and the fortieth": Complaint.NO_RANK,
    "On 2025-10-22.": Complaint.NO_DATE,
    "On 20 October 2025.": Complaint.NO_DATE,
    "In November 2025.": Complaint.NO_DATE,
    "in 2024": Complaint.NO_DATE,
    "since 2019": Complaint.NO_DATE,
    "between 37.6 and 42.4 percent": Complaint.NOT_AN_INTERVAL,
    "37.6%–37.9%": Complaint.NOT_AN_INTERVAL,
    "from 38.2% to 37.6%": Complaint.NOT_AN_INTERVAL,
    "customers of 26 to <35": Complaint.NO_EVIDENCE,
    "fewer than 25 customers are not shown": Complaint.NO_EVIDENCE,
    "the seventeenth place, in 17th place": Complaint.NO_RANK,
    "the top 6 segments": Complaint.NO_EVIDENCE,
    "sessions of the last 8 days": Complaint.NO_EVIDENCE,
    "a 90% interval": Complaint.NO_EVIDENCE,
    "p = 0.0004": Complaint.NO_EVIDENCE,
    "The 31-day churn is 37.9%": Complaint.NO_EVIDENCE,
    "37.9% ± 0.5%": Complaint.NO_EVIDENCE,
    "8.68 ± 0.1 sessions": Complaint.NO_EVIDENCE,
    "1. Urban\n4. Rural": Complaint.NO_EVIDENCE,
    "4. Urban": Complaint.NO_EVIDENCE,
    "2026 was better": Complaint.NO_EVIDENCE,
    "1e5 customers": Complaint.TOO_ROUGH,
}


def test_a_figure_that_is_off_by_the_rounding_of_doubles_is_exact() -> None:
    answer = Answer(tool="t", arguments={}, facts=(fact("difference", 0.45 - 0.4, "share"),))
    assert not check_text("5 percentage points", [answer])
    assert check_text("4 percentage points", [answer])


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_text_with_evidence_is_accepted(text: str) -> None:
    assert [str(p) for p in check_text(text, ANSWERS)] == []


@pytest.mark.parametrize(("text", "complaint"), REJECTED.items())
def test_a_number_without_evidence_is_rejected(text: str, complaint: Complaint) -> None:
    assert complaint in {p.complaint for p in check_text(text, ANSWERS)}, check_text(text, ANSWERS)


def test_names_that_look_like_days_and_figures_that_are_none_break_nothing() -> None:
    answer = Answer(
        tool="t",
        arguments={"segment": "2025-02-30"},
        facts=(
            fact("x", float("nan"), "share", lower=float("-inf"), upper=float("inf")),
            fact("y", 12, filter="club is 1234-56"),
        ),
        columns=(Column(name="club", role=ColumnRole.GROUP), Column(name="mean")),
        rows=(("1234-56", 0.25), ("２０２５-13", 0.5)),
        origin=ORIGIN,
    )
    assert not check_text("It is 12 where club is 1234-56, and 0.25.", [answer])
    assert check_text("It is 13.", [answer])


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("42½%, 42 ½ percent, 42 1/2 percent, 42-1/2 %", 42.5, "percent"),
        ("42½%, forty-two and a half percent, 0.425", 0.425, "share"),
        ("1,002¼ USD, $1,002¼, $1,002 1/4", 1_002.25, "USD"),
        ("$2½ million, 2½ million USD, $2 1/2 M, two and a half million USD", 2_500_000, "USD"),
        ("1½ times, one and a half times, 1 1/2 x", 1.5, "ratio"),
        ("20⅓ percent, twenty and one third percent", 20.3333, "percent"),
        ("½%, half a percent, one half percent, 1/2 of one percent, half a percentage point", 0.5, "percent"),
        ("-2½, minus two and a half", -2.5, "score"),
        ("between 1¾ and 2¼ hours, 1¾–2¼ hours", 2.0, "hours"),
    ],
)
def test_parts_of_one_are_read_with_their_whole_ones_and_units(text: str, value: float, unit: str) -> None:
    """Where the whole ones and the part are read apart, each alone could have evidence, or neither."""
    answer = Answer(tool="t", arguments={}, facts=(fact("x", value, unit, lower=1.75, upper=2.25),))
    assert [str(p) for p in check_text(text, [answer])] == []
    whole = tuple(fact("whole", n, unit) for n in (0.42, 1, 2, 20, 42, 1_002, 2_000_000))
    parts = tuple(fact("part", n, "share") for n in (0.25, 0.3333, 0.5, 0.75))
    for piece in text.split(", "):
        assert check_text(piece, [Answer(tool="t", arguments={}, facts=whole + parts)]), piece


def test_without_answers_no_number_has_evidence() -> None:
    assert {p.text for p in check_text("3 of 5 on 2025-10-21, twice, a third", [])} == {
        "3 of 5",
        "2025-10-21",
        "twice",
        "a third",
    }


SENTENCES = (
    "37.9% of 99,873 customers churn (95% interval 37.6% to 38.2%); in groups of 25 to <35 it is 41.2%.",
    "Sessions last 7 days is 8.68 sessions (8.65 to 8.71, n = 99,870), lifetime value 1,455.10 USD.",
    "It fell by 0.0312, from 0.485, at a lift of 2.03 (1.91 to 2.16); 67.8 percent of the profile is filled.",
    "Urban: 35.1% of 41,220 customers; 60+: 29.9% of 2,604 customers; 25 to <35: 41.2% of 7,412 customers.",
)


def is_admissible(number: str) -> bool:
    """An oracle in plain floats: whether some figure, or a hundred times it, rounds to these digits."""
    written = float(number.replace(",", ""))
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) * (1 + 1e-9)
    figures = [
        v
        for e in (e for a in ANSWERS for e in a.evidence())
        for v in (e.value, e.lower, e.upper, e.n)
        if isinstance(v, int | float)
    ]
    figures += [5, len(SEGMENTS.rows)]
    return any(abs(abs(v) * scale - written) <= half for v in figures for scale in (1, 100))


def numbers_in(text: str) -> Sequence[re.Match[str]]:
    return list(re.finditer(r"\d[\d,]*(?:\.\d+)?", text))


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("seed", range(3))
def test_any_number_that_is_changed_is_rejected(sentence: str, seed: int) -> None:
    """Digits exchanged, added, left out, the point moved: what no figure rounds to is always seen."""
    assert check_text(sentence, ANSWERS) == ()
    draw, checked = random.Random(seed), 0
    for match in numbers_in(sentence):
        for _ in range(12):
            digits = list(match[0])
            place = draw.choice([i for i, c in enumerate(digits) if c.isdigit()])
            digits[place] = draw.choice([c for c in "123456789" if c != digits[place]])
            if draw.random() < 0.3:
                digits.append(draw.choice("123456789"))
            changed = "".join(digits)
            if "," in changed and not re.fullmatch(r"\d{1,3}(,\d{3})*(\.\d+)?", changed):
                continue
            if is_admissible(changed):
                continue
            text = sentence[: match.start()] + changed + sentence[match.end() :]
            assert check_text(text, ANSWERS), text
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("seed", range(40))
def test_a_figure_rounded_by_the_rule_is_accepted_and_one_off_is_not(seed: int) -> None:
    draw = random.Random(seed)
    value = draw.choice((-1, 1)) * draw.random() * 10 ** draw.randint(-3, 6)
    unit, sign, scale = draw.choice((("share", "%", 100), ("percent", " percent", 1), ("hours", " hours", 1)))
    answer = Answer(tool="t", arguments={}, facts=(fact("x", value, unit),))
    written = value * scale
    for digits in range(2, 7):
        decimals = max(0, digits - 1 - int(f"{abs(written):e}".partition("e")[2]))
        text = f"{written:,.{decimals}f}"
        if float(text.replace(",", "")) == 0 or sum(c.isdigit() for c in text.lstrip("-0.,")) < 2:
            continue
        assert check_text(f"It is {text}{sign}.", [answer]) == (), (value, text)
        step = 10.0**-decimals
        off = f"{written + draw.choice((-1, 1)) * 1.01 * step:,.{decimals}f}"
        assert off == text or check_text(f"It is {off}{sign}.", [answer]), (value, off)
        other = {"share": " hours", "percent": " hours", "hours": "%"}[unit]
        if unit != "share" or abs(written) > 200:
            assert (
                check_text(f"It is {text}{other if unit != 'hours' else '%'}.", [answer]) or other == " hours"
            )


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("", []),
        ("\0", []),
        ("%" * 50, []),
        ("1" * 400, ["1" * 400]),
        ("-" * 100, []),
        ("1/0", ["1", "0"]),
        ("½½½", ["№0.5"] * 3),
        ("½2 4½¼", ["№0.5", "2", "4", "№0.5", "№0.25"]),
        ("⅟3", ["№1"]),
        ("1e999999999", ["1e999999999"]),
        (". . .", []),
    ],
)
def test_of_hostile_texts_the_numbers_alone_are_rejected(text: str, rejected: list[str]) -> None:
    assert [problem.text for problem in check_text(text, ANSWERS)] == rejected


@pytest.mark.parametrize("text", [None, b"37.9%", 5, ["37.9%"]], ids=repr)
def test_what_is_no_text_is_an_error_of_its_own(text: Any) -> None:
    with pytest.raises(BadArgumentError, match="must be a text"):
        check_text(text, ANSWERS)


@pytest.mark.parametrize("answers", [None, 5, [None], ANSWERS[0]], ids=["none", "number", "list", "one"])
def test_what_are_no_answers_is_an_error_of_its_own(answers: Any) -> None:
    with pytest.raises(BadArgumentError, match="must be a list of answers"):
        check_text("37.9%", answers)


def test_counts_of_one_another_are_each_a_figure() -> None:
    """31 of 600 is 5.2%, which nobody measured; both numbers are there."""
    missing = Answer(
        tool="describe", arguments={}, facts=(fact("a: missing values", 30, "customers", n=100),)
    )
    assert check_text("30 of 100 customers have no value of a.", [missing]) == ()
    assert check_text("30 of 120 customers have no value of a.", [missing])
    assert check_text("29 of 100 customers have no value of a.", [missing])


@pytest.mark.parametrize(
    ("letters", "number"),
    [("XXXVIII", 38), ("xl", 40), ("MCMXC", 1990), ("IIX", None), ("IC", None), ("DIM", None), ("", None)],
)
def test_roman_numerals_are_numbers_where_they_are_well_formed(letters: str, number: int | None) -> None:
    assert number_of_roman(letters) == number


def problems_of(text: str, *facts: Evidence) -> list[str]:
    return [p.text for p in check_text(text, [Answer(tool="t", arguments={}, facts=facts)])]


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("1 in 25, one in twenty-five customers, 1 of every 25", 0.04),
        ("1 in 50", 0.0199),
        ("one in fifteen customers", 0.0667),
        ("about 1 in 40", 0.0245),
        ("1 in 1,000", 0.001),
    ],
)
def test_one_in_any_number_is_a_share(text: str, share: float) -> None:
    assert problems_of(text, fact("x", share, "share")) == []
    assert problems_of(text, fact("x", share * 1.1, "share"))
    assert problems_of(text, fact("x", share / 1.1, "share"))


def test_parts_of_a_whole_are_counts_and_no_other_numbers_of_the_evidence() -> None:
    mean = fact("visits", 2.0, "visits", lower=1.0, upper=5.0)
    assert problems_of("2 in 5 churned", mean) == ["2 in 5"]
    assert problems_of("two of five", mean, fact("others", 5.0, "visits")) == ["two of five"]
    assert problems_of("1 in 25 churned", fact("a", 1.0), fact("b", 0.5, lower=0.1, upper=25.0)) == [
        "1 in 25"
    ]
    assert problems_of("2 in 5 churned", fact("churn", 0.4, "share")) == []
    assert problems_of("2 of 5 checks failed", fact("failed", 2, "checks"), fact("all", 5, "checks")) == []
    assert problems_of("2 of 5 customers", fact("missing values", 2, "customers", n=5)) == []


@pytest.mark.parametrize(
    "text", ["a thirty second visit", "thirty second visits", "a 30 second visit", "visits of thirty seconds"]
)
def test_seconds_between_a_number_and_a_noun_are_no_rank(text: str) -> None:
    assert problems_of(text, fact("duration", 30, "seconds")) == []
    assert problems_of(text, fact("duration", 40, "seconds"))


def test_a_rank_of_two_words_stays_one() -> None:
    for text in (
        "the thirty-second",
        "in the thirty second place",
        "thirty second in rank",
        "the second visit",
    ):
        assert problems_of(text, fact("duration", 30, "seconds")), text
