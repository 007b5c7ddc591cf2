"""What is recorded of a run, and how it is sent to MLflow on a sqlite file; without Spark, so without a
model.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from engage_spark.errors import ConfigurationError, PermanentError, TransientError
from engage_spark.settings import TrackingSettings
from engage_spark.tracking import RunRecord, Tracker
from engage_spark.tracking.client import MlflowLocation, sqlite_file, translate_mlflow_errors
from tests.support.paths import ROOT

mlflow = pytest.importorskip("mlflow", reason="the ml extra is not installed")


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker(
        TrackingSettings(folder=str(tmp_path_factory.mktemp("tracking") / "mlflow"), experiment="shop")
    )


def stored(tracker: Tracker, run: RunRecord) -> Any:
    """Read with mlflow's own client, at the address that the settings document."""
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{tracker.place.folder}/mlflow.db").get_run(run.id)


def files(tracker: Tracker, run: RunRecord) -> Path:
    (folder,) = (p for p in tracker.place.folder.glob(f"artifacts/{run.id}/*"))
    return folder


def test_params_metrics_tags_and_files_arrive(tracker: Tracker) -> None:
    with tracker.run(
        "churned", name="first", params={"folds": 5, "candidates": ["linear", "gbt"]}, tags={"engage_seed": 7}
    ) as run:
        run.metrics({"test/auc": 0.75, "test/gain [low]": -0.5})
        run.curve("rfe/auc", [(3, 0.5), (2, 0.625), (1, 0.25)])
        run.artefact("card.md", "# Card – ünïcode")
        run.artefact("plots/roc.svg", b"<svg/>")
        run.artefact("fairness.json", {"groups": [1, 2]})
    found = stored(tracker, run)
    assert found.data.params == {"folds": "5", "candidates": '["linear", "gbt"]'}
    assert {k: v for k, v in found.data.metrics.items() if k.startswith("test")} == {
        "test/auc": 0.75,
        "test/gain _low_": -0.5,
    }
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tracker.place.folder}/mlflow.db")
    assert sorted((m.step, m.value) for m in client.get_metric_history(run.id, "rfe/auc")) == [
        (1, 0.25),
        (2, 0.625),
        (3, 0.5),
    ]
    assert (found.data.tags["engage_seed"], found.info.status, found.info.run_name) == (
        "7",
        "FINISHED",
        "first",
    )
    assert client.get_experiment(found.info.experiment_id).name == "shop/churned"
    assert (files(tracker, run) / "card.md").read_text() == "# Card – ünïcode"
    assert (files(tracker, run) / "plots" / "roc.svg").read_bytes() == b"<svg/>"
    assert json.loads((files(tracker, run) / "fairness.json").read_text()) == {"groups": [1, 2]}


def test_pages_of_mlflow_open_on_runs_that_say_what_they_are_and_were_made_from(tracker: Tracker) -> None:
    card = "# churned\n\n" + "\n".join(f"line {i}" for i in range(1000))
    with tracker.run("pages", name="first") as run:
        run.description(card)
        run.dataset(
            name="members_judged",
            digest="0123456789abcdef" * 4,
            path="/lake/members_judged",
            version=7,
            context="training",
            snapshot_date="2025-10-21",
        )
    client = mlflow.MlflowClient(tracking_uri=tracker.place.uri)
    found = client.get_run(run.id)
    experiment = client.get_experiment(found.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "model card" in experiment.tags["mlflow.note.content"]
    note = found.data.tags["mlflow.note.content"]
    assert 4900 < len(note) <= 5000 and card.startswith(note + "\n")
    (given,) = found.inputs.dataset_inputs
    assert (given.dataset.name, len(given.dataset.digest)) == ("members_judged", 36)
    assert json.loads(given.dataset.source) == {"path": "/lake/members_judged", "delta_table_version": 7}
    assert {t.key: t.value for t in given.tags} == {
        "mlflow.data.context": "training",
        "snapshot_date": "2025-10-21",
    }


def test_an_experiment_that_an_older_version_made_is_tagged_once(tracker: Tracker) -> None:
    client = mlflow.MlflowClient(tracking_uri=tracker.place.uri)
    identity = client.create_experiment("shop/older")
    for _ in range(2):
        with tracker.run("older", name="first"):
            pass
        client.set_experiment_tag(identity, "mlflow.note.content", "our own words")
    tags = client.get_experiment(identity).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["mlflow.note.content"] == "our own words"


LOCAL = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("uri", "viewer", "server"),
    [
        (None, "mlflow server --backend-store-uri sqlite:///{folder}/mlflow.db", LOCAL),
        ("http://10.0.0.1:80/", "", "http://10.0.0.1:80"),
        ("postgresql://db/mlflow", "mlflow server --backend-store-uri postgresql://db/mlflow", LOCAL),
        ("databricks", "", ""),
    ],
)
def test_how_to_look_at_the_runs_is_known(uri: str | None, viewer: str, server: str, tmp_path: Path) -> None:
    place = Tracker(TrackingSettings(uri=uri, folder=str(tmp_path))).place
    assert place.viewer == viewer.format(folder=tmp_path)
    assert place.page == (f"{server}/#/experiments?workflowType=machine_learning" if server else "")


def test_children_arrive_below_their_parent(tracker: Tracker) -> None:
    with tracker.run("churned", name="parent") as run:
        for fold in range(2):
            with run.child(f"gbt fold {fold}") as child:
                child.metrics({"auc": fold / 4})
    below = [stored(tracker, child) for child in run.children]
    assert [(c.data.tags["mlflow.parentRunId"], c.data.metrics, c.info.status) for c in below] == [
        (run.id, {"auc": 0.0}, "FINISHED"),
        (run.id, {"auc": 0.25}, "FINISHED"),
    ]


def test_a_run_whose_block_raises_ends_as_failed_with_what_it_had(tracker: Tracker) -> None:
    with pytest.raises(ZeroDivisionError):
        with tracker.run("churned", name="broken") as run:
            run.params({"folds": 5})
            1 / 0  # noqa: B018
    found = stored(tracker, run)
    assert (found.info.status, found.data.params) == ("FAILED", {"folds": "5"})


def test_more_and_longer_values_than_mlflow_takes_at_once_arrive_whole(tracker: Tracker) -> None:
    long = ", ".join(f"feature_{i}" for i in range(900))
    with tracker.run(
        "churned", name="large", params={"features": long} | {f"p{i}": i for i in range(250)}
    ) as run:
        run.curve("profit", [(i, i / 8) for i in range(2500)])
    found = stored(tracker, run)
    assert len(found.data.params) == 251
    assert found.data.params["features"] == long[:6000]
    assert json.loads((files(tracker, run) / "params.json").read_text())["features"] == long
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tracker.place.folder}/mlflow.db")
    assert len(client.get_metric_history(run.id, "profit")) == 2500


def test_a_parameter_or_metric_has_one_value(tmp_path: Path) -> None:
    run = RunRecord(["e"], "n", tmp_path / "run")
    run.params({"folds": 5})
    run.params({"folds": 5})
    with pytest.raises(ValueError, match="'folds' is '5' already, not '6'"):
        run.params({"folds": 6})
    run.metrics({"a[b]": 1.0})
    with pytest.raises(ValueError, match="'a_b_' is recorded already"):
        run.metrics({"a(b)": 2.0})


def test_a_figure_that_is_not_defined_is_left_out(tracker: Tracker) -> None:
    nan = float("nan")
    with tracker.run("churned", name="undefined") as run:
        run.metrics({"cv/auc": nan, "cv/brier": 0.25})
        run.curve("folds/auc", [(0, 0.5), (1, nan), (2, 0.75)])
        run.artefact("candidates.json", [{"name": "linear", "folds": {"auc": (0.5, nan)}}])
    assert stored(tracker, run).data.metrics == {"cv/brier": 0.25, "folds/auc": 0.75}
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tracker.place.folder}/mlflow.db")
    assert [(m.step, m.value) for m in client.get_metric_history(run.id, "folds/auc")] == [
        (0, 0.5),
        (2, 0.75),
    ]
    text = (files(tracker, run) / "candidates.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == [{"name": "linear", "folds": {"auc": [0.5, None]}}]


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "model/MLmodel"])
def test_an_artefact_stays_in_its_own_place(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="cannot be stored at"):
        RunRecord(["e"], "n", tmp_path / "run").artefact(path, "x")


def test_nothing_is_left_of_a_run_that_is_not_kept(tracker: Tracker) -> None:
    with tracker.run("churned", name="gone") as run:
        folder = run.folder
    assert folder.is_dir()
    del run
    assert not folder.exists()


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_a_server_that_is_away_costs_nothing_that_was_recorded(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{closed_port()}"
    tracker = Tracker(TrackingSettings(uri=address, folder=str(tmp_path / "local"), experiment="shop"))
    with pytest.raises(TransientError) as caught:
        with tracker.run("churned", name="a b", params={"folds": 5}) as run:
            run.metrics({"auc": 0.5})
            with run.child("fold 0") as child:
                child.metrics({"auc": 0.25})
            run.artefact("card.md", "# Card")
    (folder,) = tracker.unsent_runs()
    assert folder.parent == tmp_path / "local" / "kept"
    assert address in str(caught.value)
    assert f"all of the run: {folder}" in caught.value.details
    assert f"engage-spark models send {folder}" in str(caught.value.hint)
    later = Tracker(TrackingSettings(folder=str(tmp_path / "mlflow"), experiment="other"))
    assert later.send(folder) is None
    assert not folder.exists()
    client = mlflow.MlflowClient(tracking_uri=later.place.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'shop/churned'")
    sent = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    assert (sent["a b"].data.params, sent["a b"].data.metrics, sent["a b"].info.status) == (
        {"folds": "5"},
        {"auc": 0.5},
        "FINISHED",
    )
    assert sent["fold 0"].data.metrics == {"auc": 0.25}


def test_a_failed_block_keeps_its_own_error_when_the_server_is_away_too(tmp_path: Path) -> None:
    tracker = Tracker(TrackingSettings(uri=f"http://127.0.0.1:{closed_port()}", folder=str(tmp_path)))
    with pytest.raises(ZeroDivisionError) as caught:
        with tracker.run("churned", name="broken"):
            1 / 0  # noqa: B018
    assert "could not be sent to MLflow either" in caught.value.__notes__[0]


def test_the_check_says_that_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="nobody answers"):
        Tracker(TrackingSettings(uri=f"http://127.0.0.1:{closed_port()}", folder=str(tmp_path))).check()


@pytest.mark.parametrize("name", ["c%20d", "q?r", "a#b", "x y", "100%", "ä+b", "%41%3F"])
def test_a_folder_is_the_one_that_was_named(tmp_path: Path, name: str) -> None:
    place = MlflowLocation(TrackingSettings(folder=str(tmp_path / name)))
    assert make_url(place.uri).database == str(tmp_path / name / "mlflow.db")
    assert make_url(place.uri).query == {}
    assert sqlite_file(place.uri) == tmp_path / name / "mlflow.db"


@pytest.mark.parametrize("key", ["uri", "registry"])
def test_an_address_of_unknown_kind_is_refused_with_the_kinds_that_there_are(
    tmp_path: Path, key: str
) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"tracking\.{key} is 'gopher://host'.*\n.*sqlite, postgresql"
    ):
        Tracker(TrackingSettings(**{"folder": str(tmp_path), key: "gopher://host"})).check()


def test_a_run_goes_to_a_temporary_folder_where_even_the_local_one_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    tracker = Tracker(TrackingSettings(folder=str(tmp_path / "file" / "mlflow")))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        tracker.check()
    with pytest.raises(TransientError) as caught:
        with tracker.run("churned", name="first"):
            pass
    folder = Path(caught.value.details[-1].removeprefix("all of the run: "))
    assert (folder / "record.json").is_file()


def test_what_is_no_kept_run_is_not_sent(tracker: Tracker, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no run that was kept"):
        tracker.send(tmp_path)


def test_without_mlflow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigurationError, match=r"engage-spark\[ml\]"):
        Tracker(TrackingSettings(folder=str(tmp_path))).check()


@pytest.mark.slow
def test_neither_the_terminal_nor_the_process_sees_anything_of_it(tmp_path: Path) -> None:
    """In a process of its own, with a new sqlite file: that is when mlflow and alembic talk most."""
    code = f"""
import logging, os
from engage_spark.settings import TrackingSettings
from engage_spark.tracking import Tracker
tracker = Tracker(TrackingSettings(folder={str(tmp_path / "mlflow")!r}))
with tracker.run("churned", name="first") as run:
    run.artefact("card.md", "x")
assert run.id and {{k: v for k, v in os.environ.items() if "MLFLOW" in k}} == {{}}
assert logging.getLogger("mlflow").level == logging.INFO, "as mlflow itself sets it"
import mlflow
assert mlflow.get_tracking_uri() != tracker.place.uri and mlflow.active_run() is None
assert sorted(os.listdir(".")) == ["mlflow"]
"""
    root = ROOT
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")} | {
        "PYTHONPATH": str(root)
    }
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /x (Caused by SSLError("
         "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')))",
         PermanentError),
        ("Model Version (name=x, version=500) is broken", PermanentError),
        ("Detected out-of-date database schema (found version 503)", PermanentError),
        ("API request to endpoint /x failed with error code 401 != 200", ConfigurationError),
        ("could not connect to server: FATAL: password authentication failed for user", ConfigurationError),
        ("API request to endpoint /x failed with error code 503 != 200", TransientError),
        ("Max retries exceeded with url: /x (Caused by ResponseError('too many 502 error responses'))",
         TransientError),
        ("503 Server Error: Service Unavailable for url: http://h", TransientError),
        ("could not connect to server: Connection refused", TransientError),
    ],
)  # fmt: skip
def test_only_what_waiting_can_mend_is_worth_a_retry(text: str, kind: type[Exception]) -> None:
    with pytest.raises(kind), translate_mlflow_errors("it cannot be asked", "http://h:5000"):
        raise mlflow.exceptions.MlflowException(text)


@pytest.mark.parametrize("address", ["http://[::", "http://[", "mailto:x", "x"])
def test_what_is_no_address_is_refused_in_words(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigurationError, match="of no kind that MLflow takes"):
        Tracker(TrackingSettings(uri=address, folder=str(tmp_path))).check()
