"""List turns of phrase that are one word for what follows: each is replaced before a question is read."""

from __future__ import annotations

import re

_PEOPLE = r"(?:customers?|clients?|members?|users?|people|subscribers?)"
_ENDS = r"(?:most|top|highest|upper|best)", r"(?:least|bottom|lowest|lower|worst)"
_AND = r"(?:and|or|vs|versus|against|to|with|than|from)"
_PART = r"((?:[a-z]+ ){0,2})quart(?:iles?|ers?)"
_NOTES = r"(?:comments?|reviews?|ratings?|likes?|messages?|feedback)"
_NEW = (
    (r"\bnight ?owls?\b", "night customers"),
    (r"\bearly (?:birds?|risers?)\b", "morning customers"),
    (r"\bp(\d{1,2})\b", r"\1 th percentile"),
    (r"\b(\d{1,3})[-\u2013](\d{1,3})\b(?!-)", r"\1 to \2"),
    # Short forms that are no words.
    (r"\b(?:no\.|no|#) ?(?=of\b)", "number "),
    (r"\bw/o\b", "without"),
    (r"\bw/ ?(?=[a-z])", "with "),
    (r" ?& ?", " and "),
    (r"(?<=[a-z]{2}) ?/ ?(?=[a-z]{2})", " and "),
    (r"\b(?:i\.e\.|e\.g\.)", " "),
    (r"(?<=[a-z]) x (?=[a-z])", " and "),
    (r"\bas well as\b", "and"),
    (r"\bif (?=(?:we|i|you) (?:want|need|wish|split|look|break|compare|take)\b)", ""),
    (r"\b(in|since|during|by|until|before|after|last|this|for) may\b", r"\1 monthofmay"),
    (r"\b(?:are|is) (?:still )?left$|\b(?:are|is) (?:still )?left(?=\?)", "remain"),
    (r"\b(more|less|fewer) than one\b", r"\1 than 1"),
    (r"\bthe (\d+) ?\+", r"customers \1 +"),
    (r"\bside by side\b", "compared"),
    (
        r"\b(?:an?|the) (?:average|typical|usual|mean) (transaction|purchase|order|payment)\b"
        r"(?! (?:count|number|value|size|amount|revenue|momentum))",
        r"average \1 value",
    ),
    (r"\bone (?=(?:idea|action|recommendation|tip|measure|step|suggestion|experiment)\b)", "1 "),
    (r"\b(?:takes?|taking|took) place\b", "happens"),
    (r"\bstrength of (?:the |an )?(?=association|correlation|relation|link|connection between)", ""),
    (r"^(?:please )?name (?:me )?(?=the |top |\d)", "show "),
    (rf"\bregistered (?={_PEOPLE}\b)", ""),
    (r"\bhead ?count\b", "number of customers"),
    (rf"\bsize of (?:the |our )?((?:[a-z]+ )?){_PEOPLE} base\b", r"number of \1customers"),
    (r"\b(?:phone|telephone|cell|mobile) ?numbers?\b", "phonenumber"),
    (
        r"\b(mean|average|median|typical|usual|normal) values? of (?!(?:an? |the |each |all )?"
        r"(?:transaction|purchase|order|customer|user|member))",
        r"\1 ",
    ),
    # Who is left out.
    (
        r"\b(?:other than|apart from|aside from|outside(?: of)?|all but|but not|rather than|unlike)\b",
        "except",
    ),
    # How long somebody has been a customer.
    (r"\bfor how long\b", "how long"),
    (
        rf"\bhow long (?:have|has|had|did|do|does|are|is) (.{{0,40}}?)\b(?:been|stay(?:ed|ing)?|"
        rf"stick(?:ing)?|stuck|remain(?:ed|ing)?)\b"
        rf"(?: (?:an? )?(?:with us|with (?:the|our) [a-z]+|around|here|on board|{_PEOPLE}))+",
        r"tenure \1",
    ),
    (
        rf"\b(?:(?:have|has|had) )?(?:been|stayed) (?:an? )?"
        rf"(?:with us|with (?:the|our) [a-z]+|around|here|{_PEOPLE})\b(?: for\b)?",
        "with tenure",
    ),
    (r"\bfirst half[ -](?:a )?year\b", "first 6 months"),
    (r"\bsecond half[ -](?:a )?year\b", "6 to 12 months"),
    # Quartiles, the two ends of them, and a quarter of the customers.
    (rf"\b({_ENDS[0]}) {_AND} (?:the |our )?({_ENDS[1]}) {_PART}\b", r"\1 \3quartile and \2 \3quartile"),
    (rf"\b({_ENDS[1]}) {_AND} (?:the |our )?({_ENDS[0]}) {_PART}\b", r"\1 \3quartile and \2 \3quartile"),
    (
        rf"\b({_ENDS[0]}|{_ENDS[1]}) ((?:[a-z]+ ){{0,2}}?)quarter\b(?: of (?:the |our |all )*{_PEOPLE}\b)?",
        r"\1 \2quartile",
    ),
    # Parting something.
    (
        r"\b(?:(?:broken (?:down|up|out)|split|parted|sliced|grouped|segmented|divided|separated)|"
        r"(?:split|slice|group|segment|divide|separate|cut|break) (?:it|this|that|them|those))"
        r"(?: down| up| out)? (?:by|into|per)\b",
        "by",
    ),
    (r"\bper ([a-z]+) and (?=(?:day|week|month|quarter|year)\b)", r"per \1 per "),
    (r"\bhow many (?:percent|%)(?: of)?\b", "what percent of"),
    # What goes away, what is left somewhere, what takes time.
    (
        r"\b(?:(?:go(?:es|ing)?|went|gone|walk(?:s|ed|ing)?) away|drop(?:s|ped|ping)? out|"
        r"jump(?:s|ed|ing)? ship|say(?:s|ing)? goodbye|defect(?:s|ed|ing|ions?)?|"
        r"unsubscrib(?:e|es|ed|ing))\b",
        "churn",
    ),
    (rf"\b(?:leaves?|leaving|left) (?=(?:[a-z]+ )?{_NOTES}\b)", "write "),
    (rf"\b({_NOTES} (?:that |which )?(?:[a-z]+ ){{0,3}}?)(?:leaves?|left)\b", r"\1write"),
    (r"\bhow much time\b(.{0,40}?)\bspen(?:ds?|t|ding)\b", r"how long duration\1"),
    (r"\btime (?:is )?spent\b", "duration"),
    (r"\bstay(?:s|ed|ing)? (?=(?:long|longer|short|shorter) (?:in|on|at|per|during)\b)", ""),
    (r"\b(how many (?:minutes|hours) (?:do|does|did) .{0,30}?)\bstay\b(?! with)", r"\1"),
    (r"\bactive on\b", "usage on"),
    (r"\bwhat age (?=(?:are|is|do|does)\b)", "how old "),
    (r"\b(any|an?|some|no) (?:close |clear |strong )?connection (?=(?:with|to|between)\b)", r"\1 relation "),
    (r"\b(?:help (?:me|us)|to) plan\b", "recommend"),
    (r"\bwhen (?:in|during) the day\b", "daypart"),
    (
        r"\b(?:in terms of|with (?:respect|regards?) to|when it comes to|in respect of|as regards)\b",
        "regarding",
    ),
    (r"\b(?:that |which )?we (?:track|measure|record|monitor|watch)\b", ""),
    (r"\bfollow(?:s|ing)? (?:an? |the )?(?=(?:[a-z]+[ -]){0,3}(?:distribution|curve|law)\b)", "is "),
)
REWRITES = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        *_NEW,
        (
            r"\b(?:at|in) (?:a )?(?:high |higher |highest |most |greatest )?risk(?: of)?(?: churn\w*| "
            r"leaving)?\b",
            "churn",
        ),
        (r"\b(?:churn|attrition) risk\b", "churn"),
        (r"\brisk of (?:churn\w*|leaving)\b", "churn"),
        (r"\b(?:churn|churning) or (?:retention|staying)\b", "churn"),
        (r"\blog(?:s|ged|ging)?[ -]in(?:s)?\b", "login"),
        (r"\bsign(?:s|ed|ing)?[ -]up(?:s)?\b", "signup"),
        (r"\bhow strong(?:ly)? (?:is|are) (?:the )?(?=corr|relat|assoc|link|connection between)", "how "),
        (r"\blife[ -]time\b", "lifetime"),
        (r"\bper cent\b", "percent"),
        (
            r"\b(?:what|which) share of\b|\bshare of(?= (?:all |the |our )?(?:customers|users|people|"
            r"clients))",
            "what proportion of",
        ),
        (r"\bshare\b", "proportion"),
        (
            r"\b(tell me|tell us|know|see|show|show me|check|find out|say|determine|verify|wonder\w*|"
            r"confirm) if\b",
            r"\1 whether",
        ),
        (r"\b(?:lives?|lived|living|located|based|resid(?:e|es|ing)) (?=in\b)", ""),
        (r"\bhow long ago\b", "how many days ago"),
        (r"\bhow long\b", "how long duration"),
        (r"\b(more|most|less|least) (?:often|frequently)\b", r"\1"),
        (r"\bhours? of (?:the )?day\b", "hour"),
        (r"\b(?:the )?(over|under)[ -](\d+)'?s\b", r"customers \1 \2"),
        (
            r"\bhow (?:big|large) (?:is|are) (?:an? (?:(?:typical|usual|average|normal) )?|"
            r"the (?:typical|usual|average|normal) )",
            "the average size of a ",
        ),
        (r"\bsizes? of (?:each|every|the|all)\b", "number of customers by"),
        (r"\bhow (?:big|large) (?:is|are) (?:the |our )?", "how many customers "),
        (r"\bvar(?:y|ies) with\b", "differ by"),
        (r"\ba ?/ ?b\b", "ab"),
        (r"\b(?:how (?:big|large) is|size of) (?:the |our )?customer base\b", "how many customers"),
        (r"\b(?:men|man|males)\b", "male"),
        (r"\b(?:women|woman|females)\b", "female"),
        (r"\bcosts? us\b", "costs"),
        (r"\b(?:time|part) of (?:the )?day\b", "daypart"),
        (r"\b(?:in the|at) (?=(?:morning|afternoon|evening|night)\b)", ""),
        (r"\bpower users?\b", "power-users"),
        (r"\b(?:percentage|percent|share|part) of (?:the )?activity\b", "proportion of usage"),
        (r"\bas (?:a )?function of\b", "by"),
        (r"\b(?:broken down|split|parted) (?:by|into)\b", "by"),
        (r"\ba (?:year|month|week|day) ago\b", "ago-unknown"),
    )
)
"""Turns of phrase that are one word for what follows."""
