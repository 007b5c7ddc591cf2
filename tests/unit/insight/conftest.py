"""One lake of a gym for the tests of the tools."""

from __future__ import annotations

import pytest

from engage_spark.insight import Insight
from tests.support.gym import gym_insight, gym_lake
from tests.support.lake_without_spark import SmallLake


@pytest.fixture(scope="package")
def gym_tables(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    return gym_lake(tmp_path_factory.mktemp("gym"))


@pytest.fixture(scope="package")
def gym(gym_tables: SmallLake) -> Insight:
    return gym_insight(gym_tables.root)
