"""The command line without Spark: pipelines are stand-ins that record what they were given."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from engage_spark import log
from engage_spark.cli import main
from engage_spark.errors import GateError, TransientError
from engage_spark.pipelines.results import Report
from engage_spark.settings import Settings
from engage_spark.spark import session

REPORT = Report(
    stage="ingest",
    seconds=12.34,
    lines=(("rows in", "10,000"), ("quarantined", "12 (0.12%)")),
    table=(("rule", "rows"), (("age_range", "7"), ("customer_id_null", "1,005"))),
    locations={
        "customers_judged": "engage-data/a/very/long/path/that/does/not/fit/into/eighty/columns/of/a/terminal/customers_judged"
    },
    notes=("column 'extra' is not declared",),
)


class Call:
    """What the pipeline was called with."""

    spark: Any = None
    settings: Settings
    arguments: dict[str, Any]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Stand-ins for the session and for every pipeline; `result` of the call is returned or raised."""
    seen = Call()

    @contextmanager
    def opened(_: Settings) -> Iterator[str]:
        yield "a session"

    def run(spark: Any, settings: Settings, **arguments: Any) -> Report:
        seen.spark, seen.settings, seen.arguments = spark, settings, arguments
        outcome = getattr(seen, "outcome", REPORT)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(session, "open_session", opened)
    for name in ("demo", "synth", "ingest.run", "features", "graph.run"):
        module = types.ModuleType(name)
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"engage_spark.pipelines.{name}", module)
    return seen


def code(*argv: str) -> int:
    try:
        main(argv)
    except SystemExit as e:
        assert isinstance(e.code, int)
        assert e.code != 0, "success returns, it does not exit"
        return e.code
    return 0


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("--help") == 0
    said = capsys.readouterr().out
    for command in ("demo", "synth", "ingest", "features", "graph", "doctor", "contract"):
        assert f"  {command} " in said
    assert code() == 0, "no command: help"


def test_options_reach_settings_and_pipeline(call: Call) -> None:
    assert (
        code(
            "ingest",
            "--input",
            "s3a://b/raw",
            "--snapshot-date",
            "2025-10-21",
            "--force",
            "--set",
            "ingest.format=csv",
        )
        == 0
    )
    assert call.settings.input.root == "s3a://b/raw"
    assert call.settings.ingest.format == "csv"
    assert call.arguments["snapshot_date"] == date(2025, 10, 21)
    assert call.arguments["force"] is True
    assert call.arguments["contract"].entity.name == "customers"
    assert (
        code("synth", "--customers", "7", "--snapshots", "2", "--seed", "3", "--out", "there", "--faults")
        == 0
    )
    assert call.settings.synth.model_dump(exclude={"end_date"}) == {
        "customers": 7,
        "snapshots": 2,
        "seed": 3,
        "faults": True,
        "out": "there",
    }
    assert code("demo", "--customers", "9") == 0
    assert call.settings.synth.customers == 9
    assert code("features") == 0
    assert call.arguments["snapshot_date"] is None
    assert code("graph", "--method", "exact", "--snapshot-date", "2025-10-21") == 0
    assert call.settings.graph.method == "exact"
    assert call.arguments["snapshot_date"] == date(2025, 10, 21)


@pytest.mark.parametrize(
    "argv", [("--env", "s3", "features"), ("features", "--env", "s3"), ("features", "--env=s3")]
)
def test_global_options_stand_before_or_after_the_command(call: Call, argv: tuple[str, ...]) -> None:
    assert code(*argv) == 0
    assert call.settings.input.root == "s3a://engagement-prediction-raw-dev"


def test_summary_is_whole_when_piped(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("ingest") == 0
    out = capsys.readouterr().out
    assert "ingest  12.3 s" in out
    assert REPORT.locations["customers_judged"] in out, "a path is never wrapped or cut"
    assert "note: column 'extra' is not declared" in out
    assert "\x1b" not in out
    age, ids = (line for line in out.splitlines() if "age_range" in line or "customer_id_null" in line)
    assert age.rstrip().endswith("    7")
    assert len(age.rstrip()) == len(ids.rstrip()), "figures are set right"


def test_several_reports_are_shown_in_turn(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call.outcome = [Report(stage="synth", seconds=1), REPORT]  # type: ignore[attr-defined]
    assert code("demo") == 0
    out = capsys.readouterr().out
    assert out.index("synth  1.0 s") < out.index("ingest  12.3 s")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            GateError(
                "snapshot 2025-10-21 is rejected", hint="see quality_results", details=["completeness 91%"]
            ),
            3,
        ),
        (TransientError("storage"), 4),
    ],
    ids=["gate", "transient"],
)
def test_a_failure_told_on_purpose_has_its_exit_code(
    call: Call, capsys: pytest.CaptureFixture[str], failure: Exception, expected: int
) -> None:
    call.outcome = failure  # type: ignore[attr-defined]
    assert code("ingest") == expected
    said = capsys.readouterr()
    assert f"error: {failure.message}" in said.err  # type: ignore[attr-defined]
    assert "Traceback" not in said.err
    assert said.out == ""


def test_gate_details_and_mend_are_shown(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call.outcome = GateError("rejected", hint="look", details=["completeness 91%"])  # type: ignore[attr-defined]
    assert code("ingest") == 3
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "error: rejected",
        "  - completeness 91%",
        "Hint: look",
    ]


def test_what_is_unexpected_keeps_its_traceback(call: Call) -> None:
    call.outcome = ZeroDivisionError("x")  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError) as caught:
        main(["ingest"])
    assert "engage-spark doctor" in caught.value.__notes__[0]


def test_ctrl_c_ends_with_130(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call.outcome = KeyboardInterrupt()  # type: ignore[attr-defined]
    assert code("ingest") == 130
    assert "run the command again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("ingest", "--snapshot-date", "21.10.2025"), "is not a day"),
        (("ingest", "--set", "lake.rot=x"), "did you mean root?"),
        (("ingest", "--env", "nowhere"), "no environment 'nowhere'"),
        (("ingest", "--bad"), "No such option"),
        (("frobnicate",), "No such command"),
        (("contract", "lint", "--contract", "not-there.yaml"), "not-there.yaml"),
        (("synth", "--customers", "0"), "synth.customers"),
    ],
)
def test_bad_usage_ends_with_2_and_says_why(
    call: Call, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
) -> None:
    assert code(*argv) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_print_config_shows_the_merged_settings_without_secrets_and_runs_nothing(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        code(
            "ingest",
            "--input",
            "here",
            "--print-config",
            "--set",
            "s3.access_key=hush",
            "--set",
            "s3.secret_key=hush",
        )
        == 0
    )
    out = capsys.readouterr().out
    shown = yaml.safe_load(out)
    assert (shown["input"]["root"], shown["s3"]["secret_key"]) == ("here", "***")
    assert "hush" not in out
    assert call.spark is None
    assert code("--print-config") == 0


def test_json_logs_are_one_object_a_line(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("ingest", "--json-logs") == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["event"] == "starting Spark"
    assert set(lines[-1]) >= {"level", "timestamp", "seconds"}


def test_progress_lines_are_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(json_lines=False, level="info")
    with log.stage("judging customers", rows=10_000):
        pass
    with pytest.raises(OSError, match="gone"), log.stage("writing"):
        raise OSError("gone")
    done, failed = capsys.readouterr().err.splitlines()
    assert done == "judging customers  0.0 s  rows=10,000"
    assert failed == "writing: failed  0.0 s"


def test_contract_commands_need_no_spark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("contract", "show") == 0
    assert "customer_features" in capsys.readouterr().out
    assert code("contract", "show", "customers") == 0
    shown = capsys.readouterr().out
    assert "days_since_last_login" in shown or "last_login_days_ago" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert code("contract", "lint") == 0
    assert "no violations" in capsys.readouterr().out
    assert code("contract", "docs", "--out", str(tmp_path / "docs" / "dictionary.md")) == 0
    assert (tmp_path / "docs" / "dictionary.md").read_text().startswith("# ")


def test_an_unknown_table_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("contract", "show", "custmers") == 2
    assert "customers" in capsys.readouterr().err
