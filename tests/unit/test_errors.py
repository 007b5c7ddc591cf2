"""The tree of errors: a stable code and an exit code for every cause."""

from __future__ import annotations

from datetime import date

import pytest

from engage_spark import errors
from engage_spark.errors import EngageError, GateError, InputError, NotDeliveredError, NotPublishedError

CODES = {
    "UsageError": ("Usage", 2),
    "ConfigurationError": ("Configuration", 2),
    "ContractError": ("Contract", 2),
    "InputError": ("Input", 2),
    "NotDeliveredError": ("NotDelivered", 2),
    "NotPublishedError": ("NotPublished", 2),
    "NotMaturedError": ("NotMatured", 2),
    "NoChampionError": ("NoChampion", 2),
    "FitError": ("FitFailed", 2),
    "PermanentError": ("Permanent", 1),
    "GateError": ("GateFailed", 3),
    "TransientError": ("Transient", 4),
}


def test_every_cause_has_its_code_and_exit_code() -> None:
    classes = {
        c.__name__: (c.code, c.exit_code)
        for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, EngageError) and c is not EngageError
    }
    assert classes == CODES


def test_what_is_not_delivered_is_an_input_error() -> None:
    with pytest.raises(InputError):
        raise NotDeliveredError("there is no raw/customers")


def test_not_published_names_the_days_and_the_command() -> None:
    error = NotPublishedError.of(
        "features", days=[date(2025, 10, 22), date(2025, 10, 21)], command="features"
    )
    assert error.message == "features has no published snapshot of 2025-10-21, 2025-10-22"
    assert error.hint is not None and error.hint.startswith("run `engage-spark features` for it")
    assert NotPublishedError.of("customers").message == "customers has no published snapshot"


def test_a_gate_carries_the_result_of_the_stage() -> None:
    assert GateError("rejected", result=7).result == 7
