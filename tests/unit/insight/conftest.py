"""One lake of a gym for the tests of the tools."""

from __future__ import annotations

import pytest

from engage_spark.insight import Insight
from tests.support.gym import gym_insight, gym_lake


@pytest.fixture(scope="package")
def gym(tmp_path_factory: pytest.TempPathFactory) -> Insight:
    root = tmp_path_factory.mktemp("gym")
    gym_lake(root)
    return gym_insight(root)
