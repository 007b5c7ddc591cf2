"""The command line without Spark: pipelines are stand-ins that record what they were given."""

from __future__ import annotations

import json
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from py4j.protocol import Py4JError

from engage_spark import doctor, log
from engage_spark.cli import common, main
from engage_spark.cli.app import app
from engage_spark.errors import EngageError, GateError, NoChampionError, TransientError
from engage_spark.pipelines.results import (
    DemoResult,
    FeaturesResult,
    IngestedSnapshot,
    IngestResult,
    Note,
    StageResult,
)
from engage_spark.settings import Settings
from engage_spark.spark import session
from tests.support.paths import DATA

SNAPSHOT = IngestedSnapshot(
    table="customers",
    snapshot_date=date(2025, 10, 21),
    run_id="0" * 32,
    status="published",
    rows_in=10_000,
    valid=9_988,
    quarantined=12,
    seconds=3.5,
)
RESULT = IngestResult(
    stage="ingest",
    seconds=12.34,
    locations={
        "customers_judged": "engage-data/a/long/path/that/does/not/fit/into/eighty/columns/customers_judged"
    },
    notes=(Note("LogUpToDate", {"table": "connections"}),),
    snapshots=(SNAPSHOT, replace(SNAPSHOT, snapshot_date=date(2025, 10, 22), quarantined=1_005)),
    rows_in=20_000,
    valid=18_983,
    quarantined=1_017,
)
PIPELINES = {
    "demo": "run_demo",
    "synth": "run_synth",
    "ingest.run": "run_ingest",
    "ingest.stream": "run_ingest_stream",
    "features": "run_features",
    "graph.run": "run_graph",
    "train.run": "run_train",
    "score": "run_score",
    "monitor.run": "run_monitor",
    "analyze.run": "run_analyze",
    "pipeline": "run_pipeline",
    "runs": "list_runs",
    "models": "list_models",
}
"""Module and function of the pipeline of every command that takes a session."""


class Call:
    """What the pipeline was called with, and what it does: return `outcome`, or raise it."""

    spark: Any = None
    settings: Settings
    arguments: dict[str, Any]
    outcome: StageResult | BaseException = RESULT


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Stand-ins for the session and for every pipeline."""
    seen = Call()

    @contextmanager
    def opened(_: Settings) -> Iterator[str]:
        yield "a session"

    def run(*given: Any, **arguments: Any) -> StageResult:
        seen.settings, seen.arguments = given[-1], arguments
        seen.spark = given[0] if len(given) > 1 else None
        if isinstance(seen.outcome, BaseException):
            raise seen.outcome
        for result in seen.outcome.stages if isinstance(seen.outcome, DemoResult) else ():
            arguments["on_result"](result)
        return seen.outcome

    monkeypatch.setattr(session, "open_session", opened)
    monkeypatch.setattr(common, "require_path", lambda *_, **__: None)
    for name, function in PIPELINES.items():
        module = types.ModuleType(name)
        setattr(module, function, run)
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


def test_lint_counts_what_is_left_to_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.odcs.yaml"
    text = (DATA / "garden.odcs.yaml").read_text(encoding="utf-8")
    path.write_text(
        text.replace('description: "', 'description: "TODO ') + "# TODO: a key\n", encoding="utf-8"
    )
    n_todos = 1 + text.count('description: "')
    assert code("contract", "lint", "--contract", str(path)) == 0
    assert f"no violations; {n_todos} TODO left" in capsys.readouterr().out
    assert code("contract", "lint", "--contract", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["todos"] == n_todos


def refuse_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every start of Spark an error of the test."""

    def opened(_: Settings) -> Any:
        raise AssertionError("a session was opened")

    monkeypatch.setattr(session, "open_session", opened)


@pytest.mark.parametrize(
    "command",
    [
        ("ingest", "--input", "{path}"),
        ("ingest", "--set", "input.root=file:{path}"),
        ("quality", "profile", "{path}"),
        ("contract", "new", "--from", "{path}", "--out", "{path}.yaml"),
        ("quality", "check", "{path}", "--suite", "{path}.json"),
    ],
)
def test_a_path_where_nothing_lies_is_told_before_spark_starts(
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refuse_sessions(monkeypatch)
    monkeypatch.setattr(session, "active_session", lambda: None)
    there, path = tmp_path / "there.csv", tmp_path / "nowhere.csv"
    assert code(*(word.format(path=path) for word in command)) == 2
    assert "there is no" in (said := capsys.readouterr().err)
    assert "nowhere.csv" in said
    assert ("--input" in said) == (command[0] == "ingest"), "the hint is of this command"
    there.write_text("a\n1\n", encoding="utf-8")
    if "--suite" not in command:
        with pytest.raises(AssertionError, match="a session was opened"):
            code(*(word.format(path=there) for word in command))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("train", "--target", "churn"), "'churn' is not a target"),
        (("score", "--target", "churn"), "'churn' is not a target"),
        (("monitor", "--target", "churn"), "'churn' is not a target"),
        (("pipeline", "--stages", "ingest,grph"), "there is no stage grph"),
    ],
)
def test_a_name_that_the_contract_lacks_is_refused_before_spark_starts(
    command: tuple[str, ...],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refuse_sessions(monkeypatch)
    assert code(*command) == 2
    assert text in capsys.readouterr().err


def test_a_wrong_value_of_an_option_is_not_blamed_on_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("graph", "--method", "fast") == 2
    assert "but is 'fast' (option of the command)" in capsys.readouterr().err
    assert code("graph", "--set", "graph.method=fast") == 2
    assert "but is 'fast' (--set)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("s3a://bucket/nowhere", {}),
        ("/nowhere", {"remote": "sc://example.org"}),
        ("/nowhere", {"master": "spark://example.org:7077"}),
        ("/nowhere", {"conf": {"spark.hadoop.fs.defaultFS": "hdfs://example.org"}}),
    ],
)
def test_a_path_of_elsewhere_is_left_to_spark(
    path: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Path] = []
    monkeypatch.setattr(session, "active_session", lambda: None)
    monkeypatch.setattr(Path, "exists", lambda p: bool(looked_at.append(p)))
    settings = Settings.model_validate({"spark": {"master": "local[1]", **more}})
    common.require_path(settings, path)
    assert looked_at == []


def registered_commands() -> set[str]:
    """Return the first words that the command line knows."""
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("--help") == 0
    output = capsys.readouterr().out
    commands = registered_commands()
    assert {"demo", "ingest", "doctor", "contract"} <= commands
    for command in commands:
        assert f"  {command} " in output
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


def test_options_reach_the_pipeline(call: Call) -> None:
    words = ("--from", "2025-10-21", "--to", "2025-10-23", "--stages", "ingest, features", "--keep-going")
    assert code("pipeline", *words) == 0
    given = {name: call.arguments[name] for name in ("first", "last", "stages", "as_of", "keep_going")}
    assert given == {
        "first": date(2025, 10, 21),
        "last": date(2025, 10, 23),
        "stages": ("ingest", "features"),
        "as_of": None,
        "keep_going": True,
    }
    assert code("pipeline", "--from", "21.10.2025") == 2


def test_a_stream_is_asked_for_once_or_at_an_interval(call: Call) -> None:
    assert code("ingest", "--stream", "--table", "interactions", "--table", "connections") == 0
    assert call.arguments["every"] is None
    assert call.arguments["tables"] == ["interactions", "connections"]
    for words, seconds in (("30s", 30), ("5 min", 300), ("1h", 3600)):
        assert code("ingest", "--stream", "--every", words) == 0
        assert (call.arguments["every"], call.arguments["tables"]) == (seconds, None)
    assert code("ingest", "--table", "customers") == 0
    assert (call.arguments["tables"], "every" in call.arguments) == (["customers"], False)


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_signal_lets_a_stream_end_its_batch_and_says_so(
    call: Call, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, exit_code: int
) -> None:
    before = signal.getsignal(number)

    def streamed(*_: Any, stop: threading.Event, **__: Any) -> StageResult:
        signal.raise_signal(number)
        assert stop.is_set()
        assert signal.getsignal(number) is before, "a second one acts at once"
        return RESULT

    module = types.ModuleType("stream")
    module.run_ingest_stream = streamed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engage_spark.pipelines.ingest.stream", module)
    assert code("ingest", "--stream", "--every", "1h") == exit_code
    assert signal.getsignal(number) is before


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
    assert RESULT.locations["customers_judged"] in out, "a path is never wrapped or cut"
    assert "note: connections: published before from the same files, left as it is" in out
    assert "\x1b" not in out
    first, second = (line for line in out.splitlines() if "2025-10-2" in line)
    assert first.index(" 12 ") == second.index("1,005") + 2, "figures are right-aligned"


def test_stages_of_the_demo_are_shown_in_turn(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    features = FeaturesResult(stage="features", seconds=1, snapshots=(), rows=0)
    call.outcome = DemoResult(stage="demo", seconds=13.3, stages=(RESULT, features))
    assert code("demo") == 0
    out = capsys.readouterr().out
    assert out.index("ingest  12.3 s") < out.index("features  1.0 s")


COMMANDS = [
    ("demo",),
    ("synth",),
    ("ingest",),
    ("features",),
    ("graph",),
    ("train",),
    ("score",),
    ("monitor",),
    ("analyze",),
    ("pipeline",),
    ("runs",),
    ("models",),
]


def test_every_command_with_a_pipeline_is_called_with_json_here() -> None:
    # tests/unit/cli, tests/unit/insight, tests/unit/reader and tests/unit/report run these
    without_stand_in = {"contract", "quality", "doctor", "tables", "sql", "insight", "ask", "report"}
    assert {argv[0] for argv in COMMANDS} == registered_commands() - without_stand_in
    assert {name.partition(".")[0] for name in PIPELINES} == {argv[0] for argv in COMMANDS}


def test_what_no_pipeline_translates_is_told_in_words(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call.outcome = Py4JError("An error occurred while calling o1.count: Premature end of Content-Length")
    assert code("features") == 4
    err = capsys.readouterr().err
    assert "error: the command did not end" in err and "Traceback" not in err


@pytest.mark.parametrize("argv", COMMANDS, ids="-".join)
def test_json_is_the_result_and_nothing_else(
    call: Call, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    assert code(*argv, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["rows_in"], printed["quarantined"]) == (20_000, 1_017)
    assert printed["snapshots"][0]["snapshot_date"] == "2025-10-21"
    assert printed["notes"] == [{"code": "LogUpToDate", "facts": {"table": "connections"}}]


def test_json_may_stand_before_the_command(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("--json", "ingest") == 0
    assert json.loads(capsys.readouterr().out)["stage"] == "ingest"


def test_json_of_a_demo_holds_every_stage_in_one_object(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    call.outcome = DemoResult(stage="demo", seconds=12.4, stages=(RESULT, RESULT))
    assert code("demo", "--json") == 0
    assert [s["rows_in"] for s in json.loads(capsys.readouterr().out)["stages"]] == [20_000, 20_000]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (GateError("rejected", hint="look", details=["completeness 91%"], result=RESULT), ("GateFailed", 3)),
        (NoChampionError("there is no champion", hint="train"), ("NoChampion", 2)),
        (TransientError("storage"), ("Transient", 4)),
    ],
    ids=["gate", "no champion", "transient"],
)
def test_json_of_a_failure_has_its_code_and_the_rejected_result(
    call: Call, capsys: pytest.CaptureFixture[str], failure: EngageError, expected: tuple[str, int]
) -> None:
    call.outcome = failure
    assert code("ingest", "--json") == expected[1]
    output = capsys.readouterr()
    printed = json.loads(output.out)
    assert printed["error"] == {
        "code": expected[0],
        "message": failure.message,
        "details": list(failure.details),
        "hint": failure.hint,
        "exit_code": expected[1],
    }
    assert ("result" in printed) == (expected[0] == "GateFailed")
    if "result" in printed:
        assert printed["result"]["rows_in"] == 20_000
    assert f"error: {failure.message}" in output.err, "people read it on standard error all the same"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("ingest", "--bad", "--json"), "No such option"),
        (("--json", "frobnicate"), "No such command"),
        (("ingest", "--snapshot-date", "21.10.2025", "--json"), "is not a day"),
        (("ingest", "--json", "--set"), "requires an argument"),
    ],
)
def test_json_of_bad_usage_is_one_error(
    call: Call, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], message: str
) -> None:
    assert code(*argv) == 2
    output = capsys.readouterr()
    error = json.loads(output.out)["error"]
    assert (error["code"], error["exit_code"]) == ("Usage", 2)
    assert message in error["message"]
    assert "--help" in error["hint"]
    assert message in output.err, "people read it on standard error all the same"


def test_json_as_the_value_of_an_option_is_that_value(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("synth", "--out", "--json") == 0
    assert call.settings.synth.out == "--json"
    assert capsys.readouterr().out.startswith("\ningest"), "the result is in words"
    assert code("ingest", "--set", "--json") == 2
    assert code("ingest", "--", "--json") == 2
    assert capsys.readouterr().out == "", "no JSON was asked for"
    assert code("contract", "show", "table", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"], "an argument may have the name of its parameter"


def test_a_rejected_result_is_shown_above_its_error(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call.outcome = GateError("rejected", result=RESULT)
    assert code("ingest") == 3
    output = capsys.readouterr()
    assert "20,000" in output.out
    assert "error: rejected" in output.err


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
    call.outcome = failure
    assert code("ingest") == expected
    output = capsys.readouterr()
    assert f"error: {failure.message}" in output.err  # type: ignore[attr-defined]
    assert "Traceback" not in output.err
    assert output.out == ""


def test_gate_details_and_mend_are_shown(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call.outcome = GateError("rejected", hint="look", details=["completeness 91%"])
    assert code("ingest") == 3
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "error: rejected",
        "  - completeness 91%",
        "Hint: look",
    ]


def test_what_is_unexpected_keeps_its_traceback(call: Call) -> None:
    call.outcome = ZeroDivisionError("x")
    with pytest.raises(ZeroDivisionError) as caught:
        main(["ingest"])
    assert "engage-spark doctor" in caught.value.__notes__[0]


def test_ctrl_c_ends_with_130(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call.outcome = KeyboardInterrupt()
    assert code("ingest") == 130
    assert "run the command again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("ingest", "--snapshot-date", "21.10.2025"), "is not a day"),
        (("ingest", "--snapshot-date", "0001-01-01"), "is not a day"),
        (("ingest", "--stream", "--every", "often"), "is no interval; write it as 30s"),
        (("ingest", "--stream", "--every", "0s"), "is no interval"),
        (("ingest", "--every", "1h"), "--every goes with --stream"),
        (("ingest", "--stream", "--force"), "leave out --snapshot-date and --force"),
        (("ingest", "--stream", "--snapshot-date", "2025-10-21"), "leave out --snapshot-date and --force"),
        (("features", "--snapshot-date", "9999-12-31"), "is not a day"),
        (("score", "--snapshot-date", "20251021"), "is not a day"),
        (("graph", "--snapshot-date", "2025-W43-2"), "is not a day"),
        (("train", "--as-of", "0001-01-01"), "is not a day"),
        (("synth", "--set", "synth.end_date=0001-01-01"), "synth.end_date"),
        (("quality", "drift", "--set", "quality.reference=9999-12-31"), "quality.reference"),
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


@pytest.mark.parametrize(
    "argv",
    [
        ("ingest", "https://u:hush4711@h/\x1b[2J"),
        ("quality", "suite", "token=hush4711\x1b]0;"),
        ("\x1b[2Jhttps://u:hush4711@h",),
    ],
)
def test_a_wrong_command_line_is_shown_without_its_secrets_and_escapes(
    call: Call, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    assert code(*argv) == 2
    printed = "".join(capsys.readouterr())
    assert "***" in printed
    assert "hush" not in printed
    assert "\x1b" not in printed


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


def test_help_lists_every_command_by_a_whole_clause(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for group in ((), ("contract",), ("quality",), ("models",), ("tables",), ("insight",)):
        assert code(*group, "--help") == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 80, shown
        commands = shown.split("Commands:")[1].split("\n\n")[0].strip().splitlines()
        assert not any("..." in line for line in commands), commands
        assert len(commands) >= 3


def test_json_logs_are_one_object_a_line(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("ingest", "--json-logs") == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["event"] == "starting Spark"
    assert set(lines[-1]) >= {"level", "timestamp", "seconds"}


def test_progress_lines_are_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(json_lines=False, level="info")
    with log.stage("checking customers", rows=10_000):
        pass
    with pytest.raises(OSError, match="gone"), log.stage("writing"):
        raise OSError("gone")
    done, failed = capsys.readouterr().err.splitlines()
    assert done == "checking customers  0.0 s  rows=10,000"
    assert failed == "writing: failed  0.0 s"


def test_contract_commands_need_no_spark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("contract", "show") == 0
    assert "customer_features" in capsys.readouterr().out
    assert code("contract", "show", "customers") == 0
    shown = capsys.readouterr().out
    assert "days_since_last_login" in shown or "last_login_days_ago" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert code("contract", "lint") == 0
    assert capsys.readouterr().out.endswith("no violations\n")
    assert code("contract", "docs", "--out", str(tmp_path / "docs" / "dictionary.md")) == 0
    assert (tmp_path / "docs" / "dictionary.md").read_text().startswith("# ")


def test_contract_commands_print_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*argv: str) -> Any:
        assert code("contract", *argv, "--json") == 0
        return json.loads(capsys.readouterr().out)

    assert "customer_features" in [t["name"] for t in printed("show")["tables"]]
    assert printed("show", "customers")["fields"][0]["field"] == "customer_id"
    assert printed("lint")["fields"] > 40
    assert printed("docs")["markdown"].startswith("# ")
    out = tmp_path / "dictionary.md"
    assert printed("docs", "--out", str(out)) == {"out": str(out)}
    assert out.read_text().startswith("# ")
    assert code("contract", "show", "custmers", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "Contract"


def test_merged_settings_print_as_json(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("ingest", "--input", "here", "--print-config", "--json") == 0
    assert json.loads(capsys.readouterr().out)["input"]["root"] == "here"


def test_doctor_prints_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checks = [doctor.Diagnosis("java", "ok", "17"), doctor.Diagnosis("jars", "fail", "missing", "fetch them")]
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: checks)
    assert code("doctor", "--json") == 2
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert printed["checks"][1] == {"name": "jars", "state": "fail", "text": "missing", "hint": "fetch them"}


def test_an_unknown_table_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("contract", "show", "custmers") == 2
    assert "customers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("contract", "command", "words"),
    [
        ("garden", "features", "nothing to derive: the contract declares no derived table"),
        ("garden", "graph", "nothing to measure: the contract declares no graph"),
        ("chess", "train", "nothing to train: the contract declares no target"),
        ("chess", "score", "nothing to score: the contract declares no target"),
        ("chess", "monitor", "nothing to judge: the contract declares no target"),
    ],
)
def test_a_stage_with_nothing_to_do_ends_well_and_before_spark_starts(
    contract: str,
    command: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(_: Settings) -> Any:
        raise AssertionError("no session is needed")

    monkeypatch.setattr(session, "open_session", refused)
    path = str(DATA / f"{contract}.odcs.yaml")
    assert code(command, "--contract", path) == 0
    assert words in " ".join(capsys.readouterr().out.split())
    assert code(command, "--contract", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["stage"] == command
