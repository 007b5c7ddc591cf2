"""`engage-spark models` and the registry behind it, on a sqlite file; the models' files are stand-ins, since
none is loaded here.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engage_spark.cli import main
from engage_spark.contract import load_contract
from engage_spark.errors import ConfigurationError, GateError
from engage_spark.settings import TrackingSettings
from engage_spark.tracking import CHALLENGER, CHAMPION, ModelFacts, ModelVersion, Tracker

mlflow = pytest.importorskip("mlflow", reason="the ml extra is not installed")

TARGET = "lifetime_value_usd"
FACTS = ModelFacts(
    run_id="a" * 64,
    contract_id="shop",
    contract_digest="c" * 64,
    settings_digest="d" * 64,
    code_version="0.1.0",
    data={"customer_features": "12", "graph_features": "4"},
    candidate="gbt",
    policy="strict",
    metric="r2",
    value=0.8125,
    low=0.8046875,
    high=0.8203125,
    snapshots=("2025-09-20", "2025-09-21"),
)


def trained(tracker: Tracker, target: str = TARGET, **facts: Any) -> ModelVersion:
    trained_facts = replace(FACTS, **facts)
    with tracker.run(target, name=f"{target} {trained_facts.candidate}", params={"folds": 5}) as run:
        run.metrics({"test/r2": trained_facts.value, "test/rmse": 12.5})
        model = run.files / "model"
        model.mkdir()
        content = {
            "features": [["visits", "int"], ["plan", "string"]],
            "extras": {"threshold": 0.2},
            "facts": trained_facts.tags(),
        }
        (model / "engage.json").write_text(json.dumps(content))
        run.registration = {"name": target, "tags": trained_facts.tags()}
        run.tags(trained_facts.tags())
    return tracker.register(run)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sqlite file for all tests, since setting one up takes five seconds; every test has a prefix of its
    own.
    """
    return tmp_path_factory.mktemp("tracking") / "mlflow"


@pytest.fixture
def tracking(file: Path, request: pytest.FixtureRequest) -> TrackingSettings:
    return TrackingSettings(
        folder=str(file), prefix=f"{request.node.name.replace('[', '.').replace(']', '')}."
    )


@pytest.fixture
def tracker(tracking: TrackingSettings) -> Tracker:
    return Tracker(tracking)


def command(tracking: TrackingSettings, *words: str) -> None:
    main(
        [
            "models",
            *words,
            "--set",
            f"tracking.folder={tracking.folder}",
            "--set",
            f"tracking.prefix={tracking.prefix}",
        ]
    )


def test_a_version_knows_what_it_was_made_of(tracker: Tracker) -> None:
    made = trained(tracker)
    assert (made.version, made.target, made.aliases, made.failed_gates) == (1, TARGET, (), ())
    assert made.facts["data"] == "customer_features@12, graph_features@4"
    assert (made.facts["contract_digest"], made.facts["snapshots"]) == ("c" * 64, "2025-09-20, 2025-09-21")
    assert tracker.registry.versions(TARGET) == (made,)


def test_the_same_training_is_registered_once(tracker: Tracker) -> None:
    first = trained(tracker)
    assert trained(tracker) == first
    assert trained(tracker, run_id="b" * 64).version == 2
    assert [v.version for v in tracker.registry.versions(TARGET)] == [1, 2]


def test_there_is_one_champion_whoever_is_promoted(tracker: Tracker) -> None:
    first, second = trained(tracker), trained(tracker, run_id="b" * 64)
    tracker.promote(first, reasons={"promoted": "no champion before"})
    assert (
        CHALLENGER
        in tracker.challenge(second, reasons={"not_promoted": "gain 0.001 [-0.002, 0.004]"}).aliases
    )
    made = tracker.promote(second, reasons={"gain": "0.011 [0.004, 0.018]"})
    assert made.aliases == (CHAMPION,)
    assert (made.facts["gain"], made.facts["replaced"], "forced" in made.facts) == (
        "0.011 [0.004, 0.018]",
        "1",
        False,
    )
    assert [v.version for v in tracker.registry.versions(TARGET) if v.aliases] == [2]


def test_promoting_or_challenging_the_champion_again_changes_nothing(tracker: Tracker) -> None:
    made = tracker.promote(trained(tracker), reasons={"promoted": "no champion before"})
    assert tracker.promote(made, reasons={"promoted": "once more"}) == made
    assert tracker.challenge(made, reasons={"not_promoted": "x"}) == made


def test_what_failed_a_gate_is_not_promoted_but_by_force_and_that_is_recorded(tracker: Tracker) -> None:
    failed = trained(tracker, failed_gates=("calibration", "fairness"))
    with pytest.raises(GateError, match="did not pass its gates: calibration, fairness"):
        tracker.promote(failed, reasons={})
    assert tracker.registry.holder(TARGET, CHAMPION) is None
    assert tracker.promote(failed, reasons={}, force=True).facts["forced"] == "true"


def test_a_provisional_version_takes_the_place_of_no_shown_one_but_by_force(tracker: Tracker) -> None:
    provisional = trained(tracker, unshown_gates=("calibration",))
    assert (provisional.is_provisional, provisional.is_shown_by(FACTS.gates)) == (True, False)
    assert CHAMPION in tracker.promote(provisional, reasons={}).aliases, "the first may be provisional"
    shown = tracker.promote(trained(tracker, run_id="b" * 64), reasons={})
    assert (shown.is_provisional, shown.is_shown_by(FACTS.gates)) == (False, True)
    with pytest.raises(GateError, match="could not tell of calibration.*version 2, are shown"):
        tracker.promote(provisional, reasons={})
    assert tracker.promote(provisional, reasons={}, force=True).facts["forced"] == "true"


def test_a_provisional_version_follows_a_shown_one_that_is_no_rival(tracker: Tracker) -> None:
    shown = tracker.promote(trained(tracker, policy="permissive"), reasons={})
    registry = tracker.registry
    unshown = {"unshown_gates": ("calibration",)}
    lax = trained(tracker, run_id="b" * 64, policy="permissive", **unshown)
    strict = trained(tracker, run_id="c" * 64, **unshown)
    assert shown.is_shown_by(FACTS.gates)
    with pytest.raises(GateError, match="version 1, are shown"):
        registry.promote_over(lax, expected=1, reasons={})
    promoted = registry.promote_over(lax, expected=1, reasons={}, is_rival=False)
    assert promoted is not None
    assert (promoted.aliases, "forced" in promoted.facts) == ((CHAMPION,), False)
    tracker.promote(shown, reasons={})
    assert CHAMPION in tracker.promote(strict, reasons={}).aliases
    shown = tracker.promote(trained(tracker, run_id="d" * 64), reasons={})
    with pytest.raises(GateError, match="version 4, are shown"):
        tracker.promote(lax, reasons={})


def test_a_version_is_shown_by_the_gates_that_both_were_held_against(tracker: Tracker) -> None:
    """The first version is of before there was a gate of serving coverage."""
    serving = (*FACTS.gates, "serving coverage")
    old = tracker.promote(trained(tracker), reasons={})
    assert old.is_shown_by(serving) and not old.is_shown_by(["serving coverage"])
    unnamed = replace(old, facts={k: v for k, v in old.facts.items() if k != "gates"})
    assert unnamed.gates == FACTS.gates and unnamed.is_shown_by(serving)
    newer = trained(tracker, run_id="b" * 64, gates=serving, unshown_gates=("serving coverage",))
    assert newer.is_shown_by(FACTS.gates) and not newer.is_shown_by(serving)
    less = trained(tracker, run_id="c" * 64, gates=serving, unshown_gates=("calibration", "serving coverage"))
    with pytest.raises(GateError, match="could not tell of calibration; and the gates"):
        tracker.promote(less, reasons={})
    assert CHAMPION in tracker.promote(newer, reasons={}).aliases
    with pytest.raises(GateError, match="could not tell of calibration; and"):
        tracker.promote(trained(tracker, run_id="d" * 64, unshown_gates=("calibration",)), reasons={})


def test_a_version_that_says_nothing_of_gates_counts_as_not_judged(tracker: Tracker) -> None:
    client = tracker.place.client
    client.create_registered_model(tracker.registry.name(TARGET))
    client.create_model_version(tracker.registry.name(TARGET), source=(tracker.place.folder / "x").as_uri())
    with pytest.raises(GateError, match="not evaluated"):
        tracker.promote(tracker.registry.version(TARGET, 1), reasons={})


def test_the_champion_comes_with_what_scoring_needs(tracker: Tracker) -> None:
    tracker.promote(trained(tracker), reasons={})
    champion = tracker.champion(TARGET)
    assert champion.features == (("visits", "int"), ("plan", "string"))
    assert (champion.extras, champion.metrics) == ({"threshold": 0.2}, {"test/r2": 0.8125, "test/rmse": 12.5})


def test_no_champion_yet_says_how_to_get_one(tracker: Tracker) -> None:
    with pytest.raises(ConfigurationError, match="no champion for 'lifetime_value_usd'") as caught:
        tracker.champion(TARGET)
    assert "engage-spark train" in str(caught.value.hint)


def test_models_of_two_contracts_do_not_share_a_name(tracker: Tracker) -> None:
    trained(tracker)
    with pytest.raises(Exception, match="belongs to contract 'shop', not to 'bikes'") as caught:
        trained(tracker, run_id="b" * 64, contract_id="bikes")
    assert "tracking.prefix" in str(caught.value)


def test_versions_beyond_one_page_are_all_there(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(3):
        trained(tracker, run_id=f"{i}")
    client = tracker.place.client
    whole = client.search_model_versions
    monkeypatch.setattr(
        client,
        "search_model_versions",
        lambda text, page_token: whole(text, max_results=1, page_token=page_token),
    )
    assert [v.version for v in tracker.registry.versions(TARGET)] == [1, 2, 3]


def test_the_list_shows_champions_and_challengers_at_80_columns(
    tracker: Tracker, tracking: TrackingSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker.promote(trained(tracker), reasons={})
    tracker.challenge(
        trained(tracker, run_id="b" * 64, candidate="forest", failed_gates=("calibration", "fairness")),
        reasons={},
    )
    gates = ("baseline", "coverage", "calibration")
    tracker.promote(trained(tracker, "churn_30_day", unshown_gates=gates, policy="permissive"), reasons={})
    command(tracking)
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80 and tracking.folder not in line] == []
    assert "champion    version 1: gbt, r2 0.8125 [0.8047, 0.8203]" in out
    assert "challenger  version 2: forest" in out
    assert "on 2025-09-20, 2025-09-21\n" in out
    assert "champion  version 1, provisional: gbt" in out
    assert "policy permissive; gates not shown: baseline, coverage, calibration\n" in out
    assert (
        out.count("policy strict; gates passed\n") == out.count("gates failed: calibration, fairness\n") == 1
    )
    assert (
        out.count("no model yet; `engage-spark train` makes one")
        == len([f for f in load_contract(None).entity.fields if f.role.value == "target"]) - 2
    )


def test_one_version_is_shown_in_full(
    tracker: Tracker, tracking: TrackingSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker.promote(trained(tracker), reasons={})
    trained(tracker, run_id="b" * 64, candidate="forest")
    command(tracking, "show", TARGET)
    out = capsys.readouterr().out
    for fragment in (
        "version 1",
        "champion",
        "customer_features@12",
        "2025-09-20",
        "visits",
        "test/rmse",
        "12.5",
        "folds",
        "/artifacts/",
    ):
        assert fragment in out
    command(tracking, "show", TARGET, "--version", "2")
    assert "forest" in capsys.readouterr().out


def test_promotion_by_hand(
    tracker: Tracker, tracking: TrackingSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tracker)
    trained(tracker, run_id="b" * 64, failed_gates=("fairness",))
    command(tracking, "promote", TARGET, "1")
    assert tracker.champion(TARGET).facts["promoted"] == "by hand"
    with pytest.raises(SystemExit) as refused:
        command(tracking, "promote", TARGET, "2")
    assert (refused.value.code, tracker.champion(TARGET).version) == (3, 1)
    command(tracking, "promote", TARGET, "2", "--force")
    assert tracker.champion(TARGET).version == 2
    assert "was forced" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("promote", TARGET, "7"), "has no version 7"),
        (("promote", "age", "1"), "'age' is not a target"),
        (("show", TARGET), "no model of 'lifetime_value_usd' is registered"),
        (("send", "/nowhere"), "holds no run that was kept"),
    ],
)
def test_what_is_not_there_ends_with_2(
    tracking: TrackingSettings, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command(tracking, *words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_server_that_is_away_ends_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["models", "--set", "tracking.uri=http://127.0.0.1:1", "--set", f"tracking.folder={tmp_path}"])
    assert caught.value.code == 4
    assert "http://127.0.0.1:1" in capsys.readouterr().err


def test_the_alias_moves_only_from_the_version_that_was_compared_with(tracker: Tracker) -> None:
    first, second, third = (trained(tracker, run_id=c * 64) for c in "abc")
    promote = tracker.registry.promote_over
    assert promote(first, expected=None, reasons={}) is not None
    assert promote(second, expected=first.version, reasons={"gain": "0.1"}) is not None
    assert promote(third, expected=first.version, reasons={"gain": "over version 1"}) is None, (
        "0.82 over 0.80"
    )
    assert promote(third, expected=None, reasons={}) is None
    holder = tracker.registry.holder(TARGET, CHAMPION)
    assert holder is not None and (holder.version, holder.facts["replaced"]) == (2, "1")
    assert "gain" not in tracker.registry.version(TARGET, 3).facts, "nothing was changed"
    again = promote(second, expected=first.version, reasons={})
    assert again is not None and again.version == 2, "a rerun finds its own version there"


def test_looks_at_the_test_side_are_counted_for_the_same_splits(tracker: Tracker) -> None:
    trained(tracker)
    registry = tracker.registry
    assert registry.test_looks(TARGET, ["one"]) == 0
    assert registry.count_test_look(TARGET, ["one"], repeated=True) == 1, "it was killed before it counted"
    assert registry.count_test_look(TARGET, ["one"], repeated=True) == 1
    assert registry.count_test_look(TARGET, ["one"], repeated=False) == 2
    assert registry.count_test_look(TARGET, ["another", "one"], repeated=False) == 3
    assert registry.test_looks(TARGET, ["another", "one"]) == 3, "later trainings added customers"
    assert registry.test_looks(TARGET, ["one"]) == 0 == registry.test_looks(TARGET, ["redrawn"])
    assert registry.test_looks("churn_30_day", ["one"]) == 0


def copy_version(tracker: Tracker, version: ModelVersion, *, up_to: int) -> None:
    """Write more versions like this one into the sqlite file: through MLflow, hundreds take half a minute."""
    with closing(sqlite3.connect(tracker.place.folder / "mlflow.db")) as base, base:
        for table in ("model_versions", "model_version_tags"):
            names = [name for _, name, *_ in base.execute(f"PRAGMA table_info({table})")]
            copied = ", ".join("i" if name == "version" else name for name in names)
            base.execute(
                "WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {copied} FROM {table}, n "
                "WHERE name = ? AND version = ?",
                (version.version + 1, up_to, version.name, version.version),
            )


def test_calls_to_the_registry_do_not_grow_with_versions(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, calls = tracker.place.client._client, []  # the one that the announcing one wraps
    for name in dir(client):
        call = getattr(client, name)
        if callable(call) and not name.startswith("_"):

            def counted(*values: Any, _call: Any = call, _name: str = name, **more: Any) -> Any:
                calls.append(_name)
                return _call(*values, **more)

            monkeypatch.setattr(client, name, counted)

    def training() -> list[str]:
        calls.clear()
        registry = tracker.registry
        registry.holder(TARGET, CHAMPION)
        registry.version(TARGET, 1)
        tracker.has_training(TARGET, "x")
        registry.versions(TARGET)
        registry.test_looks(TARGET, ["x"])
        return list(calls)

    tracker.promote(trained(tracker), reasons={})
    newest = [trained(tracker, run_id=f"{i}") for i in range(2)][-1]
    few = training()
    assert {"get_registered_model", "get_model_version", "search_model_versions"} == set(few)
    copy_version(tracker, newest, up_to=365)
    assert [v.version for v in tracker.registry.versions(TARGET)] == [*range(1, 366)]
    assert training() == few and len(few) <= 10


def test_only_versions_of_one_training_are_asked_for_where_tags_need_a_call_each(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [trained(tracker, run_id=f"{i}") for i in range(5)]
    monkeypatch.setattr(type(tracker.place), "names_files", property(lambda _: True))
    asked, ask = [], tracker.place.client.get_model_version
    monkeypatch.setattr(
        tracker.place.client,
        "get_model_version",
        lambda name, number: asked.append(number) or ask(name, number),
    )
    (version,) = tracker.registry.versions_of(TARGET, "3")
    assert (version.version, len(asked)) == (made[3].version, 1)
    assert tracker.registry.versions_of(TARGET, "x") == ()
