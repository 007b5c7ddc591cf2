"""Register models: their versions, and which one is champion or challenger.

An alias points to one version, so there are never two.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engage_spark.errors import ConfigurationError, GateError, NoChampionError
from engage_spark.tracking.client import NOT_THERE, MlflowLocation, import_mlflow, mlflow_error_code
from engage_spark.tracking.model_io import EXTRAS, read_extras
from engage_spark.tracking.recorder import MODEL, TAG, RunRecord

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One registered version of a target's model. `facts` are the tags of ours, without their prefix."""

    target: str
    name: str
    version: int
    run_id: str
    uri: str
    created: datetime
    aliases: tuple[str, ...]
    facts: Mapping[str, str]

    @property
    def failed_gates(self) -> tuple[str, ...]:
        """The gates that it did not pass; a version without that fact passed none."""
        names = self.facts.get("failed_gates", "not evaluated")
        return () if names == "none" else tuple(part.strip() for part in names.split(","))

    @property
    def unshown_gates(self) -> tuple[str, ...] | None:
        """The gates that its rows could not tell of; None where a version does not say."""
        names = self.facts.get("unshown_gates")
        return None if names is None else () if names == "none" else tuple(map(str.strip, names.split(",")))

    @property
    def is_shown(self) -> bool:
        """Whether its rows show that it meets the demand of every gate."""
        return not self.failed_gates and self.unshown_gates == ()

    @property
    def is_provisional(self) -> bool:
        """Whether it failed no gate, and its rows could not tell of some."""
        return not self.failed_gates and bool(self.unshown_gates)

    def is_of(self, run_id: str, attempt: int = 1) -> bool:
        """Return whether this training made it: the same work, forced as often."""
        return self.facts.get("run_id") == run_id and self.facts.get("attempt", "1") == str(attempt)


@dataclass(frozen=True, kw_only=True)
class Champion(ModelVersion):
    """A version with what its folder and its run say.

    That is the raw columns that it takes, what scoring needs, and all final metrics.
    """

    features: tuple[tuple[str, str], ...]
    extras: Mapping[str, Any] = field(repr=False)
    metrics: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """What MLflow holds of a run: final metrics, parameters, and where its artefacts are."""

    metrics: Mapping[str, float]
    params: Mapping[str, str]
    artefacts: str


class Registry:
    """What is registered for targets. Every call asks MLflow anew; nothing is remembered."""

    def __init__(self, place: MlflowLocation) -> None:
        self.place = place

    def name(self, target: str) -> str:
        """Return the name of the target's model in MLflow."""
        return f"{self.place.settings.prefix}{target}"

    def versions(self, target: str) -> tuple[ModelVersion, ...]:
        """Return every version, oldest first; none where nothing is registered.

        Cost: two calls, and on Databricks one per version.
        """
        name, client = self.name(target), self.place.client
        with self.place.calling(f"the versions of {name!r} cannot be listed"):
            model = _unless_missing(lambda: client.get_registered_model(name))
            if model is None:
                return ()
            entries = _all_pages(
                lambda token: client.search_model_versions(f"name='{name}'", page_token=token)
            )
            if self.place.names_files:  # Unity Catalog's search leaves the tags out
                entries = [client.get_model_version(name, v.version) for v in entries]
            aliases = dict(model.aliases)
            listed = [
                self._version(target, v, [a for a, of in aliases.items() if str(of) == str(v.version)])
                for v in entries
            ]
        return tuple(sorted(listed, key=lambda v: v.version))

    def version(self, target: str, number: int) -> ModelVersion:
        """Return the version of this number.

        Errors: ConfigurationError, with the numbers that there are.
        """
        versions = self.versions(target)
        for version in versions:
            if version.version == number:
                return version
        there = ", ".join(str(v.version) for v in versions) or "none"
        raise ConfigurationError(
            f"model {self.name(target)!r} has no version {number}", hint=f"versions are: {there}"
        )

    def holder(self, target: str, alias: str) -> ModelVersion | None:
        """Return the version with this alias, or None."""
        return next((v for v in self.versions(target) if alias in v.aliases), None)

    def champion(self, target: str) -> Champion:
        """Return the champion with its extras and metrics.

        Errors: NoChampionError where there is none.
        """
        holder = self.holder(target, CHAMPION)
        if holder is None:
            raise NoChampionError(
                (
                    f"there is no champion for {target!r}: no model named {self.name(target)!r} at "
                    f"{self.place.registry} has that alias"
                ),
                hint=(
                    f"run `engage-spark train`; or choose a version by hand: `engage-spark models "
                    f"promote {target} VERSION`"
                ),
            )
        return self.opened(holder)

    def opened(self, version: ModelVersion) -> Champion:
        """Return a version with what its files and its run say.

        Cost: one small download.

        Errors: ConfigurationError where the files do not say it.
        """
        own = {key: getattr(version, key) for key in ModelVersion.__dataclass_fields__}
        try:
            with tempfile.TemporaryDirectory(prefix="engage-spark-") as folder:
                content = read_extras(self.download(version, Path(folder), EXTRAS))
            features = tuple((str(name), str(kind)) for name, kind in content["features"])
            extras = dict(content["extras"])
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ConfigurationError(
                (
                    f"{EXTRAS} of {version.name!r} version {version.version} is not what was written beside "
                    f"the model: {type(e).__name__}: {e}"
                ),
                hint="restore the model's files, or make another version champion",
            ) from e
        return Champion(**own, features=features, extras=extras, metrics=self.run_of(version).metrics)

    def run_of(self, version: ModelVersion) -> RecordedRun:
        """Return the run that made a version."""
        with self.place.calling(
            f"run {version.run_id} of {version.name!r} version {version.version} cannot be read"
        ):
            run = self.place.client.get_run(version.run_id)
        return RecordedRun(
            metrics=dict(run.data.metrics), params=dict(run.data.params), artefacts=run.info.artifact_uri
        )

    def download(self, version: ModelVersion, folder: Path, path: str = "") -> Path:
        """Download the model's files, or one of them, into `folder`."""
        uri = f"{version.uri.rstrip('/')}/{path}" if path else version.uri
        with self.place.calling(
            f"the files of {version.name!r} version {version.version} cannot be fetched from {uri}"
        ):
            return Path(
                import_mlflow("mlflow.artifacts").download_artifacts(
                    artifact_uri=uri,
                    dst_path=str(folder),
                    tracking_uri=self.place.uri,
                    registry_uri=self.place.registry,
                )
            )

    def register(self, run: RunRecord) -> ModelVersion:
        """Register the model of a run that was sent.

        Return the version of the same training (`ModelVersion.is_of`) where there is one already.

        Errors: ConfigurationError where the name belongs to another contract's model.
        """
        if run.registration is None or run.id is None:
            raise ValueError(f"run {run.name!r} has no model, or was not sent")
        target, tags, client = run.registration["name"], run.registration["tags"], self.place.client
        name = self.name(target)
        training, attempt = tags[f"{TAG}run_id"], int(tags.get(f"{TAG}attempt", "1"))
        for version in self.versions(target):
            if version.is_of(training, attempt):
                return version
        with self.place.calling(f"the model cannot be registered as {name!r}"):
            owner = tags[f"{TAG}contract_id"]
            model = _unless_missing(lambda: client.get_registered_model(name))
            if model is None:
                client.create_registered_model(name, tags={f"{TAG}contract_id": owner})
            elif (other := model.tags.get(f"{TAG}contract_id", owner)) != owner:
                raise ConfigurationError(
                    f"model {name!r} belongs to contract {other!r}, not to {owner!r}",
                    hint="give each contract's models a prefix of their own: tracking.prefix",
                )
            source = f"{client.get_run(run.id).info.artifact_uri}/{MODEL}"
            entry = client.create_model_version(name, source=source, run_id=run.id, tags=tags)
            return self._version(target, entry, [])

    def promote(
        self, version: ModelVersion, *, reasons: Mapping[str, Any], force: bool = False
    ) -> ModelVersion:
        """Make a version champion; the alias moves, so the previous champion is none any more.

        Doing it again completes what an interrupted call began, and no more. `reasons` (such as the paired
        gain with its interval) become tags, and so does the version that it replaced.

        Errors: GateError for a version that failed gates, and for a provisional one in place of one whose
        gates are shown, unless forced, which is recorded too.
        """
        before = self.holder(version.target, CHAMPION)
        refused = _refusal(version, before)
        if refused and not force:
            raise GateError(
                refused,
                hint=(
                    "train again when the cause is removed; --force promotes it all the same, and the "
                    "version records it"
                ),
            )
        if before is not None and before.version == version.version:
            return self._no_challenger(before)
        tags = {key: str(value) for key, value in reasons.items()} | ({"forced": "true"} if refused else {})
        tags |= {"replaced": str(before.version)} if before else {}
        client = self.place.client
        with self.place.calling(f"{version.name!r} version {version.version} cannot be made champion"):
            for key, value in tags.items():
                client.set_model_version_tag(version.name, str(version.version), f"{TAG}{key}", value)
            client.set_registered_model_alias(version.name, CHAMPION, str(version.version))
        return self._no_challenger(self.version(version.target, version.version))

    def _no_challenger(self, version: ModelVersion) -> ModelVersion:
        """Take the challenger's alias off a champion.

        An attempt that was killed between the two aliases may have left it so.
        """
        if CHALLENGER not in version.aliases:
            return version
        with self.place.calling(f"{version.name!r} version {version.version} cannot cease to be challenger"):
            self.place.client.delete_registered_model_alias(version.name, CHALLENGER)
        return self.version(version.target, version.version)

    def challenge(self, version: ModelVersion, *, reasons: Mapping[str, Any]) -> ModelVersion:
        """Make a version challenger, with the reasons why it is not champion. A champion stays what it is."""
        now = self.version(version.target, version.version)
        if CHAMPION in now.aliases:
            return now
        client = self.place.client
        with self.place.calling(f"{version.name!r} version {version.version} cannot be made challenger"):
            for key, value in reasons.items():
                client.set_model_version_tag(version.name, str(version.version), f"{TAG}{key}", str(value))
            client.set_registered_model_alias(version.name, CHALLENGER, str(version.version))
        return self.version(version.target, version.version)

    def _version(self, target: str, entry: Any, aliases: list[str]) -> ModelVersion:
        client, number = self.place.client, int(entry.version)
        uri = f"models:/{entry.name}/{number}"
        if not self.place.names_files:  # mlflow would resolve the name with the process's global addresses
            uri = str(client.get_model_version_download_uri(entry.name, str(number)))
        return ModelVersion(
            target=target,
            name=entry.name,
            version=number,
            run_id=entry.run_id or "",
            uri=uri,
            created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
            aliases=tuple(sorted(aliases)),
            facts={
                key.removeprefix(TAG): str(value) for key, value in entry.tags.items() if key.startswith(TAG)
            },
        )


def _refusal(version: ModelVersion, before: ModelVersion | None) -> str | None:
    """Say how a version's gates keep it from the place of another; None where they do not."""
    who = f"{version.name!r} version {version.version}"
    if version.failed_gates:
        return f"{who} did not pass its gates: {', '.join(version.failed_gates)}"
    if before is None or before.version == version.version or not (version.unshown_gates and before.is_shown):
        return None
    return (
        f"{who} is provisional: its rows could not tell of {', '.join(version.unshown_gates)}; and the gates "
        f"of the champion, version {before.version}, are shown"
    )


def _unless_missing(call: Any) -> Any:
    try:
        return call()
    except import_mlflow("mlflow.exceptions").MlflowException as e:
        if mlflow_error_code(e) in NOT_THERE:
            return None
        raise


def _all_pages(search: Any) -> list[Any]:
    entries: list[Any] = []
    token: str | None = None
    while True:
        page = search(token)
        entries.extend(page)
        token = getattr(page, "token", None)
        if not token:
            return entries
