"""Sessions that hide or refuse options."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engage_spark.errors import ConfigurationError
from engage_spark.spark.guarantees import (
    GUARANTEES,
    STRICT_READS,
    is_available,
    require_guarantees,
    session_option,
    set_guarantees,
)
from tests.support.paths import ROOT


class Conf:
    """Options of a session, of which some are not available."""

    def __init__(
        self, hidden: set[str], message: str = "[CONFIG_NOT_AVAILABLE] Configuration is not there"
    ) -> None:
        self.values = {"spark.sql.ansi.enabled": "false"}
        self.hidden, self.message = hidden, message

    def get(self, key: str, default: Any) -> Any:
        if key in self.hidden:
            raise RuntimeError(self.message)
        return self.values.get(key, default)

    def set(self, key: str, value: str) -> None:
        self.get(key, None)
        self.values[key] = value

    def unset(self, key: str) -> None:
        del self.values[key]


OF_FILES = {f"spark.sql.files.{name}" for name in STRICT_READS}


def session(conf: Conf) -> Any:
    return cast(Any, SimpleNamespace(conf=conf))


def test_a_session_without_the_options_of_files_is_taken_and_the_others_are_set() -> None:
    assert GUARANTEES.keys() > OF_FILES
    spark = session(Conf(OF_FILES))
    assert set(set_guarantees(spark)) == GUARANTEES.keys() - OF_FILES
    assert set(spark.conf.values) == GUARANTEES.keys() - OF_FILES
    require_guarantees(spark, "a check")
    assert not is_available(spark, min(OF_FILES)) and session_option(spark, min(OF_FILES)) is None


def test_a_session_that_hides_another_option_is_refused() -> None:
    spark = session(Conf({"spark.sql.session.timeZone"}))
    with pytest.raises(ConfigurationError, match="cannot give what this package guarantees") as refused:
        set_guarantees(spark)
    assert "spark.sql.session.timeZone" in refused.value.details[0]
    with pytest.raises(ConfigurationError):
        require_guarantees(spark, "a check")


def test_another_failure_of_an_option_is_not_taken_for_that() -> None:
    with pytest.raises(RuntimeError, match="server is gone"):
        set_guarantees(session(Conf(OF_FILES, "the server is gone")))


READER = re.compile(r"(?:spark|sparkSession)\.read(\..{0,60})")
STRICT = re.compile(r"\.options\(\*\*(STRICT_READS|options|_csv_options\(delimiter,null\))[,)]")


def readers(text: str) -> list[str]:
    """Return what follows each `spark.read` in a module."""
    return READER.findall(re.sub(r"\s+", "", text))


def lenient(text: str) -> list[str]:
    """Return the readers of files in a module that do not say that a lost file fails."""
    return [call for call in readers(text) if not (STRICT.match(call) or call.startswith('.format("delta")'))]


def test_each_reader_of_files_but_deltas_says_that_a_lost_file_fails() -> None:
    modules = {str(path): path.read_text() for path in (ROOT / "engage_spark").rglob("*.py")}
    assert {path: found for path, text in modules.items() if (found := lenient(text))} == {}
    assert sum(len(readers(text)) for text in modules.values()) > 15
    for path in ("lake/any_format.py", "lake/read_inputs.py"):
        assert "        **STRICT_READS,\n" in modules[str(ROOT / "engage_spark" / path)], "among its options"


@pytest.mark.parametrize(
    "text",
    ["spark.read.parquet(p)", "rows.sparkSession.read.schema(s).text(p)", "spark.read\n    .options(a='b')"],
)
def test_a_reader_that_does_not_is_seen(text: str) -> None:
    assert lenient(text)
