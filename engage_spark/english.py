"""Hold the English that questions are made of: words without content, words of one meaning, word forms.

It knows no contract. What a business calls its things comes from its contract alone (`terms`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from engage_spark.function_words import CLOSED, LIGHT_VERBS, word_set

_MEANINGS: Mapping[str, str] = {
    "churn": "churns churned churning churner churners attrition leave leaves leaving left lose loses losing "
    "lost quit quits quitting exit exits exited exiting cancel cancels cancelled canceled cancelling "
    "canceling cancellation cancellations cancelation cancelations departure departures departing depart",
    "retention": "retain retains retained retaining stay stays stayed staying",
    "revenue": "money revenues turnover sales spend spends spending spent earnings",
    "salary": "salaries income incomes wage wages",
    "engagement": "engaged engaging engage engages",
    "location": "locations area areas region regions regional geography geographies geographic "
    "geographical place "
    "places country countries district districts locality",
    "suburban": "suburb suburbs suburbia",
    "rural": "countryside",
    "gender": "genders sex sexes",
    "age": "ages aged old older oldest young younger youngest",
    "tenure": "tenures seniority longevity",
    "account": "accounts subscription subscriptions plan plans tier tiers",
    "customer": "customers client clients user users people person persons member members consumer "
    "consumers buyer "
    "buyers folk folks guys subscriber subscribers resident residents dweller dwellers "
    "inhabitant inhabitants "
    "patron patrons",
    "duration": "durations length lengths long longer longest short shorter shortest",
    "rating": "ratings rated stars star",
    "transaction": "transactions purchase purchases order orders payment payments",
    "completeness": "complete",
    "value": "values worth valuable",
    "login": "logins logon logons logged",
    "virality": "viral",
    "centrality": "central",
    "mobile": "phone phones smartphone smartphones",
    "sentiment": "sentiments mood",
    "usd": "dollar dollars",
    "received": "receive receives receiving",
    "following": "follow follows followed",
    "strength": "strengths strong",
    "active": "activity",
    "balance": "balances",
    "failure": "failures failed fail fails",
    "complaint": "complaints complain complains complained complaining",
    "influence": "influences influential",
    "usage": "use uses used",
    "message": "sms texts",
    "electric": "electrical",
    "view": "viewed",
    "recency": "recent recently",
}
MEANINGS = {form: word for word, forms in _MEANINGS.items() for form in forms.split()}
"""The word that a word means here, where it is another one."""
EXPANSIONS = {
    "ltv": ("lifetime", "value"),
    "clv": ("lifetime", "value"),
    "cltv": ("lifetime", "value"),
    "signup": ("signup",),
    "signups": ("signup",),
}
FILLER = (
    CLOSED
    | LIGHT_VERBS
    | word_set(
        """
    avg a an the this that these those it its they them their there here we us our ours i me my you your one
    ones s t is are was were be been being am do does did doing done has have had having can could would
    should may might shall must let lets of in on at for from to by with within without into onto upon
    over under up down out off about as than then and or but so also too both either each every any
    some all no what which who whom whose where how why whether please tell show give list find get see
    look know want need like explain say report display present provide calculate compute determine check
    figure much many more most less least few fewer very quite really just only even still currently
    current now today right typical typically usual usually general generally overall whole approximately
    around roughly exact exactly actually main mainly biggest largest smallest big large small high higher
    highest low lower lowest great greater greatest good better best bad worse worst stronger strongest
    strongly highly weak weaker weakest weakly top bottom average averages mean means median number numbers
    amount amounts count counts level levels figures statistic statistics stats stat summary rate rates
    score scores percentage percentages percent pct proportion fraction per data dataset platform business
    company base snapshot make makes made making go goes going come comes coming bring brings take takes
    happen happens happened happening spread spreads deviation standard variance minimum maximum min max
    range quantile quantiles above below there's what's who's how's where's i'd i'm we're we've don't
    doesn't didn't isn't aren't can't group groups segment segments band bands bracket brackets type types
    kind kinds category categories class classes part parts type's cohort cohorts hi hello hey thanks
    thank ok okay well yes quick quickly question wonder wondering curious between among amongst across
    versus vs against compared compare compares comparing comparison relative different differ differs
    difference differences differently vary varies end ends respectively according terms term looks
    looking likely set sets thing things sort way ways plot chart draw rank ranked descriptive anything
    gap somebody someone anybody anyone everybody everyone something
    computed ranking when portion break contrast case cases significant significantly confidence interval
    intervals ci
    """
    )
)
"""Words that can stand in a question without changing what is asked, once its intent has been read."""
NEGATIONS = word_set(
    """
    not no without except excluding excluded exclude never neither nor besides non isn't aren't don't doesn't
    didn't haven't hasn't won't wasn't weren't hadn't couldn't shouldn't wouldn't
    """
)
LEAVING_OUT = word_set("without except excluding excluded exclude besides")
"""Of these, what leaves some customers out, whatever is asked."""
FUTURE = word_set(
    """
    will forecast forecasts predicted prediction predictions projected projection tomorrow upcoming next
    future expect expected
    """
)
MILD_FUTURE = word_set(
    """
    predict predicts predicted prediction predictions next expect expected
    """
)
"""Of these, what can also be said of a model, or of steps to take."""
WINDOW_WORDS = word_set(
    """
    last past previous day days week weeks month months quarter quarters year years daily weekly monthly
    quarterly yearly ago since during
    """
)
QUALITIES = word_set(
    """
    old young recent valued important key single individual verified confirmed supported proven claimed
    best better good great greatest worst worse bad top bottom big bigger biggest large largest small smallest
    strong stronger strongest weak weaker weakest main high higher highest low lower lowest
    """
)
"""Words without content elsewhere that say which customers are meant where they stand before them."""
STATISTICS = word_set(
    """
    avg average mean count total num number pct percent percentage score usd eur gbp amount rate ratio
    last day days ago v1 minutes index level received listed sent
    """
)
"""Parts of a field's name that say how it is measured, and not what it is."""


GROUP_WORDS = word_set(
    """
    group groups band bands bracket brackets type types segment segments tier tiers kind kinds category
    categories class classes quartile quartiles
    """
)
"""Words for the parts that something falls into."""
QUARTILES = {
    **dict.fromkeys(("top", "most", "highest", "upper", "fourth", "4"), "Q4"),
    **dict.fromkeys(("bottom", "least", "lowest", "lower", "first", "1"), "Q1"),
    **dict.fromkeys(("second", "2"), "Q2"),
    **dict.fromkeys(("third", "3"), "Q3"),
}
"""The quartile that a word names."""


WORD_OF_VALUE = re.compile(r"[^\W\d_]+'[^\W\d_]+|[^\W_]+")
"""Matches a word of a value, in any script."""


@lru_cache(maxsize=10_000)
def folded(word: str) -> str:
    """Return a word without accents and case, by which Zurich is Zürich; an i without a dot is one."""
    plain = unicodedata.normalize("NFKD", word.casefold().replace("ı", "i"))
    return "".join(c for c in plain if not unicodedata.combining(c))


def words_of_value(value: str) -> tuple[str, ...]:
    """Return the words of a value, such as müller, and, söhne of Müller & Söhne."""
    text = unicodedata.normalize("NFC", value).lower().replace("&", " and ")
    return tuple(WORD_OF_VALUE.findall(text))


def meaning(word: str) -> str:
    """Return the word that stands for a word here: of its meaning, else its singular; a name stays."""
    if word in MEANINGS or "_" in word:
        return MEANINGS.get(word, word)
    single = singular(word)
    return MEANINGS.get(single, single)


def singular(word: str) -> str:
    """Return the singular of an English noun, by its ending."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
