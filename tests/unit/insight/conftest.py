"""One lake of a gym for the tests of the tools."""

from __future__ import annotations

import pytest

from engage_spark.contract import load_contract
from engage_spark.insight import Insight
from engage_spark.reader import open_lake
from tests.support.counted_lake import NEWEST, counted_lake, made_customers, predict
from tests.support.gym import gym_insight, gym_lake
from tests.support.lake_without_spark import SmallLake


@pytest.fixture(scope="package")
def gym_tables(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    return gym_lake(tmp_path_factory.mktemp("gym"))


@pytest.fixture(scope="package")
def gym(gym_tables: SmallLake) -> Insight:
    return gym_insight(gym_tables.root)


@pytest.fixture(scope="package")
def own_insight(tmp_path_factory: pytest.TempPathFactory) -> Insight:
    """The tools of a small lake of the packaged contract, in which no model was monitored."""
    root, contract = tmp_path_factory.mktemp("own"), load_contract()
    customers = made_customers(contract, 400)
    lake = counted_lake(root, contract, {NEWEST: customers})
    predict(lake, NEWEST, customers, target=contract.targets[0].name)
    return Insight(open_lake(root, contract=contract))
