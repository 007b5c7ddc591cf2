"""Record and send runs, and register models, at the places that the settings name.

On Databricks set `tracking.uri: databricks`, `tracking.registry: databricks-uc`, `tracking.prefix:
catalog.schema.`, an absolute `tracking.experiment` such as `/Shared/engage-spark`, and `lake.scratch` to a
volume: models pass through it, so that MLFLOW_DFS_TMP is needed only by who loads them with
mlflow.spark.load_model on serverless or shared compute.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engage_spark.errors import ConfigurationError, EngageError, TransientError
from engage_spark.settings import TrackingSettings
from engage_spark.tracking.client import MlflowLocation, default_environment, import_mlflow, mlflow_error_code
from engage_spark.tracking.model_io import load_model
from engage_spark.tracking.recorder import NOTE, RunRecord, read_record
from engage_spark.tracking.registry import Champion, ModelVersion, Registry

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import SparkSession

KEPT = "kept"
KIND = "mlflow.experimentKind"
EXPERIMENT_TAGS = {
    KIND: "custom_model_development",  # what MLflow's pages, where they know kinds, show runs for
    NOTE: "Trainings of one target by engage-spark: a run for each, with its candidates below it. A run's "
    "description is its model card in short; the artifact `card.md` is the whole of it, and `plots/` has the "
    "pictures. `test/…` is measured on rows that no model has seen, `cv/…` on folds, `late_model/…` on the "
    "newest snapshot, which was kept apart, and `baseline/…` of the simplest model worth beating.",
}
DATA_TAG = {"context": "mlflow.data.context"}
"""MLflow's own names of tags of a run's inputs."""
LONGEST = {"params": 6000, "tags": 5000}
"""Characters of a value; what is longer is cut, and whole in params.json or tags.json."""


class Tracker:
    """Records runs and keeps models. Building one does nothing.

    `staging` is where Spark may put a model for a moment (lake.scratch).
    """

    def __init__(self, settings: TrackingSettings, *, staging: str | None = None) -> None:
        self.place = MlflowLocation(settings)
        self.staging = staging
        self.registry = Registry(self.place)

    def check(self, *, seconds: int = 5) -> None:
        """Ask MLflow one cheap question, before long work: at most twice, each time for so many seconds.

        Errors: ConfigurationError, TransientError or PermanentError as any later call would.
        """
        twice = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        with (
            default_environment(twice),
            self.place.calling("MLflow cannot be asked for its experiments"),
        ):
            self.place.client.search_experiments(max_results=1)

    @contextmanager
    def run(
        self,
        *experiment: str,
        name: str,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Iterator[RunRecord]:
        """Record a run, and send it to experiment `{tracking.experiment}/{experiment…}` when the block ends.

        `run.id` is set then. Where the block raises, the run is sent as FAILED, and the exception goes on.

        Errors: TransientError where sending fails: everything is kept below `tracking.folder`/kept, and the
        message says what failed and where the model is.
        """
        run = RunRecord((self.place.settings.experiment, *experiment), name, staging=self.staging)
        run.params(params or {})
        run.tags(tags or {})
        try:
            with run.timed():
                yield run
        except BaseException as e:
            try:
                self._send(run)
            except EngageError as failed:
                e.add_note(f"The run could not be sent to MLflow either: {failed.message}")
            raise
        self._send_or_keep(run, lambda: self._send(run))

    def register(self, run: RunRecord) -> ModelVersion:
        """Register a run's model, or return the version of the same training, if there is one.

        Everything is kept as `run` does where that fails.
        """
        version: ModelVersion = self._send_or_keep(run, lambda: self.registry.register(run))
        return version

    def promote(
        self, version: ModelVersion, *, reasons: Mapping[str, Any], force: bool = False
    ) -> ModelVersion:
        """Make a version champion; see Registry.promote."""
        return self.registry.promote(version, reasons=reasons, force=force)

    def amend(self, run: RunRecord, files: Mapping[str, Any]) -> None:
        """Replace artefacts of a run that was sent: text, bytes, or what JSON can hold, by path.

        Errors: TransientError or PermanentError where MLflow cannot take them.
        """
        for path, content in files.items():
            run.artefact(path, content)
            with self.place.calling(f"artefact {path} of run {run.name!r} cannot be replaced"):
                folder = str(Path(path).parent) if "/" in path else None
                self.place.client.log_artifact(run.id, str(run.files / path), folder)

    def challenge(self, version: ModelVersion, *, reasons: Mapping[str, Any]) -> ModelVersion:
        """Make a version challenger; see Registry.challenge."""
        return self.registry.challenge(version, reasons=reasons)

    def has_training(self, target: str, run_id: str) -> bool:
        """Return whether some version of the target's model is of this training, forced or not."""
        return bool(self.registry.versions_of(target, run_id))

    def champion(self, target: str) -> Champion:
        """Return the champion of a target; see Registry.champion."""
        return self.registry.champion(target)

    def load(self, spark: SparkSession, version: ModelVersion | Path) -> PipelineModel:
        """Load the fitted model of a version, or of a folder that was kept.

        Cost: the whole model is fetched; no job over customers.
        """
        if isinstance(version, Path):
            return load_model(spark, version, staging=self.staging)
        with tempfile.TemporaryDirectory(prefix="engage-spark-") as folder:
            return load_model(spark, self.registry.download(version, Path(folder)), staging=self.staging)

    def send(self, folder: Path) -> ModelVersion | None:
        """Send what was kept in `folder`, register its model, and delete the folder when all has arrived.

        Nulls: None where the run has no model.
        """
        try:
            run = read_record(folder)
        except (OSError, ValueError, KeyError) as e:
            raise ConfigurationError(
                f"{folder} holds no run that was kept: {e}", hint=f"look below {self.place.folder / KEPT}"
            ) from e
        if run.id is None:
            self._send(run)
        version = self.registry.register(run) if run.registration else None
        shutil.rmtree(folder, ignore_errors=True)
        return version

    def unsent_runs(self) -> tuple[Path, ...]:
        """Return the folders of runs that could not be sent yet."""
        return tuple(sorted(p.parent for p in (self.place.folder / KEPT).glob("*/record.json")))

    def _send_or_keep(self, run: RunRecord, call: Any) -> Any:
        try:
            return call()
        except EngageError as e:
            where = self._keep(run)
            model = (f"the trained model: {run.files / 'model'}",) if run.registration else ()
            raise TransientError(
                f"run {run.name!r} was not brought to MLflow: {e.message}",
                details=(*e.details, *model, f"all of the run: {where}"),
                hint=(
                    f"{e.hint or 'see that MLflow can be reached'}; then `engage-spark models send "
                    f"{where}` sends it"
                ),
            ) from e

    def _keep(self, run: RunRecord) -> Path:
        try:
            return run.keep(self.place.folder / KEPT)
        except OSError:  # the folder may be what is not writable; the message names the place
            return run.keep(Path(tempfile.mkdtemp(prefix="engage-spark-kept-")))

    def _send(self, run: RunRecord, parent: str | None = None) -> None:
        run.write()
        client = self.place.client
        what = f"run {run.name!r} cannot be recorded"
        with self.place.calling(what):
            tags = {"mlflow.parentRunId": parent} if parent else {}
            created = client.create_run(
                self._experiment(client, run.experiment), start_time=run.started, tags=tags, run_name=run.name
            )
        identity = created.info.run_id
        try:
            with self.place.calling(what):
                self._values(client, identity, run.content(), run.files)
                self._inputs(client, identity, run.datasets)
                if any(run.files.iterdir()):
                    client.log_artifacts(identity, str(run.files))
            for child in run.children:
                self._send(child, identity)
        except EngageError:
            self._close(client, identity, "FAILED")
            raise
        with self.place.calling(what):
            client.set_terminated(identity, status=run.status, end_time=run.ended)
        run.id = identity

    def _close(self, client: Any, identity: str, status: str) -> None:
        """Close a failed run: half a run must not look like one that is going on.

        Where MLflow is away, that fails too.
        """
        try:
            with self.place.calling("the run cannot be closed"):
                client.set_terminated(identity, status=status)
        except EngageError:
            return

    def _experiment(self, client: Any, parts: Sequence[str]) -> str:
        name = "/".join(parts)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            try:
                created = client.create_experiment(
                    name, artifact_location=self.place.artefacts, tags=EXPERIMENT_TAGS
                )
                return str(created)
            except import_mlflow("mlflow.exceptions").MlflowException as e:
                if mlflow_error_code(e) != "RESOURCE_ALREADY_EXISTS":  # another process was quicker
                    raise
                experiment = client.get_experiment_by_name(name)
        if experiment.lifecycle_stage != "active":
            raise ConfigurationError(
                f"experiment {name!r} is deleted in MLflow",
                hint="restore it there, or set tracking.experiment",
            )
        if KIND not in experiment.tags:  # one that an older version made
            for key, value in EXPERIMENT_TAGS.items():
                client.set_experiment_tag(experiment.experiment_id, key, value)
        return str(experiment.experiment_id)

    def _inputs(self, client: Any, identity: str, datasets: Sequence[Mapping[str, Any]]) -> None:
        """Log the tables that a run was made from as its inputs."""
        if not datasets:
            return
        entities = import_mlflow("mlflow.entities")
        inputs = []
        for d in datasets:
            entry = entities.Dataset(d["name"], d["digest"], "delta_table", json.dumps(d["source"]))
            tags = [entities.InputTag(DATA_TAG.get(key, key), value) for key, value in d["tags"].items()]
            inputs.append(entities.DatasetInput(entry, tags))
        client.log_inputs(identity, datasets=inputs)

    def _values(self, client: Any, identity: str, content: Mapping[str, Any], files: Path) -> None:
        entities = import_mlflow("mlflow.entities")
        builders = {"params": entities.Param, "tags": entities.RunTag}
        for kind, build in builders.items():
            if any(len(v) > LONGEST[kind] for v in content[kind].values()):
                (files / f"{kind}.json").write_text(
                    json.dumps(content[kind], indent=1, ensure_ascii=False), encoding="utf-8"
                )
            values = [build(k, v[: LONGEST[kind]]) for k, v in content[kind].items()]
            for start in range(0, len(values), 100):
                client.log_batch(identity, **{kind: values[start : start + 100]})
        when = content["ended"] or content["started"]
        points = [
            entities.Metric(k, v, when, step) for k, curve in content["metrics"].items() for step, v in curve
        ]
        for start in range(0, len(points), 1000):
            client.log_batch(identity, metrics=points[start : start + 1000])
