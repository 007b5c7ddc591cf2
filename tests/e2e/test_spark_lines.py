"""The package on every older line of Spark, each in an environment of its own: the same tests, and the same
tables of the demo.
"""

from __future__ import annotations

import pytest

from engage_spark.spark.versions import DEFAULT, LINES
from tests.support.spark_lines import check


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("line", [name for name in LINES if name != DEFAULT.line])
def test_another_spark_makes_the_same_tables(line: str) -> None:
    assert check([line])
