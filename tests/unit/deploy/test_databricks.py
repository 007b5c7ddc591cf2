"""The Databricks bundle: fields as the platform's own types have them, tasks that our command line takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings

from engage_spark.cli import main
from engage_spark.pipelines.nothing_to_do import STAGES
from tests.support.paths import ROOT

BUNDLE = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
RESOURCES = sorted((ROOT / "resources").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = ("dev", "staging", "prod")
WHEEL = "../dist/*.whl"


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in RESOURCES:
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))["resources"]["jobs"]
    return found


JOBS = jobs()


def resolved(value: Any, target: str) -> Any:
    """A value with the bundle's references filled in; one that is unknown fails."""
    if isinstance(value, dict):
        return {k: resolved(v, target) for k, v in value.items()}
    if isinstance(value, list):
        return [resolved(v, target) for v in value]
    if not isinstance(value, str):
        return value
    known = {f"var.{name}": about["default"] for name, about in BUNDLE["variables"].items()}
    known |= {"bundle.target": target, "bundle.name": BUNDLE["bundle"]["name"]}
    if (whole := re.fullmatch(r"\$\{([\w.]+)\}", value)) is not None:
        return known[whole[1]]
    return re.sub(r"\$\{([\w.]+)\}", lambda m: str(known[m[1]]), value)


def test_the_bundle_has_its_files_targets_and_the_wheel() -> None:
    assert set(BUNDLE) == {"bundle", "include", "variables", "artifacts", "targets"}
    assert BUNDLE["include"] == ["resources/*.yml"] and len(RESOURCES) == 2
    assert tuple(BUNDLE["targets"]) == TARGETS
    assert [name for name, t in BUNDLE["targets"].items() if t.get("default")] == ["dev"]
    assert {t["mode"] for t in BUNDLE["targets"].values()} == {"development", "production"}
    (artifact,) = BUNDLE["artifacts"].values()
    assert artifact["type"] == "whl" and artifact["build"].startswith("python -m hatchling build")
    assert resolved(BUNDLE["targets"], "prod")["prod"]["workspace"]["root_path"].endswith(
        "/engage-spark/prod"
    )


@pytest.mark.parametrize("name", JOBS)
def test_every_field_of_a_job_is_one_of_the_platform(name: str) -> None:
    """Databricks' own types drop a field that they do not know, and refuse a value that is none of theirs."""
    job = resolved(JOBS[name], "prod")
    assert JobSettings.from_dict(job).as_dict() == job
    misspelt = job | {"max_concurent_runs": 1}
    assert JobSettings.from_dict(misspelt).as_dict() != misspelt, "the comparison can fail"


@pytest.mark.parametrize("name", JOBS)
def test_the_stages_run_in_order_on_the_compute_that_is_declared(name: str) -> None:
    job = resolved(JOBS[name], "dev")
    tasks = {task["task_key"]: task for task in job["tasks"]}
    assert tuple(tasks) == STAGES
    needs = {key: {d["task_key"] for d in task.get("depends_on", ())} for key, task in tasks.items()}
    before: set[str] = set()
    for key in tasks:
        assert needs[key] <= before, f"{key} stands after what it needs"
        before.add(key)
    assert needs["train"] == {"features", "graph"} and needs["score"] == {"monitor", "train"}
    environments = {e["environment_key"]: e["spec"]["dependencies"] for e in job.get("environments", ())}
    clusters = {c["job_cluster_key"] for c in job.get("job_clusters", ())}
    assert bool(environments) != bool(clusters)
    mlflow = next(d for d in PROJECT["optional-dependencies"]["ml"] if d.startswith("mlflow"))
    for key, task in tasks.items():
        if clusters:
            assert task["job_cluster_key"] in clusters and task["libraries"] == [{"whl": WHEEL}]
            continue
        wanted = environments[task["environment_key"]]
        assert WHEEL in wanted
        assert (mlflow in wanted) == (key in ("monitor", "train", "score"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", JOBS)
def test_the_command_line_takes_what_every_task_says(
    name: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in resolved(JOBS[name], target)["tasks"]:
        wheel = task["python_wheel_task"]
        assert wheel["package_name"] == PROJECT["name"].replace("-", "_")
        assert wheel["entry_point"] in PROJECT["scripts"]
        stage = task["task_key"]
        waits = stage in ("monitor", "train", "score")
        command = ["pipeline", "--stages", stage] if waits else [stage]
        assert wheel["parameters"][: len(command)] == command, "before labels are known nothing fails"
        main([*wheel["parameters"], "--print-config"])
        settings = yaml.safe_load(capsys.readouterr().out)
        assert settings["lake"]["catalog"] == f"engagement_{target}"
        assert settings["tracking"]["prefix"] == f"engagement_{target}.engage."
        assert settings["log"]["json_lines"] is True


def test_one_job_runs_every_day_unless_it_is_said_otherwise() -> None:
    states = [resolved(job, "prod")["schedule"]["pause_status"] for job in JOBS.values()]
    assert sorted(states) == ["PAUSED", "UNPAUSED"]


def test_nothing_names_a_workspace_or_a_person() -> None:
    for path in (ROOT / "databricks.yml", *RESOURCES):
        text = Path(path).read_text(encoding="utf-8")
        assert not re.search(r"https?://|@|token|password", text), path
