"""One lake with every table, and its page, for all tests of the report."""

from __future__ import annotations

import pytest

from engage_spark import open_lake
from engage_spark.contract import load_contract
from engage_spark.report import Report, build_report
from tests.support.analysed_lake import analysed_lake
from tests.support.lake_without_spark import SmallLake

HOSTILE = {
    "claim_00": "</script><script>alert(1)</script><!-- \u202eright to left\u202c \x1b[31m red",
    "Free": "'\"><img src=x onerror=alert(1)>",
    "long_absent": "<b>bold</b> & \u2028 line",
    "reason": "token=qzxwvyplmokn </style>",
}


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Two days, with hostile texts."""
    return analysed_lake(tmp_path_factory.mktemp("full"), load_contract(), days=2, names=HOSTILE)


@pytest.fixture(scope="session")
def page(full: SmallLake) -> Report:
    return build_report(open_lake(full.root))
