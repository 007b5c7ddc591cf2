"""One Spark session for all tests of a run, classic or Connect; unit tests never ask for it, so they start no
JVM.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engage_spark.settings import LakeSettings, Settings, SparkSettings
from tests.support.examples import register_profiles
from tests.support.mlflow_files import copied_files
from tests.support.short_sessions import WITHOUT_CODE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest_plugins = ["tests.support.watchdog"]

# `collect` hands timestamps over in the zone of the Python process; the tests compare them with UTC literals.
os.environ["TZ"] = "UTC"
time.tzset()

TEST_CONF = {
    # One garbage collector thread: two cores are shared with Python. The compiler is left as it is: stopping
    # it at its first tier makes the first write quicker, but after some twenty of them the optimised code has
    # made up for it (0.7 against 1.2 s for a tiny read).
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:-DontCompileHugeMethods -Xss4m",
    "spark.default.parallelism": "2",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--spark",
        choices=("classic", "connect", "connect-all"),
        default="classic",
        help="the session of Spark tests; connect: for the tests marked so, connect-all: for every test",
    )


def pytest_configure(config: pytest.Config) -> None:
    register_profiles()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On Connect, only what can differ there from a classic session, unless all are asked for."""
    if config.getoption("--spark") == "connect":
        rest = [item for item in items if not item.get_closest_marker("connect")]
        items[:] = [item for item in items if item.get_closest_marker("connect")]
        config.hook.pytest_deselected(items=rest)


def pytest_report_header(config: pytest.Config) -> str:
    return f"spark session: {config.getoption('--spark')}"


@pytest.fixture(scope="session", autouse=True)
def _one_set_up_of_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow's sqlite files are copies of one that is set up where the first is needed."""
    with copied_files(tmp_path_factory.mktemp("mlflow")):
        yield


@pytest.fixture(scope="session")
def spark_kind(request: pytest.FixtureRequest) -> str:
    """`classic` or `connect`."""
    return str(request.config.getoption("--spark")).removesuffix("-all")


@pytest.fixture(scope="session")
def session_settings(spark_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the shared session; its lake is not for use, ask for `settings` instead."""
    where = {"remote": "local[2]"} if spark_kind == "connect" else {"master": "local[2]"}
    code = {} if spark_kind == "connect" else WITHOUT_CODE  # the tests take a sixth less
    home = tmp_path_factory.mktemp("session")
    return Settings(
        lake=LakeSettings(root=str(home / "lake")),
        spark=SparkSettings(
            **where,
            driver_memory="2g",
            shuffle_partitions=2,
            conf=TEST_CONF | code | {"spark.local.dir": str(home / "local")},
        ),
    )


@pytest.fixture(scope="session")
def spark(session_settings: Settings) -> Iterator[SparkSession]:
    from engage_spark.spark.session import open_session

    with open_session(session_settings) as session:
        yield session


@pytest.fixture
def settings(session_settings: Settings, tmp_path: Path) -> Settings:
    """Settings whose input and lake lie in this test's own directory."""
    raw, lake = str(tmp_path / "raw"), str(tmp_path / "lake")
    return Settings(
        input={"root": raw},
        lake={"root": lake},
        synth={"out": raw, "customers": 200},
        spark=session_settings.spark,
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real graphs and tables; tests that need it skip where it is absent."""
    path = Path(os.environ.get("ENGAGE_SPARK_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"the real data are not here ({path}); set ENGAGE_SPARK_TEST_DATA")
    return path


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own ENGAGE_SPARK variables must not decide a test."""
    for name in [n for n in os.environ if n.startswith("ENGAGE_SPARK")]:
        monkeypatch.delenv(name)
