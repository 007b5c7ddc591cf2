"""Register models: their versions, and which one is champion or challenger.

An alias points to one version, so there are never two.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engage_spark.errors import ConfigurationError, GateError, NoChampionError
from engage_spark.tracking.client import NOT_THERE, MlflowLocation, import_mlflow, mlflow_error_code
from engage_spark.tracking.model_io import EXTRAS, read_extras
from engage_spark.tracking.recorder import FIRST_GATES, MODEL, NOTE, TAG, RunRecord

CHAMPION, CHALLENGER = "champion", "challenger"
LOOKS = f"{TAG}test_looks"
"""Tag of a model: how many trainings were judged on the same test side, and a run that made its splits."""


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
    def gates(self) -> tuple[str, ...]:
        """The gates that it was held against; a version that does not say is of FIRST_GATES."""
        names = self.facts.get("gates")
        return FIRST_GATES if names is None else () if names == "none" else tuple(names.split(", "))

    def is_shown_by(self, gates: Collection[str]) -> bool:
        """Return whether its rows show that it meets those of these demands that it was held against."""
        common = set(gates) & set(self.gates) if self.unshown_gates is not None else set()
        is_judged = "failed_gates" in self.facts
        return is_judged and bool(common) and not common & {*self.failed_gates, *(self.unshown_gates or ())}

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
            entries = self._entries(name)
            if self.place.names_files:  # Unity Catalog's search leaves the tags out
                entries = [client.get_model_version(name, v.version) for v in entries]
            listed = [self._version(target, v, dict(model.aliases)) for v in entries]
        return tuple(sorted(listed, key=lambda v: v.version))

    def versions_of(self, target: str, run_id: str) -> tuple[ModelVersion, ...]:
        """Return the versions that one training made, oldest first; several where it was forced.

        Cost: two calls; on Databricks three more, and one for each of these versions.
        """
        name, client = self.name(target), self.place.client
        if not self.place.names_files:
            return tuple(v for v in self.versions(target) if v.facts.get("run_id") == run_id)
        with self.place.calling(f"the versions of {name!r} cannot be listed"):
            model = _unless_missing(lambda: client.get_registered_model(name))
            experiment = client.get_experiment_by_name(f"{self.place.settings.experiment}/{target}")
            if model is None or experiment is None:
                return ()
            runs = client.search_runs(
                [experiment.experiment_id], filter_string=f"tags.{TAG}run_id = '{run_id}'"
            )
            of_training = {r.info.run_id for r in runs}
            entries = [v for v in self._entries(name) if v.run_id in of_training]
            whole = [client.get_model_version(name, v.version) for v in entries]
            made = [self._version(target, v, dict(model.aliases)) for v in whole]
        return tuple(sorted(made, key=lambda v: v.version))

    def version(self, target: str, number: int) -> ModelVersion:
        """Return the version of this number.

        Cost: two calls.

        Errors: ConfigurationError, with the numbers that there are.
        """
        version = self._one(target, lambda _: number)
        if version is not None:
            return version
        there = ", ".join(str(v.version) for v in self.versions(target)) or "none"
        raise ConfigurationError(
            f"model {self.name(target)!r} has no version {number}", hint=f"versions are: {there}"
        )

    def holder(self, target: str, alias: str) -> ModelVersion | None:
        """Return the version with this alias, or None.

        Cost: two calls, however many versions there are.
        """
        return self._one(target, lambda aliases: aliases.get(alias))

    def _one(self, target: str, number_of: Callable[[Mapping[str, Any]], Any | None]) -> ModelVersion | None:
        """Return the version that the aliases, or nothing of them, lead to; None where there is none."""
        name, client = self.name(target), self.place.client
        with self.place.calling(f"the versions of {name!r} cannot be listed"):
            model = _unless_missing(lambda: client.get_registered_model(name))
            number = None if model is None else number_of(dict(model.aliases))
            if number is None:
                return None
            entry = _unless_missing(lambda: client.get_model_version(name, str(number)))
            return None if entry is None else self._version(target, entry, dict(model.aliases))

    def _entries(self, name: str) -> list[Any]:
        client = self.place.client
        return _all_pages(lambda token: client.search_model_versions(f"name='{name}'", page_token=token))

    def test_looks(self, target: str, split_runs: Sequence[str]) -> int:
        """Return how many trainings have been judged on the test side of the splits that these runs made.

        Cost: one call.
        """
        name, client = self.name(target), self.place.client
        with self.place.calling(f"the tags of {name!r} cannot be read"):
            model = _unless_missing(lambda: client.get_registered_model(name))
        looks, _, run = ("" if model is None else str(model.tags.get(LOOKS, ""))).partition(" of ")
        return int(looks) if looks.isdigit() and run in split_runs else 0

    def count_test_look(self, target: str, split_runs: Sequence[str], *, repeated: bool) -> int:
        """Count one more training that was judged on the test side of these splits, and return how many.

        One that is `repeated` is counted already, unless it is the only one. Hold a lock: MLflow adds nothing
        up.

        Cost: two calls.
        """
        name, before = self.name(target), self.test_looks(target, split_runs)
        looks = max(1, before + (not repeated))
        with self.place.calling(f"the tags of {name!r} cannot be set"):
            self.place.client.set_registered_model_tag(name, LOOKS, f"{looks} of {split_runs[0]}")
        return looks

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
        for version in self.versions_of(target, training):
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
            about = run.content()["tags"].get(NOTE)
            entry = client.create_model_version(
                name, source=source, run_id=run.id, tags=tags, description=about
            )
            return self._version(target, entry, {})

    def promote(
        self, version: ModelVersion, *, reasons: Mapping[str, Any], force: bool = False
    ) -> ModelVersion:
        """Make a version champion; the alias moves, so the previous champion is none any more.

        Doing it again completes what an interrupted call began, and no more. `reasons` (such as the paired
        gain with its interval) become tags, and so does the version that it replaced.

        Errors: GateError for a version that failed gates, and for a provisional one in place of one whose
        gates are shown (a strict model follows a permissive one all the same), unless forced, which is
        recorded too.
        """
        return self._promote(version, self.holder(version.target, CHAMPION), reasons, force=force)

    def promote_over(
        self,
        version: ModelVersion,
        *,
        expected: int | None,
        reasons: Mapping[str, Any],
        is_rival: bool = True,
    ) -> ModelVersion | None:
        """Make a version champion as `promote` does, where the champion is still the expected one.

        `expected` is the number of the version that it was compared with, None for none. One that `is_rival`
        says is no comparison keeps no provisional version from its place.

        Nulls: None where another version is champion by now: nothing is changed then.
        """
        before = self.holder(version.target, CHAMPION)
        if (None if before is None else before.version) not in (expected, version.version):
            return None
        return self._promote(version, before, reasons, force=False, is_rival=is_rival)

    def _promote(
        self,
        version: ModelVersion,
        before: ModelVersion | None,
        reasons: Mapping[str, Any],
        *,
        force: bool,
        is_rival: bool = True,
    ) -> ModelVersion:
        refused = _refusal(version, before, is_rival=is_rival)
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

    def _version(self, target: str, entry: Any, aliases: Mapping[str, Any]) -> ModelVersion:
        number, uri = int(entry.version), str(entry.source)
        if self.place.names_files:  # mlflow would resolve the name with the process's global addresses
            uri = f"models:/{entry.name}/{number}"
        elif uri.startswith("models:"):  # a copy of another version
            uri = str(self.place.client.get_model_version_download_uri(entry.name, str(number)))
        return ModelVersion(
            target=target,
            name=entry.name,
            version=number,
            run_id=entry.run_id or "",
            uri=uri,
            created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
            aliases=tuple(sorted(a for a, of in aliases.items() if str(of) == str(number))),
            facts={
                key.removeprefix(TAG): str(value) for key, value in entry.tags.items() if key.startswith(TAG)
            },
        )


def _refusal(version: ModelVersion, before: ModelVersion | None, *, is_rival: bool) -> str | None:
    """Say how a version's gates keep it from the place of another; None where they do not."""
    who = f"{version.name!r} version {version.version}"
    if version.failed_gates:
        return f"{who} did not pass its gates: {', '.join(version.failed_gates)}"
    if before is None or before.version == version.version:
        return None
    unshown = [name for name in version.unshown_gates or () if name in before.gates]
    if not unshown or not before.is_shown_by(version.gates):
        return None
    if not is_rival or (version.facts.get("policy"), before.facts.get("policy")) == ("strict", "permissive"):
        return None
    return (
        f"{who} is provisional: its rows could not tell of {', '.join(unshown)}; and the gates "
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
