"""Record a run in a local folder: complete before any of it is sent, and kept where sending fails."""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engage_spark.masking import shown
from engage_spark.tracking.model_io import save_model

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import SparkSession

RECORD = "record.json"
FILES = "artefacts"
MODEL = "model"
TAG = "engage_"
"""Before the name of every tag of ours. Unity Catalog allows no dot in them."""
NOTE = "mlflow.note.content"
"""MLflow's own tag for the description of a run or an experiment, in Markdown."""
LONGEST_NOTE = 5000
FIRST_GATES = ("baseline", "coverage", "leakage", "calibration")
"""The gates of a version that does not name them: there were no others before versions did."""
_UNNAMEABLE = re.compile(r"[^\w\-. /]")


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a version of a model says about itself in the registry.

    `run_id` is the training's: the same work has the same id. `attempt` is 1, and more for a training that
    was forced though it had been done: only both together name one training. `data` are table versions such
    as {"customer_features": "12"}; `metric` is the headline with its interval; `failed_gates` names the gates
    that it failed, and a version that failed one is never promoted without force; `unshown_gates` those that
    its rows could not tell of, `gates` all that it was held against. `splits` identifies the
    draw that parted customers, `test_looks` counts the trainings that were judged on its test side up to this
    one (0: unknown), `meaning` is the digest of what the target and the features meant.
    """

    run_id: str
    contract_id: str
    contract_digest: str
    settings_digest: str
    code_version: str
    data: Mapping[str, str]
    candidate: str
    policy: str
    metric: str
    value: float
    low: float
    high: float
    snapshots: tuple[str, ...]
    failed_gates: tuple[str, ...] = ()
    unshown_gates: tuple[str, ...] = ()
    gates: tuple[str, ...] = FIRST_GATES
    attempt: int = 1
    splits: str = ""
    test_looks: int = 0
    meaning: str = ""

    def tags(self) -> dict[str, str]:
        """Return one short text per fact, under the names that tags have in MLflow."""
        texts = asdict(self) | {
            "data": ", ".join(f"{table}@{version}" for table, version in sorted(self.data.items())),
            "snapshots": ", ".join(self.snapshots),
            "failed_gates": ", ".join(self.failed_gates) or "none",
            "unshown_gates": ", ".join(self.unshown_gates) or "none",
            "gates": ", ".join(self.gates) or "none",
            **{key: repr(float(getattr(self, key))) for key in ("value", "low", "high")},
        }
        return {f"{TAG}{key}": str(text) for key, text in texts.items()}


class RunRecord:
    """One training, being recorded.

    Names of metrics and params may hold letters, digits, `_-. /`; other signs become `_`.
    """

    def __init__(
        self, experiment: Sequence[str], name: str, folder: Path | None = None, *, staging: str | None = None
    ) -> None:
        self.experiment, self.name, self.staging = tuple(experiment), name, staging
        self.folder = folder or Path(tempfile.mkdtemp(prefix="engage-spark-run-"))
        self.files = self.folder / FILES
        self.files.mkdir(parents=True, exist_ok=True)
        self.id: str | None = None
        """MLflow's own id, once the run was sent."""
        self.started, self.ended, self.status = _now(), 0, "RUNNING"
        self.registration: dict[str, Any] | None = None
        self.datasets: list[dict[str, Any]] = []
        self.children: list[RunRecord] = []
        self._values: dict[str, dict[str, str]] = {"params": {}, "tags": {}}
        self._metrics: dict[str, list[tuple[int, float]]] = {}
        # Nothing is left behind unless it is kept.
        self._cleaner = (
            None if folder else weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        )

    def params(self, values: Mapping[str, Any]) -> None:
        """Record what went in. A name may be given again only with the same value."""
        self._put("params", values)

    def tags(self, values: Mapping[str, Any]) -> None:
        """Record tags to find the run by."""
        self._put("tags", values)

    def description(self, markdown: str) -> None:
        """Record what MLflow shows as the description of the run, and of the version that its model becomes;
        what is longer than a tag is cut at a line.
        """
        lines = markdown[:LONGEST_NOTE].rpartition("\n")[0] if len(markdown) > LONGEST_NOTE else markdown
        self._put("tags", {NOTE: lines})

    def dataset(self, *, name: str, digest: str, path: str, version: int | None, **tags: str) -> None:
        """Record a version of a Delta table, by its path or catalog name, that the run was made from; nothing
        is copied.

        `tags` say what it was to the run, such as `context="training"`.
        """
        place = "path" if "/" in path else "delta_table_name"
        source = {place: shown(path)} | ({} if version is None else {"delta_table_version": version})
        self.datasets.append({"name": name, "digest": digest[:36], "source": source, "tags": tags})

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record figures that came out, one per name."""
        for key, value in values.items():
            self.curve(key, [(0, value)])

    def curve(self, name: str, points: Iterable[tuple[int, float]]) -> None:
        """Record a figure at each of several steps, such as the number of features that were left.

        Nulls: NaN is left out.
        """
        key = _nameable(name)
        if key in self._metrics:
            raise ValueError(f"run {self.name!r}: metric {key!r} is recorded already")
        if defined := [(int(step), float(value)) for step, value in points if not math.isnan(value)]:
            self._metrics[key] = defined

    def artefact(self, path: str, content: str | bytes | Any) -> None:
        """Record a file at this relative path: text, bytes (a picture), or what JSON can hold.

        Nulls: NaN, which JSON cannot hold, becomes null.
        """
        file = self.files / path
        if not file.resolve().is_relative_to(self.files.resolve()) or file.is_relative_to(self.files / MODEL):
            raise ValueError(
                f"an artefact cannot be stored at {path!r}: it must be below the run's folder, and "
                f"{MODEL}/ is the model's"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            text = content if isinstance(content, str) else _json(content)
            file.write_text(shown(text), encoding="utf-8")

    def model(
        self,
        spark: SparkSession,
        model: PipelineModel,
        *,
        features: Sequence[tuple[str, str]],
        extras: Mapping[str, Any],
        name: str,
        facts: ModelFacts,
    ) -> None:
        """Record the fitted model with the raw columns that it takes: name and Spark type.

        `extras` is what else scoring needs, stored as JSON. `name` is what it will be registered as, without
        the prefix.

        Cost: what Spark takes to write the model, one listing and one job to fetch its files (the size of the
        model passes through this process), no job over customers.
        """
        save_model(
            spark,
            model,
            self.files / MODEL,
            features=features,
            extras=extras,
            facts=facts.tags(),
            staging=self.staging,
        )
        self.registration = {"name": name, "tags": facts.tags()}
        self._put("tags", facts.tags())

    @contextmanager
    def child(self, name: str) -> Iterator[RunRecord]:
        """Open a run below this one, such as a candidate on a fold.

        It is sent with its parent; it fails where its block raises.
        """
        run = RunRecord(
            self.experiment,
            name,
            self.folder / "children" / f"{len(self.children):04d}",
            staging=self.staging,
        )
        self.children.append(run)
        with run.timed():
            yield run

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Set when the run ended and how."""
        try:
            yield
        except BaseException:
            self.ended, self.status = _now(), "FAILED"
            raise
        self.ended, self.status = _now(), "FINISHED"

    def write(self) -> None:
        """Write everything that is not a file yet into record.json, here and in the children."""
        for child in self.children:
            child.write()
        (self.folder / RECORD).write_text(_json(self.content()), encoding="utf-8")

    def content(self) -> dict[str, Any]:
        """Return the record as JSON can hold it."""
        return {
            "experiment": list(self.experiment),
            "name": self.name,
            "id": self.id,
            "started": self.started,
            "ended": self.ended,
            "status": self.status,
            "metrics": self._metrics,
            "registration": self.registration,
            "datasets": self.datasets,
            **self._values,
        }

    def keep(self, folder: Path) -> Path:
        """Move the record below `folder`, to stay, and return its new path."""
        self.write()
        folder.mkdir(parents=True, exist_ok=True)
        where = (
            folder
            / f"{'-'.join((*self.experiment, self.name))}-{self.folder.name.rpartition('-')[2]}".replace(
                "/", "-"
            ).replace(" ", "-")
        )
        shutil.move(self.folder, where)
        self._moved(where)
        if self._cleaner:
            self._cleaner.detach()
        return where

    def _moved(self, where: Path) -> None:
        for i, child in enumerate(self.children):
            child._moved(where / "children" / f"{i:04d}")
        self.folder, self.files = where, where / FILES

    def _put(self, kind: str, values: Mapping[str, Any]) -> None:
        recorded = self._values[kind]
        for key, value in values.items():
            name, text = _nameable(key), shown(_text(value))
            if recorded.setdefault(name, text) != text and kind == "params":
                raise ValueError(
                    f"run {self.name!r}: parameter {name!r} is {recorded[name]!r} already, not {text!r}"
                )
            recorded[name] = text


def read_record(folder: Path) -> RunRecord:
    """Read a run that was kept.

    Errors: OSError, ValueError or KeyError where the folder holds none.
    """
    content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    run = RunRecord(content["experiment"], content["name"], folder)
    run.id = content["id"]
    run.started, run.ended, run.status, run.registration = (
        content[k] for k in ("started", "ended", "status", "registration")
    )
    run.datasets = content.get("datasets", [])
    run._metrics = {
        name: [(int(step), float(value)) for step, value in points]
        for name, points in content["metrics"].items()
    }
    run._values = {kind: dict(content[kind]) for kind in ("params", "tags")}
    run.children = [read_record(path) for path in sorted((folder / "children").glob("*")) if path.is_dir()]
    return run


def _now() -> int:
    return int(time.time() * 1000)


def _nameable(name: str) -> str:
    return _UNNAMEABLE.sub("_", name)[:250]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(
        _without_nan(value),
        indent=None if not isinstance(value, dict) else 1,
        ensure_ascii=False,
        default=str,
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(of) for of in value]
    return None if isinstance(value, float) and math.isnan(value) else value
