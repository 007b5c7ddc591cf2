"""Options for few rows: set for a block, given back after it, and left alone where they cannot be set."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pyspark.errors import PySparkException

from engage_spark.spark import few_rows
from engage_spark.spark.few_rows import MOST_ROWS, OPTIONS, planned_for

ADAPTIVE, PARTITIONS = "spark.sql.adaptive.enabled", "spark.sql.shuffle.partitions"


class Conf(dict[str, str]):
    """Options of a session that refuses some."""

    refused: frozenset[str] = frozenset()

    def get(self, key: str, default: Any = None) -> Any:
        if key in self.refused:
            raise PySparkException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available.")
        return super().get(key, default)

    def set(self, key: str, value: str) -> None:
        self.get(key)
        self[key] = value

    def unset(self, key: str) -> None:
        self.get(key)
        self.pop(key)


class Session:
    """A session with these options."""

    def __init__(self, conf: Conf) -> None:
        self.conf = conf


def session(conf: Conf) -> Any:
    return cast(Any, Session(conf))


def test_options_are_those_of_few_rows_within_the_block_and_what_they_were_after_it() -> None:
    conf = Conf({PARTITIONS: "7", "other": "x"})
    with pytest.raises(ValueError, match="a fault"), planned_for(session(conf), MOST_ROWS):
        assert conf == {"other": "x"} | OPTIONS
        raise ValueError("a fault")
    assert conf == {PARTITIONS: "7", "other": "x"}


def test_many_rows_are_planned_as_ever() -> None:
    conf = Conf({PARTITIONS: "7"})
    with planned_for(session(conf), MOST_ROWS + 1):
        assert conf == {PARTITIONS: "7"}


def test_an_option_that_cannot_be_set_is_left_alone() -> None:
    conf = Conf({PARTITIONS: "7"})
    conf.refused = frozenset({ADAPTIVE})
    with planned_for(session(conf), 1):
        assert conf[PARTITIONS] == "1" and ADAPTIVE not in conf
    assert conf == {PARTITIONS: "7"}


def test_two_trainings_at_once_leave_a_session_as_it_was_before_both() -> None:
    conf = Conf({PARTITIONS: "7"})
    of_both = session(conf)
    other = Conf({PARTITIONS: "9"})
    first, second = planned_for(of_both, 1), planned_for(of_both, 1)
    first.__enter__()
    second.__enter__()
    with planned_for(session(other), 1):
        assert other == OPTIONS, "another session counts by itself"
    first.__exit__(None, None, None)
    assert conf == OPTIONS, "the second still runs"
    second.__exit__(None, None, None)
    assert (conf, other) == ({PARTITIONS: "7"}, {PARTITIONS: "9"})
    with planned_for(of_both, 1):
        assert conf == OPTIONS
    assert conf == {PARTITIONS: "7"}


def test_an_option_that_cannot_be_given_back_hides_no_error_and_keeps_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []
    monkeypatch.setattr(few_rows.log, "event", lambda text, **_: events.append(text))
    for lost in (ADAPTIVE, PARTITIONS):
        was = {ADAPTIVE: "true", PARTITIONS: "7"}
        conf = Conf(was)
        with pytest.raises(ValueError, match="a fault"), planned_for(session(conf), 1):
            conf.refused = frozenset({lost})
            raise ValueError("a fault")
        assert conf == was | {lost: OPTIONS[lost]}
    assert [text.split()[0] for text in events] == [ADAPTIVE, PARTITIONS]
