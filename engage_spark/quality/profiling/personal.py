"""Guess which columns tell of a person: their values decide, their names where values cannot.

A column of flags, of few words or of small counts is no address and no telephone number, whatever it is
called: `PhoneService` holds Yes and No, `email_opt_in` true and false, `phone_calls` counts.
"""

from __future__ import annotations

import re

from engage_spark.quality.profiling.facts import ColumnFacts
from engage_spark.quality.profiling.value_scan import FORMS

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PHONE = _words("phone mobile telephone tel fax cell cellphone msisdn")
_ZIP = _words("postcode zip zipcode postal")
_BIRTH = _words("birthdate birthday dob birth birthyear yob")
_NUMBERED = _words("iban ssn passport imei imsi")
_PLACE = _words("latitude longitude token password")
_CONTACT = _PHONE | _ZIP | _NUMBERED | _words("email mail address street ip username login")
_PERSON = _words("surname firstname lastname fullname forename fname lname") | _BIRTH | _PLACE
_NAMED_PERSON = _words(
    "first last full family given user middle maiden birth nick preferred contact person customer "
    "client patient member guest passenger employee student teacher driver holder owner sender recipient "
    "payer payee beneficiary applicant tenant subscriber"
)
"""Whose name, or which name, `…_name` is of."""
_PROTECTED = _words("gender sex race ethnicity ethnic religion nationality disability marital age")
NEVER_INPUT = _PROTECTED - {"age"}
"""Words that name what no model may use."""
_FLAGS = _words("yes no y n true false t f 0 1 none unknown")
_LEAST = ((_PHONE | _NUMBERED, 100_000), (_ZIP | _BIRTH, 1_000))
"""The largest number of a column must be so large for its name to tell of a person."""
_COUNTS = _words("count counts number num total avg mean days calls minutes rate share score flag")


def words(name: str) -> set[str]:
    """Return the words of a name, in small letters: customerId, customer_id and Customer ID are the same
    two.
    """
    return {w.lower() for w in WORDS.findall(name)}


def is_protected(name: str) -> bool:
    """Return whether a name is that of something by which nobody may be treated unlike others."""
    return bool(words(name) & _PROTECTED)


def is_personal(c: ColumnFacts) -> bool:
    """Return whether a column is personal.

    It is where most of its texts are e-mail addresses, telephone numbers or network addresses. It is by its
    name where its values do not speak against it.
    """
    if c.is_text:
        if _has_personal_form(c) or _is_flag(c):
            return not _is_flag(c)
        return _named(c.name, _PERSON) or (bool(words(c.name) & _CONTACT) and not _is_closed_list(c))
    if c.type in ("date", "timestamp"):
        return bool(words(c.name) & _BIRTH)
    if c.type == "binary" or "<" in c.type:
        return _named(c.name, _CONTACT | _PERSON)
    return c.type != "boolean" and _is_personal_number(c)


def _named(name: str, personal: frozenset[str]) -> bool:
    name_words = words(name)
    return (
        bool(name_words & personal)
        or name_words == {"name"}
        or ("name" in name_words and bool(name_words & _NAMED_PERSON))
    )


def _has_personal_form(c: ColumnFacts) -> bool:
    """Return whether the form that most texts have, half of them at least, is that of an address."""
    if c.off is None or not c.visible:
        return False
    commonest = min(FORMS, key=lambda form: c.off.get(form, 0) if c.off is not None else 0)
    return commonest in ("email", "phone", "address") and 2 * c.off.get(commonest, 0) <= c.visible


def _is_flag(c: ColumnFacts) -> bool:
    return bool(c.values) and {v.strip().lower() for v in c.values or ()} <= _FLAGS | {""}


def _is_closed_list(c: ColumnFacts) -> bool:
    """Return whether the texts are a few words that each occur many times, without digits and @."""
    values = c.values or {}
    often = c.state.filled >= 10 * len(values)
    return bool(values) and often and not any(re.search(r"[0-9@]", v) for v in values)


def _is_personal_number(c: ColumnFacts) -> bool:
    name_words = words(c.name)
    largest = c.state.maximum
    if largest is None or name_words & _COUNTS:
        return False
    return bool(name_words & _PLACE) or any(
        name_words & of_name and largest >= least for of_name, least in _LEAST
    )
