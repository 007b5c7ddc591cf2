"""A Spark Connect server that does not answer any more is asked for seconds."""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]
import pytest
from pyspark.sql.connect.client.retries import Retrying

from engage_spark.spark.connect_retries import PATIENCE, QUIET, retry_policy


class Unavailable(grpc.RpcError):  # type: ignore[misc]
    """What grpc raises where nobody listens."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def trailing_metadata(self) -> None:
        return None


class Clock:
    """A clock that goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def ask(policy: object, clock: Clock, *, answers_at: float = float("inf")) -> None:
    for attempt in Retrying(policy, sleep=clock.sleep):  # type: ignore[arg-type]
        with attempt:
            if clock.now < answers_at:
                raise Unavailable


def test_a_dead_server_is_asked_for_seconds_whatever_is_asked() -> None:
    clock = Clock()
    policy = retry_policy(clock)
    for _ in range(20):
        with pytest.raises(Unavailable):
            ask(policy, clock)
    assert PATIENCE <= clock.now - 1000 < PATIENCE + 3


def test_a_server_that_comes_back_goes_on() -> None:
    clock = Clock()
    policy = retry_policy(clock)
    for _ in range(6):
        answers_at = clock.now + 4
        ask(policy, clock, answers_at=answers_at)
        assert answers_at <= clock.now < answers_at + 3, "it was asked until it answered"
        clock.sleep(QUIET + 1)


def test_another_failure_is_not_retried() -> None:
    clock = Clock()
    assert not retry_policy(clock).can_retry(ValueError())
