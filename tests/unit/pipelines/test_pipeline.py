"""Order, skipping, failures and exit codes of the pipeline, with stages that are stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from types import SimpleNamespace

import pytest

from engage_spark.cli.render import summaries
from engage_spark.contract import Contract, load_contract
from engage_spark.errors import (
    ConfigurationError,
    EngageError,
    GateError,
    InputError,
    NoChampionError,
    NotDeliveredError,
    NotPublishedError,
    TransientError,
)
from engage_spark.pipelines import pipeline
from engage_spark.pipelines.nothing_to_do import STAGES, stages_to_run
from engage_spark.pipelines.pipeline import (
    PipelineStage,
    _plan,
    _ranges,
    run_stages,
)
from engage_spark.pipelines.results import (
    FeaturesResult,
    IngestResult,
    Note,
    PipelineResult,
    PipelineStep,
    StageResult,
    StepOutcome,
)
from engage_spark.settings import load_settings
from tests.support.deliveries import BIKES
from tests.support.paths import DATA

FIRST, SECOND, THIRD = DAYS = tuple(date(2025, 10, day) for day in (21, 22, 23))
DONE, ALREADY, REJECTED, FAILED, NOT_YET, NOT_RUN, NOT_DELIVERED = StepOutcome
Failures = dict[tuple[str, date | None], EngageError]


class Stages:
    """Stand-ins for ingest, logs, features, train and score, of which some fail."""

    def __init__(
        self, failures: Failures | None = None, *, without: dict[tuple[str, date | None], Note] | None = None
    ) -> None:
        self.failures, self.without = failures or {}, without or {}
        self.calls: list[tuple[str, date | None]] = []
        self.stages = [
            PipelineStage(name="ingest", run=self.stage("ingest")),
            PipelineStage(name="logs", run=self.stage("logs"), by_day=False),
            PipelineStage(name="features", run=self.stage("features"), needs=("ingest",)),
            PipelineStage(name="train", run=self.stage("train"), by_day=False, needs=("ingest", "features")),
            PipelineStage(
                name="score",
                run=self.stage("score"),
                needs=("ingest", "features"),
                waits_on=(NoChampionError,),
            ),
        ]

    def stage(self, name: str) -> Callable[[date | None], StageResult]:
        def run(day: date | None) -> StageResult:
            self.calls.append((name, day))
            if failure := self.failures.get((name, day)):
                raise failure
            if note := self.without.get((name, day)):
                return without_work(note)
            return StageResult(stage=name, seconds=1.0)

        return run

    def run(self, *, keep_going: bool = False) -> dict[tuple[str, date | None], PipelineStep]:
        steps, self.errors = run_stages(self.stages, DAYS, keep_going=keep_going)
        by_name = {(s.stage, s.snapshot_date): s for s in steps}
        assert len(by_name) == len(steps) == 11, "every stage and day is in the result, once"
        return by_name

    def outcomes(self, *, keep_going: bool = False) -> dict[str, list[StepOutcome]]:
        steps = self.run(keep_going=keep_going)
        return {s.name: [steps[s.name, d].outcome for d in _days(s)] for s in self.stages}


def without_work(*notes: Note) -> IngestResult:
    return IngestResult(
        stage="ingest", seconds=1, notes=notes, snapshots=(), rows_in=0, valid=0, quarantined=0
    )


def _days(stage: PipelineStage) -> tuple[date | None, ...]:
    return DAYS if stage.by_day else (None,)


def test_stages_run_in_order_each_over_the_days_in_order() -> None:
    stages = Stages()
    assert {o for row in stages.outcomes().values() for o in row} == {DONE}
    assert stages.calls == [(s.name, d) for s in stages.stages for d in _days(s)]
    assert stages.errors == ()


@pytest.mark.parametrize("error", [GateError("rejected"), InputError("cut off")], ids=["gate", "unreadable"])
def test_a_day_that_does_not_come_in_ends_the_range(error: EngageError) -> None:
    stages = Stages({("ingest", SECOND): error})
    outcome = REJECTED if error.exit_code == 3 else FAILED
    assert stages.outcomes() == {
        "ingest": [DONE, outcome, NOT_RUN],
        "logs": [DONE],
        "features": [DONE, NOT_RUN, NOT_RUN],
        "train": [DONE],
        "score": [DONE, NOT_RUN, NOT_RUN],
    }
    assert stages.errors == (error,)


def test_with_keep_going_the_other_days_are_finished() -> None:
    assert Stages({("ingest", SECOND): GateError("rejected")}).outcomes(keep_going=True) == {
        "ingest": [DONE, REJECTED, DONE],
        "logs": [DONE],
        "features": [DONE, NOT_RUN, DONE],
        "train": [DONE],
        "score": [DONE, NOT_RUN, DONE],
    }


def test_nothing_runs_where_no_day_came_in() -> None:
    stages = Stages({("ingest", FIRST): GateError("rejected")})
    outcomes = stages.outcomes()
    assert outcomes.pop("ingest") == [REJECTED, NOT_RUN, NOT_RUN]
    assert {o for row in outcomes.values() for o in row} == {NOT_RUN}
    assert stages.calls == [("ingest", FIRST)]


def test_a_failure_ends_the_pipeline_and_says_what_was_not_run() -> None:
    stages = Stages({("features", SECOND): ConfigurationError("will not fit")})
    outcomes = stages.outcomes()
    assert outcomes["features"] == [DONE, FAILED, NOT_RUN]
    assert (outcomes["train"], outcomes["score"]) == ([NOT_RUN], [NOT_RUN] * 3)


def test_a_day_whose_features_failed_is_not_scored() -> None:
    outcomes = Stages({("features", SECOND): ConfigurationError("will not fit")}).outcomes(keep_going=True)
    assert (outcomes["features"], outcomes["score"]) == ([DONE, FAILED, DONE], [DONE, NOT_RUN, DONE])


@pytest.mark.parametrize("keep_going", [False, True])
def test_what_waiting_may_cure_ends_the_pipeline_in_any_case(keep_going: bool) -> None:
    stages = Stages({("features", FIRST): TransientError("storage")})
    assert stages.outcomes(keep_going=keep_going)["features"] == [FAILED, NOT_RUN, NOT_RUN]


def test_a_gate_of_a_model_holds_up_no_other_stage() -> None:
    stages = Stages({("train", None): GateError("leak")})
    assert stages.outcomes()["score"] == [DONE] * 3
    assert [e.exit_code for e in stages.errors] == [3]


def test_a_stage_whose_time_has_not_come_fails_nothing() -> None:
    stages = Stages({("score", day): NoChampionError("no champion") for day in DAYS})
    steps = stages.run()
    assert [steps["score", d].outcome for d in DAYS] == [NOT_YET] * 3
    assert steps["score", FIRST].message == "no champion"
    assert stages.errors == ()


def test_what_lacks_because_of_a_failure_is_not_a_failure_of_its_own() -> None:
    stages = Stages(
        {("ingest", SECOND): GateError("rejected"), ("train", None): NotPublishedError("no snapshot")}
    )
    assert stages.outcomes()["train"] == [NOT_RUN]
    assert [e.exit_code for e in stages.errors] == [3]
    alone = Stages({("train", None): NotPublishedError("no snapshot")})
    assert alone.outcomes()["train"] == [FAILED]


def test_a_day_that_is_not_whole_waits_and_so_do_the_logs() -> None:
    part = Note("DeliveryNotWhole", {"delivery": "stations", "reason": "no _SUCCESS lies beside it"})
    stages = Stages(without={("ingest", SECOND): part})
    steps = stages.run()
    assert {name: [steps[name, d].outcome for d in DAYS] for name in ("ingest", "features", "score")} == {
        "ingest": [DONE, NOT_YET, NOT_RUN],
        "features": [DONE, NOT_RUN, NOT_RUN],
        "score": [DONE, NOT_RUN, NOT_RUN],
    }
    assert (steps["logs", None].outcome, steps["train", None].outcome) == (NOT_YET, DONE)
    assert steps["ingest", SECOND].message == "no _SUCCESS lies beside it"
    assert steps["logs", None].message == "a snapshot beside it is not whole"
    assert stages.errors == () and ("logs", None) not in stages.calls
    going_on = Stages(without={("ingest", SECOND): part}).outcomes(keep_going=True)
    assert going_on["features"] == [DONE, NOT_RUN, DONE]


def test_what_lacks_because_of_what_has_not_come_is_not_a_failure() -> None:
    failures: Failures = {("train", None): NotPublishedError("no day has all"), **{
        ("features", day): NotPublishedError("no event is published") for day in DAYS}}  # fmt: skip
    stages = Stages(failures)
    stages.stages[2] = PipelineStage(
        name="features", run=stages.stage("features"), needs=("ingest",), waits_on=(NotPublishedError,)
    )
    assert stages.outcomes() == {
        "ingest": [DONE] * 3,
        "logs": [DONE],
        "features": [NOT_YET] * 3,
        "train": [NOT_RUN],
        "score": [NOT_RUN] * 3,
    }
    assert stages.errors == ()


def test_a_step_says_what_to_do() -> None:
    errors = (InputError("cut off", hint="deliver again"), NoChampionError("none", hint="train"))
    stages = Stages({("features", FIRST): errors[0], ("score", SECOND): errors[1]})
    steps = stages.run(keep_going=True)
    assert steps["features", FIRST].message == "cut off; deliver again"
    assert steps["score", SECOND].message == "none; train"


@pytest.mark.parametrize(
    ("values", "contract", "needs"),
    [
        ("measured", load_contract(), ("ingest", "features", "graph")),
        ("given", load_contract(), ("ingest", "features")),
        ("measured", BIKES, ("ingest", "features")),
    ],
    ids=["measured", "given", "no graph"],
)
def test_models_need_the_graph_where_its_values_are_measured(
    values: str, contract: Contract, needs: tuple[str, ...]
) -> None:
    settings = load_settings(overrides=[f"features.graph_values={values}"])
    plan = _plan(None, settings, contract, STAGES, delivered=DAYS, as_of=None)  # type: ignore[arg-type]
    by_name = {s.name: s for s in plan}
    assert by_name["score"].needs == by_name["train"].needs == needs
    assert NotPublishedError in by_name["graph"].waits_on


@pytest.mark.parametrize(("first", "last", "asked"), [(FIRST, FIRST, FIRST), (FIRST, THIRD, None)])
def test_what_is_published_goes_on_without_its_delivery(
    monkeypatch: pytest.MonkeyPatch, first: date, last: date, asked: date | None
) -> None:
    days: list[date | None] = []

    def archived(*_: object, snapshot_date: date | None, **__: object) -> tuple[date, ...]:
        days.append(snapshot_date)
        raise NotDeliveredError.at("/raw/stations")

    published = SimpleNamespace(published_days=lambda _: {FIRST: None, SECOND: None})
    context = SimpleNamespace(log=SimpleNamespace(publication=lambda _: published))
    monkeypatch.setattr(pipeline, "RunContext", lambda *_: context)
    monkeypatch.setattr(pipeline, "delivered_days", archived)
    stages = [
        PipelineStage(name="ingest", run=Stages().stage("ingest"), days=()),
        PipelineStage(name="features", run=Stages().stage("features"), needs=("ingest",)),
    ]
    monkeypatch.setattr(pipeline, "_plan", lambda *_, **__: stages)
    result = pipeline.run_pipeline(
        None,  # type: ignore[arg-type]
        load_settings(),
        contract=BIKES,
        first=first,
        last=last,
    )
    assert {s.outcome for s in result.steps if s.stage == "features"} == {DONE}
    assert {s.outcome for s in result.steps if s.stage == "ingest"} == {NOT_DELIVERED}
    assert days == [asked], "undated files are of the one day that is asked for"


def test_an_unexpected_exception_is_not_swallowed() -> None:
    stages = Stages()
    stages.stages[0] = PipelineStage(name="ingest", run=lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError):
        stages.run()


@pytest.mark.parametrize(
    ("result", "outcome", "n_errors"),
    [
        (FeaturesResult(stage="features", seconds=1, snapshots=(), rows=0), ALREADY, 0),
        (("SnapshotUpToDate",), ALREADY, 0),
        (("LogUpToDate", "LogNotDelivered"), ALREADY, 0),
        (("LogNotDelivered",), NOT_DELIVERED, 0),
        ((), NOT_DELIVERED, 0),
        (("LogWithoutKeys",), NOT_YET, 0),
        (("SnapshotRejectedBefore",), REJECTED, 1),
    ],
    ids=["features", "snapshot", "one of two logs", "no log", "one file", "no keys", "rejected before"],
)
def test_a_stage_that_did_nothing_says_why(
    result: StageResult | tuple[str, ...], outcome: StepOutcome, n_errors: int
) -> None:
    if isinstance(result, tuple):
        notes = tuple(Note(code, {"message": "a gate"}) for code in result)
        result = without_work(*notes)
    shown: list[StageResult] = []
    stage = PipelineStage(name="ingest", run=lambda _: result)
    (step,), errors = run_stages([stage], [FIRST], on_result=shown.append)
    assert (step.outcome, len(errors), shown) == (outcome, n_errors, [])
    assert step.exit_code == (3 if n_errors else 0)


def test_a_day_that_is_published_but_not_delivered_goes_on() -> None:
    stages = Stages()
    stages.stages[0] = PipelineStage(name="ingest", run=stages.stage("ingest"), days=[FIRST, THIRD])
    outcomes = stages.outcomes()
    assert outcomes["ingest"] == [DONE, NOT_DELIVERED, DONE]
    assert outcomes["score"] == [DONE] * 3


def test_only_stages_that_the_contract_has_something_for_run_unasked() -> None:
    contract = load_contract()
    assert stages_to_run(contract, ()) == STAGES
    assert "graph" not in stages_to_run(BIKES, ())
    without_target = load_contract(DATA / "chess.odcs.yaml")
    assert not {"monitor", "train", "score"}.intersection(stages_to_run(without_target, ()))
    assert stages_to_run(contract, ("score", "ingest")) == ("ingest", "score")
    with pytest.raises(ConfigurationError, match="no stage scoer"):
        stages_to_run(contract, ("scoer",))


def test_days_that_follow_each_other_are_named_as_one() -> None:
    days = {date(2025, 10, d) for d in (1, 2, 3, 5, 8, 9)}
    assert list(_ranges(days)) == ["2025-10-01 to 2025-10-03", "2025-10-05", "2025-10-08 to 2025-10-09"]
    assert list(_ranges(set())) == []


def test_the_summary_is_a_table_of_days_and_stages() -> None:
    stages = Stages({("ingest", SECOND): GateError("1 snapshot rejected")})
    steps, _ = run_stages(stages.stages, DAYS)
    (summary,) = summaries(
        PipelineResult(
            stage="pipeline",
            seconds=3.0,
            days=DAYS,
            steps=steps,
            notes=(Note("DaysWithoutDelivery", {"days": ("2025-10-24",)}),),
        )
    )
    assert summary.lines == (("logs", "done, 0.0 s"), ("train", "done, 0.0 s"))
    assert summary.table == (
        ("snapshot", "ingest", "features", "score"),
        (
            ("2025-10-21", "0.0 s", "0.0 s", "0.0 s"),
            ("2025-10-22", "rejected", "not run", "not run"),
            ("2025-10-23", "not run", "not run", "not run"),
        ),
    )
    assert summary.notes == (
        "neither delivered nor published: 2025-10-24",
        "ingest of 2025-10-22: rejected: 1 snapshot rejected",
    )
