"""The package on every older line of Spark, each in an environment of its own: the same tests, and the same
tables of the demo.
"""

from __future__ import annotations

import pytest

from engage_spark.spark.versions import DEFAULT, LINES
from tests.support.spark_lines import check, run_tests

OLDEST = next(iter(LINES.values()))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sessions_types_and_substitutes_hold_on_the_oldest_spark() -> None:
    ran = run_tests(OLDEST)
    assert ran.code == 0, ran.transcript


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("line", [name for name in LINES if name != DEFAULT.line])
def test_another_spark_makes_the_same_tables(line: str) -> None:
    assert check([line])
