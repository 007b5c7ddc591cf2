"""What `engage-spark sql` writes of single values."""

from __future__ import annotations

import pytest

from engage_spark.cli.sql import _text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567.0, "1234567"),
        (98765432.1, "98765432"),
        (0.8123456, "0.812346"),
        (2495.03, "2495.03"),
        (1e21, "1e+21"),
    ],
)
def test_a_number_is_no_power_of_ten_where_people_can_read_it(value: float, text: str) -> None:
    assert _text(value) == text
